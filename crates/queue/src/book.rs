//! The durable state: open tasks, idempotency keys, pauses. Only [`fold`](crate::fold) changes what is durable in it.
//! Beside it: which queues exist, as that follows from them and the configuration.
//!
//! It knows no lane, timer or session: those are derived from it.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use crate::{
    Lease, Name, Payload, Phase, Task, TaskId, TaskSpec, decided::Decided, fingerprint::Print,
    idle::Idle, keys::Keys, quota::Usages, tasks::Tasks,
};

/// What an open task takes in memory beside the bytes of its spec: its entry, its specification, its places in a lane
/// and among the timers, names it shares with nobody.
const TASK_OVERHEAD_BYTES: u64 = 768;

/// Everything that a journal rebuilds.
#[derive(Clone, Debug, Default)]
pub(crate) struct Book {
    pub(crate) tasks: Tasks,
    pub(crate) keys: Keys,
    pub(crate) decided: Decided,
    /// Queues that are paused.
    pub(crate) pauses: BTreeSet<Name>,
    /// How many open tasks each queue has.
    pub(crate) open: BTreeMap<Name, u64>,
    pub(crate) open_bytes: u64,
    /// How many bytes of payloads are in memory. Not durable.
    pub(crate) payload_bytes: u64,
    /// What each namespace has of both.
    pub(crate) usages: Usages,
    pub(crate) session_ttl_max: Duration,
    /// Queues that the configuration names. Not durable.
    pub(crate) declared: BTreeSet<Name>,
    /// Queues that have no task, are not paused and not declared, but were in use. Not durable.
    pub(crate) idle: Idle<Name>,
}

impl Book {
    /// The task, if it is open.
    pub(crate) fn task(&self, id: TaskId) -> Option<&Task> {
        self.tasks.get(id)
    }

    /// Every open task with a larger id.
    pub(crate) fn tasks_after(&self, id: TaskId) -> impl Iterator<Item = &Task> {
        self.tasks.after(id)
    }

    /// The lease of a task, so that what is not durable in it can be set.
    pub(crate) fn lease_mut(&mut self, id: TaskId) -> Option<&mut Lease> {
        self.tasks.get_mut(id).and_then(Task::lease_mut)
    }

    /// The wait of a scheduled task is over. Not durable: it follows from the time.
    pub(crate) fn wake(&mut self, id: TaskId) {
        if let Some(task) = self.tasks.get_mut(id) {
            debug_assert!(matches!(task.phase, Phase::Scheduled { .. }), "only a wait can be over");
            task.phase = Phase::Queued;
        }
    }

    /// Lets the payload of a task go. Not durable: whoever reads the journal finds it.
    pub(crate) fn let_go(&mut self, id: TaskId) {
        let Some(task) = self.tasks.get_mut(id) else { return };
        let held = task.spec.payload.held();
        if 0 < held {
            let spec = Arc::make_mut(&mut task.spec);
            spec.payload = Payload::Away(spec.payload.len());
            self.payload_bytes -= held;
        }
    }

    /// Whether the queue exists: it is declared, has open tasks, is paused, or was in use and is remembered.
    pub(crate) fn knows_queue(&self, queue: &str) -> bool {
        self.is_in_use(queue) || self.declared.contains(queue) || self.idle.contains(queue)
    }

    /// Whether a task more in the queue makes no more queues of those that the bound counts.
    pub(crate) fn is_counted(&self, queue: &str) -> bool {
        self.is_in_use(queue) || self.declared.contains(queue)
    }

    /// How many queues are in use, declared ones left out: what the bound on queues counts.
    pub(crate) fn queue_count(&self) -> u64 {
        let empty = self.pauses.iter().filter(|queue| !self.open.contains_key(*queue)).count();
        let declared = self.declared.iter().filter(|queue| self.is_in_use(queue)).count();
        (self.open.len() + empty - declared) as u64
    }

    /// Every queue that exists, by name.
    pub(crate) fn queues(&self) -> impl Iterator<Item = &Name> {
        let used = self.open.keys().chain(&self.pauses);
        let names: BTreeSet<_> = used.chain(&self.declared).chain(self.idle.names()).collect();
        names.into_iter()
    }

    /// How many those are at most.
    pub(crate) fn known_queue_count(&self) -> usize {
        let idle = usize::try_from(self.idle.len()).unwrap_or(usize::MAX);
        self.open.len() + self.pauses.len() + self.declared.len() + idle
    }

    /// The configuration names these queues from here on, and no others.
    pub(crate) fn declare(&mut self, queues: BTreeSet<Name>) {
        for queue in &queues {
            self.idle.remove(queue);
        }
        self.declared = queues;
    }

    /// Forgets idle queues until one more fits among `most`, if the queue is a new one.
    pub(crate) fn make_room(&mut self, queue: &str, most: u64) {
        if self.knows_queue(queue) {
            return;
        }
        let used = self.queue_count();
        while most <= used + self.idle.len() && self.idle.forget_one().is_some() {}
    }

    /// Whether the queue is paused.
    pub(crate) fn is_paused(&self, queue: &str) -> bool {
        self.pauses.contains(queue)
    }

    /// Pauses a queue.
    pub(crate) fn pause(&mut self, queue: &Name) {
        self.idle.remove(queue);
        self.pauses.insert(Name::clone(queue));
    }

    /// Ends the pause of a queue.
    pub(crate) fn resume(&mut self, queue: &Name) {
        if self.pauses.remove(queue) {
            self.rest(queue);
        }
    }

    fn is_in_use(&self, queue: &str) -> bool {
        self.open.contains_key(queue) || self.pauses.contains(queue)
    }

    /// Remembers a queue that may not be in use any more.
    fn rest(&mut self, queue: &Name) {
        if !self.is_in_use(queue) && !self.declared.contains(queue) {
            self.idle.insert(queue);
        }
    }

    /// Everything that a journal rebuilds.
    pub(crate) fn fingerprint(&self, print: &mut Print<'_>) {
        print.put(self.tasks.len());
        for task in self.tasks.iter() {
            print.task(task);
        }
        self.keys.fingerprint(print);
        self.decided.fingerprint(print);
        print.put((&self.pauses, self.session_ttl_max));
    }

    /// Takes a task in, in place of the one with its id.
    pub(crate) fn insert(&mut self, task: Box<Task>) {
        self.remove(task.id);
        let queue = &task.spec.queue;
        *self.open.entry(Name::clone(queue)).or_default() += 1;
        self.idle.remove(queue);
        let bytes = size(&task);
        self.open_bytes += bytes;
        self.payload_bytes += task.spec.payload.held();
        self.usages.enter(queue, bytes);
        if let Some(key) = &task.spec.key {
            self.keys.insert(queue, key, task.id, None);
        }
        self.tasks.insert(task);
    }

    /// Takes a task out.
    pub(crate) fn remove(&mut self, id: TaskId) -> Option<Task> {
        let task = self.tasks.remove(id)?;
        let queue = &task.spec.queue;
        if let Some(open) = self.open.get_mut(queue) {
            *open -= 1;
            if *open == 0 {
                self.open.remove(queue);
                self.rest(queue);
            }
        }
        let bytes = size(&task);
        self.open_bytes -= bytes;
        self.payload_bytes -= task.spec.payload.held();
        self.usages.leave(queue, bytes);
        if let Some(key) = &task.spec.key {
            self.keys.release(queue, key, id);
        }
        Some(task)
    }
}

/// What an open task takes.
pub(crate) fn size(task: &Task) -> u64 {
    cost(&task.spec) + task.left_bytes()
}

/// What an open task takes, as far as its submitter decides it.
pub(crate) fn cost(spec: &TaskSpec) -> u64 {
    let labels: usize = spec.labels.iter().map(|(name, value)| name.len() + value.len()).sum();
    let trace = spec.trace.as_ref().map_or(0, |trace| trace.parent.len() + trace.state.len());
    let selector: usize = spec.shape.selector.iter().map(|(name, it)| name.len() + it.len()).sum();
    let size = spec.shape.size.bytes();
    let claims = spec.claims.as_ref().map_or(0, |claims| claims.bytes());
    let texts = spec.content_type.len()
        + spec.fairness_key.len()
        + labels
        + selector
        + size
        + trace
        + claims;
    TASK_OVERHEAD_BYTES + (spec.payload.len() + texts) as u64
}
