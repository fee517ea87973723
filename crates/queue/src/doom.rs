//! Tasks that cannot be over in time any more: they are ended when it is their turn, and take no slot.
//!
//! The measure is the fastest of the runs that are remembered, not the usual one: what even that would not have kept to is
//! not worth a slot, and whoever is slow or unlucky is still tried. It costs nothing where a task is not late.

use std::time::Duration;

use leasehold_policy::Mutant;

use crate::{Granted, Queue, Task, lanes::Next};

/// Why a task is not leased though it is its turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Doom {
    /// Its time is over.
    Over,
    /// What is left of it is less than any run took.
    Short {
        left: Duration,
        /// What none of the runs took less than.
        fastest: Duration,
        /// How many runs that were.
        runs: u32,
    },
}

impl Queue {
    /// Why a task is not to be leased, if it is not.
    pub(crate) fn doom(&self, next: &Next) -> Option<Doom> {
        // No run is faster than most are.
        if !next.is_late(self.now) {
            return None;
        }
        if next.place.is_over(self.now) {
            return Some(Doom::Over);
        }
        let task = self.book.at(next.place)?;
        let enough = self.config.cull_runs?;
        let (fastest, runs) = self.paces.fastest(&task.spec.task_type)?;
        let left = next.place.deadline.since(self.now);
        let fastest = if Mutant::CulledByTheUsual.is_alive() {
            self.paces.p95(&task.spec.task_type)
        } else {
            fastest
        };
        let is_short = enough <= runs && left < fastest && !self.has_a_start(task);
        is_short.then_some(Doom::Short { left, fastest, runs })
    }

    /// Whether a task may need less than a whole run: it goes on from a checkpoint, or a worker that was lost may have its
    /// result.
    fn has_a_start(&self, task: &Task) -> bool {
        task.checkpoint().is_some() || self.may_be_late(task).is_some()
    }

    /// Ends such a task.
    pub(crate) fn cull(&mut self, next: &Next, doom: &Doom, granted: &mut Granted) {
        let Some(id) = self.book.at(next.place).map(|task| task.id) else { return };
        match doom {
            Doom::Over => {
                granted.expired += 1;
                self.time_out(id, None);
            }
            Doom::Short { left, fastest, runs } => {
                let usual = self.book.task(id).map(|task| self.paces.p50(&task.spec.task_type));
                granted.culled += 1;
                granted.spared += usual.unwrap_or_default();
                let message = format!(
                    "{left:?} are left, and none of the last {runs} tasks of this type ran for less than {fastest:?}"
                );
                self.time_out_as(id, None, &message);
            }
        }
    }
}
