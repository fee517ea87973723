//! Durations as the contract has them, to and from those of the language.
//!
//! What a peer sends can be any two numbers. The conversion that `prost_types` comes with negates what is negative, which
//! the least of all numbers does not survive: this is the only one that is used.

use std::{fmt, time::Duration};

/// A duration cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DurationError {
    /// It is less than nothing.
    Negative,
    /// Its parts do not fit together.
    Malformed,
}

/// A duration of zero or more that a peer sent.
pub fn from_wire(sent: &prost_types::Duration) -> Result<Duration, DurationError> {
    const NANOS: std::ops::RangeInclusive<i32> = -999_999_999..=999_999_999;
    let contradicts = sent.seconds > 0 && sent.nanos < 0 || sent.seconds < 0 && sent.nanos > 0;
    if !NANOS.contains(&sent.nanos) || contradicts {
        return Err(DurationError::Malformed);
    }
    match (u64::try_from(sent.seconds), u32::try_from(sent.nanos)) {
        (Ok(seconds), Ok(nanos)) => Ok(Duration::new(seconds, nanos)),
        (Ok(_) | Err(_), Ok(_) | Err(_)) => Err(DurationError::Negative),
    }
}

/// A duration to be sent; one that is too long for the contract is the longest there is.
pub fn to_wire(duration: Duration) -> prost_types::Duration {
    let longest = prost_types::Duration { seconds: i64::MAX, nanos: 0 };
    prost_types::Duration::try_from(duration).unwrap_or(longest)
}

impl fmt::Display for DurationError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Negative => "is negative: only durations of zero and more make sense",
            Self::Malformed => {
                "is no valid duration: nanos must be 0 to 999,999,999 and of the sign of seconds"
            }
        })
    }
}

impl std::error::Error for DurationError {}

#[cfg(test)]
mod tests;
