//! The demo itself: submit, break things on the way, wait, compare.

use std::cell::Cell;
use std::path::Path;
use std::time::{Duration, Instant, SystemTime};

use futures_util::StreamExt as _;
use leasehold_client::v1::{Task, TaskState};
use leasehold_client::{Client, ClientOptions, Code, Retry, StreamOptions};
use tokio::time::{MissedTickBehavior, interval};

use crate::args::RunArgs;
use crate::cluster::{Cluster, WORKERS};
use crate::error::Error;
use crate::files;
use crate::ledger::Tally;
use crate::progress::{Progress, say};
use crate::verdict::{Finding, Kill, Verdict};
use crate::workload::{Item, QUEUE};

/// A worker is killed when this much is done, in percent.
const WORKER_KILL_PERCENT: usize = 30;

/// The coordinator is killed when this much is done, in percent.
const COORDINATOR_KILL_PERCENT: usize = 60;

/// How often the coordinator is asked how far it is.
const POLL: Duration = Duration::from_millis(100);

/// How long it may take to answer that.
const POLL_TIMEOUT: Duration = Duration::from_secs(2);

/// How long nothing may finish before the demo gives up: far more than two restarts and a lost
/// worker's leases take together.
const STALL_MAX: Duration = Duration::from_mins(1);

/// How many tasks are read and compared at once in the end: enough to keep both sides busy.
const READS_MAX: usize = 16;

/// Runs the demo in a folder of its own, and says how it went.
pub(crate) async fn run(args: RunArgs) -> Result<Verdict, Error> {
    let mut scratch =
        tempfile::Builder::new().prefix("leasehold-demo-").tempdir().map_err(Error::Scratch)?;
    scratch.disable_cleanup(args.keep);
    if args.keep {
        say(&format!("everything is kept in {}", scratch.path().display()));
    }
    let paths = files::below(&args.dir, usize::try_from(args.files).unwrap_or(usize::MAX));
    if paths.is_empty() {
        return Err(Error::NoFiles(args.dir));
    }
    let items: Vec<Item> =
        paths.into_iter().enumerate().map(|(index, path)| Item::new(index, path)).collect();
    say(&format!("{} files below {}: one task each", items.len(), args.dir.display()));
    let verdict = run_in(scratch.path(), items).await?;
    for complaint in verdict.complaints() {
        say(complaint);
    }
    say(&verdict.to_string());
    Ok(verdict)
}

async fn run_in(folder: &Path, items: Vec<Item>) -> Result<Verdict, Error> {
    let mut cluster = Cluster::start(folder).await?;
    let address = cluster.address().to_string();
    say(&format!("a coordinator on {address} and {WORKERS} workers, each a process of its own"));
    let client = connect(ClientOptions::new(&address))?;
    let begun = Instant::now();
    let acknowledged = Cell::new(0);
    let mut supervisor = Supervisor {
        poll: connect(ClientOptions::new(&address).retry(Retry::Never).call_timeout(POLL_TIMEOUT))?,
        cluster: &mut cluster,
        progress: Progress::new("done", items.len()),
        total: items.len(),
        acknowledged: &acknowledged,
    };
    let (ids, kill) =
        tokio::try_join!(submit(&client, &items, &acknowledged), supervisor.until_done())?;
    drop(supervisor);
    say(&format!("all done after {:.1} s", begun.elapsed().as_secs_f64()));
    let findings = examine(&client, items, &ids, &tally(&cluster.ledger())?).await?;
    Ok(Verdict::of(&findings, kill))
}

fn connect(options: ClientOptions) -> Result<Client, Error> {
    Client::connect(options).map_err(|source| Error::Call { action: "connect", source })
}

/// Submits every item; the ids of their tasks, in the same order.
async fn submit(
    client: &Client,
    items: &[Item],
    acknowledged: &Cell<usize>,
) -> Result<Vec<String>, Error> {
    let specs = tokio_stream::iter(items.iter().map(Item::spec));
    let mut answers = client.submit_stream(specs, StreamOptions::default());
    let mut ids = Vec::with_capacity(items.len());
    while let Some(answer) = answers.next().await {
        let receipt = answer.map_err(|source| Error::Call { action: "submit", source })?;
        ids.push(receipt.task_id);
        acknowledged.set(ids.len());
    }
    if ids.len() == items.len() { Ok(ids) } else { Err(Error::StreamEnded(ids.len())) }
}

/// Watches the work, and breaks things on the way.
struct Supervisor<'a> {
    cluster: &'a mut Cluster,
    poll: Client,
    progress: Progress,
    total: usize,
    /// Tasks whose submit has been answered.
    acknowledged: &'a Cell<usize>,
}

impl Supervisor<'_> {
    /// Returns when every task has ended, and says when the coordinator was killed.
    async fn until_done(&mut self) -> Result<Kill, Error> {
        self.until(WORKER_KILL_PERCENT).await?;
        self.cluster.replace_worker()?;
        self.progress.say("killed a worker with SIGKILL, started it again");
        self.until(COORDINATOR_KILL_PERCENT).await?;
        let sent = SystemTime::now();
        self.cluster.kill_coordinator();
        let done = SystemTime::now();
        self.cluster.restart_coordinator().await?;
        self.progress.say("killed the coordinator with SIGKILL, started it again");
        self.until(100).await?;
        Ok(Kill { sent, done })
    }

    /// Returns when so much is done.
    async fn until(&mut self, percent: usize) -> Result<(), Error> {
        let (mut most, mut since) = (0, Instant::now());
        let mut ticks = interval(POLL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            self.cluster.check()?;
            if let Some(done) = self.done().await {
                self.progress.show(done);
                if self.total * percent <= done * 100 {
                    return Ok(());
                }
                if most < done {
                    (most, since) = (done, Instant::now());
                }
            }
            if STALL_MAX < since.elapsed() {
                return Err(self.stalled(most, since.elapsed()));
            }
        }
    }

    /// How many tasks have ended, or fewer: of those acknowledged, all that are not open. `None`
    /// while the coordinator does not answer.
    async fn done(&self) -> Option<usize> {
        // Read first: a task that is accepted meanwhile may only make the answer too small.
        let acknowledged = self.acknowledged.get();
        let queues = self.poll.queues().await.ok()?;
        let queue = queues.iter().find(|queue| queue.name == QUEUE);
        let open = queue.map_or(0, |it| it.scheduled_count + it.queued_count + it.leased_count);
        Some(acknowledged.saturating_sub(usize::try_from(open).unwrap_or(usize::MAX)))
    }

    fn stalled(&self, done: usize, waited: Duration) -> Error {
        Error::Stalled { waited, done, total: self.total, logs: self.cluster.log_tails() }
    }
}

/// Reads every task as the coordinator keeps it, and computes its result once more.
async fn examine(
    client: &Client,
    items: Vec<Item>,
    ids: &[String],
    tally: &Tally,
) -> Result<Vec<Finding>, Error> {
    let mut progress = Progress::new("compared", items.len());
    let mut findings = tokio_stream::iter(items.into_iter().zip(ids))
        .map(async |(item, id)| {
            let task = read(client, id).await?;
            let executions = tally.executions(id);
            let compared = tokio::task::spawn_blocking(move || finding(item, &task, executions));
            compared.await.map_err(|_| Error::Panicked)
        })
        .buffered(READS_MAX);
    let mut found = Vec::with_capacity(ids.len());
    while let Some(finding) = findings.next().await {
        found.push(finding?);
        progress.show(found.len());
    }
    Ok(found)
}

/// A task, result included; an empty one if the coordinator knows none of this id.
async fn read(client: &Client, id: &str) -> Result<Task, Error> {
    match client.get(id).await {
        Err(leasehold_client::Error::Refused(refusal)) if refusal.code == Code::NotFound => {
            Ok(Task::default())
        }
        read => read.map_err(|source| Error::Call { action: "read a task", source }),
    }
}

fn tally(path: &Path) -> Result<Tally, Error> {
    let failed = |source| Error::File { action: "read", path: path.to_owned(), source };
    Tally::read(path).map_err(failed)
}

fn finding(item: Item, task: &Task, executions: usize) -> Finding {
    let state = task.state();
    Finding {
        state: state.as_str_name(),
        has_succeeded: state == TaskState::Succeeded,
        agrees: item.agrees(&task.result),
        executions,
        finish: task.finish_time.and_then(|time| SystemTime::try_from(time).ok()),
        path: item.path,
    }
}
