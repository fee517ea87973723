//! Tasks from a file of JSON lines: one object a line, whose fields are the flags of `task submit`.

use std::{
    collections::BTreeMap,
    io::{self, BufRead, Read as _},
    time::SystemTime,
};

use leasehold_client::{
    TaskSpec,
    v1::{Exclusivity, Guarantee},
};
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::{
    deadline::parse_deadline, duration::parse_duration, failure::Failure, payload::decode,
    words::parse_admission,
};

/// The longest line that is read: room for the largest message, in base64.
const LINE_BYTES_MAX: u64 = 8 * 1024 * 1024;

/// One line. What it leaves out, the command line says.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    #[serde(rename = "type")]
    task_type: Option<String>,
    queue: Option<String>,
    /// A string stands for its text, any other JSON value for the bytes it is written with.
    payload: Option<Box<RawValue>>,
    payload_base64: Option<String>,
    content_type: Option<String>,
    priority: Option<i32>,
    key: Option<String>,
    delay: Option<String>,
    deadline: Option<String>,
    timeout: Option<String>,
    total_timeout: Option<String>,
    queue_timeout: Option<String>,
    progress_timeout: Option<String>,
    max_attempts: Option<i32>,
    at_most_once: Option<bool>,
    best_effort: Option<bool>,
    admission: Option<String>,
    payload_schema: Option<String>,
    #[serde(default)]
    concurrency_keys: Vec<String>,
    /// Tokens by key.
    #[serde(default)]
    rates: BTreeMap<String, i32>,
    #[serde(default)]
    dependencies: Vec<String>,
    fail_fast: Option<bool>,
    #[serde(default)]
    labels: BTreeMap<String, String>,
    fairness_key: Option<String>,
    #[serde(default)]
    selector: BTreeMap<String, String>,
    slots: Option<i32>,
    /// Amounts by name.
    #[serde(default)]
    resources: BTreeMap<String, i64>,
}

/// What holds for every line that does not say otherwise.
#[derive(Clone, Debug)]
pub(crate) struct Defaults {
    /// The task type, if the command line names one.
    pub(crate) task_type: Option<String>,
    /// Everything else, of a spec without task type.
    pub(crate) spec: TaskSpec,
}

/// The lines of an input, as tasks.
#[derive(Debug)]
pub(crate) struct Lines<R> {
    name: String,
    input: R,
    number: u64,
    defaults: Defaults,
}

/// A task and the number of its line.
pub(crate) type NumberedSpec = (u64, TaskSpec);

impl<R: BufRead> Lines<R> {
    /// The lines of `input`, called `name` in errors.
    pub(crate) fn new(name: &str, input: R, defaults: Defaults) -> Self {
        Self { name: name.to_owned(), input, number: 0, defaults }
    }

    /// The next task; `None` at the end. Empty lines are skipped.
    pub(crate) fn read(&mut self) -> Result<Option<NumberedSpec>, Failure> {
        loop {
            self.number += 1;
            let Some(text) = self.read_line()? else { return Ok(None) };
            if text.trim_ascii().is_empty() {
                continue;
            }
            let spec =
                parse_line(text.trim_ascii_end(), &self.defaults).map_err(|why| self.wrong(why))?;
            return Ok(Some((self.number, spec)));
        }
    }

    fn read_line(&mut self) -> Result<Option<Vec<u8>>, Failure> {
        let mut text = Vec::new();
        let read = (&mut self.input).take(LINE_BYTES_MAX).read_until(b'\n', &mut text);
        read.map_err(|source| self.unreadable(source))?;
        if text.len() as u64 == LINE_BYTES_MAX {
            return Err(self.wrong(format!("is longer than {LINE_BYTES_MAX} bytes")));
        }
        Ok((!text.is_empty()).then_some(text))
    }

    fn wrong(&self, reason: String) -> Failure {
        Failure::Line { name: self.name.clone(), line: self.number, reason }
    }

    fn unreadable(&self, source: io::Error) -> Failure {
        Failure::Read { name: self.name.clone(), source }
    }
}

fn parse_line(text: &[u8], defaults: &Defaults) -> Result<TaskSpec, String> {
    let line: Line = serde_json::from_slice(text).map_err(|error| reason(&error))?;
    let task_type = line.task_type.clone().or_else(|| defaults.task_type.clone());
    let task_type = task_type.ok_or("has no \"type\", and --type names none")?;
    let spec = defaults.spec.clone().task_type(task_type);
    add_times(add_texts(spec, &line)?, &line)
}

fn add_texts(mut spec: TaskSpec, line: &Line) -> Result<TaskSpec, String> {
    if let Some(queue) = &line.queue {
        spec = spec.queue(queue);
    }
    if let Some(payload) = payload(line)? {
        spec = spec.payload(payload);
    }
    if let Some(content_type) = &line.content_type {
        spec = spec.content_type(content_type);
    }
    if let Some(priority) = line.priority {
        spec = spec.priority(priority);
    }
    if let Some(key) = &line.key {
        spec = spec.idempotency_key(key);
    }
    if let Some(attempts) = line.max_attempts {
        spec = spec.max_attempts(attempts);
    }
    if let Some(once) = line.at_most_once {
        spec = spec.guarantee(guarantee(once));
    }
    if let Some(loose) = line.best_effort {
        spec = spec.exclusivity(exclusivity(loose));
    }
    if let Some(admission) = &line.admission {
        let admission = parse_admission(admission).map_err(|why| format!("admission {why}"))?;
        spec = spec.admission(admission);
    }
    if let Some(schema) = &line.payload_schema {
        spec = spec.payload_schema(schema);
    }
    for (key, value) in &line.labels {
        spec = spec.label(key, value);
    }
    if let Some(key) = &line.fairness_key {
        spec = spec.fairness_key(key);
    }
    for (key, value) in &line.selector {
        spec = spec.worker_label(key, value);
    }
    if let Some(slots) = line.slots {
        spec = spec.slots(slots);
    }
    for (name, amount) in &line.resources {
        spec = spec.resource(name, *amount);
    }
    for key in &line.concurrency_keys {
        spec = spec.concurrency_key(key);
    }
    for (key, tokens) in &line.rates {
        spec = spec.rate_charge(key, *tokens);
    }
    for name in &line.dependencies {
        spec = spec.dependency(name);
    }
    if line.fail_fast.unwrap_or_default() {
        spec = spec.fail_fast();
    }
    Ok(spec)
}

fn add_times(mut spec: TaskSpec, line: &Line) -> Result<TaskSpec, String> {
    if let Some(delay) = &line.delay {
        spec = spec.delay(parse_duration(delay).map_err(|why| format!("delay {why}"))?);
    }
    if let Some(timeout) = &line.timeout {
        let timeout = parse_duration(timeout).map_err(|why| format!("timeout {why}"))?;
        spec = spec.attempt_timeout(timeout);
    }
    if let Some(timeout) = &line.total_timeout {
        let timeout = parse_duration(timeout).map_err(|why| format!("total_timeout {why}"))?;
        spec = spec.total_timeout(timeout);
    }
    if let Some(timeout) = &line.queue_timeout {
        let timeout = parse_duration(timeout).map_err(|why| format!("queue_timeout {why}"))?;
        spec = spec.queue_timeout(timeout);
    }
    if let Some(timeout) = &line.progress_timeout {
        let timeout = parse_duration(timeout).map_err(|why| format!("progress_timeout {why}"))?;
        spec = spec.progress_timeout(timeout);
    }
    if let Some(deadline) = &line.deadline {
        let deadline = parse_deadline(deadline).map_err(|why| format!("deadline {why}"))?;
        let time = deadline.from(SystemTime::now()).ok_or("deadline is too far ahead")?;
        spec = spec.deadline(time);
    }
    Ok(spec)
}

#[expect(clippy::fn_params_excessive_bools, reason = "it is what a line says")]
const fn guarantee(at_most_once: bool) -> Guarantee {
    if at_most_once { Guarantee::AtMostOnce } else { Guarantee::AtLeastOnce }
}

#[expect(clippy::fn_params_excessive_bools, reason = "it is what a line says")]
const fn exclusivity(best_effort: bool) -> Exclusivity {
    if best_effort { Exclusivity::BestEffort } else { Exclusivity::Strict }
}

fn payload(line: &Line) -> Result<Option<Vec<u8>>, String> {
    match (&line.payload, &line.payload_base64) {
        (Some(_), Some(_)) => Err("has both \"payload\" and \"payload_base64\"".to_owned()),
        (Some(value), None) if value.get().starts_with('"') => {
            let text: String = serde_json::from_str(value.get()).map_err(|error| reason(&error))?;
            Ok(Some(text.into_bytes()))
        }
        (Some(value), None) => Ok(Some(value.get().as_bytes().to_vec())),
        (None, Some(text)) => decode(text).map(Some).map_err(|why| format!("payload_base64 {why}")),
        (None, None) => Ok(None),
    }
}

/// What is wrong with a line, and in which column. The parser counts lines from its own start.
fn reason(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let (what, _) = text.rsplit_once(" at line ").unwrap_or((&text, ""));
    format!("column {}: {what}", error.column())
}

#[cfg(test)]
mod tests;
