//! A process ends when the demo says so, or is missed.

use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

use super::Process;
use crate::error::Error;

fn shell(folder: &TempDir, script: &str) -> Process {
    let mut command = Command::new("sh");
    command.args(["-c", script]);
    Process::spawn("shell", command, folder.path().join("log")).expect("sh starts")
}

/// Whether a process of this id exists, dead and unreaped ones included.
fn exists(pid: u32) -> bool {
    Path::new(&format!("/proc/{pid}")).exists()
}

#[test]
fn a_process_is_gone_when_it_has_been_killed_or_dropped() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut killed = shell(&folder, "exec tail -f /dev/null");
    let pid = killed.child.id();
    assert!(exists(pid));
    killed.check().expect("it runs");
    killed.kill();
    assert!(!exists(pid));
    killed.kill();

    let dropped = shell(&folder, "exec tail -f /dev/null");
    let pid = dropped.child.id();
    assert!(exists(pid));
    drop(dropped);
    assert!(!exists(pid));
}

#[test]
fn a_process_that_ends_by_itself_is_missed_and_its_last_words_shown() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let script =
        "i=0; while [ $i -lt 100 ]; do i=$((i + 1)); echo line $i; done; echo why >&2; exit 3";
    let mut process = shell(&folder, script);
    process.child.wait().expect("it ends");
    let Err(Error::Ended { name, status, log }) = process.check() else { panic!("it has ended") };
    assert_eq!((name.as_str(), status.code()), ("shell", Some(3)));
    assert!(log.starts_with("--- shell ---\nline 72\n"), "{log}");
    assert!(log.ends_with("line 100\nwhy\n"), "{log}");
}

#[test]
fn a_program_that_is_not_there_is_named() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let command = Command::new(folder.path().join("missing"));
    let error = Process::spawn("ghost", command, folder.path().join("log")).expect_err("no file");
    assert_eq!(error.to_string(), "cannot start ghost");
}

#[test]
fn nobodys_settings_reach_a_process() {
    let mut command = Command::new("true");
    command.env("OWN", "stays");
    let names = ["LEASEHOLD_LOG", "PATH", "LEASEHOLD_", "MY_LEASEHOLD_LOG"];
    super::forget_settings(&mut command, names.into_iter().map(Into::into));
    let removed: Vec<_> =
        command.get_envs().filter(|(_, value)| value.is_none()).map(|(name, _)| name).collect();
    assert_eq!(removed, ["LEASEHOLD_", "LEASEHOLD_LOG"]);
}
