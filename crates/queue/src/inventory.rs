//! What a worker says it holds, against what the coordinator believes: at each hello and each heartbeat.
//!
//! Whatever was said on an earlier stream is void: after a hello only what both sides name goes on.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use leasehold_policy::Mutant;

use crate::{
    CloseReason, Effect, EndKind, HeldLease, Hello, LeasePhase, Name, NotWelcome, Queue,
    RevocationReason, SessionId, Size, StopProof, StreamId, Task, TaskId, Token, Verdict, Welcome,
    session::{Arrival, Session, Work},
    settle::{Account, Word},
};

impl Queue {
    /// The same start of a worker goes on with its session. Another one gets a session of its own; what the old one held
    /// waits for the end of the old session, as its process may live. But it does not come between a later one and the
    /// coordinator: what it said may have been under way since before it died.
    pub(crate) fn hello(&mut self, hello: Hello) -> Result<Welcome, NotWelcome> {
        debug_assert!(self.roster.on_stream(hello.stream).is_none(), "a stream is used once");
        let known = self.roster.of_instance(&hello.worker, &hello.instance);
        if let Some(why) = self.unwelcome(&hello, known) {
            return Err(why);
        }
        let known = known.filter(|id| !self.end_given_up(*id, &hello.held));
        self.replace_streams(&hello.worker);
        self.end_replaced(&hello);
        let session = known.unwrap_or_else(|| self.open_session(&hello));
        let held = hello.held.clone();
        self.connect(session, hello);
        self.compare(session, &held);
        let verdicts = held.iter().map(|held| self.verdict(session, held)).collect();
        self.park_pending(session, &self.pending(session, &held));
        if self.roster.get(session).is_some_and(Session::is_quarantined) {
            self.retract_all(session);
        }
        self.request_drain(session);
        Ok(Welcome { session, resumed: known.is_some(), verdicts })
    }

    /// A process that was given up does not go on with its session, however close to the end of that it comes back.
    fn end_given_up(&mut self, id: SessionId, held: &[HeldLease]) -> bool {
        let now = self.now;
        let is_given_up = self.roster.get(id).is_some_and(|it| it.is_given_up(held, now));
        if is_given_up {
            self.expire(id);
        }
        is_given_up
    }

    /// Says whether the session lives. One that was quarantined too long is not told so: its worker has to fence itself.
    pub(crate) fn heartbeat(&mut self, stream: StreamId, held: Vec<Token>) -> bool {
        let Some(id) = self.roster.on_stream(stream) else { return false };
        self.note_answer(id);
        let held: BTreeSet<Token> = held.into_iter().collect();
        for (token, work) in self.holdings(id) {
            if held.contains(&token) && !Mutant::HeartbeatForgetsHeld.is_alive() {
                self.attend(id, |session| session.arrive(token));
            } else if self.arrival(id, token) == Arrival::Arrived {
                self.miss(id, token, work);
            }
        }
        for token in held {
            self.disown(id, stream, token);
        }
        let now = self.now;
        let Some(session) = self.roster.get(id) else { return false };
        if session.is_fenced(now) {
            return false;
        }
        // As its worker was promised in its welcome, which may be other than what is configured since.
        let follows = Mutant::TtlFollowsConfig.is_alive();
        let believed =
            if follows { self.patience(self.config.session_ttl) } else { session.believed };
        self.attend(id, |session| session.touch(now, believed));
        true
    }

    fn replace_streams(&mut self, worker: &str) {
        for id in self.roster.of_worker(worker) {
            let stream = self.update(id, |session| session.stream.take()).flatten();
            self.unpark_all(id);
            if let Some(stream) = stream {
                self.emit(Effect::Close { stream, reason: CloseReason::Replaced });
            }
        }
    }

    /// Processes that are gone for sure hold nothing. The others of the worker may live.
    fn end_replaced(&mut self, hello: &Hello) {
        let is_gone = |session: &Session| {
            let is_other = *session.instance != *hello.instance;
            let is_named = hello.replaces.contains(&session.instance);
            is_other && (is_named || Mutant::AllReplaced.is_alive())
        };
        for id in self.roster.of_worker(&hello.worker) {
            let is_gone = self.roster.get(id).is_some_and(is_gone);
            if is_gone && !Mutant::ReplacedKept.is_alive() {
                self.end_session(id, StopProof::ProcessGone);
            }
        }
    }

    fn open_session(&mut self, hello: &Hello) -> SessionId {
        let (worker, instance) = (Name::clone(&hello.worker), Name::clone(&hello.instance));
        let believed = self.patience(self.config.session_ttl);
        self.roster.open(Session::new(worker, instance, self.now, believed))
    }

    fn connect(&mut self, id: SessionId, hello: Hello) {
        let (now, believed) = (self.now, self.patience(self.config.session_ttl));
        self.update(id, |session| {
            session.touch(now, believed);
            session.connect(hello.stream, hello.start);
            session.have(Size { slots: hello.slots, resources: hello.resources });
            session.knows_sizes = hello.knows_sizes;
            session.prefetch = hello.prefetch;
            session.task_types = hello.task_types.into_iter().collect();
            session.unsupported.clear();
            session.namespaces = hello.namespaces.into_iter().collect();
            session.reads = hello.reads;
            session.labels = hello.labels;
            session.software = hello.software;
        });
        self.roster.classify(id);
        self.roster.greet(id);
    }

    fn compare(&mut self, id: SessionId, held: &[HeldLease]) {
        let held: BTreeMap<Token, LeasePhase> =
            held.iter().map(|held| (held.token, held.phase)).collect();
        for (token, work) in self.holdings(id) {
            match (work, held.get(&token)) {
                (_, Some(LeasePhase::Running)) if Mutant::HelloForgetsRunning.is_alive() => {
                    self.miss(id, token, work);
                }
                (Work::Lease(task), Some(phase)) => self.retain(id, task, token, *phase),
                (Work::Zombie { task, .. }, Some(LeasePhase::Pending | LeasePhase::Running)) => {
                    self.attend(id, |session| session.arrive(token));
                    self.await_end(id, token, task);
                }
                (Work::Zombie { .. }, Some(LeasePhase::Finished)) | (_, None) => {
                    self.miss(id, token, work);
                }
            }
        }
    }

    /// A lease goes on with its worker. What was being waited for is waited for anew.
    fn retain(&mut self, id: SessionId, task: TaskId, token: Token, phase: LeasePhase) {
        self.attend(id, |session| session.arrive(token));
        if phase == LeasePhase::Running {
            self.note_start(id, task, token);
        }
        let now = self.now;
        if let Some(lease) = self.book.lease_mut(task) {
            lease.heard = Some(now);
        }
        let Some(task) = self.book.task(task) else { return };
        let Some(lease) = task.lease() else { return };
        if let Some(revoking) = lease.revoking {
            let over = self.now.since(revoking.since);
            let grace = revoking.grace.saturating_sub(over);
            self.demand(id, token, revoking.reason, grace);
        }
    }

    /// A lease that ended without its worker's word has had its grace: the welcome says that it is lost, and its work has to
    /// end. Of what the worker alone knows nobody knows how long that may take.
    fn await_end(&mut self, id: SessionId, token: Token, task: Option<TaskId>) {
        if task.is_some() {
            let by = self.now + self.config.revoke_ack_margin;
            self.attend(id, |session| session.expect_by(token, by));
        }
    }

    /// The leases that the worker says it has not started, and may still start, in the order of their grants.
    fn pending(&self, id: SessionId, held: &[HeldLease]) -> Vec<Token> {
        let phases: BTreeMap<Token, LeasePhase> =
            held.iter().map(|held| (held.token, held.phase)).collect();
        let pending = phases.into_iter().filter(|(token, phase)| {
            let task = self.task_under(id, *token).and_then(|task| self.book.task(task));
            let lease = task.and_then(Task::lease);
            let may_start = lease.is_some_and(|it| it.started.is_none() && it.revoking.is_none());
            may_start && *phase == LeasePhase::Pending
        });
        pending.map(|(token, _)| token).collect()
    }

    /// A held lease that is not the session's (any more) is lost. As long as its work goes on it takes what the worker says
    /// that it does: no more of them are kept than the worker has room for.
    fn verdict(&mut self, id: SessionId, held: &HeldLease) -> (Token, Verdict) {
        if self.task_under(id, held.token).is_some() {
            return (held.token, Verdict::Retained);
        }
        if held.phase != LeasePhase::Finished && !Mutant::LostWorkTakesNoSlot.is_alive() {
            self.update(id, |session| {
                let room = session.whole.slots.saturating_add(session.prefetch);
                if session.work(held.token).is_none() && session.count() < room {
                    session.hold(held.token, Work::Zombie { task: None }, &held.size);
                }
            });
        }
        (held.token, Verdict::Lost)
    }

    /// The worker does not hold it: whatever there was of it is over.
    pub(crate) fn miss(&mut self, id: SessionId, token: Token, work: Work) {
        self.note_late_stop(id, token, StopProof::NotHeld);
        let arrival = self.arrival(id, token);
        if arrival == Arrival::Unknown {
            self.refund(token);
        }
        if let Work::Lease(task) = work {
            let end = self.missing(task, arrival);
            let account = Account::new(Word::Nobody, EndKind::NotHeld, StopProof::NotHeld);
            self.settle(task, end, account);
        }
        self.vacate(id, token);
    }

    /// Tells a worker that a lease is not its own. One that was decided is only waiting for the acknowledgement.
    fn disown(&mut self, id: SessionId, stream: StreamId, token: Token) {
        let unknown = self.roster.get(id).is_some_and(|session| session.work(token).is_none());
        if unknown && !self.book.decided.contains(token) {
            let (reason, grace) = (RevocationReason::UnknownLease, Duration::ZERO);
            self.emit(Effect::Revoke { stream, token, reason, grace });
        }
    }

    /// What is known of how the assignment of a lease came to its worker.
    fn arrival(&self, id: SessionId, token: Token) -> Arrival {
        self.roster.get(id).map_or(Arrival::Unknown, |session| session.arrival(token))
    }

    fn holdings(&self, id: SessionId) -> Vec<(Token, Work)> {
        self.roster.get(id).map(|session| session.held().collect()).unwrap_or_default()
    }
}
