//! Those who wait for the end of one task.

use std::collections::HashMap;

use leasehold_queue::{IdHashing, TaskId};
use tokio::sync::oneshot;

use crate::{handle::Waiter, snapshot::Snapshot};

#[cfg(test)]
mod tests;

/// Where the news goes.
type Sender = oneshot::Sender<Box<Snapshot>>;

/// Every waiter, by task.
#[derive(Debug, Default)]
pub(super) struct Waiters {
    by_task: HashMap<TaskId, Vec<Sender>, IdHashing>,
    count: usize,
    /// At how many waiters those who have given up are looked for.
    sweep_at: usize,
}

/// So few are not worth a sweep.
const SWEEP_MIN: usize = 64;

impl Waiters {
    /// Begins to wait, unless `most` wait already.
    pub(super) fn wait(&mut self, task: TaskId, most: usize) -> Option<Waiter> {
        if self.sweep_at.max(SWEEP_MIN) <= self.count || most <= self.count {
            self.sweep();
        }
        if most <= self.count {
            return None;
        }
        let (sender, receiver) = oneshot::channel();
        self.by_task.entry(task).or_default().push(sender);
        self.count += 1;
        Some(Waiter(receiver))
    }

    /// Whether anybody waits for the end of this task.
    pub(super) fn are_waiting_for(&self, task: TaskId) -> bool {
        self.by_task.contains_key(&task)
    }

    /// Tells everybody who waits for this task.
    pub(super) fn ended(&mut self, snapshot: &Snapshot) {
        let Some(waiting) = self.by_task.remove(&snapshot.task.id) else { return };
        self.count -= waiting.len();
        for sender in waiting {
            // Who has given up is not told.
            drop(sender.send(Box::new(snapshot.clone())));
        }
    }

    /// Forgets who has given up. Done each time their number has doubled, so it costs nothing that counts.
    fn sweep(&mut self) {
        self.by_task.retain(|_, waiting| {
            waiting.retain(|sender| !sender.is_closed());
            !waiting.is_empty()
        });
        self.count = self.by_task.values().map(Vec::len).sum();
        self.sweep_at = 2 * self.count;
    }
}
