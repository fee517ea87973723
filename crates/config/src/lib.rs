//! The configuration files: what they may say, with every default, and how they are read, compared and watched.
//!
//! Every value is checked where it is read; [`Config::check`] holds the rules between values. It knows nothing of
//! flags (whoever has some lays them over it), nothing of who uses a value, and neither runtime nor network.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

mod address;
mod breakers;
mod change;
mod check;
mod duration;
mod error;
mod file;
mod name;
mod namespaces;
mod place;
mod rate;
mod scaling;
mod schema;
mod settings;
mod size;
#[cfg(test)]
mod tests;
mod watch;

pub use breakers::{BREAKERS_MAX, Breaker, Breakers, RetryBudget};
pub use change::{Change, changes};
pub use check::{ATTEMPTS_MAX, FACTOR_MAX, WORKERS_MAX};
pub use duration::{ParseDurationError, parse as parse_duration};
pub use error::{ConfigError, Violation};
pub use file::{Contents, FILE_BYTES_MAX, Hash, is_blank};
pub use name::{
    NAME_BYTES_MAX, NAMESPACE_BYTES_MAX, RESOURCE_NAME_BYTES_MAX, is_limit_key, is_namespace,
    is_queue_name, is_resource, is_task_type, is_worker_id,
};
pub use namespaces::{DefaultsOverride, Namespace, QueueLimit, QueueOverride, RetryOverride};
pub use place::Place;
pub use rate::{ParseRateError, Per, RateLimit};
pub use scaling::{POOLS_MAX, PoolSettings, Scaling};
pub use schema::schema;
pub use settings::{
    Admission, Concurrency, Defaults, Exclusivity, Jitter, LateResults, Limits, LogFormat,
    QueueSettings, Queues, Reload, Retention, RetentionOverride, Retry, Session, Shutdown,
    Telemetry,
};
pub use watch::{Look, Sight, Watch};

/// No control value is longer: a year.
pub const DURATION_MAX: Duration = Duration::from_hours(365 * 24);

/// The whole configuration of a coordinator.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Where gRPC is served: an IP address and a port. Read at the start only.
    #[serde(with = "address")]
    #[schemars(with = "schema::Address")]
    pub listen: SocketAddr,
    /// Where metrics and health are served, over HTTP: an IP address and a port. Read at the start only.
    #[serde(with = "address")]
    #[schemars(with = "schema::Address")]
    pub ops_listen: SocketAddr,
    /// The data directory. Read at the start only.
    pub data: PathBuf,
    /// Whether other machines may connect although nobody is authenticated. Read at the start only.
    pub insecure: bool,
    /// Sessions of workers.
    pub session: Session,
    /// What a task gets that does not say otherwise.
    pub defaults: Defaults,
    /// Bounds.
    pub limits: Limits,
    /// How long what has ended is kept.
    pub retention: Retention,
    /// Queues.
    pub queues: Queues,
    /// What holds in single namespaces, where it differs from the rest: by name, at most 1,000.
    pub namespaces: BTreeMap<String, Namespace>,
    /// Pools of workers. Read at the start only.
    pub scaling: Scaling,
    /// How many leases may carry a concurrency key at a time.
    pub concurrency: Concurrency,
    /// How much leases may take of each rate key.
    pub rates: BTreeMap<String, RateLimit>,
    /// What is guarded by a circuit breaker.
    pub breakers: Breakers,
    /// How this file is looked at again.
    pub reload: Reload,
    /// The end of the process.
    pub shutdown: Shutdown,
    /// Logs and traces. Read at the start only.
    pub telemetry: Telemetry,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 7171)),
            ops_listen: SocketAddr::from(([127, 0, 0, 1], 7172)),
            data: PathBuf::from("leasehold-data"),
            insecure: false,
            session: Session::default(),
            defaults: Defaults::default(),
            limits: Limits::default(),
            retention: Retention::default(),
            queues: Queues::default(),
            namespaces: BTreeMap::new(),
            scaling: Scaling::default(),
            concurrency: Concurrency::default(),
            rates: BTreeMap::new(),
            breakers: Breakers::default(),
            reload: Reload::default(),
            shutdown: Shutdown::default(),
            telemetry: Telemetry::default(),
        }
    }
}

impl Config {
    /// Reads the text of a file; `path` is only for the error. The rules between values are not checked yet: flags may
    /// still change them.
    pub fn parse(text: &str, path: &Path) -> Result<Self, ConfigError> {
        // A file with nothing but comments is a file that changes nothing.
        if is_blank(text) {
            return Ok(Self::default());
        }
        serde_saphyr::from_str(text).map_err(|error| ConfigError::malformed(path, &error))
    }

    /// Checks the rules between values and reports every one that is broken.
    pub fn check(&self) -> Result<(), ConfigError> {
        let violations = check::violations(self);
        if violations.is_empty() {
            Ok(())
        } else {
            Err(ConfigError::Invalid { path: None, violations })
        }
    }

    /// The configuration as YAML, every key named.
    pub fn to_yaml(&self) -> Result<String, ConfigError> {
        serde_saphyr::to_string(self).map_err(|error| ConfigError::Unprintable(error.to_string()))
    }

    /// What of `wanted` can hold without a restart, where this is what runs: whatever is read at the start only stays.
    #[must_use]
    pub fn without_restart(&self, wanted: &Self) -> Self {
        let running = self.clone();
        let limits = Limits { connections: running.limits.connections, ..wanted.limits.clone() };
        Self {
            listen: running.listen,
            ops_listen: running.ops_listen,
            data: running.data,
            insecure: running.insecure,
            telemetry: running.telemetry,
            scaling: running.scaling,
            limits,
            ..wanted.clone()
        }
    }
}
