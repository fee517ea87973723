//! What waits, counted lane by lane: how many of its tasks wait for what.
//!
//! A lane costs the same however many tasks wait in it. It decides nothing and keeps nothing.

use std::collections::BTreeMap;

use crate::{
    Bucketed, Gate, Guarded, Permit, Queue, Take, explain::Hold, gate::Gates, lanes::LaneView,
};

/// Tasks of a lane that wait for the same.
#[derive(Clone, Debug)]
pub(crate) struct Portion<'a> {
    pub(crate) lane: LaneView<'a>,
    /// How many of the lane's go before them.
    pub(crate) behind: u64,
    pub(crate) hold: Hold,
    /// At least one.
    pub(crate) count: u64,
}

/// What limits and half-open circuits have left, less what is set aside for tasks that only wait for a worker.
struct Room<'a> {
    gates: &'a Gates,
    permits: BTreeMap<Permit, u32>,
    tokens: BTreeMap<Bucketed, u32>,
    probes: BTreeMap<Guarded, u32>,
}

impl Queue {
    /// What the tasks of some lanes wait for.
    ///
    /// The first task of a lane speaks for all where it is held back, as they are alike. Where it only waits for a worker, no
    /// more of them do than their limits have room for, whatever workers come; that room goes to the most urgent lanes first,
    /// as far as priority and deadline say.
    pub(crate) fn backlog<'a>(
        &'a self,
        lanes: impl Iterator<Item = LaneView<'a>>,
    ) -> Vec<Portion<'a>> {
        let (mut portions, mut limited) = (Vec::new(), Vec::new());
        for lane in lanes {
            let Some(task) = self.book.at(lane.first) else { continue };
            let Some(hold) = self.holds(task).next() else { continue };
            let portion = Portion { lane, behind: 0, hold, count: lane.len() };
            if portion.hold == Hold::Capacity {
                limited.push((portion, self.index.lanes.gates.all_of(&task.spec, lane.first)));
            } else {
                portions.push(portion);
            }
        }
        limited.sort_by_key(|(portion, _): &(Portion<'_>, _)| portion.lane.first);
        let mut room = Room::of(&self.index.lanes.gates);
        for (portion, gates) in limited {
            portions.extend(room.split(portion, &gates));
        }
        portions
    }
}

impl<'a> Room<'a> {
    const fn of(gates: &'a Gates) -> Self {
        let permits = BTreeMap::new();
        Self { gates, permits, tokens: BTreeMap::new(), probes: BTreeMap::new() }
    }

    /// Those of a portion that there is room for, and the others.
    fn split(
        &mut self,
        portion: Portion<'a>,
        passed: &[Gate],
    ) -> impl Iterator<Item = Portion<'a>> {
        let fits = passed.iter().filter_map(|gate| Some((self.fit(gate)?, gate)));
        let tightest = fits.min_by_key(|(fit, _)| *fit);
        let through = tightest.map_or(portion.count, |(fit, _)| portion.count.min(fit));
        let held = tightest.filter(|_| through < portion.count).map(|(_, gate)| Portion {
            behind: through,
            hold: Hold::Gate(gate.clone()),
            count: portion.count - through,
            ..portion.clone()
        });
        for gate in passed {
            self.set_aside(gate, through);
        }
        let free = (0 < through).then_some(Portion { count: through, ..portion });
        free.into_iter().chain(held)
    }

    /// How many leases a gate lets through. None: any number.
    fn fit(&self, gate: &Gate) -> Option<u64> {
        let (left, each) = self.left(gate)?;
        left.checked_div(each).map(u64::from)
    }

    fn left(&self, gate: &Gate) -> Option<(u32, u32)> {
        let (left, each) = self.gates.left(gate)?;
        let known = match gate {
            Gate::Queue(_) => None,
            Gate::Circuit(guarded) => self.probes.get(guarded),
            Gate::Limit(Take::Permit(permit)) => self.permits.get(permit),
            Gate::Limit(Take::Tokens(of, _)) => self.tokens.get(of),
        };
        Some((known.copied().unwrap_or(left), each))
    }

    fn set_aside(&mut self, gate: &Gate, leases: u64) {
        let Some((left, each)) = self.left(gate) else { return };
        let leases = u32::try_from(leases).unwrap_or(u32::MAX);
        let left = left.saturating_sub(each.saturating_mul(leases));
        match gate {
            Gate::Queue(_) => None,
            Gate::Circuit(guarded) => self.probes.insert(guarded.clone(), left),
            Gate::Limit(Take::Permit(permit)) => self.permits.insert(permit.clone(), left),
            Gate::Limit(Take::Tokens(of, _)) => self.tokens.insert(of.clone(), left),
        };
    }
}
