//! How much: what a lease takes of its worker, what a worker has, and what of that is taken.
//!
//! It knows no task and no session.

use std::collections::BTreeSet;

use crate::Name;

/// Slots, and amounts of named resources. What it does not name it has, or takes, none of.
///
/// Nothing of it can be negative or shared out in parts: who takes, takes all of it together or nothing.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Size {
    /// Slots.
    pub slots: u32,
    /// Amounts by name, ascending, each name once and none of it zero.
    pub resources: Vec<(Name, u64)>,
}

impl Default for Size {
    /// What a lease takes that asks for nothing else: one slot.
    fn default() -> Self {
        Self { slots: 1, resources: Vec::new() }
    }
}

impl Size {
    /// Nothing at all.
    pub const NOTHING: Self = Self { slots: 0, resources: Vec::new() };

    /// Whether it is one slot, as a lease takes that asks for nothing else.
    pub fn is_plain(&self) -> bool {
        self.slots == 1 && self.resources.is_empty()
    }

    /// How much it has of a resource.
    pub fn amount(&self, name: &str) -> u64 {
        let own = self.resources.iter().find(|(own, _)| **own == *name);
        own.map_or(0, |(_, amount)| *amount)
    }

    /// Whether the other one fits into it, if nothing of it is taken. Who has no slot at the moment counts as having one: it is
    /// room that is wanting, not a worker.
    pub fn holds(&self, other: &Self) -> bool {
        let has = |(name, amount): &(Name, u64)| *amount <= self.amount(name);
        other.slots <= self.slots.max(1) && other.resources.iter().all(has)
    }

    /// Whether the other one fits into what is left of it beside what is taken.
    pub(crate) fn holds_beside(&self, taken: &Self, other: &Self) -> bool {
        let left = |name: &Name| self.amount(name).saturating_sub(taken.amount(name));
        other.slots <= self.slots.saturating_sub(taken.slots)
            && other.resources.iter().all(|(name, amount)| *amount <= left(name))
    }

    /// Whether, of what is taken by now, what this took stands in the way of another one: of something that it took there is not
    /// enough left for that.
    pub(crate) fn is_in_the_way(&self, taken: &Self, took: &Self, wanted: &Self) -> bool {
        let is_short = |all: u64, taken: u64, took: u64, wanted: u64| {
            0 < took && 0 < wanted && all.saturating_sub(taken) < wanted
        };
        let slots =
            is_short(self.slots.into(), taken.slots.into(), took.slots.into(), wanted.slots.into());
        let is_short = |(name, wanted): &(Name, u64)| {
            is_short(self.amount(name), taken.amount(name), took.amount(name), *wanted)
        };
        slots || wanted.resources.iter().any(is_short)
    }

    /// The other one is taken, too.
    pub(crate) fn add(&mut self, other: &Self) {
        self.slots = self.slots.saturating_add(other.slots);
        for (name, amount) in &other.resources {
            match self.resources.binary_search_by_key(&name, |(own, _)| own) {
                Ok(at) => {
                    if let Some((_, own)) = self.resources.get_mut(at) {
                        *own = own.saturating_add(*amount);
                    }
                }
                Err(at) => self.resources.insert(at, (Name::clone(name), *amount)),
            }
        }
    }

    /// The other one, which was taken, is not any more.
    pub(crate) fn remove(&mut self, other: &Self) {
        self.slots = self.slots.saturating_sub(other.slots);
        if other.resources.is_empty() {
            return;
        }
        for (name, own) in &mut self.resources {
            *own = own.saturating_sub(other.amount(name));
        }
        self.resources.retain(|(_, amount)| 0 < *amount);
    }

    /// How much of it is wanting, for the other one to fit in beside what is taken: the largest part of what there is in all
    /// of anything, in 2^32ths.
    pub(crate) fn lack(&self, taken: &Self, other: &Self) -> u64 {
        let part = |all: u64, taken: u64, wanted: u64| {
            let missing = (u128::from(taken) + u128::from(wanted)).saturating_sub(all.into());
            u64::try_from((missing << 32) / u128::from(all.max(1))).unwrap_or(u64::MAX)
        };
        let slots = part(self.slots.into(), taken.slots.into(), other.slots.into());
        let rest = other.resources.iter();
        let rest = rest.map(|(name, it)| part(self.amount(name), taken.amount(name), *it));
        rest.fold(slots, u64::max)
    }

    /// How many bytes its names take.
    pub(crate) fn bytes(&self) -> usize {
        self.resources.iter().map(|(name, _)| name.len()).sum()
    }
}

/// What tells sessions apart by how much they have: only what some task asks for beyond one slot, so that workers of many
/// sizes are one class where nobody asks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Measure {
    slots: bool,
    resources: BTreeSet<Name>,
}

impl Measure {
    /// Whether who has room for this is told from who has not.
    pub(crate) fn knows(&self, asked: &Size) -> bool {
        (asked.slots <= 1 || self.slots)
            && asked.resources.iter().all(|(name, _)| self.resources.contains(name))
    }

    /// Somebody asks for this.
    pub(crate) fn learn(&mut self, asked: &Size) {
        self.slots |= 1 < asked.slots;
        self.resources.extend(asked.resources.iter().map(|(name, _)| Name::clone(name)));
    }

    /// How many names of resources it has.
    pub(crate) fn len(&self) -> usize {
        self.resources.len()
    }

    /// What of all that a session has matters to anybody.
    pub(crate) fn of(&self, whole: &Size) -> Size {
        let matters = |(name, _): &&(Name, u64)| self.resources.contains(name);
        let slots = if self.slots { whole.slots.max(1) } else { 1 };
        Size { slots, resources: whole.resources.iter().filter(matters).cloned().collect() }
    }
}
