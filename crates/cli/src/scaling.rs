//! `leasehold scaling`: how many workers there should be, and what that rests upon.

use std::time::SystemTime;

use clap::Subcommand;
use leasehold_client::{
    Client,
    v1::{PoolScaling, ScalingBound, ScalingSignals, ScalingThresholds},
};

use crate::{
    Done,
    args::Format,
    exit::Exit,
    json::ScalingJson,
    output::Output,
    table::{Cell, Column, Details, Table, Tone},
    words,
};

/// What to do about scaling.
#[derive(Debug, Subcommand)]
pub(crate) enum ScalingCommand {
    /// Explain how many workers each pool should have: signals, thresholds, what is over, and the last decisions
    Explain {
        /// The pool: what its workers have as the label `pool`, or `default` [default: all of them]
        pool: Option<String>,
    },
}

pub(crate) async fn run(command: ScalingCommand, client: &Client, output: Output) -> Done {
    let ScalingCommand::Explain { pool } = command;
    let pools = client.scaling(pool.as_deref()).await?;
    match output.format() {
        Format::Json => output.document(&ScalingJson::from(pools.as_slice()))?,
        Format::Table => {
            for (at, pool) in pools.iter().enumerate() {
                if 0 < at {
                    output.line("")?;
                }
                explain(pool, output)?;
            }
        }
    }
    Ok(Exit::Ok)
}

fn explain(pool: &PoolScaling, output: Output) -> Result<(), crate::failure::Failure> {
    output.details(&summary(pool))?;
    let signals = pool.signals.unwrap_or_default();
    output.line("")?;
    output.table(&judged(&signals, &pool.thresholds.unwrap_or_default()))?;
    if !pool.decisions.is_empty() {
        output.line("")?;
        output.table(&decisions(pool, SystemTime::now()))?;
    }
    Ok(())
}

fn summary(pool: &PoolScaling) -> Details {
    let mut details = Details::default();
    let thresholds = pool.thresholds.unwrap_or_default();
    let signals = pool.signals.unwrap_or_default();
    details.line("pool", pool.pool.as_str());
    details.line("task types", pool.task_types.join(","));
    let (min, max) = (thresholds.min_workers, thresholds.max_workers);
    details.line("desired", format!("{} workers, of {min} to {max}", pool.desired_workers));
    let draining = match pool.draining_worker_count {
        0 => String::new(),
        draining => format!(", {draining} draining"),
    };
    let idle = signals.idle_worker_count;
    details.line("workers", format!("{} ({idle} idle){draining}", pool.worker_count));
    details.line("slots", format!("{} of {} taken", signals.used_slots, signals.slots));
    details.line("because", pool.reason.as_str());
    details.maybe("bound by", bound(pool.bound_by()));
    let left = |left: Option<&prost_types::Duration>| left.map(|left| words::span(Some(left)));
    details.maybe("cool-down", left(pool.cooldown_remaining.as_ref()));
    details.maybe("warm-up", left(pool.warm_up_remaining.as_ref()));
    details
}

/// What keeps a pool's tasks from ending sooner; `None` where nothing does.
fn bound(bound: ScalingBound) -> Option<Cell> {
    let word = words::scaling_bound(bound)?;
    let (text, tone) = match bound {
        ScalingBound::Capacity => (format!("{word}: more workers would help"), Tone::Busy),
        ScalingBound::MaxWorkers => (format!("{word}: more would help"), Tone::Bad),
        ScalingBound::Paused => (format!("{word}: leasehold queue list"), Tone::Busy),
        ScalingBound::Unspecified
        | ScalingBound::RateLimit
        | ScalingBound::Concurrency
        | ScalingBound::Breaker
        | ScalingBound::Quota => (word.to_owned(), Tone::Busy),
    };
    Some(Cell::toned(&text, tone))
}

/// What is measured beside what it is judged by.
fn judged(signals: &ScalingSignals, thresholds: &ScalingThresholds) -> Table {
    let mut table =
        Table::new([Column::Left("SIGNAL"), Column::Right("NOW"), Column::Left("THRESHOLD")]);
    let mut row = |name: &str, now: Cell, threshold: String| {
        table.row([Cell::from(name), now, Cell::from(threshold)]);
    };
    let waits = signals.backlog;
    let over = |is_over: bool, text: String| {
        if is_over { Cell::toned(&text, Tone::Bad) } else { Cell::from(text) }
    };
    let span = |it: &Option<prost_types::Duration>| words::span(it.as_ref());
    let is_longer = |now: &Option<prost_types::Duration>, most: &Option<prost_types::Duration>| {
        now.zip(*most)
            .is_some_and(|(now, most)| (most.seconds, most.nanos) < (now.seconds, now.nanos))
    };
    row(
        "average wait",
        over(
            0 < waits && is_longer(&signals.queue_wait, &thresholds.queue_wait),
            span(&signals.queue_wait),
        ),
        format!("more than {}, while tasks wait", span(&thresholds.queue_wait)),
    );
    let is_slow = thresholds.start_latency_backlog < waits
        && is_longer(&signals.start_latency_p95, &thresholds.start_latency);
    row(
        "start latency, p95",
        over(is_slow, span(&signals.start_latency_p95)),
        format!(
            "more than {} for {}, with more than {} waiting",
            span(&thresholds.start_latency),
            span(&thresholds.start_latency_for),
            thresholds.start_latency_backlog
        ),
    );
    row("processor", processor(signals, thresholds), processor_rule(thresholds));
    let idle = signals.idle_worker_count;
    row(
        "idle workers",
        idle.to_string().into(),
        format!("more than {} may go", thresholds.idle_workers),
    );
    row("waiting for a worker", waits.to_string().into(), String::new());
    row("leased", signals.leased.to_string().into(), String::new());
    for (name, count) in [
        ("held: paused", signals.paused_backlog),
        ("held: rate limits", signals.rate_limited_backlog),
        ("held: concurrency", signals.concurrency_backlog),
        ("held: circuits", signals.breaker_backlog),
        ("held: quotas", signals.quota_backlog),
    ] {
        if 0 < count {
            row(name, count.to_string().into(), "no worker helps".to_owned());
        }
    }
    table
}

fn processor(signals: &ScalingSignals, thresholds: &ScalingThresholds) -> Cell {
    let Some(busy) = signals.cpu_permille else { return Cell::from("-") };
    let text = format!("{} %", busy / 10);
    let is_over = thresholds.cpu_high_permille < busy && !thresholds.shares_processor;
    if is_over { Cell::toned(&text, Tone::Bad) } else { Cell::from(text) }
}

fn processor_rule(thresholds: &ScalingThresholds) -> String {
    if thresholds.shares_processor {
        return "none: the workers share it".to_owned();
    }
    let (high, low) = (thresholds.cpu_high_permille / 10, thresholds.cpu_low_permille / 10);
    format!("more than {high} %; below {low} % one may go")
}

fn decisions(pool: &PoolScaling, now: SystemTime) -> Table {
    let mut table = Table::new([
        Column::Left("DECIDED"),
        Column::Right("FROM"),
        Column::Right("TO"),
        Column::Left("BECAUSE"),
    ]);
    for decision in pool.decisions.iter().rev() {
        table.row([
            words::age(decision.time.as_ref(), now).into(),
            decision.from_workers.to_string().into(),
            decision.to_workers.to_string().into(),
            decision.reason.as_str().into(),
        ]);
    }
    table
}
