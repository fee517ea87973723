//! A circuit breaker: whether to go on asking something that has failed too often lately.
//!
//! It is closed while enough of what is asked succeeds, open for a while when too little does, and half-open then: a few are
//! let through to see whether it is closed again. It knows no clock and nothing of what it guards.

use std::time::Duration;

use crate::{Mutant, Time};

mod window;

use window::Window;
pub use window::{PARTS, Tally};

/// When a circuit opens, for how long, and what closes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CircuitTerms {
    /// How far back calls count; they leave the window a thirtieth of it at a time.
    pub window: Duration,
    /// Fewer calls than that in the window, or in its last tenth, open nothing; at least 1.
    pub calls_min: u32,
    /// The share of failed calls, of those in the window or in its last tenth, that opens it, in thousandths; 1 to 1,000.
    pub failure_share: u16,
    /// The share of calls that opens it because they ran longer than that. None: time does not matter.
    pub slow: Option<SlowTerms>,
    /// How long it is open the first time. It doubles with each round of probes that failed.
    pub open_for: Duration,
    /// How long it is open at the most.
    pub open_for_max: Duration,
    /// How many calls are let through at a time while it is half-open, and how many in a row have to succeed to close it; at
    /// least 1.
    pub probes: u32,
}

/// When calls are too slow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SlowTerms {
    /// A call that takes longer is slow, however it ends.
    pub after: Duration,
    /// The share of slow calls that opens the circuit, in thousandths; 1 to 1,000.
    pub share: u16,
}

/// How a call ended that says something of what it called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Call {
    /// Well or not.
    pub end: CallEnd,
    /// How long it took.
    pub ran: Duration,
}

/// Whether a call did what it was to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallEnd {
    /// It did.
    Succeeded,
    /// It did not.
    Failed,
}

/// What a circuit does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CircuitState {
    /// Lets everybody through.
    #[default]
    Closed,
    /// Lets nobody through.
    Open {
        /// When it is half-open.
        until: Time,
    },
    /// Lets a few through.
    HalfOpen {
        /// How many of them succeeded since the last that did not, or was slow.
        in_a_row: u32,
    },
}

/// A circuit changed what it does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Turn {
    /// It lets nobody through from here on.
    Opened,
    /// It lets a few through.
    HalfOpened,
    /// It lets everybody through.
    Closed,
}

/// Somebody was let through. It is counted once at the most, and leaves once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pass {
    /// How often the circuit had turned by then: what was let through before it turned says nothing of what has been since.
    turns: u64,
    is_probe: bool,
}

/// A circuit, closed at first.
#[derive(Clone, Debug, Default)]
pub struct Circuit {
    state: CircuitState,
    since: Time,
    window: Window,
    /// What opened it. Unless it is closed.
    opened: Tally,
    /// How many rounds of probes have failed since it was last closed.
    failed_rounds: u32,
    /// How many probes may still run, of whatever round.
    probes: u32,
    turns: u64,
}

impl CircuitTerms {
    fn is_slow(&self, call: Call) -> bool {
        self.slow.is_some_and(|slow| slow.after < call.ran)
    }
}

impl Pass {
    /// Whether it takes one of the places of probes until it leaves.
    pub const fn is_probe(self) -> bool {
        self.is_probe
    }
}

impl Circuit {
    /// What it does.
    pub const fn state(&self) -> CircuitState {
        self.state
    }

    /// Since when it does that. A closed one that never was anything else has been so for ever.
    pub const fn since(&self) -> Time {
        self.since
    }

    /// When it half-opens, if it is open.
    pub const fn half_opens_at(&self) -> Option<Time> {
        match self.state {
            CircuitState::Open { until } => Some(until),
            CircuitState::Closed | CircuitState::HalfOpen { .. } => None,
        }
    }

    /// How many probes may still run.
    pub const fn probes(&self) -> u32 {
        self.probes
    }

    /// What is in its window; while it is not closed, what opened it.
    pub fn tally(&self, terms: &CircuitTerms, now: Time) -> Tally {
        match self.state {
            CircuitState::Closed => self.window.at(terms.window, now),
            CircuitState::Open { .. } | CircuitState::HalfOpen { .. } => self.opened,
        }
    }

    /// Whether somebody may pass. Asking changes nothing.
    pub fn lets(&self, terms: &CircuitTerms) -> bool {
        match self.state {
            CircuitState::Closed => true,
            CircuitState::Open { .. } => false,
            CircuitState::HalfOpen { .. } => {
                self.probes < terms.probes || Mutant::ProbesUnbounded.is_alive()
            }
        }
    }

    /// Half-opens it if it has been open for long enough. To be called before anything else is done at that time.
    pub fn advance(&mut self, now: Time) -> Option<Turn> {
        let CircuitState::Open { until } = self.state else { return None };
        (until <= now).then(|| self.turn(CircuitState::HalfOpen { in_a_row: 0 }, until))
    }

    /// Somebody passes who may.
    pub fn pass(&mut self) -> Pass {
        let is_probe = matches!(self.state, CircuitState::HalfOpen { .. });
        self.probes += u32::from(is_probe);
        Pass { turns: self.turns, is_probe }
    }

    /// What somebody did who had passed has ended, and says something. What was let through before the circuit last turned
    /// does not count.
    pub fn count(
        &mut self,
        pass: Pass,
        call: Call,
        terms: &CircuitTerms,
        now: Time,
    ) -> Option<Turn> {
        if pass.turns != self.turns {
            return None;
        }
        match self.state {
            CircuitState::Closed => {
                self.window.count(terms.window, now, Tally::of(call, terms));
                self.opened = self.window.opens(terms)?;
                Some(self.open(terms, now))
            }
            CircuitState::HalfOpen { .. } if call.end == CallEnd::Failed => {
                self.failed_rounds = self.failed_rounds.saturating_add(1);
                Some(self.open(terms, now))
            }
            CircuitState::HalfOpen { in_a_row } => {
                // A slow one is neither: as long as there are only such ones, a few at a time go on.
                let in_a_row = if terms.is_slow(call) { 0 } else { in_a_row + 1 };
                self.state = CircuitState::HalfOpen { in_a_row };
                (terms.probes <= in_a_row).then(|| self.close(now))
            }
            CircuitState::Open { .. } => None,
        }
    }

    /// What somebody did who had passed is over for sure.
    pub fn leave(&mut self, pass: Pass) {
        debug_assert!(!pass.is_probe || 0 < self.probes, "a probe leaves once");
        let is_kept = Mutant::ProbeNeverLeaves.is_alive();
        self.probes = self.probes.saturating_sub(u32::from(pass.is_probe && !is_kept));
    }

    /// Closes it, whatever it did; what it has counted is forgotten.
    pub fn close(&mut self, now: Time) -> Turn {
        self.window = Window::default();
        self.failed_rounds = 0;
        self.turn(CircuitState::Closed, now)
    }

    /// Obeys other terms. What it has counted over another stretch of time is forgotten, and it is open no longer than it
    /// could be under the new ones.
    pub fn obey(&mut self, before: &CircuitTerms, terms: &CircuitTerms, now: Time) {
        if before.window != terms.window && self.state == CircuitState::Closed {
            self.window = Window::default();
        }
        if let CircuitState::Open { until } = &mut self.state {
            *until = (*until).min(now + terms.open_for_max);
        }
    }

    fn open(&mut self, terms: &CircuitTerms, now: Time) -> Turn {
        let doubled = 1_u32.checked_shl(self.failed_rounds).unwrap_or(u32::MAX);
        let lasts = terms.open_for.saturating_mul(doubled).min(terms.open_for_max);
        self.turn(CircuitState::Open { until: now + lasts }, now)
    }

    fn turn(&mut self, state: CircuitState, now: Time) -> Turn {
        self.turns += 1;
        (self.state, self.since) = (state, now);
        match state {
            CircuitState::Closed => Turn::Closed,
            CircuitState::Open { .. } => Turn::Opened,
            CircuitState::HalfOpen { .. } => Turn::HalfOpened,
        }
    }
}

#[cfg(test)]
mod tests;
