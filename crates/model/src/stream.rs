//! One stream between a worker and a coordinator, and what is under way on it in either direction.
//!
//! What is said arrives in order or not at all. A stream that is cut may still deliver what was under way, until the
//! side it was sent to notices.

use std::{collections::VecDeque, time::Duration};

use leasehold_policy::Time;
use leasehold_queue::{Disposition, HeldLease, RevocationReason, StreamId, Token};

/// A stream.
#[expect(clippy::struct_excessive_bools, reason = "each side's view of it changes by itself")]
#[derive(Clone, Debug)]
pub(crate) struct Stream {
    pub(crate) id: StreamId,
    /// The number of its worker.
    pub(crate) worker: usize,
    /// The process of its coordinator.
    pub(crate) process: u32,
    /// Whether the connection is gone, noticed or not.
    pub(crate) is_cut: bool,
    /// Whether the worker has not given it up.
    pub(crate) has_worker: bool,
    /// Whether the coordinator has not given it up.
    pub(crate) has_coordinator: bool,
    /// Whether the coordinator has said welcome.
    pub(crate) is_welcome: bool,
    pub(crate) to_coordinator: VecDeque<Said>,
    pub(crate) to_worker: VecDeque<Told>,
}

/// What a worker says, when, and which assignments it has acted upon by then.
#[derive(Clone, Debug)]
pub(crate) struct Said {
    pub(crate) word: Word,
    /// When it was sent, if that is what its answer will be about.
    pub(crate) sent: Time,
    pub(crate) acted_upon: Vec<Token>,
}

/// What a worker says.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Word {
    Hello { instance: u8, held: Vec<HeldLease>, seen_epoch: u32 },
    Started(Token),
    Outcome(Token, Outcome),
    Heartbeat { held: Vec<Token> },
}

/// How work ended, says its worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// It returned a result.
    Succeeded,
    /// It failed, and may be tried again.
    Failed,
    /// It was revoked, or the session might have run out, and it has stopped.
    Stopped,
    /// It was not started, because the session might have run out.
    NotNow,
    /// The same, from a worker that says it leaves.
    Draining,
}

/// What a coordinator tells a worker, and when that was sent which it answers, if it answers a sign of life.
#[derive(Clone, Debug)]
pub(crate) struct Told {
    pub(crate) news: News,
    pub(crate) answers: Time,
}

/// What a coordinator tells a worker.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum News {
    Welcome { epoch: u32, ttl: Duration, lost: Vec<Token> },
    Assignment { token: Token, task: usize },
    Revocation { token: Token, reason: RevocationReason },
    Answer { token: Token, disposition: Disposition },
    HeartbeatAck,
}

impl Stream {
    /// A stream that a worker has just opened.
    pub(crate) fn new(id: StreamId, worker: usize, process: u32) -> Self {
        Self {
            id,
            worker,
            process,
            is_cut: false,
            has_worker: true,
            has_coordinator: true,
            is_welcome: false,
            to_coordinator: VecDeque::new(),
            to_worker: VecDeque::new(),
        }
    }

    /// The worker says something, to whom it may concern.
    pub(crate) fn say(&mut self, said: Said) {
        if !self.is_cut && self.has_coordinator {
            self.to_coordinator.push_back(said);
        }
    }

    /// The coordinator tells something.
    pub(crate) fn tell(&mut self, told: Told) {
        if !self.is_cut && self.has_worker {
            self.to_worker.push_back(told);
        }
    }

    /// The worker gives it up.
    pub(crate) fn leave(&mut self) {
        self.has_worker = false;
        self.to_worker.clear();
    }

    /// The coordinator gives it up.
    pub(crate) fn close(&mut self) {
        self.has_coordinator = false;
        self.to_coordinator.clear();
    }

    /// Whether the worker will notice that it is over.
    pub(crate) fn is_over_for_worker(&self) -> bool {
        self.has_worker && (self.is_cut || !self.has_coordinator)
    }

    /// Whether the coordinator will notice that it is over.
    pub(crate) fn is_over_for_coordinator(&self) -> bool {
        self.has_coordinator && (self.is_cut || !self.has_worker)
    }

    /// Whether both sides talk, and nothing is under way.
    pub(crate) fn is_quiet(&self) -> bool {
        let is_up = !self.is_cut && self.has_worker && self.has_coordinator && self.is_welcome;
        is_up && self.to_worker.is_empty() && self.to_coordinator.is_empty()
    }

    /// Whether nobody has it any more.
    pub(crate) fn is_gone(&self) -> bool {
        !self.has_worker && !self.has_coordinator
    }
}
