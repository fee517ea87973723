//! What a trigger's metadata says, checked.

use std::collections::{BTreeSet, HashMap};

use leasehold_policy::namespace;
use leasehold_proto::v1;
use leasehold_queue::Name;

use crate::{
    config::{is_namespace, is_queue_name, is_task_type},
    parse,
    queues::Queues,
    refusal::{Reason, Refusal},
    scaling::{DEFAULT_POOL, Question},
};

/// What KEDA itself reads of the metadata, and hands on.
const OF_KEDA: [&str; 5] = ["scalerAddress", "enableTLS", "unsafeSsl", "tlsCertFile", "caCert"];

/// Behind a key whose value KEDA took from the environment of a container.
const FROM_ENV: &str = "FromEnv";

const METRICS: &str = "desired_workers, work, backlog, oldest_age_seconds, wait_p95_seconds, drain_seconds, slot_utilization";

/// What is measured for KEDA.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Metric {
    /// How many workers there should be.
    DesiredWorkers,
    /// Tasks that are leased, and those that wait for a worker.
    Work,
    /// Tasks that wait for a worker.
    Backlog,
    /// How long the one has waited that goes first.
    OldestAge,
    /// Within which time 95 % were leased.
    WaitP95,
    /// How long the backlog takes the workers there are.
    Drain,
    /// How many of the slots are taken, from 0 to 1.
    SlotUtilization,
}

/// A trigger of a `ScaledObject`.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Trigger {
    pub(super) metric: Metric,
    pub(super) question: Question,
    /// How much is one replica's.
    pub(super) target: Option<f64>,
    /// More than this activates, instead of a single task that waits.
    pub(super) activation: Option<f64>,
}

impl Metric {
    fn parse(name: &str) -> Option<Self> {
        Some(match name {
            "" | "desired_workers" => Self::DesiredWorkers,
            "work" => Self::Work,
            "backlog" => Self::Backlog,
            "oldest_age_seconds" => Self::OldestAge,
            "wait_p95_seconds" => Self::WaitP95,
            "drain_seconds" => Self::Drain,
            "slot_utilization" => Self::SlotUtilization,
            _ => return None,
        })
    }

    const fn name(self) -> &'static str {
        match self {
            Self::DesiredWorkers => "desired-workers",
            Self::Work => "work",
            Self::Backlog => "backlog",
            Self::OldestAge => "oldest-age-seconds",
            Self::WaitP95 => "wait-p95-seconds",
            Self::Drain => "drain-seconds",
            Self::SlotUtilization => "slot-utilization",
        }
    }
}

impl Trigger {
    /// The trigger that the metadata describes, or everything that is wrong with it.
    pub(super) fn parse(metadata: &HashMap<String, String>) -> Result<Self, Refusal> {
        let mut keys = Keys::new(metadata);
        let metric = keys.take("metric");
        let metric = keys.need("metric", Metric::parse(metric), || {
            format!("is {metric:?}, not one of {METRICS}")
        });
        let pool = keys.pool();
        let queue = keys.queue();
        let task_types = keys.task_types();
        let space = keys.namespace();
        let target = keys.number("target", 0.0);
        let activation = keys.number("activationTarget", -f64::MIN_POSITIVE);
        // Workers are scaled by pool, and the other metrics are of everything unless they are of something.
        let is_scaled = metric == Some(Metric::DesiredWorkers);
        let elsewhere = space.filter(|space| *space != namespace::DEFAULT);
        for (key, is_said) in [("queue", queue.is_some()), ("namespace", elsewhere.is_some())] {
            if is_scaled && is_said {
                let rule = format!(
                    "workers are not scaled by {key}: leave it out, or choose another metric"
                );
                keys.add(key, rule);
            }
        }
        keys.finish()?;
        let queues = match (queue, space.filter(|_| !is_scaled)) {
            (Some(queue), space) => Some(Queues::One(
                namespace::join(space.unwrap_or(namespace::DEFAULT), &queue).into(),
            )),
            (None, space) => space.map(|space| Queues::Of(space.into())),
        };
        let pool = pool.or_else(|| is_scaled.then(|| Name::from(DEFAULT_POOL)));
        Ok(Self {
            metric: metric.unwrap_or(Metric::DesiredWorkers),
            question: Question { pool, task_types, queues },
            target,
            activation,
        })
    }

    /// The pool whose workers are scaled.
    pub(super) fn pool(&self) -> Name {
        self.question.pool.clone().unwrap_or_else(|| DEFAULT_POOL.into())
    }

    /// What the metric is called: by metric, pool and namespace or queue, in the letters that Kubernetes takes. It is for people
    /// and may be that of another question, too: KEDA puts the number of the trigger before it, and asks with the metadata.
    pub(super) fn name(&self) -> String {
        let Question { pool, queues, .. } = &self.question;
        let of = queues.as_ref().map(|queues| match queues {
            Queues::Of(name) | Queues::One(name) => &**name,
        });
        let parts = [Some(self.metric.name()), pool.as_deref(), of];
        let parts = parts.into_iter().flatten().flat_map(|part| ["-", part]);
        let plain = |letter: char| {
            let letter = letter.to_ascii_lowercase();
            if letter.is_ascii_alphanumeric() { letter } else { '-' }
        };
        std::iter::once("leasehold").chain(parts).flat_map(str::chars).map(plain).collect()
    }
}

/// The keys of a metadata, those that have been looked at taken out.
struct Keys<'a> {
    left: HashMap<&'a str, &'a str>,
    wrong: Vec<v1::FieldViolation>,
}

impl<'a> Keys<'a> {
    fn new(metadata: &'a HashMap<String, String>) -> Self {
        let plain = |key: &'a String| key.strip_suffix(FROM_ENV).unwrap_or(key);
        let left = metadata.iter().map(|(key, value)| (plain(key), value.trim()));
        let left = left.filter(|(key, _)| !OF_KEDA.contains(key)).collect();
        Self { left, wrong: Vec::new() }
    }

    /// The value of a key; empty if it is not there.
    fn take(&mut self, key: &str) -> &'a str {
        self.left.remove(key).unwrap_or_default()
    }

    fn add(&mut self, key: &str, description: String) {
        let field = format!("scalerMetadata.{key}");
        self.wrong.push(v1::FieldViolation { field, description });
    }

    /// A value, or what is wrong with it.
    fn need<T>(
        &mut self,
        key: &str,
        value: Option<T>,
        problem: impl FnOnce() -> String,
    ) -> Option<T> {
        if value.is_none() {
            self.add(key, problem());
        }
        value
    }

    fn pool(&mut self) -> Option<Name> {
        let text = Some(self.take("workerPool")).filter(|it| !it.is_empty())?;
        let pool = parse::pool_name("", text);
        let problem = |it: &Refusal| it.violations.first().map(|it| it.description.clone());
        let told = pool.as_ref().err().and_then(problem).unwrap_or_default();
        self.need("workerPool", pool.ok(), || told)
    }

    fn queue(&mut self) -> Option<Name> {
        let text = Some(self.take("queue")).filter(|it| !it.is_empty())?;
        self.need("queue", is_queue_name(text).then(|| text.into()), || {
            format!("is {text:?}, not 1 to 128 characters of [A-Za-z0-9._-]")
        })
    }

    fn namespace(&mut self) -> Option<&'a str> {
        let text = Some(self.take("namespace")).filter(|it| !it.is_empty())?;
        self.need("namespace", is_namespace(text).then_some(text), || {
            format!("is {text:?}, not 1 to 63 characters of [A-Za-z0-9._-]")
        })
    }

    fn task_types(&mut self) -> BTreeSet<Name> {
        let text = self.take("taskTypes");
        let types = text.split(',').map(str::trim).filter(|it| !it.is_empty());
        let (right, wrong): (BTreeSet<&str>, BTreeSet<&str>) =
            types.partition(|it| is_task_type(it));
        if let Some(wrong) = wrong.first() {
            let rule = "must be task types with commas between them";
            self.add("taskTypes", format!("{rule}; {wrong:?} is none"));
        }
        right.into_iter().map(Name::from).collect()
    }

    /// A number above `more_than`.
    fn number(&mut self, key: &str, more_than: f64) -> Option<f64> {
        let text = Some(self.take(key)).filter(|it| !it.is_empty())?;
        let number: Option<f64> = text.parse().ok();
        self.need(key, number.filter(|it| it.is_finite() && more_than < *it), || {
            let least = if more_than < 0.0 { "no less" } else { "more" };
            format!("is {text:?}, not a number {least} than 0")
        })
    }

    fn finish(mut self) -> Result<(), Refusal> {
        let mut strange: Vec<&str> = self.left.keys().copied().collect();
        strange.sort_unstable();
        for key in strange {
            let known = "metric, workerPool, taskTypes, queue, namespace, target, activationTarget";
            self.add(key, format!("is no key of this scaler, which has {known}"));
        }
        if self.wrong.is_empty() {
            return Ok(());
        }
        Err(Refusal::fields(Reason::InvalidField, self.wrong))
    }
}

#[cfg(test)]
mod tests;
