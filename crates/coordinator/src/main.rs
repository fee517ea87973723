//! The program `leasehold-coordinator`: reads flags and configuration, then runs a coordinator.

use std::{env, num::NonZero, process::ExitCode, thread};

use leasehold_coordinator::{
    args::{Args, EXIT_USAGE},
    config::{Config, LogFormat},
    coordinator::{self, RunError},
    reload::{Loaded, Source},
};
use leasehold_telemetry as telemetry;
use tikv_jemallocator::Jemalloc;

/// What one thread allocates, another frees: streams hand everything to the engine and back. It costs a quarter less of the
/// processor than with the system's allocator: see decision 19.
#[global_allocator]
static ALLOCATOR: Jemalloc = Jemalloc;

/// The environment variable by which an operator says how many threads serve calls.
const THREADS: &str = "TOKIO_WORKER_THREADS";

/// More than any machine has processors for.
const THREADS_MAX: usize = 1_024;

fn main() -> ExitCode {
    let args = match Args::from_command_line() {
        Ok(args) => args,
        Err(exit_code) => return ExitCode::from(exit_code),
    };
    let Loaded { config, source } = match args.config() {
        Ok(loaded) => loaded,
        Err(error) => return refuse(&coordinator::chain(&error)),
    };
    if args.check {
        say("the configuration is valid");
        return ExitCode::SUCCESS;
    }
    if args.print_config {
        return print(&config);
    }
    let threads = match threads() {
        Ok(threads) => threads,
        Err(problem) => return refuse(&problem),
    };
    match telemetry::init(&settings(&config)) {
        Ok(telemetry) => run(config, source, telemetry, threads),
        Err(error) => refuse(&coordinator::chain(&error)),
    }
}

fn run(
    config: Config,
    source: Source,
    telemetry: telemetry::Telemetry,
    threads: usize,
) -> ExitCode {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    let runtime = match builder.worker_threads(threads).enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return end(&RunError::System(error)),
    };
    let ended = runtime.block_on(coordinator::run(config, source));
    // After a failure nothing may go on that could still tell anybody anything.
    runtime.shutdown_background();
    match ended {
        Ok(()) => {
            telemetry.shutdown();
            ExitCode::SUCCESS
        }
        Err(error) => end(&error),
    }
}

/// How many threads serve calls and streams: as many as an operator says, to this program as to any with this runtime. Engine
/// and journal have threads of their own, which take a processor: with as many here as there are processors, each thing that
/// happens wakes one too many, and they wait for each other.
fn threads() -> Result<usize, String> {
    let Some(said) = env::var_os(THREADS) else {
        let processors = thread::available_parallelism().map_or(1, NonZero::get);
        return Ok(processors.saturating_sub(1).max(1));
    };
    let threads = said.to_str().and_then(|text| text.parse().ok());
    let threads = threads.filter(|threads| (1..=THREADS_MAX).contains(threads));
    let problem = || format!("{THREADS} is {}, not 1 to {THREADS_MAX}", said.display());
    threads.ok_or_else(problem)
}

fn end(error: &RunError) -> ExitCode {
    let exit_code = error.exit_code();
    tracing::error!(exit_code, error = coordinator::chain(error), "ended");
    ExitCode::from(exit_code)
}

fn settings(config: &Config) -> telemetry::Settings {
    let of = &config.telemetry;
    telemetry::Settings {
        otlp_endpoint: Some(of.otlp_endpoint.clone()).filter(|endpoint| !endpoint.is_empty()),
        log_format: match of.log_format {
            LogFormat::Text => telemetry::LogFormat::Text,
            LogFormat::Json => telemetry::LogFormat::Json,
        },
        log_filter: Some(of.log_filter.clone()),
        ..telemetry::Settings::new("leasehold-coordinator")
    }
}

fn print(config: &Config) -> ExitCode {
    match config.to_yaml() {
        Ok(yaml) => {
            say(yaml.trim_end());
            ExitCode::SUCCESS
        }
        Err(error) => refuse(&coordinator::chain(&error)),
    }
}

#[expect(clippy::print_stdout, reason = "what was asked for on the command line")]
fn say(text: &str) {
    println!("{text}");
}

#[expect(clippy::print_stderr, reason = "there is no log yet")]
fn refuse(message: &str) -> ExitCode {
    eprintln!("leasehold-coordinator: {message}");
    ExitCode::from(EXIT_USAGE)
}
