//! The judge of order: who could have been leased, and who was.
//!
//! Every worker of the simulation serves every task, unless the task asks for another zone or its payload is of a schema that the
//! worker does not read. The line is kept from the records
//! alone: what waits for a time is not leased before, and no worker is leased what it must not have. Nothing is leased
//! before what is like it and has to end sooner, and nothing before what is more urgent, but for the few leases that go by
//! age; and those there are.

use std::collections::{BTreeMap, BTreeSet};

use leasehold_policy::Time;
use leasehold_queue::{EndCause, Name, Next, Phase, Record, SchemaPrint, Size, Task, TaskId};

use crate::{judge::Violation, plan::queue_name};

/// A task that has not ended.
#[derive(Debug)]
struct Entry {
    priority: u8,
    /// The smaller, the sooner among tasks that are alike.
    place: (Time, TaskId),
    queue: Name,
    fairness_key: Name,
    selector: Vec<(Name, Name)>,
    schema: Option<SchemaPrint>,
    /// Whether a limit may hold it back.
    is_limited: bool,
    size: Size,
    /// Whether it has failed before. Of those that have and those that have not, each go in their order; a lease by age looks at
    /// the first of both.
    is_retry: bool,
}

impl Entry {
    fn is_like(&self, other: &Self) -> bool {
        self.priority == other.priority
            && self.queue == other.queue
            && self.fairness_key == other.fairness_key
            && self.selector == other.selector
            && self.schema == other.schema
            && self.size == other.size
            && self.is_limited == other.is_limited
            && self.is_retry == other.is_retry
    }
}

/// How the leases went.
#[derive(Debug, Default)]
struct Granted {
    leases: u64,
    /// How many of them were granted although something more urgent waited that their workers could have had.
    by_age: u64,
    /// How many there were since the last of those that could have gone by age, as something less urgent waited.
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
    /// The schemas that are read by each worker that says so.
    reads: BTreeMap<String, BTreeSet<SchemaPrint>>,
    /// Every how many leases one may go by age.
    aging_every: u64,
    granted: Granted,
    /// Whether there are limits at all.
    has_limits: bool,
}

impl Default for Line {
    fn default() -> Self {
        Self::new(u64::MAX, BTreeMap::new(), BTreeMap::new(), false)
    }
}

impl Line {
    /// Nobody.
    #[expect(clippy::fn_params_excessive_bools, reason = "it is a fact of the setting")]
    pub fn new(
        aging_every: u64,
        zones: BTreeMap<String, (String, String)>,
        reads: BTreeMap<String, BTreeSet<SchemaPrint>>,
        has_limits: bool,
    ) -> Self {
        let (open, waiting, granted) = (BTreeMap::new(), BTreeMap::new(), Granted::default());
        Self { open, waiting, zones, reads, aging_every, granted, has_limits }
    }

    /// How many times the turn of the oldest can be missed by everybody together.
    fn missed_max(&self) -> u64 {
        let readings: BTreeSet<_> = self.reads.values().collect();
        let kinds = 1 + u64::try_from(readings.len()).unwrap_or(u64::MAX);
        MISSED_MAX.saturating_mul(kinds)
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
                self.granted.leases += 1;
                return self.leave((*task, worker), *time, is_paused);
            }
            Record::LeaseEnded { task, next, time, cause, .. } => {
                if let Some(entry) = self.open.get_mut(task) {
                    entry.is_retry |= *cause == EndCause::Failed;
                }
                let until = if let Next::Backoff(until) = next { *until } else { *time };
                self.waiting.insert(*task, until);
            }
            Record::TaskEnded { task, .. } => {
                self.waiting.remove(task);
                self.open.remove(task);
            }
            // A process forgets what the one before it had counted: it may be late with what goes by age, and not early.
            Record::EpochStarted { .. } => self.granted.missed = 0,
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
            schema: task.spec.shape.schema,
            is_limited: self.has_limits
                && (task.spec.claims.is_some() || *task.spec.queue == *queue_name(1)),
            size: task.spec.shape.size.clone(),
            is_retry: 0 < task.attempts,
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
        let (limited, ready): (Vec<&Entry>, Vec<&Entry>) =
            ready.partition(|other| other.is_limited);
        // Whoever has room for one has room for what is like it.
        let sooner = ready.iter().find(|other| other.is_like(own) && other.place < own.place);
        if let Some(other) = sooner {
            let message = format!("{task} was leased before {}", other.place.1);
            return Err(Violation::new("order", message));
        }
        if !own.size.is_plain() {
            // Since somebody was reserved for it something more urgent may have come.
            return Ok(());
        }
        let (ready, large): (Vec<&Entry>, Vec<&Entry>) =
            ready.into_iter().partition(|other| other.size.is_plain());
        let more_urgent = ready.iter().find(|other| other.priority < own.priority);
        let more_urgent = more_urgent.map(|other| other.place.1);
        // Where a limit, or want of room, may hold back what is more urgent, nobody knows whether this went by age.
        let mut held = limited.iter().chain(&large);
        let is_known = held.all(|other| own.priority <= other.priority);
        let is_anybody_below = ready.iter().any(|other| own.priority < other.priority);
        self.count(worker, more_urgent, is_known && is_anybody_below)
    }

    /// A lease goes by age now and then, and not more often.
    fn count(
        &mut self,
        worker: &str,
        passed_over: Option<TaskId>,
        is_anybody_below: bool,
    ) -> Result<(), Violation> {
        let missed_max = self.missed_max();
        let granted = &mut self.granted;
        if let Some(other) = passed_over {
            granted.by_age += 1;
            if granted.leases / self.aging_every < granted.by_age {
                let message = format!("{worker} was leased something before {other}, out of turn");
                return Err(Violation::new("order", message));
            }
        }
        granted.missed =
            if passed_over.is_none() && is_anybody_below { granted.missed + 1 } else { 0 };
        if missed_max.saturating_mul(self.aging_every) < granted.missed {
            let message = format!("nothing goes by age in {} leases", granted.missed);
            return Err(Violation::new("order", message));
        }
        Ok(())
    }

    fn may_have(&self, worker: &str, entry: &Entry) -> bool {
        let read = self.reads.get(worker);
        let is_read = read.zip(entry.schema).is_none_or(|(read, schema)| read.contains(&schema));
        is_read
            && entry.selector.iter().all(|(name, value)| {
                let label = self.zones.get(worker);
                label.is_some_and(|(own, is)| **own == **name && **is == **value)
            })
    }
}

/// How many turns of the oldest can be missed by workers that read the same: those of three zones, those that no task asks for
/// yet, and what those who are gone leave behind count each for themselves, and workers change from one to another.
const MISSED_MAX: u64 = 8;
