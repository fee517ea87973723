//! What the sessions of one class share out: between queues by their weights, and what a queue gets between its flows.
//!
//! What somebody had from other classes does not count: who has a pool of his own goes behind nobody for that where all
//! share, and a pool that is fast does not say whose turn it is in one that is slow. It knows no task and no lane.

use std::collections::BTreeMap;

use crate::{
    ask::Asks,
    fairness::{Occasion, Stand, Turns, Virtual},
    flows::{Extent, FlowNo, QueueNo},
};

/// The number of a class of sessions. It is never given again; 0: of none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct ClassNo(pub(crate) u32);

/// What a lease is reckoned to cost, for its queue and for its flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Cost {
    pub(crate) queue: Virtual,
    pub(crate) flow: Virtual,
}

/// The turns of one class.
#[derive(Clone, Debug, Default)]
pub(crate) struct Market {
    queues: Turns<QueueNo>,
    flows: BTreeMap<QueueNo, Turns<FlowNo>>,
}

impl Market {
    /// What a flow has in line for the class is more by one.
    pub(crate) fn enter(&mut self, queue: QueueNo, flow: FlowNo, stand: Stand) {
        self.queues.enter(queue, stand);
        self.flows.entry(queue).or_default().enter(flow, stand);
    }

    /// It is less by one.
    pub(crate) fn leave(&mut self, queue: QueueNo, flow: FlowNo, stand: Stand) {
        self.queues.leave(queue, stand);
        if let Some(flows) = self.flows.get_mut(&queue) {
            flows.leave(flow, stand);
        }
    }

    /// Nothing of a flow, or of its whole queue, waits any more.
    pub(crate) fn go(&mut self, queue: QueueNo, flow: FlowNo, extent: Extent) {
        if extent == Extent::Queue {
            self.queues.go(queue);
        }
        if let Some(flows) = self.flows.get_mut(&queue) {
            flows.go(flow);
            if flows.is_empty() {
                self.flows.remove(&queue);
            }
        }
    }

    /// The number of a flow, or of its queue too, is given to another one.
    pub(crate) fn forget(&mut self, queue: QueueNo, flow: FlowNo, extent: Extent) {
        if extent == Extent::Queue {
            self.queues.forget(queue);
            self.flows.remove(&queue);
        } else if let Some(flows) = self.flows.get_mut(&queue) {
            flows.forget(flow);
        }
    }

    /// The flow whose turn it is with something of one of these sizes, and at which priority.
    pub(crate) fn first(&self, asks: Asks) -> Option<(u8, FlowNo)> {
        let (priority, queue) = self.queues.first(asks)?;
        let (own, flow) = self.flows.get(&queue)?.first(asks)?;
        debug_assert!(own == priority, "a queue stands for the most urgent of its flows");
        Some((priority, flow))
    }

    /// A flow is given a lease.
    pub(crate) fn charge(
        &mut self,
        (queue, flow): (QueueNo, FlowNo),
        cost: Cost,
        occasion: Occasion,
    ) {
        self.queues.charge(queue, cost.queue, occasion);
        if let Some(flows) = self.flows.get_mut(&queue) {
            flows.charge(flow, cost.flow, occasion);
        }
    }

    /// A lease of a flow cost something else than it was reckoned to.
    pub(crate) fn correct(
        &mut self,
        (queue, flow): (QueueNo, FlowNo),
        reckoned: Cost,
        actual: Cost,
    ) {
        self.queues.correct(queue, reckoned.queue, actual.queue);
        let flows = self.flows.entry(queue).or_default();
        flows.correct(flow, reckoned.flow, actual.flow);
        if flows.is_empty() {
            self.flows.remove(&queue);
        }
    }

    /// The same of what was had, with nothing in line.
    pub(crate) fn emptied(self) -> Self {
        let flows = self.flows.into_iter().map(|(queue, flows)| (queue, flows.emptied()));
        Self { queues: self.queues.emptied(), flows: flows.collect() }
    }
}

#[cfg(debug_assertions)]
impl Market {
    /// How many things stand in line of each size and priority, by whose they are.
    pub(crate) fn line(&self) -> BTreeMap<(FlowNo, Stand), u32> {
        self.flows.values().flat_map(Turns::line).collect()
    }

    /// Whether it agrees with itself.
    pub(crate) fn agrees(&self) -> bool {
        let mut queues = BTreeMap::new();
        for (queue, flows) in &self.flows {
            for ((_, stand), count) in flows.line() {
                *queues.entry((*queue, stand)).or_insert(0) += count;
            }
        }
        self.queues.agree() && self.flows.values().all(Turns::agree) && queues == self.queues.line()
    }
}
