//! Leases: which waiting task goes to which free session.
//!
//! Of what the classes of sessions with free slots would take next, whatever goes first is leased; of those who serve it the
//! emptiest session gets it. One that cannot be over in time is ended instead. Leases ahead of slots are granted when no class
//! with a free slot has anything to take. One grant costs as much as there are classes of sessions and needs that they
//! serve, whatever waits or is busy.

use std::sync::Arc;

use leasehold_policy::{Mutant, Time};

use crate::{
    Assignment, Effect, Granted, Name, Queue, Record, Task, Token,
    ask::Asks,
    lanes::{Next, Pick, Place},
    roster::Seating,
};

/// A task whose turn it is.
struct Turn {
    next: Next,
    seating: Seating,
    /// Whose turn it would be, had somebody room for it.
    passed: Option<Next>,
}

/// How many gates that have opened by themselves are looked at before a grant; the rest with the next.
const OPENED_MAX: usize = 1_000;

impl Queue {
    pub(crate) fn grant(&mut self, most: usize) -> Granted {
        self.introduce();
        self.index.lanes.open_due(self.now, OPENED_MAX);
        let mut granted = Granted::default();
        while granted.turns() < most && self.grant_next(&mut granted) {
            if granted.away.is_some() {
                return granted;
            }
        }
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
        self.review_reservations();
        let Some(Turn { next, seating, passed }) = self.next_for() else { return false };
        if let Some(doom) = self.doom(&next) {
            self.cull(&next, &doom, granted);
            return true;
        }
        let Some(token) = self.mint() else { return false };
        let task = passed.and_then(|_| self.book.at(next.place));
        let took = task.map(|task| task.spec.shape.size.clone()).zip(passed);
        self.lease(next, seating, token, granted);
        if next.pick() == Pick::Reserved {
            // Whoever is alike to it has had the room that was kept.
            self.roster.unreserve(seating.session);
        }
        if let Some((took, passed)) = took {
            self.pass_over(seating.session, &took, &passed);
        }
        granted.leased += 1;
        true
    }

    fn next_for(&mut self) -> Option<Turn> {
        let Self { roster, index, paces, avoided, config, book, .. } = self;
        let lanes = &mut index.lanes;
        let offers = roster.free().filter_map(|class| {
            let reserved = class.reserved().and_then(|(task, offer)| {
                let task = book.task(task)?;
                lanes.next_like((&task.spec, Place::of(task)), &offer, paces)
            });
            let (next, passed) = if let Some(next) = reserved {
                (next, None)
            } else {
                let is_aged = class.is_for_the_old(config.valve) || Mutant::ValveOpen.is_alive();
                let is_aged = is_aged && !Mutant::ValveShut.is_alive();
                let (pick, offer) = (if is_aged { Pick::Aged } else { Pick::First }, class.offer());
                let next = lanes.next(&offer, pick, paces)?;
                let all = class.is_partial().then(|| offer.of(Asks::ALL));
                let turn = all.and_then(|all| lanes.next(&all, pick, paces));
                (next, turn.filter(|turn| !offer.asks.contains(turn.ask)))
            };
            let is_any = !avoided.is_empty();
            let task = is_any.then(|| book.at(next.place)).flatten();
            let avoided = task.and_then(|task| avoided.get(&task.id)).copied();
            let seating = class.best(next.ask, avoided, lanes.served_last(&next))?;
            Some(Turn { next, seating, passed })
        });
        // Nobody takes ahead what somebody with a slot could have, though it is not what goes next to him. For whom room was kept
        // is not to lose a permit, which all classes share, to somebody else each time.
        offers.min_by_key(|Turn { next, seating, .. }| {
            (seating.is_ahead(), next.pick() != Pick::Reserved, next.rank(), *seating)
        })
    }

    fn lease(&mut self, next: Next, seating: Seating, token: Token, granted: &mut Granted) {
        // Nothing of what its worker is told changes with the grant.
        let Some(task) = self.book.at(next.place) else { return };
        let (id, session, is_ahead) = (task.id, seating.session, seating.is_ahead());
        let assignment = Box::new(assignment(task, token, self.now));
        let (template, is_away) =
            (Arc::clone(&task.spec.template), task.spec.payload.here().is_none());
        let size = &template.shape.size;
        let Some(holder) = self.roster.get(session) else { return };
        assert!(holder.is_offered(), "a lease needs room in session {session:?}");
        assert!(is_ahead || holder.fits(size), "a lease needs all its room in session {session:?}");
        let (worker, instance, stream) =
            (Name::clone(&holder.worker), Name::clone(&holder.instance), holder.stream);
        let reckoned = self.charge(&next, &template, token);
        self.index.lanes.serve(&next, session);
        self.roster.count_grant(next.class, self.config.valve);
        self.write(Record::LeaseGranted { task: id, token, worker, instance, time: self.now });
        self.avoided.remove(&id);
        if let Some(lease) = self.book.lease_mut(id) {
            (lease.session, lease.reckoned) = (Some(session), reckoned);
        }
        granted.away = is_away.then_some(id);
        let patience = (!is_ahead).then_some(template.start_timeout);
        self.update(session, |session| session.lease(token, id, size, patience));
        if let Some(stream) = stream {
            self.emit(Effect::Assign { stream, assignment });
        }
        if is_ahead {
            self.park(session, id, token, next.pick());
        }
        self.show(id);
    }
}

fn assignment(task: &Task, token: Token, now: Time) -> Assignment {
    let is_first = task.leases == 0 && task.generation() == 1;
    Assignment {
        token,
        task: task.id,
        spec: task.spec.clone(),
        attempt: task.attempts + 1,
        generation: task.generation(),
        deadline: task.deadline,
        checkpoint: task.checkpoint().map(|checkpoint| checkpoint.data.clone()),
        waited: is_first.then(|| now.since(task.first_ready())),
    }
}
