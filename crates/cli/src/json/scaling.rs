//! How pools are scaled as JSON. The field names and their order are the contract's.

use leasehold_client::v1::{PoolScaling, ScalingDecision, ScalingSignals, ScalingThresholds};
use serde::Serialize;

use super::{Int64, Span, Text, Time};

/// A `GetScalingResponse`.
#[derive(Debug, Serialize)]
pub(crate) struct ScalingJson<'a> {
    pools: Vec<PoolJson<'a>>,
}

/// A `PoolScaling`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct PoolJson<'a> {
    pool: &'a str,
    task_types: &'a [String],
    desired_workers: i32,
    worker_count: i32,
    draining_worker_count: i32,
    bound_by: &'static str,
    reason: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    signals: Option<SignalsJson>,
    #[serde(skip_serializing_if = "Option::is_none")]
    thresholds: Option<ThresholdsJson>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cooldown_remaining: Option<Span>,
    #[serde(skip_serializing_if = "Option::is_none")]
    warm_up_remaining: Option<Span>,
    decisions: Vec<DecisionJson<'a>>,
}

/// A `ScalingSignals`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct SignalsJson {
    backlog: Int64,
    leased: Int64,
    paused_backlog: Int64,
    rate_limited_backlog: Int64,
    concurrency_backlog: Int64,
    breaker_backlog: Int64,
    quota_backlog: Int64,
    #[serde(skip_serializing_if = "Option::is_none")]
    queue_wait: Option<Span>,
    #[serde(skip_serializing_if = "Option::is_none")]
    start_latency_p95: Option<Span>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cpu_permille: Option<i32>,
    idle_worker_count: i32,
    slots: Int64,
    used_slots: Int64,
}

/// A `ScalingThresholds`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct ThresholdsJson {
    min_workers: i32,
    max_workers: i32,
    #[serde(skip_serializing_if = "Option::is_none")]
    queue_wait: Option<Span>,
    #[serde(skip_serializing_if = "Option::is_none")]
    start_latency: Option<Span>,
    start_latency_backlog: Int64,
    #[serde(skip_serializing_if = "Option::is_none")]
    start_latency_for: Option<Span>,
    cpu_high_permille: i32,
    cpu_low_permille: i32,
    idle_workers: i32,
    #[serde(skip_serializing_if = "Option::is_none")]
    settle: Option<Span>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cooldown: Option<Span>,
    #[serde(skip_serializing_if = "Option::is_none")]
    window: Option<Span>,
    shares_processor: bool,
}

/// A `ScalingDecision`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct DecisionJson<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    time: Option<Time>,
    from_workers: i32,
    to_workers: i32,
    reason: &'a str,
}

impl<'a> From<&'a [PoolScaling]> for ScalingJson<'a> {
    fn from(pools: &'a [PoolScaling]) -> Self {
        Self { pools: pools.iter().map(PoolJson::from).collect() }
    }
}

impl<'a> From<&'a PoolScaling> for PoolJson<'a> {
    fn from(pool: &'a PoolScaling) -> Self {
        Self {
            pool: &pool.pool,
            task_types: &pool.task_types,
            desired_workers: pool.desired_workers,
            worker_count: pool.worker_count,
            draining_worker_count: pool.draining_worker_count,
            bound_by: pool.bound_by().as_str_name(),
            reason: &pool.reason,
            signals: pool.signals.as_ref().map(SignalsJson::from),
            thresholds: pool.thresholds.as_ref().map(ThresholdsJson::from),
            cooldown_remaining: pool.cooldown_remaining.map(Text),
            warm_up_remaining: pool.warm_up_remaining.map(Text),
            decisions: pool.decisions.iter().map(DecisionJson::from).collect(),
        }
    }
}

impl From<&ScalingSignals> for SignalsJson {
    fn from(signals: &ScalingSignals) -> Self {
        Self {
            backlog: Int64(signals.backlog),
            leased: Int64(signals.leased),
            paused_backlog: Int64(signals.paused_backlog),
            rate_limited_backlog: Int64(signals.rate_limited_backlog),
            concurrency_backlog: Int64(signals.concurrency_backlog),
            breaker_backlog: Int64(signals.breaker_backlog),
            quota_backlog: Int64(signals.quota_backlog),
            queue_wait: signals.queue_wait.map(Text),
            start_latency_p95: signals.start_latency_p95.map(Text),
            cpu_permille: signals.cpu_permille,
            idle_worker_count: signals.idle_worker_count,
            slots: Int64(signals.slots),
            used_slots: Int64(signals.used_slots),
        }
    }
}

impl From<&ScalingThresholds> for ThresholdsJson {
    fn from(thresholds: &ScalingThresholds) -> Self {
        Self {
            min_workers: thresholds.min_workers,
            max_workers: thresholds.max_workers,
            queue_wait: thresholds.queue_wait.map(Text),
            start_latency: thresholds.start_latency.map(Text),
            start_latency_backlog: Int64(thresholds.start_latency_backlog),
            start_latency_for: thresholds.start_latency_for.map(Text),
            cpu_high_permille: thresholds.cpu_high_permille,
            cpu_low_permille: thresholds.cpu_low_permille,
            idle_workers: thresholds.idle_workers,
            settle: thresholds.settle.map(Text),
            cooldown: thresholds.cooldown.map(Text),
            window: thresholds.window.map(Text),
            shares_processor: thresholds.shares_processor,
        }
    }
}

impl<'a> From<&'a ScalingDecision> for DecisionJson<'a> {
    fn from(decision: &'a ScalingDecision) -> Self {
        Self {
            time: decision.time.map(Text),
            from_workers: decision.from_workers,
            to_workers: decision.to_workers,
            reason: &decision.reason,
        }
    }
}
