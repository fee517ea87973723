//! What a worker says of the end of a lease: it counts while the lease is current, and changes nothing otherwise, except
//! for the late result of a lost worker where a queue wants it.

use std::time::Duration;

use leasehold_policy::Mutant;

use crate::{
    DeclineReason, Disposition, Effect, EndKind, Failure, FailureReason, Lease, LeaseEnd, Name,
    Outcome, Queue, RevocationReason, SessionId, StopProof, StreamId, Task, TaskId, Token,
    session::{Arrival, Work},
    settle::{Account, End, Word},
};

const NOT_STARTED: &str = "the worker did not start it in time";

impl Queue {
    pub(crate) fn outcome(
        &mut self,
        stream: StreamId,
        token: Token,
        outcome: Outcome,
        ran: Option<Duration>,
    ) {
        let Some(session) = self.roster.on_stream(stream) else { return };
        let held = self.roster.get(session);
        let work = held.and_then(|session| session.work(token)).or_else(|| {
            let any = held.filter(|_| Mutant::FenceByWorker.is_alive());
            any.and_then(|session| session.held().next()).map(|(_, work)| work)
        });
        if !matches!(work, Some(Work::Lease(_))) {
            self.note_late_stop(session, token, outcome.stop());
        }
        // Only the worker that holds a lease knows whether it began.
        if outcome.stop() == StopProof::NotStarted && work.is_some() {
            self.refund(token);
        }
        let disposition = match work {
            Some(Work::Lease(task)) => {
                if outcome.stop() != StopProof::NotStarted {
                    self.note_start(session, task, token);
                }
                self.decide(session, task, outcome, ran)
            }
            _ if Mutant::NoFence.is_alive() => Disposition::Accepted,
            Some(Work::Zombie { .. }) | None => self.without_lease(session, token, outcome),
        };
        self.vacate(session, token);
        self.emit(Effect::ResultAck { stream, token, disposition });
    }

    /// An outcome of a lease that the session does not hold (any more).
    fn without_lease(&mut self, id: SessionId, token: Token, outcome: Outcome) -> Disposition {
        if self.book.decided.contains(token) && !Mutant::DuplicateCalledStale.is_alive() {
            return Disposition::Duplicate;
        }
        match (outcome, self.late(id, token).filter(|_| !Mutant::LateRefused.is_alive())) {
            (Outcome::Succeeded { result }, Some(task)) => {
                self.succeed_late(task, token, result);
                Disposition::Accepted
            }
            _ => Disposition::Stale,
        }
    }

    /// The task whose newest lease this was, if it waits, the process held it that says so now, and its queue still wants to
    /// hear.
    fn late(&self, id: SessionId, token: Token) -> Option<TaskId> {
        let session = self.roster.get(id)?;
        let task = self.book.task(*self.index.unheard.get(&token)?)?;
        let end = self.may_be_late(task)?;
        let is_holder = end.worker == session.worker && end.instance == session.instance;
        is_holder.then_some(task.id)
    }

    /// The lease whose result would still count although the session of its worker is over.
    pub(crate) fn may_be_late<'a>(&self, task: &'a Task) -> Option<&'a LeaseEnd> {
        let is_wanted = self.config.takes_late(&task.spec.queue);
        task.unheard_end().filter(|_| is_wanted || Mutant::LateAnyway.is_alive())
    }

    /// The work of a lease that had ended without its worker's word is over, too: its task does not change, but people may
    /// want to know.
    pub(crate) fn note_late_stop(&mut self, id: SessionId, token: Token, stop: StopProof) {
        let Some(session) = self.roster.get(id) else { return };
        if let Some(Work::Zombie { task: Some(task), .. }) = session.work(token)
            && let Some(since) = session.over_since(token)
        {
            let (worker, late) = (Name::clone(&session.worker), self.now.since(since));
            self.emit(Effect::StoppedLate { task, token, worker, stop, late });
        }
    }

    fn decide(
        &mut self,
        session: SessionId,
        id: TaskId,
        outcome: Outcome,
        ran: Option<Duration>,
    ) -> Disposition {
        let mut disposition = Disposition::Accepted;
        let stop = outcome.stop();
        let (kind, end) = match outcome {
            Outcome::Succeeded { result } => (EndKind::Succeeded, End::Succeeded(result)),
            Outcome::Failed { failure, retryable, retry_delay, .. } => {
                let kind = self.kind_of_failure(id, failure.reason);
                (kind, End::Failed { failure, retryable, retry_delay })
            }
            Outcome::Invalid { failure } => {
                disposition = Disposition::Invalid;
                let (retryable, retry_delay) = (true, Duration::ZERO);
                (failure.reason.into(), End::Failed { failure, retryable, retry_delay })
            }
            Outcome::Stopped(_) => (self.kind_of_stop(id), self.stopped(id)),
            Outcome::Declined(DeclineReason::Retracted, _) if self.is_asked_back(session, id) => {
                (EndKind::Retracted, End::Retracted)
            }
            Outcome::Declined(DeclineReason::StartTimeout, _) => {
                self.avoided.insert(id, session);
                (EndKind::StartTimeout, End::NotRun(FailureReason::StartTimeout, NOT_STARTED))
            }
            Outcome::Declined(reason, _) => {
                self.declined(session, id, reason);
                (reason.into(), End::NotRun(FailureReason::HandedBack, message(reason)))
            }
        };
        self.settle(id, end, Account { ran, ..Account::new(Word::Worker, kind, stop) });
        disposition
    }

    /// Whatever was stopped was stopped for what it was revoked for.
    pub(crate) fn kind_of_stop(&self, id: TaskId) -> EndKind {
        let revoking = self.book.task(id).and_then(Task::lease).and_then(|it| it.revoking);
        match revoking.map(|revoking| revoking.reason) {
            Some(RevocationReason::Cancelled) => EndKind::Cancelled,
            Some(RevocationReason::StartTimeout) => EndKind::StartTimeout,
            Some(RevocationReason::AttemptTimeout) => EndKind::AttemptTimeout,
            Some(RevocationReason::ProgressTimeout) => EndKind::ProgressTimeout,
            Some(RevocationReason::TotalTimeout) => EndKind::TotalTimeout,
            Some(RevocationReason::Operator) => EndKind::Revoked,
            Some(RevocationReason::UnknownLease) | None => EndKind::Fenced,
        }
    }

    /// A worker has one word for whatever ran out of time; which limit that was is known here.
    fn kind_of_failure(&self, id: TaskId, reason: FailureReason) -> EndKind {
        match (reason.into(), self.kind_of_stop(id)) {
            (EndKind::AttemptTimeout, EndKind::TotalTimeout) => EndKind::TotalTimeout,
            (kind, _) => kind,
        }
    }

    /// What was stopped costs what the reason of its revocation costs. A worker that stopped unasked did so because it
    /// did not believe in its session any more.
    fn stopped(&self, id: TaskId) -> End {
        let Some(lease) = self.book.task(id).and_then(Task::lease) else { return End::Lost };
        match lease.revoking.map(|revoking| revoking.reason) {
            None if lease.started.is_some() => End::Lost,
            Some(RevocationReason::AttemptTimeout) => End::Failed {
                failure: self
                    .attempt_timeout(id, "the attempt ran out of its time and was stopped"),
                retryable: true,
                retry_delay: Duration::ZERO,
            },
            Some(RevocationReason::ProgressTimeout) => {
                self.hung(id, "the attempt made no progress and was stopped")
            }
            Some(RevocationReason::StartTimeout) => {
                End::NotRun(FailureReason::StartTimeout, NOT_STARTED)
            }
            Some(RevocationReason::Operator) => {
                End::NotRun(FailureReason::Revoked, "an operator took its lease away")
            }
            None
            | Some(
                RevocationReason::Cancelled
                | RevocationReason::TotalTimeout
                | RevocationReason::UnknownLease,
            ) => End::NotRun(FailureReason::HandedBack, "the worker stopped it"),
        }
    }

    fn is_asked_back(&self, session: SessionId, id: TaskId) -> bool {
        let lease = self.book.task(id).and_then(Task::lease);
        lease.is_some_and(|lease| self.parking.is_asked(session, lease.token))
    }

    /// How a lease ended whose revocation was not answered: as if it had been stopped, but nobody knows whether it started.
    pub(crate) fn unanswered_end(&self, id: TaskId) -> End {
        let Some(task) = self.book.task(id) else { return End::Lost };
        let Some(revoking) = task.lease().and_then(|lease| lease.revoking) else {
            return End::Lost;
        };
        match revoking.reason {
            _ if task.runs_once() => End::Lost,
            RevocationReason::AttemptTimeout => End::Failed {
                failure: self
                    .attempt_timeout(id, "the attempt ran out of its time and does not stop"),
                retryable: true,
                retry_delay: Duration::ZERO,
            },
            RevocationReason::ProgressTimeout => {
                self.hung(id, "the attempt makes no progress and does not stop")
            }
            RevocationReason::StartTimeout => End::NotRun(FailureReason::StartTimeout, NOT_STARTED),
            RevocationReason::Operator => {
                End::NotRun(FailureReason::Revoked, "an operator took its lease away")
            }
            RevocationReason::Cancelled
            | RevocationReason::TotalTimeout
            | RevocationReason::UnknownLease => {
                End::NotRun(FailureReason::HandedBack, "the worker does not stop it")
            }
        }
    }

    fn hung(&self, id: TaskId, message: &str) -> End {
        let failure = self.failure(id, FailureReason::ProgressTimeout, message);
        End::Failed { failure, retryable: true, retry_delay: Duration::ZERO }
    }

    fn attempt_timeout(&self, id: TaskId, message: &str) -> Failure {
        self.failure(id, FailureReason::AttemptTimeout, message)
    }

    fn declined(&mut self, id: SessionId, task: TaskId, reason: DeclineReason) {
        let now = self.now;
        match reason {
            DeclineReason::NoCapacity => drop(self.update(id, |session| session.hush(now))),
            DeclineReason::Draining => drop(self.update(id, |session| session.draining = true)),
            DeclineReason::Unsupported => {
                let Some(task) = self.book.task(task) else { return };
                let task_type = Name::clone(&task.spec.task_type);
                self.update(id, |session| session.unsupported.insert(task_type));
                self.reclassify(id);
            }
            DeclineReason::Retracted | DeclineReason::StartTimeout => {}
        }
    }

    /// How a lease ended whose worker is gone. One that never arrived was not run; one that should have ended anyway
    /// costs its attempt; any other costs a loss, as it may have been started. That nobody said that it arrived is no proof
    /// that it did not: for a task that runs at most once it counts as lost, and so it does when the worker before was lost,
    /// too, or a task that takes its worker down at once would do so for ever.
    pub(crate) fn lost(&self, id: TaskId, arrival: Arrival) -> End {
        let Some(task) = self.book.task(id) else { return End::Lost };
        let Some(lease) = task.lease() else { return End::Lost };
        let revoked = lease.revoking.map(|revoking| revoking.reason);
        let runs_once = task.runs_once() && !Mutant::OnceUnheard.is_alive();
        if arrival == Arrival::Unknown && !runs_once && !task.lost_its_last() {
            return End::NotRun(FailureReason::WorkerLost, "the worker was lost before it arrived");
        }
        let message = match revoked {
            Some(RevocationReason::AttemptTimeout) => {
                "the attempt ran out of its time and its worker was lost"
            }
            Some(RevocationReason::ProgressTimeout) => {
                "the attempt made no progress and its worker was lost"
            }
            Some(
                RevocationReason::Cancelled
                | RevocationReason::StartTimeout
                | RevocationReason::TotalTimeout
                | RevocationReason::Operator
                | RevocationReason::UnknownLease,
            )
            | None => return End::Lost,
        };
        End::Failed {
            failure: self.failure(id, FailureReason::WorkerLost, message),
            retryable: true,
            retry_delay: Duration::ZERO,
        }
    }

    /// How a lease ended that its worker, alive, does not hold. One that arrived and is not held any more may have been
    /// started, which matters to a task that runs at most once.
    pub(crate) fn missing(&self, id: TaskId, arrival: Arrival) -> End {
        let Some(task) = self.book.task(id) else { return End::Lost };
        if task.lease().is_some_and(has_started)
            || (arrival == Arrival::Arrived && task.runs_once())
        {
            return self.lost(id, arrival);
        }
        End::NotRun(FailureReason::WorkerLost, "the worker does not hold it")
    }
}

impl Outcome {
    /// What it proves of the work.
    fn stop(&self) -> StopProof {
        match self {
            Self::Succeeded { .. } | Self::Invalid { .. } => StopProof::Returned,
            Self::Failed { stop, .. } | Self::Stopped(stop) | Self::Declined(_, stop) => *stop,
        }
    }
}

fn has_started(lease: &Lease) -> bool {
    lease.started.is_some()
}

impl From<DeclineReason> for EndKind {
    fn from(reason: DeclineReason) -> Self {
        match reason {
            DeclineReason::NoCapacity => Self::NoCapacity,
            DeclineReason::Unsupported => Self::Unsupported,
            DeclineReason::Draining => Self::Drained,
            DeclineReason::Retracted => Self::Retracted,
            DeclineReason::StartTimeout => Self::StartTimeout,
        }
    }
}

fn message(reason: DeclineReason) -> &'static str {
    match reason {
        DeclineReason::NoCapacity => "the worker had no slot for it",
        DeclineReason::Unsupported => "the worker does not serve its type",
        DeclineReason::Draining => "the worker drains",
        DeclineReason::Retracted => "the worker gave it back unasked",
        DeclineReason::StartTimeout => NOT_STARTED,
    }
}
