//! The environment a program finds.

use std::{
    collections::BTreeMap,
    ffi::{OsStr, OsString},
    path::Path,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use super::Attempt;
use crate::{isolated::MARKER, outcome::Failure, size::Size};

/// The largest environment. The system's own limit is larger, but it is shared with the arguments and its error
/// ("argument list too long") sends people looking in the wrong place.
pub(super) const BYTES_MAX: usize = 128 << 10;

/// The variables of an attempt that not every attempt has.
const DEADLINE: &str = "LEASEHOLD_DEADLINE";
const TASK_DEADLINE: &str = "LEASEHOLD_TASK_DEADLINE";
const CHECKPOINT: &str = "LEASEHOLD_CHECKPOINT";

/// How large a checkpoint may be. An isolated function's process looks here as well.
pub(crate) const CHECKPOINT_BYTES_MAX: &str = "LEASEHOLD_CHECKPOINT_BYTES_MAX";

/// What a worker that was started by an attempt of another worker inherits, and none of its own attempts may.
const FOREIGN: [&str; 4] = [DEADLINE, TASK_DEADLINE, CHECKPOINT, MARKER];

/// Everything a program finds in its environment: the worker's own, what the worker's owner adds, the attempt's.
pub(super) fn of(
    attempt: &Attempt,
    checkpoint: Option<&Path>,
) -> Result<BTreeMap<OsString, OsString>, Failure> {
    let is_own = |name: &OsStr| !FOREIGN.iter().any(|foreign| name == *foreign);
    let inherited = std::env::vars_os().filter(|(name, _)| is_own(name));
    let mut environment: BTreeMap<OsString, OsString> = inherited.collect();
    environment.extend(attempt.program.environment.iter().cloned());
    environment.extend(of_attempt(attempt).map(|(name, value)| (name.into(), value.into())));
    environment.extend(checkpoint.map(|path| (CHECKPOINT.into(), path.into())));
    // A name, an equals sign, a value and a zero each.
    let bytes: usize = environment.iter().map(|(name, value)| name.len() + value.len() + 2).sum();
    if bytes > BYTES_MAX {
        let message = format!(
            "the program's environment would be {bytes} bytes, more than {BYTES_MAX}: \
             shorten the worker's own"
        );
        return Err(Failure::error(&message));
    }
    Ok(environment)
}

fn of_attempt(attempt: &Attempt) -> impl Iterator<Item = (&'static str, String)> {
    let it = &attempt.assignment;
    let trace = &attempt.trace;
    let limit = it.time_limit();
    let deadline = limit.map(|limit| (DEADLINE, unix_seconds(limit)));
    let task_deadline = it.total_remaining.map(|left| (TASK_DEADLINE, unix_seconds(left)));
    [
        ("LEASEHOLD_TASK_ID", it.task_id.clone()),
        ("LEASEHOLD_TASK_TYPE", it.task_type.clone()),
        ("LEASEHOLD_NAMESPACE", it.namespace.clone()),
        ("LEASEHOLD_QUEUE", it.queue.clone()),
        ("LEASEHOLD_ATTEMPT", it.attempt.to_string()),
        ("LEASEHOLD_GENERATION", it.generation.to_string()),
        ("LEASEHOLD_FENCING_TOKEN", it.token.to_string()),
        ("LEASEHOLD_WORKER_ID", attempt.house.worker_id.clone()),
        ("LEASEHOLD_TASK_SLOTS", it.size.slots.to_string()),
        ("LEASEHOLD_TASK_RESOURCES", resources(&it.size)),
        (CHECKPOINT_BYTES_MAX, attempt.limits.checkpoint_bytes.to_string()),
        ("TRACEPARENT", trace.traceparent()),
        ("TRACESTATE", trace.tracestate().to_owned()),
    ]
    .into_iter()
    .chain(deadline)
    .chain(task_deadline)
}

/// What it takes of its worker beside slots, as a flag would say it: `gpu=1,memory_mb=4096`; empty for nothing.
fn resources(size: &Size) -> String {
    let pairs = size.resources.iter().map(|(name, amount)| format!("{name}={amount}"));
    pairs.collect::<Vec<_>>().join(",")
}

/// The time after `limit`, by the wall clock, in seconds.
fn unix_seconds(limit: Duration) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let deadline = now.saturating_add(limit);
    format!("{}.{:03}", deadline.as_secs(), deadline.subsec_millis())
}
