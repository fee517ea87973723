//! Queues and the fairness keys within them: who they are, what they have had, which lanes are theirs.
//!
//! A flow is what has one fairness key in one queue; tasks that name none are a flow, too. It knows no task and no order.

use std::collections::BTreeMap;

use crate::{
    Name, SessionId,
    fairness::{Account, Virtual},
    idle::Idle,
    lanes::{Cost, LaneKey, LaneNo},
    slab::Slab,
};

/// How many flows without a waiting task are remembered, with what they have had: beyond that whoever has been idle longest
/// begins anew. A few megabytes.
const IDLE_MAX: u64 = 10_000;

/// The number of a queue. Smaller ones have been known for longer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct QueueNo(u32);

/// The number of a flow. Smaller ones have been known for longer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct FlowNo(u32);

/// Every queue and flow in which a task waits, and some in which one did.
#[derive(Clone, Debug, Default)]
pub(crate) struct Accounts {
    queues: Slab<QueueAccount>,
    numbers: BTreeMap<Name, QueueNo>,
    flows: Slab<Flow>,
    idle: Idle<FlowNo>,
    /// The furthest that a queue stood when it had its turn.
    clock: Virtual,
}

/// A queue.
#[derive(Clone, Debug)]
pub(crate) struct QueueAccount {
    pub(crate) name: Name,
    pub(crate) account: Account,
    /// The furthest that one of its flows stood when it had its turn.
    pub(crate) clock: Virtual,
    flows: BTreeMap<Name, FlowNo>,
}

/// What has one fairness key in one queue.
#[derive(Clone, Debug)]
pub(crate) struct Flow {
    pub(crate) queue: QueueNo,
    pub(crate) key: Name,
    pub(crate) account: Account,
    /// The session that served it last, if it has a key.
    pub(crate) session: Option<SessionId>,
    lanes: BTreeMap<LaneKey, LaneNo>,
}

impl Accounts {
    /// The flow of a key in a queue, both known from here on.
    pub(crate) fn open(&mut self, queue: &Name, key: &Name) -> FlowNo {
        if let Some(flow) = self.find(queue, key) {
            return flow;
        }
        let no = self.numbers.get(queue).copied().unwrap_or_else(|| {
            let (name, flows) = (Name::clone(queue), BTreeMap::new());
            let (account, clock) = (Account::default(), Virtual::default());
            let no = QueueNo(self.queues.insert(QueueAccount { name, account, clock, flows }));
            self.numbers.insert(Name::clone(queue), no);
            no
        });
        let (account, lanes) = (Account::default(), BTreeMap::new());
        let flow = Flow { queue: no, key: Name::clone(key), account, session: None, lanes };
        let flow = FlowNo(self.flows.insert(flow));
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
    pub(crate) fn queue(&self, no: QueueNo) -> Option<&QueueAccount> {
        self.queues.get(no.0)
    }

    /// The flow of this number.
    pub(crate) fn flow(&self, no: FlowNo) -> Option<&Flow> {
        self.flows.get(no.0)
    }

    /// What a queue has had.
    pub(crate) fn had_by_queue(&self, no: QueueNo) -> Virtual {
        self.queues.get(no.0).map_or(Virtual::default(), |queue| queue.account.had())
    }

    /// What a flow has had.
    pub(crate) fn had_by_flow(&self, no: FlowNo) -> Virtual {
        self.flows.get(no.0).map_or(Virtual::default(), |flow| flow.account.had())
    }

    /// Both, to be charged.
    pub(crate) fn both_mut(&mut self, no: FlowNo) -> Option<(&mut QueueAccount, &mut Flow)> {
        let flow = self.flows.get_mut(no.0)?;
        Some((self.queues.get_mut(flow.queue.0)?, flow))
    }

    /// What a lease of this queue and key was charged is put right, as far as they are known.
    pub(crate) fn correct(&mut self, (queue, key): (&str, &str), reckoned: Cost, actual: Cost) {
        let no = self.numbers.get(queue).map(|no| no.0);
        let Some(queue) = no.and_then(|no| self.queues.get_mut(no)) else { return };
        queue.account.correct(reckoned.queue, actual.queue);
        if let Some(flow) = queue.flows.get(key).and_then(|no| self.flows.get_mut(no.0)) {
            flow.account.correct(reckoned.flow, actual.flow);
        }
    }

    /// The furthest that a queue stood when it had its turn.
    pub(crate) const fn clock(&self) -> Virtual {
        self.clock
    }

    /// A flow had its turn where its queue and it stood.
    pub(crate) fn pass(&mut self, no: FlowNo, (queue_stood, flow_stood): (Virtual, Virtual)) {
        self.clock = self.clock.max(queue_stood);
        if let Some((queue, _)) = self.both_mut(no) {
            queue.clock = queue.clock.max(flow_stood);
        }
    }

    /// A lane of a flow, if it has such a one.
    pub(crate) fn lane(&self, flow: FlowNo, key: &LaneKey) -> Option<LaneNo> {
        self.flows.get(flow.0)?.lanes.get(key).copied()
    }

    /// A flow has a lane more.
    pub(crate) fn enter(&mut self, no: FlowNo, key: LaneKey, lane: LaneNo) {
        let Some(flow) = self.flows.get_mut(no.0) else { return };
        if flow.lanes.is_empty() {
            self.idle.remove(&no);
        }
        flow.lanes.insert(key, lane);
    }

    /// A flow has a lane less. Idle ones are forgotten where there are too many.
    pub(crate) fn leave(&mut self, no: FlowNo, key: &LaneKey) {
        let Some(flow) = self.flows.get_mut(no.0) else { return };
        flow.lanes.remove(key);
        if flow.lanes.is_empty() {
            self.idle.insert(&no);
        }
        if IDLE_MAX < self.idle.len() {
            self.forget_one();
        }
    }

    fn forget_one(&mut self) {
        let Some(flow) = self.idle.forget_one().and_then(|no| self.flows.remove(no.0)) else {
            return;
        };
        let Some(queue) = self.queues.get_mut(flow.queue.0) else { return };
        queue.flows.remove(&flow.key);
        if queue.flows.is_empty()
            && let Some(queue) = self.queues.remove(flow.queue.0)
        {
            self.numbers.remove(&queue.name);
        }
    }

    /// Every lane of a queue.
    pub(crate) fn lanes_of(&self, queue: &str) -> Vec<LaneNo> {
        let queue = self.numbers.get(queue).and_then(|no| self.queues.get(no.0));
        let flows = queue.into_iter().flat_map(|queue| queue.flows.values());
        let flows = flows.filter_map(|no| self.flows.get(no.0));
        flows.flat_map(|flow| flow.lanes.values()).copied().collect()
    }
}
