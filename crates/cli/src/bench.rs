//! `leasehold bench`: what a coordinator can do, measured from outside as a user would.
//!
//! Submitter, worker and measurement share this process; the coordinator is a process of its own. Every figure comes
//! with what it depends on: durability, windows, what each process used, and what the disk took for a sync.

mod connections;
mod delays;
mod disk;
mod expiry;
mod flow;
pub(crate) mod holder;
mod idle;
mod latency;
mod load;
mod open_files;
mod prefill;
mod recovery;
mod report;
mod scaling;
mod spawned;
mod stall;
mod usage;

use std::{
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use clap::Subcommand;
use leasehold_client::{Client, ClientOptions, GeneratedKeys, StreamOptions, TaskSpec};
use tokio_stream::Stream;

use self::{
    load::PAYLOAD_BYTES,
    report::{Report, Value},
    usage::{Meter, Process},
};
use crate::{
    Done, args::Global, duration::parse_duration, exit::Exit, failure::Failure, output::Output,
};

/// What the coordinator promises, and a benchmark must not measure without.
const DURABILITY: &str = "every accept, grant and result is synced to disk before it is answered";

/// What to measure.
#[derive(Debug, Subcommand)]
pub(crate) enum BenchCommand {
    /// Tasks per second: from the first submit to the last accepted result, with a worker running
    Flow(Bench<flow::Setup>),
    /// From the time a task is due to the start of its handler, at a steady rate
    Latency(Bench<latency::Setup>),
    /// Submit alone, what each task that waits costs in memory, then drain alone
    Prefill(Bench<Submits>),
    /// What idle workers cost the coordinator, in memory and in the dispatch to a busy one
    Connections(Bench<connections::Setup>),
    /// From a deadline that many leases share to the death of each handler's process
    Expiry(Bench<expiry::Setup>),
    /// From the start of a coordinator that was killed with open tasks to its first answer and first lease
    Recovery(Bench<Submits>),
    /// What a disk that stands still for some seconds under load does to connections, tasks and memory (as root)
    Stall(Bench<stall::Setup>),
    /// A load that idles, grows, bursts, meets a limit and fades, against a pool of workers
    Scaling(scaling::Setup),
    /// The process that `expiry` sees die
    #[command(hide = true)]
    Handler {
        /// Where it says that it runs
        socket: PathBuf,
    },
    /// The worker whose functions `expiry` sees end
    #[command(hide = true)]
    Functions {
        /// Whose work they do
        task_type: String,
        /// Where they say that they run
        socket: Option<PathBuf>,
    },
}

/// A benchmark, and what it is run against.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Bench<S: clap::Args> {
    #[command(flatten)]
    setup: S,
    #[command(flatten)]
    target: Target,
}

/// What is submitted, and how.
#[derive(Clone, Copy, Debug, clap::Args)]
pub(crate) struct Submits {
    /// How many tasks: 1 to 100,000,000
    #[arg(long, default_value_t = 100_000, value_name = "N",
          value_parser = clap::value_parser!(u64).range(1..=100_000_000))]
    tasks: u64,
    /// How many submits may be unanswered at a time
    #[arg(long, default_value_t = StreamOptions::default().window_tasks, value_name = "N")]
    window: usize,
    /// How many tasks one message holds at most: 1 to 1,000
    #[arg(long, default_value_t = StreamOptions::default().batch_tasks, value_name = "N")]
    batch: usize,
    /// How long each payload is, which holds the number of its task: 8 to 1,048,576, the most that a coordinator accepts
    /// unless it is told otherwise
    #[arg(long, default_value_t = PAYLOAD_BYTES, value_name = "N",
          value_parser = clap::value_parser!(u32).range(8..=1 << 20))]
    payload_bytes: u32,
}

/// Which coordinator is measured, and with what.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Target {
    /// Start a coordinator of its own, in a new directory, and remove both at the end
    #[arg(long, conflicts_with = "coordinator_pid")]
    spawn: bool,
    /// Where the new directory is made; a memory file system makes every sync free [default: the
    /// present directory]
    #[arg(long, value_name = "DIR", requires = "spawn")]
    data_in: Option<PathBuf>,
    /// Let that coordinator keep nothing of tasks that succeeded, in place of their rows for a day
    #[arg(long, requires = "spawn")]
    retention_zero: bool,
    /// The coordinator's process id, to also show its processor time
    #[arg(long, value_name = "PID")]
    coordinator_pid: Option<u32>,
    /// How many tasks the workers run at once: by default as many as one may
    #[arg(long, default_value_t = 10_000, value_name = "N")]
    slots: u32,
    /// How many workers share the slots, each with a connection of its own: 1 to 1,000
    #[arg(long, default_value_t = 1, value_name = "N",
          value_parser = clap::value_parser!(u32).range(1..=1_000))]
    workers: u32,
    /// Give up when nothing ends for this long
    #[arg(long, default_value = "60s", value_name = "DURATION", value_parser = parse_duration)]
    patience: Duration,
}

/// How long the measured coordinator keeps the rows of tasks that succeeded: they are a good part of what it writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Retention {
    /// As a coordinator does unless it is told otherwise.
    Default,
    /// Not at all.
    Zero,
    /// As somebody else has said.
    Unknown,
}

impl Target {
    /// How many tasks each worker runs at once; at least one.
    fn slots_each(&self) -> u32 {
        (self.slots / self.workers).max(1)
    }

    fn retention(&self) -> Retention {
        match (self.spawn, self.retention_zero) {
            (false, _) => Retention::Unknown,
            (true, false) => Retention::Default,
            (true, true) => Retention::Zero,
        }
    }
}

impl Retention {
    /// The configuration of a coordinator that does so.
    fn config(self) -> &'static str {
        match self {
            Self::Default | Self::Unknown => "",
            Self::Zero => "retention:\n  finished: 0s\n",
        }
    }

    /// For people and scripts.
    fn text(self) -> &'static str {
        match self {
            Self::Default => "24h, the default: a row of each finished task is written",
            Self::Zero => "0s: no row of a finished task is written",
            Self::Unknown => "as the coordinator is configured",
        }
    }
}

/// The coordinator to be measured.
struct Subject {
    target: Target,
    client: Client,
    pid: Option<u32>,
    /// Ends with the subject.
    spawned: Option<spawned::Coordinator>,
}

pub(crate) async fn run(command: BenchCommand, global: &Global, output: Output) -> Done {
    match command {
        BenchCommand::Flow(bench) => bench.run(global, output, flow::measure).await,
        BenchCommand::Latency(bench) => bench.run(global, output, latency::measure).await,
        BenchCommand::Prefill(bench) => bench.run(global, output, prefill::measure).await,
        BenchCommand::Connections(bench) => bench.run(global, output, connections::measure).await,
        BenchCommand::Expiry(bench) => bench.run(global, output, expiry::measure).await,
        BenchCommand::Recovery(bench) => bench.run(global, output, recovery::measure).await,
        BenchCommand::Stall(bench) => stall::run(bench, global, output).await,
        BenchCommand::Scaling(setup) => scaling::run(&setup, output).await,
        BenchCommand::Functions { task_type, socket } => {
            holder::work(task_type, socket.as_deref()).await.map(|()| Exit::Ok)
        }
        // It needs nothing of what is started by now, and was handled before.
        BenchCommand::Handler { .. } => Ok(Exit::Ok),
    }
}

impl<S: clap::Args> Bench<S> {
    async fn run(
        self,
        global: &Global,
        output: Output,
        measure: impl AsyncFnOnce(&S, &mut Subject) -> Result<Report, Failure>,
    ) -> Done {
        let mut subject = Subject::new(self.target, global).await?;
        let measured = measure(&self.setup, &mut subject).await;
        let described = measured.and_then(|report| subject.describe(report));
        let stopped = subject.end().await;
        described?.print(output)?;
        stopped?;
        Ok(Exit::Ok)
    }
}

impl Submits {
    fn options(self) -> StreamOptions {
        StreamOptions { window_tasks: self.window, batch_tasks: self.batch }
    }

    /// Says how it was.
    fn report(self, report: &mut Report) {
        report.windows(self.options());
        report.payloads(self.payload_bytes);
    }
}

impl Subject {
    /// The coordinator that the command line names, or a new one.
    async fn new(target: Target, global: &Global) -> Result<Self, Failure> {
        let spawned = if target.spawn {
            let data_in = target.data_in.as_deref();
            Some(spawned::Coordinator::start(data_in, target.retention().config()).await?)
        } else {
            None
        };
        let address = spawned.as_ref().map_or(global.address.as_str(), |it| it.address());
        // Without keys: a benchmark that must repeat a submit measures the outage and not the flow.
        let options = ClientOptions::new(address)
            .call_timeout(global.call_timeout)
            .generated_keys(GeneratedKeys::Absent);
        let client = Client::connect(options)?;
        client.cluster().await?;
        let pid = spawned.as_ref().and_then(spawned::Coordinator::pid).or(target.coordinator_pid);
        Ok(Self { target, client, pid, spawned })
    }

    /// Submits tasks as they come, and waits until each has been accepted.
    async fn submit(
        &self,
        specs: impl Stream<Item = TaskSpec> + Unpin,
        options: StreamOptions,
    ) -> Result<(), Failure> {
        let mut answers = self.client.submit_stream(specs, options);
        while let Some(answer) = answers.next().await {
            answer?;
        }
        Ok(())
    }

    /// Looks at what the coordinator and this process use.
    fn meter(&self) -> Meter {
        let coordinator = self.pid.map(|pid| Process { name: "coordinator", pid });
        let load = Process { name: "load", pid: std::process::id() };
        Meter::start(coordinator.into_iter().chain([load]))
    }

    /// What is resident of the coordinator, if its process is known.
    fn resident_bytes(&self) -> Option<u64> {
        usage::resident_bytes(self.pid?)
    }

    /// Kills the coordinator that was started and starts it again; when that began.
    async fn restart(&mut self) -> Result<Instant, Failure> {
        let spawned = self.spawned.as_mut().ok_or_else(not_ours)?;
        let start = spawned.restart().await?;
        self.pid = spawned.pid();
        Ok(start)
    }

    /// Where files share the disk of the coordinator that was started.
    fn directory(&self) -> Result<&Path, Failure> {
        self.spawned.as_ref().map(spawned::Coordinator::directory).ok_or_else(not_ours)
    }

    /// Adds what all figures depend on.
    fn describe(&self, mut report: Report) -> Result<Report, Failure> {
        report.add("workers", "workers", Value::Count(self.target.workers.into()));
        let slots = u64::from(self.target.workers) * u64::from(self.target.slots_each());
        report.add("worker slots", "workerSlots", Value::Count(slots));
        report.text("durability", "durability", DURABILITY);
        report.text("retention", "retention", self.target.retention().text());
        if let Ok(directory) = self.directory() {
            report.add("disk, fdatasync", "fdatasync", Value::Delays(disk::probe(directory)?));
        }
        Ok(report)
    }

    /// Stops what was started.
    async fn end(self) -> Result<(), Failure> {
        match self.spawned {
            Some(coordinator) => coordinator.stop().await,
            None => Ok(()),
        }
    }
}

/// Not every coordinator may be killed, or has a disk that is known.
fn not_ours() -> Failure {
    Failure::Usage("this measures a coordinator of its own: add --spawn".to_owned())
}
