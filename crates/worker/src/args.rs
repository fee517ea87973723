//! The command line of `leasehold-worker`, and how it lays itself over the configuration file.
//!
//! Flags win over the environment, the environment over the file, the file over the defaults.

use std::{
    ffi::OsStr,
    path::{Path, PathBuf},
};

use clap::{CommandFactory as _, FromArgMatches as _, Parser, Subcommand, builder::Resettable};

use leasehold_config::Contents;

use crate::config::{Command, Config, ConfigError, Drain, LogFormat, Program, SessionLost};

/// Runs programs for Leasehold: the payload of a task is their stdin, their stdout its result.
///
/// Exit codes: 0 drained, 64 wrong flag or configuration, 69 refused by the coordinator, or the id or the state directory is in use,
/// 70 failed, 71 start it again: too many slots are lost to work that cannot be stopped, 75 drained but not everything could be delivered, 130 stopped by a second signal.
#[derive(Clone, Debug, Parser)]
#[command(name = "leasehold-worker", version, args_conflicts_with_subcommands = true)]
pub(crate) struct CommandLine {
    #[command(flatten)]
    pub(crate) worker: Args,

    #[command(subcommand)]
    pub(crate) role: Option<Role>,
}

/// What else the program can be than one worker.
#[derive(Clone, Debug, Subcommand)]
pub(crate) enum Role {
    /// Keep as many workers on this machine as the coordinator says that there should be
    ///
    /// Takes the flags of a worker; each of its workers is called after the id, with a number. It ends when they have ended:
    /// with 0 if all of them drained, else with the code of the first that did not.
    Pool(PoolArgs),
}

/// How many workers, and what each of them is.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct PoolArgs {
    #[command(flatten)]
    pub(crate) worker: Args,

    /// The fewest workers to keep [default: 1]
    #[arg(long, env = "LEASEHOLD_POOL_MIN", value_name = "N")]
    min: Option<u32>,

    /// The most workers to keep [default: 16]
    #[arg(long, env = "LEASEHOLD_POOL_MAX", value_name = "N")]
    max: Option<u32>,

    /// How often to ask the coordinator how many there should be [default: 2s]
    #[arg(long, env = "LEASEHOLD_POOL_POLL", value_name = "DURATION")]
    poll: Option<Drain>,

    /// Be the worker of this number, of the pool with this process id
    #[arg(long, hide = true, num_args = 2, value_names = ["NUMBER", "PID"])]
    pub(crate) member: Vec<u32>,
}

/// What one worker is.
#[derive(Clone, Debug, Default, clap::Args)]
pub(crate) struct Args {
    /// Configuration file (YAML). Every key: config/worker.yaml
    #[arg(long, env = "LEASEHOLD_WORKER_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,

    /// Where the coordinator listens [default: <http://127.0.0.1:7171>]
    #[arg(long, env = "LEASEHOLD_ADDRESS", value_name = "URL")]
    address: Option<String>,

    /// The worker's own name, its alone and stable over restarts [default: the machine's name]
    #[arg(long, env = "LEASEHOLD_WORKER_ID", value_name = "ID")]
    id: Option<String>,

    /// How many programs of one slot may run at once [default: one for each core]
    #[arg(long, env = "LEASEHOLD_SLOTS", value_name = "N")]
    slots: Option<u32>,

    /// How much of a resource there is for what runs at a time, such as gpu=2
    #[arg(long = "resource", value_name = "NAME=AMOUNT")]
    resources: Vec<String>,

    /// How many tasks to take beyond the slots, to start the moment one is free [default: 0]
    #[arg(long, env = "LEASEHOLD_PREFETCH", value_name = "N")]
    prefetch: Option<u32>,

    /// Serve a task type with a program: TYPE=COMMAND, or TYPE alone for the command after `--`
    ///
    /// The command is split into words like a shell does, and nothing in it is expanded.
    #[arg(long = "program", value_name = "TYPE=COMMAND")]
    programs: Vec<String>,

    /// Take tasks of this namespace; may be given several times. Of the configuration file's none are then taken [default: of
    /// every namespace]
    #[arg(long = "namespace", value_name = "NAME")]
    namespaces: Vec<String>,

    /// How long a drain waits for what runs, such as 30s [default: 30s]
    #[arg(long, env = "LEASEHOLD_DRAIN_GRACE", value_name = "DURATION")]
    drain_grace: Option<Drain>,

    /// What to do with running programs when the coordinator has not answered for so long that it may have given the session up
    /// [default: stop]
    #[arg(long, env = "LEASEHOLD_ON_SESSION_LOST", value_name = "WHAT")]
    on_session_lost: Option<SessionLost>,

    /// How many slots may be lost to programs that cannot be killed before the worker ends with code 71 to be started
    /// again [default: less than half]
    #[arg(long, env = "LEASEHOLD_LOST_SLOTS_MAX", value_name = "N")]
    lost_slots_max: Option<u32>,

    /// A directory of the worker's own on a local file system. With it, a worker that is started again after a crash gets what
    /// the one before held leased again at once, as soon as nothing of that runs any more
    #[arg(long, env = "LEASEHOLD_STATE_DIR", value_name = "DIR")]
    state_dir: Option<PathBuf>,

    /// Where to send traces (OTLP over gRPC), such as <http://127.0.0.1:4317>
    #[arg(long, env = "LEASEHOLD_OTLP_ENDPOINT", value_name = "URL")]
    otlp_endpoint: Option<String>,

    /// Shape of the log lines [default: text]
    #[arg(long, env = "LEASEHOLD_LOG_FORMAT", value_name = "FORMAT")]
    log_format: Option<LogFormat>,

    /// Which log lines to write: a level, or target=level,... [default: info]
    #[arg(long, env = "LEASEHOLD_LOG", value_name = "FILTER")]
    log_filter: Option<String>,

    /// Check flags and configuration, say so by the exit code, and exit
    #[arg(long)]
    pub(crate) check: bool,

    /// The command of the `--program` that names none
    #[arg(last = true, value_name = "COMMAND")]
    command: Vec<String>,
}

/// A configuration file as it was read.
#[derive(Clone, Debug)]
pub(crate) struct File {
    /// Where it is.
    pub(crate) path: PathBuf,
    /// What it held.
    pub(crate) contents: Contents,
}

impl File {
    /// Its text, and where that is from.
    pub(crate) fn text(&self) -> (&str, &Path) {
        (&self.contents.text, &self.path)
    }
}

impl CommandLine {
    /// Reads the command line, and the environment behind it. A variable that is empty is one that is not set.
    pub(crate) fn read() -> Result<Self, clap::Error> {
        let command = Self::command().mut_args(unset).mut_subcommands(|it| it.mut_args(unset));
        Self::from_arg_matches(&command.try_get_matches()?)
    }
}

fn unset(arg: clap::Arg) -> clap::Arg {
    let is_empty = |name: &OsStr| std::env::var_os(name).is_some_and(|it| it.is_empty());
    match arg.get_env() {
        Some(name) if is_empty(name) => arg.env(Resettable::Reset),
        Some(_) | None => arg,
    }
}

impl PoolArgs {
    /// These flags laid over a file's text: the configuration of one of its workers, and of all of them.
    pub(crate) fn over(&self, text: Option<(&str, &Path)>) -> Result<Config, ConfigError> {
        let mut config = self.worker.over(text)?;
        lay(&mut config.pool.min, self.min.as_ref());
        lay(&mut config.pool.max, self.max.as_ref());
        lay(&mut config.pool.poll, self.poll.as_ref());
        Ok(config)
    }
}

impl Args {
    /// The file, if one is named.
    pub(crate) fn file(&self) -> Result<Option<File>, ConfigError> {
        let Some(path) = &self.config else { return Ok(None) };
        Ok(Some(File { path: path.clone(), contents: Contents::read(path)? }))
    }

    /// These flags laid over a file's text, if there is one.
    pub(crate) fn over(&self, text: Option<(&str, &Path)>) -> Result<Config, ConfigError> {
        let file = text.map(|(text, path)| Config::parse(text, path));
        let mut config = file.transpose()?.unwrap_or_default();
        lay(&mut config.address, self.address.as_ref());
        lay(&mut config.id, self.id.as_ref());
        lay(&mut config.slots, self.slots.as_ref());
        lay(&mut config.prefetch, self.prefetch.as_ref());
        lay(&mut config.drain_grace, self.drain_grace.as_ref());
        lay(&mut config.on_session_lost, self.on_session_lost.as_ref());
        lay(&mut config.lost_slots_max, self.lost_slots_max.as_ref());
        lay(&mut config.state_dir, self.state_dir.as_ref());
        lay(&mut config.telemetry.otlp_endpoint, self.otlp_endpoint.as_ref());
        lay(&mut config.telemetry.log_filter, self.log_filter.as_ref());
        config.telemetry.log_format = self.log_format.unwrap_or(config.telemetry.log_format);
        for flag in &self.resources {
            let (name, amount) = resource(flag)?;
            config.resources.insert(name, amount);
        }
        if !self.namespaces.is_empty() {
            config.namespaces.clone_from(&self.namespaces);
        }
        let mut command = Some(&self.command).filter(|it| !it.is_empty());
        for flag in &self.programs {
            let (task_type, program) = program(flag, &mut command)?;
            config.programs.insert(task_type, program);
        }
        if command.is_some() {
            return Err(ConfigError::Program {
                flag: "--".to_owned(),
                problem: "the command after -- needs one --program TYPE without a command",
            });
        }
        Ok(config)
    }
}

fn lay<T: Clone>(value: &mut Option<T>, flag: Option<&T>) {
    if let Some(flag) = flag {
        *value = Some(flag.clone());
    }
}

/// Reads one `--resource`.
fn resource(flag: &str) -> Result<(String, u64), ConfigError> {
    let problem = "write NAME=AMOUNT, a whole number such as gpu=2";
    let fault = || ConfigError::Resource { flag: flag.to_owned(), problem };
    let (name, amount) = flag.split_once('=').ok_or_else(fault)?;
    Ok((name.to_owned(), amount.parse().map_err(|_| fault())?))
}

/// Reads one `--program`. The first that names no command takes the one after `--`.
fn program(flag: &str, rest: &mut Option<&Vec<String>>) -> Result<(String, Program), ConfigError> {
    let fault = |problem| ConfigError::Program { flag: flag.to_owned(), problem };
    let Some((task_type, command)) = flag.split_once('=') else {
        let words = rest.take().ok_or_else(|| fault("no command: write TYPE=COMMAND"))?;
        return Ok((flag.to_owned(), Program::of(Command(words.clone()))));
    };
    let command = Command::split(command).map_err(fault)?;
    Ok((task_type.to_owned(), Program::of(command)))
}

#[cfg(test)]
mod tests;
