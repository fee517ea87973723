//! The way from the engine to one worker stream: bounded, and never waited for. What a turn says on a stream goes together.
//!
//! It speaks the queue's language; the session turns it into frames.

use std::{
    collections::VecDeque,
    mem,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use leasehold_queue::{Assignment, Disposition, RevocationReason, Token, Welcome};
use tokio::sync::{mpsc, oneshot};

use crate::terms::SessionTerms;

/// How many events may wait for one stream: an assignment, a revocation, more time and an answer for each of the
/// 10,000 slots a worker may have. A worker that lets more pile up does not read.
const EVENTS_MAX: usize = 40_000;

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

/// With how many bytes that wait for one stream its worker is offered no more, until half of them are sent: payloads, above
/// all, some of which were read from the journal for this.
pub(crate) const BYTES_MAX: usize = 16 << 20;

/// What an event takes, and an assignment beside its payload and checkpoint, roughly.
const EVENT_BYTES: usize = 64;
const ASSIGNMENT_BYTES: usize = 512;

impl Event {
    /// How large it is, roughly.
    pub(crate) fn bytes(&self) -> usize {
        let Self::Assign(assignment, _) = self else { return EVENT_BYTES };
        let saved = assignment.checkpoint.as_ref().map_or(0, Bytes::len);
        ASSIGNMENT_BYTES + assignment.spec.payload.len() + saved
    }
}

/// What has been handed over and not been sent.
#[derive(Debug, Default)]
pub(crate) struct Backlog(Mutex<Counts>);

#[derive(Debug, Default)]
struct Counts {
    events: usize,
    bytes: usize,
    /// Whether the queue was told that there is too much.
    is_behind: bool,
}

impl Backlog {
    /// So much comes. Says whether it is too much now and was not before.
    fn add(&self, events: usize, bytes: usize) -> bool {
        let mut counts = self.lock();
        counts.events += events;
        counts.bytes += bytes;
        let falls_behind = BYTES_MAX < counts.bytes && !counts.is_behind;
        counts.is_behind |= falls_behind;
        falls_behind
    }

    /// So much was sent. Says whether it was too much before and is not now.
    pub(crate) fn sent(&self, events: usize, bytes: usize) -> bool {
        let mut counts = self.lock();
        counts.events -= events;
        counts.bytes -= bytes;
        let catches_up = counts.is_behind && counts.bytes <= BYTES_MAX / 2;
        counts.is_behind &= !catches_up;
        catches_up
    }

    fn events(&self) -> usize {
        self.lock().events
    }

    fn lock(&self) -> MutexGuard<'_, Counts> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The engine's end.
#[derive(Debug)]
pub(crate) struct Egress {
    /// What a turn says, until it is handed over, and how large it is.
    said: Vec<Event>,
    bytes: usize,
    /// For how many there was room when the first was said.
    room: usize,
    turns: mpsc::Sender<Vec<Event>>,
    backlog: Arc<Backlog>,
    closing: oneshot::Sender<Closing>,
}

/// The session's end.
#[derive(Debug)]
pub(crate) struct Ingress {
    /// What to send.
    pub events: Events,
    /// How much that is, to be told what was sent of it.
    pub backlog: Arc<Backlog>,
    /// Resolves when the engine ends the stream.
    pub closing: oneshot::Receiver<Closing>,
}

/// Events that wait for a session.
#[derive(Debug)]
pub(crate) struct Events(mpsc::Receiver<Vec<Event>>);

impl Egress {
    pub(crate) fn new() -> (Self, Ingress) {
        // No turn is handed over that says nothing, so the bound of events is one of turns, too.
        let (turns, events) = mpsc::channel(EVENTS_MAX);
        let (sender, closing) = oneshot::channel();
        let backlog = Arc::<Backlog>::default();
        let events = Events(events);
        let ingress = Ingress { events, backlog: Arc::clone(&backlog), closing };
        let said = Vec::new();
        (Self { said, bytes: 0, room: 0, turns, backlog, closing: sender }, ingress)
    }

    /// Whether this turn says nothing.
    pub(crate) const fn is_silent(&self) -> bool {
        self.said.is_empty()
    }

    /// Says something with this turn. False: there is no room for any more, or nobody is there to take it.
    pub(crate) fn say(&mut self, event: Event) -> bool {
        if self.is_silent() {
            let is_heard = !self.turns.is_closed();
            self.room = if is_heard { EVENTS_MAX.saturating_sub(self.backlog.events()) } else { 0 };
        }
        let has_room = self.said.len() < self.room;
        if has_room {
            self.bytes += event.bytes();
            self.said.push(event);
        }
        has_room
    }

    /// Hands over what was said in this turn, all at once. Says whether with that too much waits, for the first time.
    pub(crate) fn hand_over(&mut self) -> bool {
        if self.is_silent() {
            return false;
        }
        let said = mem::take(&mut self.said);
        let falls_behind = self.backlog.add(said.len(), mem::take(&mut self.bytes));
        // That a session is gone is noticed when something is said to it again, if it has not said so itself.
        drop(self.turns.try_send(said));
        falls_behind
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
        match self.0.recv().await {
            // Without being moved.
            Some(said) if events.is_empty() => *events = said.into(),
            Some(said) => events.extend(said),
            // The engine ends the stream, and says so.
            None => std::future::pending().await,
        }
        self.take_ready(events, most);
    }

    /// The same of what is there.
    pub(crate) fn take_ready(&mut self, events: &mut VecDeque<Event>, most: usize) {
        while events.len() < most
            && let Ok(said) = self.0.try_recv()
        {
            events.extend(said);
        }
    }
}

#[cfg(test)]
mod tests;
