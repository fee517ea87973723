//! How the leases of a task ended: one entry each, kept for people as long as the task is.
//!
//! It is only remembered here and decides nothing: what a task may still cost is counted in [`Task`](crate::Task).

use leasehold_policy::Time;

use crate::{FailureReason, Name, Revoking, Token};

/// How many ends a task keeps: more than the attempts and losses that most may have, and at most some 4 KiB.
pub const ENDS_MAX: usize = 16;

/// How much of a message an end keeps; the whole of the last one is in the task's last failure.
const MESSAGE_CHARS_MAX: usize = 200;

/// The ends of a task's leases, oldest first. A lease whose worker was lost and had a result all the same has two: the second
/// one says so. When there are too many, the second oldest is forgotten: how it began and how
/// it goes on says more than what is in between.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ledger {
    ends: Vec<LeaseEnd>,
    forgotten: u32,
}

impl Ledger {
    /// A ledger of these ends, the first ones of which were kept, after so many that were not.
    pub fn new(ends: impl IntoIterator<Item = LeaseEnd>, forgotten: u32) -> Self {
        let mut ledger = Self { ends: Vec::new(), forgotten };
        ends.into_iter().for_each(|end| ledger.push(end));
        ledger
    }

    /// The ends that are kept.
    pub fn ends(&self) -> &[LeaseEnd] {
        &self.ends
    }

    /// Whether the task never lost a lease.
    pub(crate) fn is_empty(&self) -> bool {
        self.ends.is_empty() && self.forgotten == 0
    }

    /// How many are not, all between the first and the second that are.
    pub const fn forgotten(&self) -> u32 {
        self.forgotten
    }

    pub(crate) fn push(&mut self, end: LeaseEnd) {
        if self.ends.len() == ENDS_MAX {
            self.ends.remove(1);
            self.forgotten = self.forgotten.saturating_add(1);
        }
        if self.ends.is_empty() {
            // Most tasks end with their first lease.
            self.ends.reserve_exact(1);
        }
        self.ends.push(end);
    }
}

/// A lease that ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeaseEnd {
    /// Its fencing token.
    pub token: Token,
    /// The worker that held it.
    pub worker: Name,
    /// Which start of the worker's process.
    pub instance: Name,
    /// The generation of the task it was granted in.
    pub generation: u32,
    /// The attempt it was, counting from 1 in each generation. One that cost no attempt shares its number with the next.
    pub attempt: u32,
    /// When it was granted.
    pub granted: Time,
    /// When its worker said that it started.
    pub started: Option<Time>,
    /// Why and since when it had to end, if it was revoked.
    pub revoking: Option<Revoking>,
    /// When it ended, as far as the task is concerned.
    pub ended: Time,
    /// How.
    pub kind: EndKind,
    /// What is known of its work.
    pub stop: StopProof,
    /// What it cost.
    pub charge: Charge,
    /// Until when the task waited before it could be leased again, if it did.
    pub eligible: Option<Time>,
    /// One line for people; empty if the kind says it all.
    pub message: Name,
}

/// The kinds of end of a lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum EndKind {
    /// The handler returned a result.
    Succeeded,
    /// The handler returned an error.
    Error,
    /// The handler panicked.
    Panic,
    /// The result was larger than allowed, or malformed.
    ResultTooLarge,
    /// The attempt ran too long and was stopped.
    AttemptTimeout,
    /// The attempt made no progress for too long and was stopped.
    ProgressTimeout,
    /// The whole task ran out of time.
    TotalTimeout,
    /// It was not started in time.
    StartTimeout,
    /// The task was cancelled.
    Cancelled,
    /// The worker had no slot for it.
    NoCapacity,
    /// The worker does not serve its type.
    Unsupported,
    /// It was granted ahead, not started, and taken back.
    Retracted,
    /// An operator took it away.
    Revoked,
    /// The worker drained or left, and handed it back.
    Drained,
    /// The worker did not believe in its session any more and stopped it by itself.
    Fenced,
    /// The worker's session ran out.
    WorkerLost,
    /// The worker lives and does not hold it.
    NotHeld,
}

/// What is known of the work of a lease that ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum StopProof {
    /// The handler returned.
    Returned,
    /// The handler was dropped at an await point.
    Aborted,
    /// Its process group was killed.
    Killed,
    /// It had not been started.
    NotStarted,
    /// Its worker named all that it still holds, and this was not among it.
    NotHeld,
    /// Nothing: the worker had not answered when the lease ended.
    Unproved,
    /// Its worker's process was gone with all that it had started, as the next start of the worker said.
    ProcessGone,
}

/// What the end of a lease was charged to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Charge {
    /// The attempts a task may have.
    Attempt,
    /// The workers a task may lose.
    WorkerLoss,
    /// Neither.
    Nothing,
}

/// What a record says of a lease's end beside what it means for the task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndFact {
    /// How it ended.
    pub kind: EndKind,
    /// What is known of its work.
    pub stop: StopProof,
    /// When the worker had received its revocation, if it had.
    pub delivered: Option<Time>,
    /// What the worker said, where the failure of the record says something else. Otherwise empty.
    pub message: Name,
}

impl EndFact {
    /// What can be concluded from a failure, for records that were written without the fact. None: it succeeded.
    pub(crate) fn concluded(failure: Option<FailureReason>) -> Self {
        let kind = failure.map_or(EndKind::Succeeded, EndKind::from);
        let stop = match kind {
            EndKind::Succeeded | EndKind::Error | EndKind::Panic | EndKind::ResultTooLarge => {
                StopProof::Returned
            }
            EndKind::NoCapacity | EndKind::Unsupported | EndKind::Retracted => {
                StopProof::NotStarted
            }
            EndKind::Drained | EndKind::NotHeld => StopProof::NotHeld,
            EndKind::AttemptTimeout
            | EndKind::ProgressTimeout
            | EndKind::TotalTimeout
            | EndKind::StartTimeout
            | EndKind::Cancelled
            | EndKind::Revoked
            | EndKind::Fenced
            | EndKind::WorkerLost => StopProof::Unproved,
        };
        Self { kind, stop, delivered: None, message: Name::default() }
    }
}

impl From<FailureReason> for EndKind {
    fn from(reason: FailureReason) -> Self {
        match reason {
            FailureReason::Error => Self::Error,
            FailureReason::Panic => Self::Panic,
            FailureReason::AttemptTimeout => Self::AttemptTimeout,
            FailureReason::ProgressTimeout => Self::ProgressTimeout,
            FailureReason::TotalTimeout => Self::TotalTimeout,
            FailureReason::WorkerLost
            | FailureReason::WorkerLossLimit
            | FailureReason::OutcomeUnknown => Self::WorkerLost,
            FailureReason::ResultTooLarge => Self::ResultTooLarge,
            FailureReason::StartTimeout | FailureReason::QueueTimeout => Self::StartTimeout,
            FailureReason::Cancelled => Self::Cancelled,
            FailureReason::HandedBack => Self::Drained,
            FailureReason::Revoked => Self::Revoked,
        }
    }
}

/// The beginning of a message, shared if that is all of it.
pub(crate) fn shortened(message: &Name) -> Name {
    match message.char_indices().nth(MESSAGE_CHARS_MAX) {
        Some((end, _)) => message.get(..end).unwrap_or_default().into(),
        None => Name::clone(message),
    }
}

#[cfg(test)]
mod tests;
