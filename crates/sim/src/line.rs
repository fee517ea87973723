//! The judge of order: who could have been leased, and who was.
//!
//! Every worker of the simulation serves every task, unless the task asks for another zone. The line is kept from the records
//! alone: what waits for a time is not leased before, and no worker is leased what it must not have. Nothing is leased
//! before what is like it and has to end sooner, and nothing before what is more urgent, but for the few leases that go by
//! age; and those there are.

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
    selector: Vec<(Name, Name)>,
}

impl Entry {
    fn is_like(&self, other: &Self) -> bool {
        self.priority == other.priority
            && self.queue == other.queue
            && self.fairness_key == other.fairness_key
            && self.selector == other.selector
    }
}

/// How many leases there were since one went by age: of all, and to workers of each zone.
#[derive(Debug, Default)]
struct Granted {
    all: u64,
    by_zone: BTreeMap<String, u64>,
    /// How many of them did not, though something less urgent waited that could have.
    missed: u64,
}

/// Everybody in line.
#[derive(Debug)]
pub struct Line {
    open: BTreeMap<TaskId, Entry>,
    /// The tasks that wait, and until when they must.
    waiting: BTreeMap<TaskId, Time>,
    /// The label of each worker.
    zones: BTreeMap<String, (String, String)>,
    /// Every how many leases one may go by age.
    aging_every: u64,
    /// The leases of this process.
    granted: Granted,
}

impl Default for Line {
    fn default() -> Self {
        Self::new(u64::MAX, BTreeMap::new())
    }
}

impl Line {
    /// Nobody.
    pub fn new(aging_every: u64, zones: BTreeMap<String, (String, String)>) -> Self {
        let (open, waiting) = (BTreeMap::new(), BTreeMap::new());
        Self { open, waiting, zones, aging_every, granted: Granted::default() }
    }

    /// Takes in a durable record. Queues of which it is not sure that they go on count as paused.
    pub fn take(
        &mut self,
        record: &Record,
        is_paused: impl Fn(&Name) -> bool,
    ) -> Result<(), Violation> {
        match record {
            Record::TaskAccepted(task) | Record::TaskReplayed(task) => self.join(task),
            Record::LeaseGranted { task, worker, time, .. } => {
                return self.leave((*task, worker), *time, is_paused);
            }
            Record::LeaseEnded { task, next, time, .. } => {
                let until = if let Next::Backoff(until) = next { *until } else { *time };
                self.waiting.insert(*task, until);
            }
            Record::TaskEnded { task, .. } => {
                self.waiting.remove(task);
                self.open.remove(task);
            }
            // The next process counts anew. One that goes on with a new epoch is not allowed more for that.
            Record::EpochStarted { .. } => self.granted = Granted::default(),
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
            selector: task.spec.shape.selector.clone(),
        };
        self.open.insert(task.id, entry);
        self.waiting.insert(task.id, until);
    }

    fn leave(
        &mut self,
        (task, worker): (TaskId, &str),
        now: Time,
        is_paused: impl Fn(&Name) -> bool,
    ) -> Result<(), Violation> {
        let Some(own) = self.open.get(&task) else { return Ok(()) };
        if !self.may_have(worker, own) {
            return Err(Violation::new("selector", format!("{worker} was leased {task}")));
        }
        let until = self.waiting.remove(&task).unwrap_or(now);
        if now < until {
            let message = format!("{task} was leased at {now:?} and waits until {until:?}");
            return Err(Violation::new("order", message));
        }
        let ready = self.waiting.iter().filter(|(_, until)| **until <= now);
        let ready = ready.filter_map(|(other, _)| self.open.get(other)).filter(|other| {
            now < other.place.0 && !is_paused(&other.queue) && self.may_have(worker, other)
        });
        let ready: Vec<&Entry> = ready.collect();
        let sooner = ready.iter().find(|other| other.is_like(own) && other.place < own.place);
        if let Some(other) = sooner {
            let message = format!("{task} was leased before {}", other.place.1);
            return Err(Violation::new("order", message));
        }
        let more_urgent = ready.iter().find(|other| other.priority < own.priority);
        let more_urgent = more_urgent.map(|other| other.place.1);
        let is_anybody_below = ready.iter().any(|other| own.priority < other.priority);
        self.count(worker, more_urgent, is_anybody_below)
    }

    /// A lease goes by age now and then, and not more often. Workers of a zone count by themselves once a task has asked for
    /// one, and anew after all of them were gone; until then all count together.
    #[expect(clippy::fn_params_excessive_bools, reason = "it is what was found")]
    fn count(
        &mut self,
        worker: &str,
        passed_over: Option<TaskId>,
        is_anybody_below: bool,
    ) -> Result<(), Violation> {
        let zone = self.zones.get(worker).map(|(_, zone)| zone.clone()).unwrap_or_default();
        let in_zone = self.granted.by_zone.entry(zone).or_default();
        *in_zone += 1;
        self.granted.all += 1;
        match passed_over {
            Some(other) if *in_zone < self.aging_every && self.granted.all < self.aging_every => {
                let message = format!("{worker} was leased something before {other}, out of turn");
                return Err(Violation::new("order", message));
            }
            Some(_) => (*in_zone, self.granted.all, self.granted.missed) = (0, 0, 0),
            None if is_anybody_below => self.granted.missed += 1,
            None => self.granted.missed = 0,
        }
        if MISSED_MAX.saturating_mul(self.aging_every) < self.granted.missed {
            let message = format!("nothing goes by age in {} leases", self.granted.missed);
            return Err(Violation::new("order", message));
        }
        Ok(())
    }

    fn may_have(&self, worker: &str, entry: &Entry) -> bool {
        entry.selector.iter().all(|(name, value)| {
            let label = self.zones.get(worker);
            label.is_some_and(|(own, is)| **own == **name && **is == **value)
        })
    }
}

/// How many times the turn of the oldest can be missed: there are three kinds of zones, and each can begin to count anew
/// when its last worker goes.
const MISSED_MAX: u64 = 8;
