//! The `leasehold` command: what operators and scripts say to a coordinator.
//!
//! Data goes to stdout, messages to stderr; `-o json` prints the contract's messages in protobuf's JSON
//! mapping. It knows a coordinator only through the client library, and a worker only in `bench`.

mod args;
mod bench;
mod breaker;
mod budget;
mod cluster;
mod config;
mod dead;
mod deadline;
mod duration;
mod errors;
mod exit;
mod explain;
mod failure;
mod json;
mod jsonl;
mod lease;
mod namespace;
mod output;
mod payload;
mod progress;
mod queue;
mod scaling;
mod schema;
mod table;
mod task;
mod words;
mod worker;

use std::{process::ExitCode, time::Duration};

use clap::{CommandFactory as _, Parser as _};
use leasehold_client::{Client, ClientOptions};
use leasehold_telemetry::{Settings, TraceContext};
use tokio::signal::unix::{SignalKind, signal};
use tracing::Instrument as _;

use crate::{
    args::{Args, Command, Global},
    bench::BenchCommand,
    exit::Exit,
    failure::Failure,
    output::Output,
};

/// How long the end of a command waits for a collector: unnoticed by a person, enough for one on the same network.
const FLUSH_MAX: Duration = Duration::from_millis(300);

/// What a command made of it: how the process ends, or why it could not do what it was asked.
type Done = Result<Exit, Failure>;

/// Runs the command line and says how the process ends.
pub fn main() -> ExitCode {
    let args = match Args::try_parse() {
        Ok(args) => args,
        Err(refused) => return refuse(&refused),
    };
    let exit = match execute(args) {
        Ok(exit) => exit,
        Err(failure) => {
            failure.report();
            failure.exit()
        }
    };
    exit.into()
}

/// Help and versions go to stdout and end well; what cannot be parsed is a usage error.
fn refuse(refused: &clap::Error) -> ExitCode {
    // Nobody to tell if the terminal is gone.
    drop(refused.print());
    if refused.use_stderr() { Exit::Usage.into() } else { Exit::Ok.into() }
}

fn execute(args: Args) -> Done {
    let Args { global, command } = args;
    if let Command::Completion { shell } = command {
        // By way of memory: the generator panics where its output cannot be written.
        let mut script = Vec::new();
        clap_complete::generate(shell, &mut Args::command(), "leasehold", &mut script);
        Output::new(global.output).bytes(&script)?;
        return Ok(Exit::Ok);
    }
    if let Command::Schema(command) = &command {
        return schema::run(command, Output::new(global.output));
    }
    if let Command::Errors(args) = command {
        return errors::run(&args, Output::new(global.output));
    }
    if let Command::Config(command) = &command
        && let Some(done) = config::offline(command, Output::new(global.output))
    {
        return done;
    }
    if let Command::Bench(BenchCommand::Handler { socket }) = &command {
        // Before there are threads: nothing but the process itself is to be seen dying.
        bench::holder::run(socket).map_err(|source| Failure::Runtime { source })?;
        return Ok(Exit::Ok);
    }
    let telemetry = leasehold_telemetry::init(&Settings {
        log_filter: Some(global.log_filter.clone()),
        ..Settings::new("leasehold-cli")
    })
    .map_err(|source| Failure::Telemetry { source })?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|source| Failure::Runtime { source })?;
    let done = runtime.block_on(until_interrupted(global, command));
    // A blocked read of stdin must not keep the process.
    runtime.shutdown_background();
    // Who interrupts a command wants it to end, not to be traced.
    let is_interrupted = matches!(done, Ok(Exit::Interrupted));
    telemetry.shutdown_within(if is_interrupted { Duration::ZERO } else { FLUSH_MAX });
    done
}

/// Runs the command within its own span, a child of the caller's trace if there is one.
async fn until_interrupted(global: Global, command: Command) -> Done {
    let span = tracing::info_span!("command", otel.name = format!("leasehold {}", command.name()));
    if let Some(parent) = TraceContext::from_environment() {
        leasehold_telemetry::set_parent(&span, &parent);
    }
    // Listening before anything else happens: an early Ctrl-C counts as well.
    let mut interrupt =
        signal(SignalKind::interrupt()).map_err(|source| Failure::Runtime { source })?;
    tracing::debug!(command = command.name(), "command begins");
    let run = Box::pin(dispatch(global, command)).instrument(span);
    tokio::select! {
        done = run => done,
        _ = interrupt.recv() => Ok(Exit::Interrupted),
    }
}

async fn dispatch(global: Global, command: Command) -> Done {
    let output = Output::new(global.output);
    let client = || connect(&global);
    match command {
        Command::Task(command) => task::run(command, &client()?, output).await,
        Command::Dead(command) => dead::run(command, &client()?, output).await,
        Command::Queue(command) => queue::run(command, &client()?, output).await,
        Command::Breaker(command) => breaker::run(command, &client()?, output).await,
        Command::Lease(command) => lease::run(command, &client()?, output).await,
        Command::Worker(command) => worker::run(command, &client()?, output).await,
        Command::Scaling(command) => scaling::run(command, &client()?, output).await,
        Command::Cluster => cluster::run(&client()?, output).await,
        Command::Namespace(command) => namespace::run(command, &client()?, output).await,
        Command::Config(command) => config::run(command, &client()?, output).await,
        Command::Bench(command) => bench::run(command, &global, output).await,
        // Handled before anything is started.
        Command::Schema(_) | Command::Errors(_) | Command::Completion { .. } => Ok(Exit::Ok),
    }
}

/// The client of the coordinator that the command line names.
fn connect(global: &Global) -> Result<Client, Failure> {
    let options = ClientOptions::new(global.address.as_str()).call_timeout(global.call_timeout);
    let options = options.client_name(global.client_name.clone().unwrap_or_default());
    let options = options.namespace(global.namespace.clone().unwrap_or_default());
    Ok(Client::connect(options)?)
}
