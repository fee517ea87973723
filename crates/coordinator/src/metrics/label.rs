//! The values a label can take.

use leasehold_queue::{Ending, FailureReason, RevocationReason};

/// A label whose values are known from the start.
pub(super) trait Label: Copy + 'static {
    /// The name of the label.
    const NAME: &'static str;
    /// Every value.
    const ALL: &'static [Self];

    /// The value as it is printed.
    fn value(self) -> &'static str;

    /// The place of the value in [`Self::ALL`].
    fn index(self) -> usize;
}

/// Spells out a label: the enum, its name and its values in order.
macro_rules! label {
    ($type:ty, $name:literal, { $($variant:ident => $value:literal),+ $(,)? }) => {
        impl Label for $type {
            const NAME: &'static str = $name;
            const ALL: &'static [Self] = &[$(Self::$variant),+];

            fn value(self) -> &'static str {
                match self {
                    $(Self::$variant => $value),+
                }
            }

            fn index(self) -> usize {
                self as usize
            }
        }
    };
}

/// How a lease ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AttemptOutcome {
    /// The handler returned a result.
    Succeeded,
    /// The handler returned an error, or a result that cannot be taken.
    Error,
    /// The attempt, or the whole task, ran out of time.
    Timeout,
    /// The handler panicked.
    Panic,
    /// It was stopped because the task was cancelled.
    Cancelled,
    /// The worker was lost.
    WorkerLost,
    /// It was not worked on, or was handed back: it cost no attempt.
    NotRun,
}

impl From<FailureReason> for AttemptOutcome {
    fn from(reason: FailureReason) -> Self {
        match reason {
            FailureReason::Error | FailureReason::ResultTooLarge => Self::Error,
            FailureReason::Panic => Self::Panic,
            FailureReason::AttemptTimeout | FailureReason::TotalTimeout => Self::Timeout,
            FailureReason::WorkerLost | FailureReason::WorkerLossLimit => Self::WorkerLost,
            FailureReason::Cancelled => Self::Cancelled,
            FailureReason::StartTimeout | FailureReason::HandedBack => Self::NotRun,
        }
    }
}

label!(AttemptOutcome, "outcome", {
    Succeeded => "succeeded",
    Error => "error",
    Timeout => "timeout",
    Panic => "panic",
    Cancelled => "cancelled",
    WorkerLost => "worker_lost",
    NotRun => "not_run",
});

/// Where a task is that has not ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TaskState {
    /// Waits for a time.
    Scheduled,
    /// Could be leased.
    Queued,
    /// Leased, not started.
    Leased,
    /// Started.
    Running,
    /// Told to stop.
    Cancelling,
}

label!(TaskState, "state", {
    Scheduled => "scheduled",
    Queued => "queued",
    Leased => "leased",
    Running => "running",
    Cancelling => "cancelling",
});

/// How a worker's session is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WorkerState {
    /// Connected, takes leases.
    Active,
    /// Connected, finishes what it has.
    Draining,
    /// Did not answer a revocation in time.
    Quarantined,
    /// Its stream is gone.
    Disconnected,
}

label!(WorkerState, "state", {
    Active => "active",
    Draining => "draining",
    Quarantined => "quarantined",
    Disconnected => "disconnected",
});

/// What becomes of a worker's slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SlotState {
    /// A lease holds it.
    Used,
    /// It takes the next lease.
    Free,
    /// It is empty and its worker takes nothing new.
    Draining,
}

label!(SlotState, "state", {
    Used => "used",
    Free => "free",
    Draining => "draining",
});

label!(Ending, "outcome", {
    Succeeded => "succeeded",
    Failed => "failed",
    Cancelled => "cancelled",
});

label!(RevocationReason, "reason", {
    Cancelled => "cancelled",
    StartTimeout => "start_timeout",
    AttemptTimeout => "attempt_timeout",
    TotalTimeout => "total_timeout",
    UnknownLease => "unknown_lease",
});
