//! A token bucket: how much of something there may be in any stretch of time.
//!
//! It is kept as the one moment at which it would be full again (the generic cell rate algorithm), so it costs sixteen
//! bytes and nothing has to refill it. It knows no clock: moments are durations since a start of the caller's choice.

use std::time::Duration;

use crate::Mutant;

/// How fast a bucket fills and how much it holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// How long one token takes. Zero: there is no limit.
    pub interval: Duration,
    /// How many tokens a full bucket holds; at least 1.
    pub burst: u32,
}

/// A bucket, full at first. What it lets pass in any stretch of time `w` is at most `w / interval + burst`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bucket {
    full_at: Duration,
}

impl Bucket {
    /// Takes a token, or says how long it takes until there is one.
    pub fn take(&mut self, rate: Rate, now: Duration) -> Result<(), Duration> {
        let full_at = self.full_at.max(now).saturating_add(rate.interval);
        let holds = rate.interval.saturating_mul(rate.burst.max(1));
        let short = full_at.saturating_sub(now.saturating_add(holds));
        if !short.is_zero() {
            if Mutant::TurnedAwayPays.is_alive() {
                self.full_at = full_at;
            }
            return Err(short);
        }
        self.full_at = full_at;
        Ok(())
    }
}

#[cfg(test)]
mod tests;
