//! Why a command could not do what it was asked, and the one line that says so.

use std::{
    error::Error as _,
    io::{self, Write as _},
};

use leasehold_client::Error as ClientError;

use crate::{exit::Exit, payload::printable};

/// Why a command could not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// The coordinator, or the way to it.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// A value that only this program can judge.
    #[error("{0}")]
    Usage(String),
    /// A file, or stdin.
    #[error("cannot read {name}")]
    Read {
        /// Which.
        name: String,
        /// What the system says.
        #[source]
        source: io::Error,
    },
    /// A configuration file.
    #[error(transparent)]
    Config {
        /// What is wrong with it.
        error: leasehold_config::ConfigError,
    },
    /// Stdout.
    #[error("cannot write the output")]
    Write {
        /// What the system says.
        #[source]
        source: io::Error,
    },
    /// A line of a JSONL input.
    #[error("{name}, line {line}: {reason}")]
    Line {
        /// Which input.
        name: String,
        /// Its number, counting from 1.
        line: u64,
        /// What is wrong with it.
        reason: String,
    },
    /// The log filter or the exporter.
    #[error("cannot start logging")]
    Telemetry {
        /// What is wrong.
        #[source]
        source: leasehold_telemetry::InitError,
    },
    /// Threads or signals.
    #[error("cannot start")]
    Runtime {
        /// What the system says.
        #[source]
        source: io::Error,
    },
    /// A coordinator or worker that a benchmark started.
    #[error("{0}")]
    Bench(String),
}

impl Failure {
    /// How the process ends.
    pub(crate) fn exit(&self) -> Exit {
        match self {
            Self::Client(error) => Exit::of(error),
            Self::Usage(_)
            | Self::Config { .. }
            | Self::Read { .. }
            | Self::Line { .. }
            | Self::Telemetry { .. } => Exit::Usage,
            // Whoever read the output has seen enough.
            Self::Write { source } if source.kind() == io::ErrorKind::BrokenPipe => Exit::Ok,
            Self::Write { .. } | Self::Runtime { .. } | Self::Bench(_) => Exit::Internal,
        }
    }

    /// Says on stderr what went wrong, unless nobody is there to be told.
    pub(crate) fn report(&self) {
        if self.exit() != Exit::Ok {
            say(&format!("error: {}", self.line()));
        }
    }

    /// What failed, why, and the way out, in one line.
    pub(crate) fn line(&self) -> String {
        let mut line = self.to_string();
        let mut cause = self.source();
        while let Some(error) = cause {
            line.push_str(": ");
            line.push_str(&error.to_string());
            cause = error.source();
        }
        if let Self::Client(error) = self
            && let Some(advice) = error.advice()
        {
            line.push_str("; ");
            line.push_str(advice);
            if let Some(reason) = error.reason() {
                line.push_str("; more: leasehold errors ");
                line.push_str(reason.name());
            }
        }
        printable(&line)
    }
}

/// A message for people, on stderr. A closed stderr is not worth failing for.
pub(crate) fn say(message: &str) {
    drop(writeln!(io::stderr().lock(), "{message}"));
}

#[cfg(test)]
mod tests;
