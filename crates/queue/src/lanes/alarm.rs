//! When tasks that wait run out of time: a lane is in that order, so that one alarm will do for all that wait in it.
//!
//! It is set for the first of them, and left where it is when that one is leased: when it rings and turns out to be early, it is
//! set for whoever is first by then. So a task that is leased in time costs nothing here.

use leasehold_policy::Time;

use super::{LaneNo, Lanes, Rank};

impl Lanes {
    /// When the first alarm of a lane rings. What else rings in that moment comes before it or behind it by its task.
    pub(crate) fn next_alarm(&self) -> Option<Rank> {
        let first = self.alarms.first().map(|(armed, _)| *armed);
        first.filter(|(at, _)| *at < Time::NEVER)
    }

    /// The first alarm of a lane rings: for a task that has run out of time, and so leaves the lane, or early.
    pub(crate) fn ring(&mut self) -> Option<Rank> {
        let (armed, no) = *self.alarms.first()?;
        let lane = self.all.get(no.0)?;
        let (first, ()) = *lane.tasks.first()?;
        let second = lane.tasks.iter().nth(1).map(|(rank, ())| *rank);
        if armed < first {
            self.set(no, first);
            return None;
        }
        if let Some(second) = second {
            self.set(no, second);
        }
        Some(first)
    }

    /// A lane may have a first task that runs out of time earlier than the one before.
    pub(super) fn arm(&mut self, no: LaneNo) {
        let Some(lane) = self.all.get(no.0) else { return };
        if let Some((first, ())) = lane.tasks.first()
            && *first < lane.armed
        {
            self.set(no, *first);
        }
    }

    fn set(&mut self, no: LaneNo, first: Rank) {
        let Some(lane) = self.all.get_mut(no.0) else { return };
        self.alarms.replace(&(lane.armed, no), (first, no));
        lane.armed = first;
    }
}
