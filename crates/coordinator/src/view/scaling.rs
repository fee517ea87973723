//! How pools are scaled, as it is shown.

use std::time::Duration;

use leasehold_policy::scale::{Bound, Processor, Settings};
use leasehold_proto::{duration::to_wire, v1};

use super::{count, long, timestamp};
use crate::scaling::{Change, Measured, PoolView};

/// A pool as it is.
pub fn pool(view: &PoolView) -> v1::PoolScaling {
    v1::PoolScaling {
        pool: view.name.to_string(),
        task_types: view.task_types.iter().map(ToString::to_string).collect(),
        desired_workers: count(view.desired),
        worker_count: count(view.workers),
        draining_worker_count: count(view.measured.draining),
        bound_by: bound(view.bound).into(),
        reason: view.reason.clone(),
        signals: Some(signals(&view.measured)),
        thresholds: Some(thresholds(&view.settings, view.window)),
        cooldown_remaining: Some(view.cooldown_left).filter(|it| !it.is_zero()).map(to_wire),
        warm_up_remaining: view.warm_up_left.map(to_wire),
        decisions: view.changes.iter().map(decision).collect(),
    }
}

const fn bound(bound: Option<Bound>) -> v1::ScalingBound {
    match bound {
        None => v1::ScalingBound::Unspecified,
        Some(Bound::Capacity) => v1::ScalingBound::Capacity,
        Some(Bound::MaxWorkers) => v1::ScalingBound::MaxWorkers,
        Some(Bound::Paused) => v1::ScalingBound::Paused,
        Some(Bound::RateLimit) => v1::ScalingBound::RateLimit,
        Some(Bound::Concurrency) => v1::ScalingBound::Concurrency,
        Some(Bound::Breaker) => v1::ScalingBound::Breaker,
        Some(Bound::Quota) => v1::ScalingBound::Quota,
    }
}

fn signals(measured: &Measured) -> v1::ScalingSignals {
    let held = &measured.held;
    v1::ScalingSignals {
        backlog: long(measured.backlog),
        leased: long(measured.leased),
        paused_backlog: long(held.paused),
        rate_limited_backlog: long(held.rate_limit),
        concurrency_backlog: long(held.concurrency),
        breaker_backlog: long(held.breaker),
        quota_backlog: long(held.quota),
        queue_wait: measured.queue_wait().map(to_wire),
        start_latency_p95: measured.start_latency().map(to_wire),
        cpu_permille: measured.cpu.map(i32::from),
        idle_worker_count: count(measured.idle),
        slots: long(measured.slots),
        used_slots: long(measured.used),
    }
}

fn thresholds(settings: &Settings, window: Duration) -> v1::ScalingThresholds {
    v1::ScalingThresholds {
        min_workers: count(settings.min),
        max_workers: count(settings.max),
        queue_wait: Some(to_wire(settings.queue_wait)),
        start_latency: Some(to_wire(settings.start_latency)),
        start_latency_backlog: long(settings.start_backlog),
        start_latency_for: Some(to_wire(settings.start_patience)),
        cpu_high_permille: settings.cpu_high.into(),
        cpu_low_permille: settings.cpu_low.into(),
        idle_workers: count(settings.spare),
        settle: Some(to_wire(settings.settle)),
        cooldown: Some(to_wire(settings.cooldown)),
        window: Some(to_wire(window)),
        shares_processor: settings.processor == Processor::Shared,
    }
}

fn decision(change: &Change) -> v1::ScalingDecision {
    v1::ScalingDecision {
        time: Some(timestamp(change.time)),
        from_workers: count(change.from),
        to_workers: count(change.to),
        reason: change.reason.clone(),
    }
}
