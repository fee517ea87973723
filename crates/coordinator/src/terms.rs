//! What the queue and the workers are told of a configuration.

use std::{borrow::Cow, collections::BTreeMap, sync::Arc, time::Duration};

use leasehold_policy::namespace;

use leasehold_queue::{
    BreakerTerms, Caps, Guarded, Name, QueueLimits, Quota, RetryBudget, Throttles, Weights,
};

use crate::config::{self, Breaker, Breakers, Concurrency, Config, LateResults, QueueSettings};

#[cfg(test)]
mod tests;

/// The same in the queue's words. What a task gets that does not say otherwise is not in it: that is decided at the submit.
pub fn queue(config: &Config) -> leasehold_queue::Config {
    let settings = settings(config);
    let late = settings.iter().filter(|(_, own)| own.late_results == LateResults::AcceptIfNewest);
    leasehold_queue::Config {
        session_ttl: config.session.ttl,
        worker_losses_max: config.limits.worker_losses,
        leases_max: config.limits.leases_per_generation,
        attempt_max: config.limits.attempt_timeout,
        key_retention: config.retention.keys,
        declared_queues: config.declared().map(Name::from).collect(),
        late_results: late.map(|(name, _)| Name::clone(name)).collect(),
        create_queues: config.queues.create,
        weights: settings.iter().map(|(name, own)| (Name::clone(name), weights(own))).collect(),
        valve: config.queues.aging_every,
        cull_runs: Some(config.queues.cull_after_runs).filter(|runs| 0 < *runs),
        throttles: Arc::new(throttles(config, &settings)),
        limits: leasehold_queue::Limits {
            open_tasks: config.limits.open_tasks,
            open_bytes: config.limits.open_bytes,
            queues: config.limits.queues,
            key_bytes: config.limits.key_bytes,
        },
        quotas: quotas(config),
        ..leasehold_queue::Config::default()
    }
}

type Settings<'a> = BTreeMap<Name, Cow<'a, QueueSettings>>;

/// What holds for single queues, and, under the name that it has anywhere, for queues of a name in whatever other namespace.
fn settings(config: &Config) -> Settings<'_> {
    let common = config.queues.settings.iter();
    let common = common.map(|(name, own)| (namespace::anywhere(name).into(), Cow::Borrowed(own)));
    let single = config.declared().filter_map(|name| {
        let own = config.queue(&name)?;
        Some((Name::from(name), own))
    });
    common.chain(single).collect()
}

/// What single namespaces may have open.
fn quotas(config: &Config) -> BTreeMap<Name, Quota> {
    let quotas = config.namespaces.iter().map(|(name, own)| {
        let quota = Quota { open_tasks: own.open_tasks, open_bytes: own.open_bytes };
        (Name::from(name.as_str()), quota)
    });
    quotas.filter(|(_, quota)| *quota != Quota::default()).collect()
}

/// How leases are held back though somebody has a slot.
fn throttles(config: &Config, settings: &Settings<'_>) -> Throttles {
    let rates = config.rates.iter().map(|(key, rate)| (Name::from(key.as_str()), (*rate).into()));
    let queues = settings.iter().map(|(name, settings)| {
        let limits = QueueLimits {
            leases: settings.concurrency,
            leases_per_key: settings.concurrency_per_key,
            rate: settings.rate.map(Into::into),
        };
        (Name::clone(name), limits)
    });
    let queues: BTreeMap<Name, QueueLimits> = queues.collect();
    // What says nothing may be left out, unless it lifts what is said of queues of its name.
    let says = |limits: &QueueLimits| *limits != QueueLimits::default();
    let anywhere = |name: &Name| queues.get(namespace::elsewhere(name)?);
    let counts = |name: &Name, limits| says(limits) || anywhere(name).is_some_and(says);
    let queues = queues.iter().filter(|(name, limits)| counts(name, limits));
    let queues = queues.map(|(name, limits)| (Name::clone(name), *limits)).collect();
    let (caps, breakers) = (caps(&config.concurrency), breakers(&config.breakers));
    Throttles { caps, rates: rates.collect(), queues, breakers }
}

fn breakers(breakers: &Breakers) -> BTreeMap<Guarded, BreakerTerms> {
    let terms = |breaker: &Breaker| {
        let budget = |budget: config::RetryBudget| RetryBudget {
            rate: budget.rate(),
            share: budget.share(),
        };
        BreakerTerms { circuit: breaker.circuit(), retries: breaker.retry_budget.map(budget) }
    };
    let types = breakers.task_types.iter();
    let types = types.map(|(name, own)| (Guarded::TaskType(name.as_str().into()), terms(own)));
    let named = breakers.dependencies.iter();
    let named = named.map(|(name, own)| (Guarded::Dependency(name.as_str().into()), terms(own)));
    types.chain(named).collect()
}

fn caps(concurrency: &Concurrency) -> Caps {
    let names = |caps: &BTreeMap<String, u32>| {
        caps.iter().map(|(key, cap)| (key.as_str().into(), *cap)).collect()
    };
    let (keys, prefixes) = (names(&concurrency.keys), names(&concurrency.prefixes));
    Caps { default: concurrency.default, keys, prefixes }
}

/// The first ceiling of a worker's wait before it reconnects, and what the last one is at most.
const RECONNECT_INITIAL: Duration = Duration::from_millis(100);
const RECONNECT_CAP: Duration = Duration::from_secs(5);

/// What the queue and its fairness keys get of the slots' time.
fn weights(own: &QueueSettings) -> Weights {
    let keys = own.weights.iter().map(|(key, weight)| (key.as_str().into(), *weight));
    Weights { queue: own.weight, keys: keys.collect() }
}

/// What a worker is told in its welcome. It holds for that stream, whatever is configured later: the queue keeps a session for as
/// long as was promised in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SessionTerms {
    /// How often it says that it lives.
    pub heartbeat_interval: Duration,
    /// How long it may believe after its last acknowledged heartbeat.
    pub session_ttl: Duration,
    /// The largest result it may send.
    pub result_bytes_max: u64,
    /// The largest checkpoint it may save.
    pub checkpoint_bytes_max: u64,
}

impl SessionTerms {
    pub(crate) const fn of(config: &Config) -> Self {
        Self {
            heartbeat_interval: config.session.heartbeat_interval,
            session_ttl: config.session.ttl,
            result_bytes_max: config.limits.result_bytes,
            checkpoint_bytes_max: config.limits.checkpoint_bytes,
        }
    }

    /// The first ceiling of its wait before it reconnects.
    pub(crate) fn reconnect_initial(&self) -> Duration {
        RECONNECT_INITIAL.min(self.reconnect_cap())
    }

    /// The largest. A worker that tries less often than this could lose its leases although the coordinator is back.
    pub(crate) fn reconnect_cap(&self) -> Duration {
        RECONNECT_CAP.min(self.session_ttl / 4)
    }
}
