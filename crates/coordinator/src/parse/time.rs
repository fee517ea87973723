//! Durations as protobuf writes them.

use std::time::Duration;

/// A duration cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DurationError {
    /// It is less than nothing.
    #[error("is negative: only durations of zero and more make sense")]
    Negative,
    /// Its parts do not fit together.
    #[error("is no valid duration: nanos must be 0 to 999,999,999 and of the sign of seconds")]
    Malformed,
}

/// A duration of zero or more.
pub fn duration(value: &prost_types::Duration) -> Result<Duration, DurationError> {
    const NANOS: std::ops::RangeInclusive<i32> = -999_999_999..=999_999_999;
    let contradicts = value.seconds > 0 && value.nanos < 0 || value.seconds < 0 && value.nanos > 0;
    if !NANOS.contains(&value.nanos) || contradicts {
        return Err(DurationError::Malformed);
    }
    match (u64::try_from(value.seconds), u32::try_from(value.nanos)) {
        (Ok(seconds), Ok(nanos)) => Ok(Duration::new(seconds, nanos)),
        (Ok(_) | Err(_), Ok(_) | Err(_)) => Err(DurationError::Negative),
    }
}
