//! Why a call is refused, as data, and how that is said in gRPC.
//!
//! Every refusal of every service is a [`Refusal`]: its reason decides the status code, and its details become the
//! google.rpc messages of the status. It knows nothing of what was asked for.

use std::{collections::HashMap, fmt::Display, time::Duration};

use leasehold_proto::{ERROR_DOMAIN, v1};
use leasehold_telemetry::TraceContext;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt as _};

mod cause;
#[cfg(test)]
mod tests;

pub(crate) use cause::hex;
pub use v1::Reason;

/// A status travels in headers, of which a client takes 16 KiB: as many violations are told, the rest is counted.
const VIOLATIONS_MAX: usize = 16;

/// A thousand refusals must fit into one answer.
const PART_VIOLATIONS_MAX: usize = 8;

/// One call, or one task of a batch, is refused.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("{message}")]
pub struct Refusal {
    /// Why; decides the status code.
    pub reason: Reason,
    /// One line for people.
    pub message: String,
    /// What is wrong with which fields.
    pub violations: Vec<v1::FieldViolation>,
    /// Every part of the message that changes from call to call, by lowerCamelCase names.
    pub facts: Vec<(&'static str, String)>,
    /// The name of the bound that is reached, such as `limits.open_tasks`.
    pub quota: Option<&'static str>,
    /// When it makes sense to try again.
    pub retry_after: Option<Duration>,
}

impl Refusal {
    /// A refusal with nothing but a reason and a line for people.
    pub fn new(reason: Reason, message: impl Into<String>) -> Self {
        Self {
            reason,
            message: message.into(),
            violations: Vec::new(),
            facts: Vec::new(),
            quota: None,
            retry_after: None,
        }
    }

    /// One field breaks a rule.
    pub fn field(field: impl Into<String>, description: impl Into<String>) -> Self {
        let violation = v1::FieldViolation { field: field.into(), description: description.into() };
        Self::fields(Reason::InvalidField, vec![violation])
    }

    /// Several fields break rules. At least one does.
    pub fn fields(reason: Reason, mut violations: Vec<v1::FieldViolation>) -> Self {
        debug_assert!(!violations.is_empty(), "something must be wrong");
        let more = violations.len().saturating_sub(1);
        let message = match (violations.first(), more) {
            (None, _) => "a field breaks a rule".to_owned(),
            (Some(first), 0) => format!("{}: {}", first.field, first.description),
            (Some(first), _) => format!("{}: {} (and {more} more)", first.field, first.description),
        };
        violations.truncate(VIOLATIONS_MAX);
        Self { violations, ..Self::new(reason, message) }
    }

    /// With one more fact.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl Display) -> Self {
        self.facts.push((name, value.to_string()));
        self
    }

    /// With the advice to try again after this long.
    #[must_use]
    pub fn retry_after(mut self, delay: Duration) -> Self {
        self.retry_after = Some(delay);
        self
    }

    /// The name of the reason as clients compare it, such as `INVALID_FIELD`.
    pub fn name(&self) -> &'static str {
        self.reason.name()
    }

    /// The refusal as the status of a call.
    pub fn to_status(&self) -> Status {
        let facts: HashMap<_, _> =
            self.facts.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
        let mut details = ErrorDetails::with_error_info(self.name(), ERROR_DOMAIN, facts);
        for violation in &self.violations {
            details.add_bad_request_violation(&violation.field, &violation.description);
        }
        if let Some(quota) = self.quota {
            details.add_quota_failure_violation(quota, &self.message);
        }
        if self.retry_after.is_some() {
            details.set_retry_info(self.retry_after);
        }
        if let Some(trace) = TraceContext::current() {
            details.set_request_info(trace.trace_id(), "");
        }
        Status::with_error_details(code(self.reason), &self.message, details)
    }

    /// The refusal as a part of an answer.
    pub fn to_message(&self) -> v1::Refusal {
        v1::Refusal {
            code: i32::from(code(self.reason)),
            reason: self.name().to_owned(),
            message: self.message.clone(),
            field_violations: self.violations.iter().take(PART_VIOLATIONS_MAX).cloned().collect(),
            retry_delay: self.retry_after.and_then(|delay| delay.try_into().ok()),
        }
    }
}

impl From<Refusal> for Status {
    fn from(refusal: Refusal) -> Self {
        refusal.to_status()
    }
}

/// The status of a call that failed through no fault of its caller. `message` tells nothing of the inside.
pub fn internal(message: &str) -> Status {
    let mut details = ErrorDetails::new();
    if let Some(trace) = TraceContext::current() {
        details.set_request_info(trace.trace_id(), "");
    }
    Status::with_error_details(Code::Internal, message, details)
}

/// The status code that a reason goes with.
fn code(reason: Reason) -> Code {
    match reason {
        Reason::InvalidField | Reason::PayloadTooLarge => Code::InvalidArgument,
        Reason::TaskNotFound
        | Reason::QueueNotFound
        | Reason::LeaseNotFound
        | Reason::WorkerNotFound => Code::NotFound,
        Reason::WorkerBanned => Code::PermissionDenied,
        Reason::IdempotencyKeyConflict => Code::AlreadyExists,
        Reason::QueueFull | Reason::StorageFull | Reason::Overloaded => Code::ResourceExhausted,
        Reason::ShuttingDown | Reason::Recovering => Code::Unavailable,
        Reason::NotFailed
        | Reason::ProtocolUnsupported
        | Reason::ProtocolViolation
        | Reason::LowerEpoch => Code::FailedPrecondition,
        Reason::Unspecified => Code::Internal,
    }
}
