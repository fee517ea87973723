//! Who may write, as the second one learns it.

use std::fs;

use super::*;

/// Who holds the lock while the file says this.
fn check(line: &str, pid: Option<u32>, address: &str) {
    let dir = tempfile::tempdir().expect("a directory");
    let _held = Lock::take(dir.path(), "nobody:0").expect("it is free");
    fs::write(dir.path().join(FILE), line).expect("it is written");
    match Lock::take(dir.path(), "second:1") {
        Err(OpenError::Held { pid: found, address: at }) => {
            assert_eq!((found, at.as_str()), (pid, address), "{line:?}");
        }
        other => panic!("{line:?}: {other:?}"),
    }
    let after = fs::read_to_string(dir.path().join(FILE)).expect("it is read");
    assert_eq!(after, line, "the second one must leave the holder's line alone");
}

#[test]
fn the_second_one_learns_who_holds_it() {
    check("pid=17 address=127.0.0.1:7171\n", Some(17), "127.0.0.1:7171");
    check("pid=17 address=[::1]:7171\n", Some(17), "[::1]:7171");
    check("pid=17 address=\n", Some(17), "");
    check("pid=17 addr", Some(17), "");
    check("", None, "");
    check("pid=many address=a:1\n", None, "a:1");
}

#[test]
fn the_holder_signs_and_the_lock_goes_with_it() {
    let dir = tempfile::tempdir().expect("a directory");
    fs::write(dir.path().join(FILE), "pid=1 address=a-very-long-line-of-a-dead-process:1\n")
        .expect("it is written");
    for address in ["first:1", "second:2"] {
        let lock = Lock::take(dir.path(), address).expect("nobody holds it");
        let line = fs::read_to_string(dir.path().join(FILE)).expect("it is read");
        assert_eq!(line, format!("pid={} address={address}\n", process::id()));
        drop(lock);
    }
}

#[test]
fn a_directory_that_is_not_there_is_named() {
    let dir = tempfile::tempdir().expect("a directory");
    let missing = dir.path().join("missing");
    match Lock::take(&missing, "") {
        Err(OpenError::File { path, source }) => {
            assert_eq!((path, source.kind()), (missing.join(FILE), io::ErrorKind::NotFound));
        }
        other => panic!("{other:?}"),
    }
}
