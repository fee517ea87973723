//! The session without its shell: for the simulator, and no part of the library's promise.
//!
//! Whoever drives it is the shell: it carries out what the session wants, and says what happened and when.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use bytes::Bytes;
use leasehold_proto::v1;

use super::{Command, Leaving, Session, StreamEnd};
use crate::{
    Error, OnSessionLost,
    assignment::Token,
    clock::Moment,
    identity::{self, Identity},
    outcome::{End, Failure},
    size::Size,
};

/// A worker process, as far as its session goes.
pub struct Worker {
    session: Session,
}

/// Who it is.
#[derive(Clone, Debug)]
pub struct Setup {
    /// Its own name.
    pub worker_id: String,
    /// Which start of its process.
    pub instance_id: String,
    /// Which boot of its machine it was started in, and how long after that.
    pub start: (String, Duration),
    /// Earlier starts of which it knows that they are gone.
    pub replaces: Vec<String>,
    /// What it serves.
    pub task_types: Vec<String>,
    /// What it says it is.
    pub labels: BTreeMap<String, String>,
    /// Which payload schemas it reads of a type, if not every one.
    pub schemas: BTreeMap<String, BTreeSet<String>>,
    /// How many tasks of one slot it runs at once.
    pub slots: u32,
    /// How much else it has, by name.
    pub resources: BTreeMap<String, u64>,
    /// How many leases it takes beyond that.
    pub prefetch: u32,
    /// How long a drain waits for what runs.
    pub drain_grace: Duration,
    /// How long it may take until it is said that work began.
    pub starts_wait: Duration,
    /// Of its randomness.
    pub seed: u64,
}

/// What the session wants done.
#[derive(Debug)]
pub enum Act {
    /// Open a stream.
    Connect,
    /// Drop the stream.
    Disconnect,
    /// Say no more on the stream.
    CloseSend,
    /// Begin work.
    Start {
        /// Under this lease.
        token: i64,
        /// On this task.
        task_id: String,
        /// With this input.
        payload: Bytes,
        /// The attempt it is.
        attempt: u32,
        /// From here.
        checkpoint: Option<Bytes>,
        /// How long it may take, and how long until the whole task's time is over.
        limits: (Option<Duration>, Option<Duration>),
    },
    /// Let work that looks by itself, or is guarded, know until when the leases may be believed in.
    Renew(Duration),
    /// Ask work to stop.
    Cancel(i64),
    /// Stop work.
    Kill(i64),
    /// End the process.
    Exit(Result<(), Error>),
}

/// How work ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Finish {
    /// With a result.
    Result(Bytes),
    /// With an error.
    Error,
    /// With one that makes no sense to try again.
    Fatal,
    /// With a panic.
    Panic,
    /// It was stopped.
    Aborted,
}

/// How a stream ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hangup {
    /// The coordinator closed it.
    Closed,
    /// It broke, or none could be made.
    Broken,
    /// The coordinator does not accept what the worker says.
    Refused,
}

impl Worker {
    /// A process that has just started, and connects with its first tick.
    pub fn new(setup: Setup) -> Self {
        let identity = Identity {
            worker_id: setup.worker_id,
            instance_id: setup.instance_id,
            replaces: setup.replaces,
            process_start: Some(identity::start(&setup.start.0, at(setup.start.1))),
            labels: setup.labels,
            task_types: setup.task_types.into_iter().collect(),
            namespaces: BTreeSet::new(),
            schemas: setup.schemas,
            whole: Size { slots: setup.slots, resources: setup.resources },
            prefetch: setup.prefetch,
            software: "simulated".to_owned(),
        };
        // Simulated work can always be stopped.
        let leaving = Leaving {
            on_session_lost: OnSessionLost::Stop,
            drain_grace: setup.drain_grace,
            lost_slots_max: usize::MAX,
        };
        Self { session: Session::new(identity, leaving, setup.starts_wait, setup.seed) }
    }

    /// Time passed, by its own clock.
    pub fn tick(&mut self, now: Duration) {
        self.session.handle_tick(at(now));
    }

    /// When the next tick is due at the latest.
    pub fn deadline(&self) -> Option<Duration> {
        let due = [self.session.deadline(), self.session.starts_due()];
        due.into_iter().flatten().min().map(since_boot)
    }

    /// What to do next.
    pub fn act(&mut self) -> Option<Act> {
        Some(match self.session.poll_command()? {
            // Simulated handlers look at what is said on the stream instead.
            Command::Postpone { .. } | Command::Answer { .. } => return self.act(),
            Command::Renew { valid_until, .. } => Act::Renew(since_boot(valid_until)),
            Command::Connect => Act::Connect,
            Command::Disconnect => Act::Disconnect,
            Command::CloseSend => Act::CloseSend,
            Command::Start { assignment, .. } => Act::Start {
                token: assignment.token.0,
                task_id: assignment.task_id.clone(),
                payload: assignment.payload.clone(),
                attempt: assignment.attempt,
                checkpoint: assignment.checkpoint.clone(),
                limits: (assignment.attempt_timeout, assignment.total_remaining),
            },
            Command::Cancel { token, .. } => Act::Cancel(token.0),
            Command::Kill { token, .. } => Act::Kill(token.0),
            Command::Exit(result) => Act::Exit(result),
        })
    }

    /// Whether there is something to send.
    pub fn has_frame(&self) -> bool {
        self.session.has_frame()
    }

    /// The next frame to send.
    pub fn frame(&mut self, now: Duration) -> Option<v1::ConnectRequest> {
        self.session.poll_frame(at(now))
    }

    /// The stream is up.
    pub fn stream_up(&mut self, now: Duration) {
        self.session.handle_stream_up(at(now));
    }

    /// The stream ended.
    pub fn stream_end(&mut self, now: Duration, hangup: Hangup) {
        let end = match hangup {
            Hangup::Closed => StreamEnd::Closed,
            Hangup::Broken => StreamEnd::Broken("simulated".to_owned()),
            Hangup::Refused => StreamEnd::Refused("simulated".to_owned()),
        };
        self.session.handle_stream_end(at(now), end);
    }

    /// The coordinator said something.
    pub fn hear(&mut self, now: Duration, frame: v1::ConnectResponse) {
        self.session.handle_frame(at(now), frame);
    }

    /// Work says that it goes on.
    pub fn progress(&mut self, token: i64) {
        let progress = v1::Progress { message: "simulated".to_owned(), ..v1::Progress::default() };
        self.session.handle_progress(BTreeMap::from([(Token(token), progress)]));
    }

    /// Work saves where the next attempt can go on from. Says whether its lease is held.
    pub fn save(&mut self, token: i64, data: Bytes) -> bool {
        let report = v1::Progress { checkpoint: Some(data), ..v1::Progress::default() };
        self.session.handle_progress(BTreeMap::from([(Token(token), report)]));
        self.session.leases.get(Token(token)).is_some()
    }

    /// Work wants to run until then, by the worker's clock.
    pub fn extend(&mut self, token: i64, until: Duration) {
        self.session.handle_ask(Token(token), at(until));
    }

    /// Work ended.
    pub fn finish(&mut self, now: Duration, token: i64, finish: Finish) {
        let failed = |reason, non_retryable| {
            let mut failure = Failure::new(reason, "simulated", "");
            failure.0.non_retryable = non_retryable;
            End::Returned(Err(failure))
        };
        let end = match finish {
            Finish::Result(result) => End::Returned(Ok(result)),
            Finish::Error => failed(v1::FailureReason::Error, false),
            Finish::Fatal => failed(v1::FailureReason::Error, true),
            Finish::Panic => failed(v1::FailureReason::Panic, false),
            Finish::Aborted => End::Aborted,
        };
        self.session.handle_end(at(now), Token(token), end);
    }

    /// Somebody wants it to leave.
    pub fn drain(&mut self, now: Duration) {
        self.session.handle_drain(at(now), None, "simulated");
    }

    /// Whether it holds the lease, or an outcome of it that has not been answered.
    pub fn holds(&self, token: i64) -> bool {
        self.session.leases.get(Token(token)).is_some() || self.has_outcome(token)
    }

    /// Whether it has an outcome of the lease that has not been answered.
    pub fn has_outcome(&self, token: i64) -> bool {
        self.session.outbox.get(Token(token)).is_some()
    }

    /// How many slots all leases take that it holds, those that wait for one included, and how much of a resource.
    pub fn taken(&self, resource: &str) -> (u64, u64) {
        let sizes = self.session.leases.iter().map(|(_, lease)| &lease.assignment.size);
        sizes.fold((0, 0), |(slots, amount), size| {
            let own = size.resources.get(resource).copied().unwrap_or(0);
            (slots + u64::from(size.slots), amount + own)
        })
    }

    /// How many leases it holds, and how many outcomes that have not been answered.
    pub fn load(&self) -> (usize, usize) {
        (self.session.leases.len(), self.session.outbox.len())
    }
}

fn at(now: Duration) -> Moment {
    Moment::default() + now
}

fn since_boot(moment: Moment) -> Duration {
    moment.since(Moment::default())
}
