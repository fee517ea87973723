//! What operators look at: queues and workers as they are.
//!
//! A view is computed when it is asked for and knows nothing of how the queue keeps its state.

use leasehold_policy::Time;

use crate::{Name, SessionId, Token};

/// One queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueueView {
    /// Its name.
    pub name: Name,
    /// Whether it is paused.
    pub paused: bool,
    /// Tasks that wait for a time.
    pub scheduled: u64,
    /// Tasks that could be leased.
    pub queued: u64,
    /// Tasks under a lease.
    pub leased: u64,
    /// Since when the longest waiting of the tasks that could be leased could be.
    pub oldest_queued: Option<Time>,
}

/// One worker session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkerView {
    /// The worker's own name.
    pub worker: Name,
    /// Which start of its process.
    pub instance: Name,
    /// Its session.
    pub session: SessionId,
    /// How its session is.
    pub state: SessionState,
    /// How many tasks it can run at once.
    pub slots: u32,
    /// The leases it holds, ended ones that it has not answered for included.
    pub tokens: Vec<Token>,
    /// The task types it serves.
    pub task_types: Vec<Name>,
    /// For people.
    pub labels: Vec<(Name, Name)>,
    /// For people.
    pub software: Name,
    /// When the session began.
    pub opened: Time,
    /// When the worker was last heard.
    pub last_heard: Time,
}

/// How a session is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum SessionState {
    /// Connected, takes leases.
    Active,
    /// Finishes what it has, takes nothing new.
    Draining,
    /// Did not answer a revocation in time: gets nothing new.
    Quarantined,
    /// Its stream is gone; its leases are kept until it ends.
    Disconnected,
}

/// An idempotency key that outlives its task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptKey {
    /// The queue of the task.
    pub queue: Name,
    /// What the client called it.
    pub name: Name,
    /// The task it names.
    pub task: crate::TaskId,
    /// Until when it is kept.
    pub until: Time,
}
