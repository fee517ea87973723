//! What holds in one namespace where that differs from the rest of the file, and what therefore holds for one queue.
//!
//! A queue is meant by the name that the coordinator knows it by: see [`leasehold_policy::namespace`].

use std::{borrow::Cow, collections::BTreeMap, time::Duration};

use leasehold_policy::namespace;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    Admission, Config, Defaults, Exclusivity, Jitter, LateResults, QueueSettings, RateLimit,
    RetentionOverride, Retry, duration, rate, schema, size,
};

/// What holds in one namespace. Whatever is left out is as for all of them.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Namespace {
    /// Tasks that have not ended. None: as many as `limits.open_tasks` leaves room for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub open_tasks: Option<u64>,
    /// Bytes of the tasks that have not ended. None: as many as `limits.open_bytes` leaves room for.
    #[serde(with = "size::optional", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "schema::Size")]
    pub open_bytes: Option<u64>,
    /// How fast all clients together may submit tasks. None: as fast as `limits.submit_rate` lets each of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub submit_rate: Option<RateLimit>,
    /// What a task gets that does not say otherwise.
    pub defaults: DefaultsOverride,
    /// Settings of its queues, by name. A queue that is named here always exists.
    pub queues: BTreeMap<String, QueueOverride>,
}

/// What a task gets that does not say otherwise, where that differs from [`Defaults`].
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct DefaultsOverride {
    /// From the grant of a lease to the worker's start.
    #[serde(with = "duration::optional", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "schema::Time")]
    pub start_timeout: Option<Duration>,
    /// From the worker's start of one attempt to its end.
    #[serde(with = "duration::optional", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "schema::Time")]
    pub attempt_timeout: Option<Duration>,
    /// From the submit to the end of the task.
    #[serde(with = "duration::optional", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "schema::Time")]
    pub total_timeout: Option<Duration>,
    /// From a request to stop to the kill.
    #[serde(with = "duration::optional", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "schema::Time")]
    pub kill_grace: Option<Duration>,
    /// When and how often to try again.
    pub retry: RetryOverride,
}

/// When and how often to try again, where that differs from [`Retry`].
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RetryOverride {
    /// How many attempts there may be, the first included.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_attempts: Option<u32>,
    /// The ceiling of the wait after the first failure.
    #[serde(with = "duration::optional", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "schema::Time")]
    pub initial: Option<Duration>,
    /// By what the ceiling grows with each failure.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub factor: Option<f64>,
    /// The largest ceiling.
    #[serde(with = "duration::optional", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "schema::Time")]
    pub cap: Option<Duration>,
    /// How a wait is drawn below its ceiling.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub jitter: Option<Jitter>,
}

/// Settings of one queue of a namespace, where they differ from those of `queues.settings` for its name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct QueueOverride {
    /// How long what has ended is kept.
    pub retention: RetentionOverride,
    /// Whether a task that does not say may be leased again while the worker before may still run it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exclusivity: Option<Exclusivity>,
    /// Whether a result counts that comes after the session of its worker ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub late_results: Option<LateResults>,
    /// Whether a task that does not say is accepted though it is unlikely to be over by its deadline.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub admission: Option<Admission>,
    /// How much of the slots' time the queue gets beside other queues that wait as well, at the same priority.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weight: Option<u32>,
    /// How much its fairness keys get of that beside each other. A key that is not named is as in `queues.settings`.
    pub weights: BTreeMap<String, u32>,
    /// How many of its tasks may be leased at a time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub concurrency: Option<u32>,
    /// How many of its tasks with one fairness key may be leased at a time; those without one count together.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub concurrency_per_key: Option<u32>,
    /// How fast its tasks may be leased; `unlimited` lifts what `queues.settings` says.
    #[serde(with = "rate::lifted", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "schema::Speed")]
    #[expect(clippy::option_option, reason = "left out, unlimited and a limit are three things")]
    pub rate: Option<Option<RateLimit>>,
}

/// A limit of what runs of one queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QueueLimit {
    /// Of all of it.
    Concurrency,
    /// Of each fairness key.
    ConcurrencyPerKey,
    /// How fast it is leased.
    Rate,
}

impl QueueLimit {
    /// Its key.
    pub const fn key(self) -> &'static str {
        match self {
            Self::Concurrency => "concurrency",
            Self::ConcurrencyPerKey => "concurrency_per_key",
            Self::Rate => "rate",
        }
    }
}

impl QueueOverride {
    /// Whether it sets this limit itself.
    fn sets(&self, limit: QueueLimit) -> bool {
        match limit {
            QueueLimit::Concurrency => self.concurrency.is_some(),
            QueueLimit::ConcurrencyPerKey => self.concurrency_per_key.is_some(),
            QueueLimit::Rate => self.rate.is_some(),
        }
    }

    /// The settings of its queue, where these hold for queues of that name.
    pub(crate) fn over(&self, common: &QueueSettings) -> QueueSettings {
        let mut weights = common.weights.clone();
        weights.extend(self.weights.clone());
        QueueSettings {
            retention: RetentionOverride {
                finished: self.retention.finished.or(common.retention.finished),
                failed: self.retention.failed.or(common.retention.failed),
            },
            exclusivity: self.exclusivity.unwrap_or(common.exclusivity),
            late_results: self.late_results.unwrap_or(common.late_results),
            admission: self.admission.unwrap_or(common.admission),
            weight: self.weight.unwrap_or(common.weight),
            weights,
            concurrency: self.concurrency.or(common.concurrency),
            concurrency_per_key: self.concurrency_per_key.or(common.concurrency_per_key),
            rate: self.rate.unwrap_or(common.rate),
        }
    }
}

impl DefaultsOverride {
    /// What a task of its namespace gets, where others get these.
    pub(crate) fn over(&self, common: &Defaults) -> Defaults {
        Defaults {
            start_timeout: self.start_timeout.unwrap_or(common.start_timeout),
            attempt_timeout: self.attempt_timeout.unwrap_or(common.attempt_timeout),
            total_timeout: self.total_timeout.unwrap_or(common.total_timeout),
            kill_grace: self.kill_grace.unwrap_or(common.kill_grace),
            retry: Retry {
                max_attempts: self.retry.max_attempts.unwrap_or(common.retry.max_attempts),
                initial: self.retry.initial.unwrap_or(common.retry.initial),
                factor: self.retry.factor.unwrap_or(common.retry.factor),
                cap: self.retry.cap.unwrap_or(common.retry.cap),
                jitter: self.retry.jitter.unwrap_or(common.retry.jitter),
            },
        }
    }
}

impl Config {
    /// What a task of this namespace gets that does not say otherwise.
    pub fn defaults_of(&self, namespace: &str) -> Cow<'_, Defaults> {
        match self.namespaces.get(namespace) {
            Some(own) => Cow::Owned(own.defaults.over(&self.defaults)),
            None => Cow::Borrowed(&self.defaults),
        }
    }

    /// The settings of a queue. None: nothing is said of it.
    pub fn queue(&self, queue: &str) -> Option<Cow<'_, QueueSettings>> {
        let common = self.queues.settings.get(namespace::split(queue).1);
        match (self.override_of(queue), common) {
            (Some(own), Some(common)) => Some(Cow::Owned(own.over(common))),
            (Some(own), None) => Some(Cow::Owned(own.over(&QueueSettings::default()))),
            (None, common) => common.map(Cow::Borrowed),
        }
    }

    /// Whether a limit of a queue is set by its namespace, and not by `queues.settings`.
    pub fn is_own_limit(&self, queue: &str, limit: QueueLimit) -> bool {
        self.override_of(queue).is_some_and(|own| own.sets(limit))
    }

    /// How long a finished task of `queue` stays readable. Zero: not at all.
    pub fn finished_retention(&self, queue: &str) -> Duration {
        self.retention_of(queue, |it| it.finished).unwrap_or(self.retention.finished)
    }

    /// How long a dead letter of `queue` is kept.
    pub fn failed_retention(&self, queue: &str) -> Duration {
        self.retention_of(queue, |it| it.failed).unwrap_or(self.retention.failed)
    }

    /// Every queue that the file names, so that it exists: in "default", those of `queues.settings`, too.
    pub fn declared(&self) -> impl Iterator<Item = String> {
        let common = self.queues.settings.keys().cloned();
        let own = self
            .namespaces
            .iter()
            .flat_map(|(space, own)| own.queues.keys().map(|name| namespace::join(space, name)));
        common.chain(own)
    }

    fn override_of(&self, queue: &str) -> Option<&QueueOverride> {
        let (space, name) = namespace::split(queue);
        self.namespaces.get(space)?.queues.get(name)
    }

    fn retention_of(
        &self,
        queue: &str,
        part: impl Fn(&RetentionOverride) -> Option<Duration>,
    ) -> Option<Duration> {
        let common = || self.queues.settings.get(namespace::split(queue).1);
        let own = self.override_of(queue).and_then(|own| part(&own.retention));
        own.or_else(|| part(&common()?.retention))
    }
}
