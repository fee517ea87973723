//! Which payloads are in memory: as many as the configuration leaves room for. The others are in the journal, and come back
//! with the batch that somebody who needs them waits for.
//!
//! What was accepted last usually runs last, so that is what goes: but not at once, as a worker may be waiting for it.

use std::collections::{HashMap, VecDeque};

use bytes::Bytes;
use leasehold_journal::Position;
use leasehold_queue::{Effect, IdHashing, Payload, Queue, Record, TaskId};

use super::{Engine, draft::READ_BYTES_MAX};
use crate::gaps::{Found, Reads};

/// The share of the room for payloads that those have which were accepted last. A task that runs at once, beside many that wait for
/// long, is leased before its payload goes.
const YOUNG_SHARE: u64 = 4;

/// A shorter payload stays: to know where it is takes as much.
const LEAST_BYTES: usize = 64;

/// How much of the room for payloads those may take that were read ahead: a share, and no more than so many bytes.
const AHEAD_SHARE: u64 = 8;
const AHEAD_BYTES_MAX: u64 = 16 << 20;

type ByTask = HashMap<TaskId, Bytes, IdHashing>;

/// The payloads of open tasks, in memory or not.
#[derive(Debug)]
pub(crate) struct Payloads {
    least_bytes: usize,
    ahead_share: u64,
    /// Those that go once the batch is durable that they are in, and so many were accepted after them that they are not the young
    /// ones any more; with how long each was.
    leaving: VecDeque<(Position, TaskId, u64)>,
    leaving_bytes: u64,
    /// What is to be read for the leases of this turn.
    asked: Reads,
    /// Those that were read for what leaves in this turn, and those that stood behind them.
    arrived: ByTask,
    behind: Vec<(TaskId, Bytes)>,
    ahead: Ahead,
}

impl Default for Payloads {
    fn default() -> Self {
        Self::new(LEAST_BYTES, AHEAD_SHARE)
    }
}

impl Payloads {
    /// Payloads that stay if they are shorter than that, and may take that share of their room (a half, a third) ahead.
    pub(crate) fn new(least_bytes: usize, ahead_share: u64) -> Self {
        Self {
            least_bytes,
            ahead_share,
            leaving: VecDeque::new(),
            leaving_bytes: 0,
            asked: Reads::default(),
            arrived: ByTask::default(),
            behind: Vec::new(),
            ahead: Ahead::default(),
        }
    }

    /// Whether it is long enough to go.
    fn can_go(&self, payload: &Payload) -> bool {
        payload.here().is_some_and(|bytes| self.least_bytes.max(1) <= bytes.len())
    }

    /// How many bytes of payloads are in memory.
    pub(super) fn bytes(&self, queue: &Queue) -> u64 {
        queue.payload_bytes() + self.ahead.bytes()
    }

    /// A record was read from a journal: what there is no room for need not be taken in.
    pub(crate) fn recover(&self, queue: &Queue, record: &mut Record, most: u64) {
        if let Record::TaskAccepted(task) | Record::TaskMoved(task) | Record::TaskReplayed(task) =
            record
            && self.can_go(&task.spec.payload)
        {
            let len = task.spec.payload.len();
            if most - young(most) < self.bytes(queue) + len as u64 {
                task.spec.payload = Payload::Away(len);
            }
        }
    }
}

/// Payloads that were read because they stood behind others. When there are too many, those go that came first.
#[derive(Debug, Default)]
struct Ahead {
    young: ByTask,
    young_bytes: u64,
    old: ByTask,
    old_bytes: u64,
}

impl Ahead {
    const fn bytes(&self) -> u64 {
        self.young_bytes + self.old_bytes
    }

    fn has(&self, task: TaskId) -> bool {
        self.young.contains_key(&task) || self.old.contains_key(&task)
    }

    /// Keeps the first of these, given how many bytes there may be: half of that of any read.
    fn keep(&mut self, payloads: Vec<(TaskId, Bytes)>, most: u64) {
        let bytes = payloads.iter().map(|(_, payload)| payload.len() as u64).sum::<u64>();
        if most / 2 < self.young_bytes + bytes {
            self.old = std::mem::take(&mut self.young);
            self.old_bytes = std::mem::take(&mut self.young_bytes);
        }
        for (task, payload) in payloads {
            let bytes = payload.len() as u64;
            if most / 2 < self.young_bytes + bytes {
                break;
            }
            let before = self.young.insert(task, payload);
            self.young_bytes += bytes;
            self.young_bytes -= before.map_or(0, |before| before.len() as u64);
        }
    }

    fn take(&mut self, task: TaskId) -> Option<Bytes> {
        if let Some(payload) = self.young.remove(&task) {
            self.young_bytes -= payload.len() as u64;
            return Some(payload);
        }
        let payload = self.old.remove(&task)?;
        self.old_bytes -= payload.len() as u64;
        Some(payload)
    }
}

impl Engine {
    /// A record has been written: if it brings a payload that there is no room for, that goes once it is durable.
    pub(super) fn weigh(&mut self, record: &Record, position: Position) {
        if let Record::TaskAccepted(task) | Record::TaskReplayed(task) = record {
            let most = self.config.limits.payload_memory;
            let payloads = &self.payloads;
            let is_full = most - young(most) < payloads.bytes(&self.queue);
            if is_full && payloads.can_go(&task.spec.payload) {
                let bytes = task.spec.payload.len() as u64;
                self.payloads.leaving.push_back((position, task.id, bytes));
                self.payloads.leaving_bytes += bytes;
            }
        }
    }

    /// Whether payloads may be asked for: not while enough are on their way. The batch that they come with begins a turn.
    pub(super) fn has_room_to_read(&self) -> bool {
        self.drafts.read_bytes() + self.payloads.asked.bytes() < READ_BYTES_MAX
    }

    /// A task was leased whose payload was let go.
    pub(super) fn ask_for(&mut self, task: TaskId) {
        if !self.payloads.ahead.has(task)
            && let Some(home) = self.keeper.home(task)
            && let Some(task) = self.queue.task(task)
        {
            self.payloads.asked.add(home, task.spec.payload.len(), &self.keeper);
        }
    }

    /// How many bytes a batch may have read ahead: as many as would be kept.
    pub(super) fn ahead_bytes(&self) -> u64 {
        self.ahead_bytes_max() / 2
    }

    fn ahead_bytes_max(&self) -> u64 {
        let room = self.config.limits.payload_memory;
        (room / self.payloads.ahead_share).min(AHEAD_BYTES_MAX)
    }

    /// Batches up to this one are durable, and this was read for what leaves with it.
    pub(super) fn take_back(&mut self, position: Position, found: Found) {
        let most = young(self.config.limits.payload_memory);
        while most < self.payloads.leaving_bytes
            && let Some(first) = self.payloads.leaving.pop_front_if(|it| it.0 <= position)
        {
            let (_, task, bytes) = first;
            // One that has moved is in another batch by now.
            if let Some(home) = self.keeper.home(task).filter(|home| position < *home) {
                self.payloads.leaving.push_back((home, task, bytes));
                continue;
            }
            self.payloads.leaving_bytes -= bytes;
            self.queue.let_go(task);
        }
        self.metrics.payloads_read(found.wanted.len() as u64);
        self.payloads.arrived.extend(found.wanted);
        self.payloads.behind.extend(found.ahead);
    }

    /// Completes assignments whose payloads are known, and has the others read.
    pub(super) fn complete(&mut self, effects: &mut [Effect]) {
        self.payloads.asked = Reads::default();
        for effect in effects {
            let Effect::Assign { assignment, .. } = effect else { continue };
            let Payload::Away(len) = assignment.spec.payload else { continue };
            let task = assignment.task;
            if let Some(payload) = self.payloads.ahead.take(task) {
                assignment.spec.payload = payload.into();
            } else {
                self.drafts.leaves(task, len, &self.keeper);
            }
        }
    }

    /// A payload that was read because the assignment of its task leaves now.
    pub(super) fn arrived(&self, task: TaskId) -> Option<Bytes> {
        self.payloads.arrived.get(&task).cloned()
    }

    /// Everything has left that could: what was read beyond that is kept for those who may be next.
    pub(super) fn keep_ahead(&mut self) {
        self.payloads.arrived.clear();
        if self.payloads.behind.is_empty() {
            return;
        }
        let mut behind = std::mem::take(&mut self.payloads.behind);
        behind.retain(|(id, _)| {
            let task = self.queue.task(*id).filter(|task| task.lease().is_none());
            task.is_some_and(|task| task.spec.payload.here().is_none())
        });
        self.payloads.ahead.keep(behind, self.ahead_bytes_max());
    }
}

/// How many bytes of so much room are for those that were accepted last.
const fn young(room: u64) -> u64 {
    room / YOUNG_SHARE
}

#[cfg(test)]
mod tests;
