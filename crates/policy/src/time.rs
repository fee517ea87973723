//! A point on the coordinator's logical clock.
//!
//! It knows no clock: whoever calls the core says what time it is.

use std::{
    fmt,
    ops::{Add, Sub},
    time::Duration,
};

/// Milliseconds since the Unix epoch on the coordinator's logical clock, which never steps back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Time(u64);

impl Time {
    /// A time later than every real one, for "never".
    pub const NEVER: Self = Self(u64::MAX);

    /// The time `ms` milliseconds after the Unix epoch.
    pub const fn from_unix_ms(ms: u64) -> Self {
        Self(ms)
    }

    /// Milliseconds since the Unix epoch.
    pub const fn unix_ms(self) -> u64 {
        self.0
    }

    /// How long ago `earlier` was; zero if it is not earlier.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }
}

impl Add<Duration> for Time {
    type Output = Self;

    /// Rounds the duration up to the next millisecond, so that nothing is ever due early.
    fn add(self, duration: Duration) -> Self {
        let whole = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        let part = u64::from(!duration.subsec_nanos().is_multiple_of(1_000_000));
        Self(self.0.saturating_add(whole).saturating_add(part))
    }
}

impl Sub<Duration> for Time {
    type Output = Self;

    fn sub(self, duration: Duration) -> Self {
        let whole = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        Self(self.0.saturating_sub(whole))
    }
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}ms", self.0)
    }
}

#[cfg(test)]
mod tests;
