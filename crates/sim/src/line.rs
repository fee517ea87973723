//! The judge of order: who could have been leased, and who was.
//!
//! Every worker of the simulation serves every task, so there is one line. It is kept from the records alone: what waits
//! for a time is not leased before, nothing is leased before what is like it and has to end sooner, and nothing before
//! what is more urgent, but for the few leases that go by age.

use std::collections::BTreeMap;

use leasehold_policy::Time;
use leasehold_queue::{Name, Next, Phase, Record, Task, TaskId};

use crate::judge::Violation;

/// A task that has not ended.
#[derive(Debug)]
struct Entry {
    priority: u8,
    /// The smaller, the sooner among tasks that are alike.
    place: (Time, TaskId),
    queue: Name,
    fairness_key: Name,
}

impl Entry {
    fn is_like(&self, other: &Self) -> bool {
        let kind = |entry: &Self| {
            (entry.priority, Name::clone(&entry.queue), Name::clone(&entry.fairness_key))
        };
        kind(self) == kind(other)
    }
}

/// Everybody in line.
#[derive(Debug)]
pub struct Line {
    open: BTreeMap<TaskId, Entry>,
    /// The tasks that wait, and until when they must.
    waiting: BTreeMap<TaskId, Time>,
    /// Every how many leases one may go by age.
    aging_every: u64,
    /// How many leases of this process there were since one did.
    granted: u64,
}

impl Default for Line {
    fn default() -> Self {
        Self::new(u64::MAX)
    }
}

impl Line {
    /// Nobody.
    pub fn new(aging_every: u64) -> Self {
        let (open, waiting) = (BTreeMap::new(), BTreeMap::new());
        Self { open, waiting, aging_every, granted: 0 }
    }

    /// Takes in a durable record. Queues of which it is not sure that they go on count as paused.
    pub fn take(
        &mut self,
        record: &Record,
        is_paused: impl Fn(&Name) -> bool,
    ) -> Result<(), Violation> {
        match record {
            Record::TaskAccepted(task) | Record::TaskReplayed(task) => self.join(task),
            Record::LeaseGranted { task, time, .. } => return self.leave(*task, *time, is_paused),
            Record::LeaseEnded { task, next, time, .. } => {
                let until = if let Next::Backoff(until) = next { *until } else { *time };
                self.waiting.insert(*task, until);
            }
            Record::TaskEnded { task, .. } => {
                self.waiting.remove(task);
                self.open.remove(task);
            }
            // The next process counts anew. One that goes on with a new epoch is not allowed more for that.
            Record::EpochStarted { .. } => self.granted = 0,
            Record::TaskMoved(_)
            | Record::LeaseStarted { .. }
            | Record::LeaseRevoking { .. }
            | Record::LeaseExtended { .. }
            | Record::CheckpointSaved { .. }
            | Record::CancelRequested { .. }
            | Record::KeyKept { .. }
            | Record::QueuePaused { .. } => {}
        }
        Ok(())
    }

    fn join(&mut self, task: &Task) {
        let until = match task.phase {
            Phase::Scheduled { eligible, .. } => eligible,
            Phase::Queued | Phase::Leased(_) => task.submitted,
        };
        let entry = Entry {
            priority: task.spec.priority,
            place: (task.deadline, task.id),
            queue: Name::clone(&task.spec.queue),
            fairness_key: Name::clone(&task.spec.fairness_key),
        };
        self.open.insert(task.id, entry);
        self.waiting.insert(task.id, until);
    }

    fn leave(
        &mut self,
        task: TaskId,
        now: Time,
        is_paused: impl Fn(&Name) -> bool,
    ) -> Result<(), Violation> {
        let Some(own) = self.open.get(&task) else { return Ok(()) };
        self.granted += 1;
        let until = self.waiting.remove(&task).unwrap_or(now);
        if now < until {
            let message = format!("{task} was leased at {now:?} and waits until {until:?}");
            return Err(Violation::new("order", message));
        }
        let passed_over = self.waiting.iter().filter(|(other, until)| {
            self.open.get(other).is_some_and(|other| {
                **until <= now && now < other.place.0 && !is_paused(&other.queue)
            })
        });
        let mut is_by_age = false;
        for other in passed_over.filter_map(|(other, _)| self.open.get(other)) {
            if other.is_like(own) && other.place < own.place {
                let message = format!("{task} was leased before {}", other.place.1);
                return Err(Violation::new("order", message));
            }
            if other.priority < own.priority {
                is_by_age = true;
                if self.granted < self.aging_every {
                    let message = format!("{task} was leased before {}", other.place.1);
                    return Err(Violation::new("order", message));
                }
            }
        }
        if is_by_age {
            self.granted = 0;
        }
        Ok(())
    }
}
