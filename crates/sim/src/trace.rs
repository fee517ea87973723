//! What happened, as a digest and, when asked for, in words.

use std::collections::VecDeque;

use crate::moment::Micros;

/// How many lines are kept.
const LINES_MAX: usize = 400;

/// How much is said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Detail {
    /// Nothing.
    Silent,
    /// The last lines are kept.
    Tail,
    /// Every line is kept.
    All,
}

/// What happened.
#[derive(Clone, Debug)]
pub struct Trace {
    hash: u64,
    detail: Detail,
    lines: VecDeque<String>,
}

impl Trace {
    /// An empty trace.
    pub const fn new(detail: Detail) -> Self {
        Self { hash: 0xcbf2_9ce4_8422_2325, detail, lines: VecDeque::new() }
    }

    /// Something happened at a time.
    pub fn note(&mut self, at: Micros, what: impl FnOnce() -> String) {
        self.mix(at);
        if self.detail == Detail::Silent {
            return;
        }
        if self.detail == Detail::Tail && self.lines.len() == LINES_MAX {
            self.lines.pop_front();
        }
        self.lines.push_back(format!("{:>12.6} {}", seconds(at), what()));
    }

    /// A number belongs to what happened.
    pub const fn mix(&mut self, number: u64) {
        // FNV-1a over words, with a final shift so that high bits count.
        self.hash = (self.hash ^ number).wrapping_mul(0x0100_0000_01b3);
        self.hash ^= self.hash >> 29;
    }

    /// Bytes belong to what happened.
    pub fn mix_bytes(&mut self, bytes: &[u8]) {
        let mut words = bytes.chunks_exact(8);
        for word in words.by_ref() {
            self.mix(<[u8; 8]>::try_from(word).map_or(0, u64::from_le_bytes));
        }
        for byte in words.remainder() {
            self.mix(u64::from(*byte));
        }
    }

    /// A digest of everything.
    pub const fn hash(&self) -> u64 {
        self.hash
    }

    /// The lines that were kept.
    pub fn into_tail(self) -> Vec<String> {
        self.lines.into()
    }
}

fn seconds(at: Micros) -> f64 {
    std::time::Duration::from_micros(at).as_secs_f64()
}
