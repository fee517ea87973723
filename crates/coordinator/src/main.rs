//! The program `leasehold-coordinator`: reads flags and configuration, then runs a coordinator.

use std::{env, io, num::NonZero, process::ExitCode, thread};

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
    match telemetry::init(&settings(&config)) {
        Ok(telemetry) => run(config, source, telemetry),
        Err(error) => refuse(&coordinator::chain(&error)),
    }
}

fn run(config: Config, source: Source, telemetry: telemetry::Telemetry) -> ExitCode {
    let runtime = match runtime() {
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

/// The environment variable by which an operator says how many threads there are. The runtime reads it.
const THREADS: &str = "TOKIO_WORKER_THREADS";

/// What serves calls and streams. Engine and journal have threads of their own, which take a processor: with as many threads
/// here as there are processors, each thing that happens wakes one too many, and they wait for each other.
fn runtime() -> io::Result<tokio::runtime::Runtime> {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    if env::var_os(THREADS).is_none() {
        let processors = thread::available_parallelism().map_or(1, NonZero::get);
        builder.worker_threads(processors.saturating_sub(1).max(1));
    }
    builder.enable_all().build()
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
