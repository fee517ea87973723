//! The rules of single fields. A broken rule is noted and the reading goes on, with a value that does no harm.

use std::{
    collections::{BTreeMap, HashMap},
    time::{Duration, SystemTime},
};

use leasehold_policy::{Jitter, namespace};
use leasehold_proto::{duration, v1};
use leasehold_queue::{Admission, Exclusivity, Guarantee, Name, SchemaPrint};
use prost_types::Timestamp;

use super::{DEFAULT_PRIORITY, DEFAULT_QUEUE, PRIORITY_MAX, Reason, Refusal, templates::Said};
use crate::config::{
    self, ATTEMPTS_MAX, DURATION_MAX, FACTOR_MAX, NAME_BYTES_MAX, NAMESPACE_BYTES_MAX,
    is_namespace, is_queue_name, is_task_type,
};

const KEY_BYTES_MAX: usize = 256;
const LABELS_MAX: usize = 16;
pub(super) const FAIRNESS_KEY_BYTES_MAX: usize = 128;

/// Labels that a task may ask for. Each is compared once for each kind of worker, not for each task.
const SELECTOR_LABELS_MAX: usize = 8;
const LABEL_KEY_BYTES_MAX: usize = 63;
const LABEL_VALUE_BYTES_MAX: usize = 255;

/// Workers gather progress for 200 ms before they send it; no silence that could be theirs is held against a handler.
const PROGRESS_TIMEOUT_MIN: Duration = Duration::from_secs(1);

/// How much of a bad value a message repeats.
const SHOWN_CHARS_MAX: usize = 40;

/// What has been found wrong so far.
#[derive(Debug, Default)]
pub(super) struct Fields {
    violations: Vec<v1::FieldViolation>,
    payload_too_large: bool,
}

impl Fields {
    /// Notes that a field breaks a rule: what is wrong, the limit, and the way out.
    pub(super) fn broken(&mut self, field: &str, description: String) {
        self.violations.push(v1::FieldViolation { field: field.to_owned(), description });
    }

    /// Notes what was found wrong elsewhere.
    pub(super) fn break_as(&mut self, other: &Self) {
        self.violations.extend_from_slice(&other.violations);
    }

    /// Whether anything was wrong so far.
    pub(super) const fn has_violations(&self) -> bool {
        !self.violations.is_empty()
    }

    /// The value, if nothing was wrong.
    pub(super) fn finish<T>(self, value: T) -> Result<T, Refusal> {
        if !self.has_violations() {
            return Ok(value);
        }
        let reason =
            if self.payload_too_large { Reason::PayloadTooLarge } else { Reason::InvalidField };
        Err(Refusal::fields(reason, self.violations))
    }

    pub(super) fn namespace<'a>(&mut self, field: &str, text: &'a str) -> &'a str {
        if text.is_empty() {
            return namespace::DEFAULT;
        }
        if !is_namespace(text) {
            let rule = format!("1 to {NAMESPACE_BYTES_MAX} characters of A-Z a-z 0-9 . _ -");
            self.broken(field, format!("{} is no namespace: {rule}", shown(text)));
        }
        text
    }

    pub(super) fn queue<'a>(&mut self, field: &str, text: &'a str) -> &'a str {
        if text.is_empty() {
            return DEFAULT_QUEUE;
        }
        if !is_queue_name(text) {
            self.name(field, text, "A-Z a-z 0-9 . _ -");
        }
        text
    }

    pub(super) fn task_type<'a>(&mut self, field: &str, text: &'a str) -> &'a str {
        if text.is_empty() {
            self.broken(field, "is missing: name the kind of work, such as \"resize\"".to_owned());
        } else if !is_task_type(text) {
            self.name(field, text, "A-Z a-z 0-9 . _ / -");
        }
        text
    }

    fn name(&mut self, field: &str, text: &str, allowed: &str) {
        let description = if text.len() > NAME_BYTES_MAX {
            format!("has {} bytes: at most {NAME_BYTES_MAX} are allowed", text.len())
        } else {
            format!("{} has characters outside {allowed}", shown(text))
        };
        self.broken(field, description);
    }

    /// A text of a bounded size without control characters.
    pub(super) fn text<'a>(&mut self, field: &str, text: &'a str, max: usize) -> &'a str {
        if text.len() > max {
            self.broken(field, format!("has {} bytes: at most {max} are allowed", text.len()));
        } else if text.chars().any(char::is_control) {
            self.broken(field, format!("{} has control characters: remove them", shown(text)));
        }
        text
    }

    /// The fingerprint of a payload schema, if one is named.
    pub(super) fn schema(&mut self, field: &str, text: &str) -> Option<SchemaPrint> {
        let print = SchemaPrint::read(text);
        if print.is_none() && !text.is_empty() {
            self.broken(
                field,
                format!(
                    "{} is no fingerprint: 64 lower-case hexadecimal digits, as leasehold schema fingerprint prints \
                     them",
                    shown(text)
                ),
            );
        }
        print
    }

    pub(super) fn key<'a>(&mut self, text: &'a str) -> Option<&'a str> {
        (!text.is_empty()).then(|| self.text("idempotency_key", text, KEY_BYTES_MAX))
    }

    pub(super) fn payload(&mut self, payload: &[u8], max: u64) {
        let bytes = u64::try_from(payload.len()).unwrap_or(u64::MAX);
        if bytes <= max {
            return;
        }
        self.payload_too_large = true;
        self.broken(
            "spec.payload",
            format!(
                "has {bytes} bytes: at most {max} are allowed (limits.payload_bytes); store it elsewhere and \
                 submit a reference"
            ),
        );
    }

    pub(super) fn priority(&mut self, priority: Option<i32>) -> u8 {
        let Some(asked) = priority else { return DEFAULT_PRIORITY };
        if let Ok(level @ 0..=PRIORITY_MAX) = u8::try_from(asked) {
            return level;
        }
        self.broken(
            "spec.priority",
            format!("{asked} is not 0 (most urgent) to {PRIORITY_MAX}; leave it out for {DEFAULT_PRIORITY}"),
        );
        DEFAULT_PRIORITY
    }

    /// How long to wait: zero to a year.
    pub(super) fn delay(&mut self, field: &str, value: Option<prost_types::Duration>) -> Duration {
        value.map_or(Duration::ZERO, |value| self.duration(field, &value).unwrap_or_default())
    }

    /// A time limit: more than zero, at most a year.
    pub(super) fn limit(
        &mut self,
        field: &str,
        value: Option<prost_types::Duration>,
        default: Duration,
    ) -> Duration {
        let Some(value) = value else { return default };
        let Some(limit) = self.duration(field, &value) else { return default };
        if limit.is_zero() {
            self.broken(field, "is zero: leave it out for the default".to_owned());
        }
        limit
    }

    /// A time limit that does not have to be.
    pub(super) fn optional_limit(
        &mut self,
        field: &str,
        value: Option<prost_types::Duration>,
    ) -> Option<Duration> {
        value.map(|_| self.limit(field, value, DURATION_MAX))
    }

    pub(super) fn progress_timeout(
        &mut self,
        value: Option<prost_types::Duration>,
    ) -> Option<Duration> {
        let field = "spec.timeouts.progress";
        let timeout = self.optional_limit(field, value)?;
        if !timeout.is_zero() && timeout < PROGRESS_TIMEOUT_MIN {
            let problem = format!(
                "{} s is less than {} s: workers send progress a few times a second",
                timeout.as_secs_f64(),
                PROGRESS_TIMEOUT_MIN.as_secs()
            );
            self.broken(field, problem);
        }
        Some(timeout)
    }

    fn duration(&mut self, field: &str, value: &prost_types::Duration) -> Option<Duration> {
        match duration::from_wire(value) {
            Ok(value) if value <= DURATION_MAX => Some(value),
            Ok(value) => {
                self.broken(
                    field,
                    format!(
                        "{} s is more than one year ({} s)",
                        value.as_secs(),
                        DURATION_MAX.as_secs()
                    ),
                );
                None
            }
            Err(problem) => {
                self.broken(field, problem.to_string());
                None
            }
        }
    }

    /// How long it is until an absolute time.
    pub(super) fn deadline(
        &mut self,
        field: &str,
        value: Timestamp,
        now: SystemTime,
        default: Duration,
    ) -> Duration {
        let problem = match SystemTime::try_from(value).map(|time| time.duration_since(now)) {
            Err(_) => "is no valid time".to_owned(),
            Ok(Ok(left)) if left > DURATION_MAX => "is more than one year ahead".to_owned(),
            Ok(Ok(left)) if !left.is_zero() => return left,
            Ok(Ok(_)) => "is in the past by 0.000 s: name a time to come".to_owned(),
            Ok(Err(past)) => {
                let by = past.duration().as_secs_f64();
                format!("is in the past by {by:.3} s: name a time to come, and compare the clocks")
            }
        };
        self.broken(field, problem);
        default
    }

    pub(super) fn attempts(&mut self, value: Option<i32>, default: u32) -> u32 {
        let Some(asked) = value else { return default };
        match u32::try_from(asked) {
            Ok(attempts) if (1..=ATTEMPTS_MAX).contains(&attempts) => attempts,
            Ok(_) | Err(_) => {
                self.broken(
                    "spec.retry.max_attempts",
                    format!("{asked} is not 1 to {ATTEMPTS_MAX}; 1 means no retry"),
                );
                default
            }
        }
    }

    pub(super) fn initial(
        &mut self,
        value: Option<prost_types::Duration>,
        default: Duration,
        cap: Duration,
    ) -> Duration {
        let initial = self.limit("spec.retry.initial", value, default);
        if initial > cap {
            self.broken(
                "spec.retry.initial",
                format!("is more than spec.retry.cap, {} s: raise the cap", cap.as_secs_f64()),
            );
        }
        initial
    }

    pub(super) fn factor(&mut self, value: Option<f64>, default: f64) -> f64 {
        let Some(asked) = value else { return default };
        // Written so that NaN is refused too.
        if (1.0..=FACTOR_MAX).contains(&asked) {
            return asked;
        }
        self.broken("spec.retry.factor", format!("{asked} is not 1.0 to {FACTOR_MAX}"));
        default
    }

    pub(super) fn jitter(&mut self, value: i32, default: Jitter) -> Jitter {
        match v1::Jitter::try_from(value) {
            Ok(v1::Jitter::Unspecified) => default,
            Ok(v1::Jitter::Full) => Jitter::Full,
            Ok(v1::Jitter::None) => Jitter::None,
            Err(_) => {
                self.broken(
                    "spec.retry.jitter",
                    format!("{value} is no known jitter: 1 is full, 2 is none"),
                );
                default
            }
        }
    }

    pub(super) fn guarantee(&mut self, value: i32) -> Guarantee {
        match v1::Guarantee::try_from(value) {
            Ok(v1::Guarantee::Unspecified | v1::Guarantee::AtLeastOnce) => Guarantee::AtLeastOnce,
            Ok(v1::Guarantee::AtMostOnce) => Guarantee::AtMostOnce,
            Err(_) => {
                self.broken(
                    "spec.guarantee",
                    format!("{value} is no known guarantee: 1 is at least once, 2 at most once"),
                );
                Guarantee::AtLeastOnce
            }
        }
    }

    /// Nothing has to be reckoned of a task for which nobody said by when it has to be over.
    pub(super) fn admission(&mut self, said: &Said, default: config::Admission) -> Admission {
        let (is_timed, value) = (said.is_timed, said.spec.admission);
        let best_effort = if is_timed { Admission::BestEffort } else { Admission::Unasked };
        match v1::Admission::try_from(value) {
            Ok(v1::Admission::Unspecified) => match default {
                config::Admission::Strict => Admission::Strict,
                config::Admission::BestEffort => best_effort,
            },
            Ok(v1::Admission::Strict) => Admission::Strict,
            Ok(v1::Admission::BestEffort) => best_effort,
            Err(_) => {
                self.broken(
                    "spec.admission",
                    format!("{value} is no known admission: 1 is best effort, 2 strict"),
                );
                Admission::Unasked
            }
        }
    }

    pub(super) fn exclusivity(&mut self, value: i32, default: config::Exclusivity) -> Exclusivity {
        match v1::Exclusivity::try_from(value) {
            Ok(v1::Exclusivity::Unspecified) => match default {
                config::Exclusivity::Strict => Exclusivity::Strict,
                config::Exclusivity::BestEffort => Exclusivity::BestEffort,
            },
            Ok(v1::Exclusivity::Strict) => Exclusivity::Strict,
            Ok(v1::Exclusivity::BestEffort) => Exclusivity::BestEffort,
            Err(_) => {
                self.broken(
                    "spec.exclusivity",
                    format!("{value} is no known exclusivity: 1 is strict, 2 best effort"),
                );
                Exclusivity::Strict
            }
        }
    }

    /// The labels, in the order of their keys.
    pub(super) fn labels(&mut self, labels: HashMap<String, String>) -> Vec<(Name, Name)> {
        self.pairs("spec.labels", labels, LABELS_MAX)
    }

    /// The labels that a worker must have, in the order of their keys.
    pub(super) fn selector(&mut self, labels: HashMap<String, String>) -> Vec<(Name, Name)> {
        self.pairs("spec.worker_selector", labels, SELECTOR_LABELS_MAX)
    }

    fn pairs(
        &mut self,
        field: &str,
        labels: HashMap<String, String>,
        max: usize,
    ) -> Vec<(Name, Name)> {
        if labels.len() > max {
            let count = labels.len();
            self.broken(field, format!("has {count} labels: at most {max} are allowed"));
            return Vec::new();
        }
        let sorted: BTreeMap<_, _> = labels.into_iter().collect();
        for (key, value) in &sorted {
            let field = format!("{field}[{}]", shown(key));
            if key.is_empty() {
                self.broken(&field, "has an empty key: name it".to_owned());
            }
            self.text(&field, key, LABEL_KEY_BYTES_MAX);
            self.text(&field, value, LABEL_VALUE_BYTES_MAX);
        }
        sorted.into_iter().map(|(key, value)| (key.into(), value.into())).collect()
    }
}

/// A client's text as a message may repeat it: cut, quoted, control characters escaped.
pub(super) fn shown(text: &str) -> String {
    if text.chars().count() <= SHOWN_CHARS_MAX {
        return format!("{text:?}");
    }
    let head: String = text.chars().take(SHOWN_CHARS_MAX).collect();
    format!("{head:?}...")
}
