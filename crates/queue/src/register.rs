//! Things that are found by their name once, and by a number from then on.
//!
//! A thing is there for as long as somebody uses it: until then its number is good.

use std::{borrow::Borrow, collections::BTreeMap};

use crate::slab::Slab;

/// Things by name and by number.
#[derive(Clone, Debug)]
pub(crate) struct Register<K, V> {
    numbers: BTreeMap<K, u32>,
    all: Slab<Entry<K, V>>,
}

#[derive(Clone, Debug)]
struct Entry<K, V> {
    name: K,
    thing: V,
    users: u32,
}

impl<K, V> Default for Register<K, V> {
    fn default() -> Self {
        Self { numbers: BTreeMap::new(), all: Slab::default() }
    }
}

impl<K: Clone + Ord, V: Default> Register<K, V> {
    /// Somebody uses the thing of this name from here on, by this number.
    pub(crate) fn take(&mut self, name: K) -> u32 {
        if let Some(number) = self.numbers.get(&name)
            && let Some(entry) = self.all.get_mut(*number)
        {
            entry.users += 1;
            return *number;
        }
        let entry = Entry { name: name.clone(), thing: V::default(), users: 1 };
        let number = self.all.insert(entry);
        self.numbers.insert(name, number);
        number
    }

    /// Somebody does not use it any more.
    pub(crate) fn give_back(&mut self, number: u32) {
        let Some(entry) = self.all.get_mut(number) else { return };
        entry.users -= 1;
        if entry.users == 0
            && let Some(entry) = self.all.remove(number)
        {
            self.numbers.remove(&entry.name);
        }
    }

    /// The thing of this name, if somebody uses it.
    pub(crate) fn find<Q: Ord + ?Sized>(&self, name: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
    {
        self.get(*self.numbers.get(name)?)
    }

    /// The thing of this number, and its name.
    pub(crate) fn entry(&self, number: u32) -> Option<(&K, &V)> {
        self.all.get(number).map(|entry| (&entry.name, &entry.thing))
    }

    /// The thing of this number.
    pub(crate) fn get(&self, number: u32) -> Option<&V> {
        self.all.get(number).map(|entry| &entry.thing)
    }

    /// The same, to be changed.
    pub(crate) fn get_mut(&mut self, number: u32) -> Option<&mut V> {
        self.all.get_mut(number).map(|entry| &mut entry.thing)
    }

    /// Every thing that somebody uses, by name.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        self.numbers.iter().filter_map(|(name, number)| Some((name, self.get(*number)?)))
    }

    /// Each of them, to be changed.
    pub(crate) fn each_mut(&mut self, change: impl Fn(&mut V)) {
        for number in self.numbers.values() {
            if let Some(entry) = self.all.get_mut(*number) {
                change(&mut entry.thing);
            }
        }
    }
}

#[cfg(debug_assertions)]
impl<K, V> Register<K, V> {
    /// How many use each thing, by its number.
    pub(crate) fn users(&self) -> BTreeMap<u32, u32> {
        self.all.iter().map(|(number, entry)| (number, entry.users)).collect()
    }
}
