//! What a worker says after its hello, as the queue understands it.

use bytes::Bytes;
use leasehold_policy::Time;
use leasehold_proto::{
    duration::from_wire,
    v1::{self, lease_outcome::Outcome as Said, worker_event::Event},
};
use leasehold_queue::{
    Command, DeclineReason, Failure, FailureReason, Name, Outcome, Progress, Size, StopProof,
    StreamId, Token,
};

use super::hello::{self, CAPACITY_RULE, HELD_MAX, SLOTS_MAX};
use crate::{
    config::DURATION_MAX,
    refusal::{Reason, Refusal},
    request::Liveness,
};

/// Longer texts are cut.
const FAILURE_CHARS_MAX: usize = 2_000;
const PROGRESS_CHARS_MAX: usize = 500;

/// As busy as a processor can be, in thousandths.
const CPU_PERMILLE_MAX: i32 = 1_000;

/// What a request for more time has to keep to.
const EXTENSION_RULE: &str = "ExtendLease.remaining is more than nothing and at most a year: leave out what asks for neither";

/// Reads one event. None: it is of a kind this version does not know.
pub(super) fn read(
    stream: StreamId,
    event: v1::WorkerEvent,
    result_bytes_max: u64,
) -> Result<Option<Liveness>, Refusal> {
    let Some(event) = event.event else { return Ok(None) };
    let command = match event {
        Event::Hello(_) => return Err(violation("a worker says Hello once, at first")),
        Event::Heartbeat(heartbeat) => return self::heartbeat(stream, &heartbeat).map(Some),
        Event::Capacity(capacity) => {
            let (Size { slots, resources }, prefetch) =
                hello::capacity(&capacity).ok_or_else(|| violation(CAPACITY_RULE))?;
            Command::Capacity { stream, slots, resources, prefetch }
        }
        Event::SlotsLost(v1::SlotsLost { count }) => {
            let count = u32::try_from(count).ok().filter(|count| *count <= SLOTS_MAX);
            Command::SlotsLost { stream, count: count.ok_or_else(|| violation(CAPACITY_RULE))? }
        }
        Event::LeaseStarted(v1::LeaseStarted { fencing_token }) => {
            Command::Started { stream, token: Token::from_i64(fencing_token) }
        }
        Event::LeaseProgress(v1::LeaseProgress { fencing_token, progress }) => {
            let token = Token::from_i64(fencing_token);
            return Ok(Some(read_progress(stream, token, progress.unwrap_or_default())));
        }
        Event::ExtendLease(v1::ExtendLease { fencing_token, remaining }) => {
            let wanted = remaining.and_then(|it| from_wire(&it).ok());
            let in_range = wanted.filter(|it| !it.is_zero() && *it <= DURATION_MAX);
            let remaining = in_range.ok_or_else(|| violation(EXTENSION_RULE))?;
            Command::Extend { stream, token: Token::from_i64(fencing_token), remaining }
        }
        Event::LeaseOutcome(v1::LeaseOutcome { fencing_token, outcome, run_time }) => {
            let proof = run_time.map(|_| StopProof::Aborted);
            let (token, outcome) =
                (Token::from_i64(fencing_token), read_outcome(outcome, proof, result_bytes_max));
            let ran = run_time.and_then(|it| from_wire(&it).ok());
            Command::Outcome { stream, token, outcome, ran }
        }
        Event::WorkerDrain(_) => Command::Drain { stream },
        Event::Goodbye(_) => Command::Goodbye { stream },
    };
    Ok(Some(Liveness::Event(command)))
}

/// A worker did what the protocol does not allow.
pub(super) fn violation(message: impl Into<String>) -> Refusal {
    Refusal::new(Reason::ProtocolViolation, message)
}

fn heartbeat(stream: StreamId, heartbeat: &v1::Heartbeat) -> Result<Liveness, Refusal> {
    let v1::Heartbeat { sequence, held_tokens, load } = heartbeat;
    if HELD_MAX < held_tokens.len() {
        return Err(violation(format!("a worker holds at most {HELD_MAX} leases")));
    }
    let held = held_tokens.iter().copied().map(Token::from_i64).collect();
    // A worker that measures strangely is not worth a stream: it is as busy as can be, or not at all.
    let cpu = load.and_then(|load| load.cpu_permille).map(|cpu| cpu.clamp(0, CPU_PERMILLE_MAX));
    let cpu = cpu.and_then(|cpu| u16::try_from(cpu).ok());
    Ok(Liveness::Heartbeat { stream, sequence: *sequence, held, cpu })
}

/// A checkpoint alone says nothing else.
fn read_progress(stream: StreamId, token: Token, said: v1::Progress) -> Liveness {
    let v1::Progress { fraction, message, checkpoint } = said;
    let is_told = checkpoint.is_none() || fraction.is_some() || !message.is_empty();
    let progress = is_told.then(|| Progress {
        fraction: fraction.filter(|it| it.is_finite()).map(|it| it.clamp(0.0, 1.0)),
        message: cut(&message, PROGRESS_CHARS_MAX),
    });
    // Of its own, so that it does not keep the frame in memory for as long as its task is open.
    let checkpoint = checkpoint.map(|data| Bytes::copy_from_slice(&data));
    Liveness::Progress { stream, token, progress, checkpoint }
}

/// `ran`: what is known of the work at the least, if it ran for a time.
fn read_outcome(outcome: Option<Said>, ran: Option<StopProof>, result_bytes_max: u64) -> Outcome {
    match outcome {
        Some(Said::Success(v1::Success { result })) => succeeded(result, result_bytes_max),
        Some(Said::Failure(failure)) => failed(&failure),
        Some(Said::Stopped(stopped)) => {
            Outcome::Stopped(stop(stopped.method()).unwrap_or(StopProof::Aborted))
        }
        Some(Said::Declined(declined)) => {
            let reason = match declined.reason() {
                v1::DeclineReason::Unspecified | v1::DeclineReason::NoCapacity => {
                    DeclineReason::NoCapacity
                }
                v1::DeclineReason::Unsupported => DeclineReason::Unsupported,
                v1::DeclineReason::Draining => DeclineReason::Draining,
                v1::DeclineReason::Retracted => DeclineReason::Retracted,
                v1::DeclineReason::StartTimeout => DeclineReason::StartTimeout,
            };
            let stop = stop(declined.stop_method()).or(ran).unwrap_or(StopProof::NotStarted);
            Outcome::Declined(reason, stop)
        }
        None => {
            let message = "the outcome is of a kind this coordinator does not know";
            Outcome::Invalid { failure: failure(FailureReason::Error, message, "") }
        }
    }
}

/// How work came to stop, if that was said.
const fn stop(method: v1::StopMethod) -> Option<StopProof> {
    match method {
        v1::StopMethod::Unspecified => None,
        v1::StopMethod::Returned => Some(StopProof::Returned),
        v1::StopMethod::Aborted => Some(StopProof::Aborted),
        v1::StopMethod::Killed => Some(StopProof::Killed),
        v1::StopMethod::NotStarted => Some(StopProof::NotStarted),
    }
}

fn succeeded(result: Bytes, bytes_max: u64) -> Outcome {
    let bytes = result.len() as u64;
    if bytes <= bytes_max {
        return Outcome::Succeeded { result };
    }
    let message =
        format!("the result has {bytes} bytes, more than the {bytes_max} of limits.result_bytes");
    Outcome::Invalid { failure: failure(FailureReason::ResultTooLarge, &message, "") }
}

fn failed(said: &v1::AttemptFailure) -> Outcome {
    let reason = match said.reason() {
        v1::FailureReason::Panic => FailureReason::Panic,
        v1::FailureReason::AttemptTimeout => FailureReason::AttemptTimeout,
        v1::FailureReason::ResultTooLarge => FailureReason::ResultTooLarge,
        // The rest is for the coordinator to find.
        v1::FailureReason::Unspecified
        | v1::FailureReason::Error
        | v1::FailureReason::TotalTimeout
        | v1::FailureReason::WorkerLost
        | v1::FailureReason::WorkerLossLimit
        | v1::FailureReason::StartTimeout
        | v1::FailureReason::Cancelled
        | v1::FailureReason::HandedBack
        | v1::FailureReason::ProgressTimeout
        | v1::FailureReason::QueueTimeout
        | v1::FailureReason::OutcomeUnknown
        | v1::FailureReason::Revoked => FailureReason::Error,
    };
    // A negative delay is none.
    let delay = said.retry_delay.and_then(|it| from_wire(&it).ok());
    Outcome::Failed {
        failure: failure(reason, &said.message, &said.details),
        retryable: !said.non_retryable,
        retry_delay: delay.unwrap_or_default().min(DURATION_MAX),
        stop: stop(said.stop_method()).unwrap_or(StopProof::Returned),
    }
}

/// The rest of it is known to the queue.
fn failure(reason: FailureReason, message: &str, details: &str) -> Failure {
    Failure {
        reason,
        message: cut(message, FAILURE_CHARS_MAX),
        details: cut(details, FAILURE_CHARS_MAX),
        counted: false,
        token: None,
        worker: None,
        time: Time::default(),
    }
}

fn cut(text: &str, chars_max: usize) -> Name {
    let end = text.char_indices().nth(chars_max).map_or(text.len(), |(end, _)| end);
    Name::from(text.get(..end).unwrap_or_default())
}

#[cfg(test)]
mod tests;
