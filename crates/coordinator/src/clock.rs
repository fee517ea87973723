//! The logical clock: what time it is for the queue.
//!
//! It begins at the wall clock or at the last time the journal has seen, whichever is later, and runs on the
//! monotonic clock: a step of the wall clock changes no lease and no timeout. A difference between the two is
//! worked off slowly, by far less than the drift that leases allow for, and never backwards.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

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
    source: Source,
    hand: Hand,
}

/// Where the monotonic clock and the wall clock are read.
#[derive(Debug)]
enum Source {
    /// Those of this machine.
    Machine { started: Instant },
    /// That of the runtime, which a simulation may pause, and a wall clock that showed this when it started.
    Runtime { started: tokio::time::Instant, wall: Time },
    /// Those that a simulation turns.
    Dial { dial: Arc<Dial>, started: Duration },
}

/// Which clocks a process reads as it starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Clocks {
    /// Those of this machine.
    Machine,
    /// That of the runtime, and a wall clock that goes with it.
    Runtime {
        /// What the wall clock shows now.
        wall: Time,
    },
}

/// Clocks that are turned by hand, for simulations: they show what was set last.
#[derive(Debug, Default)]
pub struct Dial {
    monotonic_us: AtomicU64,
    wall_ms: AtomicU64,
}

impl Dial {
    /// Sets both clocks. The monotonic one must not go back.
    pub fn set(&self, monotonic: Duration, wall: Time) {
        let us = u64::try_from(monotonic.as_micros()).unwrap_or(u64::MAX);
        self.monotonic_us.store(us, Ordering::Relaxed);
        self.wall_ms.store(wall.unix_ms(), Ordering::Relaxed);
    }

    fn monotonic(&self) -> Duration {
        Duration::from_micros(self.monotonic_us.load(Ordering::Relaxed))
    }

    /// What the wall clock shows.
    pub fn wall(&self) -> Time {
        Time::from_unix_ms(self.wall_ms.load(Ordering::Relaxed))
    }
}

impl Source {
    fn elapsed(&self) -> Duration {
        match self {
            Self::Machine { started } => started.elapsed(),
            Self::Runtime { started, .. } => started.elapsed(),
            Self::Dial { dial, started } => dial.monotonic().saturating_sub(*started),
        }
    }

    fn wall(&self) -> Time {
        match self {
            Self::Machine { .. } => wall(),
            Self::Runtime { started, wall } => *wall + started.elapsed(),
            Self::Dial { dial, .. } => dial.wall(),
        }
    }
}

impl Clock {
    /// A clock that shows at least `last`, the last time the journal has seen.
    pub(crate) fn new(clocks: Clocks, last: Time) -> Self {
        let source = match clocks {
            Clocks::Machine => Source::Machine { started: Instant::now() },
            Clocks::Runtime { wall } => {
                Source::Runtime { started: tokio::time::Instant::now(), wall }
            }
        };
        Self::of(source, last)
    }

    /// The same on clocks that are turned by hand.
    pub(crate) fn on(dial: Arc<Dial>, last: Time) -> Self {
        let started = dial.monotonic();
        Self::of(Source::Dial { dial, started }, last)
    }

    fn of(source: Source, last: Time) -> Self {
        let hand = Hand::new(source.wall().max(last));
        Self { source, hand }
    }

    /// What time it is. Never earlier than before.
    pub(crate) fn now(&mut self) -> Time {
        let elapsed = self.source.elapsed();
        if self.hand.is_check_due(elapsed) {
            self.hand.check(elapsed, self.source.wall());
        }
        self.hand.read(elapsed)
    }
}

impl Clocks {
    /// What the wall clock says.
    pub(crate) fn wall(self) -> Time {
        match self {
            Self::Machine => wall(),
            Self::Runtime { wall } => wall,
        }
    }
}

/// What the wall clock of the machine says, for what people read too. Before 1970: that it does not know.
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
