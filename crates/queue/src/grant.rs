//! Leases: which waiting task goes to which free session.
//!
//! The best task over everything that somebody free serves goes first; of those who serve it the emptiest session gets
//! it, and one whose slots are taken only if it takes leases ahead and nobody has a slot. One grant costs as much as there are classes of sessions and types in them, whatever waits or is busy.

use std::sync::Arc;

use crate::{
    Assignment, Effect, Name, Queue, Record, SessionId, Task, Token, lanes::Place, session::Work,
};

impl Queue {
    pub(crate) fn grant(&mut self, most: usize) -> usize {
        let mut granted = 0;
        while granted < most && self.grant_next() {
            granted += 1;
        }
        self.retract(most - granted);
        granted
    }

    fn grant_next(&mut self) -> bool {
        let Some((place, session)) = self.next_for() else { return false };
        let Some(token) = self.mint() else { return false };
        self.lease(place, session, token);
        true
    }

    /// A task whose time is over is not leased: those behind it wait until its alarm has ended it.
    fn next_for(&self) -> Option<(Place, SessionId)> {
        let offers = self.roster.free().filter_map(|class| {
            let place = self.index.lanes.first(class.types)?;
            let avoided = self.avoided.get(&place.task).copied();
            Some((place, class.best(avoided)?))
        });
        let (place, (.., session)) = offers.min()?;
        (!place.is_over(self.now)).then_some((place, session))
    }

    fn lease(&mut self, place: Place, id: SessionId, token: Token) {
        let task = place.task;
        let Some(session) = self.roster.get(id) else { return };
        assert!(session.load().is_some(), "a lease needs room in session {id:?}");
        let is_ahead = session.slots <= session.used();
        let (worker, instance, stream) =
            (Name::clone(&session.worker), Name::clone(&session.instance), session.stream);
        self.write(Record::LeaseGranted { task, token, worker, instance, time: self.now });
        self.avoided.remove(&task);
        if let Some(lease) = self.book.lease_mut(task) {
            lease.session = Some(id);
        }
        let Some(granted) = self.book.task(task) else { return };
        let (patience, assignment) =
            (granted.spec.start_timeout, Box::new(assignment(granted, token)));
        self.update(id, |session| {
            session.hold(token, Work::Lease(task));
            if is_ahead {
                session.announce(token);
            } else {
                session.expect_answer(token, patience);
            }
        });
        if let Some(stream) = stream {
            self.emit(Effect::Assign { stream, assignment });
        }
        if is_ahead {
            self.park(id, task, token);
        }
        self.show(task);
    }
}

fn assignment(task: &Task, token: Token) -> Assignment {
    Assignment {
        token,
        task: task.id,
        spec: Arc::clone(&task.spec),
        attempt: task.attempts + 1,
        generation: task.generation,
        deadline: task.deadline,
        checkpoint: task.checkpoint.as_ref().map(|checkpoint| checkpoint.data.clone()),
    }
}
