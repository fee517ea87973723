//! Records as bytes and back: the format of a journal body and of the `state` of the people's tables.
//!
//! A body is a header (format, base time, close time), then records without any framing: the journal guards the bytes
//! with a checksum. Everything repeated within a body is written once. A reader meets only bytes that some version of
//! this file wrote, and yet trusts none of them: whatever the bytes, it answers and does not panic.

mod ledger;
mod record;
mod task;
mod terms;
#[cfg(test)]
mod tests;
mod wire;

use std::ops::{Range, RangeInclusive};

use bytes::Bytes;
use leasehold_policy::Time;
use leasehold_queue::{Ended, Ending, Record};

use crate::snapshot::Snapshot;
use wire::{Cursor, Pen};

pub(crate) use wire::Malformed;

/// The format written. Format 1, which is read as well, had no extras, and no fact in the end of a lease; format 2 wrote for
/// each task what it has in common with others.
const FORMAT: u8 = 3;

/// Every format that is read.
const FORMATS: RangeInclusive<u8> = 1..=FORMAT;

/// Format, base time, close time.
const HEADER_BYTES: usize = 1 + 8 + 8;

/// Where the close time stands in the header.
const CLOSED_AT: Range<usize> = 9..HEADER_BYTES;

/// A body that records are added to.
#[derive(Debug)]
pub(crate) struct Body {
    pen: Pen,
}

impl Body {
    /// An empty body begun at `now`, with room for so many bytes.
    pub(crate) fn new(now: Time, bytes: usize) -> Self {
        let mut pen = Pen::new(now);
        pen.reserve(bytes);
        pen.byte(FORMAT);
        pen.raw(&now.unix_ms().to_be_bytes());
        pen.raw(&now.unix_ms().to_be_bytes());
        Self { pen }
    }

    /// Adds a record and says how many bytes it took.
    pub(crate) fn push(&mut self, record: &Record) -> usize {
        let before = self.pen.len();
        self.pen.record(record);
        self.pen.len() - before
    }

    /// Where the payload belongs that the record just added does without, if it does.
    pub(crate) const fn take_gap(&mut self) -> Option<Range<usize>> {
        self.pen.take_gap()
    }

    /// How large it is.
    pub(crate) fn len(&self) -> usize {
        self.pen.len()
    }

    /// Whether nothing was added yet.
    pub(crate) fn is_empty(&self) -> bool {
        self.len() <= HEADER_BYTES
    }

    /// The bytes. `now` is kept as the last time this journal has seen.
    pub(crate) fn close(self, now: Time) -> Bytes {
        let mut bytes = self.pen.into_bytes();
        if let Some(closed) = bytes.get_mut(CLOSED_AT) {
            closed.copy_from_slice(&now.unix_ms().to_be_bytes());
        }
        Bytes::from(bytes)
    }
}

/// Reads the records of a body, one at a time.
#[derive(Debug)]
pub(crate) struct Records<'a> {
    cursor: Cursor<'a>,
    /// When the body was closed.
    pub(crate) closed: Time,
}

impl<'a> Records<'a> {
    pub(crate) fn new(body: &'a [u8]) -> Result<Self, Malformed> {
        let format = known(*body.first().ok_or(Malformed::Truncated { what: "header" })?)?;
        let (header, records) =
            body.split_at_checked(HEADER_BYTES).ok_or(Malformed::Truncated { what: "header" })?;
        let time = |bytes: Option<&[u8]>| {
            let bytes = bytes.and_then(|bytes| <[u8; 8]>::try_from(bytes).ok());
            Time::from_unix_ms(u64::from_be_bytes(bytes.unwrap_or_default()))
        };
        let base = time(header.get(1..CLOSED_AT.start));
        let closed = time(header.get(CLOSED_AT));
        Ok(Self { cursor: Cursor::new(records, format, base), closed })
    }

    /// How many bytes are left; the difference around [`next`](Iterator::next) is a record's size.
    pub(crate) fn remaining(&self) -> usize {
        self.cursor.remaining()
    }
}

impl Iterator for Records<'_> {
    type Item = Result<Record, Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        (!self.cursor.is_empty()).then(|| self.cursor.record())
    }
}

/// A task that ended, as the `state` of its row: everything but what the row holds in columns of its own.
pub(crate) fn encode_state(ended: &Ended) -> Bytes {
    let mut pen = Pen::new(ended.time);
    pen.byte(FORMAT);
    pen.raw(&ended.time.unix_ms().to_be_bytes());
    pen.byte(task::ending(ended.ending));
    pen.ended_task(&ended.task);
    Bytes::from(pen.into_bytes())
}

const fn known(format: u8) -> Result<u8, Malformed> {
    if *FORMATS.start() <= format && format <= *FORMATS.end() {
        Ok(format)
    } else {
        Err(Malformed::UnknownFormat { found: format, known: FORMAT })
    }
}

/// Reads what [`encode_state`] wrote. Payload and result are empty.
pub(crate) fn decode_state(state: &[u8]) -> Result<Snapshot, Malformed> {
    let (format, rest) = state.split_first().ok_or(Malformed::Truncated { what: "state" })?;
    let format = known(*format)?;
    let (time, rest) =
        rest.split_first_chunk::<8>().ok_or(Malformed::Truncated { what: "state" })?;
    let time = Time::from_unix_ms(u64::from_be_bytes(*time));
    let mut cursor = Cursor::new(rest, format, time);
    let ending: Ending = task::read_ending(cursor.byte("ending")?)?;
    let task = Box::new(cursor.task()?);
    Ok(Ended { task, ending, result: Bytes::new(), time }.into())
}
