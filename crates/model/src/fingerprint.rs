//! A hash of 128 bits: with tens of millions of states, that two of them share one is less likely than a broken machine.
//!
//! It is fast and not meant to resist anybody.

use std::hash::Hasher;

/// An odd constant with its bits well spread (from PCG's 128-bit generator).
const MULTIPLIER: u128 = 0x2360_ed05_1fc6_5da4_4385_df64_9fcc_f645;

/// The hash in the making. Each step is a bijection of the state, so that only the finish can lose anything.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fingerprint(u128);

impl Fingerprint {
    pub(crate) const fn new() -> Self {
        Self(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c834)
    }

    /// All 128 bits.
    pub(crate) fn bits(self) -> u128 {
        let mut last = self;
        last.mix(u64::MAX);
        last.mix(0);
        last.0
    }

    const fn mix(&mut self, word: u64) {
        self.0 = (self.0 ^ word as u128).wrapping_mul(MULTIPLIER);
        self.0 ^= self.0 >> 71;
    }
}

impl Hasher for Fingerprint {
    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word.iter_mut().zip(chunk).for_each(|(to, from)| *to = *from);
            self.mix(u64::from_le_bytes(word));
        }
        self.mix(bytes.len() as u64);
    }

    fn write_u8(&mut self, word: u8) {
        self.mix(word.into());
    }

    fn write_u32(&mut self, word: u32) {
        self.mix(word.into());
    }

    fn write_u64(&mut self, word: u64) {
        self.mix(word);
    }

    fn write_usize(&mut self, word: usize) {
        self.mix(word as u64);
    }

    fn finish(&self) -> u64 {
        (self.bits() >> 64) as u64
    }
}
