//! The way from the engine to one worker stream: bounded, and never waited for. What a turn says on a stream goes together.
//!
//! It speaks the queue's language; the session turns it into frames.

use std::{
    collections::VecDeque,
    mem,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

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
    /// What a turn says, until it is handed over.
    said: Vec<Event>,
    turns: mpsc::Sender<Vec<Event>>,
    waiting: Arc<AtomicUsize>,
    closing: oneshot::Sender<Closing>,
}

/// The session's end.
#[derive(Debug)]
pub(crate) struct Ingress {
    /// What to send.
    pub events: Events,
    /// Resolves when the engine ends the stream.
    pub closing: oneshot::Receiver<Closing>,
}

/// Events that wait for a session.
#[derive(Debug)]
pub(crate) struct Events {
    turns: mpsc::Receiver<Vec<Event>>,
    /// How many have been handed over and not been taken.
    waiting: Arc<AtomicUsize>,
}

impl Egress {
    pub(crate) fn new() -> (Self, Ingress) {
        // No turn is handed over that says nothing, so the bound of events is one of turns, too.
        let (sender, turns) = mpsc::channel(EVENTS_MAX);
        let (closing_sender, closing) = oneshot::channel();
        let waiting = Arc::<AtomicUsize>::default();
        let events = Events { turns, waiting: Arc::clone(&waiting) };
        let egress = Self { said: Vec::new(), turns: sender, waiting, closing: closing_sender };
        (egress, Ingress { events, closing })
    }

    /// Whether this turn says nothing.
    pub(crate) const fn is_silent(&self) -> bool {
        self.said.is_empty()
    }

    /// Says something with this turn. False: the session does not take any more.
    pub(crate) fn say(&mut self, event: Event) -> bool {
        let has_room = self.waiting.load(Ordering::Relaxed) + self.said.len() < EVENTS_MAX;
        if has_room {
            self.said.push(event);
        }
        has_room
    }

    /// Hands over what was said in this turn, all at once.
    pub(crate) fn hand_over(&mut self) {
        if self.said.is_empty() {
            return;
        }
        let said = mem::take(&mut self.said);
        self.waiting.fetch_add(said.len(), Ordering::Relaxed);
        // A session that is gone says so itself.
        drop(self.turns.try_send(said));
    }

    /// Ends the stream: what was not handed over stays unsaid. A session that is gone already needs no telling.
    pub(crate) fn close(self, closing: Closing) {
        self.closing.send(closing).unwrap_or_default();
    }
}

impl Events {
    /// Adds what the next turn said that said something, and of others as long as it is fewer than so many events. Cancelling
    /// the call loses nothing.
    pub(crate) async fn take(&mut self, events: &mut VecDeque<Event>, most: usize) {
        match self.turns.recv().await {
            Some(said) => self.taken(said, events),
            // The engine ends the stream, and says so.
            None => std::future::pending().await,
        }
        self.take_ready(events, most);
    }

    /// The same of what is there.
    pub(crate) fn take_ready(&mut self, events: &mut VecDeque<Event>, most: usize) {
        while events.len() < most
            && let Ok(said) = self.turns.try_recv()
        {
            self.taken(said, events);
        }
    }

    fn taken(&self, said: Vec<Event>, events: &mut VecDeque<Event>) {
        self.waiting.fetch_sub(said.len(), Ordering::Relaxed);
        if events.is_empty() {
            // Without being moved.
            *events = said.into();
        } else {
            events.extend(said);
        }
    }
}
