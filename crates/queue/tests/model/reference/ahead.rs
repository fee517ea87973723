//! Leases that workers get before they have slots for them.

use std::cmp::Reverse;

use leasehold_policy::Time;
use leasehold_queue::{SessionId, TaskId, Token};

use super::{Ahead, Job, Kind, Reference, Session};

/// What orders tasks.
type Rank = (u8, Time, TaskId);

impl Reference {
    /// What the session got ahead before, and is less urgent than this, has to come back and go behind it.
    pub(super) fn put_in_order(&mut self, session: SessionId, at: usize) {
        let priority = self.jobs[at].spec.priority;
        let behind = self.waiting(|_| true);
        for ((other, ..), id, holder) in behind {
            if holder == session && priority < other && !self.is_aged(id) {
                self.take_back(id, None, None);
            }
        }
    }

    /// Everything without a slot that its worker could give back.
    fn waiting(&self, wanted: impl Fn(&Job) -> bool) -> Vec<(Rank, TaskId, SessionId)> {
        let mut waiting = Vec::new();
        for job in self.jobs.iter().filter(|job| wanted(job)) {
            let Some(lease) = job.lease().filter(|lease| lease.revoking.is_none()) else {
                continue;
            };
            if lease.ahead.is_some_and(|ahead| !ahead.has_slot && !ahead.asked) {
                waiting.push((job.rank(), job.id, lease.session));
            }
        }
        waiting.sort();
        waiting
    }

    /// Nothing goes before what was leased for its age.
    fn is_aged(&self, task: TaskId) -> bool {
        let job = self.jobs.iter().find(|job| job.id == task);
        job.and_then(Job::lease).and_then(|lease| lease.ahead).is_some_and(|ahead| ahead.is_aged)
    }

    fn take_back(&mut self, task: TaskId, session: Option<SessionId>, urgent: Option<TaskId>) {
        let lease = self.job_mut(task).lease_mut().expect("a lease");
        let (token, holder) = (lease.token, lease.session);
        let ahead = lease.ahead.as_mut().expect("a lease that was got ahead");
        (ahead.asked, ahead.for_session, ahead.for_task) = (true, session, urgent);
        if let Some(stream) = self.session_mut(holder).stream {
            self.said.push(format!("{stream:?}: give back {token}"));
        }
    }

    /// A worker that gets nothing new gives back what it has not begun.
    pub(super) fn take_all_back(&mut self, session: SessionId) {
        for (_, task, holder) in self.waiting(|_| true) {
            if holder == session {
                self.take_back(task, None, None);
            }
        }
    }

    /// For those who have slots, the most urgent first; then, for a task that waits, the least urgent of those that are less
    /// urgent than it.
    pub(super) fn ask_back(&mut self, most: usize) {
        let mut left = most;
        for (session, kind, wanted) in self.with_slots() {
            for _ in 0..wanted {
                let fits =
                    |job: &Job| Self::is_for(&kind, &job.spec) && !self.is_paused(&job.spec.queue);
                let Some((_, task, _)) = self.waiting(fits).first().copied() else { break };
                if left == 0 {
                    return;
                }
                left -= 1;
                self.take_back(task, Some(session), None);
            }
        }
        let mut kinds: Vec<Kind> = self.sessions.iter().map(|it| self.kind(it)).collect();
        kinds.sort();
        kinds.dedup();
        for (task, back) in self.misplaced(kinds) {
            let asked = self.ahead().any(|ahead| ahead.for_task == Some(task));
            if 0 < left && !asked {
                left -= 1;
                self.take_back(back, None, Some(task));
            }
        }
    }

    /// For each kind of session: the first task for it, and the last of what such sessions got ahead, if that is behind.
    fn misplaced(&self, kinds: Vec<Kind>) -> Vec<(TaskId, TaskId)> {
        let mut pairs = Vec::new();
        for kind in kinds {
            let ready = self.jobs.iter().filter(|job| {
                matches!(job.state, super::State::Ready)
                    && !self.is_paused(&job.spec.queue)
                    && Self::is_for(&kind, &job.spec)
            });
            let Some(first) = ready.min_by_key(|job| self.turn(&kind, job)) else { continue };
            let mut behind = self.waiting(|_| true);
            behind.sort_by_key(|(rank, ..)| Reverse(*rank));
            let back = behind.iter().find(|(rank, task, holder)| {
                let holder = self.sessions.iter().find(|it| it.id == *holder).expect("a session");
                first.spec.priority < rank.0
                    && !self.is_aged(*task)
                    && self.kind(holder) == kind
                    && holder.is_active()
                    && holder.hushed.is_none()
            });
            if let (Some((_, back, _)), true) = (back, self.now < first.deadline) {
                pairs.push((first.id, *back));
            }
        }
        pairs
    }

    /// What was got ahead and may go where it is wanted: a lease that has to end does not.
    fn ahead(&self) -> impl Iterator<Item = &Ahead> {
        let leases = self.jobs.iter().filter_map(Job::lease);
        leases.filter(|lease| lease.revoking.is_none()).filter_map(|lease| lease.ahead.as_ref())
    }

    /// A worker that does not answer is not counted on.
    pub(super) fn count_on_nothing(&mut self, session: SessionId) {
        for (task, _) in self.leases_of(session) {
            if let Some(ahead) = &mut self.job_mut(task).lease_mut().expect("a lease").ahead {
                (ahead.for_session, ahead.for_task) = (None, None);
            }
        }
    }

    /// Who has free slots, and for how many more than are on their way.
    fn with_slots(&self) -> Vec<(SessionId, Kind, usize)> {
        let mut idle = Vec::new();
        for session in &self.sessions {
            let used = self.used(session.id);
            if !session.is_active() || session.hushed.is_some() || session.slots <= used {
                continue;
            }
            let coming = self.ahead().filter(|ahead| ahead.for_session == Some(session.id));
            let wanted = ((session.slots - used) as usize).saturating_sub(coming.count());
            let load = u64::from(used) * 1_000_000 / u64::from(session.slots);
            idle.push((self.kind(session), load, session.id, wanted));
        }
        idle.sort();
        idle.into_iter().map(|(kind, _, id, wanted)| (id, kind, wanted)).collect()
    }

    /// Free slots go to what was got ahead, the oldest grant first; only then is its start waited for.
    pub(super) fn hand_out_slots(&mut self, id: SessionId) {
        loop {
            let without = self.without(id);
            let Some(first) = without.first() else { return };
            let used = self.used(id) as usize - without.len();
            if self.session_mut(id).slots as usize <= used {
                return;
            }
            self.give_slot(id, *first);
        }
    }

    /// What has no slot, the oldest grant first. A lease that ended without its worker's word may still wait there.
    fn without(&self, id: SessionId) -> Vec<Token> {
        let leases = self.jobs.iter().filter_map(Job::lease).filter(|lease| lease.session == id);
        let leases = leases.filter(|lease| lease.ahead.is_some_and(|ahead| !ahead.has_slot));
        let ghosts = self.sessions.iter().filter(|it| it.id == id).flat_map(|it| &it.ghosts);
        let ghosts = ghosts.filter(|ghost| ghost.waits).map(|ghost| ghost.token);
        let mut without: Vec<Token> = leases.map(|lease| lease.token).chain(ghosts).collect();
        without.sort();
        without
    }

    fn give_slot(&mut self, id: SessionId, token: Token) {
        for ghost in &mut self.session_mut(id).ghosts {
            ghost.waits &= ghost.token != token;
        }
        let now = self.now;
        let Some((task, _)) = self.current(token) else { return };
        let job = self.job_mut(task);
        let patience = job.spec.start_timeout;
        let lease = job.lease_mut().expect("a lease");
        lease.ahead.as_mut().expect("got ahead").has_slot = true;
        if lease.revoking.is_some() {
            return;
        }
        if 0 < lease.alarm.unsent {
            lease.alarm.patience = Some(patience);
        } else {
            lease.alarm.at = Some(now + patience);
        }
    }

    /// Nobody knows any more what the worker got ahead.
    pub(super) fn forget_ahead(&mut self, id: SessionId) {
        for (task, _) in self.leases_of(id) {
            self.job_mut(task).lease_mut().expect("a lease").ahead = None;
        }
        for ghost in &mut self.session_mut(id).ghosts {
            ghost.waits = false;
        }
    }

    /// What a worker says it has not begun takes the slots that everything else leaves, the oldest grant first.
    pub(super) fn line_up(&mut self, id: SessionId, mut pending: Vec<TaskId>) {
        pending.sort_by_key(|task| self.job_mut(*task).lease().expect("a lease").token);
        let others = self.used(id) as usize - pending.len();
        let slots = self.session_mut(id).slots as usize;
        let now = self.now;
        for (n, task) in pending.into_iter().enumerate() {
            let job = self.job_mut(task);
            let start_by = now + job.spec.start_timeout;
            let lease = job.lease_mut().expect("a lease");
            if others + n < slots {
                lease.alarm.at = Some(start_by);
            } else {
                lease.ahead = Some(Ahead::default());
            }
        }
    }
}

impl Session {
    /// The types it can be given.
    pub(super) fn offered(&self) -> Vec<String> {
        let mut types = self.types.clone();
        types.retain(|own| !self.unsupported.contains(own));
        types.sort();
        types
    }
}

impl Job {
    fn rank(&self) -> Rank {
        (self.spec.priority, self.deadline, self.id)
    }
}
