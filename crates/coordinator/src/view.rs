//! What the coordinator knows, written as the contract says it.
//!
//! The other direction of `parse`. It decides nothing and asks nobody.

use std::collections::{BTreeSet, HashMap};

use bytes::Bytes;
use leasehold_policy::{CircuitState, Jitter, Time, namespace};
use leasehold_proto::{duration::to_wire, v1};
use leasehold_queue::{
    Admission, Blocked, BreakerView, Bucketed, Checkpoint, Claims, Ending, Exclusivity, Failure,
    FailureReason, Gate, Guarantee, Lease, Ledger, Name, NamespaceView, Obstacle, Permit, Phase,
    QueueView, Retry, RevocationReason, SchemaPrint, SessionState, Size, Take, Task, TaskSpec, Use,
    Wait, WorkerView,
};

use crate::{
    config::{Config, QueueLimit},
    handle::OpenState,
    snapshot::Snapshot,
    status::Budgets,
};

mod explain;
mod ledger;
mod scaling;

pub use explain::{explanation, queue_explanation};
pub(crate) use ledger::{charge, end_kind, stop_proof};
pub use scaling::pool;

#[cfg(test)]
mod tests;

/// How many schemas a line names.
const SCHEMAS_SHOWN: usize = 4;

/// How many digits of each. Whoever needs all of them finds them in the task and its workers.
const SHORT_DIGITS: usize = 12;

/// What a task takes that says nothing.
static NO_CLAIMS: Claims =
    Claims { keys: Vec::new(), charges: Vec::new(), dependencies: Vec::new(), fails_fast: false };

/// How much of a task is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Detail {
    /// Everything, and what a generation of a task may cost.
    Full(Budgets),
    /// Without payload, result and the ends of leases: lists.
    Row,
    /// Without payload: watches.
    NoPayload,
}

/// A task.
///
/// The configuration says by which of its keys a limit is set.
pub fn task(snapshot: &Snapshot, detail: Detail, config: &Config) -> v1::Task {
    let Snapshot { task, blocked, obstacle, read_instead, ended, home: _ } = snapshot;
    let lease = lease_of(&task.phase).filter(|_| ended.is_none());
    let result = ended.as_ref().filter(|_| detail != Detail::Row);
    let ledger = task.ledger().filter(|_| detail != Detail::Row);
    let budgets = detail.budgets();
    v1::Task {
        task_id: task.id.to_string(),
        namespace: namespace::of(&task.spec.queue).to_owned(),
        spec: Some(spec(task, detail)),
        state: state(snapshot).into(),
        blocked_reason: blocked.map_or(v1::BlockedReason::Unspecified, blocked_reason).into(),
        revision: task.revision.into(),
        generation: count(task.generation()),
        attempt_count: count(task.attempts),
        lease_count: count(task.leases),
        worker_loss_count: count(task.worker_losses()),
        lease: lease.map(|lease| lease_view(task, lease)),
        result: result.map(|ended| ended.result.clone()).unwrap_or_default(),
        last_failure: task.last_failure().map(failure),
        progress: lease.and_then(|lease| lease.progress.as_deref()).map(|progress| v1::Progress {
            fraction: progress.fraction,
            message: progress.message.to_string(),
            checkpoint: None,
        }),
        cancel_requested: task.cancel_requested,
        submit_time: Some(timestamp(task.submitted)),
        eligible_time: eligible(&task.phase).filter(|_| ended.is_none()).map(timestamp),
        deadline_time: Some(timestamp(task.deadline)),
        finish_time: ended.as_ref().map(|ended| timestamp(ended.time)),
        idempotency_key: task.spec.key().map_or_else(String::new, |key| key.name.to_string()),
        lease_ends: ledger.map(Ledger::ends).unwrap_or_default().iter().map(ledger::end).collect(),
        lease_ends_forgotten: count(ledger.map_or(0, Ledger::forgotten)),
        worker_loss_max: count(budgets.worker_losses),
        lease_max: count(budgets.leases),
        checkpoint: task.checkpoint().map(checkpoint),
        blocked_by: obstacle.as_ref().map(|it| blocking_limit(it, config)),
        blocked_detail: unread(task, read_instead).unwrap_or_default(),
    }
}

/// Which schema is wanted and which ones are read, if that is what a task waits for.
fn unread(task: &Task, read: &BTreeSet<SchemaPrint>) -> Option<String> {
    let wanted = task.spec.shape.schema.filter(|_| !read.is_empty())?;
    let mut shown: Vec<String> = read.iter().take(SCHEMAS_SHOWN).map(short).collect();
    if SCHEMAS_SHOWN < read.len() {
        shown.push(format!("{} more", read.len() - SCHEMAS_SHOWN));
    }
    let (wanted, read) = (short(&wanted), shown.join(", "));
    Some(format!("payload schema {wanted} is read by no connected worker; they read {read}"))
}

/// Enough of a fingerprint to tell it from the others that people deal with.
fn short(print: &SchemaPrint) -> String {
    print.to_string().chars().take(SHORT_DIGITS).collect()
}

/// What a task waits at, by the key of the configuration that sets it.
fn blocking_limit(obstacle: &Obstacle, config: &Config) -> v1::BlockingLimit {
    let of_queue = |queue: &str, limit| queue_key(queue, limit, config);
    let (limit, key) = match &obstacle.gate {
        Gate::Queue(queue) => ("queue".to_owned(), queue.to_string()),
        Gate::Circuit(guarded) => (format!("breakers.{guarded}"), String::new()),
        Gate::Limit(Take::Permit(Permit::Key(key))) => ("concurrency".to_owned(), key.to_string()),
        Gate::Limit(Take::Permit(Permit::Queue(queue))) => {
            (of_queue(queue, QueueLimit::Concurrency), String::new())
        }
        Gate::Limit(Take::Permit(Permit::Flow(queue, key))) => {
            (of_queue(queue, QueueLimit::ConcurrencyPerKey), key.to_string())
        }
        Gate::Limit(Take::Tokens(Bucketed::Key(key), _)) => ("rates".to_owned(), key.to_string()),
        Gate::Limit(Take::Tokens(Bucketed::Queue(queue), _)) => {
            (of_queue(queue, QueueLimit::Rate), String::new())
        }
        Gate::Limit(Take::Tokens(Bucketed::Retries(guarded), _)) => {
            (format!("breakers.{guarded}.retry_budget"), String::new())
        }
    };
    let Use { used, max, free_at } = obstacle.limit;
    let available_time = free_at.map(timestamp);
    v1::BlockingLimit { limit, key, used_count: used.into(), max_count: max.into(), available_time }
}

/// The key of the configuration that sets a limit of a queue.
fn queue_key(queue: &str, limit: QueueLimit, config: &Config) -> String {
    let ((space, name), key) = (namespace::split(queue), limit.key());
    if config.is_own_limit(queue, limit) {
        format!("namespaces.{space}.queues.{name}.{key}")
    } else {
        format!("queues.settings.{name}.{key}")
    }
}

fn checkpoint(checkpoint: &Checkpoint) -> v1::Checkpoint {
    v1::Checkpoint {
        fencing_token: checkpoint.token.as_i64(),
        size_bytes: i64::try_from(checkpoint.data.len()).unwrap_or(i64::MAX),
        save_time: Some(timestamp(checkpoint.time)),
    }
}

impl Detail {
    fn budgets(self) -> Budgets {
        match self {
            Self::Full(budgets) => budgets,
            Self::Row | Self::NoPayload => Budgets::default(),
        }
    }
}

/// Where a task is in its life.
pub fn state(snapshot: &Snapshot) -> v1::TaskState {
    match &snapshot.ended {
        Some(ended) => match ended.ending {
            Ending::Succeeded => v1::TaskState::Succeeded,
            Ending::Failed => v1::TaskState::Failed,
            Ending::Cancelled => v1::TaskState::Cancelled,
        },
        None => match open_state(&snapshot.task) {
            OpenState::Scheduled => v1::TaskState::Scheduled,
            OpenState::Queued => v1::TaskState::Queued,
            OpenState::Leased => v1::TaskState::Leased,
            OpenState::Running => v1::TaskState::Running,
            OpenState::Cancelling => v1::TaskState::Cancelling,
        },
    }
}

/// Where an open task is in its life.
fn open_state(task: &Task) -> OpenState {
    match &task.phase {
        Phase::Scheduled { .. } => OpenState::Scheduled,
        Phase::Queued => OpenState::Queued,
        Phase::Leased(_) if task.cancel_requested => OpenState::Cancelling,
        Phase::Leased(lease) if lease.started.is_some() => OpenState::Running,
        Phase::Leased(_) => OpenState::Leased,
    }
}

fn lease_of(phase: &Phase) -> Option<&Lease> {
    match phase {
        Phase::Leased(lease) => Some(lease),
        Phase::Scheduled { .. } | Phase::Queued => None,
    }
}

fn eligible(phase: &Phase) -> Option<Time> {
    match phase {
        Phase::Scheduled { eligible, wait: Wait::Delay | Wait::Backoff } => Some(*eligible),
        Phase::Queued | Phase::Leased(_) => None,
    }
}

fn spec(task: &Task, detail: Detail) -> v1::TaskSpec {
    let spec: &TaskSpec = &task.spec;
    let claims = spec.claims.as_deref().unwrap_or(&NO_CLAIMS);
    v1::TaskSpec {
        queue: namespace::split(&spec.queue).1.to_owned(),
        task_type: spec.task_type.to_string(),
        payload: match detail {
            Detail::Full(_) => spec.payload.bytes().unwrap_or_default(),
            Detail::Row | Detail::NoPayload => Bytes::new(),
        },
        content_type: spec.content_type.to_string(),
        priority: Some(i32::from(spec.priority)),
        initial_delay: (!spec.initial_delay().is_zero()).then(|| to_wire(spec.initial_delay())),
        timeouts: Some(v1::Timeouts {
            start: Some(to_wire(spec.start_timeout)),
            attempt: Some(to_wire(spec.attempt_timeout)),
            total: Some(to_wire(spec.total_timeout.into())),
            deadline: None,
            kill_grace: Some(to_wire(spec.kill_grace)),
            progress: spec.terms.progress_timeout.map(to_wire),
            queue: spec.terms.queue_timeout.map(to_wire),
        }),
        retry: Some(retry(&spec.retry)),
        labels: pairs(spec.labels()),
        trace_context: spec.trace.as_ref().map(|trace| v1::TraceContext {
            traceparent: trace.parent.to_string(),
            tracestate: trace.state.to_string(),
        }),
        guarantee: guarantee(spec.terms.guarantee).into(),
        exclusivity: exclusivity(spec.terms.exclusivity).into(),
        fairness_key: spec.fairness_key.to_string(),
        worker_selector: pairs(&spec.shape.selector),
        payload_schema: spec.shape.schema.map(|it| it.to_string()).unwrap_or_default(),
        slots: count(spec.shape.size.slots),
        resources: resources(&spec.shape.size),
        concurrency_keys: claims.keys.iter().map(ToString::to_string).collect(),
        rate_charges: claims.charges.iter().map(rate_charge).collect(),
        dependencies: claims.dependencies.iter().map(ToString::to_string).collect(),
        fail_fast: claims.fails_fast,
        admission: admission(spec.admission).into(),
    }
}

fn pairs(labels: &[(Name, Name)]) -> HashMap<String, String> {
    labels.iter().map(|(key, value)| (key.to_string(), value.to_string())).collect()
}

fn rate_charge((key, tokens): &(Name, u32)) -> v1::RateCharge {
    v1::RateCharge { key: key.to_string(), tokens: Some(count(*tokens)) }
}

const fn admission(admission: Admission) -> v1::Admission {
    match admission {
        Admission::Unasked | Admission::BestEffort => v1::Admission::BestEffort,
        Admission::Strict => v1::Admission::Strict,
    }
}

fn exclusivity(exclusivity: Exclusivity) -> v1::Exclusivity {
    match exclusivity {
        Exclusivity::Strict => v1::Exclusivity::Strict,
        Exclusivity::BestEffort => v1::Exclusivity::BestEffort,
    }
}

const fn guarantee(guarantee: Guarantee) -> v1::Guarantee {
    match guarantee {
        Guarantee::AtLeastOnce => v1::Guarantee::AtLeastOnce,
        Guarantee::AtMostOnce => v1::Guarantee::AtMostOnce,
    }
}

fn retry(retry: &Retry) -> v1::RetryPolicy {
    let jitter = match retry.backoff.jitter {
        Jitter::Full => v1::Jitter::Full,
        Jitter::None => v1::Jitter::None,
    };
    v1::RetryPolicy {
        max_attempts: Some(count(retry.max_attempts)),
        initial: Some(to_wire(retry.backoff.initial)),
        factor: Some(retry.backoff.factor),
        cap: Some(to_wire(retry.backoff.cap)),
        jitter: jitter.into(),
    }
}

fn lease_view(task: &Task, lease: &Lease) -> v1::Lease {
    let revocation = lease.revoking.map(|revoking| revocation_reason(revoking.reason));
    v1::Lease {
        fencing_token: lease.token.as_i64(),
        worker_id: lease.worker.to_string(),
        attempt: count(task.attempts).saturating_add(1),
        grant_time: Some(timestamp(lease.granted)),
        start_time: lease.started.map(timestamp),
        revocation: revocation.unwrap_or(v1::RevocationReason::Unspecified).into(),
        revoke_time: lease.revoking.map(|revoking| timestamp(revoking.since)),
        revoke_delivered_time: lease
            .revoking
            .and_then(|revoking| revoking.delivered)
            .map(timestamp),
        instance_id: lease.instance.to_string(),
        extended_time: lease.extended.map(timestamp),
    }
}

fn failure(failure: &Failure) -> v1::Failure {
    v1::Failure {
        reason: failure_reason(failure.reason).into(),
        message: failure.message.to_string(),
        details: failure.details.to_string(),
        counted: failure.counted,
        fencing_token: failure.token.map_or(0, leasehold_queue::Token::as_i64),
        worker_id: failure.worker.as_deref().unwrap_or_default().to_owned(),
        time: Some(timestamp(failure.time)),
    }
}

/// A namespace, where this configuration holds.
pub fn namespace(view: &NamespaceView, config: &Config) -> v1::Namespace {
    let submit_rate = config.namespaces.get(&*view.name).and_then(|own| own.submit_rate);
    v1::Namespace {
        name: view.name.to_string(),
        open_task_count: long(view.usage.tasks),
        open_bytes: long(view.usage.bytes),
        open_task_max: view.quota.open_tasks.map(long),
        open_bytes_max: view.quota.open_bytes.map(long),
        submit_rate: submit_rate.map(|rate| rate.to_string()).unwrap_or_default(),
    }
}

/// A queue as it is at `now`.
pub fn queue(view: &QueueView, now: Time) -> v1::Queue {
    let (space, name) = namespace::split(&view.name);
    v1::Queue {
        name: name.to_owned(),
        namespace: space.to_owned(),
        paused: view.paused,
        scheduled_count: long(view.scheduled),
        queued_count: long(view.queued),
        leased_count: long(view.leased),
        oldest_queued_age: view.oldest_queued.map(|since| to_wire(now.since(since))),
    }
}

/// A circuit breaker.
pub fn breaker(view: &BreakerView) -> v1::Breaker {
    let (state, half_opens) = match view.state {
        CircuitState::Closed => (v1::CircuitState::Closed, None),
        CircuitState::Open { until } => (v1::CircuitState::Open, Some(until)),
        CircuitState::HalfOpen { .. } => (v1::CircuitState::HalfOpen, None),
    };
    let since = Some(view.since).filter(|since| *since != Time::default());
    v1::Breaker {
        name: view.guarded.to_string(),
        state: state.into(),
        call_count: view.tally.calls.into(),
        failure_count: view.tally.failures.into(),
        slow_count: view.tally.slow.into(),
        since_time: since.map(timestamp),
        half_open_time: half_opens.map(timestamp),
        probe_count: count(view.probes),
        probe_max: count(view.probes_max),
        waiting_count: long(view.waiting),
    }
}

/// A worker session as it is at `now`.
pub fn worker(view: &WorkerView, now: Time) -> v1::Worker {
    v1::Worker {
        worker_id: view.worker.to_string(),
        instance_id: view.instance.to_string(),
        session_id: long(view.session.0),
        state: worker_state(view.state).into(),
        slots: count(view.whole.slots),
        fencing_tokens: view.tokens.iter().map(|token| token.as_i64()).collect(),
        task_types: view.task_types.iter().map(ToString::to_string).collect(),
        labels: pairs(&view.labels),
        software: view.software.to_string(),
        session_start_time: Some(timestamp(view.opened)),
        last_heard_age: Some(to_wire(now.since(view.last_heard))),
        prefetch: count(view.prefetch),
        lost_slots: count(view.lost),
        payload_schemas: view.reads.iter().map(payload_schemas).collect(),
        resources: resources(&view.whole),
        used_slots: count(view.taken.slots),
        used_resources: resources(&view.taken),
        namespaces: view.namespaces.iter().map(ToString::to_string).collect(),
    }
}

/// What is said of a size beside its slots.
pub(crate) fn resources(size: &Size) -> HashMap<String, i64> {
    size.resources.iter().map(|(name, amount)| (name.to_string(), long(*amount))).collect()
}

fn payload_schemas((name, read): (&Name, &BTreeSet<SchemaPrint>)) -> v1::PayloadSchemas {
    let fingerprints = read.iter().map(ToString::to_string).collect();
    v1::PayloadSchemas { task_type: name.to_string(), fingerprints }
}

fn worker_state(state: SessionState) -> v1::WorkerState {
    match state {
        SessionState::Active => v1::WorkerState::Active,
        SessionState::Draining => v1::WorkerState::Draining,
        SessionState::Quarantined => v1::WorkerState::Quarantined,
        SessionState::Disconnected => v1::WorkerState::Disconnected,
        SessionState::Evicted => v1::WorkerState::Evicted,
    }
}

fn blocked_reason(blocked: Blocked) -> v1::BlockedReason {
    match blocked {
        Blocked::Delayed => v1::BlockedReason::Delayed,
        Blocked::Backoff => v1::BlockedReason::Backoff,
        Blocked::QueuePaused => v1::BlockedReason::QueuePaused,
        Blocked::NoEligibleWorker => v1::BlockedReason::NoEligibleWorker,
        Blocked::NoCapacity => v1::BlockedReason::NoCapacity,
        Blocked::RateLimited => v1::BlockedReason::RateLimited,
        Blocked::ConcurrencyLimit => v1::BlockedReason::ConcurrencyLimit,
        Blocked::CircuitOpen => v1::BlockedReason::CircuitOpen,
        Blocked::RetryBudget => v1::BlockedReason::RetryBudget,
    }
}

/// Why a lease has to end.
pub fn revocation_reason(reason: RevocationReason) -> v1::RevocationReason {
    match reason {
        RevocationReason::Cancelled => v1::RevocationReason::Cancelled,
        RevocationReason::StartTimeout => v1::RevocationReason::StartTimeout,
        RevocationReason::AttemptTimeout => v1::RevocationReason::AttemptTimeout,
        RevocationReason::ProgressTimeout => v1::RevocationReason::ProgressTimeout,
        RevocationReason::TotalTimeout => v1::RevocationReason::TotalTimeout,
        RevocationReason::UnknownLease => v1::RevocationReason::UnknownLease,
        RevocationReason::Operator => v1::RevocationReason::Operator,
    }
}

fn failure_reason(reason: FailureReason) -> v1::FailureReason {
    match reason {
        FailureReason::Error => v1::FailureReason::Error,
        FailureReason::Panic => v1::FailureReason::Panic,
        FailureReason::AttemptTimeout => v1::FailureReason::AttemptTimeout,
        FailureReason::TotalTimeout => v1::FailureReason::TotalTimeout,
        FailureReason::WorkerLost => v1::FailureReason::WorkerLost,
        FailureReason::WorkerLossLimit => v1::FailureReason::WorkerLossLimit,
        FailureReason::ResultTooLarge => v1::FailureReason::ResultTooLarge,
        FailureReason::StartTimeout => v1::FailureReason::StartTimeout,
        FailureReason::Cancelled => v1::FailureReason::Cancelled,
        FailureReason::HandedBack => v1::FailureReason::HandedBack,
        FailureReason::ProgressTimeout => v1::FailureReason::ProgressTimeout,
        FailureReason::QueueTimeout => v1::FailureReason::QueueTimeout,
        FailureReason::OutcomeUnknown => v1::FailureReason::OutcomeUnknown,
        FailureReason::Revoked => v1::FailureReason::Revoked,
    }
}

/// A time, for display.
pub fn timestamp(time: Time) -> prost_types::Timestamp {
    let ms = time.unix_ms();
    // A remainder of a thousand fits.
    let nanos = i32::try_from(ms % 1_000 * 1_000_000).unwrap_or(0);
    prost_types::Timestamp { seconds: long(ms / 1_000), nanos }
}

fn count(value: u32) -> i32 {
    i32::try_from(value).unwrap_or(i32::MAX)
}

fn long(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}
