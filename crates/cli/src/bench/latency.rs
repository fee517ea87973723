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

use hdrhistogram::Histogram;
use leasehold_client::{StreamOptions, TaskSpec};
use serde::Serialize;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use super::{
    Subject, Target, flow,
    load::{Load, PAYLOAD_BYTES, Tally},
};
use crate::{
    Done, args::Format, duration::brief, exit::Exit, failure::Failure, output::Output, progress,
    table::Details,
};

/// The longest delay that is told apart from a longer one, in microseconds: one minute.
const DELAY_MICROS_MAX: u64 = 60_000_000;

/// How many digits of a delay are kept.
const DIGITS: u8 = 3;

/// How many due tasks wait to be sent: a stall of some seconds. When it is full the pacer runs late, which
/// is charged as well, because delays count from the due time.
const DUE_BOUND: usize = 65_536;

/// How long before the first task is due: the worker has said hello by then.
const WARM_UP: Duration = Duration::from_secs(1);

/// What is measured.
#[derive(Debug)]
pub(super) struct Setup {
    pub(super) target: Target,
    pub(super) rate: u64,
    pub(super) secs: u64,
}

/// What came of it. Delays in microseconds.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Report {
    tasks: u64,
    rate_hz: u64,
    payload_bytes: usize,
    durability: &'static str,
    worker_slots: u32,
    p50_micros: u64,
    p90_micros: u64,
    p99_micros: u64,
    max_micros: u64,
    repeated: u64,
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

pub(super) async fn run(setup: &Setup, subject: &Subject, output: Output) -> Done {
    let tasks = setup.rate * setup.secs;
    let load = Load::new();
    let tally = Tally::new(tasks);
    let schedule = Schedule { start: Instant::now() + WARM_UP, rate: setup.rate };
    let delays = Histogram::<u64>::new_with_max(DELAY_MICROS_MAX, DIGITS)
        .map_err(|error| Failure::Bench(format!("cannot measure: {error}")))?;
    let delays = Arc::new(Mutex::new(delays));
    let bar = progress::bar(tasks, "tasks run");
    let measured = (Arc::clone(&tally), Arc::clone(&delays), bar.clone());
    let started = move |number| {
        let (tally, delays, bar) = &measured;
        let delay = schedule.due(number).elapsed();
        if tally.record(number) {
            let micros = u64::try_from(delay.as_micros()).unwrap_or(u64::MAX);
            delays.lock().unwrap_or_else(PoisonError::into_inner).saturating_record(micros);
            bar.inc(1);
        }
    };
    let all_ended = tally.all_ended(setup.target.patience);
    let (submitted, worked) = tokio::join!(
        submit(subject, pace(&load, schedule, tasks)?),
        load.work(&subject.client, &setup.target, started, all_ended),
    );
    bar.finish_and_clear();
    submitted?;
    worked?;
    flow::confirm(&tally, &load, subject).await?;
    let delays = delays.lock().unwrap_or_else(PoisonError::into_inner).clone();
    Report::new(setup, &tally, &delays).print(output)?;
    Ok(Exit::Ok)
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

async fn submit(subject: &Subject, due: mpsc::Receiver<TaskSpec>) -> Result<(), Failure> {
    let options = StreamOptions { window_tasks: DUE_BOUND, ..StreamOptions::default() };
    let mut answers = subject.client.submit_stream(ReceiverStream::new(due), options);
    while let Some(answer) = answers.next().await {
        answer?;
    }
    Ok(())
}

impl Report {
    fn new(setup: &Setup, tally: &Tally, delays: &Histogram<u64>) -> Self {
        Self {
            tasks: delays.len(),
            rate_hz: setup.rate,
            payload_bytes: PAYLOAD_BYTES,
            durability: super::DURABILITY,
            worker_slots: setup.target.slots,
            p50_micros: delays.value_at_quantile(0.50),
            p90_micros: delays.value_at_quantile(0.90),
            p99_micros: delays.value_at_quantile(0.99),
            max_micros: delays.max(),
            repeated: tally.repeated(),
        }
    }

    fn print(&self, output: Output) -> Result<(), Failure> {
        if output.format() == Format::Json {
            return output.document(self);
        }
        let mut details = Details::default();
        let delays = [
            ("schedule-to-start p50", self.p50_micros),
            ("p90", self.p90_micros),
            ("p99", self.p99_micros),
            ("max", self.max_micros),
        ];
        for (name, micros) in delays {
            let ms = Duration::from_micros(micros).as_secs_f64() * 1e3;
            details.line(name, format!("{ms:.2} ms"));
        }
        let lasted = brief(Duration::from_secs(self.tasks / self.rate_hz.max(1)));
        let load = format!("{} tasks at {}/s for {lasted}", self.tasks, self.rate_hz);
        details.line("load", load);
        details.line("payload", format!("{} bytes", self.payload_bytes));
        details.line("durability", self.durability);
        details.line("worker slots", self.worker_slots.to_string());
        details.line("run again", self.repeated.to_string());
        output.details(&details)
    }
}
