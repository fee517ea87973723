//! When pools of workers grow and shrink.

use std::{collections::BTreeMap, time::Duration};

use leasehold_policy::scale;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{duration, schema};

/// How many pools there may be: a worker can name any.
pub const POOLS_MAX: usize = 64;

/// How pools are scaled.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Scaling {
    /// The fewest workers of a pool.
    pub min_workers: u32,
    /// The most workers of a pool.
    pub max_workers: u32,
    /// A longer average wait in the queue asks for workers.
    #[serde(with = "duration")]
    #[schemars(with = "schema::Time")]
    pub queue_wait: Duration,
    /// A longer 95th percentile from grant to start asks for workers, if enough waits for long enough.
    #[serde(with = "duration")]
    #[schemars(with = "schema::Time")]
    pub start_latency: Duration,
    /// More than so many tasks have to wait meanwhile.
    pub start_latency_backlog: u64,
    /// For so long.
    #[serde(with = "duration")]
    #[schemars(with = "schema::Time")]
    pub start_latency_for: Duration,
    /// A busier processor asks for a worker, in percent.
    pub cpu_high: u16,
    /// Only below this a worker goes, in percent.
    pub cpu_low: u16,
    /// So many idle workers are kept.
    pub idle_workers: u32,
    /// How long a change is given to show what it does before more workers are asked for.
    #[serde(with = "duration")]
    #[schemars(with = "schema::Time")]
    pub settle: Duration,
    /// How long workers have to be idle before one goes, and how far apart two go.
    #[serde(with = "duration")]
    #[schemars(with = "schema::Time")]
    pub cooldown: Duration,
    /// Over how long waits and latencies are measured.
    #[serde(with = "duration")]
    #[schemars(with = "schema::Time")]
    pub window: Duration,
    /// How often it is decided.
    #[serde(with = "duration")]
    #[schemars(with = "schema::Time")]
    pub interval: Duration,
    /// Single pools, by name.
    pub pools: BTreeMap<String, PoolSettings>,
}

/// What is different for one pool.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct PoolSettings {
    /// The task types its workers serve, for while there is none to say so.
    pub task_types: Vec<String>,
    /// The fewest workers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_workers: Option<u32>,
    /// The most workers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_workers: Option<u32>,
}

impl Default for Scaling {
    fn default() -> Self {
        Self {
            min_workers: 1,
            max_workers: 16,
            queue_wait: Duration::from_millis(800),
            start_latency: Duration::from_millis(400),
            start_latency_backlog: 5_000,
            start_latency_for: Duration::from_mins(2),
            cpu_high: 75,
            cpu_low: 30,
            idle_workers: 2,
            settle: Duration::from_secs(10),
            cooldown: Duration::from_mins(1),
            window: Duration::from_secs(30),
            interval: Duration::from_secs(1),
            pools: BTreeMap::new(),
        }
    }
}

impl Scaling {
    /// The fewest and the most workers of a pool.
    pub fn range(&self, pool: &str) -> (u32, u32) {
        let own = self.pools.get(pool);
        let min = own.and_then(|own| own.min_workers).unwrap_or(self.min_workers);
        let max = own.and_then(|own| own.max_workers).unwrap_or(self.max_workers);
        (min, max)
    }

    /// What a pool is judged by that may have from `min` to `max` workers.
    pub fn settings(&self, (min, max): (u32, u32), processor: scale::Processor) -> scale::Settings {
        scale::Settings {
            min,
            max,
            queue_wait: self.queue_wait,
            start_latency: self.start_latency,
            start_backlog: self.start_latency_backlog,
            start_patience: self.start_latency_for,
            cpu_high: self.cpu_high.saturating_mul(10),
            cpu_low: self.cpu_low.saturating_mul(10),
            processor,
            spare: self.idle_workers,
            settle: self.settle,
            cooldown: self.cooldown,
        }
    }
}
