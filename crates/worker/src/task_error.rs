//! What a Rust handler fails with.

use std::{error::Error, fmt, time::Duration};

use leasehold_proto::{duration::to_wire, v1};

use crate::outcome::Failure;

/// Why a handler could not do its work, and whether to try again.
///
/// Every error turns into a retryable one with `?`. For this it is, like `anyhow::Error`, not an error itself.
#[derive(Debug)]
pub struct TaskError {
    message: String,
    details: String,
    retry: Retry,
}

/// What should happen after a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Retry {
    /// As the task's retry policy says.
    Policy,
    /// As the policy says, but not before this time.
    After(Duration),
    /// Nothing: another attempt would fail as well.
    Never,
}

impl TaskError {
    /// A failure that the task's retry policy may try again.
    pub fn retry(message: impl Into<String>) -> Self {
        Self { message: message.into(), details: String::new(), retry: Retry::Policy }
    }

    /// A failure that is tried again no sooner than `delay` from now, if the policy allows another attempt.
    pub fn retry_after(message: impl Into<String>, delay: Duration) -> Self {
        Self { retry: Retry::After(delay), ..Self::retry(message) }
    }

    /// A failure that no other attempt could avoid: the task becomes a dead letter at once.
    pub fn permanent(message: impl Into<String>) -> Self {
        Self { retry: Retry::Never, ..Self::retry(message) }
    }

    /// Adds more for people to read: a stack, a response. The first 2,000 characters are kept.
    #[must_use]
    pub fn with_details(self, details: impl Into<String>) -> Self {
        Self { details: details.into(), ..self }
    }

    pub(crate) fn into_failure(self) -> Failure {
        let mut failure = Failure::new(v1::FailureReason::Error, &self.message, &self.details);
        failure.0.non_retryable = self.retry == Retry::Never;
        failure.0.retry_delay = match self.retry {
            Retry::After(delay) => Some(to_wire(delay)),
            Retry::Policy | Retry::Never => None,
        };
        failure
    }
}

impl fmt::Display for TaskError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

/// The error's own words become the message, those of its sources the details.
impl<E: Error> From<E> for TaskError {
    fn from(error: E) -> Self {
        let sources = std::iter::successors(error.source(), |it: &&dyn Error| (*it).source());
        let details: Vec<String> = sources.map(|it| format!("caused by: {it}")).collect();
        Self::retry(error.to_string()).with_details(details.join("\n"))
    }
}

#[cfg(test)]
mod tests;
