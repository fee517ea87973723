//! The state machine: one command in, one reply and a few records and effects out.
//!
//! It knows no clock, disk, network or runtime.

use std::time::Duration;

use leasehold_policy::Time;

use crate::{
    Blocked, Command, Config, Corrupt, KeptKey, Output, QueueView, Record, Reply, Task, TaskId,
    Unknown, WorkerView,
};

/// The leased priority queue.
#[derive(Debug)]
pub struct Queue {
    config: Config,
    epoch: u32,
    output: Output,
}

impl Queue {
    /// An empty queue whose tokens belong to `epoch`.
    pub fn new(config: Config, epoch: u32) -> Self {
        Self { config, epoch, output: Output::default() }
    }

    /// Folds one record of the journal, oldest first, before anything is applied.
    pub fn replay(&mut self, record: &Record, unknown: Unknown) -> Result<(), Corrupt> {
        let _ = (record, unknown);
        Ok(())
    }

    /// The journal is read: from here on commands are applied. Leases found in it wait for their workers.
    ///
    /// Leaves an [`Record::EpochStarted`] in the output.
    pub fn recovered(&mut self, now: Time) {
        let _ = now;
    }

    /// Does one thing. `now` never decreases from call to call.
    pub fn apply(&mut self, now: Time, command: Command) -> Reply {
        let _ = (now, command);
        Reply::Done
    }

    /// Everything to write and send since the last call.
    pub fn take_output(&mut self) -> Output {
        std::mem::take(&mut self.output)
    }

    /// When [`Command::Advance`] next has something to do.
    pub fn next_deadline(&self) -> Option<Time> {
        None
    }

    /// The task, if it has not ended.
    pub fn task(&self, id: TaskId) -> Option<&Task> {
        let _ = id;
        None
    }

    /// Every task that has not ended and has a larger id, in ascending order.
    pub fn tasks_after(&self, id: TaskId) -> impl Iterator<Item = &Task> {
        let _ = id;
        std::iter::empty()
    }

    /// Why the task is not being run; none while it is leased.
    pub fn blocked(&self, task: &Task) -> Option<Blocked> {
        let _ = task;
        None
    }

    /// Every queue, by name.
    pub fn queues(&self) -> impl Iterator<Item = QueueView> {
        std::iter::empty()
    }

    /// Every worker session, by worker name.
    pub fn workers(&self) -> impl Iterator<Item = WorkerView> {
        std::iter::empty()
    }

    /// Idempotency keys that outlive their tasks, by (queue, key).
    pub fn kept_keys(&self) -> impl Iterator<Item = KeptKey> {
        std::iter::empty()
    }

    /// How many tasks have not ended.
    pub fn open_tasks(&self) -> u64 {
        0
    }

    /// How many bytes their payloads and what is kept beside them take.
    pub fn open_bytes(&self) -> u64 {
        0
    }

    /// How many more leases can be granted before a new epoch has to be claimed.
    pub fn tokens_left(&self) -> u32 {
        u32::MAX
    }

    /// The longest session TTL ever promised to a worker.
    pub fn session_ttl_max(&self) -> Duration {
        self.config.session_ttl
    }
}
