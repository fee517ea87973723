//! One run: the machines, the faults at their times, and what came of it.

use std::{
    fmt,
    path::Path,
    sync::{Arc, Mutex, PoisonError, atomic::AtomicUsize},
    time::Duration,
};

use turmoil::{Builder, Sim};

use crate::{
    caller::{Auditor, Caller},
    crew::Crewman,
    fault::{Fault, Link, Machine, Trouble},
    judge::Violation,
    ledger::Ledger,
    plan::Plan,
    site::Site,
    trace,
    wire::{COORDINATOR, Line},
};

/// How far simulated time goes in one step. Within a step each machine is as far as it got by itself.
const TICK: Duration = Duration::from_millis(5);

/// For how long things may go on once nothing goes wrong any more. Sessions and attempts end within seconds, retries
/// wait for two at most, and the longest queue of one worker holds some minutes of work.
const PATIENCE: Duration = Duration::from_mins(15);

/// More packets than any connection here has under way.
const PACKETS_MAX: usize = 1 << 16;

/// What came of a run.
#[derive(Clone, Debug)]
pub struct Report {
    /// Its seed.
    pub seed: u64,
    /// The first promise that was broken.
    pub violation: Option<Violation>,
    /// How much time was simulated.
    pub simulated: Duration,
    /// How many tasks there were.
    pub tasks: usize,
    /// How many handlers began.
    pub runs: u64,
    /// How many processes started.
    pub starts: u64,
    /// How many faults there were.
    pub faults: usize,
    /// Of everything that happened.
    pub hash: u64,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { seed, simulated, tasks, runs, starts, faults, hash, .. } = self;
        let simulated_ms = simulated.as_millis();
        write!(
            f,
            "seed={seed} simulated_ms={simulated_ms} tasks={tasks} runs={runs} starts={starts} faults={faults} hash={hash:016x}"
        )
    }
}

/// What panicked, of the whole process.
static PANICS: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// Runs a seed, once in the life of the process: its chance begins with it.
pub fn seed(seed: u64, data: &Path) -> Report {
    fastrand::seed(seed);
    std::panic::set_hook(Box::new(|panic| {
        PANICS.lock().unwrap_or_else(PoisonError::into_inner).push(panic.to_string());
    }));
    World::new(Plan::of(seed), seed, data).run(seed)
}

/// A simulated network and the machines on it.
struct World<'a> {
    sim: Sim<'a>,
    plan: Plan,
    site: Site,
    crew: Vec<Crewman>,
    /// How each link is, and what is on it.
    links: Vec<(Machine, Link, Line)>,
    /// What goes wrong now.
    troubles: Vec<Trouble>,
    ledger: Ledger,
}

/// A fault begins or ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Edge {
    Ends,
    Begins,
}

impl World<'_> {
    fn new(plan: Plan, seed: u64, data: &Path) -> Self {
        let ledger = Ledger::default();
        let mut sim = Builder::new()
            .rng_seed(seed)
            .tick_duration(TICK)
            .simulation_duration(plan.healed_at + PATIENCE)
            .min_message_latency(plan.latency.0)
            .max_message_latency(plan.latency.1)
            .tcp_capacity(PACKETS_MAX)
            .build();
        let site = Site::new(&plan, data.to_owned(), ledger.clone());
        sim.host(COORDINATOR, {
            let site = site.clone();
            move || site.clone().run()
        });
        let mut links = Vec::new();
        let mut crew = Vec::new();
        for (number, slots) in plan.slots.iter().enumerate() {
            let (machine, line) = (Machine::Worker(number), Line::default());
            let crewman = Crewman::new(machine, line.clone(), *slots, ledger.clone());
            crew.push(crewman.clone());
            sim.host(machine.to_string(), move || crewman.clone().run());
            links.push((machine, Link::Whole, line));
        }
        let busy = Arc::new(AtomicUsize::new(plan.orders.len()));
        for (number, orders) in plan.orders.iter().enumerate() {
            let (machine, line) = (Machine::Caller(number), Line::default());
            links.push((machine, Link::Whole, line.clone()));
            let (orders, ledger, busy) = (orders.clone(), ledger.clone(), Arc::clone(&busy));
            sim.client(machine.to_string(), Caller { machine, line, orders, ledger, busy }.run());
        }
        let (tasks, workers, healed_at) = (plan.tasks(), plan.slots.len(), plan.healed_at);
        let auditor = Auditor { ledger: ledger.clone(), busy, tasks, workers, healed_at };
        sim.client("auditor", auditor.run());
        Self { sim, plan, site, crew, links, troubles: Vec::new(), ledger }
    }

    fn run(mut self, seed: u64) -> Report {
        let mut edges = edges(&self.plan.faults, self.plan.healed_at).into_iter().peekable();
        loop {
            trace::network_is_at(self.sim.elapsed());
            while let Some((_, edge, trouble)) = edges.next_if(|(at, ..)| *at <= self.sim.elapsed())
            {
                self.turn(edge, trouble);
            }
            let stepped = self.sim.step();
            let panics =
                std::mem::take(&mut *PANICS.lock().unwrap_or_else(PoisonError::into_inner));
            for panic in panics {
                self.ledger.broken(Violation::Panic(panic));
            }
            match stepped {
                Ok(false) => {}
                Ok(true) => break,
                Err(error) => {
                    self.ledger.broken(Violation::Stuck(error.to_string()));
                    break;
                }
            }
            if self.ledger.pages().violation.is_some() {
                break;
            }
        }
        let (simulated, pages) = (self.sim.elapsed(), self.ledger.pages());
        Report {
            seed,
            violation: pages.violation.clone(),
            simulated,
            tasks: self.plan.tasks(),
            runs: pages.runs,
            starts: pages.starts,
            faults: self.plan.faults.len(),
            hash: pages.hash.0,
        }
    }

    fn turn(&mut self, edge: Edge, trouble: Trouble) {
        self.ledger.note(&format!("{edge:?}: {trouble:?}"));
        match edge {
            Edge::Begins => self.troubles.push(trouble),
            Edge::Ends => {
                let ended = self.troubles.iter().position(|it| *it == trouble);
                ended.map(|at| self.troubles.swap_remove(at));
            }
        }
        self.relink();
        match (edge, trouble) {
            (Edge::Begins, Trouble::Killed(machine) | Trouble::Gone(machine)) => {
                if self.sim.is_host_running(machine.to_string()) {
                    self.sim.crash(machine.to_string());
                }
            }
            (Edge::Begins, Trouble::Restarted(machine)) => self.stop(machine),
            (Edge::Begins, Trouble::Reset(machine)) => {
                let all = machine == Machine::Coordinator;
                let hit = self.links.iter().filter(|(of, ..)| all || *of == machine);
                hit.for_each(|(.., line)| line.reset());
            }
            (
                Edge::Ends,
                Trouble::Killed(machine) | Trouble::Gone(machine) | Trouble::Restarted(machine),
            ) => self.start(machine),
            (_, Trouble::SlowDisk(_)) => {
                let slow = self.troubles.iter().filter_map(|it| match it {
                    Trouble::SlowDisk(most) => Some(*most),
                    Trouble::Held(_)
                    | Trouble::Cut(_)
                    | Trouble::Unheard(_)
                    | Trouble::Mute(_)
                    | Trouble::Reset(_)
                    | Trouble::Killed(_)
                    | Trouble::Gone(_)
                    | Trouble::Restarted(_) => None,
                });
                self.site.slow_down(slow.max().unwrap_or_default());
            }
            (Edge::Ends, Trouble::Reset(_))
            | (_, Trouble::Held(_) | Trouble::Cut(_) | Trouble::Unheard(_) | Trouble::Mute(_)) => {}
        }
    }

    /// Lets each link be as the worst of the present troubles makes it.
    fn relink(&mut self) {
        for (machine, link, _) in &mut self.links {
            let worst = self.troubles.iter().map(|trouble| trouble.link(*machine)).max();
            let next = worst.unwrap_or_default();
            if next == *link {
                continue;
            }
            let name = machine.to_string();
            match *link {
                Link::Whole => {}
                Link::Held => self.sim.release(COORDINATOR, name.as_str()),
                Link::Cut | Link::Unheard | Link::Mute => {
                    self.sim.repair(COORDINATOR, name.as_str());
                }
            }
            match next {
                Link::Whole => {}
                Link::Held => self.sim.hold(COORDINATOR, name.as_str()),
                Link::Cut => self.sim.partition(COORDINATOR, name.as_str()),
                Link::Unheard => self.sim.partition_oneway(COORDINATOR, name.as_str()),
                Link::Mute => self.sim.partition_oneway(name.as_str(), COORDINATOR),
            }
            *link = next;
        }
    }

    /// Asks a process to end.
    fn stop(&self, machine: Machine) {
        match machine {
            Machine::Coordinator => self.site.stop(),
            Machine::Worker(number) => {
                if let Some(crewman) = self.crew.get(number) {
                    crewman.stop();
                }
            }
            Machine::Caller(_) => {}
        }
    }

    /// Starts a process, unless another trouble keeps it down. One that has not ended is killed first.
    fn start(&mut self, machine: Machine) {
        let keeps_down = [Trouble::Killed, Trouble::Gone, Trouble::Restarted].map(|it| it(machine));
        if !self.troubles.iter().any(|it| keeps_down.contains(it)) {
            self.sim.bounce(machine.to_string());
        }
    }
}

/// When each fault begins and ends: at the latest when everything heals.
fn edges(faults: &[Fault], healed_at: Duration) -> Vec<(Duration, Edge, Trouble)> {
    let mut edges: Vec<_> = faults
        .iter()
        .flat_map(|fault| {
            let ends = (fault.at + fault.lasts).min(healed_at);
            [(fault.at, Edge::Begins, fault.trouble), (ends, Edge::Ends, fault.trouble)]
        })
        .collect();
    edges.sort_by_key(|(at, ..)| *at);
    edges
}
