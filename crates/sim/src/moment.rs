//! Time of the simulation: one true clock in microseconds, and what the clocks of the hosts make of it.

use std::time::Duration;

/// Microseconds of true time since the simulation began.
pub type Micros = u64;

/// A millisecond.
pub const MS: Micros = 1_000;

/// A second.
pub const SECOND: Micros = 1_000_000;

/// Every host had been up for that long when the simulation began.
const UPTIME: Micros = 1_000 * SECOND;

const MILLION: i64 = 1_000_000;

/// A host's monotonic clock, off in rate by so many millionths.
#[derive(Clone, Copy, Debug)]
pub struct HostClock {
    drift_ppm: i64,
}

impl HostClock {
    /// A clock that runs that much faster than true time.
    pub const fn new(drift_ppm: i64) -> Self {
        Self { drift_ppm }
    }

    /// What it shows.
    pub fn shows(self, at: Micros) -> Duration {
        let rate = u128::from((MILLION + self.drift_ppm).unsigned_abs());
        let shown = u128::from(at + UPTIME) * rate / u128::from(MILLION.unsigned_abs());
        Duration::from_micros(u64::try_from(shown).unwrap_or(u64::MAX))
    }

    /// When it first shows at least that.
    pub fn when(self, shown: Duration) -> Micros {
        let rate = u128::from((MILLION + self.drift_ppm).unsigned_abs());
        // Rounded up to its own unit first: it shows whole microseconds.
        let shown = shown.as_nanos().div_ceil(1_000);
        let at = (shown * u128::from(MILLION.unsigned_abs())).div_ceil(rate);
        u64::try_from(at).unwrap_or(u64::MAX).saturating_sub(UPTIME)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_clock_shows_what_it_was_asked_to_wait_for_and_not_before() {
        for drift_ppm in [0, 1, -1, 9_900, -9_900, 80_000, -80_000] {
            let clock = HostClock::new(drift_ppm);
            for at in [0, 1, 17, 999_999, 1_234_567_891] {
                let shown = clock.shows(at) + Duration::from_micros(1);
                let when = clock.when(shown);
                assert!(shown <= clock.shows(when), "{drift_ppm} at {at}: too early");
                assert!(when == 0 || clock.shows(when - 1) < shown, "{drift_ppm} at {at}: late");
            }
        }
    }
}
