//! A worker process, as its session behaves: what it holds, what it must say, until when it may believe.
//!
//! It follows `crates/worker/src/session.rs` in everything that the coordinator can see, and leaves out what it cannot:
//! backoff, timers of attempts, frames. Its clock is the coordinator's, and as slow as the drift bound allows, so that its
//! belief lasts as long as it ever can: exactly the session TTL from the sending of a heartbeat that was acknowledged.

use std::{collections::BTreeMap, time::Duration};

use leasehold_policy::Time;
use leasehold_queue::{HeldLease, LeasePhase, RevocationReason, Size, StreamId, Token};

use crate::{
    config::SESSION_TTL,
    stream::{News, Outcome, Told, Word},
};

/// How many tasks a worker runs at once.
pub(crate) const SLOTS: usize = 1;

/// A worker process.
#[derive(Clone, Debug)]
pub(crate) struct Worker {
    /// Which start of it.
    pub(crate) instance: u8,
    pub(crate) stream: Option<StreamId>,
    /// Whether the coordinator has said welcome on the stream.
    pub(crate) is_welcome: bool,
    pub(crate) seen_epoch: u32,
    pub(crate) ttl: Duration,
    /// Until when it believes in its leases. None: it was never welcome.
    pub(crate) valid_until: Option<Time>,
    pub(crate) leases: BTreeMap<Token, Lease>,
    pub(crate) outbox: BTreeMap<Token, Outcome>,
    /// Assignments that it received on the stream and has not spoken since.
    pub(crate) acted_upon: Vec<Token>,
    /// When it last said on the stream that it lives.
    pub(crate) beaten: Time,
}

/// A lease it holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Lease {
    pub(crate) task: usize,
    pub(crate) stage: Stage,
}

/// How far the work of a lease is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Stage {
    Pending,
    Running,
    /// It was asked to stop, and runs.
    Stopping,
}

impl Worker {
    /// A process that has just been started.
    pub(crate) fn new(instance: u8) -> Self {
        Self {
            instance,
            stream: None,
            is_welcome: false,
            seen_epoch: 0,
            ttl: SESSION_TTL,
            valid_until: None,
            leases: BTreeMap::new(),
            outbox: BTreeMap::new(),
            acted_upon: Vec::new(),
            beaten: Time::default(),
        }
    }

    /// The process dies and another one is started in its place.
    pub(crate) fn restart(&mut self) {
        *self = Self::new(self.instance + 1);
    }

    /// Opens a stream; what it says first.
    pub(crate) fn connect(&mut self, now: Time, stream: StreamId) -> Vec<Word> {
        (self.stream, self.is_welcome, self.beaten) = (Some(stream), false, now);
        let held = self.leases.iter().map(|(token, lease)| (*token, lease.phase()));
        let finished = self.outbox.keys().map(|token| (*token, LeasePhase::Finished));
        let held = held.chain(finished).map(|(token, phase)| {
            let size = Size::default();
            HeldLease { token, phase, size }
        });
        let hello = Word::Hello {
            instance: self.instance,
            held: held.collect(),
            seen_epoch: self.seen_epoch,
        };
        let outcomes = self.outbox.iter().map(|(token, it)| Word::Outcome(*token, *it));
        std::iter::once(hello).chain(outcomes).collect()
    }

    /// The stream is over. No lease ends with it.
    pub(crate) fn disconnect(&mut self) {
        (self.stream, self.is_welcome) = (None, false);
        self.acted_upon.clear();
    }

    /// Says that it lives and what it holds.
    pub(crate) fn beat(&mut self, now: Time) -> Word {
        self.beaten = now;
        Word::Heartbeat { held: self.held() }
    }

    /// Every lease it holds or has an unanswered outcome of.
    pub(crate) fn held(&self) -> Vec<Token> {
        self.leases.keys().chain(self.outbox.keys()).copied().collect()
    }

    /// Hears something; what it says to that. None: it gives the stream up.
    pub(crate) fn hear(&mut self, now: Time, told: Told) -> Option<Vec<Word>> {
        match told.news {
            News::Welcome { epoch, .. } if epoch < self.seen_epoch => return None,
            News::Welcome { epoch, ttl, lost } => {
                (self.seen_epoch, self.ttl, self.is_welcome) = (epoch, ttl, true);
                // In place of whatever was promised before.
                self.valid_until = Some(told.answers + ttl);
                self.lose(&lost);
            }
            News::HeartbeatAck => self.believe(told.answers),
            News::Assignment { token, task } => {
                self.acted_upon.push(token);
                if !self.outbox.contains_key(&token) {
                    self.leases.entry(token).or_insert(Lease { task, stage: Stage::Pending });
                }
            }
            News::Revocation { token, reason } => {
                return Some(self.revoke(token, reason).into_iter().collect());
            }
            News::Answer { token, .. } => drop(self.outbox.remove(&token)),
        }
        Some(self.start(now))
    }

    /// The work of a lease ended; what is said of it, and what starts in its place.
    pub(crate) fn end(&mut self, now: Time, token: Token, outcome: Outcome) -> Vec<Word> {
        if self.leases.remove(&token).is_none() {
            return Vec::new();
        }
        let mut words = vec![self.post(token, outcome)];
        words.extend(self.start(now));
        words
    }

    /// Whether it holds leases that it must not believe in any more.
    pub(crate) fn is_due(&self, now: Time) -> bool {
        !self.leases.is_empty() && self.valid_until.is_none_or(|until| until <= now)
    }

    /// Ends all work: it may be leased to somebody else from here on.
    pub(crate) fn fence(&mut self) -> Vec<Word> {
        let leases = std::mem::take(&mut self.leases);
        let ends = leases.into_iter().map(|(token, lease)| match lease.stage {
            Stage::Pending => (token, Outcome::NotNow),
            Stage::Running | Stage::Stopping => (token, Outcome::Stopped),
        });
        ends.map(|(token, outcome)| self.post(token, outcome)).collect()
    }

    /// The work it does for a task.
    pub(crate) fn runs(&self, task: usize) -> Option<Token> {
        let work = self.leases.iter().find(|(_, it)| it.task == task && it.stage != Stage::Pending);
        work.map(|(token, _)| *token)
    }

    fn believe(&mut self, sent: Time) {
        self.valid_until = self.valid_until.max(Some(sent + self.ttl));
    }

    fn lose(&mut self, lost: &[Token]) {
        self.leases.retain(|token, it| it.stage != Stage::Pending || !lost.contains(token));
        for token in lost {
            if let Some(lease) = self.leases.get_mut(token) {
                lease.stage = Stage::Stopping;
            }
        }
    }

    fn revoke(&mut self, token: Token, reason: RevocationReason) -> Option<Word> {
        match self.leases.get_mut(&token) {
            Some(lease) if lease.stage != Stage::Pending => lease.stage = Stage::Stopping,
            Some(_) => {
                self.leases.remove(&token);
                return Some(self.post(token, Outcome::Stopped));
            }
            None => {
                let is_known = self.outbox.contains_key(&token);
                if reason != RevocationReason::UnknownLease && !is_known {
                    return Some(self.post(token, Outcome::Stopped));
                }
            }
        }
        None
    }

    fn post(&mut self, token: Token, outcome: Outcome) -> Word {
        self.outbox.insert(token, outcome);
        Word::Outcome(token, outcome)
    }

    /// Starts what waits, if it may be believed in.
    fn start(&mut self, now: Time) -> Vec<Word> {
        let mut words = Vec::new();
        let is_valid = self.valid_until.is_some_and(|until| now < until);
        let mut busy = self.leases.values().filter(|it| it.stage != Stage::Pending).count();
        let waiting = self.leases.iter_mut().filter(|(_, it)| it.stage == Stage::Pending);
        for (token, lease) in waiting {
            if is_valid && busy < SLOTS {
                lease.stage = Stage::Running;
                busy += 1;
                words.push(Word::Started(*token));
            }
        }
        words
    }
}

impl Lease {
    fn phase(self) -> LeasePhase {
        match self.stage {
            Stage::Pending => LeasePhase::Pending,
            Stage::Running | Stage::Stopping => LeasePhase::Running,
        }
    }
}
