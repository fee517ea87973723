//! How the work of a lease ended, as the shell tells the session.

use bytes::Bytes;
use leasehold_proto::v1;

use crate::TaskError;

/// The most characters of a message or of details that are sent; the coordinator cuts there as well.
pub(crate) const TEXT_CHARS_MAX: usize = 2_000;

/// How a piece of work ended.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum End {
    /// By itself.
    Returned(Result<Bytes, Failure>),
    /// It was dropped at an await point.
    Aborted,
    /// Its process group was killed, or ended by the signal that asked it to stop.
    Killed,
    /// It was a program that there was no room to start.
    NotStarted,
}

impl End {
    /// That a handler returned, or panicked.
    pub(crate) fn of_handler(caught: Result<Result<Bytes, TaskError>, Failure>) -> Self {
        Self::Returned(caught.and_then(|result| result.map_err(TaskError::into_failure)))
    }
}

/// Why an attempt failed. Boxed: what ends well is handed on for as long as there are tasks, and should be small.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Failure(pub(crate) Box<v1::AttemptFailure>);

impl Failure {
    /// A failure that may be tried again.
    pub(crate) fn new(reason: v1::FailureReason, message: &str, details: &str) -> Self {
        Self(Box::new(v1::AttemptFailure {
            reason: reason.into(),
            message: head(message),
            details: head(details),
            non_retryable: false,
            retry_delay: None,
            stop_method: v1::StopMethod::Unspecified.into(),
        }))
    }

    /// An ordinary failure that may be tried again.
    pub(crate) fn error(message: &str) -> Self {
        Self::new(v1::FailureReason::Error, message, "")
    }
}

/// The first characters of a text that is too long to send.
pub(crate) fn head(text: &str) -> String {
    text.chars().take(TEXT_CHARS_MAX).collect()
}

/// The last characters of a text that is too long to send.
pub(crate) fn tail(text: &str) -> String {
    let excess = text.chars().count().saturating_sub(TEXT_CHARS_MAX);
    text.chars().skip(excess).collect()
}
