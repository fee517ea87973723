//! Names and numbers: tasks, tokens, sessions, streams.

use std::{
    fmt,
    hash::{BuildHasherDefault, Hasher},
    str::FromStr,
    sync::Arc,
};

use leasehold_policy::Time;

/// A short text that many values share: a queue, a task type, a worker.
pub type Name = Arc<str>;

/// The id of a task: a UUID, version 7.
///
/// From the most significant bit: 48 bits of milliseconds since the Unix epoch, the version, 12 bits and
/// then 9 bits of a counter (behind the variant), 10 bits of shard, 43 random bits. Milliseconds and counter
/// together are the [`serial`](Self::serial).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TaskId(u128);

const COUNTER_BITS: u32 = 21;
const COUNTER_LOW_BITS: u32 = 9;
const SHARD_BITS: u32 = 10;
const RANDOM_BITS: u32 = 43;
/// Milliseconds up to the year 2109 fit in the 42 bits that a positive `i64` leaves beside the counter.
const MS_BITS: u32 = 42;

impl TaskId {
    /// The id behind all others.
    pub(crate) const LAST: Self = Self(u128::MAX);

    /// The id with these 128 bits.
    pub const fn from_u128(bits: u128) -> Self {
        Self(bits)
    }

    /// The 128 bits of the id.
    pub const fn as_u128(self) -> u128 {
        self.0
    }

    /// A positive integer that is unique within a journal and grows with each minted id.
    pub fn serial(self) -> i64 {
        let ms = (self.0 >> 80) & ((1 << MS_BITS) - 1);
        let high = (self.0 >> 64) & 0xfff;
        let low = (self.0 >> (SHARD_BITS + RANDOM_BITS)) & ((1 << COUNTER_LOW_BITS) - 1);
        let serial = ms << COUNTER_BITS | high << COUNTER_LOW_BITS | low;
        i64::try_from(serial).unwrap_or(i64::MAX)
    }

    /// The smallest serial that an id minted at `time` can have.
    pub fn first_serial_at(time: Time) -> i64 {
        let ms = u128::from(time.unix_ms()) & ((1 << MS_BITS) - 1);
        i64::try_from(ms << COUNTER_BITS).unwrap_or(i64::MAX)
    }
}

/// Spreads ids of one kind over a table, for a map that has nothing else for keys. They are minted by the coordinator, those of
/// tasks with 43 random bits each: nobody chooses what falls together. This is the finalizer of SplitMix64.
#[derive(Clone, Copy, Debug, Default)]
pub struct IdHasher(u64);

/// What a map from ids is made with.
pub type IdHashing = BuildHasherDefault<IdHasher>;

impl Hasher for IdHasher {
    #[expect(clippy::cast_possible_truncation, reason = "one half is folded into the other before")]
    fn write_u128(&mut self, bits: u128) {
        let folded = (bits ^ (bits >> 64)) as u64;
        let mixed = (folded ^ (folded >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        self.0 = mixed ^ (mixed >> 31);
    }

    fn write_u64(&mut self, bits: u64) {
        self.write_u128(bits.into());
    }

    fn write_i64(&mut self, bits: i64) {
        self.write_u128(bits.cast_unsigned().into());
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u128(u128::from(self.0 ^ u64::from(*byte)));
        }
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

impl fmt::Display for TaskId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Every task's id is written for each of its leases: letter by letter costs a tenth of five numbers with a format.
        let mut text = *b"00000000-0000-0000-0000-000000000000";
        let digits = text.iter_mut().rev().filter(|letter| **letter != b'-');
        for (digit, at) in digits.zip((0..u128::BITS).step_by(4)) {
            let value = u8::try_from((self.0 >> at) & 0xf).unwrap_or_default();
            *digit = if value < 10 { b'0' + value } else { b'a' + value - 10 };
        }
        f.write_str(str::from_utf8(&text).unwrap_or_default())
    }
}

impl fmt::Debug for TaskId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A text is not a task id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a task id: expected 36 characters such as 0195a1b2-c3d4-7000-8000-000000000000")]
pub struct ParseTaskIdError(());

impl FromStr for TaskId {
    type Err = ParseTaskIdError;

    fn from_str(text: &str) -> Result<Self, ParseTaskIdError> {
        let bytes = text.as_bytes();
        if bytes.len() != 36 {
            return Err(ParseTaskIdError(()));
        }
        let mut bits: u128 = 0;
        for (at, byte) in bytes.iter().enumerate() {
            if matches!(at, 8 | 13 | 18 | 23) {
                if *byte != b'-' {
                    return Err(ParseTaskIdError(()));
                }
                continue;
            }
            let digit = char::from(*byte).to_digit(16).ok_or(ParseTaskIdError(()))?;
            bits = bits << 4 | u128::from(digit);
        }
        Ok(Self(bits))
    }
}

/// Mints task ids whose serials only grow.
#[derive(Clone, Debug)]
pub struct Minter {
    shard: u16,
    ms: u64,
    counter: u32,
}

impl Minter {
    /// A minter whose serials are larger than those of every id minted up to and including `after`.
    pub fn new(shard: u16, after: Time) -> Self {
        Self { shard: shard & ((1 << SHARD_BITS) - 1), ms: after.unix_ms() + 1, counter: 0 }
    }

    /// The next id. `random` is 64 uniform random bits.
    pub fn mint(&mut self, now: Time, random: u64) -> TaskId {
        if self.ms < now.unix_ms() {
            (self.ms, self.counter) = (now.unix_ms(), 0);
        }
        if self.counter == 1 << COUNTER_BITS {
            (self.ms, self.counter) = (self.ms + 1, 0);
        }
        let counter = u128::from(self.counter);
        self.counter += 1;
        let high = counter >> COUNTER_LOW_BITS;
        let low = counter & ((1 << COUNTER_LOW_BITS) - 1);
        let random = u128::from(random) & ((1 << RANDOM_BITS) - 1);
        TaskId(
            (u128::from(self.ms) & 0xffff_ffff_ffff) << 80
                | 0x7 << 76
                | high << 64
                | 0b10 << 62
                | low << (SHARD_BITS + RANDOM_BITS)
                | u128::from(self.shard) << RANDOM_BITS
                | random,
        )
    }
}

/// A fencing token: an epoch in the upper 32 bits, a counter within it in the lower 31. Positive, unique within
/// a journal and, for one task, larger than every earlier one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Token(i64);

impl Token {
    /// How many tokens an epoch has.
    pub const PER_EPOCH: u32 = 1 << 31;

    /// Token number `counter` (below [`Self::PER_EPOCH`]) of `epoch`.
    pub fn new(epoch: u32, counter: u32) -> Self {
        debug_assert!(counter < Self::PER_EPOCH, "the counter has 31 bits");
        Self(i64::from(epoch) << 31 | i64::from(counter & (Self::PER_EPOCH - 1)))
    }

    /// A token as it came over the wire or out of the journal.
    pub const fn from_i64(bits: i64) -> Self {
        Self(bits)
    }

    /// The token as it is given to user code.
    pub const fn as_i64(self) -> i64 {
        self.0
    }
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// One run of one worker process, as long as the coordinator believes in it. Unique within an epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionId(pub u64);

/// One stream between a worker and this coordinator process, named by the shell; never used twice.
/// Effects name a stream and not a session, so that none of them can arrive on a later stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StreamId(pub u64);
