//! The way to the engine: everything the services may ask of it.
//!
//! A call sends one request and waits for its answer; the engine gives none before what it says is durable.
//! It knows neither the wire contract nor the journal.

use std::{sync::Arc, time::Duration};

use leasehold_queue::{
    Accepted, BreakerView, Guarded, Name, NamespaceView, QueueExplanation, QueueView, Refusal,
    TaskId, TaskSpec, Token, WorkerView,
};
use tokio::sync::{mpsc, oneshot};

use crate::{
    archive::Archive,
    config::Config,
    coordinator::chain,
    queues::Queues,
    refusal::Scope,
    request::{Admission, Control},
    snapshot::{Explained, Snapshot},
    status::{Applied, Budgets, Cluster, Status},
    view::Detail,
    watch::{Watch, WatchFilter},
};

/// How long a call waits for room on the way to the engine before it is told to come back: longer, and its
/// client has given up.
const ROOM_WAIT: Duration = Duration::from_secs(5);

/// A cheap, cloneable way to the engine.
#[derive(Clone, Debug)]
pub struct Handle {
    admission: mpsc::Sender<Admission>,
    control: mpsc::Sender<Control>,
    status: Arc<Status>,
    archive: Archive,
}

/// A task to accept. Its id is minted by the engine.
#[derive(Clone, Debug, PartialEq)]
pub struct Submission {
    /// What to run, checked.
    pub spec: TaskSpec,
    /// Only check. The id of the answer then means nothing.
    pub validate_only: bool,
}

/// What an operator calls a lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LeaseName {
    /// The current one of a task.
    Of(TaskId),
    /// The one with this token.
    Token(Token),
}

/// Which open tasks to list.
#[derive(Clone, Debug)]
pub struct ListFilter {
    /// Only in these queues. None: in all.
    pub queues: Option<Queues>,
    /// Only this task type.
    pub task_type: Option<Name>,
    /// Only in these states. Empty: all.
    pub states: Vec<OpenState>,
    /// Only ids larger than this one; zero at the start.
    pub after: TaskId,
    /// At most this many, at least 1.
    pub limit: usize,
}

/// The states of a task that has not ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum OpenState {
    /// Waits for a time.
    Scheduled,
    /// Could be leased.
    Queued,
    /// Leased, not started.
    Leased,
    /// Started.
    Running,
    /// Leased, and asked to end.
    Cancelling,
}

/// Some open tasks, in ascending order of their ids.
#[derive(Clone, Debug)]
pub struct ListPage {
    /// The tasks.
    pub tasks: Vec<Snapshot>,
    /// Where to go on: every open task up to and including this id has been looked at. None: there is no more.
    /// A page may be short, even empty, and still have one: a turn looks at a bounded number of tasks.
    pub next: Option<TaskId>,
}

/// What became of a request to replay a dead letter.
#[derive(Clone, Debug)]
pub enum Replay {
    /// It is a task again: here it is.
    Done(Box<Snapshot>),
    /// That generation had been replayed before: here is the task if it is open, else look in the archive.
    Already(Option<Box<Snapshot>>),
    /// There is no such dead letter: the task is unknown, has not failed or its row has expired.
    NotDead,
    /// A bound is reached, or its idempotency key names another task by now.
    Refused(Refusal),
}

/// Waits for the end of one open task.
#[derive(Debug)]
pub struct Waiter(pub(crate) oneshot::Receiver<Box<Snapshot>>);

/// Why the engine cannot be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unavailable {
    /// The process ends.
    #[error("the coordinator shuts down")]
    ShuttingDown,
    /// There is too little room on the disk: only what is leased still completes.
    #[error("the disk has {free_bytes} bytes left, less than the {reserve_bytes} kept in reserve")]
    StorageFull {
        /// What is left.
        free_bytes: u64,
        /// What must be left for new tasks to be accepted.
        reserve_bytes: u64,
    },
    /// There are as many of something as there may be.
    #[error("{limit} are at their limit of {max}")]
    Overloaded {
        /// Of what.
        limit: &'static str,
        /// Among whose.
        scope: Scope,
        /// How many there may be.
        max: u64,
    },
    /// What was asked for is damaged on the disk; the log says how.
    #[error("the row cannot be read: see the coordinator's log")]
    Unreadable,
    /// The engine is gone: the process is about to end.
    #[error("the coordinator has stopped")]
    Stopped,
}

impl Unavailable {
    /// The coordinator has as many of these as it may.
    pub(crate) const fn full(limit: &'static str, max: u64) -> Self {
        Self::Overloaded { limit, scope: Scope::Coordinator, max }
    }
}

impl Handle {
    pub(crate) fn new(
        admission: mpsc::Sender<Admission>,
        control: mpsc::Sender<Control>,
        status: Arc<Status>,
        archive: Archive,
    ) -> Self {
        Self { admission, control, status, archive }
    }

    /// How a task is shown in full.
    pub fn full(&self) -> Detail {
        Detail::Full(self.budgets())
    }

    /// What a generation of a task may cost.
    pub fn budgets(&self) -> Budgets {
        self.status.budgets()
    }

    /// Accepts tasks, each by itself, in one batch; the answers are in the order of the submissions.
    pub async fn submit(
        &self,
        tasks: Vec<Submission>,
    ) -> Result<Vec<Result<Accepted, Refusal>>, Unavailable> {
        self.status.admission()?;
        self.admit(|answer| Admission::Submit { tasks, answer }).await?
    }

    /// Asks for a task to end. The task as it then is; none if it is not open (any more).
    pub async fn cancel(&self, task: TaskId) -> Result<Option<Snapshot>, Unavailable> {
        let task = self.control(|answer| Control::Cancel { task, answer }).await?;
        Ok(self.whole_if_possible(task).await)
    }

    /// Makes a dead letter a task again. `generation` is the one that failed; none: the one stored.
    pub async fn replay(
        &self,
        task: TaskId,
        generation: Option<u32>,
    ) -> Result<Replay, Unavailable> {
        self.status.admission()?;
        let replay = self.control(|answer| Control::Replay { task, generation, answer }).await??;
        let Replay::Already(open) = replay else { return Ok(replay) };
        Ok(Replay::Already(self.whole(open).await?.map(Box::new)))
    }

    /// Stops leasing tasks of a queue. The queue as it then is; none if it does not exist.
    pub async fn pause(&self, queue: Name) -> Result<Option<QueueView>, Unavailable> {
        self.control(|answer| Control::Pause { queue, paused: true, answer }).await
    }

    /// Goes on leasing tasks of a queue. The queue as it then is; none if it does not exist.
    pub async fn resume(&self, queue: Name) -> Result<Option<QueueView>, Unavailable> {
        self.control(|answer| Control::Pause { queue, paused: false, answer }).await
    }

    /// Asks workers to drain. Per worker: whether it is known.
    pub async fn drain(
        &self,
        workers: Vec<Name>,
        grace: Option<Duration>,
    ) -> Result<Vec<bool>, Unavailable> {
        self.control(|answer| Control::Drain { workers, grace, answer }).await
    }

    /// Takes a lease away from its worker. The task as it then is; none if there is no such lease.
    pub async fn revoke_lease(
        &self,
        lease: LeaseName,
        grace: Option<Duration>,
        reason: String,
    ) -> Result<Option<Snapshot>, Unavailable> {
        let revoke = |answer| Control::RevokeLease { lease, grace, reason, answer };
        let task = self.control(revoke).await?;
        Ok(self.whole_if_possible(task).await)
    }

    /// Gives a worker up, and does not let it in again for as long as `ban` says. Its sessions as they then are.
    pub async fn evict(
        &self,
        worker: Name,
        grace: Option<Duration>,
        ban: Duration,
        reason: String,
    ) -> Result<Vec<WorkerView>, Unavailable> {
        self.control(|answer| Control::Evict { worker, grace, ban, reason, answer }).await
    }

    /// Closes a circuit. The breaker as it then is; none if there is no such one.
    pub async fn reset_breaker(
        &self,
        guarded: Guarded,
    ) -> Result<Option<BreakerView>, Unavailable> {
        self.control(|answer| Control::ResetBreaker { guarded, answer }).await
    }

    /// Lets another configuration hold. When this returns it does, for everybody.
    pub(crate) async fn configure(&self, applied: Arc<Applied>) -> Result<(), Unavailable> {
        self.control(|answer| Control::Configure { applied, answer }).await
    }

    /// The configuration that holds, and where it comes from. Asks nobody.
    pub fn applied(&self) -> Arc<Applied> {
        self.status.applied()
    }

    /// The configuration that holds. Asks nobody.
    pub fn config(&self) -> Arc<Config> {
        self.status.config()
    }

    /// The task, if it is open. One that is not may be in the [`archive`](Self::archive): whatever ended before
    /// this call was answered is there (unless its queue keeps no finished tasks).
    pub async fn get(&self, task: TaskId) -> Result<Option<Snapshot>, Unavailable> {
        let task = self.look(task).await?;
        self.whole(task).await
    }

    async fn look(&self, task: TaskId) -> Result<Option<Box<Snapshot>>, Unavailable> {
        self.admit(|answer| Admission::Get { task, answer }).await
    }

    /// The task with its payload, read back if it was let go. Where that is may have changed since the task was shown: then the
    /// task has moved, and is looked at again, or it has ended. None: that.
    async fn whole(&self, task: Option<Box<Snapshot>>) -> Result<Option<Snapshot>, Unavailable> {
        let Some(mut shown) = task else { return Ok(None) };
        while let Some(home) = shown.home {
            let read = self.archive.payload(home, shown.task.id).await;
            let read = read.map_err(|error| {
                tracing::error!(error = chain(&error), "a payload cannot be read back");
                Unavailable::Unreadable
            });
            if let Some(payload) = read? {
                shown.task.spec.payload = payload.into();
                break;
            }
            let Some(open) = self.look(shown.task.id).await? else { return Ok(None) };
            shown = open;
        }
        Ok(Some(*shown))
    }

    /// A task to which something has been done: that its payload cannot be read back (any more) must not look like a failure of
    /// that.
    async fn whole_if_possible(&self, task: Option<Box<Snapshot>>) -> Option<Snapshot> {
        let whole = self.whole(task.clone()).await;
        whole.ok().flatten().or(task.map(|task| *task))
    }

    /// Why a task is where it is, if it is open. One that is not may be in the archive.
    pub async fn explain(&self, task: TaskId) -> Result<Option<Explained>, Unavailable> {
        let explained = self.admit(|answer| Admission::Explain { task, answer }).await?;
        Ok(explained.map(|explained| *explained))
    }

    /// What the tasks of a queue wait for. None: it does not exist.
    pub async fn explain_queue(
        &self,
        queue: Name,
    ) -> Result<Option<QueueExplanation>, Unavailable> {
        self.admit(|answer| Admission::ExplainQueue { queue, answer }).await
    }

    /// Open tasks, a page at a time.
    pub async fn list(&self, filter: ListFilter) -> Result<ListPage, Unavailable> {
        self.admit(|answer| Admission::List { filter, answer }).await
    }

    /// Begins to wait for the end of a task, so that it cannot be missed. None: it is not open; look in the
    /// archive.
    pub async fn await_end(&self, task: TaskId) -> Result<Option<Waiter>, Unavailable> {
        self.admit(|answer| Admission::Await { task, answer }).await?
    }

    /// Begins to watch tasks.
    pub async fn watch(&self, filter: WatchFilter) -> Result<Watch, Unavailable> {
        self.admit(|answer| Admission::Watch { filter, answer }).await?
    }

    /// Every queue, by name.
    pub async fn queues(&self) -> Result<Vec<QueueView>, Unavailable> {
        self.admit(|answer| Admission::Queues { answer }).await
    }

    /// Every namespace that has a queue or bounds of its own, by name.
    pub async fn namespaces(&self) -> Result<Vec<NamespaceView>, Unavailable> {
        self.admit(|answer| Admission::Namespaces { answer }).await
    }

    /// Every circuit breaker, by what it guards.
    pub async fn breakers(&self) -> Result<Vec<BreakerView>, Unavailable> {
        self.admit(|answer| Admission::Breakers { answer }).await
    }

    /// Every worker session, by worker name.
    pub async fn workers(&self) -> Result<Vec<WorkerView>, Unavailable> {
        self.workers_after(Default::default(), usize::MAX).await
    }

    /// Worker sessions behind that of a worker and process, at most so many.
    pub async fn workers_after(
        &self,
        after: (Name, Name),
        most: usize,
    ) -> Result<Vec<WorkerView>, Unavailable> {
        self.admit(|answer| Admission::Workers { after, most, answer }).await
    }

    /// The coordinator itself. Asks nobody: it answers whatever the engine does.
    pub fn cluster(&self) -> Cluster {
        self.status.cluster()
    }

    /// Whether new tasks are accepted, and if not, why.
    pub fn admission(&self) -> Result<(), Unavailable> {
        self.status.admission()
    }

    /// Tasks that have ended.
    pub fn archive(&self) -> &Archive {
        &self.archive
    }

    async fn admit<T>(
        &self,
        request: impl FnOnce(oneshot::Sender<T>) -> Admission,
    ) -> Result<T, Unavailable> {
        ask(&self.admission, request).await
    }

    async fn control<T>(
        &self,
        request: impl FnOnce(oneshot::Sender<T>) -> Control,
    ) -> Result<T, Unavailable> {
        ask(&self.control, request).await
    }
}

async fn ask<R, T>(
    engine: &mpsc::Sender<R>,
    request: impl FnOnce(oneshot::Sender<T>) -> R,
) -> Result<T, Unavailable> {
    let room = tokio::time::timeout(ROOM_WAIT, engine.reserve()).await;
    let max = engine.max_capacity() as u64;
    let full = Unavailable::full("calls that wait for the engine", max);
    let room = room.map_err(|_| full)?.map_err(|_| Unavailable::Stopped)?;
    let (answer, answered) = oneshot::channel();
    room.send(request(answer));
    answered.await.map_err(|_| Unavailable::Stopped)
}

impl Waiter {
    /// The task as it ended. May be called again if it was cancelled.
    pub async fn ended(&mut self) -> Result<Snapshot, Unavailable> {
        let snapshot = (&mut self.0).await.map_err(|_| Unavailable::Stopped)?;
        Ok(*snapshot)
    }
}
