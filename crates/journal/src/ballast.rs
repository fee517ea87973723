//! Room held back for bad times: a file that is deleted when the disk is full, so that what is leased can still be
//! completed while new work is refused.
//!
//! It must not decide when: the caller does.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, ErrorKind, Write as _},
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use rustix::fs::{FallocateFlags, fallocate};

use crate::room;

/// The name of the file in the data directory.
const FILE: &str = "ballast";

/// How much is written at once where blocks cannot be reserved.
const CHUNK_BYTES: usize = 64 * 1024;

/// What `st_blocks` counts in.
const BLOCK_BYTES: u64 = 512;

/// The file, there or not.
#[derive(Debug)]
pub(crate) struct Ballast {
    path: PathBuf,
    bytes: u64,
}

impl Ballast {
    /// The ballast of `dir`, of this many bytes when it is there; of none if `bytes` is 0.
    pub(crate) fn new(dir: &Path, bytes: u64) -> Self {
        Self { path: dir.join(FILE), bytes }
    }

    /// Gives the room to whoever writes next. `true`: there was some to give.
    pub(crate) fn release(&self) -> io::Result<bool> {
        match fs::remove_file(&self.path) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Takes the room again, if a quarter as much stays free beside it: a ballast that fills the disk helps nobody.
    /// `true`: it is held.
    pub(crate) fn restore(&self, dir: &Path) -> io::Result<bool> {
        if self.is_held() {
            return Ok(true);
        }
        self.release()?;
        if room::free_bytes(dir)? < self.bytes.saturating_add(self.bytes / 4) {
            return Ok(false);
        }
        match fill(&self.path, self.bytes) {
            Ok(()) => Ok(true),
            Err(error) => {
                self.release()?;
                if room::is_about_room(&error) { Ok(false) } else { Err(error) }
            }
        }
    }

    /// Whether the file is there and really takes its blocks, or none is wanted.
    pub(crate) fn is_held(&self) -> bool {
        let takes_all = |file: fs::Metadata| {
            file.len() == self.bytes && self.bytes <= file.blocks().saturating_mul(BLOCK_BYTES)
        };
        self.bytes == 0 || fs::metadata(&self.path).is_ok_and(takes_all)
    }
}

/// Makes a file of exactly this size that takes as many blocks.
fn fill(path: &Path, bytes: u64) -> io::Result<()> {
    let file = OpenOptions::new().write(true).create_new(true).open(path)?;
    // Some file systems cannot reserve, and some only say that they did: their blocks are written.
    if fallocate(&file, FallocateFlags::empty(), 0, bytes).is_err()
        || file.metadata()?.blocks().saturating_mul(BLOCK_BYTES) < bytes
    {
        write_noise(&file, bytes)?;
    }
    file.sync_all()
}

/// Writes bytes that no file system can compress away.
fn write_noise(mut file: &File, bytes: u64) -> io::Result<()> {
    let mut noise = fastrand::Rng::with_seed(bytes);
    let mut chunk = vec![0; CHUNK_BYTES];
    let mut left = bytes;
    while 0 < left {
        chunk.truncate(usize::try_from(left).unwrap_or(CHUNK_BYTES));
        noise.fill(&mut chunk);
        file.write_all(&chunk)?;
        left -= chunk.len() as u64;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
