//! Submitting tasks: one, a batch, or a stream of them.

mod stream;
mod window;

use std::time::{Duration, SystemTime};

use leasehold_proto::v1::{
    BatchSubmitTasksRequest, SubmitOutcome, SubmitTaskRequest, SubmitTaskResponse,
    submit_outcome::Outcome,
};

pub use stream::{StreamOptions, SubmitStream};

use tokio::time::{self, Instant};
use tonic::Request;

use crate::{
    Client, ClientOptions, Error, Refusal, TaskSpec,
    call::{Call, submit_span},
    outage::{Outage, Repeat},
};

/// The task was accepted, durably.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// The task's id.
    pub task_id: String,
    /// Whether the idempotency key named a task that existed already.
    pub deduplicated: bool,
    /// When the task is likely to be over, if it was given a total timeout or a deadline and this is not before it.
    pub expected_finish: Option<SystemTime>,
}

impl Client {
    /// Accepts one task. When it answers, the task is durable.
    ///
    /// A submit without an idempotency key is given a random one, so that it can be repeated when its
    /// answer was lost: see [`GeneratedKeys`](crate::GeneratedKeys).
    pub async fn submit(&self, spec: TaskSpec) -> Result<Receipt, Error> {
        self.check_namespace().await?;
        let spec = keyed(spec, self.options());
        let call = Call::new(self.options(), repeat_of(&spec), submit_span(spec.named_queue()));
        let send = |spec: Request<TaskSpec>| {
            let mut service = self.task_service();
            let request = spec.map(|spec| spec.message(&self.options().namespace));
            async move { service.submit_task(request).await }
        };
        let span = call.span();
        let receipt = Receipt::from(call.unary(spec, send).await?);
        span.in_scope(|| tracing::debug!(task_id = receipt.task_id, "task accepted"));
        Ok(receipt)
    }

    /// Asks whether a task would be accepted, and accepts nothing. Says when it would be likely to be over, as
    /// [`Receipt::expected_finish`] does.
    pub async fn validate(&self, spec: TaskSpec) -> Result<Option<SystemTime>, Error> {
        self.check_namespace().await?;
        let request = spec.message(&self.options().namespace);
        let request = SubmitTaskRequest { validate_only: true, ..request };
        let send = |request| {
            let mut service = self.task_service();
            async move { service.submit_task(request).await }
        };
        let call = self.call("leasehold.v1.TaskService/SubmitTask", Repeat::Safe);
        Ok(Receipt::from(call.unary(request, send).await?).expected_finish)
    }

    /// Accepts up to 1,000 tasks. Each has its own outcome, in the order given. Those that are refused
    /// with a time to try again are tried again then, as long as the call's timeout allows.
    pub async fn submit_batch(
        &self,
        specs: Vec<TaskSpec>,
    ) -> Result<Vec<Result<Receipt, Error>>, Error> {
        self.check_namespace().await?;
        let start = Instant::now();
        let timeout = self.options().call_timeout;
        let mut outage = Outage::new(self.options().retry, timeout).since(start);
        let keyed = |spec: TaskSpec| keyed(spec, self.options());
        let mut tasks: Vec<_> =
            specs.into_iter().map(|spec| Submission::new(keyed(spec))).collect();
        loop {
            let open = tasks.iter().filter(|task| task.is_open());
            let specs: Vec<_> = open.map(|task| task.spec.clone()).collect();
            let left = timeout.saturating_sub(start.elapsed());
            match self.submit_once(specs, left).await {
                Ok(outcomes) => settle(&mut tasks, outcomes),
                Err(error) if tasks.iter().all(|task| task.outcome.is_none()) => return Err(error),
                Err(error) => {
                    fail(&mut tasks, &error);
                    break;
                }
            }
            let pushback =
                tasks.iter().filter_map(Submission::pushback).max_by_key(|it| it.retry_after());
            let wait = pushback.and_then(|error| {
                outage.wait(error, Repeat::OnlyIfRefused, Instant::now(), fastrand::u64(..))
            });
            let Some(wait) = wait else { break };
            tracing::debug!(
                wait_ms = wait.as_millis(),
                "refused tasks of a batch are submitted again"
            );
            time::sleep(wait).await;
        }
        Ok(tasks.into_iter().filter_map(|task| task.outcome).collect())
    }

    /// Submits these tasks, once they are all there is to say about.
    async fn submit_once(
        &self,
        specs: Vec<TaskSpec>,
        left: Duration,
    ) -> Result<Vec<Result<Receipt, Error>>, Error> {
        let expected = specs.len();
        let all_keyed = specs.iter().all(|spec| repeat_of(spec) == Repeat::Safe);
        let repeat = if all_keyed { Repeat::Safe } else { Repeat::OnlyIfRefused };
        let message = |spec: TaskSpec| spec.message(&self.options().namespace);
        let batch = |specs: Vec<TaskSpec>| BatchSubmitTasksRequest {
            requests: specs.into_iter().map(message).collect(),
        };
        let send = |specs: Request<Vec<TaskSpec>>| {
            let mut service = self.task_service();
            let request = specs.map(batch);
            async move { service.batch_submit_tasks(request).await }
        };
        let call = self.call("leasehold.v1.TaskService/BatchSubmitTasks", repeat).timeout(left);
        let response = call.unary(specs, send).await?;
        if response.outcomes.len() != expected {
            return Err(self.malformed("an outcome for each task"));
        }
        let missing = || self.malformed("an outcome for each task");
        Ok(response.outcomes.into_iter().map(|outcome| read_outcome(outcome, missing)).collect())
    }
}

/// One task of a batch, and what has become of it so far.
#[derive(Debug)]
struct Submission {
    spec: TaskSpec,
    outcome: Option<Result<Receipt, Error>>,
}

impl Submission {
    fn new(spec: TaskSpec) -> Self {
        Self { spec, outcome: None }
    }

    /// Why it should be tried again.
    fn pushback(&self) -> Option<&Error> {
        let refused = self.outcome.as_ref().and_then(|outcome| outcome.as_ref().err());
        refused.filter(|error| error.is_pushback())
    }

    /// Whether it is to be submitted, or to be submitted again.
    fn is_open(&self) -> bool {
        self.outcome.is_none() || self.pushback().is_some()
    }
}

/// What became of the open ones, in their order.
fn settle(tasks: &mut [Submission], outcomes: Vec<Result<Receipt, Error>>) {
    let open = tasks.iter_mut().filter(|task| task.is_open());
    for (task, outcome) in open.zip(outcomes) {
        task.outcome = Some(outcome);
    }
}

/// Nobody says what became of the open ones: that they had been refused before says nothing of the last try. Only where that
/// ran out of the call's time, and may be repeated, the refusal says more, as it does of a single call.
fn fail(tasks: &mut [Submission], error: &Error) {
    let is_late = matches!(error, Error::NoAnswer { .. });
    for task in tasks.iter_mut().filter(|task| task.is_open()) {
        if !is_late || task.outcome.is_none() || repeat_of(&task.spec) != Repeat::Safe {
            task.outcome = Some(Err(error.clone()));
        }
    }
}

impl From<SubmitTaskResponse> for Receipt {
    fn from(response: SubmitTaskResponse) -> Self {
        let SubmitTaskResponse { task_id, deduplicated, expected_finish_time } = response;
        let expected_finish = expected_finish_time.and_then(|time| time.try_into().ok());
        Self { task_id, deduplicated, expected_finish }
    }
}

/// Reads what became of one task of a batch or stream.
fn read_outcome(outcome: SubmitOutcome, missing: impl FnOnce() -> Error) -> Result<Receipt, Error> {
    match outcome.outcome {
        Some(Outcome::Accepted(response)) => Ok(response.into()),
        Some(Outcome::Refused(refusal)) => {
            Err(Error::Refused(Box::new(Refusal::from_wire(*refusal))))
        }
        None => Err(missing()),
    }
}

/// Gives a task a random key where it has none and the options say so.
fn keyed(spec: TaskSpec, options: &ClientOptions) -> TaskSpec {
    if spec.has_key() || !options.generates_keys() {
        return spec;
    }
    spec.idempotency_key(format!("client-{:032x}", fastrand::u128(..)))
}

/// A submit is safe to repeat exactly when it has a key.
fn repeat_of(spec: &TaskSpec) -> Repeat {
    if spec.has_key() { Repeat::Safe } else { Repeat::OnlyIfRefused }
}

#[cfg(test)]
mod tests;
