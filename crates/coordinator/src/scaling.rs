//! How many workers each pool should have.
//!
//! It looks at the engine's pictures once in a while, lets [`scale`] decide for each pool, and tells whoever asks: the process
//! that keeps a pool's workers, KEDA, an operator. It asks neither the engine nor the disk, starts no worker, and nothing
//! of it is durable: after a restart it decides nothing until workers have had the time to come back.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use leasehold_policy::{Time, scale};
use leasehold_queue::Name;
use tokio::{sync::watch, time::MissedTickBehavior};
use tokio_util::sync::CancellationToken;

use crate::{
    config::{Config, POOLS_MAX, Scaling as Settings},
    handle::Unavailable,
    load::{Load, WorkerLoad},
    metrics::{Metrics, Scaled},
    queues::Queues,
    status::Status,
};

mod measure;
mod pool;
mod reason;
#[cfg(test)]
mod tests;

pub use measure::Measured;
pub use pool::{Change, Follower, PoolView};

use measure::Scope;
use pool::Pool;

/// The pool of workers that name none.
pub const DEFAULT_POOL: &str = "default";

/// How long a pool is remembered that has no workers and of which nobody speaks.
const FORGOTTEN_AFTER: Duration = Duration::from_hours(1);

/// A cheap, cloneable way to ask.
#[derive(Clone, Debug)]
pub struct Scaling {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    status: Arc<Status>,
    metrics: Metrics,
    settings: Settings,
    /// How long workers may take to come back after a start.
    warm_up: Duration,
    pools: Mutex<Pools>,
    /// Grows with each look.
    looks: watch::Sender<u64>,
}

#[derive(Debug)]
struct Pools {
    known: BTreeMap<Name, Pool>,
    started: Instant,
    /// What the engine's clock showed when, the last time that it was looked at.
    clock: (Time, Instant),
    /// Whether it was said that there are too many.
    is_full: bool,
}

/// What somebody wants to know of the load.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Question {
    /// Only that of this pool.
    pub pool: Option<Name>,
    /// Only of these task types. Empty: all, or those of the pool.
    pub task_types: BTreeSet<Name>,
    /// Only in these queues.
    pub queues: Option<Queues>,
}

/// Why a question has no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unknown {
    /// There is no such pool.
    Pool(Name),
    /// The coordinator cannot say at the moment.
    Unavailable(Unavailable),
    /// The coordinator has just started: workers come back.
    WarmingUp(Duration),
}

impl Scaling {
    pub(crate) fn new(status: Arc<Status>, config: &Config, metrics: Metrics) -> Self {
        let now = Instant::now();
        let settings = config.scaling.clone();
        let configured = settings.pools.iter().map(|(name, pool)| {
            let task_types = pool.task_types.iter().map(|it| Name::from(it.as_str())).collect();
            (Name::from(name.as_str()), Pool::new(task_types, now))
        });
        let pools = Pools {
            known: configured.collect(),
            started: now,
            clock: (Time::default(), now),
            is_full: false,
        };
        let shared = Shared {
            status,
            metrics,
            settings,
            warm_up: config.session.ttl,
            pools: Mutex::new(pools),
            looks: watch::Sender::new(0),
        };
        Self { shared: Arc::new(shared) }
    }

    /// Looks again and again until the process ends.
    pub(crate) async fn keep(self, stopping: CancellationToken) {
        let mut ticks = tokio::time::interval(self.shared.settings.interval);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = ticks.tick() => self.look(Instant::now()),
                () = stopping.cancelled() => return,
            }
        }
    }

    /// Decides for every pool.
    pub(crate) fn look(&self, now: Instant) {
        let Some(load) = self.shared.status.load() else { return };
        {
            let mut pools = self.pools();
            pools.meet(&load, now);
            pools.forget(&self.shared, now);
            let names: Vec<Name> = pools.known.keys().cloned().collect();
            for name in names {
                pools.decide(&self.shared, &name, &load, now);
            }
        }
        self.shared.looks.send_modify(|looks| *looks += 1);
    }

    /// Somebody keeps the workers of a pool: what it says holds from here on.
    pub fn follow(&self, pool: &Name, follower: Follower) -> Result<PoolView, Unknown> {
        let (load, now) = (self.load()?, Instant::now());
        let mut pools = self.pools();
        pools.meet(&load, now);
        pools.entry(pool, now)?.follow(follower, now);
        pools.decide(&self.shared, pool, &load, now);
        self.view(&pools, pool, &load, now)
    }

    /// How pools are scaled: one, or all of them.
    pub fn pools_as_they_are(&self, pool: Option<&Name>) -> Result<Vec<PoolView>, Unknown> {
        let (load, now) = (self.load()?, Instant::now());
        let mut pools = self.pools();
        pools.meet(&load, now);
        match pool {
            Some(pool) => Ok(vec![self.view(&pools, pool, &load, now)?]),
            None => pools.known.keys().map(|it| self.view(&pools, it, &load, now)).collect(),
        }
    }

    /// What the load is of those that are asked about. Task types that are named for a pool are remembered.
    pub fn measure(&self, question: &Question) -> Result<Measured, Unknown> {
        let (load, now) = (self.load()?, Instant::now());
        let mut pools = self.pools();
        pools.meet(&load, now);
        let mut task_types = question.task_types.clone();
        if let Some(pool) = &question.pool {
            if !task_types.is_empty() {
                pools.entry(pool, now)?.name_types(&task_types);
            }
            let unknown = pools.unknown(&self.shared, pool, now);
            let known = pools.known.get_mut(pool).ok_or(unknown)?;
            known.seen = now;
            task_types = known.task_types(now);
        }
        let scope = Scope {
            pool: question.pool.as_ref(),
            task_types: &task_types,
            is_any_type: question.pool.is_none() && task_types.is_empty(),
            queues: question.queues.as_ref(),
        };
        Ok(Measured::of(&load, &scope, pools.now(now)))
    }

    /// How many workers a pool should have.
    pub fn desired(&self, pool: &Name) -> Result<u32, Unknown> {
        let (load, now) = (self.load()?, Instant::now());
        let mut pools = self.pools();
        pools.meet(&load, now);
        if let Some(left) = pools.warm_up_left(&self.shared, now) {
            return Err(Unknown::WarmingUp(left));
        }
        if pools.known.get(pool).is_some_and(|it| it.verdict.is_none()) {
            pools.decide(&self.shared, pool, &load, now);
        }
        let verdict = pools.known.get(pool).and_then(|known| known.verdict);
        verdict.map(|it| it.desired).ok_or_else(|| pools.unknown(&self.shared, pool, now))
    }

    /// How long workers may still be on their way back. None: those that are not back are gone.
    pub fn warm_up_left(&self) -> Option<Duration> {
        self.pools().warm_up_left(&self.shared, Instant::now())
    }

    /// Changes with each look.
    pub fn looks(&self) -> watch::Receiver<u64> {
        self.shared.looks.subscribe()
    }

    /// The newest picture, of a coordinator that serves.
    fn load(&self) -> Result<Arc<Load>, Unknown> {
        if let Err(why @ (Unavailable::ShuttingDown | Unavailable::Stopped)) =
            self.shared.status.admission()
        {
            return Err(Unknown::Unavailable(why));
        }
        self.shared.status.load().ok_or(Unknown::WarmingUp(self.shared.settings.interval))
    }

    fn pools(&self) -> std::sync::MutexGuard<'_, Pools> {
        self.shared.pools.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn view(
        &self,
        pools: &Pools,
        name: &Name,
        load: &Load,
        now: Instant,
    ) -> Result<PoolView, Unknown> {
        let unknown = || pools.unknown(&self.shared, name, now);
        let pool = pools.known.get(name).ok_or_else(unknown)?;
        let measured = pool.measure(name, load, pools.now(now), now);
        let settings = pool.settings(name, &self.shared.settings, now);
        let warm_up_left = pools.warm_up_left(&self.shared, now);
        Ok(pool.view(name, measured, settings, (warm_up_left, self.shared.settings.window), now))
    }
}

impl Pools {
    /// What time it is, by the engine's clock.
    fn now(&self, now: Instant) -> Time {
        let (time, at) = self.clock;
        time + now.saturating_duration_since(at)
    }

    fn warm_up_left(&self, shared: &Shared, now: Instant) -> Option<Duration> {
        let left = shared.warm_up.checked_sub(now.saturating_duration_since(self.started));
        left.filter(|left| !left.is_zero())
    }

    /// Why nothing is known of a pool: its workers may be on their way back.
    fn unknown(&self, shared: &Shared, pool: &Name, now: Instant) -> Unknown {
        let left = self.warm_up_left(shared, now);
        left.map_or_else(|| Unknown::Pool(Name::clone(pool)), Unknown::WarmingUp)
    }

    /// Sees which pools the workers name, and what the engine's clock shows.
    fn meet(&mut self, load: &Load, now: Instant) {
        if self.clock.0 < load.time {
            // The picture may be some time old by now, and what was counted on meanwhile must not step back.
            self.clock = (load.time.max(self.now(now)), now);
        }
        let mut present: BTreeMap<Name, Vec<&WorkerLoad>> = BTreeMap::new();
        for worker in &load.workers {
            let name = worker.pool.clone().unwrap_or_else(|| DEFAULT_POOL.into());
            present.entry(name).or_default().push(worker);
        }
        for (name, workers) in present {
            if let Ok(pool) = self.entry(&name, now) {
                pool.meet(&workers);
            }
        }
    }

    fn entry(&mut self, name: &Name, now: Instant) -> Result<&mut Pool, Unknown> {
        if !self.known.contains_key(name) {
            if POOLS_MAX <= self.known.len() {
                if !std::mem::replace(&mut self.is_full, true) {
                    let (pool, max) = (&**name, POOLS_MAX);
                    tracing::warn!(pool, max, "there are too many pools: this one is not scaled");
                }
                let full = Unavailable::full("pools of workers", POOLS_MAX as u64);
                return Err(Unknown::Unavailable(full));
            }
            self.known.insert(Name::clone(name), Pool::new(BTreeSet::new(), now));
        }
        let pool = self.known.get_mut(name).ok_or_else(|| Unknown::Pool(Name::clone(name)))?;
        pool.seen = now;
        Ok(pool)
    }

    fn forget(&mut self, shared: &Shared, now: Instant) {
        self.known.retain(|name, pool| {
            let is_kept = shared.settings.pools.contains_key(&**name)
                || now.saturating_duration_since(pool.seen) < FORGOTTEN_AFTER;
            if !is_kept {
                shared.metrics.forget_pool(name);
            }
            is_kept
        });
        self.is_full &= POOLS_MAX <= self.known.len();
    }

    fn decide(&mut self, shared: &Shared, name: &Name, load: &Load, now: Instant) {
        let (time, warm_up_left) = (self.now(now), self.warm_up_left(shared, now));
        let Some(pool) = self.known.get_mut(name) else { return };
        let measured = pool.measure(name, load, time, now);
        let signals = measured.signals();
        shared.metrics.set_pool(name, u64::from(signals.workers), pool.desired(&signals));
        if warm_up_left.is_some() {
            return;
        }
        let settings = pool.settings(name, &shared.settings, now);
        let (state, verdict) = scale::decide(&settings, pool.state, &signals, time);
        let before = pool.state.desired();
        (pool.state, pool.verdict) = (state, Some(verdict));
        shared.metrics.set_pool(name, u64::from(signals.workers), u64::from(verdict.desired));
        if let Some(before) = before.filter(|before| *before != verdict.desired) {
            let reason = reason::of(&verdict, &signals, &settings);
            let (pool_name, to) = (&**name, verdict.desired);
            tracing::info!(pool = pool_name, from = before, to, reason, "workers wanted");
            let is_up = before < verdict.desired;
            shared.metrics.scaled(if is_up { Scaled::Up } else { Scaled::Down });
            pool.remember(Change { time, from: before, to, reason });
        }
    }
}
