//! Leases that have to end, and everything else that time alone brings about.
//!
//! A revoked lease keeps its slot until its worker has spoken or its session is over: only then is its task leased
//! again, so that no two workers run it; unless the task does not insist on that.

use std::time::Duration;

use leasehold_policy::{Mutant, Time};

use crate::{
    CloseReason, Effect, EndKind, Ending, Phase, Queue, Record, RevocationReason, SessionId,
    StopProof, Task, TaskId, Token,
    mark::{self, Rung},
    session::{Session, Work},
    settle::{Account, Word},
    timers::Alarm,
};

/// How many alarms one [`Advance`](crate::Command::Advance) fires, and how many keys it forgets: a few milliseconds at
/// most. The rest stays due.
const FIRED_MAX: usize = 1_000;

impl Queue {
    /// A task that waits ends at once. A leased one ends by its worker's word, or when the grace of its kill is over.
    pub(crate) fn cancel(&mut self, id: TaskId) -> Option<(Task, Option<Ending>)> {
        let task = self.book.task(id)?;
        if task.lease().is_none() {
            self.end(id, Ending::Cancelled, None, None);
            let emitted = self.emitted();
            debug_assert!(matches!(emitted, Some(Effect::Ended(_))), "an end is emitted last");
            let Some(Effect::Ended(ended)) = emitted else { return None };
            return Some(((*ended.task).clone(), Some(ended.ending)));
        }
        if !task.cancel_requested {
            self.write(Record::CancelRequested { task: id, time: self.now });
            self.revoke(id, RevocationReason::Cancelled);
        }
        if Mutant::CancelDenied.is_alive() {
            return None;
        }
        Some((self.book.task(id)?.clone(), None))
    }

    pub(crate) fn advance(&mut self, until: Time) {
        let until = until.min(self.now);
        for _ in 0..FIRED_MAX {
            match self.index.pop_due(until) {
                Some(Rung::At(at, Alarm::Task(id))) => self.task_due(id, at),
                Some(Rung::At(at, Alarm::Session(id))) => self.session_due(id, at),
                Some(Rung::InLane(at, serial)) => {
                    if let Some(id) = self.book.tasks.with_serial(serial).map(|task| task.id) {
                        self.task_due(id, at);
                    }
                }
                Some(Rung::Early) => {}
                None => break,
            }
        }
        self.index.lanes.open_due(until, FIRED_MAX);
        self.book.keys.expire(self.now, FIRED_MAX);
    }

    /// Tells a worker that a lease has to end. An attempt that ran too long has had its grace already; but if its worker
    /// has no stream, how it ended may wait there to be said.
    fn revoke(&mut self, id: TaskId, reason: RevocationReason) {
        let Some(task) = self.book.task(id) else { return };
        let session = task.lease().and_then(|lease| self.roster.get(lease.session?));
        let is_heard = session.is_some_and(|session| session.stream.is_some());
        let grace = match reason {
            RevocationReason::AttemptTimeout if is_heard => Duration::ZERO,
            RevocationReason::AttemptTimeout
            | RevocationReason::Cancelled
            | RevocationReason::StartTimeout
            | RevocationReason::ProgressTimeout
            | RevocationReason::TotalTimeout
            | RevocationReason::Operator
            | RevocationReason::UnknownLease => task.spec.kill_grace,
        };
        self.revoke_within(id, reason, grace);
    }

    pub(crate) fn revoke_within(&mut self, id: TaskId, reason: RevocationReason, grace: Duration) {
        let Some(lease) = self.book.task(id).and_then(Task::lease) else { return };
        let (token, session, time) = (lease.token, lease.session, self.now);
        self.write(Record::LeaseRevoking { task: id, token, reason, grace, time });
        if let Some(session) = session {
            self.demand(session, token, reason, grace);
        }
        if Mutant::PermitFreeAtRevoke.is_alive() {
            self.release(token);
        }
        if Mutant::RevokedAtOnce.is_alive()
            && reason != RevocationReason::Cancelled
            && let Some(session) = session
        {
            self.miss(session, token, Work::Lease(id));
        }
        self.show(id);
    }

    /// Sends a revocation, if there is a stream, and waits for the answer from when it has left.
    pub(crate) fn demand(
        &mut self,
        session: SessionId,
        token: Token,
        reason: RevocationReason,
        grace: Duration,
    ) {
        let patience = grace.saturating_add(self.config.revoke_ack_margin);
        self.parking.withhold(session, token);
        self.parking.despair(session, token);
        self.attend(session, |session| session.expect_answer(token, patience));
        if let Some(stream) = self.roster.get(session).and_then(|session| session.stream) {
            self.emit(Effect::Revoke { stream, token, reason, grace });
        }
    }

    fn task_due(&mut self, id: TaskId, at: Time) {
        self.act_upon(id, at);
        // What else is due in the same moment, such as the end of a task whose lease was just given up, has the same alarm,
        // and that has rung.
        if self.book.task(id).is_some_and(|task| mark::alarm(task) == at) {
            self.index.timers.set(at, Alarm::Task(id));
        }
    }

    fn act_upon(&mut self, id: TaskId, at: Time) {
        let Some(task) = self.book.task(id) else { return };
        debug_assert!(mark::due(task) == at, "the alarm of a task is exact");
        let over = task.deadline <= at;
        match &task.phase {
            Phase::Leased(_) => match mark::given_up(task) {
                Some(limit) if limit <= at => self.give_up(id),
                _ if over => self.revoke(id, RevocationReason::TotalTimeout),
                _ if mark::attempt_limit(task).is_some_and(|limit| limit <= at) => {
                    self.revoke(id, RevocationReason::AttemptTimeout);
                }
                _ => self.silent(id, at),
            },
            Phase::Scheduled { .. } | Phase::Queued if over => self.time_out(id, None),
            Phase::Scheduled { .. } | Phase::Queued
                if task.start_by().is_some_and(|by| by <= at) =>
            {
                self.wait_no_longer(id);
            }
            Phase::Scheduled { .. } | Phase::Queued if Mutant::WaitNeverEnds.is_alive() => {}
            Phase::Scheduled { .. } | Phase::Queued => self.wake(id, at),
        }
    }

    /// It was silent since its alarm was set, or has been heard since and the alarm is set anew. A worker without a stream
    /// cannot be heard: its silence says nothing.
    fn silent(&mut self, id: TaskId, at: Time) {
        let Some(task) = self.book.task(id) else { return };
        let Some(lease) = task.lease() else { return };
        let session = lease.session.and_then(|session| self.roster.get(session));
        let heard = match session.and_then(|session| session.stream) {
            None => Some(at),
            Some(_) => lease.heard.filter(|_| Some(at) < mark::silence_limit(task)),
        };
        let Some(heard) = heard else { return self.revoke(id, RevocationReason::ProgressTimeout) };
        let before = self.book.mark(id);
        if let Some(lease) = self.book.lease_mut(id) {
            (lease.heard, lease.silence_since) = (lease.heard.max(Some(heard)), Some(heard));
        }
        let after = self.book.mark(id);
        self.index.shift(before.as_ref(), after.as_ref(), at, &mut self.book.templates);
    }

    fn wake(&mut self, id: TaskId, at: Time) {
        let before = self.book.mark(id);
        self.book.wake(id);
        let after = self.book.mark(id);
        self.index.shift(before.as_ref(), after.as_ref(), at, &mut self.book.templates);
        self.show(id);
    }

    /// A task that was cancelled, or may have two workers at a time, does not wait for the answer to its revocation for
    /// ever. The slot does, and another session is preferred for the next lease.
    fn give_up(&mut self, id: TaskId) {
        let Some(lease) = self.book.task(id).and_then(Task::lease) else { return };
        let (token, session) = (lease.token, lease.session);
        if let Some(session) = session {
            let (now, zombie) = (self.now, Work::Zombie { task: Some(id) });
            self.update(session, |session| {
                if Mutant::ZombieSlotFree.is_alive() {
                    session.vacate(token);
                } else {
                    session.outlive(token, zombie, now);
                }
            });
            self.avoided.insert(id, session);
        }
        let (end, kind) = (self.unanswered_end(id), self.kind_of_stop(id));
        self.settle(id, end, Account::new(Word::Nobody, kind, StopProof::Unproved));
    }

    fn session_due(&mut self, id: SessionId, at: Time) {
        let Some(session) = self.roster.get(id) else { return };
        if session.expires_at() <= at {
            return self.expire(id);
        }
        let is_hushed_enough = session.is_hushed_enough(at);
        for token in self.roster.attend(id, |session| session.ring(at)).unwrap_or_default() {
            self.unanswered(id, token);
        }
        if is_hushed_enough {
            self.update(id, Session::unhush);
        }
        self.attend(id, |_| ());
    }

    /// Nothing was heard of a lease in time: it was not started, or its revocation was not answered.
    fn unanswered(&mut self, id: SessionId, token: Token) {
        let work = self.roster.get(id).and_then(|session| session.work(token));
        if let Some(Work::Lease(task)) = work
            && let Some(lease) = self.book.task(task).and_then(Task::lease)
            && lease.revoking.is_none()
        {
            return self.revoke(task, RevocationReason::StartTimeout);
        }
        let now = self.now;
        self.update(id, |session| session.quarantine(token, now));
        self.retract_all(id);
        self.parking.despair_of(id);
    }

    /// The session's time is over.
    pub(crate) fn expire(&mut self, id: SessionId) {
        let is_made_up = Mutant::LossCalledStop.is_alive();
        self.end_session(id, if is_made_up { StopProof::Killed } else { StopProof::Unproved });
    }

    /// The worker is lost to all that the session held.
    pub(crate) fn end_session(&mut self, id: SessionId, proof: StopProof) {
        if proof != StopProof::Unproved {
            let held = self.roster.get(id).into_iter().flat_map(Session::held);
            for token in held.map(|(token, _)| token).collect::<Vec<_>>() {
                self.note_late_stop(id, token, proof);
            }
        }
        let Some(session) = self.dismiss(id) else { return };
        if let Some(stream) = session.stream {
            self.emit(Effect::Close { stream, reason: CloseReason::Expired });
        }
        for (token, work) in session.held() {
            if let Work::Lease(task) = work
                && !Mutant::ExpiryForgetsLeases.is_alive()
            {
                let end = self.lost(task, session.arrival(token));
                let lost = Account::new(Word::Nobody, EndKind::WorkerLost, proof);
                self.settle(task, end, lost);
            }
            self.release(token);
        }
    }
}

#[cfg(test)]
mod tests;
