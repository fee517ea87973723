//! When to repeat a call: how long an outage has lasted and how long to wait before the next try.
//!
//! It knows no clock and no randomness: both are arguments.

use std::time::Duration;

use tokio::time::Instant;

use crate::{Error, Retry};

/// Whether carrying out a call twice does the same as carrying it out once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Repeat {
    /// It does: repeat it also when its answer was lost.
    Safe,
    /// It does not: repeat it only when it was refused before anything changed.
    OnlyIfRefused,
}

/// The failures in a row of one call, stream or wait.
#[derive(Debug)]
pub(crate) struct Outage {
    retry: Retry,
    limit: Duration,
    /// The limit once the coordinator has been reached: one that was there will come back.
    later_limit: Duration,
    began: Option<Instant>,
    failures: u32,
}

impl Outage {
    /// An outage begins with the first failure and may last for `limit`.
    pub(crate) fn new(retry: Retry, limit: Duration) -> Self {
        Self { retry, limit, later_limit: limit, began: None, failures: 0 }
    }

    /// Outages after the coordinator has been reached may last for `limit`.
    pub(crate) fn later(mut self, limit: Duration) -> Self {
        self.later_limit = limit;
        self
    }

    /// Counts the limit from `start`, not from the first failure.
    pub(crate) fn since(mut self, start: Instant) -> Self {
        self.began = Some(start);
        self
    }

    /// The coordinator is there, whatever comes of it.
    pub(crate) fn reached(&mut self) {
        self.limit = self.later_limit;
    }

    /// Something worked: the next failure begins a new outage.
    pub(crate) fn over(&mut self) {
        self.reached();
        self.began = None;
        self.failures = 0;
    }

    /// Whether the last thing that was tried failed.
    pub(crate) fn is_under_way(&self) -> bool {
        0 < self.failures
    }

    /// How long it may last.
    pub(crate) fn limit(&self) -> Duration {
        self.limit
    }

    /// How long to wait after `error` before trying again; `None`: give up. `random` is 64 uniform bits.
    pub(crate) fn wait(
        &mut self,
        error: &Error,
        repeat: Repeat,
        now: Instant,
        random: u64,
    ) -> Option<Duration> {
        let Retry::WithBackoff(backoff) = self.retry else { return None };
        let may_repeat = error.is_pushback() || (error.is_in_doubt() && repeat == Repeat::Safe);
        if !may_repeat {
            return None;
        }
        let asked = error.retry_after().unwrap_or_default();
        let wait = asked.saturating_add(backoff.wait(self.failures, random));
        self.failures = self.failures.saturating_add(1);
        let lasted = now.saturating_duration_since(*self.began.get_or_insert(now));
        (lasted.saturating_add(wait) < self.limit).then_some(wait)
    }
}

#[cfg(test)]
mod tests;
