//! Tasks as JSON. The field names and their order are the contract's.

use leasehold_client::v1::{
    BlockingLimit, Checkpoint, Failure, Lease, LeaseEnd, Progress, RateCharge,
    ReplayDeadLetterResponse, RetryPolicy, Task, TaskSpec, Timeouts, TraceContext,
};
use serde::Serialize;

use super::{Amounts, Int64, Labels, Span, Text, Time, amounts, labels};
use crate::payload::encode;

/// A `ListTasksResponse` without a page token.
#[derive(Debug, Serialize)]
pub(crate) struct TasksJson<'a> {
    tasks: Vec<TaskJson<'a>>,
}

/// A `SubmitTaskResponse`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ReceiptJson<'a> {
    task_id: &'a str,
    deduplicated: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    expected_finish_time: Option<Time>,
}

/// A `SubmitTaskResponse`, and the line of the input that it answers.
#[derive(Debug, Serialize)]
pub(crate) struct LineReceiptJson<'a> {
    line: u64,
    #[serde(flatten)]
    receipt: ReceiptJson<'a>,
}

/// A `ReplayDeadLetterResponse`.
#[derive(Debug, Serialize)]
pub(crate) struct ReplayJson<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    task: Option<TaskJson<'a>>,
    replayed: bool,
}

/// A `Task`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct TaskJson<'a> {
    task_id: &'a str,
    namespace: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    spec: Option<SpecJson<'a>>,
    state: &'static str,
    blocked_reason: &'static str,
    revision: Int64,
    generation: i32,
    attempt_count: i32,
    lease_count: i32,
    worker_loss_count: i32,
    #[serde(skip_serializing_if = "Option::is_none")]
    lease: Option<LeaseJson<'a>>,
    result: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_failure: Option<FailureJson<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    progress: Option<ProgressJson<'a>>,
    cancel_requested: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    submit_time: Option<Time>,
    #[serde(skip_serializing_if = "Option::is_none")]
    eligible_time: Option<Time>,
    #[serde(skip_serializing_if = "Option::is_none")]
    deadline_time: Option<Time>,
    #[serde(skip_serializing_if = "Option::is_none")]
    finish_time: Option<Time>,
    idempotency_key: &'a str,
    lease_ends: Vec<LeaseEndJson<'a>>,
    lease_ends_forgotten: i32,
    worker_loss_max: i32,
    lease_max: i32,
    #[serde(skip_serializing_if = "Option::is_none")]
    checkpoint: Option<CheckpointJson>,
    blocked_detail: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    blocked_by: Option<BlockingLimitJson<'a>>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct CheckpointJson {
    fencing_token: Int64,
    size_bytes: Int64,
    #[serde(skip_serializing_if = "Option::is_none")]
    save_time: Option<Time>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct SpecJson<'a> {
    queue: &'a str,
    task_type: &'a str,
    payload: String,
    content_type: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    priority: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    initial_delay: Option<Span>,
    #[serde(skip_serializing_if = "Option::is_none")]
    timeouts: Option<TimeoutsJson>,
    #[serde(skip_serializing_if = "Option::is_none")]
    retry: Option<RetryJson>,
    labels: Labels<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    trace_context: Option<TraceJson<'a>>,
    guarantee: &'static str,
    exclusivity: &'static str,
    admission: &'static str,
    fairness_key: &'a str,
    worker_selector: Labels<'a>,
    payload_schema: &'a str,
    slots: i32,
    resources: Amounts<'a>,
    concurrency_keys: &'a [String],
    rate_charges: Vec<RateChargeJson<'a>>,
    dependencies: &'a [String],
    fail_fast: bool,
}

#[derive(Debug, Serialize)]
struct RateChargeJson<'a> {
    key: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    tokens: Option<i32>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct BlockingLimitJson<'a> {
    limit: &'a str,
    key: &'a str,
    used_count: Int64,
    max_count: Int64,
    #[serde(skip_serializing_if = "Option::is_none")]
    available_time: Option<Time>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct TimeoutsJson {
    #[serde(skip_serializing_if = "Option::is_none")]
    start: Option<Span>,
    #[serde(skip_serializing_if = "Option::is_none")]
    attempt: Option<Span>,
    #[serde(skip_serializing_if = "Option::is_none")]
    total: Option<Span>,
    #[serde(skip_serializing_if = "Option::is_none")]
    deadline: Option<Time>,
    #[serde(skip_serializing_if = "Option::is_none")]
    kill_grace: Option<Span>,
    #[serde(skip_serializing_if = "Option::is_none")]
    progress: Option<Span>,
    #[serde(skip_serializing_if = "Option::is_none")]
    queue: Option<Span>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct RetryJson {
    #[serde(skip_serializing_if = "Option::is_none")]
    max_attempts: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    initial: Option<Span>,
    #[serde(skip_serializing_if = "Option::is_none")]
    factor: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cap: Option<Span>,
    jitter: &'static str,
}

#[derive(Debug, Serialize)]
struct TraceJson<'a> {
    traceparent: &'a str,
    tracestate: &'a str,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct LeaseJson<'a> {
    fencing_token: Int64,
    worker_id: &'a str,
    attempt: i32,
    #[serde(skip_serializing_if = "Option::is_none")]
    grant_time: Option<Time>,
    #[serde(skip_serializing_if = "Option::is_none")]
    start_time: Option<Time>,
    revocation: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    revoke_time: Option<Time>,
    #[serde(skip_serializing_if = "Option::is_none")]
    revoke_delivered_time: Option<Time>,
    instance_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    extended_time: Option<Time>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct LeaseEndJson<'a> {
    fencing_token: Int64,
    worker_id: &'a str,
    instance_id: &'a str,
    generation: i32,
    attempt: i32,
    #[serde(skip_serializing_if = "Option::is_none")]
    grant_time: Option<Time>,
    #[serde(skip_serializing_if = "Option::is_none")]
    start_time: Option<Time>,
    revocation: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    revoke_time: Option<Time>,
    #[serde(skip_serializing_if = "Option::is_none")]
    revoke_delivered_time: Option<Time>,
    #[serde(skip_serializing_if = "Option::is_none")]
    end_time: Option<Time>,
    kind: &'static str,
    stop: &'static str,
    charge: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    eligible_time: Option<Time>,
    message: &'a str,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct FailureJson<'a> {
    reason: &'static str,
    message: &'a str,
    details: &'a str,
    counted: bool,
    fencing_token: Int64,
    worker_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    time: Option<Time>,
}

#[derive(Debug, Serialize)]
struct ProgressJson<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    fraction: Option<f64>,
    message: &'a str,
}

impl<'a> From<&'a [Task]> for TasksJson<'a> {
    fn from(tasks: &'a [Task]) -> Self {
        Self { tasks: tasks.iter().map(TaskJson::from).collect() }
    }
}

impl<'a> From<&'a leasehold_client::Receipt> for ReceiptJson<'a> {
    fn from(receipt: &'a leasehold_client::Receipt) -> Self {
        Self {
            task_id: &receipt.task_id,
            deduplicated: receipt.deduplicated,
            expected_finish_time: receipt.expected_finish.map(|at| Text(at.into())),
        }
    }
}

impl<'a> LineReceiptJson<'a> {
    pub(crate) fn new(line: u64, receipt: &'a leasehold_client::Receipt) -> Self {
        Self { line, receipt: receipt.into() }
    }
}

impl<'a> From<&'a ReplayDeadLetterResponse> for ReplayJson<'a> {
    fn from(response: &'a ReplayDeadLetterResponse) -> Self {
        Self { task: response.task.as_ref().map(TaskJson::from), replayed: response.replayed }
    }
}

impl<'a> From<&'a Task> for TaskJson<'a> {
    fn from(task: &'a Task) -> Self {
        Self {
            task_id: &task.task_id,
            namespace: &task.namespace,
            spec: task.spec.as_ref().map(SpecJson::from),
            state: task.state().as_str_name(),
            blocked_reason: task.blocked_reason().as_str_name(),
            revision: Int64(task.revision),
            generation: task.generation,
            attempt_count: task.attempt_count,
            lease_count: task.lease_count,
            worker_loss_count: task.worker_loss_count,
            lease: task.lease.as_ref().map(LeaseJson::from),
            result: encode(&task.result),
            last_failure: task.last_failure.as_ref().map(FailureJson::from),
            progress: task.progress.as_ref().map(ProgressJson::from),
            cancel_requested: task.cancel_requested,
            submit_time: task.submit_time.map(Text),
            eligible_time: task.eligible_time.map(Text),
            deadline_time: task.deadline_time.map(Text),
            finish_time: task.finish_time.map(Text),
            idempotency_key: &task.idempotency_key,
            lease_ends: task.lease_ends.iter().map(LeaseEndJson::from).collect(),
            lease_ends_forgotten: task.lease_ends_forgotten,
            worker_loss_max: task.worker_loss_max,
            lease_max: task.lease_max,
            checkpoint: task.checkpoint.as_ref().map(CheckpointJson::from),
            blocked_detail: &task.blocked_detail,
            blocked_by: task.blocked_by.as_ref().map(BlockingLimitJson::from),
        }
    }
}

impl<'a> From<&'a RateCharge> for RateChargeJson<'a> {
    fn from(charge: &'a RateCharge) -> Self {
        Self { key: &charge.key, tokens: charge.tokens }
    }
}

impl<'a> From<&'a BlockingLimit> for BlockingLimitJson<'a> {
    fn from(limit: &'a BlockingLimit) -> Self {
        Self {
            limit: &limit.limit,
            key: &limit.key,
            used_count: Int64(limit.used_count),
            max_count: Int64(limit.max_count),
            available_time: limit.available_time.map(Text),
        }
    }
}

impl From<&Checkpoint> for CheckpointJson {
    fn from(checkpoint: &Checkpoint) -> Self {
        Self {
            fencing_token: Int64(checkpoint.fencing_token),
            size_bytes: Int64(checkpoint.size_bytes),
            save_time: checkpoint.save_time.map(Text),
        }
    }
}

impl<'a> From<&'a TaskSpec> for SpecJson<'a> {
    fn from(spec: &'a TaskSpec) -> Self {
        Self {
            queue: &spec.queue,
            task_type: &spec.task_type,
            payload: encode(&spec.payload),
            content_type: &spec.content_type,
            priority: spec.priority,
            initial_delay: spec.initial_delay.map(Text),
            timeouts: spec.timeouts.as_ref().map(TimeoutsJson::from),
            retry: spec.retry.as_ref().map(RetryJson::from),
            labels: labels(&spec.labels),
            trace_context: spec.trace_context.as_ref().map(TraceJson::from),
            guarantee: spec.guarantee().as_str_name(),
            exclusivity: spec.exclusivity().as_str_name(),
            admission: spec.admission().as_str_name(),
            fairness_key: &spec.fairness_key,
            worker_selector: labels(&spec.worker_selector),
            payload_schema: &spec.payload_schema,
            slots: spec.slots,
            resources: amounts(&spec.resources),
            concurrency_keys: &spec.concurrency_keys,
            rate_charges: spec.rate_charges.iter().map(RateChargeJson::from).collect(),
            dependencies: &spec.dependencies,
            fail_fast: spec.fail_fast,
        }
    }
}

impl From<&Timeouts> for TimeoutsJson {
    fn from(timeouts: &Timeouts) -> Self {
        Self {
            start: timeouts.start.map(Text),
            attempt: timeouts.attempt.map(Text),
            total: timeouts.total.map(Text),
            deadline: timeouts.deadline.map(Text),
            kill_grace: timeouts.kill_grace.map(Text),
            progress: timeouts.progress.map(Text),
            queue: timeouts.queue.map(Text),
        }
    }
}

impl From<&RetryPolicy> for RetryJson {
    fn from(retry: &RetryPolicy) -> Self {
        Self {
            max_attempts: retry.max_attempts,
            initial: retry.initial.map(Text),
            factor: retry.factor,
            cap: retry.cap.map(Text),
            jitter: retry.jitter().as_str_name(),
        }
    }
}

impl<'a> From<&'a TraceContext> for TraceJson<'a> {
    fn from(trace: &'a TraceContext) -> Self {
        Self { traceparent: &trace.traceparent, tracestate: &trace.tracestate }
    }
}

impl<'a> From<&'a Lease> for LeaseJson<'a> {
    fn from(lease: &'a Lease) -> Self {
        Self {
            fencing_token: Int64(lease.fencing_token),
            worker_id: &lease.worker_id,
            attempt: lease.attempt,
            grant_time: lease.grant_time.map(Text),
            start_time: lease.start_time.map(Text),
            revocation: lease.revocation().as_str_name(),
            revoke_time: lease.revoke_time.map(Text),
            revoke_delivered_time: lease.revoke_delivered_time.map(Text),
            instance_id: &lease.instance_id,
            extended_time: lease.extended_time.map(Text),
        }
    }
}

impl<'a> From<&'a LeaseEnd> for LeaseEndJson<'a> {
    fn from(end: &'a LeaseEnd) -> Self {
        Self {
            fencing_token: Int64(end.fencing_token),
            worker_id: &end.worker_id,
            instance_id: &end.instance_id,
            generation: end.generation,
            attempt: end.attempt,
            grant_time: end.grant_time.map(Text),
            start_time: end.start_time.map(Text),
            revocation: end.revocation().as_str_name(),
            revoke_time: end.revoke_time.map(Text),
            revoke_delivered_time: end.revoke_delivered_time.map(Text),
            end_time: end.end_time.map(Text),
            kind: end.kind().as_str_name(),
            stop: end.stop().as_str_name(),
            charge: end.charge().as_str_name(),
            eligible_time: end.eligible_time.map(Text),
            message: &end.message,
        }
    }
}

impl<'a> From<&'a Failure> for FailureJson<'a> {
    fn from(failure: &'a Failure) -> Self {
        Self {
            reason: failure.reason().as_str_name(),
            message: &failure.message,
            details: &failure.details,
            counted: failure.counted,
            fencing_token: Int64(failure.fencing_token),
            worker_id: &failure.worker_id,
            time: failure.time.map(Text),
        }
    }
}

impl<'a> From<&'a Progress> for ProgressJson<'a> {
    fn from(progress: &'a Progress) -> Self {
        Self { fraction: progress.fraction, message: &progress.message }
    }
}
