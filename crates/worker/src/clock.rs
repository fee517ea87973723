//! The worker's clock: boot time, which goes on while the machine sleeps.
//!
//! `std::time::Instant` stands still during a suspend; a lease does not. A worker that wakes up must know that its
//! leases have run out before it does anything else.

use std::{
    io,
    ops::{Add, Sub},
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    time::Duration,
};

use rustix::time::{
    ClockId, Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, clock_gettime,
    timerfd_create, timerfd_settime,
};
use tokio::io::unix::AsyncFd;

mod source;

pub(crate) use source::{Bell, Clock};

/// The longest time a timer is set for: longer waits are cut, so that no sum overflows.
const DURATION_MAX: Duration = Duration::from_hours(366 * 24);

/// A point in time since the machine booted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Moment(Duration);

impl Moment {
    /// What the clock says.
    pub(crate) fn now() -> Self {
        let time = clock_gettime(ClockId::Boottime);
        let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
        Self(Duration::new(seconds, u32::try_from(time.tv_nsec).unwrap_or(0)))
    }

    /// The time since boot, for whoever shares the clock but not this type. Whole nanoseconds.
    pub(crate) fn nanos(self) -> u64 {
        nanos(self.0)
    }

    /// What [`nanos`](Self::nanos) came from.
    pub(crate) fn of_nanos(nanos: u64) -> Self {
        Self(Duration::from_nanos(nanos))
    }

    /// How long it is from `earlier` to this; zero if it is not earlier.
    pub(crate) fn since(self, earlier: Self) -> Duration {
        self.0.saturating_sub(earlier.0)
    }
}

impl Add<Duration> for Moment {
    type Output = Self;

    fn add(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(duration.min(DURATION_MAX)))
    }
}

impl Sub<Duration> for Moment {
    type Output = Self;

    fn sub(self, duration: Duration) -> Self {
        Self(self.0.saturating_sub(duration))
    }
}

/// A duration in whole nanoseconds; the longest that can be said if it is longer.
pub(crate) fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// A timer on the clock of [`Moment`], to be polled: it rings at once when the machine wakes up too late for it.
pub(crate) struct Timer(OwnedFd);

impl Timer {
    /// A timer that is not set.
    pub(crate) fn new() -> io::Result<Self> {
        let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
        Ok(Self(timerfd_create(TimerfdClockId::Boottime, flags)?))
    }

    /// What becomes readable when it rings, and stays so until it is set again.
    pub(crate) fn bell(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }

    /// Sets it. The past rings at once.
    pub(crate) fn set(&self, at: Moment) -> io::Result<()> {
        set_timer(&self.0, Some(at))
    }
}

/// A [`Timer`] to be awaited.
pub(crate) struct Alarm {
    timer: AsyncFd<OwnedFd>,
    set_for: Option<Moment>,
}

impl Alarm {
    /// A timer that is not set. It needs a runtime with I/O.
    pub(crate) fn new() -> io::Result<Self> {
        let Timer(timer) = Timer::new()?;
        #[expect(
            deprecated,
            reason = "what its unsafe replacement asks for holds: an owned descriptor stays open and the same"
        )]
        let timer = AsyncFd::new(timer)?;
        Ok(Self { timer, set_for: None })
    }

    /// Sets the timer; `None` stops it. The past rings at once. If it rings earlier already it is left as it is, so that
    /// a moment that moves away with every turn is not set with every turn: who then finds nothing to do sets it again.
    pub(crate) fn set(&mut self, at: Option<Moment>) -> io::Result<()> {
        let is_early_enough = self.set_for.zip(at).is_some_and(|(set_for, at)| set_for <= at);
        if is_early_enough || self.set_for == at {
            return Ok(());
        }
        set_timer(self.timer.get_ref(), at)?;
        self.set_for = at;
        Ok(())
    }

    /// Waits until the timer rings, and leaves it stopped.
    pub(crate) async fn ring(&mut self) -> io::Result<()> {
        loop {
            let mut ready = self.timer.readable().await?;
            let mut count = [0; 8];
            match ready.try_io(|timer| Ok(rustix::io::read(timer.get_ref(), &mut count)?)) {
                Ok(rung) => {
                    rung?;
                    self.set_for = None;
                    return Ok(());
                }
                Err(_would_block) => {}
            }
        }
    }
}

fn set_timer(timer: impl AsFd, at: Option<Moment>) -> io::Result<()> {
    let zero = Timespec { tv_sec: 0, tv_nsec: 0 };
    // All zeros would stop the timer instead of ringing it.
    let it_value = at.map_or(zero, |Moment(at)| Timespec {
        tv_sec: i64::try_from(at.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: i64::from(at.subsec_nanos()).max(1),
    });
    let setting = Itimerspec { it_interval: zero, it_value };
    timerfd_settime(timer, TimerfdTimerFlags::ABSTIME, &setting)?;
    Ok(())
}

#[cfg(test)]
mod tests;
