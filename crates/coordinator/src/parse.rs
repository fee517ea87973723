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
    Extras, Guarded, Key, LeaseTerms, Name, Retry, Shape, TaskId, TaskSpec, Template, Trace,
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
mod templates;
#[cfg(test)]
mod tests;

pub use page::{
    next_page_token, next_worker_page_token, page_size, page_token, wished_page_size,
    worker_page_token,
};
pub use pool::{follower, pool_name};
pub use size::AMOUNT_MAX;
pub use states::States;
pub use templates::Templates;

use claims::Claimed;
use field::{FAIRNESS_KEY_BYTES_MAX, Fields};
use templates::Said;

/// A task without a queue waits here.
const DEFAULT_QUEUE: &str = "default";

/// The middle of 0 to 9.
const DEFAULT_PRIORITY: u8 = 5;

/// The least urgent priority.
const PRIORITY_MAX: u8 = 9;

/// By what a submit is judged.
#[derive(Clone, Debug)]
pub struct Rules {
    config: Arc<Config>,
    templates: Templates,
}

/// The trace of a call, and as the tasks keep it that it submits.
#[derive(Debug)]
pub struct CallTrace<'a> {
    context: &'a TraceContext,
    kept: Arc<Trace>,
}

impl<'a> CallTrace<'a> {
    /// The trace of a call that is in this context.
    pub fn new(context: &'a TraceContext) -> Self {
        Self { context, kept: kept(context) }
    }

    /// The trace a task belongs to: its own if the request names a valid one, else the call's. Where both are one trace, the
    /// call's span is the nearer parent.
    fn of_task(&self, own: Option<v1::TraceContext>) -> Arc<Trace> {
        let own = own.and_then(|own| TraceContext::parse(&own.traceparent, &own.tracestate));
        let other = own.filter(|own| own.trace_id() != self.context.trace_id());
        other.as_ref().map_or_else(|| Arc::clone(&self.kept), kept)
    }
}

fn kept(trace: &TraceContext) -> Arc<Trace> {
    let (parent, state) = (trace.traceparent().into(), trace.tracestate().into());
    Arc::new(Trace { parent, state })
}

impl Rules {
    /// The rules that a configuration sets. A request is judged by one of them from its first field to its last.
    pub const fn new(config: Arc<Config>, templates: Templates) -> Self {
        Self { config, templates }
    }

    /// How fast each client may submit, if that is bounded.
    pub fn submit_rate(&self) -> Option<RateLimit> {
        self.config.limits.submit_rate
    }

    /// The task a request asks for, if it keeps every rule.
    pub fn task(
        &self,
        request: v1::SubmitTaskRequest,
        now: SystemTime,
        trace: &CallTrace<'_>,
    ) -> Result<TaskSpec, Refusal> {
        let v1::SubmitTaskRequest { spec, idempotency_key, validate_only: _, namespace } = request;
        let (said, own) = Said::of(namespace, spec.unwrap_or_default());
        let mut fields = Fields::default();
        fields.payload(&own.payload, self.config.limits.payload_bytes);
        let space = fields.namespace("namespace", said.namespace());
        let defaults = &*self.config.defaults_of(space);
        let total_timeout = total(&mut fields, own.total, own.deadline, now, defaults);
        let known = self.templates.find(&self.config, &said);
        let is_known = known.is_some();
        let template = known.unwrap_or_else(|| {
            let template = self.template(&mut fields, space, &said, defaults);
            Arc::new(template)
        });
        let initial_delay = fields.delay("spec.initial_delay", own.initial_delay);
        let labels = fields.labels(own.labels);
        let key = fields.key(&idempotency_key).map(|name| {
            let digest = digest(&said.spec.task_type, &own.payload);
            Key { name: name.into(), digest }
        });
        let task = TaskSpec {
            template,
            payload: own.payload.into(),
            total_timeout,
            trace: Some(trace.of_task(own.trace)),
            extras: Extras { initial_delay, labels, key }.kept(),
        };
        let task = fields.finish(task)?;
        if !is_known {
            self.templates.keep(&self.config, said, &task.template);
        }
        Ok(task)
    }

    fn template(
        &self,
        fields: &mut Fields,
        space: &str,
        said: &Said,
        defaults: &Defaults,
    ) -> Template {
        let (spec, timeouts) = (&said.spec, said.timeouts());
        let queue: Name = namespace::join(space, fields.queue("spec.queue", &spec.queue)).into();
        let (exclusivity, admission) = self.unless_said(&queue);
        Template {
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
            retry: retry(fields, spec.retry.unwrap_or_default(), defaults),
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
                &self.config,
            ),
            fairness_key: fields
                .text("spec.fairness_key", &spec.fairness_key, FAIRNESS_KEY_BYTES_MAX)
                .into(),
            shape: Shape {
                selector: fields.selector(spec.worker_selector.clone()),
                schema: fields.schema("spec.payload_schema", &spec.payload_schema),
                size: fields.size(spec.slots, &spec.resources),
            },
            admission: fields.admission(said, admission),
        }
    }

    /// How fast all clients together may submit to the namespace of a queue, if that is bounded.
    pub fn submit_rate_of(&self, queue: &str) -> Option<RateLimit> {
        self.config.namespaces.get(namespace::of(queue))?.submit_rate
    }

    /// What holds for the tasks of a queue, unless they say otherwise.
    fn unless_said(&self, queue: &str) -> (Exclusivity, Admission) {
        let settings = self.config.queue(queue);
        settings.map_or_else(Default::default, |it| (it.exclusivity, it.admission))
    }
}

/// The earlier of both limits; the default counts only where neither is given.
fn total(
    fields: &mut Fields,
    relative: Option<prost_types::Duration>,
    absolute: Option<prost_types::Timestamp>,
    now: SystemTime,
    defaults: &Defaults,
) -> Duration {
    let default = defaults.total_timeout;
    let relative = relative.map(|_| fields.limit("spec.timeouts.total", relative, default));
    let absolute =
        absolute.map(|time| fields.deadline("spec.timeouts.deadline", time, now, default));
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
