//! What is right for a file, and what is not.

use std::process::{Command, Stdio};

use super::{DIGEST, Item, SHA256SUM};
use crate::digest::Digest;

#[test]
fn every_tenth_task_is_a_programs() {
    let types: Vec<_> = (0..20).map(|index| Item::new(index, "file".into()).task_type).collect();
    let programs: Vec<usize> = (0..20).filter(|index| types[*index] == SHA256SUM).collect();
    assert_eq!(programs, [9, 19]);
    assert_eq!(types[0], DIGEST);
}

#[test]
fn only_the_right_result_agrees() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("file");
    std::fs::write(&path, "one\ntwo").expect("the file is written");
    let item = |task_type| Item { path: path.clone(), task_type };

    let digest = Digest::of_file(&path).expect("the file is read").to_string();
    assert!(item(DIGEST).agrees(digest.as_bytes()));
    assert!(!item(DIGEST).agrees(digest.replace(" 1 ", " 2 ").as_bytes()));
    assert!(!item(DIGEST).agrees(b""));

    // The program itself, not our idea of it.
    let mut program = Command::new("sha256sum");
    let content = std::fs::File::open(&path).expect("the file opens");
    let output = program.stdin(Stdio::from(content)).output().expect("sha256sum runs");
    assert!(item(SHA256SUM).agrees(&output.stdout));
    assert!(!item(SHA256SUM).agrees(digest.as_bytes()));

    std::fs::write(&path, "another").expect("the file is written");
    assert!(!item(DIGEST).agrees(digest.as_bytes()));
    std::fs::remove_file(&path).expect("the file is removed");
    assert!(!item(DIGEST).agrees(digest.as_bytes()));
}
