//! What can hold tasks back though a worker is free: today the pause of their queue.
//!
//! A gate is asked without any effect, for a lane at a time; what passing it takes is taken for all gates of a lane
//! together, when its first task is leased. It knows no worker and no order.
//!
//! To add a gate: a variant of [`Gate`] that says all that its answer depends on (so that the tasks of a lane are alike to
//! it), its name in [`Gates::of`] where a task has to pass it, its answer in [`Gates::shut`], what passing it takes in
//! [`Gates::pass`]; and whoever opens it calls [`Lanes::open`](crate::lanes::Lanes::open).

use std::{collections::BTreeSet, sync::Arc};

use crate::{Name, TaskSpec};
use leasehold_policy::Mutant;

/// Something that can be shut.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Gate {
    /// A queue, which is paused or not.
    Queue(Name),
}

/// The gates of a lane beside its queue, in the order in which they are asked. Lanes of other gates are other lanes.
pub(crate) type Gateway = Arc<[Gate]>;

/// How many lanes go on when a gate opens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Opening {
    /// All that wait there: whoever passes leaves it open.
    Wide,
    /// The first of each need: whoever passes may shut it again. One need alone would leave the workers of the others
    /// idle.
    Narrow,
}

/// What every gate is like.
#[derive(Clone, Debug, Default)]
pub(crate) struct Gates {
    paused: BTreeSet<Name>,
}

impl Gates {
    /// The gates that a task has to pass beside its queue.
    pub(crate) fn of(_spec: &TaskSpec) -> Gateway {
        Gateway::default()
    }

    /// The first gate that is shut for a task of this queue with these gates. Asking has no effect.
    pub(crate) fn shut(&self, queue: &Name, gateway: &[Gate]) -> Option<Gate> {
        if self.paused.contains(queue) && !Mutant::PausedGranted.is_alive() {
            return Some(Gate::Queue(Name::clone(queue)));
        }
        gateway.iter().find(|gate| self.is_shut(gate)).cloned()
    }

    /// A task of a lane with these gates is leased, and takes what passing each of them takes.
    #[expect(
        clippy::unused_self,
        clippy::needless_pass_by_ref_mut,
        reason = "a pause takes nothing"
    )]
    pub(crate) fn pass(&mut self, _gateway: &[Gate]) {}

    /// Whether one gate is shut.
    pub(crate) fn is_shut(&self, gate: &Gate) -> bool {
        match gate {
            Gate::Queue(queue) => self.paused.contains(queue),
        }
    }

    /// Shuts a queue.
    pub(crate) fn pause(&mut self, queue: &Name) {
        self.paused.insert(Name::clone(queue));
    }

    /// Opens a queue.
    pub(crate) fn resume(&mut self, queue: &Name) {
        self.paused.remove(queue);
    }
}
