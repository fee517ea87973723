//! What is seen of the state, line by line; and the same of the real queue.

use std::collections::BTreeMap;

use leasehold_queue::{
    Effect, LeaseEnd, Phase, Queue, RevocationReason, SessionState, Task, TaskId, Token, Wait,
};

use super::{Job, Lease, Readings, Reference, State};

impl Reference {
    /// Everything that can be seen from outside.
    pub(crate) fn lines(&self) -> Vec<String> {
        let mut lines: Vec<String> = self.jobs.iter().map(|job| self.job_line(job)).collect();
        for session in &self.sessions {
            let state = match (session.stream, session.late_since, session.draining) {
                _ if session.evicted => SessionState::Evicted,
                (None, ..) => SessionState::Disconnected,
                (_, Some(_), _) => SessionState::Quarantined,
                (.., true) => SessionState::Draining,
                _ => SessionState::Active,
            };
            let mut tokens: Vec<_> = self.leases_of(session.id).iter().map(|(_, t)| *t).collect();
            tokens.extend(session.ghosts.iter().map(|ghost| ghost.token));
            tokens.sort();
            let (worker, instance, id) = (&session.worker, &session.instance, session.id);
            let (slots, heard) = (session.slots, session.heard);
            lines.push(format!("{id:?} {worker}/{instance} {state:?} {slots} {tokens:?} {heard}"));
        }
        for kept in &self.kept {
            lines.push(format!("key {} {} {} {}", kept.queue, kept.key, kept.task, kept.until));
        }
        for queue in self.queue_names() {
            let count = |wanted: fn(&State) -> bool| {
                let own = self.jobs.iter().filter(|job| *job.spec.queue == *queue);
                own.filter(|job| wanted(&job.state)).count()
            };
            let waiting = count(|state| matches!(state, State::Waits(..)));
            let ready = count(|state| matches!(state, State::Ready));
            let leased = count(|state| matches!(state, State::Leased(_)));
            let paused = self.is_paused(&queue);
            lines.push(format!("queue {queue} {paused} {waiting} {ready} {leased}"));
        }
        lines.extend(self.load_lines());
        lines.sort();
        lines
    }

    /// What waits for what, and how much is leased, by queue and task type.
    fn load_lines(&self) -> Vec<String> {
        let mut loads: BTreeMap<String, usize> = BTreeMap::new();
        for job in &self.jobs {
            let what = match &job.state {
                State::Waits(..) => continue,
                State::Leased(_) => "leased",
                State::Ready => self.blocked(job),
            };
            let kind = format!("load {} {} {what}", job.spec.queue, job.spec.task_type);
            *loads.entry(kind).or_default() += 1;
        }
        loads.into_iter().map(|(kind, count)| format!("{kind} {count}")).collect()
    }

    fn job_line(&self, job: &Job) -> String {
        let blocked = match &job.state {
            State::Leased(_) => "None".to_owned(),
            State::Waits(..) | State::Ready => format!("Some({})", self.blocked(job)),
        };
        // What would be read in its place, of those who would take it but for that.
        let mut instead: Vec<u8> = Vec::new();
        if blocked == "Some(NoEligibleWorker)" && job.spec.shape.schema.is_some() {
            let would = self.sessions.iter().filter(|s| s.is_active() && s.would_serve(&job.spec));
            let own = |readings: &Readings| {
                readings
                    .iter()
                    .filter(|it| *it.0 == *job.spec.task_type)
                    .flat_map(|it| it.1.clone())
                    .collect::<Vec<_>>()
            };
            instead = would.flat_map(|session| own(&session.reads)).collect();
            instead.sort_unstable();
            instead.dedup();
        }
        format!("{} {blocked} {instead:?}", job.line())
    }

    /// Why a job that is not leased is not.
    fn blocked(&self, job: &Job) -> &'static str {
        let served = || self.sessions.iter().any(|s| s.is_active() && s.serves(&job.spec));
        match &job.state {
            State::Waits(_, Wait::Delay) => "Delayed",
            State::Waits(_, Wait::Backoff) => "Backoff",
            State::Ready if self.is_paused(&job.spec.queue) => "QueuePaused",
            State::Ready if served() => "NoCapacity",
            State::Ready | State::Leased(_) => "NoEligibleWorker",
        }
    }
}

impl Job {
    /// The task as it is, without what is the coordinator's alone.
    pub(crate) fn line(&self) -> String {
        let state = match &self.state {
            State::Waits(until, wait) => format!("{wait:?} until {until}"),
            State::Ready => "queued".into(),
            State::Leased(lease) => {
                let Lease { token, session, started, revoking, told, .. } = &**lease;
                let longer = (!lease.longer.is_zero()).then(|| started.map(|at| at + lease.longer));
                let longer = longer.flatten();
                format!("leased {token} {session:?} {started:?} {longer:?} {revoking:?} {told:?}")
            }
        };
        let Self { id, generation, attempts, leases, losses, cancelled, deadline, .. } = self;
        let (failure, last) = (self.failure, self.last_token.map(Token::as_i64));
        let (ends, saved) = (self.ends.join(", "), self.saved);
        format!(
            "{id} g{generation} a{attempts} l{leases} w{losses} {cancelled} {failure:?} {last:?} \
             {deadline} {state} {saved:?} [{ends}]"
        )
    }
}

/// The same line of a real task.
pub(crate) fn task_line(task: &Task) -> String {
    let state = match &task.phase {
        Phase::Scheduled { eligible, wait } => format!("{wait:?} until {eligible}"),
        Phase::Queued => "queued".into(),
        Phase::Leased(lease) => {
            let session = lease.session.expect("a lease is held");
            let revoking = lease.revoking.map(|r| (r.reason, r.since, r.grace));
            let told = lease.revoking.and_then(|r| r.delivered);
            let leasehold_queue::Lease { token, started, extended, .. } = &**lease;
            format!("leased {token} {session:?} {started:?} {extended:?} {revoking:?} {told:?}")
        }
    };
    let Task { id, attempts, leases, deadline, .. } = task;
    let (generation, worker_losses) = (task.generation(), task.worker_losses());
    let failure = task.last_failure().map(|failure| failure.reason);
    let (cancelled, last) = (task.cancel_requested, task.last_token().map(Token::as_i64));
    let ends = task.ends().iter().map(end_line).collect::<Vec<_>>().join(", ");
    let saved = task.checkpoint().map(|it| (it.token, it.data[0]));
    format!(
        "{id} g{generation} a{attempts} l{leases} w{worker_losses} {cancelled} {failure:?} {last:?} \
         {deadline} {state} {saved:?} [{ends}]"
    )
}

/// How a real lease ended.
pub(crate) fn end_line(end: &LeaseEnd) -> String {
    let LeaseEnd { token, worker, instance, generation, attempt, granted, started, .. } = end;
    let revoked = end.revoking.map(|r| (r.reason, r.since, r.grace));
    let told = end.revoking.and_then(|r| r.delivered);
    let LeaseEnd { ended, kind, stop, charge, eligible, .. } = end;
    format!(
        "{token} {worker}/{instance} g{generation} a{attempt} {granted} {started:?} {revoked:?} \
         {told:?} {ended} {kind:?} {stop:?} {charge:?} {eligible:?}"
    )
}

/// The same lines of a real queue.
pub(crate) fn queue_lines(queue: &Queue) -> Vec<String> {
    let all = queue.tasks_after(TaskId::from_u128(0));
    let mut lines: Vec<String> = all
        .map(|task| {
            let instead = queue.read_instead(task);
            let instead: Vec<u8> = instead.iter().map(|print| print.0[0]).collect();
            format!("{} {:?} {instead:?}", task_line(task), queue.blocked(task))
        })
        .collect();
    lines.extend(queue.workers().map(|w| {
        format!(
            "{:?} {}/{} {:?} {} {:?} {}",
            w.session, w.worker, w.instance, w.state, w.whole.slots, w.tokens, w.last_heard
        )
    }));
    lines.extend(
        queue.kept_keys().map(|k| format!("key {} {} {} {}", k.queue, k.name, k.task, k.until)),
    );
    lines.extend(queue.queues().map(|q| {
        format!("queue {} {} {} {} {}", q.name, q.paused, q.scheduled, q.queued, q.leased)
    }));
    for load in queue.loads() {
        let kind = format!("load {} {}", load.queue, load.task_type);
        lines.extend(load.waiting.iter().map(|(why, count)| format!("{kind} {why:?} {count}")));
        lines.extend((0 < load.leased).then(|| format!("{kind} leased {}", load.leased)));
    }
    lines.sort();
    lines
}

/// What a real effect says; nothing of those that only show a task as it is.
pub(crate) fn effect_line(effect: &Effect) -> Option<String> {
    Some(match effect {
        Effect::Assign { stream, assignment } => {
            let (task, token, attempt) = (assignment.task, assignment.token, assignment.attempt);
            let from = assignment.checkpoint.as_ref().map(|data| data[0]);
            format!("{stream:?}: run {task} as {token}, attempt {attempt}, from {from:?}")
        }
        Effect::Revoke { stream, token, reason, grace } => {
            let reason: &RevocationReason = reason;
            format!("{stream:?}: stop {token}, {reason:?}, {grace:?}")
        }
        Effect::Retract { stream, token } => format!("{stream:?}: give back {token}"),
        Effect::Extend { stream, token, remaining } => {
            format!("{stream:?}: {token} has {remaining:?}")
        }
        Effect::ResultAck { stream, token, disposition } => {
            format!("{stream:?}: {token} is {}", format!("{disposition:?}").to_lowercase())
        }
        Effect::RequestDrain { stream, grace } => format!("{stream:?}: drain within {grace:?}"),
        Effect::Close { stream, reason } => format!("{stream:?}: close, {reason:?}"),
        Effect::Ended(ended) => format!("{:?}: {}", ended.ending, task_line(&ended.task)),
        Effect::StoppedLate { task, token, worker, stop, late } => {
            format!("{task}: {token} of {worker} stopped {late:?} late, {stop:?}")
        }
        Effect::Turned(turned) => format!("{} {:?}", turned.guarded, turned.turn),
        Effect::Changed(_) => return None,
    })
}
