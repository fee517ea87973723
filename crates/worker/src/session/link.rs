//! The stream's life: when to connect, what to do with what is heard, when to give it up.

use std::{sync::Arc, time::Duration};

use leasehold_policy::Mutant;
use leasehold_proto::v1::{self, GoAwayReason, ResultDisposition, coordinator_event::Event};
use tracing::{debug, info, warn};

use super::{
    Command, Session,
    conversation::{Conversation, Notice},
    terms::Terms,
};
use crate::{
    Error,
    assignment::{Assignment, Likeness, Token, duration},
    clock::Moment,
};

/// How long a stream may be up without a welcome.
const WELCOME_WAIT_MAX: Duration = Duration::from_secs(10);

/// How long the coordinator may take to close the stream after a goodbye.
const GOODBYE_WAIT_MAX: Duration = Duration::from_secs(2);

/// How long another process may have the worker's id before this one leaves, at most: longer than a coordinator takes to
/// find a peer dead. What took the stream over may be the late hello of a process that died before this one was started.
const DISPLACED_MAX: Duration = Duration::from_secs(15);

/// How a stream ended, or why none came to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum StreamEnd {
    /// The coordinator closed it.
    Closed,
    /// It broke.
    Broken(String),
    /// The coordinator does not accept what this worker says.
    Refused(String),
    /// The coordinator does not want to hear from this worker for so long.
    Later(String, Duration),
}

/// The connection to the coordinator.
pub(super) enum Link {
    /// There is none.
    Down {
        /// When to try again.
        retry_at: Moment,
    },
    /// One is being made.
    Dialing,
    /// There is one.
    Up(Box<Conversation>),
    /// Goodbye has been said.
    Leaving {
        /// How long to wait for the coordinator to close the stream.
        until: Moment,
    },
}

impl Link {
    /// The stream, if the coordinator has said welcome on it.
    pub(super) fn open(&mut self) -> Option<&mut Conversation> {
        match self {
            Self::Up(conversation) if conversation.is_welcome => Some(conversation),
            Self::Up(_) | Self::Down { .. } | Self::Dialing | Self::Leaving { .. } => None,
        }
    }

    /// When something is due.
    pub(super) fn deadline(&self, terms: &Terms) -> Option<Moment> {
        match self {
            Self::Down { retry_at } => Some(*retry_at),
            Self::Dialing => None,
            Self::Up(it) if it.is_welcome => {
                Some(it.next_heartbeat.min(it.heard_at + terms.silence_max()))
            }
            Self::Up(it) => Some(it.heard_at + WELCOME_WAIT_MAX),
            Self::Leaving { until } => Some(*until),
        }
    }
}

impl Session {
    /// A stream is up: hello, what is held, and every outcome that has not been answered.
    pub(crate) fn handle_stream_up(&mut self, now: Moment) {
        if !matches!(self.link, Link::Dialing) {
            return;
        }
        self.streams += 1;
        let mut conversation = Conversation::new(now);
        if self.drain.is_some() {
            conversation.push(Notice::Drain);
        }
        if self.leases.lost() > 0 {
            conversation.push(Notice::SlotsLost);
        }
        if !Mutant::OutboxNotRepeated.is_alive() {
            self.outbox.notices().for_each(|notice| conversation.push(notice));
        }
        for (token, extension) in self.leases.extensions() {
            extension.unsay();
            conversation.push(Notice::Extend(token));
        }
        self.link = Link::Up(Box::new(conversation));
    }

    /// The stream ended, or none could be made. No lease ends with it.
    pub(crate) fn handle_stream_end(&mut self, now: Moment, end: StreamEnd) {
        match self.link {
            Link::Leaving { .. } => return self.exit(Ok(())),
            // It has been given up already.
            Link::Down { .. } => return,
            Link::Dialing | Link::Up(_) => {}
        }
        match end {
            // Before the first welcome nothing can be lost by leaving, and trying again would not help.
            StreamEnd::Refused(message) if self.journal.is_none() => {
                self.exit(Err(Error::Refused { message }));
            }
            StreamEnd::Later(reason, wait) => self.retry(now + wait, &reason),
            StreamEnd::Refused(reason) | StreamEnd::Broken(reason) => self.retry(now, &reason),
            StreamEnd::Closed => self.retry(now, "closed by the coordinator"),
        }
        self.conclude();
    }

    /// The coordinator said something.
    pub(crate) fn handle_frame(&mut self, now: Moment, frame: v1::ConnectResponse) {
        let Link::Up(conversation) = &mut self.link else { return };
        conversation.heard_at = now;
        let mut before = None;
        for event in frame.events {
            let Some(event) = event.event else {
                debug!("an event of an unknown kind was skipped");
                continue;
            };
            self.handle_event(now, event, &mut before);
        }
        // Only when all of it has been acted upon: the inventory is judged by this number.
        if let Link::Up(conversation) = &mut self.link {
            conversation.heard = frame.frame_sequence;
        }
        self.conclude();
    }

    /// `before`: what was said in the same frame of the assignment before.
    fn handle_event(&mut self, now: Moment, event: Event, before: &mut Option<Arc<Likeness>>) {
        if let Event::Welcome(welcome) = event {
            return self.handle_welcome(now, &welcome);
        }
        if let Event::GoAway(go_away) = event {
            return self.handle_go_away(now, &go_away);
        }
        let Some(conversation) = self.link.open() else {
            return warn!("an event before the welcome was skipped");
        };
        match event {
            Event::HeartbeatAck(ack) => {
                let sent = conversation.acknowledge(ack.sequence);
                let sent = if Mutant::ValidFromReceipt.is_alive() { Some(now) } else { sent };
                self.extend_validity(sent);
                self.start_waiting(now);
            }
            Event::Assignment(it) => {
                let assignment = Assignment::parse(*it);
                *before = Some(Arc::clone(&assignment.likeness));
                self.handle_assignment(now, assignment);
            }
            Event::AlikeAssignment(it) => {
                let Some(likeness) = before.clone() else {
                    let fencing_token = it.fencing_token;
                    return warn!(fencing_token, "an assignment that is like none was skipped");
                };
                self.handle_assignment(now, Assignment::parse_alike(it, likeness));
            }
            Event::Revocation(it) => self.handle_revocation(now, it),
            Event::ResultAck(ack) => self.handle_result_ack(now, ack),
            Event::LeaseExtension(it) => self.handle_extension(it),
            Event::DrainRequest(it) => {
                self.handle_drain(now, it.grace.map(duration), &it.reason);
            }
            Event::Welcome(_) | Event::GoAway(_) => {}
        }
    }

    fn handle_result_ack(&mut self, now: Moment, ack: v1::ResultAck) {
        let Some(letter) = self.outbox.take(Token(ack.fencing_token)) else {
            return debug!(fencing_token = ack.fencing_token, "acknowledged twice");
        };
        let task_id = &letter.task_id;
        let (fencing_token, outcome) = (ack.fencing_token, letter.kind());
        let (disposition, is_expected) = match ack.disposition() {
            ResultDisposition::Accepted => ("accepted", true),
            ResultDisposition::Duplicate => ("duplicate", true),
            ResultDisposition::Invalid => ("invalid", false),
            ResultDisposition::Stale | ResultDisposition::Unspecified => ("stale", false),
        };
        // The names of these fields are a promise: who judges a cluster by its logs reads them.
        if is_expected {
            info!(
                task_id,
                trace_id = letter.trace_id(),
                fencing_token,
                outcome,
                disposition,
                "outcome answered"
            );
        } else {
            warn!(
                task_id,
                trace_id = letter.trace_id(),
                fencing_token,
                outcome,
                disposition,
                "outcome answered"
            );
        }
        self.start_waiting(now);
    }

    fn handle_go_away(&mut self, now: Moment, go_away: &v1::GoAway) {
        if go_away.reason() == GoAwayReason::Replaced && self.is_displaced(now) {
            return self.exit(Err(Error::IdInUse(self.identity.worker_id.clone())));
        }
        let delay = go_away.reconnect_delay.map_or(Duration::ZERO, duration);
        info!(message = go_away.message.as_str(), ?delay, "the coordinator goes away");
        self.commands.push_back(Command::Disconnect);
        self.link = Link::Down { retry_at: now + delay };
    }

    /// Whether another process has had the worker's id for so long that it must live. That is found well before the
    /// coordinator forgets this one's session: it would be a new process then, and the two would take turns for ever.
    fn is_displaced(&mut self, now: Moment) -> bool {
        let since = *self.displaced_since.get_or_insert(now);
        let known = self.terms.session_ttl.saturating_sub(self.terms.heartbeat_interval);
        since + DISPLACED_MAX.min(known * 3 / 4) <= now
    }

    /// Does what is due on the connection.
    pub(super) fn link_due(&mut self, now: Moment) {
        let is_due = self.link.deadline(&self.terms).is_some_and(|at| at <= now);
        if !is_due {
            return;
        }
        match &mut self.link {
            Link::Down { .. } => {
                self.link = Link::Dialing;
                self.commands.push_back(Command::Connect);
            }
            Link::Up(it) if !it.is_welcome => self.hang_up(now, "no welcome"),
            Link::Up(it) if it.heard_at + self.terms.silence_max() <= now => {
                self.hang_up(now, "nothing heard");
            }
            Link::Up(it) => {
                it.next_heartbeat = now + self.terms.heartbeat_interval;
                it.push(Notice::Heartbeat);
            }
            Link::Leaving { .. } => self.exit(Ok(())),
            Link::Dialing => {}
        }
    }

    /// Drops the stream and tries again later.
    pub(super) fn hang_up(&mut self, now: Moment, reason: &str) {
        self.commands.push_back(Command::Disconnect);
        self.retry(now, reason);
    }

    /// Goodbye has been put in a frame.
    pub(super) fn leave(&mut self, now: Moment) {
        self.link = Link::Leaving { until: now + GOODBYE_WAIT_MAX };
        self.commands.push_back(Command::CloseSend);
    }

    fn retry(&mut self, now: Moment, reason: &str) {
        let wait = self.terms.reconnect.wait(self.retries, self.rng.u64(..));
        self.retries = self.retries.saturating_add(1);
        self.link = Link::Down { retry_at: now + wait };
        let (held, retries) = (self.leases.len(), self.retries);
        warn!(reason, held_leases = held, retries, ?wait, "not connected to the coordinator");
    }
}
