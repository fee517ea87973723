//! The worker that runs programs: `leasehold-worker`.
//!
//! It reads flags and a configuration file, and leaves everything else to the library.

mod args;
mod config;

use std::process::ExitCode;

use leasehold_telemetry::Settings;
use leasehold_worker::{Error, guard};

use self::{
    args::Args,
    config::{Config, ConfigError},
};

/// A wrong flag or configuration (`EX_USAGE` of sysexits.h).
const EXIT_USAGE: u8 = 64;

/// The coordinator does not want this worker, or its id or its state directory is in use (`EX_UNAVAILABLE`).
const EXIT_UNAVAILABLE: u8 = 69;

/// Too many slots are lost to work that cannot be stopped: start the worker again (`EX_OSERR`).
const EXIT_RECYCLED: u8 = 71;

/// The worker itself failed (`EX_SOFTWARE`).
const EXIT_BROKEN: u8 = 70;

/// Drained, but not everything could be delivered (`EX_TEMPFAIL`).
const EXIT_UNDELIVERED: u8 = 75;

/// Stopped by a second signal, as a shell would report SIGINT.
const EXIT_INTERRUPTED: u8 = 130;

fn main() -> ExitCode {
    guard::run_if_guard();
    let args = match Args::read() {
        Ok(args) => args,
        Err(asked) => {
            let code = if asked.use_stderr() { EXIT_USAGE } else { 0 };
            // Nobody reads what cannot be printed.
            let _unprinted = asked.print();
            return ExitCode::from(code);
        }
    };
    match prepared(&args) {
        Err(error) => {
            complain(&error);
            ExitCode::from(EXIT_USAGE)
        }
        Ok(config) if args.check => {
            warn_of_directories(&config);
            ExitCode::SUCCESS
        }
        Ok(config) => run(&config),
    }
}

/// The configuration, with everything checked that can be checked without a coordinator.
fn prepared(args: &Args) -> Result<Config, ConfigError> {
    let config = args.config()?;
    config.worker().check()?;
    Ok(config)
}

/// Says which directories are missing. They may be there when a task comes, so a worker starts all the same.
#[expect(clippy::print_stderr, reason = "it is said to whoever asked for the check")]
fn warn_of_directories(config: &Config) {
    for (task_type, program) in &config.programs {
        if let Some(directory) = program.directory.as_ref().filter(|it| !it.is_dir()) {
            let directory = directory.display();
            eprintln!("leasehold-worker: warning: {task_type}: {directory} is no directory here");
        }
    }
}

fn run(config: &Config) -> ExitCode {
    let settings = Settings {
        service_name: "leasehold-worker",
        otlp_endpoint: config.telemetry.otlp_endpoint.clone(),
        log_format: config.telemetry.log_format.into(),
        log_filter: config.telemetry.log_filter.clone(),
    };
    let telemetry = match leasehold_telemetry::init(&settings) {
        Ok(telemetry) => telemetry,
        Err(error) => {
            complain(&error);
            return ExitCode::from(EXIT_USAGE);
        }
    };
    // Programs are watched from the connection's own thread: there is nothing to share a second one for.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let result = match runtime {
        Ok(runtime) => runtime.block_on(config.worker().run()),
        Err(error) => {
            complain(&error);
            return ExitCode::from(EXIT_BROKEN);
        }
    };
    let code = match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            complain(&error);
            ExitCode::from(exit_code(&error))
        }
    };
    telemetry.shutdown();
    code
}

fn exit_code(error: &Error) -> u8 {
    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "what is not named is the worker's own fault"
    )]
    match error {
        Error::Setting { .. } | Error::NoTaskType | Error::ServedTwice(_) => EXIT_USAGE,
        Error::IdInUse(_)
        | Error::StateDirInUse { .. }
        | Error::Refused { .. }
        | Error::Protocol(_) => EXIT_UNAVAILABLE,
        Error::Undelivered { .. } => EXIT_UNDELIVERED,
        Error::SlotsLost { .. } => EXIT_RECYCLED,
        Error::Interrupted { .. } => EXIT_INTERRUPTED,
        _ => EXIT_BROKEN,
    }
}

/// Says on stderr what is wrong, with its causes, on one line.
#[expect(
    clippy::print_stderr,
    reason = "it is said before there are logs, or where nobody reads them"
)]
fn complain(error: &dyn std::error::Error) {
    let causes = std::iter::successors(Some(error), |it: &&dyn std::error::Error| (*it).source());
    let words: Vec<String> = causes.map(ToString::to_string).collect();
    eprintln!("leasehold-worker: {}", words.join(": "));
}
