//! The requests of one message, in their order: one can say that it is like the one before it.

use std::{
    mem,
    sync::Arc,
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use leasehold_proto::v1;
use leasehold_queue::{Extras, Key, Name, TaskSpec, Template, Trace};

use super::{
    CallTrace, Rules, digest,
    field::Fields,
    templates::{Own, Said},
    total,
};
use crate::refusal::Refusal;

const FIELD: &str = "alike_payload";

/// Reads the requests of one message.
#[derive(Debug)]
pub struct Message<'a> {
    rules: &'a Rules,
    now: SystemTime,
    trace: &'a CallTrace<'a>,
    /// What the last request said.
    before: Option<Likeness>,
}

/// All that was read of a request but its payload and its key, and which rules that breaks: so does whatever is like it.
#[derive(Debug)]
struct Likeness {
    template: Arc<Template>,
    initial_delay: Duration,
    total_timeout: Duration,
    labels: Vec<(Name, Name)>,
    trace: Arc<Trace>,
    broken: Fields,
}

impl Rules {
    /// Reads a message that came at `now` with a call of this trace.
    pub const fn message<'a>(&'a self, now: SystemTime, trace: &'a CallTrace<'a>) -> Message<'a> {
        Message { rules: self, now, trace, before: None }
    }
}

impl Message<'_> {
    /// The task that its next request asks for, if it keeps every rule.
    pub fn task(&mut self, request: v1::SubmitTaskRequest) -> Result<TaskSpec, Refusal> {
        let v1::SubmitTaskRequest {
            spec,
            idempotency_key: key,
            validate_only: _,
            namespace,
            alike_payload,
        } = request;
        let payload = match alike_payload {
            None => {
                let (said, mut own) = Said::of(namespace, spec.unwrap_or_default());
                let payload = mem::take(&mut own.payload);
                self.before = Some(self.read(said, own));
                payload
            }
            Some(payload) if spec.is_none() && namespace.is_empty() => payload,
            Some(_) => {
                // Nor is anything like a request that says two things at once.
                self.before = None;
                let problem = "stands in place of spec and namespace: leave it out, or them";
                return Err(Refusal::field(FIELD, problem));
            }
        };
        let before = self.before.as_ref().ok_or_else(|| {
            let problem =
                "there is no request before it in its message that could be read: name a spec";
            Refusal::field(FIELD, problem)
        })?;
        before.task(payload, &key, self.rules.config.limits.payload_bytes)
    }

    fn read(&self, said: Said, own: Own) -> Likeness {
        let Rules { config, templates } = self.rules;
        let mut fields = Fields::default();
        let space = fields.namespace("namespace", said.namespace());
        let defaults = &*config.defaults_of(space);
        let total_timeout = total(&mut fields, own.total, own.deadline, self.now, defaults);
        let known = templates.find(config, &said);
        let is_known = known.is_some();
        let template = known.unwrap_or_else(|| {
            let template = self.rules.template(&mut fields, space, &said, defaults);
            Arc::new(template)
        });
        let likeness = Likeness {
            initial_delay: fields.delay("spec.initial_delay", own.initial_delay),
            total_timeout,
            labels: fields.labels(own.labels),
            trace: self.trace.of_task(own.trace),
            template,
            broken: fields,
        };
        if !is_known && !likeness.broken.has_violations() {
            templates.keep(config, said, &likeness.template);
        }
        likeness
    }
}

impl Likeness {
    fn task(&self, payload: Bytes, key: &str, payload_bytes_max: u64) -> Result<TaskSpec, Refusal> {
        let mut fields = Fields::default();
        fields.payload(&payload, payload_bytes_max);
        fields.break_as(&self.broken);
        let key = fields.key(key).map(|name| {
            let digest = digest(&self.template.task_type, &payload);
            Key { name: name.into(), digest }
        });
        fields.finish(TaskSpec {
            template: Arc::clone(&self.template),
            payload: payload.into(),
            total_timeout: self.total_timeout.into(),
            trace: Some(Arc::clone(&self.trace)),
            extras: Extras { initial_delay: self.initial_delay, labels: self.labels.clone(), key }
                .kept(),
        })
    }
}
