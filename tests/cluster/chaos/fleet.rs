//! A cluster whose every process can be killed or stopped and whose every link can be ill-treated.
//!
//! It does what a plan says, writes down who stood still when, and judges nothing.

use std::{
    fs,
    net::{SocketAddr, TcpListener},
    path::{Path, PathBuf},
};

use leasehold_proto::v1::Task;
use rustix::{
    process::Signal,
    time::{ClockId, clock_gettime},
};

use super::{
    ledger::{Line, lines},
    load::QUEUE,
    plan::{Act, Victim},
    proxy::{Link, Weather},
    verdict::Pause,
};
use crate::{
    binary,
    condition::SOON,
    coordinator::{Coordinator, Options},
    crew::Answer,
    process::Process,
    worker,
};

/// The workers: each serves one of the two task types.
const WORKERS: [(&str, Kind); 4] = [
    ("function-0", Kind::Functions),
    ("function-1", Kind::Functions),
    ("program-0", Kind::Programs),
    ("program-1", Kind::Programs),
];

/// How many workers there are.
pub(crate) const SIZE: usize = WORKERS.len();

/// Tasks a worker in Rust runs at once.
const FUNCTION_SLOTS: u32 = 8;

/// Programs a worker runs at once.
const PROGRAM_SLOTS: u32 = 4;

/// However often a task loses its worker here, it is not the task's fault.
const CONFIG: &str = "limits:\n  worker_losses: 1000\n";

/// The file everything is written down in, in the witnesses' directory.
const LEDGER: &str = "ledger";

/// What a worker serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Functions,
    Programs,
}

/// What is known of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Condition {
    Runs,
    /// Since this time, in nanoseconds of boot time.
    StandsStill(i128),
    IsDown,
}

/// The whole cluster.
pub(crate) struct Fleet {
    coordinator: Coordinator,
    condition: Condition,
    workers: Vec<Worker>,
    /// One for each worker, and the client's.
    links: Vec<Link>,
    /// Whose work stood still.
    pub(crate) pauses: Vec<Pause>,
    /// How many processes were killed, stopped, and how often a link changed for the worse or was cut.
    pub(crate) tally: [u32; 3],
}

/// One worker, with all it was told before it was killed.
struct Worker {
    id: &'static str,
    process: Process,
    condition: Condition,
    starts: u32,
    answers: Vec<Answer>,
}

impl Fleet {
    /// Starts everything. Seeds say how links shiver.
    pub(crate) async fn start(seed: u64) -> Self {
        let options = Options {
            listen: Some(steady_address()),
            config: Some(CONFIG.to_owned()),
            ..Options::short_sessions()
        };
        let coordinator = Coordinator::start_with(options).await;
        let mut links = Vec::new();
        for index in 0..=SIZE as u64 {
            links.push(Link::to(coordinator.address, seed.wrapping_add(index)).await);
        }
        let mut fleet = Self {
            condition: Condition::Runs,
            workers: Vec::new(),
            links,
            pauses: Vec::new(),
            tally: [0; 3],
            coordinator,
        };
        for (index, (id, _)) in WORKERS.into_iter().enumerate() {
            let process = fleet.spawn(index, 1);
            let (condition, answers) = (Condition::Runs, Vec::new());
            fleet.workers.push(Worker { id, process, condition, starts: 1, answers });
        }
        fleet
    }

    /// Where the client connects to.
    pub(crate) fn client_address(&self) -> SocketAddr {
        self.links[SIZE].address
    }

    /// Does one thing. What cannot be done as things are, to a process that is down for instance, is not done.
    pub(crate) fn apply(&mut self, act: Act) {
        self.nobody_ended();
        match act {
            Act::Kill(victim) if self.condition(victim) != Condition::IsDown => self.kill(victim),
            Act::Start(victim) if self.condition(victim) == Condition::IsDown => {
                self.revive(victim);
            }
            Act::Stop(victim) if self.condition(victim) == Condition::Runs => {
                self.tally[1] += 1;
                let since = now();
                self.process(victim).signal(Signal::STOP);
                self.set(victim, Condition::StandsStill(since));
            }
            Act::Continue(victim) => self.wake(victim),
            Act::Turn(link, weather) => {
                self.tally[2] += u32::from(weather != Weather::FAIR);
                self.links[link].turn(weather);
            }
            Act::Cut(link, cut) => {
                self.tally[2] += 1;
                self.links[link].cut(cut);
            }
            Act::Kill(_) | Act::Start(_) | Act::Stop(_) => {}
        }
    }

    /// Ends all trouble, and waits until the coordinator listens.
    pub(crate) async fn heal(&mut self) {
        for link in &self.links {
            link.turn(Weather::FAIR);
        }
        for victim in (0..SIZE).map(Victim::Worker).chain([Victim::Coordinator]) {
            self.apply(Act::Continue(victim));
            self.apply(Act::Start(victim));
        }
        self.coordinator.listens().await;
    }

    /// Whether nothing is left to do.
    pub(crate) async fn is_drained(&self) -> bool {
        self.coordinator.client().is_drained(QUEUE).await
    }

    /// Every task with its result.
    pub(crate) async fn shown(&self) -> Vec<Task> {
        let mut client = self.coordinator.client();
        let mut shown = client.list(QUEUE).await;
        for task in &mut shown {
            *task = client.task(&task.task_id).await;
        }
        shown
    }

    /// Asks every worker to leave, waits until all have, and hands over what they were told.
    pub(crate) async fn dismiss(&mut self) -> Vec<Answer> {
        self.nobody_ended();
        for worker in &self.workers {
            worker.process.signal(Signal::TERM);
        }
        let mut answers = Vec::new();
        for worker in &mut self.workers {
            worker.process.exits_with(0, SOON).await;
            worker.keep_answers();
            answers.append(&mut worker.answers);
        }
        answers
    }

    /// What executions wrote down.
    pub(crate) fn ledger(&self) -> Vec<Line> {
        let text = fs::read_to_string(self.witnesses().join(LEDGER));
        lines(&text.expect("somebody wrote something down"))
    }

    fn kill(&mut self, victim: Victim) {
        self.tally[0] += 1;
        self.end_pause(victim);
        match victim {
            Victim::Coordinator => self.coordinator.kill(),
            Victim::Worker(index) => {
                let worker = &mut self.workers[index];
                worker.process.kill();
                worker.keep_answers();
            }
        }
        self.set(victim, Condition::IsDown);
    }

    fn revive(&mut self, victim: Victim) {
        match victim {
            Victim::Coordinator => self.coordinator.respawn(),
            Victim::Worker(index) => {
                self.workers[index].starts += 1;
                self.workers[index].process = self.spawn(index, self.workers[index].starts);
            }
        }
        self.set(victim, Condition::Runs);
    }

    fn wake(&mut self, victim: Victim) {
        if let Condition::StandsStill(_) = self.condition(victim) {
            self.process(victim).signal(Signal::CONT);
            self.end_pause(victim);
            self.set(victim, Condition::Runs);
        }
    }

    /// Writes down that a worker stood still until now, if it did and its work with it. That a coordinator did so
    /// excuses nobody, nor does it excuse programs that their worker did: their guards do not stand still.
    fn end_pause(&mut self, victim: Victim) {
        if let (Condition::StandsStill(from), Victim::Worker(index)) =
            (self.condition(victim), victim)
            && WORKERS[index].1 == Kind::Functions
        {
            let worker = self.workers[index].id.to_owned();
            self.pauses.push(Pause { worker, from, to: now() });
        }
    }

    /// Nobody ends who was not killed.
    fn nobody_ended(&mut self) {
        for victim in (0..SIZE).map(Victim::Worker).chain([Victim::Coordinator]) {
            if self.condition(victim) != Condition::IsDown
                && let Some(status) = self.process(victim).ended()
            {
                panic!("{victim:?} ended by itself: {status}\n{}", self.process(victim).tail());
            }
        }
    }

    fn condition(&self, victim: Victim) -> Condition {
        match victim {
            Victim::Coordinator => self.condition,
            Victim::Worker(index) => self.workers[index].condition,
        }
    }

    fn set(&mut self, victim: Victim, condition: Condition) {
        match victim {
            Victim::Coordinator => self.condition = condition,
            Victim::Worker(index) => self.workers[index].condition = condition,
        }
    }

    fn process(&mut self, victim: Victim) -> &mut Process {
        match victim {
            Victim::Coordinator => &mut self.coordinator.process,
            Victim::Worker(index) => &mut self.workers[index].process,
        }
    }

    /// Starts a worker on its own link.
    fn spawn(&self, index: usize, start: u32) -> Process {
        let (id, kind) = WORKERS[index];
        let dir = self.coordinator.dir().join(format!("{id}-{start}"));
        fs::create_dir(&dir).expect("the directory is new");
        let address = self.links[index].address;
        let witnesses = self.witnesses().display().to_string();
        match kind {
            Kind::Functions => functions(id, address, &dir, &witnesses),
            Kind::Programs => programs(id, address, &dir, &witnesses),
        }
    }

    /// Where executions write down what they do.
    fn witnesses(&self) -> PathBuf {
        self.coordinator.dir().join("witnesses")
    }
}

impl Worker {
    fn keep_answers(&mut self) {
        self.answers.extend(worker::answers(self.id, &self.process));
    }
}

/// A worker whose handlers are functions.
fn functions(id: &str, address: SocketAddr, dir: &Path, witnesses: &str) -> Process {
    let mut command = binary::witness();
    command.arg("serve");
    command.envs([
        ("LEASEHOLD_ADDRESS", format!("http://{address}")),
        ("LEASEHOLD_WORKER_ID", id.to_owned()),
        ("LEASEHOLD_SLOTS", FUNCTION_SLOTS.to_string()),
        ("WITNESS_DIR", witnesses.to_owned()),
        ("RUST_LOG", "debug,h2=info,hyper=info,tower=info".to_owned()),
    ]);
    Process::spawn(id, command, dir.join("log"))
}

/// A worker that runs programs, which find the witnesses' directory in its environment.
fn programs(id: &str, address: SocketAddr, dir: &Path, witnesses: &str) -> Process {
    let program = format!("{} attempt", binary::witness().get_program().display());
    let programs = [("witness-program", program.as_str())];
    let env = [("WITNESS_DIR", witnesses)];
    let slots = PROGRAM_SLOTS;
    let options = worker::Options { id, slots, programs: &programs, env: &env, args: &[] };
    worker::start(address, dir, &options)
}

/// An address that nobody takes while the coordinator is down: the system gives ports below this range to none who
/// does not ask for one.
fn steady_address() -> SocketAddr {
    let mut addresses = std::iter::repeat_with(|| {
        SocketAddr::from(([127, 0, 0, 1], fastrand::u16(10_000..30_000)))
    });
    addresses.find(|it| TcpListener::bind(it).is_ok()).expect("some port is free")
}

/// Nanoseconds since the machine booted, as executions count them.
fn now() -> i128 {
    let time = clock_gettime(ClockId::Boottime);
    i128::from(time.tv_sec) * 1_000_000_000 + i128::from(time.tv_nsec)
}
