//! `leasehold-witness`: work that writes down what it does, as a worker in Rust and as a program.
//!
//! `leasehold-witness serve` is a worker whose handlers are async functions; `leasehold-witness attempt` is one
//! attempt, for `leasehold-worker` to run. Both do the same work in the directory `WITNESS_DIR`: each execution notes
//! in a ledger when it begins and ends, shows by a lock that it lives, and writes twice to a resource that is guarded
//! by the fencing token. Whoever reads the directory knows what was really run, whatever anybody was told.
//!
//! It knows nothing of the coordinator, and nothing of the tests that judge it.

mod execution;
mod ledger;
mod order;
mod place;
mod presence;
mod program;
mod resource;
mod serve;

use std::{
    env,
    io::{self, Write as _},
    process::ExitCode,
};

/// The exit code of a command line that makes no sense.
const EXIT_USAGE: u8 = 64;

fn main() -> ExitCode {
    let result = match env::args().nth(1).as_deref() {
        Some("serve") => serve::until_signal(),
        Some("attempt") => program::attempt(),
        _ => {
            complain("usage: leasehold-witness serve|attempt");
            return ExitCode::from(EXIT_USAGE);
        }
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            complain(&format!("leasehold-witness: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

fn complain(line: &str) {
    // Without anybody to tell, the exit code has to do.
    drop(writeln!(io::stderr(), "{line}"));
}
