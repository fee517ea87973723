//! What the engine counts and measures of itself.

use std::time::Duration;

use leasehold_policy::Time;
use leasehold_queue::{
    Ended, LeaseEnd, Phase, Record, SessionState, StopProof, Task, TaskId, WorkerView,
};

use super::Engine;
use crate::metrics::{RevocationStage, SlotState, TaskState, WorkerState};

/// How often gauges are read from the state, while it changes.
const INTERVAL: Duration = Duration::from_secs(1);

/// When the gauges were last read, and whether that may not be true any more.
#[derive(Debug, Default)]
pub(super) struct Gauges {
    read: Time,
    is_outdated: bool,
}

impl Gauges {
    /// Something may have changed.
    pub(super) const fn outdate(&mut self) {
        self.is_outdated = true;
    }

    /// When to read them next. None while nothing changes.
    pub(super) fn due(&self) -> Option<Time> {
        self.is_outdated.then(|| self.read + INTERVAL)
    }
}

impl Engine {
    /// Reads the gauges, if it is time to.
    pub(super) fn observe(&mut self) {
        if self.gauges.due().is_none_or(|due| self.now < due) {
            return;
        }
        self.gauges = Gauges { read: self.now, is_outdated: false };
        self.observe_queues();
        self.observe_workers();
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

    fn observe_workers(&self) {
        let mut workers = [
            (SessionState::Active, WorkerState::Active, 0),
            (SessionState::Draining, WorkerState::Draining, 0),
            (SessionState::Quarantined, WorkerState::Quarantined, 0),
            (SessionState::Disconnected, WorkerState::Disconnected, 0),
            (SessionState::Evicted, WorkerState::Evicted, 0),
        ];
        let (mut used, mut free, mut draining, mut lost) = (0, 0, 0, 0);
        for view in self.queue.workers() {
            for (state, _, count) in &mut workers {
                *count += u64::from(*state == view.state);
            }
            used += view.tokens.len() as u64;
            lost += u64::from(view.lost);
            match view.state {
                SessionState::Active => free += idle(&view),
                SessionState::Draining => draining += idle(&view),
                SessionState::Quarantined | SessionState::Disconnected | SessionState::Evicted => {}
            }
        }
        for (_, state, count) in workers {
            self.metrics.set_workers(state, count);
        }
        self.metrics.set_slots(SlotState::Used, used);
        self.metrics.set_slots(SlotState::Free, free);
        self.metrics.set_slots(SlotState::Draining, draining);
        self.metrics.set_slots(SlotState::Lost, lost);
    }

    /// Counts a fact that is about to be written.
    pub(super) fn count(&self, record: &Record) {
        match record {
            Record::TaskAccepted(_) => self.metrics.submitted(1),
            Record::TaskReplayed(_) => self.metrics.replayed(),
            Record::LeaseGranted { task, time, .. } => self.count_grant(*task, *time),
            Record::LeaseStarted { .. } => self.metrics.attempt_started(),
            Record::LeaseRevoking { reason, .. } => self.metrics.revoked(*reason),
            Record::LeaseEnded { task, token, fact: Some(fact), .. } => {
                self.metrics.attempt_ended(fact.kind);
                let ends = self.queue.task(*task).map(Task::ends).unwrap_or_default();
                // A task that was leased too often is gone already; that is rare enough not to be timed.
                if let Some(end) = ends.iter().rfind(|end| end.token == *token) {
                    self.time(end);
                }
            }
            Record::TaskEnded { fact: Some(fact), .. } => self.metrics.attempt_ended(fact.kind),
            Record::LeaseEnded { fact: None, .. }
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

    /// How long a task waited for its first lease. How long it waited for a later one is not known here.
    fn count_grant(&self, task: TaskId, granted: Time) {
        let Some(task) = self.queue.task(task) else { return };
        if task.leases == 1 && task.generation == 1 {
            let runnable = task.submitted + task.spec.initial_delay;
            self.metrics.waited(granted.since(runnable));
        }
    }

    /// Counts the end of a task.
    pub(super) fn count_end(&self, ended: &Ended) {
        if let (Phase::Leased(_), Some(end)) = (&ended.task.phase, ended.task.ends().last()) {
            self.time(end);
        }
        self.metrics.task_ended(ended.ending, ended.time.since(ended.task.submitted));
    }

    /// Measures what a lease took that ended.
    fn time(&self, end: &LeaseEnd) {
        if let Some(started) = end.started {
            self.metrics.ran(end.ended.since(started));
        }
        let Some(revoking) = end.revoking else { return };
        if let Some(delivered) = revoking.delivered {
            let took = delivered.since(revoking.since);
            self.metrics.revocation_came_to(RevocationStage::Delivered, took);
        }
        let stage = if end.stop == StopProof::Unproved {
            RevocationStage::Unproved
        } else {
            RevocationStage::Stopped
        };
        self.metrics.revocation_came_to(stage, end.ended.since(revoking.since));
    }
}

fn idle(worker: &WorkerView) -> u64 {
    u64::from(worker.slots).saturating_sub(worker.tokens.len() as u64)
}
