//! Circuit breakers as they are written: what is guarded, when a circuit opens, and what retries are paid from.

use std::{collections::BTreeMap, time::Duration};

use leasehold_policy::{CircuitTerms, Rate, SlowTerms};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{duration, schema};

/// How many breakers there may be: each is a handful of series in the metrics.
pub const BREAKERS_MAX: usize = 1_000;

/// Circuit breakers. What is not named here has none.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Breakers {
    /// Of all tasks of a type.
    pub task_types: BTreeMap<String, Breaker>,
    /// Of what tasks say that they call.
    pub dependencies: BTreeMap<String, Breaker>,
}

/// One circuit breaker.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Breaker {
    /// How far back attempts count.
    #[serde(with = "duration")]
    #[schemars(with = "schema::Time")]
    pub window: Duration,
    /// Fewer attempts than that in the window open nothing.
    pub min_calls: u32,
    /// The share of failed attempts that opens the circuit: more than 0, at most 1.
    pub failure_share: f64,
    /// An attempt that takes longer is slow, however it ends. None: time does not matter.
    #[serde(with = "duration::optional", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "schema::Time", extend("default" = null))]
    pub slow_after: Option<Duration>,
    /// The share of slow attempts that opens the circuit: more than 0, at most 1.
    pub slow_share: f64,
    /// How long the circuit is open. It doubles with each round of probes that failed.
    #[serde(with = "duration")]
    #[schemars(with = "schema::Time")]
    pub open_for: Duration,
    /// How long it is open at the most.
    #[serde(with = "duration")]
    #[schemars(with = "schema::Time")]
    pub open_for_max: Duration,
    /// How many attempts there may be at a time while it is half-open, and how many in a row have to succeed to close it.
    pub probes: u32,
    /// What attempts of tasks that have failed before are paid from. None: there may be any number.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("default" = null))]
    pub retry_budget: Option<RetryBudget>,
}

impl Default for Breaker {
    fn default() -> Self {
        Self {
            window: Duration::from_mins(5),
            min_calls: 20,
            failure_share: 0.5,
            slow_after: None,
            slow_share: 0.5,
            open_for: Duration::from_secs(30),
            open_for_max: Duration::from_mins(10),
            probes: 3,
            retry_budget: None,
        }
    }
}

/// What attempts of tasks that have failed before are paid from, each with 1.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RetryBudget {
    /// What each success brings: 0 to 1.
    pub share: f64,
    /// What each second brings: 0.001 to 1000000.
    pub per_second: f64,
    /// How much of it there is at the most.
    pub burst: u32,
}

impl Default for RetryBudget {
    fn default() -> Self {
        Self { share: 0.2, per_second: 1.0, burst: 10 }
    }
}

impl Breaker {
    /// When its circuit opens and closes.
    pub fn circuit(&self) -> CircuitTerms {
        let slow = |after| SlowTerms { after, share: thousandths(self.slow_share) };
        CircuitTerms {
            window: self.window,
            calls_min: self.min_calls,
            failure_share: thousandths(self.failure_share),
            slow: self.slow_after.map(slow),
            open_for: self.open_for,
            open_for_max: self.open_for_max,
            probes: self.probes,
        }
    }
}

impl RetryBudget {
    /// What time brings, and how much there is at the most.
    pub fn rate(&self) -> Rate {
        Rate { interval: Duration::from_secs_f64(1.0 / self.per_second), burst: self.burst }
    }

    /// What a success brings, in thousandths.
    pub fn share(&self) -> u32 {
        thousandths(self.share).into()
    }
}

/// A share in thousandths; what is more than nothing is at least one.
#[expect(
    clippy::as_conversions,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "it is between 0 and 1,000 by then"
)]
fn thousandths(share: f64) -> u16 {
    (share * 1_000.0).ceil().clamp(0.0, 1_000.0) as u16
}
