//! Flow: how many tasks per second go all the way, durably, with submitter and worker running at once.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use leasehold_client::StreamOptions;
use serde::Serialize;
use tokio_stream as stream;

use super::{
    Subject, Target, cpu_time,
    load::{Load, PAYLOAD_BYTES, Tally},
};
use crate::{
    Done, args::Format, exit::Exit, failure::Failure, output::Output, progress, table::Details,
};

/// What is measured.
#[derive(Debug)]
pub(super) struct Setup {
    pub(super) target: Target,
    pub(super) tasks: u64,
    pub(super) window: usize,
    pub(super) batch: usize,
}

/// What came of it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Report {
    tasks: u64,
    payload_bytes: usize,
    /// Every answer and every result ack comes after its record is on disk.
    durability: &'static str,
    /// How long the rows of finished tasks are kept.
    retention: &'static str,
    submit_window: usize,
    submit_batch: usize,
    worker_slots: u32,
    /// From the first submit to the last submit's answer.
    submit_secs: f64,
    /// From the first submit to the last accepted result.
    flow_secs: f64,
    flow_tasks_per_sec: f64,
    /// Executions beyond the first of a task.
    repeated: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    coordinator_cpu_micros_per_task: Option<f64>,
}

pub(super) async fn run(setup: &Setup, subject: &Subject, output: Output) -> Done {
    let load = Load::new();
    let tally = Tally::new(setup.tasks);
    let bar = progress::bar(setup.tasks, "tasks run");
    let counted = (Arc::clone(&tally), bar.clone());
    let started = move |number| {
        let (tally, bar) = &counted;
        if tally.record(number) {
            bar.inc(1);
        }
    };
    let all_ended = tally.all_ended(setup.target.patience);
    let (submitted, worked) = tokio::join!(
        submit(setup, subject, &load),
        load.work(&subject.client, &setup.target, started, all_ended),
    );
    let ended = Mark::now(subject);
    bar.finish_and_clear();
    let Submitted { start, took } = submitted?;
    worked?;
    confirm(&tally, &load, subject).await?;
    let report = Report::new(setup, &tally, took, &ended.since(&start));
    report.print(output)?;
    Ok(Exit::Ok)
}

/// A moment, and the processor time the coordinator had used by then.
#[derive(Debug)]
struct Mark {
    time: Instant,
    cpu: Option<Duration>,
}

/// What passed between two marks.
#[derive(Debug)]
struct Passed {
    time: Duration,
    cpu: Option<Duration>,
}

impl Mark {
    fn now(subject: &Subject) -> Self {
        Self { time: Instant::now(), cpu: subject.pid.and_then(cpu_time::of) }
    }

    fn since(&self, earlier: &Self) -> Passed {
        let cpu = self.cpu.zip(earlier.cpu).map(|(now, then)| now.saturating_sub(then));
        Passed { time: self.time.saturating_duration_since(earlier.time), cpu }
    }
}

/// When the submits began, and how long they took.
#[derive(Debug)]
struct Submitted {
    start: Mark,
    took: Duration,
}

/// Submits every task, once the worker is there.
async fn submit(setup: &Setup, subject: &Subject, load: &Load) -> Result<Submitted, Failure> {
    load.connected(&subject.client, setup.target.patience).await?;
    let start = Mark::now(subject);
    let specs = stream::iter((0..setup.tasks).map(|number| load.spec(number)));
    let options = StreamOptions { window_tasks: setup.window, batch_tasks: setup.batch };
    let mut answers = subject.client.submit_stream(specs, options);
    while let Some(answer) = answers.next().await {
        answer?;
    }
    let took = start.time.elapsed();
    Ok(Submitted { start, took })
}

/// Fails unless every task has run and the coordinator agrees.
pub(super) async fn confirm(tally: &Tally, load: &Load, subject: &Subject) -> Result<(), Failure> {
    if tally.left() > 0 {
        return Err(Failure::Bench(format!("{} tasks did not run", tally.left())));
    }
    if !load.is_done(&subject.client).await? {
        return Err(Failure::Bench("the coordinator still holds open tasks".to_owned()));
    }
    Ok(())
}

impl Report {
    fn new(setup: &Setup, tally: &Tally, submit: Duration, flow: &Passed) -> Self {
        #[expect(clippy::cast_precision_loss, reason = "at most ten million tasks")]
        let tasks = setup.tasks as f64;
        Self {
            tasks: setup.tasks,
            payload_bytes: PAYLOAD_BYTES,
            durability: super::DURABILITY,
            retention: setup.target.retention().text(),
            submit_window: setup.window,
            submit_batch: setup.batch,
            worker_slots: setup.target.slots,
            submit_secs: submit.as_secs_f64(),
            flow_secs: flow.time.as_secs_f64(),
            flow_tasks_per_sec: tasks / flow.time.as_secs_f64(),
            repeated: tally.repeated(),
            coordinator_cpu_micros_per_task: flow.cpu.map(|it| it.as_secs_f64() * 1e6 / tasks),
        }
    }

    fn print(&self, output: Output) -> Result<(), Failure> {
        if output.format() == Format::Json {
            return output.document(self);
        }
        let mut details = Details::default();
        details.line("flow", format!("{:.0} tasks/s", self.flow_tasks_per_sec));
        details.line("tasks", format!("{} of {} bytes", self.tasks, self.payload_bytes));
        details.line("durability", self.durability);
        details.line("retention", self.retention);
        let window = format!("{} submits, {} per message", self.submit_window, self.submit_batch);
        details.line("window", window);
        details.line("worker slots", self.worker_slots.to_string());
        details.line("submits took", format!("{:.3} s", self.submit_secs));
        details.line("all took", format!("{:.3} s", self.flow_secs));
        details.line("run again", self.repeated.to_string());
        let cpu = self.coordinator_cpu_micros_per_task;
        details.maybe("coordinator cpu", cpu.map(|micros| format!("{micros:.1} us/task")));
        output.details(&details)
    }
}
