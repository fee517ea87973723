//! What a worker keeps of each lease, found by the lease's token.

use std::{
    collections::{HashMap, hash_map::Entry},
    hash::{BuildHasherDefault, Hasher},
};

use crate::assignment::Token;

/// By token, in no order. There are several for each task that a worker runs, and a tree is read and written in several places
/// for each.
///
/// What is kept lies beside the table: that is as large as most were held at a time, and all over it is where the next one goes. A
/// place that is free again is used first, so that what few leases need is in the processor's cache.
#[derive(Debug)]
pub(crate) struct Held<T> {
    places: HashMap<Token, usize, BuildHasherDefault<TokenHasher>>,
    kept: Vec<Option<T>>,
    /// The places in `kept` with nothing.
    free: Vec<usize>,
}

impl<T> Default for Held<T> {
    fn default() -> Self {
        Self { places: HashMap::default(), kept: Vec::new(), free: Vec::new() }
    }
}

impl<T> Held<T> {
    /// Keeps it; what was kept by this token before, if anything was.
    pub(crate) fn insert(&mut self, token: Token, it: T) -> Option<T> {
        let entry = match self.places.entry(token) {
            Entry::Occupied(place) => return self.kept.get_mut(*place.get())?.replace(it),
            Entry::Vacant(entry) => entry,
        };
        let place = self.free.pop().unwrap_or(self.kept.len());
        entry.insert(place);
        match self.kept.get_mut(place) {
            Some(free) => *free = Some(it),
            None => self.kept.push(Some(it)),
        }
        None
    }

    pub(crate) fn remove(&mut self, token: Token) -> Option<T> {
        let place = self.places.remove(&token)?;
        self.free.push(place);
        self.kept.get_mut(place)?.take()
    }

    pub(crate) fn get(&self, token: Token) -> Option<&T> {
        self.kept.get(*self.places.get(&token)?)?.as_ref()
    }

    pub(crate) fn get_mut(&mut self, token: Token) -> Option<&mut T> {
        self.kept.get_mut(*self.places.get(&token)?)?.as_mut()
    }

    /// All of them, in no order.
    pub(crate) fn values(&self) -> impl Iterator<Item = &T> {
        self.kept.iter().flatten()
    }

    /// The same, to be changed.
    pub(crate) fn values_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.kept.iter_mut().flatten()
    }

    pub(crate) fn len(&self) -> usize {
        self.places.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// All of it, by ascending token: for what is done or said in an order, which must not be that of a table.
    pub(crate) fn ascending(&self) -> impl Iterator<Item = (Token, &T)> {
        let mut all: Vec<(Token, usize)> =
            self.places.iter().map(|(token, place)| (*token, *place)).collect();
        all.sort_unstable_by_key(|(token, _)| *token);
        all.into_iter().filter_map(|(token, place)| Some((token, self.kept.get(place)?.as_ref()?)))
    }
}

/// Places tokens in a table. The coordinator counts them up, and nobody chooses what falls together.
#[derive(Debug, Default)]
pub(crate) struct TokenHasher(u64);

impl Hasher for TokenHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    /// Tokens have nothing but their number.
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_i64(i64::from(*byte));
        }
    }

    fn write_i64(&mut self, number: i64) {
        // 2^64 by the golden ratio. The upper half of the product depends on all of the number, and the table goes by the lower.
        let spread = (self.0 ^ number.cast_unsigned()).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        self.0 = spread ^ (spread >> 32);
    }
}

#[cfg(test)]
mod tests {
    //! How tokens lie in a table.

    use std::{
        collections::{BTreeMap, BTreeSet},
        hash::{BuildHasher as _, BuildHasherDefault},
    };

    use super::*;

    /// Tokens may come in steps, as where workers are served in turn.
    #[test]
    fn tokens_of_any_step_are_spread() {
        let hashing = BuildHasherDefault::<TokenHasher>::default();
        for step in (0..20).map(|bits| 1_i64 << bits).chain([3, 10, 1_000, 65_537]) {
            let hash = |n: i64| hashing.hash_one(Token(n * step));
            let places: BTreeSet<u64> = (1..=1_024).map(|n| hash(n) % 1_024).collect();
            let marks: BTreeSet<u64> = (1..=1_024).map(|n| hash(n) >> 57).collect();
            assert!(384 <= places.len(), "step {step}: {} of 1024 places", places.len());
            assert!(64 <= marks.len(), "step {step}: {} of 128 marks", marks.len());
        }
    }

    #[test]
    fn what_is_held_is_told_in_order() {
        let mut held = Held::default();
        for n in [5, 3, 9, 1, 7] {
            held.insert(Token(n), n);
        }
        let told: Vec<i64> = held.ascending().map(|(Token(token), it)| token + it).collect();
        assert_eq!(told, [2, 6, 10, 14, 18]);
    }

    /// Against a map, by the same random steps.
    #[test]
    fn it_holds_what_a_map_does() {
        let seed = fastrand::u64(..);
        let mut rng = fastrand::Rng::with_seed(seed);
        let (mut held, mut judge, mut most) = (Held::default(), BTreeMap::new(), 0);
        for step in 0..20_000_u64 {
            let token = Token(rng.i64(1..200));
            let (got, expected) = if rng.bool() {
                (held.insert(token, step), judge.insert(token, step))
            } else {
                (held.remove(token), judge.remove(&token))
            };
            assert_eq!(got, expected, "seed {seed}, step {step}");
            assert_eq!(held.get(token), judge.get(&token), "seed {seed}, step {step}");
            assert_eq!(held.get_mut(token), judge.get_mut(&token), "seed {seed}, step {step}");
            assert_eq!((held.len(), held.is_empty()), (judge.len(), judge.is_empty()));
            most = most.max(judge.len());
        }
        assert!(held.ascending().eq(judge.iter().map(|(token, it)| (*token, it))), "seed {seed}");
        let (mut values, mut expected) =
            (Vec::from_iter(held.values()), Vec::from_iter(judge.values()));
        values.sort_unstable();
        expected.sort_unstable();
        assert_eq!(values, expected, "seed {seed}");
        assert_eq!(held.values_mut().count(), judge.len(), "seed {seed}");
        assert_eq!(held.kept.len(), most, "seed {seed}: no more room than was ever needed");
    }
}
