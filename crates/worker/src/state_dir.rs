//! A directory by which a worker process can prove that those before it are gone, with all that they started.
//!
//! Each process has a file of its own there, and locks it by a descriptor that it hands to its guards, and they to their
//! programs. The lock ends when the last of them has ended, whichever that is. It knows no session and no lease.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write as _},
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, SystemTime},
};

use rustix::{
    fs::{FlockOperation, flock},
    io::Errno,
};
use tokio::time::{Instant, sleep};
use tracing::warn;

use crate::{Error, identity::Identity};

/// Locked by the process that has the directory, and by nothing that it starts.
const LOCK: &str = "LOCK";

/// Where each process has its file, named after its instance id.
const STARTS: &str = "starts";

/// How many earlier processes are remembered, the newest ones: what a hello may name.
const STARTS_MAX: usize = 16;

/// How long is waited for what an earlier process has started. Guards kill it in milliseconds; a new worker must not wait as
/// long as the leases of the old one last.
const WAIT_MAX: Duration = Duration::from_secs(3);

/// How often it is looked whether it is gone.
const PAUSE: Duration = Duration::from_millis(10);

/// A directory that this process has.
pub(crate) struct StateDir {
    /// Nobody else has it while this is open.
    _lock: File,
    /// To be kept open by all that must be gone before somebody else may take this process for gone.
    pub(crate) pledge: Arc<File>,
    /// The instance ids of earlier processes that are gone, and nothing of which is left.
    pub(crate) gone: Vec<String>,
}

/// An earlier process.
struct Start {
    instance_id: String,
    path: PathBuf,
}

impl StateDir {
    /// Takes the directory for this process, and finds out which of those before it are gone.
    pub(crate) async fn claim(directory: &Path, identity: &Identity) -> Result<Self, Error> {
        Self::claim_within(directory, identity, WAIT_MAX).await
    }

    async fn claim_within(
        directory: &Path,
        identity: &Identity,
        wait: Duration,
    ) -> Result<Self, Error> {
        let fault = |source| Error::StateDir { directory: directory.to_owned(), source };
        let starts = directory.join(STARTS);
        fs::create_dir_all(&starts).map_err(fault)?;
        let lock = open(&directory.join(LOCK)).map_err(fault)?;
        if !try_lock(&lock).map_err(fault)? {
            return Err(Error::StateDirInUse { directory: directory.to_owned() });
        }
        // Another boot's processes are gone too, but the file may be a copy, and its processes on another machine.
        let boot = identity.process_start.as_ref().map(|start| start.boot_id.as_str());
        let earlier = earlier(&starts, boot.unwrap_or_default()).map_err(fault)?;
        let mut pledge = open(&starts.join(&identity.instance_id)).map_err(fault)?;
        pledge.write_all(boot.unwrap_or_default().as_bytes()).map_err(fault)?;
        // Nobody else knows it: it is locked at once.
        try_lock(&pledge).map_err(fault)?;
        let gone = gone(earlier, wait).await.map_err(fault)?;
        Ok(Self { _lock: lock, pledge: Arc::new(pledge), gone })
    }
}

/// The processes that were started in the same boot, the newest first. What is of no use to anybody is removed.
fn earlier(starts: &Path, boot: &str) -> io::Result<Vec<Start>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(starts)? {
        let entry = entry?;
        let Ok(instance_id) = entry.file_name().into_string() else { continue };
        let since = entry.metadata()?.modified().unwrap_or(SystemTime::UNIX_EPOCH);
        found.push((since, Start { instance_id, path: entry.path() }));
    }
    found.sort_by_key(|(since, _)| std::cmp::Reverse(*since));
    let mut kept = Vec::new();
    for (_, start) in found {
        let is_known = !boot.is_empty() && fs::read(&start.path)? == boot.as_bytes();
        if is_known && kept.len() < STARTS_MAX {
            kept.push(start);
        } else {
            fs::remove_file(&start.path)?;
        }
    }
    Ok(kept)
}

/// Which of them are gone, with all that they started; those that are not by then are left to the end of their sessions.
async fn gone(mut left: Vec<Start>, wait: Duration) -> io::Result<Vec<String>> {
    let until = Instant::now() + wait;
    let mut gone = Vec::new();
    loop {
        let mut remaining = Vec::new();
        for start in left {
            if try_lock(&open(&start.path)?)? {
                gone.push(start.instance_id);
            } else {
                remaining.push(start);
            }
        }
        left = remaining;
        if left.is_empty() {
            return Ok(gone);
        }
        if until <= Instant::now() {
            let instances: Vec<&str> = left.iter().map(|it| it.instance_id.as_str()).collect();
            warn!(?instances, "something that an earlier process has started still runs");
            return Ok(gone);
        }
        sleep(PAUSE).await;
    }
}

fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)
}

fn try_lock(file: &File) -> io::Result<bool> {
    match flock(file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(true),
        Err(Errno::WOULDBLOCK) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests;
