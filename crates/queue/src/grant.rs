//! Leases: which waiting task goes to which free session.
//!
//! Of what the classes of sessions with free slots would take next, whatever goes first is leased; of those who serve it the
//! emptiest session gets it. One that cannot be over in time is ended instead. Leases ahead of slots are granted when no class
//! with a free slot has anything to take. One grant costs as much as there are classes of sessions and needs that they
//! serve, whatever waits or is busy.

use std::sync::Arc;

use leasehold_policy::Mutant;

use crate::{
    Assignment, Effect, Granted, Name, Queue, Record, SessionId, Task, Token,
    lanes::{Next, Pick},
    roster::Seating,
    session::Work,
};

/// How many gates that have opened by themselves are looked at before a grant; the rest with the next.
const OPENED_MAX: usize = 1_000;

impl Queue {
    pub(crate) fn grant(&mut self, most: usize) -> Granted {
        self.introduce();
        self.index.lanes.open_due(self.now, OPENED_MAX);
        let mut granted = Granted::default();
        while granted.turns() < most && self.grant_next(&mut granted) {}
        self.retract(most - granted.turns());
        granted
    }

    /// Tells the classes of sessions of the needs they have not been told of.
    pub(crate) fn introduce(&mut self) {
        let needs = &mut self.index.lanes.needs;
        if needs.is_settled() && self.roster.is_settled() {
            return;
        }
        let gone = needs.forget_idle();
        if !gone.is_empty() {
            self.roster.part(&gone);
        }
        let newcomers = needs.newcomers();
        let (news, reclassed) = self.roster.meet(&newcomers, needs);
        self.index.lanes.introduce(news);
        for id in reclassed {
            if let Some(kind) = self.roster.class(id) {
                self.parking.reclass(id, kind);
            }
        }
    }

    /// Leases the task whose turn it is, or ends it. Says whether there was one.
    fn grant_next(&mut self, granted: &mut Granted) -> bool {
        let Some((next, seating)) = self.next_for() else { return false };
        if let Some(doom) = self.doom(&next) {
            self.cull(next.place.task, &doom, granted);
            return true;
        }
        let Some(token) = self.mint() else { return false };
        self.lease(next, seating.session, token);
        granted.leased += 1;
        true
    }

    fn next_for(&mut self) -> Option<(Next, Seating)> {
        let Self { roster, index, paces, avoided, config, .. } = self;
        let lanes = &mut index.lanes;
        let offers = roster.free().filter_map(|class| {
            let is_aged = class.is_for_the_old(config.valve) || Mutant::ValveOpen.is_alive();
            let is_aged = is_aged && !Mutant::ValveShut.is_alive();
            let pick = if is_aged { Pick::Aged } else { Pick::First };
            let next = lanes.next(class.no(), class.needs(), pick, paces)?;
            let avoided = avoided.get(&next.place.task).copied();
            Some((next, class.best(avoided, lanes.served_last(&next))?))
        });
        // Nobody takes ahead what somebody with a slot could have, though it is not what goes next to him.
        offers.min_by_key(|(next, seating)| (seating.is_ahead(), next.rank(), *seating))
    }

    fn lease(&mut self, next: Next, id: SessionId, token: Token) {
        let task = next.place.task;
        let Some(session) = self.roster.get(id) else { return };
        assert!(session.load().is_some(), "a lease needs room in session {id:?}");
        let is_ahead = session.slots <= session.used();
        let (worker, instance, stream) =
            (Name::clone(&session.worker), Name::clone(&session.instance), session.stream);
        let reckoned = self.charge(&next, token);
        self.index.lanes.serve(&next, id);
        self.roster.count_grant(id, self.config.valve);
        self.write(Record::LeaseGranted { task, token, worker, instance, time: self.now });
        self.avoided.remove(&task);
        if let Some(lease) = self.book.lease_mut(task) {
            (lease.session, lease.reckoned) = (Some(id), reckoned);
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
            self.park(id, task, token, next.pick());
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
