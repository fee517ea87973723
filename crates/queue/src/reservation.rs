//! Sessions that are reserved: what asks for much of a worker is passed over as long as nobody has so much left, and after
//! a bounded number of grants a session takes nothing that stands in its way until it has.
//!
//! It decides for whom and until when; which session that is best is for the [`roster`](crate::roster) to say.

use leasehold_policy::{Mutant, Time};

use crate::{
    Phase, Queue, SessionId, Size, Task, TaskId,
    gate::Gate,
    lanes::{Next, Place},
    session::{Session, Work},
};

impl Queue {
    /// How much of its worker a lease of a task takes.
    pub(crate) fn size_of(&self, task: TaskId) -> Size {
        self.book.task(task).map(|task| task.spec.shape.size.clone()).unwrap_or_default()
    }

    /// The class of a session has granted it a lease though it was the turn of another task, for which nobody there has room.
    pub(crate) fn pass_over(&mut self, id: SessionId, took: &Size, passed: &Next) {
        let Some(task) = self.book.at(passed.place) else { return };
        let (task, size) = (task.id, task.spec.shape.size.clone());
        let is_in_the_way =
            |session: &Session| session.whole.is_in_the_way(session.taken(), took, &size);
        if !self.roster.get(id).is_some_and(is_in_the_way)
            || !self.roster.pass_over(id, passed, self.config.valve)
        {
            return;
        }
        let Self { roster, book, paces, now, .. } = self;
        let now = *now;
        // What has run longer already ends nobody knows when.
        let end = |work: Work| {
            let Work::Lease(task) = work else { return None };
            let task = book.task(task)?;
            let lease = task.lease()?;
            let end = lease.started.unwrap_or(lease.granted) + paces.p95(&task.spec.task_type);
            Some(end).filter(|end| now < *end)
        };
        let room_by = |session: &Session| room_by(session, &size, now, end);
        if let Some(reserved) = roster.reserve(id, (task, passed, &size), room_by) {
            // What waits there for a slot would take it first.
            self.retract_all(reserved);
        }
    }

    /// Gives up the reservations that nobody needs any more: the task has been leased or has ended, it is held back by more than a
    /// limit, or the session takes nothing. A limit that is used up is no reason: others would take what comes free of it, and
    /// with it the room, each time.
    pub(crate) fn review_reservations(&mut self) {
        if self.roster.reservations().next().is_none() || Mutant::ReservedForEver.is_alive() {
            return;
        }
        let reserved: Vec<_> = self.roster.reservations().map(|it| (it.session, it.task)).collect();
        for (session, task) in reserved {
            let takes = self.roster.get(session).is_some_and(Session::takes_tasks);
            let task = self.book.task(task).filter(|task| takes && task.phase == Phase::Queued);
            if !task.is_some_and(|task| self.may_go_on(task)) {
                self.roster.unreserve(session);
            }
        }
    }

    /// Whether nothing but limits keeps a task from being leased where there is room.
    fn may_go_on(&self, task: &Task) -> bool {
        let gates = &self.index.lanes.gates;
        let mut shut = gates.shut_for(&task.spec, Place::of(task));
        !self.book.is_paused(&task.spec.queue) && shut.all(|gate| matches!(gate, Gate::Limit(_)))
    }
}

/// When a session has room for a lease of a size, if what it holds ends then: first how much of that nobody knows the end of.
pub(crate) fn room_by(
    session: &Session,
    size: &Size,
    now: Time,
    end: impl Fn(Work) -> Option<Time>,
) -> (usize, Time) {
    let taken_by = session.takers();
    let mut held: Vec<(Time, &Size)> =
        taken_by.map(|(work, size)| (end(work).unwrap_or(Time::NEVER), size)).collect();
    held.sort_unstable_by_key(|(end, _)| *end);
    let (mut taken, mut unknown, mut last) = (session.taken().clone(), 0, now);
    for (end, own) in held {
        if session.whole.holds_beside(&taken, size) {
            break;
        }
        taken.remove(own);
        unknown += usize::from(end == Time::NEVER);
        last = last.max(end);
    }
    (unknown, last)
}
