//! A task as the coordinator shows it: open or ended, and always durable.
//!
//! Nothing here knows the wire contract, nor of the journal more than where in it a payload is.

use std::collections::BTreeSet;

use bytes::Bytes;
use leasehold_journal::Position;
use leasehold_policy::Time;
use leasehold_queue::{
    Blocked, Ended, Ending, Explanation, Obstacle, Payload, Queue, SchemaPrint, Task,
};

/// A task at one moment. Cheap to clone: the payload and all long texts are shared.
#[derive(Clone, Debug, PartialEq)]
pub struct Snapshot {
    /// The task. Once it has ended, as it was when it ended.
    pub task: Task,
    /// Why it is not being run. None while it is leased and once it has ended.
    pub blocked: Option<Blocked>,
    /// The payload schemas that are read where it waits because its own is not. Empty: it does not wait for that.
    pub read_instead: BTreeSet<SchemaPrint>,
    /// The limit that keeps it from being leased, if one does.
    pub obstacle: Option<Obstacle>,
    /// How it ended, if it has.
    pub ended: Option<EndedView>,
    /// Where its payload was when it was shown, if that was let go and the task is open.
    pub home: Option<Position>,
}

/// How a task ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndedView {
    /// Well or not.
    pub ending: Ending,
    /// What the handler returned, if it succeeded. Empty in lists.
    pub result: Bytes,
    /// When.
    pub time: Time,
}

/// A task, and why it is where it is.
#[derive(Clone, Debug, PartialEq)]
pub struct Explained {
    /// The task.
    pub snapshot: Snapshot,
    /// What is known of that beside. None: it has ended.
    pub explanation: Option<Explanation>,
}

impl Explained {
    /// A task that has not ended, as a queue has it.
    pub(crate) fn of(queue: &Queue, task: &Task) -> Self {
        let explanation = Some(queue.explain(task));
        Self { snapshot: Snapshot::of(queue, task), explanation }
    }
}

impl From<Snapshot> for Explained {
    /// A task that has ended.
    fn from(snapshot: Snapshot) -> Self {
        Self { snapshot, explanation: None }
    }
}

impl Snapshot {
    /// A task that has not ended, as a queue has it.
    pub(crate) fn of(queue: &Queue, task: &Task) -> Self {
        Self {
            task: task.clone(),
            blocked: queue.blocked(task),
            read_instead: queue.read_instead(task),
            obstacle: queue.obstacle(task),
            ended: None,
            home: None,
        }
    }
}

impl From<Ended> for Snapshot {
    /// Its payload is only shown while it can still be wanted: of a dead letter. What of others is in memory is chance.
    fn from(ended: Ended) -> Self {
        let Ended { task, ending, result, time } = ended;
        let mut task = *task;
        if ending != Ending::Failed {
            task.spec.payload = Payload::default();
        }
        let ended = Some(EndedView { ending, result, time });
        let read_instead = BTreeSet::new();
        Self { task, blocked: None, obstacle: None, read_instead, ended, home: None }
    }
}
