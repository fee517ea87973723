//! What a benchmark found: figures with a name for people and one for scripts.

use std::{fmt, time::Duration};

use leasehold_client::StreamOptions;
use serde::{Serialize, Serializer, ser::SerializeMap as _};

use super::{delays::Delays, usage::Usage};
use crate::{args::Format, failure::Failure, output::Output, table::Details};

/// What a benchmark found, in the order in which it is printed.
#[derive(Debug, Default)]
pub(super) struct Report {
    figures: Vec<Figure>,
}

/// One thing that was found.
#[derive(Debug)]
struct Figure {
    title: &'static str,
    key: &'static str,
    value: Value,
}

/// A figure's value. Its key says the unit.
#[derive(Clone, Debug, Serialize)]
#[serde(untagged)]
pub(super) enum Value {
    /// Words.
    Text(String),
    /// How many.
    Count(u64),
    /// How many a second.
    PerSec(f64),
    /// How long, in seconds.
    Secs(f64),
    /// By how much one thing exceeds another.
    Ratio(f64),
    /// How long many things took.
    Delays(Delays),
    /// What a process used.
    Usage(Usage),
}

/// How many tasks a second went through, if so many took that long.
pub(super) fn per_sec(tasks: u64, took: Duration) -> Value {
    #[expect(clippy::cast_precision_loss, reason = "far fewer tasks than 2^52")]
    Value::PerSec(tasks as f64 / took.as_secs_f64())
}

impl Report {
    /// Adds a figure.
    pub(super) fn add(&mut self, title: &'static str, key: &'static str, value: Value) {
        self.figures.push(Figure { title, key, value });
    }

    /// Adds words.
    pub(super) fn text(&mut self, title: &'static str, key: &'static str, text: impl Into<String>) {
        self.add(title, key, Value::Text(text.into()));
    }

    /// Adds how submits were sent.
    pub(super) fn windows(&mut self, options: StreamOptions) {
        let StreamOptions { window_tasks, batch_tasks } = options;
        self.add("submits unanswered", "submitWindow", Value::Count(window_tasks as u64));
        self.add("submits per message", "submitBatch", Value::Count(batch_tasks as u64));
    }

    /// Adds how long each payload was.
    pub(super) fn payloads(&mut self, bytes: u32) {
        self.add("payload bytes", "payloadBytes", Value::Count(bytes.into()));
    }

    /// Adds what each process used.
    pub(super) fn usage(&mut self, usage: Vec<(&'static str, Usage)>) {
        for (name, usage) in usage {
            self.add(name, name, Value::Usage(usage));
        }
    }

    pub(super) fn print(&self, output: Output) -> Result<(), Failure> {
        if output.format() == Format::Json {
            return output.document(self);
        }
        let mut details = Details::default();
        for Figure { title, value, .. } in &self.figures {
            details.line(title, value.to_string());
        }
        output.details(&details)
    }
}

impl Serialize for Report {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut figures = serializer.serialize_map(Some(self.figures.len()))?;
        for Figure { key, value, .. } in &self.figures {
            figures.serialize_entry(key, value)?;
        }
        figures.end()
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => f.write_str(text),
            Self::Count(count) => write!(f, "{count}"),
            Self::PerSec(rate) => write!(f, "{rate:.0} tasks/s"),
            Self::Secs(secs) => write!(f, "{secs:.3} s"),
            Self::Ratio(ratio) => write!(f, "{ratio:.2}x"),
            Self::Delays(delays) => delays.fmt(f),
            Self::Usage(usage) => usage.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests;
