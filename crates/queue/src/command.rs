//! What the shell asks of the queue, and what it is answered at once.
//!
//! An answer must not leave the process before the records made with it are durable.

use std::{fmt, time::Duration};

use bytes::Bytes;
use leasehold_policy::Time;

use crate::{
    Config, Ending, Estimate, Failure, Guarded, Name, Progress, RevocationReason, Saved,
    SchemasRead, SessionId, Size, Start, StopProof, StreamId, Task, TaskId, TaskSpec, Token,
};

/// One thing to do.
#[derive(Clone, Debug)]
pub enum Command {
    /// Accept a task. Answered by [`Reply::Submitted`].
    Submit(Box<Submit>),
    /// End a task, or ask its worker to. Answered by [`Reply::Cancelled`].
    Cancel {
        /// The task.
        task: TaskId,
    },
    /// Make a dead letter a task again. Answered by [`Reply::Replayed`].
    Replay(Box<Dead>),
    /// Stop or go on leasing tasks of a queue; one that may be created may be stopped before. Answered by [`Reply::Paused`].
    Pause {
        /// The queue.
        queue: Name,
        /// Whether to stop.
        paused: bool,
    },
    /// A worker opened a stream. Answered by [`Reply::Welcome`].
    Hello(Box<Hello>),
    /// Assignments and revocations have left for a worker: what is expected of it about them is waited for from here on,
    /// since until then they were held back.
    Sent {
        /// The stream they left on.
        stream: StreamId,
        /// Their leases: one for each assignment and each revocation, so twice if both have left.
        tokens: Vec<Token>,
    },
    /// The worker answered on its stream: it acted upon the assignments of these leases, or only upon its welcome.
    Delivered {
        /// Its stream.
        stream: StreamId,
        /// The leases; none, if it was another frame.
        tokens: Vec<Token>,
    },
    /// The worker acted upon these revocations: whatever it runs of the leases has been asked to stop.
    Informed {
        /// Its stream.
        stream: StreamId,
        /// The leases, and why they were revoked.
        revocations: Vec<(Token, RevocationReason)>,
    },
    /// The worker lives and holds exactly these of the leases delivered to it. Answered by [`Reply::Heard`].
    Heartbeat {
        /// Its stream.
        stream: StreamId,
        /// Every lease it holds or has an unacknowledged outcome of.
        held: Vec<Token>,
    },
    /// How much the worker can take, from here on.
    Capacity {
        /// Its stream.
        stream: StreamId,
        /// How many tasks it can run at once.
        slots: u32,
        /// How much else it has, by name, ascending.
        resources: Vec<(Name, u64)>,
        /// How many leases it takes beyond its slots.
        prefetch: u32,
    },
    /// Whether more waits to be sent to the worker than there is room for, because it does not read: it is offered nothing
    /// meanwhile.
    Reading {
        /// Its stream.
        stream: StreamId,
        /// Whether it is behind.
        is_behind: bool,
    },
    /// How many of the worker's slots hold work that cannot be stopped. For people: the leases say what is taken.
    SlotsLost {
        /// Its stream.
        stream: StreamId,
        /// How many.
        count: u32,
    },
    /// The worker started.
    Started {
        /// Its stream.
        stream: StreamId,
        /// The lease.
        token: Token,
    },
    /// The handler reports.
    Progressed {
        /// Its stream.
        stream: StreamId,
        /// The lease.
        token: Token,
        /// What. None: only that it goes on.
        progress: Option<Progress>,
    },
    /// The handler saved where the next attempt can go on from. Answered by [`Reply::Saved`].
    Save {
        /// Its stream.
        stream: StreamId,
        /// The lease.
        token: Token,
        /// What it saved.
        data: Bytes,
    },
    /// The handler wants its attempt to run for that long from now. Answered by an
    /// [`Effect::Extend`](crate::Effect::Extend).
    Extend {
        /// Its stream.
        stream: StreamId,
        /// The lease.
        token: Token,
        /// How long; at most a year.
        remaining: Duration,
    },
    /// The work of a lease ended. Answered by an [`Effect::ResultAck`](crate::Effect::ResultAck).
    Outcome {
        /// The stream it came on.
        stream: StreamId,
        /// The lease.
        token: Token,
        /// How it ended.
        outcome: Outcome,
        /// How long the handler ran, as its worker says. None: it was not started, or the worker does not say.
        ran: Option<Duration>,
    },
    /// The worker takes nothing new.
    Drain {
        /// Its stream.
        stream: StreamId,
    },
    /// The operator wants a worker to drain. Answered by [`Reply::Draining`].
    DrainWorker {
        /// The worker.
        worker: Name,
        /// How long it may wait for what it runs; none: its own setting.
        grace: Option<Duration>,
    },
    /// The operator wants a lease to end. Answered by [`Reply::Revoked`].
    RevokeLease {
        /// The lease.
        token: Token,
        /// How long the handler may take; none: the task's kill grace.
        grace: Option<Duration>,
    },
    /// The operator wants a worker gone. Answered by [`Reply::Evicted`].
    EvictWorker {
        /// The worker.
        worker: Name,
        /// How long its handlers may take; none: each task's kill grace.
        grace: Option<Duration>,
        /// For how long it is not let in again.
        ban: Duration,
    },
    /// The operator wants a circuit closed. Answered by [`Reply::Reset`].
    ResetBreaker {
        /// What it guards.
        guarded: Guarded,
    },
    /// The worker goes, on purpose: what it still holds returns to its queues.
    Goodbye {
        /// Its stream.
        stream: StreamId,
    },
    /// A stream is gone. Leases stay.
    Disconnect {
        /// Which.
        stream: StreamId,
    },
    /// The shell noticed that it was late by this much: sessions live that much longer. To be applied before anything else
    /// then. What goes beyond the time since the last command counts only up to a TTL, until the worker is heard again.
    Stalled {
        /// By how much.
        by: Duration,
    },
    /// A new epoch was claimed, because the tokens of the old one run out.
    Claimed {
        /// The epoch; larger than the one before.
        epoch: u32,
    },
    /// Another configuration holds from here on. What was promised stays: a task keeps its terms, an attempt its time, and a
    /// session the TTL of its worker's welcome. A limit that is lower than what there is takes nothing away.
    Configure(Box<Config>),
    /// Fire timers that were due by then, the earliest first: as many as fit into one turn. While there are more,
    /// [`next_deadline`](crate::Queue::next_deadline) is not in the future.
    Advance {
        /// Not in the future. Whatever had arrived by then has been applied, so that nobody is given up who had spoken in
        /// time.
        until: Time,
    },
    /// Lease waiting tasks to free slots, or end those whose time is over or cannot suffice any more, at most `most` of them, and
    /// none behind one whose payload was let go. Answered by [`Reply::Granted`].
    Grant {
        /// The bound.
        most: usize,
    },
    /// Write the full state of a task, or a kept key, again. Unknown ones are passed over.
    Move {
        /// Tasks to write again.
        tasks: Vec<TaskId>,
        /// Kept idempotency keys to write again, as (queue, key).
        keys: Vec<(Name, Name)>,
    },
}

/// What was asked for is answered at once.
#[derive(Clone, Debug, PartialEq)]
pub enum Reply {
    /// There is nothing to answer.
    Done,
    /// To [`Command::Submit`].
    Submitted(Result<Accepted, Refusal>),
    /// To [`Command::Cancel`]: the task as it then is, and its ending if it ended at once. None: no such open task.
    Cancelled(Option<Box<(Task, Option<Ending>)>>),
    /// To [`Command::Replay`].
    Replayed(Result<Replayed, ReplayRefusal>),
    /// To [`Command::Pause`]: whether the queue exists.
    Paused(bool),
    /// To [`Command::Hello`].
    Welcome(Result<Welcome, NotWelcome>),
    /// To [`Command::Heartbeat`]: whether to acknowledge it. A worker that is not acknowledged fences itself.
    Heard(bool),
    /// To [`Command::DrainWorker`]: whether the worker is known.
    Draining(bool),
    /// To [`Command::RevokeLease`]: the task, if the lease is its current one.
    Revoked(Option<TaskId>),
    /// To [`Command::EvictWorker`]: whether the worker is known.
    Evicted(bool),
    /// To [`Command::ResetBreaker`]: whether there is such a circuit.
    Reset(bool),
    /// To [`Command::Save`]: what became of it.
    Saved(Saved),
    /// To [`Command::Grant`]: what became of the tasks whose turn it was.
    Granted(Granted),
}

/// What became of the tasks whose turn it was.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Granted {
    /// How many were leased.
    pub leased: usize,
    /// How many were ended because their time was over.
    pub expired: usize,
    /// How many were ended because the time that was left to them could not suffice.
    pub culled: usize,
    /// How long those would have run, by what half of the runs of their types do not exceed.
    pub spared: Duration,
    /// The last one that was leased, if its payload was let go: nothing is leased behind it before whoever asks has seen what
    /// that takes to have back, and asks again.
    pub away: Option<TaskId>,
}

impl Granted {
    /// How many tasks had their turn.
    pub const fn turns(&self) -> usize {
        self.leased + self.expired + self.culled
    }
}

/// A task to accept.
#[derive(Clone, Debug)]
pub struct Submit {
    /// Its id, minted by the shell; not used if the idempotency key is known.
    pub id: TaskId,
    /// What to run.
    pub spec: TaskSpec,
    /// Only check.
    pub validate_only: bool,
}

/// A task was accepted, or was there already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Accepted {
    /// Its id.
    pub id: TaskId,
    /// Whether the idempotency key named it already.
    pub deduplicated: bool,
    /// When it is likely to be over, if that is not before the time that was asked for.
    pub late: Option<Time>,
}

/// Why a task is not accepted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The idempotency key names another task.
    #[error("idempotency key {key:?} names another task, {task}")]
    KeyConflict {
        /// The key.
        key: Name,
        /// The task it names.
        task: TaskId,
        /// The digest of that task.
        stored: [u8; 16],
        /// The digest of the one refused.
        sent: [u8; 16],
    },
    /// A bound is reached.
    #[error("{what} are at their limit: {used} of {max}")]
    Full {
        /// What there are too many of: the name of a limit, such as `limits.open_tasks`.
        what: &'static str,
        /// How much there is.
        used: u64,
        /// How much there may be.
        max: u64,
    },
    /// Its namespace has as much open as it may.
    #[error("namespace {namespace:?} is at its {what}: {used} of {max}")]
    Quota {
        /// The namespace.
        namespace: Name,
        /// What it has too much of: `open_tasks` or `open_bytes`.
        what: &'static str,
        /// How much there is.
        used: u64,
        /// How much there may be.
        max: u64,
    },
    /// A circuit is open that its leases would have to pass, and it does not want to wait.
    #[error("the circuit of {guarded} is open: {bad} of {calls} calls failed or were slow")]
    CircuitOpen {
        /// What the circuit guards.
        guarded: Guarded,
        /// How many calls had failed or were slow when it opened, whichever were more.
        bad: u32,
        /// How many calls there had been.
        calls: u32,
        /// How long it is until somebody is let through.
        wait: Duration,
    },
    /// It is unlikely to be over in time, and asks not to be accepted then.
    #[error("{0}")]
    Infeasible(Box<Infeasible>),
    /// The queue does not exist and may not be created.
    #[error("queue {queue:?} does not exist and the configuration does not allow creating it")]
    UnknownQueue {
        /// Its name.
        queue: Name,
    },
}

/// A task is unlikely to be over in time, and asks not to be accepted then.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Infeasible {
    /// What time it is.
    pub now: Time,
    /// When it would have to be over.
    pub deadline: Time,
    /// The earliest time by which it is likely to be.
    pub feasible: Time,
    /// How it would fare.
    pub estimate: Estimate,
    /// What half of the runs of its type do not exceed. None: nothing is known.
    pub usual: Option<Duration>,
}

impl fmt::Display for Infeasible {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { now, deadline, feasible, estimate, usual } = self;
        let Estimate { ahead, slots, bound_by, .. } = estimate;
        let (left, needed) = (deadline.since(*now), feasible.since(*now));
        write!(
            f,
            "the task has {left:?} and is likely to need {needed:?}: tasks before it: {ahead}, "
        )?;
        write!(f, "slots: {slots}, longest it waits for {bound_by}")?;
        usual.map_or(Ok(()), |usual| write!(f, ", half of its type run for up to {usual:?}"))
    }
}

/// A dead letter, as it was stored.
#[derive(Clone, Debug)]
pub struct Dead {
    /// The task as it ended.
    pub task: Task,
}

/// A dead letter is a task again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Replayed {
    /// Its generation now.
    pub generation: u32,
}

/// Why a dead letter is not replayed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReplayRefusal {
    /// The task is open: that generation has been replayed.
    #[error("task {0} has been replayed already")]
    AlreadyOpen(TaskId),
    /// A bound is reached, or the task's idempotency key names another task by now.
    #[error(transparent)]
    Refused(#[from] Refusal),
}

/// A worker opens a stream.
#[derive(Clone, Debug)]
pub struct Hello {
    /// The stream, never used before.
    pub stream: StreamId,
    /// The worker's own name.
    pub worker: Name,
    /// Which start of its process.
    pub instance: Name,
    /// When that was, if it says so.
    pub start: Option<Start>,
    /// Earlier starts of the worker that are gone, with everything they had started.
    pub replaces: Vec<Name>,
    /// The task types it serves.
    pub task_types: Vec<Name>,
    /// The namespaces it serves. Empty: every one.
    pub namespaces: Vec<Name>,
    /// Which payload schemas it reads.
    pub reads: SchemasRead,
    /// How many tasks it can run at once.
    pub slots: u32,
    /// How much else it has, by name, ascending.
    pub resources: Vec<(Name, u64)>,
    /// Whether it knows that a lease can take more than one slot.
    pub knows_sizes: bool,
    /// How many leases it takes beyond its slots, for when one is free.
    pub prefetch: u32,
    /// Every lease it holds or has an unacknowledged outcome of.
    pub held: Vec<HeldLease>,
    /// What it is: for people, and for tasks that ask for it.
    pub labels: Vec<(Name, Name)>,
    /// For people.
    pub software: Name,
}

/// A lease a worker says it holds.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct HeldLease {
    /// The lease.
    pub token: Token,
    /// How far its work is.
    pub phase: LeasePhase,
    /// How much it takes, as the worker says. It counts where nobody else knows.
    pub size: Size,
}

/// How far a lease's work is, says the worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LeasePhase {
    /// Received, not started.
    Pending,
    /// Started.
    Running,
    /// Ended; the outcome is still to be acknowledged.
    Finished,
}

/// The session is open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Welcome {
    /// Its id.
    pub session: SessionId,
    /// Whether it is one that went on.
    pub resumed: bool,
    /// What becomes of each held lease, in the order of the hello.
    pub verdicts: Vec<(Token, Verdict)>,
}

/// Why a worker's stream is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotWelcome {
    /// A later process of the same worker is connected.
    Outlived,
    /// An operator evicted it, or it has been told to stop something for too long that it still runs.
    Banned {
        /// For how long it is not let in.
        left: Duration,
    },
}

/// What becomes of a held lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is the worker's.
    Retained,
    /// It is not.
    Lost,
}

/// How the work of a lease ended, says the worker.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// The handler returned a result.
    Succeeded {
        /// It.
        result: Bytes,
    },
    /// The handler failed.
    Failed {
        /// How. `counted`, `token`, `worker` and `time` are filled in by the queue.
        failure: Failure,
        /// Whether trying again makes sense.
        retryable: bool,
        /// Wait at least this long.
        retry_delay: Duration,
        /// What became of the handler: it returned, or it was stopped by the worker's own clock.
        stop: StopProof,
    },
    /// The result could not be taken: recorded as a failure, answered as invalid.
    Invalid {
        /// How. `counted`, `token`, `worker` and `time` are filled in by the queue.
        failure: Failure,
    },
    /// A revocation was carried out: nothing runs any more, and this is how it came to stop.
    Stopped(StopProof),
    /// It was not worked on, or was handed back; and how it came to stop, if it ran.
    Declined(DeclineReason, StopProof),
}

/// Why a lease was not worked on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeclineReason {
    /// All slots are taken.
    NoCapacity,
    /// The worker does not serve the task type.
    Unsupported,
    /// The worker drains.
    Draining,
    /// It was asked back and had not been started.
    Retracted,
    /// It had a slot and could not be started in time.
    StartTimeout,
}
