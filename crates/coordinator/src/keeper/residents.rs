//! The home of every open task, found by its number at the same cost however many there are.

use std::{collections::HashMap, hash::BuildHasher as _};

use leasehold_queue::{IdHashing, TaskId};

use super::Home;

/// Tables that grow apart: each does so by moving everything in it, which must not be felt, though there are ten million
/// tasks.
const TABLES: usize = 256;

/// Where each task lives, by its serial: half as large as its id, and as unique.
#[derive(Debug)]
pub(super) struct Residents(Vec<HashMap<i64, Home, IdHashing>>);

impl Default for Residents {
    fn default() -> Self {
        Self(vec![HashMap::default(); TABLES])
    }
}

impl Residents {
    pub(super) fn get(&self, id: TaskId) -> Option<Home> {
        self.0.get(table(id))?.get(&id.serial()).copied()
    }

    /// Gives a task a home. Returns the one before.
    pub(super) fn insert(&mut self, id: TaskId, home: Home) -> Option<Home> {
        self.0.get_mut(table(id))?.insert(id.serial(), home)
    }

    pub(super) fn remove(&mut self, id: TaskId) -> Option<Home> {
        self.0.get_mut(table(id))?.remove(&id.serial())
    }
}

/// By bits that the tables themselves use least.
fn table(id: TaskId) -> usize {
    let hash = IdHashing::default().hash_one(id.serial());
    (hash >> 40) as usize % TABLES
}
