//! The command line: its nouns and what holds for all of them. Each noun's verbs are in its own module.

use std::time::Duration;

use clap::{Parser, Subcommand, ValueEnum};
use clap_complete::Shell;

use crate::{
    bench::BenchCommand, breaker::BreakerCommand, config::ConfigCommand, dead::DeadCommand,
    duration::parse_duration, errors::ErrorsArgs, lease::LeaseCommand, namespace::NamespaceCommand,
    queue::QueueCommand, scaling::ScalingCommand, schema::SchemaCommand, task::TaskCommand,
    worker::WorkerCommand,
};

/// How long a person looks at a command that does nothing. Waits have limits of their own.
const CALL_TIMEOUT_DEFAULT: &str = "5s";

/// Submits tasks to a Leasehold coordinator and shows what becomes of them.
///
/// Exit codes: 0 ok; 1 a task ended without success (wait, submit --wait); 2 usage; 3 not found;
/// 4 cannot reach the coordinator; 5 wait timed out; 6 conflict or precondition; 7 a limit is reached;
/// 8 denied; 70 internal error; 130 interrupted.
#[derive(Debug, Parser)]
#[command(name = "leasehold", version, propagate_version = true)]
pub(crate) struct Args {
    #[command(flatten)]
    pub(crate) global: Global,

    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What every command understands.
#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Global options")]
pub(crate) struct Global {
    /// Where the coordinator is
    #[arg(
        long,
        global = true,
        env = "LEASEHOLD_ADDRESS",
        value_name = "URL",
        default_value = "http://127.0.0.1:7171"
    )]
    pub(crate) address: String,

    /// How to print
    #[arg(
        short,
        long,
        global = true,
        env = "LEASEHOLD_OUTPUT",
        value_name = "FORMAT",
        default_value = "table"
    )]
    pub(crate) output: Format,

    /// How long one call may take, its repetitions included
    #[arg(
        long,
        global = true,
        env = "LEASEHOLD_CALL_TIMEOUT",
        value_name = "DURATION",
        value_parser = parse_duration,
        default_value = CALL_TIMEOUT_DEFAULT
    )]
    pub(crate) call_timeout: Duration,

    /// What the coordinator is to call this client: clients of one name share one `limits.submit_rate` [default: the address
    /// they call from]
    #[arg(long, global = true, env = "LEASEHOLD_CLIENT_NAME", value_name = "NAME")]
    pub(crate) client_name: Option<String>,

    /// Of which namespace queues, tasks that are submitted and lists are; a task that is named by its id is found whatever its
    /// namespace [default: default]
    #[arg(short, long, global = true, env = "LEASEHOLD_NAMESPACE", value_name = "NAME")]
    pub(crate) namespace: Option<String>,

    /// Which log lines to write to stderr: a level, or target=level,...
    #[arg(
        long = "log",
        global = true,
        env = "LEASEHOLD_LOG",
        value_name = "FILTER",
        default_value = "warn"
    )]
    pub(crate) log_filter: String,
}

/// How data is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// Columns for people
    Table,
    /// The messages of the contract in protobuf's JSON mapping
    Json,
}

/// What to talk about.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Submit tasks, look at them, wait for them, cancel them
    #[command(subcommand)]
    Task(TaskCommand),
    /// Look at tasks that failed for good, and replay them
    #[command(subcommand)]
    Dead(DeadCommand),
    /// Look at queues, pause and resume them
    #[command(subcommand)]
    Queue(QueueCommand),
    /// Look at what namespaces have open, and may have
    #[command(subcommand)]
    Namespace(NamespaceCommand),
    /// Look at circuit breakers, and close circuits by hand
    #[command(subcommand)]
    Breaker(BreakerCommand),
    /// Take leases away from their workers
    #[command(subcommand)]
    Lease(LeaseCommand),
    /// Look at workers, drain and evict them
    #[command(subcommand)]
    Worker(WorkerCommand),
    /// Compute fingerprints of payload schemas, and compare schemas
    #[command(subcommand)]
    Schema(SchemaCommand),
    /// Look at how many workers there should be, and why
    #[command(subcommand)]
    Scaling(ScalingCommand),
    /// Look at the coordinator itself
    Cluster,
    /// Look at the coordinator's configuration, compare, check and reload it
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Measure a coordinator
    #[command(subcommand)]
    Bench(BenchCommand),
    /// Explain why a coordinator refuses, and what to do about it
    Errors(ErrorsArgs),
    /// Print a completion script for a shell
    Completion {
        /// Which shell
        shell: Shell,
    },
}

impl Command {
    /// The noun, for the trace.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Task(_) => "task",
            Self::Dead(_) => "dead",
            Self::Queue(_) => "queue",
            Self::Namespace(_) => "namespace",
            Self::Breaker(_) => "breaker",
            Self::Lease(_) => "lease",
            Self::Worker(_) => "worker",
            Self::Schema(_) => "schema",
            Self::Scaling(_) => "scaling",
            Self::Cluster => "cluster",
            Self::Config(_) => "config",
            Self::Bench(_) => "bench",
            Self::Errors(_) => "errors",
            Self::Completion { .. } => "completion",
        }
    }
}

#[cfg(test)]
mod tests;
