//! What a worker keeps of each lease, found by the lease's token.

use std::{
    collections::HashMap,
    hash::{BuildHasherDefault, Hasher},
};

use crate::assignment::Token;

/// By token, in no order. There are several for each task that a worker runs, and a tree is read and written in several places
/// for each.
pub(crate) type Held<T> = HashMap<Token, T, BuildHasherDefault<TokenHasher>>;

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

/// All of a table, by ascending token: for what is done or said in an order, which must not be that of a table.
pub(crate) fn ascending<T>(held: &Held<T>) -> impl Iterator<Item = (Token, &T)> + use<'_, T> {
    let mut all: Vec<(Token, &T)> = held.iter().map(|(token, it)| (*token, it)).collect();
    all.sort_unstable_by_key(|(token, _)| *token);
    all.into_iter()
}

#[cfg(test)]
mod tests {
    //! How tokens lie in a table.

    use std::{
        collections::BTreeSet,
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
        let told: Vec<i64> = ascending(&held).map(|(Token(token), it)| token + it).collect();
        assert_eq!(told, [2, 6, 10, 14, 18]);
    }
}
