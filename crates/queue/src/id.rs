//! Names and numbers: tasks, tokens, sessions, streams.

use std::{
    fmt,
    hash::{BuildHasherDefault, Hash, Hasher},
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
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct TaskId {
    // In halves it takes no room for its alignment beside a time, and there are several for each open task.
    high: u64,
    low: u64,
}

impl Hash for TaskId {
    /// By its serial, which no other has: those that were minted one after the other stay together.
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_i64(self.serial());
    }
}

const COUNTER_BITS: u32 = 21;
const COUNTER_LOW_BITS: u32 = 9;
const SHARD_BITS: u32 = 10;
const RANDOM_BITS: u32 = 43;
/// What tells a UUID of version 7, in each of its halves.
const VERSION: u64 = 0x7 << 12;
const VARIANT: u64 = 0b10 << 62;
/// Milliseconds up to the year 2109 fit in the 42 bits that a positive `i64` leaves beside the counter.
const MS_BITS: u32 = 42;

impl TaskId {
    /// The id with these 128 bits.
    #[expect(clippy::cast_possible_truncation, reason = "the other half is kept beside it")]
    pub const fn from_u128(bits: u128) -> Self {
        Self { high: (bits >> 64) as u64, low: bits as u64 }
    }

    /// The 128 bits of the id.
    pub const fn as_u128(self) -> u128 {
        (self.high as u128) << 64 | self.low as u128
    }

    /// The 128 bits, 32 at a time.
    fn quarters(self) -> [u32; 4] {
        #[expect(clippy::cast_possible_truncation, reason = "each is what is left of the others")]
        [96, 64, 32, 0].map(|at| (self.as_u128() >> at) as u32)
    }

    /// A positive integer that is unique within a journal and grows with each minted id.
    pub fn serial(self) -> i64 {
        let ms = (self.high >> 16) & ((1 << MS_BITS) - 1);
        let high = self.high & 0xfff;
        let low = (self.low >> (SHARD_BITS + RANDOM_BITS)) & ((1 << COUNTER_LOW_BITS) - 1);
        let serial = ms << COUNTER_BITS | high << COUNTER_LOW_BITS | low;
        i64::try_from(serial).unwrap_or(i64::MAX)
    }

    /// The smallest serial that an id minted at `time` can have.
    pub fn first_serial_at(time: Time) -> i64 {
        let ms = u128::from(time.unix_ms()) & ((1 << MS_BITS) - 1);
        i64::try_from(ms << COUNTER_BITS).unwrap_or(i64::MAX)
    }
}

/// Places ids of one kind in a table, for a map that has nothing else for keys. They are minted by the coordinator: nobody
/// chooses what falls together.
///
/// Those that follow each other lie beside each other, [`NEIGHBOURS`] at a time, and such groups are spread: what was
/// submitted together is granted and ends together, and then shares what is brought into the processor's cache for one of it.
#[derive(Clone, Copy, Debug, Default)]
pub struct IdHasher(u64);

/// How many ids in a row share their place in a table: as many as it looks at in one step.
const NEIGHBOURS: u64 = 16;

/// What a map from ids is made with.
pub type IdHashing = BuildHasherDefault<IdHasher>;

impl Hasher for IdHasher {
    #[expect(clippy::cast_possible_truncation, reason = "one half is folded into the other before")]
    fn write_u128(&mut self, bits: u128) {
        let folded = (bits ^ (bits >> 64)) as u64;
        let (group, place) = (folded / NEIGHBOURS, folded % NEIGHBOURS);
        // The finalizer of SplitMix64.
        let mixed = (group ^ (group >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        let spread = (mixed ^ (mixed >> 31)) & !(NEIGHBOURS - 1);
        // A table tells those in one place apart by the upper bits.
        self.0 = (spread | place) ^ (place << 57);
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
        // Every task's id is written when it is accepted and for each of its leases.
        let [first, second, third, last] = self.quarters().map(digits);
        let mut text = [b'-'; 36];
        text[..8].copy_from_slice(&first);
        text[9..13].copy_from_slice(&second[..4]);
        text[14..18].copy_from_slice(&second[4..]);
        text[19..23].copy_from_slice(&third[..4]);
        text[24..28].copy_from_slice(&third[4..]);
        text[28..].copy_from_slice(&last);
        f.write_str(str::from_utf8(&text).unwrap_or_default())
    }
}

/// A number as hexadecimal digits, all eight at once: a tenth of what they take one by one.
fn digits(number: u32) -> [u8; 8] {
    let spread = u64::from(number);
    let spread = (spread | spread << 16) & 0x0000_ffff_0000_ffff;
    let spread = (spread | spread << 8) & 0x00ff_00ff_00ff_00ff;
    let values = (spread | spread << 4) & 0x0f0f_0f0f_0f0f_0f0f;
    // Of a value above nine, and of no other, six more has a fifth bit.
    let letters = (values + 0x0606_0606_0606_0606) >> 4 & 0x0101_0101_0101_0101;
    let letters_after_digits = u64::from(b'a' - b'9' - 1);
    (values + 0x3030_3030_3030_3030 + letters * letters_after_digits).to_be_bytes()
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
        Ok(Self::from_u128(bits))
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
        TaskId::from_u128(
            (u128::from(self.ms) & 0xffff_ffff_ffff) << 80
                | u128::from(VERSION) << 64
                | high << 64
                | u128::from(VARIANT)
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

#[cfg(test)]
mod tests;
