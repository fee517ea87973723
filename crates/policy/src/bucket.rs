//! A token bucket: how much of something there may be in any stretch of time.
//!
//! It is kept as the one moment at which it would be full again (the generic cell rate algorithm), so nothing has to refill
//! it. It knows no clock: moments are durations since a start of the caller's choice.

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

impl Rate {
    fn time_of(self, tokens: u32) -> Duration {
        self.interval.saturating_mul(tokens)
    }

    fn holds(self) -> Duration {
        self.time_of(self.burst.max(1))
    }
}

/// A bucket, full at first. The tokens that are taken from it in any stretch of time `w` and not given back are at most
/// `w / interval + burst`.
///
/// What is taken can be seen as work for a server that does one token's worth in an interval, in the order of the takings:
/// the bucket is as empty as there is work left, and full when there is none. A refund takes out what is left of one piece of
/// that work, and never what the time has already made up for: so the bucket is never fuller than if only what is kept had
/// ever been taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bucket {
    full_at: Duration,
    /// All that was ever given back, by which what was taken before is done the sooner.
    refunded: Duration,
}

/// What was taken at one time, to be given back if it turns out not to have been used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// When the bucket has made up for it, if nothing had ever been given back.
    made_up: Duration,
    /// How long that takes.
    lasts: Duration,
}

impl Bucket {
    /// A bucket that is empty now.
    pub fn emptied(rate: Rate, now: Duration) -> Self {
        let full_at =
            if rate.interval.is_zero() { Duration::ZERO } else { now.saturating_add(rate.holds()) };
        Self { full_at, refunded: Duration::ZERO }
    }

    /// How long it takes until there are so many tokens; zero: they are there. More of them than the bucket holds are there
    /// when it is full, and are made up for before anything else is.
    pub fn wait(&self, rate: Rate, tokens: u32, now: Duration) -> Duration {
        let full_at = self.full_at.max(now).saturating_add(rate.time_of(tokens));
        let most = rate.holds().max(rate.time_of(tokens));
        full_at.saturating_sub(now.saturating_add(most))
    }

    /// The same, if so many others are taken before, each as soon as it is there.
    pub fn wait_behind(&self, rate: Rate, ahead: u32, tokens: u32, now: Duration) -> Duration {
        let full_at = self.full_at.max(now).saturating_add(rate.time_of(ahead));
        Self { full_at, ..*self }.wait(rate, tokens, now)
    }

    /// Takes so many tokens, or says how long it takes until they are there.
    pub fn take(&mut self, rate: Rate, tokens: u32, now: Duration) -> Result<Receipt, Duration> {
        let short = self.wait(rate, tokens, now);
        let lasts = rate.time_of(tokens);
        let full_at = self.full_at.max(now).saturating_add(lasts);
        if !short.is_zero() {
            if Mutant::TurnedAwayPays.is_alive() {
                self.full_at = full_at;
            }
            return Err(short);
        }
        self.full_at = full_at;
        Ok(Receipt { made_up: full_at.saturating_add(self.refunded), lasts })
    }

    /// Gives back what was taken, as far as the bucket has not made up for it. Each receipt counts once.
    pub fn refund(&mut self, receipt: Receipt, now: Duration) {
        let made_up = receipt.made_up.saturating_sub(self.refunded);
        let left = made_up.saturating_sub(now).min(receipt.lasts);
        let left = if Mutant::RefundUnbounded.is_alive() { receipt.lasts } else { left };
        self.give_back(left);
    }

    /// So many thousandths of a token come in beside what the time brings, as far as there is room.
    pub fn credit(&mut self, rate: Rate, thousandths: u32, now: Duration) {
        let time = rate.time_of(thousandths) / 1_000;
        self.give_back(time.min(self.full_at.saturating_sub(now)));
    }

    /// Obeys another rate from here on: it is no emptier than a bucket of that rate can be.
    pub fn clip(&mut self, rate: Rate, now: Duration) {
        let most = now.saturating_add(rate.holds());
        self.give_back(self.full_at.saturating_sub(most));
    }

    /// Whether it holds all that it can.
    pub fn is_full(&self, now: Duration) -> bool {
        self.full_at <= now
    }

    /// How many whole tokens are there.
    pub fn tokens(&self, rate: Rate, now: Duration) -> u32 {
        let free = rate.holds().saturating_sub(self.full_at.saturating_sub(now));
        let whole = free.as_nanos().checked_div(rate.interval.as_nanos());
        whole.and_then(|tokens| u32::try_from(tokens).ok()).unwrap_or(u32::MAX)
    }

    fn give_back(&mut self, time: Duration) {
        self.full_at = self.full_at.saturating_sub(time);
        self.refunded = self.refunded.saturating_add(time);
    }
}

#[cfg(test)]
mod tests;
