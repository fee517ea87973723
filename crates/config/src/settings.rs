//! The sections of the configuration and the default of every key.

use std::{collections::BTreeMap, time::Duration};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{RateLimit, duration, rate, schema, size};

/// Sessions of workers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(from = "SessionFile")]
pub struct Session {
    /// How often a worker says that it lives. Left out: a quarter of `ttl`.
    #[serde(with = "duration")]
    #[schemars(with = "schema::Time")]
    pub heartbeat_interval: Duration,
    /// How long after its last acknowledged heartbeat a worker may believe in its leases.
    #[serde(with = "duration")]
    #[schemars(with = "schema::Time")]
    pub ttl: Duration,
}

impl Session {
    /// A session of this length; four heartbeats fit into it.
    pub fn lasting(ttl: Duration) -> Self {
        Self { heartbeat_interval: ttl / 4, ttl }
    }
}

impl Default for Session {
    fn default() -> Self {
        Self::lasting(Duration::from_secs(20))
    }
}

/// [`Session`] as it is written.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct SessionFile {
    /// How often a worker says that it lives. Left out: a quarter of `ttl`. At least 100ms. Holds for each worker from its
    /// next stream on.
    #[serde(default, with = "duration::optional")]
    #[schemars(with = "schema::Time", extend("default" = "5s"))]
    heartbeat_interval: Option<Duration>,
    /// How long after its last acknowledged heartbeat a worker may believe in its leases. Holds for each worker from its next
    /// stream on.
    #[serde(default, with = "duration::optional")]
    #[schemars(with = "schema::Time", extend("default" = "20s"))]
    ttl: Option<Duration>,
}

impl From<SessionFile> for Session {
    fn from(file: SessionFile) -> Self {
        let whole = file.ttl.map_or_else(Self::default, Self::lasting);
        let heartbeat_interval = file.heartbeat_interval.unwrap_or(whole.heartbeat_interval);
        Self { heartbeat_interval, ..whole }
    }
}

/// What a task gets that does not say otherwise.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Defaults {
    /// From the grant of a lease to the worker's start.
    #[serde(with = "duration")]
    #[schemars(with = "schema::Time")]
    pub start_timeout: Duration,
    /// From the worker's start of one attempt to its end.
    #[serde(with = "duration")]
    #[schemars(with = "schema::Time")]
    pub attempt_timeout: Duration,
    /// From the submit to the end of the task.
    #[serde(with = "duration")]
    #[schemars(with = "schema::Time")]
    pub total_timeout: Duration,
    /// From a request to stop to the kill.
    #[serde(with = "duration")]
    #[schemars(with = "schema::Time")]
    pub kill_grace: Duration,
    /// When and how often to try again.
    pub retry: Retry,
}

impl Default for Defaults {
    fn default() -> Self {
        Self {
            start_timeout: Duration::from_secs(10),
            attempt_timeout: Duration::from_mins(5),
            total_timeout: Duration::from_hours(24),
            kill_grace: Duration::from_secs(5),
            retry: Retry::default(),
        }
    }
}

/// When and how often a failed attempt is tried again.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Retry {
    /// How many attempts there may be, the first included.
    pub max_attempts: u32,
    /// The ceiling of the wait after the first failure.
    #[serde(with = "duration")]
    #[schemars(with = "schema::Time")]
    pub initial: Duration,
    /// By what the ceiling grows with each failure.
    pub factor: f64,
    /// The largest ceiling.
    #[serde(with = "duration")]
    #[schemars(with = "schema::Time")]
    pub cap: Duration,
    /// How a wait is drawn below its ceiling.
    pub jitter: Jitter,
}

impl Default for Retry {
    fn default() -> Self {
        Self {
            max_attempts: 5,
            initial: Duration::from_secs(1),
            factor: 2.0,
            cap: Duration::from_mins(5),
            jitter: Jitter::Full,
        }
    }
}

/// How a wait is drawn below its ceiling.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Jitter {
    /// Uniform between zero and the ceiling.
    Full,
    /// Exactly the ceiling.
    None,
}

impl From<Jitter> for leasehold_policy::Jitter {
    fn from(jitter: Jitter) -> Self {
        match jitter {
            Jitter::Full => Self::Full,
            Jitter::None => Self::None,
        }
    }
}

/// Bounds. Reaching one refuses what would go beyond it, and nothing else.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Bytes of one task's payload.
    #[serde(with = "size")]
    #[schemars(with = "schema::Size")]
    pub payload_bytes: u64,
    /// Bytes of one task's result.
    #[serde(with = "size")]
    #[schemars(with = "schema::Size")]
    pub result_bytes: u64,
    /// Bytes of one checkpoint. Zero: none is kept.
    #[serde(with = "size")]
    #[schemars(with = "schema::Size")]
    pub checkpoint_bytes: u64,
    /// Tasks that have not ended.
    pub open_tasks: u64,
    /// Bytes of the tasks that have not ended: payloads, checkpoints, and what is kept of their attempts.
    #[serde(with = "size")]
    #[schemars(with = "schema::Size")]
    pub open_bytes: u64,
    /// Bytes of payloads that are kept in memory; others are read from the journal when their tasks are leased. It refuses nothing.
    #[serde(with = "size")]
    #[schemars(with = "schema::Size")]
    pub payload_memory: u64,
    /// Queues.
    pub queues: u64,
    /// Bytes of idempotency keys, those of ended tasks included.
    #[serde(with = "size")]
    #[schemars(with = "schema::Size")]
    pub key_bytes: u64,
    /// Leases of one generation that may end with a lost worker before the task fails.
    pub worker_losses: u32,
    /// Leases that one generation may have at all.
    pub leases_per_generation: u32,
    /// How long one attempt may become by asking for more time, counted from its start.
    #[serde(with = "duration")]
    #[schemars(with = "schema::Time")]
    pub attempt_timeout: Duration,
    /// How fast each client may submit tasks. None: as fast as it can.
    #[serde(with = "rate::optional")]
    #[schemars(with = "schema::Speed")]
    pub submit_rate: Option<RateLimit>,
    /// Open `WatchTasks` calls.
    pub watchers: u32,
    /// Open `AwaitTask` calls.
    pub waiters: u32,
    /// Open gRPC connections; fewer if the process may open fewer files. Read at the start only.
    pub connections: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            payload_bytes: 1 << 20,
            result_bytes: 1 << 20,
            checkpoint_bytes: 64 << 10,
            open_tasks: 10_000_000,
            open_bytes: 4 << 30,
            payload_memory: 8 << 20,
            queues: 10_000,
            key_bytes: 256 << 20,
            worker_losses: 5,
            leases_per_generation: 1_000,
            attempt_timeout: Duration::from_hours(24),
            submit_rate: None,
            watchers: 1_000,
            waiters: 100_000,
            connections: 10_000,
        }
    }
}

/// How long what has ended is kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Retention {
    /// Tasks that succeeded or were cancelled. Zero: only who waits learns the result.
    #[serde(with = "duration")]
    #[schemars(with = "schema::Time")]
    pub finished: Duration,
    /// Dead letters.
    #[serde(with = "duration")]
    #[schemars(with = "schema::Time")]
    pub failed: Duration,
    /// Idempotency keys, after the end of their task.
    #[serde(with = "duration")]
    #[schemars(with = "schema::Time")]
    pub keys: Duration,
}

impl Default for Retention {
    fn default() -> Self {
        Self {
            finished: Duration::from_hours(24),
            failed: Duration::from_hours(14 * 24),
            keys: Duration::from_hours(1),
        }
    }
}

/// Queues.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Queues {
    /// Whether a submit to an unknown queue, or a pause of it, creates it.
    pub create: bool,
    /// Every how many grants to workers that are alike one goes to the task that has waited longest below the most urgent
    /// priority: so many tasks wait at most so many times as many grants.
    pub aging_every: u64,
    /// How many runs of its type have to be known before a task is ended, instead of leased, that has less time left than the
    /// fastest of them took; at most 400. Zero: it is always tried.
    pub cull_after_runs: u32,
    /// Settings of single queues, by name, in whatever namespace. A queue that is named here always exists in "default".
    pub settings: BTreeMap<String, QueueSettings>,
}

impl Default for Queues {
    fn default() -> Self {
        Self { create: true, aging_every: 64, cull_after_runs: 20, settings: BTreeMap::new() }
    }
}

/// Settings of one queue.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct QueueSettings {
    /// How long what has ended is kept.
    pub retention: RetentionOverride,
    /// Whether a task that does not say may be leased again while the worker before may still run it.
    pub exclusivity: Exclusivity,
    /// Whether a result counts that comes after the session of its worker ended.
    pub late_results: LateResults,
    /// Whether a task that does not say is accepted though it is unlikely to be over by its deadline.
    pub admission: Admission,
    /// How much of the slots' time the queue gets beside other queues that wait as well, at the same priority.
    pub weight: u32,
    /// How much its fairness keys get of that beside each other: 1 if they are not named.
    pub weights: BTreeMap<String, u32>,
    /// How many of its tasks may be leased at a time. None: as many as there are slots for.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("default" = null))]
    pub concurrency: Option<u32>,
    /// How many of its tasks with one fairness key may be leased at a time; those without one count together. None: as many as
    /// there are slots for.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("default" = null))]
    pub concurrency_per_key: Option<u32>,
    /// How fast its tasks may be leased. None: as fast as there are slots for.
    #[serde(with = "rate::optional")]
    #[schemars(with = "schema::Speed")]
    pub rate: Option<RateLimit>,
}

impl Default for QueueSettings {
    fn default() -> Self {
        Self {
            retention: RetentionOverride::default(),
            exclusivity: Exclusivity::default(),
            late_results: LateResults::default(),
            admission: Admission::default(),
            weight: 1,
            weights: BTreeMap::new(),
            concurrency: None,
            concurrency_per_key: None,
            rate: None,
        }
    }
}

/// How many leases may carry one concurrency key at a time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Concurrency {
    /// Of a key that nothing else is said of.
    pub default: u32,
    /// Of single keys.
    pub keys: BTreeMap<String, u32>,
    /// Of each key that begins so, and is not one of `keys`. The longest beginning counts.
    pub prefixes: BTreeMap<String, u32>,
}

impl Default for Concurrency {
    fn default() -> Self {
        Self { default: 1, keys: BTreeMap::new(), prefixes: BTreeMap::new() }
    }
}

/// What becomes of a result that comes after the session of its worker ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum LateResults {
    /// It is stale.
    #[default]
    Reject,
    /// It counts, as long as its task has not ended and was not leased again.
    AcceptIfNewest,
}

/// Whether a task may be leased again while the worker of its last lease may still run it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Exclusivity {
    /// Only after that worker has answered, or its session is over.
    #[default]
    Strict,
    /// Once the kill grace of a revocation is over.
    BestEffort,
}

/// Whether a task is accepted that is unlikely to be over by its deadline.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Admission {
    /// It is refused.
    Strict,
    /// It is.
    #[default]
    BestEffort,
}

/// How long what ended in one queue is kept, where it differs from [`Retention`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RetentionOverride {
    /// Tasks that succeeded or were cancelled.
    #[serde(with = "duration::optional", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "schema::Time")]
    pub finished: Option<Duration>,
    /// Dead letters.
    #[serde(with = "duration::optional", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "schema::Time")]
    pub failed: Option<Duration>,
}

/// How the file is looked at again while the coordinator runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Reload {
    /// How often: 100ms to 1h. SIGHUP and `leasehold config reload` look at once.
    #[serde(with = "duration")]
    #[schemars(with = "schema::Time")]
    pub interval: Duration,
}

impl Default for Reload {
    fn default() -> Self {
        Self { interval: Duration::from_secs(5) }
    }
}

/// The end of the process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Shutdown {
    /// How long the process may take to end after SIGTERM.
    #[serde(with = "duration")]
    #[schemars(with = "schema::Time")]
    pub grace: Duration,
}

impl Default for Shutdown {
    fn default() -> Self {
        Self { grace: Duration::from_secs(10) }
    }
}

/// Logs and traces.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Telemetry {
    /// Where spans are sent (OTLP over gRPC). Empty: nowhere, unless `OTEL_EXPORTER_OTLP_ENDPOINT` says so.
    pub otlp_endpoint: String,
    /// The shape of a log line.
    pub log_format: LogFormat,
    /// Which lines are written, as `level` or `target=level,...`.
    pub log_filter: String,
}

impl Default for Telemetry {
    fn default() -> Self {
        Self {
            otlp_endpoint: String::new(),
            log_format: LogFormat::Text,
            log_filter: "info".to_owned(),
        }
    }
}

/// The shape of a log line.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema, clap::ValueEnum,
)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}
