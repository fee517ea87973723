//! The contract's values in the words of a table: states, reasons, times.

use std::time::{Duration, SystemTime};

use leasehold_client::v1::{
    BlockedReason, FailureReason, RevocationReason, Task, TaskState, WorkerState,
};
use prost_types::Timestamp;

use crate::{
    duration::brief,
    table::{Cell, Tone},
};

/// A state, coloured by what it means.
pub(crate) fn state(state: TaskState) -> Cell {
    let (word, tone) = match state {
        TaskState::Unspecified => ("unknown", Tone::Plain),
        TaskState::Scheduled => ("scheduled", Tone::Plain),
        TaskState::Queued => ("queued", Tone::Plain),
        TaskState::Leased => ("leased", Tone::Busy),
        TaskState::Running => ("running", Tone::Busy),
        TaskState::Cancelling => ("cancelling", Tone::Busy),
        TaskState::Succeeded => ("succeeded", Tone::Good),
        TaskState::Failed => ("failed", Tone::Bad),
        TaskState::Cancelled => ("cancelled", Tone::Faint),
    };
    Cell::toned(word, tone)
}

/// How a worker's session is.
pub(crate) fn worker_state(state: WorkerState) -> Cell {
    let (word, tone) = match state {
        WorkerState::Unspecified => ("unknown", Tone::Plain),
        WorkerState::Active => ("active", Tone::Good),
        WorkerState::Draining => ("draining", Tone::Busy),
        WorkerState::Quarantined => ("quarantined", Tone::Bad),
        WorkerState::Disconnected => ("disconnected", Tone::Bad),
    };
    Cell::toned(word, tone)
}

/// Why a task waits, in a sentence; `None` when it does not.
pub(crate) fn blocked(task: &Task) -> Option<String> {
    let task_type = task.spec.as_ref().map_or("", |spec| spec.task_type.as_str());
    let queue = task.spec.as_ref().map_or("", |spec| spec.queue.as_str());
    match task.blocked_reason() {
        BlockedReason::Unspecified => None,
        BlockedReason::Delayed => Some("its delay is not over".to_owned()),
        BlockedReason::Backoff => Some("it failed and waits for its next attempt".to_owned()),
        BlockedReason::QueuePaused => {
            Some(format!("queue {queue} is paused; leasehold queue resume {queue}"))
        }
        BlockedReason::NoEligibleWorker => {
            Some(format!("no connected worker serves task type {task_type}"))
        }
        BlockedReason::NoCapacity => {
            Some(format!("all slots of the workers that serve {task_type} are taken"))
        }
    }
}

/// What the handler last reported; `None` when it reported nothing.
pub(crate) fn progress(task: &Task) -> Option<String> {
    let progress = task.progress.as_ref()?;
    let percent = progress.fraction.map(|fraction| format!("{:.0} %", fraction * 100.0));
    let parts = [percent.unwrap_or_default(), progress.message.clone()];
    let said: Vec<String> = parts.into_iter().filter(|part| !part.is_empty()).collect();
    (!said.is_empty()).then(|| said.join(" "))
}

/// A kind of failure.
pub(crate) fn failure_reason(reason: FailureReason) -> &'static str {
    match reason {
        FailureReason::Unspecified | FailureReason::Error => "error",
        FailureReason::Panic => "panic",
        FailureReason::AttemptTimeout => "attempt timeout",
        FailureReason::TotalTimeout => "total timeout",
        FailureReason::WorkerLost => "worker lost",
        FailureReason::WorkerLossLimit => "worker loss limit",
        FailureReason::ResultTooLarge => "result too large",
        FailureReason::StartTimeout => "start timeout",
        FailureReason::Cancelled => "cancelled",
        FailureReason::HandedBack => "handed back",
    }
}

/// Why a lease was revoked; `None` when it was not.
pub(crate) fn revocation(reason: RevocationReason) -> Option<&'static str> {
    match reason {
        RevocationReason::Unspecified => None,
        RevocationReason::Cancelled => Some("cancelled"),
        RevocationReason::StartTimeout => Some("start timeout"),
        RevocationReason::AttemptTimeout => Some("attempt timeout"),
        RevocationReason::TotalTimeout => Some("total timeout"),
        RevocationReason::UnknownLease => Some("unknown lease"),
        RevocationReason::Retracted => Some("taken back"),
    }
}

/// How long ago a time was, or how far ahead it is; a dash when there is none.
pub(crate) fn age(time: Option<&Timestamp>, now: SystemTime) -> String {
    let Some(time) = time.and_then(|time| SystemTime::try_from(*time).ok()) else {
        return "-".to_owned();
    };
    match now.duration_since(time) {
        Ok(ago) => format!("{} ago", brief(ago)),
        Err(ahead) => format!("in {}", brief(ahead.duration())),
    }
}

/// A time and its age.
pub(crate) fn time(time: &Timestamp, now: SystemTime) -> String {
    format!("{time} ({})", age(Some(time), now))
}

/// A duration of the contract for a glance; a dash when there is none.
pub(crate) fn span(duration: Option<&prost_types::Duration>) -> String {
    duration
        .and_then(|duration| Duration::try_from(*duration).ok())
        .map_or_else(|| "-".to_owned(), brief)
}

#[cfg(test)]
mod tests;
