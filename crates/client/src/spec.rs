//! What a submitter says of a task. Checks nothing: the coordinator owns the rules and names every
//! violation at once.

use std::{
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use bytes::Bytes;
use leasehold_proto::{
    duration::{from_wire, to_wire},
    v1::{self, SubmitTaskRequest, Timeouts},
};
use prost::Message as _;

/// The least time that is asked for: no time at all would break a rule, and so little says the same and ends the task at once.
const LEAST: Duration = Duration::from_millis(1);

/// What a message takes at most beside what its fields hold: tags, lengths, and a total timeout that is less than its own.
const BESIDE_BYTES: usize = 64;

/// A task to submit. Everything but the task type may be left out.
///
/// Of many that differ in payload and key alone, one is best made and cloned: what they have in common is then neither copied nor
/// sent for each.
#[derive(Clone, Debug, PartialEq)]
pub struct TaskSpec {
    /// All but the payload.
    said: Arc<v1::TaskSpec>,
    payload: Bytes,
    idempotency_key: String,
    /// When what submits it runs out of time.
    within: Option<Instant>,
}

impl TaskSpec {
    /// A task for the workers that serve `task_type`.
    pub fn new(task_type: impl Into<String>) -> Self {
        let said = v1::TaskSpec { task_type: task_type.into(), ..v1::TaskSpec::default() };
        Self {
            said: Arc::new(said),
            payload: Bytes::new(),
            idempotency_key: String::new(),
            within: None,
        }
    }

    /// The kind of work, in place of the one it was made with.
    #[must_use]
    pub fn task_type(mut self, task_type: impl Into<String>) -> Self {
        self.said().task_type = task_type.into();
        self
    }

    /// The queue it waits in. Default "default".
    #[must_use]
    pub fn queue(mut self, queue: impl Into<String>) -> Self {
        self.said().queue = queue.into();
        self
    }

    /// The handler's input. Default empty.
    #[must_use]
    pub fn payload(mut self, payload: impl Into<Bytes>) -> Self {
        self.payload = payload.into();
        self
    }

    /// How to read the payload, such as `application/json`. Not interpreted.
    #[must_use]
    pub fn content_type(mut self, content_type: impl Into<String>) -> Self {
        self.said().content_type = content_type.into();
        self
    }

    /// 0, the most urgent, to 9. Default 5.
    #[must_use]
    pub fn priority(mut self, priority: i32) -> Self {
        self.said().priority = Some(priority);
        self
    }

    /// A name of the task: submitting the same key, type and payload again gives the same task.
    #[must_use]
    pub fn idempotency_key(mut self, key: impl Into<String>) -> Self {
        self.idempotency_key = key.into();
        self
    }

    /// How long to wait before the task may first be leased.
    #[must_use]
    pub fn delay(mut self, delay: Duration) -> Self {
        self.said().initial_delay = Some(to_wire(delay));
        self
    }

    /// From a worker's start of one attempt to its end.
    #[must_use]
    pub fn attempt_timeout(mut self, timeout: Duration) -> Self {
        self.timeouts().attempt = Some(to_wire(timeout));
        self
    }

    /// From the submit to the end of the task, all attempts and waits included.
    #[must_use]
    pub fn total_timeout(mut self, timeout: Duration) -> Self {
        self.timeouts().total = Some(to_wire(timeout));
        self
    }

    /// From the grant to the worker's start.
    #[must_use]
    pub fn start_timeout(mut self, timeout: Duration) -> Self {
        self.timeouts().start = Some(to_wire(timeout));
        self
    }

    /// When the whole task must have ended; the earlier of this and the total timeout wins.
    #[must_use]
    pub fn deadline(mut self, deadline: SystemTime) -> Self {
        self.timeouts().deadline = Some(deadline.into());
        self
    }

    /// It has to be over within this time from now, whatever else is said of its times: what is left to the task that submits it,
    /// such as `Context::task_remaining` of a handler. What passes until it is submitted counts, repeats of the submit included.
    #[must_use]
    pub fn within(mut self, remaining: Duration) -> Self {
        let until = Instant::now().checked_add(remaining);
        self.within = self.within.into_iter().chain(until).min();
        self
    }

    /// Whether it is accepted though it is unlikely to be over by its deadline. Default: it is, and the
    /// [`Receipt`](crate::Receipt) says so.
    #[must_use]
    pub fn admission(mut self, admission: v1::Admission) -> Self {
        self.said().admission = admission.into();
        self
    }

    /// From a request to stop to the kill of what still runs.
    #[must_use]
    pub fn kill_grace(mut self, grace: Duration) -> Self {
        self.timeouts().kill_grace = Some(to_wire(grace));
        self
    }

    /// For how long running work may give no sign of progress before its attempt is stopped as hung. Default: as long as the
    /// attempt may run.
    #[must_use]
    pub fn progress_timeout(mut self, timeout: Duration) -> Self {
        self.timeouts().progress = Some(to_wire(timeout));
        self
    }

    /// From when it may first be leased to the first start of its work; a task that nobody has started by then fails. Default:
    /// it waits as long as it lives.
    #[must_use]
    pub fn queue_timeout(mut self, timeout: Duration) -> Self {
        self.timeouts().queue = Some(to_wire(timeout));
        self
    }

    /// How many attempts there may be, the first included.
    #[must_use]
    pub fn max_attempts(mut self, attempts: i32) -> Self {
        self.retry().max_attempts = Some(attempts);
        self
    }

    /// The ceiling of the wait after the first failure, and the ceiling of that ceiling.
    #[must_use]
    pub fn retry_backoff(mut self, initial: Duration, cap: Duration) -> Self {
        let retry = self.retry();
        retry.initial = Some(to_wire(initial));
        retry.cap = Some(to_wire(cap));
        self
    }

    /// How often its work may be started. Default at least once.
    #[must_use]
    pub fn guarantee(mut self, guarantee: v1::Guarantee) -> Self {
        self.said().guarantee = guarantee.into();
        self
    }

    /// Whether another worker may have it while the one before may still run it. Default: what its queue says.
    #[must_use]
    pub fn exclusivity(mut self, exclusivity: v1::Exclusivity) -> Self {
        self.said().exclusivity = exclusivity.into();
        self
    }

    /// The trace it belongs to, as a W3C `traceparent`. Default: that of the call that submits it.
    #[must_use]
    pub fn traceparent(mut self, traceparent: impl Into<String>) -> Self {
        let tracestate = String::new();
        self.said().trace_context =
            Some(v1::TraceContext { traceparent: traceparent.into(), tracestate });
        self
    }

    /// A name and a value for people and filters.
    #[must_use]
    pub fn label(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.said().labels.insert(key.into(), value.into());
        self
    }

    /// With which tasks of its queue it shares what the queue gets, such as a customer's id. Default: with those that name
    /// nothing either.
    #[must_use]
    pub fn fairness_key(mut self, key: impl Into<String>) -> Self {
        self.said().fairness_key = key.into();
        self
    }

    /// A label that its worker must have, with this value.
    #[must_use]
    pub fn worker_label(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.said().worker_selector.insert(key.into(), value.into());
        self
    }

    /// How many of its worker's slots a lease takes, all of them together: 1 to 10,000. Default 1.
    #[must_use]
    pub fn slots(mut self, slots: i32) -> Self {
        self.said().slots = slots;
        self
    }

    /// Takes so much of something that its worker says it has, such as `gpu` or `memory_mb`, together with the slots. A worker
    /// that does not name it is given no such task. May be given several times, for at most 8.
    #[must_use]
    pub fn resource(mut self, name: impl Into<String>, amount: i64) -> Self {
        self.said().resources.insert(name.into(), amount);
        self
    }

    /// What the payload looks like: the fingerprint of its schema, as `leasehold schema fingerprint` prints it. Only a worker that
    /// reads this schema is given the task. Default: whoever takes its type reads it.
    #[must_use]
    pub fn payload_schema(mut self, fingerprint: impl Into<String>) -> Self {
        self.said().payload_schema = fingerprint.into();
        self
    }

    /// A limit that its lease counts against: no more tasks with this key run at a time than the coordinator's `concurrency`
    /// says, one unless that says otherwise. May be given several times, for several keys.
    #[must_use]
    pub fn concurrency_key(mut self, key: impl Into<String>) -> Self {
        self.said().concurrency_keys.push(key.into());
        self
    }

    /// Takes so many tokens of a key of the coordinator's `rates` when it is leased. May be given several times, for several
    /// keys.
    #[must_use]
    pub fn rate_charge(mut self, key: impl Into<String>, tokens: i32) -> Self {
        self.said().rate_charges.push(v1::RateCharge { key: key.into(), tokens: Some(tokens) });
        self
    }

    /// Something that its work calls: while its circuit is open the task is not leased, and keeps its attempts. A key of the
    /// coordinator's `breakers.dependencies`. May be given several times, for several.
    #[must_use]
    pub fn dependency(mut self, name: impl Into<String>) -> Self {
        self.said().dependencies.push(name.into());
        self
    }

    /// Has the submit refused while a circuit is open that the task would have to pass, instead of letting it wait.
    #[must_use]
    pub fn fail_fast(mut self) -> Self {
        self.said().fail_fast = true;
        self
    }

    /// The message to send now. What is left of the time of whoever submits it is less each time; an idempotency key names a task
    /// by its type and payload, so that a repeat with less time left is the same task.
    pub(crate) fn message(&self, namespace: &str) -> SubmitTaskRequest {
        let mut spec = Box::new(v1::TaskSpec::clone(&self.said));
        spec.payload = self.payload.clone();
        if let Some(until) = self.within {
            let timeouts = spec.timeouts.get_or_insert_default();
            // What breaks a rule is for the coordinator to name.
            if let Ok(own) = timeouts.total.as_ref().map(from_wire).transpose() {
                let left = until.saturating_duration_since(Instant::now()).max(LEAST);
                timeouts.total = Some(to_wire(own.unwrap_or(left).min(left)));
            }
        }
        SubmitTaskRequest {
            spec: Some(spec),
            idempotency_key: self.idempotency_key.clone(),
            namespace: namespace.to_owned(),
            ..SubmitTaskRequest::default()
        }
    }

    /// The message to send now right behind that of a task that it is [like](Self::is_like).
    pub(crate) fn alike_message(&self) -> SubmitTaskRequest {
        SubmitTaskRequest {
            idempotency_key: self.idempotency_key.clone(),
            alike_payload: Some(self.payload.clone()),
            ..SubmitTaskRequest::default()
        }
    }

    /// Whether it has an idempotency key.
    pub(crate) fn has_key(&self) -> bool {
        !self.idempotency_key.is_empty()
    }

    /// The queue that it names; empty: none.
    pub(crate) fn named_queue(&self) -> &str {
        &self.said.queue
    }

    /// Whether it says what the other does, but for payload and key, as far as [`Likeness`] has found that.
    pub(crate) fn is_like(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.said, &other.said) && self.within.is_none() && other.within.is_none()
    }

    fn said(&mut self) -> &mut v1::TaskSpec {
        Arc::make_mut(&mut self.said)
    }

    fn timeouts(&mut self) -> &mut Timeouts {
        self.said().timeouts.get_or_insert_default()
    }

    fn retry(&mut self) -> &mut v1::RetryPolicy {
        self.said().retry.get_or_insert_default()
    }
}

/// What the tasks of a stream say beside payload and key. Those in a row that say the same share it.
#[derive(Debug, Default)]
pub(crate) struct Likeness {
    said: Arc<v1::TaskSpec>,
    bytes: usize,
}

impl Likeness {
    /// The next task: shares what it says with the one before if it can, and says how many bytes its message takes in full. That is
    /// a few more than it does.
    pub(crate) fn take_in(&mut self, spec: &mut TaskSpec, namespace: &str) -> usize {
        let is_shared = Arc::ptr_eq(&self.said, &spec.said);
        if !is_shared && self.said == spec.said {
            spec.said = Arc::clone(&self.said);
        } else if !is_shared {
            self.said = Arc::clone(&spec.said);
            self.bytes = self.said.encoded_len();
        }
        let own = spec.payload.len() + spec.idempotency_key.len() + namespace.len();
        self.bytes + own + BESIDE_BYTES
    }
}

#[cfg(test)]
mod tests;
