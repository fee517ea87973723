//! What can hold tasks back though a worker is free: the pause of their queue, the circuits that they would have to pass,
//! and the limits that their leases count against.
//!
//! A gate is asked without any effect, for a lane at a time; what passing it takes is taken of all of them together, when the
//! first task of the lane is leased. It knows no worker and no order.
//!
//! To add a gate: a variant of [`Gate`] that says all that its answer depends on (so that the tasks of a lane are alike to
//! it), its name in [`Gates::of`] where a task has to pass it, or in [`Gates::own`] where the configuration says so, its answer
//! in [`Gates::is_shut`], what passing it takes in [`Gates::pass`]; and whoever opens it calls
//! [`Lanes::open`](crate::lanes::Lanes::open). As many lanes as find room go on then, and a few more among which turns are
//! taken; those that find it shut again when it is their turn go back to it. What
//! its answer says of a lane it has to say of all that differ only in their flow; one that does not is named by `is_own` where
//! lanes stand (`lanes/stand.rs`).

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use leasehold_policy::{Call, CallEnd, Circuit, Mutant, Time};

use crate::{
    Guarded, Name, Task, TaskSpec, Template, Token, Turned,
    circuits::Circuits,
    config::Throttles,
    lanes::Place,
    limits::{self, Bucketed, Limits, Permit, Take, Use, Whose},
};

/// Something that can be shut.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Gate {
    /// A queue, which is paused or not.
    Queue(Name),
    /// The circuit of what a breaker guards. One that has no breaker is never shut.
    Circuit(Guarded),
    /// A limit.
    Limit(Take),
}

/// The gate that a task waits at, beside that of its queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Obstacle {
    /// It.
    pub gate: Gate,
    /// How far from open it is.
    pub limit: Use,
}

/// The gates of a lane beside those of its queue, in the order in which they are asked. Lanes of other gates are other lanes.
pub(crate) type Gateway = Arc<[Gate]>;

/// Who wants to pass: all that the answers of its gates depend on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Comer<'a> {
    pub(crate) whose: Whose<'a>,
    pub(crate) task_type: &'a Name,
    /// Whether it has failed before.
    pub(crate) is_retry: bool,
    pub(crate) gateway: &'a [Gate],
}

/// What every gate is like.
#[derive(Clone, Debug, Default)]
pub(crate) struct Gates {
    /// With the time since when, if it is known: that is not durable.
    paused: BTreeMap<Name, Option<Time>>,
    circuits: Circuits,
    limits: Limits,
    throttles: Arc<Throttles>,
    now: Time,
}

impl<'a> Comer<'a> {
    fn of(spec: &'a TaskSpec, place: Place, gateway: &'a [Gate]) -> Self {
        let whose = (&spec.queue, &spec.fairness_key);
        Self { whose, task_type: &spec.task_type, is_retry: place.is_retry, gateway }
    }
}

impl Gates {
    /// Gates of limits as they are after a restart, if the journal was last written then; none: it is a new one.
    pub(crate) fn new(throttles: &Arc<Throttles>, written: Option<Time>) -> Self {
        let limits = written.map(|at| Limits::emptied(throttles, at)).unwrap_or_default();
        let circuits = Circuits::new(throttles);
        Self { circuits, limits, throttles: Arc::clone(throttles), ..Self::default() }
    }

    /// Other throttles hold from here on. What leases hold of them is to be adopted, and whoever waits to be asked.
    pub(crate) fn configure(&mut self, throttles: &Arc<Throttles>) {
        self.circuits.configure(&self.throttles, throttles, self.now);
        self.limits.configure(&self.throttles, throttles, self.now);
        self.throttles = Arc::clone(throttles);
    }

    /// What time it is. Circuits that have been open for long enough by then are half-open.
    pub(crate) fn tick(&mut self, now: Time) {
        self.now = now;
        self.circuits.advance(&self.throttles, now);
    }

    /// When a circuit half-opens next, whether somebody waits for that or not.
    pub(crate) const fn next_turn(&self) -> Option<Time> {
        self.circuits.next_opening()
    }

    /// The gates that a task has to pass beside those of its queue and its type.
    pub(crate) fn of(spec: &Template) -> Gateway {
        let Some(claims) = &spec.claims else { return Gateway::default() };
        let dependencies = claims.dependencies.iter().map(Name::clone);
        let circuits = dependencies.map(|name| Gate::Circuit(Guarded::Dependency(name)));
        circuits.chain(claims.takes().map(Gate::Limit)).collect()
    }

    /// Whether nothing can be shut for whoever names no gates: most lanes need not be asked for more.
    pub(crate) fn are_none(&self) -> bool {
        self.paused.is_empty() && self.has_none_own()
    }

    /// The first gate that is shut for somebody. Asking has no effect.
    pub(crate) fn shut(&self, comer: &Comer<'_>) -> Option<Gate> {
        if self.paused.contains_key(comer.whose.0) && !Mutant::PausedGranted.is_alive() {
            return Some(Gate::Queue(Name::clone(comer.whose.0)));
        }
        let named = comer.gateway.iter().find(|gate| self.is_shut(gate)).cloned();
        if named.is_some() || self.has_none_own() {
            return named;
        }
        self.own(comer).find(|gate| self.is_shut(gate))
    }

    /// Every gate that is shut for a task beside that of its queue, in the order in which they are asked.
    pub(crate) fn shut_for(&self, spec: &TaskSpec, place: Place) -> impl Iterator<Item = Gate> {
        self.all_of(spec, place).into_iter().filter(|gate| self.is_shut(gate))
    }

    /// Every gate that a task has to pass beside that of its queue, in the order in which they are asked.
    pub(crate) fn all_of(&self, spec: &TaskSpec, place: Place) -> Vec<Gate> {
        let gateway = Self::of(spec);
        let comer = Comer::of(spec, place, &gateway);
        comer.gateway.iter().cloned().chain(self.own(&comer)).collect()
    }

    /// How far a gate is from open.
    pub(crate) fn obstacle(&self, gate: Gate) -> Obstacle {
        let limit = match &gate {
            Gate::Queue(_) => Use { used: 0, max: 0, free_at: None },
            Gate::Circuit(guarded) => self.circuits.use_of(guarded, &self.throttles, self.now),
            Gate::Limit(take) => self.use_of(take),
        };
        Obstacle { gate, limit }
    }

    /// The first circuit that is open for a task of this kind, what opened it, and when it half-opens.
    pub(crate) fn open_circuit(
        &self,
        spec: &TaskSpec,
        place: Place,
    ) -> Option<(Guarded, Use, Time)> {
        let gateway = Self::of(spec);
        self.guarded(&Comer::of(spec, place, &gateway)).find_map(|guarded| {
            let until = self.circuits.opens_at(&guarded)?;
            let counted = self.circuits.use_of(&guarded, &self.throttles, self.now);
            Some((guarded, counted, until))
        })
    }

    /// What a lease of a task takes, in the order in which it is asked for.
    pub(crate) fn takes_of(&self, spec: &TaskSpec, place: Place) -> Vec<Take> {
        let gateway = Self::of(spec);
        self.takes(&Comer::of(spec, place, &gateway))
    }

    /// How much a gate has left, and how much of that a lease takes. None: there is no bound, or none any more.
    pub(crate) fn left(&self, gate: &Gate) -> Option<(u32, u32)> {
        match gate {
            Gate::Queue(_) => None,
            Gate::Circuit(guarded) => Some((self.circuits.left(guarded, &self.throttles)?, 1)),
            Gate::Limit(take) => self.limits.left(take, &self.throttles, self.now),
        }
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
    pub(crate) fn pass(&mut self, comer: &Comer<'_>, token: Token) -> Vec<Bucketed> {
        if comer.gateway.is_empty() && self.has_none_own() {
            return Vec::new();
        }
        let takes = self.takes(comer);
        self.limits.acquire(token, &takes, &self.throttles, self.now);
        let guarded = self.guarded(comer).collect();
        self.circuits.pass(token, guarded);
        let buckets = takes.into_iter().filter_map(|take| match take {
            Take::Tokens(of, _) => Some(of),
            Take::Permit(_) => None,
        });
        buckets.collect()
    }

    /// A lease of an earlier process, or from before a limit was there, holds its permits. It passed no circuit.
    pub(crate) fn adopt(&mut self, task: &Task, token: Token) {
        self.limits.adopt(token, &self.takes_of(&task.spec, Place::of(task)));
    }

    /// A lease has ended, and its end says something of the circuits that it passed. The circuits that have turned for it, and
    /// the buckets that have more in them.
    pub(crate) fn count(&mut self, token: Token, call: Call) -> (Vec<Gate>, Vec<Bucketed>) {
        let mut credited = Vec::new();
        for guarded in self.circuits.passed(token).filter(|_| call.end == CallEnd::Succeeded) {
            let terms = self.throttles.breakers.get(guarded);
            if let Some(budget) = terms.and_then(|terms| terms.retries) {
                let of = Bucketed::Retries(guarded.clone());
                self.limits.credit(&of, budget.share, &self.throttles, self.now);
                credited.push(of);
            }
        }
        let turned = self.circuits.count(token, call, &self.throttles, self.now);
        (turned.into_iter().map(Gate::Circuit).collect(), credited)
    }

    /// Closes a circuit. Says whether there is such a one.
    pub(crate) fn close(&mut self, guarded: &Guarded) -> bool {
        self.circuits.close(guarded, &self.throttles, self.now)
    }

    /// The circuits that have turned since the last call.
    pub(crate) fn take_turned(&mut self) -> Vec<Turned> {
        self.circuits.take_turned()
    }

    /// Every circuit, by what it guards.
    pub(crate) fn circuits(&self) -> impl Iterator<Item = (&Guarded, &Circuit)> {
        self.circuits.iter()
    }

    /// Whether one gate is shut.
    pub(crate) fn is_shut(&self, gate: &Gate) -> bool {
        match gate {
            Gate::Queue(queue) => self.paused.contains_key(queue),
            Gate::Circuit(guarded) => !self.circuits.lets(guarded, &self.throttles),
            Gate::Limit(take) => !self.limits.has(take, &self.throttles, self.now),
        }
    }

    /// When one gate opens by itself, if it does.
    pub(crate) fn opens_at(&self, gate: &Gate) -> Option<Time> {
        match gate {
            Gate::Queue(_) | Gate::Limit(Take::Permit(_)) => None,
            Gate::Circuit(guarded) => self.circuits.opens_at(guarded),
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

    /// The work of a lease is over for sure: the gates that may have opened.
    pub(crate) fn release(&mut self, token: Token) -> Vec<Gate> {
        if !self.circuits.has_passed(token) && !self.limits.is_held_by(token) {
            return Vec::new();
        }
        let circuits = self.circuits.leave(token).into_iter().map(Gate::Circuit);
        let permits = self.limits.release(token);
        let permits = permits.into_iter().map(|permit| Gate::Limit(Take::Permit(permit)));
        circuits.chain(permits).collect()
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

    /// What has a breaker of all that a task of this kind calls.
    fn guarded(&self, comer: &Comer<'_>) -> impl Iterator<Item = Guarded> {
        let named = comer.gateway.iter().filter_map(|gate| match gate {
            Gate::Circuit(guarded) => Some(guarded),
            Gate::Queue(_) | Gate::Limit(_) => None,
        });
        let named = named.filter(|guarded| self.throttles.breakers.contains_key(*guarded));
        named.cloned().chain(self.guarded_type(comer))
    }

    /// Its type, if that has a breaker.
    fn guarded_type(&self, comer: &Comer<'_>) -> Option<Guarded> {
        let breakers = &self.throttles.breakers;
        let of_type = || Guarded::TaskType(Name::clone(comer.task_type));
        (!breakers.is_empty()).then(of_type).filter(|guarded| breakers.contains_key(guarded))
    }

    /// Whether nobody has to pass anything because of the configuration.
    fn has_none_own(&self) -> bool {
        self.throttles.breakers.is_empty() && self.throttles.queues.is_empty()
    }

    /// The gates that somebody has to pass because of the configuration, beside those that its task names.
    fn own(&self, comer: &Comer<'_>) -> impl Iterator<Item = Gate> {
        let circuit = self.guarded_type(comer).map(Gate::Circuit).into_iter();
        circuit.chain(self.own_takes(comer).map(Gate::Limit))
    }

    /// What a lease takes because of the configuration, beside what its task says.
    fn own_takes(&self, comer: &Comer<'_>) -> impl Iterator<Item = Take> {
        let retried = comer.is_retry.then(|| self.guarded(comer)).into_iter().flatten();
        let budgets = retried.map(|guarded| Take::Tokens(Bucketed::Retries(guarded), 1));
        limits::takes_of(comer.whose, &self.throttles).chain(budgets)
    }

    /// What passing its gates takes of limits.
    pub(crate) fn takes(&self, comer: &Comer<'_>) -> Vec<Take> {
        let named = comer.gateway.iter().filter_map(|gate| match gate {
            Gate::Limit(take) => Some(take.clone()),
            Gate::Queue(_) | Gate::Circuit(_) => None,
        });
        named.chain(self.own_takes(comer)).collect()
    }
}

#[cfg(debug_assertions)]
impl Gates {
    /// Whether exactly these leases hold permits, each those of its task, and the counts are theirs.
    pub(crate) fn agree(&self, held: &[(Token, Option<Vec<Permit>>)]) -> bool {
        let is_broken = [Mutant::PermitFreeAtRevoke, Mutant::PermitsForgottenAtBoot];
        let permits_agree = is_broken.into_iter().any(Mutant::is_alive) || self.limits.agree(held);
        let circuits_agree = Mutant::ProbeNeverLeaves.is_alive()
            || self.circuits.agree(held.iter().map(|(token, _)| *token));
        permits_agree && circuits_agree
    }

    /// The permits that a lease of a task holds.
    pub(crate) fn permits_of(&self, task: &Task) -> Vec<Permit> {
        let takes = self.takes_of(&task.spec, Place::of(task)).into_iter();
        let permits = takes.filter_map(|take| match take {
            Take::Permit(permit) => Some(permit),
            Take::Tokens(..) => None,
        });
        permits.collect()
    }
}
