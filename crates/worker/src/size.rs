//! How much a worker has, and how much of it a lease takes: slots and named resources.
//!
//! It knows no lease and no session.

use std::collections::{BTreeMap, HashMap};

use crate::Error;

/// How many resources a worker may name.
const RESOURCES_MAX: usize = 32;

/// How long the name of one may be.
const NAME_BYTES_MAX: usize = 63;

/// The largest amount of one, 2^53.
const AMOUNT_MAX: u64 = 1 << 53;

/// Slots, and amounts of named resources.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Size {
    pub(crate) slots: u32,
    /// What it does not name it has, or takes, none of.
    pub(crate) resources: BTreeMap<String, u64>,
}

impl Default for Size {
    /// One slot, as a lease takes that asks for nothing else.
    fn default() -> Self {
        Self { slots: 1, resources: BTreeMap::new() }
    }
}

impl Size {
    /// Nothing at all.
    pub(crate) const NOTHING: Self = Self { slots: 0, resources: BTreeMap::new() };

    /// Reads what the coordinator sent of a lease.
    pub(crate) fn parse(slots: i32, resources: HashMap<String, i64>) -> Self {
        let amount = |(name, amount)| Some((name, u64::try_from(amount).ok()?));
        Self {
            slots: u32::try_from(slots).unwrap_or(0).max(1),
            resources: resources.into_iter().filter_map(amount).collect(),
        }
    }

    /// The slots as the wire has them.
    pub(crate) fn wire_slots(&self) -> i32 {
        i32::try_from(self.slots).unwrap_or(i32::MAX)
    }

    /// The resources as the wire has them.
    pub(crate) fn wire_resources(&self) -> HashMap<String, i64> {
        let amount = |amount: u64| i64::try_from(amount).unwrap_or(i64::MAX);
        self.resources.iter().map(|(name, it)| (name.clone(), amount(*it))).collect()
    }

    /// Whether the other one fits into what is left beside what is taken.
    pub(crate) fn holds_beside(&self, taken: &Self, other: &Self) -> bool {
        let left = |name: &String| self.amount(name).saturating_sub(taken.amount(name));
        other.slots <= self.slots.saturating_sub(taken.slots)
            && other.resources.iter().all(|(name, amount)| *amount <= left(name))
    }

    fn amount(&self, name: &String) -> u64 {
        self.resources.get(name).copied().unwrap_or(0)
    }

    /// The other one is taken, too.
    pub(crate) fn add(&mut self, other: &Self) {
        self.slots = self.slots.saturating_add(other.slots);
        for (name, amount) in &other.resources {
            let own = self.resources.entry(name.clone()).or_default();
            *own = own.saturating_add(*amount);
        }
    }

    /// The other one, which was taken, is not any more.
    pub(crate) fn remove(&mut self, other: &Self) {
        self.slots = self.slots.saturating_sub(other.slots);
        for (name, amount) in &other.resources {
            if let Some(own) = self.resources.get_mut(name) {
                *own = own.saturating_sub(*amount);
            }
        }
    }

    /// Whether a worker may have these resources.
    pub(crate) fn check_resources(&self) -> Result<(), Error> {
        let wrong =
            |value: String, problem| Err(Error::Setting { name: "resource", value, problem });
        if RESOURCES_MAX < self.resources.len() {
            let (name, value) = ("number of resources", self.resources.len().to_string());
            return Err(Error::Setting { name, value, problem: "at most 32 are allowed" });
        }
        for (name, amount) in &self.resources {
            let is_mark = |c: u8| matches!(c, b'.' | b'_' | b'/' | b'-');
            let is_name = (1..=NAME_BYTES_MAX).contains(&name.len());
            if !is_name || !name.bytes().all(|c| c.is_ascii_alphanumeric() || is_mark(c)) {
                let problem = "its name has 1 to 63 characters of A-Z a-z 0-9 . _ / -";
                return wrong(name.clone(), problem);
            }
            if !(1..=AMOUNT_MAX).contains(amount) {
                let problem = "its amount is a whole number from 1 to 2^53";
                return wrong(format!("{name}={amount}"), problem);
            }
        }
        Ok(())
    }
}
