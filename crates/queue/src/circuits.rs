//! The circuits of the configuration: which of them are open, and which leases have passed which.
//!
//! A lease counts for the circuits that it passed when it was granted, once: when it ends, if its end says something of what its
//! work called. A probe keeps its place as long as the slot of its lease is taken. It knows no task, no lane and no session,
//! and nothing of it is durable: after a restart every circuit is closed.

use std::{collections::BTreeMap, fmt};

use leasehold_policy::{Call, Circuit, CircuitState, Pass, Tally, Time, Turn};

use crate::{Name, Token, Use, config::Throttles};

/// What a circuit breaker guards.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Guarded {
    /// What all tasks of a type call.
    TaskType(Name),
    /// What tasks say that they call.
    Dependency(Name),
}

impl fmt::Display for Guarded {
    /// As the configuration calls it in `breakers`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TaskType(name) => write!(f, "task_types.{name}"),
            Self::Dependency(name) => write!(f, "dependencies.{name}"),
        }
    }
}

/// A circuit changed what it does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Turned {
    /// What it guards.
    pub guarded: Guarded,
    /// What it does from here on.
    pub turn: Turn,
    /// What it had counted: of one that is not closed, what opened it.
    pub tally: Tally,
    /// Until when nobody passes, if it opened.
    pub until: Option<Time>,
}

/// Every circuit.
#[derive(Clone, Debug, Default)]
pub(crate) struct Circuits {
    /// One for each breaker of the configuration.
    all: BTreeMap<Guarded, Circuit>,
    /// What each lease has passed, as long as its work may go on. At most as many as there are slots taken.
    passes: BTreeMap<Token, Vec<(Guarded, Pass)>>,
    /// When the next one half-opens.
    next: Option<Time>,
    /// What has turned and was not told yet.
    turned: Vec<Turned>,
}

impl Circuits {
    pub(crate) fn new(throttles: &Throttles) -> Self {
        let closed = |guarded: &Guarded| (guarded.clone(), Circuit::default());
        Self { all: throttles.breakers.keys().map(closed).collect(), ..Self::default() }
    }

    /// Other throttles hold from here on: a circuit that there is none of any more is forgotten, others go on as far as
    /// their terms allow.
    pub(crate) fn configure(&mut self, before: &Throttles, throttles: &Throttles, now: Time) {
        self.all.retain(|guarded, circuit| {
            let terms = before.breakers.get(guarded).zip(throttles.breakers.get(guarded));
            if let Some((before, terms)) = terms {
                circuit.obey(&before.circuit, &terms.circuit, now);
            }
            terms.is_some()
        });
        // Another circuit of that name, later, has let nobody through.
        self.passes.retain(|_, passes| {
            passes.retain(|(guarded, _)| self.all.contains_key(guarded));
            !passes.is_empty()
        });
        for guarded in throttles.breakers.keys() {
            self.all.entry(guarded.clone()).or_default();
        }
        self.rearm();
        self.advance(throttles, now);
    }

    /// Half-opens what has been open for long enough.
    pub(crate) fn advance(&mut self, throttles: &Throttles, now: Time) {
        if self.next.is_none_or(|next| now < next) {
            return;
        }
        for (guarded, circuit) in &mut self.all {
            if let Some(turn) = circuit.advance(now) {
                let terms = throttles.breakers.get(guarded);
                let tally = terms.map(|terms| circuit.tally(&terms.circuit, now));
                let (guarded, tally) = (guarded.clone(), tally.unwrap_or_default());
                self.turned.push(Turned { guarded, turn, tally, until: None });
            }
        }
        self.rearm();
    }

    /// When the next one half-opens.
    pub(crate) const fn next_opening(&self) -> Option<Time> {
        self.next
    }

    /// Whether a lease may pass. Asking changes nothing. What has no breaker lets everybody through.
    pub(crate) fn lets(&self, guarded: &Guarded, throttles: &Throttles) -> bool {
        let known = self.all.get(guarded).zip(throttles.breakers.get(guarded));
        known.is_none_or(|(circuit, terms)| circuit.lets(&terms.circuit))
    }

    /// How many more probes a half-open one lets through. None: it is not, or there is no such one.
    pub(crate) fn left(&self, guarded: &Guarded, throttles: &Throttles) -> Option<u32> {
        let (circuit, terms) = self.all.get(guarded).zip(throttles.breakers.get(guarded))?;
        let is_half = matches!(circuit.state(), CircuitState::HalfOpen { .. });
        is_half.then(|| terms.circuit.probes.saturating_sub(circuit.probes()))
    }

    /// When it half-opens, if it is open.
    pub(crate) fn opens_at(&self, guarded: &Guarded) -> Option<Time> {
        self.all.get(guarded)?.half_opens_at()
    }

    /// How far a circuit is from letting somebody through: of one that is half-open the probes, of any other the calls that
    /// failed or were slow, whichever are more.
    pub(crate) fn use_of(&self, guarded: &Guarded, throttles: &Throttles, now: Time) -> Use {
        let known = self.all.get(guarded).zip(throttles.breakers.get(guarded));
        let Some((circuit, terms)) = known else { return Use { used: 0, max: 0, free_at: None } };
        match circuit.state() {
            CircuitState::HalfOpen { .. } => {
                Use { used: circuit.probes(), max: terms.circuit.probes, free_at: None }
            }
            CircuitState::Closed | CircuitState::Open { .. } => {
                let Tally { calls, failures, slow } = circuit.tally(&terms.circuit, now);
                let free_at = self.opens_at(guarded);
                Use { used: failures.max(slow), max: calls, free_at }
            }
        }
    }

    /// Every circuit, by what it guards.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&Guarded, &Circuit)> {
        self.all.iter()
    }

    /// A lease passes all of these: it may.
    pub(crate) fn pass(&mut self, token: Token, guarded: Vec<Guarded>) {
        let passes = guarded.into_iter().filter_map(|guarded| {
            let pass = self.all.get_mut(&guarded)?.pass();
            Some((guarded, pass))
        });
        let passes: Vec<_> = passes.collect();
        if !passes.is_empty() {
            self.passes.insert(token, passes);
        }
    }

    /// What a lease passed.
    pub(crate) fn passed(&self, token: Token) -> impl Iterator<Item = &Guarded> {
        self.passes.get(&token).into_iter().flatten().map(|(guarded, _)| guarded)
    }

    /// Whether a lease passed any.
    pub(crate) fn has_passed(&self, token: Token) -> bool {
        self.passes.contains_key(&token)
    }

    /// A lease has ended, and its end says something. The circuits that have turned for it.
    pub(crate) fn count(
        &mut self,
        token: Token,
        call: Call,
        throttles: &Throttles,
        now: Time,
    ) -> Vec<Guarded> {
        let before = self.turned.len();
        for (guarded, pass) in self.passes.get(&token).into_iter().flatten() {
            let Some(terms) = throttles.breakers.get(guarded) else { continue };
            let Some(circuit) = self.all.get_mut(guarded) else { continue };
            let opened = circuit.tally(&terms.circuit, now);
            if let Some(turn) = circuit.count(*pass, call, &terms.circuit, now) {
                let (guarded, until) = (guarded.clone(), circuit.half_opens_at());
                let tally = match turn {
                    Turn::Opened => circuit.tally(&terms.circuit, now),
                    Turn::Closed | Turn::HalfOpened => opened,
                };
                self.turned.push(Turned { guarded, turn, tally, until });
            }
        }
        let turned: Vec<Guarded> =
            self.turned.iter().skip(before).map(|turned| turned.guarded.clone()).collect();
        if !turned.is_empty() {
            self.rearm();
        }
        turned
    }

    /// The work of a lease is over for sure. The circuits that it was let through and may let another through now.
    pub(crate) fn leave(&mut self, token: Token) -> Vec<Guarded> {
        let mut left = Vec::new();
        for (guarded, pass) in self.passes.remove(&token).unwrap_or_default() {
            let Some(circuit) = self.all.get_mut(&guarded) else { continue };
            circuit.leave(pass);
            if matches!(circuit.state(), CircuitState::HalfOpen { .. }) {
                left.push(guarded);
            }
        }
        left
    }

    /// Closes a circuit, whatever it did. Says whether there is such a one.
    pub(crate) fn close(&mut self, guarded: &Guarded, throttles: &Throttles, now: Time) -> bool {
        let known = self.all.get_mut(guarded).zip(throttles.breakers.get(guarded));
        let Some((circuit, terms)) = known else { return false };
        let (tally, was) = (circuit.tally(&terms.circuit, now), circuit.state());
        let turn = circuit.close(now);
        if was != CircuitState::Closed {
            self.turned.push(Turned { guarded: guarded.clone(), turn, tally, until: None });
        }
        self.rearm();
        true
    }

    /// What has turned since the last call.
    pub(crate) fn take_turned(&mut self) -> Vec<Turned> {
        std::mem::take(&mut self.turned)
    }

    fn rearm(&mut self) {
        self.next = self.all.values().filter_map(Circuit::half_opens_at).min();
    }
}

#[cfg(debug_assertions)]
impl Circuits {
    /// Whether only these leases have passed anything, and each circuit counts the probes that are among them.
    pub(crate) fn agree(&self, held: impl Iterator<Item = Token>) -> bool {
        let held: std::collections::BTreeSet<Token> = held.collect();
        let all = || self.passes.values().flatten();
        let probes =
            |of: &Guarded| all().filter(|(guarded, pass)| guarded == of && pass.is_probe()).count();
        self.passes.keys().all(|token| held.contains(token))
            && self.all.iter().all(|(guarded, it)| it.probes() as usize == probes(guarded))
    }
}
