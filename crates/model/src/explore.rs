//! Every state a machine can reach, breadth first, and from which of them it can still come to a good end.
//!
//! It knows nothing of leases. States are told apart by 128-bit fingerprints; only the frontier holds states, so that
//! tens of millions fit into memory. That "something good can still happen" holds in every state is decided by going
//! backwards over all edges from the states in which it has.

use std::{
    collections::{HashMap, VecDeque, hash_map::Entry},
    fmt,
    hash::{BuildHasherDefault, Hasher},
    time::{Duration, Instant},
};

/// Something with states and steps between them.
pub trait Machine {
    /// What it can be in.
    type State;
    /// What can happen.
    type Action: Copy;

    /// Where it begins.
    fn start(&self) -> Self::State;

    /// What can happen in a state.
    fn actions(&self, state: &Self::State) -> Vec<Self::Action>;

    /// The state after something happened, or what must never happen and did.
    fn step(&self, state: &Self::State, action: Self::Action) -> Result<Self::State, Violation>;

    /// Which invariants were looked at in the step that led to the state, a bit for each.
    fn judged(&self, state: &Self::State) -> u32;

    /// What tells the state apart from all others that go on differently.
    fn fingerprint(&self, state: &Self::State) -> u128;

    /// Whether the state is one of those from which nothing more is asked.
    fn is_done(&self, state: &Self::State) -> bool;

    /// The action in one line for people.
    fn describe(&self, state: &Self::State, action: Self::Action) -> String;
}

/// Something that must never be true is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// The invariant, by its name in the design.
    pub invariant: &'static str,
    /// What was seen.
    pub what: String,
}

/// What the exploration found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Every reachable state is fine, and from each a good end can be reached.
    Holds,
    /// So far; there are more states than were asked for.
    Capped,
    /// An invariant is broken.
    Broken {
        /// Which and how.
        violation: Violation,
        /// How it comes to that, one action a line. No shorter way exists.
        trace: Vec<String>,
    },
}

/// One exploration.
#[derive(Clone, Debug)]
pub struct Report {
    /// How many states were reached.
    pub states: usize,
    /// How many steps lead from one to another.
    pub edges: usize,
    /// The longest of the shortest ways to a state.
    pub depth: usize,
    /// In how many steps each invariant was looked at, in the order of their bits.
    pub judged: [usize; INVARIANTS_MAX],
    /// How long it took.
    pub took: Duration,
    /// What was found.
    pub verdict: Verdict,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.took.as_secs_f64();
        write!(f, "{:>9} states  depth {:>3}  {seconds:>7.2} s  ", self.states, self.depth)?;
        match &self.verdict {
            Verdict::Holds => f.write_str("holds, 0 stuck"),
            Verdict::Capped => f.write_str("no violation in the states looked at"),
            Verdict::Broken { violation, trace } => {
                write!(f, "{} broken: {}", violation.invariant, violation.what)?;
                trace.iter().zip(1..).try_for_each(|(line, at)| write!(f, "\n    {at:>3}. {line}"))
            }
        }
    }
}

/// How many invariants a machine may have: as many as there are bits.
pub const INVARIANTS_MAX: usize = 32;

/// The name of the property that a good end can be reached from everywhere.
pub const NO_STUCK_STATES: &str = "I20";

/// How a state was reached first.
struct Node<A> {
    parent: u32,
    action: Option<A>,
    depth: u32,
}

/// An exploration under way.
struct Search<'a, M: Machine> {
    machine: &'a M,
    nodes: Vec<Node<M::Action>>,
    known: HashMap<u128, u32, BuildHasherDefault<Fold>>,
    /// From, to. In the order of "from".
    edges: Vec<(u32, u32)>,
    done: Vec<bool>,
    judged: [usize; INVARIANTS_MAX],
    frontier: VecDeque<M::State>,
}

/// Looks at every state, or at the first `states_max` of them.
pub fn explore<M: Machine>(machine: &M, states_max: usize) -> Report {
    let began = Instant::now();
    let mut search = Search {
        machine,
        nodes: Vec::new(),
        known: HashMap::default(),
        edges: Vec::new(),
        done: Vec::new(),
        judged: [0; INVARIANTS_MAX],
        frontier: VecDeque::new(),
    };
    let verdict = search.run(states_max);
    Report {
        states: search.nodes.len(),
        edges: search.edges.len(),
        judged: search.judged,
        depth: search.nodes.last().map_or(0, |node| node.depth as usize),
        took: began.elapsed(),
        verdict,
    }
}

impl<M: Machine> Search<'_, M> {
    fn run(&mut self, states_max: usize) -> Verdict {
        self.reach(self.machine.start(), 0, None, 0);
        let mut at = 0;
        while let Some(state) = self.frontier.pop_front() {
            if let Err((action, violation)) = self.expand(at, &state) {
                return self.broken(at, Some(action), violation);
            }
            at += 1;
            if states_max < self.nodes.len() {
                return Verdict::Capped;
            }
        }
        match self.stuck() {
            Some(at) => {
                let what = "no way leads to an end from here".to_owned();
                self.broken(at, None, Violation { invariant: NO_STUCK_STATES, what })
            }
            None => Verdict::Holds,
        }
    }

    fn expand(&mut self, at: u32, state: &M::State) -> Result<(), (M::Action, Violation)> {
        let depth = self.nodes.get(at as usize).map_or(0, |node| node.depth) + 1;
        for action in self.machine.actions(state) {
            let next = self.machine.step(state, action).map_err(|it| (action, it))?;
            let judged = self.machine.judged(&next);
            for (number, steps) in self.judged.iter_mut().enumerate() {
                *steps += usize::from(judged & 1 << number != 0);
            }
            let to = self.reach(next, at, Some(action), depth);
            self.edges.push((at, to));
        }
        Ok(())
    }

    /// The number of a state, new or known.
    fn reach(
        &mut self,
        state: M::State,
        parent: u32,
        action: Option<M::Action>,
        depth: u32,
    ) -> u32 {
        let new = u32::try_from(self.nodes.len()).unwrap_or(u32::MAX);
        match self.known.entry(self.machine.fingerprint(&state)) {
            Entry::Occupied(entry) => return *entry.get(),
            Entry::Vacant(entry) => entry.insert(new),
        };
        self.nodes.push(Node { parent, action, depth });
        self.done.push(self.machine.is_done(&state));
        self.frontier.push_back(state);
        new
    }

    /// The first state from which no end can be reached.
    fn stuck(&mut self) -> Option<u32> {
        let (starts, sources) = self.reversed();
        let mut hopeful: Vec<u32> =
            (0..).zip(&self.done).filter(|(_, done)| **done).map(|(at, _)| at).collect();
        while let Some(at) = hopeful.pop() {
            let at = at as usize;
            let range = starts.get(at).copied()?..starts.get(at + 1).copied()?;
            for source in sources.get(range).into_iter().flatten() {
                if let Some(done) = self.done.get_mut(*source as usize).filter(|done| !**done) {
                    *done = true;
                    hopeful.push(*source);
                }
            }
        }
        (0..).zip(&self.done).find(|(_, done)| !**done).map(|(at, _)| at)
    }

    /// All edges backwards: the sources of state `n` are those between start `n` and start `n + 1`.
    fn reversed(&self) -> (Vec<usize>, Vec<u32>) {
        let mut starts = vec![0usize; self.nodes.len() + 2];
        for (_, to) in &self.edges {
            if let Some(count) = starts.get_mut(*to as usize + 2) {
                *count += 1;
            }
        }
        let mut sum = 0;
        for start in &mut starts {
            sum += *start;
            *start = sum;
        }
        let mut sources = vec![0; self.edges.len()];
        for (from, to) in &self.edges {
            let Some(next) = starts.get_mut(*to as usize + 1) else { continue };
            if let Some(source) = sources.get_mut(*next) {
                *source = *from;
            }
            *next += 1;
        }
        (starts, sources)
    }

    fn broken(&self, at: u32, last: Option<M::Action>, violation: Violation) -> Verdict {
        let mut actions: Vec<M::Action> = last.into_iter().collect();
        let mut next = self.nodes.get(at as usize);
        while let Some(Node { parent, action: Some(action), .. }) = next {
            actions.push(*action);
            next = self.nodes.get(*parent as usize);
        }
        let mut trace = Vec::new();
        let mut state = self.machine.start();
        for action in actions.into_iter().rev() {
            trace.push(self.machine.describe(&state, action));
            if let Ok(next) = self.machine.step(&state, action) {
                state = next;
            }
        }
        Verdict::Broken { violation, trace }
    }
}

/// A fingerprint is its own hash.
#[derive(Default)]
struct Fold(u64);

impl Hasher for Fold {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u128(&mut self, bits: u128) {
        // Its upper half alone is as good as any hash.
        self.0 = (bits >> 64) as u64;
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests;
