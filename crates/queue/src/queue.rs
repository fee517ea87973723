//! The state machine: one command in, one reply and a few records and effects out.
//!
//! It knows no clock, disk, network or runtime. Here is the branching; what an arm does is in the file of its noun.

use std::{collections::BTreeMap, hash::Hasher, time::Duration};

use leasehold_policy::{Mutant, Time};

use crate::{
    Audience, Command, Config, Corrupt, Effect, Name, Output, Phase, Record, Reply, Revoking,
    SessionId, Size, Task, TaskId, Token, Unknown, Usage,
    book::Book,
    eviction::Bans,
    fingerprint::Print,
    fold::Folded,
    gate::Gates,
    idle::Idle,
    mark::{self, Index, Mark},
    pace::Paces,
    parking::Parking,
    roster::Roster,
    session::{Session, Work},
    timers::{Alarm, Timers},
};

/// The leased priority queue.
///
/// Its life: [`new`](Self::new), [`replay`](Self::replay) every record of the journal, [`recovered`](Self::recovered)
/// once, then [`apply`](Self::apply) and [`take_output`](Self::take_output) for ever.
#[derive(Clone, Debug)]
pub struct Queue {
    pub(crate) config: Config,
    pub(crate) now: Time,
    pub(crate) book: Book,
    pub(crate) index: Index,
    pub(crate) roster: Roster,
    pub(crate) parking: Parking,
    pub(crate) bans: Bans,
    /// Sessions that did not start a task in time: others are preferred for it the next time. Cleared by its next grant
    /// or its end, so never more than there are open tasks.
    pub(crate) avoided: BTreeMap<TaskId, SessionId>,
    /// How long tasks run.
    pub(crate) paces: Paces,
    epoch: u32,
    /// How many tokens of the epoch are used up.
    minted: u32,
    output: Output,
    audience: Audience,
    #[cfg(debug_assertions)]
    pub(crate) ceilings: Ceilings,
    #[cfg(debug_assertions)]
    applied: u64,
}

/// How much an open task may have used up: more than the configuration allows, if it allowed more before.
#[cfg(debug_assertions)]
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Ceilings {
    pub(crate) worker_losses: u32,
    pub(crate) leases: u32,
}

#[cfg(debug_assertions)]
impl Ceilings {
    /// At least these.
    fn raise(&mut self, worker_losses: u32, leases: u32) {
        self.worker_losses = self.worker_losses.max(worker_losses);
        self.leases = self.leases.max(leases);
    }
}

impl Queue {
    /// An empty queue whose tokens belong to `epoch`.
    pub fn new(config: Config, epoch: u32) -> Self {
        let declared = config.declared_queues.clone();
        let book = Book { session_ttl_max: config.session_ttl, declared, ..Book::default() };
        Self {
            config,
            now: Time::default(),
            book,
            index: Index::default(),
            roster: Roster::default(),
            parking: Parking::default(),
            bans: Bans::default(),
            avoided: BTreeMap::new(),
            paces: Paces::default(),
            epoch,
            minted: 0,
            output: Output::default(),
            audience: Audience::Watchers,
            #[cfg(debug_assertions)]
            ceilings: Ceilings::default(),
            #[cfg(debug_assertions)]
            applied: 0,
        }
    }

    /// Folds one record of the journal, oldest first, before anything is applied.
    ///
    /// Facts that are kept beside the journal are records too: a pause is a [`Record::QueuePaused`], the longest promise to
    /// workers an [`Record::EpochStarted`].
    pub fn replay(&mut self, record: Record, unknown: Unknown) -> Result<(), Corrupt> {
        self.book.absorb(record, unknown)
    }

    /// The journal is read: from here on commands are applied. Leases found in it are kept for their workers as long as
    /// the longest session TTL ever promised says. It was last written at `written`, if ever. Leaves a [`Record::EpochStarted`] in the output.
    pub fn recovered(&mut self, now: Time, written: Option<Time>) {
        self.now = self.now.max(now);
        self.index.lanes.gates = Gates::new(&self.config.throttles, written);
        self.index.lanes.gates.tick(self.now);
        let leased: Vec<TaskId> = self.book.tasks.iter().filter_map(leased).collect();
        for id in leased {
            if Mutant::LeaseForgottenAtBoot.is_alive() {
                continue;
            }
            self.adopt(id);
        }
        if Mutant::KeysForgottenAtBoot.is_alive() {
            self.book.keys = crate::keys::Keys::default();
        }
        if Mutant::QuotaForgottenAtBoot.is_alive() {
            self.book.templates.namespaces.each_mut(|usage| *usage = Usage::default());
        }
        if Mutant::CancelForgottenAtBoot.is_alive() {
            for id in self.book.tasks.iter().map(|task| task.id).collect::<Vec<_>>() {
                if let Some(task) = self.book.tasks.get_mut(id) {
                    task.cancel_requested = false;
                }
            }
        }
        if Mutant::PauseForgottenAtBoot.is_alive() {
            self.book.pauses.clear();
        }
        if Mutant::ExtensionForgottenAtBoot.is_alive() {
            for id in self.book.tasks.iter().map(|task| task.id).collect::<Vec<_>>() {
                if let Some(lease) = self.book.lease_mut(id) {
                    lease.extended = None;
                }
            }
        }
        for queue in &self.book.pauses {
            // When they began is not in the journal.
            self.index.lanes.pause(queue, None);
        }
        let Book { tasks, templates, .. } = &mut self.book;
        for (task, template) in tasks.iter_with_templates() {
            let (mark, since) = (Mark::of(task, template), waiting_since(task, self.now));
            self.index.insert(&mark, since, templates);
        }
        self.book.idle = Idle::default();
        self.start_epoch();
        self.raise_ceilings();
        self.check();
    }

    /// Does one thing. `now` never decreases from call to call; if it does, time stands still.
    pub fn apply(&mut self, now: Time, command: Command) -> Reply {
        let before = self.now;
        self.now = before.max(now);
        self.index.lanes.gates.tick(self.now);
        let reply = self.dispatch(command, before);
        self.tell_turned();
        self.check();
        reply
    }

    /// Everything to write and send since the last call.
    pub fn take_output(&mut self) -> Output {
        let Output { records, effects } = &self.output;
        // As much again is likely: what grows step by step is copied at each.
        let (records, effects) =
            (Vec::with_capacity(records.len()), Vec::with_capacity(effects.len()));
        std::mem::replace(&mut self.output, Output { records, effects })
    }

    /// Lets the payload of a task go, and keeps its length. Whoever does has it elsewhere: from here on an assignment of it, and
    /// a record or an effect that shows it whole, is to be completed.
    pub fn let_go(&mut self, task: TaskId) {
        self.book.let_go(task);
    }

    /// How many bytes the payloads of open tasks take in memory.
    pub const fn payload_bytes(&self) -> u64 {
        self.book.payload_bytes
    }

    /// Says who sees a task change from here on. At first there may be [`Audience::Watchers`].
    pub const fn play_to(&mut self, audience: Audience) {
        self.audience = audience;
    }

    /// When [`Command::Advance`] next has something to do. Neither heartbeats nor leases move it, so it may be early.
    pub fn next_deadline(&self) -> Option<Time> {
        let lanes = &self.index.lanes;
        let opening = [lanes.next_opening(), lanes.gates.next_turn()].into_iter().flatten().min();
        let alarms = [self.index.next_alarm(), self.book.keys.next_expiry(), opening];
        alarms.into_iter().flatten().min()
    }

    /// How many more leases can be granted before a new epoch has to be claimed.
    pub fn tokens_left(&self) -> u32 {
        Token::PER_EPOCH - self.minted
    }

    /// The longest session TTL ever promised to a worker.
    pub fn session_ttl_max(&self) -> Duration {
        self.book.session_ttl_max
    }

    /// For checkers that explore states: feeds `hasher` with everything that can make a difference to what the queue does
    /// from `now` on. Times count by how far ahead they are, all of those beyond `horizon` alike, so that a state and the same
    /// one later have the same fingerprint. What a task asked for is told by its id alone, and
    /// which queues without tasks are remembered is left out; so is what queues and keys have had, and how long tasks ran,
    /// which matter only where there are several. No output may be pending.
    #[doc(hidden)]
    pub fn fingerprint(&self, now: Time, horizon: Duration, hasher: &mut dyn Hasher) {
        debug_assert!(self.output.records.is_empty() && self.output.effects.is_empty());
        let mut print = Print::new(self.now.max(now), horizon, hasher);
        self.book.fingerprint(&mut print);
        for task in self.book.tasks.iter() {
            let session = task.lease().map(|lease| lease.session);
            print.put((task.phase == Phase::Queued, session));
            let unheard = self.may_be_late(task);
            print.put(unheard.map(|end| (end.token, &end.worker, &end.instance)));
            print.left(mark::silence_alarm(task).unwrap_or(Time::NEVER));
            print.left(mark::silence_limit(task).unwrap_or(Time::NEVER));
        }
        self.roster.fingerprint(&mut print);
        self.parking.fingerprint(&mut print);
        for (worker, until) in self.bans.iter().filter(|(_, until)| self.now < *until) {
            print.put(worker);
            print.left(until);
        }
        print.put((&self.avoided, self.epoch, self.minted));
        print.left(self.next_deadline().unwrap_or(Time::NEVER));
    }

    /// Like [`fingerprint`](Self::fingerprint), of what a journal rebuilds, as it is at `now`: the same before and after a
    /// restart.
    #[doc(hidden)]
    pub fn fingerprint_durable(&self, now: Time, horizon: Duration, hasher: &mut dyn Hasher) {
        self.book.fingerprint(&mut Print::new(now, horizon, hasher));
    }

    fn dispatch(&mut self, command: Command, before: Time) -> Reply {
        match command {
            Command::Submit(submit) => return Reply::Submitted(self.submit(*submit)),
            Command::Cancel { task } => return Reply::Cancelled(self.cancel(task).map(Box::new)),
            Command::Replay(dead) => return Reply::Replayed(self.replay_dead(*dead)),
            Command::Pause { queue, paused: true } => return Reply::Paused(self.pause(queue)),
            Command::Pause { queue, paused: false } => return Reply::Paused(self.resume(queue)),
            Command::Hello(hello) => return Reply::Welcome(self.hello(*hello)),
            Command::Heartbeat { stream, held } => {
                return Reply::Heard(self.heartbeat(stream, held));
            }
            Command::DrainWorker { worker, grace } => {
                return Reply::Draining(self.drain_worker(&worker, grace));
            }
            Command::RevokeLease { token, grace } => {
                return Reply::Revoked(self.revoke_lease(token, grace));
            }
            Command::EvictWorker { worker, grace, ban } => {
                return Reply::Evicted(self.evict(&worker, grace, ban));
            }
            Command::ResetBreaker { guarded } => return Reply::Reset(self.reset_breaker(guarded)),
            Command::Grant { most } => return Reply::Granted(self.grant(most)),
            Command::Sent { stream, tokens } => self.sent(stream, &tokens),
            Command::Delivered { stream, tokens } => self.delivered(stream, &tokens),
            Command::Informed { stream, revocations } => self.informed(stream, &revocations),
            Command::Capacity { stream, slots, resources, prefetch } => {
                self.capacity(stream, Size { slots, resources }, prefetch);
            }
            Command::Reading { stream, is_behind } => {
                if let Some(id) = self.roster.on_stream(stream) {
                    self.update(id, |session| session.is_behind = is_behind);
                }
            }
            Command::SlotsLost { stream, count } => self.slots_lost(stream, count),
            Command::Started { stream, token } => self.started(stream, token),
            Command::Progressed { stream, token, progress } => {
                self.progressed(stream, token, progress);
            }
            Command::Save { stream, token, data } => {
                return Reply::Saved(self.save(stream, token, data));
            }
            Command::Extend { stream, token, remaining } => self.extend(stream, token, remaining),
            Command::Outcome { stream, token, outcome, ran } => {
                self.outcome(stream, token, outcome, ran);
            }
            Command::Drain { stream } => self.drain(stream),
            Command::Goodbye { stream } => self.goodbye(stream),
            Command::Disconnect { stream } => self.disconnect(stream),
            Command::Stalled { by } => self.stalled(by, self.now.since(before)),
            Command::Claimed { epoch } => self.claimed(epoch),
            Command::Configure(config) => self.configure(*config),
            Command::Advance { until } => self.advance(until),
            Command::Move { tasks, keys } => self.rewrite(&tasks, &keys),
        }
        Reply::Done
    }

    /// The one door for everything durable. Hands back the task if it ended.
    pub(crate) fn write(&mut self, record: Record) -> Option<Box<Task>> {
        let folded = self.book.fold(&record, Unknown::Refuse);
        assert!(
            folded.is_ok(),
            "a record that cannot be read back must not be written: {folded:?}"
        );
        let Folded { before, after, ended } = folded.unwrap_or_default();
        let templates = &mut self.book.templates;
        self.index.shift(before.as_ref(), after.as_ref(), self.now, templates);
        self.output.records.push(record);
        ended
    }

    pub(crate) fn emit(&mut self, effect: Effect) {
        self.output.effects.push(effect);
    }

    /// What was emitted last.
    pub(crate) fn emitted(&self) -> Option<&Effect> {
        self.output.effects.last()
    }

    /// Shows an open task to those who watch.
    pub(crate) fn show(&mut self, id: TaskId) {
        if self.audience == Audience::Watchers
            && let Some(task) = self.book.task(id)
        {
            self.output.effects.push(Effect::Changed(Box::new(task.clone())));
        }
    }

    /// Changes a session, keeps its place among the others and its alarm right.
    pub(crate) fn update<R>(
        &mut self,
        id: SessionId,
        change: impl FnOnce(&mut Session) -> R,
    ) -> Option<R> {
        let timers = &mut self.index.timers;
        self.roster.update(id, |session| changed(session, change, (id, timers)))
    }

    /// Changes what is expected of a session, and keeps its alarm right: it stands among the others where it stood.
    pub(crate) fn attend<R>(
        &mut self,
        id: SessionId,
        change: impl FnOnce(&mut Session) -> R,
    ) -> Option<R> {
        let timers = &mut self.index.timers;
        self.roster.attend(id, |session| changed(session, change, (id, timers)))
    }

    /// A token that no lease ever had, if the epoch has one left.
    pub(crate) fn mint(&mut self) -> Option<Token> {
        if self.minted == Token::PER_EPOCH {
            return None;
        }
        let epoch = if Mutant::TokenReuse.is_alive() { 1 } else { self.epoch };
        let token = Token::new(epoch, self.minted);
        self.minted += 1;
        Some(token)
    }

    /// For how long the coordinator has to believe in a worker that was promised `ttl`.
    pub(crate) fn patience(&self, ttl: Duration) -> Duration {
        if Mutant::DriftIgnored.is_alive() {
            return ttl * 19 / 20;
        }
        ttl.saturating_mul(1_000 + self.config.drift_per_mille) / 1_000
    }

    fn claimed(&mut self, epoch: u32) {
        assert!(self.epoch < epoch, "epochs only grow: {epoch} after {}", self.epoch);
        (self.epoch, self.minted) = (epoch, 0);
        self.start_epoch();
    }

    fn start_epoch(&mut self) {
        let session_ttl = self.config.session_ttl;
        self.write(Record::EpochStarted { epoch: self.epoch, time: self.now, session_ttl });
    }

    /// Sessions that live are believed in for as long as their workers were promised; who comes from here on is promised what this
    /// says, and that is written down first if it is longer than ever. A queue that is not declared any more exists for
    /// as long as it is in use.
    fn configure(&mut self, config: Config) {
        self.book.declare(config.declared_queues.clone());
        if !config.create_queues {
            // As after a restart: what nobody uses is not known any more.
            self.book.idle = Idle::default();
        }
        let has_other_limits = self.config.throttles != config.throttles;
        self.config = config;
        if has_other_limits {
            self.throttle();
        }
        if self.book.session_ttl_max < self.config.session_ttl
            && !Mutant::LongerTtlUnpromised.is_alive()
        {
            self.start_epoch();
        }
        self.raise_ceilings();
    }

    /// Gives a lease of an earlier process to a session that stands for its worker until it is back.
    fn adopt(&mut self, id: TaskId) {
        let Some(lease) = self.book.lease_mut(id) else { return };
        let (token, worker, instance) =
            (lease.token, Name::clone(&lease.worker), Name::clone(&lease.instance));
        let is_forgotten = Mutant::SizeForgottenAtBoot.is_alive();
        let size = if is_forgotten { Size::default() } else { self.size_of(id) };
        let session = self.roster.of_instance(&worker, &instance).unwrap_or_else(|| {
            let longest = match () {
                () if Mutant::TtlShortenedAtBoot.is_alive() => self.config.session_ttl,
                () if Mutant::NoGraceAtBoot.is_alive() => Duration::ZERO,
                () => self.book.session_ttl_max,
            };
            let believed = self.patience(longest);
            self.roster.open(Session::new(worker, instance, self.now, believed))
        });
        self.update(session, |session| session.hold(token, Work::Lease(id), &size));
        if let Some(task) =
            self.book.task(id).filter(|_| !Mutant::PermitsForgottenAtBoot.is_alive())
        {
            self.index.lanes.gates.adopt(task, token);
        }
        let now = self.now;
        if let Some(lease) = self.book.lease_mut(id) {
            lease.session = Some(session);
            lease.progress = None;
            lease.revoking = lease.revoking.map(|it| Revoking { delivered: None, ..it });
            // What it did while nobody listened is not held against it.
            (lease.heard, lease.silence_since) = (Some(now), Some(now));
        }
    }

    fn rewrite(&mut self, tasks: &[TaskId], keys: &[(Name, Name)]) {
        for id in tasks {
            if let Some(task) = self.book.task(*id) {
                let forgets = Mutant::MoveForgetsCancel.is_alive();
                let cancel_requested = task.cancel_requested && !forgets;
                let mut task = Task { cancel_requested, ..task.clone() };
                if Mutant::MoveForgetsCheckpoint.is_alive() {
                    task.leave(|past| past.checkpoint = None);
                }
                self.write(Record::TaskMoved(Box::new(task)));
            }
        }
        for (queue, name) in keys {
            if let Some((key, task, until)) = self.book.keys.kept(queue, name) {
                self.write(Record::KeyKept { queue: Name::clone(queue), key, task, until });
            }
        }
    }

    /// A limit that was lowered, while the process ran or in between, is looked at when a lease ends, not before.
    #[cfg(debug_assertions)]
    fn raise_ceilings(&mut self) {
        self.ceilings.raise(self.config.worker_losses_max, self.config.leases_max);
        for task in self.book.tasks.iter() {
            self.ceilings.raise(task.worker_losses() + 1, task.leases + 1);
        }
    }

    #[cfg(not(debug_assertions))]
    #[expect(clippy::unused_self, clippy::needless_pass_by_ref_mut, reason = "for debug builds")]
    fn raise_ceilings(&mut self) {}

    #[cfg(debug_assertions)]
    fn check(&mut self) {
        self.applied += 1;
        crate::invariant::check_some(self, self.applied);
    }

    #[cfg(not(debug_assertions))]
    #[expect(
        clippy::unused_self,
        clippy::needless_pass_by_ref_mut,
        reason = "the checks are for debug builds"
    )]
    fn check(&mut self) {}
}

/// Changes a session, and sets its alarm anew if that makes it due earlier.
fn changed<R>(
    session: &mut Session,
    change: impl FnOnce(&mut Session) -> R,
    (id, timers): (SessionId, &mut Timers),
) -> R {
    let result = change(session);
    let due = session.rings_by();
    if due < session.armed {
        timers.unset(session.armed, Alarm::Session(id));
        timers.set(due, Alarm::Session(id));
        session.armed = due;
    }
    result
}

fn leased(task: &Task) -> Option<TaskId> {
    matches!(task.phase, Phase::Leased(_)).then_some(task.id)
}

/// Since when a recovered task could be leased. That is not durable: a task that was never leased has waited since its
/// delay was over, another one is counted from the restart.
fn waiting_since(task: &Task, now: Time) -> Time {
    if task.last_token().is_none() { task.first_ready().min(now) } else { now }
}
