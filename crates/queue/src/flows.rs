//! Queues and the fairness keys within them: who they are, and which lanes are theirs.
//!
//! A flow is what has one fairness key in one queue; tasks that name none are a flow, too. It knows no task and no order.

use std::collections::BTreeMap;

use leasehold_policy::Time;

use crate::{
    Name, SessionId,
    idle::Idle,
    lanes::{LaneKey, LaneNo},
    slab::Slab,
};

/// How many flows without a waiting task are remembered: beyond that whoever has been idle longest begins anew. A few
/// megabytes.
const IDLE_MAX: u64 = 10_000;

/// The number of a queue. Smaller ones have been known for longer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct QueueNo(u32);

/// The number of a flow. Smaller ones have been known for longer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct FlowNo(u32);

/// How much of something is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Extent {
    /// A flow.
    Flow,
    /// It was the only one of its queue.
    Queue,
}

/// Every queue and flow in which a task waits, and some in which one did.
#[derive(Clone, Debug, Default)]
pub(crate) struct Flows {
    queues: Slab<QueueEntry>,
    numbers: BTreeMap<Name, QueueNo>,
    all: Slab<Flow>,
    idle: Idle<FlowNo>,
}

/// A queue.
#[derive(Clone, Debug)]
pub(crate) struct QueueEntry {
    pub(crate) name: Name,
    flows: BTreeMap<Name, FlowNo>,
    /// How many tasks wait in it since when. None of these is zero.
    ages: BTreeMap<Time, u64>,
    /// How many of them have a lane.
    busy: usize,
}

/// What has one fairness key in one queue.
#[derive(Clone, Debug)]
pub(crate) struct Flow {
    pub(crate) queue: QueueNo,
    pub(crate) key: Name,
    /// The session that served it last, if it has a key.
    pub(crate) session: Option<SessionId>,
    lanes: BTreeMap<LaneKey, LaneNo>,
}

impl QueueEntry {
    /// Since when the longest waiting task of it waits.
    pub(crate) fn oldest(&self) -> Option<Time> {
        self.ages.first_key_value().map(|(since, _)| *since)
    }
}

impl Flows {
    /// The flow of a key in a queue, both known from here on.
    pub(crate) fn open(&mut self, queue: &Name, key: &Name) -> FlowNo {
        if let Some(flow) = self.find(queue, key) {
            return flow;
        }
        let no = self.numbers.get(queue).copied().unwrap_or_else(|| {
            let (name, flows) = (Name::clone(queue), BTreeMap::new());
            let no = QueueNo(self.queues.insert(QueueEntry {
                name,
                flows,
                ages: BTreeMap::new(),
                busy: 0,
            }));
            self.numbers.insert(Name::clone(queue), no);
            no
        });
        let (key_of, lanes) = (Name::clone(key), BTreeMap::new());
        let flow = Flow { queue: no, key: key_of, session: None, lanes };
        let flow = FlowNo(self.all.insert(flow));
        if let Some(queue) = self.queues.get_mut(no.0) {
            queue.flows.insert(Name::clone(key), flow);
        }
        flow
    }

    /// The flow of a key in a queue, if it is known.
    pub(crate) fn find(&self, queue: &str, key: &str) -> Option<FlowNo> {
        self.queues.get(self.numbers.get(queue)?.0)?.flows.get(key).copied()
    }

    /// The number of a queue, if it is known.
    pub(crate) fn number(&self, queue: &str) -> Option<QueueNo> {
        self.numbers.get(queue).copied()
    }

    /// The queue of this number.
    pub(crate) fn queue(&self, no: QueueNo) -> Option<&QueueEntry> {
        self.queues.get(no.0)
    }

    /// The flow of this number.
    pub(crate) fn flow(&self, no: FlowNo) -> Option<&Flow> {
        self.all.get(no.0)
    }

    /// The flow of this number, to be changed.
    pub(crate) fn flow_mut(&mut self, no: FlowNo) -> Option<&mut Flow> {
        self.all.get_mut(no.0)
    }

    /// A lane of a flow, if it has such a one.
    pub(crate) fn lane(&self, flow: FlowNo, key: &LaneKey) -> Option<LaneNo> {
        self.all.get(flow.0)?.lanes.get(key).copied()
    }

    /// A flow has a lane more.
    pub(crate) fn enter(&mut self, no: FlowNo, key: LaneKey, lane: LaneNo) {
        let Some(flow) = self.all.get_mut(no.0) else { return };
        if flow.lanes.is_empty() {
            self.idle.remove(&no);
            if let Some(queue) = self.queues.get_mut(flow.queue.0) {
                queue.busy += 1;
            }
        }
        flow.lanes.insert(key, lane);
    }

    /// A flow has a lane less. Says what has none any more.
    pub(crate) fn leave(&mut self, no: FlowNo, key: &LaneKey) -> Option<Extent> {
        let flow = self.all.get_mut(no.0)?;
        flow.lanes.remove(key);
        if !flow.lanes.is_empty() {
            return None;
        }
        self.idle.insert(&no);
        let queue = self.queues.get_mut(flow.queue.0)?;
        queue.busy -= 1;
        Some(if queue.busy == 0 { Extent::Queue } else { Extent::Flow })
    }

    /// Forgets an idle flow if there are too many, and its queue if that has no other.
    pub(crate) fn forget_one(&mut self) -> Option<(QueueNo, FlowNo, Extent)> {
        if self.idle.len() <= IDLE_MAX {
            return None;
        }
        let no = self.idle.forget_one()?;
        let flow = self.all.remove(no.0)?;
        let queue = self.queues.get_mut(flow.queue.0)?;
        queue.flows.remove(&flow.key);
        if !queue.flows.is_empty() {
            return Some((flow.queue, no, Extent::Flow));
        }
        let queue = self.queues.remove(flow.queue.0)?;
        self.numbers.remove(&queue.name);
        Some((flow.queue, no, Extent::Queue))
    }

    /// A task of a flow waits since then.
    pub(crate) fn wait(&mut self, flow: FlowNo, since: Time) {
        if let Some(queue) = self.queue_of(flow) {
            *queue.ages.entry(since).or_default() += 1;
        }
    }

    /// A task of a flow that waited since then does not wait any more.
    pub(crate) fn go_on(&mut self, flow: FlowNo, since: Time) {
        let Some(queue) = self.queue_of(flow) else { return };
        let Some(count) = queue.ages.get_mut(&since) else { return };
        *count -= 1;
        if *count == 0 {
            queue.ages.remove(&since);
        }
    }

    fn queue_of(&mut self, flow: FlowNo) -> Option<&mut QueueEntry> {
        self.queues.get_mut(self.all.get(flow.0)?.queue.0)
    }

    /// How many tasks wait.
    #[cfg(debug_assertions)]
    pub(crate) fn waiting(&self) -> u64 {
        self.queues.iter().flat_map(|(_, queue)| queue.ages.values()).sum()
    }

    /// Every lane of a queue.
    pub(crate) fn lanes_of(&self, queue: &str) -> Vec<LaneNo> {
        let queue = self.numbers.get(queue).and_then(|no| self.queues.get(no.0));
        let flows = queue.into_iter().flat_map(|queue| queue.flows.values());
        let flows = flows.filter_map(|no| self.all.get(no.0));
        flows.flat_map(|flow| flow.lanes.values()).copied().collect()
    }
}
