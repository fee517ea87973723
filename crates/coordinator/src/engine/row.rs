//! The rows of the people's tables.

use std::time::Duration;

use leasehold_journal::{Class, FailedRow, FinishedRow};
use leasehold_queue::{Ended, Ending, FailureReason, Task};
use serde_json::{Value, json};

use crate::{codec, view};

/// How many characters of a stack or stderr tail a row keeps.
const ERROR_STACK_CHARS_MAX: usize = 2_000;

/// Where the trace id stands in a `traceparent`: behind the version and a dash.
const TRACE_ID: std::ops::Range<usize> = 3..35;

/// The trace id of a task as 32 hex digits; empty if it has none.
pub(crate) fn trace_id(task: &Task) -> &str {
    let parent = task.spec.trace.as_ref().map(|trace| &*trace.parent);
    parent.and_then(|parent| parent.get(TRACE_ID)).unwrap_or_default()
}

/// The row of a task that succeeded or was cancelled.
pub(crate) fn finished(ended: &Ended, class: Class, retention: Duration) -> FinishedRow {
    let Ended { task, result, time, .. } = ended;
    FinishedRow {
        row_id: task.id.serial(),
        task_id: task.id.as_u128().to_be_bytes(),
        queue: task.spec.queue.to_string(),
        task_type: task.spec.task_type.to_string(),
        class,
        attempts: task.attempts,
        submit_ms: task.submitted.unix_ms(),
        finish_ms: time.unix_ms(),
        expire_ms: (*time + retention).unix_ms(),
        trace_id: trace_id(task).to_owned(),
        result: result.clone(),
        state: codec::encode_state(ended),
        leases: leases(ended),
    }
}

/// The row of a dead letter.
pub(crate) fn failed(ended: &Ended, retention: Duration) -> FailedRow {
    let Ended { task, time, .. } = ended;
    let failure = task.last_failure();
    let stack = failure.map_or("", |failure| &failure.details);
    FailedRow {
        row_id: task.id.serial(),
        task_id: task.id.as_u128().to_be_bytes(),
        queue: task.spec.queue.to_string(),
        task_type: task.spec.task_type.to_string(),
        generation: task.generation(),
        attempts: task.attempts,
        reason: failure.map_or("", |failure| reason(failure.reason)).to_owned(),
        error: failure.map_or_else(String::new, |failure| failure.message.to_string()),
        error_stack: stack.chars().take(ERROR_STACK_CHARS_MAX).collect(),
        submit_ms: task.submitted.unix_ms(),
        finish_ms: time.unix_ms(),
        expire_ms: (*time + retention).unix_ms(),
        trace_id: trace_id(task).to_owned(),
        payload: task.spec.payload.bytes().unwrap_or_default(),
        state: codec::encode_state(ended),
        leases: leases(ended),
    }
}

/// The kind of failure as people read it: the name of the contract, without its prefix.
pub(crate) const fn reason(reason: FailureReason) -> &'static str {
    match reason {
        FailureReason::Error => "ERROR",
        FailureReason::Panic => "PANIC",
        FailureReason::AttemptTimeout => "ATTEMPT_TIMEOUT",
        FailureReason::TotalTimeout => "TOTAL_TIMEOUT",
        FailureReason::WorkerLost => "WORKER_LOST",
        FailureReason::WorkerLossLimit => "WORKER_LOSS_LIMIT",
        FailureReason::ResultTooLarge => "RESULT_TOO_LARGE",
        FailureReason::StartTimeout => "START_TIMEOUT",
        FailureReason::Cancelled => "CANCELLED",
        FailureReason::HandedBack => "HANDED_BACK",
        FailureReason::ProgressTimeout => "PROGRESS_TIMEOUT",
        FailureReason::QueueTimeout => "QUEUE_TIMEOUT",
        FailureReason::OutcomeUnknown => "OUTCOME_UNKNOWN",
        FailureReason::Revoked => "REVOKED",
    }
}

/// How the leases of a task ended, as a JSON array: names and words as in the contract. Empty if the first one succeeded,
/// as most do: then the other columns say it all.
fn leases(ended: &Ended) -> String {
    let ends = ended.task.ends();
    if ends.is_empty() || (ended.ending == Ending::Succeeded && ends.len() == 1) {
        return String::new();
    }
    let ms = |time: Option<leasehold_policy::Time>| time.map(leasehold_policy::Time::unix_ms);
    let end = |end: &leasehold_queue::LeaseEnd| {
        let revoking = end.revoking;
        let reason = revoking.map(|it| word(view::revocation_reason(it.reason).as_str_name()));
        let said = json!({
            "fencing_token": end.token.as_i64(),
            "worker_id": &*end.worker,
            "generation": end.generation,
            "attempt": end.attempt,
            "grant_ms": end.granted.unix_ms(),
            "start_ms": ms(end.started),
            "revocation": reason,
            "revoke_ms": ms(revoking.map(|it| it.since)),
            "revoke_delivered_ms": ms(revoking.and_then(|it| it.delivered)),
            "end_ms": end.ended.unix_ms(),
            "kind": word(view::end_kind(end.kind).as_str_name()),
            "stop": word(view::stop_proof(end.stop).as_str_name()),
            "charge": word(view::charge(end.charge).as_str_name()),
            "message": &*end.message,
        });
        let Value::Object(mut said) = said else { return said };
        said.retain(|_, value| !value.is_null());
        Value::Object(said)
    };
    Value::Array(ends.iter().map(end).collect()).to_string()
}

/// A value of the contract without the name of its enum, which is all that comes before.
fn word(name: &str) -> &str {
    let prefixes = ["REVOCATION_REASON_", "LEASE_END_KIND_", "STOP_PROOF_", "LEASE_CHARGE_"];
    prefixes.iter().find_map(|prefix| name.strip_prefix(prefix)).unwrap_or(name)
}
