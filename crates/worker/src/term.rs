//! How long an attempt may run, and how its handler asks for more.
//!
//! A request goes out on a channel; whoever answers it has moved the deadline before. It knows no session and no lease.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::sync::{Mutex, mpsc, oneshot, watch};

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

/// How long one attempt may run. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Term {
    deadline: watch::Receiver<Instant>,
    /// `None`: nobody listens.
    asks: Option<mpsc::Sender<Ask>>,
    /// Held by whoever asks: one request of an attempt is under way at a time.
    turn: Arc<Mutex<()>>,
}

impl Term {
    /// A term of that length from now, and what moves its deadline.
    pub(crate) fn new(
        limit: Option<Duration>,
        asks: Option<mpsc::Sender<Ask>>,
    ) -> (watch::Sender<Instant>, Self) {
        let limit = limit.unwrap_or(UNLIMITED).min(UNLIMITED);
        let (sender, deadline) = watch::channel(Instant::now() + limit);
        (sender, Self { deadline, asks, turn: Arc::default() })
    }

    /// When the handler is asked to stop.
    pub(crate) fn deadline(&self) -> Instant {
        *self.deadline.borrow()
    }

    /// Asks for more, and waits until the deadline has been moved.
    pub(crate) async fn ask(&self, token: Token, until: Moment) -> Result<(), NotExtended> {
        let asks = self.asks.as_ref().ok_or(NotExtended::Isolated)?;
        let _turn = self.turn.lock().await;
        let (answer, answered) = oneshot::channel();
        // A worker that is gone keeps no lease.
        asks.send(Ask { token, until, answer }).await.map_err(|_| NotExtended::Refused)?;
        match answered.await {
            Ok(Answer::Granted) => Ok(()),
            Ok(Answer::Refused) | Err(_) => Err(NotExtended::Refused),
        }
    }
}
