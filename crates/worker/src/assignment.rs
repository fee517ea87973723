//! A task as the coordinator hands it to a worker, parsed.

use std::{
    collections::BTreeMap,
    fmt,
    ops::Deref,
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use leasehold_proto::{
    duration::{from_wire, to_wire},
    v1,
};
use leasehold_telemetry::TraceContext;
use tracing::Span;

use crate::{CancelReason, size::Size, term::UNLIMITED};

/// The right to run one task, as the coordinator named it: larger than every earlier token of the same task.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Token(pub(crate) i64);

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A task to run, under a lease. What it can have in common with others is found on it, too.
#[derive(Clone, Debug)]
pub(crate) struct Assignment {
    /// The lease.
    pub(crate) token: Token,
    pub(crate) task_id: String,
    pub(crate) payload: Bytes,
    /// Counting from 1. For people; the token is what to compare.
    pub(crate) attempt: u32,
    pub(crate) generation: u32,
    /// What was left of the whole task's time when it was received; of one that has been started, at the start.
    pub(crate) total_remaining: Option<Duration>,
    /// What an earlier attempt saved for it.
    pub(crate) checkpoint: Option<Bytes>,
    /// Those that come one after the other and say so share it.
    pub(crate) likeness: Arc<Likeness>,
}

/// What is said once of assignments that are alike.
#[derive(Clone, Debug)]
pub(crate) struct Likeness {
    pub(crate) namespace: String,
    pub(crate) queue: String,
    pub(crate) task_type: String,
    pub(crate) content_type: String,
    /// Start within this time of receiving it, or decline.
    pub(crate) start_timeout: Option<Duration>,
    /// Stop this long after the start.
    pub(crate) attempt_timeout: Option<Duration>,
    /// From the request to stop to the kill.
    pub(crate) kill_grace: Duration,
    /// The submitter's trace, or a new one if it sent none that is valid.
    pub(crate) trace: TraceContext,
    pub(crate) labels: BTreeMap<String, String>,
    /// For how long it may make no progress.
    pub(crate) progress_timeout: Option<Duration>,
    /// How much of the worker it takes.
    pub(crate) size: Size,
}

impl Deref for Assignment {
    type Target = Likeness;

    fn deref(&self) -> &Likeness {
        &self.likeness
    }
}

impl Assignment {
    /// Reads what the coordinator sent.
    pub(crate) fn parse(assignment: v1::Assignment) -> Self {
        let trace = assignment.trace_context.unwrap_or_default();
        let likeness = Arc::new(Likeness {
            namespace: assignment.namespace,
            queue: assignment.queue,
            task_type: assignment.task_type,
            content_type: assignment.content_type,
            start_timeout: assignment.start_timeout.map(duration),
            attempt_timeout: assignment.attempt_timeout.map(duration),
            kill_grace: assignment.kill_grace.map_or(Duration::ZERO, duration),
            trace: TraceContext::parse(&trace.traceparent, &trace.tracestate)
                .unwrap_or_else(TraceContext::generate),
            labels: assignment.labels.into_iter().collect(),
            progress_timeout: assignment.progress_timeout.map(duration),
            size: Size::parse(assignment.slots, assignment.resources),
        });
        let own = v1::AlikeAssignment {
            fencing_token: assignment.fencing_token,
            task_id: assignment.task_id,
            payload: assignment.payload,
            attempt: assignment.attempt,
            generation: assignment.generation,
            total_remaining: assignment.total_remaining,
            checkpoint: assignment.checkpoint,
        };
        Self::parse_alike(own, likeness)
    }

    /// Reads what the coordinator sent of one that is like the one before it.
    pub(crate) fn parse_alike(own: v1::AlikeAssignment, likeness: Arc<Likeness>) -> Self {
        Self {
            token: Token(own.fencing_token),
            task_id: own.task_id,
            payload: own.payload,
            attempt: u32::try_from(own.attempt).unwrap_or(0),
            generation: u32::try_from(own.generation).unwrap_or(0),
            total_remaining: own.total_remaining.map(duration),
            checkpoint: own.checkpoint,
            likeness,
        }
    }
}

impl Assignment {
    /// How long it may run from its start, unless it asks for more.
    pub(crate) fn time_limit(&self) -> Option<Duration> {
        [self.attempt_timeout, self.total_remaining].into_iter().flatten().min()
    }

    /// When that is over of one that starts now, and when the whole task's time is.
    pub(crate) fn deadlines(&self, now: Instant) -> [Instant; 2] {
        [self.time_limit(), self.total_remaining]
            .map(|limit| now + limit.unwrap_or(UNLIMITED).min(UNLIMITED))
    }

    /// Which of its limits that is.
    pub(crate) fn limit(&self) -> CancelReason {
        let is_total = |total| self.attempt_timeout.is_none_or(|attempt| total <= attempt);
        if self.total_remaining.is_some_and(is_total) {
            CancelReason::TotalTimeout
        } else {
            CancelReason::AttemptTimeout
        }
    }

    /// The span of this attempt, below no other.
    pub(crate) fn span(&self, worker_id: &str) -> Span {
        tracing::info_span!(
            parent: None,
            "process",
            // Written out only where a tracer wants it.
            otel.name = format_args!("process {}", self.queue),
            otel.kind = "consumer",
            task_id = self.task_id,
            trace_id = self.trace.trace_id(),
            task_type = self.task_type,
            fencing_token = self.token.0,
            attempt = self.attempt,
            generation = self.generation,
            worker_id,
        )
    }

    /// The same for a process of this executable, with the attempt's own trace.
    pub(crate) fn to_wire(&self, trace: &TraceContext) -> v1::Assignment {
        let number = |it: u32| i32::try_from(it).unwrap_or(i32::MAX);
        v1::Assignment {
            fencing_token: self.token.0,
            task_id: self.task_id.clone(),
            namespace: self.namespace.clone(),
            queue: self.queue.clone(),
            task_type: self.task_type.clone(),
            payload: self.payload.clone(),
            content_type: self.content_type.clone(),
            attempt: number(self.attempt),
            generation: number(self.generation),
            start_timeout: self.start_timeout.map(to_wire),
            attempt_timeout: self.attempt_timeout.map(to_wire),
            total_remaining: self.total_remaining.map(to_wire),
            kill_grace: Some(to_wire(self.kill_grace)),
            trace_context: Some(v1::TraceContext {
                traceparent: trace.traceparent(),
                tracestate: trace.tracestate().to_owned(),
            }),
            labels: self.labels.clone().into_iter().collect(),
            progress_timeout: self.progress_timeout.map(to_wire),
            checkpoint: self.checkpoint.clone(),
            slots: self.size.wire_slots(),
            resources: self.size.wire_resources(),
        }
    }
}

/// A duration from the wire; a negative one is zero.
pub(crate) fn duration(sent: prost_types::Duration) -> Duration {
    from_wire(&sent).unwrap_or_default()
}
