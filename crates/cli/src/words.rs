//! The contract's values in the words of a table: states, reasons, times.

use std::{
    borrow::Cow,
    collections::{BTreeMap, HashMap},
    time::SystemTime,
};

use leasehold_client::{
    duration::from_wire,
    v1::{
        Admission, BlockedReason, BlockingLimit, CircuitState, Exclusivity, FailureReason,
        Guarantee, LeaseBoundKind, LeaseCharge, LeaseEndKind, RateCharge, RevocationReason,
        ScalingBound, StopProof, Task, TaskSpec, TaskState, WorkerState,
    },
};
use prost_types::Timestamp;

use crate::{
    duration::brief,
    table::{Cell, Tone},
};

/// A state, coloured by what it means.
pub(crate) fn state(state: TaskState) -> Cell {
    let tone = match state {
        TaskState::Unspecified | TaskState::Scheduled | TaskState::Queued => Tone::Plain,
        TaskState::Leased | TaskState::Running | TaskState::Cancelling => Tone::Busy,
        TaskState::Succeeded => Tone::Good,
        TaskState::Failed => Tone::Bad,
        TaskState::Cancelled => Tone::Faint,
    };
    Cell::toned(state_name(state), tone)
}

/// A state in a sentence.
pub(crate) fn state_name(state: TaskState) -> &'static str {
    match state {
        TaskState::Unspecified => "unknown",
        TaskState::Scheduled => "scheduled",
        TaskState::Queued => "queued",
        TaskState::Leased => "leased",
        TaskState::Running => "running",
        TaskState::Cancelling => "cancelling",
        TaskState::Succeeded => "succeeded",
        TaskState::Failed => "failed",
        TaskState::Cancelled => "cancelled",
    }
}

/// How a worker's session is.
pub(crate) fn worker_state(state: WorkerState) -> Cell {
    let (word, tone) = match state {
        WorkerState::Unspecified => ("unknown", Tone::Plain),
        WorkerState::Active => ("active", Tone::Good),
        WorkerState::Draining => ("draining", Tone::Busy),
        WorkerState::Quarantined => ("quarantined", Tone::Bad),
        WorkerState::Disconnected => ("disconnected", Tone::Bad),
        WorkerState::Evicted => ("evicted", Tone::Bad),
    };
    Cell::toned(word, tone)
}

/// Why a task waits, in a sentence; `None` when it does not.
pub(crate) fn blocked(task: &Task) -> Option<String> {
    let task_type = task.spec.as_ref().map_or("", |spec| spec.task_type.as_str());
    let queue = task.spec.as_ref().map_or("", |spec| spec.queue.as_str());
    if !task.blocked_detail.is_empty() {
        return Some(task.blocked_detail.clone());
    }
    match task.blocked_reason() {
        BlockedReason::Unspecified => None,
        BlockedReason::Delayed => Some("its delay is not over".to_owned()),
        BlockedReason::Backoff => Some("it failed and waits for its next attempt".to_owned()),
        BlockedReason::QueuePaused => {
            Some(format!("queue {queue} is paused; leasehold queue resume {queue}"))
        }
        BlockedReason::NoEligibleWorker => {
            let labels = task.spec.as_ref().and_then(|spec| pairs(&spec.worker_selector));
            let labels = labels.map(|labels| format!(" and is labelled {labels}"));
            let labels = labels.unwrap_or_default();
            Some(format!("no connected worker serves task type {task_type}{labels}"))
        }
        BlockedReason::NoCapacity => {
            Some(format!("all slots of the workers that serve {task_type} are taken"))
        }
        BlockedReason::RateLimited
        | BlockedReason::ConcurrencyLimit
        | BlockedReason::RetryBudget => {
            Some(task.blocked_by.as_ref().map_or_else(|| "a limit is reached".to_owned(), limit))
        }
        BlockedReason::CircuitOpen => {
            Some(task.blocked_by.as_ref().map_or_else(|| "a circuit is open".to_owned(), circuit))
        }
    }
}

/// Why a task waits, as the documentation calls it.
pub(crate) fn blocked_reason(reason: BlockedReason) -> &'static str {
    let name = reason.as_str_name();
    name.strip_prefix("BLOCKED_REASON_").unwrap_or(name)
}

/// A queue, with its namespace where that is not the usual one.
pub(crate) fn queue<'a>(namespace: &str, queue: &'a str) -> Cow<'a, str> {
    match namespace {
        "" | "default" => Cow::Borrowed(queue),
        _ => Cow::Owned(format!("{namespace}/{queue}")),
    }
}

/// So many tasks.
pub(crate) fn tasks(count: i64) -> String {
    if count == 1 { "1 task".to_owned() } else { format!("{count} tasks") }
}

/// So many slots.
pub(crate) fn slots(count: i64) -> String {
    if count == 1 { "1 slot".to_owned() } else { format!("{count} slots") }
}

/// What ends a lease.
pub(crate) fn lease_bound(kind: LeaseBoundKind) -> &'static str {
    match kind {
        LeaseBoundKind::Unspecified => "something",
        LeaseBoundKind::Start => "start timeout",
        LeaseBoundKind::Attempt => "attempt timeout",
        LeaseBoundKind::Progress => "progress timeout",
        LeaseBoundKind::Total => "total timeout",
        LeaseBoundKind::Revocation => "end of the grace",
        LeaseBoundKind::Session => "end of the session",
    }
}

/// Labels with their values, by name; `None` when there are none.
pub(crate) fn pairs(labels: &HashMap<String, String>) -> Option<String> {
    let labels = crate::json::labels(labels);
    let labels: Vec<String> =
        labels.iter().map(|(name, value)| format!("{name}={value}")).collect();
    (!labels.is_empty()).then(|| labels.join(" "))
}

/// How much of a worker: `2 slots, gpu=1`; `None` for one slot and nothing else.
pub(crate) fn size(slots: i32, resources: &HashMap<String, i64>) -> Option<String> {
    let slots = Some(slots).filter(|slots| 1 < *slots).map(|slots| format!("{slots} slots"));
    let all = slots.into_iter().chain(amounts(resources));
    let all = all.collect::<Vec<_>>().join(", ");
    (!all.is_empty()).then_some(all)
}

/// Amounts by name, in a line; `None` without any.
pub(crate) fn amounts(resources: &HashMap<String, i64>) -> Option<String> {
    let sorted: BTreeMap<_, _> = resources.iter().collect();
    let pairs = sorted.into_iter().map(|(name, amount)| format!("{name}={amount}"));
    let pairs = pairs.collect::<Vec<_>>().join(" ");
    (!pairs.is_empty()).then_some(pairs)
}

/// What the handler last reported; `None` when it reported nothing.
pub(crate) fn progress(task: &Task) -> Option<String> {
    let progress = task.progress.as_ref()?;
    let percent = progress.fraction.map(|fraction| format!("{:.0} %", fraction * 100.0));
    let parts = [percent.unwrap_or_default(), progress.message.clone()];
    let said: Vec<String> = parts.into_iter().filter(|part| !part.is_empty()).collect();
    (!said.is_empty()).then(|| said.join(" "))
}

/// A limit that is reached: how much of it is used, and of a rate when there will be enough of it.
fn limit(limit: &BlockingLimit) -> String {
    let key = Some(&limit.key).filter(|key| !key.is_empty());
    let whose = key.map(|key| format!(" for {key:?}")).unwrap_or_default();
    let BlockingLimit { limit: name, used_count, max_count, .. } = limit;
    let again = limit.available_time.map(|time| format!(", with enough left at {time}"));
    format!("{name}{whose} is at {used_count} of {max_count}{}", again.unwrap_or_default())
}

/// A circuit that lets nobody through, or no more than it does: an open one says when it half-opens.
fn circuit(limit: &BlockingLimit) -> String {
    let BlockingLimit { limit: name, used_count, max_count, .. } = limit;
    limit.available_time.map_or_else(
        || format!("{name} is half-open: {used_count} of {max_count} probes run"),
        |time| {
            format!(
                "{name} is open: {used_count} of {max_count} attempts failed or were slow; it half-opens at {time}"
            )
        },
    )
}

/// What a circuit does.
pub(crate) fn circuit_state(state: CircuitState) -> &'static str {
    match state {
        CircuitState::Unspecified => "unknown",
        CircuitState::Closed => "closed",
        CircuitState::Open => "open",
        CircuitState::HalfOpen => "half-open",
    }
}

/// What its leases take and pass beside a slot; `None` when nothing.
pub(crate) fn claims(spec: &TaskSpec) -> Option<String> {
    let keys = spec.concurrency_keys.iter().map(|key| format!("concurrency key {key}"));
    let charge = |charge: &RateCharge| format!("{} of rate {}", charge.tokens(), charge.key);
    let charges = spec.rate_charges.iter().map(charge);
    let dependencies = spec.dependencies.iter().map(|name| format!("dependency {name}"));
    let all: Vec<String> = keys.chain(charges).chain(dependencies).collect();
    (!all.is_empty()).then(|| all.join(", "))
}

/// What the next attempt can go on from; `None` when nothing was saved.
pub(crate) fn checkpoint(task: &Task, now: SystemTime) -> Option<String> {
    let checkpoint = task.checkpoint.as_ref()?;
    let (bytes, token) = (checkpoint.size_bytes, checkpoint.fencing_token);
    let saved = checkpoint.save_time.as_ref().map(|at| format!(" saved {}", time(at, now)));
    Some(format!("{bytes} bytes{} under token {token}", saved.unwrap_or_default()))
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
        FailureReason::Revoked => "revoked",
        FailureReason::ProgressTimeout => "hung",
        FailureReason::QueueTimeout => "queue timeout",
        FailureReason::OutcomeUnknown => "outcome unknown",
    }
}

/// Who may have it at the same time; `None` where it is the usual.
pub(crate) fn exclusivity(exclusivity: Exclusivity) -> Option<&'static str> {
    match exclusivity {
        Exclusivity::Unspecified | Exclusivity::Strict => None,
        Exclusivity::BestEffort => Some("best effort"),
    }
}

/// How often the work may be started; `None` where it is the usual.
pub(crate) fn guarantee(guarantee: Guarantee) -> Option<&'static str> {
    match guarantee {
        Guarantee::Unspecified | Guarantee::AtLeastOnce => None,
        Guarantee::AtMostOnce => Some("at most once"),
    }
}

/// What becomes of it if it is unlikely to be over in time; `None` where it is the usual.
pub(crate) fn admission(admission: Admission) -> Option<&'static str> {
    match admission {
        Admission::Unspecified | Admission::BestEffort => None,
        Admission::Strict => Some("strict"),
    }
}

/// Reads the same.
pub(crate) fn parse_admission(text: &str) -> Result<Admission, String> {
    match text {
        "best-effort" => Ok(Admission::BestEffort),
        "strict" => Ok(Admission::Strict),
        _ => Err(format!("{text:?} is neither \"best-effort\" nor \"strict\"")),
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
        RevocationReason::ProgressTimeout => Some("no progress"),
        RevocationReason::UnknownLease => Some("unknown lease"),
        RevocationReason::Retracted => Some("taken back"),
        RevocationReason::Operator => Some("operator"),
    }
}

/// How a lease ended.
pub(crate) fn end_kind(kind: LeaseEndKind) -> &'static str {
    match kind {
        LeaseEndKind::Unspecified => "unknown",
        LeaseEndKind::Succeeded => "succeeded",
        LeaseEndKind::Error => "error",
        LeaseEndKind::Panic => "panic",
        LeaseEndKind::ResultTooLarge => "result too large",
        LeaseEndKind::AttemptTimeout => "attempt timeout",
        LeaseEndKind::ProgressTimeout => "hung",
        LeaseEndKind::TotalTimeout => "total timeout",
        LeaseEndKind::StartTimeout => "start timeout",
        LeaseEndKind::Cancelled => "cancelled",
        LeaseEndKind::NoCapacity => "declined, no slot",
        LeaseEndKind::Unsupported => "declined, type not served",
        LeaseEndKind::Drained => "drained",
        LeaseEndKind::Fenced => "stopped by its worker, which was not heard any more",
        LeaseEndKind::WorkerLost => "worker lost",
        LeaseEndKind::NotHeld => "not held by its worker",
        LeaseEndKind::Retracted => "taken back",
        LeaseEndKind::Revoked => "taken away by an operator",
    }
}

/// What is known of the work of a lease that ended.
pub(crate) fn stop_proof(stop: StopProof) -> &'static str {
    match stop {
        StopProof::Unspecified | StopProof::Unproved => "stop not proved",
        StopProof::Returned => "returned",
        StopProof::Aborted => "aborted",
        StopProof::Killed => "killed",
        StopProof::NotStarted => "not started",
        StopProof::NotHeld => "nothing of it runs",
        StopProof::ProcessGone => "its process is gone, and nothing of it runs",
    }
}

/// What keeps a pool's tasks from ending sooner; `None` where nothing does.
pub(crate) fn scaling_bound(bound: ScalingBound) -> Option<&'static str> {
    match bound {
        ScalingBound::Unspecified => None,
        ScalingBound::Capacity => Some("capacity"),
        ScalingBound::MaxWorkers => Some("max workers"),
        ScalingBound::Paused => Some("paused queues"),
        ScalingBound::RateLimit => Some("rate limits"),
        ScalingBound::Concurrency => Some("concurrency limits"),
        ScalingBound::Breaker => Some("open circuits"),
        ScalingBound::Quota => Some("quotas"),
    }
}

/// What the end of a lease was charged to.
pub(crate) fn charge(charge: LeaseCharge) -> &'static str {
    match charge {
        LeaseCharge::Attempt => "cost an attempt",
        LeaseCharge::WorkerLoss => "cost a worker loss",
        LeaseCharge::Unspecified | LeaseCharge::Nothing => "cost nothing",
    }
}

/// The digits of a hash that people compare.
pub(crate) fn hash(hash: &str) -> &str {
    hash.get(..12).unwrap_or(hash)
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
pub(crate) fn span(span: Option<&prost_types::Duration>) -> String {
    span.and_then(|span| from_wire(span).ok()).map_or_else(|| "-".to_owned(), brief)
}

#[cfg(test)]
mod tests;
