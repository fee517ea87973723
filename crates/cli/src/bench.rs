//! `leasehold bench`: what a coordinator can do, measured from outside as a user would.
//!
//! Submitter, worker and measurement share this process; the coordinator is a process of its own.

mod cpu_time;
mod flow;
mod latency;
mod load;
mod spawned;

use std::{path::PathBuf, time::Duration};

use clap::Subcommand;
use leasehold_client::{Client, ClientOptions, GeneratedKeys};

use crate::{Done, args::Global, duration::parse_duration, failure::Failure, output::Output};

/// What the coordinator promises, and a benchmark must not measure without.
const DURABILITY: &str = "every accept, grant and result is synced to disk before it is answered";

/// What to measure.
#[derive(Debug, Subcommand)]
pub(crate) enum BenchCommand {
    /// Tasks per second: from the first submit to the last accepted result, with a worker running
    Flow {
        #[command(flatten)]
        target: Target,
        /// How many tasks: 1 to 10,000,000
        #[arg(long, default_value_t = 100_000, value_name = "N",
              value_parser = clap::value_parser!(u64).range(1..=10_000_000))]
        tasks: u64,
        /// How many submits may be unanswered at a time
        #[arg(long, default_value_t = 4_096, value_name = "N")]
        window: usize,
        /// How many tasks one message holds at most: 1 to 1,000
        #[arg(long, default_value_t = 256, value_name = "N")]
        batch: usize,
    },
    /// From the time a task is due to the start of its handler, at a steady rate
    Latency {
        #[command(flatten)]
        target: Target,
        /// Tasks per second: 1 to 100,000
        #[arg(long, default_value_t = 1_000, value_name = "HZ",
              value_parser = clap::value_parser!(u64).range(1..=100_000))]
        rate: u64,
        /// How many seconds: 1 to 3,600
        #[arg(long, default_value_t = 10, value_name = "N",
              value_parser = clap::value_parser!(u64).range(1..=3_600))]
        secs: u64,
    },
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
    /// How many tasks the worker runs at once
    #[arg(long, default_value_t = 1_000, value_name = "N")]
    slots: u32,
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
    fn retention(&self) -> Retention {
        match (self.spawn, self.retention_zero) {
            (false, _) => Retention::Unknown,
            (true, false) => Retention::Default,
            (true, true) => Retention::Zero,
        }
    }
}

impl Retention {
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
    client: Client,
    pid: Option<u32>,
    /// Ends with the subject.
    spawned: Option<spawned::Coordinator>,
}

pub(crate) async fn run(command: BenchCommand, global: &Global, output: Output) -> Done {
    match command {
        BenchCommand::Flow { target, tasks, window, batch } => {
            let subject = Subject::new(&target, global).await?;
            let setup = flow::Setup { target, tasks, window, batch };
            let done = flow::run(&setup, &subject, output).await;
            subject.end().await?;
            done
        }
        BenchCommand::Latency { target, rate, secs } => {
            let subject = Subject::new(&target, global).await?;
            let setup = latency::Setup { target, rate, secs };
            let done = latency::run(&setup, &subject, output).await;
            subject.end().await?;
            done
        }
    }
}

impl Subject {
    /// The coordinator that the command line names, or a new one.
    async fn new(target: &Target, global: &Global) -> Result<Self, Failure> {
        let spawned = if target.spawn {
            Some(spawned::Coordinator::start(target.data_in.as_deref(), target.retention()).await?)
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
        Ok(Self { client, pid, spawned })
    }

    /// Stops what was started.
    async fn end(self) -> Result<(), Failure> {
        match self.spawned {
            Some(coordinator) => coordinator.stop().await,
            None => Ok(()),
        }
    }
}
