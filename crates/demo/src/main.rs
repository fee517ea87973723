//! `leasehold-demo`: a coordinator and three workers do real work while two of them are killed, and
//! nothing is lost.
//!
//! This file only starts things and turns their end into an exit code.

mod args;
mod cluster;
mod digest;
mod error;
mod files;
mod ledger;
mod process;
mod progress;
mod run;
mod verdict;
mod worker;
mod workload;

use std::io::{self, Write as _};
use std::process::ExitCode;

use clap::Parser as _;
use tokio::runtime::Runtime;
use tokio::signal::unix::{SignalKind, signal};

use crate::args::{Args, Command, RunArgs};

/// The exit code of a command that a signal ended, as a shell reports SIGINT.
const EXIT_INTERRUPTED: u8 = 130;

fn main() -> ExitCode {
    leasehold_worker::guard::run_if_guard();
    let args = Args::parse();
    match start(args.command) {
        Ok(code) => code,
        Err(error) => {
            complain(&format!("leasehold-demo: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

fn start(command: Command) -> anyhow::Result<ExitCode> {
    let runtime = Runtime::new()?;
    let code = match command {
        Command::Run(args) => runtime.block_on(run_or_interrupt(args)),
        Command::Worker(args) => runtime.block_on(worker::serve(args)).map(|()| ExitCode::SUCCESS),
    };
    // Whatever still computes is of no use to anybody.
    runtime.shutdown_background();
    code
}

/// Runs the demo; a signal drops it, and with it every process it started.
async fn run_or_interrupt(args: RunArgs) -> anyhow::Result<ExitCode> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut hang_up = signal(SignalKind::hangup())?;
    let verdict = tokio::select! {
        verdict = run::run(args) => verdict?,
        _ = interrupt.recv() => return Ok(interrupted()),
        _ = terminate.recv() => return Ok(interrupted()),
        _ = hang_up.recv() => return Ok(interrupted()),
    };
    Ok(if verdict.is_good() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn interrupted() -> ExitCode {
    complain("leasehold-demo: interrupted; every process it started is stopped");
    ExitCode::from(EXIT_INTERRUPTED)
}

fn complain(line: &str) {
    // After a hang-up there may be nobody to tell.
    drop(writeln!(io::stderr(), "{line}"));
}
