//! Whose turn it is among those who share something: stride scheduling, by virtual time.
//!
//! Virtual time is slot-milliseconds, the more of them the smaller a weight is. What somebody has had is one account, whatever
//! sizes he asked for; who is first is asked for some of the sizes, so that what has no room is passed over without a look at
//! it. It knows no queue, no key and no task; who has a turn is a number here. Nothing of it is durable: after a restart all begin anew.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    ask::{AskNo, Asks},
    order::Order,
};

/// What a slot-millisecond is worth at weight 1. A multiple of no weight in particular, but so large that rounding down
/// loses less than a millionth at the largest weight.
const STRIDE: u128 = 1 << 40;

/// Of each charge one part in so many is paid though there is credit: whoever has been charged too much goes on faster than
/// others for it, and never before all of them until it is used up.
const CREDIT_SHARE: u128 = 16;

/// How many of those who are gone are remembered for having had more than their share: beyond that the one who is ahead by
/// least begins anew when he comes back.
const GONE_MAX: usize = 1_000;

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

/// Those who take turns. Of those with something at the most urgent priority whoever has had least is first; among equals
/// the one with the smaller number.
///
/// Whoever comes stands where the last turn was: nobody hoards while he is away. Whoever is only held back keeps his place,
/// so that those whom one limit holds back take turns, however far others go on meanwhile.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Turns<K> {
    /// Where the last one stood who had his turn as the first.
    clock: Virtual,
    shares: BTreeMap<K, Share>,
    /// Those with something in line, by its size: at which priority, and what they have had.
    orders: Vec<Order<(u8, Virtual, K)>>,
    /// Those who are gone and have had more than those who stay.
    gone: BTreeSet<(Virtual, K)>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Share {
    /// What he has had. It only grows: what was charged and not used is set off against the next charges.
    had: Virtual,
    credit: Virtual,
    /// Whether he has been in line since he came, and is not gone.
    is_here: bool,
    /// How many things of his stand in line of each size and priority.
    line: Vec<(Stand, u32)>,
}

/// On what occasion somebody is given something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Occasion {
    /// It is his turn as the first.
    Turn,
    /// It is not.
    Other,
}

/// Of which size something in line is, and at which priority.
pub(crate) type Stand = (AskNo, u8);

impl<K> Default for Turns<K> {
    fn default() -> Self {
        let (shares, orders, gone) = (BTreeMap::new(), Vec::new(), BTreeSet::new());
        Self { clock: Virtual::default(), shares, orders, gone }
    }
}

impl<K: Copy + Ord> Turns<K> {
    /// One more thing of somebody stands in line.
    pub(crate) fn enter(&mut self, key: K, stand: Stand) {
        let share = self.shares.entry(key).or_default();
        if !share.is_here {
            self.gone.remove(&(share.had, key));
            if share.had <= self.clock {
                (share.had, share.credit) = (self.clock, Virtual::default());
            }
            share.is_here = true;
        }
        if let Some((_, count)) = share.line.iter_mut().find(|(own, _)| *own == stand) {
            *count += 1;
            return;
        }
        share.line.push((stand, 1));
        let (ask, priority) = stand;
        if self.orders.len() <= ask.index() {
            self.orders.resize_with(ask.index() + 1, Order::default);
        }
        if let Some(order) = self.orders.get_mut(ask.index()) {
            order.insert((priority, share.had, key));
        }
    }

    /// One thing less of somebody stands in line.
    pub(crate) fn leave(&mut self, key: K, stand: Stand) {
        let Some(share) = self.shares.get_mut(&key) else { return };
        let Some(at) = share.line.iter().position(|(own, _)| *own == stand) else { return };
        let Some((_, count)) = share.line.get_mut(at) else { return };
        *count -= 1;
        if *count == 0 {
            share.line.swap_remove(at);
            let (ask, priority) = stand;
            if let Some(order) = self.orders.get_mut(ask.index()) {
                order.remove(&(priority, share.had, key));
            }
        }
    }

    /// Nothing of somebody waits any more, in line or held back.
    pub(crate) fn go(&mut self, key: K) {
        let Some(share) = self.shares.get_mut(&key) else { return };
        debug_assert!(share.line.is_empty(), "who is gone does not stand in line");
        share.is_here = false;
        if share.had <= self.clock {
            self.shares.remove(&key);
        } else {
            self.gone.insert((share.had, key));
            self.forget_the_even();
        }
    }

    /// Somebody's number is given to somebody else.
    pub(crate) fn forget(&mut self, key: K) {
        if let Some(share) = self.shares.remove(&key) {
            self.gone.remove(&(share.had, key));
        }
    }

    /// Who is first with something of one of these sizes, and at which priority.
    pub(crate) fn first(&self, asks: Asks) -> Option<(u8, K)> {
        let firsts = asks.iter().take_while(|ask| ask.index() < self.orders.len());
        let firsts = firsts.filter_map(|ask| self.orders.get(ask.index())?.first());
        firsts.min().map(|(priority, _, key)| (*priority, *key))
    }

    /// Somebody is given what is reckoned to cost so much.
    pub(crate) fn charge(&mut self, key: K, cost: Virtual, occasion: Occasion) {
        self.change(key, |share, clock| {
            if occasion == Occasion::Turn {
                *clock = share.had.max(*clock);
            }
            let paid = share.credit.min(cost.minus(Virtual(cost.0 / CREDIT_SHARE)));
            share.credit = share.credit.minus(paid);
            share.had = share.had.max(*clock).plus(cost.minus(paid));
        });
        if occasion == Occasion::Turn {
            self.forget_the_even();
        }
    }

    /// What was reckoned to cost so much did cost something else.
    pub(crate) fn correct(&mut self, key: K, reckoned: Virtual, actual: Virtual) {
        let (more, less, clock) = (actual.minus(reckoned), reckoned.minus(actual), self.clock);
        if !self.shares.contains_key(&key) && Virtual::default() < more {
            let gone = Share { had: clock, ..Share::default() };
            self.gone.insert((gone.had, key));
            self.shares.insert(key, gone);
        }
        self.change(key, |share, _| {
            share.had = share.had.plus(more);
            share.credit = share.credit.plus(less);
        });
        self.forget_the_even();
    }

    /// The same of what was had, with nothing in line.
    pub(crate) fn emptied(mut self) -> Self {
        self.orders.clear();
        self.shares.values_mut().for_each(|share| share.line.clear());
        self
    }

    /// Whether nobody is here, and nobody who is gone has to be remembered.
    pub(crate) fn is_empty(&self) -> bool {
        self.shares.is_empty()
    }

    /// Changes what somebody has had, and where the clock stands with it, and then his places.
    fn change(&mut self, key: K, change: impl FnOnce(&mut Share, &mut Virtual)) {
        let Some(share) = self.shares.get_mut(&key) else { return };
        let before = share.had;
        change(share, &mut self.clock);
        if share.had != before {
            for ((ask, priority), _) in &share.line {
                if let Some(order) = self.orders.get_mut(ask.index()) {
                    order.replace(&(*priority, before, key), (*priority, share.had, key));
                }
            }
            if !share.is_here && self.gone.remove(&(before, key)) {
                self.gone.insert((share.had, key));
            }
        }
    }

    /// Whoever is gone and not ahead of those who stay would come back as if he had never been there.
    fn forget_the_even(&mut self) {
        while let Some((had, key)) = self.gone.first().copied()
            && (had <= self.clock || GONE_MAX < self.gone.len())
        {
            self.gone.pop_first();
            self.shares.remove(&key);
        }
    }
}

#[cfg(debug_assertions)]
impl<K: Copy + Ord> Turns<K> {
    /// How many things stand in line, by whose they are, of which size and at which priority.
    pub(crate) fn line(&self) -> BTreeMap<(K, Stand), u32> {
        let of = |(key, share): (&K, &Share)| {
            let key = *key;
            share.line.clone().into_iter().map(move |(stand, count)| ((key, stand), count))
        };
        self.shares.iter().flat_map(of).collect()
    }

    /// Whether everybody stands where he says, and nobody else does.
    pub(crate) fn agree(&self) -> bool {
        let of = |(key, share): (&K, &Share)| {
            let (key, had) = (*key, share.had);
            share.line.clone().into_iter().map(move |(stand, _)| (stand, had, key))
        };
        let stands: BTreeSet<_> = self.shares.iter().flat_map(of).collect();
        let orders = AskNo::all().chain([AskNo::OTHER]).zip(&self.orders);
        let order = orders.flat_map(|(ask, order)| {
            order.iter().map(move |(priority, had, key)| ((ask, *priority), *had, *key))
        });
        let gone = self.shares.iter().filter(|(_, share)| !share.is_here);
        let gone: BTreeSet<_> = gone.map(|(key, share)| (share.had, *key)).collect();
        order.collect::<BTreeSet<_>>() == stands && gone == self.gone
    }
}

#[cfg(test)]
mod tests;
