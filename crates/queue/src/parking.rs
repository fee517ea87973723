//! Leases that were granted ahead: each waits at its worker for a slot, and can be taken back until its work starts.
//!
//! It knows who waits where and what has been asked for back. It knows no session and decides nothing.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use crate::{Name, SessionId, Shape, TaskId, Token, fingerprint::Print, kind::Kind, lanes::Place};

/// A lease without a slot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Parked {
    /// The task's place in the order.
    pub(crate) place: Place,
    pub(crate) task_type: Name,
    pub(crate) queue: Name,
    pub(crate) shape: Shape,
    /// Whether it was granted for its age: then nothing more urgent goes before it any more.
    pub(crate) is_aged: bool,
    /// How soon the work has to start once there is a slot.
    pub(crate) start_timeout: Duration,
}

/// For whose sake a lease is asked back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Sake {
    /// A session that has a free slot for it.
    Idle(SessionId),
    /// A more urgent task that finds no room.
    Urgent(TaskId),
    /// Tasks behind which it should wait where it is, or any session but its own.
    Order,
}

/// A lease that can be taken back: the more urgent the less.
pub(crate) type Candidate = (Place, Token, SessionId);

/// Every lease without a slot. At most the prefetch of each session.
#[derive(Clone, Debug, Default)]
pub(crate) struct Parking {
    rows: BTreeMap<SessionId, Row>,
    /// Those that have not been asked back, by task type and what decides who may have them, and by the class of their
    /// sessions.
    by_type: BTreeMap<Name, BTreeMap<(Name, Shape), BTreeSet<Candidate>>>,
    by_class: BTreeMap<Kind, BTreeSet<Candidate>>,
    /// Those that have, by session, until they start or end. Some may have a slot by now.
    asked: BTreeMap<(SessionId, Token), Sake>,
    /// How many of these are on their way to each session.
    expected: BTreeMap<SessionId, u32>,
    /// The tasks that one of these makes room for.
    urgent: BTreeSet<TaskId>,
}

/// Those of one session, in the order of their grants.
#[derive(Clone, Debug)]
struct Row {
    class: Kind,
    leases: BTreeMap<Token, Parked>,
}

impl Parking {
    /// A lease waits at a session of this class.
    pub(crate) fn park(&mut self, id: SessionId, class: &Kind, token: Token, parked: Parked) {
        let row = self
            .rows
            .entry(id)
            .or_insert_with(|| Row { class: Kind::clone(class), leases: BTreeMap::new() });
        row.leases.insert(token, parked);
        self.offer(id, token);
    }

    /// A lease does not wait any more: it has a slot, or has ended.
    pub(crate) fn take(&mut self, id: SessionId, token: Token) -> Option<Parked> {
        self.withhold(id, token);
        let row = self.rows.get_mut(&id)?;
        let parked = row.leases.remove(&token);
        if row.leases.is_empty() {
            self.rows.remove(&id);
        }
        parked
    }

    /// A lease is not to be asked back (again).
    pub(crate) fn withhold(&mut self, id: SessionId, token: Token) {
        let Some(row) = self.rows.get(&id) else { return };
        let Some(parked) = row.leases.get(&token) else { return };
        let Parked { place, task_type, queue, shape, .. } = parked;
        let candidate = (*place, token, id);
        if let Some(alike) = self.by_type.get_mut(task_type) {
            remove(alike, &(Name::clone(queue), shape.clone()), candidate);
            if alike.is_empty() {
                self.by_type.remove(task_type);
            }
        }
        remove(&mut self.by_class, &row.class, candidate);
    }

    /// A lease is asked back.
    pub(crate) fn ask(&mut self, id: SessionId, token: Token, sake: Sake) {
        self.withhold(id, token);
        self.asked.insert((id, token), sake);
        match sake {
            Sake::Idle(session) => *self.expected.entry(session).or_default() += 1,
            Sake::Urgent(task) => drop(self.urgent.insert(task)),
            Sake::Order => {}
        }
    }

    /// It is known what became of a lease that was asked back. Only its own session knows.
    pub(crate) fn resolve(&mut self, id: SessionId, token: Token) {
        if let Some(sake) = self.asked.remove(&(id, token)) {
            self.settle(sake);
        }
    }

    /// Nobody waits any more for a lease to come back, if it was asked back. It may come all the same.
    pub(crate) fn despair(&mut self, id: SessionId, token: Token) {
        if let Some(sake) = self.asked.get_mut(&(id, token)) {
            let sake = std::mem::replace(sake, Sake::Order);
            self.settle(sake);
        }
    }

    /// The same for all of a session.
    pub(crate) fn despair_of(&mut self, id: SessionId) {
        for token in self.asked_of(id) {
            self.despair(id, token);
        }
    }

    fn settle(&mut self, sake: Sake) {
        match sake {
            Sake::Idle(session) => {
                if let Some(count) = self.expected.get_mut(&session) {
                    *count -= 1;
                    if *count == 0 {
                        self.expected.remove(&session);
                    }
                }
            }
            Sake::Urgent(task) => drop(self.urgent.remove(&task)),
            Sake::Order => {}
        }
    }

    fn asked_of(&self, id: SessionId) -> Vec<Token> {
        let asked = self.asked.range((id, Token::new(0, 0))..);
        let asked = asked.take_while(|((session, _), _)| *session == id);
        asked.map(|((_, token), _)| *token).collect()
    }

    /// Nothing is known of what a session does with its leases: its stream is gone, or it is over.
    pub(crate) fn clear(&mut self, id: SessionId) {
        while let Some(token) = self.first(id) {
            self.take(id, token);
        }
        for token in self.asked_of(id) {
            self.resolve(id, token);
        }
    }

    /// A session is of another class than before.
    pub(crate) fn reclass(&mut self, id: SessionId, class: &Kind) {
        let Some(row) = self.rows.get_mut(&id) else { return };
        let before = std::mem::replace(&mut row.class, Kind::clone(class));
        for candidate in row.leases.iter().map(|(token, it)| (it.place, *token, id)) {
            if remove(&mut self.by_class, &before, candidate) {
                self.by_class.entry(Kind::clone(class)).or_default().insert(candidate);
            }
        }
    }

    /// The lease of a session that gets the next slot.
    pub(crate) fn first(&self, id: SessionId) -> Option<Token> {
        self.rows.get(&id)?.leases.first_key_value().map(|(token, _)| *token)
    }

    /// A lease of a session that waits for a slot.
    pub(crate) fn get(&self, id: SessionId, token: Token) -> Option<&Parked> {
        self.rows.get(&id)?.leases.get(&token)
    }

    /// Whether a lease of a session waits for a slot.
    pub(crate) fn is_parked(&self, id: SessionId, token: Token) -> bool {
        self.rows.get(&id).is_some_and(|row| row.leases.contains_key(&token))
    }

    /// Those of a session that can be taken back, with their places.
    pub(crate) fn of_session(&self, id: SessionId) -> Vec<(Place, Token)> {
        let Some(row) = self.rows.get(&id) else { return Vec::new() };
        let Some(class) = self.by_class.get(&row.class) else { return Vec::new() };
        let own = row.leases.iter().map(|(token, it)| (it.place, *token, id));
        let own = own.filter(|candidate| class.contains(candidate));
        own.map(|(place, token, _)| (place, token)).collect()
    }

    /// Whether a lease gives way to what is more urgent.
    pub(crate) fn gives_way(&self, id: SessionId, token: Token) -> bool {
        let parked = self.rows.get(&id).and_then(|row| row.leases.get(&token));
        parked.is_some_and(|parked| !parked.is_aged)
    }

    /// Whether a lease has been asked back, and may still come.
    pub(crate) fn is_asked(&self, id: SessionId, token: Token) -> bool {
        self.asked.contains_key(&(id, token))
    }

    /// Of those that can be taken back and have a task type: the most urgent one of each queue and shape.
    pub(crate) fn firsts(
        &self,
        task_type: &Name,
    ) -> impl Iterator<Item = (&Name, &Shape, Candidate)> {
        let alike = self.by_type.get(task_type).into_iter().flatten();
        alike.filter_map(|((queue, shape), candidates)| Some((queue, shape, *candidates.first()?)))
    }

    /// Those that can be taken back in each class of sessions, the least urgent first.
    pub(crate) fn of_classes(
        &self,
    ) -> impl Iterator<Item = (&Kind, impl Iterator<Item = Candidate>)> {
        self.by_class.iter().map(|(class, candidates)| (class, candidates.iter().rev().copied()))
    }

    /// How many leases have been asked back for a session.
    pub(crate) fn expected(&self, id: SessionId) -> u32 {
        self.expected.get(&id).copied().unwrap_or(0)
    }

    /// Whether a lease has been asked back for a task.
    pub(crate) fn is_making_room(&self, task: TaskId) -> bool {
        self.urgent.contains(&task)
    }

    /// Whether nothing can be taken back.
    pub(crate) fn is_empty(&self) -> bool {
        self.by_class.is_empty()
    }

    fn offer(&mut self, id: SessionId, token: Token) {
        let Some(row) = self.rows.get(&id) else { return };
        let Some(parked) = row.leases.get(&token) else { return };
        let candidate = (parked.place, token, id);
        let alike = self.by_type.entry(Name::clone(&parked.task_type)).or_default();
        let key = (Name::clone(&parked.queue), parked.shape.clone());
        alike.entry(key).or_default().insert(candidate);
        self.by_class.entry(Kind::clone(&row.class)).or_default().insert(candidate);
    }

    /// Everything that is not derived from something else in it.
    pub(crate) fn fingerprint(&self, print: &mut Print<'_>) {
        print.put((self.rows.len(), &self.asked));
        for (id, row) in &self.rows {
            print.put(id);
            for (token, parked) in &row.leases {
                print.put((token, parked.start_timeout));
            }
            let class = self.by_class.get(&row.class);
            print.put(class.map(|it| it.iter().map(|(_, token, _)| *token).collect::<Vec<_>>()));
        }
    }

    /// Everything that waits at a session.
    #[cfg(debug_assertions)]
    pub(crate) fn tokens(&self, id: SessionId) -> Vec<Token> {
        self.rows.get(&id).map(|row| row.leases.keys().copied().collect()).unwrap_or_default()
    }

    /// Whether its own books agree.
    #[cfg(debug_assertions)]
    pub(crate) fn agrees(&self) -> bool {
        let typed = || self.by_type.values().flat_map(BTreeMap::values).flatten();
        let classed = || self.by_class.values().flatten();
        let is_parked = |(place, token, id): &Candidate| {
            let parked = self.rows.get(id).and_then(|row| row.leases.get(token));
            parked.is_some_and(|it| it.place == *place) && !self.asked.contains_key(&(*id, *token))
        };
        let expected = self.asked.values().filter(|sake| matches!(sake, Sake::Idle(_)));
        typed().count() == classed().count()
            && typed().chain(classed()).all(is_parked)
            && expected.count() == self.expected.values().map(|count| *count as usize).sum()
            && self.rows.values().all(|row| !row.leases.is_empty())
    }
}

/// Takes a candidate out of an index, and its set with the last one. Says whether it was there.
fn remove<K: Ord>(
    index: &mut BTreeMap<K, BTreeSet<Candidate>>,
    key: &K,
    candidate: Candidate,
) -> bool {
    let Some(set) = index.get_mut(key) else { return false };
    let removed = set.remove(&candidate);
    if set.is_empty() {
        index.remove(key);
    }
    removed
}
