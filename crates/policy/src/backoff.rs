//! How long to wait before trying again: exponential growth to a cap, drawn with jitter.
//!
//! It knows no randomness: the draw is an argument.

use std::time::Duration;

/// How a wait is drawn from its ceiling.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Jitter {
    /// Uniform between zero and the ceiling.
    #[default]
    Full,
    /// Exactly the ceiling.
    None,
}

/// Exponential backoff: the ceiling of wait `n` is `initial * factor^n`, at most `cap`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Backoff {
    /// The ceiling of the first wait.
    pub initial: Duration,
    /// By what the ceiling grows from one wait to the next; at least 1.
    pub factor: f64,
    /// The largest ceiling.
    pub cap: Duration,
    /// How a wait is drawn below its ceiling.
    pub jitter: Jitter,
}

impl Backoff {
    /// The ceiling of wait `n`, counting from 0.
    pub fn ceiling(&self, n: u32) -> Duration {
        let exponent = i32::try_from(n).unwrap_or(i32::MAX);
        let seconds = self.initial.as_secs_f64() * self.factor.max(1.0).powi(exponent);
        if seconds.is_finite() && seconds < self.cap.as_secs_f64() {
            Duration::from_secs_f64(seconds)
        } else {
            self.cap
        }
    }

    /// Wait `n`, counting from 0. `random` is 64 uniform random bits.
    pub fn wait(&self, n: u32, random: u64) -> Duration {
        let ceiling = self.ceiling(n);
        match self.jitter {
            Jitter::None => ceiling,
            Jitter::Full => {
                let nanos = (ceiling.as_nanos() * u128::from(random)) >> 64;
                Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
            }
        }
    }

    /// Wait `n` of somebody who was told to wait at least for so long. Jitter only adds to that: who was told the same does not
    /// come back at the same moment, and nobody comes back too early.
    pub fn wait_at_least(&self, least: Duration, n: u32, random: u64) -> Duration {
        let wait = self.wait(n, random);
        match self.jitter {
            Jitter::None => wait.max(least),
            Jitter::Full => wait.saturating_add(least),
        }
    }
}

#[cfg(test)]
mod tests;
