//! What a submitter says of a task, checked and with defaults filled in.

use std::time::Duration;

use bytes::Bytes;
use leasehold_policy::Backoff;

use crate::Name;

/// A task as it was asked for. It never changes.
#[derive(Clone, Debug, PartialEq)]
pub struct TaskSpec {
    /// The queue it waits in.
    pub queue: Name,
    /// The kind of work.
    pub task_type: Name,
    /// The handler's input.
    pub payload: Bytes,
    /// How to read the payload; not interpreted.
    pub content_type: Name,
    /// 0 (most urgent) to 9.
    pub priority: u8,
    /// How long to wait before it may first be leased.
    pub initial_delay: Duration,
    /// From the grant to the worker's start.
    pub start_timeout: Duration,
    /// From the worker's start to the end of the attempt.
    pub attempt_timeout: Duration,
    /// From the submit (or replay) to the end of the task.
    pub total_timeout: Duration,
    /// From a request to stop to the kill.
    pub kill_grace: Duration,
    /// When and how often to try again.
    pub retry: Retry,
    /// Names for people and filters.
    pub labels: Vec<(Name, Name)>,
    /// The submitter's trace.
    pub trace: Option<Trace>,
    /// The idempotency key it was submitted under.
    pub key: Option<Key>,
}

/// When and how often a failed attempt is tried again.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Retry {
    /// How many counted attempts there may be; at least 1.
    pub max_attempts: u32,
    /// How long to wait between them.
    pub backoff: Backoff,
}

/// W3C trace context, checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trace {
    /// The `traceparent` header.
    pub parent: Name,
    /// The `tracestate` header; empty if there was none.
    pub state: Name,
}

/// An idempotency key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    /// What the client called it.
    pub name: Name,
    /// A digest of task type and payload: another one under the same key is a conflict.
    pub digest: [u8; 16],
}
