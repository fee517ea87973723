//! The leases whose workers have been heard out: a repeated outcome is told apart from one that comes too late.
//!
//! It knows no task: a token may be remembered long after its task is gone.

use std::collections::VecDeque;

use crate::{Token, by_id::ById, fingerprint::Print};

/// How many tokens are remembered. A worker repeats an outcome only until it is acknowledged, so this has to span
/// the outcomes under way while one stream is down: 65,536 are seconds of full load, at 16 bytes twice.
pub(crate) const DECIDED_MAX: usize = 65_536;

/// The last tokens that were decided by their worker's word.
#[derive(Clone, Debug, Default)]
pub(crate) struct Decided {
    order: VecDeque<Token>,
    known: ById<Token, ()>,
}

impl Decided {
    /// Remembers a token, forgetting the oldest one if there are too many.
    pub(crate) fn insert(&mut self, token: Token) {
        if self.contains(token) {
            return;
        }
        self.known.insert(token, ());
        self.order.push_back(token);
        if self.order.len() > DECIDED_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.known.remove(&oldest);
        }
    }

    /// Whether the token is remembered.
    pub(crate) fn contains(&self, token: Token) -> bool {
        self.known.get(&token).is_some()
    }

    /// Every token, in the order in which they are forgotten.
    pub(crate) fn fingerprint(&self, print: &mut Print<'_>) {
        print.put(&self.order);
    }
}

#[cfg(test)]
mod tests;
