//! Leases beyond the slots of a worker: granted ahead where nobody else has a slot, and taken back before they start
//! when another worker is idle or a more urgent task finds no room.
//!
//! Being taken back costs nothing: the task goes back to its place, and the lease does not even count as one.

use leasehold_policy::{Mutant, namespace};

use crate::{
    Effect, Name, Queue, SessionId, Size, Task, TaskId, Token,
    ask::Asks,
    kind::Kind,
    lanes::{Next, Pick, Place},
    parking::{Parked, Sake},
    session::Session,
};

impl Queue {
    /// A lease was granted to a session whose slots are taken. What waits there and is less urgent goes behind it. Within a
    /// priority nothing does: who is before whom changes with each grant.
    pub(crate) fn park(&mut self, id: SessionId, task: TaskId, token: Token, pick: Pick) {
        let Some(class) = self.roster.class(id).cloned() else { return };
        let Some(parked) = self.book.task(task).map(parked) else { return };
        let (place, waiting) = (parked.place, self.parking.of_session(id));
        self.parking.park(id, &class, token, Parked { is_aged: pick == Pick::Aged, ..parked });
        self.update(id, |session| session.put_ahead(token));
        for (_, token) in waiting.into_iter().filter(|(other, _)| place.outranks(*other)) {
            if self.parking.gives_way(id, token) {
                self.ask_back(id, token, Sake::Order);
            }
        }
    }

    /// What a worker has just said that it has not started waits for slots behind everything else that it holds, in the order
    /// of the grants: one that does not fit is not overtaken.
    pub(crate) fn park_pending(&mut self, id: SessionId, pending: &[Token]) {
        self.update(id, |session| pending.iter().for_each(|token| session.put_ahead(*token)));
        let Some(class) = self.roster.class(id).cloned() else { return };
        for token in pending {
            let task = self.task_under(id, *token).and_then(|it| self.book.task(it));
            let Some(parked) = task.map(parked) else {
                self.update(id, |session| session.seat(*token));
                continue;
            };
            if self.parking.first(id).is_none() && self.may_seat(id, &parked) {
                let start_by = self.now + parked.start_timeout;
                self.update(id, |session| {
                    session.seat(*token);
                    session.expect_by(*token, start_by);
                });
                continue;
            }
            // After a restart it may be that nothing else has asked for what it asks of a worker.
            let namespace = namespace::of(&parked.queue);
            self.index.lanes.needs.know(namespace, &parked.task_type, &parked.shape);
            self.parking.park(id, &class, *token, parked);
        }
    }

    /// A slot is free: the worker holds the lease no more.
    pub(crate) fn vacate(&mut self, id: SessionId, token: Token) {
        self.parking.take(id, token);
        self.parking.resolve(id, token);
        self.update(id, |session| session.vacate(token));
        self.release(token);
        self.promote(id);
    }

    /// The work of a lease began, whether a slot was known to be free or not.
    pub(crate) fn unpark(&mut self, id: SessionId, token: Token) {
        let was_parked = self.parking.take(id, token).is_some();
        self.parking.resolve(id, token);
        if was_parked {
            self.update(id, |session| session.seat(token));
        }
    }

    /// Nothing is known of which leases of a session wait for a slot.
    pub(crate) fn unpark_all(&mut self, id: SessionId) {
        self.parking.clear(id);
        self.update(id, Session::seat_all);
    }

    /// What a session can be offered may have changed.
    pub(crate) fn reclassify(&mut self, id: SessionId) {
        self.roster.classify(id);
        if let Some(class) = self.roster.class(id) {
            self.parking.reclass(id, class);
        }
    }

    /// Gives free slots to what waits, in the order of the grants: from here on its start is waited for.
    pub(crate) fn promote(&mut self, id: SessionId) {
        while let Some(token) = self.parking.first(id) {
            let Some(parked) = self.parking.get(id, token) else { return };
            if !self.may_seat(id, parked) {
                return;
            }
            let Some(parked) = self.parking.take(id, token) else { return };
            self.update(id, |session| session.seat(token));
            let task = self.task_under(id, token).and_then(|task| self.book.task(task));
            if task.and_then(Task::lease).is_some_and(|lease| lease.revoking.is_none()) {
                let now = self.now;
                self.attend(id, |session| session.expect_start(token, now, parked.start_timeout));
            }
        }
    }

    /// Whether a session has room for a lease that waits there in front of all others.
    fn may_seat(&self, id: SessionId, parked: &Parked) -> bool {
        self.roster.get(id).is_some_and(|session| session.has_left(&parked.shape.size))
    }

    /// Asks back what waits at a worker that gets nothing new.
    pub(crate) fn retract_all(&mut self, id: SessionId) {
        for (_, token) in self.parking.of_session(id) {
            self.ask_back(id, token, Sake::Order);
        }
    }

    /// Asks leases back for sessions that have slots for them, and for tasks that are more urgent; at most `most`.
    pub(crate) fn retract(&mut self, most: usize) {
        if self.parking.is_empty() || Mutant::NeverRetracted.is_alive() {
            return;
        }
        let mut left = most;
        let kinds: Vec<Kind> = self.roster.free().map(|class| Kind::clone(class.kind)).collect();
        for kind in kinds {
            // Most often nothing waits that they could have, however many of them are idle.
            if self.most_urgent_of(&kind, |_| true).is_some() && !self.retract_for(&kind, &mut left)
            {
                return;
            }
        }
        for (task, token, id) in self.displaced() {
            if 0 < left && !self.parking.is_making_room(task) {
                left -= 1;
                self.ask_back(id, token, Sake::Urgent(task));
            }
        }
    }

    /// Asks leases back for the idle sessions of a class. Says whether more may be asked back.
    fn retract_for(&mut self, kind: &Kind, left: &mut usize) -> bool {
        for (idle, wanted) in self.idle_sessions(kind) {
            for _ in 0..wanted {
                // What it has no room for would come back to wait again.
                let has_room = |size: &Size| self.roster.get(idle).is_some_and(|it| it.fits(size));
                let Some((token, id)) = self.most_urgent_of(kind, has_room) else {
                    if self.most_urgent_of(kind, |_| true).is_none() {
                        return true;
                    }
                    break;
                };
                if *left == 0 {
                    return false;
                }
                *left -= 1;
                self.ask_back(id, token, Sake::Idle(idle));
            }
        }
        true
    }

    /// Sessions of a class with free slots that nothing is on its way to, and for how many leases.
    fn idle_sessions(&self, kind: &Kind) -> Vec<(SessionId, u32)> {
        let Some(class) = self.roster.free_of(kind) else { return Vec::new() };
        let idle = class.idle().filter_map(|id| {
            let session = self.roster.get(id)?;
            Some((id, session.free().saturating_sub(self.parking.expected(id))))
        });
        idle.collect()
    }

    /// What a paused queue would hold back stays where it is.
    fn most_urgent_of(
        &self,
        kind: &Kind,
        has_room: impl Fn(&Size) -> bool,
    ) -> Option<(Token, SessionId)> {
        let firsts = kind.types.iter().flat_map(|task_type| {
            let firsts = self.parking.firsts(task_type);
            firsts
                .filter(move |(queue, shape, _)| kind.fits(namespace::of(queue), task_type, shape))
        });
        let free =
            firsts.filter(|(queue, shape, _)| has_room(&shape.size) && !self.book.is_paused(queue));
        free.map(|(.., candidate)| candidate).min().map(|(_, token, id)| (token, id))
    }

    /// In each class of sessions: the task that goes next to them, and the lease that it would take the place of. That is of
    /// a less urgent priority: within one it could be that what is given back goes next again.
    fn displaced(&mut self) -> Vec<(TaskId, Token, SessionId)> {
        let Self { roster, index, parking, paces, .. } = self;
        let displaced = parking.of_classes().filter_map(|(kind, mut candidates)| {
            // What waits there would make room for one slot.
            let asker = roster.offer_of(kind)?.of(Asks::PLAIN);
            let next = index.lanes.next(&asker, Pick::First, paces)?;
            let takes = |id| roster.get(id).is_some_and(Session::takes_tasks);
            let (_, token, id) = candidates
                .by_ref()
                .take_while(|(place, ..)| next.place.outranks(*place))
                .find(|(_, token, id)| takes(*id) && parking.gives_way(*id, *token))?;
            Some((next, token, id))
        });
        let displaced: Vec<_> = displaced.collect();
        // What has its turn only to be ended needs no room.
        let lives = displaced.into_iter().filter(|(next, ..)| self.doom(next).is_none());
        let task = |next: &Next| self.book.at(next.place).map(|task| task.id);
        lives.filter_map(|(next, token, id)| Some((task(&next)?, token, id))).collect()
    }

    fn ask_back(&mut self, id: SessionId, token: Token, sake: Sake) {
        self.parking.ask(id, token, sake);
        if let Some(stream) = self.roster.get(id).and_then(|session| session.stream) {
            self.emit(Effect::Retract { stream, token });
        }
    }
}

fn parked(task: &Task) -> Parked {
    Parked {
        place: Place::of(task),
        task_type: Name::clone(&task.spec.task_type),
        queue: Name::clone(&task.spec.queue),
        shape: task.spec.shape.clone(),
        is_aged: false,
        start_timeout: task.spec.start_timeout,
    }
}
