//! Checkpoints on their way to the queue: of each lease the newest, until the disk can take it.
//!
//! They come as often as handlers like, and each one that the queue is told of is written. So while much waits for the disk,
//! or it has little room, the newest of each lease waits here. It knows nothing of what is in a checkpoint.

use std::{
    collections::BTreeMap,
    ops::Bound::{Excluded, Unbounded},
};

use bytes::Bytes;
use leasehold_queue::{Command, Reply, Room, Saved, StreamId, Token};

use super::Engine;
use crate::metrics::CheckpointFate;

/// While so many bytes wait for the disk, checkpoints wait behind them: a quarter of what ends admission, so that however
/// much handlers save, tasks are still let in.
const AHEAD_BYTES_MAX: usize = super::AHEAD_BYTES_MAX / 4;

/// The newest checkpoint of each lease that has not been written, none larger than `limits.checkpoint_bytes`. Only of leases
/// that are held on the stream that says so: with each heartbeat the others go, and with the stream all.
#[derive(Debug, Default)]
pub(super) struct Checkpoints {
    unwritten: BTreeMap<(StreamId, Token), Bytes>,
    /// Whose was written last: the next one's turn comes then, so that none waits for ever behind others.
    served: Option<(StreamId, Token)>,
    /// Whether the disk has little room.
    pub(super) is_tight: bool,
}

impl Engine {
    /// The work of a lease saved something.
    pub(super) fn hear_checkpoint(&mut self, stream: StreamId, token: Token, data: Bytes) {
        if self.config.limits.checkpoint_bytes < data.len() as u64 {
            self.metrics.checkpoint(CheckpointFate::TooLarge);
        } else if self.queue.is_held(stream, token) {
            self.checkpoints.unwritten.insert((stream, token), data);
        } else {
            self.metrics.checkpoint(CheckpointFate::Stale);
        }
    }

    /// Writes what was saved, as far as the disk can take it.
    pub(super) fn save_checkpoints(&mut self) {
        let mut room = AHEAD_BYTES_MAX.saturating_sub(self.drafts.bytes());
        while 0 < room
            && !self.checkpoints.is_tight
            && let Some(((stream, token), data)) = self.checkpoints.take_next()
        {
            room = room.saturating_sub(data.len());
            self.save(stream, token, data);
        }
    }

    /// What the work of a lease saved counts with its outcome, however much waits for the disk: a lease ends once. On a disk
    /// with little room, that is for the ends of tasks.
    pub(super) fn save_before_outcome(&mut self, stream: StreamId, token: Token) {
        let Some(data) = self.checkpoints.unwritten.remove(&(stream, token)) else { return };
        if self.checkpoints.is_tight {
            self.metrics.checkpoint(CheckpointFate::StorageFull);
        } else {
            self.save(stream, token, data);
        }
    }

    /// The same for all that was saved on a stream that is over: if its worker is dead, nobody says it again.
    pub(super) fn save_before_leaving(&mut self, stream: StreamId) {
        for token in self.checkpoints.of(stream) {
            self.save_before_outcome(stream, token);
        }
    }

    /// The worker has said what it holds: what it saved under other leases is of no use any more.
    pub(super) fn forget_checkpoints_not_held(&mut self, stream: StreamId) {
        for token in self.checkpoints.of(stream) {
            if !self.queue.is_held(stream, token) {
                self.checkpoints.unwritten.remove(&(stream, token));
                self.metrics.checkpoint(CheckpointFate::Stale);
            }
        }
    }

    fn save(&mut self, stream: StreamId, token: Token, data: Bytes) {
        let Reply::Saved(saved) = self.apply(Command::Save { stream, token, data }) else { return };
        if let Saved::NoRoom(room) = saved {
            let bound = match room {
                Room::All => "limits.open_bytes",
                Room::Namespace => "open_bytes of the task's namespace",
            };
            tracing::debug!(%token, bound, "no room for a checkpoint: a bound is reached");
        }
        self.metrics.checkpoint(match saved {
            Saved::Kept => CheckpointFate::Kept,
            Saved::Stale => CheckpointFate::Stale,
            Saved::NoRoom(_) => CheckpointFate::NoRoom,
        });
    }
}

impl Checkpoints {
    /// Takes out the one whose turn it is.
    fn take_next(&mut self) -> Option<((StreamId, Token), Bytes)> {
        let later =
            self.served.and_then(|it| self.unwritten.range((Excluded(it), Unbounded)).next());
        let key = *later.or_else(|| self.unwritten.first_key_value())?.0;
        self.served = Some(key);
        self.unwritten.remove_entry(&key)
    }

    pub(super) fn len(&self) -> usize {
        self.unwritten.len()
    }

    /// The leases that have one on a stream.
    fn of(&self, stream: StreamId) -> Vec<Token> {
        let leases = (stream, Token::from_i64(i64::MIN))..=(stream, Token::from_i64(i64::MAX));
        self.unwritten.range(leases).map(|((_, token), _)| *token).collect()
    }
}

#[cfg(test)]
mod tests;
