//! What the engine counts and measures of itself.

use std::time::Duration;

use leasehold_policy::Time;
use leasehold_queue::{
    EndCause, Ended, Ending, Failure, FailureReason, Phase, Record, SessionState, TaskId,
    WorkerView,
};

use super::Engine;
use crate::metrics::{AttemptOutcome, SlotState, TaskState, WorkerState};

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
        ];
        let (mut used, mut free, mut draining) = (0, 0, 0);
        for view in self.queue.workers() {
            for (state, _, count) in &mut workers {
                *count += u64::from(*state == view.state);
            }
            used += view.tokens.len() as u64;
            match view.state {
                SessionState::Active => free += idle(&view),
                SessionState::Draining => draining += idle(&view),
                SessionState::Quarantined | SessionState::Disconnected => {}
            }
        }
        for (_, state, count) in workers {
            self.metrics.set_workers(state, count);
        }
        self.metrics.set_slots(SlotState::Used, used);
        self.metrics.set_slots(SlotState::Free, free);
        self.metrics.set_slots(SlotState::Draining, draining);
    }

    /// Counts a fact that is about to be written.
    pub(super) fn count(&self, record: &Record) {
        match record {
            Record::TaskAccepted(_) => self.metrics.submitted(1),
            Record::TaskReplayed(_) => self.metrics.replayed(),
            Record::LeaseGranted { task, time, .. } => self.count_grant(*task, *time),
            Record::LeaseStarted { .. } => self.metrics.attempt_started(),
            Record::LeaseRevoking { reason, .. } => self.metrics.revoked(*reason),
            Record::LeaseEnded { cause, failure, .. } => {
                self.metrics.attempt_ended(match cause {
                    EndCause::Failed => failure.as_deref().map_or(AttemptOutcome::Error, outcome),
                    EndCause::WorkerLost => AttemptOutcome::WorkerLost,
                    EndCause::NotRun | EndCause::Retracted => AttemptOutcome::NotRun,
                });
            }
            Record::TaskEnded { token: Some(_), ending, failure, .. } => {
                self.metrics.attempt_ended(match ending {
                    Ending::Succeeded => AttemptOutcome::Succeeded,
                    Ending::Cancelled => AttemptOutcome::Cancelled,
                    Ending::Failed => failure.as_deref().map_or(AttemptOutcome::Error, outcome),
                });
            }
            Record::TaskEnded { token: None, .. }
            | Record::EpochStarted { .. }
            | Record::TaskMoved(_)
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
        if let Phase::Leased(lease) = &ended.task.phase
            && let Some(started) = lease.started
        {
            self.metrics.ran(ended.time.since(started));
        }
        self.metrics.task_ended(ended.ending, ended.time.since(ended.task.submitted));
    }
}

fn idle(worker: &WorkerView) -> u64 {
    u64::from(worker.slots).saturating_sub(worker.tokens.len() as u64)
}

const fn outcome(failure: &Failure) -> AttemptOutcome {
    match failure.reason {
        FailureReason::Error | FailureReason::ResultTooLarge => AttemptOutcome::Error,
        FailureReason::Panic => AttemptOutcome::Panic,
        FailureReason::AttemptTimeout | FailureReason::TotalTimeout => AttemptOutcome::Timeout,
        FailureReason::WorkerLost | FailureReason::WorkerLossLimit => AttemptOutcome::WorkerLost,
        FailureReason::StartTimeout | FailureReason::HandedBack => AttemptOutcome::NotRun,
        FailureReason::Cancelled => AttemptOutcome::Cancelled,
    }
}
