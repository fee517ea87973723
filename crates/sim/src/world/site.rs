//! The coordinator's process: started, turned, stopped, and what it says carried away.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
    time::Duration,
};

use leasehold_coordinator::{
    config::{
        Breaker, Config, LateResults, Per, QueueOverride, QueueSettings, RateLimit, RetryBudget,
    },
    simulation::{Coordinator, Dial, Exit, Start, Work},
};
use leasehold_policy::{Rate, Time, namespace};
use leasehold_queue::{Name, SessionId, SessionState, StreamId};
use leasehold_worker::simulation::Hangup;

use super::{
    Event, World, micros_up,
    watch::holds,
    wire::{Parcel, WireId},
};
use crate::{
    fault::Way,
    judge::Violation,
    moment::{MS, Micros, SECOND},
    plan::{self, DEPENDENCY, KEYS, RATE, Setting, TEAM, Wanted, queue_name},
    probe::Probe,
};

/// What wall clocks show when the simulation begins: some day in 2025.
const WALL_MS: u64 = 1_764_000_000_000;

/// What the journal is called.
pub(super) const JOURNAL: &str = "simulated";

/// A turn follows news within that time.
const TURN_WITHIN: Micros = 200;

/// How long the coordinator takes to be back after the end of all faults.
const COMEBACK: Micros = 100 * MS;

/// The coordinator's process.
pub(super) struct Site {
    pub(super) machine: Option<Box<Coordinator>>,
    /// How often it was started.
    pub(super) incarnation: u32,
    dial: Arc<Dial>,
    pub(super) wall_offset_ms: i64,
    pub(super) paused_until: Option<Micros>,
    /// When it last went on, and how late it then was for what had been due.
    pub(super) woke_at: Micros,
    pub(super) overslept: Micros,
    turn_at: Option<Micros>,
    /// How much time was left for streams to begin in, and when.
    bucket: Option<(Micros, Micros)>,
    /// Since when its machine sleeps, and how long it has slept in all.
    pub(super) asleep_since: Option<Micros>,
    asleep: Micros,
    /// When it did its last turn.
    pub(super) turned_at: Micros,
    /// What its clock showed in its turns, ascending, and when the first and the last of those turns were.
    turns: Vec<(Time, Micros, Micros)>,
    /// When which start of which worker said that it lives while it stood still.
    pub(super) unread: Vec<(usize, u32, Micros)>,
    /// What arrived while it stood still.
    pub(super) backlog: VecDeque<(WireId, Parcel)>,
    pub(super) session_ttl: Duration,
    /// The shortest and the longest one that this process may have promised to anybody.
    pub(super) session_ttl_least: Duration,
    pub(super) session_ttl_most: Duration,
    /// The longest one that any worker had been promised when it began: as long it believes in those that it has not heard.
    pub(super) session_ttl_found: Micros,
    open_tasks: u64,
    /// How many tasks may have been allowed to be open, whenever.
    pub(super) bounds: BTreeSet<u64>,
    /// The longest one that any worker can have been promised: promises are durable first.
    pub(super) session_ttl_max: Duration,
    pub(super) booted_at: Micros,
    pub(super) has_appended: bool,
    is_booting: bool,
    /// It was asked to end: it listens to no worker that comes back.
    pub(super) is_stopping: bool,
    /// The sessions after the last turn.
    pub(super) sessions: BTreeMap<SessionId, (Name, Name, SessionState)>,
    /// Since when which of them are evicted.
    pub(super) evicted: BTreeMap<SessionId, Micros>,
    /// Until then sessions may outlive their time: the coordinator was held up.
    pub(super) lenient_until: Micros,
}

impl Site {
    pub(super) fn new(setting: &Setting) -> Self {
        Self {
            machine: None,
            incarnation: 0,
            dial: Arc::new(Dial::default()),
            wall_offset_ms: 0,
            paused_until: None,
            woke_at: 0,
            overslept: 0,
            turn_at: None,
            bucket: None,
            asleep_since: None,
            asleep: 0,
            turned_at: 0,
            turns: Vec::new(),
            unread: Vec::new(),
            backlog: VecDeque::new(),
            session_ttl: setting.session_ttl,
            session_ttl_least: setting.session_ttl,
            session_ttl_most: setting.session_ttl,
            session_ttl_found: 0,
            open_tasks: Config::default().limits.open_tasks,
            bounds: BTreeSet::new(),
            session_ttl_max: Duration::ZERO,
            booted_at: 0,
            has_appended: false,
            is_booting: true,
            is_stopping: false,
            sessions: BTreeMap::new(),
            evicted: BTreeMap::new(),
            lenient_until: 0,
        }
    }

    /// Between which moments it decided what it says it decided at a time: the only clock that knows is its own, which
    /// stands still while its machine sleeps and is made to run fast or slow.
    pub(super) fn decided(&self, time: Time) -> Option<(Micros, Micros)> {
        let at = self.turns.binary_search_by_key(&time, |(shown, ..)| *shown).ok()?;
        self.turns.get(at).map(|(_, first, last)| (*first, *last))
    }

    /// What its clock showed in the last turn that began by then.
    pub(super) fn shown_at(&self, at: Micros) -> Option<Time> {
        let turns = self.turns.partition_point(|(_, first, _)| *first <= at);
        self.turns.get(turns.checked_sub(1)?).map(|(shown, ..)| *shown)
    }

    fn note_turn(&mut self, now: Micros) {
        let Some(shown) = self.machine.as_ref().map(|machine| machine.now()) else { return };
        self.turned_at = now;
        match self.turns.last_mut() {
            Some((same, _, last)) if *same == shown => *last = now,
            _ => self.turns.push((shown, now, now)),
        }
    }

    /// It is asked to go by this from now on.
    pub(super) fn may_go_by(&mut self, config: &Config) {
        self.session_ttl_least = self.session_ttl_least.min(config.session.ttl);
        self.session_ttl_most = self.session_ttl_most.max(config.session.ttl);
        self.bounds.insert(config.limits.open_tasks);
    }

    /// This holds, and so it does for the next process.
    pub(super) const fn configured(&mut self, config: &Config) {
        (self.session_ttl, self.open_tasks) = (config.session.ttl, config.limits.open_tasks);
    }

    /// Whether it stands still: until it has been told to go on.
    pub(super) const fn is_paused(&self) -> bool {
        self.paused_until.is_some()
    }
}

/// Life and death.
impl World {
    pub(super) fn boot(&mut self) {
        if self.site.machine.is_some() || !self.site.is_booting {
            return;
        }
        self.site.is_booting = false;
        self.site.incarnation += 1;
        self.set_clocks();
        let epoch = self.drive.disk.claim(self.site.dial.wall().unix_ms() / 1_000);
        let started = Coordinator::start(self.start(epoch));
        match started {
            Ok(machine) => self.site.machine = Some(Box::new(machine)),
            Err(error) => return self.fail(Violation::new("recovery", error.to_string())),
        }
        self.site.booted_at = self.now;
        self.site.session_ttl_least = self.site.session_ttl;
        self.site.session_ttl_most = self.site.session_ttl;
        self.site.session_ttl_found = self.session_ttl_max();
        (self.site.has_appended, self.site.is_stopping) = (false, false);
        self.site.paused_until = None;
        self.site.sessions.clear();
        self.site.evicted.clear();
        self.crew.iter_mut().for_each(|hand| hand.at_the_door = None);
        self.site.turns.clear();
        self.site.bucket = None;
        if 1 < self.site.incarnation {
            self.stats.recoveries += 1;
            self.sometimes(Probe::Recovered);
        }
        self.compare_with_ledger();
        if self.now < self.drive.full_until {
            self.after(self.drive.full_until - self.now, Event::Room);
        }
        self.site.turn_at = None;
        self.turn_soon();
        self.watch_sessions();
    }

    /// What a coordinator would begin with now.
    pub(super) fn start(&self, epoch: u32) -> Start<'_> {
        let disk = &self.drive.disk;
        Start {
            config: self.config(),
            journal_id: JOURNAL.to_owned(),
            epoch,
            batches: disk.batches(),
            head: disk.head(),
            settled: disk.settled(),
            facts: disk.facts(),
            tidy_bytes: self.plan.setting.tidy_bytes,
            least_payload_bytes: 0,
            payloads_ahead_share: 1,
            dial: Arc::clone(&self.site.dial),
        }
    }

    fn config(&self) -> Config {
        let (mut config, setting) = (Config::default(), &self.plan.setting);
        config.session.ttl = self.site.session_ttl;
        config.session.heartbeat_interval = self.site.session_ttl / 4;
        config.retention.keys = setting.key_retention;
        config.retention.finished = setting.finished_retention;
        config.limits.worker_losses = setting.worker_losses;
        config.limits.attempt_timeout = setting.attempt_max;
        config.limits.open_tasks = self.site.open_tasks;
        if let Some(bytes) = setting.payload_memory {
            config.limits.payload_memory = bytes;
        }
        config.queues.aging_every = setting.aging_every;
        config.queues.cull_after_runs = setting.cull_after_runs;
        let settings = (0..).zip(setting.weights).map(|(queue, weight)| {
            let is_late = setting.late_results.contains(&queue);
            let late_results =
                if is_late { LateResults::AcceptIfNewest } else { LateResults::Reject };
            let weights = [("red".to_owned(), 2)].into();
            let limits = setting.limits.filter(|_| queue == 1);
            let concurrency = limits.map(|limits| limits.queue_cap);
            let rate = limits.map(|limits| per_second(limits.queue_rate));
            let own = QueueSettings {
                late_results,
                weight,
                weights,
                concurrency,
                rate,
                ..QueueSettings::default()
            };
            (queue, own)
        });
        let is_plain = |it: &QueueSettings| {
            it.weight == 1 && it.late_results == LateResults::Reject && it.rate.is_none()
        };
        if let Some(limits) = setting.limits {
            config.concurrency.keys = [(KEYS[0].to_owned(), limits.cap)].into();
            config.rates = [(RATE.to_owned(), per_second(limits.rate))].into();
        }
        if let Some(breaker) = &setting.breaker {
            config.breakers.dependencies = [(DEPENDENCY.to_owned(), breaker_of(breaker))].into();
        }
        for (queue, own) in settings.filter(|(_, own)| !is_plain(own)) {
            let known = queue_name(queue);
            let (space, name) = namespace::split(&known);
            if space == namespace::DEFAULT {
                config.queues.settings.insert(name.to_owned(), own);
            } else {
                let team = config.namespaces.entry(space.to_owned()).or_default();
                team.queues.insert(name.to_owned(), over(own));
            }
        }
        if let Some(quota) = setting.quota {
            config.namespaces.entry(TEAM.to_owned()).or_default().open_tasks = Some(quota);
        }
        config
    }

    /// The configuration that is wished for.
    pub(super) fn configured(&self, wanted: Wanted) -> Config {
        let mut config = self.config();
        config.session.ttl = wanted.session_ttl;
        config.session.heartbeat_interval = wanted.session_ttl / 4;
        config.limits.open_tasks = wanted.open_tasks;
        config
    }

    fn set_clocks(&mut self) {
        let monotonic = Duration::from_micros(self.now - self.site.asleep);
        let wall = (WALL_MS + self.now / MS).saturating_add_signed(self.site.wall_offset_ms);
        self.site.dial.set(monotonic, Time::from_unix_ms(wall));
    }

    /// The process dies and is started again.
    pub(super) fn crash(&mut self, down: Micros) {
        if self.site.machine.take().is_none() {
            return;
        }
        self.stats.crashes += 1;
        if !self.site.has_appended {
            self.sometimes(Probe::CrashInRecovery);
        }
        self.drop_work();
        self.gone(down);
    }

    /// The machine is awake again, if it slept.
    fn awake(&mut self) {
        if let Some(since) = self.site.asleep_since.take() {
            self.site.asleep += self.now - since;
            self.sometimes(Probe::Slept);
        }
    }

    /// The process is gone: so are its connections and calls.
    fn gone(&mut self, down: Micros) {
        self.awake();
        self.site.machine = None;
        self.site.backlog.clear();
        self.site.unread.clear();
        self.site.paused_until = None;
        let open: Vec<WireId> =
            self.wires.iter().filter(|(_, wire)| wire.is_open).map(|(id, _)| *id).collect();
        for id in open {
            self.close(id, Hangup::Broken);
        }
        self.calls_broken();
        self.site.is_booting = true;
        let down = if self.is_healed { down.min(COMEBACK) } else { down };
        self.after(down, Event::Boot);
    }

    /// It is stopped for a while.
    pub(super) fn pause_site(&mut self, pause: Micros) {
        if self.site.machine.is_none() || self.site.is_paused() {
            return;
        }
        let until = self.now + pause;
        self.site.paused_until = Some(until);
        self.schedule(until, Event::Wake(self.site.incarnation));
    }

    /// It goes on: what has arrived is read before the engine gives anybody up, which waits for that.
    pub(super) fn wake(&mut self, incarnation: u32) {
        let is_due = self.site.paused_until.is_some_and(|until| until <= self.now);
        if incarnation != self.site.incarnation || !is_due {
            return;
        }
        self.awake();
        self.site.paused_until = None;
        self.site.woke_at = self.now;
        let due = self.site.turn_at.unwrap_or(self.now);
        self.site.overslept = self.now.saturating_sub(due);
        self.site.lenient_until = self.now + 3 * self.session_ttl_max() + SECOND;
        self.sometimes(Probe::Stalled);
        for (worker, incarnation, at) in std::mem::take(&mut self.site.unread) {
            self.crew[worker].heard.insert(incarnation, (at, self.site.incarnation));
        }
        while let Some((id, parcel)) = self.site.backlog.pop_front() {
            self.take_in(id, parcel);
        }
        self.calls_wake();
        self.turn();
    }
}

/// The door.
impl World {
    /// Whether a stream may begin, and so whether too many have begun of late.
    pub(super) fn is_let_in(&mut self) -> bool {
        let Some((interval, burst)) = self.plan.setting.beginnings else { return true };
        let Some(machine) = &mut self.site.machine else { return false };
        let rate = Rate { interval: Duration::from_micros(interval), burst };
        let is_let_in = machine.begin(Duration::from_micros(self.now), rate);
        // The judge fills a bucket by hand: so much time for each stream, and no more than it holds.
        let full = interval * u64::from(burst);
        let (level, since) = self.site.bucket.unwrap_or((full, self.now));
        let level = full.min(level + self.now - since);
        let should_be = interval <= level;
        let level = if should_be { level - interval } else { level };
        self.site.bucket = Some((level, self.now));
        if !is_let_in {
            self.sometimes(Probe::TurnedAway);
        }
        self.check(holds(is_let_in == should_be, "door", || {
            format!("let in: {is_let_in}, {level} us of {full} us left")
        }));
        is_let_in
    }
}

/// Turns.
impl World {
    /// Something is new: the engine will look.
    pub(super) fn turn_soon(&mut self) {
        let at = self.now + self.rng.u64(..=TURN_WITHIN);
        self.turn_at(at);
    }

    fn turn_at(&mut self, at: Micros) {
        // A process that stands still does a turn when it goes on, and is late for what was due before.
        if self.site.is_paused() {
            return;
        }
        if self.site.turn_at.is_none_or(|earlier| at < earlier) {
            self.site.turn_at = Some(at);
            self.schedule(at, Event::Turn(self.site.incarnation));
        }
    }

    pub(super) fn turn_due(&mut self, incarnation: u32) {
        let is_due = self.site.turn_at == Some(self.now);
        if incarnation == self.site.incarnation && is_due && !self.site.is_paused() {
            self.turn();
        }
    }

    fn next_work(&mut self) -> Option<Work> {
        let disk = &self.drive.disk;
        self.site.machine.as_mut()?.work(|position| disk.batch(position))
    }

    fn turn(&mut self) {
        self.set_clocks();
        let Some(machine) = &mut self.site.machine else { return };
        self.site.turn_at = None;
        let turned = machine.turn();
        self.site.note_turn(self.now);
        let wait = match turned {
            Ok(wait) => wait,
            Err(exit) => return self.exited(exit),
        };
        while let Some(work) = self.next_work() {
            self.give(work);
        }
        self.pump_all();
        let answers = self.site.machine.as_mut().map(|machine| machine.answers());
        for (ticket, answer) in answers.unwrap_or_default() {
            self.answer(ticket, answer);
        }
        self.watch_sessions();
        self.compare_sometimes();
        if let Some(wait) = wait {
            self.turn_at(self.now + micros_up(wait).max(50));
        }
    }

    fn exited(&mut self, exit: Exit) {
        self.pump_all();
        match exit {
            Exit::Stopped => self.sometimes(Probe::Terminated),
            Exit::Failed => self.stats.crashes += 1,
        }
        self.drop_work();
        let down = self.rng.u64(5 * MS..=500 * MS);
        self.gone(down);
    }

    fn pump_all(&mut self) {
        let streams = self.site.machine.as_ref().map(|machine| machine.streams());
        for StreamId(id) in streams.unwrap_or_default() {
            self.pump(id);
        }
    }

    /// Sends what the coordinator has to say on a stream, as far as there is room.
    pub(super) fn pump(&mut self, id: WireId) {
        let is_here = self
            .wires
            .get(&id)
            .is_some_and(|wire| wire.is_open && wire.site == self.site.incarnation);
        if !is_here || self.site.is_paused() {
            return;
        }
        let stream = StreamId(id);
        let closed = self.site.machine.as_mut().and_then(|machine| machine.closed(stream));
        if let Some(last) = closed {
            self.turn_soon();
            return self.part(id, last);
        }
        while self.has_room(id, Way::Out) {
            let frame = self.site.machine.as_mut().and_then(|machine| machine.frame(stream));
            let Some(frame) = frame else { break };
            self.judge_frame(id, &frame);
            self.send(id, Way::Out, Parcel::Told(frame));
        }
        self.notice_block(id, stream);
    }

    /// A worker that takes nothing for half a session's life is given up.
    fn notice_block(&mut self, id: WireId, stream: StreamId) {
        let Some(machine) = &mut self.site.machine else { return };
        let has_frame = machine.has_frame(stream);
        let Some(wire) = self.wires.get_mut(&id) else { return };
        if !has_frame {
            wire.blocked_since = None;
            return;
        }
        let since = *wire.blocked_since.get_or_insert(self.now);
        if plan::micros(self.site.session_ttl) / 2 <= self.now - since
            && let Some(last) = machine.give_up(stream)
        {
            self.part(id, last);
            self.turn_soon();
        }
    }
}

/// A circuit breaker as it is configured.
fn breaker_of(breaker: &plan::Breaker) -> Breaker {
    let (per_second, burst) = breaker.retries;
    Breaker {
        window: breaker.window,
        min_calls: breaker.calls_min,
        open_for: breaker.open_for,
        open_for_max: breaker.open_for_max(),
        probes: breaker.probes,
        retry_budget: Some(RetryBudget { per_second: per_second.into(), burst, share: 0.2 }),
        ..Breaker::default()
    }
}

/// So many in a second, and so many at once.
/// The same, as a namespace says it of its own queue.
fn over(own: QueueSettings) -> QueueOverride {
    QueueOverride {
        late_results: Some(own.late_results),
        weight: Some(own.weight),
        weights: own.weights,
        concurrency: own.concurrency,
        rate: own.rate.map(Some),
        ..QueueOverride::default()
    }
}

const fn per_second((tokens, burst): (u32, u32)) -> RateLimit {
    RateLimit { tokens, per: Per::Second, burst }
}
