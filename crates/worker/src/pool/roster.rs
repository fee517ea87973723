//! Which workers of a pool there are, which are to be started, and which one is to go. It starts and ends nothing, and is
//! told what time it is.

use std::{collections::BTreeMap, fmt, time::Duration};

use leasehold_policy::{Backoff, Jitter};
use tokio::time::Instant;

/// How long to wait before a worker that failed is started again.
const RESTART: Backoff = Backoff {
    initial: Duration::from_secs(1),
    factor: 2.0,
    cap: Duration::from_secs(30),
    jitter: Jitter::Full,
};

/// A worker that has run for so long did not fail because of how it was started.
const PROVEN_AFTER: Duration = Duration::from_secs(30);

/// The exit code of a worker that wants to be started again.
const EXIT_RECYCLED: u8 = 71;

/// How a worker ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Left {
    /// In order, with everything delivered.
    Drained,
    /// It wants to be started again.
    Recycled,
    /// With this code.
    Failed(u8),
    /// By this signal.
    Killed(u8),
    /// It could not even be started.
    Broken,
}

/// Every worker of a pool, by number.
#[derive(Clone, Debug)]
pub(crate) struct Roster {
    seats: BTreeMap<u32, Seat>,
    range: (u32, u32),
    wanted: u32,
    /// When it was made: what has no process yet is due from then on.
    began: Instant,
}

/// One worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Seat {
    /// Its process is to be started then; so many before it failed.
    Due { at: Instant, failures: u32 },
    /// It has run since then.
    Running { since: Instant, failures: u32 },
    /// It finishes what it has.
    Draining,
}

impl Left {
    /// How a worker ended that exited with this code, or by this signal.
    pub(crate) fn of(code: Option<i32>, signal: Option<i32>) -> Self {
        let small = |number: i32| u8::try_from(number).unwrap_or(u8::MAX);
        match (code.map(small), signal.map(small)) {
            (Some(0), _) => Self::Drained,
            (Some(EXIT_RECYCLED), _) => Self::Recycled,
            (Some(code), _) => Self::Failed(code),
            (None, Some(signal)) => Self::Killed(signal),
            (None, None) => Self::Broken,
        }
    }

    /// The exit code that says so.
    pub(crate) const fn code(self) -> u8 {
        match self {
            Self::Drained => 0,
            Self::Recycled => EXIT_RECYCLED,
            Self::Failed(code) => code,
            Self::Killed(signal) => 128_u8.saturating_add(signal),
            Self::Broken => 70,
        }
    }
}

impl fmt::Display for Left {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Drained => f.write_str("exit code 0"),
            Self::Recycled => f.write_str("exit code 71: it has lost too many slots"),
            Self::Failed(code) => write!(f, "exit code {code}"),
            Self::Killed(signal) => write!(f, "signal {signal}"),
            Self::Broken => f.write_str("not started"),
        }
    }
}

impl Roster {
    /// A pool of so many workers, the fewest of them wanted.
    pub(crate) fn new(range: (u32, u32), now: Instant) -> Self {
        Self { seats: BTreeMap::new(), range, wanted: range.0, began: now }
    }

    /// So many are wanted, within what the pool may have. How many were before.
    pub(crate) fn want(&mut self, wanted: u32) -> u32 {
        let (min, max) = self.range;
        let wanted = wanted.clamp(min, max);
        let before = std::mem::replace(&mut self.wanted, wanted);
        // What does not run can go without asking anybody, those that failed most often first.
        while self.wanted < self.kept() {
            let due = self.seats.iter().filter_map(|(number, seat)| match seat {
                Seat::Due { failures, .. } => Some((*failures, *number)),
                Seat::Running { .. } | Seat::Draining => None,
            });
            let Some((_, number)) = due.max() else { break };
            self.seats.remove(&number);
        }
        before
    }

    /// How many are wanted.
    pub(crate) const fn wanted(&self) -> u32 {
        self.wanted
    }

    /// How many there are that are not drained: those that run and those that are about to.
    pub(crate) fn kept(&self) -> u32 {
        let kept = self.seats.values().filter(|seat| **seat != Seat::Draining).count();
        u32::try_from(kept).unwrap_or(u32::MAX)
    }

    /// The next worker whose process is to be started now. Each new one gets the lowest number that none has.
    pub(crate) fn next_due(&mut self, now: Instant) -> Option<u32> {
        while self.kept() < self.wanted && self.has_room() {
            let number = (1..=u32::MAX).find(|number| !self.seats.contains_key(number))?;
            self.seats.insert(number, Seat::Due { at: self.began, failures: 0 });
        }
        let is_due = |seat: &Seat| matches!(seat, Seat::Due { at, .. } if *at <= now);
        self.seats.iter().find(|(_, seat)| is_due(seat)).map(|(number, _)| *number)
    }

    /// Workers that drain take as long as their tasks do, and meanwhile others may be wanted: there are never more than
    /// twice as many as the pool may have.
    fn has_room(&self) -> bool {
        let (_, max) = self.range;
        u32::try_from(self.seats.len()).is_ok_and(|all| all < max.saturating_mul(2))
    }

    /// When the next worker that failed is to be started again.
    pub(crate) fn next_start(&self) -> Option<Instant> {
        let due = self.seats.values().filter_map(|seat| match seat {
            Seat::Due { at, .. } => Some(*at),
            Seat::Running { .. } | Seat::Draining => None,
        });
        due.min()
    }

    /// The worker runs.
    pub(crate) fn started(&mut self, number: u32, now: Instant) {
        let failures = self.failures(number);
        self.seats.insert(number, Seat::Running { since: now, failures });
    }

    /// The worker is being told to drain. It counts from here on: it may be gone before anybody answers that it was told.
    pub(crate) fn draining(&mut self, number: u32) {
        if let Some(seat) = self.seats.get_mut(&number) {
            *seat = Seat::Draining;
        }
    }

    /// It could not be told: it runs on, if it has not gone.
    pub(crate) fn not_draining(&mut self, number: u32, now: Instant) {
        if let Some(seat) = self.seats.get_mut(&number)
            && *seat == Seat::Draining
        {
            *seat = Seat::Running { since: now, failures: 0 };
        }
    }

    /// The worker ended. In how long it is started again; none: it is not.
    pub(crate) fn ended(
        &mut self,
        number: u32,
        left: Left,
        now: Instant,
        random: u64,
    ) -> Option<Duration> {
        let seat = self.seats.remove(&number)?;
        let failures = match (seat, left) {
            (Seat::Draining, _) => return None,
            (Seat::Running { since, .. }, _) if PROVEN_AFTER <= now - since => 0,
            (Seat::Running { failures, .. } | Seat::Due { failures, .. }, _) => failures,
        };
        let (wait, failures) = match left {
            Left::Drained | Left::Recycled => (Duration::ZERO, failures),
            Left::Failed(_) | Left::Killed(_) | Left::Broken => {
                (RESTART.wait(failures, random), failures.saturating_add(1))
            }
        };
        self.seats.insert(number, Seat::Due { at: now + wait, failures });
        Some(wait)
    }

    /// The worker that is to be drained, if there are too many: one at a time. `by_load`: those that may go, the least
    /// loaded first.
    pub(crate) fn victim(&self, by_load: impl Iterator<Item = u32>) -> Option<u32> {
        if self.kept() <= self.wanted {
            return None;
        }
        let runs = |number: &u32| matches!(self.seats.get(number), Some(Seat::Running { .. }));
        let mut by_load = by_load.filter(runs);
        by_load.next()
    }

    fn failures(&self, number: u32) -> u32 {
        match self.seats.get(&number) {
            Some(Seat::Due { failures, .. } | Seat::Running { failures, .. }) => *failures,
            Some(Seat::Draining) | None => 0,
        }
    }
}

#[cfg(test)]
mod tests;
