//! How fast each client may submit, and how fast all of them together to each namespace: a bucket for each, in front of the
//! engine.
//!
//! It knows no task. Who a client says it is, it believes: nobody is authenticated.

use std::{
    collections::HashMap,
    fmt,
    hash::Hash,
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use leasehold_policy::{Bucket, Rate, Receipt};
use tokio::time::Instant;
use tonic::Request;

use crate::{config::RateLimit, refusal::Refusal};

/// Where a client says who it is.
const CLIENT: &str = "leasehold-client";

/// The longest name; a longer one is none.
const CLIENT_BYTES_MAX: usize = 128;

/// How many clients, and how many namespaces, are told apart: some 100 bytes each. Beyond it those that come anew share one bucket.
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

/// What every client has left, and every namespace.
#[derive(Clone, Debug)]
pub(super) struct Turnstile {
    began: Instant,
    tallies: Arc<Mutex<Door>>,
}

/// What is left of every rate.
#[derive(Debug, Default)]
struct Door {
    clients: Tallies<Client>,
    namespaces: Tallies<Arc<str>>,
}

/// Whose rates a task has to pass at the door.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rates<'a> {
    /// Who submits it, and how fast each client may.
    pub(super) client: (&'a Client, Option<RateLimit>),
    /// Its namespace, and how fast all clients may submit to that.
    pub(super) namespace: (&'a str, Option<RateLimit>),
}

/// What each of those has left that are held to a rate.
#[derive(Debug)]
struct Tallies<K> {
    buckets: HashMap<K, Bucket>,
    /// Of everybody who found no place.
    crowd: Bucket,
    swept: Duration,
}

impl Turnstile {
    pub(super) fn new() -> Self {
        Self { began: Instant::now(), tallies: Arc::default() }
    }

    /// Lets one more task pass: by both rates or by none. `refused` of the same call were not: when there is room for those as
    /// well, the refusal says, so that a batch comes back once.
    pub(super) fn pass(&self, rates: Rates<'_>, refused: u32) -> Result<(), Refusal> {
        let Rates { client: (client, by_client), namespace: (space, by_space) } = rates;
        if by_client.is_none() && by_space.is_none() {
            return Ok(());
        }
        let now = self.began.elapsed();
        let mut tallies = self.tallies.lock().unwrap_or_else(PoisonError::into_inner);
        let Door { clients, namespaces } = &mut *tallies;
        let taken = by_client.map(|limit| {
            let taken = clients.take(limit.into(), client, now, refused);
            taken.map_err(|wait| Refusal::rate_limited(client, limit, wait))
        });
        let taken = taken.transpose()?;
        let Some(limit) = by_space else { return Ok(()) };
        let passed = namespaces.take(limit.into(), &Arc::from(space), now, refused);
        passed.map(drop).map_err(|wait| {
            if let Some(receipt) = taken {
                clients.refund(client, receipt, now);
            }
            Refusal::namespace_rate_limited(space, limit, wait)
        })
    }
}

impl<K> Default for Tallies<K> {
    fn default() -> Self {
        Self { buckets: HashMap::new(), crowd: Bucket::default(), swept: Duration::ZERO }
    }
}

impl<K: Clone + Eq + Hash> Tallies<K> {
    fn take(
        &mut self,
        rate: Rate,
        whose: &K,
        now: Duration,
        refused: u32,
    ) -> Result<Receipt, Duration> {
        let bucket = self.bucket(whose, now);
        bucket.clip(rate, now);
        let all = refused.saturating_add(1).min(rate.burst);
        let taken = bucket.take(rate, 1, now);
        taken.map_err(|_| bucket.wait(rate, all, now))
    }

    fn refund(&mut self, whose: &K, receipt: Receipt, now: Duration) {
        self.bucket(whose, now).refund(receipt, now);
    }

    fn bucket(&mut self, whose: &K, now: Duration) -> &mut Bucket {
        if !self.buckets.contains_key(whose) {
            self.make_room(now);
            if CLIENTS_MAX <= self.buckets.len() {
                return &mut self.crowd;
            }
        }
        self.buckets.entry(whose.clone()).or_default()
    }

    /// Forgets those whose buckets are full: a new one is the same.
    fn make_room(&mut self, now: Duration) {
        if CLIENTS_MAX <= self.buckets.len() && self.swept + SWEEP_INTERVAL <= now {
            self.buckets.retain(|_, bucket| !bucket.is_full(now));
            self.swept = now;
        }
    }
}

#[cfg(test)]
mod tests;
