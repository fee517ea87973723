//! The way from the engine to one worker stream: bounded, and never waited for. What a turn says on a stream goes together.
//!
//! It speaks the queue's language; the session turns it into frames.

use std::{
    collections::VecDeque,
    future::poll_fn,
    mem,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
    time::Duration,
};

use bytes::Bytes;
use leasehold_queue::{Assignment, Disposition, RevocationReason, Token, Welcome};

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

/// What both ends share: little, because most streams are idle.
#[derive(Debug, Default)]
struct Mailbox(Mutex<Mail>);

#[derive(Debug, Default)]
struct Mail {
    /// What was handed over and not been taken.
    events: VecDeque<Event>,
    /// How much was handed over and not been sent.
    unsent_events: usize,
    unsent_bytes: usize,
    /// Whether the queue was told that there is too much.
    is_behind: bool,
    /// Why the engine has ended the stream.
    closing: Option<Closing>,
    /// Whether either end is gone.
    is_over: bool,
    /// The session's task, when it waits.
    waker: Option<Waker>,
    /// Whether it waits for events, too, and not for the end alone.
    awaits_events: bool,
}

impl Mailbox {
    fn lock(&self) -> MutexGuard<'_, Mail> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Mail {
    /// So much comes. Says whether it is too much now and was not before.
    fn add(&mut self, events: Vec<Event>, bytes: usize) -> bool {
        self.unsent_events += events.len();
        self.unsent_bytes += bytes;
        add(&mut self.events, events.into());
        let falls_behind = BYTES_MAX < self.unsent_bytes && !self.is_behind;
        self.is_behind |= falls_behind;
        falls_behind
    }

    /// So much was sent. Says whether it was too much before and is not now.
    fn sent(&mut self, events: usize, bytes: usize) -> bool {
        self.unsent_events -= events;
        self.unsent_bytes -= bytes;
        let catches_up = self.is_behind && self.unsent_bytes <= BYTES_MAX / 2;
        self.is_behind &= !catches_up;
        catches_up
    }

    fn wait<T>(&mut self, cx: &Context<'_>) -> Poll<T> {
        match &mut self.waker {
            Some(waker) => waker.clone_from(cx.waker()),
            None => self.waker = Some(cx.waker().clone()),
        }
        Poll::Pending
    }
}

/// Adds events to others: without moving them, if there are none.
fn add(events: &mut VecDeque<Event>, more: VecDeque<Event>) {
    if events.is_empty() {
        *events = more;
    } else {
        events.extend(more);
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
    mailbox: Arc<Mailbox>,
}

/// The session's end.
#[derive(Debug)]
pub(crate) struct Ingress(Arc<Mailbox>);

impl Egress {
    pub(crate) fn new() -> (Self, Ingress) {
        let mailbox = Arc::<Mailbox>::default();
        let ingress = Ingress(Arc::clone(&mailbox));
        (Self { said: Vec::new(), bytes: 0, room: 0, mailbox }, ingress)
    }

    /// Whether this turn says nothing.
    pub(crate) const fn is_silent(&self) -> bool {
        self.said.is_empty()
    }

    /// Says something with this turn. False: there is no room for any more, or nobody is there to take it.
    pub(crate) fn say(&mut self, event: Event) -> bool {
        if self.is_silent() {
            let mail = self.mailbox.lock();
            self.room =
                if mail.is_over { 0 } else { EVENTS_MAX.saturating_sub(mail.unsent_events) };
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
        let (said, bytes) = (mem::take(&mut self.said), mem::take(&mut self.bytes));
        let mut mail = self.mailbox.lock();
        // It is noticed when something is said to it again, if it has not said so itself.
        if mail.is_over {
            return false;
        }
        let falls_behind = mail.add(said, bytes);
        let waker = if mem::take(&mut mail.awaits_events) { mail.waker.take() } else { None };
        drop(mail);
        waker.into_iter().for_each(Waker::wake);
        falls_behind
    }

    /// Ends the stream: what was not handed over stays unsaid. A session that is gone already needs no telling.
    pub(crate) fn close(self, closing: Closing) {
        self.mailbox.lock().closing = Some(closing);
    }
}

impl Drop for Egress {
    fn drop(&mut self) {
        let mut mail = self.mailbox.lock();
        mail.is_over = true;
        let waker = mail.waker.take();
        drop(mail);
        waker.into_iter().for_each(Waker::wake);
    }
}

impl Ingress {
    /// Adds what has been handed over, and waits until something has been. Cancelling the call loses nothing.
    pub(crate) async fn take(&self, events: &mut VecDeque<Event>) {
        poll_fn(|cx| {
            let mut mail = self.0.lock();
            if mail.events.is_empty() {
                mail.awaits_events = true;
                return mail.wait(cx);
            }
            add(events, mem::take(&mut mail.events));
            Poll::Ready(())
        })
        .await;
    }

    /// Adds what has been handed over.
    pub(crate) fn take_ready(&self, events: &mut VecDeque<Event>) {
        add(events, mem::take(&mut self.0.lock().events));
    }

    /// Waits until the engine ends the stream, and says why; none if it is gone itself. Who waits for it and for events at once
    /// does so in one task.
    pub(crate) async fn closing(&self) -> Option<Closing> {
        poll_fn(|cx| {
            let mut mail = self.0.lock();
            if mail.is_over { Poll::Ready(mail.closing) } else { mail.wait(cx) }
        })
        .await
    }

    /// Why the engine has ended the stream, if it has.
    pub(crate) fn closed(&self) -> Option<Closing> {
        self.0.lock().closing
    }

    /// So much was sent. Says whether too much waited before and does not now.
    pub(crate) fn sent(&self, events: usize, bytes: usize) -> bool {
        self.0.lock().sent(events, bytes)
    }
}

impl Drop for Ingress {
    fn drop(&mut self) {
        let mut mail = self.0.lock();
        mail.is_over = true;
        let unread = (mem::take(&mut mail.events), mail.waker.take());
        drop(mail);
        drop(unread);
    }
}

#[cfg(test)]
mod tests;
