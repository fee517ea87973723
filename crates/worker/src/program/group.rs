//! The process group of a guard and its program, seen from the worker.

use std::time::Duration;

use rustix::process::{
    Pid, Signal, WaitOptions, kill_process_group, test_kill_process_group, waitpgid,
};

/// How often it is looked whether a group is gone that no guard can vouch for.
const POLL_INTERVAL: Duration = Duration::from_millis(5);

/// How often that is done at most: a process that the kernel cannot kill must not hold its slot's report for ever.
const POLLS_MAX: u32 = 200;

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

    /// Wakes a group that has been stopped, its guard included.
    pub(super) fn wake(self) {
        self.send(Signal::CONT);
    }

    /// Kills the group, its guard included. Only while its guard has not been waited for.
    pub(super) fn kill(self) {
        self.send(Signal::KILL);
    }

    /// Waits until nothing of a killed group is left. Its guard must have been waited for.
    pub(super) async fn gone(self) {
        let Self(group) = self;
        for _ in 0..POLLS_MAX {
            // A worker that is the first process of a container inherits what its guards leave.
            while matches!(waitpgid(group, WaitOptions::NOHANG), Ok(Some(_))) {}
            if test_kill_process_group(group).is_err() {
                return;
            }
            tokio::time::sleep(POLL_INTERVAL).await;
        }
        tracing::warn!(
            group = group.as_raw_nonzero().get(),
            "a killed process group is still there"
        );
    }

    fn send(self, signal: Signal) {
        let Self(group) = self;
        // A group that is gone cannot be signalled, and need not be.
        let _gone = kill_process_group(group, signal);
    }
}
