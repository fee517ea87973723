//! The rules that a configuration as a whole must keep.

use std::time::Duration;

use super::{Config, Violation, duration};
use crate::parse::is_queue_name;

/// Below it heartbeats cost more than they tell.
const HEARTBEAT_MIN: Duration = Duration::from_millis(100);

/// What a heartbeat and its answer may take on the way, between machines that are near.
const ROUND_TRIP: Duration = Duration::from_millis(100);

/// What the transport takes in one message, without the frame around a payload: see `transport`.
const MESSAGE_BYTES: u64 = 4 << 20;

/// As many attempts as a task may ask for.
pub(crate) const ATTEMPTS_MAX: u32 = 1_000;

/// The largest growth of a backoff.
pub(crate) const FACTOR_MAX: f64 = 100.0;

pub(super) fn violations(config: &Config) -> Vec<Violation> {
    let mut broken = Broken(Vec::new());
    addresses(config, &mut broken);
    session(config, &mut broken);
    defaults(config, &mut broken);
    limits(config, &mut broken);
    retention(config, &mut broken);
    broken.0
}

struct Broken(Vec<Violation>);

impl Broken {
    fn unless(&mut self, holds: bool, key: &'static str, problem: impl FnOnce() -> String) {
        if !holds {
            self.0.push(Violation { key, problem: problem() });
        }
    }
}

fn addresses(config: &Config, broken: &mut Broken) {
    for (key, address) in [("listen", config.listen), ("ops_listen", config.ops_listen)] {
        broken.unless(config.insecure || address.ip().is_loopback(), key, || {
            format!(
                "{address} is open to other machines and nothing authenticates them: listen on 127.0.0.1, or \
                 accept that with --insecure"
            )
        });
    }
    broken.unless(
        config.listen != config.ops_listen || config.listen.port() == 0,
        "ops_listen",
        || format!("{} is the address of `listen` too: choose another port", config.ops_listen),
    );
    broken.unless(!config.data.as_os_str().is_empty(), "data", || {
        "is empty: name a directory".to_owned()
    });
}

fn session(config: &Config, broken: &mut Broken) {
    let (interval, ttl) = (config.session.heartbeat_interval, config.session.ttl);
    broken.unless(interval >= HEARTBEAT_MIN, "session.heartbeat_interval", || {
        format!("{} is less than {}", duration::print(interval), duration::print(HEARTBEAT_MIN))
    });
    // A worker begins to stop this long before its session ends; two heartbeats and an answer must fit before.
    let margin = config.defaults.kill_grace.min(ttl / 4);
    let needed = interval * 2 + ROUND_TRIP;
    broken.unless(ttl.saturating_sub(margin) >= needed, "session.ttl", || {
        format!(
            "{} less the stop margin {} must hold two heartbeats of {} and {} for the way: raise it, or lower \
             session.heartbeat_interval",
            duration::print(ttl),
            duration::print(margin),
            duration::print(interval),
            duration::print(ROUND_TRIP),
        )
    });
}

fn defaults(config: &Config, broken: &mut Broken) {
    let defaults = &config.defaults;
    let positive = [
        ("defaults.start_timeout", defaults.start_timeout),
        ("defaults.attempt_timeout", defaults.attempt_timeout),
        ("defaults.total_timeout", defaults.total_timeout),
        ("defaults.kill_grace", defaults.kill_grace),
        ("defaults.retry.initial", defaults.retry.initial),
        ("defaults.retry.cap", defaults.retry.cap),
        ("shutdown.grace", config.shutdown.grace),
    ];
    for (key, value) in positive {
        broken.unless(!value.is_zero(), key, || "must be more than zero".to_owned());
    }
    broken.unless(
        (1..=ATTEMPTS_MAX).contains(&defaults.retry.max_attempts),
        "defaults.retry.max_attempts",
        || format!("{} is not 1 to {ATTEMPTS_MAX}", defaults.retry.max_attempts),
    );
    broken.unless(
        (1.0..=FACTOR_MAX).contains(&defaults.retry.factor),
        "defaults.retry.factor",
        || format!("{} is not 1.0 to {FACTOR_MAX}", defaults.retry.factor),
    );
    broken.unless(defaults.retry.initial <= defaults.retry.cap, "defaults.retry.initial", || {
        "is more than defaults.retry.cap".to_owned()
    });
}

fn limits(config: &Config, broken: &mut Broken) {
    let limits = &config.limits;
    let positive = [
        ("limits.open_tasks", limits.open_tasks),
        ("limits.open_bytes", limits.open_bytes),
        ("limits.queues", limits.queues),
        ("limits.worker_losses", u64::from(limits.worker_losses)),
        ("limits.leases_per_generation", u64::from(limits.leases_per_generation)),
        ("limits.watchers", u64::from(limits.watchers)),
        ("limits.waiters", u64::from(limits.waiters)),
        ("limits.connections", u64::from(limits.connections)),
    ];
    for (key, value) in positive {
        broken.unless(value > 0, key, || "must be at least 1".to_owned());
    }
    for (key, value) in [
        ("limits.payload_bytes", limits.payload_bytes),
        ("limits.result_bytes", limits.result_bytes),
    ] {
        broken.unless(value <= MESSAGE_BYTES, key, || {
            format!("{value} bytes do not fit into one message of {MESSAGE_BYTES} bytes")
        });
    }
}

fn retention(config: &Config, broken: &mut Broken) {
    broken.unless(!config.retention.failed.is_zero(), "retention.failed", || {
        "must be more than zero: a dead letter that is not kept is a lost task".to_owned()
    });
    for (name, settings) in &config.queues.settings {
        broken.unless(is_queue_name(name), "queues.settings", || {
            format!("{name:?} is no queue name: 1 to 128 characters of A-Z a-z 0-9 . _ -")
        });
        broken.unless(
            settings.retention.failed.is_none_or(|kept| !kept.is_zero()),
            "queues.settings",
            || format!("retention.failed of {name:?} must be more than zero"),
        );
    }
}
