//! What is asked of the engine, by kind of urgency.
//!
//! Three kinds travel on three bounded channels, so that a flood of one cannot keep another waiting: liveness first,
//! then what frees or steers, then what adds work or only looks.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use leasehold_policy::Time;
use leasehold_queue::{
    Accepted, BreakerView, Command, Guarded, Hello, Name, NamespaceView, Progress,
    QueueExplanation, QueueView, Refusal, StreamId, TaskId, Token, WorkerView,
};
use tokio::sync::oneshot;

use crate::{
    egress::Egress,
    handle::{LeaseName, ListFilter, ListPage, Replay, Submission, Unavailable, Waiter},
    snapshot::{Explained, Snapshot},
    status::Applied,
    watch::{Watch, WatchFilter},
};

/// Where an answer goes.
pub(crate) type Answer<T> = oneshot::Sender<T>;

/// From the sessions of workers: never shed.
#[derive(Debug)]
pub(crate) enum Liveness {
    /// A worker opened a stream.
    Hello {
        /// Who it is.
        hello: Box<Hello>,
        /// Which stream of its process, counting up; 0 if it does not count.
        number: i64,
        /// The way back to it.
        egress: Egress,
    },
    /// The worker lives.
    Heartbeat {
        /// Its stream.
        stream: StreamId,
        /// To be acknowledged.
        sequence: i64,
        /// Every lease it holds.
        held: Vec<Token>,
        /// How busy its processor is, in thousandths, if it says so.
        cpu: Option<u16>,
    },
    /// The work of a lease goes on.
    Progress {
        /// Its stream.
        stream: StreamId,
        /// The lease.
        token: Token,
        /// What it reports, if it does.
        progress: Option<Progress>,
        /// Where the next attempt can go on from, if that is news.
        checkpoint: Option<Bytes>,
    },
    /// Everything that could be read by then is in front of this.
    HeardUntil(Time),
    /// Anything else a worker says, as the queue understands it.
    Event(Command),
    /// Several of these, in order and in the same turn.
    Several(Vec<Self>),
}

impl Liveness {
    /// How many things are said.
    pub(crate) fn weight(&self) -> usize {
        if let Self::Several(said) = self { said.len() } else { 1 }
    }
}

/// What frees resources or steers.
#[derive(Debug)]
pub(crate) enum Control {
    /// End a task.
    Cancel {
        /// The task.
        task: TaskId,
        /// The task as it then is.
        answer: Answer<Option<Box<Snapshot>>>,
    },
    /// Make a dead letter a task again.
    Replay {
        /// The task.
        task: TaskId,
        /// The generation that failed.
        generation: Option<u32>,
        /// What became of it.
        answer: Answer<Result<Replay, Unavailable>>,
    },
    /// Pause or resume a queue.
    Pause {
        /// The queue.
        queue: Name,
        /// Whether to pause.
        paused: bool,
        /// The queue as it then is.
        answer: Answer<Option<QueueView>>,
    },
    /// Ask workers to drain.
    Drain {
        /// The workers.
        workers: Vec<Name>,
        /// How long they may wait for what they run.
        grace: Option<Duration>,
        /// Per worker: whether it is known.
        answer: Answer<Vec<bool>>,
    },
    /// Take a lease away from its worker.
    RevokeLease {
        /// Which.
        lease: LeaseName,
        /// How long its handler may take.
        grace: Option<Duration>,
        /// Why, for the log.
        reason: String,
        /// The task as it then is; none if it is not leased, or not under that lease.
        answer: Answer<Option<Box<Snapshot>>>,
    },
    /// Give a worker up.
    Evict {
        /// Which.
        worker: Name,
        /// How long its handlers may take.
        grace: Option<Duration>,
        /// For how long it is not let in again.
        ban: Duration,
        /// Why, for the log.
        reason: String,
        /// Its sessions as they then are.
        answer: Answer<Vec<WorkerView>>,
    },
    /// Close a circuit.
    ResetBreaker {
        /// What it guards.
        guarded: Guarded,
        /// The breaker as it then is; none: there is no such one.
        answer: Answer<Option<BreakerView>>,
    },
    /// Go on under another configuration, from one moment to the next.
    Configure {
        /// Which. What is read at the start only is as it was.
        applied: Arc<Applied>,
        /// It holds, and what it promises is durable.
        answer: Answer<()>,
    },
    /// Admit nothing more, make everything durable, say goodbye to the workers and stop.
    Shutdown,
}

/// What adds work or only looks.
#[derive(Debug)]
pub(crate) enum Admission {
    /// Accept tasks.
    Submit {
        /// The tasks.
        tasks: Vec<Submission>,
        /// What became of each.
        answer: Answer<Result<Vec<Result<Accepted, Refusal>>, Unavailable>>,
    },
    /// Show a task.
    Get {
        /// The task.
        task: TaskId,
        /// The task, if it is open.
        answer: Answer<Option<Box<Snapshot>>>,
    },
    /// Say why a task is where it is.
    Explain {
        /// The task.
        task: TaskId,
        /// Why, if it is open.
        answer: Answer<Option<Box<Explained>>>,
    },
    /// Say what the tasks of a queue wait for.
    ExplainQueue {
        /// The queue.
        queue: Name,
        /// What, if it exists.
        answer: Answer<Option<QueueExplanation>>,
    },
    /// Show a page of tasks.
    List {
        /// Which.
        filter: ListFilter,
        /// The page.
        answer: Answer<ListPage>,
    },
    /// Wait for a task's end.
    Await {
        /// The task.
        task: TaskId,
        /// The waiter, if the task is open.
        answer: Answer<Result<Option<Waiter>, Unavailable>>,
    },
    /// Watch tasks.
    Watch {
        /// Which.
        filter: WatchFilter,
        /// The watch.
        answer: Answer<Result<Watch, Unavailable>>,
    },
    /// Show the queues.
    Queues {
        /// All of them.
        answer: Answer<Vec<QueueView>>,
    },
    /// Show the namespaces.
    Namespaces {
        /// All of them.
        answer: Answer<Vec<NamespaceView>>,
    },
    /// Show the circuit breakers.
    Breakers {
        /// All of them.
        answer: Answer<Vec<BreakerView>>,
    },
    /// Show the sessions of workers.
    Workers {
        /// Behind that of this worker and process.
        after: (Name, Name),
        /// No more than so many.
        most: usize,
        /// They.
        answer: Answer<Vec<WorkerView>>,
    },
}
