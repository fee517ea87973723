//! The load of a benchmark: its own queue and task type, and workers that run its tasks in this process.

use std::{
    fmt,
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use bytes::{Bytes, BytesMut};
use leasehold_client::{Client, TaskSpec};
use leasehold_worker::{TaskError, Worker};
use tokio::{
    sync::{Notify, watch},
    task::JoinSet,
    time,
};
use tokio_stream::{self as stream, Stream};

use super::{Subject, idle};
use crate::{failure::Failure, progress};

/// The size of a payload in bytes, where nobody says another.
pub(super) const PAYLOAD_BYTES: u32 = 100;

/// The task type and the beginning of the queue's name.
const NAME: &str = "leasehold-bench";

/// How long the worker's drain may take: nothing runs any more when it begins.
const DRAIN_GRACE: Duration = Duration::from_secs(10);

/// How many tasks one message may hold.
const BATCH_TASKS_MAX: u32 = 1_000;

/// How often the coordinator is asked how its queues are.
const STATE_POLL: Duration = Duration::from_millis(20);

/// Which tasks of a run have been run.
#[derive(Debug)]
pub(super) struct Tally {
    seen: Vec<AtomicBool>,
    left: AtomicU64,
    repeated: AtomicU64,
    all: Notify,
}

impl Tally {
    pub(super) fn new(tasks: u64) -> Arc<Self> {
        let seen = (0..tasks).map(|_| AtomicBool::new(false)).collect();
        let (left, repeated, all) = (AtomicU64::new(tasks), AtomicU64::new(0), Notify::new());
        Arc::new(Self { seen, left, repeated, all })
    }

    /// Task `number` has run; whether for the first time.
    pub(super) fn record(&self, number: u64) -> bool {
        let index = usize::try_from(number).unwrap_or(usize::MAX);
        let Some(seen) = self.seen.get(index) else { return false };
        if seen.swap(true, Ordering::Relaxed) {
            self.repeated.fetch_add(1, Ordering::Relaxed);
            return false;
        }
        if self.left.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.all.notify_one();
        }
        true
    }

    /// How often a task was run that had run before.
    pub(super) fn repeated(&self) -> u64 {
        self.repeated.load(Ordering::Relaxed)
    }

    /// How many tasks there are.
    fn tasks(&self) -> u64 {
        self.seen.len() as u64
    }

    /// How many tasks have not run.
    pub(super) fn left(&self) -> u64 {
        self.left.load(Ordering::Acquire)
    }

    /// Fails unless every task has run.
    fn confirm(&self) -> Result<(), Failure> {
        match self.left() {
            0 => Ok(()),
            left => Err(Failure::Bench(format!("{left} tasks did not run"))),
        }
    }

    /// Waits until every task has run, or nothing has ended for as long as `patience`.
    pub(super) async fn all_ended(&self, patience: Duration) {
        let mut before = self.left();
        while self.left() > 0 {
            if time::timeout(patience, self.all.notified()).await.is_err() {
                let left = self.left();
                if left == before {
                    return;
                }
                before = left;
            }
        }
    }
}

/// One run of a benchmark: a queue that nobody else uses.
#[derive(Clone, Debug)]
pub(super) struct Load {
    queue: String,
    /// What its tasks say beside their payloads.
    alike: TaskSpec,
    payload_bytes: u32,
}

impl Load {
    pub(super) fn new() -> Self {
        Self::of(format!("{NAME}-{}", std::process::id()))
    }

    /// Tasks that no worker of a benchmark works at.
    pub(super) fn of_nobody() -> Self {
        Self::of(format!("{NAME}-{}-others", std::process::id()))
    }

    fn of(queue: String) -> Self {
        let alike = TaskSpec::new(&queue).queue(&queue);
        Self { queue, alike, payload_bytes: PAYLOAD_BYTES }
    }

    /// With payloads of that size. A worker does not know the number of a task by less than 8 bytes.
    pub(super) fn of_bytes(self, payload_bytes: u32) -> Self {
        Self { payload_bytes, ..self }
    }

    /// Its first tasks, so many of them.
    pub(super) fn specs(&self, tasks: u64) -> impl Stream<Item = TaskSpec> + Unpin {
        stream::iter((0..tasks).map(|number| self.spec(number)))
    }

    /// Task `number`.
    pub(super) fn spec(&self, number: u64) -> TaskSpec {
        let mut payload = BytesMut::zeroed(self.payload_bytes as usize);
        for (byte, digit) in payload.iter_mut().zip(number.to_be_bytes()) {
            *byte = digit;
        }
        self.alike.clone().payload(payload.freeze())
    }

    /// Submits, and runs every task of a tally meanwhile; fails unless each has ended. `started` is told of each when
    /// it is run for the first time. Resolves to what the submit did, and to when the coordinator had every outcome.
    pub(super) async fn run<T>(
        &self,
        subject: &Subject,
        tally: &Arc<Tally>,
        started: impl Fn(u64) + Send + Sync + Clone + 'static,
        submit: impl Future<Output = Result<T, Failure>>,
    ) -> Result<(T, Instant), Failure> {
        let bar = progress::bar(tally.tasks(), "tasks run");
        // One that nobody sees would look at the clock for each task all the same.
        let counted = (Arc::clone(tally), (!bar.is_hidden()).then(|| bar.clone()));
        let handler = move |number| {
            let (tally, bar) = &counted;
            if tally.record(number) {
                started(number);
                if let Some(bar) = bar {
                    bar.inc(1);
                }
            }
        };
        let all_ended = tally.all_ended(subject.target.patience);
        let work = self.work(subject, handler, all_ended);
        let (submitted, worked) = tokio::join!(submit, work);
        let ended = Instant::now();
        bar.finish_and_clear();
        let submitted = submitted?;
        worked?;
        tally.confirm()?;
        if !is_done(&subject.client, &self.queue).await? {
            return Err(Failure::Bench("the coordinator still holds open tasks".to_owned()));
        }
        Ok((submitted, ended))
    }

    /// Has tasks run by all workers until `done`, and returns when the coordinator has every outcome.
    pub(super) async fn work(
        &self,
        subject: &Subject,
        started: impl Fn(u64) + Send + Sync + Clone + 'static,
        done: impl Future<Output = ()>,
    ) -> Result<(), Failure> {
        let (end, _) = watch::channel(false);
        let mut workers = JoinSet::new();
        for number in 0..subject.target.workers {
            let mut ended = end.subscribe();
            let until = async move { idle::is_over(&mut ended).await };
            workers.spawn(self.worker(subject, number, started.clone()).run_until(until));
        }
        let failed = |why: &dyn fmt::Display| Failure::Bench(format!("a worker failed: {why}"));
        tokio::pin!(done);
        loop {
            tokio::select! {
                () = &mut done, if !*end.borrow() => { end.send_replace(true); },
                worked = workers.join_next() => match worked {
                    None => return Ok(()),
                    Some(Ok(Ok(()))) => {}
                    Some(Ok(Err(why))) => return Err(failed(&why)),
                    Some(Err(why)) => return Err(failed(&why)),
                },
            }
        }
    }

    /// One of the workers, with its share of the slots.
    fn worker(
        &self,
        subject: &Subject,
        number: u32,
        started: impl Fn(u64) + Send + Sync + Clone + 'static,
    ) -> Worker {
        let handler = move |payload: Bytes, _context| {
            let ran = self::number(&payload).map(&started);
            async move { ran.ok_or_else(|| TaskError::permanent("no number in the payload")) }
        };
        Worker::default()
            .address(subject.client.address())
            .id(self.worker_id(number))
            .slots(subject.target.slots_each())
            .drain_grace(DRAIN_GRACE)
            .task(self.queue.clone(), handler)
    }

    fn worker_id(&self, number: u32) -> String {
        format!("{}-{number}", self.queue)
    }

    /// Waits until the coordinator knows the workers.
    pub(super) async fn connected(&self, subject: &Subject) -> Result<(), Failure> {
        until(subject.target.patience, "a worker does not reach the coordinator", || async {
            let workers = subject.client.workers().await?;
            let is_there = |number| workers.iter().any(|it| it.worker_id == self.worker_id(number));
            Ok((0..subject.target.workers).all(is_there))
        })
        .await
    }

    /// The name of its queue and its task type, with which those of its workers begin.
    pub(super) fn queue(&self) -> &str {
        &self.queue
    }
}

/// Whether the coordinator holds no open task of a queue.
pub(super) async fn is_done(client: &Client, queue: &str) -> Result<bool, Failure> {
    let queues = client.queues().await?;
    let open = queues.iter().find(|it| it.name == queue);
    Ok(open.is_none_or(|it| it.scheduled_count + it.queued_count + it.leased_count == 0))
}

/// How many tasks of a queue are under a lease.
pub(super) async fn leased(client: &Client, queue: &str) -> Result<i64, Failure> {
    let queues = client.queues().await?;
    Ok(queues.iter().find(|it| it.name == queue).map_or(0, |it| it.leased_count))
}

/// Waits until something is so, which `problem` says is not.
pub(super) async fn until<F: Future<Output = Result<bool, Failure>>>(
    patience: Duration,
    problem: &str,
    is_so: impl Fn() -> F,
) -> Result<(), Failure> {
    let asked = async {
        while !is_so().await? {
            time::sleep(STATE_POLL).await;
        }
        Ok(())
    };
    time::timeout(patience, asked).await.map_err(|_late| Failure::Bench(problem.to_owned()))?
}

/// Submits so many tasks that are alike.
pub(super) async fn submit_alike(
    client: &Client,
    spec: &TaskSpec,
    tasks: u32,
) -> Result<(), Failure> {
    let mut left = tasks;
    while 0 < left {
        let some = left.min(BATCH_TASKS_MAX);
        let specs = std::iter::repeat_n(spec.clone(), some as usize).collect();
        for answer in client.submit_batch(specs).await? {
            answer?;
        }
        left -= some;
    }
    Ok(())
}

/// The number in a payload.
fn number(payload: &Bytes) -> Option<u64> {
    payload.first_chunk().map(|digits| u64::from_be_bytes(*digits))
}

#[cfg(test)]
mod tests;
