//! The lanes that could go on: whose turn it is for each class of sessions, and which of them is the oldest.
//!
//! It knows no gate, no session and no task behind the first of a lane.

use std::collections::{BTreeMap, BTreeSet};

use leasehold_policy::Time;

use crate::{
    ask::{AskNo, Offer},
    fairness::Occasion,
    flows::{Extent, FlowNo, QueueNo},
    lanes::{LaneNo, Place},
    market::{ClassNo, Cost, Market},
    need::{NeedNo, Needs},
    order::Order,
};

/// A lane by its first task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) queue: QueueNo,
    pub(crate) flow: FlowNo,
    pub(crate) need: NeedNo,
    pub(crate) place: Place,
    pub(crate) lane: LaneNo,
}

/// Lanes of a flow that are alike to every class, at one priority.
type Bunch = (FlowNo, u8, NeedNo);

/// Every lane that stands in line. No set is empty.
#[derive(Clone, Debug, Default)]
pub(crate) struct Line {
    bunches: BTreeMap<Bunch, Order<(Place, LaneNo)>>,
    /// The lanes by how long ago their first tasks were submitted.
    ages: BTreeMap<(NeedNo, u8), Order<(i64, LaneNo)>>,
    markets: BTreeMap<ClassNo, Market>,
    /// Of the class that went last without an heir: what was had there.
    orphan: Option<Market>,
}

impl Line {
    /// A lane stands here.
    pub(crate) fn enter(&mut self, head: &Head, needs: &Needs) {
        let Head { queue, flow, need, place, lane } = *head;
        self.ages.entry((need, place.priority)).or_default().insert((place.task, lane));
        let bunch = self.bunches.entry((flow, place.priority, need)).or_default();
        bunch.insert((place, lane));
        if bunch.is_single() {
            for (class, ask) in needs.classes(need) {
                if let Some(market) = self.markets.get_mut(class) {
                    market.enter(queue, flow, (*ask, place.priority));
                }
            }
        }
    }

    /// A lane stands here no more.
    pub(crate) fn leave(&mut self, head: &Head, needs: &Needs) {
        let Head { queue, flow, need, place, lane } = *head;
        remove(&mut self.ages, &(need, place.priority), &(place.task, lane));
        if remove(&mut self.bunches, &(flow, place.priority, need), &(place, lane)) {
            for (class, ask) in needs.classes(need) {
                if let Some(market) = self.markets.get_mut(class) {
                    market.leave(queue, flow, (*ask, place.priority));
                }
            }
        }
    }

    /// A lane that stands here has another first task.
    pub(crate) fn replace(&mut self, head: &Head, place: Place) {
        let Head { flow, need, place: before, lane, .. } = *head;
        if let Some(ages) = self.ages.get_mut(&(need, place.priority)) {
            ages.replace(&(before.task, lane), (place.task, lane));
        }
        if let Some(bunch) = self.bunches.get_mut(&(flow, place.priority, need)) {
            bunch.replace(&(before, lane), (place, lane));
        }
    }

    /// The lane whose turn it is at a class, of the sizes that it offers: of the flow whose turn it is the one that has to start
    /// first.
    pub(crate) fn first(
        &self,
        offer: &Offer<'_>,
        start_by: impl Fn(NeedNo, Place) -> Time,
    ) -> Option<LaneNo> {
        let (priority, flow) = self.markets.get(&offer.class)?.first(offer.asks)?;
        let (least, most) = ((flow, priority, NeedNo::MIN), (flow, priority, NeedNo::MAX));
        let own = self.bunches.range(least..=most);
        let own = own.filter(|((.., need), _)| offer.ask(*need).is_some());
        let mut firsts = own.filter_map(|((.., need), bunch)| Some((*need, *bunch.first()?)));
        let first = firsts.next()?;
        let Some(second) = firsts.next() else {
            // When it has to start matters only beside others.
            let (_, (_, lane)) = first;
            return Some(lane);
        };
        let all = [first, second].into_iter().chain(firsts);
        let all = all.map(|(need, (place, lane))| (start_by(need, place), place, lane));
        all.min().map(|(.., lane)| lane)
    }

    /// The lane of a need whose first task was submitted first of those that are less urgent than `priority`.
    pub(crate) fn oldest_below(&self, need: NeedNo, priority: u8) -> Option<(i64, LaneNo)> {
        let below = priority.checked_add(1)?;
        let ages = self.ages.range((need, below)..=(need, u8::MAX));
        ages.filter_map(|(_, ages)| ages.first()).min().copied()
    }

    /// A lane is given a lease by a class.
    pub(crate) fn charge(&mut self, class: ClassNo, head: &Head, cost: Cost, occasion: Occasion) {
        if let Some(market) = self.markets.get_mut(&class) {
            market.charge((head.queue, head.flow), cost, occasion);
        }
    }

    /// What a lease of a class was charged is put right.
    pub(crate) fn correct(
        &mut self,
        class: ClassNo,
        whose: (QueueNo, FlowNo),
        (reckoned, actual): (Cost, Cost),
    ) {
        if let Some(market) = self.markets.get_mut(&class) {
            market.correct(whose, reckoned, actual);
        }
    }

    /// No task of a flow, or of its whole queue, waits any more.
    pub(crate) fn go(&mut self, queue: QueueNo, flow: FlowNo, extent: Extent) {
        for market in self.markets.values_mut().chain(&mut self.orphan) {
            market.go(queue, flow, extent);
        }
    }

    /// A flow, or its whole queue, is forgotten.
    pub(crate) fn forget(&mut self, queue: QueueNo, flow: FlowNo, extent: Extent) {
        for market in self.markets.values_mut().chain(&mut self.orphan) {
            market.forget(queue, flow, extent);
        }
    }

    /// There is a new class. Its turns go on from those of the class that its sessions were of before, or of one that is gone:
    /// sessions that never stay long would else begin with the same flow each time.
    pub(crate) fn found(&mut self, class: ClassNo, heir_of: Option<ClassNo>) {
        let own = heir_of.and_then(|no| self.markets.get(&no)).cloned().map(Market::emptied);
        self.markets.insert(class, own.unwrap_or_default());
    }

    /// A new class that is nobody's heir takes what there is to inherit.
    pub(crate) fn adopt(&mut self, class: ClassNo) {
        if let Some(orphan) = self.orphan.take() {
            self.markets.insert(class, orphan);
        }
    }

    /// A class is gone.
    pub(crate) fn dissolve(&mut self, class: ClassNo) {
        if let Some(market) = self.markets.remove(&class) {
            self.orphan = Some(market.emptied());
        }
    }

    /// A class serves a need: the lanes of it stand in line for it, too.
    pub(crate) fn serve(
        &mut self,
        (class, need, ask): (ClassNo, NeedNo, AskNo),
        whose: impl Fn(LaneNo) -> Option<(QueueNo, FlowNo)>,
    ) {
        let Some(market) = self.markets.get_mut(&class) else { return };
        for ((_, priority), lanes) in self.ages.range((need, u8::MIN)..=(need, u8::MAX)) {
            let flows = lanes.iter().filter_map(|(_, lane)| whose(*lane));
            for (queue, flow) in flows.collect::<BTreeSet<_>>() {
                market.enter(queue, flow, (ask, *priority));
            }
        }
    }
}

/// Takes something out of one of the sets, and says whether it was the last in it.
fn remove<K: Ord, V: Copy + Ord>(sets: &mut BTreeMap<K, Order<V>>, key: &K, value: &V) -> bool {
    let Some(set) = sets.get_mut(key) else { return false };
    set.remove(value);
    let is_last = set.is_empty();
    if is_last {
        sets.remove(key);
    }
    is_last
}

#[cfg(debug_assertions)]
impl Line {
    /// How many lanes there are.
    pub(crate) fn len(&self) -> usize {
        self.bunches.values().map(Order::len).sum()
    }

    /// Whether a lane stands here by its first task.
    pub(crate) fn contains(&self, head: &Head) -> bool {
        let Head { flow, need, place, lane, .. } = *head;
        let bunch = self.bunches.get(&(flow, place.priority, need));
        let ages = self.ages.get(&(need, place.priority));
        bunch.is_some_and(|bunch| bunch.contains(&(place, lane)))
            && ages.is_some_and(|ages| ages.contains(&(place.task, lane)))
    }

    /// Whether what stands in line for each class is what it serves.
    pub(crate) fn agrees(&self, needs: &Needs) -> bool {
        let lanes: usize = self.ages.values().map(Order::len).sum();
        let agrees = |(class, market): (&ClassNo, &Market)| {
            let mut line = BTreeMap::new();
            for (flow, priority, need) in self.bunches.keys() {
                for (_, ask) in needs.classes(*need).iter().filter(|(own, _)| own == class) {
                    *line.entry((*flow, (*ask, *priority))).or_insert(0) += 1;
                }
            }
            market.agrees() && market.line() == line
        };
        lanes == self.len() && self.markets.iter().all(agrees)
    }
}
