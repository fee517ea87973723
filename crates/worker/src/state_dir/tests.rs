//! Who may have a directory, and who is known to be gone.

use std::collections::{BTreeMap, BTreeSet};

use super::*;
use crate::{clock::Moment, identity, size::Size};

fn identity(instance_id: &str, boot: &str) -> Identity {
    Identity {
        worker_id: "w".to_owned(),
        instance_id: instance_id.to_owned(),
        process_start: Some(identity::start(boot, Moment::default())),
        replaces: Vec::new(),
        labels: BTreeMap::new(),
        task_types: BTreeSet::new(),
        namespaces: BTreeSet::new(),
        schemas: BTreeMap::new(),
        whole: Size::default(),
        prefetch: 0,
        software: String::new(),
    }
}

async fn claim(directory: &Path, instance_id: &str, boot: &str) -> Result<StateDir, Error> {
    StateDir::claim_within(directory, &identity(instance_id, boot), Duration::ZERO).await
}

fn gone(claimed: &StateDir) -> Vec<&str> {
    let mut gone: Vec<&str> = claimed.gone.iter().map(String::as_str).collect();
    gone.sort_unstable();
    gone
}

#[tokio::test]
async fn one_process_has_it_and_names_those_before_it() {
    let parent = tempfile::tempdir().expect("a directory");
    let directory = parent.path().join("made/if/missing");
    let first = claim(&directory, "a", "boot").await.expect("nobody has it");
    assert_eq!(gone(&first), [""; 0]);
    let refused = claim(&directory, "b", "boot").await;
    assert!(matches!(refused, Err(Error::StateDirInUse { .. })), "the first has it");
    drop(first);
    let second = claim(&directory, "b", "boot").await.expect("nobody has it");
    assert_eq!(gone(&second), ["a"], "not the one that was refused");
    drop(second);
    let third = claim(&directory, "c", "boot").await.expect("nobody has it");
    assert_eq!(gone(&third), ["a", "b"]);
}

#[tokio::test]
async fn a_process_is_not_gone_while_something_keeps_its_pledge() {
    let parent = tempfile::tempdir().expect("a directory");
    let first = claim(parent.path(), "a", "boot").await.expect("nobody has it");
    let pledge = Arc::clone(&first.pledge);
    drop(first);
    let second = claim(parent.path(), "b", "boot").await.expect("nobody has it");
    assert_eq!(gone(&second), [""; 0], "what it started may run");
    drop((second, pledge));
    let third = claim(parent.path(), "c", "boot").await.expect("nobody has it");
    assert_eq!(gone(&third), ["a", "b"], "it is known as soon as it is so");
}

#[tokio::test]
async fn a_copy_on_another_machine_proves_nothing() {
    let parent = tempfile::tempdir().expect("a directory");
    drop(claim(parent.path(), "a", "here").await.expect("nobody has it"));
    let copy = claim(parent.path(), "b", "there").await.expect("nobody has it");
    assert_eq!(gone(&copy), [""; 0]);
    drop(copy);
    let next = claim(parent.path(), "c", "there").await.expect("nobody has it");
    assert_eq!(gone(&next), ["b"], "what is of no use is forgotten");
}

#[tokio::test]
async fn no_more_are_named_than_a_hello_takes() {
    let parent = tempfile::tempdir().expect("a directory");
    for start in 0..40 {
        let claimed =
            claim(parent.path(), &start.to_string(), "boot").await.expect("nobody has it");
        assert!(claimed.gone.len() <= STARTS_MAX, "{:?}", claimed.gone);
        let last: i32 = start - 1;
        let is_named = claimed.gone.contains(&last.to_string());
        assert!(start == 0 || is_named, "the last one is what matters");
    }
}

#[tokio::test]
async fn a_directory_that_cannot_be_used_is_named() {
    let file = tempfile::NamedTempFile::new().expect("a file");
    let Err(error) = claim(file.path(), "a", "boot").await else { panic!("it is a file") };
    assert!(error.to_string().contains(&format!("{:?}", file.path())), "{error}");
}
