//! A task that is to be submitted, as often as it takes: what is left of the time of whoever submits it is less each time.

use std::time::{Duration, Instant};

use leasehold_proto::{
    duration::{from_wire, to_wire},
    v1::SubmitTaskRequest,
};

/// The least time that is asked for: no time at all would break a rule, and so little says the same and ends the task at once.
pub(crate) const LEAST: Duration = Duration::from_millis(1);

/// What to submit, and when whoever submits it runs out of time.
#[derive(Clone, Debug)]
pub(crate) struct Draft {
    pub(crate) request: SubmitTaskRequest,
    pub(crate) within: Option<Instant>,
}

impl Draft {
    /// The message to send now. An idempotency key names a task by its type and payload, so that a repeat with less time left
    /// is the same task.
    pub(crate) fn message(self) -> SubmitTaskRequest {
        let Self { mut request, within } = self;
        let Some(until) = within else { return request };
        let timeouts = request.spec.get_or_insert_default().timeouts.get_or_insert_default();
        // What breaks a rule is for the coordinator to name.
        if let Ok(own) = timeouts.total.as_ref().map(from_wire).transpose() {
            let left = until.saturating_duration_since(Instant::now()).max(LEAST);
            timeouts.total = Some(to_wire(own.unwrap_or(left).min(left)));
        }
        request
    }
}

impl From<SubmitTaskRequest> for Draft {
    fn from(request: SubmitTaskRequest) -> Self {
        Self { request, within: None }
    }
}
