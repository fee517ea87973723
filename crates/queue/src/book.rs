//! The durable state: open tasks, idempotency keys, pauses. Only [`fold`](crate::fold) changes what is durable in it.
//!
//! It knows no lane, timer or session: those are derived from it.

use std::{
    collections::BTreeMap,
    ops::Bound::{Excluded, Unbounded},
    time::Duration,
};

use crate::{Lease, Name, Phase, Task, TaskId, TaskSpec, decided::Decided, keys::Keys};

/// What an open task takes in memory beside the bytes of its spec: its entry, its specification, its places in a lane
/// and among the timers, names it shares with nobody.
const TASK_OVERHEAD_BYTES: u64 = 768;

/// Everything that a journal rebuilds.
#[derive(Debug, Default)]
pub(crate) struct Book {
    pub(crate) tasks: BTreeMap<TaskId, Task>,
    pub(crate) keys: Keys,
    pub(crate) decided: Decided,
    /// Queues somebody has paused or resumed, and whether they are paused.
    pub(crate) pauses: BTreeMap<Name, bool>,
    /// How many open tasks each queue has.
    pub(crate) open: BTreeMap<Name, u64>,
    pub(crate) open_bytes: u64,
    pub(crate) session_ttl_max: Duration,
}

impl Book {
    /// The task, if it is open.
    pub(crate) fn task(&self, id: TaskId) -> Option<&Task> {
        self.tasks.get(&id)
    }

    /// Every open task with a larger id.
    pub(crate) fn tasks_after(&self, id: TaskId) -> impl Iterator<Item = &Task> {
        self.tasks.range((Excluded(id), Unbounded)).map(|(_, task)| task)
    }

    /// The lease of a task, so that what is not durable in it can be set.
    pub(crate) fn lease_mut(&mut self, id: TaskId) -> Option<&mut Lease> {
        self.tasks.get_mut(&id).and_then(Task::lease_mut)
    }

    /// The wait of a scheduled task is over. Not durable: it follows from the time.
    pub(crate) fn wake(&mut self, id: TaskId) {
        if let Some(task) = self.tasks.get_mut(&id) {
            debug_assert!(matches!(task.phase, Phase::Scheduled { .. }), "only a wait can be over");
            task.phase = Phase::Queued;
        }
    }

    /// Whether the queue exists: it has open tasks, or somebody has paused or resumed it. A queue without either is
    /// forgotten, so that a bound on queues counts those in use.
    pub(crate) fn knows_queue(&self, queue: &str) -> bool {
        self.open.contains_key(queue) || self.pauses.contains_key(queue)
    }

    /// How many queues exist.
    pub(crate) fn queue_count(&self) -> u64 {
        let idle = self.pauses.keys().filter(|queue| !self.open.contains_key(*queue)).count();
        (self.open.len() + idle) as u64
    }

    /// Whether the queue is paused.
    pub(crate) fn is_paused(&self, queue: &str) -> bool {
        self.pauses.get(queue).copied().unwrap_or(false)
    }

    /// Takes a task in, in place of the one with its id.
    pub(crate) fn insert(&mut self, task: Task) {
        self.remove(task.id);
        let queue = &task.spec.queue;
        *self.open.entry(Name::clone(queue)).or_default() += 1;
        self.open_bytes += cost(&task.spec);
        if let Some(key) = &task.spec.key {
            self.keys.insert(queue, key, task.id, None);
        }
        self.tasks.insert(task.id, task);
    }

    /// Takes a task out.
    pub(crate) fn remove(&mut self, id: TaskId) -> Option<Task> {
        let task = self.tasks.remove(&id)?;
        let queue = &task.spec.queue;
        if let Some(open) = self.open.get_mut(queue) {
            *open -= 1;
            if *open == 0 {
                self.open.remove(queue);
            }
        }
        self.open_bytes -= cost(&task.spec);
        if let Some(key) = &task.spec.key {
            self.keys.release(queue, key, id);
        }
        Some(task)
    }
}

/// What an open task takes, as far as its submitter decides it.
pub(crate) fn cost(spec: &TaskSpec) -> u64 {
    let labels: usize = spec.labels.iter().map(|(name, value)| name.len() + value.len()).sum();
    let trace = spec.trace.as_ref().map_or(0, |trace| trace.parent.len() + trace.state.len());
    TASK_OVERHEAD_BYTES + (spec.payload.len() + spec.content_type.len() + labels + trace) as u64
}
