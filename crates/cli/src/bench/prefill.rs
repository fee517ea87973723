//! Prefill: how fast tasks are taken in while nobody works, what each costs to keep, and how fast they drain.

use std::{
    future,
    time::{Duration, Instant},
};

use super::{
    Subject, Submits,
    load::{Load, Tally},
    report::{Report, Value, per_sec},
};
use crate::failure::Failure;

/// What it took to take tasks in.
#[derive(Debug)]
pub(super) struct Filled {
    tasks: u64,
    took: Duration,
    /// By how much the coordinator's resident memory grew. `None`: its process is not known.
    bytes: Option<u64>,
}

pub(super) async fn measure(submits: &Submits, subject: &mut Subject) -> Result<Report, Failure> {
    let load = Load::new().of_bytes(submits.payload_bytes);
    let meter = subject.meter();
    let filled = fill(&load, *submits, subject).await?;
    let tally = Tally::new(submits.tasks);
    let start = Instant::now();
    let nothing_more = future::ready(Ok(()));
    let ((), ended) = load.run(subject, &tally, |_| {}, nothing_more).await?;
    let usage = meter.stop(submits.tasks);
    let drain = ended.saturating_duration_since(start);
    let mut report = Report::default();
    filled.report(&mut report);
    report.add("drain", "drainTasksPerSec", per_sec(submits.tasks, drain));
    report.add("run again", "repeated", Value::Count(tally.repeated()));
    report.add("tasks", "tasks", Value::Count(submits.tasks));
    submits.report(&mut report);
    report.usage(usage);
    Ok(report)
}

/// Submits every task while no worker is there.
pub(super) async fn fill(
    load: &Load,
    submits: Submits,
    subject: &Subject,
) -> Result<Filled, Failure> {
    let before = subject.resident_bytes();
    let start = Instant::now();
    subject.submit(load.specs(submits.tasks), submits.options()).await?;
    let took = start.elapsed();
    let bytes = subject.resident_bytes().zip(before).map(|(now, then)| now.saturating_sub(then));
    Ok(Filled { tasks: submits.tasks, took, bytes })
}

impl Filled {
    /// Says how fast that was, and what a task that waits costs.
    pub(super) fn report(&self, report: &mut Report) {
        report.add("submit", "submitTasksPerSec", per_sec(self.tasks, self.took));
        if let Some(bytes) = self.bytes {
            let each = Value::Count(bytes / self.tasks.max(1));
            report.add("resident bytes per task", "residentBytesPerTask", each);
        }
    }
}
