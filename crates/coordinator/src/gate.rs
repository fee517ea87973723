//! The gate: what must not leave before the journal holds a position.
//!
//! It knows neither what waits nor who appends.

use std::collections::VecDeque;

use leasehold_journal::Position;
use leasehold_policy::Mutant;

#[cfg(test)]
mod tests;

/// Things that wait, each for a position, in the order in which they leave.
#[derive(Debug)]
pub(crate) struct Gate<T> {
    waiting: VecDeque<(Position, T)>,
    durable: Position,
}

impl<T> Gate<T> {
    /// A gate of a journal that is durable up to and including `durable`.
    pub(crate) const fn new(durable: Position) -> Self {
        Self { waiting: VecDeque::new(), durable }
    }

    /// Holds a thing back until `position` is durable. Positions never decrease from call to call.
    pub(crate) fn hold(&mut self, position: Position, thing: T) {
        debug_assert!(
            self.waiting.back().is_none_or(|(last, _)| *last <= position),
            "what waits leaves in order"
        );
        self.waiting.push_back((position, thing));
    }

    /// The journal is durable up to and including `position`.
    pub(crate) fn open(&mut self, position: Position) {
        assert!(self.durable <= position, "what is durable stays durable");
        self.durable = position;
    }

    /// The next thing that may leave.
    pub(crate) fn leave(&mut self) -> Option<T> {
        let (position, _) = self.waiting.front()?;
        let early = Mutant::EffectsBeforeDurable.is_alive()
            || (Mutant::OneBatchEarly.is_alive() && position.0 <= self.durable.0 + 1);
        if self.durable < *position && !early {
            return None;
        }
        self.waiting.pop_front().map(|(_, thing)| thing)
    }

    /// Whether `position` is durable.
    pub(crate) fn is_open(&self, position: Position) -> bool {
        position <= self.durable
    }

    /// How many things wait.
    pub(crate) fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Whether nothing waits.
    pub(crate) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }
}
