//! The lanes that wait at one gate, and those among them whose turn it is to be let go.
//!
//! Peers are alike to every class of sessions and to every gate but those of their own flow: whoever of them is let go tells
//! for all of them whether the gate is still open. So as many are let go as find room behind it, and some more, among which
//! whose turn it is decides; the others when these have passed. It knows no gate and no task.

use std::collections::{BTreeMap, BTreeSet};

use super::{LaneKey, LaneNo};
use crate::flows::QueueNo;

/// What peers have in common.
pub(super) type Peerage = (QueueNo, LaneKey);

/// A lane by its place in the crowd.
pub(super) type Seat = (u64, LaneNo);

/// Those who wait at a gate, and how many it has let go for them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Crowd {
    peers: BTreeMap<Peerage, Peers>,
    asleep: usize,
}

#[derive(Clone, Debug, Default)]
struct Peers {
    /// Whoever has waited longest is first.
    asleep: BTreeSet<Seat>,
    /// How many have been let go and have neither passed nor come back.
    called: usize,
}

impl Crowd {
    /// A lane waits.
    pub(super) fn sleep(&mut self, peerage: Peerage, seat: Seat) {
        let is_new = self.peers.entry(peerage).or_default().asleep.insert(seat);
        self.asleep += usize::from(is_new);
    }

    /// It waits no more.
    pub(super) fn rise(&mut self, peerage: &Peerage, seat: Seat) {
        let Some(peers) = self.peers.get_mut(peerage) else { return };
        self.asleep -= usize::from(peers.asleep.remove(&seat));
        self.tidy(peerage);
    }

    /// One that waited has been let go for all of its peers.
    pub(super) fn call(&mut self, peerage: Peerage) {
        self.peers.entry(peerage).or_default().called += 1;
    }

    /// It has passed, come back or gone elsewhere.
    pub(super) fn excuse(&mut self, peerage: &Peerage) {
        let Some(peers) = self.peers.get_mut(peerage) else { return };
        peers.called -= 1;
        self.tidy(peerage);
    }

    /// All kinds of peers of whom somebody waits.
    pub(super) fn waiting(&self) -> impl Iterator<Item = &Peerage> {
        self.peers.iter().filter(|(_, peers)| !peers.asleep.is_empty()).map(|(key, _)| key)
    }

    /// The one that has waited longest of its peers, if fewer than so many have been let go.
    pub(super) fn next(&self, peerage: &Peerage, most: usize) -> Option<LaneNo> {
        let peers = self.peers.get(peerage).filter(|peers| peers.called < most)?;
        peers.asleep.first().map(|(_, lane)| *lane)
    }

    /// How many wait.
    pub(super) const fn asleep(&self) -> usize {
        self.asleep
    }

    /// Whether nobody waits, and nobody is waited for.
    pub(super) fn is_empty(&self) -> bool {
        self.peers.is_empty()
    }

    fn tidy(&mut self, peerage: &Peerage) {
        if self.peers.get(peerage).is_some_and(|it| it.asleep.is_empty() && it.called == 0) {
            self.peers.remove(peerage);
        }
    }
}

#[cfg(debug_assertions)]
impl Crowd {
    /// Whether a lane waits.
    pub(super) fn contains(&self, peerage: &Peerage, seat: Seat) -> bool {
        self.peers.get(peerage).is_some_and(|peers| peers.asleep.contains(&seat))
    }

    /// Whether of all that wait a peer has been let go.
    pub(super) fn has_called(&self) -> bool {
        self.peers.values().all(|peers| peers.asleep.is_empty() || 0 < peers.called)
    }

    /// How many have been let go.
    pub(super) fn called(&self) -> BTreeMap<Peerage, usize> {
        let called = self.peers.iter().filter(|(_, peers)| 0 < peers.called);
        called.map(|(peerage, peers)| (peerage.clone(), peers.called)).collect()
    }
}
