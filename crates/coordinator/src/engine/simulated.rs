//! The engine, turned by hand: what a simulation does in place of [`run`](Engine::run), which waits.

use leasehold_policy::Time;
use leasehold_queue::Queue;

use super::{Ended, Engine};

impl Engine {
    /// Does one turn that was due then. Says when the next one is at the latest, and what time it was in this one.
    pub(crate) fn step(&mut self, due: Option<Time>) -> Result<(Option<Time>, Time), Ended> {
        self.notice_stall(due);
        match self.turn() {
            Some(ended) => Err(ended),
            None => Ok((self.due(), self.now)),
        }
    }

    /// What it owns, to be looked at.
    pub(crate) const fn queue(&self) -> &Queue {
        &self.queue
    }

    /// How many checkpoints wait for the disk to be ready for them.
    pub(crate) fn unwritten_checkpoints(&self) -> usize {
        self.checkpoints.len()
    }

    /// Whether everything it decided is durable and has left.
    pub(crate) fn is_quiet(&self) -> bool {
        let is_written = self.drafts.is_empty() && self.writing_since.is_none();
        is_written && self.gate.is_empty() && !self.is_eager
    }
}
