//! What the end of a lease means for its task: it succeeds, waits and tries again, goes back to its place, or fails.
//!
//! It knows nothing of the session that held the lease: whoever calls says how the work ended, and frees the slot.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use leasehold_policy::Mutant;

use crate::{
    Effect, EndCause, EndFact, EndKind, Ended, Ending, Failure, FailureReason, Lease, Name, Next,
    Queue, Record, RevocationReason, StopProof, Task, TaskId, Token,
};

/// How the work of a lease ended.
#[derive(Debug)]
pub(crate) enum End {
    /// With a result.
    Succeeded(Bytes),
    /// It costs an attempt.
    Failed { failure: Failure, retryable: bool, retry_delay: Duration },
    /// It started, or may have, and its worker was lost: costs one of the losses a task may have.
    Lost,
    /// It costs nothing.
    NotRun(FailureReason, &'static str),
    /// It had been granted ahead and was taken back: it is as if it had not been granted.
    Retracted,
}

/// Who says that it ended. Only a lease that its worker spoke about is remembered as decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Word {
    /// The worker.
    Worker,
    /// Nobody: the coordinator concludes it.
    Nobody,
}

/// How a lease ended, whatever that means for its task.
#[derive(Clone, Debug)]
pub(crate) struct Account {
    pub(crate) word: Word,
    pub(crate) kind: EndKind,
    pub(crate) stop: StopProof,
    /// How long its work ran, if its worker says so.
    pub(crate) ran: Option<Duration>,
    /// What was said of it, where the failure that the task is left with says something else.
    pub(crate) message: Option<Name>,
}

impl Account {
    pub(crate) const fn new(word: Word, kind: EndKind, stop: StopProof) -> Self {
        Self { word, kind, stop, ran: None, message: None }
    }
}

impl Queue {
    /// Ends the lease of a task.
    pub(crate) fn settle(&mut self, id: TaskId, end: End, account: Account) {
        let Some(task) = self.book.task(id) else { return };
        let Some(lease) = task.lease() else { return };
        let (ran, session) = (self.ran(lease, &account), lease.session);
        let revoked = lease.revoking.map(|revoking| revoking.reason);
        let cancelled = task.cancel_requested;
        let (once, started) = (task.runs_once(), lease.started.is_some());
        let reckoned = lease.reckoned;
        if let End::Succeeded(_) = end {
            self.paces.learn(&task.spec.task_type, ran);
        }
        self.put_right(id, reckoned, ran);
        self.observe(id, &end, account.kind, ran);
        if revoked == Some(RevocationReason::StartTimeout) {
            self.avoided.extend(session.map(|session| (id, session)));
        }
        match end {
            End::Succeeded(result) => {
                self.finish(id, Ending::Succeeded, Some(account), None, result);
            }
            end if cancelled && !Mutant::CancelGoesOn.is_alive() => {
                self.stop(id, Account { message: end.message(), ..account });
            }
            end if revoked == Some(RevocationReason::TotalTimeout) => {
                self.time_out(id, Some(Account { message: end.message(), ..account }));
            }
            End::Failed { .. } if once && account.word == Word::Nobody => {
                self.leave_unknown(id, account);
            }
            End::Failed { failure, retryable, retry_delay } => {
                self.fail(id, account, failure, (retryable && !once).then_some(retry_delay));
            }
            End::Lost if once && !Mutant::OnceTriedAgain.is_alive() => {
                self.leave_unknown(id, account);
            }
            End::Lost => self.lose(id, account),
            End::NotRun(..) | End::Retracted if once && started => self.leave_unknown(id, account),
            End::NotRun(reason, message) => {
                let failure = self.failure(id, reason, message);
                let cause = if Mutant::HandedBackCosts.is_alive() {
                    EndCause::Failed
                } else {
                    EndCause::NotRun
                };
                self.go_on(id, account, (cause, Next::Queued), failure);
            }
            End::Retracted => {
                let message = "taken back before it started";
                let failure = self.failure(id, FailureReason::HandedBack, message);
                let costs = Mutant::RetractedCosts.is_alive();
                let cause = if costs { EndCause::Failed } else { EndCause::Retracted };
                self.go_on(id, account, (cause, Next::Queued), failure);
            }
        }
    }

    /// Ends a task that was asked to be cancelled while it was leased.
    pub(crate) fn stop(&mut self, id: TaskId, account: Account) {
        let failure = self.failure(id, FailureReason::Cancelled, "cancelled while it was leased");
        self.end(id, Ending::Cancelled, Some(account), Some(failure));
    }

    /// Ends a task whose time is over. What went wrong before that is kept as a detail.
    pub(crate) fn time_out(&mut self, id: TaskId, account: Option<Account>) {
        self.time_out_as(id, account, "the task ran out of its total time");
    }

    /// Ends a task whose time is over or cannot suffice. What went wrong before that is kept as a detail.
    pub(crate) fn time_out_as(&mut self, id: TaskId, account: Option<Account>, message: &str) {
        let before = self.book.task(id).and_then(Task::last_failure);
        let last = account.as_ref().and_then(|account| account.message.clone());
        let details = last.or_else(|| before.map(|failure| Name::clone(&failure.message)));
        let failure = self.failure(id, FailureReason::TotalTimeout, message);
        let failure = Failure { details: details.unwrap_or_default(), ..failure };
        self.end(id, Ending::Failed, account, Some(failure));
    }

    /// Ends a task that nobody started in time.
    pub(crate) fn wait_no_longer(&mut self, id: TaskId) {
        let message = "it was not started within its queue timeout";
        let failure = self.failure(id, FailureReason::QueueTimeout, message);
        self.end(id, Ending::Failed, None, Some(failure));
    }

    /// Ends a task without a result.
    pub(crate) fn end(
        &mut self,
        id: TaskId,
        ending: Ending,
        account: Option<Account>,
        failure: Option<Failure>,
    ) {
        self.finish(id, ending, account, failure, Bytes::new());
    }

    /// What went wrong with a task, at this time and under the lease it has.
    pub(crate) fn failure(&self, id: TaskId, reason: FailureReason, message: &str) -> Failure {
        let lease = self.book.task(id).and_then(Task::lease);
        Failure {
            reason,
            message: message.into(),
            details: Name::default(),
            counted: false,
            token: lease.map(|lease| lease.token),
            worker: lease.map(|lease| Name::clone(&lease.worker)),
            time: self.now,
        }
    }

    fn finish(
        &mut self,
        id: TaskId,
        ending: Ending,
        account: Option<Account>,
        failure: Option<Failure>,
        result: Bytes,
    ) {
        let failure = failure.map(Arc::new);
        let lease = self.book.task(id).and_then(Task::lease);
        let is_said = account.as_ref().is_some_and(|account| account.word == Word::Worker);
        // Only a lease that its worker spoke about decides.
        let token = lease.filter(|_| is_said).map(|lease| lease.token);
        let (fact, time) = (account.map(|account| fact(lease, account)), self.now);
        self.conclude(Record::TaskEnded { task: id, ending, token, failure, fact, time }, result);
    }

    /// Ends a task with the result of its last lease, though that lease is over.
    pub(crate) fn succeed_late(&mut self, id: TaskId, token: Token, result: Bytes) {
        let (ending, token, time) = (Ending::Succeeded, Some(token), self.now);
        let (failure, fact) = (None, None);
        let end = Record::TaskEnded { task: id, ending, token, failure, fact, time };
        self.conclude(end, result);
    }

    /// Writes the end of a task and shows it.
    fn conclude(&mut self, end: Record, result: Bytes) {
        let Record::TaskEnded { task: id, ending, time, .. } = end else { return };
        self.avoided.remove(&id);
        let Some(task) = self.write(end) else { return };
        self.keep_key(&task);
        self.emit(Effect::Ended(Ended { task, ending, result, time }));
    }

    fn keep_key(&mut self, task: &Task) {
        let retention = self.config.key_retention;
        let is_kept = !retention.is_zero() && !Mutant::KeyNotKept.is_alive();
        let Some(key) = task.spec.key().cloned().filter(|_| is_kept) else { return };
        let (queue, until) = (Name::clone(&task.spec.queue), self.now + retention);
        self.write(Record::KeyKept { queue, key, task: task.id, until });
    }

    /// An attempt failed; with a delay if it makes sense to try again.
    fn fail(
        &mut self,
        id: TaskId,
        account: Account,
        failure: Failure,
        retry_delay: Option<Duration>,
    ) {
        let Some(task) = self.book.task(id) else { return };
        let known = self.failure(id, failure.reason, "");
        let (message, details) = (failure.message, failure.details);
        let failure = Failure { message, details, counted: true, ..known };
        let left = task.attempts + 1 < task.spec.retry.max_attempts;
        match retry_delay.filter(|_| left) {
            Some(delay) => {
                let cause = if Mutant::FailureCostsNothing.is_alive() {
                    EndCause::NotRun
                } else {
                    EndCause::Failed
                };
                self.retry(id, account, (cause, delay), failure);
            }
            None => self.end(id, Ending::Failed, Some(account), Some(failure)),
        }
    }

    fn lose(&mut self, id: TaskId, account: Account) {
        let Some(task) = self.book.task(id) else { return };
        if task.worker_losses() + 1 < self.config.worker_losses_max {
            let failure = self.failure(id, FailureReason::WorkerLost, "the worker was lost");
            self.retry(id, account, (EndCause::WorkerLost, Duration::ZERO), failure);
        } else {
            let message = "its workers were lost too often";
            let failure = self.failure(id, FailureReason::WorkerLossLimit, message);
            self.end(id, Ending::Failed, Some(account), Some(failure));
        }
    }

    /// Ends a task that may not be started again, although nobody knows how far it came.
    fn leave_unknown(&mut self, id: TaskId, account: Account) {
        let message = "it runs at most once, and its worker did not say how it ended";
        let failure = self.failure(id, FailureReason::OutcomeUnknown, message);
        self.end(id, Ending::Failed, Some(account), Some(failure));
    }

    /// Lets a task wait before its next attempt. One whose time would be over before that fails at once, with what went
    /// wrong: waiting could only end in a timeout that says less, and later.
    fn retry(
        &mut self,
        id: TaskId,
        account: Account,
        (cause, at_least): (EndCause, Duration),
        failure: Failure,
    ) {
        let Some(task) = self.book.task(id) else { return };
        let failures = task.attempts + task.worker_losses();
        let wait = task.spec.retry.backoff.wait_at_least(at_least, failures, draw(task));
        let until = self.now + wait;
        if task.deadline <= until {
            self.end(id, Ending::Failed, Some(account), Some(failure));
        } else if self.now < until {
            self.go_on(id, account, (cause, Next::Backoff(until)), failure);
        } else {
            self.go_on(id, account, (cause, Next::Queued), failure);
        }
    }

    /// Lets a task go on after a lease, unless it had as many as one generation may have: the valve for a task that is
    /// leased again and again at no other cost.
    fn go_on(
        &mut self,
        id: TaskId,
        account: Account,
        (cause, next): (EndCause, Next),
        failure: Failure,
    ) {
        let Some(token) = failure.token else { return };
        let Some(task) = self.book.task(id) else { return };
        let lease = task.lease();
        let started = lease.is_some_and(|lease| lease.started.is_some());
        let is_again = started && task.runs_once() && !Mutant::OnceTriedAgain.is_alive();
        assert!(!is_again, "what runs at most once is not started again");
        let (failure, time) = (Some(Arc::new(failure)), self.now);
        let fact = Some(fact(lease, account));
        self.write(Record::LeaseEnded { task: id, token, cause, next, failure, fact, time });
        let Some(task) = self.book.task(id) else { return };
        if task.start_by().is_some_and(|by| by <= self.now) {
            return self.wait_no_longer(id);
        }
        if task.leases < self.config.leases_max {
            return self.show(id);
        }
        let message = "it was leased too often without an end";
        let failure = self.failure(id, FailureReason::WorkerLossLimit, message);
        self.end(id, Ending::Failed, None, Some(failure));
    }
}

impl End {
    fn message(&self) -> Option<Name> {
        match self {
            Self::Failed { failure, .. } => Some(Name::clone(&failure.message)),
            Self::Succeeded(_) | Self::Lost | Self::NotRun(..) | Self::Retracted => None,
        }
    }
}

fn fact(lease: Option<&Lease>, account: Account) -> EndFact {
    let Account { kind, stop, message, .. } = account;
    let revoking = lease.and_then(|lease| lease.revoking);
    let delivered = revoking.and_then(|revoking| revoking.delivered);
    EndFact { kind, stop, delivered, message: message.unwrap_or_default() }
}

/// The random bits of a backoff: a function of the lease that failed, so that the same inputs give the same wait and two
/// tasks that fail together do not come back together. This is the finalizer of SplitMix64.
fn draw(task: &Task) -> u64 {
    let token = task.last_token().map_or(0, |token| token.as_i64().cast_unsigned());
    let bits = token.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}
