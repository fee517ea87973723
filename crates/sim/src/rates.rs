//! The judge of rates: what work that began had taken, counted by hand over every stretch of time.
//!
//! It knows when leases were granted and which of them were really started. What was taken for the others may come back, and
//! is not looked at.

use std::collections::BTreeMap;

use leasehold_policy::Time;
use leasehold_queue::{TaskSpec, Token};

use crate::{
    judge::Violation,
    plan::{Limits, RATE, queue_name},
};

/// What a lease took of one bucket.
#[derive(Clone, Copy, Debug)]
struct Taken {
    of: &'static str,
    time: Time,
    tokens: u64,
}

/// What was taken for work that began, and for leases whose work has not begun.
#[derive(Debug, Default)]
pub(crate) struct Rates {
    limits: Option<Limits>,
    granted: BTreeMap<Token, Vec<Taken>>,
    begun: Vec<Taken>,
}

impl Rates {
    /// Nothing was taken yet.
    pub(crate) fn new(limits: Option<Limits>) -> Self {
        Self { limits, ..Self::default() }
    }

    /// A lease was granted.
    pub(crate) fn grant(&mut self, token: Token, time: Time, spec: &TaskSpec) {
        let charges = spec.claims.iter().flat_map(|claims| &claims.charges);
        let own = charges.filter(|(key, _)| **key == *RATE).map(|(_, tokens)| (RATE, *tokens));
        let queue = (*spec.queue == *queue_name(1)).then_some(("queue", 1));
        let all = own.chain(queue).map(|(of, tokens)| Taken { of, time, tokens: tokens.into() });
        self.granted.insert(token, all.collect());
    }

    /// The work of a lease began.
    pub(crate) fn begin(&mut self, token: Token) -> Result<(), Violation> {
        let Some(limits) = self.limits else { return Ok(()) };
        for taken in self.granted.remove(&token).unwrap_or_default() {
            self.begun.push(taken);
            let (per_second, burst) =
                if taken.of == RATE { limits.rate } else { limits.queue_rate };
            let mut alike: Vec<Taken> =
                self.begun.iter().filter(|other| other.of == taken.of).copied().collect();
            alike.sort_by_key(|taken| taken.time);
            for (first, from) in alike.iter().enumerate() {
                let mut sum = 0;
                for to in &alike[first..] {
                    sum += to.tokens;
                    let ms =
                        u64::try_from(to.time.since(from.time).as_millis()).unwrap_or(u64::MAX);
                    let most = ms * u64::from(per_second) / 1_000 + u64::from(burst);
                    if most < sum {
                        let of = taken.of;
                        let message = format!("{sum} of {of} in {ms} ms, {most} may be: {token}");
                        return Err(Violation::new("rate", message));
                    }
                }
            }
        }
        Ok(())
    }
}
