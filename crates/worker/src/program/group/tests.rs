//! When a group is gone, and when not.

use std::{
    os::unix::process::CommandExt as _,
    process::{Child, Command},
};

use super::*;

/// A process that leads a group of its own.
fn leader(program: &str) -> (Child, Group) {
    let child = Command::new("sh").args(["-c", program]).process_group(0).spawn();
    let child = child.expect("it starts");
    let group = Group::of(child.id()).expect("it has a number");
    (child, group)
}

#[tokio::test]
async fn what_is_left_is_never_said_to_be_gone() {
    let (mut child, group) = leader("exec sleep 1000");
    // Far more often than it is looked at in a hurry.
    for _ in 0..QUICK_POLLS_MAX {
        assert!(!group.is_gone() && !group.is_dead(), "it runs");
    }
    group.kill();
    while !group.is_dead() {
        tokio::task::yield_now().await;
    }
    drop(child.wait());
    group.gone().await;
}

#[test]
fn a_member_is_told_from_others_by_its_group() {
    let Group(group) = Group::of(7).expect("a number");
    for (stat, state) in [
        ("8 (a) b) S 1 7 1 0", Some('S')),
        ("8 (c) Z 1 7 1 0", Some('Z')),
        ("7 (d) S 7 8 7 7", None),
        ("8 (e", None),
    ] {
        assert_eq!(state_of_member(stat, group), state, "{stat}");
    }
}
