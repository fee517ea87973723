//! The fields of a line, gathered from the inside out: the first to name a field wins.

use std::error::Error;
use std::fmt;

use serde_json::Value;
use tracing::field::{Field, Visit};

use super::kept;

/// The field `tracing` keeps an event's message in.
const MESSAGE: &str = "message";

/// Names the line itself uses; a field of that name gets an underscore.
const RESERVED: [&str; 4] = ["timestamp", "level", "target", MESSAGE];

/// Fields of this prefix instruct the tracing layer and say nothing to a reader.
pub(super) const INSTRUCTIONS: &str = "otel.";

#[derive(Default)]
pub(super) struct Fields {
    message: String,
    named: Vec<(String, Value)>,
}

impl Fields {
    /// Adds one field unless there is one of that name.
    pub(super) fn add(&mut self, name: &str, value: Value) {
        let suffix = if RESERVED.contains(&name) { "_" } else { "" };
        let name = format!("{name}{suffix}");
        if !name.starts_with(INSTRUCTIONS) && self.named.iter().all(|(known, _)| *known != name) {
            self.named.push((name, value));
        }
    }

    /// Adds the fields of a span, as they were kept.
    pub(super) fn add_kept(&mut self, text: &str) {
        for (name, value) in kept::read(text) {
            self.add(&name, value);
        }
    }

    /// The message and the named fields.
    pub(super) fn into_parts(self) -> (String, Vec<(String, Value)>) {
        (self.message, self.named)
    }

    fn record(&mut self, field: &Field, value: Value) {
        match (field.name(), value) {
            (MESSAGE, Value::String(text)) => self.message = text,
            (MESSAGE, value) => self.message = value.to_string(),
            (name, value) => self.add(name, value),
        }
    }
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.record(field, Value::from(format!("{value:?}")));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.record(field, Value::from(value));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.record(field, Value::from(value));
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.record(field, Value::from(value));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.record(field, Value::from(value));
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.record(field, Value::from(value));
    }

    /// An error says what caused it: its `Display` alone never does.
    fn record_error(&mut self, field: &Field, error: &(dyn Error + 'static)) {
        let mut text = error.to_string();
        let mut source = error.source();
        while let Some(cause) = source {
            text.push_str(": ");
            text.push_str(&cause.to_string());
            source = cause.source();
        }
        self.record(field, Value::from(text));
    }
}
