//! What has to happen when.
//!
//! It knows no clock and not what an alarm means: it hands out those that are due, in the order of their times.

use std::collections::BTreeSet;

use leasehold_policy::Time;

use crate::{SessionId, TaskId};

/// Whose alarm it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Alarm {
    /// A task's, set exactly: moved whenever the task changes.
    Task(TaskId),
    /// A session's, set lazily: a heartbeat does not move it, it is set anew when it turns out to be early.
    Session(SessionId),
}

/// At most one alarm for each task and session.
#[derive(Clone, Debug, Default)]
pub(crate) struct Timers {
    alarms: BTreeSet<(Time, Alarm)>,
}

impl Timers {
    /// Sets an alarm. One that never rings takes no room.
    pub(crate) fn set(&mut self, at: Time, alarm: Alarm) {
        if at < Time::NEVER {
            self.alarms.insert((at, alarm));
        }
    }

    /// Takes an alarm back.
    pub(crate) fn unset(&mut self, at: Time, alarm: Alarm) {
        self.alarms.remove(&(at, alarm));
    }

    /// Takes out the first alarm that is due.
    pub(crate) fn pop_due(&mut self, now: Time) -> Option<(Time, Alarm)> {
        let (at, _) = *self.alarms.first()?;
        if now < at { None } else { self.alarms.pop_first() }
    }

    /// When the first alarm rings.
    pub(crate) fn next(&self) -> Option<Time> {
        self.alarms.first().map(|(at, _)| *at)
    }

    /// Whether this alarm is set.
    #[cfg(debug_assertions)]
    pub(crate) fn is_set(&self, at: Time, alarm: Alarm) -> bool {
        self.alarms.contains(&(at, alarm))
    }

    /// How many alarms are set.
    #[cfg(debug_assertions)]
    pub(crate) fn len(&self) -> usize {
        self.alarms.len()
    }
}
