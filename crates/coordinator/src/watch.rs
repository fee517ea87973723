//! Those who watch tasks: each has one set of changed tasks, coalesced, bounded and emptied at its own pace.
//!
//! A slow watcher skips states of a task, never the last one. It knows nothing of the wire contract.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, PoisonError},
};

use leasehold_queue::{Audience, Failure, LeaseEnd, Payload, Task, TaskId};
use tokio::sync::Notify;

use crate::{queues::Queues, snapshot::Snapshot};

#[cfg(test)]
mod tests;

/// How many changed tasks may wait for one watcher.
pub const DIRTY_TASKS_MAX: usize = 65_536;

/// How many bytes may wait for one watcher: of results, failures, labels, progress and the ends of leases. Payloads are left
/// out, and the rest of a task is small.
pub const DIRTY_BYTES_MAX: usize = 16 << 20;

/// How many tasks a watcher gets at once.
const TAKEN_TASKS_MAX: usize = 512;

/// What the end of a lease takes beside its texts: half a dozen times, and numbers.
const END_BYTES: usize = 160;

/// How many of these bytes it gets at once, unless a single one is larger: well below what a message may hold.
const TAKEN_BYTES_MAX: usize = 1 << 20;

/// Which tasks to watch.
#[derive(Clone, Debug, Default)]
pub struct WatchFilter {
    /// These. Empty: all of `queues`.
    pub tasks: BTreeSet<TaskId>,
    /// Only in these queues. None: in every queue.
    pub queues: Option<Queues>,
    /// Whether to begin with the present state of each named task.
    pub include_current: bool,
}

impl WatchFilter {
    fn matches(&self, task: &Task) -> bool {
        let named = self.tasks.is_empty() || self.tasks.contains(&task.id);
        named && self.queues.as_ref().is_none_or(|queues| queues.contains(&task.spec.queue))
    }
}

/// The watcher fell too far behind: it has missed changes and must begin anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the watcher fell more than {DIRTY_TASKS_MAX} tasks or {DIRTY_BYTES_MAX} bytes behind")]
pub struct Lagged;

/// A watch under way. Dropping it ends it.
#[derive(Debug)]
pub struct Watch {
    shared: Arc<Shared>,
    /// Named tasks that were not open when the watch began: those that have ended are in the archive.
    pub absent: Vec<TaskId>,
}

#[derive(Debug, Default)]
struct Shared {
    dirty: Mutex<Dirty>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct Dirty {
    tasks: BTreeMap<TaskId, Snapshot>,
    bytes: usize,
    lagged: bool,
    ended: bool,
}

impl Watch {
    /// The next tasks that changed, without payload; waits until there are some. None: the engine is gone.
    ///
    /// Cancelling the call loses nothing.
    pub async fn next(&mut self) -> Option<Result<Vec<Snapshot>, Lagged>> {
        loop {
            let changed = self.shared.changed.notified();
            let (tasks, lagged, ended) = self.shared.lock().take();
            if !tasks.is_empty() {
                return Some(Ok(tasks));
            }
            if lagged {
                return Some(Err(Lagged));
            }
            if ended {
                return None;
            }
            changed.await;
        }
    }
}

impl Shared {
    fn lock(&self) -> std::sync::MutexGuard<'_, Dirty> {
        self.dirty.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Dirty {
    fn put(&mut self, snapshot: Snapshot) {
        let size = bytes(&snapshot);
        let replaced = self.tasks.insert(snapshot.task.id, snapshot);
        self.bytes = self.bytes + size - replaced.as_ref().map_or(0, bytes);
        if self.tasks.len() > DIRTY_TASKS_MAX || self.bytes > DIRTY_BYTES_MAX {
            *self = Self { lagged: true, ..Self::default() };
        }
    }

    fn take(&mut self) -> (Vec<Snapshot>, bool, bool) {
        let (mut taken, mut taken_bytes) = (Vec::new(), 0);
        while taken.len() < TAKEN_TASKS_MAX && taken_bytes < TAKEN_BYTES_MAX {
            let Some((_, snapshot)) = self.tasks.pop_first() else { break };
            taken_bytes += bytes(&snapshot);
            taken.push(snapshot);
        }
        self.bytes -= taken_bytes;
        (taken, self.lagged, self.ended)
    }
}

/// How large the parts of a task are that can be large.
fn bytes(snapshot: &Snapshot) -> usize {
    let task = &snapshot.task;
    let failure = |failure: &Failure| failure.message.len() + failure.details.len();
    let labels = task.spec.labels().iter().map(|(key, value)| key.len() + value.len());
    let end =
        |end: &LeaseEnd| END_BYTES + end.worker.len() + end.instance.len() + end.message.len();
    let progress = task.lease().and_then(|lease| lease.progress.as_ref());
    snapshot.ended.as_ref().map_or(0, |ended| ended.result.len())
        + task.last_failure().map_or(0, failure)
        + labels.sum::<usize>()
        + task.ends().iter().map(end).sum::<usize>()
        + progress.map_or(0, |progress| progress.message.len())
}

/// Every watcher; the engine's side.
#[derive(Debug, Default)]
pub(crate) struct Watchers {
    watchers: Vec<Watcher>,
}

#[derive(Debug)]
struct Watcher {
    filter: WatchFilter,
    shared: Arc<Shared>,
}

impl Watcher {
    /// Whether its [`Watch`] is gone.
    fn is_abandoned(&self) -> bool {
        Arc::strong_count(&self.shared) == 1
    }
}

impl Watchers {
    /// Begins a watch, unless there are `most` already. `present` are the named tasks that are open.
    pub(crate) fn watch(
        &mut self,
        filter: WatchFilter,
        most: usize,
        present: Vec<Snapshot>,
    ) -> Option<Watch> {
        self.watchers.retain(|watcher| !watcher.is_abandoned());
        if self.watchers.len() >= most {
            return None;
        }
        let shared = Arc::new(Shared::default());
        let mut absent = filter.tasks.clone();
        for snapshot in present {
            absent.remove(&snapshot.task.id);
            if filter.include_current {
                shared.lock().put(without_payload(snapshot));
            }
        }
        self.watchers.push(Watcher { filter, shared: Arc::clone(&shared) });
        Some(Watch { shared, absent: absent.into_iter().collect() })
    }

    /// Who watches, now.
    pub(crate) fn audience(&mut self) -> Audience {
        self.watchers.retain(|watcher| !watcher.is_abandoned());
        if self.watchers.is_empty() { Audience::Nobody } else { Audience::Watchers }
    }

    /// Tells everybody who watches it that a task changed. `snapshot` is made only if somebody does.
    pub(crate) fn changed(&mut self, task: &Task, snapshot: impl FnOnce() -> Snapshot) {
        let mut interested = self.watchers.iter().filter(|watcher| watcher.filter.matches(task));
        let Some(first) = interested.next() else { return };
        let snapshot = without_payload(snapshot());
        for watcher in interested {
            watcher.tell(snapshot.clone());
        }
        first.tell(snapshot);
    }
}

impl Watcher {
    fn tell(&self, snapshot: Snapshot) {
        let mut dirty = self.shared.lock();
        if dirty.lagged || self.is_abandoned() {
            return;
        }
        dirty.put(snapshot);
        drop(dirty);
        self.shared.changed.notify_one();
    }
}

impl Drop for Watchers {
    fn drop(&mut self) {
        for watcher in &self.watchers {
            watcher.shared.lock().ended = true;
            watcher.shared.changed.notify_one();
        }
    }
}

/// A watcher may lag, and must not keep the payloads of tasks that have ended.
fn without_payload(mut snapshot: Snapshot) -> Snapshot {
    if !snapshot.task.spec.payload.is_empty() {
        snapshot.task.spec.payload = Payload::default();
    }
    snapshot
}
