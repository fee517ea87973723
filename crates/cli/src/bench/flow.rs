//! Flow: how many tasks per second go all the way, durably, with submitter and worker running at once.

use std::time::{Duration, Instant};

use super::{
    Subject, Submits,
    load::{Load, Tally},
    report::{Report, Value, per_sec},
    usage::Meter,
};
use crate::failure::Failure;

/// What is measured.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Setup {
    #[command(flatten)]
    submits: Submits,
    /// How many other tasks wait all the time: 0 to 100,000,000
    #[arg(long, default_value_t = 0, value_name = "N",
          value_parser = clap::value_parser!(u64).range(0..=100_000_000))]
    queued: u64,
}

/// When the submits began, and how long they took.
#[derive(Debug)]
pub(super) struct Submitted {
    pub(super) start: Instant,
    pub(super) meter: Meter,
    took: Duration,
}

pub(super) async fn measure(setup: &Setup, subject: &mut Subject) -> Result<Report, Failure> {
    let Submits { tasks, payload_bytes, .. } = setup.submits;
    let others = Load::of_nobody().of_bytes(payload_bytes);
    subject.submit(others.specs(setup.queued), setup.submits.options()).await?;
    let load = Load::new().of_bytes(payload_bytes);
    let tally = Tally::new(tasks);
    let submit = submit(&load, setup.submits, subject);
    let (submitted, ended) = load.run(subject, &tally, |_| {}, submit).await?;
    let Submitted { start, meter, took } = submitted;
    let usage = meter.stop(tasks);
    let flow = ended.saturating_duration_since(start);
    let mut report = Report::default();
    report.add("flow", "flowTasksPerSec", per_sec(tasks, flow));
    report.add("submits took", "submitSecs", Value::Secs(took.as_secs_f64()));
    report.add("all took", "flowSecs", Value::Secs(flow.as_secs_f64()));
    report.add("run again", "repeated", Value::Count(tally.repeated()));
    report.add("tasks", "tasks", Value::Count(tasks));
    report.add("others queued", "queued", Value::Count(setup.queued));
    setup.submits.report(&mut report);
    report.usage(usage);
    Ok(report)
}

/// Submits every task, once the worker is there.
pub(super) async fn submit(
    load: &Load,
    submits: Submits,
    subject: &Subject,
) -> Result<Submitted, Failure> {
    load.connected(subject).await?;
    let meter = subject.meter();
    let start = Instant::now();
    subject.submit(load.specs(submits.tasks), submits.options()).await?;
    Ok(Submitted { start, meter, took: start.elapsed() })
}
