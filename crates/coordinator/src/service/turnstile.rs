//! How fast each client may submit: a bucket for each, in front of the engine.
//!
//! It knows no task. Who a client says it is, it believes: nobody is authenticated.

use std::{
    collections::HashMap,
    fmt,
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use leasehold_policy::{Bucket, Rate};
use tokio::time::Instant;
use tonic::Request;

use crate::{config::RateLimit, refusal::Refusal};

/// Where a client says who it is.
const CLIENT: &str = "leasehold-client";

/// The longest name; a longer one is none.
const CLIENT_BYTES_MAX: usize = 128;

/// How many clients are told apart: some 100 bytes each. Beyond it those that come anew share one bucket.
const CLIENTS_MAX: usize = 10_000;

/// How often it is looked for clients that need not be remembered.
const SWEEP_INTERVAL: Duration = Duration::from_millis(100);

/// Who submits.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Client {
    /// Who says so.
    Named(Arc<str>),
    /// Whoever calls from there.
    At(IpAddr),
    /// Nobody knows.
    Unknown,
}

impl Client {
    /// Who makes a call.
    pub(super) fn of<T>(request: &Request<T>) -> Self {
        let name = request.metadata().get(CLIENT).and_then(|name| name.to_str().ok());
        let name = name.filter(|name| (1..=CLIENT_BYTES_MAX).contains(&name.len()));
        let address = request.remote_addr().map(|address| Self::At(address.ip()));
        name.map(|name| Self::Named(name.into())).or(address).unwrap_or(Self::Unknown)
    }
}

impl fmt::Display for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Named(name) => f.write_str(name),
            Self::At(address) => write!(f, "{address}"),
            Self::Unknown => f.write_str("unknown"),
        }
    }
}

/// What every client has left.
#[derive(Clone, Debug)]
pub(super) struct Turnstile {
    began: Instant,
    tallies: Arc<Mutex<Tallies>>,
}

#[derive(Debug, Default)]
struct Tallies {
    buckets: HashMap<Client, Bucket>,
    /// Of everybody who found no place.
    crowd: Bucket,
    swept: Duration,
}

impl Turnstile {
    pub(super) fn new() -> Self {
        Self { began: Instant::now(), tallies: Arc::default() }
    }

    /// Lets one more task of a client pass. `refused` of the same call were not: when there is room for those as well, the
    /// refusal says, so that a batch comes back once.
    pub(super) fn pass(
        &self,
        limit: RateLimit,
        client: &Client,
        refused: u32,
    ) -> Result<(), Refusal> {
        let mut tallies = self.tallies.lock().unwrap_or_else(PoisonError::into_inner);
        let taken = tallies.take(limit.into(), client, self.began.elapsed(), refused);
        taken.map_err(|wait| Refusal::rate_limited(client, limit, wait))
    }
}

impl Tallies {
    fn take(
        &mut self,
        rate: Rate,
        client: &Client,
        now: Duration,
        refused: u32,
    ) -> Result<(), Duration> {
        let bucket = self.bucket(client, now);
        bucket.clip(rate, now);
        let all = refused.saturating_add(1).min(rate.burst);
        let taken = bucket.take(rate, 1, now).map(drop);
        taken.map_err(|_| bucket.wait(rate, all, now))
    }

    fn bucket(&mut self, client: &Client, now: Duration) -> &mut Bucket {
        if !self.buckets.contains_key(client) {
            self.make_room(now);
            if CLIENTS_MAX <= self.buckets.len() {
                return &mut self.crowd;
            }
        }
        self.buckets.entry(client.clone()).or_default()
    }

    /// Forgets the clients whose buckets are full: a new one is the same.
    fn make_room(&mut self, now: Duration) {
        if CLIENTS_MAX <= self.buckets.len() && self.swept + SWEEP_INTERVAL <= now {
            self.buckets.retain(|_, bucket| !bucket.is_full(now));
            self.swept = now;
        }
    }
}

#[cfg(test)]
mod tests;
