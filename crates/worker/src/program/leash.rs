//! What a program is stopped by: tied to its process group for as long as there is one.
//!
//! Whoever wants a signal sends it, then and there: of a thousand programs that are to stop together all are asked before
//! anything else is done about one of them. It does not know why a program is to stop, or what becomes of it.

use std::{
    net::Shutdown,
    os::unix::net::UnixStream,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::Notify;

use super::group::Group;
use crate::guard::Asker;

/// One end of it: held by whoever may want the program to stop.
#[derive(Default)]
pub(crate) struct Leash {
    state: Mutex<State>,
    killed: Notify,
}

/// The other end: the program's. Nothing is sent any more once this is dropped, which comes before its guard is waited
/// for: until then the number of the group is nobody else's.
pub(super) struct Knot {
    leash: Arc<Leash>,
    group: Group,
}

#[derive(Default)]
struct State {
    /// `None`: the program does not run yet, or not any more.
    tied: Option<Tied>,
    pull: Pull,
}

/// What can be reached of a program that runs.
struct Tied {
    group: Group,
    /// The worker's end of the socket pair. The guard kills the group when it closes.
    link: UnixStream,
}

/// The most that has been asked of the program.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
enum Pull {
    #[default]
    None,
    /// By its guard.
    Noted,
    Terminate,
    Kill,
}

impl Leash {
    /// Has the guard look again how long its lease holds.
    pub(crate) fn nudge(&self) {
        if let Some(tied) = &self.state().tied {
            tied.group.nudge();
        }
    }

    /// The program is asked to stop, now or as soon as it runs: if not by its guard, then with this.
    pub(crate) fn terminate(&self, asker: Asker) {
        self.pull(match asker {
            Asker::Guard => Pull::Noted,
            Asker::Worker => Pull::Terminate,
        });
    }

    /// Has the guard kill the program; it can say when nothing is left of it.
    pub(crate) fn kill(&self) {
        self.pull(Pull::Kill);
        self.killed.notify_one();
    }

    /// Ties it to a program that has been started, and makes up for what was asked before.
    pub(super) fn tie(self: Arc<Self>, group: Group, link: UnixStream) -> Knot {
        let tied = Tied { group, link };
        let mut state = self.state();
        tied.pull(state.pull);
        state.tied = Some(tied);
        drop(state);
        Knot { leash: self, group }
    }

    fn pull(&self, pull: Pull) {
        let mut state = self.state();
        if state.pull < pull {
            state.pull = pull;
            if let Some(tied) = &state.tied {
                tied.pull(pull);
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Knot {
    /// Has the guard kill the program.
    pub(super) fn kill(&self) {
        self.leash.kill();
    }

    /// Waits until the guard has been told to kill the program. May be dropped and called again until it has been.
    pub(super) async fn killed(&self) {
        self.leash.killed.notified().await;
    }

    /// Whether the program was asked to stop, or killed.
    pub(super) fn was_pulled(&self) -> bool {
        Pull::None < self.leash.state().pull
    }

    /// The process group, its guard included.
    pub(super) fn group(&self) -> Group {
        self.group
    }
}

impl Drop for Knot {
    fn drop(&mut self) {
        self.leash.state().tied = None;
    }
}

impl Tied {
    fn pull(&self, pull: Pull) {
        match pull {
            Pull::None | Pull::Noted => {}
            Pull::Terminate => self.group.terminate(),
            Pull::Kill => {
                self.group.wake();
                // A guard that has closed its end is on its way out.
                let _closed = self.link.shutdown(Shutdown::Write);
            }
        }
    }
}
