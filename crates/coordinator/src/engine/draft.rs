//! What is still to be appended: one open draft that turns write into, and sealed ones that wait for the writer.
//!
//! While one batch is being synced, the next gathers here: group commit without a delay. A draft's position is known
//! before it is written, because nobody else can append under our epoch.

use std::collections::VecDeque;

use bytes::Bytes;
use leasehold_journal::{Batch, FailedRow, FinishedRow, Position, RowId};
use leasehold_policy::Time;
use leasehold_queue::{Payload, Record, Task, TaskId};

use crate::{
    codec::Body,
    gaps::{Gap, Place, Reads},
    keeper::Keeper,
};

#[cfg(test)]
mod tests;

/// Where a draft is sealed: larger rows cost the database tens of milliseconds. A larger single record goes alone.
const DRAFT_BYTES_MAX: usize = 1 << 20;

/// How many bytes may be on their way back from earlier batches, and may be read for one: then a draft is sealed, and nothing
/// is leased that is to be read as well. It takes some hundredths of a second, for which everything else waits.
pub(super) const READ_BYTES_MAX: u64 = 16 << 20;

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
    /// How many bytes are read for that.
    pub read_bytes: u64,
    /// How many bytes more may be read of payloads that are likely to be needed next.
    pub ahead_bytes: u64,
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
    /// How many bytes are to be read for those that are sealed and not durable, and for the one of them that the writer has.
    read_bytes: u64,
    reading_bytes: u64,
}

#[derive(Debug)]
struct Draft {
    position: Position,
    body: Body,
    batch: Batch,
    gaps: Vec<Gap>,
    reads: Reads,
    records: usize,
    row_bytes: usize,
}

impl Draft {
    fn new(position: Position, now: Time, bytes: usize) -> Self {
        let (body, batch) = (Body::new(now, bytes), Batch::default());
        let (gaps, reads) = (Vec::new(), Reads::default());
        Self { position, body, batch, gaps, reads, records: 0, row_bytes: 0 }
    }

    fn is_empty(&self) -> bool {
        self.body.is_empty() && self.batch.meta.is_empty()
    }

    fn bytes(&self) -> usize {
        self.body.len() + self.row_bytes
    }

    /// What is at `home` is needed there: a task that has let its payload go has one.
    fn gap(
        &mut self,
        home: Option<Position>,
        task: TaskId,
        len: usize,
        at: Place,
        keeper: &Keeper,
    ) {
        let Some(home) = home else {
            unreachable!("{task} was let go, and its payload is nowhere")
        };
        self.reads.add(home, len, keeper);
        self.gaps.push(Gap { home, task, len, at });
    }
}

impl Drafts {
    /// Drafts of a journal whose last batch is at `head`.
    pub(crate) fn new(head: Position, now: Time) -> Self {
        let open = Draft::new(Position(head.0 + 1), now, 0);
        let sealed = VecDeque::new();
        Self { open, sealed, sealed_bytes: 0, read_bytes: 0, reading_bytes: 0 }
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

    /// How many bytes are to be read before all of this is durable.
    pub(crate) const fn read_bytes(&self) -> u64 {
        self.read_bytes + self.open.reads.bytes()
    }

    /// Whether nothing waits for the writer.
    pub(crate) fn is_empty(&self) -> bool {
        self.sealed.is_empty() && self.open.is_empty()
    }

    /// Writes a record, and makes room for it first.
    pub(crate) fn record(&mut self, record: &Record, keeper: &mut Keeper, now: Time) {
        let is_full = DRAFT_BYTES_MAX < self.open.bytes() + payload_bytes(record)
            || READ_BYTES_MAX <= self.open.reads.bytes();
        if is_full && !self.open.is_empty() {
            self.seal(keeper, now);
        }
        let bytes = self.open.body.push(record);
        self.open.records += 1;
        if let Some(gap) = self.open.body.take_gap()
            && let Some(task) = record.task()
        {
            let at = Place::Body(gap.start);
            self.open.gap(keeper.home(task), task, gap.len(), at, keeper);
        }
        keeper.written(self.open.position, record, bytes);
    }

    /// Adds the row of a task whose end was just recorded.
    pub(crate) fn finished(&mut self, row: FinishedRow) {
        self.open.row_bytes += ROW_BYTES + row.result.len() + row.state.len() + row.leases.len();
        self.open.batch.finished.push(row);
    }

    /// Adds the row of a dead letter whose end was just recorded. A payload that was let go was at `home` until then.
    pub(crate) fn failed(
        &mut self,
        row: FailedRow,
        home: Option<Position>,
        task: &Task,
        keeper: &Keeper,
    ) {
        if let Payload::Away(len) = task.spec.payload {
            let at = Place::Row(self.open.batch.failed.len());
            self.open.gap(home, task.id, len, at, keeper);
        }
        self.open.row_bytes += ROW_BYTES
            + task.spec.payload.len()
            + row.state.len()
            + row.error_stack.len()
            + row.leases.len();
        self.open.batch.failed.push(row);
    }

    /// What leaves once all this is durable needs the payload of a task, which is so long.
    pub(crate) fn leaves(&mut self, task: TaskId, len: usize, keeper: &Keeper) {
        self.open.gap(keeper.home(task), task, len, Place::Effects, keeper);
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
        self.reading_bytes = sealed.read_bytes;
        Some(sealed)
    }

    /// The batch that the writer had is durable.
    pub(crate) fn appended(&mut self) {
        self.read_bytes -= std::mem::take(&mut self.reading_bytes);
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
        let (read_bytes, open_bytes) = (draft.reads.bytes(), keeper.live_bytes());
        self.read_bytes += read_bytes;
        self.sealed.push_back(Sealed {
            position,
            batch,
            gaps,
            read_bytes,
            ahead_bytes: 0,
            records,
            bytes,
            open_bytes,
        });
    }
}

fn payload_bytes(record: &Record) -> usize {
    match record {
        Record::TaskAccepted(task) | Record::TaskMoved(task) | Record::TaskReplayed(task) => {
            let saved = task.checkpoint().map_or(0, |checkpoint| checkpoint.data.len());
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
