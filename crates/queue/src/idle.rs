//! Queues that were in use and are not: known until their place is needed, the one that has been idle longest first.
//!
//! It knows no task and is not durable: a queue without tasks is forgotten by a restart.

use std::collections::BTreeMap;

use crate::Name;

/// Queues without tasks.
#[derive(Clone, Debug, Default)]
pub(crate) struct Idle {
    turns: BTreeMap<Name, u64>,
    order: BTreeMap<u64, Name>,
    last: u64,
}

impl Idle {
    /// The queue is idle from here on.
    pub(crate) fn insert(&mut self, queue: &Name) {
        self.remove(queue);
        self.last += 1;
        self.turns.insert(Name::clone(queue), self.last);
        self.order.insert(self.last, Name::clone(queue));
    }

    /// The queue is in use again.
    pub(crate) fn remove(&mut self, queue: &str) {
        if let Some(turn) = self.turns.remove(queue) {
            self.order.remove(&turn);
        }
    }

    /// Forgets the queue that has been idle longest, if there is one.
    pub(crate) fn forget_one(&mut self) -> Option<Name> {
        let (_, queue) = self.order.pop_first()?;
        self.turns.remove(&queue);
        Some(queue)
    }

    /// Whether the queue is one of them.
    pub(crate) fn contains(&self, queue: &str) -> bool {
        self.turns.contains_key(queue)
    }

    /// All of them, by name.
    pub(crate) fn names(&self) -> impl Iterator<Item = &Name> {
        self.turns.keys()
    }

    /// How many there are.
    pub(crate) fn len(&self) -> u64 {
        self.turns.len() as u64
    }
}
