//! Looking at processes: who is in a group, who is still there.

use std::{fs, time::Duration};

use tokio::time::{Instant, MissedTickBehavior, interval};

/// The processes of a group that have not ended, as /proc shows them.
pub(crate) fn members(group: i32) -> Vec<i32> {
    let mut members = Vec::new();
    for entry in fs::read_dir("/proc").expect("/proc is there").flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|it| it.parse().ok()) else { continue };
        if state_and_group(pid).is_some_and(|(state, of)| of == group && state != 'Z') {
            members.push(pid);
        }
    }
    members
}

/// The group of a process; `None` once it has ended.
pub(crate) fn group_of(pid: i32) -> Option<i32> {
    state_and_group(pid).filter(|(state, _)| *state != 'Z').map(|(_, group)| group)
}

fn state_and_group(pid: i32) -> Option<(char, i32)> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name in the middle may hold anything, also a closing bracket.
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_whitespace();
    let state = fields.next()?.chars().next()?;
    Some((state, fields.nth(1)?.parse().ok()?))
}

/// Waits until something is true.
pub(crate) async fn until(what: &str, within: Duration, mut is_true: impl FnMut() -> bool) {
    let deadline = Instant::now() + within;
    let mut looks = interval(Duration::from_millis(5));
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while !is_true() {
        assert!(Instant::now() < deadline, "not within {within:?}: {what}");
        looks.tick().await;
    }
}
