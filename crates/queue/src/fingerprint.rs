//! What tells two states of the queue apart, for checkers that explore them.
//!
//! It knows what matters of a task and how times are compared; each part of the queue says what matters of it.

use std::{
    hash::{Hash, Hasher},
    mem::discriminant,
    time::Duration,
};

use leasehold_policy::Time;

use crate::{Phase, Task, mark};

/// A fingerprint in the making.
pub(crate) struct Print<'a> {
    hasher: &'a mut dyn Hasher,
    now: Time,
    horizon: Duration,
}

impl<'a> Print<'a> {
    pub(crate) fn new(now: Time, horizon: Duration, hasher: &'a mut dyn Hasher) -> Self {
        Self { hasher, now, horizon }
    }

    /// Something that counts as it is.
    pub(crate) fn put(&mut self, value: impl Hash) {
        value.hash(&mut self.hasher);
    }

    /// A time, which counts by how far ahead it is: those that are over are alike, and so are those beyond the horizon.
    pub(crate) fn left(&mut self, time: Time) {
        let left = time.since(self.now);
        self.put((left < self.horizon).then_some(left));
    }

    /// Whether the time is still to come.
    pub(crate) fn is_ahead(&self, time: Time) -> bool {
        self.now < time
    }

    /// What is durable of a task. A wait that is over counts as none, since time alone ends it.
    pub(crate) fn task(&mut self, task: &Task) {
        self.put((task.id, task.generation(), task.last_token(), task.cancel_requested));
        self.put((task.attempts, task.leases, task.worker_losses(), task.ran));
        self.put(task.last_failure().map(|failure| discriminant(&failure.reason)));
        self.put(task.checkpoint().map(|checkpoint| (checkpoint.token, &checkpoint.data)));
        self.left(task.deadline);
        match &task.phase {
            Phase::Scheduled { eligible, wait } if self.is_ahead(*eligible) => {
                self.put((0, discriminant(wait)));
                self.left(*eligible);
            }
            Phase::Scheduled { .. } | Phase::Queued => self.put(1),
            Phase::Leased(lease) => {
                self.put((2, lease.token, &lease.worker, &lease.instance));
                self.left(mark::attempt_limit(task).unwrap_or(Time::NEVER));
                self.put(lease.revoking.map(|revoking| discriminant(&revoking.reason)));
                self.left(lease.revoking.map_or(Time::NEVER, |it| it.since + it.grace));
            }
        }
    }
}
