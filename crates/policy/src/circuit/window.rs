//! How many calls there were lately, and how they ended: counted in parts, so that a million calls take no more room than
//! one.

use std::time::Duration;

use super::{Call, CallEnd, CircuitTerms};
use crate::Time;

/// In how many parts a window is counted. Calls leave it one part at a time, so what is in it is at least `PARTS - 1` parts
/// of its length and at most all of it.
pub const PARTS: usize = 30;

/// So many parts are the last tenth of a window.
const LATELY: u64 = PARTS as u64 / 10;

/// Calls.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// How many.
    pub calls: u32,
    /// How many of them failed.
    pub failures: u32,
    /// How many of them were slow, however they ended.
    pub slow: u32,
}

/// The calls of a stretch of time that ends now.
#[derive(Clone, Debug, Default)]
pub(super) struct Window {
    /// By the number of the part, modulo their count.
    parts: [Tally; PARTS],
    /// All of them.
    total: Tally,
    /// The number of the last part: its time since the epoch, in parts.
    newest: u64,
}

impl Tally {
    pub(super) fn of(call: Call, terms: &CircuitTerms) -> Self {
        let (failures, slow) = (call.end == CallEnd::Failed, terms.is_slow(call));
        Self { calls: 1, failures: failures.into(), slow: slow.into() }
    }

    /// Whether a circuit opens that has counted this.
    pub(super) fn opens(self, terms: &CircuitTerms) -> bool {
        let has_share = |part: u32, share: u16| {
            u64::from(self.calls) * u64::from(share) <= u64::from(part) * 1_000
        };
        let is_slow = terms.slow.is_some_and(|slow| has_share(self.slow, slow.share));
        terms.calls_min.max(1) <= self.calls
            && (is_slow || has_share(self.failures, terms.failure_share))
    }

    const fn plus(self, other: Self) -> Self {
        Self {
            calls: self.calls.saturating_add(other.calls),
            failures: self.failures.saturating_add(other.failures),
            slow: self.slow.saturating_add(other.slow),
        }
    }

    const fn minus(self, other: Self) -> Self {
        Self {
            calls: self.calls.saturating_sub(other.calls),
            failures: self.failures.saturating_sub(other.failures),
            slow: self.slow.saturating_sub(other.slow),
        }
    }
}

impl Window {
    /// What opens the circuit: what is in it, or its last tenth, as of when a call was last counted.
    pub(super) fn opens(&self, terms: &CircuitTerms) -> Option<Tally> {
        let lately = (self.newest.saturating_sub(LATELY - 1)..=self.newest)
            .filter_map(|number| self.parts.get(slot(number)))
            .fold(Tally::default(), |sum, part| sum.plus(*part));
        [self.total, lately].into_iter().find(|tally| tally.opens(terms))
    }

    /// What is in it now.
    pub(super) fn at(&self, length: Duration, now: Time) -> Tally {
        let mut window = self.clone();
        window.advance(length, now);
        window.total
    }

    pub(super) fn count(&mut self, length: Duration, now: Time, call: Tally) {
        self.advance(length, now);
        let newest = slot(self.newest);
        if let Some(part) = self.parts.get_mut(newest) {
            *part = part.plus(call);
            self.total = self.total.plus(call);
        }
    }

    fn advance(&mut self, length: Duration, now: Time) {
        let number = part_of(length, now);
        let passed = number.saturating_sub(self.newest).min(PARTS as u64);
        self.newest = self.newest.max(number);
        for number in self.newest - passed..self.newest {
            if let Some(part) = self.parts.get_mut(slot(number + 1)) {
                self.total = self.total.minus(std::mem::take(part));
            }
        }
    }
}

/// The number of the part of such a window in which this time is.
pub(super) fn part_of(length: Duration, now: Time) -> u64 {
    let length = u64::try_from(length.as_millis()).unwrap_or(u64::MAX);
    now.unix_ms() / (length / PARTS as u64).max(1)
}

fn slot(number: u64) -> usize {
    usize::try_from(number % PARTS as u64).unwrap_or_default()
}
