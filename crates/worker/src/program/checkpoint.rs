//! The file through which a program finds the checkpoint of its task, and leaves the next one.
//!
//! It is replaced as a whole, by renaming another file over it: so nobody ever sees a part of a checkpoint, whenever the
//! program dies. Which file it is counts, not its times: the last one seen is kept open, so that no other has its number.

use std::{
    convert::Infallible,
    fs::{File, OpenOptions},
    future::Future,
    io::{self, Read as _},
    os::unix::fs::{MetadataExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use rustix::fs::OFlags;
use tokio::task::spawn_blocking;

use super::{Attempt, Kind, scratch::Folder};
use crate::{assignment::Token, limits::Limits, progress::Board};

/// How often is looked for a new one while the program runs: so much of its work is lost at the most with its worker.
const INTERVAL: Duration = Duration::from_secs(1);

/// What the file is called.
const NAME: &str = "checkpoint";

/// What a program saves, and who is told.
#[derive(Clone)]
pub(super) struct Saves {
    path: Arc<Path>,
    file: Arc<Mutex<CheckpointFile>>,
    board: Arc<Board>,
    token: Token,
}

impl Saves {
    /// The file of an attempt, with what an earlier one saved. `None`: none is kept, or there is no place for it, which the
    /// program can do without.
    pub(super) async fn open(attempt: &Attempt) -> Option<Self> {
        let Kind::Program(board) = &attempt.kind else { return None };
        let (board, limits) = (Arc::clone(board), attempt.limits);
        if limits.checkpoint_bytes == 0 {
            return None;
        }
        let (token, found) = (attempt.assignment.token, attempt.assignment.checkpoint.clone());
        let scratch = Arc::clone(&attempt.scratch);
        let open = move || CheckpointFile::new(scratch.folder(&token.to_string())?, found, limits);
        let file = match spawn_blocking(open).await.unwrap_or_else(|error| Err(error.into())) {
            Ok(file) => file,
            Err(error) => {
                let (error, token) = (error.to_string(), token.to_string());
                tracing::warn!(error, token, "no place for a checkpoint: the program runs without");
                return None;
            }
        };
        let path = Arc::from(file.path.as_path());
        Some(Self { path, file: Arc::new(Mutex::new(file)), board, token })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    #[expect(clippy::infinite_loop, reason = "it is dropped with the end of the program")]
    async fn follow(&self) -> Infallible {
        loop {
            tokio::time::sleep(INTERVAL).await;
            self.look().await;
        }
    }

    /// Passes on what the program saved since it was looked the last time. The file system may be slow: not here.
    async fn look(&self) {
        let Self { path: _, file, board, token } = self.clone();
        let look = move || {
            // Nothing can panic while the lock is held, so what it protects is whole.
            let found = file.lock().unwrap_or_else(PoisonError::into_inner).look();
            match found {
                Ok(Some(data)) => board.post_checkpoint(token, data),
                Ok(None) => {}
                Err(error) => {
                    let (error, token) = (error.to_string(), token.to_string());
                    tracing::warn!(error, token, "what the program saved is not kept");
                }
            }
        };
        drop(spawn_blocking(look).await);
    }
}

/// Waits for the end of a program, and passes on what it saves until then.
pub(super) async fn followed<T>(program: impl Future<Output = T>, saves: Option<Saves>) -> T {
    let Some(saves) = saves else { return program.await };
    let ended = tokio::select! {
        biased;
        ended = program => ended,
        never = saves.follow() => match never {},
    };
    saves.look().await;
    drop(spawn_blocking(|| drop(saves)).await);
    ended
}

/// The file.
struct CheckpointFile {
    path: PathBuf,
    limits: Limits,
    /// The last one seen.
    seen: Option<File>,
    /// Where it is; gone with this.
    _folder: Folder,
}

impl CheckpointFile {
    fn new(folder: Folder, found: Option<Bytes>, limits: Limits) -> io::Result<Self> {
        let path = folder.path().join(NAME);
        let seen = match found {
            Some(data) => {
                std::fs::write(&path, data)?;
                Some(File::open(&path)?)
            }
            None => None,
        };
        Ok(Self { path, limits, seen, _folder: folder })
    }

    /// What is in the file, if it is another one than the last time.
    fn look(&mut self) -> io::Result<Option<Bytes>> {
        // A pipe in its place must not hold anybody up.
        let nonblocking = OFlags::NONBLOCK.bits().cast_signed();
        let opened = OpenOptions::new().read(true).custom_flags(nonblocking).open(&self.path);
        let file = match opened {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let is_same = match &self.seen {
            Some(seen) => identity(seen)? == identity(&file)?,
            None => false,
        };
        if is_same {
            return Ok(None);
        }
        let seen = self.seen.insert(file);
        let metadata = seen.metadata()?;
        if !metadata.is_file() {
            return Err(io::Error::other("its checkpoint is not a file"));
        }
        let bytes = usize::try_from(metadata.len()).unwrap_or(usize::MAX);
        self.limits.admit_checkpoint(bytes).map_err(io::Error::other)?;
        let mut data = Vec::with_capacity(bytes);
        seen.take(metadata.len()).read_to_end(&mut data)?;
        Ok(Some(data.into()))
    }
}

fn identity(file: &File) -> io::Result<(u64, u64)> {
    let metadata = file.metadata()?;
    Ok((metadata.dev(), metadata.ino()))
}

#[cfg(test)]
mod tests;
