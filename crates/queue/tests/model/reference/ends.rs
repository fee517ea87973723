//! How leases and tasks end.

use std::time::Duration;

use leasehold_policy::Time;
use leasehold_queue::{
    Charge, DeclineReason, ENDS_MAX, EndKind, Ending, FailureReason, Guarantee, Outcome,
    RevocationReason, SessionId, StopProof, StreamId, TaskId, Token, Wait,
};

use super::{Job, Kept, Lease, Lost, Reference, State};

/// How a lease ended, and whether its worker said so.
pub(super) enum End {
    Success,
    /// Costs an attempt; tried again after at least so long.
    Failure {
        reason: FailureReason,
        again: Option<Duration>,
        said: bool,
    },
    /// Costs a loss.
    Loss {
        said: bool,
    },
    /// Costs nothing.
    Nothing {
        reason: FailureReason,
        said: bool,
    },
    /// It is as if it had not been granted.
    TakenBack,
}

impl Reference {
    pub(crate) fn outcome(&mut self, stream: StreamId, token: Token, outcome: &Outcome) {
        let Some(session) = self.sessions.iter().find(|s| s.stream == Some(stream)) else { return };
        let id = session.id;
        let current = self.current(token).filter(|(_, holder)| *holder == id);
        let how = match outcome {
            Outcome::Succeeded { .. } | Outcome::Invalid { .. } => StopProof::Returned,
            Outcome::Failed { stop, .. } | Outcome::Stopped(stop) | Outcome::Declined(_, stop) => {
                *stop
            }
        };
        let answer = match current {
            Some((task, _)) => {
                let now = self.now;
                if how != StopProof::NotStarted {
                    self.job_mut(task).begin(now);
                }
                self.decide(id, task, outcome, how)
            }
            None if self.decided.contains(&token) => "duplicate",
            None if matches!(outcome, Outcome::Succeeded { .. }) => self.late(id, token),
            None => "stale",
        };
        self.said.push(format!("{stream:?}: {token} is {answer}"));
        self.drop_ghost(id, token, how);
        self.relieve(id);
        self.hand_out_slots(id);
    }

    /// A result whose lease was lost with its worker: welcome in some queues, until there is a newer lease.
    fn late(&mut self, session: SessionId, token: Token) -> &'static str {
        let session = self.session_mut(session);
        let (worker, instance) = (session.worker.clone(), session.instance.clone());
        let wanted = self.config.late_results.clone();
        let now = self.now;
        let job = self.jobs.iter_mut().find(|job| {
            let lost = job.lost.as_ref().filter(|lost| lost.token == token);
            let is_own = lost.is_some_and(|it| it.worker == worker && it.instance == instance);
            is_own && job.lease().is_none() && wanted.iter().any(|name| *name == job.spec.queue)
        });
        let Some(job) = job else { return "stale" };
        let line = job.lost.take().expect("a lost lease").line;
        job.ends.push(format!("{line} {now} Succeeded Returned Attempt None"));
        job.forget_ends();
        job.attempts += 1;
        let id = job.id;
        self.finish(id, Ending::Succeeded, Some(token), None);
        "accepted"
    }

    fn decide(
        &mut self,
        session: SessionId,
        task: TaskId,
        outcome: &Outcome,
        how: StopProof,
    ) -> &'static str {
        let job = self.job_mut(task);
        let lease = job.lease().expect("a current lease");
        let kind = match outcome {
            Outcome::Succeeded { .. } => EndKind::Succeeded,
            Outcome::Failed { .. } | Outcome::Invalid { .. } => EndKind::Error,
            Outcome::Declined(DeclineReason::Draining, _) => EndKind::Drained,
            Outcome::Declined(DeclineReason::NoCapacity, _) => EndKind::NoCapacity,
            Outcome::Declined(DeclineReason::Unsupported, _) => EndKind::Unsupported,
            Outcome::Declined(DeclineReason::Retracted, _) => EndKind::Retracted,
            Outcome::Declined(DeclineReason::StartTimeout, _) => EndKind::StartTimeout,
            Outcome::Stopped(_) => match lease.revoking {
                None => EndKind::Fenced,
                Some((RevocationReason::Cancelled, ..)) => EndKind::Cancelled,
                Some((RevocationReason::StartTimeout, ..)) => EndKind::StartTimeout,
                Some((RevocationReason::AttemptTimeout, ..)) => EndKind::AttemptTimeout,
                Some((RevocationReason::ProgressTimeout, ..)) => EndKind::ProgressTimeout,
                Some((RevocationReason::TotalTimeout, ..)) => EndKind::TotalTimeout,
                Some((RevocationReason::Operator, ..)) => EndKind::Revoked,
                Some((RevocationReason::UnknownLease, ..)) => unreachable!("nobody knows it"),
            },
        };
        let handed_back = End::Nothing { reason: FailureReason::HandedBack, said: true };
        let end = match outcome {
            Outcome::Succeeded { .. } => End::Success,
            Outcome::Failed { failure, retryable, retry_delay, .. } => {
                let again = retryable.then_some(*retry_delay);
                End::Failure { reason: failure.reason, again, said: true }
            }
            Outcome::Invalid { failure } => {
                let again = Some(Duration::ZERO);
                End::Failure { reason: failure.reason, again, said: true }
            }
            Outcome::Stopped(_) => match lease.revoking.map(|(reason, ..)| reason) {
                Some(RevocationReason::AttemptTimeout) => {
                    let (reason, again) = (FailureReason::AttemptTimeout, Some(Duration::ZERO));
                    End::Failure { reason, again, said: true }
                }
                Some(RevocationReason::ProgressTimeout) => {
                    let (reason, again) = (FailureReason::ProgressTimeout, Some(Duration::ZERO));
                    End::Failure { reason, again, said: true }
                }
                Some(RevocationReason::StartTimeout) => {
                    End::Nothing { reason: FailureReason::StartTimeout, said: true }
                }
                Some(RevocationReason::Operator) => {
                    End::Nothing { reason: FailureReason::Revoked, said: true }
                }
                None if lease.started.is_some() => End::Loss { said: true },
                _ => handed_back,
            },
            Outcome::Declined(DeclineReason::Retracted, _)
                if lease.ahead.is_some_and(|ahead| ahead.asked) =>
            {
                End::TakenBack
            }
            Outcome::Declined(DeclineReason::StartTimeout, _) => {
                job.avoid = Some(session);
                End::Nothing { reason: FailureReason::StartTimeout, said: true }
            }
            Outcome::Declined(reason, _) => {
                self.declined(session, task, *reason);
                handed_back
            }
        };
        self.end_lease(task, &end, (kind, how));
        if matches!(outcome, Outcome::Invalid { .. }) { "invalid" } else { "accepted" }
    }

    fn declined(&mut self, session: SessionId, task: TaskId, reason: DeclineReason) {
        let task_type = self.job_mut(task).spec.task_type.to_string();
        let now = self.now;
        let session = self.session_mut(session);
        match reason {
            // Already left alone: one burst counts once.
            DeclineReason::NoCapacity if session.hushed.is_some() => {}
            DeclineReason::NoCapacity => {
                let seconds = [1, 2, 4, 8, 16, 32, 64][session.hushes.min(6) as usize];
                session.hushes += 1;
                session.hushed = Some(now + Duration::from_secs(seconds));
            }
            DeclineReason::Unsupported => session.unsupported.push(task_type),
            DeclineReason::Draining => session.draining = true,
            DeclineReason::Retracted | DeclineReason::StartTimeout => {}
        }
    }

    /// Nobody answers a revocation, and the task does not wait for that.
    pub(super) fn end_unanswered(&mut self, task: TaskId, reason: RevocationReason) {
        let said = false;
        let end = match reason {
            _ if self.job_mut(task).once() => End::Loss { said },
            RevocationReason::AttemptTimeout => {
                let (reason, again) = (FailureReason::AttemptTimeout, Some(Duration::ZERO));
                End::Failure { reason, again, said }
            }
            RevocationReason::ProgressTimeout => {
                let (reason, again) = (FailureReason::ProgressTimeout, Some(Duration::ZERO));
                End::Failure { reason, again, said }
            }
            RevocationReason::StartTimeout => {
                End::Nothing { reason: FailureReason::StartTimeout, said }
            }
            RevocationReason::Operator => End::Nothing { reason: FailureReason::Revoked, said },
            _ => End::Nothing { reason: FailureReason::HandedBack, said },
        };
        let kind = match reason {
            _ if self.job_mut(task).cancelled => EndKind::Cancelled,
            RevocationReason::AttemptTimeout => EndKind::AttemptTimeout,
            RevocationReason::ProgressTimeout => EndKind::ProgressTimeout,
            RevocationReason::StartTimeout => EndKind::StartTimeout,
            RevocationReason::TotalTimeout => EndKind::TotalTimeout,
            RevocationReason::Operator => EndKind::Revoked,
            _ => EndKind::Fenced,
        };
        self.end_lease(task, &end, (kind, StopProof::Unproved));
    }

    /// The worker lives and no longer holds what it had been given.
    pub(super) fn end_missing(&mut self, task: TaskId) {
        let job = self.job_mut(task);
        let lease = job.lease().expect("a lease");
        if lease.acknowledged && (lease.started.is_some() || job.once()) {
            return self.end_lost(task, EndKind::NotHeld, StopProof::NotHeld);
        }
        let end = End::Nothing { reason: FailureReason::WorkerLost, said: false };
        self.end_lease(task, &end, (EndKind::NotHeld, StopProof::NotHeld));
    }

    /// The worker is gone.
    pub(super) fn end_lost(&mut self, task: TaskId, kind: EndKind, stop: StopProof) {
        let job = self.job_mut(task);
        let lease = job.lease().expect("a lease");
        let revoked = lease.revoking.map(|(reason, ..)| reason);
        let reason = FailureReason::WorkerLost;
        let end = if job.once() {
            End::Loss { said: false }
        } else if !lease.acknowledged && !job.lost_its_last() {
            End::Nothing { reason, said: false }
        } else if matches!(
            revoked,
            Some(RevocationReason::AttemptTimeout | RevocationReason::ProgressTimeout)
        ) {
            End::Failure { reason, again: Some(Duration::ZERO), said: false }
        } else {
            End::Loss { said: false }
        };
        self.end_lease(task, &end, (kind, stop));
    }

    pub(super) fn end_lease(&mut self, id: TaskId, end: &End, how: (EndKind, StopProof)) {
        let (losses_max, now) = (self.config.worker_losses_max, self.now);
        let job = self.job_mut(id);
        let Lease { token, session, revoking, started, .. } = job.lease().expect("a lease").clone();
        let ran = started.map_or(Duration::ZERO, |started| now.since(started));
        let task_type = job.spec.task_type.to_string();
        if matches!(end, End::Success) {
            self.fair.learn(&task_type, ran);
        }
        self.put_right(id, ran);
        let job = self.job_mut(id);
        let said = match *end {
            End::Success | End::TakenBack => true,
            End::Failure { said, .. } | End::Loss { said } | End::Nothing { said, .. } => said,
        };
        let revoked = revoking.map(|(reason, ..)| reason);
        if revoked == Some(RevocationReason::StartTimeout) {
            job.avoid = Some(session);
        }
        if matches!(end, End::Success) {
            let attempt = job.attempts + 1;
            self.write_down(id, (how, Charge::Attempt), attempt, None);
            self.job_mut(id).attempts = attempt;
            return self.finish(id, Ending::Succeeded, said.then_some(token), None);
        }
        if job.cancelled {
            let why = Some(FailureReason::Cancelled);
            let attempt = job.attempts + 1;
            self.write_down(id, (how, Charge::Nothing), attempt, None);
            return self.finish(id, Ending::Cancelled, said.then_some(token), why);
        }
        if revoked == Some(RevocationReason::TotalTimeout) {
            let why = Some(FailureReason::TotalTimeout);
            let attempt = job.attempts + 1;
            self.write_down(id, (how, Charge::Nothing), attempt, None);
            return self.finish(id, Ending::Failed, said.then_some(token), why);
        }
        let (mut charge, attempt) = (Charge::Nothing, job.attempts + 1);
        if job.once() {
            // Only one that was never started gets another chance.
            let (charge, why) = match *end {
                End::Failure { reason, .. } => (Charge::Attempt, Some(reason)),
                End::Nothing { .. } | End::TakenBack if started.is_none() => {
                    (Charge::Nothing, None)
                }
                End::Success | End::Loss { .. } | End::Nothing { .. } | End::TakenBack => {
                    (Charge::WorkerLoss, Some(FailureReason::OutcomeUnknown))
                }
            };
            if let Some(why) = why {
                job.attempts += u32::from(charge == Charge::Attempt);
                job.losses += u32::from(charge == Charge::WorkerLoss);
                self.write_down(id, (how, charge), attempt, None);
                return self.finish(id, Ending::Failed, said.then_some(token), Some(why));
            }
        }
        let (paid, mut why, delay, over) = match *end {
            End::Success => return,
            End::Failure { reason, again, .. } => {
                charge = Charge::Attempt;
                job.attempts += 1;
                let over = again.is_none() || job.spec.retry.max_attempts <= job.attempts;
                (true, reason, again.unwrap_or_default(), over)
            }
            End::Loss { .. } => {
                charge = Charge::WorkerLoss;
                job.losses += 1;
                (true, FailureReason::WorkerLost, Duration::ZERO, losses_max <= job.losses)
            }
            End::Nothing { reason, .. } => (false, reason, Duration::ZERO, false),
            End::TakenBack => {
                job.leases -= 1;
                (false, FailureReason::HandedBack, Duration::ZERO, false)
            }
        };
        if over {
            if why == FailureReason::WorkerLost && matches!(end, End::Loss { .. }) {
                why = FailureReason::WorkerLossLimit;
            }
            self.write_down(id, (how, charge), attempt, None);
            return self.finish(id, Ending::Failed, said.then_some(token), Some(why));
        }
        let until = now + if paid { delay.max(job.pause_before_retry()) } else { Duration::ZERO };
        let eligible = Some(until).filter(|until| now < *until);
        if paid && job.deadline <= until {
            self.write_down(id, (how, charge), attempt, None);
            return self.finish(id, Ending::Failed, said.then_some(token), Some(why));
        }
        self.write_down(id, (how, charge), attempt, eligible);
        let job = self.job_mut(id);
        if paid || (job.failure.is_none() && !matches!(end, End::TakenBack)) {
            job.failure = Some(why);
        }
        job.state = if now < until { State::Waits(until, Wait::Backoff) } else { State::Ready };
        self.look_around();
        let job = self.job_mut(id);
        job.ran |= paid;
        let tired = !job.ran && job.first_start_by.is_some_and(|by| by <= now);
        if said {
            self.decided.push(token);
        }
        if tired {
            return self.finish(id, Ending::Failed, None, Some(FailureReason::QueueTimeout));
        }
        if self.config.leases_max <= self.job_mut(id).leases {
            self.finish(id, Ending::Failed, None, Some(FailureReason::WorkerLossLimit));
        }
    }

    /// The first end stays, and as many of the last ones as there is room for.
    pub(super) fn write_down(
        &mut self,
        id: TaskId,
        ((kind, stop), charge): ((EndKind, StopProof), Charge),
        attempt: u32,
        eligible: Option<Time>,
    ) {
        let now = self.now;
        let job = self.job_mut(id);
        let Lease { token, worker, instance, granted, started, revoking, told, .. } =
            job.lease().expect("a lease");
        let line = format!(
            "{token} {worker}/{instance} g{} a{attempt} {granted} {started:?} {revoking:?} {told:?}",
            job.generation
        );
        let (token, worker, instance) = (*token, worker.clone(), instance.clone());
        let lost = Lost { token, worker, instance, line: line.clone() };
        job.lost = (kind == EndKind::WorkerLost).then_some(lost);
        job.ends.push(format!("{line} {now} {kind:?} {stop:?} {charge:?} {eligible:?}"));
        job.forget_ends();
    }

    /// Takes a task out, keeps its key for a while.
    pub(super) fn finish(
        &mut self,
        id: TaskId,
        ending: Ending,
        decided_by: Option<Token>,
        why: Option<FailureReason>,
    ) {
        let at = self.jobs.iter().position(|job| job.id == id).expect("an open task");
        let mut job = self.jobs.remove(at);
        self.look_around();
        self.rest(&job.spec.queue);
        job.failure = why.or(job.failure);
        job.saved = None;
        self.decided.extend(decided_by);
        let kept = !self.config.key_retention.is_zero();
        if let (true, Some(key)) = (kept, job.spec.key()) {
            self.kept.push(Kept {
                queue: job.spec.queue.to_string(),
                key: key.name.to_string(),
                digest: key.digest,
                task: id,
                until: self.now + self.config.key_retention,
            });
        }
        self.said.push(format!("{ending:?}: {}", job.line()));
    }
}

impl Job {
    fn forget_ends(&mut self) {
        if ENDS_MAX < self.ends.len() {
            self.ends.remove(1);
        }
    }

    /// Whether the last of its leases that anybody may have begun was lost with its worker.
    fn lost_its_last(&self) -> bool {
        let own = format!(" g{} ", self.generation);
        let is_begun = |line: &&String| {
            line.contains(&own) && !line.contains(" NotStarted ") && !line.contains(" NotHeld ")
        };
        self.ends.iter().rev().find(is_begun).is_some_and(|line| line.contains(" WorkerLost "))
    }

    fn once(&self) -> bool {
        self.spec.terms.guarantee == Guarantee::AtMostOnce
    }

    /// It runs since now, unless it has been running.
    pub(super) fn begin(&mut self, now: Time) {
        self.ran = true;
        let lease = self.lease_mut().expect("a lease");
        lease.started = lease.started.or(Some(now));
    }

    fn pause_before_retry(&self) -> Duration {
        let backoff = &self.spec.retry.backoff;
        let mut pause = backoff.initial.as_secs_f64();
        for _ in 1..self.attempts + self.losses {
            pause *= backoff.factor;
        }
        Duration::from_secs_f64(pause.min(backoff.cap.as_secs_f64()))
    }
}
