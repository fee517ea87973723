//! How much room the disk has, and whether a failed write was for want of it.
//!
//! SQLite reports a write that met ENOSPC as `SQLITE_FULL`. A quota, a file size limit, and a full disk under the
//! shared-memory index all come as I/O errors, which are fatal unless they are told apart here.

use std::{
    fs::{self, File},
    io::{self, ErrorKind, Write as _},
    path::Path,
};

use rusqlite::{ErrorCode, ffi};
use rustix::process::{Resource, getrlimit};

use crate::database;

/// The file a doubtful write is repeated with.
const PROBE_FILE: &str = "probe";

/// As large as the largest single write of the database: a region of its shared-memory index.
const PROBE_BYTES: usize = 32 * 1024;

/// How many bytes an unprivileged process may still write on the file system of `dir`.
pub(crate) fn free_bytes(dir: &Path) -> io::Result<u64> {
    let volume = rustix::fs::statvfs(dir)?;
    Ok(volume.f_bavail.saturating_mul(volume.f_frsize))
}

/// How many bytes the database and its write-ahead log take in `dir`.
pub(crate) fn used_bytes(dir: &Path) -> io::Result<u64> {
    let mut sum = 0;
    for file in [database::FILE, database::WAL_FILE] {
        sum += match fs::metadata(dir.join(file)) {
            Ok(metadata) => metadata.len(),
            Err(error) if error.kind() == ErrorKind::NotFound => 0,
            Err(error) => return Err(error),
        };
    }
    Ok(sum)
}

/// Whether the database in `dir` refused for want of room, and so nothing was lost but the attempt.
pub(crate) fn is_exhausted(error: &rusqlite::Error, dir: &Path) -> bool {
    let rusqlite::Error::SqliteFailure(failure, _) = error else { return false };
    match failure.extended_code {
        // A failed sync is never among these: what it lost cannot be known.
        ffi::SQLITE_IOERR_WRITE | ffi::SQLITE_IOERR_SHMSIZE => {
            at_size_limit(dir) || probe(dir).is_err_and(|error| is_about_room(&error))
        }
        _ => failure.code == ErrorCode::DiskFull,
    }
}

/// Whether this error of the operating system means that there is no room.
pub(crate) fn is_about_room(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge
    )
}

/// Whether the database or its log is a page away from the largest file this process may write.
fn at_size_limit(dir: &Path) -> bool {
    let Some(limit) = getrlimit(Resource::Fsize).current else { return false };
    [database::FILE, database::WAL_FILE].iter().any(|file| {
        fs::metadata(dir.join(file))
            .is_ok_and(|metadata| limit < metadata.len() + 2 * u64::from(database::PAGE_BYTES))
    })
}

/// Writes as much as the database might have, beside it.
fn probe(dir: &Path) -> io::Result<()> {
    let path = dir.join(PROBE_FILE);
    let written = File::create(&path).and_then(|mut file| file.write_all(&vec![0xa5; PROBE_BYTES]));
    match fs::remove_file(&path) {
        // A disk that is full enough does not even take the name: what the attempt said is the answer.
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        Ok(()) | Err(_) => written,
    }
}

#[cfg(test)]
mod tests;
