//! What the shell has to write and send.

use std::time::Duration;

use bytes::Bytes;
use leasehold_policy::Time;

use crate::{
    Ending, Name, Record, RevocationReason, StopProof, StreamId, Task, TaskId, TaskSpec, Token,
    Turned,
};

/// Everything a few commands led to, in order.
#[derive(Clone, Debug, Default)]
pub struct Output {
    /// To be appended as one batch.
    pub records: Vec<Record>,
    /// To be carried out once that batch (and every one before it) is durable.
    pub effects: Vec<Effect>,
}

/// Who sees that a task changes which has not ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Audience {
    /// Somebody may: there is an [`Effect::Changed`] for each change, which is a copy of the task.
    Watchers,
    /// Nobody does.
    Nobody,
}

/// One thing to carry out once the records before it are durable.
#[derive(Clone, Debug)]
pub enum Effect {
    /// Send a task to a worker.
    Assign {
        /// The stream to send it on, and no other.
        stream: StreamId,
        /// What to send.
        assignment: Box<Assignment>,
    },
    /// Tell a worker that a lease has ended or must end.
    Revoke {
        /// The stream.
        stream: StreamId,
        /// The lease.
        token: Token,
        /// Why.
        reason: RevocationReason,
        /// How long the handler may take.
        grace: Duration,
    },
    /// Ask a worker for a lease back, unless its work has started.
    Retract {
        /// The stream.
        stream: StreamId,
        /// The lease.
        token: Token,
    },
    /// Tell a worker how long an attempt may run that asked for more time.
    Extend {
        /// The stream the request came on.
        stream: StreamId,
        /// The lease.
        token: Token,
        /// How long, counted from the request. None: it gets no more.
        remaining: Option<Duration>,
    },
    /// Tell a worker what became of an outcome.
    ResultAck {
        /// The stream the outcome came on.
        stream: StreamId,
        /// The lease.
        token: Token,
        /// What became of it.
        disposition: Disposition,
    },
    /// Tell a worker to drain.
    RequestDrain {
        /// The stream.
        stream: StreamId,
        /// How long it may wait for what it runs; none: its own setting.
        grace: Option<Duration>,
    },
    /// End a stream.
    Close {
        /// Which.
        stream: StreamId,
        /// Why.
        reason: CloseReason,
    },
    /// A worker answered for a lease that had ended without its word: what it ran of it is over now. For people alone.
    StoppedLate {
        /// The task of the lease.
        task: TaskId,
        /// The lease.
        token: Token,
        /// The worker.
        worker: Name,
        /// How it came to stop.
        stop: StopProof,
        /// How long after the end of the lease.
        late: Duration,
    },
    /// A circuit changed what it does. For people alone.
    Turned(Box<Turned>),
    /// A task changed and has not ended: here it is, for those who watch. Shares its big parts.
    Changed(Box<Task>),
    /// A task ended: here it is, for the people's tables and for those who wait.
    Ended(Ended),
}

/// A task for a worker.
#[derive(Clone, Debug, PartialEq)]
pub struct Assignment {
    /// The lease.
    pub token: Token,
    /// The task.
    pub task: TaskId,
    /// What was asked for.
    pub spec: TaskSpec,
    /// The attempt this is, counting from 1.
    pub attempt: u32,
    /// The task's generation.
    pub generation: u32,
    /// When the whole task runs out of time.
    pub deadline: Time,
    /// What an earlier attempt saved for it.
    pub checkpoint: Option<Bytes>,
    /// How long it could have been leased by then. None: this is not its first lease.
    pub waited: Option<Duration>,
}

/// What became of an outcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Disposition {
    /// It decided the attempt.
    Accepted,
    /// It had been accepted before.
    Duplicate,
    /// The lease was not current: it changed nothing.
    Stale,
    /// It was malformed: the attempt is recorded as failed.
    Invalid,
}

/// Why a stream is ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum CloseReason {
    /// The same or a newer instance of the worker opened another.
    Replaced,
    /// The session is over.
    Expired,
}

/// A task that ended.
#[derive(Clone, Debug)]
pub struct Ended {
    /// The task as it was when it ended; `last_failure` says why, unless it succeeded. A lease it ended under is
    /// still in its phase.
    pub task: Box<Task>,
    /// How.
    pub ending: Ending,
    /// What the handler returned, if it succeeded.
    pub result: Bytes,
    /// When.
    pub time: Time,
}
