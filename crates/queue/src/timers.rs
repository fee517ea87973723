//! What has to happen when.
//!
//! It knows no clock and not what an alarm means: it hands out those that are due, in the order of their times.

use std::collections::BTreeSet;

use leasehold_policy::Time;

use crate::{SessionId, TaskId, sorted::Sorted};

/// Whose alarm it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Alarm {
    /// A task's, set exactly: moved whenever the task changes. One that waits in a lane has that lane's.
    Task(TaskId),
    /// A session's, set lazily: a heartbeat does not move it, it is set anew when it turns out to be early.
    Session(SessionId),
}

/// At most one alarm for each task and session.
#[derive(Clone, Debug, Default)]
pub(crate) struct Timers {
    tasks: Sorted<(Time, TaskId)>,
    sessions: BTreeSet<(Time, SessionId)>,
}

impl Timers {
    /// Sets an alarm. One that never rings takes no room.
    pub(crate) fn set(&mut self, at: Time, alarm: Alarm) {
        if at < Time::NEVER {
            match alarm {
                Alarm::Task(id) => self.tasks.insert((at, id), ()),
                Alarm::Session(id) => drop(self.sessions.insert((at, id))),
            }
        }
    }

    /// Takes an alarm back.
    pub(crate) fn unset(&mut self, at: Time, alarm: Alarm) {
        if at < Time::NEVER {
            match alarm {
                Alarm::Task(id) => drop(self.tasks.remove(&(at, id))),
                Alarm::Session(id) => drop(self.sessions.remove(&(at, id))),
            }
        }
    }

    /// Takes out the first alarm that is due.
    pub(crate) fn pop_due(&mut self, now: Time) -> Option<(Time, Alarm)> {
        let (at, alarm) = self.first().filter(|(at, _)| *at <= now)?;
        self.unset(at, alarm);
        Some((at, alarm))
    }

    /// Whose alarm rings first, and when.
    pub(crate) fn first(&self) -> Option<(Time, Alarm)> {
        let task = self.tasks.first().map(|((at, id), ())| (*at, Alarm::Task(*id)));
        let session = self.sessions.first().map(|(at, id)| (*at, Alarm::Session(*id)));
        [task, session].into_iter().flatten().min()
    }

    /// Whether this alarm is set.
    #[cfg(debug_assertions)]
    pub(crate) fn is_set(&self, at: Time, alarm: Alarm) -> bool {
        match alarm {
            Alarm::Task(id) => self.tasks.contains(&(at, id)),
            Alarm::Session(id) => self.sessions.contains(&(at, id)),
        }
    }

    /// How many alarms are set.
    #[cfg(debug_assertions)]
    pub(crate) fn len(&self) -> usize {
        self.tasks.len() + self.sessions.len()
    }
}
