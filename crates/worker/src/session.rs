//! The worker's side of a session: which leases it holds, what it must say, and until when it may believe.
//!
//! A state machine without I/O. What happened comes in through the `handle_*` methods, each with the time; what must
//! be done goes out through [`Session::poll_command`] and, whenever the stream can take a frame,
//! [`Session::poll_frame`]. [`Session::deadline`] says when to call [`Session::handle_tick`] at the latest. It knows
//! no clock, socket, thread or runtime, and its randomness comes from the seed it is made with.

mod answer;
mod conversation;
mod drain;
mod extension;
mod fence;
mod lease;
mod link;
mod outbox;
mod revocation;
pub mod simulated;
mod terms;
mod welcome;

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use leasehold_policy::Mutant;
use leasehold_proto::{
    duration::to_wire,
    v1::{self, lease_outcome::Outcome},
};
use tracing::{debug, warn};

pub(crate) use self::{answer::too_large, link::StreamEnd};
use self::{
    conversation::Notice,
    drain::Drain,
    lease::{Lease, Leases, Stage, StopReason},
    link::Link,
    outbox::{Letter, Outbox},
    terms::Terms,
    welcome::Journal,
};
use crate::{
    CancelReason, Error, OnSessionLost,
    adjuster::Room,
    assignment::{Assignment, Token},
    clock::Moment,
    identity::Identity,
    limits::Limits,
    outcome::End,
    progress::overlay,
    term::Answer,
};

/// The most leases held beyond the slots and the prefetch. The coordinator grants no more than these; what exceeds them waits
/// for work that is being stopped, and more than this is a coordinator gone wrong.
const WAITING_MAX: usize = 1_000;

/// How long after a kill its work counts as lost. Ten times as long as two cores take to kill a thousand programs at once: a
/// worker that is merely busy must not take itself for one that has to be started again.
const KILL_CONFIRMATION_MAX: Duration = Duration::from_secs(5);

/// What the shell must do.
#[derive(Debug)]
pub(crate) enum Command {
    /// Open a stream, and say when it is up or what went wrong.
    Connect,
    /// Drop the stream, and say nothing about it.
    Disconnect,
    /// Say no more on the stream, and wait until the coordinator has closed it.
    CloseSend,
    /// Let work that looks by itself know until when the leases may be believed in.
    Renew {
        /// Until when.
        valid_until: Moment,
        /// How long before that it is to be asked to stop, at most.
        stop_margin: Duration,
    },
    /// Begin the work of a lease.
    Start {
        /// The task.
        assignment: Arc<Assignment>,
        /// When it runs out of time. `None`: it may run as long as it likes.
        due: Option<Moment>,
        /// How much of it is taken.
        limits: Limits,
    },
    /// Let the work of a lease, and whoever looks after it, go on until then.
    Postpone {
        /// The lease.
        token: Token,
        /// Until when.
        due: Moment,
    },
    /// Tell the handler what became of its request for more time.
    Answer {
        /// The lease.
        token: Token,
        /// What.
        answer: Answer,
    },
    /// Ask the work of a lease to stop.
    Cancel {
        /// The lease.
        token: Token,
        /// Why.
        reason: CancelReason,
    },
    /// Stop the work of a lease.
    Kill {
        /// The lease.
        token: Token,
        /// Why.
        reason: CancelReason,
    },
    /// End the worker.
    Exit(Result<(), Error>),
}

/// When a worker leaves by itself, how it leaves, and what becomes of its work when it is left alone.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Leaving {
    /// What is done with running work when the session may be over.
    pub(crate) on_session_lost: OnSessionLost,
    /// How long a drain waits for what runs, unless the coordinator says otherwise.
    pub(crate) drain_grace: Duration,
    /// How many slots may hold work that cannot be stopped. With more the worker recycles itself.
    pub(crate) lost_slots_max: usize,
}

/// The worker's side of a session.
pub(crate) struct Session {
    identity: Identity,
    rng: fastrand::Rng,
    link: Link,
    /// How many streams have come up: each hello says which one it is on.
    streams: i64,
    /// Reconnects since the last welcome.
    retries: u32,
    /// Since when another process has had the worker's id. `None`: it has not been heard of since the last welcome.
    displaced_since: Option<Moment>,
    /// The journal last spoken with. `None`: none yet.
    journal: Option<Journal>,
    /// What the last welcome said.
    terms: Terms,
    /// Until when the leases may be believed in. `None`: there never was a welcome, so there are no leases.
    valid_until: Option<Moment>,
    leases: Leases,
    outbox: Outbox,
    /// The last progress of each lease that has not been said. Bounded by the leases.
    progress: BTreeMap<Token, v1::Progress>,
    /// The newest checkpoint of each lease that has saved one, said or not. Bounded by the leases.
    checkpoints: BTreeMap<Token, Bytes>,
    drain: Option<Drain>,
    leaving: Leaving,
    /// How long it may take until it is said that work began, where its result is likely to say so by then.
    starts_wait: Duration,
    /// The task types whose last work succeeded within that time. Of the first of its kind the start is said at once: were it
    /// held back, nobody would know what a process was at that it takes down with it.
    brief: BTreeSet<String>,
    /// How busy the processor is, in thousandths. `None`: nobody has said.
    cpu: Option<i32>,
    /// The last time the clock was looked at.
    ticked_at: Moment,
    has_exited: bool,
    commands: VecDeque<Command>,
}

impl Session {
    /// A session that connects at once.
    pub(crate) fn new(
        identity: Identity,
        leaving: Leaving,
        starts_wait: Duration,
        seed: u64,
    ) -> Self {
        Self {
            identity,
            rng: fastrand::Rng::with_seed(seed),
            link: Link::Down { retry_at: Moment::default() },
            streams: 0,
            retries: 0,
            displaced_since: None,
            journal: None,
            terms: Terms::default(),
            valid_until: None,
            leases: Leases::default(),
            outbox: Outbox::default(),
            progress: BTreeMap::new(),
            checkpoints: BTreeMap::new(),
            drain: None,
            leaving,
            starts_wait,
            brief: BTreeSet::new(),
            cpu: None,
            ticked_at: Moment::default(),
            has_exited: false,
            commands: VecDeque::new(),
        }
    }

    /// The work of a lease ended.
    pub(crate) fn handle_end(&mut self, now: Moment, token: Token, end: End) {
        self.progress.remove(&token);
        let checkpoint = self.checkpoints.remove(&token);
        let Some(lease) = self.leases.remove(token) else {
            debug!(fencing_token = token.0, "work ended that nobody waits for");
            return;
        };
        if lease.stage.is_lost() {
            self.notify(Notice::SlotsLost);
        }
        let run_time = lease.stage.since().map(|since| now.since(since));
        let outcome = answer::outcome(&lease, end, self.terms.limits.result_bytes);
        let is_success = matches!(outcome, Some(Outcome::Success(_)));
        self.learn_pace(&lease.assignment.task_type, run_time.filter(|_| is_success));
        if let Some(outcome) = outcome {
            let saved = checkpoint.filter(|_| !matches!(outcome, Outcome::Success(_)));
            self.put(letter(lease.into_assignment(), outcome, run_time).behind(saved));
        }
        if let Link::Up(conversation) = &mut self.link {
            conversation.forget_starts(|token| self.leases.get(token).is_none());
        }
        self.start_waiting(now);
        self.conclude();
    }

    /// It takes so much from here on. What runs goes on.
    pub(crate) fn handle_room(&mut self, now: Moment, room: Room) {
        (self.identity.whole.slots, self.identity.prefetch) = (room.slots, room.prefetch);
        self.notify(Notice::Capacity);
        self.start_waiting(now);
    }

    /// The processor is so busy, in thousandths: to be told with the next heartbeat.
    pub(crate) const fn handle_load(&mut self, cpu: Option<i32>) {
        self.cpu = cpu;
    }

    /// Handlers reported progress.
    pub(crate) fn handle_progress(&mut self, progress: BTreeMap<Token, v1::Progress>) {
        self.hurry_starts();
        for (token, report) in progress {
            if self.leases.get(token).is_none() {
                continue;
            }
            self.checkpoints.extend(report.checkpoint.clone().map(|data| (token, data)));
            overlay(self.progress.entry(token).or_default(), report);
        }
    }

    /// Time passed.
    pub(crate) fn handle_tick(&mut self, now: Moment) {
        self.ticked_at = now;
        // First of all: after a suspend nothing may happen under leases that ran out in the meantime.
        self.fence(now);
        while let Some(token) = self.leases.due(now) {
            self.lease_due(now, token);
        }
        self.drain_due(now);
        self.link_due(now);
        self.conclude();
    }

    /// What to do next; `None` when everything has been said.
    pub(crate) fn poll_command(&mut self) -> Option<Command> {
        self.commands.pop_front()
    }

    /// When [`handle_tick`](Self::handle_tick) must be called at the latest.
    pub(crate) fn deadline(&self) -> Option<Moment> {
        if self.has_exited {
            return None;
        }
        let link = self.link.deadline(&self.terms);
        let drain = self.drain_deadline();
        [self.leases.next_timer(), self.fence_deadline(), link, drain].into_iter().flatten().min()
    }

    fn handle_assignment(&mut self, now: Moment, assignment: Assignment) {
        let token = assignment.token;
        if self.leases.get(token).is_some() || self.outbox.get(token).is_some() {
            let (task_id, trace_id) = (assignment.task_id.as_str(), assignment.trace.trace_id());
            warn!(task_id, trace_id, fencing_token = token.0, "assigned twice");
            return;
        }
        let excess = self.leases.len() >= self.slots() + self.prefetch() + WAITING_MAX;
        let refusal = if self.drain.is_some() {
            Some(v1::DeclineReason::Draining)
        } else if !self.identity.serves(&assignment) {
            Some(v1::DeclineReason::Unsupported)
        } else {
            excess.then_some(v1::DeclineReason::NoCapacity)
        };
        if let Some(reason) = refusal {
            return self.put(letter(assignment, answer::declined(reason), None));
        }
        self.leases.insert(Lease::new(now, assignment));
        self.start_waiting(now);
    }

    /// Starts what waits, as long as there are slots, resources and room for results. Nobody overtakes who came before: what asks
    /// for much would else never have it.
    fn start_waiting(&mut self, now: Moment) {
        while self.outbox.has_room() {
            let Some(lease) = self.leases.next_waiting() else { return };
            let has_room = self.leases.has_room(&self.identity.whole, lease);
            if !has_room || !self.may_start(now, lease) {
                break;
            }
            let Some((assignment, due)) = self.leases.start_next(now) else { return };
            let limits = self.terms.limits;
            self.began(&assignment);
            self.commands.push_back(Command::Start { assignment, due, limits });
        }
        self.hurry_waiting(now);
    }

    /// Lets time run for what waits without a right to: where there is a slot for it, or more than was asked for ahead.
    fn hurry_waiting(&mut self, now: Moment) {
        if self.leases.next_waiting().is_none() {
            return;
        }
        let (free, ahead) = (self.leases.ready(&self.identity.whole), self.prefetch());
        let in_turn = self.leases.waiting().enumerate();
        let late = in_turn.filter(|(place, _)| *place < free || free + ahead <= *place);
        let late: Vec<Token> = late.map(|(_, token)| token).collect();
        for token in late {
            self.leases.hurry(now, token);
        }
    }

    /// The timer of a lease ran out.
    fn lease_due(&mut self, now: Moment, token: Token) {
        let Some(lease) = self.leases.get(token) else { return };
        let grace = lease.assignment.kill_grace;
        match lease.stage {
            Stage::Pending { .. } => {
                let has_room = self.leases.has_room(&self.identity.whole, lease);
                let late = v1::DeclineReason::StartTimeout;
                let reason = if has_room { late } else { v1::DeclineReason::NoCapacity };
                self.decline(token, reason);
                self.start_waiting(now);
            }
            Stage::Running { due, .. } => {
                let is_total = due.is_some() && due == lease.total_due;
                let reason =
                    if is_total { StopReason::TotalTimeout } else { StopReason::AttemptTimeout };
                self.stop(token, reason, now + grace);
            }
            Stage::Stopping { since, reason, .. } => self.kill(now, token, since, reason),
            Stage::Killed { since, reason, .. } => {
                let assignment = &lease.assignment;
                warn!(
                    task_id = assignment.task_id,
                    trace_id = assignment.trace.trace_id(),
                    fencing_token = token.0,
                    "what was killed does not end: its slot is lost until it does"
                );
                self.leases.set_stage(token, Stage::Killed { since, reason, warn_at: None });
                self.slot_lost(now);
            }
        }
    }

    /// Hands back a lease that was not started.
    fn decline(&mut self, token: Token, reason: v1::DeclineReason) {
        if let Some(lease) = self.leases.remove(token) {
            self.put(letter(lease.into_assignment(), answer::declined(reason), None));
        }
    }

    /// Asks running work to stop, and kills it at `kill_at`.
    fn stop(&mut self, token: Token, reason: StopReason, kill_at: Moment) {
        let Some(Stage::Running { since, .. }) = self.leases.get(token).map(|it| &it.stage) else {
            return;
        };
        let since = *since;
        self.leases.set_stage(token, Stage::Stopping { since, reason, kill_at });
        self.commands.push_back(Command::Cancel { token, reason: reason.cancel_reason() });
    }

    /// Ends work that was asked to stop.
    fn kill(&mut self, now: Moment, token: Token, since: Moment, reason: StopReason) {
        let warn_at = Some(now + KILL_CONFIRMATION_MAX);
        self.leases.set_stage(token, Stage::Killed { since, reason, warn_at });
        if Mutant::KillForgotten.is_alive() {
            return;
        }
        self.commands.push_back(Command::Kill { token, reason: reason.cancel_reason() });
    }

    /// Says an outcome if there is somebody to say it to, and keeps it in the outbox until it is answered.
    fn put(&mut self, letter: Letter) {
        debug!(
            task_id = letter.task_id,
            trace_id = letter.trace_id(),
            fencing_token = letter.token().0,
            outcome = letter.kind(),
            "work ended"
        );
        // Only a result says what may be left out before it.
        if !letter.is_result() {
            self.hurry_starts();
        }
        if let Link::Up(conversation) = &mut self.link {
            letter.notices().for_each(|notice| conversation.push(notice));
        }
        self.outbox.put(letter);
    }

    /// Says something on the stream, if it is up. What must survive the stream is said again by the next hello.
    fn notify(&mut self, notice: Notice) {
        self.hurry_starts();
        if let Link::Up(conversation) = &mut self.link {
            conversation.push(notice);
        }
    }

    /// Says that work began: of what is likely to be over soon, unless its result is there before that.
    fn began(&mut self, assignment: &Assignment) {
        if !self.brief.contains(&assignment.task_type) {
            return self.notify(Notice::Started(assignment.token));
        }
        let by = self.ticked_at + self.starts_wait;
        if let Link::Up(conversation) = &mut self.link {
            conversation.push_start(assignment.token, by);
        }
    }

    /// Work of a type has succeeded in this time, or not at all: the next will do as well.
    fn learn_pace(&mut self, task_type: &str, success: Option<Duration>) {
        if success.is_none_or(|time| self.starts_wait < time) {
            self.brief.remove(task_type);
        } else if !self.brief.contains(task_type) {
            self.brief.insert(task_type.to_owned());
        }
    }

    fn hurry_starts(&mut self) {
        if let Link::Up(conversation) = &mut self.link {
            conversation.hurry_starts();
        }
    }

    fn exit(&mut self, result: Result<(), Error>) {
        if !self.has_exited {
            self.has_exited = true;
            self.commands.push_back(Command::Exit(result));
        }
    }

    fn slots(&self) -> usize {
        usize::try_from(self.identity.whole.slots).unwrap_or(usize::MAX)
    }

    fn prefetch(&self) -> usize {
        usize::try_from(self.identity.prefetch).unwrap_or(usize::MAX)
    }
}

/// An outcome to be said until it is answered.
fn letter(assignment: Assignment, outcome: Outcome, run_time: Option<Duration>) -> Letter {
    let Assignment { token, task_id, likeness, .. } = assignment;
    let outcome = v1::LeaseOutcome {
        fencing_token: token.0,
        outcome: Some(outcome),
        run_time: run_time.map(to_wire),
    };
    Letter::new(task_id, Some(likeness), outcome)
}

#[cfg(test)]
mod tests;
