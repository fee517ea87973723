//! What can hold tasks back though a worker is free: the pause of their queue, and the limits that their leases count
//! against.
//!
//! A gate is asked without any effect, for a lane at a time; what passing it takes is taken of all of them together, when the
//! first task of the lane is leased. It knows no worker and no order.
//!
//! To add a gate: a variant of [`Gate`] that says all that its answer depends on (so that the tasks of a lane are alike to
//! it), its name in [`Gates::of`] where a task has to pass it, its answer in [`Gates::is_shut`], what passing it takes in
//! [`Gates::pass`]; and whoever opens it calls [`Lanes::open`](crate::lanes::Lanes::open). All lanes that
//! wait there go on then, and those that find it shut again when it is their turn go back to it: so the turns are as if all
//! were asked each time.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use leasehold_policy::{Mutant, Time};

use crate::{
    Name, TaskSpec, Token,
    config::Throttles,
    limits::{self, Bucketed, Limits, Permit, Take, Use, Whose},
};

/// Something that can be shut.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Gate {
    /// A queue, which is paused or not.
    Queue(Name),
    /// A limit.
    Limit(Take),
}

/// The gates of a lane beside those of its queue, in the order in which they are asked. Lanes of other gates are other lanes.
pub(crate) type Gateway = Arc<[Gate]>;

/// What every gate is like.
#[derive(Clone, Debug, Default)]
pub(crate) struct Gates {
    /// With the time since when, if it is known: that is not durable.
    paused: BTreeMap<Name, Option<Time>>,
    limits: Limits,
    throttles: Arc<Throttles>,
    now: Time,
}

impl Gates {
    /// Gates of limits as they are after a restart, if the journal was last written then; none: it is a new one.
    pub(crate) fn new(throttles: &Arc<Throttles>, written: Option<Time>) -> Self {
        let limits = written.map(|at| Limits::emptied(throttles, at)).unwrap_or_default();
        Self { limits, throttles: Arc::clone(throttles), ..Self::default() }
    }

    /// Other throttles hold from here on. What leases hold of them is to be adopted, and whoever waits to be asked.
    pub(crate) fn configure(&mut self, throttles: &Arc<Throttles>) {
        self.limits.configure(&self.throttles, throttles, self.now);
        self.throttles = Arc::clone(throttles);
    }

    /// What time it is.
    pub(crate) const fn tick(&mut self, now: Time) {
        self.now = now;
    }

    /// The gates that a task has to pass beside those of its queue.
    pub(crate) fn of(spec: &TaskSpec) -> Gateway {
        let claims = spec.claims.as_ref();
        claims.map(|claims| claims.takes().map(Gate::Limit).collect()).unwrap_or_default()
    }

    /// The first gate that is shut for a task of this queue with these gates. Asking has no effect.
    pub(crate) fn shut(&self, whose: Whose<'_>, gateway: &[Gate]) -> Option<Gate> {
        if self.paused.contains_key(whose.0) && !Mutant::PausedGranted.is_alive() {
            return Some(Gate::Queue(Name::clone(whose.0)));
        }
        let mut own = limits::takes_of(whose, &self.throttles).map(Gate::Limit);
        let named = gateway.iter().find(|gate| self.is_shut(gate)).cloned();
        named.or_else(|| own.find(|gate| self.is_shut(gate)))
    }

    /// The limits that are used up for a task, in the order in which they are asked.
    pub(crate) fn used_up(&self, spec: &TaskSpec) -> impl Iterator<Item = Take> {
        let takes = self.takes_of(spec).into_iter();
        takes.filter(|take| !self.limits.has(take, &self.throttles, self.now))
    }

    /// What a lease of a task takes, in the order in which it is asked for.
    pub(crate) fn takes_of(&self, spec: &TaskSpec) -> Vec<Take> {
        self.takes((&spec.queue, &spec.fairness_key), &Self::of(spec))
    }

    /// How much of a limit is left, and how much of that a lease takes. None: there is no such limit any more.
    pub(crate) fn left(&self, take: &Take) -> Option<(u32, u32)> {
        self.limits.left(take, &self.throttles, self.now)
    }

    /// The leases that hold a permit, in the order of their grants.
    pub(crate) fn holders(&self, permit: &Permit) -> impl Iterator<Item = Token> {
        self.limits.holders(permit)
    }

    /// Since when a queue is paused, if it is and that is known.
    pub(crate) fn paused_since(&self, queue: &str) -> Option<Time> {
        self.paused.get(queue).copied().flatten()
    }

    /// A task of this queue with these gates is leased, and takes what passing each of them takes. The buckets that have less
    /// in them now.
    pub(crate) fn pass(
        &mut self,
        whose: Whose<'_>,
        gateway: &[Gate],
        token: Token,
    ) -> Vec<Bucketed> {
        let takes = self.takes(whose, gateway);
        self.limits.acquire(token, &takes, &self.throttles, self.now);
        let buckets = takes.into_iter().filter_map(|take| match take {
            Take::Tokens(of, _) => Some(of),
            Take::Permit(_) => None,
        });
        buckets.collect()
    }

    /// A lease of an earlier process, or from before a limit was there, holds its permits.
    pub(crate) fn adopt(&mut self, spec: &TaskSpec, token: Token) {
        self.limits.adopt(token, &self.takes_of(spec));
    }

    /// Whether one gate is shut.
    pub(crate) fn is_shut(&self, gate: &Gate) -> bool {
        match gate {
            Gate::Queue(queue) => self.paused.contains_key(queue),
            Gate::Limit(take) => !self.limits.has(take, &self.throttles, self.now),
        }
    }

    /// When one gate opens by itself, if it does.
    pub(crate) fn opens_at(&self, gate: &Gate) -> Option<Time> {
        match gate {
            Gate::Queue(_) | Gate::Limit(Take::Permit(_)) => None,
            Gate::Limit(take) => self.limits.use_of(take, &self.throttles, self.now).free_at,
        }
    }

    /// How far the limit is used up that a gate stands for.
    pub(crate) fn use_of(&self, take: &Take) -> Use {
        self.limits.use_of(take, &self.throttles, self.now)
    }

    /// How long it takes until there are so many tokens of a bucket, if others take so many before.
    pub(crate) fn wait_behind(&self, of: &Bucketed, ahead: u32, tokens: u32) -> Duration {
        self.limits.wait_behind(of, (ahead, tokens), &self.throttles, self.now)
    }

    /// How many leases that take this a limit would let through now, one after the other.
    pub(crate) fn room(&self, take: &Take) -> u32 {
        self.limits.room(take, &self.throttles, self.now)
    }

    /// The work of a lease is over for sure: the gates that may have opened.
    pub(crate) fn release(&mut self, token: Token) -> Vec<Gate> {
        let permits = self.limits.release(token);
        permits.into_iter().map(|permit| Gate::Limit(Take::Permit(permit))).collect()
    }

    /// A lease was never started: what it took of rates comes back. The buckets that may have more in them.
    pub(crate) fn refund(&mut self, token: Token) -> Vec<Bucketed> {
        self.limits.refund(token, self.now)
    }

    /// A lease was started: what it took of rates is spent.
    pub(crate) fn spend(&mut self, token: Token) {
        self.limits.spend(token);
    }

    /// Shuts a queue, which has been paused since then, if that is known.
    pub(crate) fn pause(&mut self, queue: &Name, since: Option<Time>) {
        self.paused.insert(Name::clone(queue), since);
    }

    /// Opens a queue.
    pub(crate) fn resume(&mut self, queue: &Name) {
        self.paused.remove(queue);
    }

    /// What passing these gates and those of the queue takes.
    pub(crate) fn takes(&self, whose: Whose<'_>, gateway: &[Gate]) -> Vec<Take> {
        let named = gateway.iter().filter_map(|gate| match gate {
            Gate::Limit(take) => Some(take.clone()),
            Gate::Queue(_) => None,
        });
        named.chain(limits::takes_of(whose, &self.throttles)).collect()
    }
}

#[cfg(debug_assertions)]
impl Gates {
    /// Whether exactly these leases hold permits, each those of its task, and the counts are theirs.
    pub(crate) fn agree(&self, held: &[(Token, Option<Vec<Permit>>)]) -> bool {
        let is_broken = [Mutant::PermitFreeAtRevoke, Mutant::PermitsForgottenAtBoot];
        is_broken.into_iter().any(Mutant::is_alive) || self.limits.agree(held)
    }

    /// The permits that a lease of a task holds.
    pub(crate) fn permits_of(&self, spec: &TaskSpec) -> Vec<Permit> {
        let permits = self.takes_of(spec).into_iter().filter_map(|take| match take {
            Take::Permit(permit) => Some(permit),
            Take::Tokens(..) => None,
        });
        permits.collect()
    }
}
