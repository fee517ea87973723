//! How much of the cluster somebody has had, and whose turn it is for that: stride scheduling.
//!
//! It is counted in virtual time: slot-milliseconds, the more of them the smaller a weight is. It knows no queue, no key
//! and no task; who has a turn is a number here. Nothing of it is durable: after a restart all begin anew.

use std::collections::{BTreeMap, BTreeSet};

/// What a slot-millisecond is worth at weight 1. A multiple of no weight in particular, but so large that rounding down
/// loses less than a millionth at the largest weight.
const STRIDE: u128 = 1 << 40;

/// How far somebody can be behind the others when he joins them, whatever he has had elsewhere: an hour of one slot at
/// weight 1. Without it a queue that has had a pool of its own for a week would get nothing of a shared one for as long.
const LEAD_MAX: Virtual = Virtual(3_600_000 * STRIDE);

/// Of each charge one part in so many is paid though there is credit: whoever has been charged too much goes on faster than
/// others for it, and never before all of them until it is used up.
const CREDIT_SHARE: u128 = 16;

/// An amount of virtual time. It never overflows: a million slots for a thousand years are less than 2^106.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Virtual(u128);

impl Virtual {
    /// What so many slot-milliseconds are for somebody of this weight, at least 1.
    pub(crate) fn of(slot_ms: u64, weight: u32) -> Self {
        Self(u128::from(slot_ms) * STRIDE / u128::from(weight.max(1)))
    }

    fn plus(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }

    fn minus(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }
}

/// What somebody has had, ever. It only grows: what was charged and not used is set off against the next charges.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Account {
    had: Virtual,
    credit: Virtual,
}

impl Account {
    /// What it comes to.
    pub(crate) const fn had(self) -> Virtual {
        self.had
    }

    /// He has a turn at `base` and what it is reckoned to cost.
    pub(crate) fn charge(&mut self, base: Virtual, cost: Virtual) {
        let paid = self.credit.min(cost.minus(Virtual(cost.0 / CREDIT_SHARE)));
        self.credit = self.credit.minus(paid);
        self.had = self.had.max(base).plus(cost.minus(paid));
    }

    /// What was reckoned to cost so much did cost something else.
    pub(crate) fn correct(&mut self, reckoned: Virtual, actual: Virtual) {
        self.had = self.had.plus(actual.minus(reckoned));
        self.credit = self.credit.plus(reckoned.minus(actual));
    }
}

/// Those who want a turn. Whoever has had least is first; among equals the one with the smaller number.
///
/// What they have had is kept elsewhere and only grows, so that the order may hold what somebody had some time ago: it is
/// put right when he comes up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Turns<K> {
    /// Where the last one stood who had his turn as the first. Nobody stands before it, however long he was away.
    clock: Virtual,
    order: BTreeSet<(Virtual, K)>,
    seats: BTreeMap<K, Seat>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Seat {
    /// What he had when he came and is not counted against him here.
    forgiven: Virtual,
    /// Where he is listed.
    listed: Virtual,
}

impl<K: Copy + Ord> Turns<K> {
    /// Nobody yet, where the last turn was at `clock`.
    pub(crate) const fn new(clock: Virtual) -> Self {
        Self { clock, order: BTreeSet::new(), seats: BTreeMap::new() }
    }

    /// Whether nobody wants a turn.
    pub(crate) fn is_empty(&self) -> bool {
        self.seats.is_empty()
    }

    /// Somebody who has had so much wants turns, too. Says nothing new of somebody who does already.
    pub(crate) fn join(&mut self, key: K, had: Virtual) {
        if self.seats.contains_key(&key) {
            return;
        }
        let forgiven = had.minus(self.clock.plus(LEAD_MAX));
        let listed = had.minus(forgiven).max(self.clock);
        self.seats.insert(key, Seat { forgiven, listed });
        self.order.insert((listed, key));
    }

    /// Somebody wants no more turns.
    pub(crate) fn leave(&mut self, key: K) {
        if let Some(seat) = self.seats.remove(&key) {
            self.order.remove(&(seat.listed, key));
        }
    }

    /// Who is first, and where he stands.
    pub(crate) fn first(&mut self, had: impl Fn(K) -> Virtual) -> Option<(Virtual, K)> {
        loop {
            let (listed, key) = *self.order.first()?;
            let stands = self.stand(key, had(key));
            debug_assert!(listed <= stands, "what somebody has had only grows");
            if listed == stands {
                return Some((listed, key));
            }
            self.order.pop_first();
            self.order.insert((stands, key));
            if let Some(seat) = self.seats.get_mut(&key) {
                seat.listed = stands;
            }
        }
    }

    /// Where somebody stands who has had so much.
    pub(crate) fn stand(&self, key: K, had: Virtual) -> Virtual {
        let forgiven = self.seats.get(&key).map_or(Virtual::default(), |seat| seat.forgiven);
        had.minus(forgiven).max(self.clock)
    }

    /// What somebody is charged from who has his turn: all that he has had, as if he had never been away.
    pub(crate) fn base(&self, key: K, had: Virtual) -> Virtual {
        let forgiven = self.seats.get(&key).map_or(Virtual::default(), |seat| seat.forgiven);
        self.stand(key, had).plus(forgiven)
    }

    /// The first one had his turn, where he stood.
    pub(crate) fn pass(&mut self, stood: Virtual) {
        self.clock = self.clock.max(stood);
    }
}

#[cfg(test)]
mod tests;
