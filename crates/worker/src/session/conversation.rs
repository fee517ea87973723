//! One stream: what must be said on it, and what has been heard.

use std::collections::{BTreeSet, VecDeque};

use bytes::Bytes;
use leasehold_policy::Mutant;
use leasehold_proto::{
    duration::to_wire,
    v1::{self, worker_event::Event},
};
use prost::Message as _;

use super::{Session, link::Link};
use crate::{assignment::Token, clock::Moment, size::Size};

/// How many events a frame holds at most: a frame is one turn of the coordinator's attention.
const EVENTS_PER_FRAME_MAX: usize = 256;

/// A frame holds no more bytes than this, unless a single event is larger: the coordinator takes the largest result
/// there may be in a message, and little beside it.
const FRAME_BYTES_ENOUGH: usize = 256 << 10;

/// How many unanswered heartbeats are remembered. The stream is given up long before so many are.
const HEARTBEATS_MAX: usize = 64;

/// Something to say. What it says in detail is looked up when the frame is made, so that it is never outdated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Notice {
    Hello,
    Started(Token),
    Outcome(Token),
    /// What the work of an outcome had saved.
    Checkpoint(Token),
    Heartbeat,
    Progress(Token),
    Extend(Token),
    Drain,
    Goodbye,
    SlotsLost,
    Capacity,
}

/// One stream.
pub(super) struct Conversation {
    /// Whether the coordinator has said welcome.
    pub(super) is_welcome: bool,
    /// When anything was heard; at first, when the stream came up.
    pub(super) heard_at: Moment,
    /// When the hello was put in a frame.
    pub(super) hello_sent: Option<Moment>,
    /// When the next heartbeat is due.
    pub(super) next_heartbeat: Moment,
    /// The number of the last frame heard.
    pub(super) heard: i64,
    /// Whether the welcome is to be acknowledged, be it by a frame without events: so the coordinator knows that the hello
    /// came from a process that lives.
    pub(super) owes_answer: bool,
    /// The number of the last frame said.
    said: i64,
    /// What to say, in order. Bounded by what can happen to the leases while the stream is stuck: five notices each.
    notices: VecDeque<Notice>,
    /// Work that began, and when that is said at the latest; what has ended since is left out. Bounded by the leases.
    starts: VecDeque<(Token, Moment)>,
    /// When which heartbeat was put in a frame; those that are not answered.
    heartbeats: VecDeque<(i64, Moment)>,
    heartbeat_sequence: i64,
}

impl Conversation {
    pub(super) fn new(now: Moment) -> Self {
        Self {
            is_welcome: false,
            heard_at: now,
            hello_sent: None,
            next_heartbeat: now,
            heard: 0,
            owes_answer: false,
            said: 0,
            notices: VecDeque::from([Notice::Hello]),
            starts: VecDeque::new(),
            heartbeats: VecDeque::new(),
            heartbeat_sequence: 0,
        }
    }

    pub(super) fn push(&mut self, notice: Notice) {
        // Of a heartbeat one is enough: it says what is, not what was.
        if notice != Notice::Heartbeat || !self.notices.contains(&notice) {
            self.notices.push_back(notice);
        }
    }

    /// Work began: to be said by then.
    pub(super) fn push_start(&mut self, token: Token, by: Moment) {
        self.starts.push_back((token, by));
    }

    /// Lets the starts so far be said before whatever is pushed from here on.
    pub(super) fn hurry_starts(&mut self) {
        self.notices.extend(self.starts.drain(..).map(|(token, _)| Notice::Started(token)));
    }

    /// Leaves out the earliest starts of what is over.
    pub(super) fn forget_starts(&mut self, is_over: impl Fn(Token) -> bool) {
        while self.starts.pop_front_if(|(token, _)| is_over(*token)).is_some() {}
    }

    /// When the acknowledged heartbeat was sent. Those before it are forgotten.
    pub(super) fn acknowledge(&mut self, sequence: i64) -> Option<Moment> {
        while let Some((number, sent)) = self.heartbeats.pop_front() {
            if number == sequence {
                return Some(sent);
            }
            if number > sequence {
                self.heartbeats.push_front((number, sent));
                return None;
            }
        }
        None
    }

    fn next_heartbeat_sequence(&mut self, now: Moment) -> i64 {
        self.heartbeat_sequence += 1;
        self.heartbeats.push_back((self.heartbeat_sequence, now));
        if self.heartbeats.len() > HEARTBEATS_MAX {
            self.heartbeats.pop_front();
        }
        self.heartbeat_sequence
    }
}

impl Session {
    /// Whether there is something to send.
    pub(crate) fn has_frame(&self) -> bool {
        self.owes_answer() || self.next_notice().is_some()
    }

    const fn owes_answer(&self) -> bool {
        matches!(&self.link, Link::Up(conversation) if conversation.owes_answer)
    }

    /// The next frame to send; `None` if there is nothing to say. `now` counts as the time of sending.
    pub(crate) fn poll_frame(&mut self, now: Moment) -> Option<v1::ConnectRequest> {
        let events = self.next_events(now);
        let Link::Up(conversation) = &mut self.link else { return None };
        if events.is_empty() && !conversation.owes_answer {
            return None;
        }
        conversation.owes_answer = false;
        conversation.said += 1;
        let (frame_sequence, ack_frame_sequence) = (conversation.said, conversation.heard);
        let is_last = events.iter().any(|it| matches!(it.event, Some(Event::Goodbye(_))));
        if is_last {
            self.leave(now);
        }
        Some(v1::ConnectRequest { frame_sequence, ack_frame_sequence, events })
    }

    fn next_events(&mut self, now: Moment) -> Vec<v1::WorkerEvent> {
        let Link::Up(conversation) = &self.link else { return Vec::new() };
        let most = conversation.notices.len() + self.progress.len();
        let mut events = Vec::with_capacity(most.min(EVENTS_PER_FRAME_MAX));
        let mut bytes = 0;
        while events.len() < EVENTS_PER_FRAME_MAX && bytes < FRAME_BYTES_ENOUGH {
            let Some(notice) = self.next_notice() else { break };
            // Outcomes, checkpoints and a long hello are what can be large; a hello is always the first.
            if !events.is_empty() && bytes + self.weight(notice) > FRAME_BYTES_ENOUGH {
                break;
            }
            self.take_notice(notice);
            let Some(event) = self.event(now, notice) else { continue };
            let event = v1::WorkerEvent { event: Some(event) };
            bytes += event.encoded_len();
            events.push(event);
        }
        events
    }

    /// What to say next. It stays until it is taken.
    fn next_notice(&self) -> Option<Notice> {
        let Link::Up(conversation) = &self.link else { return None };
        let due = conversation.starts.front().filter(|(_, by)| *by <= self.ticked_at);
        let start = due.map(|(token, _)| Notice::Started(*token));
        conversation.notices.front().copied().or(start).or_else(|| self.next_progress())
    }

    /// When there will be something to send that there is not yet.
    pub(crate) fn starts_due(&self) -> Option<Moment> {
        let Link::Up(conversation) = &self.link else { return None };
        conversation.starts.front().map(|(_, by)| *by).filter(|by| self.ticked_at < *by)
    }

    /// Whose progress to say, after all notices; the coordinator must have said first what it thinks of the leases.
    fn next_progress(&self) -> Option<Notice> {
        let Link::Up(conversation) = &self.link else { return None };
        let token = self.progress.keys().next().filter(|_| conversation.is_welcome)?;
        Some(Notice::Progress(*token))
    }

    /// Progress is taken when it is said.
    fn take_notice(&mut self, notice: Notice) {
        if let Link::Up(conversation) = &mut self.link
            && conversation.notices.pop_front().is_none()
            && matches!(notice, Notice::Started(_))
        {
            conversation.starts.pop_front();
        }
    }

    /// How many bytes a notice adds to a frame if it is about something large; nothing else comes near what is enough.
    fn weight(&self, notice: Notice) -> usize {
        let checkpoint = match notice {
            Notice::Outcome(token) => {
                return self.outbox.get(token).map_or(0, |letter| letter.outcome_bytes);
            }
            Notice::Checkpoint(token) => self.outbox.get(token).map(|it| it.checkpoint.as_ref()),
            Notice::Progress(token) => self.progress.get(&token).map(|it| it.checkpoint.as_ref()),
            Notice::Hello
            | Notice::Started(_)
            | Notice::Heartbeat
            | Notice::Extend(_)
            | Notice::Drain
            | Notice::Goodbye
            | Notice::SlotsLost
            | Notice::Capacity => None,
        };
        checkpoint.flatten().map_or(0, Bytes::len)
    }

    /// What a notice says; `None` if it has become pointless.
    fn event(&mut self, now: Moment, notice: Notice) -> Option<Event> {
        let Link::Up(conversation) = &mut self.link else { return None };
        let event = match notice {
            Notice::Hello => {
                conversation.hello_sent = Some(now);
                Event::Hello(Box::new(self.hello()))
            }
            Notice::Heartbeat => {
                let sequence = conversation.next_heartbeat_sequence(now);
                let load = self.cpu.map(|cpu| v1::WorkerLoad { cpu_permille: Some(cpu) });
                Event::Heartbeat(v1::Heartbeat { sequence, held_tokens: self.held_tokens(), load })
            }
            Notice::Started(token) => {
                // A result that is said next, or has been, says that as well.
                let letter = self.outbox.get(token);
                let is_held = || self.leases.get(token).is_some();
                if !letter.map_or_else(is_held, |letter| !letter.is_result()) {
                    return None;
                }
                Event::LeaseStarted(v1::LeaseStarted { fencing_token: token.0 })
            }
            Notice::Outcome(token) => {
                let outcome = self.outbox.get(token)?.outcome.clone();
                if Mutant::NoOutbox.is_alive() {
                    drop(self.outbox.take(token));
                }
                Event::LeaseOutcome(outcome)
            }
            Notice::Progress(token) => {
                let progress = self.progress.remove(&token);
                self.leases.get(token)?;
                Event::LeaseProgress(v1::LeaseProgress { fencing_token: token.0, progress })
            }
            Notice::Checkpoint(token) => {
                let checkpoint = self.outbox.get(token)?.checkpoint.clone();
                let progress = Some(v1::Progress { checkpoint, ..v1::Progress::default() });
                Event::LeaseProgress(v1::LeaseProgress { fencing_token: token.0, progress })
            }
            Notice::Extend(token) => {
                let remaining = self.leases.extension(token)?.as_mut()?.say(now);
                let (fencing_token, remaining) = (token.0, Some(to_wire(remaining)));
                Event::ExtendLease(v1::ExtendLease { fencing_token, remaining })
            }
            Notice::Drain => {
                let drain = self.drain.as_ref()?;
                let grace = Some(to_wire(drain.deadline.since(now)));
                Event::WorkerDrain(v1::WorkerDrain { grace, reason: drain.reason.clone() })
            }
            Notice::SlotsLost => {
                let count = i32::try_from(self.leases.lost()).unwrap_or(i32::MAX);
                Event::SlotsLost(v1::SlotsLost { count })
            }
            Notice::Capacity => Event::Capacity(self.capacity()),
            Notice::Goodbye => {
                let reason = self.drain.as_ref()?.reason.clone();
                Event::Goodbye(v1::Goodbye { reason })
            }
        };
        Some(event)
    }

    /// What it takes.
    fn capacity(&self) -> v1::Capacity {
        v1::Capacity {
            slots: self.identity.whole.wire_slots(),
            prefetch: i32::try_from(self.identity.prefetch).unwrap_or(i32::MAX),
            resources: self.identity.whole.wire_resources(),
        }
    }

    fn hello(&self) -> v1::Hello {
        let running = self
            .leases
            .iter()
            .filter(|_| !Mutant::InventoryIncomplete.is_alive())
            .map(|(token, lease)| (token, lease.phase(), lease.assignment.size.clone()));
        let finished = self
            .outbox
            .tokens()
            .filter(|_| !Mutant::FinishedNotNamed.is_alive())
            .map(|token| (token, v1::LeasePhase::Finished, Size::default()));
        let held =
            running.chain(finished).map(|(Token(fencing_token), phase, size)| v1::HeldLease {
                fencing_token,
                phase: phase.into(),
                slots: if size.slots == 1 { 0 } else { size.wire_slots() },
                resources: size.wire_resources(),
            });
        let identity = &self.identity;
        v1::Hello {
            protocol_version: leasehold_proto::PROTOCOL_VERSION,
            worker_id: identity.worker_id.clone(),
            instance_id: identity.instance_id.clone(),
            journal_id: self.journal.as_ref().map(|it| it.id.clone()).unwrap_or_default(),
            seen_epoch: self.journal.as_ref().map_or(0, |it| it.epoch),
            labels: identity.labels.clone().into_iter().collect(),
            task_types: identity.task_types.iter().cloned().collect(),
            capacity: Some(self.capacity()),
            held_leases: held.collect(),
            software: identity.software.clone(),
            stream_number: self.streams,
            process_start: identity.process_start.clone(),
            replaces_instance_ids: identity.replaces.clone(),
            namespaces: identity.namespaces.iter().cloned().collect(),
            payload_schemas: identity.schemas.iter().map(payload_schemas).collect(),
            knows_sizes: true,
            knows_alike: true,
        }
    }

    fn held_tokens(&self) -> Vec<i64> {
        let held = self.leases.iter().map(|(token, _)| token);
        held.chain(self.outbox.tokens()).map(|Token(token)| token).collect()
    }
}

/// Which schemas are read of one task type.
fn payload_schemas((task_type, read): (&String, &BTreeSet<String>)) -> v1::PayloadSchemas {
    v1::PayloadSchemas {
        task_type: task_type.clone(),
        fingerprints: read.iter().cloned().collect(),
    }
}
