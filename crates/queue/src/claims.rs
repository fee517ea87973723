//! The limits that the leases of a task count against, beside those of its queue, and what its work depends on.
//!
//! It is what a task asks for; how much of a limit there is, who has it and which circuit is open is known elsewhere.

use crate::Name;

/// What a lease takes beside a slot: all of it together, or it is not granted.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Claims {
    /// Concurrency keys, in their order and each once: a lease holds one permit of each.
    pub keys: Vec<Name>,
    /// Rate keys, in their order and each once, and how many tokens of each a lease takes; at least one.
    pub charges: Vec<(Name, u32)>,
    /// What its work calls, in their order and each once: a lease passes the circuit of each.
    pub dependencies: Vec<Name>,
    /// Whether it is refused, instead of waiting, while a circuit is open that it would have to pass.
    pub fails_fast: bool,
}

impl Claims {
    /// Whether it asks for nothing.
    pub fn is_empty(&self) -> bool {
        let names_nothing = self.keys.is_empty() && self.dependencies.is_empty();
        names_nothing && self.charges.is_empty() && !self.fails_fast
    }

    /// How many bytes their names take.
    pub(crate) fn bytes(&self) -> usize {
        let keys: usize = self.keys.iter().map(|key| key.len()).sum();
        let charges: usize = self.charges.iter().map(|(key, _)| key.len()).sum();
        let dependencies: usize = self.dependencies.iter().map(|name| name.len()).sum();
        keys + charges + dependencies
    }
}
