//! The worker that runs programs, `leasehold-worker`, and the pool that keeps some of them.
//!
//! It reads flags and a configuration file, and leaves everything else to the library or the pool.

mod args;
mod config;
mod pool;
mod reload;

use std::{path::Path, process::ExitCode};

use leasehold_telemetry::{Settings, Telemetry};
use leasehold_worker::{Error, guard};
use tokio::runtime::Runtime;

use self::{
    args::{Args, CommandLine, File, PoolArgs, Role},
    config::{Config, ConfigError},
    pool::{Ended, Member, Plan},
    reload::{Again, Reload},
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
    let line = match CommandLine::read() {
        Ok(line) => line,
        Err(asked) => {
            let code = if asked.use_stderr() { EXIT_USAGE } else { 0 };
            // Nobody reads what cannot be printed.
            let _unprinted = asked.print();
            return ExitCode::from(code);
        }
    };
    let ran = match &line.role {
        None => be_worker(&line.worker),
        Some(Role::Pool(args)) => be_pool(args),
    };
    ran.unwrap_or_else(|error| {
        complain(&error);
        ExitCode::from(EXIT_USAGE)
    })
}

/// One worker, once everything is checked that can be checked without a coordinator.
fn be_worker(args: &Args) -> Result<ExitCode, ConfigError> {
    let file = args.file()?;
    let config = args.over(file.as_ref().map(File::text))?;
    config.worker().check()?;
    if args.check {
        warn_of_directories(&config);
        return Ok(ExitCode::SUCCESS);
    }
    let again = |text: (&str, &Path)| args.over(Some(text));
    Ok(run(&config, file, again, None))
}

/// A pool, or the worker of one that this process was started to be.
fn be_pool(args: &PoolArgs) -> Result<ExitCode, ConfigError> {
    let file = args.worker.file()?;
    let config = args.over(file.as_ref().map(File::text))?;
    if let Some(member) = Member::of(args) {
        if let Err(error) = member.bind() {
            complain(&error);
            return Ok(ExitCode::from(EXIT_BROKEN));
        }
        let config = member.config(config);
        config.worker().check()?;
        let again = |text: (&str, &Path)| Ok(member.config(args.over(Some(text))?));
        return Ok(run(&config, file, again, config.id.clone()));
    }
    let plan = Plan::of(&config)?;
    if args.worker.check {
        warn_of_directories(&config);
        return Ok(ExitCode::SUCCESS);
    }
    Ok(keep(&config, plan))
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

/// Runs one worker, and looks at its file again meanwhile: `again` is the configuration with another text of it. `member`: what every
/// line of its log calls it, if it shares the log with others.
fn run(config: &Config, file: Option<File>, again: impl Again, member: Option<String>) -> ExitCode {
    let field = member.map(|member| ("worker", member));
    with_telemetry(config, field, |runtime, telemetry| {
        let (worker, adjuster) = config.worker().adjustable();
        let ended = runtime.block_on(async {
            let Some(file) = file else { return worker.run().await };
            let reload = Reload::new(file, again, config.clone(), adjuster, telemetry);
            tokio::select! {
                ended = worker.run() => ended,
                never = reload.run() => match never {},
            }
        });
        match ended {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                complain(&error);
                ExitCode::from(exit_code(&error))
            }
        }
    })
}

/// Keeps a pool of workers.
fn keep(config: &Config, plan: Plan) -> ExitCode {
    with_telemetry(config, None, |runtime, _| match runtime.block_on(pool::run(plan)) {
        Ok(Ended::Drained(code)) => ExitCode::from(code),
        Ok(Ended::Interrupted) => ExitCode::from(EXIT_INTERRUPTED),
        Err(error) => {
            complain(&error);
            ExitCode::from(EXIT_BROKEN)
        }
    })
}

fn with_telemetry(
    config: &Config,
    log_field: Option<(&'static str, String)>,
    work: impl FnOnce(&Runtime, &Telemetry) -> ExitCode,
) -> ExitCode {
    let settings = Settings {
        otlp_endpoint: config.telemetry.otlp_endpoint.clone(),
        log_format: config.telemetry.log_format.into(),
        log_filter: config.telemetry.log_filter.clone(),
        log_field,
        ..Settings::new("leasehold-worker")
    };
    let telemetry = match leasehold_telemetry::init(&settings) {
        Ok(telemetry) => telemetry,
        Err(error) => {
            complain(&error);
            return ExitCode::from(EXIT_USAGE);
        }
    };
    // Programs are watched from the connection's own thread: there is nothing to share a second one for.
    let code = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => work(&runtime, &telemetry),
        Err(error) => {
            complain(&error);
            ExitCode::from(EXIT_BROKEN)
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
