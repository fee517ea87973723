//! What the queue is told at its start, and again whenever an operator wants something else.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Bound,
    sync::Arc,
    time::Duration,
};

use leasehold_policy::{CircuitTerms, Rate, namespace};

use crate::{Guarded, Name, Quota};

/// Times and limits of the queue.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// How long after the last acknowledged heartbeat a worker may believe in its leases.
    pub session_ttl: Duration,
    /// By how much two clocks may differ in rate, in parts per thousand: the coordinator waits this much longer
    /// than the TTL it promised.
    pub drift_per_mille: u32,
    /// How long after a lease's grace its worker may stay silent before it gets nothing new.
    pub revoke_ack_margin: Duration,
    /// How many leases of one generation may end with a lost worker before the task fails.
    pub worker_losses_max: u32,
    /// How many leases one generation may have at all: the valve of loops that cost nothing else.
    pub leases_max: u32,
    /// How long an attempt may become by asking for more time, counted from its start.
    pub attempt_max: Duration,
    /// How long an idempotency key outlives its task.
    pub key_retention: Duration,
    /// Queues that exist whether they are used or not. No limit counts them.
    pub declared_queues: BTreeSet<Name>,
    /// Queues in which the result of a lease counts that comes after the session of its worker ended, as long as the task
    /// was not leased again. Those [`anywhere`](namespace::anywhere) are meant as far as they are not declared.
    pub late_results: BTreeSet<Name>,
    /// Whether a submit or a pause may create a queue.
    pub create_queues: bool,
    /// What queues get beside each other, and keys beside each other within a queue, where that is not the same for all. Of a queue
    /// that is not named what is said of its name [`anywhere`](namespace::anywhere) counts.
    pub weights: BTreeMap<Name, Weights>,
    /// Every how many grants of a class of sessions one goes by age, below the most urgent priority; at least 1.
    pub valve: u64,
    /// From how many runs of its type on a task is ended, instead of leased, whose time none of them would have kept to. None:
    /// it is always tried.
    pub cull_runs: Option<u32>,
    /// How leases are held back.
    pub throttles: Arc<Throttles>,
    /// Bounds.
    pub limits: Limits,
    /// Bounds of single namespaces. Of one that is not named there are none.
    pub quotas: BTreeMap<Name, Quota>,
}

/// How much a queue gets, and its keys within it. Nothing is zero.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Weights {
    /// Of the queue, beside other queues.
    pub queue: u32,
    /// Of its fairness keys beside each other; 1 for those that are not named.
    pub keys: BTreeMap<Name, u32>,
}

impl Default for Weights {
    fn default() -> Self {
        Self { queue: 1, keys: BTreeMap::new() }
    }
}

impl Config {
    /// The weight of a queue, and of a fairness key within it.
    pub(crate) fn weights(&self, queue: &str, key: &str) -> (u32, u32) {
        let Some(weights) = namespace::setting(&self.weights, queue) else { return (1, 1) };
        (weights.queue, weights.keys.get(key).copied().unwrap_or(1))
    }

    /// Whether a result that comes late counts in this queue.
    pub(crate) fn takes_late(&self, queue: &Name) -> bool {
        let elsewhere =
            namespace::elsewhere(queue).filter(|_| !self.declared_queues.contains(queue));
        self.late_results.contains(queue)
            || elsewhere.is_some_and(|name| self.late_results.contains(name))
    }
}

/// How leases are held back though somebody has a slot.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Throttles {
    /// How many leases may carry a concurrency key at a time.
    pub caps: Caps,
    /// How much leases may take of each rate key. A key that is not here limits nothing.
    pub rates: BTreeMap<Name, Rate>,
    /// Queues whose leases are limited. Of one that is not named what is said of its name [`anywhere`](namespace::anywhere)
    /// counts.
    pub queues: BTreeMap<Name, QueueLimits>,
    /// What is guarded by a circuit breaker. Whatever is not here is not.
    pub breakers: BTreeMap<Guarded, BreakerTerms>,
}

impl Throttles {
    /// How the leases of a queue are limited, if they are.
    pub(crate) fn of_queue(&self, queue: &str) -> Option<&QueueLimits> {
        namespace::setting(&self.queues, queue)
    }
}

/// How one circuit breaker does what it does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BreakerTerms {
    /// When its circuit opens and closes.
    pub circuit: CircuitTerms,
    /// How many leases there may be for tasks that have failed before. None: any number.
    pub retries: Option<RetryBudget>,
}

/// What leases of tasks that have failed before are paid from: one token each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetryBudget {
    /// What time brings, and how much there is at the most.
    pub rate: Rate,
    /// What a success brings beside that, in thousandths of a token.
    pub share: u32,
}

/// How many leases may carry a concurrency key at a time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caps {
    /// Of a key that nothing else is said of.
    pub default: u32,
    /// Of single keys.
    pub keys: BTreeMap<Name, u32>,
    /// Of each other key that begins so; the longest beginning counts.
    pub prefixes: BTreeMap<Name, u32>,
}

impl Caps {
    /// How many leases may carry this key.
    pub fn of(&self, key: &str) -> u32 {
        if let Some(cap) = self.keys.get(key) {
            return *cap;
        }
        // Of the beginnings of a text the longest is the last in their order.
        let mut before =
            self.prefixes.range::<str, _>((Bound::Unbounded, Bound::Included(key))).rev();
        let beginning = before.find(|(prefix, _)| key.starts_with(&***prefix));
        beginning.map_or(self.default, |(_, cap)| *cap)
    }
}

impl Default for Caps {
    fn default() -> Self {
        Self { default: 1, keys: BTreeMap::new(), prefixes: BTreeMap::new() }
    }
}

/// How the leases of one queue are limited.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct QueueLimits {
    /// How many there may be at a time. None: any number.
    pub leases: Option<u32>,
    /// How many there may be with one fairness key. None: any number.
    pub leases_per_key: Option<u32>,
    /// How fast they may be granted. None: at any rate.
    pub rate: Option<Rate>,
}

/// Bounds of the queue. Reaching one refuses a submit; nothing else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Tasks that have not ended.
    pub open_tasks: u64,
    /// Bytes of their payloads, their checkpoints and what is kept beside them. It refuses a checkpoint, too.
    pub open_bytes: u64,
    /// Queues that have open tasks or are paused, declared ones left out.
    pub queues: u64,
    /// Bytes of idempotency keys, kept ones included.
    pub key_bytes: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            session_ttl: Duration::from_secs(20),
            drift_per_mille: 10,
            revoke_ack_margin: Duration::from_secs(5),
            worker_losses_max: 5,
            leases_max: 1_000,
            attempt_max: Duration::from_hours(24),
            key_retention: Duration::from_hours(1),
            declared_queues: BTreeSet::new(),
            late_results: BTreeSet::new(),
            create_queues: true,
            weights: BTreeMap::new(),
            valve: 64,
            cull_runs: Some(20),
            throttles: Arc::default(),
            limits: Limits {
                open_tasks: 10_000_000,
                open_bytes: 4 << 30,
                queues: 10_000,
                key_bytes: 256 << 20,
            },
            quotas: BTreeMap::new(),
        }
    }
}
