//! How a handler asks for more time.
//!
//! A request goes out on a channel; whoever answers it has moved the deadline before. It knows no session and no lease.

use std::time::Duration;

use tokio::sync::oneshot;

use crate::{CancelReason, assignment::Token, clock::Moment};

/// How many requests may wait for the session: whoever asks then waits for room. The session takes them at once.
pub(crate) const ASKS_MAX: usize = 1_024;

/// The deadline of an attempt without one, and the most that can be asked for. Not longer, so that sums stay in range.
pub(crate) const UNLIMITED: Duration = Duration::from_hours(365 * 24);

/// Why an attempt has been given no more time.
///
/// With `?` it becomes a retryable [`TaskError`](crate::TaskError).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NotExtended {
    /// The handler has been asked to stop.
    #[error("no more time: the handler has been asked to stop ({0})")]
    Stopping(CancelReason),
    /// The coordinator ends the lease, or does not know it; the handler is about to be asked to stop.
    #[error("no more time: the lease is revoked, over, or not known to the coordinator")]
    Refused,
    /// An isolated function has no way to ask.
    #[error(
        "no more time: an isolated function cannot ask; give its task a longer attempt timeout"
    )]
    Isolated,
}

/// A handler asks for more time.
#[derive(Debug)]
pub(crate) struct Ask {
    pub(crate) token: Token,
    /// Until when it wants to run.
    pub(crate) until: Moment,
    /// Where it waits.
    pub(crate) answer: oneshot::Sender<Answer>,
}

/// What became of a request. The deadline has been moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// It may run as long as the deadline says.
    Granted,
    /// It may not.
    Refused,
}
