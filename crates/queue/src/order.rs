//! Things in order of which the first is asked for most, and is most often the only one.
//!
//! It is kept beside the others: one alone takes no memory of its own, and changing its place moves nothing.

use std::collections::BTreeSet;

/// A sorted set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Order<T> {
    /// None: there are no others either.
    first: Option<T>,
    rest: BTreeSet<T>,
}

impl<T> Default for Order<T> {
    fn default() -> Self {
        Self { first: None, rest: BTreeSet::new() }
    }
}

impl<T: Copy + Ord> Order<T> {
    /// What comes before all others.
    pub(crate) const fn first(&self) -> Option<&T> {
        self.first.as_ref()
    }

    /// Whether there is nothing.
    pub(crate) const fn is_empty(&self) -> bool {
        self.first.is_none()
    }

    /// Whether there is just one thing.
    pub(crate) fn is_single(&self) -> bool {
        self.first.is_some() && self.rest.is_empty()
    }

    /// Whether this is there.
    pub(crate) fn contains(&self, thing: &T) -> bool {
        self.first.as_ref() == Some(thing) || self.rest.contains(thing)
    }

    /// All of it.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &T> {
        self.first.iter().chain(&self.rest)
    }

    /// Takes something in.
    pub(crate) fn insert(&mut self, thing: T) {
        match self.first {
            Some(first) if first < thing => drop(self.rest.insert(thing)),
            Some(first) if first == thing => {}
            before => {
                self.rest.extend(before);
                self.first = Some(thing);
            }
        }
    }

    /// Takes something out.
    pub(crate) fn remove(&mut self, thing: &T) {
        if self.first.as_ref() == Some(thing) {
            self.first = self.rest.pop_first();
        } else {
            self.rest.remove(thing);
        }
    }

    /// Takes something in for another one, which is taken out if it is there.
    pub(crate) fn replace(&mut self, before: &T, after: T) {
        let is_still_first = || self.rest.first().is_none_or(|second| after < *second);
        if self.first.as_ref() == Some(before) && is_still_first() {
            self.first = Some(after);
        } else {
            self.remove(before);
            self.insert(after);
        }
    }
}

#[cfg(debug_assertions)]
impl<T> Order<T> {
    /// How many things there are.
    pub(crate) fn len(&self) -> usize {
        self.first.iter().len() + self.rest.len()
    }
}

#[cfg(test)]
mod tests;
