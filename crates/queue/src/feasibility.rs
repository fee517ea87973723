//! Whether a task is likely to be over in time, asked before it is accepted.
//!
//! A refusal needs a reason that is known: where nobody serves a task yet, its queue is paused or its type has never run, the
//! best is assumed, since workers may be started for it, and nothing is learned of what is never tried. Of the run itself the
//! half counts that is not exceeded in one case of two: whoever asks whether a task will make it means more likely than not, and
//! a stricter measure would turn away work that mostly succeeds.

use std::time::Duration;

use leasehold_policy::{Time, namespace};

use crate::{Admission, Infeasible, Queue, Refusal, TaskSpec};

/// How often a later deadline is tried for the one that is named to be the earliest. A task that has to be over later stands
/// behind more others; what was not found by then is answered with the end of a task that goes last.
const TRIES_MAX: usize = 4;

impl Queue {
    /// When a task is likely to be over that is submitted now, if that is too late.
    pub(crate) fn judge(&mut self, spec: &TaskSpec) -> Result<Option<Time>, Refusal> {
        if spec.admission == Admission::Unasked {
            return Ok(None);
        }
        // Classes are asked by number from here on, whether it is accepted or not.
        self.index.lanes.needs.know(namespace::of(&spec.queue), &spec.task_type, &spec.shape);
        self.introduce();
        let deadline = self.now + spec.total_timeout.into();
        let estimate = self.estimate_spec(spec, deadline);
        let Some(end) = estimate.likely_end().filter(|end| deadline <= *end) else {
            return Ok(None);
        };
        if spec.admission != Admission::Strict {
            return Ok(Some(end));
        }
        let usual = self.paces.usual(&spec.task_type).map(|(p50, _)| p50);
        let feasible = self.feasible(spec, end);
        let (now, infeasible) = (self.now, estimate);
        let infeasible = Infeasible { now, deadline, feasible, estimate: infeasible, usual };
        Err(Refusal::Infeasible(Box::new(infeasible)))
    }

    /// The earliest deadline that a task is likely to meet, not before this one.
    fn feasible(&self, spec: &TaskSpec, not_before: Time) -> Time {
        let beyond = |end: Time| end + Duration::from_millis(1);
        let mut deadline = beyond(not_before);
        for _ in 0..TRIES_MAX {
            let end = self.estimate_spec(spec, deadline).likely_end();
            let Some(later) = end.filter(|end| deadline <= *end) else { return deadline };
            deadline = beyond(later);
        }
        let last = self.estimate_spec(spec, Time::NEVER).likely_end();
        last.map_or(deadline, beyond)
    }
}
