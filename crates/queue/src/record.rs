//! What is written: the facts whose fold is the state.
//!
//! Lazily durable records ([`Record::LeaseStarted`], [`Record::LeaseRevoking`], [`Record::CheckpointSaved`]) are appended and
//! never waited for: losing them is harmless. All others gate the effects that mention them.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use leasehold_policy::Time;

use crate::{EndFact, Ending, Failure, Key, Name, RevocationReason, Task, TaskId, Token};

/// One fact.
#[derive(Clone, Debug, PartialEq)]
pub enum Record {
    /// A coordinator process began to write, or goes on under a configuration that promises workers more than any before.
    EpochStarted {
        /// Its epoch.
        epoch: u32,
        /// When.
        time: Time,
        /// The longest session TTL it may promise to workers.
        session_ttl: Duration,
    },
    /// A task was accepted.
    TaskAccepted(Box<Task>),
    /// A task's full state, written again so that older records can be trimmed.
    TaskMoved(Box<Task>),
    /// A dead letter is a task again.
    TaskReplayed(Box<Task>),
    /// A task was leased.
    LeaseGranted {
        /// The task.
        task: TaskId,
        /// The lease.
        token: Token,
        /// To which worker.
        worker: Name,
        /// To which start of its process.
        instance: Name,
        /// When.
        time: Time,
    },
    /// The worker said that it started. Lazily durable.
    LeaseStarted {
        /// The task.
        task: TaskId,
        /// The lease.
        token: Token,
        /// When.
        time: Time,
    },
    /// The lease has to end. Lazily durable.
    LeaseRevoking {
        /// The task.
        task: TaskId,
        /// The lease.
        token: Token,
        /// Why.
        reason: RevocationReason,
        /// How long the handler may take.
        grace: Duration,
        /// When.
        time: Time,
    },
    /// The attempt may run longer than its task says.
    LeaseExtended {
        /// The task.
        task: TaskId,
        /// The lease.
        token: Token,
        /// Until when it may run; later than it might before.
        until: Time,
        /// When that was granted.
        time: Time,
    },
    /// The work of a lease saved where the next attempt can go on from. Lazily durable: an attempt that is given it finds it
    /// in the journal all the same, since nothing overtakes in there.
    CheckpointSaved {
        /// The task.
        task: TaskId,
        /// The lease.
        token: Token,
        /// What it saved.
        data: Bytes,
        /// When the coordinator learned of it.
        time: Time,
    },
    /// A lease ended and the task goes on.
    LeaseEnded {
        /// The task.
        task: TaskId,
        /// The lease.
        token: Token,
        /// Why, and so what it costs.
        cause: EndCause,
        /// What the task does next.
        next: Next,
        /// What to remember of it, if it was a failure.
        failure: Option<Arc<Failure>>,
        /// How it ended. None: it was written before that was, and is concluded from the failure.
        fact: Option<EndFact>,
        /// When.
        time: Time,
    },
    /// Somebody asked for a leased task to be cancelled.
    CancelRequested {
        /// The task.
        task: TaskId,
        /// When.
        time: Time,
    },
    /// The task ended.
    TaskEnded {
        /// The task.
        task: TaskId,
        /// How.
        ending: Ending,
        /// The lease that decided it, if one did: the one it was under, or of a task that succeeded late its last one.
        token: Option<Token>,
        /// Why, unless it succeeded.
        failure: Option<Arc<Failure>>,
        /// How the lease ended that it was under. None: it was under none, or that was not written yet.
        fact: Option<EndFact>,
        /// When.
        time: Time,
    },
    /// An idempotency key outlives its task. Written when the task ends, and again to move it before a trim.
    KeyKept {
        /// The queue of the task.
        queue: Name,
        /// The key.
        key: Key,
        /// The task it names.
        task: TaskId,
        /// Until when.
        until: Time,
    },
    /// Whether a queue is paused. Kept in the journal's `meta`, not in its batches.
    QueuePaused {
        /// The queue.
        queue: Name,
        /// Paused or not.
        paused: bool,
    },
}

impl Record {
    /// The open task it is about. A kept key outlives its task and is about none.
    pub fn task(&self) -> Option<TaskId> {
        match self {
            Self::TaskAccepted(task) | Self::TaskMoved(task) | Self::TaskReplayed(task) => {
                Some(task.id)
            }
            Self::LeaseGranted { task, .. }
            | Self::LeaseStarted { task, .. }
            | Self::LeaseRevoking { task, .. }
            | Self::LeaseExtended { task, .. }
            | Self::CheckpointSaved { task, .. }
            | Self::LeaseEnded { task, .. }
            | Self::CancelRequested { task, .. }
            | Self::TaskEnded { task, .. } => Some(*task),
            Self::EpochStarted { .. } | Self::KeyKept { .. } | Self::QueuePaused { .. } => None,
        }
    }
}

/// Why a lease ended without ending its task.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum EndCause {
    /// The attempt failed: it counts.
    Failed,
    /// The worker was lost after it had or may have started: counts as a worker loss.
    WorkerLost,
    /// The assignment never arrived, was declined, handed back or not started in time: costs nothing.
    NotRun,
    /// It was granted ahead and taken back before it started: not even counted as a lease.
    Retracted,
}

/// What a task does after a lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// It goes back to its place in the queue.
    Queued,
    /// It waits until then.
    Backoff(Time),
}
