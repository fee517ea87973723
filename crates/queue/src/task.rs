//! A task that has not ended, and everything that is remembered about it.

use std::{sync::Arc, time::Duration};

use leasehold_policy::{Mutant, Time};

use crate::{
    Checkpoint, EndKind, Exclusivity, Guarantee, LeaseEnd, Ledger, Name, Reckoned, SessionId,
    StopProof, TaskId, TaskSpec, Token,
};

/// What a failure takes beside its words.
const FAILURE_OVERHEAD_BYTES: u64 = 128;

/// What the end of a lease takes beside its words.
const END_OVERHEAD_BYTES: u64 = 256;

/// A task that has not ended. Every field is durable (`TaskMoved` holds them all), except what is said otherwise.
#[derive(Clone, Debug, PartialEq)]
pub struct Task {
    /// Its id.
    pub id: TaskId,
    /// What was asked for.
    pub spec: TaskSpec,
    /// When it was accepted.
    pub submitted: Time,
    /// When the whole task runs out of time.
    pub deadline: Time,
    /// Grows with every record about the task. It is not kept exactly over a trim or restart, but never falls.
    pub revision: u32,
    /// Counted attempts of this generation.
    pub attempts: u32,
    /// Leases of this generation, counted or not.
    pub leases: u32,
    /// Whether it was started in this generation, or may have been. Lazily durable as the start of a lease is.
    pub ran: bool,
    /// Whether somebody asked for it to be cancelled.
    pub cancel_requested: bool,
    /// What its leases left behind. None: nothing; never one that has nothing in it.
    pub past: Option<Arc<Past>>,
    /// What it does.
    pub phase: Phase,
}

/// What the leases of a task left behind. Most tasks wait for their first one, and take no room for it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Past {
    /// How often it was replayed.
    pub replays: u32,
    /// Leases of this generation that ended because a worker was lost.
    pub worker_losses: u32,
    /// The [last token](Task::last_token) granted for it, unless it is under that lease.
    pub last_token: Option<Token>,
    /// Why the last attempt did not succeed.
    pub last_failure: Option<Arc<Failure>>,
    /// How its leases ended, those of earlier generations included. Empty: it never lost one.
    pub ledger: Ledger,
    /// Where the next attempt can go on from. Lazily durable, and gone with its end.
    pub checkpoint: Option<Arc<Checkpoint>>,
}

impl Past {
    /// What a task keeps of it.
    pub fn kept(self) -> Option<Arc<Self>> {
        (self != Self::default()).then(|| Arc::new(self))
    }
}

impl Task {
    /// A task that is accepted now.
    pub fn new(id: TaskId, spec: TaskSpec, now: Time) -> Self {
        let eligible = now + spec.initial_delay();
        let phase = if now < eligible {
            Phase::Scheduled { eligible, wait: Wait::Delay }
        } else {
            Phase::Queued
        };
        Self {
            id,
            submitted: now,
            deadline: now + spec.total_timeout.into(),
            spec,
            revision: 1,
            attempts: 0,
            leases: 0,
            ran: false,
            cancel_requested: false,
            past: None,
            phase,
        }
    }

    /// 1 at the submit, one more with each replay.
    pub fn generation(&self) -> u32 {
        1 + self.past.as_ref().map_or(0, |past| past.replays)
    }

    /// Leases of this generation that ended because a worker was lost.
    pub fn worker_losses(&self) -> u32 {
        self.past.as_ref().map_or(0, |past| past.worker_losses)
    }

    /// The last token granted for it, in any generation. A new one must be larger.
    pub fn last_token(&self) -> Option<Token> {
        match &self.phase {
            Phase::Leased(lease) => Some(lease.token),
            Phase::Scheduled { .. } | Phase::Queued => self.past.as_ref()?.last_token,
        }
    }

    /// When it could first be leased.
    pub(crate) fn first_ready(&self) -> Time {
        self.submitted + self.spec.initial_delay()
    }

    /// Why the last attempt did not succeed.
    pub fn last_failure(&self) -> Option<&Failure> {
        self.past.as_ref()?.last_failure.as_deref()
    }

    /// How its leases ended, if it ever lost one.
    pub fn ledger(&self) -> Option<&Ledger> {
        self.past.as_ref().map(|past| &past.ledger).filter(|ledger| !ledger.is_empty())
    }

    /// Where the next attempt can go on from.
    pub fn checkpoint(&self) -> Option<&Checkpoint> {
        self.past.as_ref()?.checkpoint.as_deref()
    }

    /// It is under no lease any more. The token of that stays its last one.
    pub fn leave_lease(&mut self, phase: Phase) {
        let last_token = self.last_token();
        self.phase = phase;
        self.leave(|past| past.last_token = last_token);
    }

    /// Changes what its leases left behind.
    pub(crate) fn leave(&mut self, change: impl FnOnce(&mut Past)) {
        change(Arc::make_mut(self.past.get_or_insert_with(Arc::<Past>::default)));
        self.past.take_if(|past| **past == Past::default());
    }

    /// Whether its lease ends when the grace of a revocation is over, answered or not.
    pub(crate) fn gives_up(&self, reason: RevocationReason) -> bool {
        let best_effort = self.spec.terms.exclusivity == Exclusivity::BestEffort;
        let best_effort = best_effort && !Mutant::SharedWaits.is_alive();
        Mutant::StrictGivesUp.is_alive() || best_effort || reason == RevocationReason::Cancelled
    }

    /// When it is not waited for a worker any longer.
    pub(crate) fn give_up_waiting(&self) -> Time {
        self.start_by().unwrap_or(Time::NEVER).min(self.deadline)
    }

    /// When its first start comes too late. A replay does not wait for the initial delay.
    pub(crate) fn start_by(&self) -> Option<Time> {
        let is_counted = !self.ran && !Mutant::QueueTimeoutForgotten.is_alive();
        let timeout = self.spec.terms.queue_timeout.filter(|_| is_counted)?;
        let opened = self.deadline - self.spec.total_timeout.into();
        let delay = if self.generation() == 1 { self.spec.initial_delay() } else { Duration::ZERO };
        Some(opened + delay + timeout)
    }

    /// Whether it may be started only once in a generation.
    pub(crate) fn runs_once(&self) -> bool {
        self.spec.terms.guarantee == Guarantee::AtMostOnce
    }

    /// The lease it is under.
    pub fn lease(&self) -> Option<&Lease> {
        match &self.phase {
            Phase::Leased(lease) => Some(lease),
            Phase::Scheduled { .. } | Phase::Queued => None,
        }
    }

    /// How many bytes its checkpoint takes.
    pub(crate) fn checkpoint_bytes(&self) -> u64 {
        self.checkpoint().map_or(0, |checkpoint| checkpoint.data.len() as u64)
    }

    /// How many bytes its attempts left behind: its checkpoint, its last failure and the ends of its leases.
    pub(crate) fn left_bytes(&self) -> u64 {
        let failure = self.last_failure().map_or(0, |last| {
            FAILURE_OVERHEAD_BYTES + (last.message.len() + last.details.len()) as u64
        });
        let ends = self.ends().iter().map(|end| END_OVERHEAD_BYTES + end.message.len() as u64);
        self.checkpoint_bytes() + failure + ends.sum::<u64>()
    }

    /// How its leases ended, oldest first, as far as that is kept.
    pub fn ends(&self) -> &[LeaseEnd] {
        self.past.as_ref().map(|past| past.ledger.ends()).unwrap_or_default()
    }

    /// The end of its newest lease, if the end of its worker's session was all there was of it and nothing came of the task
    /// since: its worker may still have a result. One that was asked to be cancelled, or runs at most once, ends with the
    /// session, so it is never here.
    pub(crate) fn unheard_end(&self) -> Option<&LeaseEnd> {
        let end = self.ends().last().filter(|_| self.lease().is_none())?;
        let is_newest = self.last_token() == Some(end.token) && self.generation() == end.generation;
        (is_newest && end.kind == EndKind::WorkerLost).then_some(end)
    }

    /// Whether the worker of the lease before was lost. One that its worker never started, or did not hold, is none of them.
    pub(crate) fn lost_its_last(&self) -> bool {
        let ends = self.ends().iter().rev().filter(|end| end.generation == self.generation());
        let mut begun =
            ends.filter(|end| !matches!(end.stop, StopProof::NotStarted | StopProof::NotHeld));
        begun.next().is_some_and(|end| end.kind == EndKind::WorkerLost)
    }

    pub(crate) fn lease_mut(&mut self) -> Option<&mut Lease> {
        match &mut self.phase {
            Phase::Leased(lease) => Some(lease),
            Phase::Scheduled { .. } | Phase::Queued => None,
        }
    }
}

/// What a task that has not ended does.
#[derive(Clone, Debug, PartialEq)]
pub enum Phase {
    /// Waits for a time.
    Scheduled {
        /// When it may be leased.
        eligible: Time,
        /// For what it waits.
        wait: Wait,
    },
    /// Could be leased.
    Queued,
    /// Is under a lease. Of many tasks few are: those that wait take no room for one.
    Leased(Box<Lease>),
}

/// For what a scheduled task waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Wait {
    /// Its initial delay.
    Delay,
    /// The backoff after a failure.
    Backoff,
}

/// The right of one worker to run one task.
#[derive(Clone, Debug, PartialEq)]
pub struct Lease {
    /// Its fencing token.
    pub token: Token,
    /// The worker.
    pub worker: Name,
    /// Which start of the worker's process.
    pub instance: Name,
    /// The session that holds it. Not durable: after a restart one without a stream, until the worker is back.
    pub session: Option<SessionId>,
    /// When it was granted.
    pub granted: Time,
    /// When the worker said that it started. Lazily durable.
    pub started: Option<Time>,
    /// Until when its attempt may run, if it was given more time than its task says.
    pub extended: Option<Time>,
    /// Why and since when it has to end. Lazily durable.
    pub revoking: Option<Revoking>,
    /// What the handler last reported. Not durable.
    pub progress: Option<Arc<Progress>>,
    /// When its handler last gave a sign of life, if later than its start. Not durable.
    pub heard: Option<Time>,
    /// From when the alarm of its silence is counted; no later than `heard`, which can so be a mere store. Not durable.
    pub silence_since: Option<Time>,
    /// What its queue and key were charged for when it was granted. Not durable: after a restart nobody has been charged for
    /// anything.
    pub reckoned: Reckoned,
}

/// A revocation under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Revoking {
    /// Why.
    pub reason: RevocationReason,
    /// Since when.
    pub since: Time,
    /// How long the handler may take.
    pub grace: Duration,
    /// When the worker had received it. Not durable while the lease goes on.
    pub delivered: Option<Time>,
}

/// Why a lease has to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RevocationReason {
    /// Somebody cancelled the task.
    Cancelled,
    /// The worker did not start it in time.
    StartTimeout,
    /// The attempt ran too long.
    AttemptTimeout,
    /// The attempt made no progress for too long.
    ProgressTimeout,
    /// The whole task ran out of time.
    TotalTimeout,
    /// The coordinator does not know the lease (any more).
    UnknownLease,
    /// An operator wants it.
    Operator,
}

/// What a handler reported while it ran.
#[derive(Clone, Debug, PartialEq)]
pub struct Progress {
    /// 0.0 to 1.0, if known.
    pub fraction: Option<f64>,
    /// One line for people.
    pub message: Name,
}

/// Why an attempt, or a whole task, did not succeed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The kind.
    pub reason: FailureReason,
    /// One line for people.
    pub message: Name,
    /// A stack, or the tail of stderr.
    pub details: Name,
    /// Whether it used up an attempt.
    pub counted: bool,
    /// The lease it happened under, if any.
    pub token: Option<Token>,
    /// The worker it happened on, if any.
    pub worker: Option<Name>,
    /// When the coordinator learned of it.
    pub time: Time,
}

/// The kinds of failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum FailureReason {
    /// The handler returned an error.
    Error,
    /// The handler panicked.
    Panic,
    /// The attempt took too long.
    AttemptTimeout,
    /// The task ran out of its total time.
    TotalTimeout,
    /// The worker was lost.
    WorkerLost,
    /// Its worker was lost too often.
    WorkerLossLimit,
    /// The result is larger than allowed, or malformed.
    ResultTooLarge,
    /// The worker did not start it in time.
    StartTimeout,
    /// It was cancelled while it ran.
    Cancelled,
    /// The worker handed it back.
    HandedBack,
    /// It may run at most once, and how it ended is not known.
    OutcomeUnknown,
    /// It waited too long for its first start.
    QueueTimeout,
    /// The attempt hung: it made no progress for too long.
    ProgressTimeout,
    /// An operator took its lease away.
    Revoked,
}

/// How a task ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Ending {
    /// The handler returned a result.
    Succeeded,
    /// It will not be tried again.
    Failed,
    /// Somebody asked for it.
    Cancelled,
}

/// Why a task that has not ended is not being run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Blocked {
    /// Its initial delay is not over.
    Delayed,
    /// It waits before its next attempt.
    Backoff,
    /// Its queue is paused.
    QueuePaused,
    /// No connected worker serves its task type.
    NoEligibleWorker,
    /// Every eligible worker's slots are taken.
    NoCapacity,
    /// A rate that its lease would count against is used up.
    RateLimited,
    /// All permits that its lease would take one of are held.
    ConcurrencyLimit,
    /// A circuit that its lease would have to pass is open, or half-open with as many probes as it lets through.
    CircuitOpen,
    /// It has failed before, and a retry budget that its lease would be paid from is used up.
    RetryBudget,
}

impl Blocked {
    /// Whether another worker could take the task now.
    pub const fn is_for_a_worker(self) -> bool {
        match self {
            Self::NoEligibleWorker | Self::NoCapacity => true,
            Self::Delayed
            | Self::Backoff
            | Self::QueuePaused
            | Self::RateLimited
            | Self::ConcurrencyLimit
            | Self::CircuitOpen
            | Self::RetryBudget => false,
        }
    }
}
