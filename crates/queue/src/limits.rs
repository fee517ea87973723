//! What leases count against beside slots: permits of concurrency limits and tokens of rates. Who holds what, and how much
//! is left.
//!
//! Permits are held as long as the slot of the lease is: until its worker has spoken or its session is over. Tokens are
//! spent when the lease is granted; what time has not made up for comes back if it was never started. It knows no task, no
//! lane and no session, and nothing of it is durable: it follows from the leases, the configuration and the time.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    time::Duration,
};

use leasehold_policy::{Bucket, Mutant, Rate, Receipt, Time, namespace};

use crate::{Claims, Guarded, Name, Token, config::Throttles};

/// What has so many permits.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Permit {
    /// A concurrency key.
    Key(Name),
    /// A queue.
    Queue(Name),
    /// A fairness key of a queue; empty: all tasks of it that have none.
    Flow(Name, Name),
}

/// What has a bucket.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Bucketed {
    /// A rate key.
    Key(Name),
    /// A queue.
    Queue(Name),
    /// The retry budget of what a circuit breaker guards.
    Retries(Guarded),
}

/// One thing that a lease takes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Take {
    /// A permit.
    Permit(Permit),
    /// So many tokens.
    Tokens(Bucketed, u32),
}

/// How far a limit is used up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Use {
    /// How much of it is used: permits that are held, or tokens that are missing in the bucket.
    pub used: u32,
    /// How much of it there is.
    pub max: u32,
    /// When there will be enough of it, unless others take it before. None: nobody knows.
    pub free_at: Option<Time>,
}

impl fmt::Display for Take {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Permit(Permit::Key(key)) => write!(f, "a permit of concurrency key {key:?}"),
            Self::Permit(Permit::Queue(queue)) => write!(f, "a permit of queue {queue:?}"),
            Self::Permit(Permit::Flow(queue, key)) if key.is_empty() => {
                write!(f, "a permit of what has no fairness key in queue {queue:?}")
            }
            Self::Permit(Permit::Flow(queue, key)) => {
                write!(f, "a permit of fairness key {key:?} in queue {queue:?}")
            }
            Self::Tokens(Bucketed::Key(key), _) => write!(f, "rate key {key:?}"),
            Self::Tokens(Bucketed::Queue(queue), _) => write!(f, "the rate of queue {queue:?}"),
            Self::Tokens(Bucketed::Retries(guarded), _) => {
                write!(f, "the retry budget of breakers.{guarded}")
            }
        }
    }
}

/// Every limit.
#[derive(Clone, Debug, Default)]
pub(crate) struct Limits {
    /// The leases that hold each permit. None is empty.
    holders: BTreeMap<Permit, BTreeSet<Token>>,
    /// Those of the configuration's rates that were taken from. A full one may be left out.
    buckets: BTreeMap<Bucketed, Bucket>,
    /// How many were left when full ones were last looked for.
    swept: usize,
    /// What each lease took. At most as many as there are slots taken.
    holds: BTreeMap<Token, Hold>,
}

/// What one lease took.
#[derive(Clone, Debug, Default)]
struct Hold {
    permits: Vec<Permit>,
    /// As long as it may come back.
    receipts: Vec<(Bucketed, Receipt)>,
}

/// How many buckets there may be before full ones are looked for.
const BUCKETS_MIN: usize = 64;

/// A queue, and a fairness key of it.
pub(crate) type Whose<'a> = (&'a Name, &'a Name);

/// What a lease takes because of its queue, beside what its task says.
pub(crate) fn takes_of(
    (queue, key): Whose<'_>,
    throttles: &Throttles,
) -> impl Iterator<Item = Take> {
    let limits = throttles.of_queue(queue).copied().unwrap_or_default();
    let leases = limits.leases.map(|_| Take::Permit(Permit::Queue(Name::clone(queue))));
    let flow = limits
        .leases_per_key
        .map(|_| Take::Permit(Permit::Flow(Name::clone(queue), Name::clone(key))));
    let rate = limits.rate.map(|_| Take::Tokens(Bucketed::Queue(Name::clone(queue)), 1));
    leases.into_iter().chain(flow).chain(rate)
}

impl Claims {
    /// What a lease takes because its task says so.
    pub(crate) fn takes(&self) -> impl Iterator<Item = Take> {
        let keys = self.keys.iter().map(|key| Take::Permit(Permit::Key(Name::clone(key))));
        let charges = self.charges.iter();
        keys.chain(
            charges.map(|(key, tokens)| Take::Tokens(Bucketed::Key(Name::clone(key)), *tokens)),
        )
    }
}

impl Permit {
    /// How many there are of it.
    fn cap(&self, throttles: &Throttles) -> u32 {
        match self {
            Self::Key(key) => throttles.caps.of(key),
            Self::Queue(queue) => {
                let limits = throttles.of_queue(queue);
                limits.and_then(|limits| limits.leases).unwrap_or(u32::MAX)
            }
            Self::Flow(queue, _) => {
                let limits = throttles.of_queue(queue);
                limits.and_then(|limits| limits.leases_per_key).unwrap_or(u32::MAX)
            }
        }
    }
}

impl Bucketed {
    /// How its bucket fills; none: it has none any more.
    fn rate(&self, throttles: &Throttles) -> Option<Rate> {
        match self {
            Self::Key(key) => throttles.rates.get(key).copied(),
            Self::Queue(queue) => throttles.of_queue(queue)?.rate,
            Self::Retries(guarded) => {
                throttles.breakers.get(guarded)?.retries.map(|budget| budget.rate)
            }
        }
    }
}

impl Bucketed {
    /// What stands for its bucket until something is taken from that: the one that was emptied at the start for all queues of
    /// its name.
    fn anywhere(&self) -> Option<Self> {
        let Self::Queue(queue) = self else { return None };
        namespace::elsewhere(queue).map(|name| Self::Queue(name.into()))
    }
}

impl Limits {
    /// Every bucket as if it had been emptied at that time: what was taken before it nobody knows.
    pub(crate) fn emptied(throttles: &Throttles, at: Time) -> Self {
        let keys =
            throttles.rates.iter().map(|(key, rate)| (Bucketed::Key(Name::clone(key)), *rate));
        let queues = throttles.queues.iter().filter_map(|(queue, limits)| {
            Some((Bucketed::Queue(Name::clone(queue)), limits.rate?))
        });
        let retries = throttles.breakers.iter().filter_map(|(guarded, terms)| {
            Some((Bucketed::Retries(guarded.clone()), terms.retries?.rate))
        });
        let emptied = |(of, rate): (Bucketed, Rate)| (of, Bucket::emptied(rate, instant(at)));
        let is_forgotten = Mutant::BucketsFullAtBoot.is_alive();
        let all = keys.chain(queues).chain(retries);
        let buckets = all.filter(|_| !is_forgotten).map(emptied).collect();
        Self { buckets, ..Self::default() }
    }

    /// Whether there is enough of it. Asking changes nothing.
    pub(crate) fn has(&self, take: &Take, throttles: &Throttles, now: Time) -> bool {
        match take {
            Take::Permit(permit) => {
                let more = u32::from(Mutant::PermitBeyondCap.is_alive());
                self.used(permit) < permit.cap(throttles).saturating_add(more)
            }
            Take::Tokens(of, tokens) => self.wait(of, *tokens, throttles, now).is_zero(),
        }
    }

    /// How far a limit is used up, for who wants that of it.
    pub(crate) fn use_of(&self, take: &Take, throttles: &Throttles, now: Time) -> Use {
        match take {
            Take::Permit(permit) => {
                Use { used: self.used(permit), max: permit.cap(throttles), free_at: None }
            }
            Take::Tokens(of, tokens) => {
                let rate = of.rate(throttles);
                let left = rate.map_or(0, |rate| self.bucket(of).tokens(rate, instant(now)));
                let max = rate.map_or(0, |rate| rate.burst);
                let free_at = Some(now + self.wait(of, *tokens, throttles, now));
                Use { used: max.saturating_sub(left), max, free_at }
            }
        }
    }

    /// How long it takes until there are so many tokens, if others take so many before.
    pub(crate) fn wait_behind(
        &self,
        of: &Bucketed,
        (ahead, tokens): (u32, u32),
        throttles: &Throttles,
        now: Time,
    ) -> Duration {
        let Some(rate) = of.rate(throttles) else { return Duration::ZERO };
        self.bucket(of).wait_behind(rate, ahead, tokens, instant(now))
    }

    /// A lease takes all of it: there was enough.
    pub(crate) fn acquire(
        &mut self,
        token: Token,
        takes: &[Take],
        throttles: &Throttles,
        now: Time,
    ) {
        if takes.is_empty() {
            return;
        }
        let mut hold = Hold::default();
        for take in takes {
            match take {
                Take::Permit(permit) => hold.permits.push(self.hold(permit, token)),
                Take::Tokens(of, tokens) => {
                    let Some(rate) = of.rate(throttles) else { continue };
                    self.make_room(of, now);
                    let fresh = self.bucket(of);
                    let bucket = self.buckets.entry(of.clone()).or_insert(fresh);
                    if let Ok(receipt) = bucket.take(rate, *tokens, instant(now)) {
                        hold.receipts.push((of.clone(), receipt));
                    }
                }
            }
        }
        self.holds.insert(token, hold);
    }

    /// Other throttles hold from here on: a bucket that there is none of any more is forgotten, one that is filled otherwise is
    /// no emptier than it can be. Permits are left as they are: see [`Limits::adopt`].
    pub(crate) fn configure(&mut self, before: &Throttles, throttles: &Throttles, now: Time) {
        self.buckets.retain(|of, bucket| {
            let rate = of.rate(throttles);
            if let Some(rate) = rate.filter(|_| rate != of.rate(before)) {
                bucket.clip(rate, instant(now));
            }
            rate.is_some()
        });
        self.write_off();
    }

    /// Forgets the buckets that are full, if one more would be twice as many as there were without them: every namespace has a
    /// bucket of its own of what is set for its queues' names, and namespaces come and go.
    fn make_room(&mut self, of: &Bucketed, now: Time) {
        if self.buckets.len() < BUCKETS_MIN.max(2 * self.swept) || self.buckets.contains_key(of) {
            return;
        }
        self.buckets.retain(|_, bucket| !bucket.is_full(instant(now)));
        self.swept = self.buckets.len();
        self.write_off();
    }

    /// Another bucket of the name of one that is gone, later, owes nobody anything.
    fn write_off(&mut self) {
        for hold in self.holds.values_mut() {
            hold.receipts.retain(|(of, _)| self.buckets.contains_key(of));
        }
        self.holds.retain(|_, hold| !hold.permits.is_empty() || !hold.receipts.is_empty());
    }

    /// A lease holds these permits and no others: it was granted by an earlier process, or before these limits were there.
    pub(crate) fn adopt(&mut self, token: Token, takes: &[Take]) {
        let Hold { permits, receipts } = self.holds.remove(&token).unwrap_or_default();
        self.free(&permits, token);
        let permits = takes.iter().filter_map(|take| match take {
            Take::Permit(permit) => Some(self.hold(permit, token)),
            Take::Tokens(..) => None,
        });
        let permits: Vec<Permit> = permits.collect();
        if !permits.is_empty() || !receipts.is_empty() {
            self.holds.insert(token, Hold { permits, receipts });
        }
    }

    /// Whether a lease holds anything.
    pub(crate) fn is_held_by(&self, token: Token) -> bool {
        self.holds.contains_key(&token)
    }

    /// The work of a lease is over for sure: its permits are free. Says of what.
    pub(crate) fn release(&mut self, token: Token) -> Vec<Permit> {
        let Some(Hold { permits, .. }) = self.holds.remove(&token) else { return Vec::new() };
        self.free(&permits, token);
        permits
    }

    fn free(&mut self, permits: &[Permit], token: Token) {
        for permit in permits {
            if let Some(holders) = self.holders.get_mut(permit) {
                holders.remove(&token);
                if holders.is_empty() {
                    self.holders.remove(permit);
                }
            }
        }
    }

    /// A lease was never started: what it took of rates comes back. Says of which.
    pub(crate) fn refund(&mut self, token: Token, now: Time) -> Vec<Bucketed> {
        let receipts = self.spend(token);
        for (of, receipt) in &receipts {
            if let Some(bucket) = self.buckets.get_mut(of) {
                bucket.refund(*receipt, instant(now));
            }
        }
        receipts.into_iter().map(|(of, _)| of).collect()
    }

    /// So many thousandths of a token come in beside what time brings.
    pub(crate) fn credit(
        &mut self,
        of: &Bucketed,
        thousandths: u32,
        throttles: &Throttles,
        now: Time,
    ) {
        if let Some((bucket, rate)) = self.buckets.get_mut(of).zip(of.rate(throttles)) {
            bucket.credit(rate, thousandths, instant(now));
        }
    }

    /// A lease was started, or may have been: what it took of rates is spent.
    pub(crate) fn spend(&mut self, token: Token) -> Vec<(Bucketed, Receipt)> {
        let Some(hold) = self.holds.get_mut(&token) else { return Vec::new() };
        let receipts = std::mem::take(&mut hold.receipts);
        if hold.permits.is_empty() {
            self.holds.remove(&token);
        }
        receipts
    }

    /// The leases that hold a permit, in the order of their grants.
    pub(crate) fn holders(&self, permit: &Permit) -> impl Iterator<Item = Token> {
        self.holders.get(permit).into_iter().flatten().copied()
    }

    /// How many permits or tokens are left, and how many of them a lease takes; what wants more than a bucket holds takes
    /// all of it. None: there is no such limit any more.
    pub(crate) fn left(&self, take: &Take, throttles: &Throttles, now: Time) -> Option<(u32, u32)> {
        match take {
            Take::Permit(permit) => {
                Some((permit.cap(throttles).saturating_sub(self.used(permit)), 1))
            }
            Take::Tokens(of, tokens) => {
                let rate = of.rate(throttles)?;
                let left = self.bucket(of).tokens(rate, instant(now));
                Some((left, (*tokens).min(rate.burst).max(1)))
            }
        }
    }

    fn used(&self, permit: &Permit) -> u32 {
        let holders = self.holders.get(permit).map_or(0, BTreeSet::len);
        u32::try_from(holders).unwrap_or(u32::MAX)
    }

    fn hold(&mut self, permit: &Permit, token: Token) -> Permit {
        self.holders.entry(permit.clone()).or_default().insert(token);
        permit.clone()
    }

    fn bucket(&self, of: &Bucketed) -> Bucket {
        let common = || self.buckets.get(&of.anywhere()?);
        self.buckets.get(of).or_else(common).copied().unwrap_or_default()
    }

    fn wait(&self, of: &Bucketed, tokens: u32, throttles: &Throttles, now: Time) -> Duration {
        let rate = of.rate(throttles);
        rate.map_or_else(Default::default, |rate| self.bucket(of).wait(rate, tokens, instant(now)))
    }
}

#[cfg(debug_assertions)]
impl Limits {
    /// Whether only these leases hold permits, of those whose task is known exactly these, and the counts are theirs.
    pub(crate) fn agree(&self, held: &[(Token, Option<Vec<Permit>>)]) -> bool {
        let known: BTreeMap<Token, &Option<Vec<Permit>>> =
            held.iter().map(|(token, permits)| (*token, permits)).collect();
        let of = |token: &Token| self.holds.get(token).map(|it| &*it.permits).unwrap_or_default();
        let mut holders: BTreeMap<&Permit, BTreeSet<Token>> = BTreeMap::new();
        for (token, hold) in &self.holds {
            for permit in &hold.permits {
                holders.entry(permit).or_default().insert(*token);
            }
        }
        self.holds.keys().all(|token| known.contains_key(token))
            && known.iter().all(|(token, permits)| {
                permits.as_ref().is_none_or(|permits| of(token) == permits.as_slice())
            })
            && holders.iter().map(|(permit, tokens)| (*permit, tokens)).eq(&self.holders)
    }
}

/// A time as a bucket tells it.
fn instant(time: Time) -> Duration {
    Duration::from_millis(time.unix_ms())
}

#[cfg(test)]
mod tests;
