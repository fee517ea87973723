//! What was in use and is not: known until its place is needed, what has been idle longest first.
//!
//! It knows nothing of what it keeps, and is not durable.

use std::{borrow::Borrow, collections::BTreeMap};

/// Idle things, by their names or numbers.
#[derive(Clone, Debug)]
pub(crate) struct Idle<K> {
    turns: BTreeMap<K, u64>,
    order: BTreeMap<u64, K>,
    last: u64,
}

impl<K> Default for Idle<K> {
    fn default() -> Self {
        Self { turns: BTreeMap::new(), order: BTreeMap::new(), last: 0 }
    }
}

impl<K: Clone + Ord> Idle<K> {
    /// It is idle from here on.
    pub(crate) fn insert(&mut self, key: &K) {
        self.remove(key);
        self.last += 1;
        self.turns.insert(key.clone(), self.last);
        self.order.insert(self.last, key.clone());
    }

    /// It is in use again.
    pub(crate) fn remove<Q: Ord + ?Sized>(&mut self, key: &Q)
    where
        K: Borrow<Q>,
    {
        if let Some(turn) = self.turns.remove(key) {
            self.order.remove(&turn);
        }
    }

    /// Forgets what has been idle longest, if there is anything.
    pub(crate) fn forget_one(&mut self) -> Option<K> {
        let (_, key) = self.order.pop_first()?;
        self.turns.remove(&key);
        Some(key)
    }

    /// Whether it is idle.
    pub(crate) fn contains<Q: Ord + ?Sized>(&self, key: &Q) -> bool
    where
        K: Borrow<Q>,
    {
        self.turns.contains_key(key)
    }

    /// All of them, in their own order.
    pub(crate) fn names(&self) -> impl Iterator<Item = &K> {
        self.turns.keys()
    }

    /// How many there are.
    pub(crate) fn len(&self) -> u64 {
        self.turns.len() as u64
    }
}
