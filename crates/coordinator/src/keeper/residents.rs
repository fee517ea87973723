//! The homes of tasks that were written again, found by their numbers at the same cost however many there are.

use std::{collections::HashMap, hash::BuildHasher as _};

use leasehold_queue::IdHashing;

use super::Home;

/// Tables that grow apart: each does so by moving everything in it, which must not be felt, though there are ten million
/// tasks.
const TABLES: usize = 256;

/// Where each of them lives, by its serial.
#[derive(Debug)]
pub(super) struct Residents(Vec<HashMap<i64, Home, IdHashing>>);

impl Default for Residents {
    fn default() -> Self {
        Self(vec![HashMap::default(); TABLES])
    }
}

impl Residents {
    pub(super) fn get(&self, serial: i64) -> Option<Home> {
        self.0.get(table(serial))?.get(&serial).copied()
    }

    pub(super) fn insert(&mut self, serial: i64, home: Home) {
        if let Some(table) = self.0.get_mut(table(serial)) {
            table.insert(serial, home);
        }
    }

    pub(super) fn remove(&mut self, serial: i64) -> Option<Home> {
        self.0.get_mut(table(serial))?.remove(&serial)
    }
}

/// By bits that the tables themselves use least.
fn table(serial: i64) -> usize {
    let hash = IdHashing::default().hash_one(serial);
    (hash >> 40) as usize % TABLES
}
