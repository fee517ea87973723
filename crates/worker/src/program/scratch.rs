//! Where programs find and leave files while they run: a folder of each worker process, and in it one of each attempt.
//!
//! Nobody else can look into them. They go with their attempt and process; what is left of a process that was killed goes
//! with the next that starts beside it, which sees by a lock that its owner is gone.

use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io,
    os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
    sync::OnceLock,
};

use rustix::{fs::OFlags, process::geteuid};

/// What the folders of worker processes begin with, in the system's folder for temporary files.
const PREFIX: &str = "leasehold-worker-";

/// The file that its process has locked. It appears locked.
const LOCK: &str = "lock";

/// Readable for nobody else.
const MODE: u32 = 0o700;

/// The folder of this process, once something is needed in it.
#[derive(Debug, Default)]
pub(crate) struct Scratch {
    root: OnceLock<Result<Root, String>>,
}

impl Scratch {
    /// A new folder of this name. May wait for the file system.
    pub(super) fn folder(&self, name: &str) -> io::Result<Folder> {
        let root = self.root.get_or_init(|| {
            let root = Root::create(&std::env::temp_dir());
            root.map_err(|error| format!("no folder for temporary files: {error}"))
        });
        let root = root.as_ref().map_err(|error| io::Error::other(error.clone()))?;
        let path = root.path.join(name);
        DirBuilder::new().mode(MODE).create(&path)?;
        Ok(Folder { path })
    }
}

/// The folder of an attempt, and everything in it: gone with this.
#[derive(Debug)]
pub(super) struct Folder {
    path: PathBuf,
}

impl Folder {
    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What cannot be removed goes with the folder of the process, or with the next process.
        let _left = fs::remove_dir_all(&self.path);
    }
}

/// The folder of a process: gone with this.
#[derive(Debug)]
struct Root {
    path: PathBuf,
    _lock: File,
}

impl Root {
    /// A new one in `parent`. What others have left there is removed.
    fn create(parent: &Path) -> io::Result<Self> {
        sweep(parent);
        let path = parent.join(format!("{PREFIX}{:016x}", fastrand::u64(..)));
        DirBuilder::new().mode(MODE).create(&path)?;
        let (unlocked, locked) = (path.join("lock.new"), path.join(LOCK));
        let lock = File::create(&unlocked)?;
        lock.lock()?;
        fs::rename(unlocked, locked)?;
        Ok(Self { path, _lock: lock })
    }
}

impl Drop for Root {
    fn drop(&mut self) {
        let _left = fs::remove_dir_all(&self.path);
    }
}

/// Removes the folders of processes that are gone. What cannot be removed is somebody else's, or left to the next.
fn sweep(parent: &Path) {
    let Ok(entries) = fs::read_dir(parent) else { return };
    for entry in entries.flatten() {
        let is_named = entry.file_name().to_str().is_some_and(|name| name.starts_with(PREFIX));
        if is_named && is_left(&entry.path()).unwrap_or(false) {
            let _left = fs::remove_dir_all(entry.path());
        }
    }
}

/// Whether a folder is ours and its process is gone.
fn is_left(path: &Path) -> io::Result<bool> {
    let metadata = fs::symlink_metadata(path)?;
    if !metadata.is_dir() || metadata.uid() != geteuid().as_raw() {
        return Ok(false);
    }
    let flags = (OFlags::NONBLOCK | OFlags::NOFOLLOW).bits().cast_signed();
    let lock = OpenOptions::new().read(true).custom_flags(flags).open(path.join(LOCK))?;
    Ok(lock.try_lock().is_ok())
}

#[cfg(test)]
mod tests;
