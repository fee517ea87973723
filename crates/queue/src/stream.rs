//! What workers say on their streams, and what operators say of workers; inventories and outcomes have their own files.
//!
//! A word on a stream that is not the session's (any more) changes nothing.

use std::{sync::Arc, time::Duration};

use crate::{
    Effect, EndKind, FailureReason, Progress, Queue, Record, RevocationReason, SessionId, Size,
    StopProof, StreamId, TaskId, Token,
    session::{DrainRequest, Session, Work},
    settle::{Account, End, Word},
    timers::Alarm,
};
use leasehold_policy::{Mutant, Time};

impl Queue {
    /// From here on the worker can know, and is judged by whether it answers.
    pub(crate) fn sent(&mut self, stream: StreamId, tokens: &[Token]) {
        let Some(id) = self.roster.on_stream(stream) else { return };
        let now = self.now;
        self.attend(id, |session| {
            for token in tokens {
                session.sent(*token, now);
            }
        });
    }

    pub(crate) fn delivered(&mut self, stream: StreamId, tokens: &[Token]) {
        let Some(id) = self.roster.on_stream(stream) else { return };
        self.note_answer(id);
        for token in tokens {
            self.acknowledge(id, *token);
        }
    }

    /// Its process reads what it is told: known once for each stream, and said with every word.
    pub(crate) fn note_answer(&mut self, id: SessionId) {
        if self.roster.get(id).is_some_and(|session| !session.answers) {
            self.attend(id, |session| session.answers = true);
        }
    }

    /// A revocation is only known to have arrived if it is still the one that counts.
    pub(crate) fn informed(&mut self, stream: StreamId, revoked: &[(Token, RevocationReason)]) {
        let Some(id) = self.roster.on_stream(stream) else { return };
        for (token, reason) in revoked {
            let Some(task) = self.task_under(id, *token) else { continue };
            let lease = self.book.lease_mut(task);
            if let Some(revoking) = lease.and_then(|lease| lease.revoking.as_mut())
                && revoking.reason == *reason
                && revoking.delivered.is_none()
            {
                revoking.delivered = Some(self.now);
                self.show(task);
            }
        }
    }

    pub(crate) fn slots_lost(&mut self, stream: StreamId, count: u32) {
        let Some(id) = self.roster.on_stream(stream) else { return };
        self.update(id, |session| session.lost = count);
    }

    pub(crate) fn capacity(&mut self, stream: StreamId, whole: Size, prefetch: u32) {
        let Some(id) = self.roster.on_stream(stream) else { return };
        self.update(id, |session| {
            session.have(whole);
            session.prefetch = prefetch;
        });
        self.reclassify(id);
        self.promote(id);
    }

    pub(crate) fn started(&mut self, stream: StreamId, token: Token) {
        let Some(id) = self.roster.on_stream(stream) else { return };
        let Some(task) = self.task_under(id, token) else { return };
        if let Some(lease) = self.book.lease_mut(task) {
            lease.acknowledged = true;
        }
        self.unpark(id, token);
        self.promote(id);
        self.note_start(id, task, token);
    }

    /// Writes down that a lease's work began, once. Nothing is waited for then, unless the lease is being revoked.
    pub(crate) fn note_start(&mut self, id: SessionId, task: TaskId, token: Token) {
        let Some(lease) = self.book.lease_mut(task) else { return };
        if lease.started.is_some() {
            return;
        }
        let revoking = lease.revoking.is_some();
        self.write(Record::LeaseStarted { task, token, time: self.now });
        self.index.lanes.gates.spend(token);
        self.attend(id, |session| {
            session.prove();
            if !revoking {
                session.expect_by(token, Time::NEVER);
            }
        });
        self.show(task);
    }

    pub(crate) fn progressed(
        &mut self,
        stream: StreamId,
        token: Token,
        progress: Option<Progress>,
    ) {
        let Some(id) = self.roster.on_stream(stream) else { return };
        let Some(task) = self.task_under(id, token) else { return };
        let now = self.now;
        if let Some(lease) = self.book.lease_mut(task) {
            lease.progress = progress.map(Arc::new).or_else(|| lease.progress.take());
            if !Mutant::ProgressUnheard.is_alive() {
                lease.heard = Some(now);
            }
        }
        self.show(task);
    }

    pub(crate) fn drain(&mut self, stream: StreamId) {
        let Some(id) = self.roster.on_stream(stream) else { return };
        self.update(id, |session| session.draining = true);
    }

    pub(crate) fn drain_worker(&mut self, worker: &str, grace: Option<Duration>) -> bool {
        let sessions = self.roster.of_worker(worker);
        for id in &sessions {
            self.update(*id, |session| {
                session.draining = true;
                session.drain_request = Some(DrainRequest { grace });
            });
            self.request_drain(*id);
        }
        !sessions.is_empty()
    }

    /// Repeats the operator's request to drain, if there was one.
    pub(crate) fn request_drain(&mut self, id: SessionId) {
        let Some(session) = self.roster.get(id) else { return };
        if let (Some(stream), Some(DrainRequest { grace })) =
            (session.stream, session.drain_request)
        {
            self.emit(Effect::RequestDrain { stream, grace });
        }
    }

    pub(crate) fn goodbye(&mut self, stream: StreamId) {
        let Some(id) = self.roster.on_stream(stream) else { return };
        let Some(session) = self.dismiss(id) else { return };
        for (token, work) in session.held() {
            if let Work::Lease(task) = work {
                let end = End::NotRun(FailureReason::HandedBack, "the worker left");
                let left = Account::new(Word::Worker, EndKind::Drained, StopProof::NotHeld);
                self.settle(task, end, left);
            }
            self.release(token);
        }
    }

    pub(crate) fn disconnect(&mut self, stream: StreamId) {
        let Some(id) = self.roster.on_stream(stream) else { return };
        self.update(id, |session| session.stream = None);
        self.unpark_all(id);
        if Mutant::DisconnectExpires.is_alive() {
            self.expire(id);
        } else if Mutant::RequeueOnDrop.is_alive() {
            let held = self.roster.get(id).map(|session| session.held().collect::<Vec<_>>());
            for (token, work) in held.unwrap_or_default() {
                self.miss(id, token, work);
            }
        }
    }

    /// While the coordinator was late it could not hear anybody: nobody is given up for that. It was late for no longer
    /// than nothing was asked of it.
    pub(crate) fn stalled(&mut self, by: Duration, idle: Duration) {
        if Mutant::StallNotShifted.is_alive() {
            return;
        }
        let away = by.min(idle);
        for id in self.roster.ids() {
            self.update(id, |session| session.prolong(away, by.saturating_sub(away)));
        }
    }

    /// Takes a session out. What it held is the caller's to settle.
    pub(crate) fn dismiss(&mut self, id: SessionId) -> Option<Session> {
        let session = self.roster.close(id)?;
        self.parking.clear(id);
        self.index.timers.unset(session.armed, Alarm::Session(id));
        Some(session)
    }

    /// The task whose current lease this is, if the session holds it.
    pub(crate) fn task_under(&self, id: SessionId, token: Token) -> Option<TaskId> {
        match self.roster.get(id)?.work(token)? {
            Work::Lease(task) => Some(task),
            Work::Zombie { .. } => None,
        }
    }

    /// The worker received the assignment of a lease.
    pub(crate) fn acknowledge(&mut self, id: SessionId, token: Token) {
        match self.roster.get(id).and_then(|session| session.work(token)) {
            Some(Work::Lease(task)) => {
                if let Some(lease) = self.book.lease_mut(task) {
                    lease.acknowledged = true;
                }
            }
            Some(Work::Zombie { task, .. }) => {
                let zombie = Work::Zombie { task, acknowledged: true };
                self.attend(id, |session| session.retake(token, zombie));
            }
            None => {}
        }
    }
}
