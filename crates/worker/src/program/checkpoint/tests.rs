//! What counts as a checkpoint that a program left.

use std::{fs, os::unix::fs::symlink};

use super::*;
use crate::program::Scratch;

const LIMITS: Limits = Limits { result_bytes: 1, checkpoint_bytes: 8 };

/// A file, in a folder that goes with the scratch.
fn file(found: Option<&'static [u8]>) -> (CheckpointFile, Scratch) {
    let scratch = Scratch::default();
    let folder = scratch.folder("1").expect("a folder");
    let found = found.map(Bytes::from_static);
    (CheckpointFile::new(folder, found, LIMITS).expect("a file"), scratch)
}

/// Renames a file with this content over the checkpoint.
fn replace(file: &CheckpointFile, content: &[u8]) {
    let new = file.path.with_extension("new");
    fs::write(&new, content).expect("a file");
    fs::rename(new, &file.path).expect("it takes the place");
}

#[test]
fn what_an_earlier_attempt_saved_is_there_and_no_news() {
    let (mut file, _scratch) = file(Some(b"before"));
    assert_eq!(fs::read(&file.path).expect("it is there"), b"before");
    assert_eq!(file.look().expect("a look"), None);
    replace(&file, b"after");
    assert_eq!(file.look().expect("a look"), Some(Bytes::from_static(b"after")));
    assert_eq!(file.look().expect("a look"), None, "it is news once");
}

#[test]
fn each_file_that_takes_the_place_is_news_and_what_is_written_in_place_is_not() {
    let (mut file, _scratch) = file(None);
    assert_eq!(file.look().expect("a look"), None);
    for content in [&b"1"[..], b"1", b"", b"12345678"] {
        replace(&file, content);
        assert_eq!(file.look().expect("a look").as_deref(), Some(content));
        fs::write(&file.path, b"torn").expect("it is written in place");
        assert_eq!(file.look().expect("a look"), None, "half of a checkpoint is none");
    }
}

#[test]
fn what_is_too_large_or_no_file_is_said_once_and_the_next_one_counts() {
    let (mut file, _scratch) = file(None);
    replace(&file, b"123456789");
    let error = file.look().expect_err("it is too large").to_string();
    assert!(error.contains("9 bytes") && error.contains("allows 8"), "{error}");
    assert_eq!(file.look().expect("a look"), None);
    fs::remove_file(&file.path).expect("it goes");
    symlink(file.path.parent().expect("a folder"), &file.path).expect("a link");
    let error = file.look().expect_err("it is a folder").to_string();
    assert!(error.contains("not a file"), "{error}");
    replace(&file, b"fits");
    assert_eq!(file.look().expect("a look"), Some(Bytes::from_static(b"fits")));
}
