//! What is left of whom.

use std::{fs, os::unix::fs::PermissionsExt as _};

use super::*;

#[test]
fn folders_go_with_their_owners_and_nobody_else_sees_them() {
    let parent = tempfile::tempdir().expect("a folder");
    let root = Root::create(parent.path()).expect("a root");
    let scratch = Scratch { root: OnceLock::from(Ok(root)) };
    let folder = scratch.folder("7").expect("a folder");
    let path = folder.path().to_owned();
    let mode = fs::metadata(&path).expect("it is there").permissions().mode();
    assert_eq!(mode & 0o777, MODE);
    assert!(scratch.folder("7").is_err(), "a name is used once at a time");
    drop(folder);
    assert!(!path.exists());
    drop(scratch);
    assert_eq!(fs::read_dir(parent.path()).expect("a folder").count(), 0);
}

#[test]
fn what_a_dead_process_left_goes_with_the_next_and_a_living_one_keeps_its_own() {
    let parent = tempfile::tempdir().expect("a folder");
    let living = Root::create(parent.path()).expect("a root");
    let dead = parent.path().join(format!("{PREFIX}dead"));
    fs::create_dir_all(dead.join("7")).expect("a folder");
    fs::write(dead.join(LOCK), "").expect("a lock that nobody holds");
    let foreign = parent.path().join("leasehold-other");
    fs::create_dir(&foreign).expect("a folder");
    fs::write(foreign.join(LOCK), "").expect("a lock");
    let unfinished = parent.path().join(format!("{PREFIX}young"));
    fs::create_dir(&unfinished).expect("a folder whose lock is not there yet");

    let next = Root::create(parent.path()).expect("a root");
    assert!(!dead.exists());
    assert!(living.path.exists() && next.path.exists() && foreign.exists() && unfinished.exists());
}
