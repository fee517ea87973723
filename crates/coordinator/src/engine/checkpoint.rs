//! Checkpoints on their way to the queue: of each lease the newest, until the disk can take it.
//!
//! They come as often as handlers like, and each one that the queue is told of is written. So while much waits for the disk,
//! or it has little room, the newest of each lease waits here. It knows nothing of what is in a checkpoint.

use std::collections::BTreeMap;

use bytes::Bytes;
use leasehold_queue::{Command, Reply, Saved, StreamId, Token};

use super::Engine;
use crate::metrics::CheckpointFate;

/// While so many bytes wait for the disk, checkpoints wait behind them: a quarter of what ends admission, so that however
/// much handlers save, tasks are still let in.
const AHEAD_BYTES_MAX: usize = super::AHEAD_BYTES_MAX / 4;

/// The newest checkpoint of each lease that has not been written. Only of leases that are held when they say so, and none
/// larger than `limits.checkpoint_bytes`; what is left of one that ended since goes with the next that are written.
#[derive(Debug, Default)]
pub(super) struct Checkpoints {
    unwritten: BTreeMap<Token, (StreamId, Bytes)>,
    /// Whether the disk has little room.
    pub(super) is_tight: bool,
}

impl Engine {
    /// The work of a lease saved something.
    pub(super) fn hear_checkpoint(&mut self, stream: StreamId, token: Token, data: Bytes) {
        if self.config.limits.checkpoint_bytes < data.len() as u64 {
            self.metrics.checkpoint(CheckpointFate::TooLarge);
        } else if self.queue.is_held(stream, token) {
            self.checkpoints.unwritten.insert(token, (stream, data));
        } else {
            self.metrics.checkpoint(CheckpointFate::Stale);
        }
    }

    /// Writes what was saved, as far as the disk can take it.
    pub(super) fn save_checkpoints(&mut self) {
        let mut room = AHEAD_BYTES_MAX.saturating_sub(self.drafts.bytes());
        while 0 < room
            && !self.checkpoints.is_tight
            && let Some((token, (stream, data))) = self.checkpoints.unwritten.pop_first()
        {
            room = room.saturating_sub(data.len());
            self.save(stream, token, data);
        }
    }

    /// What the work of a lease saved counts with its outcome, however much waits for the disk: a lease ends once. On a disk
    /// with little room, that is for the ends of tasks.
    pub(super) fn save_before_outcome(&mut self, token: Token) {
        let Some((stream, data)) = self.checkpoints.unwritten.remove(&token) else { return };
        if self.checkpoints.is_tight {
            self.metrics.checkpoint(CheckpointFate::StorageFull);
        } else {
            self.save(stream, token, data);
        }
    }

    fn save(&mut self, stream: StreamId, token: Token, data: Bytes) {
        let Reply::Saved(saved) = self.apply(Command::Save { stream, token, data }) else { return };
        self.metrics.checkpoint(match saved {
            Saved::Kept => CheckpointFate::Kept,
            Saved::Stale => CheckpointFate::Stale,
            Saved::NoRoom => CheckpointFate::NoRoom,
        });
    }
}
