//! Who could work: sessions by worker, by stream, and by what they can be offered.
//!
//! Sessions of one kind form a class; a class knows the needs that it serves, and keeps its free sessions in the order in
//! which they are offered tasks. It knows no task.

use std::{
    cmp::Ordering,
    collections::{BTreeMap, BTreeSet},
    ops::Bound::{Excluded, Unbounded},
};

use leasehold_policy::Mutant;

use crate::{
    Hello, Name, SchemaPrint, SessionId, StreamId, TaskSpec,
    fingerprint::Print,
    kind::{Kind, Traits},
    lanes::News,
    market::ClassNo,
    need::{NeedNo, Needs},
    session::{FULL, Session},
};

pub(crate) use serving::Serving;

mod serving;

/// Up to so many label names of selectors tell sessions apart before those that no task asks for any more are left out. Each
/// splits classes, and a grant looks at each class.
const LABEL_NAMES_MAX: usize = 64;

/// Every session.
#[derive(Clone, Debug, Default)]
pub(crate) struct Roster {
    members: BTreeMap<SessionId, Member>,
    workers: BTreeMap<Name, BTreeMap<Name, SessionId>>,
    streams: BTreeMap<StreamId, SessionId>,
    classes: BTreeMap<Kind, Class>,
    /// The slots of each class, by its number.
    slots: BTreeMap<ClassNo, Slots>,
    /// Whether a class has not been told of the needs that there are, or has no sessions any more.
    has_strangers: bool,
    /// Sessions that have changed their class since the classes were last told of needs.
    moved: BTreeSet<SessionId>,
    /// What classes that are gone had counted towards their next grant by age, until there is an heir: if that went with
    /// them, workers that never stay long would never be granted a task for its age.
    bequeathed: u64,
    /// The labels that selectors ask for.
    label_names: BTreeSet<Name>,
    founded: u32,
    opened: u64,
    greeted: u64,
}

/// A session and where it stands in its class.
#[derive(Clone, Debug)]
struct Member {
    session: Session,
    class: Option<Kind>,
    /// The number of that.
    no: Option<ClassNo>,
    /// The class that it was of when the classes were last told of needs.
    settled: Option<ClassNo>,
    seat: Seat,
}

/// Where a session stands in its class.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Seat {
    eligible: bool,
    load: Option<u64>,
    slots: Slots,
}

/// Slots of sessions that are connected and take leases.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Slots {
    all: u64,
    free: u64,
    /// Leases that have been granted ahead of a slot.
    ahead: u64,
}

/// Sessions of one kind.
#[derive(Clone, Debug, Default, PartialEq)]
struct Class {
    no: ClassNo,
    members: usize,
    eligible: usize,
    slots: Slots,
    free: BTreeSet<(u64, SessionId)>,
    /// The needs that it serves, ascending. None: it has not been told of any.
    needs: Option<Vec<NeedNo>>,
    /// How many leases its sessions were granted since the last one by age, and those whose heir it is.
    granted: u64,
}

/// A class that has somebody to offer a task to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Free<'a> {
    pub(crate) kind: &'a Kind,
    class: &'a Class,
}

/// How well a session suits a task: one with a free slot, then another one than is avoided, then the emptiest, then the one
/// that served the like of it last. What is least is best.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Seating {
    is_full: bool,
    is_avoided: bool,
    load: u64,
    is_strange: bool,
    pub(crate) session: SessionId,
}

impl Seating {
    /// Whether all slots of the session are taken.
    pub(crate) const fn is_ahead(&self) -> bool {
        self.is_full
    }
}

impl Free<'_> {
    /// The number of the class.
    pub(crate) const fn no(&self) -> ClassNo {
        self.class.no
    }

    /// The needs that its sessions serve, ascending.
    pub(crate) fn needs(&self) -> &[NeedNo] {
        self.class.needs.as_deref().unwrap_or_default()
    }

    /// Whether the next grant goes by age, as one in so many does.
    pub(crate) const fn is_for_the_old(&self, valve: u64) -> bool {
        valve <= self.class.granted + 1
    }

    /// The session that suits best.
    pub(crate) fn best(
        &self,
        avoided: Option<SessionId>,
        last: Option<SessionId>,
    ) -> Option<Seating> {
        let rank = |(load, id): &(u64, SessionId)| Seating {
            is_full: FULL <= *load,
            is_avoided: avoided == Some(*id),
            load: *load,
            is_strange: last != Some(*id),
            session: *id,
        };
        // Only one session is avoided, so that the second one is as far as there is to look.
        let best = self.class.free.iter().take(2).map(rank).min()?;
        let last = last.map(|id| (best.load, id)).filter(|last| self.class.free.contains(last));
        Some(last.map_or(best, |last| rank(&last).min(best)))
    }

    /// The sessions with a free slot, the emptiest first.
    pub(crate) fn idle(&self) -> impl Iterator<Item = SessionId> {
        self.class.free.iter().take_while(|(load, _)| *load < FULL).map(|(_, id)| *id)
    }
}

impl Roster {
    /// Takes a session in.
    pub(crate) fn open(&mut self, session: Session) -> SessionId {
        self.opened += 1;
        let id = SessionId(self.opened);
        let instances = self.workers.entry(Name::clone(&session.worker)).or_default();
        instances.insert(Name::clone(&session.instance), id);
        let (class, no, settled, seat) = (None, None, None, Seat::default());
        self.members.insert(id, Member { session, class, no, settled, seat });
        self.classify(id);
        id
    }

    /// Puts a session into the class of its kind. One that stays in its class leaves no trace there.
    pub(crate) fn classify(&mut self, id: SessionId) {
        let Some(member) = self.members.get(&id) else { return };
        let kind = self.kind_of(&member.session);
        if member.class.as_deref() != Some(&kind) {
            self.leave_class(id);
            let kind = Kind::new(kind);
            let class = self.classes.entry(Kind::clone(&kind)).or_insert_with(|| {
                self.founded += 1;
                Class { no: ClassNo(self.founded), ..Class::default() }
            });
            class.members += 1;
            let no = class.no;
            self.has_strangers |= class.needs.is_none();
            self.moved.insert(id);
            if let Some(member) = self.members.get_mut(&id) {
                (member.class, member.no) = (Some(kind), Some(no));
            }
        }
        self.seat(id);
    }

    fn kind_of(&self, session: &Session) -> Traits {
        let types = session.task_types.difference(&session.unsupported).cloned();
        Traits::new(types, &session.labels, &self.label_names, &session.reads)
    }

    /// Tells each class of the needs that are new, or that it is new to, and says what is news and which sessions changed their
    /// class for that. Classes without sessions go, and the first new one inherits what they counted.
    pub(crate) fn meet(&mut self, newcomers: &[NeedNo], needs: &Needs) -> (News, Vec<SessionId>) {
        let known = newcomers.iter().filter_map(|no| Some((*no, needs.get(*no)?)));
        let asked = known.clone().flat_map(|(_, need)| &need.shape.selector);
        let reclassed = self.tell_apart(asked.map(|(name, _)| name).cloned().collect(), needs);
        let mut news = News { founded: self.found(), ..News::default() };
        if newcomers.is_empty() && !self.has_strangers {
            return (news, reclassed);
        }
        self.classes.retain(|_, class| {
            let is_gone = class.members == 0;
            self.bequeathed += if is_gone { class.granted } else { 0 };
            if is_gone {
                self.slots.remove(&class.no);
            }
            if let Some(served) = class.needs.take_if(|_| is_gone) {
                news.dissolved.push((class.no, served));
            }
            !is_gone
        });
        for (kind, class) in &mut self.classes {
            let fresh: Vec<NeedNo> = if class.needs.is_some() {
                known.clone().filter(|(_, need)| kind.serves(need)).map(|(no, _)| no).collect()
            } else {
                class.granted = std::mem::take(&mut self.bequeathed);
                needs.iter().filter(|(_, need)| kind.serves(need)).map(|(no, _)| no).collect()
            };
            let served = class.needs.get_or_insert_default();
            if !fresh.is_empty() {
                news.told.extend(fresh.iter().map(|no| (class.no, *no)));
                served.extend(fresh);
                served.sort_unstable();
            }
        }
        self.has_strangers = false;
        (news, reclassed)
    }

    /// The classes that are new, by their kind, each with the class that the first of its sessions to have been of any was of.
    fn found(&mut self) -> Vec<(ClassNo, Option<ClassNo>)> {
        let mut heirs = BTreeMap::new();
        for id in std::mem::take(&mut self.moved) {
            let no = self.class_no(id);
            let Some(member) = self.members.get_mut(&id) else { continue };
            if let (Some(no), Some(settled)) = (no, member.settled) {
                heirs.entry(no).or_insert(settled);
            }
            member.settled = no;
        }
        let fresh = self.classes.values().filter(|it| 0 < it.members && it.needs.is_none());
        fresh.map(|class| (class.no, heirs.get(&class.no).copied())).collect()
    }

    /// Sessions are told apart by these labels, too.
    fn tell_apart(&mut self, names: BTreeSet<Name>, needs: &Needs) -> Vec<SessionId> {
        if names.is_subset(&self.label_names) {
            return Vec::new();
        }
        self.label_names.extend(names);
        if LABEL_NAMES_MAX < self.label_names.len() {
            let asked = needs.iter().flat_map(|(_, need)| &need.shape.selector);
            self.label_names = asked.map(|(name, _)| name).cloned().collect();
        }
        let before: BTreeMap<SessionId, Option<Kind>> =
            self.members.iter().map(|(id, member)| (*id, member.class.clone())).collect();
        for id in before.keys() {
            self.classify(*id);
        }
        let moved = before.into_iter().filter(|(id, class)| self.class(*id) != class.as_ref());
        moved.map(|(id, _)| id).collect()
    }

    /// Needs are forgotten.
    pub(crate) fn part(&mut self, gone: &BTreeSet<NeedNo>) {
        for class in self.classes.values_mut() {
            if let Some(needs) = &mut class.needs {
                needs.retain(|need| !gone.contains(need));
            }
        }
    }

    /// Whether each class has sessions, and has been told of the needs there were when it was last asked.
    pub(crate) fn is_settled(&self) -> bool {
        !self.has_strangers && self.moved.is_empty()
    }

    /// A lease was granted to a session, by age if it was the turn of that.
    pub(crate) fn count_grant(&mut self, id: SessionId, valve: u64) {
        let kind = self.members.get(&id).and_then(|member| member.class.as_ref());
        if let Some(class) = kind.and_then(|kind| self.classes.get_mut(kind)) {
            class.granted = (class.granted + 1).checked_rem(valve).unwrap_or(0);
        }
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

    /// What a session can be offered.
    pub(crate) fn class(&self, id: SessionId) -> Option<&Kind> {
        self.members.get(&id)?.class.as_ref()
    }

    /// The number of that.
    pub(crate) fn class_no(&self, id: SessionId) -> Option<ClassNo> {
        self.members.get(&id)?.no
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
        free.map(|(kind, class)| Free { kind, class })
    }

    /// The class of this kind, if it has somebody free.
    pub(crate) fn free_of(&self, kind: &Kind) -> Option<Free<'_>> {
        let (kind, class) = self.classes.get_key_value(kind)?;
        (!class.free.is_empty()).then_some(Free { kind, class })
    }

    /// The number of the class of a kind, and the needs that it serves.
    pub(crate) fn served_by(&self, kind: &Kind) -> Option<(ClassNo, &[NeedNo])> {
        let class = self.classes.get(kind)?;
        Some((class.no, class.needs.as_deref().unwrap_or_default()))
    }

    /// The schemas that are read where the task would go if its own were: of those who are connected and take its type and
    /// all else it asks for. Empty: there is nobody like that.
    pub(crate) fn read_instead(&self, spec: &TaskSpec) -> BTreeSet<SchemaPrint> {
        let connected = self.members.values().filter(|member| member.seat.eligible);
        let sessions = connected.map(|member| &member.session);
        let others = sessions.filter(|it| it.serves_but_for_schema(spec));
        others.flat_map(|it| it.reads.of(&spec.task_type)).collect()
    }

    fn seat(&mut self, id: SessionId) {
        let Some(member) = self.members.get_mut(&id) else { return };
        let seat = Seat::of(&member.session);
        let before = std::mem::replace(&mut member.seat, seat);
        let class = member.class.as_ref().and_then(|class| self.classes.get_mut(class));
        if let Some(class) = class {
            class.reseat(id, before, seat);
            self.slots.insert(class.no, class.slots);
        }
    }

    fn leave_class(&mut self, id: SessionId) {
        let Some(member) = self.members.get_mut(&id) else { return };
        let before = std::mem::take(&mut member.seat);
        member.no = None;
        let Some(kind) = member.class.take() else { return };
        let Some(class) = self.classes.get_mut(&kind) else { return };
        class.reseat(id, before, Seat::default());
        self.slots.insert(class.no, class.slots);
        class.members -= 1;
        self.has_strangers |= class.members == 0;
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
        let mut classes: BTreeMap<Kind, Class> = BTreeMap::new();
        for (id, Member { session, class, no: known, seat, .. }) in &self.members {
            let fresh = Seat::of(session);
            let Some(kind) = class else { return false };
            let Some(Class { no, needs, granted, .. }) = self.classes.get(kind) else {
                return false;
            };
            if *known != Some(*no) {
                return false;
            }
            let class = classes.entry(Kind::clone(kind)).or_default();
            class.members += 1;
            (class.no, class.needs, class.granted) = (*no, needs.clone(), *granted);
            class.reseat(*id, Seat::default(), fresh);
            let found = self.of_instance(&session.worker, &session.instance) == Some(*id)
                && session.stream.is_none_or(|stream| self.on_stream(stream) == Some(*id));
            let is_kind = **kind == self.kind_of(session);
            if *seat != fresh || !found || !is_kind || !session.agrees() {
                return false;
            }
        }
        let connected = self.members.values().filter(|m| m.session.stream.is_some()).count();
        let kept = self.classes.iter().filter(|(_, class)| 0 < class.members);
        let slots: BTreeMap<ClassNo, Slots> =
            self.classes.values().map(|class| (class.no, class.slots)).collect();
        classes.iter().eq(kept)
            && self.slots == slots
            && self.streams.len() == connected
            && self.workers.values().map(BTreeMap::len).sum::<usize>() == self.members.len()
    }
}

impl Slots {
    const fn with(self, more: Self) -> Self {
        let (all, free) = (self.all + more.all, self.free + more.free);
        Self { all, free, ahead: self.ahead + more.ahead }
    }

    const fn without(self, less: Self) -> Self {
        let (all, free) = (self.all - less.all, self.free - less.free);
        Self { all, free, ahead: self.ahead - less.ahead }
    }
}

impl Seat {
    fn of(session: &Session) -> Self {
        let (eligible, load) = (session.is_eligible(), session.load());
        let (all, used) = (session.slots, session.used());
        let all = if eligible { all.saturating_sub(session.lost) } else { 0 };
        let free = if session.takes_tasks() { session.slots.saturating_sub(used) } else { 0 };
        let ahead = if eligible { used.saturating_sub(session.slots) } else { 0 };
        let slots = Slots { all: all.into(), free: free.min(all).into(), ahead: ahead.into() };
        Self { eligible, load, slots }
    }
}

impl Class {
    fn reseat(&mut self, id: SessionId, before: Seat, after: Seat) {
        self.eligible -= usize::from(before.eligible);
        self.eligible += usize::from(after.eligible);
        self.slots = self.slots.without(before.slots).with(after.slots);
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
