//! Where lanes stand: in line, or at a gate that is shut; and how they come from one to the other.
//!
//! A gate that opens lets as many go as find room behind it, and [`SPARE`] more of all who wait there and could take each
//! other's place, so that whose turn it is decides among them. For each that passes, or goes elsewhere, it lets another one go;
//! those that find it shut again come back to their places. So what an opening costs does not depend on how many wait.

use std::collections::BTreeSet;

use leasehold_policy::{Mutant, Time};

use super::{
    Lane, LaneNo, Lanes, Place,
    crowd::{Crowd, Peerage},
};
use crate::{
    gate::Gate,
    limits::{Bucketed, Permit, Take},
};

/// How many lanes that are alike are let go at the least, however few find room.
pub(crate) const SPARE: usize = 16;

impl Lanes {
    /// A gate has opened: lanes that wait there go on, unless another of their gates is shut.
    pub(crate) fn open(&mut self, gate: &Gate) {
        self.stirred.insert(gate.clone());
        self.settle();
    }

    /// Whatever gate a lane waits at may have opened.
    pub(crate) fn open_all(&mut self) {
        self.stirred.extend(self.crowds.keys().cloned());
        self.settle();
    }

    /// A bucket may have more in it than before: whoever waits for some of it is asked again.
    pub(crate) fn open_bucket(&mut self, of: &Bucketed) {
        self.stirred.extend(self.gates_of(of));
        self.settle();
    }

    /// Gates that have opened by themselves by then let go on what waits there; at most so many.
    pub(crate) fn open_due(&mut self, now: Time, most: usize) {
        for _ in 0..most {
            let Some((at, gate)) = self.ringing.first().cloned() else { return };
            if now < at {
                return;
            }
            self.unring(&gate);
            self.open(&gate);
        }
    }

    /// When a gate at which tasks wait may next open by itself.
    pub(crate) fn next_opening(&self) -> Option<Time> {
        self.ringing.first().map(|(at, _)| *at)
    }

    /// Lets go whoever is to go on, so that nobody waits at an open gate without a peer on its way through.
    pub(super) fn settle(&mut self) {
        while let Some(gate) = self.stirred.pop_first() {
            self.let_go(&gate);
            self.rearm(&gate);
        }
    }

    fn let_go(&mut self, gate: &Gate) {
        if self.gates.is_shut(gate) {
            return;
        }
        let room = self.gates.left(gate).and_then(|(left, each)| left.checked_div(each));
        let most = room.map(|room| usize::try_from(room).unwrap_or(usize::MAX).max(SPARE));
        let waiting = self.crowds.get(gate).map(|it| it.waiting().cloned().collect::<Vec<_>>());
        for peerage in waiting.unwrap_or_default() {
            while let Some(no) = self.next_of(gate, &peerage, most) {
                self.ask(no);
                let stands = self.all.get(no.0).and_then(|lane| lane.gate.as_ref());
                debug_assert!(stands != Some(gate), "an open gate holds nobody");
                if stands == Some(gate) {
                    return;
                }
                if most.is_some() && stands.is_none_or(|other| !is_own(other)) {
                    self.call(no, gate, peerage.clone());
                }
            }
        }
    }

    fn next_of(&self, gate: &Gate, peerage: &Peerage, most: Option<usize>) -> Option<LaneNo> {
        self.crowds.get(gate)?.next(peerage, most.unwrap_or(usize::MAX))
    }

    /// A gate has let a lane go for its peers.
    fn call(&mut self, no: LaneNo, gate: &Gate, peerage: Peerage) {
        let Some(lane) = self.all.get_mut(no.0) else { return };
        lane.calls.push(gate.clone());
        self.crowds.entry(gate.clone()).or_default().call(peerage);
    }

    /// A lane does not go on for its peers any more: each gate that counted on it may have to let another one go.
    pub(super) fn excuse(&mut self, no: LaneNo) {
        let calls = self.all.get_mut(no.0).map(|lane| std::mem::take(&mut lane.calls));
        let Some(calls) = calls.filter(|calls| !calls.is_empty()) else { return };
        let Some(peerage) = self.peerage(no) else { return };
        for gate in calls {
            self.leave_crowd(&gate, |crowd| crowd.excuse(&peerage));
            self.stirred.insert(gate);
        }
    }

    /// A task of a lane has passed all gates: where it waits next it waits behind those who are there.
    pub(super) fn renew(&mut self, no: LaneNo) {
        self.excuse(no);
        let seat = self.next_seat();
        if let Some(lane) = self.all.get_mut(no.0) {
            debug_assert!(lane.gate.is_none(), "who waits at a gate does not pass");
            lane.seat = seat;
        }
    }

    pub(super) const fn next_seat(&mut self) -> u64 {
        self.seats += 1;
        self.seats
    }

    /// Asks the gates of a lane and lets it stand accordingly. Says whether it stands in line.
    pub(super) fn ask(&mut self, no: LaneNo) -> bool {
        let Some(lane) = self.all.get(no.0) else { return false };
        if lane.gate.is_none() && lane.key.gateway.is_empty() && self.gates.are_none() {
            return true;
        }
        let gate = self.answer(lane.flow, &lane.key);
        let goes_on = gate.is_none();
        if gate != lane.gate
            && let Some(place) = lane.first()
        {
            self.give_up_stand(no, place);
            match &gate {
                Some(gate) if is_own(gate) => self.excuse(no),
                Some(gate) => self.come_back(no, gate),
                None => {}
            }
            if let Some(lane) = self.all.get_mut(no.0) {
                lane.gate = gate;
            }
            self.moves += 1;
            self.take_stand(no, place);
        }
        goes_on
    }

    /// A lane finds a gate shut that may have let it go.
    fn come_back(&mut self, no: LaneNo, gate: &Gate) {
        let Some(peerage) = self.peerage(no) else { return };
        let Some(lane) = self.all.get_mut(no.0) else { return };
        if let Some(call) = lane.calls.iter().position(|call| call == gate) {
            lane.calls.swap_remove(call);
            self.leave_crowd(gate, |crowd| crowd.excuse(&peerage));
        }
    }

    pub(super) fn take_stand(&mut self, no: LaneNo, place: Place) {
        let Some(head) = self.head(no, place) else { return };
        let Some(Lane { gate: Some(gate), seat, .. }) = self.all.get(no.0) else {
            return self.line.enter(&head, &self.needs);
        };
        let (gate, seat) = (gate.clone(), (*seat, no));
        if let Some(peerage) = self.peerage(no) {
            self.crowds.entry(gate.clone()).or_default().sleep(peerage, seat);
        }
        self.rearm(&gate);
    }

    pub(super) fn give_up_stand(&mut self, no: LaneNo, place: Place) {
        let Some(head) = self.head(no, place) else { return };
        let Some(Lane { gate: Some(gate), seat, .. }) = self.all.get(no.0) else {
            return self.line.leave(&head, &self.needs);
        };
        let (gate, seat) = (gate.clone(), (*seat, no));
        if let Some(peerage) = self.peerage(no) {
            self.leave_crowd(&gate, |crowd| crowd.rise(&peerage, seat));
        }
        if !self.is_waited_for(&gate) {
            self.unring(&gate);
        }
    }

    fn leave_crowd(&mut self, gate: &Gate, leave: impl FnOnce(&mut Crowd)) {
        let Some(crowd) = self.crowds.get_mut(gate) else { return };
        leave(crowd);
        if crowd.is_empty() {
            self.crowds.remove(gate);
        }
    }

    /// What a lane and those that could go on for it have in common.
    pub(super) fn peerage(&self, no: LaneNo) -> Option<Peerage> {
        let Lane { flow, key, .. } = self.all.get(no.0)?;
        Some((self.flows.flow(*flow)?.queue, key.clone()))
    }

    pub(super) fn is_waited_for(&self, gate: &Gate) -> bool {
        self.crowds.get(gate).is_some_and(|crowd| 0 < crowd.asleep())
    }

    pub(super) fn gates_of(&self, of: &Bucketed) -> BTreeSet<Gate> {
        let (least, most) = (Take::Tokens(of.clone(), 0), Take::Tokens(of.clone(), u32::MAX));
        let crowds = self.crowds.range(Gate::Limit(least)..=Gate::Limit(most));
        crowds.map(|(gate, _)| gate.clone()).collect()
    }

    /// Sets when it is looked at a gate again: when it opens by itself, if it is shut and somebody waits there.
    pub(super) fn rearm(&mut self, gate: &Gate) {
        let (is_waited_for, is_shut) = (self.is_waited_for(gate), self.gates.is_shut(gate));
        if is_waited_for && !is_shut && self.rings.contains_key(gate) {
            // It is due, and only has not been looked at.
            return;
        }
        let at = self.gates.opens_at(gate).filter(|_| is_waited_for && is_shut);
        if self.rings.get(gate).copied() == at {
            return;
        }
        self.unring(gate);
        if let Some(at) = at.filter(|_| !Mutant::GateNeverOpens.is_alive()) {
            self.rings.insert(gate.clone(), at);
            self.ringing.insert((at, gate.clone()));
        }
    }

    fn unring(&mut self, gate: &Gate) {
        if let Some(at) = self.rings.remove(gate) {
            self.ringing.remove(&(at, gate.clone()));
        }
    }

    /// How often a lane has changed where it stands.
    pub(crate) const fn moves(&self) -> u64 {
        self.moves
    }
}

/// Whether a gate is that of one flow, or holds all that wait in a queue: what it says of a lane says nothing of its peers, or
/// they have been asked themselves.
const fn is_own(gate: &Gate) -> bool {
    matches!(gate, Gate::Queue(_) | Gate::Limit(Take::Permit(Permit::Flow(..))))
}
