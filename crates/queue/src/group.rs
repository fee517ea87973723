//! The lanes of one need and one priority that could go on: whose turn it is among their queues, within a queue among its
//! flows, and within a flow the lane whose first task is the most urgent.
//!
//! It knows no task behind the first of a lane, no gate and no session.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    TaskId,
    accounts::{Accounts, FlowNo, QueueNo},
    fairness::{Turns, Virtual},
    lanes::{LaneNo, Place},
};

/// A lane that stands in line, by its first task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) queue: QueueNo,
    pub(crate) flow: FlowNo,
    pub(crate) place: Place,
    pub(crate) lane: LaneNo,
}

/// Where a queue and its flow stand: whoever is least is first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Standing {
    queue: (Virtual, QueueNo),
    flow: (Virtual, FlowNo),
}

/// Lanes of one need and one priority. There is none without a lane.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Group {
    queues: Turns<QueueNo>,
    members: BTreeMap<QueueNo, Member>,
    /// The lanes by how long ago their first tasks were submitted.
    ages: BTreeSet<(TaskId, LaneNo)>,
}

/// The flows of one queue.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Member {
    flows: Turns<FlowNo>,
    lanes: BTreeMap<FlowNo, BTreeSet<(Place, LaneNo)>>,
}

impl Group {
    /// A group without a lane, which is to get one.
    pub(crate) const fn new(accounts: &Accounts) -> Self {
        let queues = Turns::new(accounts.clock());
        Self { queues, members: BTreeMap::new(), ages: BTreeSet::new() }
    }

    /// A lane stands in line.
    pub(crate) fn enter(&mut self, head: Head, accounts: &Accounts) {
        let Head { queue, flow, place, lane } = head;
        self.ages.insert((place.task, lane));
        self.queues.join(queue, accounts.had_by_queue(queue));
        let member = self.members.entry(queue).or_insert_with(|| {
            let clock = accounts.queue(queue).map_or(Virtual::default(), |queue| queue.clock);
            Member { flows: Turns::new(clock), lanes: BTreeMap::new() }
        });
        member.flows.join(flow, accounts.had_by_flow(flow));
        member.lanes.entry(flow).or_default().insert((place, lane));
    }

    /// A lane stands in line no more. Says whether it was the last one.
    pub(crate) fn leave(&mut self, head: Head) -> bool {
        let Head { queue, flow, place, lane } = head;
        self.ages.remove(&(place.task, lane));
        let Some(member) = self.members.get_mut(&queue) else { return false };
        let Some(lanes) = member.lanes.get_mut(&flow) else { return false };
        lanes.remove(&(place, lane));
        if lanes.is_empty() {
            member.lanes.remove(&flow);
            member.flows.leave(flow);
        }
        if member.flows.is_empty() {
            self.members.remove(&queue);
            self.queues.leave(queue);
        }
        self.queues.is_empty()
    }

    /// A lane has another first task.
    pub(crate) fn replace(&mut self, head: Head, place: Place) {
        let Head { queue, flow, place: before, lane } = head;
        self.ages.remove(&(before.task, lane));
        self.ages.insert((place.task, lane));
        let lanes = self.members.get_mut(&queue).and_then(|it| it.lanes.get_mut(&flow));
        if let Some(lanes) = lanes {
            lanes.remove(&(before, lane));
            lanes.insert((place, lane));
        }
    }

    /// The lane whose turn it is.
    pub(crate) fn first(&mut self, accounts: &Accounts) -> Option<(Standing, Head)> {
        let queue = self.queues.first(|no| accounts.had_by_queue(no))?;
        let member = self.members.get_mut(&queue.1)?;
        let flow = member.flows.first(|no| accounts.had_by_flow(no))?;
        let (place, lane) = *member.lanes.get(&flow.1)?.first()?;
        let head = Head { queue: queue.1, flow: flow.1, place, lane };
        Some((Standing { queue, flow }, head))
    }

    /// The lane whose first task was submitted first.
    pub(crate) fn oldest(&self) -> Option<(TaskId, LaneNo)> {
        self.ages.first().copied()
    }

    /// Where a lane stands, whoever is before it.
    pub(crate) fn standing(&self, head: &Head, accounts: &Accounts) -> Standing {
        let Head { queue, flow, .. } = *head;
        let (had_by_queue, had_by_flow) =
            (accounts.had_by_queue(queue), accounts.had_by_flow(flow));
        let flows = self.members.get(&queue).map(|member| &member.flows);
        let stands = flows.map_or(Virtual::default(), |flows| flows.stand(flow, had_by_flow));
        Standing { queue: (self.queues.stand(queue, had_by_queue), queue), flow: (stands, flow) }
    }

    /// What a lane's queue and flow are charged from, if it has a turn.
    pub(crate) fn bases(&self, head: &Head, accounts: &Accounts) -> (Virtual, Virtual) {
        let Head { queue, flow, .. } = *head;
        let (had_by_queue, had_by_flow) =
            (accounts.had_by_queue(queue), accounts.had_by_flow(flow));
        let flows = self.members.get(&queue).map(|member| &member.flows);
        let base = flows.map_or(had_by_flow, |flows| flows.base(flow, had_by_flow));
        (self.queues.base(queue, had_by_queue), base)
    }

    /// The first lane had its turn, standing there.
    pub(crate) fn pass(&mut self, standing: &Standing) {
        self.queues.pass(standing.queue.0);
        if let Some(member) = self.members.get_mut(&standing.queue.1) {
            member.flows.pass(standing.flow.0);
        }
    }
}

#[cfg(debug_assertions)]
impl Group {
    /// How many lanes there are.
    pub(crate) fn len(&self) -> usize {
        self.ages.len()
    }

    /// Whether a lane stands here by its first task.
    pub(crate) fn contains(&self, head: &Head) -> bool {
        let lanes = self.members.get(&head.queue).and_then(|it| it.lanes.get(&head.flow));
        lanes.is_some_and(|lanes| lanes.contains(&(head.place, head.lane)))
            && self.ages.contains(&(head.place.task, head.lane))
    }
}

impl Standing {
    /// How far the queue and the flow stand.
    pub(crate) const fn clocks(&self) -> (Virtual, Virtual) {
        (self.queue.0, self.flow.0)
    }
}
