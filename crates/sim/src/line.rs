//! The judge of order: who could have been leased, and who was.
//!
//! Every worker of the simulation serves every task, so there is one line. It is kept from the records alone: what waits
//! for a time is not leased before, and what is leased is the most urgent of what could be.

use std::collections::BTreeMap;

use leasehold_policy::Time;
use leasehold_queue::{Name, Next, Phase, Record, Task, TaskId};

use crate::judge::Violation;

/// A task's place: the smaller, the sooner.
type Place = (u8, Time, TaskId);

/// Everybody in line.
#[derive(Debug, Default)]
pub struct Line {
    open: BTreeMap<TaskId, (Place, Name)>,
    /// The tasks that wait, and until when they must.
    waiting: BTreeMap<TaskId, Time>,
}

impl Line {
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
            Record::EpochStarted { .. }
            | Record::TaskMoved(_)
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
        let place = (task.spec.priority, task.deadline, task.id);
        self.open.insert(task.id, (place, Name::clone(&task.spec.queue)));
        self.waiting.insert(task.id, until);
    }

    fn leave(
        &mut self,
        task: TaskId,
        now: Time,
        is_paused: impl Fn(&Name) -> bool,
    ) -> Result<(), Violation> {
        let Some((place, _)) = self.open.get(&task) else { return Ok(()) };
        let until = self.waiting.remove(&task).unwrap_or(now);
        if now < until {
            let message = format!("{task} was leased at {now:?} and waits until {until:?}");
            return Err(Violation::new("order", message));
        }
        let passed_over = self.waiting.iter().find(|(other, until)| {
            self.open.get(other).is_some_and(|((priority, deadline, id), queue)| {
                let is_sooner = (*priority, *deadline, *id) < *place;
                is_sooner && **until <= now && now < *deadline && !is_paused(queue)
            })
        });
        match passed_over {
            None => Ok(()),
            Some((other, _)) => {
                Err(Violation::new("order", format!("{task} was leased before {other}")))
            }
        }
    }
}
