//! The rules that a configuration as a whole must keep.

use std::{borrow::Cow, ops::RangeInclusive, time::Duration};

use super::{
    Config, Violation,
    breakers::{BREAKERS_MAX, Breaker},
    duration,
    name::{is_limit_key, is_namespace, is_queue_name, is_task_type, is_worker_id},
    namespaces::DefaultsOverride,
    scaling::POOLS_MAX,
    settings::{Defaults, QueueSettings},
};

/// Below it heartbeats cost more than they tell.
const HEARTBEAT_MIN: Duration = Duration::from_millis(100);

/// What a heartbeat and its answer may take on the way, between machines that are near.
const ROUND_TRIP: Duration = Duration::from_millis(100);

/// What the transport takes in one message, without the frame around a payload: see `transport`.
const MESSAGE_BYTES: u64 = 4 << 20;

/// The largest checkpoint that may be allowed: it is written each time, and waits in memory with its task.
const CHECKPOINT_BYTES: u64 = 1 << 20;

/// No picture of the load is newer than this, so that nothing can be decided more often.
const PACE_MIN: Duration = Duration::from_millis(100);

/// Times are taken in milliseconds: by less than one every call would be slow.
const SLOW_MIN: Duration = Duration::from_millis(1);

/// The most workers of a pool.
pub const WORKERS_MAX: u32 = 10_000;

/// Below it, looking at the file costs more than anybody notices; above, a change is forgotten before it holds.
const RELOAD_INTERVAL: RangeInclusive<Duration> =
    Duration::from_millis(100)..=Duration::from_hours(1);

/// What is to be said of a cap of zero.
const AT_LEAST_ONE: &str = "must be at least 1: to hold tasks back, pause their queue";

/// A window is counted in thirty parts, of which none is less than a tenth of a second.
const WINDOW_MIN: Duration = Duration::from_secs(3);

/// What a retry budget may get from one success: more would be no budget.
const RETRY_SHARE: RangeInclusive<f64> = 0.0..=1.0;

/// What a retry budget may get from time alone. Not nothing: where only successes bring something, retries that wait for each
/// other would wait for ever.
const RETRIES_PER_SECOND: RangeInclusive<f64> = 0.001..=1_000_000.0;

/// As many attempts as a task may ask for.
pub const ATTEMPTS_MAX: u32 = 1_000;

/// Namespaces that the file may name: each takes room for as long as it is named. Others exist by being used.
const NAMESPACES_MAX: usize = 1_000;

/// The largest weight of a queue or a fairness key.
const WEIGHT_MAX: u32 = 1_000;

/// Of 1,024 runs the coordinator forgets half, so that the older ones count for less: so many are always there after that.
const CULL_RUNS_MAX: u32 = 400;

/// The largest growth of a backoff.
pub const FACTOR_MAX: f64 = 100.0;

pub(super) fn violations(config: &Config) -> Vec<Violation> {
    let mut broken = Broken(Vec::new());
    addresses(config, &mut broken);
    session(config, &mut broken);
    defaults(config, &mut broken);
    limits(config, &mut broken);
    retention(config, &mut broken);
    scaling(config, &mut broken);
    order(config, &mut broken);
    queues(config, &mut broken);
    namespaces(config, &mut broken);
    concurrency(config, &mut broken);
    breakers(config, &mut broken);
    reload(config, &mut broken);
    broken.0
}

struct Broken(Vec<Violation>);

impl Broken {
    fn add(&mut self, key: impl Into<Cow<'static, str>>, problem: impl Into<String>) {
        self.0.push(Violation { key: key.into(), place: None, problem: problem.into() });
    }
}

fn addresses(config: &Config, broken: &mut Broken) {
    for (key, address) in [("listen", config.listen), ("ops_listen", config.ops_listen)] {
        if !config.insecure && !address.ip().is_loopback() {
            broken.add(
                key,
                format!(
                    "{address} is open to other machines and nothing authenticates them: listen on 127.0.0.1, or \
                     accept that with --insecure"
                ),
            );
        }
    }
    let (one, other) = (config.listen, config.ops_listen);
    // All addresses of a machine are also each of them, and those of IPv6 most often those of IPv4, too.
    let meets = one.ip() == other.ip() || one.ip().is_unspecified() || other.ip().is_unspecified();
    if meets && one.port() == other.port() && one.port() != 0 {
        broken.add(
            "ops_listen",
            format!("{other} takes the port of `listen`, {one}: choose another"),
        );
    }
    if config.data.as_os_str().is_empty() {
        broken.add("data", "is empty: name a directory");
    }
}

fn session(config: &Config, broken: &mut Broken) {
    let (interval, ttl) = (config.session.heartbeat_interval, config.session.ttl);
    if interval < HEARTBEAT_MIN {
        let (interval, least) = (duration::print(interval), duration::print(HEARTBEAT_MIN));
        broken.add("session.heartbeat_interval", format!("{interval} is less than {least}"));
    }
    // A worker begins to stop this long before its session ends; two heartbeats and an answer must fit before.
    let margin = config.defaults.kill_grace.min(ttl / 4);
    if ttl.saturating_sub(margin) < interval * 2 + ROUND_TRIP {
        let problem = format!(
            "{} less the stop margin {} must hold two heartbeats of {} and {} for the way: raise it, or lower \
             session.heartbeat_interval",
            duration::print(ttl),
            duration::print(margin),
            duration::print(interval),
            duration::print(ROUND_TRIP),
        );
        broken.add("session.ttl", problem);
    }
}

fn defaults(config: &Config, broken: &mut Broken) {
    defaults_of("defaults", &config.defaults, broken);
    if config.shutdown.grace.is_zero() {
        broken.add("shutdown.grace", "must be more than zero");
    }
}

/// Those of one section.
fn defaults_of(section: &str, defaults: &Defaults, broken: &mut Broken) {
    let retry = &defaults.retry;
    let mut add = |key: &str, problem: String| broken.add(format!("{section}.{key}"), problem);
    let positive = [
        ("start_timeout", defaults.start_timeout),
        ("attempt_timeout", defaults.attempt_timeout),
        ("total_timeout", defaults.total_timeout),
        ("kill_grace", defaults.kill_grace),
        ("retry.initial", retry.initial),
        ("retry.cap", retry.cap),
    ];
    for (key, _) in positive.iter().filter(|(_, value)| value.is_zero()) {
        add(key, "must be more than zero".to_owned());
    }
    if !(1..=ATTEMPTS_MAX).contains(&retry.max_attempts) {
        add("retry.max_attempts", format!("{} is not 1 to {ATTEMPTS_MAX}", retry.max_attempts));
    }
    if !(1.0..=FACTOR_MAX).contains(&retry.factor) {
        add("retry.factor", format!("{} is not 1.0 to {FACTOR_MAX}", retry.factor));
    }
    if retry.initial > retry.cap {
        add("retry.initial", format!("is more than {section}.retry.cap: raise the cap"));
    }
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
    for (key, _) in positive.iter().filter(|(_, value)| *value == 0) {
        broken.add(*key, "must be at least 1");
    }
    if limits.attempt_timeout.is_zero() {
        broken.add("limits.attempt_timeout", "must be more than zero");
    }
    let sizes = [
        ("limits.payload_bytes", limits.payload_bytes),
        ("limits.result_bytes", limits.result_bytes),
    ];
    for (key, bytes) in sizes.into_iter().filter(|(_, bytes)| *bytes > MESSAGE_BYTES) {
        let problem = format!("{bytes} bytes do not fit into one message of {MESSAGE_BYTES} bytes");
        broken.add(key, problem);
    }
    if CHECKPOINT_BYTES < limits.checkpoint_bytes {
        let problem = format!(
            "more than {CHECKPOINT_BYTES} bytes: keep such data elsewhere, and where it is in here"
        );
        broken.add("limits.checkpoint_bytes", problem);
    }
}

fn retention(config: &Config, broken: &mut Broken) {
    if config.retention.failed.is_zero() {
        let problem = "must be more than zero: a dead letter that is not kept is a lost task";
        broken.add("retention.failed", problem);
    }
}

fn queues(config: &Config, broken: &mut Broken) {
    for (name, settings) in &config.queues.settings {
        queue("queues.settings", name, settings, broken);
    }
}

/// One queue of a section.
fn queue(section: &str, name: &str, settings: &QueueSettings, broken: &mut Broken) {
    let mut add = |problem: String| broken.add(format!("{section}.{name}"), problem);
    if !is_queue_name(name) {
        add(format!("{name:?} is no queue name: 1 to 128 characters of A-Z a-z 0-9 . _ -"));
    }
    if settings.retention.failed.is_some_and(|kept| kept.is_zero()) {
        add(format!("retention.failed of queue {name:?} must be more than zero"));
    }
    let caps = [
        ("concurrency", settings.concurrency),
        ("concurrency_per_key", settings.concurrency_per_key),
    ];
    for (key, _) in caps.iter().filter(|(_, cap)| *cap == Some(0)) {
        add(format!("{key} of queue {name:?} {AT_LEAST_ONE}"));
    }
    let own = ("weight".to_owned(), settings.weight);
    let keys = settings.weights.iter().map(|(key, weight)| (format!("weights.{key}"), *weight));
    for (what, weight) in [own].into_iter().chain(keys) {
        if !(1..=WEIGHT_MAX).contains(&weight) {
            add(format!("{what} of queue {name:?}: {weight} is not 1 to {WEIGHT_MAX}"));
        }
    }
}

fn namespaces(config: &Config, broken: &mut Broken) {
    let count = config.namespaces.len();
    if NAMESPACES_MAX < count {
        broken.add("namespaces", format!("{count} namespaces are more than {NAMESPACES_MAX}"));
    }
    for (name, own) in &config.namespaces {
        let section = format!("namespaces.{name}");
        if !is_namespace(name) {
            let rule = "1 to 63 characters of A-Z a-z 0-9 . _ -";
            broken.add(section.clone(), format!("{name:?} is no namespace: {rule}"));
        }
        for (key, max) in [("open_tasks", own.open_tasks), ("open_bytes", own.open_bytes)] {
            if max == Some(0) {
                broken.add(format!("{section}.{key}"), "must be at least 1");
            }
        }
        // What it does not say itself is wrong where it is said.
        if own.defaults != DefaultsOverride::default() {
            let defaults = config.defaults_of(name);
            defaults_of(&format!("{section}.defaults"), &defaults, broken);
        }
        for (queue_name, own) in &own.queues {
            queue(
                &format!("{section}.queues"),
                queue_name,
                &own.over(&QueueSettings::default()),
                broken,
            );
        }
    }
}

fn concurrency(config: &Config, broken: &mut Broken) {
    let concurrency = &config.concurrency;
    if concurrency.default == 0 {
        broken.add("concurrency.default", AT_LEAST_ONE);
    }
    let caps =
        [("concurrency.keys", &concurrency.keys), ("concurrency.prefixes", &concurrency.prefixes)];
    for (section, caps) in caps {
        for (key, cap) in caps {
            if *cap == 0 {
                broken.add(section, format!("{key:?} {AT_LEAST_ONE}"));
            }
            limit_key(section, key, broken);
        }
    }
    for key in config.rates.keys() {
        limit_key("rates", key, broken);
    }
}

fn breakers(config: &Config, broken: &mut Broken) {
    let (types, dependencies) = (&config.breakers.task_types, &config.breakers.dependencies);
    let count = types.len() + dependencies.len();
    if BREAKERS_MAX < count {
        broken.add("breakers", format!("{count} breakers are more than {BREAKERS_MAX}"));
    }
    for (name, breaker) in types {
        if !is_task_type(name) {
            broken.add("breakers.task_types", format!("{name:?} is no task type"));
        }
        breaker_problems("breakers.task_types", name, breaker, broken);
    }
    for (name, breaker) in dependencies {
        limit_key("breakers.dependencies", name, broken);
        breaker_problems("breakers.dependencies", name, breaker, broken);
    }
}

fn breaker_problems(section: &'static str, name: &str, breaker: &Breaker, broken: &mut Broken) {
    let mut add =
        |key: &str, problem: String| broken.add(section, format!("{key} of {name:?}: {problem}"));
    let shares = [("failure_share", breaker.failure_share), ("slow_share", breaker.slow_share)];
    for (key, share) in shares {
        if !(0.0 < share && share <= 1.0) {
            add(key, format!("{share} is not more than 0 and at most 1"));
        }
    }
    let budget = breaker.retry_budget;
    let counts = [
        ("min_calls", Some(breaker.min_calls)),
        ("probes", Some(breaker.probes)),
        ("retry_budget.burst", budget.map(|budget| budget.burst)),
    ];
    for (key, _) in counts.iter().filter(|(_, count)| *count == Some(0)) {
        add(key, "must be at least 1".to_owned());
    }
    let times = [
        ("window", breaker.window, WINDOW_MIN),
        ("open_for", breaker.open_for, PACE_MIN),
        ("slow_after", breaker.slow_after.unwrap_or(SLOW_MIN), SLOW_MIN),
        ("open_for_max", breaker.open_for_max, breaker.open_for),
    ];
    for (key, time, least) in times {
        if time < least {
            let (time, least) = (duration::print(time), duration::print(least));
            add(key, format!("{time} is less than {least}"));
        }
    }
    let shares = budget.map(|budget| ("retry_budget.share", budget.share, RETRY_SHARE));
    let rates = budget.map(|it| ("retry_budget.per_second", it.per_second, RETRIES_PER_SECOND));
    for (key, number, range) in shares.into_iter().chain(rates) {
        if !range.contains(&number) {
            add(key, format!("{number} is not {} to {}", range.start(), range.end()));
        }
    }
}

fn limit_key(section: &'static str, key: &str, broken: &mut Broken) {
    if !is_limit_key(key) {
        let problem = format!("{key:?} is no key: 1 to 128 bytes without control characters");
        broken.add(section, problem);
    }
}

fn scaling(config: &Config, broken: &mut Broken) {
    let scaling = &config.scaling;
    for (key, value, least) in [
        ("scaling.window", scaling.window, PACE_MIN),
        ("scaling.interval", scaling.interval, PACE_MIN),
        ("scaling.cooldown", scaling.cooldown, PACE_MIN),
    ] {
        if value < least {
            let (value, least) = (duration::print(value), duration::print(least));
            broken.add(key, format!("{value} is less than {least}"));
        }
    }
    for (key, percent) in
        [("scaling.cpu_high", scaling.cpu_high), ("scaling.cpu_low", scaling.cpu_low)]
    {
        if 100 < percent {
            broken.add(key, format!("{percent} is not 0 to 100 percent"));
        }
    }
    if scaling.cpu_high < scaling.cpu_low {
        let problem = "is more than scaling.cpu_high: workers would come and go at the same load";
        broken.add("scaling.cpu_low", problem);
    }
    let range = (scaling.min_workers, scaling.max_workers);
    if let Some(problem) = range_problem(range) {
        broken.add("scaling.max_workers", problem);
    }
    pools(config, broken);
}

fn pools(config: &Config, broken: &mut Broken) {
    let pools = &config.scaling.pools;
    let mut add = |problem| broken.add("scaling.pools", problem);
    if POOLS_MAX < pools.len() {
        add(format!("{} pools are more than {POOLS_MAX}", pools.len()));
    }
    for (name, pool) in pools {
        if !is_worker_id(name) {
            add(format!("{name:?} is no pool: 1 to 128 characters of A-Z a-z 0-9 . _ -"));
        }
        if let Some(wrong) = pool.task_types.iter().find(|it| !is_task_type(it)) {
            add(format!("{wrong:?} of pool {name:?} is no task type"));
        }
        let range = config.scaling.range(name);
        if let Some(problem) = range_problem(range) {
            add(format!("pool {name:?}: max_workers {problem}"));
        }
    }
}

/// What is wrong with how few and how many workers there may be.
fn range_problem((min, max): (u32, u32)) -> Option<String> {
    if !(1..=WORKERS_MAX).contains(&max) {
        return Some(format!("{max} is not 1 to {WORKERS_MAX}"));
    }
    (max < min).then(|| format!("{max} is less than min_workers, {min}"))
}

fn order(config: &Config, broken: &mut Broken) {
    if config.queues.aging_every == 0 {
        broken.add("queues.aging_every", "must be at least 1");
    }
    if CULL_RUNS_MAX < config.queues.cull_after_runs {
        let problem = format!("must be at most {CULL_RUNS_MAX}");
        broken.add("queues.cull_after_runs", problem);
    }
}

fn reload(config: &Config, broken: &mut Broken) {
    let interval = config.reload.interval;
    if !RELOAD_INTERVAL.contains(&interval) {
        let (least, most) = (RELOAD_INTERVAL.start(), RELOAD_INTERVAL.end());
        let [interval, least, most] = [interval, *least, *most].map(duration::print);
        broken.add("reload.interval", format!("{interval} is not {least} to {most}"));
    }
}
