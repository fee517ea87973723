//! What the worker says of work that ended.

use leasehold_policy::Mutant;
use leasehold_proto::v1::{self, lease_outcome::Outcome};

use super::lease::{Lease, StopReason};
use crate::outcome::{End, Failure};

/// The outcome of a lease whose work ended. `None`: nobody wants to know.
///
/// The truth wins: a result counts even if the work had been asked to stop. A failure after such a request is the
/// request's doing, and means what the request meant.
pub(super) fn outcome(lease: &Lease, end: End, result_bytes_max: usize) -> Option<Outcome> {
    match (lease.stage.stop_reason(), end) {
        (Some(StopReason::Forgotten), _) => None,
        (_, End::Returned(Ok(result))) if result.len() > result_bytes_max => {
            Some(failed(too_large(result_bytes_max)))
        }
        (_, End::Returned(Ok(result))) => Some(Outcome::Success(v1::Success { result })),
        (None, End::Returned(Err(failure))) => Some(failed(failure)),
        (None, end @ End::Aborted) => {
            Some(stopped(Failure::error("the worker's runtime was shut down"), &end))
        }
        (None, end @ End::Killed) => {
            Some(stopped(Failure::error("the program's group was killed"), &end))
        }
        (None, end @ End::NotStarted) => Some(handed_back(v1::DeclineReason::NoCapacity, &end)),
        // A worker that stops unasked does not believe in its session: the coordinator knows what that costs.
        (Some(StopReason::Fenced), end) if Mutant::DoubtSaidAsDrain.is_alive() => {
            Some(handed_back(v1::DeclineReason::Draining, &end))
        }
        (Some(StopReason::Revoked(_) | StopReason::Fenced), end) => {
            let (method, started) = (stop_method(&end).into(), end != End::NotStarted);
            Some(Outcome::Stopped(v1::Stopped { method, started }))
        }
        (Some(StopReason::AttemptTimeout), end) => {
            let limit = lease.assignment.attempt_timeout.unwrap_or_default();
            Some(timed_out(&format!("attempt timeout: not done after {limit:?}"), &end))
        }
        (Some(StopReason::TotalTimeout), end) => {
            Some(timed_out("total timeout: the whole task ran out of time", &end))
        }
        // It is not the task's fault, and a task handed back costs no attempt.
        (Some(StopReason::Drained), end) => Some(handed_back(v1::DeclineReason::Draining, &end)),
    }
}

/// The outcome of a lease that was not worked on.
pub(super) fn declined(reason: v1::DeclineReason) -> Outcome {
    handed_back(reason, &End::NotStarted)
}

fn handed_back(reason: v1::DeclineReason, end: &End) -> Outcome {
    let (reason, stop_method) = (reason.into(), stop_method(end).into());
    Outcome::Declined(v1::Declined { reason, stop_method })
}

/// The outcome of a revoked lease that had not been started.
pub(super) fn not_started() -> Outcome {
    Outcome::Stopped(v1::Stopped { method: v1::StopMethod::NotStarted.into(), started: false })
}

/// The failure of a handler whose result is larger than the coordinator accepts.
pub(crate) fn too_large(result_bytes_max: usize) -> Failure {
    let message = format!("the result is larger than {result_bytes_max} bytes");
    Failure::new(v1::FailureReason::ResultTooLarge, &message, "")
}

fn timed_out(message: &str, end: &End) -> Outcome {
    let details = match end {
        End::Returned(Err(Failure(failure))) if failure.details.is_empty() => &failure.message,
        End::Returned(Err(Failure(failure))) => &failure.details,
        End::Returned(Ok(_)) | End::Aborted | End::Killed | End::NotStarted => "",
    };
    stopped(Failure::new(v1::FailureReason::AttemptTimeout, message, details), end)
}

/// The failure of a handler that was made to stop.
fn stopped(Failure(failure): Failure, end: &End) -> Outcome {
    Outcome::Failure(v1::AttemptFailure { stop_method: stop_method(end).into(), ..*failure })
}

fn failed(Failure(failure): Failure) -> Outcome {
    Outcome::Failure(*failure)
}

fn stop_method(end: &End) -> v1::StopMethod {
    match end {
        End::Returned(_) => v1::StopMethod::Returned,
        End::Aborted => v1::StopMethod::Aborted,
        End::Killed => v1::StopMethod::Killed,
        End::NotStarted => v1::StopMethod::NotStarted,
    }
}
