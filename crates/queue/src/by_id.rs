//! Things that are found by their ids, in the same time however many there are.
//!
//! A table has an order that means nothing: what depends on one goes by [`ids`](ById::ids).

use std::{
    hash::{BuildHasher as _, Hash},
    mem,
};

use hashbrown::{HashTable, hash_table::Entry};

use crate::IdHashing;

/// Things by id.
#[derive(Clone, Debug)]
pub(crate) struct ById<K, V>(HashTable<(K, V)>);

impl<K, V> Default for ById<K, V> {
    fn default() -> Self {
        Self(HashTable::new())
    }
}

impl<K: Copy + Ord + Hash, V> ById<K, V> {
    /// The thing of this id.
    pub(crate) fn get(&self, id: &K) -> Option<&V> {
        self.0.find(hash(id), |(own, _)| own == id).map(|(_, thing)| thing)
    }

    /// The same, to be changed.
    pub(crate) fn get_mut(&mut self, id: &K) -> Option<&mut V> {
        self.0.find_mut(hash(id), |(own, _)| own == id).map(|(_, thing)| thing)
    }

    /// Whether there is one of this id.
    #[cfg(debug_assertions)]
    pub(crate) fn contains(&self, id: &K) -> bool {
        self.get(id).is_some()
    }

    /// Takes a thing in, for the one that had its id.
    pub(crate) fn insert(&mut self, id: K, thing: V) -> Option<V> {
        match self.0.entry(hash(&id), |(own, _)| *own == id, |(own, _)| hash(own)) {
            Entry::Occupied(mut place) => Some(mem::replace(&mut place.get_mut().1, thing)),
            Entry::Vacant(place) => {
                place.insert((id, thing));
                None
            }
        }
    }

    /// Takes a thing out.
    pub(crate) fn remove(&mut self, id: &K) -> Option<V> {
        let found = self.0.find_entry(hash(id), |(own, _)| own == id).ok()?;
        let ((_, thing), _) = found.remove();
        Some(thing)
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The id of each, ascending.
    pub(crate) fn ids(&self) -> Vec<K> {
        let mut ids: Vec<K> = self.0.iter().map(|(id, _)| *id).collect();
        ids.sort_unstable();
        ids
    }

    /// Each with its id, by that.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (K, &V)> {
        self.ids().into_iter().filter_map(|id| Some((id, self.get(&id)?)))
    }

    /// Each with its id, for what comes out the same in any order.
    pub(crate) fn unordered(&self) -> impl Iterator<Item = (&K, &V)> {
        self.0.iter().map(|(id, thing)| (id, thing))
    }

    /// The same, to be changed.
    pub(crate) fn unordered_mut(&mut self) -> impl Iterator<Item = &mut V> {
        self.0.iter_mut().map(|(_, thing)| thing)
    }
}

fn hash(id: &impl Hash) -> u64 {
    IdHashing::default().hash_one(id)
}
