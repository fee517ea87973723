//! One run of one worker process, as the coordinator believes in it: its stream, its slots, what it holds.
//!
//! It knows no task state and no other session.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet, BinaryHeap},
    time::Duration,
};

use leasehold_policy::{Mutant, Time, namespace};

use crate::{
    HeldLease, LeasePhase, Name, SchemasRead, SessionState, Size, Start, StreamId, TaskId,
    TaskSpec, Token, by_id::ById, fingerprint::Print,
};

/// By how much later than it must the coordinator gives a session up: the granularity of its timers.
const EXPIRY_MARGIN: Duration = Duration::from_millis(10);

/// How long a session that declined for want of capacity gets nothing the first time; it doubles with each time.
const HUSH: Duration = Duration::from_secs(1);

/// The load of a session whose slots are all taken; what it holds beyond them makes it larger.
pub(crate) const FULL: u64 = 1 << 32;

/// How many alarms of leases there may be that are not set any more, beside one for each that is held.
const ALARMS_SPARE: usize = 64;

/// How often that doubles, so that a worker is tried again about every minute.
const HUSH_DOUBLINGS_MAX: u32 = 6;

/// A session.
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
#[derive(Clone, Debug)]
pub(crate) struct Session {
    pub(crate) worker: Name,
    pub(crate) instance: Name,
    /// When its process was started, as that said in its last hello.
    pub(crate) start: Option<Start>,
    /// Grows with each process that says hello for the first time. 0: it has not, to this coordinator process.
    pub(crate) greeted: u64,
    /// None while it is disconnected.
    pub(crate) stream: Option<StreamId>,
    /// Whether its process lived when its stream was already there: it has answered on it. A hello may come from one that
    /// has died since.
    pub(crate) answers: bool,
    /// Its slots, and what else it has, taken or not.
    pub(crate) whole: Size,
    /// Whether its worker knows of sizes. One that does not would start what is ahead beside a lease of all its slots.
    pub(crate) knows_sizes: bool,
    /// How many leases it takes beyond its slots.
    pub(crate) prefetch: u32,
    /// How many of the slots hold work that cannot be stopped, as the worker said on this stream.
    pub(crate) lost: u32,
    pub(crate) task_types: BTreeSet<Name>,
    /// Task types the worker said it serves and then declined, on this stream. At most as many as it said.
    pub(crate) unsupported: BTreeSet<Name>,
    /// The namespaces it serves, as it said in its last hello. Empty: every one.
    pub(crate) namespaces: BTreeSet<Name>,
    /// Which payload schemas it reads, as it said in its last hello.
    pub(crate) reads: SchemasRead,
    pub(crate) labels: Vec<(Name, Name)>,
    pub(crate) software: Name,
    pub(crate) opened: Time,
    pub(crate) last_heard: Time,
    /// Whether an operator gave it up: it is not acknowledged any more.
    pub(crate) is_evicted: bool,
    /// Whether its worker does not read what it is sent.
    pub(crate) is_behind: bool,
    /// Whether it takes nothing new, because either side said so.
    pub(crate) draining: bool,
    /// The operator's request to drain, to be repeated on a new stream.
    pub(crate) drain_request: Option<DrainRequest>,
    /// When its alarm rings; never later than [`rings_by`](Self::rings_by).
    pub(crate) armed: Time,
    /// How long its worker may believe after it was heard, as promised in its last welcome, and what clocks may differ by.
    pub(crate) believed: Duration,
    /// Before this it does not expire, whatever was heard since: the longest promise made before the last one.
    expires_not_before: Time,
    /// How much longer it lives because the coordinator was late since the worker was last heard.
    prolonged: Duration,
    /// How much of that is more than the coordinator can have been late.
    favoured: Duration,
    /// When it is over, which follows from the promises.
    expires_at: Time,
    hushed_until: Option<Time>,
    hushes: u32,
    changes: u64,
    held: ById<Token, Held>,
    /// What of the whole is taken: more than that only where it has shrunk since, or work is not what it was believed to be.
    taken: Size,
    /// How many of the leases were granted ahead of a slot and wait for one.
    ahead: u32,
    /// By when something had to be heard of a lease each time that was said of one. Most are heard of in time, and then nothing
    /// is taken out: whether it still holds is found out when it is over.
    alarms: BinaryHeap<Reverse<(Time, Token)>>,
    /// Since when the leases are over that ended without the worker's word, and whose work may not be.
    outlived: BTreeMap<Token, Time>,
    /// Revoked leases whose worker did not answer in time. Not empty exactly while quarantined.
    overdue: BTreeSet<Token>,
    quarantined_since: Option<Time>,
}

/// What an operator asked of a worker.
#[derive(Clone, Copy, Debug)]
pub(crate) struct DrainRequest {
    /// How long it may wait for what it runs; none: its own setting.
    pub(crate) grace: Option<Duration>,
}

/// What takes something of a session. Each word of a worker about a lease looks for it here: with its token it takes no more
/// than a line of the processor's cache.
#[derive(Clone, Debug)]
struct Held {
    work: Work,
    /// None: one slot and nothing else, as most leases take.
    size: Option<Box<Size>>,
    due: Due,
    /// How many messages about the lease have not left on the session's stream: nothing is expected of the worker before it
    /// could know.
    unsent: u32,
    /// Whether it was granted ahead and waits for a slot, so that nothing is taken by it.
    is_ahead: bool,
    arrival: Arrival,
}

/// What is known of how an assignment came to its worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Arrival {
    /// Nothing.
    Unknown,
    /// It has arrived, so that a worker that does not name its lease does not hold it. After a restart that is assumed.
    Arrived,
}

/// When something has to be heard of a lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Due {
    /// Nothing has.
    Never,
    /// By then.
    By(Time),
    /// So soon after the last message about it has left.
    Within(Duration),
}

/// One slot and nothing else.
static PLAIN: Size = Size { slots: 1, resources: Vec::new() };

/// What it is taken by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Work {
    /// The current lease of this task.
    Lease(TaskId),
    /// A lease that ended without the worker's word: whatever it started may still run.
    Zombie {
        /// The task it was about. None: the worker alone knows.
        task: Option<TaskId>,
    },
}

impl Held {
    /// Work that takes so much, and that the worker knows of.
    fn new(work: Work, size: &Size) -> Self {
        let size = (!size.is_plain()).then(|| Box::new(size.clone()));
        let (due, unsent, is_ahead, arrival) = (Due::Never, 0, false, Arrival::Arrived);
        Self { work, size, due, unsent, is_ahead, arrival }
    }

    /// What it takes, or would if it were not ahead.
    fn size(&self) -> &Size {
        self.size.as_deref().unwrap_or(&PLAIN)
    }

    /// Something is said about it, and has to be answered within that time, if any, from when it leaves.
    fn say(&mut self, patience: Option<Duration>) {
        self.unsent = self.unsent.saturating_add(1);
        self.due = patience.map_or(Due::Never, Due::Within);
    }
}

impl Due {
    /// By then, if ever.
    fn until(at: Time) -> Self {
        if at < Time::NEVER { Self::By(at) } else { Self::Never }
    }

    /// By when, if that is known.
    const fn at(self) -> Time {
        match self {
            Self::By(at) => at,
            Self::Never | Self::Within(_) => Time::NEVER,
        }
    }
}

impl Session {
    /// A session that begins without a stream, and in which its worker may believe for that long.
    pub(crate) fn new(worker: Name, instance: Name, now: Time, believed: Duration) -> Self {
        let mut session = Self {
            worker,
            instance,
            start: None,
            greeted: 0,
            stream: None,
            answers: false,
            whole: Size::NOTHING,
            knows_sizes: false,
            prefetch: 0,
            lost: 0,
            task_types: BTreeSet::new(),
            unsupported: BTreeSet::new(),
            namespaces: BTreeSet::new(),
            reads: SchemasRead::default(),
            labels: Vec::new(),
            software: "".into(),
            opened: now,
            last_heard: now,
            is_evicted: false,
            is_behind: false,
            draining: false,
            drain_request: None,
            armed: Time::NEVER,
            believed,
            expires_not_before: now,
            prolonged: Duration::ZERO,
            favoured: Duration::ZERO,
            expires_at: Time::NEVER,
            hushed_until: None,
            hushes: 0,
            changes: 0,
            held: ById::default(),
            taken: Size::NOTHING,
            ahead: 0,
            alarms: BinaryHeap::new(),
            outlived: BTreeMap::new(),
            overdue: BTreeSet::new(),
            quarantined_since: None,
        };
        session.reckon_end();
        session
    }

    /// The worker was heard and is promised `believed` from here on. An older, longer promise stays.
    pub(crate) fn touch(&mut self, now: Time, believed: Duration) {
        self.expires_not_before = self.promised_until();
        (self.prolonged, self.favoured) = (Duration::ZERO, Duration::ZERO);
        self.last_heard = now;
        self.believed = believed;
        self.reckon_end();
    }

    /// It lives longer by the time that the coordinator was away, and by a favour on top. Between two words of the worker
    /// favours come to no more than it was promised: a session that is not heard any more ends, however often they are
    /// done.
    pub(crate) fn prolong(&mut self, away: Duration, favour: Duration) {
        let favour = favour.min(self.believed.saturating_sub(self.favoured));
        self.favoured = self.favoured.saturating_add(favour);
        self.prolonged = self.prolonged.saturating_add(away).saturating_add(favour);
        self.reckon_end();
    }

    /// When it is over.
    pub(crate) const fn expires_at(&self) -> Time {
        self.expires_at
    }

    fn reckon_end(&mut self) {
        let is_endless = Mutant::NeverExpires.is_alive();
        let end = self.promised_until() + self.prolonged;
        self.expires_at = if is_endless { Time::NEVER } else { end };
    }

    fn promised_until(&self) -> Time {
        self.expires_not_before.max(self.last_heard + self.believed + EXPIRY_MARGIN)
    }

    /// A new stream: everything that waited for the worker waits anew, and what it has not answered for in time it still has
    /// to answer for. One that does not say when it was started answers with its next heartbeat at the earliest: that is too
    /// late to ask for.
    pub(crate) fn connect(&mut self, stream: StreamId, start: Option<Start>) {
        self.stream = Some(stream);
        self.is_behind = false;
        self.answers = start.is_none();
        self.start = start;
        self.lost = 0;
        self.alarms.clear();
        for held in self.held.unordered_mut() {
            (held.due, held.unsent) = (Due::Never, 0);
        }
    }

    /// How it is.
    pub(crate) fn state(&self) -> SessionState {
        if self.is_evicted {
            SessionState::Evicted
        } else if self.stream.is_none() {
            SessionState::Disconnected
        } else if self.is_quarantined() {
            SessionState::Quarantined
        } else if self.draining {
            SessionState::Draining
        } else {
            SessionState::Active
        }
    }

    /// Whether it has not answered for something in time.
    pub(crate) fn is_quarantined(&self) -> bool {
        self.quarantined_since.is_some()
    }

    /// Whether it is offered tasks of its types, as soon as a slot is free.
    pub(crate) fn is_eligible(&self) -> bool {
        self.state() == SessionState::Active
    }

    /// Whether it is offered tasks now, as far as it has room.
    pub(crate) fn takes_tasks(&self) -> bool {
        self.is_eligible() && self.hushed_until.is_none() && !self.is_behind
    }

    /// Whether it takes tasks of this type and shape, with whatever room.
    pub(crate) fn serves(&self, spec: &TaskSpec) -> bool {
        self.reads.reads(&spec.task_type, spec.shape.schema) && self.serves_but_for_schema(spec)
    }

    /// The same, if it read their payloads.
    pub(crate) fn serves_but_for_schema(&self, spec: &TaskSpec) -> bool {
        let is_type = self.task_types.contains(&spec.task_type);
        let has = |label: &(Name, Name)| self.labels.contains(label);
        is_type
            && self.is_for(namespace::of(&spec.queue))
            && !self.unsupported.contains(&spec.task_type)
            && spec.shape.selector.iter().all(has)
            && (self.knows_sizes || spec.shape.size.is_plain())
            && self.whole.holds(&spec.shape.size)
    }

    /// Whether it serves a namespace.
    pub(crate) fn is_for(&self, namespace: &str) -> bool {
        self.namespaces.is_empty() || self.namespaces.contains(namespace)
    }

    /// How full it is, if it is offered tasks: the emptier the sooner. Less than [`FULL`] exactly while a slot is free and
    /// nothing waits for one: what waits is not overtaken.
    pub(crate) fn load(&self) -> Option<u64> {
        if !self.is_offered() {
            return None;
        }
        let used = u64::from(self.taken.slots) + u64::from(self.ahead);
        let load = used * FULL / u64::from(self.whole.slots.max(1));
        Some(if self.has_seat() { load } else { load.max(FULL) })
    }

    /// Whether it is offered tasks, for a slot that is free or ahead of one.
    pub(crate) fn is_offered(&self) -> bool {
        let has_room = self.has_seat() || self.takes_ahead();
        self.takes_tasks() && 0 < self.whole.slots && has_room
    }

    fn has_seat(&self) -> bool {
        0 < self.free() && self.ahead == 0
    }

    /// How many of its slots are free.
    pub(crate) fn free(&self) -> u32 {
        self.whole.slots.saturating_sub(self.taken.slots)
    }

    /// Whether a lease of this size fits beside what is taken.
    pub(crate) fn has_left(&self, size: &Size) -> bool {
        let is_ignored = Mutant::SizeIgnored.is_alive() && 0 < self.free();
        is_ignored || self.whole.holds_beside(&self.taken, size)
    }

    /// Whether it can be granted a lease of this size now: what waits there already is not overtaken.
    pub(crate) fn fits(&self, size: &Size) -> bool {
        self.takes_tasks() && self.ahead == 0 && self.has_left(size)
    }

    /// Whether another lease of one size would stand in the way of one that waits until it has room.
    pub(crate) fn is_in_the_way(&self, one: &Size, waits: &Size) -> bool {
        let mut taken = self.taken.clone();
        taken.add(one);
        self.whole.is_in_the_way(&taken, one, waits)
    }

    /// It has so much in all.
    pub(crate) fn have(&mut self, whole: Size) {
        self.whole = whole;
        self.changes += 1;
    }

    /// How often what it has, or what is taken of that, has changed.
    pub(crate) const fn changes(&self) -> u64 {
        self.changes
    }

    /// Whether it holds nothing.
    pub(crate) fn is_idle(&self) -> bool {
        self.held.is_empty()
    }

    /// Whether it takes a lease more beyond its slots. What it holds beyond them already, since it has fewer than before,
    /// counts.
    fn takes_ahead(&self) -> bool {
        let more = u32::from(Mutant::PrefetchUnbounded.is_alive());
        let beyond = self.taken.slots.saturating_sub(self.whole.slots);
        self.ahead.saturating_add(beyond) < self.prefetch.saturating_add(more)
    }

    /// What is taken of it, without what was granted ahead.
    pub(crate) const fn taken(&self) -> &Size {
        &self.taken
    }

    /// How many leases were granted to it ahead.
    pub(crate) const fn ahead(&self) -> u32 {
        self.ahead
    }

    /// How much there is to wait for until a lease of this size fits: least where nothing has to end that nobody may hear of
    /// again, then where the smallest part of what there is is wanting.
    pub(crate) fn lack(&self, size: &Size) -> (bool, u64) {
        let is_zombie = |held: &Held| matches!(held.work, Work::Zombie { .. });
        let has_zombies = self.held.unordered().any(|(_, held)| is_zombie(held));
        (has_zombies, self.whole.lack(&self.taken, size))
    }

    /// Whether its worker is to fence itself: it was evicted, or has been quarantined for too long.
    pub(crate) fn is_fenced(&self, now: Time) -> bool {
        let is_evicted = self.is_evicted && !Mutant::EvictedHeard.is_alive();
        is_evicted || self.quarantined_since.is_some_and(|since| since + self.believed <= now)
    }

    /// Whether a process that says hello and holds these leases does not go on with it: it was evicted, or still has not
    /// answered for what it has been quarantined for too long for.
    pub(crate) fn is_given_up(&self, held: &[HeldLease], now: Time) -> bool {
        let runs = |lease: &HeldLease| lease.phase != LeasePhase::Finished;
        let owes = || held.iter().any(|it| runs(it) && self.overdue.contains(&it.token));
        self.is_evicted || (self.is_fenced(now) && owes())
    }

    /// It declined for want of capacity. What it declines while it is left alone it was offered before, at once with
    /// what it declined first: that is one refusal, however many leases it is about.
    pub(crate) fn hush(&mut self, now: Time) {
        if self.hushed_until.is_some() {
            return;
        }
        let wait = HUSH * 2u32.pow(self.hushes.min(HUSH_DOUBLINGS_MAX));
        self.hushes = self.hushes.saturating_add(1);
        let is_for_ever = Mutant::HushNeverEnds.is_alive();
        self.hushed_until = Some(if is_for_ever { Time::NEVER } else { now + wait });
    }

    /// It may be offered tasks again.
    pub(crate) fn unhush(&mut self) {
        self.hushed_until = None;
    }

    /// It works: the next time it declines is a first time.
    pub(crate) fn prove(&mut self) {
        self.hushes = 0;
    }
}

/// What it holds.
impl Session {
    /// A task is leased to it, which takes so much of it: the assignment is said to the worker, and is to be answered within
    /// that time, if any, from when it leaves. Nothing is said without a stream.
    pub(crate) fn lease(
        &mut self,
        token: Token,
        task: TaskId,
        size: &Size,
        patience: Option<Duration>,
    ) {
        let mut held = Held { arrival: Arrival::Unknown, ..Held::new(Work::Lease(task), size) };
        if self.stream.is_some() {
            held.say(patience);
        }
        self.take_up(token, held);
    }

    /// Work that the worker knows of takes so much of it.
    pub(crate) fn hold(&mut self, token: Token, work: Work, size: &Size) {
        self.take_up(token, Held::new(work, size));
    }

    fn take_up(&mut self, token: Token, held: Held) {
        self.taken.add(held.size());
        self.changes += 1;
        if let Some(before) = self.held.insert(token, held) {
            self.let_go(token, &before);
        }
    }

    /// A lease that it holds was granted ahead: it takes nothing before it has a slot.
    pub(crate) fn put_ahead(&mut self, token: Token) {
        let Some(held) = self.held.get_mut(&token).filter(|held| !held.is_ahead) else { return };
        held.is_ahead = true;
        self.ahead += 1;
        self.taken.remove(held.size());
        self.changes += 1;
    }

    /// A lease that was granted ahead has its slot, or may have it.
    pub(crate) fn seat(&mut self, token: Token) {
        let Some(held) = self.held.get_mut(&token).filter(|held| held.is_ahead) else { return };
        held.is_ahead = false;
        self.ahead -= 1;
        self.taken.add(held.size());
        self.changes += 1;
    }

    /// It is not known of any of its leases whether it waits.
    pub(crate) fn seat_all(&mut self) {
        for token in self.held.ids() {
            self.seat(token);
        }
    }

    /// How many leases it holds, and works on that are over.
    pub(crate) fn count(&self) -> u32 {
        u32::try_from(self.held.len()).unwrap_or(u32::MAX)
    }

    /// What the token is held for.
    pub(crate) fn work(&self, token: Token) -> Option<Work> {
        self.held.get(&token).map(|held| held.work)
    }

    /// What takes something of it, and how much: what waits for a slot takes nothing.
    pub(crate) fn takers(&self) -> impl Iterator<Item = (Work, &Size)> {
        let seated = self.held.iter().map(|(_, held)| held).filter(|held| !held.is_ahead);
        seated.map(|held| (held.work, held.size()))
    }

    /// What everything is held for that it holds, in no order.
    pub(crate) fn works(&self) -> impl Iterator<Item = Work> {
        self.held.unordered().map(|(_, held)| held.work)
    }

    /// Everything it holds, in the order of the grants.
    pub(crate) fn held(&self) -> impl Iterator<Item = (Token, Work)> {
        self.held.iter().map(|(token, held)| (token, held.work))
    }

    /// The lease is over, its work may not be: the slot stays taken.
    pub(crate) fn outlive(&mut self, token: Token, zombie: Work, now: Time) {
        if let Some(held) = self.held.get_mut(&token) {
            held.work = zombie;
            self.outlived.insert(token, now);
        }
    }

    /// The worker received the assignment.
    pub(crate) fn arrive(&mut self, token: Token) {
        if let Some(held) = self.held.get_mut(&token) {
            held.arrival = Arrival::Arrived;
        }
    }

    /// Whether it is known to have.
    pub(crate) fn arrival(&self, token: Token) -> Arrival {
        self.held.get(&token).map_or(Arrival::Unknown, |held| held.arrival)
    }

    /// Since when the lease is over, if its work may not be.
    pub(crate) fn over_since(&self, token: Token) -> Option<Time> {
        self.outlived.get(&token).copied()
    }

    /// What it took is free. The last overdue answer ends the quarantine.
    pub(crate) fn vacate(&mut self, token: Token) {
        if let Some(held) = self.held.remove(&token) {
            self.let_go(token, &held);
        }
    }

    fn let_go(&mut self, token: Token, held: &Held) {
        if held.is_ahead {
            self.ahead -= 1;
        } else {
            self.taken.remove(held.size());
        }
        self.changes += 1;
        self.outlived.remove(&token);
        self.overdue.remove(&token);
        if self.overdue.is_empty() {
            self.quarantined_since = None;
        }
    }

    /// Something has to be heard of the lease by then.
    pub(crate) fn expect_by(&mut self, token: Token, at: Time) {
        let Some(held) = self.held.get_mut(&token) else { return };
        let before = std::mem::replace(&mut held.due, Due::until(at));
        if before.at() != at {
            self.wind(at, token);
        }
    }

    /// Something is said about the lease, and has to be answered within that time from when it leaves. Nothing is said without
    /// a stream.
    pub(crate) fn expect_answer(&mut self, token: Token, patience: Duration) {
        if let Some(held) = self.held.get_mut(&token).filter(|_| self.stream.is_some()) {
            held.say(Some(patience));
        }
    }

    /// A slot is free for the lease: it has to start within that time from now, or from when its assignment leaves.
    pub(crate) fn expect_start(&mut self, token: Token, now: Time, patience: Duration) {
        let Some(held) = self.held.get_mut(&token) else { return };
        if 0 < held.unsent {
            held.due = Due::Within(patience);
        } else {
            self.expect_by(token, now + patience);
        }
    }

    /// By when something has to be heard of the lease, if its worker is judged by that.
    pub(crate) fn expected_by(&self, token: Token) -> Option<Time> {
        let held = self.held.get(&token).filter(|_| self.stream.is_some())?;
        Some(held.due.at()).filter(|at| *at < Time::NEVER)
    }

    /// Something that was said about the lease has left.
    pub(crate) fn sent(&mut self, token: Token, now: Time) {
        let Some(held) = self.held.get_mut(&token) else { return };
        held.unsent = held.unsent.saturating_sub(1);
        if held.unsent == 0
            && let Due::Within(patience) = held.due
        {
            let at = now + patience;
            held.due = Due::until(at);
            self.wind(at, token);
        }
    }

    /// A revocation was not answered in time.
    pub(crate) fn quarantine(&mut self, token: Token, now: Time) {
        self.expect_by(token, Time::NEVER);
        self.overdue.insert(token);
        self.quarantined_since.get_or_insert(now);
    }

    /// No later than this it is over, is offered tasks again, or has missed to answer for a lease. Nothing is expected of a
    /// worker without a stream.
    pub(crate) fn rings_by(&self) -> Time {
        let lease = self.alarms.peek().filter(|_| self.stream.is_some());
        let lease = lease.map_or(Time::NEVER, |Reverse((at, _))| *at);
        self.expires_at.min(lease).min(self.hushed_until.unwrap_or(Time::NEVER))
    }

    /// Its alarm rang: the leases that nothing was heard of by their time, the longest overdue first.
    pub(crate) fn ring(&mut self, now: Time) -> Vec<Token> {
        self.armed = Time::NEVER;
        let mut unheard = Vec::new();
        if self.stream.is_none() {
            return unheard;
        }
        while let Some(Reverse((at, token))) = self.alarms.peek().copied()
            && at <= now
        {
            self.alarms.pop();
            let is_so = self.held.get(&token).is_some_and(|held| held.due == Due::By(at));
            if is_so && unheard.last() != Some(&token) {
                unheard.push(token);
            }
        }
        unheard
    }

    /// Something has to be heard of a lease by then.
    fn wind(&mut self, at: Time, token: Token) {
        if at == Time::NEVER {
            return;
        }
        if ALARMS_SPARE + 2 * self.held.len() <= self.alarms.len() {
            let held = &self.held;
            self.alarms.retain(|Reverse((at, token))| {
                held.get(token).is_some_and(|held| held.due == Due::By(*at))
            });
        }
        self.alarms.push(Reverse((at, token)));
    }

    /// Whether it has been left alone for long enough after it declined.
    pub(crate) fn is_hushed_enough(&self, now: Time) -> bool {
        self.hushed_until.is_some_and(|until| until <= now)
    }

    /// Everything that decides how it goes on. When it was heard and what it was promised only count together.
    pub(crate) fn fingerprint(&self, print: &mut Print<'_>) {
        print.put((&self.worker, &self.instance, self.greeted, self.stream, self.draining));
        print.put((&self.whole, self.knows_sizes, self.prefetch, self.lost, self.is_evicted));
        print.put((&self.start, self.answers, self.is_behind));
        print.put((&self.reads, &self.namespaces));
        print.put((&self.task_types, &self.unsupported, self.believed, self.hushes));
        print.put(self.drain_request.map(|request| request.grace));
        print.left(self.armed);
        print.left(self.promised_until());
        print.put((self.prolonged, self.favoured));
        print.left(self.hushed_until.unwrap_or(Time::NEVER));
        print.left(self.quarantined_since.map_or(Time::NEVER, |since| since + self.believed));
        print.put((self.held.len(), &self.overdue));
        for (token, held) in self.held.iter() {
            print.put((token, held.work, held.size(), held.arrival));
            print.left(held.due.at());
            let patience = if let Due::Within(patience) = held.due { Some(patience) } else { None };
            print.put((held.unsent, patience));
        }
    }

    /// Whether its own books agree.
    #[cfg(debug_assertions)]
    pub(crate) fn agrees(&self) -> bool {
        let mut taken = Size::NOTHING;
        let held = || self.held.unordered().map(|(_, held)| held);
        let seated = held().filter(|held| !held.is_ahead);
        seated.for_each(|held| taken.add(held.size()));
        let ahead = held().filter(|held| held.is_ahead).count();
        let set: BTreeSet<_> = self.alarms.iter().map(|Reverse(alarm)| *alarm).collect();
        let mut waits = self.held.unordered().filter(|(_, held)| held.due.at() < Time::NEVER);
        waits.all(|(token, held)| set.contains(&(held.due.at(), *token)))
            && taken == self.taken
            && ahead == self.ahead as usize
            && held().all(Held::agrees)
            && self.overdue.iter().all(|token| self.held.contains(token))
            && self.outlived.keys().all(|token| self.held.contains(token))
            && self.overdue.is_empty() == self.quarantined_since.is_none()
            && self.armed <= self.rings_by()
    }
}

#[cfg(debug_assertions)]
impl Held {
    /// Whether nothing rings before all that it is about has left.
    fn agrees(&self) -> bool {
        !matches!(self.due, Due::Within(_)) || 0 < self.unsent
    }
}
