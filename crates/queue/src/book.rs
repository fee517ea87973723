//! The durable state: open tasks, idempotency keys, pauses. Only [`fold`](crate::fold) changes what is durable in it.
//! Beside it: which queues exist, as that follows from them and the configuration.
//!
//! It knows no lane, timer or session: those are derived from it.

use std::{collections::BTreeSet, time::Duration};

use crate::{
    Lease, Name, Payload, Phase, Task, TaskId, TaskSpec,
    decided::Decided,
    fingerprint::Print,
    idle::Idle,
    keys::Keys,
    lanes::Place,
    mark::Mark,
    tasks::Tasks,
    templates::{TemplateNo, Templates},
};

/// What an open task takes in memory beside the bytes of its spec: itself 126, how it is found by its id and their order 19, its
/// place in its lane 17 and in the journal 8, the counts and the rounding of its payload 28; the rest for what tables leave free.
const TASK_OVERHEAD_BYTES: u64 = 240;

/// What an idempotency key takes beside its text: the task's own copy, and where the task is found by it.
const KEY_OVERHEAD_BYTES: u64 = 384;

/// Everything that a journal rebuilds.
#[derive(Clone, Debug, Default)]
pub(crate) struct Book {
    pub(crate) tasks: Tasks,
    pub(crate) keys: Keys,
    pub(crate) decided: Decided,
    /// Queues that are paused.
    pub(crate) pauses: BTreeSet<Name>,
    /// What open tasks have in common, and what each queue and namespace has of them.
    pub(crate) templates: Templates,
    pub(crate) open_bytes: u64,
    /// How many bytes of payloads are in memory. Not durable.
    pub(crate) payload_bytes: u64,
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

    /// The task that stands at a place.
    pub(crate) fn at(&self, place: Place) -> Option<&Task> {
        self.tasks.with_serial(place.task)
    }

    /// Where an open task stands.
    pub(crate) fn mark(&self, id: TaskId) -> Option<Mark> {
        self.tasks.find(id).map(|(task, template)| Mark::of(task, template))
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
            task.spec.payload = Payload::Away(task.spec.payload.len());
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
        let empty = self.pauses.iter().filter(|queue| self.templates.open(queue) == 0).count();
        let declared = self.declared.iter().filter(|queue| self.is_in_use(queue)).count();
        (self.templates.in_use() + empty - declared) as u64
    }

    /// Every queue that exists, by name.
    pub(crate) fn queues(&self) -> impl Iterator<Item = &Name> {
        let used = self.templates.used().map(|(name, _)| name).chain(&self.pauses);
        let names: BTreeSet<_> = used.chain(&self.declared).chain(self.idle.names()).collect();
        names.into_iter()
    }

    /// How many those are at most.
    pub(crate) fn known_queue_count(&self) -> usize {
        let idle = usize::try_from(self.idle.len()).unwrap_or(usize::MAX);
        self.templates.in_use() + self.pauses.len() + self.declared.len() + idle
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
        0 < self.templates.open(queue) || self.pauses.contains(queue)
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

    /// Takes a task in, in place of the one with its id. Says where that stood, and where it stands.
    pub(crate) fn replace(&mut self, task: Task) -> (Option<Mark>, Mark) {
        let before = self.remove(task.id);
        let before = before.map(|(task, template)| Mark::of(&task, template));
        (before, self.insert(task))
    }

    /// Takes a task in whose id is not there. Says where it stands.
    pub(crate) fn insert(&mut self, task: Task) -> Mark {
        let (template, is_first) = self.templates.enter(&task.spec.template);
        let queue = &task.spec.queue;
        if is_first {
            self.idle.remove(queue);
        }
        let bytes = size(&task);
        self.open_bytes += bytes;
        self.payload_bytes += task.spec.payload.held();
        if let Some(usage) = self.templates.usage_mut(template) {
            usage.enter(bytes);
        }
        if let Some(key) = task.spec.key() {
            self.keys.insert(queue, key, task.id, None);
        }
        let mark = Mark::of(&task, template);
        self.tasks.insert(task, template);
        mark
    }

    /// Takes a task out.
    pub(crate) fn remove(&mut self, id: TaskId) -> Option<(Task, TemplateNo)> {
        let (task, template) = self.tasks.remove(id)?;
        let (queue, bytes) = (&task.spec.queue, size(&task));
        self.open_bytes -= bytes;
        self.payload_bytes -= task.spec.payload.held();
        if let Some(usage) = self.templates.usage_mut(template) {
            usage.leave(bytes);
        }
        if self.templates.leave(template) {
            self.rest(queue);
        }
        if let Some(key) = task.spec.key() {
            self.keys.release(queue, key, id);
        }
        Some((task, template))
    }
}

/// What an open task takes.
pub(crate) fn size(task: &Task) -> u64 {
    cost(&task.spec) + task.left_bytes()
}

/// What an open task takes, as far as its submitter decides it.
pub(crate) fn cost(spec: &TaskSpec) -> u64 {
    let labels: usize = spec.labels().iter().map(|(name, value)| name.len() + value.len()).sum();
    let trace = spec.trace.as_ref().map_or(0, |trace| trace.parent.len() + trace.state.len());
    let own = spec.payload.len() + labels + trace;
    let key = spec.key().map_or(0, |key| KEY_OVERHEAD_BYTES + key.name.len() as u64);
    TASK_OVERHEAD_BYTES + own as u64 + key + spec.template.bytes()
}
