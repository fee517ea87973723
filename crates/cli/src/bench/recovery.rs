//! Recovery: how long a killed coordinator with many open tasks takes to be back: to its first answer, and to the
//! first task that it leases.

use std::time::Instant;

use tokio::{sync::watch, time};

use super::{
    Subject, Submits,
    load::Load,
    prefill,
    report::{Report, Value},
};
use crate::failure::Failure;

pub(super) async fn measure(submits: &Submits, subject: &mut Subject) -> Result<Report, Failure> {
    // Whose coordinator it is is looked at first: somebody else's is not filled either.
    subject.directory()?;
    let load = Load::new().of_bytes(submits.payload_bytes);
    let filled = prefill::fill(&load, *submits, subject).await?;
    let start = subject.restart().await?;
    let answers = start.elapsed();
    let meter = subject.meter();
    let leases = first_start(&load, subject).await?.saturating_duration_since(start);
    let mut report = Report::default();
    report.add("start to first answer", "answersSecs", Value::Secs(answers.as_secs_f64()));
    report.add("start to first lease", "leasesSecs", Value::Secs(leases.as_secs_f64()));
    filled.report(&mut report);
    report.add("open tasks", "tasks", Value::Count(submits.tasks));
    submits.report(&mut report);
    report.usage(meter.stop(0));
    Ok(report)
}

/// When the first task was started by a worker that comes at once.
async fn first_start(load: &Load, subject: &Subject) -> Result<Instant, Failure> {
    let (first, mut seen) = watch::channel(None);
    let started = move |_number| {
        first.send_if_modified(|first| first.replace(first.unwrap_or_else(Instant::now)).is_none());
    };
    let mut one = seen.clone();
    let patience = subject.target.patience;
    let done = async move {
        // Whether there was one is looked at below.
        let _seen = time::timeout(patience, one.wait_for(Option::is_some)).await;
    };
    load.work(subject, started, done).await?;
    let first = *seen.borrow_and_update();
    first.ok_or_else(|| Failure::Bench("no task was leased after the restart".to_owned()))
}
