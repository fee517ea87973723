//! Latency: from the time a task is due to the start of its handler, at a steady rate.
//!
//! The load is open: tasks become due by the clock, whatever the coordinator does. Each is measured
//! from the time it was due and not from the time it was sent, so that a stall is charged to
//! every task that it held up.

use std::{
    sync::{Arc, Mutex, PoisonError},
    thread,
    time::{Duration, Instant},
};

use leasehold_client::{StreamOptions, TaskSpec};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use super::{
    Subject,
    delays::Delays,
    load::{Load, PAYLOAD_BYTES, Tally},
    report::{Report, Value},
};
use crate::failure::Failure;

/// How many due tasks wait to be sent: a stall of some seconds. When it is full the pacer runs late, which
/// is charged as well, because delays count from the due time.
const DUE_BOUND: usize = 65_536;

/// A submit never waits for room.
const OPTIONS: StreamOptions = StreamOptions { window_tasks: DUE_BOUND, batch_tasks: 1_000 };

/// How long before the first task is due: the worker has said hello by then.
const WARM_UP: Duration = Duration::from_secs(1);

/// What is measured.
// Another benchmark takes these flags beside its own.
#[derive(Clone, Debug, clap::Args)]
#[group(skip)]
pub(crate) struct Setup {
    /// Tasks per second: 1 to 100,000
    #[arg(long, default_value_t = 1_000, value_name = "HZ",
          value_parser = clap::value_parser!(u64).range(1..=100_000))]
    rate: u64,
    /// How many seconds: 1 to 3,600
    #[arg(long, default_value_t = 10, value_name = "N",
          value_parser = clap::value_parser!(u64).range(1..=3_600))]
    secs: u64,
}

/// When each task is due.
#[derive(Clone, Copy, Debug)]
struct Schedule {
    start: Instant,
    rate: u64,
}

impl Schedule {
    fn due(self, number: u64) -> Instant {
        let nanos = u128::from(number) * 1_000_000_000 / u128::from(self.rate);
        self.start + Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }
}

pub(super) async fn measure(setup: &Setup, subject: &mut Subject) -> Result<Report, Failure> {
    let meter = subject.meter();
    let (delays, repeated) = delays(setup, subject).await?;
    let tasks = delays.count();
    let usage = meter.stop(tasks);
    let mut report = Report::default();
    report.add("schedule to start", "scheduleToStart", Value::Delays(delays));
    report.add("run again", "repeated", Value::Count(repeated));
    report.add("tasks", "tasks", Value::Count(tasks));
    report.add("rate", "rateHz", Value::Count(setup.rate));
    report.windows(OPTIONS);
    report.payloads(PAYLOAD_BYTES);
    report.usage(usage);
    Ok(report)
}

/// How late each task was started, and how many were run again.
pub(super) async fn delays(setup: &Setup, subject: &Subject) -> Result<(Delays, u64), Failure> {
    let tasks = setup.rate * setup.secs;
    let load = Load::new();
    let tally = Tally::new(tasks);
    let schedule = Schedule { start: Instant::now() + WARM_UP, rate: setup.rate };
    let delays = Arc::new(Mutex::new(Delays::new()?));
    let kept = Arc::clone(&delays);
    let started = move |number| {
        let delay = schedule.due(number).elapsed();
        kept.lock().unwrap_or_else(PoisonError::into_inner).record(delay);
    };
    let due = ReceiverStream::new(pace(&load, schedule, tasks)?);
    let submit = subject.submit(due, OPTIONS);
    load.run(subject, &tally, started, submit).await?;
    let delays = delays.lock().unwrap_or_else(PoisonError::into_inner).clone();
    Ok((delays, tally.repeated()))
}

/// Hands out each task when it is due, from a thread of its own: the runtime's timer counts whole milliseconds.
fn pace(load: &Load, schedule: Schedule, tasks: u64) -> Result<mpsc::Receiver<TaskSpec>, Failure> {
    let (due_in, due) = mpsc::channel(DUE_BOUND);
    let load = load.clone();
    thread::Builder::new()
        .name("pacer".to_owned())
        .spawn(move || {
            for number in 0..tasks {
                let spec = load.spec(number);
                let due = schedule.due(number);
                while let Some(left) = due.checked_duration_since(Instant::now()) {
                    thread::park_timeout(left);
                }
                if due_in.blocking_send(spec).is_err() {
                    return;
                }
            }
        })
        .map_err(|source| Failure::Runtime { source })?;
    Ok(due)
}
