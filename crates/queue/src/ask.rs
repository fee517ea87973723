//! The sizes of leases that a class of sessions tells apart, each called by a small number, and which of them it has room for.
//!
//! It knows no session, no task and no order.

use crate::market::ClassNo;
use crate::need::NeedNo;

/// How many sizes a class tells apart. What asks for one more waits for a session that holds nothing: that has room for all
/// that the class serves.
pub(crate) const ASKS_MAX: u8 = 64;

/// The number of a size in a class.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct AskNo(u8);

impl AskNo {
    /// One slot and nothing else.
    pub(crate) const PLAIN: Self = Self(0);
    /// Any size beyond those that are told apart.
    pub(crate) const OTHER: Self = Self(ASKS_MAX);

    /// Those of sizes that are told apart.
    pub(crate) fn all() -> impl Iterator<Item = Self> {
        (0..ASKS_MAX).map(Self)
    }

    /// Its place in a list.
    pub(crate) const fn index(self) -> usize {
        self.0 as usize
    }
}

/// Some of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Asks(u128);

impl Asks {
    /// One slot and nothing else.
    pub(crate) const PLAIN: Self = Self(1);
    /// Every one.
    pub(crate) const ALL: Self = Self(u128::MAX >> (127 - ASKS_MAX));

    /// Whether it is among them.
    pub(crate) const fn contains(self, ask: AskNo) -> bool {
        self.0 >> ask.0 & 1 == 1
    }

    /// The same with it among them.
    pub(crate) const fn with(self, ask: AskNo) -> Self {
        Self(self.0 | 1 << ask.0)
    }

    /// The same without it.
    pub(crate) const fn without(self, ask: AskNo) -> Self {
        Self(self.0 & !(1 << ask.0))
    }

    /// How many they are.
    pub(crate) const fn len(self) -> usize {
        self.0.count_ones() as usize
    }

    /// Each of them, ascending.
    pub(crate) fn iter(self) -> impl Iterator<Item = AskNo> {
        let mut left = self.0;
        std::iter::from_fn(move || {
            let next = u8::try_from(left.trailing_zeros()).ok().filter(|_| left != 0)?;
            left &= left - 1;
            Some(AskNo(next))
        })
    }
}

impl FromIterator<AskNo> for Asks {
    fn from_iter<I: IntoIterator<Item = AskNo>>(asks: I) -> Self {
        Self(asks.into_iter().fold(0, |all, ask| all | 1 << ask.0))
    }
}

/// What a class of sessions offers.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Offer<'a> {
    pub(crate) class: ClassNo,
    /// The needs that it serves, ascending.
    pub(crate) needs: &'a [(NeedNo, AskNo)],
    /// The sizes that are asked for.
    pub(crate) asks: Asks,
}

impl Offer<'_> {
    /// The same for other sizes.
    pub(crate) const fn of(self, asks: Asks) -> Self {
        Self { asks, ..self }
    }

    /// The size of a need, if it is among those that are offered.
    pub(crate) fn ask(&self, need: NeedNo) -> Option<AskNo> {
        let at = self.needs.binary_search_by_key(&need, |(own, _)| *own).ok()?;
        let (_, ask) = self.needs.get(at)?;
        self.asks.contains(*ask).then_some(*ask)
    }

    /// The needs of these sizes.
    pub(crate) fn needs(&self) -> impl Iterator<Item = NeedNo> {
        let of_size = self.needs.iter().filter(|(_, ask)| self.asks.contains(*ask));
        of_size.map(|(need, _)| *need)
    }
}
