//! What an operator can set, with its defaults, as it stands in a YAML file.
//!
//! Every value is checked where it is read; [`Config::check`] holds the rules between values. It knows nothing of
//! flags (`args` lays them over it) and nothing of who uses a value.

use std::{fs, net::SocketAddr, path::Path, path::PathBuf, time::Duration};

use serde::{Deserialize, Serialize};

mod address;
mod check;
mod duration;
mod error;
mod rate;
mod scaling;
mod settings;
mod size;
#[cfg(test)]
mod tests;

pub(crate) use check::{ATTEMPTS_MAX, FACTOR_MAX, WORKERS_MAX};
pub use duration::{ParseDurationError, parse as parse_duration};
pub use error::{ConfigError, Violation};
pub use rate::{ParseRateError, Per, RateLimit};
pub use scaling::{PoolSettings, Scaling};
pub use settings::{
    Defaults, Exclusivity, Jitter, LateResults, Limits, LogFormat, QueueSettings, Queues,
    Retention, RetentionOverride, Retry, Session, Shutdown, Telemetry,
};

/// No control value is longer: a year.
pub const DURATION_MAX: Duration = Duration::from_hours(365 * 24);

/// The largest configuration file that is read: it is written by hand.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// The whole configuration of a coordinator.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Where gRPC is served.
    #[serde(with = "address")]
    pub listen: SocketAddr,
    /// Where metrics and health are served, over HTTP.
    #[serde(with = "address")]
    pub ops_listen: SocketAddr,
    /// The data directory.
    pub data: PathBuf,
    /// Whether other machines may connect although nobody is authenticated.
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
    /// Pools of workers.
    pub scaling: Scaling,
    /// The end of the process.
    pub shutdown: Shutdown,
    /// Logs and traces.
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
            scaling: Scaling::default(),
            shutdown: Shutdown::default(),
            telemetry: Telemetry::default(),
        }
    }
}

impl Config {
    /// Reads a file. The rules between values are not checked yet: flags may still change them.
    pub fn read(path: &Path) -> Result<Self, ConfigError> {
        let unreadable = |source| ConfigError::Unreadable { path: path.to_owned(), source };
        let bytes = fs::metadata(path).map_err(unreadable)?.len();
        if bytes > FILE_BYTES_MAX {
            return Err(ConfigError::TooLarge {
                path: path.to_owned(),
                bytes,
                max: FILE_BYTES_MAX,
            });
        }
        let text = fs::read_to_string(path).map_err(unreadable)?;
        Self::parse(&text, path)
    }

    /// Reads the text of a file; `path` is only for the error.
    pub fn parse(text: &str, path: &Path) -> Result<Self, ConfigError> {
        // A file with nothing but comments is a file that changes nothing.
        if text.lines().all(|line| line.trim().is_empty() || line.trim_start().starts_with('#')) {
            return Ok(Self::default());
        }
        serde_saphyr::from_str(text).map_err(|error| ConfigError::malformed(path, &error))
    }

    /// Checks the rules between values and reports every one that is broken.
    pub fn check(&self) -> Result<(), ConfigError> {
        let violations = check::violations(self);
        if violations.is_empty() { Ok(()) } else { Err(ConfigError::Invalid { violations }) }
    }

    /// The configuration as YAML, every key named.
    pub fn to_yaml(&self) -> Result<String, ConfigError> {
        serde_saphyr::to_string(self).map_err(|error| ConfigError::Unprintable(error.to_string()))
    }

    /// What the queue is told.
    pub fn queue(&self) -> leasehold_queue::Config {
        leasehold_queue::Config {
            session_ttl: self.session.ttl,
            worker_losses_max: self.limits.worker_losses,
            leases_max: self.limits.leases_per_generation,
            attempt_max: self.limits.attempt_timeout,
            key_retention: self.retention.keys,
            declared_queues: self.queues.settings.keys().map(|name| name.as_str().into()).collect(),
            late_results: self
                .queues
                .settings
                .iter()
                .filter(|(_, settings)| settings.late_results == LateResults::AcceptIfNewest)
                .map(|(name, _)| name.as_str().into())
                .collect(),
            create_queues: self.queues.create,
            weights: self
                .queues
                .settings
                .iter()
                .map(|(name, settings)| (name.as_str().into(), settings.weights()))
                .collect(),
            valve: self.queues.aging_every,
            limits: leasehold_queue::Limits {
                open_tasks: self.limits.open_tasks,
                open_bytes: self.limits.open_bytes,
                queues: self.limits.queues,
                key_bytes: self.limits.key_bytes,
            },
            ..leasehold_queue::Config::default()
        }
    }

    /// How long a finished task of `queue` stays readable. Zero: not at all.
    pub fn finished_retention(&self, queue: &str) -> Duration {
        let own = self.queues.settings.get(queue).and_then(|settings| settings.retention.finished);
        own.unwrap_or(self.retention.finished)
    }

    /// How long a dead letter of `queue` is kept.
    pub fn failed_retention(&self, queue: &str) -> Duration {
        let own = self.queues.settings.get(queue).and_then(|settings| settings.retention.failed);
        own.unwrap_or(self.retention.failed)
    }
}
