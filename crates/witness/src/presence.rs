//! Whether another execution of a task lives: each holds a lock that the kernel gives back with its process.
//!
//! A lock says more than the ledger, in which nothing ends that was killed.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io,
    path::Path,
};

/// The lock of one execution, held until it is dropped or its process dies.
#[derive(Debug)]
pub(crate) struct Presence(#[expect(dead_code, reason = "it is held, not used")] File);

impl Presence {
    /// Shows in the task's directory that an execution under this token lives.
    pub(crate) fn show(dir: &Path, token: i64) -> io::Result<Self> {
        fs::create_dir_all(dir)?;
        let file = open(&dir.join(token.to_string()))?;
        // Another process may be looking at this very moment, and holds it shared for as long.
        file.lock()?;
        Ok(Self(file))
    }

    /// The tokens of all other executions that live. Of two that begin at the same time at least one sees the other,
    /// because each shows itself before it looks.
    pub(crate) fn others(dir: &Path, token: i64) -> io::Result<Vec<i64>> {
        let mut others = Vec::new();
        for entry in fs::read_dir(dir)? {
            let entry = entry?;
            let name = entry.file_name();
            let Some(other) = name.to_str().and_then(|it| it.parse().ok()) else { continue };
            if other != token && is_held(&entry.path())? {
                others.push(other);
            }
        }
        Ok(others)
    }
}

fn is_held(path: &Path) -> io::Result<bool> {
    match open(path)?.try_lock_shared() {
        Ok(()) => Ok(false),
        Err(TryLockError::WouldBlock) => Ok(true),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_lives_is_seen_and_who_is_gone_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let task = dir.path().join("task");
        let first = Presence::show(&task, 1).unwrap();
        let _second = Presence::show(&task, 2).unwrap();
        assert_eq!(Presence::others(&task, 1).unwrap(), [2]);
        assert_eq!(Presence::others(&task, 2).unwrap(), [1]);
        drop(first);
        assert_eq!(Presence::others(&task, 2).unwrap(), [0_i64; 0]);
    }
}
