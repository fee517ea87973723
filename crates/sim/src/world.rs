//! The cluster and its time: a heap of events, and what each of them does.
//!
//! One true clock orders everything. A run has two phases: faults everywhere, then none but those that some
//! workers never recover from, and everything that was accepted has to end.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet, BinaryHeap, VecDeque},
    time::Duration,
};

use leasehold_queue::{TaskId, Token};

use crate::{
    judge::Violation,
    ledger::Ledger,
    moment::{MS, Micros, SECOND},
    plan::{Plan, micros},
    probe::{Probe, Probes},
    trace::Trace,
};

mod audit;
mod belief;
mod caller;
mod crew;
mod drive;
mod piece;
mod rebuild;
mod site;
mod trouble;
mod watch;
mod wire;

use caller::Callers;
use crew::Hand;
use drive::Drive;
use site::Site;
use wire::{Wire, WireId};

use crate::fault::Way;

/// How long after the end of all faults everything must have ended.
const LIVENESS_MAX: Micros = 900 * SECOND;

/// How many events a run may have: more is a cluster that spins.
const EVENTS_MAX: u64 = 3_000_000;

/// How often it is looked whether everything has ended.
const LOOK: Micros = 100 * MS;

/// What a run looked at.
#[derive(Clone, Copy, Debug, Default)]
pub struct Stats {
    /// True time that passed.
    pub simulated: Micros,
    /// Events.
    pub events: u64,
    /// Coordinators that died.
    pub crashes: u64,
    /// Journals that were read back.
    pub recoveries: u64,
    /// Tasks that were accepted.
    pub tasks: u64,
    /// Leases that were granted.
    pub leases: u64,
    /// Comparisons of the live queue with one rebuilt.
    pub comparisons: u64,
}

/// How a run went.
#[derive(Clone, Debug)]
pub struct Run {
    /// The first broken promise.
    pub violation: Option<Violation>,
    /// What happened.
    pub probes: Probes,
    /// How much.
    pub stats: Stats,
    /// A digest of everything that happened, in order.
    pub hash: u64,
    /// The last of it in words, if it was asked for.
    pub tail: Vec<String>,
}

/// Something that happens.
#[derive(Clone, Copy, Debug)]
enum Event {
    /// The coordinator's engine has something to do.
    Turn(u32),
    /// The coordinator is started.
    Boot,
    /// The coordinator's process goes on.
    Wake(u32),
    /// The coordinator's process has taken too long to end.
    Undurable(u32),
    /// The disk is done with what it does.
    Disk(u32),
    /// The disk has room again.
    Room,
    /// A worker's session has something to do.
    Tick(usize, u32),
    /// A worker is started.
    Enlist(usize),
    /// A worker's process goes on.
    Rouse(usize, u32),
    /// A worker's connection is up, or is not.
    Dialed(usize, u32, u32),
    /// Something arrives.
    Arrive(WireId, Way),
    /// One side learns that a connection is dead.
    Learn(WireId, Way),
    /// A handler ends, if it is still the same plan.
    Finish(usize, u32, i64, u32),
    /// A handler says that it goes on.
    Report(usize, u32, i64),
    /// A handler saves where the next attempt can go on from: how often it has before.
    Save(usize, u32, i64, u32),
    /// A handler asks for more time.
    Ask(usize, u32, i64),
    /// A worker's guards look whether the time of what they guard is over.
    Guard(usize, u32),
    /// A client acts upon a wish.
    Wish(usize),
    /// A call arrives.
    Asked(u64),
    /// An answer arrives.
    Answered(u64),
    /// A process, the coordinator's if no worker is named, stands still for a step once more until its trouble is over.
    Crawl(Option<usize>, Micros, Micros),
    /// It is looked at what should have happened.
    Audit,
    /// A fault begins.
    Fault(usize),
    /// The faults end.
    Heal,
    /// Is everything done?
    Look,
}

/// The cluster.
pub struct World {
    plan: Plan,
    now: Micros,
    scheduled: u64,
    heap: BinaryHeap<Reverse<(Micros, u64)>>,
    events: BTreeMap<u64, Event>,
    rng: fastrand::Rng,
    is_healed: bool,
    site: Site,
    drive: Drive,
    crew: Vec<Hand>,
    wires: BTreeMap<WireId, Wire>,
    callers: Callers,
    ledger: Ledger,
    probes: Probes,
    stats: Stats,
    trace: Trace,
    /// Leases whose work was begun.
    started: BTreeSet<Token>,
    /// The generations of tasks that may be started once, and were.
    once: BTreeSet<(TaskId, u32)>,
    /// When the coordinator could know that a lease's work goes on, in the order of time.
    reported: BTreeMap<Token, Vec<Micros>>,
    /// How far the handler of each lease was when it saved last.
    saved: BTreeMap<Token, u32>,
    /// When a lease's work asked for more time, as it came on each wire: what has not been answered there.
    asked: BTreeMap<(WireId, Token), VecDeque<Micros>>,
    /// Leases whose worker was heard to say that they succeeded.
    succeeded: BTreeSet<Token>,
    /// Leases whose work ended with a result, and in which start of which worker.
    finished: BTreeMap<Token, (usize, u32)>,
    /// Starts of workers whose session the coordinator gave up.
    expired: BTreeSet<(usize, u32)>,
    /// Starts of workers that were quarantined.
    suspects: BTreeSet<(usize, u32)>,
    turns: u64,
    /// For how many audits in a row somebody had a free slot while a task waited, and how many leases there were.
    idle: (u32, u64),
    /// For how many audits in a row somebody had a free slot while a task waited for one at another worker.
    hoarded: u32,
    violation: Option<Violation>,
    is_over: bool,
}

impl World {
    /// The cluster of a plan, before anything has happened.
    pub fn new(plan: Plan, trace: Trace) -> Self {
        // The engine and the worker's traces draw from the thread's own generator.
        fastrand::seed(plan.seed);
        let setting = &plan.setting;
        let crew = setting.workers.iter().map(|crew| Hand::new(*crew)).collect();
        let mut world = Self {
            now: 0,
            scheduled: 0,
            heap: BinaryHeap::new(),
            events: BTreeMap::new(),
            rng: fastrand::Rng::with_seed(plan.seed ^ 0x5eed),
            is_healed: false,
            site: Site::new(setting),
            drive: Drive::default(),
            crew,
            wires: BTreeMap::new(),
            callers: Callers::new(plan.wishes.len()),
            ledger: Ledger::new(setting),
            probes: Probes::default(),
            stats: Stats::default(),
            trace,
            started: BTreeSet::new(),
            once: BTreeSet::new(),
            reported: BTreeMap::new(),
            saved: BTreeMap::new(),
            asked: BTreeMap::new(),
            succeeded: BTreeSet::new(),
            finished: BTreeMap::new(),
            expired: BTreeSet::new(),
            suspects: BTreeSet::new(),
            turns: 0,
            idle: (0, 0),
            hoarded: 0,
            violation: None,
            is_over: false,
            plan,
        };
        world.begin();
        world
    }

    /// Lets everything happen.
    pub fn run(mut self) -> Run {
        while self.violation.is_none() && !self.is_over {
            let Some(Reverse((at, id))) = self.heap.pop() else { break };
            let Some(event) = self.events.remove(&id) else { continue };
            self.now = at;
            self.stats.events += 1;
            if EVENTS_MAX < self.stats.events {
                self.fail(Violation::new("spins", "there is no end of events"));
            }
            self.trace.note(at, || format!("{event:?}"));
            self.happen(event);
        }
        self.stats.simulated = self.now;
        Run {
            violation: self.violation,
            probes: self.probes,
            stats: self.stats,
            hash: self.trace.hash(),
            tail: self.trace.into_tail(),
        }
    }

    fn begin(&mut self) {
        self.schedule(0, Event::Boot);
        self.audit_later();
        for worker in 0..self.crew.len() {
            let at = self.rng.u64(..200 * MS);
            self.crew[worker].is_coming = true;
            self.schedule(at, Event::Enlist(worker));
        }
        for (index, (at, _)) in self.plan.wishes.clone().into_iter().enumerate() {
            self.schedule(at, Event::Wish(index));
        }
        for (index, fault) in self.plan.faults.clone().into_iter().enumerate() {
            self.schedule(fault.at, Event::Fault(index));
        }
        self.schedule(self.plan.setting.safety + SECOND, Event::Heal);
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Turn(incarnation) => self.turn_due(incarnation),
            Event::Boot => self.boot(),
            Event::Wake(incarnation) => self.wake(incarnation),
            Event::Undurable(incarnation) => self.undurable(incarnation),
            Event::Disk(incarnation) => self.disk_done(incarnation),
            Event::Room => self.room(),
            Event::Tick(worker, incarnation) => self.tick_due(worker, incarnation),
            Event::Enlist(worker) => self.enlist(worker),
            Event::Rouse(worker, incarnation) => self.rouse(worker, incarnation),
            Event::Dialed(worker, incarnation, dial) => self.dialed(worker, incarnation, dial),
            Event::Arrive(wire, way) => self.arrive(wire, way),
            Event::Learn(wire, way) => self.learn(wire, way),
            Event::Finish(worker, incarnation, token, version) => {
                self.finish_due(worker, incarnation, token, version);
            }
            Event::Report(worker, incarnation, token) => {
                self.report_due(worker, incarnation, token);
            }
            Event::Save(worker, incarnation, token, step) => {
                self.save_due(worker, incarnation, token, step);
            }
            Event::Ask(worker, incarnation, token) => self.ask_due(worker, incarnation, token),
            Event::Guard(worker, incarnation) => self.guard_due(worker, incarnation),
            Event::Wish(index) => self.wish(index),
            Event::Asked(ticket) => self.asked(ticket),
            Event::Answered(ticket) => self.answered(ticket),
            Event::Crawl(worker, step, until) => self.crawl(worker, step, until),
            Event::Audit => self.audit(),
            Event::Fault(index) => self.fault(index),
            Event::Heal => self.heal(),
            Event::Look => self.look(),
        }
    }

    fn schedule(&mut self, at: Micros, event: Event) {
        let at = at.max(self.now);
        self.scheduled += 1;
        self.events.insert(self.scheduled, event);
        self.heap.push(Reverse((at, self.scheduled)));
    }

    fn after(&mut self, wait: Micros, event: Event) {
        self.schedule(self.now + wait, event);
    }

    /// How long something takes that is sent.
    fn delay(&mut self) -> Micros {
        let (least, most) = self.plan.setting.delay;
        if self.is_healed { least } else { self.rng.u64(least..=most) }
    }

    fn sometimes(&mut self, probe: Probe) {
        self.probes.hit(probe);
    }

    fn fail(&mut self, violation: Violation) {
        self.trace.note(self.now, || format!("VIOLATION {violation}"));
        self.violation.get_or_insert(violation);
    }

    fn check(&mut self, checked: Result<(), Violation>) {
        if let Err(violation) = checked {
            self.fail(violation);
        }
    }

    /// The end of all faults: what has stopped goes on, what was broken heals, what is stuck ends.
    fn heal(&mut self) {
        self.is_healed = true;
        self.drive.heal(self.now);
        self.after(0, Event::Room);
        if let Some(until) = &mut self.site.paused_until {
            *until = self.now;
            self.after(0, Event::Wake(self.site.incarnation));
        }
        self.unstall();
        for worker in 0..self.crew.len() {
            self.crew[worker].partition_until = 0;
            self.heal_hand(worker);
        }
        for (worker, ruin) in self.plan.setting.ruins.clone() {
            self.ruin(worker, ruin);
        }
        self.resume_queues();
        self.after(LOOK, Event::Look);
    }

    /// Whether everything has ended; later than it must is a promise broken.
    fn look(&mut self) {
        match self.unfinished() {
            None => {
                self.last_judgement();
                self.is_over = true;
            }
            Some(what) if self.plan.setting.safety + LIVENESS_MAX < self.now => {
                self.fail(Violation::new("liveness", what));
            }
            Some(_) => self.after(LOOK, Event::Look),
        }
    }

    /// What has not ended yet.
    fn unfinished(&self) -> Option<String> {
        let Some(machine) = &self.site.machine else { return Some("no coordinator".to_owned()) };
        if let Some(wish) = self.callers.unanswered() {
            return Some(format!("wish {wish} was never answered"));
        }
        if let Some((id, entry)) = self.ledger.tasks().find(|(_, entry)| entry.ended.is_none()) {
            return Some(format!("{id} never ended: {entry:?}; {:?}", machine.queue().task(id)));
        }
        for (worker, hand) in self.crew.iter().enumerate().filter(|(_, hand)| !hand.is_ruined) {
            let load = hand.session.as_ref().map(leasehold_worker::simulation::Worker::load);
            if load != Some((0, 0)) {
                return Some(format!("worker {worker} still has {load:?}"));
            }
        }
        if let Some(view) = machine.queue().workers().find(|view| !view.tokens.is_empty()) {
            return Some(format!("a slot is never freed: {view:?}"));
        }
        let is_quiet = machine.is_quiet() && self.drive.is_idle();
        (!is_quiet).then(|| "something is still being written".to_owned())
    }

    fn session_ttl_max(&self) -> Micros {
        micros(self.site.session_ttl_max.max(self.site.session_ttl_most))
    }
}

/// A duration rounded up to the simulation's unit.
fn micros_up(duration: Duration) -> Micros {
    u64::try_from(duration.as_nanos().div_ceil(1_000)).unwrap_or(u64::MAX)
}
