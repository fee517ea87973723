//! Durations as people write them: `200ms`, `1.5s`, `5m`, `1h30m`, `14d`. Exact, without floating point.
//!
//! A unit is always needed: nobody should have to look up whether 5 is seconds.

use std::{error::Error, fmt, time::Duration};

/// The units and their lengths in nanoseconds, longest first.
const UNITS: [(&str, u128); 7] = [
    ("d", 86_400 * 1_000_000_000),
    ("h", 3_600 * 1_000_000_000),
    ("m", 60 * 1_000_000_000),
    ("s", 1_000_000_000),
    ("ms", 1_000_000),
    ("us", 1_000),
    ("ns", 1),
];

/// The most digits a number may have: nothing longer fits into a duration, or has a place behind the point.
const DIGITS_MAX: usize = 18;

/// A text is no duration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ParseDurationError {
    /// Nothing is there.
    Empty,
    /// No number where one belongs.
    Number,
    /// No unit, or none that is known.
    Unit,
    /// Longer than 2^64 nanoseconds, which are 584 years.
    TooLong,
}

impl fmt::Display for ParseDurationError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Empty => "a duration is empty: write a number and a unit, such as 5s",
            Self::Number => {
                "a duration needs a number before each unit, such as 1h30m; it cannot be negative"
            }
            Self::Unit => "a duration needs a unit after each number: d, h, m, s, ms, us or ns",
            Self::TooLong => "a duration is too long",
        })
    }
}

impl Error for ParseDurationError {}

/// Reads a duration: one or more numbers, each with its unit, written together.
///
/// # Errors
///
/// A text that is none, by the first thing that is wrong with it.
pub fn parse_duration(text: &str) -> Result<Duration, ParseDurationError> {
    let mut rest = text;
    if rest.is_empty() {
        return Err(ParseDurationError::Empty);
    }
    let mut nanos: u128 = 0;
    while !rest.is_empty() {
        let (number, tail) = split_where(rest, |c| !c.is_ascii_digit() && c != '.');
        let (unit, tail) = split_where(tail, |c| c.is_ascii_digit() || c == '.');
        nanos = nanos.saturating_add(part(number, unit)?);
        rest = tail;
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

#[cfg(test)]
mod tests;
