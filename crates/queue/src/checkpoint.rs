//! Where the next attempt of a task can go on from: the newest of what the work of its leases has saved.
//!
//! It does not know what is in a checkpoint, nor how large a single one may be.

use bytes::Bytes;
use leasehold_policy::{Mutant, Time, namespace};

use crate::{Queue, Record, SessionId, StreamId, Task, TaskId, Token, session::Work};

/// A checkpoint of a task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// The lease whose work saved it.
    pub token: Token,
    /// What it saved.
    pub data: Bytes,
    /// When the coordinator learned of it.
    pub time: Time,
}

/// What became of a checkpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Saved {
    /// It is what the next attempt gets, unless a newer one comes.
    Kept,
    /// Its lease is not the current one of its task: nothing changed.
    Stale,
    /// There is no room for it, by this bound: the one before is kept.
    NoRoom(Room),
}

/// What bounds the bytes of open tasks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Room {
    /// `limits.open_bytes`.
    All,
    /// `open_bytes` of the task's namespace.
    Namespace,
}

impl Queue {
    /// Keeps what the work of a lease saved, in place of what its task had. It may be said twice.
    pub(crate) fn save(&mut self, stream: StreamId, token: Token, data: Bytes) -> Saved {
        let Some((id, token)) = self.saver(stream, token) else { return Saved::Stale };
        let Some(task) = self.book.task(id) else { return Saved::Stale };
        let before = task.checkpoint();
        if before.is_some_and(|it| it.token == token && it.data == data) {
            return Saved::Kept;
        }
        if Mutant::CheckpointNotNewest.is_alive() && before.is_some() {
            return Saved::Kept;
        }
        let namespace = namespace::of(&task.spec.queue);
        let quota = self.config.quotas.get(namespace).and_then(|quota| quota.open_bytes);
        let bounds = [
            (Room::All, self.book.open_bytes, self.config.limits.open_bytes),
            (Room::Namespace, self.usage(namespace).bytes, quota.unwrap_or(u64::MAX)),
        ];
        let (old, new) = (task.checkpoint_bytes(), data.len() as u64);
        let is_over = |(_, used, max): &(_, u64, u64)| *max < (used - old).saturating_add(new);
        if let Some((room, ..)) = bounds.into_iter().find(is_over) {
            return Saved::NoRoom(room);
        }
        self.write(Record::CheckpointSaved { task: id, token, data, time: self.now });
        self.show(id);
        Saved::Kept
    }

    /// Whether this is the current lease of a task, held on that stream.
    pub fn is_held(&self, stream: StreamId, token: Token) -> bool {
        self.saver(stream, token).is_some()
    }

    /// The task whose current lease this is, if it is held on that stream.
    fn saver(&self, stream: StreamId, token: Token) -> Option<(TaskId, Token)> {
        let session = self.roster.on_stream(stream)?;
        let held = self.task_under(session, token).map(|task| (task, token));
        held.or_else(|| {
            self.successor(session, token).filter(|_| Mutant::CheckpointUnfenced.is_alive())
        })
    }

    /// The lease of a task that has come after one which is over, though its work is not.
    fn successor(&self, session: SessionId, token: Token) -> Option<(TaskId, Token)> {
        let Work::Zombie { task, .. } = self.roster.get(session)?.work(token)? else { return None };
        let lease = self.book.task(task?).and_then(Task::lease)?;
        Some((task?, lease.token))
    }
}
