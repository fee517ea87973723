//! The values a label can take.

use leasehold_policy::Turn;
use leasehold_queue::{EndKind, Ending, RevocationReason};

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

label!(EndKind, "outcome", {
    Succeeded => "succeeded",
    Error => "error",
    Panic => "panic",
    ResultTooLarge => "result_too_large",
    AttemptTimeout => "attempt_timeout",
    ProgressTimeout => "progress_timeout",
    TotalTimeout => "total_timeout",
    StartTimeout => "start_timeout",
    Cancelled => "cancelled",
    NoCapacity => "no_capacity",
    Unsupported => "unsupported",
    Retracted => "retracted",
    Revoked => "revoked",
    Drained => "drained",
    Fenced => "fenced",
    WorkerLost => "worker_lost",
    NotHeld => "not_held",
});

label!(Turn, "to", {
    Opened => "open",
    HalfOpened => "half_open",
    Closed => "closed",
});

/// How far a revocation came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RevocationStage {
    /// The worker had received it.
    Delivered,
    /// The lease ended, and its work was known to be over.
    Stopped,
    /// The lease ended, and nothing was known of its work.
    Unproved,
}

label!(RevocationStage, "stage", {
    Delivered => "delivered",
    Stopped => "stopped",
    Unproved => "unproved",
});

/// What became of a checkpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CheckpointFate {
    /// The next attempt gets it.
    Kept,
    /// Its lease was not the current one of its task.
    Stale,
    /// It is larger than allowed.
    TooLarge,
    /// Open tasks take as much as they may.
    NoRoom,
    /// The disk has little room.
    StorageFull,
}

label!(CheckpointFate, "fate", {
    Kept => "kept",
    Stale => "stale",
    TooLarge => "too_large",
    NoRoom => "no_room",
    StorageFull => "storage_full",
});

/// What became of a look at the configuration file that saw something new, or was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReloadResult {
    /// It holds.
    Applied,
    /// It says what holds already, or what only a restart brings.
    Unchanged,
    /// It is wrong, and changes nothing.
    Refused,
}

label!(ReloadResult, "result", {
    Applied => "applied",
    Unchanged => "unchanged",
    Refused => "refused",
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
    /// An operator gave it up.
    Evicted,
}

label!(WorkerState, "state", {
    Active => "active",
    Draining => "draining",
    Quarantined => "quarantined",
    Disconnected => "disconnected",
    Evicted => "evicted",
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
    /// It is among the used ones, and its work cannot be stopped.
    Lost,
}

label!(SlotState, "state", {
    Used => "used",
    Free => "free",
    Draining => "draining",
    Lost => "lost",
});

/// Which way a pool is scaled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scaled {
    /// More workers.
    Up,
    /// Fewer.
    Down,
}

label!(Scaled, "direction", {
    Up => "up",
    Down => "down",
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
    ProgressTimeout => "progress_timeout",
    TotalTimeout => "total_timeout",
    UnknownLease => "unknown_lease",
    Operator => "operator",
});
