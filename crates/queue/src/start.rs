//! When a process was started: what orders the processes of one worker.
//!
//! It knows no clock: what it compares was read elsewhere, off one that nobody sets.

use std::{cmp::Ordering, time::Duration};

use crate::Name;

/// When a process was started. Two of different boots cannot be compared: neither comes before the other.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Start {
    /// Which boot of its machine it was.
    pub boot: Name,
    /// How long after that boot.
    pub after: Duration,
}

impl PartialOrd for Start {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        (self.boot == other.boot).then(|| self.after.cmp(&other.after))
    }
}
