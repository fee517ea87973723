//! Scaling: a load that idles, grows, bursts, is held by a limit and fades, against a pool of real worker processes.
//!
//! It shows, second by second, how many workers there were, how many were wanted and why, and how long tasks waited; and at
//! the end how many leases ended otherwise than with a result: scaling in must cost none.

use std::{
    collections::BTreeSet,
    path::PathBuf,
    time::{Duration, Instant, SystemTime},
};

use leasehold_client::{
    Client, ClientOptions, GeneratedKeys, TaskFilter, TaskSpec,
    duration::from_wire,
    v1::{PoolScaling, TaskState},
};
use serde::Serialize;
use tokio::time::{MissedTickBehavior, interval, sleep};

use super::{delays::Delays, spawned};
use crate::{
    Done,
    args::Format,
    exit::Exit,
    failure::{Failure, say},
    output::Output,
    table::{Column, Table},
    words,
};

/// Decides quickly, so that a profile takes minutes and not an hour. What shared workers' processors say decides nothing.
const CONFIG: &str = "session: {ttl: 5s}\nscaling:\n  settle: 2s\n  cooldown: 3s\n  window: 5s\n  interval: 500ms\n  idle_workers: 1\n";

const TASK_TYPE: &str = "nap";
const POOL: &str = "bench";

/// Where tasks wait whose queue is paused.
const HELD: &str = "held";

/// How many tasks one message holds.
const BATCH_MAX: u64 = 500;

/// How long the last tasks and workers may take to end.
const END_WAIT: Duration = Duration::from_mins(3);

/// What is done to which pool.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Setup {
    /// How many seconds each of the six phases lasts: 5 to 3,600
    #[arg(long, default_value_t = 20, value_name = "N",
          value_parser = clap::value_parser!(u64).range(5..=3_600))]
    phase_secs: u64,
    /// The most workers
    #[arg(long, default_value_t = 16, value_name = "N",
          value_parser = clap::value_parser!(u64).range(1..=1_000))]
    workers: u64,
    /// How many tasks each runs at once
    #[arg(long, default_value_t = 2, value_name = "N",
          value_parser = clap::value_parser!(u64).range(1..=1_000))]
    slots: u64,
    /// How many milliseconds a task sleeps
    #[arg(long, default_value_t = 500, value_name = "N",
          value_parser = clap::value_parser!(u64).range(1..=60_000))]
    task_ms: u64,
    /// Where the coordinator's directory is made [default: the present directory]
    #[arg(long, value_name = "DIR")]
    data_in: Option<PathBuf>,
}

/// A part of the profile.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Phase {
    /// Next to nothing.
    Idle,
    /// From nothing to three fifths of what the most workers could do.
    Ramp,
    /// As much as they could do in half a phase, at once.
    Spike,
    /// As much again, in a queue that is paused.
    Limit,
    /// That queue is resumed.
    Release,
    /// Nothing more comes.
    Decay,
}

const PHASES: [Phase; 6] =
    [Phase::Idle, Phase::Ramp, Phase::Spike, Phase::Limit, Phase::Release, Phase::Decay];

impl Phase {
    const fn name(self) -> &'static str {
        match self {
            Self::Idle => "idle",
            Self::Ramp => "ramp",
            Self::Spike => "spike",
            Self::Limit => "limit",
            Self::Release => "release",
            Self::Decay => "decay",
        }
    }

    /// How many tasks come in second `second` of `seconds`, if `peak` a second is all that the most workers can do.
    fn due(self, second: u64, seconds: u64, peak: f64) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "a phase is at most an hour")]
        let (second, seconds) = (second as f64, seconds as f64);
        match self {
            Self::Idle => peak * 0.02,
            Self::Ramp => peak * 0.6 * (second + 1.0) / seconds,
            Self::Spike | Self::Limit if second < 1.0 => peak * seconds / 2.0,
            Self::Spike => peak * 0.1,
            Self::Limit | Self::Release | Self::Decay => 0.0,
        }
    }
}

/// One second.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Sample {
    secs: u64,
    phase: &'static str,
    submitted: u64,
    workers: i32,
    draining: i32,
    desired: i32,
    waiting: i64,
    held: i64,
    leased: i64,
    queue_wait_secs: Option<f64>,
    bound_by: &'static str,
}

/// What came of it.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Findings {
    samples: Vec<Sample>,
    tasks: u64,
    succeeded: u64,
    /// Leases that ended otherwise than with a result.
    leases_lost: u64,
    /// From the submit to the start, of tasks that nothing held.
    waits: Delays,
    most_workers: i32,
    /// How often the number of workers that were wanted went from up to down or from down to up.
    turns: usize,
}

pub(crate) async fn run(setup: &Setup, output: Output) -> Done {
    let coordinator = spawned::Coordinator::start(setup.data_in.as_deref(), CONFIG).await?;
    let log = coordinator.directory().join("pool.log");
    let [max, slots] = [setup.workers, setup.slots].map(|it| it.to_string());
    let flags = ["--id", POOL, "--min", "1", "--max", &max, "--slots", &slots, "--poll", "500ms"];
    let flags = flags.map(str::to_owned);
    #[expect(clippy::cast_precision_loss, reason = "at most a minute")]
    let program = format!("{TASK_TYPE}=sleep {}", setup.task_ms as f64 / 1e3);
    let pool = spawned::Worker::pool(coordinator.address(), &flags, &program, &log)?;
    let options = ClientOptions::new(coordinator.address()).generated_keys(GeneratedKeys::Absent);
    let client = Client::connect(options)?;
    let played = play(setup, &client).await;
    let findings = match played {
        Ok(samples) => judge(setup, &client, samples).await,
        Err(error) => Err(error),
    };
    let stopped = pool.stop().await;
    coordinator.stop().await?;
    let findings = findings?;
    stopped?;
    match output.format() {
        Format::Json => output.document(&findings)?,
        Format::Table => findings.print(output)?,
    }
    Ok(Exit::Ok)
}

/// Plays the profile, and waits until nothing is left to do and the pool is as small as it was.
async fn play(setup: &Setup, client: &Client) -> Result<Vec<Sample>, Failure> {
    until_decided(client).await?;
    let mut samples = Vec::new();
    let mut seconds = interval(Duration::from_secs(1));
    seconds.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (start, mut owed) = (Instant::now(), 0.0);
    for phase in PHASES {
        say(&format!("phase: {}", phase.name()));
        begin(phase, client).await?;
        for second in 0..setup.phase_secs {
            seconds.tick().await;
            owed += phase.due(second, setup.phase_secs, setup.peak());
            let whole = whole(owed);
            #[expect(clippy::cast_precision_loss, reason = "far fewer tasks than 2^52")]
            let paid = whole as f64;
            owed -= paid;
            let queue = if phase == Phase::Limit { HELD } else { "default" };
            submit(client, queue, whole).await?;
            samples.push(sample(client, phase, start, whole).await?);
        }
    }
    let patience = Instant::now() + END_WAIT;
    loop {
        seconds.tick().await;
        let last = sample(client, Phase::Decay, start, 0).await?;
        let is_over =
            last.waiting + last.held + last.leased == 0 && last.desired <= 2 && last.draining == 0;
        samples.push(last);
        if is_over {
            return Ok(samples);
        }
        if patience < Instant::now() {
            return Err(Failure::Bench("the load does not end".to_owned()));
        }
    }
}

impl Setup {
    /// How many tasks a second all workers could do.
    #[expect(clippy::cast_precision_loss, reason = "at most a million slots")]
    fn peak(&self) -> f64 {
        (self.workers * self.slots) as f64 * 1e3 / self.task_ms as f64
    }
}

/// The whole part of a number that is not negative.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "it is a number of tasks"
)]
fn whole(number: f64) -> u64 {
    number.max(0.0) as u64
}

async fn begin(phase: Phase, client: &Client) -> Result<(), Failure> {
    match phase {
        Phase::Limit => drop(client.pause_queue(HELD).await?),
        Phase::Release => drop(client.resume_queue(HELD).await?),
        Phase::Idle | Phase::Ramp | Phase::Spike | Phase::Decay => {}
    }
    Ok(())
}

async fn submit(client: &Client, queue: &str, count: u64) -> Result<(), Failure> {
    let mut left = count;
    while 0 < left {
        let some = left.min(BATCH_MAX);
        let spec = TaskSpec::new(TASK_TYPE).queue(queue);
        let specs = (0..some).map(|_| spec.clone()).collect();
        for answer in client.submit_batch(specs).await? {
            answer?;
        }
        left -= some;
    }
    Ok(())
}

async fn pool(client: &Client) -> Result<Option<PoolScaling>, Failure> {
    let pools = client.scaling(None).await?;
    Ok(pools.into_iter().find(|it| it.pool == POOL))
}

/// Waits until the pool is there and the coordinator has waited for workers of a time before it.
async fn until_decided(client: &Client) -> Result<(), Failure> {
    let patience = Instant::now() + END_WAIT;
    while Instant::now() < patience {
        let found = pool(client).await.ok().flatten();
        if found.is_some_and(|it| it.warm_up_remaining.is_none() && 0 < it.worker_count) {
            return Ok(());
        }
        sleep(Duration::from_millis(100)).await;
    }
    Err(Failure::Bench("the pool does not come to the coordinator".to_owned()))
}

async fn sample(
    client: &Client,
    phase: Phase,
    start: Instant,
    submitted: u64,
) -> Result<Sample, Failure> {
    let pool = pool(client).await?.unwrap_or_default();
    let signals = pool.signals.unwrap_or_default();
    let wait = signals.queue_wait.and_then(|it| from_wire(&it).ok());
    Ok(Sample {
        secs: start.elapsed().as_secs(),
        phase: phase.name(),
        submitted,
        workers: pool.worker_count,
        draining: pool.draining_worker_count,
        desired: pool.desired_workers,
        waiting: signals.backlog,
        held: signals.paused_backlog,
        leased: signals.leased,
        queue_wait_secs: wait.map(|it| it.as_secs_f64()),
        bound_by: words::scaling_bound(pool.bound_by()).unwrap_or("-"),
    })
}

/// Looks at every task.
async fn judge(setup: &Setup, client: &Client, samples: Vec<Sample>) -> Result<Findings, Failure> {
    let run = Duration::from_millis(setup.task_ms);
    let (mut tasks, mut succeeded, mut leases_lost) = (0, 0, 0);
    let mut waits = Delays::new()?;
    let mut seen = BTreeSet::new();
    let mut listing = client.list(TaskFilter::default().task_type(TASK_TYPE));
    while let Some(task) = listing.next().await? {
        if !seen.insert(task.task_id.clone()) {
            continue;
        }
        tasks += 1;
        succeeded += u64::from(task.state() == TaskState::Succeeded);
        leases_lost += u64::try_from(task.lease_count - 1).unwrap_or(0);
        let is_held = task.spec.is_some_and(|spec| spec.queue == HELD);
        let [submitted, finished] = [task.submit_time, task.finish_time]
            .map(|time| time.and_then(|time| SystemTime::try_from(time).ok()));
        if let Some((submitted, finished)) = submitted.zip(finished).filter(|_| !is_held) {
            waits
                .record(finished.duration_since(submitted).unwrap_or_default().saturating_sub(run));
        }
    }
    let most_workers = samples.iter().map(|it| it.workers).max().unwrap_or(0);
    let turns = turns(samples.iter().map(|it| it.desired));
    Ok(Findings { samples, tasks, succeeded, leases_lost, waits, most_workers, turns })
}

/// How often a row of numbers turns from up to down or from down to up.
fn turns(numbers: impl Iterator<Item = i32>) -> usize {
    let mut numbers: Vec<i32> = numbers.collect();
    numbers.dedup();
    let ways: Vec<bool> = numbers.windows(2).map(|pair| pair.first() < pair.last()).collect();
    ways.windows(2).filter(|pair| pair.first() != pair.last()).count()
}

impl Findings {
    fn print(&self, output: Output) -> Result<(), Failure> {
        let mut table = Table::new([
            Column::Right("SECOND"),
            Column::Left("PHASE"),
            Column::Right("SUBMITTED"),
            Column::Right("WORKERS"),
            Column::Right("DRAINING"),
            Column::Right("WANTED"),
            Column::Right("WAITING"),
            Column::Right("HELD"),
            Column::Right("LEASED"),
            Column::Right("WAIT"),
            Column::Left("BOUND BY"),
        ]);
        for sample in &self.samples {
            let wait =
                sample.queue_wait_secs.map_or_else(|| "-".to_owned(), |it| format!("{it:.2}s"));
            table.row([
                sample.secs.to_string().into(),
                sample.phase.into(),
                sample.submitted.to_string().into(),
                sample.workers.to_string().into(),
                sample.draining.to_string().into(),
                sample.desired.to_string().into(),
                sample.waiting.to_string().into(),
                sample.held.to_string().into(),
                sample.leased.to_string().into(),
                wait.into(),
                sample.bound_by.into(),
            ]);
        }
        output.table(&table)?;
        let Self { tasks, succeeded, leases_lost, waits, most_workers, turns, .. } = self;
        output.line("")?;
        output.line(&format!(
            "tasks {tasks}  succeeded {succeeded}  leases that ended without a result {leases_lost}  most workers {most_workers}  turns {turns}"
        ))?;
        output.line(&format!("waits of tasks that nothing held: {waits}"))
    }
}

#[cfg(test)]
mod tests;
