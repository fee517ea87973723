//! Workers: the real session of each, and a process around it.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    time::Duration,
};

use leasehold_proto::v1::{self, coordinator_event::Event as Told};
use leasehold_worker::{
    Error,
    simulation::{Act, Hangup, Setup, Worker},
};

use super::{
    Event, World,
    piece::{Job, Limit, Piece},
    wire::{Parcel, Wire, WireId, next_id},
};
use crate::{
    fault::Way,
    judge::Violation,
    make::Kind,
    moment::{HostClock, MS, Micros, SECOND},
    plan::{Crew, DRIFT_PPM_MAX, GPU, schemas_read, zone_label},
    probe::Probe,
};

/// What every task is.
pub(super) const TASK_TYPE: &str = "work";

/// How many earlier starts a process may name as gone.
const REPLACED_MAX: usize = 16;

/// How long half of the processes may wait until they say that work began.
const STARTS_WAIT: Duration = Duration::from_millis(20);

/// How long a connection may take to come up.
const DIAL_MAX: Micros = 5 * SECOND;

/// A worker's process.
pub(super) struct Hand {
    slots: u32,
    prefetch: u32,
    pub(super) clock: HostClock,
    /// Whether its clock is off by more than leases survive: then only the fence is relied on.
    pub(super) is_wild: bool,
    /// Whether it never comes back: nothing is asked of it any more.
    pub(super) is_ruined: bool,
    /// How often it was started, and in which boot of its machine each time.
    pub(super) incarnation: u32,
    boots: BTreeMap<u32, u32>,
    /// Which earlier starts each names as gone, and which have been named where it was listened to.
    pub(super) replaces: BTreeMap<u32, Vec<u32>>,
    pub(super) replaced: BTreeSet<u32>,
    pub(super) session: Option<Worker>,
    pub(super) is_coming: bool,
    pub(super) paused_until: Option<Micros>,
    pub(super) partition_until: Micros,
    /// By how much what it says on its next connection is held up.
    pub(super) stall_next: Option<Micros>,
    tick_at: Option<Micros>,
    dials: u32,
    pub(super) wire: Option<WireId>,
    /// What arrived while it stood still.
    pub(super) backlog: VecDeque<(WireId, Parcel)>,
    pub(super) pieces: BTreeMap<i64, Piece>,
    /// Until when each handler of this start may run, those that have ended included.
    pub(super) limits: BTreeMap<i64, Limit>,
    /// Until when the session lets guards believe in leases, by the host's clock, and when it said so.
    pub(super) valid_until: Option<(Duration, Duration)>,
    /// When it was last heard, and by which start of the coordinator.
    pub(super) heard: BTreeMap<u32, (Micros, u32)>,
    /// The last connection that each start of it said hello on, the one that was listened to last, and the last one that
    /// its start has answered on.
    pub(super) newest: BTreeMap<u32, WireId>,
    pub(super) current: WireId,
    pub(super) answered: WireId,
    /// The evicted start of it that said hello last, and on which connection: it is listened to once it is let in.
    pub(super) at_the_door: Option<(u32, WireId)>,
    /// In which order its starts were listened to, by each coordinator anew.
    pub(super) greeted: BTreeMap<u32, usize>,
    /// Until when it may be left alone because it said that it has no capacity.
    pub(super) hushed_until: Micros,
    /// Which starts of it have said goodbye.
    pub(super) goodbyes: Vec<u32>,
}

impl Hand {
    pub(super) fn new(crew: Crew) -> Self {
        Self {
            slots: crew.slots,
            prefetch: crew.prefetch,
            clock: HostClock::new(crew.drift_ppm),
            is_wild: DRIFT_PPM_MAX < crew.drift_ppm.abs(),
            is_ruined: false,
            incarnation: 0,
            boots: BTreeMap::new(),
            replaces: BTreeMap::new(),
            replaced: BTreeSet::new(),
            session: None,
            is_coming: false,
            paused_until: None,
            partition_until: 0,
            stall_next: None,
            tick_at: None,
            dials: 0,
            wire: None,
            backlog: VecDeque::new(),
            pieces: BTreeMap::new(),
            limits: BTreeMap::new(),
            valid_until: None,
            heard: BTreeMap::new(),
            newest: BTreeMap::new(),
            current: 0,
            answered: 0,
            at_the_door: None,
            greeted: BTreeMap::new(),
            hushed_until: 0,
            goodbyes: Vec::new(),
        }
    }

    /// Whether it stands still: until it has been told to go on.
    pub(super) const fn is_paused(&self) -> bool {
        self.paused_until.is_some()
    }

    pub(super) fn shows(&self, now: Micros) -> Duration {
        self.clock.shows(now)
    }

    /// How many handlers of one slot it may run.
    pub(super) const fn slots(&self) -> u32 {
        self.slots
    }

    /// Whether it is known which of two of its starts was the earlier one.
    pub(super) fn is_ordered(&self, one: u32, other: u32) -> bool {
        self.boots.get(&one) == self.boots.get(&other)
    }

    /// A start of it is listened to on this connection from here on.
    pub(super) fn take_over(&mut self, incarnation: u32, wire: WireId, is_known: bool) {
        self.current = wire;
        if !is_known {
            let last = self.greeted.values().copied().max();
            self.greeted.insert(incarnation, last.unwrap_or_default() + 1);
        }
    }

    /// Notes one more start, after a reboot or not.
    fn start(&mut self, is_rebooted: bool) {
        let boot = self.boots.get(&self.incarnation).copied().unwrap_or_default();
        self.incarnation += 1;
        self.boots.insert(self.incarnation, boot + u32::from(is_rebooted));
    }
}

/// The name of a worker, and of one start of it.
pub(super) fn worker_name(worker: usize) -> String {
    format!("w{worker}")
}

pub(super) fn instance_name(worker: usize, incarnation: u32) -> String {
    format!("w{worker}-{incarnation}")
}

/// Which start of which worker an instance is.
pub(super) fn of_instance(instance: &str) -> Option<(usize, u32)> {
    let (worker, incarnation) = instance.strip_prefix('w')?.split_once('-')?;
    Some((worker.parse().ok()?, incarnation.parse().ok()?))
}

/// Life and death.
impl World {
    pub(super) fn enlist(&mut self, worker: usize) {
        let (seed, now) = (self.rng.u64(..), self.now);
        let hand = &mut self.crew[worker];
        if hand.session.is_some() || !hand.is_coming {
            return;
        }
        hand.is_coming = false;
        // Half of the starts: where the order of two is not known there is less to go by.
        hand.start(seed % 2 == 0);
        hand.paused_until = None;
        hand.tick_at = None;
        let boot = hand.boots.get(&hand.incarnation).copied().unwrap_or_default();
        let knows_gone = seed / 2 % 2 == 0;
        let gone = (1..hand.incarnation).rev().take(if knows_gone { REPLACED_MAX } else { 0 });
        let gone: Vec<u32> = gone.collect();
        hand.replaces.insert(hand.incarnation, gone.clone());
        hand.session = Some(Worker::new(Setup {
            worker_id: worker_name(worker),
            instance_id: instance_name(worker, hand.incarnation),
            start: (boot.to_string(), hand.shows(now)),
            replaces: gone.into_iter().map(|it| instance_name(worker, it)).collect(),
            task_types: vec![TASK_TYPE.to_owned()],
            labels: zone_label(self.plan.setting.workers[worker].zone).into_iter().collect(),
            schemas: schemas_said(self.plan.setting.workers[worker].reads),
            slots: hand.slots,
            resources: gpus(self.plan.setting.workers[worker].gpus),
            prefetch: hand.prefetch,
            drain_grace: Duration::from_secs(3),
            starts_wait: if seed / 4 % 2 == 0 { Duration::ZERO } else { STARTS_WAIT },
            seed,
        }));
        let shown = hand.shows(now);
        if let Some(session) = &mut hand.session {
            session.tick(shown);
        }
        self.settle(worker);
    }

    /// The process is gone: so is everything in it.
    pub(super) fn dismiss(&mut self, worker: usize, down: Micros) {
        let hand = &mut self.crew[worker];
        if hand.session.take().is_none() {
            return;
        }
        hand.pieces.clear();
        hand.limits.clear();
        hand.valid_until = None;
        hand.backlog.clear();
        hand.paused_until = None;
        if let Some(id) = hand.wire.take() {
            self.send(id, Way::In, Parcel::Fin(Hangup::Broken));
        }
        self.crew[worker].is_coming = true;
        self.after(down, Event::Enlist(worker));
    }

    pub(super) fn pause_worker(&mut self, worker: usize, pause: Micros) {
        let (now, hand) = (self.now, &mut self.crew[worker]);
        if hand.session.is_none() || hand.is_paused() {
            return;
        }
        hand.paused_until = Some(now + pause);
        let incarnation = hand.incarnation;
        self.after(pause, Event::Rouse(worker, incarnation));
    }

    /// The process goes on: it looks at its clock before anything else.
    pub(super) fn rouse(&mut self, worker: usize, incarnation: u32) {
        let (now, hand) = (self.now, &mut self.crew[worker]);
        let is_due = hand.paused_until.is_some_and(|until| until <= now);
        if hand.incarnation != incarnation || !is_due || hand.session.is_none() {
            return;
        }
        hand.paused_until = None;
        let shown = hand.shows(now);
        if let Some(session) = &mut hand.session {
            session.tick(shown);
        }
        self.settle(worker);
        let was_late = self.crew[worker].pieces.values().any(|piece| piece.is_killed);
        if was_late {
            self.sometimes(Probe::WorkerWokeLate);
        }
        self.check_exclusive(worker);
        while let Some((id, parcel)) = self.crew[worker].backlog.pop_front() {
            if self.crew[worker].wire == Some(id) {
                self.hear(worker, id, parcel);
            }
        }
    }

    pub(super) fn leave(&mut self, worker: usize) {
        let (now, hand) = (self.now, &mut self.crew[worker]);
        if hand.is_paused() {
            return;
        }
        let shown = hand.shows(now);
        if let Some(session) = &mut hand.session {
            session.tick(shown);
            session.drain(shown);
        }
        self.settle(worker);
    }

    /// The end of all faults: it goes on, and what does not die is dead.
    pub(super) fn heal_hand(&mut self, worker: usize) {
        let incarnation = self.crew[worker].incarnation;
        if self.crew[worker].is_paused() {
            self.crew[worker].paused_until = Some(self.now);
            self.after(0, Event::Rouse(worker, incarnation));
        }
        let stuck: Vec<i64> = self.crew[worker].pieces.keys().copied().collect();
        for token in stuck {
            let Some(piece) = self.crew[worker].pieces.get(&token) else { continue };
            if matches!(piece.make.kind, Kind::Sticks | Kind::Hangs) {
                self.plan_finish(worker, token, MS);
            }
        }
    }
}

/// The shell of a session.
impl World {
    pub(super) fn tick_due(&mut self, worker: usize, incarnation: u32) {
        let (now, hand) = (self.now, &mut self.crew[worker]);
        if hand.incarnation != incarnation || hand.tick_at != Some(now) || hand.is_paused() {
            return;
        }
        hand.tick_at = None;
        let shown = hand.shows(now);
        if let Some(session) = &mut hand.session {
            session.tick(shown);
        }
        self.settle(worker);
    }

    /// Something arrived on the worker's stream.
    pub(super) fn hear(&mut self, worker: usize, id: WireId, parcel: Parcel) {
        let hand = &mut self.crew[worker];
        let shown = hand.clock.shows(self.now);
        let Some(session) = &mut hand.session else { return };
        session.tick(shown);
        let mut checked = Ok(());
        match parcel {
            Parcel::Told(frame) => {
                let gpus = self.plan.setting.workers[worker].gpus;
                let room = (u64::from(hand.slots + hand.prefetch), u64::from(gpus));
                checked = check_room(room, session.taken(GPU), &frame);
                session.hear(shown, frame.clone());
                self.note_told(worker, &frame);
            }
            Parcel::Fin(hangup) if hand.wire == Some(id) => {
                hand.wire = None;
                session.stream_end(shown, hangup);
            }
            Parcel::Fin(_) | Parcel::Said(_) => {}
        }
        self.check(checked.map_err(|what| Violation::new("slots", format!("w{worker} {what}"))));
        self.settle(worker);
    }

    pub(super) fn dialed(&mut self, worker: usize, incarnation: u32, dial: u32) {
        let now = self.now;
        let is_reachable = self.site.machine.is_some() && self.crew[worker].partition_until <= now;
        let hand = &self.crew[worker];
        if hand.incarnation != incarnation || hand.dials != dial || hand.session.is_none() {
            return;
        }
        if let Some(until) = hand.paused_until.filter(|until| now < *until) {
            return self.schedule(until, Event::Dialed(worker, incarnation, dial));
        }
        let is_let_in = is_reachable && self.is_let_in();
        let hand = &mut self.crew[worker];
        let shown = hand.shows(now);
        let Some(session) = &mut hand.session else { return };
        session.tick(shown);
        if is_let_in {
            let id = next_id(&self.wires);
            hand.wire = Some(id);
            session.stream_up(shown);
            let mut wire = Wire::new(worker, incarnation, self.site.incarnation);
            let stall = hand.stall_next.take().filter(|_| !self.is_healed);
            wire.inward.stalled_until = stall.map_or(0, |stall| now + stall);
            self.wires.insert(id, wire);
        } else {
            session.stream_end(shown, Hangup::Broken);
        }
        self.settle(worker);
    }

    /// Does and says what the session wants, and sets its alarm.
    pub(super) fn settle(&mut self, worker: usize) {
        loop {
            if self.crew[worker].is_paused() {
                return;
            }
            let Some(session) = &mut self.crew[worker].session else { return };
            if let Some(act) = session.act() {
                self.act(worker, act);
            } else if !self.say_frame(worker) {
                break;
            }
        }
        self.check_overrun(worker);
        let hand = &mut self.crew[worker];
        let Some(session) = &hand.session else { return };
        let Some(deadline) = session.deadline() else { return };
        let at = hand.clock.when(deadline).max(self.now + 1);
        if hand.tick_at.is_none_or(|earlier| at < earlier || earlier <= self.now) {
            hand.tick_at = Some(at);
            let incarnation = hand.incarnation;
            self.schedule(at, Event::Tick(worker, incarnation));
        }
    }

    /// Sends one frame, if there is one and room for it.
    fn say_frame(&mut self, worker: usize) -> bool {
        let hand = &mut self.crew[worker];
        let shown = hand.clock.shows(self.now);
        let (Some(id), Some(session)) = (hand.wire, &mut hand.session) else { return false };
        if !session.has_frame() || !self.has_room(id, Way::In) {
            return false;
        }
        let frame = self.crew[worker].session.as_mut().and_then(|session| session.frame(shown));
        let Some(frame) = frame else { return false };
        self.trace.note(self.now, || format!("  w{worker} says {:?}", frame.events));
        self.note_said(worker, &frame);
        self.send(id, Way::In, Parcel::Said(frame));
        true
    }

    fn act(&mut self, worker: usize, act: Act) {
        self.trace.note(self.now, || format!("  w{worker} {act:?}"));
        match act {
            Act::Connect => self.dial(worker),
            Act::Disconnect => self.hang_up(worker),
            Act::CloseSend => {
                if let Some(id) = self.crew[worker].wire {
                    self.send(id, Way::In, Parcel::Fin(Hangup::Closed));
                }
            }
            Act::Renew(valid_until) => {
                let hand = &mut self.crew[worker];
                hand.valid_until = Some((valid_until, hand.clock.shows(self.now)));
                let (at, incarnation) = (hand.clock.when(valid_until), hand.incarnation);
                self.schedule(at, Event::Guard(worker, incarnation));
            }
            Act::Start { token, task_id, payload, attempt, limits, .. } => {
                self.start_piece(worker, Job { token, task_id, payload, attempt, limits });
            }
            Act::Cancel(token) => self.ask_to_stop(worker, token),
            Act::Kill(token) => self.kill(worker, token),
            Act::Exit(result) => {
                if result.is_ok() {
                    self.sometimes(Probe::GoodbyeSaid);
                }
                // There is never a second one alive.
                if matches!(result, Err(Error::IdInUse(_))) {
                    let message = format!("w{worker} gave up its name to a process that is dead");
                    self.fail(Violation::new("displaced", message));
                }
                let down = if self.is_healed { MS } else { self.rng.u64(MS..=2 * SECOND) };
                self.dismiss(worker, down);
            }
        }
    }

    fn dial(&mut self, worker: usize) {
        let delay = 2 * self.delay();
        let (now, hand) = (self.now, &mut self.crew[worker]);
        hand.dials += 1;
        let (incarnation, dial) = (hand.incarnation, hand.dials);
        let wait =
            if now < hand.partition_until { DIAL_MAX.min(hand.partition_until - now) } else { 0 };
        self.after(delay + wait, Event::Dialed(worker, incarnation, dial));
    }

    fn hang_up(&mut self, worker: usize) {
        if let Some(id) = self.crew[worker].wire.take() {
            let is_open = self.wires.get(&id).is_some_and(|wire| wire.is_open);
            if is_open {
                self.sometimes(Probe::HalfOpen);
            }
            self.send(id, Way::In, Parcel::Fin(Hangup::Broken));
        }
    }
}

/// A worker is assigned no more than it has room for, in slots, those that it takes ahead included, and of the one resource:
/// whatever it holds, be it only a handler that does not die, takes its places until it has said otherwise. A welcome frees
/// the places of what is lost.
fn check_room(
    room: (u64, u64),
    held: (u64, u64),
    frame: &v1::ConnectResponse,
) -> Result<(), String> {
    let is_welcome = frame.events.iter().any(|it| matches!(it.event, Some(Told::Welcome(_))));
    let mut before = None;
    let assigned = frame.events.iter().filter_map(|it| match &it.event {
        Some(Told::Assignment(it)) => {
            before = Some((it.slots.max(1), it.resources.get(GPU).copied()));
            before
        }
        Some(Told::AlikeAssignment(_)) => before,
        _ => None,
    });
    let assigned = assigned.fold((0, 0), |(slots, gpus), (own, gpu)| {
        (slots + u64::from(own.unsigned_abs()), gpus + gpu.unwrap_or(0).unsigned_abs())
    });
    let fits = held.0 + assigned.0 <= room.0 && held.1 + assigned.1 <= room.1;
    if is_welcome || assigned.0 == 0 || fits {
        return Ok(());
    }
    Err(format!("holds {held:?}, has room for {room:?} and is assigned {assigned:?}"))
}

/// How much it says it has.
fn gpus(count: u8) -> BTreeMap<String, u64> {
    (0 < count).then(|| (GPU.to_owned(), count.into())).into_iter().collect()
}

/// What a worker says that it reads, if it says so.
fn schemas_said(reads: u8) -> BTreeMap<String, BTreeSet<String>> {
    let read: BTreeSet<String> = schemas_read(reads).iter().map(ToString::to_string).collect();
    (reads != 0).then(|| (TASK_TYPE.to_owned(), read)).into_iter().collect()
}
