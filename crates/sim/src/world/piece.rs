//! Handlers: what each does is said by its task's payload, and what becomes of it by its worker, its guard and its time.

use std::time::Duration;

use bytes::Bytes;
use leasehold_proto::v1::{
    self, FailureReason, coordinator_event::Event as Told, lease_outcome::Outcome,
    worker_event::Event as Said,
};
use leasehold_queue::Token;
use leasehold_worker::simulation::Finish;

use super::{Event, World, crew::Hand};
use crate::{
    judge::Violation,
    ledger::{checkpoint_of, result_of},
    make::{Kind, Make},
    moment::{MS, Micros, SECOND},
    plan::{GPU, pick},
    probe::Probe,
};

/// How late a worker may be with what it does by its own clock, in this simulation.
const SLACK: Duration = Duration::from_millis(2);

/// How often a handler saves at most, and how long after its start the first time.
const SAVES_MAX: u32 = 6;
const SAVE_AFTER: Micros = 30 * MS;

/// Work that is to be begun.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) token: i64,
    pub(super) task_id: String,
    pub(super) payload: Bytes,
    pub(super) attempt: u32,
    /// How long it may take, and how long until the whole task's time is over.
    pub(super) limits: (Option<Duration>, Option<Duration>),
}

/// A handler that runs.
#[derive(Clone, Debug)]
pub(super) struct Piece {
    pub(super) task_id: String,
    pub(super) make: Make,
    attempt: u32,
    is_asked: bool,
    pub(super) is_killed: bool,
    /// Grows when its end is planned anew.
    version: u32,
}

/// Until when a handler may run, by its worker's clock.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limit {
    due: Duration,
    total: Duration,
    /// When it was last asked for more, and the frame left.
    asked: Option<Duration>,
}

impl Limit {
    fn end(&self) -> Duration {
        self.due.min(self.total)
    }
}

impl World {
    pub(super) fn start_piece(&mut self, worker: usize, job: Job) {
        let Job { token, task_id, payload, attempt, limits: (own, total) } = job;
        let shown = self.crew[worker].shows(self.now);
        let asked = task_id.parse().ok().and_then(|id| self.ledger.task(id));
        if asked.is_some_and(|asked| asked.spec.payload.here() != Some(&*payload)) {
            self.fail(Violation::new("payload", format!("{task_id} is given {payload:?}")));
        }
        let piece = Piece::new(task_id, &payload, attempt);
        let (make, incarnation) = (piece.make, self.crew[worker].incarnation);
        let within = |limit: Option<Duration>| limit.map_or(Duration::MAX, |limit| shown + limit);
        let limit = Limit { due: within(own), total: within(total), asked: None };
        let hand = &mut self.crew[worker];
        hand.pieces.insert(token, piece);
        hand.limits.insert(token, limit);
        self.started.insert(Token::from_i64(token));
        self.check_once(token);
        if let Some(every) = make.reports_every() {
            self.after(every, Event::Report(worker, incarnation, token));
        }
        if make.saves {
            self.after(SAVE_AFTER, Event::Save(worker, incarnation, token, 1));
        }
        self.check_room(worker);
        self.check_exclusive(worker);
        self.check_permits();
        let within = self.ledger.begin(Token::from_i64(token));
        self.check(within);
        let most = *pick(&mut self.rng, &[50 * MS, SECOND, 8 * SECOND]);
        let runs = match make.asks {
            _ if self.is_healed => 10 * MS,
            Some(asks) => self.ask_in_time(worker, token, asks),
            None => self.rng.u64(MS..=most),
        };
        if self.is_healed || !make.kind.is_endless() {
            self.plan_finish(worker, token, runs);
        }
    }

    /// What runs takes no more than there is.
    fn check_room(&mut self, worker: usize) {
        let hand = &self.crew[worker];
        let runs = hand.pieces.values().filter_map(|piece| piece.task_id.parse().ok());
        let sizes = runs.filter_map(|id| Some(&self.ledger.task(id)?.spec.shape.size));
        let taken = sizes.fold((0, 0), |(slots, gpus), size| {
            (slots + u64::from(size.slots), gpus + size.amount(GPU))
        });
        let gpus = self.plan.setting.workers[worker].gpus;
        let room = (u64::from(hand.slots()), u64::from(gpus));
        if room.0 < taken.0 || room.1 < taken.1 {
            let message = format!("w{worker} runs what takes {taken:?} and has {room:?}");
            self.fail(Violation::new("slots", message));
        }
    }

    /// A handler that wants more time asks for it early, and then takes about what it asked for.
    fn ask_in_time(&mut self, worker: usize, token: i64, asks: Micros) -> Micros {
        let wait = self.rng.u64(..=asks / 4);
        self.after(wait, Event::Ask(worker, self.crew[worker].incarnation, token));
        self.rng.u64(asks / 2..=asks * 3 / 2)
    }

    /// A handler asks for more time; now and then for less than before, which changes nothing.
    pub(super) fn ask_due(&mut self, worker: usize, incarnation: u32, token: i64) {
        let now = self.now;
        let hand = &self.crew[worker];
        let piece = hand.pieces.get(&token).filter(|piece| !piece.is_asked && !piece.is_killed);
        let Some(asks) = piece.and_then(|piece| piece.make.asks) else { return };
        if hand.incarnation != incarnation {
            return;
        }
        if let Some(until) = hand.paused_until.filter(|until| now < *until) {
            return self.schedule(until, Event::Ask(worker, incarnation, token));
        }
        let wanted = *pick(&mut self.rng, &[asks, asks, asks / 4]);
        let hand = &mut self.crew[worker];
        let shown = hand.shows(now);
        if let Some(session) = &mut hand.session {
            session.tick(shown);
            session.extend(token, shown + Duration::from_micros(wanted));
        }
        self.settle(worker);
        if self.rng.bool() {
            self.after(asks / 3, Event::Ask(worker, incarnation, token));
        }
    }

    /// A handler saves, more and more seldom.
    pub(super) fn save_due(&mut self, worker: usize, incarnation: u32, token: i64, step: u32) {
        let now = self.now;
        let hand = &mut self.crew[worker];
        let piece = hand.pieces.get(&token).filter(|piece| !piece.is_killed);
        let Some(piece) = piece.filter(|_| hand.incarnation == incarnation) else { return };
        if let Some(until) = hand.paused_until.filter(|until| now < *until) {
            return self.schedule(until, Event::Save(worker, incarnation, token, step));
        }
        let data = checkpoint_of(&piece.task_id, token, step);
        let shown = hand.shows(now);
        if let Some(session) = &mut hand.session {
            session.tick(shown);
            if session.save(token, data) {
                self.saved.insert(Token::from_i64(token), step);
            }
        }
        self.settle(worker);
        if step < SAVES_MAX {
            let next = Event::Save(worker, incarnation, token, step + 1);
            self.after(SAVE_AFTER * Micros::from(step + 1), next);
        }
    }

    /// A handler says that it goes on.
    pub(super) fn report_due(&mut self, worker: usize, incarnation: u32, token: i64) {
        let now = self.now;
        let hand = &mut self.crew[worker];
        let piece = hand.pieces.get(&token).filter(|piece| !piece.is_killed);
        let every = piece.and_then(|piece| piece.make.reports_every());
        let Some(every) = every.filter(|_| hand.incarnation == incarnation) else { return };
        if let Some(until) = hand.paused_until.filter(|until| now < *until) {
            return self.schedule(until, Event::Report(worker, incarnation, token));
        }
        let shown = hand.shows(now);
        if let Some(session) = &mut hand.session {
            session.tick(shown);
            session.progress(token);
        }
        self.settle(worker);
        self.after(every, Event::Report(worker, incarnation, token));
    }

    pub(super) fn plan_finish(&mut self, worker: usize, token: i64, wait: Micros) {
        let hand = &mut self.crew[worker];
        let Some(piece) = hand.pieces.get_mut(&token) else { return };
        piece.version += 1;
        let (incarnation, version) = (hand.incarnation, piece.version);
        self.after(wait, Event::Finish(worker, incarnation, token, version));
    }

    pub(super) fn ask_to_stop(&mut self, worker: usize, token: i64) {
        let Some(piece) = self.crew[worker].pieces.get_mut(&token) else { return };
        piece.is_asked = true;
        let kind = piece.make.kind;
        let is_deaf = self.rng.u8(..4) == 0;
        let wait = self.rng.u64(..=SECOND);
        match kind {
            Kind::Sticks => {}
            Kind::Succeeds | Kind::FailsAtFirst | Kind::Fails if is_deaf => {}
            _ => self.plan_finish(worker, token, wait),
        }
    }

    pub(super) fn kill(&mut self, worker: usize, token: i64) {
        let Some(piece) = self.crew[worker].pieces.get_mut(&token) else { return };
        let was_asked = piece.is_asked;
        piece.is_killed = true;
        let wait = if piece.make.kind == Kind::Sticks {
            self.sometimes(Probe::StuckHandler);
            if self.is_healed { MS } else { self.rng.u64(..=40 * SECOND) }
        } else {
            0
        };
        if !was_asked || wait == 0 {
            self.sometimes(Probe::WorkerFenced);
        }
        self.plan_finish(worker, token, wait);
    }

    pub(super) fn finish_due(&mut self, worker: usize, incarnation: u32, token: i64, version: u32) {
        let now = self.now;
        let hand = &self.crew[worker];
        let piece = hand.pieces.get(&token).filter(|piece| piece.version == version).cloned();
        let Some(piece) = piece.filter(|_| hand.incarnation == incarnation) else { return };
        if let Some(until) = hand.paused_until.filter(|until| now < *until) {
            return self.schedule(until, Event::Finish(worker, incarnation, token, version));
        }
        if piece.make.kind == Kind::Poisons && !self.is_healed && !piece.is_killed {
            let down = self.rng.u64(MS..=2 * SECOND);
            return self.dismiss(worker, down);
        }
        let finish = finish_of(&piece, token);
        self.note_finish(worker, token, &finish);
        let hand = &mut self.crew[worker];
        hand.pieces.remove(&token);
        let shown = hand.clock.shows(now);
        if let Some(session) = &mut hand.session {
            session.tick(shown);
            session.finish(shown, token, finish);
        }
        self.settle(worker);
    }
}

/// The time that handlers have, by their worker's clock.
impl World {
    /// What a worker said about the time of its handlers left, or the coordinator's answer came.
    pub(super) fn note_said(&mut self, worker: usize, frame: &v1::ConnectRequest) {
        let shown = self.crew[worker].shows(self.now);
        for event in &frame.events {
            match &event.event {
                Some(Said::ExtendLease(ask)) => {
                    if let Some(limit) = self.crew[worker].limits.get_mut(&ask.fencing_token) {
                        limit.asked = Some(shown);
                    }
                }
                Some(Said::LeaseOutcome(outcome)) => self.judge_timeout(worker, outcome),
                _ => {}
            }
        }
    }

    pub(super) fn note_told(&mut self, worker: usize, frame: &v1::ConnectResponse) {
        for event in &frame.events {
            let Some(Told::LeaseExtension(answer)) = &event.event else { continue };
            let hand = &mut self.crew[worker];
            let piece = hand.pieces.get(&answer.fencing_token);
            let Some(limit) = hand.limits.get_mut(&answer.fencing_token) else { continue };
            let asked = limit.asked.take();
            // Too late for what has been asked to stop.
            if piece.is_none_or(|piece| piece.is_asked || piece.is_killed) {
                continue;
            }
            let remaining = answer.remaining.and_then(|it| Duration::try_from(it).ok());
            if let Some((asked, remaining)) = asked.zip(remaining) {
                limit.due = limit.due.max(asked + remaining);
                self.sometimes(Probe::Extended);
            }
        }
    }

    /// Nobody is stopped for want of time before that is over.
    fn judge_timeout(&mut self, worker: usize, outcome: &v1::LeaseOutcome) {
        let Some(Outcome::Failure(failure)) = &outcome.outcome else { return };
        let limit = self.crew[worker].limits.get(&outcome.fencing_token);
        let shown = self.crew[worker].shows(self.now);
        if failure.reason() == FailureReason::AttemptTimeout
            && let Some(limit) = limit.filter(|limit| shown < limit.end())
        {
            let token = outcome.fencing_token;
            let message = format!("w{worker} stopped {token} at {shown:?}, {limit:?}");
            self.fail(Violation::new("cut short", message));
        }
    }

    /// Nobody who could be asked runs on when its time is over.
    pub(super) fn check_overrun(&mut self, worker: usize) {
        let hand = &self.crew[worker];
        let shown = hand.shows(self.now);
        let is_over = |(token, piece): &(&i64, &Piece)| {
            let limit = hand.limits.get(token);
            let is_let = !piece.is_asked && !piece.is_killed;
            is_let && limit.is_some_and(|limit| limit.end().saturating_add(SLACK) < shown)
        };
        let over = hand.pieces.iter().find(is_over).map(|(token, _)| *token);
        if let Some(token) = over {
            let message = format!("w{worker} runs {token} at {shown:?}: {:?}", hand.limits[&token]);
            self.fail(Violation::new("overrun", message));
        }
    }

    /// A guard ends what its worker may not believe in any more, also if that stands still. One that does not has done so.
    pub(super) fn guard_due(&mut self, worker: usize, incarnation: u32) {
        let hand = &self.crew[worker];
        let shown = hand.shows(self.now);
        let Some((until, said)) = hand.valid_until.filter(|(until, _)| *until <= shown) else {
            return;
        };
        if hand.incarnation != incarnation {
            return;
        }
        // Both see it in the same moment, which is when it is said if it is over by then.
        let seen = until.max(said) + SLACK;
        if !hand.is_paused() && shown < seen {
            let at = hand.clock.when(seen);
            return self.schedule(at, Event::Guard(worker, incarnation));
        }
        let guarded = |(_, piece): &(&i64, &Piece)| piece.make.is_guarded && !piece.is_killed;
        let left: Vec<i64> = hand.pieces.iter().filter(guarded).map(|(it, _)| *it).collect();
        for token in left {
            if !self.crew[worker].is_paused() {
                let message = format!("the guard of {token} had to end what w{worker} believed in");
                return self.fail(Violation::new("guard", message));
            }
            self.sometimes(Probe::GuardKilled);
            if let Some(piece) = self.crew[worker].pieces.get_mut(&token) {
                piece.is_killed = true;
            }
            self.plan_finish(worker, token, 0);
        }
    }
}

impl Hand {
    /// Whether a handler is taken for one that has a right to run.
    pub(super) fn believes(&self, piece: &Piece) -> bool {
        !self.is_wild && !piece.is_killed && (!self.is_paused() || piece.make.is_guarded)
    }
}

impl Piece {
    /// A handler that has just been given its task.
    fn new(task_id: String, payload: &[u8], attempt: u32) -> Self {
        let (is_asked, is_killed, version) = (false, false, 0);
        Self { task_id, make: Make::of(payload), attempt, is_asked, is_killed, version }
    }
}

/// How a handler ends.
fn finish_of(piece: &Piece, token: i64) -> Finish {
    let result = Finish::Result(result_of(&piece.task_id, token));
    match piece.make.kind {
        _ if piece.is_killed => Finish::Aborted,
        Kind::StopsLate => result,
        _ if piece.is_asked => Finish::Error,
        Kind::FailsAtFirst if piece.attempt <= 2 => Finish::Error,
        Kind::Panics if piece.attempt <= 1 => Finish::Panic,
        Kind::Fails => Finish::Error,
        Kind::FailsForGood => Finish::Fatal,
        Kind::Succeeds
        | Kind::FailsAtFirst
        | Kind::Panics
        | Kind::Hangs
        | Kind::Sticks
        | Kind::Poisons => result,
    }
}
