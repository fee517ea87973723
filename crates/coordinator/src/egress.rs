//! The way from the engine to one worker stream: bounded, and never waited for.
//!
//! It speaks the queue's language; the session turns it into frames.

use std::time::Duration;

use leasehold_queue::{Assignment, Disposition, RevocationReason, Token, Welcome};
use tokio::sync::{mpsc, oneshot};

use crate::terms::SessionTerms;

/// How many events may wait for one stream: an assignment, a revocation, more time and an answer for each of the
/// 10,000 slots a worker may have. A worker that lets more pile up does not read.
pub(crate) const EVENTS_MAX: usize = 40_000;

/// One thing to tell a worker.
#[derive(Debug)]
pub(crate) enum Event {
    /// The session is open, and what holds in it.
    Welcome(Box<(Welcome, SessionTerms)>),
    /// A heartbeat was heard.
    HeartbeatAck {
        /// Which.
        sequence: i64,
    },
    /// A task to run, and what is left of its whole time.
    Assign(Box<Assignment>, Duration),
    /// A lease has ended or must end.
    Revoke {
        /// The lease.
        token: Token,
        /// Why.
        reason: RevocationReason,
        /// How long the handler may take.
        grace: Duration,
    },
    /// A lease is wanted back, unless its work has started.
    Retract {
        /// The lease.
        token: Token,
    },
    /// How long an attempt may run that asked for more time.
    Extend {
        /// The lease.
        token: Token,
        /// How long, counted from the request. None: it gets no more.
        remaining: Option<Duration>,
    },
    /// An outcome was dealt with.
    ResultAck {
        /// The lease.
        token: Token,
        /// What became of it.
        disposition: Disposition,
    },
    /// The operator wants the worker to drain.
    Drain {
        /// How long it may wait for what it runs.
        grace: Option<Duration>,
    },
}

/// Why the coordinator ends a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Closing {
    /// The process ends: say what is still to be said, then go.
    Shutdown,
    /// Another stream of the same worker took over: what is unsent must not be sent.
    Replaced,
    /// The session is over.
    Expired,
    /// The worker does not read.
    SlowConsumer,
    /// An operator evicted the worker.
    Banned {
        /// For how long it is not let in.
        left: Duration,
    },
}

/// The engine's end.
#[derive(Debug)]
pub(crate) struct Egress {
    events: mpsc::Sender<Event>,
    closing: oneshot::Sender<Closing>,
}

/// The session's end.
#[derive(Debug)]
pub(crate) struct Ingress {
    /// What to send.
    pub events: mpsc::Receiver<Event>,
    /// Resolves when the engine ends the stream.
    pub closing: oneshot::Receiver<Closing>,
}

impl Egress {
    pub(crate) fn new() -> (Self, Ingress) {
        let (event_sender, events) = mpsc::channel(EVENTS_MAX);
        let (closing_sender, closing) = oneshot::channel();
        (Self { events: event_sender, closing: closing_sender }, Ingress { events, closing })
    }

    /// Hands an event to the session. False: it does not take any more.
    pub(crate) fn send(&self, event: Event) -> bool {
        self.events.try_send(event).is_ok()
    }

    /// Ends the stream. A session that is gone already needs no telling.
    pub(crate) fn close(self, closing: Closing) {
        self.closing.send(closing).unwrap_or_default();
    }
}
