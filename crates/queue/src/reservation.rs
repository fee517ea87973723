//! Sessions that are reserved: what asks for much of a worker is passed over as long as nobody has so much left, and after
//! a bounded number of grants a session takes nothing else until it has.
//!
//! It decides for whom and until when; which session that is best is for the [`roster`](crate::roster) to say.

use leasehold_policy::Mutant;

use crate::{
    Phase, Queue, SessionId, Size, TaskId,
    lanes::{Next, Place},
    roster::Reservation,
    session::Session,
};

impl Queue {
    /// How much of its worker a lease of a task takes.
    pub(crate) fn size_of(&self, task: TaskId) -> Size {
        self.book.task(task).map(|task| task.spec.shape.size.clone()).unwrap_or_default()
    }

    /// The class of a session has granted a lease though it was the turn of another task, for which nobody there has room.
    pub(crate) fn pass_over(&mut self, id: SessionId, passed: &Next) {
        if !self.roster.pass_over(id, passed, self.config.valve) {
            return;
        }
        let size = self.size_of(passed.place.task);
        if let Some(reserved) = self.roster.reserve(id, passed, &size) {
            // What waits there for a slot would take it first.
            self.retract_all(reserved);
        }
    }

    /// Gives up the reservations that nobody needs any more: the task has been leased or has ended, a gate is shut for it, or
    /// the session takes nothing.
    pub(crate) fn review_reservations(&mut self) {
        if self.roster.reservations().next().is_none() || Mutant::ReservedForEver.is_alive() {
            return;
        }
        for Reservation { session, task, .. } in
            self.roster.reservations().copied().collect::<Vec<_>>()
        {
            let takes = self.roster.get(session).is_some_and(Session::takes_tasks);
            let task = self.book.task(task).filter(|task| takes && task.phase == Phase::Queued);
            let lanes = &mut self.index.lanes;
            if !task.is_some_and(|task| lanes.is_in_line(&task.spec, Place::of(task))) {
                self.roster.unreserve(session);
            }
        }
    }
}
