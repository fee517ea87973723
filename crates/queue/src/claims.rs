//! The limits that the leases of a task count against, beside those of its queue.
//!
//! It is what a task asks for; how much of a limit there is and who has it is known elsewhere.

use crate::Name;

/// What a lease takes beside a slot: all of it together, or it is not granted.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Claims {
    /// Concurrency keys, in their order and each once: a lease holds one permit of each.
    pub keys: Vec<Name>,
    /// Rate keys, in their order and each once, and how many tokens of each a lease takes; at least one.
    pub charges: Vec<(Name, u32)>,
}

impl Claims {
    /// Whether there is nothing to take.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty() && self.charges.is_empty()
    }

    /// How many bytes their names take.
    pub(crate) fn bytes(&self) -> usize {
        let keys: usize = self.keys.iter().map(|key| key.len()).sum();
        let charges: usize = self.charges.iter().map(|(key, _)| key.len()).sum();
        keys + charges
    }
}
