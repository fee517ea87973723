//! What a lease costs its queue and its flow: slot-time as it is reckoned at the grant, put right when the lease has ended.
//!
//! It decides nothing: who has had how much is kept by [`fairness`](crate::fairness).

use std::time::Duration;

use crate::{
    Lease, Queue, TaskId, Template, Token,
    fairness::Virtual,
    lanes::Next,
    market::{ClassNo, Cost},
    settle::Account,
};

/// What a lease was charged for when it was granted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reckoned {
    /// What its run is reckoned to take, in milliseconds.
    run_ms: u32,
    /// The class that it was granted to. None: nobody was charged.
    class: ClassNo,
}

/// A lease costs at least a slot for so long, whatever became of it: else work that takes no time would always be next.
const LEAST: Duration = Duration::from_millis(1);

impl Queue {
    /// A task is going to be leased. Says what it is charged for, which is kept with the lease.
    pub(crate) fn charge(&mut self, next: &Next, template: &Template, token: Token) -> Reckoned {
        let reckoned = self.paces.mean(&template.task_type).max(LEAST);
        let cost = self.cost(template, reckoned);
        self.index.lanes.charge(next, cost, token);
        Reckoned { run_ms: whole_ms(reckoned), class: next.class }
    }

    /// Its lease ends: what it was charged and did not use is credited, what it used beyond that is charged.
    pub(crate) fn put_right(&mut self, id: TaskId, reckoned: Reckoned, ran: Duration) {
        let Reckoned { run_ms, class } = reckoned;
        let ran = ran.max(LEAST);
        if whole_ms(ran) == run_ms {
            return;
        }
        let Some(task) = self.book.task(id) else { return };
        let run = Duration::from_millis(run_ms.into());
        let costs = (self.cost(&task.spec, run), self.cost(&task.spec, ran));
        self.index.lanes.correct(class, (&task.spec.queue, &task.spec.fairness_key), costs);
    }

    /// How long the work of a lease ran: its worker alone knows, and may be heard much later. It cannot have run for longer
    /// than it has been leased. Where nobody says, it ran from when its start was heard until now.
    pub(crate) fn ran(&self, lease: &Lease, account: &Account) -> Duration {
        match account.ran {
            Some(ran) => ran.min(self.now.since(lease.granted)),
            None => lease.started.map_or(Duration::ZERO, |started| self.now.since(started)),
        }
    }

    fn cost(&self, template: &Template, run: Duration) -> Cost {
        let run_ms = u64::try_from(run.as_millis()).unwrap_or(u64::MAX);
        let slot_ms = run_ms.saturating_mul(template.shape.size.slots.into());
        let (queue, flow) = self.config.weights(&template.queue, &template.fairness_key);
        Cost { queue: Virtual::of(slot_ms, queue), flow: Virtual::of(slot_ms, flow) }
    }
}

fn whole_ms(run: Duration) -> u32 {
    u32::try_from(run.as_millis()).unwrap_or(u32::MAX)
}
