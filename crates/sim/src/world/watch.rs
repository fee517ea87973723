//! The judges that know more than the ledger: what left, what is believed, what is too early or too late.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    time::Duration,
};

use bytes::Bytes;

use super::{
    World,
    crew::{of_instance, worker_name},
    wire::{Parcel, WireId},
};
use crate::{
    judge::Violation,
    ledger::{Entry, step_of},
    moment::{MS, Micros},
    plan::{TEAM, micros},
    probe::Probe,
};
use leasehold_coordinator::simulation::{Answer, Ask};
use leasehold_journal::Position;
use leasehold_policy::{Time, namespace};
use leasehold_proto::v1::{
    self, ResultDisposition, Verdict, coordinator_event::Event as Told, lease_outcome::Outcome,
    worker_event::Event as Said,
};
use leasehold_queue::{
    Accepted, EndKind, Ending, FailureReason, Name, Record, Refusal, RevocationReason, SessionId,
    SessionState, StopProof, TaskId, Token,
};

/// How much later than it must the coordinator may give a session up, in this simulation: its timers and turns.
const LATENESS: Micros = 100 * MS;

/// So much lateness is nothing unusual for a coordinator: it does not take it for having stood still.
/// It is late by that much twice: for what was due, and then for a turn of usual length.
const OVERSLEPT: Micros = 2 * 112 * MS;

/// By how much the coordinator's clock goes on at once while it works off a step, and what it rounds.
const SLEWED: Micros = 8 * MS;

/// A token is an epoch and a counter of so many bits.
const COUNTER_BITS: u32 = 31;

/// What an assignment says of its task alone: lease, task and checkpoint.
type Own<'a> = (i64, &'a str, Option<&'a Bytes>);

/// What left and what arrived.
impl World {
    /// When the coordinator could know that a worker lives.
    pub(super) fn note_heard(
        &mut self,
        (worker, incarnation): (usize, u32),
        id: WireId,
        parcel: &Parcel,
    ) {
        let Parcel::Said(frame) = parcel else { return };
        let hand = &mut self.crew[worker];
        let says_hello = frame.events.iter().any(|it| matches!(it.event, Some(Said::Hello(_))));
        let newest = hand.newest.entry(incarnation).or_default();
        // A hello that was overtaken by a later one of its process is not listened to; any other takes over from whatever
        // connection the worker had.
        if says_hello && *newest <= id {
            *newest = id;
            // One of a process that another has followed does not come between that one and the coordinator, as long as
            // either says so: their starts, or that this coordinator has heard both, and the later one has answered.
            let here = self.site.incarnation;
            let own = Some((worker, incarnation));
            let mut sessions = self.site.sessions.values();
            let session = sessions.find(|(_, instance, _)| of_instance(instance) == own);
            let is_known = hand.heard.get(&incarnation).is_some_and(|(_, site)| *site == here)
                && session.is_some();
            // One that is evicted is not let in again before its session is over; when that is, the queue knows.
            let is_evicted = session.is_some_and(|(.., state)| *state == SessionState::Evicted);
            let gone = hand.replaces.get(&incarnation).into_iter().flatten();
            let has_followed = |later: u32| {
                let is_heard =
                    is_known && hand.greeted.get(&incarnation) < hand.greeted.get(&later);
                hand.is_ordered(incarnation, later) || is_heard && hand.answered == hand.current
            };
            let mut later = hand.newest.range(incarnation + 1..);
            let is_outlived = later.any(|(later, wire)| {
                *wire == hand.current && self.wires[wire].is_open && has_followed(*later)
            });
            hand.at_the_door = (is_evicted && !is_outlived).then_some((incarnation, id));
            if is_outlived || is_evicted {
                self.suspects.insert((worker, incarnation));
            } else {
                hand.replaced.extend(gone);
                hand.take_over(incarnation, id, is_known);
            }
        }
        if hand.current != id {
            return;
        }
        if 0 < frame.ack_frame_sequence {
            hand.answered = id;
        }
        for event in &frame.events {
            match &event.event {
                Some(Said::Hello(_) | Said::Heartbeat(_)) => {
                    if self.site.is_paused() {
                        self.site.unread.push((worker, incarnation, self.now));
                    } else {
                        let heard = (self.now, self.site.incarnation);
                        self.crew[worker].heard.insert(incarnation, heard);
                    }
                }
                Some(Said::Goodbye(_)) => self.crew[worker].goodbyes.push(incarnation),
                Some(Said::LeaseProgress(progress)) if !self.site.is_paused() => {
                    let token = Token::from_i64(progress.fencing_token);
                    self.reported.entry(token).or_default().push(self.now);
                }
                Some(Said::ExtendLease(ask)) => {
                    let token = Token::from_i64(ask.fencing_token);
                    self.asked.entry((id, token)).or_default().push_back(self.now);
                }
                Some(Said::LeaseOutcome(outcome)) => {
                    if matches!(outcome.outcome, Some(Outcome::Success(_))) {
                        self.succeeded.insert(Token::from_i64(outcome.fencing_token));
                    }
                    self.note_declined(worker, outcome);
                }
                _ => {}
            }
        }
    }

    /// Whatever a worker is told is durable by then.
    pub(super) fn judge_frame(&mut self, id: WireId, frame: &v1::ConnectResponse) {
        let Some(wire) = self.wires.get(&id) else { return };
        let (worker, incarnation) = (wire.worker, wire.incarnation);
        self.trace.note(self.now, || format!("  to w{worker} {:?}", frame.events));
        let mut before = None;
        for event in &frame.events {
            let judged = match &event.event {
                Some(Told::Assignment(it)) => {
                    let own = (it.fencing_token, &*it.task_id, it.checkpoint.as_ref());
                    before = Some(&**it);
                    self.judge_assignment(worker, incarnation, own)
                }
                Some(Told::AlikeAssignment(it)) => {
                    self.sometimes(Probe::AssignedAlike);
                    let own = (it.fencing_token, &*it.task_id, it.checkpoint.as_ref());
                    let judged = self.judge_assignment(worker, incarnation, own);
                    judged.and_then(|()| self.judge_alike(own, before))
                }
                Some(Told::ResultAck(ack)) => self.judge_ack((worker, incarnation), ack),
                Some(Told::LeaseExtension(answer)) => self.judge_extension(id, answer),
                Some(Told::Welcome(welcome)) => {
                    let judged = self.judge_replaced((worker, incarnation), id);
                    judged.and_then(|()| self.judge_welcome(welcome))
                }
                Some(Told::Revocation(it)) => {
                    let unknown = it.reason() == v1::RevocationReason::UnknownLease;
                    let token = Token::from_i64(it.fencing_token);
                    holds(!unknown || !self.ledger.is_current(token), "undurable", || {
                        format!("{token} was disowned though the disk has it")
                    })
                }
                _ => Ok(()),
            };
            self.check(judged);
        }
    }

    fn judge_assignment(
        &mut self,
        worker: usize,
        incarnation: u32,
        (token, task_id, checkpoint): Own<'_>,
    ) -> Result<(), Violation> {
        if checkpoint.is_some() {
            self.sometimes(Probe::Resumed);
        }
        let token = Token::from_i64(token);
        let granted = self.ledger.granted(token);
        let is_right = granted.is_some_and(|lease| {
            let holder = of_instance(&lease.instance);
            lease.task.to_string() == task_id && holder == Some((worker, incarnation))
        });
        holds(is_right, "undurable", || {
            format!("{token} was assigned to w{worker}-{incarnation}, the disk has {granted:?}")
        })?;
        let had = granted.and_then(|lease| lease.checkpoint.as_ref());
        holds(had == checkpoint, "checkpoint", || {
            format!("{token} goes on from {checkpoint:?}, the disk has {had:?}")
        })
    }

    /// What an assignment leaves out is what the one before it in its frame says, and what was asked for.
    fn judge_alike(
        &self,
        (_, task_id, _): Own<'_>,
        before: Option<&v1::Assignment>,
    ) -> Result<(), Violation> {
        let Some(before) = before else {
            return holds(false, "alike", || format!("{task_id} is assigned like none before it"));
        };
        let asked = task_id.parse().ok().and_then(|id| self.ledger.task(id));
        let Some(asked) = asked.map(|entry| &entry.spec) else { return Ok(()) };
        let duration = |it: Option<_>| it.and_then(|it| Duration::try_from(it).ok());
        let said = (
            namespace::join(&before.namespace, &before.queue),
            &*before.task_type,
            duration(before.start_timeout),
            duration(before.attempt_timeout),
            before.slots.max(1).unsigned_abs(),
        );
        let own = (
            asked.queue.to_string(),
            &*asked.task_type,
            Some(asked.start_timeout),
            Some(asked.attempt_timeout),
            asked.shape.size.slots,
        );
        holds(said == own, "alike", || format!("{task_id} is assigned as {said:?} and is {own:?}"))
    }

    /// What a handler saved counts with the end that it came to, unless the disk had no room for it.
    pub(super) fn judge_saved(&mut self, record: &Record) {
        let Record::LeaseEnded { task, token, fact: Some(fact), .. } = record else { return };
        let is_told = fact.kind != EndKind::WorkerLost
            && !matches!(fact.stop, StopProof::Unproved | StopProof::NotHeld);
        let Some(step) = self.saved.remove(token).filter(|_| is_told) else { return };
        let generation = self.ledger.granted(*token).map(|lease| lease.generation);
        let goes_on = |it: &&Entry| it.ended.is_none() && Some(it.generation) == generation;
        let Some(entry) = self.ledger.task(*task).filter(goes_on) else { return };
        let kept = entry.checkpoint.as_deref().and_then(|data| step_of(data, *task, *token));
        let is_kept = kept == Some(step) || self.drive.was_tight;
        self.check(holds(is_kept, "checkpoint", || {
            format!("{token} of {task} ended at {step}, and {kept:?} is kept")
        }));
    }

    /// More time is granted once that is durable: the end of the attempt that the answer implies, or a later one.
    fn judge_extension(
        &mut self,
        id: WireId,
        answer: &v1::LeaseExtension,
    ) -> Result<(), Violation> {
        let token = Token::from_i64(answer.fencing_token);
        let remaining = answer.remaining.and_then(|it| Duration::try_from(it).ok());
        // It was decided when it had been asked for, or later; the answers on a wire come in the order of what was asked there.
        let asked = self.asked.get_mut(&(id, token)).and_then(VecDeque::pop_front);
        let decided = asked.and_then(|asked| self.site.shown_at(asked));
        let ends = decided.zip(remaining).zip(self.ledger.attempt_end(token));
        let Some(((decided, remaining), end)) = ends else { return Ok(()) };
        holds(decided + remaining <= end, "undurable", || {
            format!("{token} was granted {remaining:?} after {decided:?} and ends at {end:?}")
        })
    }

    fn judge_ack(
        &mut self,
        (worker, incarnation): (usize, u32),
        ack: &v1::ResultAck,
    ) -> Result<(), Violation> {
        let token = Token::from_i64(ack.fencing_token);
        match ack.disposition() {
            ResultDisposition::Accepted | ResultDisposition::Invalid => {
                self.sometimes(Probe::OutcomeAccepted);
                holds(!self.ledger.is_current(token), "undurable", || {
                    format!("the outcome of {token} was accepted and is not durable")
                })?;
                let is_result = self.finished.contains_key(&token);
                holds(!is_result || self.ledger.is_decided(token), "undurable", || {
                    format!("the result of {token} was accepted and is not durable")
                })
            }
            ResultDisposition::Duplicate => {
                self.sometimes(Probe::OutcomeDuplicate);
                holds(self.ledger.is_decided(token), "undurable", || {
                    format!("the outcome of {token} is called a duplicate of nothing durable")
                })
            }
            ResultDisposition::Stale | ResultDisposition::Unspecified => {
                self.sometimes(Probe::OutcomeStale);
                let forgotten = !self.ledger.is_current(token);
                holds(forgotten, "undurable", || {
                    format!("{token} is called stale and is the current lease on disk")
                })?;
                // Nobody but the process that held it can know.
                let held = self.ledger.granted(token).and_then(|it| of_instance(&it.instance));
                let is_wanted =
                    self.ledger.is_awaited(token) && held == Some((worker, incarnation));
                holds(!is_wanted || !self.succeeded.contains(&token), "late result", || {
                    format!("{token} succeeded, is the newest lease and is called stale")
                })?;
                // Which leases were decided is forgotten when a trim takes the records that say so.
                let is_forgotten = self.drive.disk.settled() != Position(0);
                holds(is_forgotten || !self.ledger.is_decided(token), "stale", || {
                    format!("{token} is called stale and was accepted before")
                })
            }
        }
    }

    /// Whoever is welcome has taken the place of those that it said are gone.
    fn judge_replaced(
        &self,
        (worker, incarnation): (usize, u32),
        id: WireId,
    ) -> Result<(), Violation> {
        let hand = &self.crew[worker];
        let named = hand.replaces.get(&incarnation).filter(|_| hand.current == id);
        let gone: Vec<u32> = named.cloned().unwrap_or_default();
        let sessions = self.site.machine.iter().flat_map(|machine| machine.queue().workers());
        let mut instances = sessions.filter_map(|view| of_instance(&view.instance));
        let left = instances.find(|(of, start)| *of == worker && gone.contains(start));
        holds(left.is_none(), "replaced", || {
            format!("w{worker}-{incarnation} is welcome and {left:?} has a session")
        })
    }

    fn judge_welcome(&mut self, welcome: &v1::Welcome) -> Result<(), Violation> {
        if welcome.resumed {
            self.sometimes(Probe::SessionResumed);
        }
        for verdict in &welcome.verdicts {
            let token = Token::from_i64(verdict.fencing_token);
            if verdict.verdict() == Verdict::Retained {
                self.sometimes(Probe::VerdictRetained);
                if token.as_i64() >> COUNTER_BITS < welcome.epoch {
                    self.sometimes(Probe::LeaseSurvivedRestart);
                }
                let known = self.ledger.granted(token).is_some();
                holds(known, "verdict", || format!("{token} was retained and never granted"))?;
            } else {
                self.sometimes(Probe::VerdictLost);
                let current = self.ledger.is_current(token);
                holds(!current, "undurable", || format!("{token} was lost though it is current"))?;
            }
        }
        Ok(())
    }

    /// Whatever a client is told is durable by then.
    pub(super) fn judge_answer(&mut self, asked: Option<&Ask>, answer: &Answer) {
        let judged = match (asked, answer) {
            (_, Answer::Submitted(Some(accepted))) => {
                let missing = accepted
                    .iter()
                    .flatten()
                    .find(|accepted| self.ledger.task(accepted.id).is_none());
                holds(missing.is_none(), "undurable", || format!("accepted: {missing:?}")).and_then(
                    |()| judge_refusals(accepted, &self.site.bounds, self.plan.setting.quota),
                )
            }
            (Some(Ask::Cancel(id)), Answer::Cancelled(None)) => {
                // One that was replayed may have been between its ends when it was asked for.
                let has_ended = |entry: &Entry| entry.ended.is_some() || 1 < entry.generation;
                let has_ended = self.ledger.task(*id).is_some_and(has_ended);
                holds(has_ended, "contract", || format!("{id} is open and could not be cancelled"))
            }
            (Some(Ask::Pause(queue, true)), Answer::Paused(exists)) => {
                holds(*exists, "contract", || format!("{queue} was not there to be paused"))
            }
            (_, Answer::Cancelled(Some(snapshot))) => {
                let id = snapshot.task.id;
                let entry = self.ledger.task(id);
                let is_durable =
                    entry.is_some_and(|entry| entry.cancel_requested || entry.ended.is_some());
                holds(is_durable, "undurable", || format!("the cancel of {id}"))
            }
            (Some(Ask::Replay(id, _)), Answer::Replayed(Some(generation))) => {
                let entry = self.ledger.task(*id);
                let is_durable = entry.is_some_and(|entry| *generation <= entry.generation);
                holds(is_durable, "undurable", || format!("the replay of {id}"))
            }
            _ => Ok(()),
        };
        self.check(judged);
    }

    /// Work is called hung only if nothing was heard of it for so long.
    fn judge_hung(&mut self, task: TaskId, token: Token, time: Time) {
        self.sometimes(Probe::Hung);
        let timeout = self.ledger.task(task).and_then(|entry| entry.terms.progress_timeout);
        let Some((earliest, latest)) = self.site.decided(time) else {
            let message = format!("{task} is hung at {time:?}, when nothing was decided");
            return self.fail(Violation::new("hung", message));
        };
        // What was said later is not what the decision was made upon; what came in the same instant may have come later.
        let reports = self.reported.get(&token).into_iter().flatten();
        let reported = reports.copied().take_while(|at| *at < earliest).last();
        let (Some(timeout), Some(reported)) = (timeout, reported) else { return };
        // The coordinator's clock may run half a percent fast.
        let least = (micros(timeout) * 199 / 200).saturating_sub(SLEWED);
        if latest < reported + least {
            let message = format!("{task} is hung under {token}, which was heard at {reported}");
            self.fail(Violation::new("hung", message));
        }
    }

    pub(super) fn count(&mut self, record: &Record) {
        match record {
            Record::EpochStarted { session_ttl, .. } => {
                self.site.session_ttl_max = self.site.session_ttl_max.max(*session_ttl);
            }
            Record::TaskAccepted(_) => self.stats.tasks += 1,
            Record::TaskMoved(_) => self.sometimes(Probe::Moved),
            Record::LeaseGranted { .. } => self.stats.leases += 1,
            Record::LeaseRevoking { task, token, reason, time, .. } => match reason {
                RevocationReason::StartTimeout => self.sometimes(Probe::StartTimeout),
                RevocationReason::ProgressTimeout => self.judge_hung(*task, *token, *time),
                RevocationReason::AttemptTimeout | RevocationReason::UnknownLease => {}
                RevocationReason::TotalTimeout => self.sometimes(Probe::TotalTimeout),
                RevocationReason::Operator => self.sometimes(Probe::OperatorRevoked),
                RevocationReason::Cancelled => self.sometimes(Probe::CancelledLeased),
            },
            Record::LeaseEnded { failure: Some(failure), .. } => match failure.reason {
                FailureReason::AttemptTimeout => self.sometimes(Probe::AttemptTimeout),
                FailureReason::HandedBack => self.sometimes(Probe::HandedBack),
                _ => {}
            },
            Record::TaskEnded { ending: Ending::Succeeded, fact: None, .. } => {
                self.sometimes(Probe::LateAccepted);
            }
            Record::TaskEnded { failure: Some(failure), .. } => match failure.reason {
                FailureReason::WorkerLossLimit => self.sometimes(Probe::LossLimit),
                FailureReason::OutcomeUnknown => self.sometimes(Probe::OutcomeUnknown),
                FailureReason::QueueTimeout => self.sometimes(Probe::QueueTimeout),
                FailureReason::Error | FailureReason::Panic | FailureReason::AttemptTimeout => {
                    self.sometimes(Probe::AttemptsExhausted);
                }
                _ => {}
            },
            _ => {}
        }
    }
}

/// What is too early or too late.
impl World {
    /// Looks at the sessions after a turn: which are gone, and which should be.
    pub(super) fn watch_sessions(&mut self) {
        let Some(machine) = &self.site.machine else { return };
        let views = machine.queue().workers();
        let sessions: BTreeMap<_, _> =
            views.map(|view| (view.session, (view.worker, view.instance, view.state))).collect();
        // Neither is acknowledged for ever, whatever it says.
        let suspects = sessions
            .values()
            .filter(|(.., it)| matches!(it, SessionState::Quarantined | SessionState::Evicted));
        let suspects: Vec<_> = suspects.filter_map(|(_, it, _)| of_instance(it)).collect();
        if !suspects.is_empty() {
            self.sometimes(Probe::Quarantined);
            self.suspects.extend(suspects);
        }
        self.watch_evicted(&sessions);
        self.watch_door(&sessions);
        let before = std::mem::replace(&mut self.site.sessions, sessions);
        for (id, (_, instance, _)) in before {
            if !self.site.sessions.contains_key(&id) {
                self.session_gone(&instance);
            }
        }
        self.check_lateness();
    }

    /// Whatever a worker that is to be evicted says from here on is no sign of life, be it a hello that is refused.
    pub(super) fn note_evicted(&mut self, name: &Name) {
        let worker = (0..self.crew.len()).find(|worker| worker_name(*worker) == **name);
        let Some(worker) = worker else { return };
        let starts = 1..=self.crew[worker].incarnation;
        self.suspects.extend(starts.map(|incarnation| (worker, incarnation)));
    }

    /// An evicted worker is not acknowledged any more: its session is over when its time is.
    fn watch_evicted(&mut self, sessions: &BTreeMap<SessionId, (Name, Name, SessionState)>) {
        let evicted = sessions.iter().filter(|(_, (.., state))| *state == SessionState::Evicted);
        let evicted: Vec<SessionId> = evicted.map(|(id, _)| *id).collect();
        let limit = self.session_ttl_max() * 1_016 / 1_000 + LATENESS;
        for id in evicted {
            self.sometimes(Probe::Evicted);
            let since = *self.site.evicted.entry(id).or_insert(self.now);
            if self.site.lenient_until <= self.now && limit < self.now - since {
                self.fail(Violation::new("evicted", format!("{id:?} lives on since {since}")));
            }
        }
    }

    /// One whose session was evicted has a new one: it was let in.
    fn watch_door(&mut self, sessions: &BTreeMap<SessionId, (Name, Name, SessionState)>) {
        for (_, instance, state) in sessions.values() {
            let Some((worker, incarnation)) = of_instance(instance) else { continue };
            let hand = &mut self.crew[worker];
            let waits = hand.at_the_door.filter(|(start, _)| *start == incarnation);
            if let Some((_, wire)) = waits.filter(|_| *state != SessionState::Evicted) {
                hand.at_the_door = None;
                hand.take_over(incarnation, wire, false);
                hand.heard.insert(incarnation, (self.now, self.site.incarnation));
            }
        }
    }

    fn session_gone(&mut self, instance: &Name) {
        let Some((worker, incarnation)) = of_instance(instance) else { return };
        if self.crew[worker].goodbyes.contains(&incarnation) {
            return;
        }
        if self.crew[worker].replaced.contains(&incarnation) {
            return self.sometimes(Probe::Replaced);
        }
        self.sometimes(Probe::SessionExpired);
        self.expired.insert((worker, incarnation));
        self.check_believed(worker, incarnation);
        let (last, ttl) = self.last_heard(worker, incarnation);
        let elapsed = self.now - last;
        // The coordinator's clock may be half a percent fast while it works off a step.
        // One that stood still does not count that time, as far as it noticed: by how late it was for what was due.
        let woke = self.site.woke_at == self.now;
        let away = if woke { self.site.overslept.saturating_sub(OVERSLEPT) } else { 0 };
        let is_due = ttl * 1_004 / 1_000 + away <= elapsed;
        // Who does not stop what it must is not acknowledged any more, on purpose.
        if !is_due && !self.site.is_stopping && !self.suspects.contains(&(worker, incarnation)) {
            let message = format!("{instance} was given up {elapsed} us after it was heard");
            self.fail(Violation::new("early", message));
        }
    }

    fn check_lateness(&mut self) {
        // One that ends turns hellos away: its workers are heard on the streams before, and are soon another's.
        if self.now < self.site.lenient_until || self.site.is_stopping {
            return;
        }
        let limit = self.session_ttl_max() * 1_016 / 1_000 + LATENESS;
        let late = self.site.sessions.values().find_map(|(_, instance, _)| {
            let (worker, incarnation) = of_instance(instance)?;
            let (last, _) = self.last_heard(worker, incarnation);
            (limit < self.now - last).then(|| format!("{instance} was not given up"))
        });
        if let Some(late) = late {
            self.fail(Violation::new("late", late));
        }
    }

    /// When this coordinator last heard a worker, and which TTL holds from then on at least.
    fn last_heard(&self, worker: usize, incarnation: u32) -> (Micros, Micros) {
        match self.crew[worker].heard.get(&incarnation) {
            Some((at, site)) if *site == self.site.incarnation => {
                (*at, micros(self.site.session_ttl_least))
            }
            Some(_) | None => (self.site.booted_at, self.site.session_ttl_found),
        }
    }
}

/// A broken promise, unless something is so.
pub(super) fn holds(
    is_so: bool,
    judge: &'static str,
    message: impl FnOnce() -> String,
) -> Result<(), Violation> {
    if is_so { Ok(()) } else { Err(Violation::new(judge, message())) }
}

/// No client of the simulation asks for what has to be refused for good; only a bound that was configured and is reached
/// refuses it for now.
fn judge_refusals(
    accepted: &[Result<Accepted, Refusal>],
    bounds: &BTreeSet<u64>,
    quota: Option<u64>,
) -> Result<(), Violation> {
    let is_wrong = |refusal: &&Refusal| match refusal {
        Refusal::Full { what: "limits.open_tasks", used, max } => {
            used < max || !bounds.contains(max)
        }
        // It has been the same since the cluster began, so that nobody can be beyond it.
        Refusal::Quota { namespace, what: "open_tasks", used, max } => {
            **namespace != *TEAM || used != max || Some(*max) != quota
        }
        Refusal::Quota { .. }
        | Refusal::Full { .. }
        | Refusal::KeyConflict { .. }
        | Refusal::UnknownQueue { .. }
        | Refusal::CircuitOpen { .. }
        | Refusal::Infeasible(_) => true,
    };
    let refused = accepted.iter().filter_map(|it| it.as_ref().err()).find(is_wrong);
    holds(refused.is_none(), "contract", || format!("refused: {refused:?}"))
}
