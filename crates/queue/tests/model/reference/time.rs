//! What time alone brings about: every event that is due, the earliest first.

use std::time::Duration;

use leasehold_policy::Time;
use leasehold_queue::{
    EndKind, Ending, Exclusivity, FailureReason, RevocationReason, SessionId, StopProof, TaskId,
    Token,
};

use super::{Alarm, Ghost, Job, Reference, State};

/// By how much a session outlives what its worker was promised.
pub(super) const EXPIRY_MARGIN: Duration = Duration::from_millis(10);

/// By how much the coordinator's limit of an attempt outlasts the worker's.
const WORD_MARGIN: Duration = Duration::from_secs(1);

/// The order of the variants is the order of events at the same time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    Task(TaskId),
    Session(SessionId, Matter),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Matter {
    Over,
    Silent(Token),
    Audible,
}

impl Reference {
    pub(crate) fn advance(&mut self) {
        while let Some((at, event)) = self.first_event() {
            if self.now < at {
                break;
            }
            match event {
                Event::Task(id) => self.task_due(id, at),
                Event::Session(id, Matter::Over) => self.give_up_session(id),
                Event::Session(id, Matter::Silent(token)) => self.silent(id, token),
                Event::Session(id, Matter::Audible) => self.session_mut(id).hushed = None,
            }
        }
        let now = self.now;
        self.kept.retain(|kept| now < kept.until);
    }

    fn first_event(&self) -> Option<(Time, Event)> {
        let mut events = Vec::new();
        for job in &self.jobs {
            events.extend(job.due().map(|at| (at, Event::Task(job.id))));
        }
        for session in &self.sessions {
            let id = session.id;
            events.push((session.over + session.stalled, Event::Session(id, Matter::Over)));
            events.extend(session.hushed.map(|at| (at, Event::Session(id, Matter::Audible))));
            if session.stream.is_none() {
                continue;
            }
            let leases = self.jobs.iter().filter_map(Job::lease).filter(|l| l.session == id);
            let ghosts = session.ghosts.iter().map(|ghost| (ghost.token, ghost.alarm));
            for (token, alarm) in leases.map(|l| (l.token, l.alarm)).chain(ghosts) {
                let silent = |at| (at, Event::Session(id, Matter::Silent(token)));
                events.extend(alarm.at.map(silent));
            }
        }
        events.into_iter().min()
    }

    fn task_due(&mut self, id: TaskId, at: Time) {
        let job = self.job_mut(id);
        let over = job.deadline <= at;
        let Some(lease) = job.lease().cloned() else {
            if over {
                return self.finish(id, Ending::Failed, None, Some(FailureReason::TotalTimeout));
            }
            if !job.ran && job.first_start_by.is_some_and(|by| by <= at) {
                return self.finish(id, Ending::Failed, None, Some(FailureReason::QueueTimeout));
            }
            if let State::Waits(until, wait) = job.state {
                job.woken = Some((until, wait));
            }
            job.state = State::Ready;
            return self.look_around();
        };
        let impatient = job.is_loose() || job.cancelled;
        let unanswered =
            lease.revoking.filter(|(_, since, grace)| *since + *grace + WORD_MARGIN <= at);
        if let (true, Some((reason, ..))) = (impatient, unanswered) {
            let (token, acknowledged, alarm) = (lease.token, lease.acknowledged, lease.alarm);
            let waits = lease.ahead.is_some_and(|ahead| !ahead.has_slot);
            job.avoid = Some(lease.session);
            self.end_unanswered(id, reason);
            let ghost = Ghost { token, about: Some((id, self.now)), acknowledged, alarm, waits };
            self.session_mut(lease.session).ghosts.push(ghost);
        } else if over {
            self.revoke(id, RevocationReason::TotalTimeout);
        } else if job.attempt_over().is_some_and(|limit| limit <= at) {
            self.revoke(id, RevocationReason::AttemptTimeout);
        } else if self.sessions.iter().any(|s| s.id == lease.session && s.stream.is_some()) {
            self.revoke(id, RevocationReason::ProgressTimeout);
        } else {
            // Nobody could have heard it.
            self.job_mut(id).lease_mut().expect("a lease").silent_since = Some(at);
        }
    }

    pub(super) fn revoke(&mut self, id: TaskId, reason: RevocationReason) {
        let now = self.now;
        let holder = self.job_mut(id).lease().expect("a lease").session;
        let audible = self.sessions.iter().any(|s| s.id == holder && s.stream.is_some());
        let job = self.job_mut(id);
        // Who is there has been given it by its own clock.
        let used_up = reason == RevocationReason::AttemptTimeout && audible;
        let grace = if used_up { Duration::ZERO } else { job.spec.kill_grace };
        let lease = job.lease_mut().expect("a lease");
        (lease.revoking, lease.told) = (Some((reason, now, grace)), None);
        self.ask_to_stop(id, reason, grace);
    }

    fn silent(&mut self, id: SessionId, token: Token) {
        let now = self.now;
        let late = Alarm { overdue: true, ..Alarm::default() };
        if let Some((task, _)) = self.current(token) {
            let lease = self.job_mut(task).lease_mut().expect("a lease");
            if lease.revoking.is_none() {
                return self.revoke(task, RevocationReason::StartTimeout);
            }
            lease.alarm = late;
        }
        let session = self.session_mut(id);
        for ghost in session.ghosts.iter_mut().filter(|ghost| ghost.token == token) {
            ghost.alarm = late;
        }
        session.late_since.get_or_insert(now);
        self.take_all_back(id);
        self.count_on_nothing(id);
    }

    pub(super) fn give_up_session(&mut self, id: SessionId) {
        if let Some(stream) = self.session_mut(id).stream {
            self.said.push(format!("{stream:?}: close, Expired"));
        }
        self.sessions.retain(|session| session.id != id);
        self.look_around();
        for (task, _) in self.leases_of(id) {
            self.end_lost(task, EndKind::WorkerLost, StopProof::Unproved);
        }
    }
}

impl Job {
    fn is_loose(&self) -> bool {
        self.spec.terms.exclusivity == Exclusivity::BestEffort
    }

    fn patient_until(&self) -> Time {
        let first = self.first_start_by.filter(|_| !self.ran);
        first.map_or(self.deadline, |by| by.min(self.deadline))
    }

    fn due(&self) -> Option<Time> {
        let lease = match &self.state {
            State::Waits(eligible, _) => return Some(self.patient_until().min(*eligible)),
            State::Ready => return Some(self.patient_until()),
            State::Leased(lease) => lease,
        };
        match (lease.revoking, lease.started) {
            (Some((RevocationReason::Cancelled, since, grace)), _) => {
                Some(since + grace + WORD_MARGIN)
            }
            (Some((RevocationReason::TotalTimeout, since, grace)), _) => {
                self.is_loose().then_some(since + grace + WORD_MARGIN)
            }
            (Some((_, since, grace)), _) if self.is_loose() => {
                Some(self.deadline.min(since + grace + WORD_MARGIN))
            }
            (Some(_), _) | (None, None) => Some(self.deadline),
            (None, Some(started)) => {
                let silent = lease.silent_since.unwrap_or(started).max(started);
                let hung = self.spec.terms.progress_timeout.map(|timeout| silent + timeout);
                let ends = [Some(self.deadline), self.attempt_over(), hung];
                ends.into_iter().flatten().min()
            }
        }
    }

    fn attempt_over(&self) -> Option<Time> {
        let lease = self.lease()?;
        let most = self.spec.attempt_timeout.max(lease.longer);
        Some(lease.started? + (most + self.spec.kill_grace + WORD_MARGIN))
    }
}
