//! Submitting tasks: one, a batch, or a stream of them.

mod stream;
mod window;

use leasehold_proto::v1::{
    BatchSubmitTasksRequest, SubmitOutcome, SubmitTaskRequest, SubmitTaskResponse,
    submit_outcome::Outcome,
};

pub use stream::{StreamOptions, SubmitStream};

use tracing::Span;

use crate::{
    Client, ClientOptions, Error, Refusal, TaskSpec,
    call::{Call, submit_span},
    outage::Repeat,
};

/// The task was accepted, durably.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// The task's id.
    pub task_id: String,
    /// Whether the idempotency key named a task that existed already.
    pub deduplicated: bool,
}

impl Client {
    /// Accepts one task. When it answers, the task is durable.
    ///
    /// A submit without an idempotency key is given a random one, so that it can be repeated when its
    /// answer was lost: see [`GeneratedKeys`](crate::GeneratedKeys).
    pub async fn submit(&self, spec: TaskSpec) -> Result<Receipt, Error> {
        let request = keyed(spec.into_request(), self.options());
        let call = Call::new(self.options(), repeat_of(&request), span_of(&request));
        let send = |request| {
            let mut service = self.task_service();
            async move { service.submit_task(request).await }
        };
        let span = call.span();
        let receipt = Receipt::from(call.unary(request, send).await?);
        span.in_scope(|| tracing::debug!(task_id = receipt.task_id, "task accepted"));
        Ok(receipt)
    }

    /// Asks whether a task would be accepted, and accepts nothing.
    pub async fn validate(&self, spec: TaskSpec) -> Result<(), Error> {
        let request = SubmitTaskRequest { validate_only: true, ..spec.into_request() };
        let send = |request| {
            let mut service = self.task_service();
            async move { service.submit_task(request).await }
        };
        self.call("leasehold.v1.TaskService/SubmitTask", Repeat::Safe).unary(request, send).await?;
        Ok(())
    }

    /// Accepts up to 1,000 tasks. Each has its own outcome, in the order given. A refusal that names
    /// a time to try again is handed back as it is; [`submit_stream`](Self::submit_stream) waits for it.
    pub async fn submit_batch(
        &self,
        specs: Vec<TaskSpec>,
    ) -> Result<Vec<Result<Receipt, Error>>, Error> {
        let expected = specs.len();
        let requests: Vec<_> =
            specs.into_iter().map(|spec| keyed(spec.into_request(), self.options())).collect();
        let all_keyed = requests.iter().all(|request| repeat_of(request) == Repeat::Safe);
        let repeat = if all_keyed { Repeat::Safe } else { Repeat::OnlyIfRefused };
        let send = |request| {
            let mut service = self.task_service();
            async move { service.batch_submit_tasks(request).await }
        };
        let message = BatchSubmitTasksRequest { requests };
        let call = self.call("leasehold.v1.TaskService/BatchSubmitTasks", repeat);
        let response = call.unary(message, send).await?;
        if response.outcomes.len() != expected {
            return Err(self.malformed("an outcome for each task"));
        }
        let missing = || self.malformed("an outcome for each task");
        Ok(response.outcomes.into_iter().map(|outcome| read_outcome(outcome, missing)).collect())
    }
}

impl From<SubmitTaskResponse> for Receipt {
    fn from(response: SubmitTaskResponse) -> Self {
        Self { task_id: response.task_id, deduplicated: response.deduplicated }
    }
}

/// Reads what became of one task of a batch or stream.
fn read_outcome(outcome: SubmitOutcome, missing: impl FnOnce() -> Error) -> Result<Receipt, Error> {
    match outcome.outcome {
        Some(Outcome::Accepted(response)) => Ok(response.into()),
        Some(Outcome::Refused(refusal)) => {
            Err(Error::Refused(Box::new(Refusal::from_wire(refusal))))
        }
        None => Err(missing()),
    }
}

/// Gives a request a random key where it has none and the options say so.
fn keyed(mut request: SubmitTaskRequest, options: &ClientOptions) -> SubmitTaskRequest {
    if request.idempotency_key.is_empty() && options.generates_keys() {
        request.idempotency_key = format!("client-{:032x}", fastrand::u128(..));
    }
    request
}

fn span_of(request: &SubmitTaskRequest) -> Span {
    submit_span(request.spec.as_ref().map_or("", |spec| &spec.queue))
}

/// A submit is safe to repeat exactly when it has a key.
fn repeat_of(request: &SubmitTaskRequest) -> Repeat {
    if request.idempotency_key.is_empty() { Repeat::OnlyIfRefused } else { Repeat::Safe }
}

#[cfg(test)]
mod tests;
