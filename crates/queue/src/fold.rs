//! How a record becomes state: the only door through which anything durable changes.
//!
//! The same function runs when a record is made and when it is read back, so that the state is the fold of the
//! records by construction. It decides nothing and knows no time but that of the records.

use std::sync::Arc;

use leasehold_policy::{Mutant, Time};

use crate::{
    Charge, Checkpoint, EndCause, EndFact, EndKind, Ending, Failure, FailureReason, Lease,
    LeaseEnd, Name, Next, Phase, Reckoned, Record, Revoking, StopProof, Task, TaskId, Token, Wait,
    book::Book, ledger, mark::Mark,
};

/// What to do with a record about a task that is not known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unknown {
    /// Pass over it: the records that made the task may have been trimmed, after it ended or was moved.
    Skip,
    /// Refuse it: everything that came before is there to be read.
    Refuse,
}

/// A record does not follow from the ones before it.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Corrupt {
    /// The task of the record is not open.
    #[error("a record about task {task}, which is not open: {record:?}")]
    UnknownTask {
        /// The task.
        task: TaskId,
        /// The record.
        record: Box<Record>,
    },
    /// The lease of the record is not the task's.
    #[error("a record about lease {token} of task {task}, which is not under it")]
    UnknownLease {
        /// The task.
        task: TaskId,
        /// The lease.
        token: Token,
    },
    /// The task of the record is in a state that does not allow it.
    #[error("task {task} is not in a state for {record:?}")]
    WrongState {
        /// The task.
        task: TaskId,
        /// The record.
        record: Box<Record>,
    },
    /// A token is not larger than one granted before for the same task.
    #[error("lease {token} of task {task} is not newer than {last}")]
    OldToken {
        /// The task.
        task: TaskId,
        /// The token.
        token: Token,
        /// The newest one before it.
        last: Token,
    },
}

/// What a record has done.
#[derive(Debug, Default)]
pub(crate) struct Folded {
    /// Where its task stood, and where it stands. None: it was not open, or is not.
    pub(crate) before: Option<Mark>,
    pub(crate) after: Option<Mark>,
    /// The task if it ended, as it was at its end.
    pub(crate) ended: Option<Box<Task>>,
}

impl Book {
    /// Folds one record.
    pub(crate) fn fold(&mut self, record: &Record, unknown: Unknown) -> Result<Folded, Corrupt> {
        if let Some(token) = decided(record) {
            self.decided.insert(token);
        }
        match record {
            Record::EpochStarted { session_ttl, .. } => {
                self.session_ttl_max = self.session_ttl_max.max(*session_ttl);
            }
            Record::TaskAccepted(task) | Record::TaskReplayed(task) => {
                let after = Some(self.open(Task::clone(task), |_| record.clone())?);
                return Ok(Folded { after, ..Folded::default() });
            }
            Record::TaskMoved(task) => {
                let (before, after) = self.replace(Task::clone(task));
                return Ok(Folded { before, after: Some(after), ended: None });
            }
            Record::KeyKept { queue, key, task, until } => {
                self.keys.insert(queue, key, *task, Some(*until));
            }
            Record::QueuePaused { queue, paused: true } => self.pause(queue),
            Record::QueuePaused { queue, paused: false } => self.resume(queue),
            Record::LeaseGranted { task, .. }
            | Record::LeaseStarted { task, .. }
            | Record::LeaseRevoking { task, .. }
            | Record::LeaseExtended { task, .. }
            | Record::CheckpointSaved { task, .. }
            | Record::LeaseEnded { task, .. }
            | Record::CancelRequested { task, .. } => return self.change(*task, record, unknown),
            Record::TaskEnded { task: id, .. } => {
                let Some((mut task, template)) = self.remove(*id) else {
                    return unknown_task(*id, record, unknown);
                };
                let before = Some(Mark::of(&task, template));
                task.change(record)?;
                return Ok(Folded { before, after: None, ended: Some(Box::new(task)) });
            }
        }
        Ok(Folded::default())
    }

    /// Folds a record that nobody needs afterwards: a task in it is the one that is kept.
    pub(crate) fn absorb(&mut self, record: Record, unknown: Unknown) -> Result<(), Corrupt> {
        match record {
            Record::TaskAccepted(mut task) => {
                self.templates.intern(&mut task.spec.template);
                self.open(*task, |task| Record::TaskAccepted(Box::new(task))).map(drop)
            }
            Record::TaskReplayed(mut task) => {
                self.templates.intern(&mut task.spec.template);
                self.open(*task, |task| Record::TaskReplayed(Box::new(task))).map(drop)
            }
            Record::TaskMoved(mut task) => {
                self.templates.intern(&mut task.spec.template);
                self.replace(*task);
                Ok(())
            }
            record @ (Record::EpochStarted { .. }
            | Record::LeaseGranted { .. }
            | Record::LeaseStarted { .. }
            | Record::LeaseRevoking { .. }
            | Record::LeaseExtended { .. }
            | Record::CheckpointSaved { .. }
            | Record::LeaseEnded { .. }
            | Record::CancelRequested { .. }
            | Record::TaskEnded { .. }
            | Record::KeyKept { .. }
            | Record::QueuePaused { .. }) => self.fold(&record, unknown).map(drop),
        }
    }

    fn open(&mut self, task: Task, record: impl FnOnce(Task) -> Record) -> Result<Mark, Corrupt> {
        if self.tasks.get(task.id).is_some() {
            return Err(wrong_state(task.id, &record(task)));
        }
        Ok(self.insert(task))
    }

    /// Changes an open task, and what it takes.
    fn change(&mut self, id: TaskId, record: &Record, unknown: Unknown) -> Result<Folded, Corrupt> {
        let Some((task, template)) = self.tasks.find_mut(id) else {
            return unknown_task(id, record, unknown);
        };
        let leaves = matches!(record, Record::CheckpointSaved { .. } | Record::LeaseEnded { .. });
        let left = |task: &Task| if leaves { task.left_bytes() } else { 0 };
        let (before, bytes_before) = (Some(Mark::of(task, template)), left(task));
        task.change(record)?;
        let (after, bytes_after) = (Some(Mark::of(task, template)), left(task));
        if bytes_before != bytes_after {
            self.open_bytes = self.open_bytes - bytes_before + bytes_after;
            if let Some(usage) = self.templates.usage_mut(template) {
                usage.resize(bytes_before, bytes_after);
            }
        }
        Ok(Folded { before, after, ended: None })
    }
}

fn unknown_task(id: TaskId, record: &Record, unknown: Unknown) -> Result<Folded, Corrupt> {
    match unknown {
        Unknown::Skip => Ok(Folded::default()),
        Unknown::Refuse => Err(Corrupt::UnknownTask { task: id, record: Box::new(record.clone()) }),
    }
}

impl Task {
    fn change(&mut self, record: &Record) -> Result<(), Corrupt> {
        match record {
            Record::LeaseGranted { .. } => self.grant(record)?,
            Record::LeaseStarted { token, time, .. } => {
                self.under(*token)?.started = Some(*time);
                self.ran = true;
            }
            Record::LeaseRevoking { token, reason, grace, time, .. } => {
                let (reason, since, grace) = (*reason, *time, *grace);
                let revoking = Revoking { reason, since, grace, delivered: None };
                self.under(*token)?.revoking = Some(revoking);
            }
            Record::LeaseExtended { token, until, .. } => {
                self.under(*token)?.extended = Some(*until);
            }
            Record::CheckpointSaved { token, data, time, .. } => {
                self.under(*token)?;
                let (token, data, time) = (*token, data.clone(), *time);
                let checkpoint = Arc::new(Checkpoint { token, data, time });
                self.leave(|past| past.checkpoint = Some(checkpoint));
            }
            Record::LeaseEnded { token, cause, next, failure, fact, time, .. } => {
                self.under(*token)?;
                let eligible = next.until(*time);
                let charge = Charge::from(*cause);
                self.enter(fact.as_ref(), failure.as_deref(), (charge, eligible, *time));
                self.pay(charge);
                if *cause == EndCause::Retracted {
                    self.leases = self.leases.saturating_sub(1);
                }
                self.remember(failure.as_ref(), *cause);
                self.leave_lease(match eligible {
                    Some(eligible) => Phase::Scheduled { eligible, wait: Wait::Backoff },
                    None => Phase::Queued,
                });
            }
            Record::CancelRequested { .. } => {
                if self.lease().is_none() {
                    return Err(wrong_state(self.id, record));
                }
                self.cancel_requested = true;
            }
            Record::TaskEnded { token, ending, failure, fact, time, .. } => {
                let unheard = self.unheard_end().map(|end| end.token);
                if *ending == Ending::Succeeded && token.is_some() && *token == unheard {
                    self.enter_late(*time);
                    self.pay(Charge::Attempt);
                } else if let Some(token) = token {
                    self.under(*token)?;
                }
                if self.lease().is_some() {
                    let charge = last_charge(*ending, failure.as_deref());
                    self.enter(fact.as_ref(), failure.as_deref(), (charge, None, *time));
                    self.pay(charge);
                }
                if failure.is_some() || self.checkpoint().is_some() {
                    self.leave(|past| {
                        past.last_failure = failure.clone().or_else(|| past.last_failure.take());
                        past.checkpoint = None;
                    });
                }
            }
            Record::EpochStarted { .. }
            | Record::TaskAccepted(_)
            | Record::TaskMoved(_)
            | Record::TaskReplayed(_)
            | Record::KeyKept { .. }
            | Record::QueuePaused { .. } => return Err(wrong_state(self.id, record)),
        }
        self.revision = self.revision.saturating_add(1);
        Ok(())
    }

    fn grant(&mut self, record: &Record) -> Result<(), Corrupt> {
        let Record::LeaseGranted { token, worker, instance, time, .. } = record else {
            return Err(wrong_state(self.id, record));
        };
        if self.lease().is_some() {
            return Err(wrong_state(self.id, record));
        }
        if let Some(last) = self.last_token()
            && *token <= last
        {
            return Err(Corrupt::OldToken { task: self.id, token: *token, last });
        }
        if self.past.is_some() {
            self.leave(|past| past.last_token = None);
        }
        self.leases += 1;
        self.phase = Phase::Leased(Box::new(Lease {
            token: *token,
            worker: Name::clone(worker),
            instance: Name::clone(instance),
            session: None,
            granted: *time,
            started: None,
            extended: None,
            revoking: None,
            progress: None,
            heard: None,
            silence_since: None,
            reckoned: Reckoned::default(),
        }));
        Ok(())
    }

    fn under(&mut self, token: Token) -> Result<&mut Lease, Corrupt> {
        let id = self.id;
        match self.lease_mut() {
            Some(lease) if lease.token == token => Ok(lease),
            _ => Err(Corrupt::UnknownLease { task: id, token }),
        }
    }

    fn pay(&mut self, charge: Charge) {
        match charge {
            Charge::Attempt if Mutant::AttemptsNotCounted.is_alive() => {}
            Charge::WorkerLoss if Mutant::LossesNotCounted.is_alive() => {}
            Charge::Attempt => (self.attempts, self.ran) = (self.attempts + 1, true),
            Charge::WorkerLoss => {
                self.leave(|past| past.worker_losses += 1);
                self.ran = true;
            }
            Charge::Nothing => {}
        }
    }

    /// Enters the end of its lease into the ledger, before it is paid for.
    fn enter(
        &mut self,
        fact: Option<&EndFact>,
        failure: Option<&Failure>,
        (charge, eligible, ended): (Charge, Option<Time>, Time),
    ) {
        let Phase::Leased(lease) = &self.phase else { return };
        let concluded = || EndFact::concluded(failure.map(|failure| failure.reason));
        let EndFact { kind, stop, delivered, message } = fact.cloned().unwrap_or_else(concluded);
        let said = failure.map(|failure| &failure.message).filter(|_| message.is_empty());
        let end = LeaseEnd {
            token: lease.token,
            worker: Name::clone(&lease.worker),
            instance: Name::clone(&lease.instance),
            generation: self.generation(),
            attempt: self.attempts + 1,
            granted: lease.granted,
            started: lease.started,
            revoking: lease.revoking.map(|revoking| Revoking { delivered, ..revoking }),
            ended,
            kind,
            stop,
            charge,
            eligible,
            message: ledger::shortened(said.unwrap_or(&message)),
        };
        self.keep_end(end);
    }

    /// Enters beside the end of its last lease, which stays what it was, that its worker had a result all the same.
    fn enter_late(&mut self, time: Time) {
        let Some(end) = self.unheard_end().cloned() else { return };
        let EndFact { kind, stop, message, .. } = EndFact::concluded(None);
        let (ended, charge, eligible) = (time, Charge::Attempt, None);
        let late = LeaseEnd { ended, kind, stop, charge, eligible, message, ..end };
        self.keep_end(late);
    }

    fn keep_end(&mut self, end: LeaseEnd) {
        self.leave(|past| past.ledger.push(end));
    }

    /// Why something was not run does not displace why it failed when it ran.
    fn remember(&mut self, failure: Option<&Arc<Failure>>, cause: EndCause) {
        let is_news = match cause {
            EndCause::Failed | EndCause::WorkerLost => true,
            EndCause::NotRun => self.last_failure().is_none(),
            EndCause::Retracted => false,
        };
        if let Some(failure) = failure.filter(|_| is_news) {
            self.leave(|past| past.last_failure = Some(Arc::clone(failure)));
        }
    }
}

impl Next {
    /// Until when the task waits, if it does.
    fn until(self, time: Time) -> Option<Time> {
        match self {
            Self::Backoff(eligible) if time < eligible => Some(eligible),
            Self::Backoff(_) | Self::Queued => None,
        }
    }
}

impl From<EndCause> for Charge {
    fn from(cause: EndCause) -> Self {
        match cause {
            EndCause::Failed => Self::Attempt,
            EndCause::WorkerLost => Self::WorkerLoss,
            EndCause::NotRun | EndCause::Retracted => Self::Nothing,
        }
    }
}

/// What the lease that a task ended under costs is not written beside the ending: it follows from the failure.
fn last_charge(ending: Ending, failure: Option<&Failure>) -> Charge {
    let lost =
        [FailureReason::WorkerLost, FailureReason::WorkerLossLimit, FailureReason::OutcomeUnknown];
    match failure {
        _ if ending == Ending::Succeeded => Charge::Attempt,
        Some(failure) if failure.counted => Charge::Attempt,
        Some(failure) if lost.contains(&failure.reason) => Charge::WorkerLoss,
        Some(_) | None => Charge::Nothing,
    }
}

/// The lease that the record says was ended by its worker's word. An end that the coordinator inferred (the worker was
/// lost, did not answer in time, or does not hold it) names no deciding lease, or says that nothing proves it.
fn decided(record: &Record) -> Option<Token> {
    match record {
        Record::TaskEnded { token, .. } => *token,
        Record::LeaseEnded { token, fact: Some(fact), .. } => {
            let concluded = matches!(fact.kind, EndKind::NotHeld | EndKind::WorkerLost)
                || fact.stop == StopProof::Unproved;
            (!concluded).then_some(*token)
        }
        Record::LeaseEnded { token, failure: Some(failure), fact: None, .. }
            if failure.reason != FailureReason::WorkerLost =>
        {
            Some(*token)
        }
        Record::LeaseEnded { .. }
        | Record::EpochStarted { .. }
        | Record::TaskAccepted(_)
        | Record::TaskMoved(_)
        | Record::TaskReplayed(_)
        | Record::LeaseGranted { .. }
        | Record::LeaseStarted { .. }
        | Record::LeaseRevoking { .. }
        | Record::LeaseExtended { .. }
        | Record::CheckpointSaved { .. }
        | Record::CancelRequested { .. }
        | Record::KeyKept { .. }
        | Record::QueuePaused { .. } => None,
    }
}

fn wrong_state(task: TaskId, record: &Record) -> Corrupt {
    Corrupt::WrongState { task, record: Box::new(record.clone()) }
}

#[cfg(test)]
pub(crate) mod tests;
