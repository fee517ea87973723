//! Why a call is refused, as data, and how that is said in gRPC.
//!
//! Every refusal of every service is a [`Refusal`]: its reason decides the status code, and its details become the
//! google.rpc messages of the status. It knows nothing of what was asked for.

use std::{borrow::Cow, collections::HashMap, fmt::Display, time::Duration};

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

/// Where gRPC libraries look for how long to wait before they try again.
const PUSHBACK: &str = "grpc-retry-pushback-ms";

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
    /// The bound that is reached, if that is why. Boxed, since most refusals have none.
    pub quota: Option<Box<Quota>>,
    /// When it makes sense to try again.
    pub retry_after: Option<Duration>,
}

/// A bound that is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quota {
    /// Its key in the configuration, such as `limits.open_tasks`; of a fixed one, what it bounds.
    pub limit: Cow<'static, str>,
    /// Among whose things it counts.
    pub scope: Scope,
    /// How many there are, or how much.
    pub used: u64,
    /// How many there may be.
    pub max: u64,
}

/// Among whose things a bound counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Everybody's.
    Coordinator,
    /// Those that belong to one task.
    Task,
    /// Those of one client.
    Client,
    /// Those of one namespace.
    Namespace,
}

impl Scope {
    /// As it is told.
    const fn name(self) -> &'static str {
        match self {
            Self::Coordinator => "coordinator",
            Self::Task => "task",
            Self::Client => "client",
            Self::Namespace => "namespace",
        }
    }
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

    /// Every part of the message that changes from call to call, the bound that is reached included.
    fn metadata(&self) -> HashMap<String, String> {
        let quota = self.quota.as_deref().map(|Quota { limit, scope, used, max }| {
            let (used, max) = (used.to_string(), max.to_string());
            [
                ("limit", limit.to_string()),
                ("scope", scope.name().to_owned()),
                ("used", used),
                ("max", max),
            ]
        });
        let facts = self.facts.iter().map(|(name, value)| (*name, value.clone()));
        let all = facts.chain(quota.into_iter().flatten());
        all.map(|(name, value)| (name.to_owned(), value)).collect()
    }

    /// The refusal as the status of a call.
    pub fn to_status(&self) -> Status {
        let mut details = ErrorDetails::with_error_info(self.name(), ERROR_DOMAIN, self.metadata());
        for violation in &self.violations {
            details.add_bad_request_violation(&violation.field, &violation.description);
        }
        if let Some(quota) = &self.quota {
            details.add_quota_failure_violation(&*quota.limit, &self.message);
        }
        if self.retry_after.is_some() {
            details.set_retry_info(self.retry_after);
        }
        if let Some(trace) = TraceContext::current() {
            details.set_request_info(trace.trace_id(), "");
        }
        let mut status = Status::with_error_details(code(self.reason), &self.message, details);
        if let Some(delay) = self.retry_after {
            // Rounded up: too early would be refused again.
            let ms = delay.as_nanos().div_ceil(1_000_000);
            status.metadata_mut().insert(PUSHBACK, u64::try_from(ms).unwrap_or(u64::MAX).into());
        }
        status
    }

    /// The refusal as a part of an answer.
    pub fn to_message(&self) -> v1::Refusal {
        v1::Refusal {
            code: i32::from(code(self.reason)),
            reason: self.name().to_owned(),
            message: self.message.clone(),
            field_violations: self.violations.iter().take(PART_VIOLATIONS_MAX).cloned().collect(),
            retry_delay: self.retry_after.and_then(|delay| delay.try_into().ok()),
            metadata: self.metadata(),
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
        Reason::QueueFull
        | Reason::StorageFull
        | Reason::Overloaded
        | Reason::RateLimited
        | Reason::NamespaceQuota => Code::ResourceExhausted,
        Reason::ShuttingDown | Reason::Recovering | Reason::CircuitOpen => Code::Unavailable,
        Reason::ConfigInvalid
        | Reason::NotFailed
        | Reason::ProtocolUnsupported
        | Reason::ProtocolViolation
        | Reason::LowerEpoch
        | Reason::DeadlineInfeasible => Code::FailedPrecondition,
        Reason::Unspecified => Code::Internal,
    }
}
