//! The command line.

use std::path::PathBuf;

use clap::{Parser, Subcommand};

/// Real work on a cluster of separate processes, two of which are killed while they work.
#[derive(Debug, Parser)]
#[command(name = "leasehold-demo", version)]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Start a coordinator and three workers, submit a task per file, kill -9 a worker and the
    /// coordinator on the way, and compare every result with an independent computation.
    ///
    /// Exit codes: 0 nothing lost and nothing wrong, 1 otherwise, 130 interrupted.
    Run(RunArgs),
    /// One of the demo's workers: serves the Rust handler `digest` and the program `sha256sum`.
    Worker(WorkerArgs),
}

#[derive(Debug, Parser)]
pub(crate) struct RunArgs {
    /// Whose files are worked on, its folders included.
    #[arg(long, value_name = "DIR", default_value = "/usr/share")]
    pub(crate) dir: PathBuf,

    /// The most files to work on.
    #[arg(long, value_name = "N", default_value_t = 20_000, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) files: u32,

    /// Keep the temporary folder: the journal, the ledger and the logs of every process.
    #[arg(long)]
    pub(crate) keep: bool,
}

#[derive(Debug, Parser)]
pub(crate) struct WorkerArgs {
    /// Where the coordinator listens.
    #[arg(long, value_name = "HOST:PORT")]
    pub(crate) address: String,

    /// The worker's own name.
    #[arg(long, value_name = "ID")]
    pub(crate) id: String,

    /// The file every execution adds a line to.
    #[arg(long, value_name = "FILE")]
    pub(crate) ledger: PathBuf,
}
