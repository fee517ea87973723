//! What is a full disk and what is worse.

use rusqlite::Error;

use super::*;

/// The error of SQLite with this extended code.
fn failure(code: i32) -> Error {
    Error::SqliteFailure(ffi::Error::new(code), None)
}

#[test]
fn only_want_of_room_is_a_full_disk() {
    let dir = tempfile::tempdir().expect("a directory");
    for (code, is_full) in [
        (ffi::SQLITE_FULL, true),
        // With room on the disk these are what they say.
        (ffi::SQLITE_IOERR_WRITE, false),
        (ffi::SQLITE_IOERR_SHMSIZE, false),
        (ffi::SQLITE_IOERR, false),
        (ffi::SQLITE_IOERR_FSYNC, false),
        (ffi::SQLITE_IOERR_DIR_FSYNC, false),
        (ffi::SQLITE_IOERR_TRUNCATE, false),
        (ffi::SQLITE_IOERR_READ, false),
        (ffi::SQLITE_CORRUPT, false),
        (ffi::SQLITE_BUSY, false),
        (ffi::SQLITE_CONSTRAINT_PRIMARYKEY, false),
    ] {
        assert_eq!(is_exhausted(&failure(code), dir.path()), is_full, "code {code}");
    }
    assert!(!is_exhausted(&Error::QueryReturnedNoRows, dir.path()));
    let left = fs::read_dir(dir.path()).expect("it is listed").count();
    assert_eq!(left, 0, "the probe leaves nothing behind");
}

#[test]
fn room_is_counted_in_bytes() {
    let dir = tempfile::tempdir().expect("a directory");
    assert_eq!(used_bytes(dir.path()).expect("it is counted"), 0);
    fs::write(dir.path().join(database::FILE), [0; 100]).expect("it is written");
    fs::write(dir.path().join(database::WAL_FILE), [0; 23]).expect("it is written");
    fs::write(dir.path().join("ballast"), [0; 1000]).expect("it is written");
    assert_eq!(used_bytes(dir.path()).expect("it is counted"), 123);
    let free = free_bytes(dir.path()).expect("it is counted");
    assert!(0 < free && free < 1 << 60, "{free}");
    assert!(free_bytes(&dir.path().join("missing")).is_err());
}

#[test]
fn a_probe_that_gets_no_file_tells_why() {
    // Nobody makes a file here, as on a disk without an inode left; and then there is none to remove.
    let error = probe(Path::new("/sys")).expect_err("it takes no file");
    assert_ne!(error.kind(), ErrorKind::NotFound, "{error}");
}
