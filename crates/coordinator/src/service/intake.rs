//! The way of new tasks into the engine: many at once, each with its own outcome.

use std::time::SystemTime;

use leasehold_policy::namespace;
use leasehold_proto::v1;
use leasehold_queue::Accepted;
use leasehold_telemetry::TraceContext;

use crate::{
    handle::{Handle, Submission, Unavailable},
    metrics::Metrics,
    parse::{CallTrace, Rules, Templates},
    refusal::Refusal,
    view::timestamp,
};

use super::turnstile::{Client, Rates, Turnstile};

/// What became of one task.
pub(super) type Outcome = Result<v1::SubmitTaskResponse, Refusal>;

/// Takes new tasks.
#[derive(Clone, Debug)]
pub(super) struct Intake {
    pub(super) handle: Handle,
    pub(super) metrics: Metrics,
    pub(super) turnstile: Turnstile,
    pub(super) templates: Templates,
}

impl Intake {
    /// Submits all that keep the rules in one request to the engine. Each message is read by itself; the outcomes are in the order
    /// of their requests.
    pub(super) async fn submit(
        &self,
        messages: Vec<Vec<v1::SubmitTaskRequest>>,
        trace: &TraceContext,
        client: &Client,
    ) -> Result<Vec<Outcome>, Unavailable> {
        let rules = Rules::new(self.handle.config(), self.templates.clone());
        let (now, trace) = (SystemTime::now(), CallTrace::new(trace));
        let mut turned_away = 0;
        let count = messages.iter().map(Vec::len).sum();
        let mut checked = Vec::with_capacity(count);
        let mut tasks = Vec::with_capacity(count);
        let specs = messages.into_iter().flat_map(|requests| {
            let mut message = rules.message(now, &trace);
            requests.into_iter().map(move |request| (request.validate_only, message.task(request)))
        });
        for (validate_only, spec) in specs {
            let spec = spec.and_then(|spec| {
                // Who only asks costs the engine a turn as well.
                let rates = Rates {
                    client: (client, rules.submit_rate()),
                    namespace: (namespace::of(&spec.queue), rules.submit_rate_of(&spec.queue)),
                };
                self.turnstile.pass(rates, turned_away).inspect_err(|_| turned_away += 1)?;
                Ok(spec)
            });
            checked.push(spec.map(|spec| {
                tasks.push(Submission { spec, validate_only });
                validate_only
            }));
        }
        let answers = if tasks.is_empty() { Vec::new() } else { self.handle.submit(tasks).await? };
        let mut answers = answers.into_iter();
        let outcome = |checked: Result<bool, Refusal>| match checked {
            // One answer a submission: a missing one means that the engine broke its word.
            Ok(validate_only) => answers.next().map(|answer| match answer {
                Ok(Accepted { id, deduplicated, late }) => Ok(v1::SubmitTaskResponse {
                    // The id of a task that was only checked names nothing.
                    task_id: if validate_only { String::new() } else { id.to_string() },
                    deduplicated,
                    expected_finish_time: late.map(timestamp),
                }),
                Err(refusal) => Err(refusal.into()),
            }),
            Err(refusal) => Some(Err(refusal)),
        };
        checked.into_iter().map(outcome).collect::<Option<_>>().ok_or(Unavailable::Stopped)
    }

    /// The outcomes as parts of an answer.
    pub(super) fn answer(&self, outcomes: Vec<Outcome>) -> Vec<v1::SubmitOutcome> {
        outcomes.into_iter().map(|outcome| self.part(outcome)).collect()
    }

    fn part(&self, outcome: Outcome) -> v1::SubmitOutcome {
        let outcome = match outcome {
            Ok(accepted) => v1::submit_outcome::Outcome::Accepted(accepted),
            Err(refusal) => {
                self.metrics.refused(refusal.name());
                v1::submit_outcome::Outcome::Refused(refusal.to_message().into())
            }
        };
        v1::SubmitOutcome { outcome: Some(outcome) }
    }
}
