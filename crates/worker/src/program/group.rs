//! The process group of a guard and its program, seen from the worker.

use std::{fs, time::Duration};

use rustix::{
    io::Errno,
    process::{
        Pid, Signal, WaitOptions, kill_process, kill_process_group, test_kill_process_group,
        waitpgid,
    },
};

/// How often it is looked at first whether a group is gone that no guard can vouch for.
const POLL_INTERVAL: Duration = Duration::from_millis(5);

/// How often that is done before it is said aloud, and more seldom from then on.
const QUICK_POLLS_MAX: u32 = 200;

/// How often it is looked for what has outlived its kill.
const SLOW_POLL_INTERVAL: Duration = Duration::from_secs(1);

/// The process group of a guard and its program. Its number is the guard's, so it is nobody else's until the guard
/// has been waited for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Group(Pid);

impl Group {
    pub(super) fn of(guard: u32) -> Option<Self> {
        i32::try_from(guard).ok().and_then(Pid::from_raw).map(Self)
    }

    /// Asks the group to stop. Only while its guard has not been waited for.
    pub(super) fn terminate(self) {
        self.send(Signal::TERM);
    }

    /// Has the guard look again how long its lease holds. Only while it has not been waited for.
    pub(super) fn nudge(self) {
        let Self(guard) = self;
        // A guard that has ended need not look.
        let _gone = kill_process(guard, Signal::URG);
    }

    /// Wakes a group that has been stopped, its guard included.
    pub(super) fn wake(self) {
        self.send(Signal::CONT);
    }

    /// Kills the group, its guard included. Only while its guard has not been waited for.
    pub(super) fn kill(self) {
        self.send(Signal::KILL);
    }

    /// Waits until nothing of a killed group is left, for ever if need be: what runs as another user, or is stuck in
    /// the kernel, must not be said to have stopped. Its guard must have been waited for.
    pub(super) async fn gone(self) {
        for _ in 0..QUICK_POLLS_MAX {
            if self.is_gone() {
                return;
            }
            tokio::time::sleep(POLL_INTERVAL).await;
        }
        let Self(group) = self;
        tracing::warn!(
            group = group.as_raw_nonzero().get(),
            "a killed process group is still there, and its slot stays taken"
        );
        while !self.is_gone() && !self.is_dead() {
            tokio::time::sleep(SLOW_POLL_INTERVAL).await;
        }
    }

    fn is_gone(self) -> bool {
        let Self(group) = self;
        // A worker that is the first process of a container inherits what its guards leave.
        while matches!(waitpgid(group, WaitOptions::NOHANG), Ok(Some(_))) {}
        // What runs as another user cannot be signalled, and is there all the same.
        test_kill_process_group(group) == Err(Errno::SRCH)
    }

    /// Whether all that is left of it has ended, and only waits for a parent that does not look.
    fn is_dead(self) -> bool {
        let Self(group) = self;
        let Ok(processes) = fs::read_dir("/proc") else { return false };
        let stats =
            processes.flatten().filter_map(|it| fs::read_to_string(it.path().join("stat")).ok());
        let mut members = stats.filter_map(|stat| state_of_member(&stat, group)).peekable();
        members.peek().is_some() && members.all(|state| state == 'Z')
    }

    fn send(self, signal: Signal) {
        let Self(group) = self;
        // A group that is gone cannot be signalled, and need not be.
        let _gone = kill_process_group(group, signal);
    }
}

/// The state of a process, if it belongs to the group.
fn state_of_member(stat: &str, group: Pid) -> Option<char> {
    // The name stands in parentheses and may contain any; then come the state, the parent, the group.
    let (_, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_whitespace();
    let state = fields.next()?.chars().next()?;
    let of: i32 = fields.nth(1)?.parse().ok()?;
    (of == group.as_raw_nonzero().get()).then_some(state)
}

#[cfg(test)]
mod tests;
