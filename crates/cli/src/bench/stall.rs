//! Stall: the coordinator's disk stands still for some seconds under full load.
//!
//! Every write and sync of the coordinator hangs in the kernel meanwhile, as with a disk that does not answer. Submits have no
//! key, so that one whose connection dies fails the run, as does an idle worker that loses its own and a task that is lost.

mod disk;

use std::{
    num::NonZeroU64,
    time::{Duration, Instant},
};

use tokio::time;

use self::disk::Disk;
use super::{
    Bench, Done, Subject, Submits, flow,
    idle::Idle,
    load::{Load, Tally},
    not_ours, open_files,
    report::{Report, Value, per_sec},
};
use crate::{args::Global, duration::parse_duration, failure::Failure, output::Output};

/// How often it is looked what has run and what is resident.
const LOOK: Duration = Duration::from_millis(20);

/// What is measured.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Setup {
    #[command(flatten)]
    submits: Submits,
    /// For how long the disk stands still
    #[arg(long, default_value = "5s", value_name = "DURATION", value_parser = parse_duration)]
    stall: Duration,
    /// How many tasks run before that: less than there are
    #[arg(long, default_value = "20000", value_name = "N")]
    before: NonZeroU64,
    /// How many idle workers are there, none of which may lose its connection: 1 to 10,000
    #[arg(long, default_value_t = 100, value_name = "N",
          value_parser = clap::value_parser!(u32).range(1..=10_000))]
    connections: u32,
}

/// What was seen around the stall.
#[derive(Debug, Default)]
struct Seen {
    /// From the order to freeze the disk to its return.
    stall: Duration,
    /// The longest time in which no task started.
    pause: Duration,
    /// From the return of the disk to the next start of a task.
    back: Duration,
    /// What was resident of the coordinator: just before it, the most meanwhile, the most from then to the last task.
    resident_bytes: [u64; 3],
}

/// What has run by now, and what is resident.
struct Watch<'a> {
    subject: &'a Subject,
    tally: &'a Tally,
    left: u64,
    since: Instant,
    pause: Duration,
}

/// Runs it on a disk of its own.
pub(super) async fn run(mut bench: Bench<Setup>, global: &Global, output: Output) -> Done {
    if !bench.target.spawn {
        return Err(not_ours());
    }
    let refuse = |why: &str| Err(Failure::Usage(why.to_owned()));
    if bench.setup.submits.tasks <= bench.setup.before.get() {
        return refuse("--before: there are no more --tasks than that");
    }
    // Nothing ends while the disk stands still.
    if bench.target.patience <= bench.setup.stall {
        return refuse("--stall: --patience has to be longer than that");
    }
    let disk = Disk::mount(bench.target.data_in.as_deref())?;
    bench.target.data_in = Some(disk.path().to_owned());
    bench.run(global, output, async |setup, subject| measure(setup, subject, &disk).await).await
}

async fn measure(setup: &Setup, subject: &Subject, disk: &Disk) -> Result<Report, Failure> {
    open_files::allow_most();
    let idle = Idle::crowd(subject.client.address(), setup.connections).await?;
    let Submits { tasks, payload_bytes, .. } = setup.submits;
    let (load, tally) = (Load::new().of_bytes(payload_bytes), Tally::new(tasks));
    let submit = flow::submit(&load, setup.submits, subject);
    let flow = load.run(subject, &tally, |_| {}, submit);
    let ((submitted, ended), seen) = tokio::try_join!(flow, look(setup, subject, &tally, disk))?;
    idle.all_live()?;
    let usage = submitted.meter.stop(tasks);
    let took = ended.saturating_duration_since(submitted.start);
    let mut report = Report::default();
    let secs = |time: Duration| Value::Secs(time.as_secs_f64());
    report.add("the disk stood still for", "stallSecs", secs(seen.stall));
    report.add("no task started for at most", "pauseSecs", secs(seen.pause));
    report.add("from its return to the next start", "backSecs", secs(seen.back));
    let [before, meanwhile, after] = seen.resident_bytes.map(Value::Count);
    report.add("resident bytes just before", "residentBytesBefore", before);
    report.add("the most meanwhile", "residentBytesMeanwhile", meanwhile);
    report.add("the most from then on", "residentBytesAfter", after);
    report.add("flow, the stall included", "flowTasksPerSec", per_sec(tasks, took));
    report.add("run again", "repeated", Value::Count(tally.repeated()));
    report.add("tasks, all of which ended", "tasks", Value::Count(tasks));
    let connections = Value::Count(setup.connections.into());
    report.add("idle workers, all still connected", "connections", connections);
    setup.submits.report(&mut report);
    report.usage(usage);
    Ok(report)
}

/// Stops the disk once enough tasks have run, and looks until all have.
async fn look(
    setup: &Setup,
    subject: &Subject,
    tally: &Tally,
    disk: &Disk,
) -> Result<Seen, Failure> {
    let tasks = setup.submits.tasks;
    while tasks - tally.left() < setup.before.get() {
        time::sleep(LOOK).await;
    }
    let mut watch = Watch::new(subject, tally);
    let before = watch.resident_bytes()?;
    let start = Instant::now();
    let mut meanwhile = before;
    let stalled = disk.stall(setup.stall);
    tokio::pin!(stalled);
    loop {
        tokio::select! {
            stalled = &mut stalled => break stalled?,
            () = time::sleep(LOOK) => meanwhile = meanwhile.max(watch.look()?),
        }
    }
    let end = Instant::now();
    if watch.is_over() {
        return Err(Failure::Bench("all tasks had run when the disk stood still".to_owned()));
    }
    let (mut after, mut back) = (0, None);
    while !watch.is_over() {
        time::sleep(LOOK).await;
        after = after.max(watch.look()?);
        if end < watch.since {
            back.get_or_insert(watch.since - end);
        }
    }
    Ok(Seen {
        stall: end - start,
        pause: watch.pause,
        back: back.unwrap_or_default(),
        resident_bytes: [before, meanwhile, after],
    })
}

impl<'a> Watch<'a> {
    fn new(subject: &'a Subject, tally: &'a Tally) -> Self {
        let (left, since, pause) = (tally.left(), Instant::now(), Duration::ZERO);
        Self { subject, tally, left, since, pause }
    }

    /// Looks what has started; what is resident.
    fn look(&mut self) -> Result<u64, Failure> {
        let left = self.tally.left();
        if left < self.left {
            (self.left, self.since) = (left, Instant::now());
        }
        self.pause = self.pause.max(self.since.elapsed());
        self.resident_bytes()
    }

    fn is_over(&self) -> bool {
        self.left == 0
    }

    fn resident_bytes(&self) -> Result<u64, Failure> {
        let unread = "the resident memory of the coordinator cannot be read";
        self.subject.resident_bytes().ok_or_else(|| Failure::Bench(unread.to_owned()))
    }
}
