//! Durations as people write them: `200ms`, `1.5s`, `5m`, `1h30m`, `14d`.
//!
//! A unit is always needed: nobody should have to look up whether 5 is seconds.

use std::time::Duration;

use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};

use super::DURATION_MAX;

/// The units and their lengths, longest first.
const UNITS: [(&str, u128); 7] = [
    ("d", 86_400 * 1_000_000_000),
    ("h", 3_600 * 1_000_000_000),
    ("m", 60 * 1_000_000_000),
    ("s", 1_000_000_000),
    ("ms", 1_000_000),
    ("us", 1_000),
    ("ns", 1),
];

/// The most digits a number may have: beyond a year in nanoseconds there is nothing to say.
const DIGITS_MAX: usize = 18;

/// A text is no duration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParseDurationError {
    /// Nothing is there.
    #[error("a duration is empty: write a number and a unit, such as 5s")]
    Empty,
    /// No number where one belongs.
    #[error("a duration needs a number before each unit, such as 1h30m; it cannot be negative")]
    Number,
    /// No unit, or none that is known.
    #[error("a duration needs a unit after each number: d, h, m, s, ms, us or ns")]
    Unit,
    /// Longer than a year.
    #[error("a duration is longer than one year (365d)")]
    TooLong,
}

/// Reads a duration: one or more numbers, each with its unit, written together.
pub fn parse(text: &str) -> Result<Duration, ParseDurationError> {
    let mut rest = text.trim();
    if rest.is_empty() {
        return Err(ParseDurationError::Empty);
    }
    let mut nanos: u128 = 0;
    while !rest.is_empty() {
        let (number, tail) = split_where(rest, |c| !c.is_ascii_digit() && c != '.');
        let (unit, tail) = split_where(tail, |c| !c.is_ascii_alphabetic());
        nanos += part(number, unit)?;
        rest = tail;
    }
    let longest = DURATION_MAX.as_nanos();
    if nanos > longest {
        return Err(ParseDurationError::TooLong);
    }
    u64::try_from(nanos).map(Duration::from_nanos).map_err(|_| ParseDurationError::TooLong)
}

fn split_where(text: &str, ends: impl Fn(char) -> bool) -> (&str, &str) {
    text.split_at(text.find(ends).unwrap_or(text.len()))
}

/// The nanoseconds of one number with its unit.
fn part(number: &str, unit: &str) -> Result<u128, ParseDurationError> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
    if whole.is_empty() || fraction.is_empty() || fraction.contains('.') {
        return Err(ParseDurationError::Number);
    }
    let known = UNITS.iter().find(|(name, _)| *name == unit);
    let (_, nanos) = known.ok_or(ParseDurationError::Unit)?;
    if whole.len() > DIGITS_MAX || fraction.len() > DIGITS_MAX {
        return Err(ParseDurationError::TooLong);
    }
    let digits = |text: &str| text.parse::<u128>().map_err(|_| ParseDurationError::Number);
    let scale = 10_u128.pow(u32::try_from(fraction.len()).unwrap_or(0));
    Ok(digits(whole)? * nanos + digits(fraction)? * nanos / scale)
}

/// Writes a duration so that [`parse`] reads the same: whole numbers, the largest units first.
pub(super) fn print(value: Duration) -> String {
    let mut rest = value.as_nanos();
    let mut text = String::new();
    for (name, nanos) in UNITS {
        if rest >= nanos {
            text += &(rest / nanos).to_string();
            text += name;
            rest %= nanos;
        }
    }
    if text.is_empty() { "0s".to_owned() } else { text }
}

pub(super) fn deserialize<'de, D: Deserializer<'de>>(source: D) -> Result<Duration, D::Error> {
    let text = String::deserialize(source)?;
    parse(&text).map_err(|error| D::Error::custom(format_args!("{text:?}: {error}")))
}

pub(super) fn serialize<S: Serializer>(value: &Duration, sink: S) -> Result<S::Ok, S::Error> {
    sink.serialize_str(&print(*value))
}

/// The same for a duration that may be left out.
pub(super) mod optional {
    use super::{Deserializer, Duration, Serializer};

    pub(in crate::config) fn deserialize<'de, D: Deserializer<'de>>(
        source: D,
    ) -> Result<Option<Duration>, D::Error> {
        super::deserialize(source).map(Some)
    }

    #[expect(clippy::ref_option, reason = "serde hands over a reference to the field")]
    pub(in crate::config) fn serialize<S: Serializer>(
        value: &Option<Duration>,
        sink: S,
    ) -> Result<S::Ok, S::Error> {
        match value {
            Some(value) => super::serialize(value, sink),
            None => sink.serialize_none(),
        }
    }
}
