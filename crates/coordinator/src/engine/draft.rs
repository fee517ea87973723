//! What is still to be appended: one open draft that turns write into, and sealed ones that wait for the writer.
//!
//! While one batch is being synced, the next gathers here: group commit without a delay. A draft's position is known
//! before it is written, because nobody else can append under our epoch.

use std::collections::VecDeque;

use bytes::Bytes;
use leasehold_journal::{Batch, FailedRow, FinishedRow, Position, RowId};
use leasehold_policy::Time;
use leasehold_queue::{Record, Task, TaskId};

use crate::{
    codec::Body,
    gaps::{Gap, Place},
    keeper::Keeper,
};

#[cfg(test)]
mod tests;

/// Where a draft is sealed: larger rows cost the database tens of milliseconds. A larger single record goes alone.
const DRAFT_BYTES_MAX: usize = 1 << 20;

/// What a row of the people's tables takes beside its texts and blobs, roughly.
const ROW_BYTES: usize = 128;

/// A batch ready to be appended.
#[derive(Debug)]
pub(crate) struct Sealed {
    /// Where it will stand.
    pub position: Position,
    /// What to append.
    pub batch: Batch,
    /// The payloads that it is to be completed with before, and those that are to be read for what leaves after.
    pub gaps: Vec<Gap>,
    /// How many records it has.
    pub records: usize,
    /// How large it is.
    pub bytes: usize,
    /// How large the last full states of all open tasks are.
    pub open_bytes: u64,
}

/// Everything that is not yet handed to the writer.
#[derive(Debug)]
pub(crate) struct Drafts {
    open: Draft,
    sealed: VecDeque<Sealed>,
    sealed_bytes: usize,
}

#[derive(Debug)]
struct Draft {
    position: Position,
    body: Body,
    batch: Batch,
    gaps: Vec<Gap>,
    records: usize,
    row_bytes: usize,
}

impl Draft {
    fn new(position: Position, now: Time, bytes: usize) -> Self {
        let (body, batch, gaps) = (Body::new(now, bytes), Batch::default(), Vec::new());
        Self { position, body, batch, gaps, records: 0, row_bytes: 0 }
    }

    fn is_empty(&self) -> bool {
        self.body.is_empty() && self.batch.meta.is_empty()
    }

    fn bytes(&self) -> usize {
        self.body.len() + self.row_bytes
    }

    fn gap(&mut self, home: Option<Position>, task: TaskId, at: Place) {
        debug_assert!(home.is_some(), "{task} was let go, and its payload is nowhere");
        self.gaps.extend(home.map(|home| Gap { home, task, at }));
    }
}

impl Drafts {
    /// Drafts of a journal whose last batch is at `head`.
    pub(crate) fn new(head: Position, now: Time) -> Self {
        let open = Draft::new(Position(head.0 + 1), now, 0);
        Self { open, sealed: VecDeque::new(), sealed_bytes: 0 }
    }

    /// Where the next record goes.
    pub(crate) fn position(&self) -> Position {
        self.open.position
    }

    /// The last position that has anything in it: what depends on all that was written waits for it.
    pub(crate) fn last(&self) -> Position {
        if self.open.is_empty() { Position(self.open.position.0 - 1) } else { self.open.position }
    }

    /// How many bytes wait for the writer.
    pub(crate) fn bytes(&self) -> usize {
        self.sealed_bytes + self.open.bytes()
    }

    /// Whether nothing waits for the writer.
    pub(crate) fn is_empty(&self) -> bool {
        self.sealed.is_empty() && self.open.is_empty()
    }

    /// Writes a record, and makes room for it first.
    pub(crate) fn record(&mut self, record: &Record, keeper: &mut Keeper, now: Time) {
        if !self.open.is_empty() && DRAFT_BYTES_MAX < self.open.bytes() + payload_bytes(record) {
            self.seal(keeper, now);
        }
        let bytes = self.open.body.push(record);
        self.open.records += 1;
        if let Some(at) = self.open.body.take_gap()
            && let Some(task) = record.task()
        {
            self.open.gap(keeper.home(task), task, Place::Body(at));
        }
        keeper.written(self.open.position, record, bytes);
    }

    /// Adds the row of a task whose end was just recorded.
    pub(crate) fn finished(&mut self, row: FinishedRow) {
        self.open.row_bytes += ROW_BYTES + row.result.len() + row.state.len() + row.leases.len();
        self.open.batch.finished.push(row);
    }

    /// Adds the row of a dead letter whose end was just recorded. A payload that was let go was at `home` until then.
    pub(crate) fn failed(&mut self, row: FailedRow, home: Option<Position>, task: &Task) {
        if task.spec.payload.here().is_none() {
            self.open.gap(home, task.id, Place::Row(self.open.batch.failed.len()));
        }
        self.open.row_bytes += ROW_BYTES
            + task.spec.payload.len()
            + row.state.len()
            + row.error_stack.len()
            + row.leases.len();
        self.open.batch.failed.push(row);
    }

    /// What leaves once all this is durable needs the payload of a task.
    pub(crate) fn leaves(&mut self, home: Option<Position>, task: TaskId) {
        self.open.gap(home, task, Place::Effects);
    }

    /// Takes away the row of a dead letter whose replay was just recorded.
    pub(crate) fn unfailed(&mut self, row_id: RowId) {
        self.open.batch.unfailed.push(row_id);
    }

    /// Keeps a fact beside the batches; an empty value removes it.
    pub(crate) fn fact(&mut self, name: String, value: Bytes) {
        self.open.batch.meta.retain(|(earlier, _)| *earlier != name);
        self.open.batch.meta.push((name, value));
    }

    /// The next batch for the writer.
    pub(crate) fn next(&mut self, keeper: &mut Keeper, now: Time) -> Option<Sealed> {
        if self.sealed.is_empty() && !self.open.is_empty() {
            self.seal(keeper, now);
        }
        let sealed = self.sealed.pop_front()?;
        self.sealed_bytes -= sealed.bytes;
        Some(sealed)
    }

    fn seal(&mut self, keeper: &mut Keeper, now: Time) {
        // As much again is likely.
        let room = self.open.body.len().min(DRAFT_BYTES_MAX);
        let next = Draft::new(Position(self.open.position.0 + 1), now, room);
        let draft = std::mem::replace(&mut self.open, next);
        let bytes = draft.bytes();
        let batch = Batch {
            body: draft.body.close(now),
            drop_before: keeper.drop_before(draft.position),
            now_ms: now.unix_ms(),
            ..draft.batch
        };
        self.sealed_bytes += bytes;
        let Draft { position, records, gaps, .. } = draft;
        let open_bytes = keeper.live_bytes();
        self.sealed.push_back(Sealed { position, batch, gaps, records, bytes, open_bytes });
    }
}

fn payload_bytes(record: &Record) -> usize {
    match record {
        Record::TaskAccepted(task) | Record::TaskMoved(task) | Record::TaskReplayed(task) => {
            let saved = task.checkpoint.as_ref().map_or(0, |checkpoint| checkpoint.data.len());
            task.spec.payload.len() + saved
        }
        Record::CheckpointSaved { data, .. } => data.len(),
        Record::EpochStarted { .. }
        | Record::LeaseGranted { .. }
        | Record::LeaseStarted { .. }
        | Record::LeaseRevoking { .. }
        | Record::LeaseExtended { .. }
        | Record::LeaseEnded { .. }
        | Record::CancelRequested { .. }
        | Record::TaskEnded { .. }
        | Record::KeyKept { .. }
        | Record::QueuePaused { .. } => 0,
    }
}
