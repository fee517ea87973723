//! What the owner of a `leasehold-worker` can set, as it stands in a YAML file.
//!
//! It knows nothing of flags (`args` lays them over it).

use std::{
    collections::BTreeMap,
    fmt,
    path::{Path, PathBuf},
    str::FromStr,
    time::Duration,
};

use leasehold_config::is_blank;
use leasehold_policy::{ParseDurationError, parse_duration};
use leasehold_worker::{OnSessionLost, Worker};
use serde::{Deserialize, Deserializer, de};

/// The whole configuration of a worker. What is not set is the library's default.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Config {
    /// Where the coordinator listens.
    pub(crate) address: Option<String>,
    /// The worker's own name.
    pub(crate) id: Option<String>,
    /// How many programs of one slot may run at once.
    pub(crate) slots: Option<u32>,
    /// How much else there is for what runs at a time.
    pub(crate) resources: BTreeMap<String, u64>,
    /// How many tasks it takes beyond them.
    pub(crate) prefetch: Option<u32>,
    /// What the worker is, for people and for tasks that ask for it.
    pub(crate) labels: BTreeMap<String, String>,
    /// Of which namespaces it takes tasks. Empty: of every one.
    pub(crate) namespaces: Vec<String>,
    /// How long a drain waits for what runs.
    pub(crate) drain_grace: Option<Drain>,
    /// What becomes of running work when the session may be over.
    pub(crate) on_session_lost: Option<SessionLost>,
    /// How many slots may be lost before the worker recycles itself.
    pub(crate) lost_slots_max: Option<u32>,
    /// Where the worker keeps the lock by which the next one knows that it is gone.
    pub(crate) state_dir: Option<PathBuf>,
    /// What serves each task type.
    pub(crate) programs: BTreeMap<String, Program>,
    /// How many workers `leasehold-worker pool` keeps.
    pub(crate) pool: Pool,
    /// Logs and traces.
    pub(crate) telemetry: Telemetry,
}

/// A program that serves a task type.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Program {
    /// The program and its arguments.
    pub(crate) command: Command,
    /// Variables added to its environment.
    #[serde(default)]
    pub(crate) env: BTreeMap<String, String>,
    /// Where it runs.
    #[serde(default)]
    pub(crate) directory: Option<PathBuf>,
    /// Fingerprints of the payload schemas that it reads. None: every schema.
    #[serde(default)]
    pub(crate) schemas: Vec<String>,
}

/// How many workers a pool keeps.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Pool {
    /// The fewest.
    pub(crate) min: Option<u32>,
    /// The most.
    pub(crate) max: Option<u32>,
    /// How often it asks how many there should be.
    pub(crate) poll: Option<Drain>,
}

/// Logs and traces.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Telemetry {
    /// Where spans are sent.
    pub(crate) otlp_endpoint: Option<String>,
    /// How a log line looks.
    pub(crate) log_format: LogFormat,
    /// Which lines are written.
    pub(crate) log_filter: Option<String>,
}

/// How a log line looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub(crate) enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// For machines: one JSON object a line.
    Json,
}

/// What becomes of running programs when the session may be over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub(crate) enum SessionLost {
    /// They are stopped before that, so that nobody else has their tasks meanwhile
    Stop,
    /// They go on, and their results are delivered when there is an answer again
    Finish,
}

impl From<SessionLost> for OnSessionLost {
    fn from(what: SessionLost) -> Self {
        match what {
            SessionLost::Stop => Self::Stop,
            SessionLost::Finish => Self::Finish,
        }
    }
}

/// The words of a command. There is at least one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Command(pub(crate) Vec<String>);

/// How long a drain waits for what runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Drain(pub(crate) Duration);

/// Why a configuration is not taken.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConfigError {
    /// The file cannot be read, is too large, or says nothing any more.
    #[error(transparent)]
    File(#[from] leasehold_config::ConfigError),
    /// What it says differs where nothing can change while the worker works.
    #[error("{} cannot change while the worker works: what runs is kept; restart it", keys.join(", "))]
    Fixed {
        /// Each key that differs.
        keys: Vec<&'static str>,
    },
    /// The log filter cannot be read.
    #[error("telemetry.log_filter")]
    LogFilter(#[from] leasehold_telemetry::InitError),
    /// The text is not YAML, or a key or value is not one of ours.
    #[error("{}:{line}:{column}: {message}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: u64,
        /// The column, from 1.
        column: u64,
        /// What is wrong.
        message: String,
    },
    /// A `--program` cannot be read.
    #[error("--program {flag}: {problem}")]
    Program {
        /// The flag's value.
        flag: String,
        /// What is wrong.
        problem: &'static str,
    },
    /// A `--resource` cannot be read.
    #[error("--resource {flag}: {problem}")]
    Resource {
        /// The flag's value.
        flag: String,
        /// What is wrong.
        problem: &'static str,
    },
    /// The numbers of a pool do not fit together.
    #[error("pool: {0}")]
    Pool(String),
    /// The library does not take it.
    #[error(transparent)]
    Worker(#[from] leasehold_worker::Error),
}

impl Config {
    /// Reads the text of a file; `path` is only for the error.
    pub(crate) fn parse(text: &str, path: &Path) -> Result<Self, ConfigError> {
        // A file with nothing but comments is a file that changes nothing.
        if is_blank(text) {
            return Ok(Self::default());
        }
        serde_saphyr::from_str(text).map_err(|error| {
            let place = error.location();
            let plain = error.without_snippet().to_string();
            ConfigError::Malformed {
                path: path.to_owned(),
                line: place.map_or(1, |place| place.line()),
                column: place.map_or(1, |place| place.column()),
                message: message(&plain).to_owned(),
            }
        })
    }

    /// Which keys differ between this and another one that cannot change while a worker works.
    pub(crate) fn fixed(&self, other: &Self) -> Vec<&'static str> {
        let Self { telemetry, .. } = self;
        let of_logs = (&telemetry.otlp_endpoint, telemetry.log_format)
            != (&other.telemetry.otlp_endpoint, other.telemetry.log_format);
        let differ = [
            ("address", self.address != other.address),
            ("id", self.id != other.id),
            ("labels", self.labels != other.labels),
            ("namespaces", self.namespaces != other.namespaces),
            ("drain_grace", self.drain_grace != other.drain_grace),
            ("on_session_lost", self.on_session_lost != other.on_session_lost),
            ("lost_slots_max", self.lost_slots_max != other.lost_slots_max),
            ("state_dir", self.state_dir != other.state_dir),
            ("programs", self.programs != other.programs),
            ("pool", self.pool != other.pool),
            ("telemetry.otlp_endpoint, telemetry.log_format", of_logs),
        ];
        differ.into_iter().filter(|(_, differs)| *differs).map(|(key, _)| key).collect()
    }

    /// The worker it describes.
    pub(crate) fn worker(&self) -> Worker {
        let mut worker = Worker::default();
        if let Some(address) = &self.address {
            worker = worker.address(address);
        }
        if let Some(id) = &self.id {
            worker = worker.id(id);
        }
        if let Some(slots) = self.slots {
            worker = worker.slots(slots);
        }
        if let Some(prefetch) = self.prefetch {
            worker = worker.prefetch(prefetch);
        }
        if let Some(Drain(grace)) = self.drain_grace {
            worker = worker.drain_grace(grace);
        }
        if let Some(on_session_lost) = self.on_session_lost {
            worker = worker.on_session_lost(on_session_lost.into());
        }
        if let Some(lost) = self.lost_slots_max {
            worker = worker.lost_slots_max(lost);
        }
        if let Some(state_dir) = &self.state_dir {
            worker = worker.state_dir(state_dir);
        }
        for (key, value) in &self.labels {
            worker = worker.label(key, value);
        }
        for (name, amount) in &self.resources {
            worker = worker.resource(name, *amount);
        }
        for namespace in &self.namespaces {
            worker = worker.namespace(namespace);
        }
        for (task_type, program) in &self.programs {
            worker = worker.program(task_type, program.parse());
            for fingerprint in &program.schemas {
                worker = worker.reads_schema(task_type, fingerprint);
            }
        }
        worker
    }
}

/// What is wrong, without the place that the parser repeats and the advice for programmers that it adds.
fn message(error: &str) -> &str {
    let line = error.lines().next().unwrap_or_default();
    let line = line.rsplit_once(" at line ").map_or(line, |(message, _place)| message);
    line.split_once(", set ").map_or(line, |(message, _advice)| message)
}

impl Program {
    /// A program that needs nothing but its command.
    pub(crate) fn of(command: Command) -> Self {
        Self { command, env: BTreeMap::new(), directory: None, schemas: Vec::new() }
    }

    fn parse(&self) -> leasehold_worker::Program {
        let Command(words) = &self.command;
        let mut words = words.iter();
        let path = words.next().map(String::as_str).unwrap_or_default();
        let mut program = leasehold_worker::Program::new(path).args(words);
        for (name, value) in &self.env {
            program = program.env(name, value);
        }
        if let Some(directory) = &self.directory {
            program = program.current_dir(directory);
        }
        program
    }
}

impl Command {
    /// Splits a command into words like a shell does. Nothing is expanded.
    pub(crate) fn split(text: &str) -> Result<Self, &'static str> {
        let words = shlex::split(text).ok_or("the command has an open quote")?;
        Self::new(words)
    }

    fn new(words: Vec<String>) -> Result<Self, &'static str> {
        match words.first() {
            Some(program) if !program.is_empty() => Ok(Self(words)),
            _ => Err("the command is empty"),
        }
    }
}

/// One line that is split into words, or a list of words.
impl<'de> Deserialize<'de> for Command {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Words)
    }
}

struct Words;

impl<'de> de::Visitor<'de> for Words {
    type Value = Command;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a command: one line, or a list of words")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Command, E> {
        Command::split(text).map_err(E::custom)
    }

    fn visit_seq<A: de::SeqAccess<'de>>(self, mut words: A) -> Result<Command, A::Error> {
        let mut collected = Vec::new();
        while let Some(word) = words.next_element()? {
            collected.push(word);
        }
        Command::new(collected).map_err(de::Error::custom)
    }
}

impl FromStr for Drain {
    type Err = ParseDurationError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        parse_duration(text).map(Self)
    }
}

impl<'de> Deserialize<'de> for Drain {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(de::Error::custom)
    }
}

impl From<LogFormat> for leasehold_telemetry::LogFormat {
    fn from(format: LogFormat) -> Self {
        match format {
            LogFormat::Text => Self::Text,
            LogFormat::Json => Self::Json,
        }
    }
}

#[cfg(test)]
mod tests;
