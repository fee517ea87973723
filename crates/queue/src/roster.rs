//! Who could work: sessions by worker, by stream, and by what they can be offered.
//!
//! Sessions that serve the same task types form a class; a class keeps its free sessions in the order in which they are
//! offered tasks. It knows no task.

use std::{
    cmp::Ordering,
    collections::{BTreeMap, BTreeSet},
    ops::Bound::{Excluded, Unbounded},
};

use leasehold_policy::Mutant;

use crate::{
    Hello, Name, SessionId, StreamId,
    fingerprint::Print,
    session::{FULL, Session},
};

/// The task types of a class, ascending.
pub(crate) type Types = std::sync::Arc<[Name]>;

/// Every session.
#[derive(Clone, Debug, Default)]
pub(crate) struct Roster {
    members: BTreeMap<SessionId, Member>,
    workers: BTreeMap<Name, BTreeMap<Name, SessionId>>,
    streams: BTreeMap<StreamId, SessionId>,
    classes: BTreeMap<Types, Class>,
    opened: u64,
    greeted: u64,
}

/// A session and where it stands in its class.
#[derive(Clone, Debug)]
struct Member {
    session: Session,
    class: Option<Types>,
    seat: Seat,
}

/// Where a session stands in its class.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Seat {
    eligible: bool,
    load: Option<u64>,
}

/// Sessions that serve the same task types.
#[derive(Clone, Debug, Default, PartialEq)]
struct Class {
    members: usize,
    eligible: usize,
    free: BTreeSet<(u64, SessionId)>,
}

/// A class that has somebody to offer a task to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Free<'a> {
    pub(crate) types: &'a Types,
    sessions: &'a BTreeSet<(u64, SessionId)>,
}

impl Free<'_> {
    /// The emptiest session: one with a free slot, and another one than `avoided`, if there is one; what is least is best.
    pub(crate) fn best(&self, avoided: Option<SessionId>) -> Option<(bool, bool, u64, SessionId)> {
        let rank =
            |(load, id): &(u64, SessionId)| (FULL <= *load, avoided == Some(*id), *load, *id);
        // Only one session is avoided, so that the second one is as far as there is to look.
        self.sessions.iter().take(2).map(rank).min()
    }

    /// The sessions with a free slot, the emptiest first.
    pub(crate) fn idle(&self) -> impl Iterator<Item = SessionId> {
        self.sessions.iter().take_while(|(load, _)| *load < FULL).map(|(_, id)| *id)
    }
}

impl Roster {
    /// Takes a session in.
    pub(crate) fn open(&mut self, session: Session) -> SessionId {
        self.opened += 1;
        let id = SessionId(self.opened);
        let instances = self.workers.entry(Name::clone(&session.worker)).or_default();
        instances.insert(Name::clone(&session.instance), id);
        self.members.insert(id, Member { session, class: None, seat: Seat::default() });
        self.classify(id);
        id
    }

    /// Puts a session into the class of the task types it can be offered.
    pub(crate) fn classify(&mut self, id: SessionId) {
        self.leave_class(id);
        let Some(member) = self.members.get_mut(&id) else { return };
        let session = &member.session;
        let types: Types = session.task_types.difference(&session.unsupported).cloned().collect();
        self.classes.entry(Types::clone(&types)).or_default().members += 1;
        member.class = Some(types);
        self.seat(id);
    }

    /// Takes a session out.
    pub(crate) fn close(&mut self, id: SessionId) -> Option<Session> {
        self.leave_class(id);
        let session = self.members.remove(&id)?.session;
        if let Some(stream) = session.stream {
            self.streams.remove(&stream);
        }
        if let Some(instances) = self.workers.get_mut(&session.worker) {
            instances.remove(&session.instance);
            if instances.is_empty() {
                self.workers.remove(&session.worker);
            }
        }
        Some(session)
    }

    /// Changes a session, and then its place among the others.
    pub(crate) fn update<R>(
        &mut self,
        id: SessionId,
        change: impl FnOnce(&mut Session) -> R,
    ) -> Option<R> {
        let member = self.members.get_mut(&id)?;
        let stream = member.session.stream;
        let changed = change(&mut member.session);
        if stream != member.session.stream {
            if let Some(old) = stream {
                self.streams.remove(&old);
            }
            if let Some(new) = member.session.stream {
                self.streams.insert(new, id);
            }
        }
        self.seat(id);
        Some(changed)
    }

    /// The process of a session said hello: those whose starts cannot be compared are ordered by when they first did.
    pub(crate) fn greet(&mut self, id: SessionId) {
        let Some(member) = self.members.get_mut(&id) else { return };
        if member.session.greeted == 0 {
            self.greeted += 1;
            member.session.greeted = self.greeted;
        }
    }

    /// Whether a later process of the same worker is connected than the one that says hello. Where it was only heard later,
    /// it must have answered: the hello of a dead process can arrive after all that those after it have said.
    pub(crate) fn is_outlived(&self, hello: &Hello) -> bool {
        let Some(processes) = self.workers.get(&hello.worker) else { return false };
        let own = processes.get(&hello.instance).and_then(|id| self.get(*id));
        let greeted = own.map_or(0, |own| own.greeted);
        let is_out =
            |instance: &Name| *instance == hello.instance || hello.replaces.contains(instance);
        let others = processes.iter().filter(|(instance, _)| !is_out(instance));
        let others = others.filter_map(|(_, id)| self.get(*id));
        others.filter(|other| other.stream.is_some()).any(|other| {
            let started = hello.start.as_ref().zip(other.start.as_ref());
            match started.and_then(|(own, other)| own.partial_cmp(other)) {
                Some(Ordering::Less) if !Mutant::StartIgnored.is_alive() => true,
                Some(Ordering::Greater) if !Mutant::StartIgnored.is_alive() => false,
                Some(_) | None => {
                    let answers = other.answers || Mutant::SilentOutlives.is_alive();
                    answers && 0 < greeted && greeted < other.greeted
                }
            }
        })
    }

    /// The session.
    pub(crate) fn get(&self, id: SessionId) -> Option<&Session> {
        self.members.get(&id).map(|member| &member.session)
    }

    /// The session of a stream.
    pub(crate) fn on_stream(&self, stream: StreamId) -> Option<SessionId> {
        self.streams.get(&stream).copied()
    }

    /// The session of one start of a worker.
    pub(crate) fn of_instance(&self, worker: &str, instance: &str) -> Option<SessionId> {
        self.workers.get(worker)?.get(instance).copied()
    }

    /// The task types that a session can be offered.
    pub(crate) fn class(&self, id: SessionId) -> Option<&Types> {
        self.members.get(&id)?.class.as_ref()
    }

    /// Every session of a worker.
    pub(crate) fn of_worker(&self, worker: &str) -> Vec<SessionId> {
        self.workers.get(worker).into_iter().flat_map(BTreeMap::values).copied().collect()
    }

    /// How many sessions there are.
    pub(crate) fn len(&self) -> usize {
        self.members.len()
    }

    /// Every session, by worker name.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (SessionId, &Session)> {
        let ids = self.workers.values().flat_map(BTreeMap::values);
        ids.filter_map(|id| Some((*id, self.get(*id)?)))
    }

    /// Every session behind that of a process, by worker name; there may be no such process.
    pub(crate) fn iter_after(
        &self,
        worker: &Name,
        instance: &Name,
    ) -> impl Iterator<Item = (SessionId, &Session)> {
        let own = self.workers.get(worker);
        let own = own.map(|it| it.range::<Name, _>((Excluded(instance), Unbounded)));
        let own = own.into_iter().flatten();
        let later = self.workers.range::<Name, _>((Excluded(worker), Unbounded));
        let ids = own.chain(later.flat_map(|(_, processes)| processes));
        ids.filter_map(|(_, id)| Some((*id, self.get(*id)?)))
    }

    /// Every session's id.
    pub(crate) fn ids(&self) -> Vec<SessionId> {
        self.members.keys().copied().collect()
    }

    /// The classes that have somebody free.
    pub(crate) fn free(&self) -> impl Iterator<Item = Free<'_>> {
        let free = self.classes.iter().filter(|(_, class)| !class.free.is_empty());
        free.map(|(types, class)| Free { types, sessions: &class.free })
    }

    /// The class of these types, if it has somebody free.
    pub(crate) fn free_of(&self, types: &Types) -> Option<Free<'_>> {
        let (types, class) = self.classes.get_key_value(types)?;
        (!class.free.is_empty()).then_some(Free { types, sessions: &class.free })
    }

    /// Whether somebody connected takes tasks of a type, free or not.
    pub(crate) fn serves(&self, task_type: &Name) -> bool {
        self.classes
            .iter()
            .any(|(types, class)| 0 < class.eligible && types.binary_search(task_type).is_ok())
    }

    fn seat(&mut self, id: SessionId) {
        let Some(member) = self.members.get_mut(&id) else { return };
        let seat = Seat { eligible: member.session.is_eligible(), load: member.session.load() };
        let before = std::mem::replace(&mut member.seat, seat);
        let class = member.class.as_ref().and_then(|class| self.classes.get_mut(class));
        if let Some(class) = class {
            class.reseat(id, before, seat);
        }
    }

    fn leave_class(&mut self, id: SessionId) {
        let Some(member) = self.members.get_mut(&id) else { return };
        let before = std::mem::take(&mut member.seat);
        let Some(types) = member.class.take() else { return };
        let Some(class) = self.classes.get_mut(&types) else { return };
        class.reseat(id, before, Seat::default());
        class.members -= 1;
        if class.members == 0 {
            self.classes.remove(&types);
        }
    }

    /// Everything that is not derived from something else in it.
    pub(crate) fn fingerprint(&self, print: &mut Print<'_>) {
        print.put((self.opened, self.greeted, self.members.len()));
        for (id, member) in &self.members {
            print.put(id);
            member.session.fingerprint(print);
        }
    }

    /// Whether classes, streams and workers are those of the sessions, no more and no fewer.
    #[cfg(debug_assertions)]
    pub(crate) fn agrees(&self) -> bool {
        let mut classes: BTreeMap<Types, Class> = BTreeMap::new();
        for (id, Member { session, class, seat }) in &self.members {
            let fresh = Seat { eligible: session.is_eligible(), load: session.load() };
            let Some(types) = class else { return false };
            let class = classes.entry(Types::clone(types)).or_default();
            class.members += 1;
            class.reseat(*id, Seat::default(), fresh);
            let found = self.of_instance(&session.worker, &session.instance) == Some(*id)
                && session.stream.is_none_or(|stream| self.on_stream(stream) == Some(*id));
            let served = session.task_types.difference(&session.unsupported);
            if *seat != fresh || !found || !types.iter().eq(served) || !session.agrees() {
                return false;
            }
        }
        let connected = self.members.values().filter(|m| m.session.stream.is_some()).count();
        classes == self.classes
            && self.streams.len() == connected
            && self.workers.values().map(BTreeMap::len).sum::<usize>() == self.members.len()
    }
}

impl Class {
    fn reseat(&mut self, id: SessionId, before: Seat, after: Seat) {
        self.eligible -= usize::from(before.eligible);
        self.eligible += usize::from(after.eligible);
        if before.load == after.load {
            return;
        }
        if let Some(load) = before.load {
            self.free.remove(&(load, id));
        }
        if let Some(load) = after.load {
            self.free.insert((load, id));
        }
    }
}
