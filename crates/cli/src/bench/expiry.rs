//! Expiry: from a deadline that many leases share to the death of each handler's process.
//!
//! A worker process runs a handler for each lease. Once all of them run, nothing is left to do but wait for the
//! deadline: first with handlers that end when they are asked to, then with ones that do not and are killed after their
//! grace. Around both deadlines it is looked whether submits and heartbeats are answered. Then each attempt runs out by itself,
//! and its task has another one left: how soon it is back in the queue. At last as many processes are killed without us: what
//! that takes is what the machine takes.

mod beside;
mod crowd;
mod floor;
mod probe;

use std::{
    env, io,
    time::{Duration, Instant, SystemTime},
};

use clap::ValueEnum;
use leasehold_client::{Client, TaskFilter, TaskSpec, v1::TaskState};
use tokio::{sync::watch, time};

use self::{
    beside::Beside,
    crowd::{Crowd, Door},
    probe::Answers,
};
use super::{
    Subject,
    delays::Delays,
    holder,
    load::{self, Load},
    open_files,
    report::{Report, Value},
    spawned::{SLOTS_MAX, Worker},
};
use crate::{duration::parse_duration, failure::Failure};

/// Handlers must all run this long before the deadline, so that nothing but the deadline is measured.
const QUIET: Duration = Duration::from_secs(1);

/// What is measured.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Setup {
    /// How many leases: 1 to 10,000 of programs, 1 to 100,000 of functions, each 10,000 by a worker of their own
    #[arg(long, default_value_t = 1_000, value_name = "N",
          value_parser = clap::value_parser!(u32).range(1..=100_000))]
    leases: u32,
    /// How many more leases are held meanwhile, which do not end: 0 to 100,000, each 10,000 by a worker of their own
    #[arg(long, default_value_t = 0, value_name = "N",
          value_parser = clap::value_parser!(u32).range(0..=100_000))]
    beside: u32,
    /// From the submit to the deadline; every handler must run a second before it
    #[arg(long, default_value = "30s", value_name = "DURATION", value_parser = parse_duration)]
    after: Duration,
    /// From the deadline to the kill of a handler that still runs
    #[arg(long, default_value = "2s", value_name = "DURATION", value_parser = parse_duration)]
    grace: Duration,
    /// What the handlers are
    #[arg(long, value_enum, default_value_t = Kind::Program, value_name = "KIND")]
    kind: Kind,
}

/// What handlers are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Kind {
    /// Programs: processes under guards
    Program,
    /// Async functions of the worker: its process lives on
    Async,
}

/// What handlers do when they are asked to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Manners {
    /// They end.
    Prompt,
    /// They go on.
    Deaf,
}

/// What is there for the whole run.
struct Stage<'a> {
    setup: &'a Setup,
    client: &'a Client,
    patience: Duration,
    door: Door,
    workers: Vec<Worker>,
    beside: Beside,
    task_type: String,
}

/// What came of one deadline.
struct Ended {
    /// From when they had to be gone to the death of each process.
    died: Delays,
    /// From then to the end of each task as the coordinator has recorded it.
    recorded: Delays,
    /// How soon it answered meanwhile.
    answers: Answers,
}

pub(super) async fn measure(setup: &Setup, subject: &mut Subject) -> Result<Report, Failure> {
    let stage = Stage::set(setup, subject).await?;
    let prompt = stage.play(Manners::Prompt).await?;
    let deaf = stage.play(Manners::Deaf).await?;
    let requeued = stage.play_again().await?;
    let Stage { door, workers, beside, .. } = stage;
    for worker in workers {
        worker.stop().await?;
    }
    let floor = match setup.kind {
        Kind::Program => Some(floor::killed(setup.leases, &door, subject.target.patience).await?),
        Kind::Async => None,
    };
    drop(beside);
    let mut report = Report::default();
    Manners::Prompt.report(prompt, floor.as_ref(), &mut report);
    Manners::Deaf.report(deaf, floor.as_ref(), &mut report);
    report.add(
        "end of an attempt to its task back in the queue",
        "requeued",
        Value::Delays(requeued),
    );
    if let Some(floor) = floor {
        report.add("floor: kill -9 without us", "floor", Value::Delays(floor));
    }
    report.text("handlers", "kind", setup.kind.text());
    report.add("leases", "leases", Value::Count(setup.leases.into()));
    report.add("held beside them", "beside", Value::Count(setup.beside.into()));
    report.add("grace", "graceSecs", Value::Secs(setup.grace.as_secs_f64()));
    Ok(report)
}

impl<'a> Stage<'a> {
    async fn set(setup: &'a Setup, subject: &'a Subject) -> Result<Self, Failure> {
        open_files::allow_most();
        let door = Door::open(subject.directory()?, setup.kind)
            .map_err(|error| failed("listen for handlers", &error))?;
        let task_type = Load::new().queue().to_owned();
        let client = &subject.client;
        let workers = setup.kind.workers(setup.leases, client, &task_type, &door)?;
        let patience = subject.target.patience;
        let beside = Beside::hold(client, setup.beside, patience).await?;
        Ok(Self { setup, client, patience, door, workers, beside, task_type })
    }

    /// Lets attempts run out of tasks that have another one, and measures from the end of each by its own clock to the end
    /// of its lease in the record: from there the task waits again.
    async fn play_again(&self) -> Result<Delays, Failure> {
        let (start, attempt) = (Instant::now(), self.setup.after);
        let queue = format!("{}-again", self.task_type);
        let spec = TaskSpec::new(&self.task_type)
            .queue(&queue)
            .payload(Manners::Prompt.payload())
            .attempt_timeout(attempt)
            .total_timeout(attempt * 10)
            .kill_grace(self.setup.grace)
            .max_attempts(2);
        self.submit(&spec).await?;
        let crowd = self.gather(start + attempt.saturating_sub(QUIET)).await?;
        self.client.pause_queue(&queue).await?;
        let patience = (start + attempt).saturating_duration_since(Instant::now()) + self.patience;
        let gone = crowd.deaths(patience).await.map_err(|error| failed("see a death", &error))?;
        if gone.len() < self.setup.leases as usize {
            return Err(Failure::Bench("a handler outlived its attempt".to_owned()));
        }
        load::until(self.patience, "the coordinator still holds leases", || async {
            Ok(load::leased(self.client, &queue).await? == 0)
        })
        .await?;
        let waiting = TaskFilter::default().queue(&queue);
        let waiting = waiting.state(TaskState::Queued).state(TaskState::Scheduled);
        let tasks = self.client.list(waiting).take(self.setup.leases as usize).await?;
        let mut late = Delays::new()?;
        for listed in tasks {
            let task = self.client.get(&listed.task_id).await?;
            let lease = task.lease_ends.first();
            let moment = |time: Option<_>| SystemTime::try_from(time?).ok();
            let start = lease.and_then(|lease| moment(lease.start_time));
            let end = lease.and_then(|lease| moment(lease.end_time));
            if let Some((start, end)) = start.zip(end) {
                late.record(end.duration_since(start + attempt).unwrap_or_default());
            }
        }
        if late.count() < u64::from(self.setup.leases) {
            return Err(Failure::Bench("a task did not wait for another attempt".to_owned()));
        }
        Ok(late)
    }

    /// Lets one deadline come, and measures.
    async fn play(&self, manners: Manners) -> Result<Ended, Failure> {
        let (now, start) = (SystemTime::now(), Instant::now());
        let deadline = now + self.setup.after;
        let spec = TaskSpec::new(&self.task_type)
            .queue(self.queue(manners))
            .payload(manners.payload())
            .deadline(deadline)
            .attempt_timeout(self.setup.after * 2)
            .kill_grace(self.setup.grace)
            .max_attempts(1);
        self.submit(&spec).await?;
        let crowd = self.gather(start + self.setup.after.saturating_sub(QUIET)).await?;
        let late = manners.grace(self.setup);
        let (near, due) =
            (start + self.setup.after.saturating_sub(QUIET), start + self.setup.after + late);
        let patience = due.saturating_duration_since(Instant::now()) + self.patience;
        let (end, over) = watch::channel(false);
        let ended = async {
            let deaths = crowd.deaths(patience).await;
            self.all_over(manners).await?;
            end.send_replace(true);
            deaths.map_err(|error| failed("see a death", &error))
        };
        let (moments, answers) = tokio::try_join!(ended, probe::ask(self.client, near, over))?;
        if moments.len() < self.setup.leases as usize {
            let alive = self.setup.leases as usize - moments.len();
            return Err(Failure::Bench(format!("{alive} handlers outlived their deadline")));
        }
        let died = Delays::of(moments.iter().map(|moment| moment.saturating_duration_since(due)))?;
        let recorded = self.recorded(manners, deadline + late).await?;
        Ok(Ended { died, recorded, answers })
    }

    async fn submit(&self, spec: &TaskSpec) -> Result<(), Failure> {
        load::submit_alike(self.client, spec, self.setup.leases).await
    }

    /// Waits until every handler runs.
    async fn gather(&self, by: Instant) -> Result<Crowd<'_>, Failure> {
        let mut crowd = self.door.crowd();
        while crowd.len() < self.setup.leases as usize {
            let admitted = time::timeout_at(by.into(), crowd.admit()).await;
            // Handlers may queue up at the door until long after, when those in front have met their deadline.
            let in_time = admitted.ok().filter(|_| Instant::now() < by);
            let admitted = in_time.ok_or_else(|| {
                let (there, all) = (crowd.len(), self.setup.leases);
                Failure::Bench(format!(
                    "{there} of {all} handlers ran a second before the deadline: let it come later (--after)"
                ))
            })?;
            admitted.map_err(|error| failed("see a handler that has come", &error))?;
        }
        Ok(crowd)
    }

    /// Waits until every task has ended.
    async fn all_over(&self, manners: Manners) -> Result<(), Failure> {
        let queue = self.queue(manners);
        load::until(self.patience, "the coordinator still holds open tasks", || {
            load::is_done(self.client, &queue)
        })
        .await
    }

    /// When each task ended, as the coordinator has it.
    async fn recorded(&self, manners: Manners, due: SystemTime) -> Result<Delays, Failure> {
        let queue = self.queue(manners);
        let failed = TaskFilter::default().queue(&queue).state(TaskState::Failed);
        let tasks = self.client.list(failed).take(self.setup.leases as usize).await?;
        if tasks.len() < self.setup.leases as usize {
            return Err(Failure::Bench("a task did not end by its deadline".to_owned()));
        }
        let ends =
            tasks.into_iter().filter_map(|task| SystemTime::try_from(task.finish_time?).ok());
        Delays::of(ends.map(|end| end.duration_since(due).unwrap_or_default()))
    }

    fn queue(&self, manners: Manners) -> String {
        format!("{}-{}", self.task_type, manners.payload())
    }
}

impl Kind {
    /// As many workers as so many leases take.
    fn workers(
        self,
        leases: u32,
        client: &Client,
        task_type: &str,
        door: &Door,
    ) -> Result<Vec<Worker>, Failure> {
        let address = client.address();
        match self {
            Self::Program if SLOTS_MAX < leases => Err(Failure::Usage(format!(
                "--leases: {leases} of programs are too many: at most {SLOTS_MAX}, or --kind async"
            ))),
            Self::Program => {
                let own =
                    env::current_exe().map_err(|error| failed("find this program", &error))?;
                let program = [own.into(), "bench".into(), "handler".into(), door.path().into()];
                Ok(vec![Worker::of_program(address, task_type, leases, &program)?])
            }
            Self::Async => {
                Worker::crowd_of_functions(address, task_type, leases, Some(door.path()))
            }
        }
    }

    fn text(self) -> &'static str {
        match self {
            Self::Program => "programs: processes under guards",
            Self::Async => "async functions: seen to be dropped",
        }
    }
}

impl Manners {
    /// What a handler reads to know them.
    fn payload(self) -> &'static str {
        match self {
            Self::Prompt => "prompt",
            Self::Deaf => holder::DEAF,
        }
    }

    /// Says what came of handlers with these.
    fn report(self, ended: Ended, floor: Option<&Delays>, report: &mut Report) {
        let [died, ratio, recorded, submits, heartbeats] = match self {
            Self::Prompt => [
                ("deadline to death, if prompt", "promptDied"),
                ("its p99 to the floor's", "promptToFloor"),
                ("deadline to its record", "promptRecorded"),
                ("submits meanwhile", "promptSubmits"),
                ("heartbeats meanwhile", "promptHeartbeats"),
            ],
            Self::Deaf => [
                ("end of grace to death, if deaf", "deafDied"),
                ("its p99 to the floor's", "deafToFloor"),
                ("end of grace to its record", "deafRecorded"),
                ("submits meanwhile", "deafSubmits"),
                ("heartbeats meanwhile", "deafHeartbeats"),
            ],
        };
        let p99 = |delays: &Delays| delays.quantile(0.99).as_secs_f64();
        let to_floor = floor.map(|floor| p99(&ended.died) / p99(floor));
        report.add(died.0, died.1, Value::Delays(ended.died));
        if let Some(to_floor) = to_floor {
            report.add(ratio.0, ratio.1, Value::Ratio(to_floor));
        }
        report.add(recorded.0, recorded.1, Value::Delays(ended.recorded));
        report.add(submits.0, submits.1, Value::Delays(ended.answers.submits));
        report.add(heartbeats.0, heartbeats.1, Value::Delays(ended.answers.heartbeats));
    }

    /// How long after the deadline they have to be gone.
    fn grace(self, setup: &Setup) -> Duration {
        match self {
            Self::Prompt => Duration::ZERO,
            Self::Deaf => setup.grace,
        }
    }
}

fn failed(what: &str, error: &io::Error) -> Failure {
    Failure::Bench(format!("cannot {what}: {error}"))
}
