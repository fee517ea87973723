//! From a journal back to a queue: every batch that is left is folded, oldest first.

use std::{str, time::Duration};

use bytes::Bytes;
use leasehold_journal::{Journal, Position, QueryError, ReadError};
use leasehold_policy::Time;
use leasehold_queue::{Corrupt, Name, Queue, Record, Unknown};

use crate::{
    codec::{Malformed, Records},
    engine::Payloads,
    keeper::Keeper,
};

/// The fact that holds the longest session TTL ever promised to a worker, in milliseconds.
pub(crate) const SESSION_TTL_MAX: &str = "session_ttl_max";

/// What the names of facts about paused queues begin with.
const PAUSED: &str = "paused/";

/// The name of the fact that a queue is paused.
pub(crate) fn paused_fact(queue: &str) -> String {
    format!("{PAUSED}{queue}")
}

/// Why a journal's contents cannot be taken up. The journal names the position.
#[derive(Debug, thiserror::Error)]
pub enum Unreadable {
    /// A body is not what any version wrote, or a newer one wrote it.
    #[error("a batch cannot be understood: use the version that wrote it, or a later one")]
    Malformed(#[from] Malformed),
    /// A record contradicts the ones before it.
    #[error("a record contradicts the ones before it")]
    Corrupt(#[from] Corrupt),
}

/// Why a start failed.
#[derive(Debug, thiserror::Error)]
pub enum RecoveryError {
    /// A batch could not be read.
    #[error("the journal cannot be read")]
    Read(#[from] ReadError<Unreadable>),
    /// The facts beside the batches could not be read.
    #[error("the facts beside the journal cannot be read")]
    Facts(#[from] QueryError),
    /// A fact could not be understood.
    #[error("the fact {name:?} beside the journal is malformed")]
    Fact {
        /// Which.
        name: String,
    },
}

/// What was read.
#[derive(Debug, Default)]
pub(crate) struct Recovered {
    /// Who lives in which batch.
    pub keeper: Keeper,
    /// Which payloads stay in memory.
    pub payloads: Payloads,
    /// How many bytes of them.
    pub payload_memory: u64,
    /// The last time the journal has seen; zero if it has seen none.
    pub last: Time,
    /// How many records there were.
    pub records: u64,
}

impl Recovered {
    /// When the journal was last written, if it ever was.
    pub(crate) fn written(&self) -> Option<Time> {
        Some(self.last).filter(|last| Time::default() < *last)
    }

    /// Folds one batch into a queue.
    pub(crate) fn take_up(
        &mut self,
        queue: &mut Queue,
        position: Position,
        body: &[u8],
        unknown: Unknown,
    ) -> Result<(), Unreadable> {
        let mut records = Records::new(body)?;
        self.last = self.last.max(records.closed);
        loop {
            let before = records.remaining();
            let Some(mut record) = records.next().transpose()? else { return Ok(()) };
            self.keeper.written(position, &record, before - records.remaining());
            self.payloads.recover(queue, &mut record, self.payload_memory);
            queue.replay(record, unknown)?;
            self.records += 1;
        }
    }
}

/// Folds everything the journal holds into an empty queue, with so many bytes of payloads at the most.
pub(crate) fn replay(
    journal: &Journal,
    queue: &mut Queue,
    payload_memory: u64,
) -> Result<Recovered, RecoveryError> {
    replay_facts(&journal.meta()?, queue)?;
    let mut recovered = Recovered { payload_memory, ..Recovered::default() };
    let settled = journal.settled();
    journal.read(Position(0), |row| {
        let unknown = if row.position <= settled { Unknown::Skip } else { Unknown::Refuse };
        recovered.take_up(queue, row.position, &row.body, unknown)
    })?;
    Ok(recovered)
}

/// Pauses and promises outlive every trim, so they are read first.
pub(crate) fn replay_facts(
    facts: &[(String, Bytes)],
    queue: &mut Queue,
) -> Result<(), RecoveryError> {
    for (name, value) in facts {
        let Some(record) = fact(name, value)? else { continue };
        let replayed = queue.replay(record, Unknown::Skip);
        replayed.map_err(|_| RecoveryError::Fact { name: name.clone() })?;
    }
    Ok(())
}

fn fact(name: &str, value: &Bytes) -> Result<Option<Record>, RecoveryError> {
    if let Some(queue) = name.strip_prefix(PAUSED) {
        return Ok(Some(Record::QueuePaused { queue: Name::from(queue), paused: true }));
    }
    if name != SESSION_TTL_MAX {
        return Ok(None);
    }
    let ms = str::from_utf8(value).ok().and_then(|text| text.parse().ok());
    let ms = ms.ok_or_else(|| RecoveryError::Fact { name: name.to_owned() })?;
    let (epoch, time, session_ttl) = (0, Time::default(), Duration::from_millis(ms));
    Ok(Some(Record::EpochStarted { epoch, time, session_ttl }))
}
