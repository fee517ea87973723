//! How many workers a pool should have, and what keeps it from needing another number.
//!
//! [`decide`] is a function of what an operator set, what was decided before, what is measured and what time it is. Up goes
//! quickly, by at most a doubling at a time; down goes one worker at a time, and only after there was nothing
//! to do for it for a while. It knows neither who measures nor who starts a worker.

use std::time::Duration;

use crate::Time;

/// Of the slots of a worker, how many of ten are planned to be busy: what is left takes the next task at once.
pub const BUSY_OF_TEN: u8 = 8;

/// What an operator sets for a pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The fewest workers it has.
    pub min: u32,
    /// The most; at least `min`.
    pub max: u32,
    /// A longer average wait in the queue asks for workers.
    pub queue_wait: Duration,
    /// A longer 95th percentile from grant to start asks for workers, if `start_backlog` and `start_patience` agree.
    pub start_latency: Duration,
    /// How many tasks of one slot wait at the least while that counts.
    pub start_backlog: u64,
    /// How long it has to last.
    pub start_patience: Duration,
    /// A busier processor, in thousandths, asks for a worker.
    pub cpu_high: u16,
    /// A processor that is less busy, in thousandths, lets a worker go.
    pub cpu_low: u16,
    /// Whose processor that is.
    pub processor: Processor,
    /// How many idle workers are kept: only beyond these one goes.
    pub spare: u32,
    /// How long a change is given to show what it does before more workers are asked for.
    pub settle: Duration,
    /// For how long more than the spare workers must have had nothing to do before one goes, and how far apart two go.
    pub cooldown: Duration,
}

/// Whose processor a worker measures.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Processor {
    /// Its own: another worker brings another one.
    #[default]
    Own,
    /// That of a machine which all workers of the pool share: another worker adds nothing to it, so it decides nothing.
    Shared,
}

/// What is measured of a pool.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Signals {
    /// Workers that take tasks, or are being started.
    pub workers: u32,
    /// Those of them that hold no lease.
    pub idle: u32,
    /// How many slots one of them has, on average; 0: not known.
    pub slots_each: u64,
    /// How many slots leases take.
    pub leased: u64,
    /// How many slots the leases would take of tasks that wait for nothing but a worker.
    pub backlog: u64,
    /// Tasks that could be leased if something else did not hold them.
    pub held: Held,
    /// How long a task waited on average. None: none did.
    pub queue_wait: Option<Duration>,
    /// The 95th percentile from grant to start. None: none started.
    pub start_latency: Option<Duration>,
    /// How busy the processors are on average, in thousandths. None: nobody says.
    pub cpu: Option<u16>,
}

/// Tasks that wait for something that no worker brings.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Held {
    /// For their queue to be resumed.
    pub paused: u64,
    /// For a rate.
    pub rate_limit: u64,
    /// For others with the same concurrency key.
    pub concurrency: u64,
    /// For a circuit breaker, or its retry budget.
    pub breaker: u64,
    /// For a quota.
    pub quota: u64,
}

/// What keeps a pool's tasks from ending sooner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bound {
    /// The workers there are: more would help.
    Capacity,
    /// The same, and there may be no more of them.
    MaxWorkers,
    /// A paused queue.
    Paused,
    /// A rate limit.
    RateLimit,
    /// A concurrency limit.
    Concurrency,
    /// An open circuit.
    Breaker,
    /// A quota.
    Quota,
}

/// What a decision rests upon.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// Nothing is over its threshold, and nothing has to go.
    Calm,
    /// Tasks wait and there is no worker.
    Nobody,
    /// The average wait.
    QueueWait,
    /// The start latency, with its backlog, for long enough.
    StartLatency,
    /// The processor.
    Cpu,
    /// Workers have nothing to do.
    Idle,
    /// More is wanted; the last change has to show what it does first.
    Settling,
    /// Workers have nothing to do, but not for long enough.
    Cooling,
    /// What waits is held by something that no worker brings.
    Limited,
    /// The number was outside of what is allowed.
    Range,
}

/// What is remembered from one decision to the next.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct State {
    /// What was decided. None: nothing yet.
    desired: Option<u32>,
    /// When that last changed.
    changed: Option<Time>,
    /// When there was last something to do for all but the spare workers, the first look included.
    busy: Option<Time>,
    /// Since when the start latency and its backlog are too high together.
    slow_since: Option<Time>,
}

/// A decision.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// How many workers there should be.
    pub desired: u32,
    /// Why.
    pub why: Why,
    /// What keeps the pool's tasks from ending sooner. None: nothing.
    pub bound: Option<Bound>,
    /// How long it is until a worker can go at the earliest.
    pub cooldown_left: Duration,
}

impl Held {
    /// All of them.
    pub const fn total(&self) -> u64 {
        let Self { paused, rate_limit, concurrency, breaker, quota } = *self;
        paused
            .saturating_add(rate_limit)
            .saturating_add(concurrency)
            .saturating_add(breaker)
            .saturating_add(quota)
    }

    /// What holds most of them. None: there are none.
    pub fn most(&self) -> Option<Bound> {
        let kinds = [
            (self.paused, Bound::Paused),
            (self.rate_limit, Bound::RateLimit),
            (self.concurrency, Bound::Concurrency),
            (self.breaker, Bound::Breaker),
            (self.quota, Bound::Quota),
        ];
        let held = kinds.into_iter().filter(|(count, _)| 0 < *count);
        // The first of equal ones: `max_by_key` would take the last.
        held.rev().max_by_key(|(count, _)| *count).map(|(_, bound)| bound)
    }
}

impl Signals {
    /// Whether something waits, and all of it for what no worker brings.
    const fn is_limited(&self) -> bool {
        self.backlog == 0 && 0 < self.held.total()
    }
}

impl State {
    /// What was decided last.
    pub const fn desired(&self) -> Option<u32> {
        self.desired
    }

    /// Whether the start latency is over its threshold, and so is its backlog.
    fn is_slow(settings: &Settings, signals: &Signals) -> bool {
        settings.start_backlog < signals.backlog
            && signals.start_latency.is_some_and(|it| settings.start_latency < it)
    }

    /// The first threshold that is crossed.
    fn pressure(&self, settings: &Settings, signals: &Signals, now: Time) -> Option<Why> {
        let waits = 0 < signals.backlog;
        if waits && signals.workers == 0 {
            return Some(Why::Nobody);
        }
        if waits && signals.queue_wait.is_some_and(|it| settings.queue_wait < it) {
            return Some(Why::QueueWait);
        }
        if self.slow_since.is_some_and(|since| settings.start_patience <= now.since(since)) {
            return Some(Why::StartLatency);
        }
        let is_busy = signals.cpu.is_some_and(|it| settings.cpu_high < it);
        let helps = settings.processor == Processor::Own && 0 < signals.leased;
        (is_busy && helps && !signals.is_limited()).then_some(Why::Cpu)
    }

    fn change(&mut self, desired: u32, now: Time) {
        if self.desired != Some(desired) {
            (self.desired, self.changed) = (Some(desired), Some(now));
        }
    }
}

/// How many workers a pool should have. The state it hands back is for the next time.
pub fn decide(
    settings: &Settings,
    mut state: State,
    signals: &Signals,
    now: Time,
) -> (State, Verdict) {
    let (min, max) = (settings.min, settings.max.max(settings.min));
    let before = state.desired.unwrap_or(signals.workers);
    let current = before.clamp(min, max);
    if state.desired.is_none() {
        // What is there is nobody's decision: it cools down from the first look on.
        (state.desired, state.busy) = (Some(current), Some(now));
    }
    state.slow_since = State::is_slow(settings, signals).then(|| state.slow_since.unwrap_or(now));
    let pressure = state.pressure(settings, signals, now);
    let is_idle = settings.spare < signals.idle && is_processor_idle(settings, signals);
    if pressure.is_some() || !is_idle {
        state.busy = Some(now);
    }
    let mut why = Why::Calm;
    let mut desired = current;
    let mut bound = if signals.is_limited() { signals.held.most() } else { None };
    if let Some(pressure) = pressure {
        let wanted = wanted(pressure, signals);
        bound = Some(if max <= current.max(signals.workers) || max < wanted {
            Bound::MaxWorkers
        } else {
            Bound::Capacity
        });
        // The first worker shows what it does by being there.
        let is_first = pressure == Why::Nobody && current == 0;
        let is_settled =
            is_first || state.changed.is_none_or(|at| settings.settle <= now.since(at));
        if is_settled {
            desired = current.max(wanted.min(max));
        }
        why = if is_settled { pressure } else { Why::Settling };
    } else if is_idle && min < current {
        let is_cool = cooldown_left(settings, &state, now).is_zero();
        desired = if is_cool { current - 1 } else { current };
        why = if is_cool { Why::Idle } else { Why::Cooling };
    } else if bound.is_some() {
        why = Why::Limited;
    }
    if desired == current && current != before {
        why = Why::Range;
    }
    state.change(desired, now);
    let cooldown_left = cooldown_left(settings, &state, now);
    (state, Verdict { desired, why, bound, cooldown_left })
}

/// How many workers would do, if nothing but the growth of one step bounded them.
fn wanted(pressure: Why, signals: &Signals) -> u32 {
    let one_more = signals.workers.saturating_add(1);
    if pressure == Why::Cpu {
        return one_more;
    }
    let work = signals.backlog.saturating_add(signals.leased);
    let planned = signals.slots_each.max(1).saturating_mul(u64::from(BUSY_OF_TEN));
    let needed = u32::try_from(work.saturating_mul(10).div_ceil(planned)).unwrap_or(u32::MAX);
    needed.max(one_more).min(signals.workers.saturating_mul(2).max(1))
}

fn is_processor_idle(settings: &Settings, signals: &Signals) -> bool {
    let is_low = signals.cpu.is_none_or(|it| it < settings.cpu_low);
    is_low || settings.processor == Processor::Shared
}

/// How long it is until a worker can go, if it has nothing to do until then.
fn cooldown_left(settings: &Settings, state: &State, now: Time) -> Duration {
    let last = state.busy.max(state.changed).unwrap_or(now);
    settings.cooldown.saturating_sub(now.since(last))
}

#[cfg(test)]
mod tests;
