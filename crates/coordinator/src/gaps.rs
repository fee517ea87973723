//! What a batch needs of earlier ones: payloads that were let go, and that it writes again or that leave with it.
//!
//! The writer fills the gaps just before it appends the batch. Nobody else drops batches, and one is dropped at the earliest
//! together with the first that has no need of it any more: so what a gap names is there.

use std::{
    collections::{BTreeMap, BTreeSet},
    convert::Infallible,
};

use bytes::Bytes;
use leasehold_journal::{Damage, Position, ReadError, Reader};
use leasehold_policy::Mutant;
use leasehold_queue::{Record, TaskId};

use crate::{
    codec::{Malformed, Records},
    engine::Sealed,
    keeper::Keeper,
};

/// How many bytes are read ahead with one batch: of those whose payloads are needed, what their neighbours have.
const AHEAD_BYTES_MAX: u64 = 4 << 20;

/// A payload that is missing.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Gap {
    /// The batch with the last full state of its task; the one that has the gap, if the task moved there.
    pub home: Position,
    /// The task.
    pub task: TaskId,
    /// How long its payload is.
    pub len: usize,
    /// What needs it.
    pub at: Place,
}

/// What needs a payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// A record, whose payload begins at that byte of the body.
    Body(usize),
    /// That row of a dead letter.
    Row(usize),
    /// What leaves once the batch is durable.
    Effects,
}

/// What is to be read for one batch: the batches that hold it, each once, and the payloads that come of them.
#[derive(Debug, Default)]
pub(crate) struct Reads {
    homes: BTreeSet<Position>,
    bytes: u64,
}

impl Reads {
    /// A payload of that length is read, too, from the batch at `home`.
    pub(crate) fn add(&mut self, home: Position, len: usize, keeper: &Keeper) {
        if self.homes.insert(home) {
            self.bytes += keeper.bytes_of(home);
        }
        self.bytes += len as u64;
    }

    /// How many bytes that takes.
    pub(crate) const fn bytes(&self) -> u64 {
        self.bytes
    }
}

/// What was read for a batch, each payload with its task.
#[derive(Debug, Default)]
pub(crate) struct Found {
    /// For what leaves with it.
    pub wanted: Vec<(TaskId, Bytes)>,
    /// What stands behind those, and so is likely to be wanted next, in that order.
    pub ahead: Vec<(TaskId, Bytes)>,
}

/// Why a gap cannot be filled: the journal is not what was written.
#[derive(Debug, thiserror::Error)]
pub enum Unfilled {
    /// The batch cannot be read.
    #[error("a payload cannot be read back")]
    Read(#[from] ReadError<Infallible>),
    /// The batch cannot be understood.
    #[error("batch {} cannot be understood", position.0)]
    Malformed {
        /// Which.
        position: Position,
        /// How.
        #[source]
        source: Malformed,
    },
    /// The batch is whole, and does not hold what it should.
    #[error("batch {} does not hold the payload of task {task}", position.0)]
    Missing {
        /// Which.
        position: Position,
        /// Whose payload.
        task: TaskId,
    },
    /// The batch is whole, and has another payload than was let go.
    #[error("batch {} holds {found} bytes of payload of task {task}, not {expected}", position.0)]
    OfOtherLength {
        /// Which.
        position: Position,
        /// Whose payload.
        task: TaskId,
        /// How long it was.
        expected: usize,
        /// How long it is.
        found: usize,
    },
}

impl Unfilled {
    /// Whether reading it again is in vain.
    pub(crate) const fn is_damage(&self) -> bool {
        !matches!(self, Self::Read(ReadError::Database(_)))
    }
}

/// Reads one batch.
pub(crate) fn body(reader: &Reader, position: Position) -> Result<Bytes, Unfilled> {
    let row = reader.batch(position)?;
    let row = row.ok_or(ReadError::Damaged { position, damage: Damage::Missing })?;
    Ok(row.body)
}

/// The payload of a task in the batch at `position`, which may not be there any more.
pub(crate) fn payload(
    reader: &Reader,
    position: Position,
    task: TaskId,
) -> Result<Option<Bytes>, Unfilled> {
    let Some(row) = reader.batch(position)? else { return Ok(None) };
    for found in payloads_of(position, &row.body)? {
        let (id, payload) = found?;
        if id == task {
            return Ok(Some(payload));
        }
    }
    Err(Unfilled::Missing { position, task })
}

/// Fills every gap. What leaves with the batch comes back, and what was read ahead behind it.
pub(crate) fn fill(
    sealed: &mut Sealed,
    mut read: impl FnMut(Position) -> Result<Bytes, Unfilled>,
) -> Result<Found, Unfilled> {
    let mut gaps = std::mem::take(&mut sealed.gaps);
    let mut all = Found::default();
    if gaps.is_empty() {
        return Ok(all);
    }
    // Those that find theirs in this batch itself come last, when its own are filled.
    gaps.sort_by_key(|gap| gap.home);
    let homes = gaps.chunk_by(|one, other| one.home == other.home);
    // Each has its share, so that none of those whose turn it is in turns takes it all.
    let share = sealed.ahead_bytes.min(AHEAD_BYTES_MAX) / homes.clone().count() as u64;
    let mut body = Vec::from(std::mem::take(&mut sealed.batch.body));
    for gaps in homes {
        let Some(home) = gaps.first().map(|gap| gap.home) else { continue };
        let is_own = home == sealed.position;
        let is_written = |gap: &Gap| matches!(gap.at, Place::Body(_));
        debug_assert!(!is_own || !gaps.iter().any(is_written), "nobody moves from where he is to");
        let other = if is_own { Bytes::copy_from_slice(&body) } else { read(home)? };
        let mut wanted: BTreeMap<TaskId, Vec<&Gap>> = BTreeMap::new();
        for gap in gaps {
            wanted.entry(gap.task).or_default().push(gap);
        }
        let (mut room, mut is_behind) = (share, false);
        for found in payloads_of(home, &other)? {
            let (task, payload) = found?;
            if let Some(gaps) = wanted.remove(&task) {
                gaps.iter().try_for_each(|gap| check(gap, &payload))?;
                let payload = if Mutant::PayloadLost.is_alive() { Bytes::new() } else { payload };
                for gap in gaps {
                    match gap.at {
                        Place::Body(at) => write(&mut body, at, &payload),
                        Place::Row(at) => {
                            let Some(row) = sealed.batch.failed.get_mut(at) else {
                                unreachable!("a gap names a row of its own batch")
                            };
                            row.payload = Bytes::clone(&payload);
                        }
                        Place::Effects => {
                            is_behind = true;
                            all.wanted.push((task, Bytes::clone(&payload)));
                        }
                    }
                }
            } else if is_behind {
                match room.checked_sub(payload.len() as u64) {
                    Some(left) => {
                        room = left;
                        let other =
                            all.wanted.last().filter(|_| Mutant::PayloadMistaken.is_alive());
                        let payload = other.map_or(payload, |(_, other)| Bytes::clone(other));
                        all.ahead.push((task, payload));
                    }
                    None => room = 0,
                }
            }
            if wanted.is_empty() && (!is_behind || room == 0) {
                break;
            }
        }
        if let Some((task, _)) = wanted.pop_first() {
            return Err(Unfilled::Missing { position: home, task });
        }
    }
    sealed.batch.body = Bytes::from(body);
    Ok(all)
}

fn check(gap: &Gap, payload: &Bytes) -> Result<(), Unfilled> {
    let Gap { home: position, task, len: expected, .. } = *gap;
    let found = payload.len();
    if found == expected {
        return Ok(());
    }
    Err(Unfilled::OfOtherLength { position, task, expected, found })
}

fn write(body: &mut [u8], at: usize, payload: &[u8]) {
    let Some(gap) = body.get_mut(at..at + payload.len()) else {
        unreachable!("a gap is within the record that was made with it")
    };
    gap.copy_from_slice(payload);
}

/// Every payload in a batch, in order.
fn payloads_of(
    position: Position,
    body: &[u8],
) -> Result<impl Iterator<Item = Result<(TaskId, Bytes), Unfilled>>, Unfilled> {
    let malformed = move |source| Unfilled::Malformed { position, source };
    let records = Records::new(body).map_err(malformed)?;
    Ok(records.filter_map(move |record| match record {
        Ok(Record::TaskAccepted(task) | Record::TaskMoved(task) | Record::TaskReplayed(task)) => {
            Some(Ok((task.id, task.spec.payload.bytes()?)))
        }
        Ok(_) => None,
        Err(source) => Some(Err(malformed(source))),
    }))
}
