//! `leasehold-peers`: the same work given to Leasehold and to the servers people use for it today.
//!
//! Tasks of 100 bytes are submitted, leased, completed and removed, by one submitter and one worker. Each server is
//! started from this machine's packages, on loopback, in a directory that goes with it, and set up so that what it
//! confirms is on disk. All take turns, round after round, because a machine is never twice the same.
//!
//! It knows Leasehold by its command line, `leasehold bench` at the defaults a user gets, and for `echo`, which is the
//! transport alone, by its contract.

mod args;
mod cpu;
mod driver;
mod leasehold;
mod peer;
mod server;
mod standing;

use std::process::ExitCode;

use anyhow::Result;
use clap::Parser as _;
use tikv_jemallocator::Jemalloc;

use self::{
    args::{Args, Case, Command},
    peer::echo,
    standing::Standings,
};

/// What the programs have that `echo` is the ceiling of.
#[global_allocator]
static ALLOCATOR: Jemalloc = Jemalloc;

fn main() -> ExitCode {
    let args = Args::parse();
    let done = match args.command {
        Command::Measure(case) => run(case, &args),
        Command::ServeEcho { port } => echo::serve(port),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            complain(&error);
            ExitCode::FAILURE
        }
    }
}

/// Gives every contender its turn in each round, and prints how all stand.
fn run(case: Case, args: &Args) -> Result<()> {
    let contenders = args.contenders(case)?;
    let mut standings = Standings::default();
    for round in 1..=args.rounds() {
        for contender in &contenders {
            say(&format!("round {round}: {contender}"));
            match contender.turn(case, args) {
                Ok(figures) => standings.add(&contender.to_string(), figures),
                // One that is not installed, or falls over, does not keep the others from their turn.
                Err(error) => complain(&error.context(contender.to_string())),
            }
        }
    }
    print(&standings.table(case));
    Ok(())
}

#[expect(clippy::print_stdout, reason = "it is what was asked for")]
fn print(text: &str) {
    print!("{text}");
}

#[expect(clippy::print_stderr, reason = "it is said to whoever waits")]
fn say(text: &str) {
    eprintln!("{text}");
}

fn complain(error: &anyhow::Error) {
    say(&format!("error: {error:#}"));
}
