//! What workers say.

use std::time::Duration;

use leasehold_policy::Time;
use leasehold_queue::{
    Config, EndKind, FailureReason, Hello, LeasePhase, RevocationReason, SessionId, StopProof,
    StreamId, TaskId, TaskSpec, Token,
};

use super::{Alarm, Fair, Ghost, Job, Reference, Session, State, ends::End, time::EXPIRY_MARGIN};

impl Reference {
    /// Everything that is not written down is gone; of the ends of leases only those are remembered whose records are.
    pub(crate) fn restart(&mut self, config: Config, epoch: u32, remembered: &[Token]) {
        self.claimed(epoch);
        self.configure(config);
        self.sessions.clear();
        self.idle.clear();
        self.said.clear();
        (self.opened, self.hellos) = (0, 0);
        self.banned.clear();
        self.decided.retain(|token| remembered.contains(token));
        let patience = self.patience(self.ttl_max);
        let mut jobs = std::mem::take(&mut self.jobs);
        jobs.sort_by_key(|job| job.id);
        for job in &mut jobs {
            job.avoid = None;
            if let Some((until, wait)) = job.woken.take() {
                job.state = State::Waits(until, wait);
            }
            let Some(lease) = job.lease_mut() else { continue };
            lease.session = self.instance(&lease.worker, &lease.instance, patience);
            lease.acknowledged = true;
            lease.told = None;
            lease.alarm = Alarm::default();
            lease.ahead = None;
            lease.silent_since = Some(self.now);
            lease.thought = (Duration::ZERO, None);
        }
        (self.fair, self.asked) = (Fair::default(), Vec::new());
        self.jobs = jobs;
        self.look_around();
    }

    pub(crate) fn hello(&mut self, hello: &Hello) -> String {
        if self.comes_late(hello) {
            return "Outlived".into();
        }
        let bans = self.banned.iter().filter(|(worker, _)| *worker == *hello.worker);
        let bans = bans.map(|(_, until)| *until);
        let known = self
            .sessions
            .iter()
            .filter(|s| s.worker == *hello.worker && s.instance == *hello.instance && s.evicted);
        let bans = bans.chain(known.map(|s| s.over + s.stalled));
        if let Some(until) = bans.max().filter(|until| self.now < *until) {
            return format!("banned for {:?}", until.since(self.now));
        }
        let ended = self
            .sessions
            .iter()
            .find(|s| s.worker == *hello.worker && s.instance == *hello.instance && s.evicted);
        if let Some(id) = ended.map(|s| s.id) {
            self.give_up_session(id);
        }
        for at in 0..self.sessions.len() {
            let session = &mut self.sessions[at];
            if session.worker == *hello.worker {
                if let Some(stream) = session.stream.take() {
                    self.said.push(format!("{stream:?}: close, Replaced"));
                }
                let id = self.sessions[at].id;
                self.forget_ahead(id);
            }
        }
        self.bury(hello);
        let patience = self.patience(self.config.session_ttl);
        let resumed = self
            .sessions
            .iter()
            .any(|s| s.worker == *hello.worker && s.instance == *hello.instance);
        let id = self.instance(&hello.worker, &hello.instance, patience);
        let now = self.now;
        self.hellos += 1;
        let hellos = self.hellos;
        let session = self.session_mut(id);
        session.stream = Some(hello.stream);
        session.first_hello.get_or_insert(hellos);
        session.start.clone_from(&hello.start);
        session.alive = session.start.is_none();
        (session.slots, session.prefetch) = (hello.slots, hello.prefetch);
        session.types = hello.task_types.iter().map(ToString::to_string).collect();
        let text = |(name, value): &(leasehold_queue::Name, leasehold_queue::Name)| {
            (name.to_string(), value.to_string())
        };
        session.labels = hello.labels.iter().map(text).collect();
        let first = |read: &std::collections::BTreeSet<leasehold_queue::SchemaPrint>| {
            read.iter().map(|print| print.0[0]).collect()
        };
        let readings = hello.reads.iter().map(|(name, read)| (name.to_string(), first(read)));
        session.reads = readings.collect();
        session.unsupported.clear();
        session.hear(now, patience);
        let pending = self.compare(id, hello);
        let verdicts: Vec<String> = hello
            .held
            .iter()
            .map(|held| {
                let lost = self.current(held.token).is_none_or(|(_, holder)| holder != id);
                if lost && held.phase != LeasePhase::Finished {
                    self.haunt(id, held.token);
                }
                format!("{} {}", held.token, if lost { "lost" } else { "retained" })
            })
            .collect();
        self.line_up(id, pending);
        self.relieve(id);
        if self.session_mut(id).late_since.is_some() {
            self.take_all_back(id);
        }
        for grace in self.session_mut(id).drain_request.clone() {
            self.said.push(format!("{:?}: drain within {grace:?}", hello.stream));
        }
        format!("welcome {id:?} resumed {resumed} {verdicts:?}")
    }

    /// What processes held of which the next one says that they are gone is free.
    fn bury(&mut self, hello: &Hello) {
        let dead = |s: &&Session| {
            let named = hello.replaces.iter().any(|name| s.instance == **name);
            s.worker == *hello.worker && s.instance != *hello.instance && named
        };
        let mut dead: Vec<_> =
            self.sessions.iter().filter(dead).map(|s| (s.instance.clone(), s.id)).collect();
        dead.sort();
        for (_, id) in dead {
            for ghost in self.session_mut(id).ghosts.clone() {
                self.drop_ghost(id, ghost.token, StopProof::ProcessGone);
            }
            self.sessions.retain(|session| session.id != id);
            self.look_around();
            for (task, _) in self.leases_of(id) {
                self.end_lost(task, EndKind::WorkerLost, StopProof::ProcessGone);
            }
        }
    }

    /// Whether the worker's connection is that of a process which has followed the one that says hello.
    fn comes_late(&self, hello: &Hello) -> bool {
        let mine = |s: &&Session| s.worker == *hello.worker;
        let other = self.sessions.iter().filter(mine).find(|s| s.stream.is_some());
        let gone = |s: &&Session| hello.replaces.iter().any(|name| s.instance == **name);
        let other = other.filter(|s| s.instance != *hello.instance).filter(|s| !gone(s));
        let Some(other) = other else { return false };
        match (&hello.start, &other.start) {
            (Some(one), Some(two)) if one.boot == two.boot && one.after != two.after => {
                one.after < two.after
            }
            _ => {
                let known = self.sessions.iter().filter(mine);
                let mut own = known.filter(|s| s.instance == *hello.instance);
                let first = own.find_map(|s| s.first_hello);
                other.alive && first.is_some_and(|own| Some(own) < other.first_hello)
            }
        }
    }

    /// Hands back what the worker has not begun.
    fn compare(&mut self, id: SessionId, hello: &Hello) -> Vec<TaskId> {
        let mut pending = Vec::new();
        let phase = |token| hello.held.iter().rfind(|held| held.token == token).map(|h| h.phase);
        for ghost in self.session_mut(id).ghosts.clone() {
            if !matches!(phase(ghost.token), Some(LeasePhase::Pending | LeasePhase::Running)) {
                self.drop_ghost(id, ghost.token, StopProof::NotHeld);
            }
        }
        let by = self.now + self.config.revoke_ack_margin;
        for ghost in &mut self.session_mut(id).ghosts {
            let at = ghost.about.map(|_| by);
            let overdue = ghost.alarm.overdue;
            ghost.acknowledged = true;
            ghost.alarm = Alarm { at, overdue, ..Alarm::default() };
        }
        for (task, token) in self.leases_of(id) {
            let Some(phase) = phase(token) else {
                self.end_missing(task);
                continue;
            };
            let now = self.now;
            let job = self.job_mut(task);
            let lease = job.lease_mut().expect("a lease");
            lease.acknowledged = true;
            lease.silent_since = Some(now);
            lease.alarm = Alarm { overdue: lease.alarm.overdue, ..Alarm::default() };
            let revoking = lease.revoking;
            if phase == LeasePhase::Running {
                job.begin(now);
            }
            let lease = job.lease_mut().expect("a lease");
            if let Some((reason, since, grace)) = revoking {
                self.ask_to_stop(task, reason, grace.saturating_sub(now.since(since)));
            } else if lease.started.is_none() && phase == LeasePhase::Pending {
                pending.push(task);
            }
        }
        pending
    }

    /// A foreign lease that still runs takes a place at the worker, if it has one left.
    fn haunt(&mut self, id: SessionId, token: Token) {
        let used = self.used(id);
        let session = self.session_mut(id);
        let known = session.ghosts.iter().any(|ghost| ghost.token == token);
        if !known && used < session.slots + session.prefetch {
            let (about, acknowledged, alarm, waits) = (None, true, Alarm::default(), false);
            session.ghosts.push(Ghost { token, about, acknowledged, alarm, waits });
        }
    }

    pub(crate) fn heartbeat(&mut self, stream: StreamId, held: &[Token]) -> String {
        let Some(id) = self.on_stream(stream) else { return "heard false".into() };
        self.session_mut(id).alive = true;
        for (task, token) in self.leases_of(id) {
            let lease = self.job_mut(task).lease_mut().expect("a lease");
            if held.contains(&token) {
                lease.acknowledged = true;
            } else if lease.acknowledged {
                self.end_missing(task);
            }
        }
        for ghost in self.session_mut(id).ghosts.clone() {
            if ghost.acknowledged && !held.contains(&ghost.token) {
                self.drop_ghost(id, ghost.token, StopProof::NotHeld);
            }
        }
        for ghost in &mut self.session_mut(id).ghosts {
            ghost.acknowledged |= held.contains(&ghost.token);
        }
        self.relieve(id);
        self.hand_out_slots(id);
        let mut held = held.to_vec();
        held.sort();
        held.dedup();
        for token in held {
            let own = self.current(token).is_some_and(|(_, holder)| holder == id);
            let ghost = self.session_mut(id).ghosts.iter().any(|ghost| ghost.token == token);
            if !own && !ghost && !self.decided.contains(&token) {
                self.said.push(format!("{stream:?}: stop {token}, UnknownLease, 0ns"));
            }
        }
        let now = self.now;
        let session = self.session_mut(id);
        let patience = session.promised;
        let heard =
            !session.evicted && session.late_since.is_none_or(|since| now < since + patience);
        if heard {
            session.hear(now, patience);
        }
        format!("heard {heard}")
    }

    pub(crate) fn delivered(&mut self, stream: StreamId, tokens: &[Token]) {
        let Some(id) = self.on_stream(stream) else { return };
        self.session_mut(id).alive = true;
        for (task, token) in self.leases_of(id) {
            if tokens.contains(&token) {
                self.job_mut(task).lease_mut().expect("a lease").acknowledged = true;
            }
        }
        for ghost in &mut self.session_mut(id).ghosts {
            ghost.acknowledged |= tokens.contains(&ghost.token);
        }
    }

    /// Only what it was last revoked for counts.
    pub(crate) fn informed(&mut self, stream: StreamId, revoked: &[(Token, RevocationReason)]) {
        let Some(id) = self.on_stream(stream) else { return };
        let now = self.now;
        for (task, token) in self.leases_of(id) {
            let lease = self.job_mut(task).lease_mut().expect("a lease");
            if lease.revoking.is_some_and(|(reason, ..)| revoked.contains(&(token, reason))) {
                lease.told.get_or_insert(now);
            }
        }
    }

    pub(crate) fn started(&mut self, stream: StreamId, token: Token) {
        let Some(id) = self.on_stream(stream) else { return };
        let Some((task, _)) = self.current(token).filter(|(_, holder)| *holder == id) else {
            return;
        };
        self.session_mut(id).hushes = 0;
        let now = self.now;
        let job = self.job_mut(task);
        let fresh = job.lease().is_some_and(|lease| lease.started.is_none());
        job.begin(now);
        let lease = job.lease_mut().expect("a lease");
        lease.acknowledged = true;
        lease.ahead = None;
        if fresh && lease.revoking.is_none() {
            (lease.alarm.at, lease.alarm.patience) = (None, None);
        }
    }

    pub(crate) fn progressed(&mut self, stream: StreamId, token: Token) {
        let Some(id) = self.on_stream(stream) else { return };
        let Some((task, _)) = self.current(token).filter(|(_, holder)| *holder == id) else {
            return;
        };
        let now = self.now;
        self.job_mut(task).lease_mut().expect("a lease").silent_since = Some(now);
    }

    /// Only the lease that the task is under has a say.
    pub(crate) fn save(&mut self, stream: StreamId, token: Token, data: u8) -> String {
        let holder = self.on_stream(stream);
        match self.current(token) {
            Some((task, session)) if Some(session) == holder => {
                self.job_mut(task).saved = Some((token, data));
                "saved Kept".into()
            }
            _ => "saved Stale".into(),
        }
    }

    /// Time is added up to a bound and never taken away.
    pub(crate) fn extend(&mut self, stream: StreamId, token: Token, wanted: Duration) {
        let Some(id) = self.on_stream(stream) else { return };
        let (now, bound) = (self.now, self.config.attempt_max);
        let mut left = None;
        if let Some((task, _)) = self.current(token).filter(|(_, holder)| *holder == id) {
            let job = self.job_mut(task);
            let own = job.spec.attempt_timeout;
            let lease = job.lease_mut().expect("a lease");
            if let (Some(started), None) = (lease.started, lease.revoking) {
                let whole = bound.min(now.since(started) + wanted);
                let longest = whole.max(own).max(lease.longer);
                if now < started + longest {
                    if whole > own {
                        lease.longer = lease.longer.max(whole);
                    }
                    left = Some((started + longest).since(now));
                }
            }
        }
        self.said.push(format!("{stream:?}: {token} has {left:?}"));
    }

    /// Whoever has been sent something has to answer in time.
    pub(crate) fn sent(&mut self, stream: StreamId, token: Token) {
        let Some(id) = self.on_stream(stream) else { return };
        let now = self.now;
        let leave = |alarm: &mut Alarm| {
            alarm.unsent = alarm.unsent.saturating_sub(1);
            if alarm.unsent == 0
                && let Some(patience) = alarm.patience.take()
            {
                alarm.at = Some(now + patience);
            }
        };
        if let Some((task, _)) = self.current(token).filter(|(_, holder)| *holder == id) {
            leave(&mut self.job_mut(task).lease_mut().expect("a lease").alarm);
        }
        for ghost in self.session_mut(id).ghosts.iter_mut().filter(|ghost| ghost.token == token) {
            leave(&mut ghost.alarm);
        }
    }

    pub(crate) fn capacity(&mut self, stream: StreamId, slots: u32, prefetch: u32) {
        if let Some(id) = self.on_stream(stream) {
            let session = self.session_mut(id);
            (session.slots, session.prefetch) = (slots, prefetch);
            self.hand_out_slots(id);
        }
    }

    pub(crate) fn drain(&mut self, stream: StreamId) {
        if let Some(id) = self.on_stream(stream) {
            self.session_mut(id).draining = true;
        }
    }

    pub(crate) fn drain_worker(&mut self, worker: &str, grace: Option<Duration>) -> String {
        let mut known = false;
        for session in self.sessions.iter_mut().filter(|session| session.worker == worker) {
            known = true;
            session.draining = true;
            session.drain_request = vec![grace];
            if let Some(stream) = session.stream {
                self.said.push(format!("{stream:?}: drain within {grace:?}"));
            }
        }
        format!("draining {known}")
    }

    pub(crate) fn revoke_lease(&mut self, token: Token, grace: Duration) -> String {
        let task = self.current(token).map(|(task, _)| task);
        if let Some(task) = task {
            self.take_away(task, Some(grace));
        }
        format!("revoked {task:?}")
    }

    fn take_away(&mut self, task: TaskId, grace: Option<Duration>) {
        let now = self.now;
        let job = self.job_mut(task);
        let grace = grace.unwrap_or(job.spec.kill_grace);
        let lease = job.lease_mut().expect("a lease");
        if lease.revoking.is_none() {
            lease.revoking = Some((RevocationReason::Operator, now, grace));
            self.ask_to_stop(task, RevocationReason::Operator, grace);
        }
    }

    pub(crate) fn evict(&mut self, worker: &str, ban: Duration) -> String {
        if !ban.is_zero() {
            self.banned.retain(|(banned, _)| banned != worker);
            self.banned.push((worker.to_owned(), self.now + ban));
        }
        let own: Vec<SessionId> =
            self.sessions.iter().filter(|s| s.worker == worker).map(|s| s.id).collect();
        for id in &own {
            self.session_mut(*id).evicted = true;
            for (task, _) in self.leases_of(*id) {
                self.take_away(task, None);
            }
        }
        format!("evicted {}", !own.is_empty())
    }

    pub(crate) fn disconnect(&mut self, stream: StreamId) {
        if let Some(id) = self.on_stream(stream) {
            self.session_mut(id).stream = None;
            self.forget_ahead(id);
        }
    }

    pub(crate) fn goodbye(&mut self, stream: StreamId) {
        let Some(id) = self.on_stream(stream) else { return };
        self.sessions.retain(|session| session.id != id);
        self.look_around();
        for (task, _) in self.leases_of(id) {
            let reason = FailureReason::HandedBack;
            let how = (EndKind::Drained, StopProof::NotHeld);
            self.end_lease(task, &End::Nothing { reason, said: true }, how);
        }
    }

    pub(crate) fn stalled(&mut self, away: Duration, favour: Duration) {
        for session in &mut self.sessions {
            let favour = favour.min(session.promised.saturating_sub(session.favoured));
            session.favoured += favour;
            session.stalled += away + favour;
        }
    }

    pub(super) fn ask_to_stop(&mut self, task: TaskId, reason: RevocationReason, grace: Duration) {
        let patience = grace + self.config.revoke_ack_margin;
        let lease = self.job_mut(task).lease_mut().expect("a lease");
        let (token, session) = (lease.token, lease.session);
        let stream = self.sessions.iter().find(|s| s.id == session).and_then(|s| s.stream);
        if let Some(stream) = stream {
            let alarm = &mut self.job_mut(task).lease_mut().expect("a lease").alarm;
            (alarm.at, alarm.patience) = (None, Some(patience));
            alarm.unsent += 1;
            self.said.push(format!("{stream:?}: stop {token}, {reason:?}, {grace:?}"));
        }
    }

    pub(super) fn drop_ghost(&mut self, id: SessionId, token: Token, stop: StopProof) {
        let now = self.now;
        let session = self.session_mut(id);
        let Some(at) = session.ghosts.iter().position(|ghost| ghost.token == token) else { return };
        let worker = session.worker.clone();
        if let Some((task, since)) = session.ghosts.remove(at).about {
            let late = now.since(since);
            self.said.push(format!("{task}: {token} of {worker} stopped {late:?} late, {stop:?}"));
        }
    }

    /// A session with nothing overdue is not quarantined.
    pub(super) fn relieve(&mut self, id: SessionId) {
        let mut leases = self.jobs.iter().filter_map(Job::lease).filter(|l| l.session == id);
        let late = leases.any(|lease| lease.alarm.overdue);
        let Some(session) = self.sessions.iter_mut().find(|s| s.id == id) else { return };
        if !late && !session.ghosts.iter().any(|ghost| ghost.alarm.overdue) {
            session.late_since = None;
        }
    }

    pub(super) fn used(&self, id: SessionId) -> u32 {
        let ghosts =
            self.sessions.iter().filter(|s| s.id == id).map(|s| s.ghosts.len()).sum::<usize>();
        u32::try_from(self.leases_of(id).len() + ghosts).unwrap()
    }

    pub(crate) fn leases_of(&self, id: SessionId) -> Vec<(TaskId, Token)> {
        let leases = self.jobs.iter().filter_map(|job| Some((job.id, job.lease()?)));
        let mut own: Vec<_> = leases
            .filter(|(_, lease)| lease.session == id)
            .map(|(task, lease)| (task, lease.token))
            .collect();
        own.sort_by_key(|(_, token)| *token);
        own
    }

    pub(super) fn session_mut(&mut self, id: SessionId) -> &mut Session {
        self.sessions.iter_mut().find(|session| session.id == id).expect("a session")
    }

    pub(super) fn patience(&self, ttl: Duration) -> Duration {
        ttl + ttl * self.config.drift_per_mille / 1_000
    }

    fn on_stream(&self, stream: StreamId) -> Option<SessionId> {
        self.sessions.iter().find(|session| session.stream == Some(stream)).map(|s| s.id)
    }

    fn instance(&mut self, worker: &str, instance: &str, patience: Duration) -> SessionId {
        let same = |s: &&Session| s.worker == worker && s.instance == instance;
        if let Some(session) = self.sessions.iter().find(same) {
            return session.id;
        }
        self.opened += 1;
        let id = SessionId(self.opened);
        self.sessions.push(Session::new(id, worker, instance, self.now, patience));
        id
    }
}

impl Session {
    fn new(id: SessionId, worker: &str, instance: &str, now: Time, promised: Duration) -> Self {
        Self {
            id,
            worker: worker.to_owned(),
            instance: instance.to_owned(),
            first_hello: None,
            start: None,
            alive: false,
            stream: None,
            slots: 0,
            prefetch: 0,
            types: Vec::new(),
            labels: Vec::new(),
            reads: Vec::new(),
            unsupported: Vec::new(),
            settled: None,
            draining: false,
            evicted: false,
            drain_request: Vec::new(),
            heard: now,
            promised,
            over: now + promised + EXPIRY_MARGIN,
            stalled: Duration::ZERO,
            favoured: Duration::ZERO,
            hushed: None,
            hushes: 0,
            late_since: None,
            ghosts: Vec::new(),
        }
    }

    fn hear(&mut self, now: Time, patience: Duration) {
        (self.heard, self.promised) = (now, patience);
        self.over = self.over.max(now + patience + EXPIRY_MARGIN);
        (self.stalled, self.favoured) = (Duration::ZERO, Duration::ZERO);
    }

    pub(super) fn is_active(&self) -> bool {
        self.stream.is_some() && !self.draining && !self.evicted && self.late_since.is_none()
    }

    pub(super) fn serves(&self, spec: &TaskSpec) -> bool {
        super::can_read(&self.reads, spec) && self.would_serve(spec)
    }

    /// Whether it is only the payload that can keep it from it.
    pub(super) fn would_serve(&self, spec: &TaskSpec) -> bool {
        let named = |types: &[String]| types.iter().any(|own| **own == *spec.task_type);
        let has = |name: &str, value: &str| {
            self.labels.iter().any(|(own, is)| own == name && is == value)
        };
        named(&self.types)
            && !named(&self.unsupported)
            && spec.shape.selector.iter().all(|(name, value)| has(name, value))
    }
}
