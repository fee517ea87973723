//! What operators look at: queues and workers as they are.
//!
//! A view is computed when it is asked for; nothing in it is kept.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use leasehold_policy::{CircuitState, Tally, Time, namespace};

use crate::{
    Blocked, Gate, Guarded, Name, Obstacle, Phase, Queue, Quota, SchemaPrint, SchemasRead,
    SessionId, Size, StreamId, Task, TaskId, Token, Usage,
    backlog::Portion,
    explain::Hold,
    lanes::{LaneView, Place},
    session::Session,
};

/// One queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueueView {
    /// Its name.
    pub name: Name,
    /// Whether it is paused.
    pub paused: bool,
    /// Tasks that wait for a time.
    pub scheduled: u64,
    /// Tasks that could be leased.
    pub queued: u64,
    /// Tasks under a lease.
    pub leased: u64,
    /// Since when the longest waiting of the tasks that could be leased could be.
    pub oldest_queued: Option<Time>,
}

/// What waits and what is leased of one task type in one queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoadView {
    /// The queue.
    pub queue: Name,
    /// The task type.
    pub task_type: Name,
    /// Tasks that could be leased, by what they wait for. No count is zero. Of those that only wait for their turn no more
    /// wait for a worker than their limits have room for; the others wait for the limit that has the least.
    pub waiting: Vec<(Blocked, u64)>,
    /// The same, as slots that their leases would take.
    pub wanted: Vec<(Blocked, u64)>,
    /// Since when the one waits that goes first of those that a worker could take. None: there are none.
    pub since: Option<Time>,
    /// Tasks under a lease.
    pub leased: u64,
    /// How many slots those take.
    pub taken: u64,
}

/// One circuit breaker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BreakerView {
    /// What it guards.
    pub guarded: Guarded,
    /// What its circuit does.
    pub state: CircuitState,
    /// Since when it does that; the beginning of time: it was never anything else.
    pub since: Time,
    /// What is in its window; while it is not closed, what opened it.
    pub tally: Tally,
    /// How many probes may still run.
    pub probes: u32,
    /// How many there may be at a time.
    pub probes_max: u32,
    /// How many tasks wait for it to let them through.
    pub waiting: u64,
}

/// One worker session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkerView {
    /// The worker's own name.
    pub worker: Name,
    /// Which start of its process.
    pub instance: Name,
    /// Its session.
    pub session: SessionId,
    /// Its stream, while it has one.
    pub stream: Option<StreamId>,
    /// How its session is.
    pub state: SessionState,
    /// Its slots, and what else it has, taken or not.
    pub whole: Size,
    /// What of that is taken, as far as is known; by leases granted ahead nothing is.
    pub taken: Size,
    /// How many of its leases were granted ahead and wait for a slot.
    pub ahead: u32,
    /// How many leases it takes beyond them.
    pub prefetch: u32,
    /// How many of its slots hold work that cannot be stopped.
    pub lost: u32,
    /// The leases it holds, ended ones that it has not answered for included.
    pub tokens: Vec<Token>,
    /// The task types it serves.
    pub task_types: Vec<Name>,
    /// The namespaces it serves. Empty: every one.
    pub namespaces: Vec<Name>,
    /// Which payload schemas it reads.
    pub reads: SchemasRead,
    /// For people.
    pub labels: Vec<(Name, Name)>,
    /// For people.
    pub software: Name,
    /// When the session began.
    pub opened: Time,
    /// When the worker was last heard.
    pub last_heard: Time,
}

/// How a session is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum SessionState {
    /// Connected, takes leases.
    Active,
    /// Finishes what it has, takes nothing new.
    Draining,
    /// Did not answer a revocation in time: gets nothing new.
    Quarantined,
    /// Its stream is gone; its leases are kept until it ends.
    Disconnected,
    /// An operator gave it up: it gets nothing new and is not acknowledged until it ends.
    Evicted,
}

/// A namespace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamespaceView {
    /// Its name.
    pub name: Name,
    /// What it has open.
    pub usage: Usage,
    /// What it may have open.
    pub quota: Quota,
}

/// An idempotency key that outlives its task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptKey {
    /// The queue of the task.
    pub queue: Name,
    /// What the client called it.
    pub name: Name,
    /// The task it names.
    pub task: TaskId,
    /// Until when it is kept.
    pub until: Time,
}

/// What is looked at of all workers all the time: nothing is copied for that.
#[derive(Clone, Copy, Debug)]
pub struct WorkerGlance<'a>(&'a Session);

impl<'a> WorkerGlance<'a> {
    /// The worker's own name.
    pub const fn worker(self) -> &'a Name {
        &self.0.worker
    }

    /// Its stream, while it has one.
    pub const fn stream(self) -> Option<StreamId> {
        self.0.stream
    }

    /// How its session is.
    pub fn state(self) -> SessionState {
        self.0.state()
    }

    /// Its slots, taken or not.
    pub const fn slots(self) -> u32 {
        self.0.whole.slots
    }

    /// How many of them are spoken for, by what waits for one, too.
    pub const fn used(self) -> u32 {
        spoken_for(self.0.taken(), self.0.ahead())
    }

    /// How many of them hold work that cannot be stopped.
    pub const fn lost(self) -> u32 {
        self.0.lost
    }

    /// The task types it serves.
    pub fn task_types(self) -> impl Iterator<Item = &'a Name> {
        self.0.task_types.iter()
    }

    /// What one of its labels says.
    pub fn label(self, name: &str) -> Option<&'a Name> {
        self.0.labels.iter().find(|(label, _)| &**label == name).map(|(_, text)| text)
    }
}

/// How many slots are, where work takes so much of them and leases granted ahead wait for more.
const fn spoken_for(taken: &Size, ahead: u32) -> u32 {
    taken.slots.saturating_add(ahead)
}

impl WorkerView {
    /// How many of its slots are spoken for, by what waits for one, too.
    pub const fn used(&self) -> u32 {
        spoken_for(&self.taken, self.ahead)
    }

    fn of((id, session): (SessionId, &Session)) -> Self {
        Self {
            worker: Name::clone(&session.worker),
            instance: Name::clone(&session.instance),
            session: id,
            stream: session.stream,
            state: session.state(),
            whole: session.whole.clone(),
            taken: session.taken().clone(),
            ahead: session.ahead(),
            prefetch: session.prefetch,
            lost: session.lost,
            tokens: session.held().map(|(token, _)| token).collect(),
            task_types: session.task_types.iter().cloned().collect(),
            namespaces: session.namespaces.iter().cloned().collect(),
            reads: session.reads.clone(),
            labels: session.labels.clone(),
            software: Name::clone(&session.software),
            opened: session.opened,
            last_heard: session.last_heard,
        }
    }
}

/// Nothing waits and nothing is leased.
fn empty(queue: &Name, task_type: &Name) -> LoadView {
    let (queue, task_type) = (Name::clone(queue), Name::clone(task_type));
    let (waiting, wanted) = (Vec::new(), Vec::new());
    LoadView { queue, task_type, waiting, wanted, since: None, leased: 0, taken: 0 }
}

impl Queue {
    /// The task, if it has not ended.
    pub fn task(&self, id: TaskId) -> Option<&Task> {
        self.book.task(id)
    }

    /// Every task that has not ended and has a larger id, in ascending order.
    pub fn tasks_after(&self, id: TaskId) -> impl Iterator<Item = &Task> {
        self.book.tasks_after(id)
    }

    /// The task with this serial, if it is open.
    pub fn task_with_serial(&self, serial: i64) -> Option<&Task> {
        self.book.tasks.with_serial(serial)
    }

    /// Why the task is not being run; none while it is leased.
    pub fn blocked(&self, task: &Task) -> Option<Blocked> {
        self.holds(task).next().map(|hold| hold.reason())
    }

    /// The schemas that are read where the task waits because its own is not. Empty: it does not wait, or not for that.
    pub fn read_instead(&self, task: &Task) -> BTreeSet<SchemaPrint> {
        let waits = task.spec.shape.schema.is_some()
            && self.blocked(task) == Some(Blocked::NoEligibleWorker);
        if waits { self.roster.read_instead(&task.spec) } else { BTreeSet::new() }
    }

    /// The first circuit or limit that would keep the task from being leased, whatever slots are free; none while it is not
    /// waiting to be.
    pub fn obstacle(&self, task: &Task) -> Option<Obstacle> {
        let waits = task.phase == Phase::Queued;
        let gates = &self.index.lanes.gates;
        let gate = gates.shut_for(&task.spec, Place::of(task)).next().filter(|_| waits)?;
        Some(gates.obstacle(gate))
    }

    /// What every circuit does, by what it guards.
    pub fn circuits(&self) -> impl Iterator<Item = (&Guarded, CircuitState)> {
        let circuits = self.index.lanes.gates.circuits();
        circuits.map(|(guarded, circuit)| (guarded, circuit.state()))
    }

    /// Every circuit breaker, by what it guards. It costs as much as there are lanes.
    pub fn breakers(&self) -> impl Iterator<Item = BreakerView> {
        let mut waiting: BTreeMap<Guarded, u64> = BTreeMap::new();
        for (_, hold, count) in self.helpless() {
            if let Hold::Gate(Gate::Circuit(guarded)) = hold {
                *waiting.entry(guarded).or_default() += count;
            }
        }
        self.index.lanes.gates.circuits().map(move |(guarded, circuit)| {
            let terms = self.config.throttles.breakers.get(guarded);
            let tally = terms.map(|terms| circuit.tally(&terms.circuit, self.now));
            BreakerView {
                guarded: guarded.clone(),
                state: circuit.state(),
                since: circuit.since(),
                tally: tally.unwrap_or_default(),
                probes: circuit.probes(),
                probes_max: terms.map_or(0, |terms| terms.circuit.probes),
                waiting: waiting.get(guarded).copied().unwrap_or_default(),
            }
        })
    }

    /// Every queue that is declared, has open tasks or is paused, by name; and those that were in use lately, as far as
    /// the limit of queues leaves room for them.
    pub fn queues(&self) -> impl Iterator<Item = QueueView> {
        self.book.queues().map(|name| self.view(name))
    }

    /// The queue, if it is one of those.
    pub fn queue(&self, name: &Name) -> Option<QueueView> {
        self.book.knows_queue(name).then(|| self.view(name))
    }

    fn view(&self, name: &Name) -> QueueView {
        let tally = self.book.templates.queues.find(name);
        let counts = tally.map(|tally| tally.counts).unwrap_or_default();
        QueueView {
            name: Name::clone(name),
            paused: self.book.is_paused(name),
            scheduled: counts.scheduled,
            queued: counts.queued,
            leased: counts.leased,
            oldest_queued: self.index.lanes.oldest(name),
        }
    }

    /// What waits and what is leased, by queue and task type. It costs as much as there are lanes, however many tasks wait.
    pub fn loads(&self) -> impl Iterator<Item = LoadView> {
        let mut loads: BTreeMap<(&Name, &Name), LoadView> = BTreeMap::new();
        for (lane, hold, count) in self.helpless() {
            let (queue, task_type) = (lane.queue, lane.task_type);
            let load = loads.entry((queue, task_type)).or_insert_with(|| empty(queue, task_type));
            let blocked = hold.reason();
            if blocked.is_for_a_worker() {
                let usual = || self.book.at(lane.first).map(Task::first_ready);
                let since = lane.since.or_else(usual).unwrap_or(self.now);
                load.since = Some(load.since.map_or(since, |earlier| earlier.min(since)));
            }
            let slots = count.saturating_mul(lane.slots);
            for (known, more) in [(&mut load.waiting, count), (&mut load.wanted, slots)] {
                match known.iter_mut().find(|(known, _)| *known == blocked) {
                    Some((_, known)) => *known += more,
                    None => known.push((blocked, more)),
                }
            }
        }
        for ((queue, task_type), leased) in self.book.templates.leased() {
            let load = loads.entry((queue, task_type)).or_insert_with(|| empty(queue, task_type));
            (load.leased, load.taken) = (leased.leases, leased.slots);
        }
        loads.into_values()
    }

    /// What waits for what: where a gate is shut, for that, though nobody is there who would serve it: a worker would not help.
    fn helpless(&self) -> impl Iterator<Item = (LaneView<'_>, Hold, u64)> {
        let shut = |lane: &LaneView<'_>| {
            let spec = &self.book.at(lane.first)?.spec;
            self.index.lanes.gates.shut_for(spec, lane.first).next().map(Hold::Gate)
        };
        let portions = self.backlog(self.index.lanes.iter()).into_iter();
        portions.map(move |Portion { lane, hold, count, .. }| {
            let shut = (hold == Hold::NoWorker).then(|| shut(&lane)).flatten();
            (lane, shut.unwrap_or(hold), count)
        })
    }

    /// How long tasks of a type run that succeed: what half of them, and what 19 of 20 do not exceed. Rounded up by at most a
    /// half; zero if nothing is known. Not durable.
    pub fn run_times(&self, task_type: &str) -> (Duration, Duration) {
        (self.paces.p50(task_type), self.paces.p95(task_type))
    }

    /// How many worker sessions there are.
    pub fn session_count(&self) -> usize {
        self.roster.len()
    }

    /// For tests: how often tasks that are alike have come into line or gone to a gate that was shut.
    #[doc(hidden)]
    pub const fn moves(&self) -> u64 {
        self.index.lanes.moves()
    }

    /// How many leases there are.
    pub fn lease_count(&self) -> usize {
        self.index.leases.len()
    }

    /// Whether one start of a worker has a session.
    pub fn has_session(&self, worker: &str, instance: &str) -> bool {
        self.roster.of_instance(worker, instance).is_some()
    }

    /// Every worker session, by worker name.
    pub fn workers(&self) -> impl Iterator<Item = WorkerView> {
        self.roster.iter().map(WorkerView::of)
    }

    /// The same at a glance.
    pub fn glances(&self) -> impl Iterator<Item = WorkerGlance<'_>> {
        self.roster.iter().map(|(_, session)| WorkerGlance(session))
    }

    /// The workers that take nothing that is in the way of a task that waits, until they have room for it, also while a limit
    /// holds that task back.
    pub fn reserved(&self) -> impl Iterator<Item = (&Name, TaskId)> {
        let reservations = self.roster.reservations();
        reservations.filter_map(|it| Some((&self.roster.get(it.session)?.worker, it.task)))
    }

    /// Every worker session behind that of a process, in the same order; there may be no such process.
    pub fn workers_after(
        &self,
        worker: &Name,
        instance: &Name,
    ) -> impl Iterator<Item = WorkerView> {
        self.roster.iter_after(worker, instance).map(WorkerView::of)
    }

    /// Idempotency keys that outlive their tasks, by (queue, key).
    pub fn kept_keys(&self) -> impl Iterator<Item = KeptKey> {
        self.book.keys.iter_kept()
    }

    /// How many queues there are, or a few more: one that is declared may also be in use.
    pub fn queue_count(&self) -> usize {
        self.book.known_queue_count()
    }

    /// Every namespace that has a queue, or bounds of its own, by name.
    pub fn namespaces(&self) -> impl Iterator<Item = NamespaceView> {
        let used = self.book.queues().map(|queue| namespace::of(queue));
        let bounded = self.config.quotas.keys().map(|name| &**name);
        let all: BTreeSet<&str> = used.chain(bounded).collect();
        all.into_iter().map(|name| NamespaceView {
            name: name.into(),
            usage: self.usage(name),
            quota: self.config.quotas.get(name).copied().unwrap_or_default(),
        })
    }

    /// What a namespace has open.
    pub fn usage(&self, namespace: &str) -> Usage {
        self.book.templates.namespaces.find(namespace).copied().unwrap_or_default()
    }

    /// How many tasks have not ended.
    pub fn open_tasks(&self) -> u64 {
        self.book.tasks.len() as u64
    }

    /// How many bytes their payloads, their checkpoints and what is kept beside them take.
    pub fn open_bytes(&self) -> u64 {
        self.book.open_bytes
    }
}
