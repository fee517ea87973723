//! The `LOCK` file: one writing process per data directory, named for whoever comes second.
//!
//! It must not know what it protects. The lock is the kernel's (`flock`): it goes with the process that holds it,
//! however that ends, so a leftover file means nothing. The file is never deleted: a deleted one could be locked twice.

use std::{
    fs::{File, OpenOptions, TryLockError},
    io::{self, Read as _, Seek as _, SeekFrom, Write as _},
    path::Path,
    process,
};

use crate::OpenError;

/// The name of the file in the data directory.
const FILE: &str = "LOCK";

/// A holder's line is an address and a number; a longer file is not one of ours and is cut when shown.
const LINE_BYTES_MAX: u64 = 1024;

/// The right to write to a data directory, for as long as it lives.
#[derive(Debug)]
pub(crate) struct Lock {
    _held: File,
}

impl Lock {
    /// Takes the lock of `dir` at once, or says who has it.
    pub(crate) fn take(dir: &Path, address: &str) -> Result<Self, OpenError> {
        let path = dir.join(FILE);
        let blame = |source| OpenError::File { path: path.clone(), source };
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(blame)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(holder(&mut file)),
            Err(TryLockError::Error(source)) => return Err(blame(source)),
        }
        sign(&mut file, address).map_err(blame)?;
        Ok(Self { _held: file })
    }
}

/// Writes who holds the lock. On a full disk the line may be cut short, which costs the second opener a name only.
fn sign(file: &mut File, address: &str) -> io::Result<()> {
    file.set_len(0)?;
    file.seek(SeekFrom::Start(0))?;
    match writeln!(file, "pid={} address={address}", process::id()) {
        Err(error) if error.kind() == io::ErrorKind::StorageFull => Ok(()),
        written => written,
    }
}

/// What the holder wrote, as far as it got.
fn holder(file: &mut File) -> OpenError {
    let mut line = String::new();
    // An unreadable line leaves the holder unnamed; that it holds the lock is certain either way.
    if file.take(LINE_BYTES_MAX).read_to_string(&mut line).is_err() {
        line.clear();
    }
    let field = |name: &str| line.split_whitespace().find_map(|word| word.strip_prefix(name));
    OpenError::Held {
        pid: field("pid=").and_then(|pid| pid.parse().ok()),
        address: field("address=").unwrap_or_default().to_owned(),
    }
}

#[cfg(test)]
mod tests;
