//! The journal as a disk keeps it: what is durable, and nothing else.
//!
//! Batches are appended whole; a crash loses whole batches or nothing. What lies below a batch is the database's.

use std::collections::BTreeMap;

use bytes::Bytes;
use leasehold_journal::{Batch, FailedRow, FinishedRow, Position, RowId};

/// Everything durable.
#[derive(Clone, Debug, Default)]
pub struct Disk {
    batches: BTreeMap<Position, Bytes>,
    head: Position,
    settled: Position,
    epoch: u32,
    facts: BTreeMap<String, Bytes>,
    finished: BTreeMap<RowId, FinishedRow>,
    failed: BTreeMap<RowId, FailedRow>,
}

/// A batch that a journal would refuse.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused(pub String);

impl Disk {
    /// Claims an epoch, as the journal does: at least the wall clock in seconds, and more than ever before.
    pub fn claim(&mut self, unix_s: u64) -> u32 {
        self.epoch = (self.epoch + 1).max(u32::try_from(unix_s).unwrap_or(u32::MAX));
        self.epoch
    }

    /// Appends a batch.
    pub fn append(&mut self, position: Position, batch: &Batch) -> Result<(), Refused> {
        if position.0 != self.head.0 + 1 {
            return Err(Refused(format!("batch {position:?} after {:?}", self.head)));
        }
        for row_id in &batch.unfailed {
            if self.failed.remove(row_id).is_none() {
                return Err(Refused(format!("there is no dead letter {row_id}")));
            }
        }
        self.finished.extend(batch.finished.iter().map(|row| (row.row_id, row.clone())));
        self.failed.extend(batch.failed.iter().map(|row| (row.row_id, row.clone())));
        self.finished.retain(|_, row| batch.now_ms < row.expire_ms);
        self.failed.retain(|_, row| batch.now_ms < row.expire_ms);
        for (name, value) in &batch.meta {
            if value.is_empty() {
                self.facts.remove(name);
            } else {
                self.facts.insert(name.clone(), value.clone());
            }
        }
        self.batches.insert(position, batch.body.clone());
        self.head = position;
        if let Some(first) = batch.drop_before {
            self.trim(first)?;
        }
        Ok(())
    }

    fn trim(&mut self, first: Position) -> Result<(), Refused> {
        if self.head < first {
            return Err(Refused(format!("a trim before {first:?} beyond {:?}", self.head)));
        }
        let kept = self.batches.split_off(&first);
        if !self.batches.is_empty() {
            self.settled = self.head;
        }
        self.batches = kept;
        Ok(())
    }

    /// Every batch that is left, oldest first.
    pub fn batches(&self) -> Vec<(Position, &Bytes)> {
        self.batches.iter().map(|(position, body)| (*position, body)).collect()
    }

    /// One batch, if it is left.
    pub fn batch(&self, position: Position) -> Option<&Bytes> {
        self.batches.get(&position)
    }

    /// The last batch there ever was.
    pub const fn head(&self) -> Position {
        self.head
    }

    /// The head at the last trim.
    pub const fn settled(&self) -> Position {
        self.settled
    }

    /// The epoch that was claimed last.
    pub const fn epoch(&self) -> u32 {
        self.epoch
    }

    /// The facts beside the batches.
    pub fn facts(&self) -> Vec<(String, Bytes)> {
        self.facts.iter().map(|(name, value)| (name.clone(), value.clone())).collect()
    }

    /// A task that succeeded or was cancelled.
    pub fn finished(&self, row_id: RowId) -> Option<&FinishedRow> {
        self.finished.get(&row_id)
    }

    /// A dead letter.
    pub fn failed(&self, row_id: RowId) -> Option<&FailedRow> {
        self.failed.get(&row_id)
    }

    /// Every dead letter.
    pub fn dead_letters(&self) -> impl Iterator<Item = &FailedRow> {
        self.failed.values()
    }
}
