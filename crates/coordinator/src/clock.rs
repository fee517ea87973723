//! The logical clock: what time it is for the queue.
//!
//! It begins at the wall clock or at the last time the journal has seen, whichever is later, and runs on the
//! monotonic clock: a step of the wall clock changes no lease and no timeout. A difference between the two is
//! worked off slowly, by far less than the drift that leases allow for, and never backwards.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use leasehold_policy::Time;

#[cfg(test)]
mod tests;

/// How often the wall clock is looked at.
const CHECK_INTERVAL: Duration = Duration::from_secs(1);

/// A smaller difference is left alone: clocks are read at different moments.
const TOLERANCE_MS: i64 = 500;

/// One part in this many of the elapsed time is the most that is corrected: 0.5 %, half of the drift between any two
/// clocks that leases allow for.
const SLEW_DIVISOR: u64 = 200;

/// The logical clock of this process.
#[derive(Debug)]
pub(crate) struct Clock {
    started: Instant,
    hand: Hand,
}

impl Clock {
    /// A clock that shows at least `last`, the last time the journal has seen.
    pub(crate) fn new(last: Time) -> Self {
        Self { started: Instant::now(), hand: Hand::new(wall().max(last)) }
    }

    /// What time it is. Never earlier than before.
    pub(crate) fn now(&mut self) -> Time {
        let elapsed = self.started.elapsed();
        if self.hand.is_check_due(elapsed) {
            self.hand.check(elapsed, wall());
        }
        self.hand.read(elapsed)
    }
}

/// What the wall clock says. Before 1970: that it does not know.
pub(crate) fn wall() -> Time {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Time::from_unix_ms(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

/// The arithmetic of the clock, without any clock.
#[derive(Debug)]
struct Hand {
    base: Time,
    last: Time,
    correction_ms: i64,
    checked: Duration,
}

impl Hand {
    const fn new(base: Time) -> Self {
        Self { base, last: base, correction_ms: 0, checked: Duration::ZERO }
    }

    fn is_check_due(&self, elapsed: Duration) -> bool {
        self.checked + CHECK_INTERVAL <= elapsed
    }

    fn check(&mut self, elapsed: Duration, wall: Time) {
        let most = millis(elapsed.saturating_sub(self.checked)) / SLEW_DIVISOR;
        let most = i64::try_from(most).unwrap_or(i64::MAX);
        self.checked = elapsed;
        let shown = self.shown(elapsed).unix_ms();
        let ahead = i64::try_from(i128::from(wall.unix_ms()) - i128::from(shown));
        let ahead = ahead.unwrap_or_default();
        if TOLERANCE_MS < ahead.saturating_abs() {
            self.correction_ms = self.correction_ms.saturating_add(ahead.clamp(-most, most));
        }
    }

    fn read(&mut self, elapsed: Duration) -> Time {
        self.last = self.last.max(self.shown(elapsed));
        self.last
    }

    fn shown(&self, elapsed: Duration) -> Time {
        let ms = self.base.unix_ms().saturating_add(millis(elapsed));
        Time::from_unix_ms(ms.saturating_add_signed(self.correction_ms))
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
