//! What clients send, turned into what the queue takes: checked once, here.
//!
//! A request that breaks rules is refused with every violation at once. It decides nothing about the task and
//! knows neither the engine nor the transport.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use leasehold_policy::{Backoff, namespace};
use leasehold_proto::v1;
use leasehold_queue::{
    Guarded, Key, LeaseTerms, Name, Retry, Shape, TaskId, TaskSpec, Template, Trace,
};
use leasehold_telemetry::TraceContext;
use sha2::{Digest as _, Sha256};

use crate::{
    config::{Admission, Config, Defaults, Exclusivity, RateLimit},
    queues::Queues,
    refusal::{Reason, Refusal},
};

mod claims;
mod field;
mod page;
mod pool;
mod size;
mod states;
#[cfg(test)]
mod tests;

pub use page::{
    next_page_token, next_worker_page_token, page_size, page_token, wished_page_size,
    worker_page_token,
};
pub use pool::{follower, pool_name};
pub use size::AMOUNT_MAX;
pub use states::States;

use claims::Claimed;
use field::{FAIRNESS_KEY_BYTES_MAX, Fields};

/// A task without a queue waits here.
const DEFAULT_QUEUE: &str = "default";

/// The middle of 0 to 9.
const DEFAULT_PRIORITY: u8 = 5;

/// The least urgent priority.
const PRIORITY_MAX: u8 = 9;

/// By what a submit is judged.
#[derive(Clone, Debug)]
pub struct Rules(Arc<Config>);

impl Rules {
    /// The rules that a configuration sets. A request is judged by one of them from its first field to its last.
    pub const fn new(config: Arc<Config>) -> Self {
        Self(config)
    }

    /// How fast each client may submit, if that is bounded.
    pub fn submit_rate(&self) -> Option<RateLimit> {
        self.0.limits.submit_rate
    }

    /// The task a request asks for, if it keeps every rule. `trace` is the call's: it becomes the task's, unless the
    /// request brings a valid one of its own.
    pub fn task(
        &self,
        request: v1::SubmitTaskRequest,
        now: SystemTime,
        trace: &TraceContext,
    ) -> Result<TaskSpec, Refusal> {
        let v1::SubmitTaskRequest { spec, idempotency_key, validate_only: _, namespace } = request;
        let mut fields = Fields::default();
        let spec = spec.unwrap_or_default();
        fields.payload(&spec.payload, self.0.limits.payload_bytes);
        let timeouts = spec.timeouts.unwrap_or_default();
        let space = fields.namespace("namespace", &namespace);
        let defaults = &*self.0.defaults_of(space);
        let total = total(&mut fields, &timeouts, now, defaults.total_timeout);
        let queue: Name = namespace::join(space, fields.queue("spec.queue", &spec.queue)).into();
        let (exclusivity, admission) = self.unless_said(&queue);
        let task = TaskSpec {
            template: Arc::new(Template {
                queue,
                task_type: fields.task_type("spec.task_type", &spec.task_type).into(),
                content_type: fields.text("spec.content_type", &spec.content_type, 128).into(),
                priority: fields.priority(spec.priority),
                start_timeout: fields.limit(
                    "spec.timeouts.start",
                    timeouts.start,
                    defaults.start_timeout,
                ),
                attempt_timeout: fields.limit(
                    "spec.timeouts.attempt",
                    timeouts.attempt,
                    defaults.attempt_timeout,
                ),
                kill_grace: fields.limit(
                    "spec.timeouts.kill_grace",
                    timeouts.kill_grace,
                    defaults.kill_grace,
                ),
                retry: retry(&mut fields, spec.retry.unwrap_or_default(), defaults),
                terms: LeaseTerms {
                    guarantee: fields.guarantee(spec.guarantee),
                    exclusivity: fields.exclusivity(spec.exclusivity, exclusivity),
                    progress_timeout: fields.progress_timeout(timeouts.progress),
                    queue_timeout: fields.optional_limit("spec.timeouts.queue", timeouts.queue),
                },
                claims: fields.claims(
                    Claimed {
                        keys: &spec.concurrency_keys,
                        charges: &spec.rate_charges,
                        dependencies: &spec.dependencies,
                        fails_fast: spec.fail_fast,
                    },
                    &self.0,
                ),
                fairness_key: fields
                    .text("spec.fairness_key", &spec.fairness_key, FAIRNESS_KEY_BYTES_MAX)
                    .into(),
                shape: Shape {
                    selector: fields.selector(spec.worker_selector),
                    schema: fields.schema("spec.payload_schema", &spec.payload_schema),
                    size: fields.size(spec.slots, &spec.resources),
                },
                admission: fields.admission(spec.admission, &timeouts, admission),
            }),
            initial_delay: fields.delay("spec.initial_delay", spec.initial_delay),
            total_timeout: total,
            labels: fields.labels(spec.labels),
            trace: Some(trace_of(spec.trace_context, trace)),
            key: fields.key(&idempotency_key).map(|name| Key {
                name: name.into(),
                digest: digest(&spec.task_type, &spec.payload),
            }),
            payload: spec.payload.into(),
        };
        fields.finish(task)
    }

    /// How fast all clients together may submit to the namespace of a queue, if that is bounded.
    pub fn submit_rate_of(&self, queue: &str) -> Option<RateLimit> {
        self.0.namespaces.get(namespace::of(queue))?.submit_rate
    }

    /// What holds for the tasks of a queue, unless they say otherwise.
    fn unless_said(&self, queue: &str) -> (Exclusivity, Admission) {
        let settings = self.0.queue(queue);
        settings.map_or_else(Default::default, |it| (it.exclusivity, it.admission))
    }
}

/// The earlier of both limits; the default counts only where neither is given.
fn total(fields: &mut Fields, said: &v1::Timeouts, now: SystemTime, default: Duration) -> Duration {
    let relative = said.total.map(|_| fields.limit("spec.timeouts.total", said.total, default));
    let absolute =
        said.deadline.map(|time| fields.deadline("spec.timeouts.deadline", time, now, default));
    match (relative, absolute) {
        (Some(relative), Some(absolute)) => relative.min(absolute),
        (Some(limit), None) | (None, Some(limit)) => limit,
        (None, None) => default,
    }
}

fn retry(fields: &mut Fields, said: v1::RetryPolicy, defaults: &Defaults) -> Retry {
    let defaults = &defaults.retry;
    let cap = fields.limit("spec.retry.cap", said.cap, defaults.cap);
    // A ceiling above the cap would never be reached, so a default never asks for one.
    let initial = defaults.initial.min(cap);
    Retry {
        max_attempts: fields.attempts(said.max_attempts, defaults.max_attempts),
        backoff: Backoff {
            initial: fields.initial(said.initial, initial, cap),
            factor: fields.factor(said.factor, defaults.factor),
            cap,
            jitter: fields.jitter(said.jitter, defaults.jitter.into()),
        },
    }
}

/// A task id, as it came in a field named `field`.
pub fn task_id(field: &str, text: &str) -> Result<TaskId, Refusal> {
    text.parse().map_err(|_| {
        Refusal::field(field, format!("{} is no task id: expected a UUID", field::shown(text)))
    })
}

/// The name by which an existing queue is known, as it and its namespace came in `queue` and `namespace`.
pub fn queue_name(queue: &str, space: &str) -> Result<Name, Refusal> {
    match queues(queue, space)? {
        Queues::One(name) => Ok(name),
        Queues::Of(_) => {
            Err(Refusal::field("queue", "is empty: name a queue, such as \"default\""))
        }
    }
}

/// The queues that something is restricted to, as `queue` and `namespace` say.
pub fn queues(queue: &str, space: &str) -> Result<Queues, Refusal> {
    let mut fields = Fields::default();
    let space = fields.namespace("namespace", space);
    let queues = if queue.is_empty() {
        Queues::Of(space.into())
    } else {
        Queues::One(namespace::join(space, fields.queue("queue", queue)).into())
    };
    fields.finish(queues)
}

/// The namespace that something is restricted to.
pub fn namespace(space: &str) -> Result<Name, Refusal> {
    let mut fields = Fields::default();
    let space = fields.namespace("namespace", space);
    fields.finish(space.into())
}

/// The task type that something is restricted to, if any.
pub fn task_type_filter(field: &str, text: &str) -> Result<Option<Name>, Refusal> {
    let mut fields = Fields::default();
    let name = (!text.is_empty()).then(|| fields.task_type(field, text));
    fields.finish(name.map(Name::from))
}

/// What a circuit breaker of this name guards.
pub fn breaker(field: &str, text: &str) -> Result<Guarded, Refusal> {
    match text.split_once('.') {
        Some(("task_types", name)) => Ok(Guarded::TaskType(name.into())),
        Some(("dependencies", name)) => Ok(Guarded::Dependency(name.into())),
        Some(_) | None => Err(no_breaker(field, text)),
    }
}

/// No circuit breaker has this name.
pub fn no_breaker(field: &str, text: &str) -> Refusal {
    let problem = format!(
        "no breaker {} is configured: they are named as in `breakers`, such as \"dependencies.stripe\"",
        field::shown(text)
    );
    Refusal::field(field, problem)
}

/// The generation of a task, if one is named.
pub fn generation(field: &str, number: i32) -> Result<Option<u32>, Refusal> {
    match u32::try_from(number) {
        Ok(0) => Ok(None),
        Ok(generation) => Ok(Some(generation)),
        Err(_) => Err(Refusal::field(field, format!("{number} is negative: the first one is 1"))),
    }
}

/// The first half of the SHA-256 of what an idempotency key stands for.
fn digest(task_type: &str, payload: &[u8]) -> [u8; 16] {
    let sum = Sha256::new().chain_update(task_type).chain_update([0]).chain_update(payload);
    let mut half = [0; 16];
    for (to, from) in half.iter_mut().zip(sum.finalize()) {
        *to = from;
    }
    half
}

/// The trace a task belongs to: its own if the request names a valid one, else the call's. Where both are one trace,
/// the call's span is the nearer parent.
fn trace_of(own: Option<v1::TraceContext>, call: &TraceContext) -> Trace {
    let own = own.and_then(|own| TraceContext::parse(&own.traceparent, &own.tracestate));
    let other = own.filter(|own| own.trace_id() != call.trace_id());
    let trace = other.as_ref().unwrap_or(call);
    Trace { parent: trace.traceparent().into(), state: trace.tracestate().into() }
}
