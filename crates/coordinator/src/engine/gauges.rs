//! What the engine counts and measures of itself.

use std::{collections::BTreeSet, time::Duration};

use leasehold_policy::Time;
use leasehold_queue::{
    Assignment, Ended, Guarded, LeaseEnd, LoadView, Name, Phase, Record, SessionState, StopProof,
    StreamId, Task, TaskId, Token,
};

use super::Engine;
use crate::{
    load::{Flows, Load, Row, WorkerLoad},
    metrics::{Metrics, RevocationStage, SlotState, TaskState, WorkerState},
};

/// How often gauges are read from the state, while it changes.
const INTERVAL: Duration = Duration::from_secs(1);

/// By how much a processor must be busier or less busy than it last was, in thousandths, for that to be news.
const CPU_STEP: u16 = 50;

/// When the gauges were last read, and whether that may not be true any more.
#[derive(Debug, Default)]
pub(super) struct Gauges {
    read: Time,
    is_outdated: bool,
    /// The circuits that have one: as many as are configured.
    circuits: BTreeSet<Guarded>,
}

impl Gauges {
    /// Something may have changed.
    pub(super) const fn outdate(&mut self) {
        self.is_outdated = true;
    }

    /// When to read them next. None while nothing changes, not even by the passing of time.
    pub(super) fn due(&self, flows: &Flows) -> Option<Time> {
        if self.is_outdated { Some(self.read + INTERVAL) } else { flows.due() }
    }
}

impl Engine {
    /// Reads the gauges, if it is time to.
    pub(super) fn observe(&mut self) {
        if self.gauges.due(&self.flows).is_none_or(|due| self.now < due) {
            return;
        }
        (self.gauges.read, self.gauges.is_outdated) = (self.now, false);
        self.flows.turn(self.now);
        self.observe_queues();
        self.metrics.set_payloads(self.payloads.bytes(&self.queue));
        self.observe_circuits();
        let workers = self.observe_workers();
        self.status.set_load(Load { time: self.now, rows: self.rows(), workers });
    }

    /// What waits and what is leased, and what of it happened lately.
    fn rows(&self) -> Vec<Row> {
        let mut seen = BTreeSet::new();
        let mut rows: Vec<Row> = self
            .queue
            .loads()
            .map(|view| {
                seen.insert((Name::clone(&view.queue), Name::clone(&view.task_type)));
                let flow = self.flows.sum(&view.queue, &view.task_type);
                Row { view, flow }
            })
            .collect();
        let others =
            self.flows.kinds().map(|(queue, kind)| (Name::clone(queue), Name::clone(kind)));
        for (queue, task_type) in others.filter(|kind| !seen.contains(kind)) {
            let flow = self.flows.sum(&queue, &task_type);
            let view = LoadView {
                queue,
                task_type,
                waiting: Vec::new(),
                wanted: Vec::new(),
                since: None,
                leased: 0,
                taken: 0,
            };
            rows.push(Row { view, flow });
        }
        rows
    }

    fn cpu(&self, stream: Option<StreamId>) -> Option<u16> {
        self.streams.get(&stream?)?.cpu
    }

    /// A worker said how busy its processor is.
    pub(super) fn hear_cpu(&mut self, stream: StreamId, cpu: Option<u16>) {
        let Some(stream) = self.streams.get_mut(&stream) else { return };
        let is_news = match (stream.cpu, cpu) {
            (Some(before), Some(cpu)) => CPU_STEP <= before.abs_diff(cpu),
            (before, cpu) => before != cpu,
        };
        if is_news {
            stream.cpu = cpu;
            self.gauges.outdate();
        }
    }

    /// What is configured no more has no state any more. The others always have one: it may be scraped at any time.
    fn observe_circuits(&mut self) {
        let mut gone = std::mem::take(&mut self.gauges.circuits);
        for (guarded, state) in self.queue.circuits() {
            self.metrics.set_circuit(guarded, state);
            gone.remove(guarded);
            self.gauges.circuits.insert(guarded.clone());
        }
        for guarded in &gone {
            self.metrics.forget_circuit(guarded);
        }
    }

    fn observe_queues(&self) {
        let (mut scheduled, mut queued, mut leased) = (0, 0, 0);
        let mut oldest = Duration::ZERO;
        for view in self.queue.queues() {
            scheduled += view.scheduled;
            queued += view.queued;
            leased += view.leased;
            let age = view.oldest_queued.map_or(Duration::ZERO, |since| self.now.since(since));
            oldest = oldest.max(age);
        }
        self.metrics.set_tasks(TaskState::Scheduled, scheduled);
        self.metrics.set_tasks(TaskState::Queued, queued);
        self.metrics.set_tasks(TaskState::Leased, leased);
        self.metrics.set_oldest_queued(oldest);
    }

    /// Counts workers and slots, and hands back how loaded each is.
    fn observe_workers(&self) -> Vec<WorkerLoad> {
        let mut workers = [
            (SessionState::Active, WorkerState::Active, 0),
            (SessionState::Draining, WorkerState::Draining, 0),
            (SessionState::Quarantined, WorkerState::Quarantined, 0),
            (SessionState::Disconnected, WorkerState::Disconnected, 0),
            (SessionState::Evicted, WorkerState::Evicted, 0),
        ];
        let (mut used, mut free, mut draining, mut lost) = (0, 0, 0, 0);
        let mut loads = Vec::with_capacity(self.streams.len());
        for worker in self.queue.glances() {
            let (is, idle) = (worker.state(), worker.slots().saturating_sub(worker.used()));
            for (state, _, count) in &mut workers {
                *count += u64::from(*state == is);
            }
            used += u64::from(worker.used());
            lost += u64::from(worker.lost());
            match is {
                SessionState::Active => free += u64::from(idle),
                SessionState::Draining => draining += u64::from(idle),
                SessionState::Quarantined | SessionState::Disconnected | SessionState::Evicted => {}
            }
            loads.push(WorkerLoad::new(worker, self.cpu(worker.stream())));
        }
        for (_, state, count) in workers {
            self.metrics.set_workers(state, count);
        }
        self.metrics.set_slots(SlotState::Used, used);
        self.metrics.set_slots(SlotState::Free, free);
        self.metrics.set_slots(SlotState::Draining, draining);
        self.metrics.set_slots(SlotState::Lost, lost);
        loads
    }

    /// Counts a fact that is about to be written. `next`: the one behind it.
    pub(super) fn count(&mut self, record: &Record, next: Option<&Record>) {
        match record {
            Record::TaskAccepted(_) => self.metrics.submitted(1),
            Record::TaskReplayed(_) => self.metrics.replayed(),
            Record::LeaseStarted { task, token, time } => {
                self.metrics.attempt_started();
                // Much work is over when its start is heard, and is not looked for any more.
                let is_over =
                    matches!(next, Some(Record::TaskEnded { task: ended, .. }) if ended == task);
                if !is_over {
                    self.count_start(*task, *token, *time);
                }
            }
            Record::LeaseRevoking { reason, .. } => self.metrics.revoked(*reason),
            Record::LeaseEnded { task, token, fact: Some(fact), .. } => {
                self.metrics.attempt_ended(fact.kind);
                // A task that was leased too often is gone already; that is rare enough not to be timed.
                if let Some(task) = self.queue.task(*task)
                    && let Some(end) = task.ends().iter().rfind(|end| end.token == *token)
                {
                    time(&self.metrics, &mut self.flows, task, end);
                }
            }
            Record::TaskEnded { fact: Some(fact), .. } => self.metrics.attempt_ended(fact.kind),
            Record::LeaseGranted { .. }
            | Record::LeaseEnded { fact: None, .. }
            | Record::TaskEnded { fact: None, .. }
            | Record::EpochStarted { .. }
            | Record::TaskMoved(_)
            | Record::LeaseExtended { .. }
            | Record::CheckpointSaved { .. }
            | Record::CancelRequested { .. }
            | Record::KeyKept { .. }
            | Record::QueuePaused { .. } => {}
        }
    }

    /// How long a task waited for its first lease, which leaves now. How long it waited for a later one is not known here.
    pub(super) fn count_grant(&mut self, assignment: &Assignment) {
        let Some(wait) = assignment.waited else { return };
        self.metrics.waited(wait);
        let spec = &assignment.spec;
        if let Some(flow) = self.flows.of(&spec.queue, &spec.task_type) {
            flow.waits.add(wait);
        }
    }

    /// How long a lease took to start. One that is over by now is counted by its end.
    fn count_start(&mut self, task: TaskId, token: Token, started: Time) {
        let Some(task) = self.queue.task(task) else { return };
        if let Some(lease) = task.lease().filter(|lease| lease.token == token)
            && let Some(flow) = self.flows.of(&task.spec.queue, &task.spec.task_type)
        {
            flow.starts.add(started.since(lease.granted));
        }
    }

    /// Counts the end of a task.
    pub(super) fn count_end(&mut self, ended: &Ended) {
        if let (Phase::Leased(_), Some(end)) = (&ended.task.phase, ended.task.ends().last()) {
            time(&self.metrics, &mut self.flows, &ended.task, end);
        }
        self.metrics.task_ended(ended.ending, ended.time.since(ended.task.submitted));
    }
}

/// Measures what a lease took that ended.
fn time(metrics: &Metrics, flows: &mut Flows, task: &Task, end: &LeaseEnd) {
    if let Some(started) = end.started {
        let run = end.ended.since(started);
        metrics.ran(run);
        if let Some(flow) = flows.of(&task.spec.queue, &task.spec.task_type) {
            flow.runs.add(run);
            // What started and ended in one turn was no lease any more when its start was counted.
            if run.is_zero() {
                flow.starts.add(started.since(end.granted));
            }
        }
    }
    let Some(revoking) = end.revoking else { return };
    if let Some(delivered) = revoking.delivered {
        let took = delivered.since(revoking.since);
        metrics.revocation_came_to(RevocationStage::Delivered, took);
    }
    let stage = if end.stop == StopProof::Unproved {
        RevocationStage::Unproved
    } else {
        RevocationStage::Stopped
    };
    metrics.revocation_came_to(stage, end.ended.since(revoking.since));
}
