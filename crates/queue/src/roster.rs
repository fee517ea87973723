//! Who could work: sessions by worker, by stream, and by what they can be offered.
//!
//! Sessions of one kind form a class; a class knows the needs that it serves, and keeps its free sessions in the order in
//! which they are offered tasks. It knows no task.

use std::{
    cmp::Ordering,
    collections::{BTreeMap, BTreeSet, btree_map::Entry},
    ops::Bound::{Excluded, Unbounded},
};

use leasehold_policy::Mutant;

use crate::{
    Hello, Name, SchemaPrint, SessionId, Shape, Size, StreamId, TaskId, TaskSpec,
    ask::{AskNo, Asks, Offer},
    by_id::ById,
    fingerprint::Print,
    kind::{Kind, Traits},
    lanes::{News, Next, Pick},
    market::ClassNo,
    need::{Need, NeedNo, Needs},
    order::Order,
    session::{FULL, Session},
    size::Measure,
};

pub(crate) use serving::Serving;

mod serving;

/// Up to so many label names of selectors tell sessions apart before those that no task asks for any more are left out. Each
/// splits classes, and a grant looks at each class.
const LABEL_NAMES_MAX: usize = 64;

/// The same for names of resources.
const RESOURCE_NAMES_MAX: usize = 64;

/// How many sessions of a class are looked at for the one that is reserved, and of how many of those it is reckoned when they
/// have room.
const CANDIDATES_MAX: usize = 256;
const RECKONED_MAX: usize = 8;

/// Every session.
#[derive(Clone, Debug, Default)]
pub(crate) struct Roster {
    members: ById<SessionId, Member>,
    workers: BTreeMap<Name, BTreeMap<Name, SessionId>>,
    streams: ById<StreamId, SessionId>,
    classes: BTreeMap<ClassNo, Class>,
    /// What each class is called. Who looks at all of them does so in this order, whichever was there first.
    numbers: BTreeMap<Kind, ClassNo>,
    /// Whether a class has not been told of the needs that there are, or has no sessions any more.
    has_strangers: bool,
    /// Sessions that have changed their class since the classes were last told of needs.
    moved: BTreeSet<SessionId>,
    /// What classes that are gone had counted towards their next grant by age, until there is an heir: if that went with
    /// them, workers that never stay long would never be granted a task for its age.
    bequeathed: u64,
    /// The labels that selectors ask for.
    label_names: BTreeSet<Name>,
    /// What leases ask for of their worker.
    measure: Measure,
    founded: u32,
    opened: u64,
    greeted: u64,
}

/// A session and where it stands in its class.
#[derive(Clone, Debug)]
struct Member {
    session: Session,
    class: Option<ClassNo>,
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
    /// Of the session, what it has and what is taken.
    changes: u64,
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
#[derive(Clone, Debug, PartialEq)]
struct Class {
    no: ClassNo,
    kind: Kind,
    members: BTreeSet<SessionId>,
    eligible: usize,
    slots: Slots,
    /// The sizes that it tells apart, and who has room for a lease of each. One slot is always among them.
    asks: BTreeMap<AskNo, Ask>,
    /// Those of them that somebody has room for.
    free: Asks,
    /// The needs that it serves, ascending, and their sizes. None: it has not been told of any.
    needs: Option<Vec<(NeedNo, AskNo)>>,
    /// How many leases its sessions were granted since the last one by age, and those whose heir it is.
    granted: u64,
    /// How many of its leases have gone before a task whose turn it was and which found no room, since a session was reserved.
    passed: u64,
    reservation: Option<Reservation>,
}

/// A size that a class tells apart.
#[derive(Clone, Debug, PartialEq)]
struct Ask {
    /// None: any that is not among the others.
    size: Option<Size>,
    /// The sessions that have room for a lease of it, the emptiest first: of one slot also ahead.
    sessions: Order<(u64, SessionId)>,
}

/// A session that takes nothing that stands in the way of one task, or one that is alike to it, until it has room for that.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Reservation {
    pub(crate) session: SessionId,
    pub(crate) task: TaskId,
    ask: AskNo,
    size: Size,
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
    /// What somebody has room for now.
    pub(crate) fn offer(&self) -> Offer<'_> {
        self.class.offer(self.class.free)
    }

    /// Whether it serves needs that nobody has room for now.
    pub(crate) fn is_partial(&self) -> bool {
        self.class.free.len() < self.class.asks.len()
    }

    /// For whom a session is reserved that has room for it by now.
    pub(crate) fn reserved(&self) -> Option<(TaskId, Offer<'_>)> {
        let Reservation { task, ask, .. } = self.class.reservation.as_ref()?;
        let has_room = self.class.free.contains(*ask);
        has_room.then(|| (*task, self.class.offer(Asks::default().with(*ask))))
    }

    /// Whether the next grant goes by age, as one in so many does.
    pub(crate) const fn is_for_the_old(&self, valve: u64) -> bool {
        valve <= self.class.granted + 1
    }

    /// The session that suits a lease of this size best.
    pub(crate) fn best(
        &self,
        ask: AskNo,
        avoided: Option<SessionId>,
        last: Option<SessionId>,
    ) -> Option<Seating> {
        let free = &self.class.asks.get(&ask)?.sessions;
        let rank = |(load, id): &(u64, SessionId)| Seating {
            is_full: FULL <= *load,
            is_avoided: avoided == Some(*id),
            load: *load,
            is_strange: last != Some(*id),
            session: *id,
        };
        // Only one session is avoided, so that the second one is as far as there is to look.
        let best = free.iter().take(2).map(rank).min()?;
        let last = last.map(|id| (best.load, id)).filter(|last| free.contains(last));
        Some(last.map_or(best, |last| rank(&last).min(best)))
    }

    /// The sessions with a free slot, the emptiest first.
    pub(crate) fn idle(&self) -> impl Iterator<Item = SessionId> {
        let free =
            self.class.asks.get(&AskNo::PLAIN).into_iter().flat_map(|ask| ask.sessions.iter());
        free.take_while(|(load, _)| *load < FULL).map(|(_, id)| *id)
    }
}

impl Roster {
    /// Takes a session in.
    pub(crate) fn open(&mut self, session: Session) -> SessionId {
        self.opened += 1;
        let id = SessionId(self.opened);
        let instances = self.workers.entry(Name::clone(&session.worker)).or_default();
        instances.insert(Name::clone(&session.instance), id);
        let (class, settled, seat) = (None, None, Seat::default());
        self.members.insert(id, Member { session, class, settled, seat });
        self.classify(id);
        id
    }

    /// Puts a session into the class of its kind. One that stays in its class leaves no trace there.
    pub(crate) fn classify(&mut self, id: SessionId) {
        let Some(member) = self.members.get(&id) else { return };
        let kind = self.kind_of(&member.session);
        if self.class(id).is_none_or(|own| **own != kind) {
            self.leave_class(id);
            let kind = Kind::new(kind);
            let no = *self.numbers.entry(Kind::clone(&kind)).or_insert_with(|| {
                self.founded += 1;
                ClassNo(self.founded)
            });
            let class = self.classes.entry(no).or_insert_with(|| Class::new(no, kind));
            class.members.insert(id);
            self.has_strangers |= class.needs.is_none();
            self.moved.insert(id);
            if let Some(member) = self.members.get_mut(&id) {
                member.class = Some(no);
            }
        }
        if let Some(member) = self.members.get_mut(&id) {
            seat(id, member, &mut self.classes);
        }
    }

    fn kind_of(&self, session: &Session) -> Traits {
        Traits::new(session, &self.label_names, &self.measure)
    }

    /// Tells each class of the needs that are new, or that it is new to, and says what is news and which sessions changed their
    /// class for that. Classes without sessions go, and the first new one inherits what they counted.
    pub(crate) fn meet(&mut self, newcomers: &[NeedNo], needs: &Needs) -> (News, Vec<SessionId>) {
        let known = newcomers.iter().filter_map(|no| Some((*no, needs.get(*no)?)));
        let reclassed = self.tell_apart(known.clone().map(|(_, need)| &need.shape), needs);
        let mut news = News { founded: self.found(), ..News::default() };
        if newcomers.is_empty() && !self.has_strangers {
            return (news, reclassed);
        }
        self.numbers.retain(|_, no| {
            let Entry::Occupied(class) = self.classes.entry(*no) else { return false };
            if !class.get().members.is_empty() {
                return true;
            }
            let class = class.remove();
            self.bequeathed += class.granted;
            news.dissolved.extend(class.needs.map(|served| (class.no, served)));
            false
        });
        let mut unseated = BTreeSet::new();
        for (kind, no) in &self.numbers {
            let Some(class) = self.classes.get_mut(no) else { continue };
            let fresh: Vec<(NeedNo, &Need)> = if class.needs.is_some() {
                known.clone().filter(|(_, need)| kind.serves(need)).collect()
            } else {
                class.granted = std::mem::take(&mut self.bequeathed);
                needs.iter().filter(|(_, need)| kind.serves(need)).collect()
            };
            let before = class.asks.len();
            let fresh = fresh.into_iter().map(|(no, need)| (no, class.number(&need.shape.size)));
            let fresh: Vec<(NeedNo, AskNo)> = fresh.collect();
            if before < class.asks.len() {
                unseated.extend(&class.members);
            }
            let served = class.needs.get_or_insert_default();
            if !fresh.is_empty() {
                news.told.extend(fresh.iter().map(|(need, ask)| (class.no, *need, *ask)));
                served.extend(fresh);
                served.sort_unstable();
            }
        }
        for id in unseated {
            self.seat_anew(id);
        }
        self.has_strangers = false;
        (news, reclassed)
    }

    /// The classes that are new, by their kind, each with the class that the first of its sessions to have been of any was of.
    fn found(&mut self) -> Vec<(ClassNo, Option<ClassNo>)> {
        let mut heirs = BTreeMap::new();
        for id in std::mem::take(&mut self.moved) {
            let Some(member) = self.members.get_mut(&id) else { continue };
            if let (Some(no), Some(settled)) = (member.class, member.settled) {
                heirs.entry(no).or_insert(settled);
            }
            member.settled = member.class;
        }
        let fresh = self.in_order().filter(|it| !it.members.is_empty() && it.needs.is_none());
        fresh.map(|class| (class.no, heirs.get(&class.no).copied())).collect()
    }

    /// Sessions are told apart by what these ask for, too.
    fn tell_apart<'a>(
        &mut self,
        asked: impl Iterator<Item = &'a Shape>,
        needs: &Needs,
    ) -> Vec<SessionId> {
        let news: Vec<&Shape> = asked.filter(|shape| !self.knows(shape)).collect();
        if news.is_empty() {
            return Vec::new();
        }
        for shape in news {
            self.learn(shape);
        }
        if LABEL_NAMES_MAX < self.label_names.len() || RESOURCE_NAMES_MAX < self.measure.len() {
            (self.label_names, self.measure) = (BTreeSet::new(), Measure::default());
            needs.iter().for_each(|(_, need)| self.learn(&need.shape));
        }
        let before: BTreeMap<SessionId, Option<ClassNo>> =
            self.members.iter().map(|(id, member)| (id, member.class)).collect();
        for id in before.keys() {
            self.classify(*id);
        }
        let moved = before.into_iter().filter(|(id, class)| self.class_no(*id) != *class);
        moved.map(|(id, _)| id).collect()
    }

    /// Whether sessions are told apart by all that this asks for.
    fn knows(&self, shape: &Shape) -> bool {
        shape.selector.iter().all(|(name, _)| self.label_names.contains(name))
            && self.measure.knows(&shape.size)
    }

    fn learn(&mut self, shape: &Shape) {
        self.label_names.extend(shape.selector.iter().map(|(name, _)| Name::clone(name)));
        self.measure.learn(&shape.size);
    }

    /// Needs are forgotten, and the sizes that nobody asks for any more.
    pub(crate) fn part(&mut self, gone: &BTreeSet<NeedNo>) {
        for class in self.classes.values_mut() {
            let Some(needs) = &mut class.needs else { continue };
            needs.retain(|(need, _)| !gone.contains(need));
            let asked: BTreeSet<AskNo> = needs.iter().map(|(_, ask)| *ask).collect();
            let reserved = class.reservation.as_ref().map(|it| it.ask);
            class.asks.retain(|ask, _| {
                *ask == AskNo::PLAIN || asked.contains(ask) || reserved == Some(*ask)
            });
            class.free = class.free.iter().filter(|ask| class.asks.contains_key(ask)).collect();
        }
    }

    /// Whether each class has sessions, and has been told of the needs there were when it was last asked.
    pub(crate) fn is_settled(&self) -> bool {
        !self.has_strangers && self.moved.is_empty()
    }

    /// A lease was granted to a session of a class, by age if it was the turn of that.
    pub(crate) fn count_grant(&mut self, no: ClassNo, valve: u64) {
        if let Some(class) = self.classes.get_mut(&no) {
            class.granted = (class.granted + 1).checked_rem(valve).unwrap_or(0);
        }
    }

    /// A lease was granted by the class of a session that stands in the way of another task, whose turn it was and which found no
    /// room. Says whether a session is to be reserved for that: so many went before, or it had waited for its age to count.
    pub(crate) fn pass_over(&mut self, id: SessionId, passed: &Next, valve: u64) -> bool {
        let is_known = self.reservations().any(|it| it.task.serial() == passed.place.task);
        let Some(class) = self.class_of(id) else { return false };
        class.passed += 1;
        let is_due = valve <= class.passed || passed.pick() == Pick::Aged;
        is_due && class.reservation.is_none() && !is_known
    }

    /// Reserves a session of the same class as this one for a task: of those that take tasks and have least to wait for, the one
    /// that has it soonest.
    pub(crate) fn reserve<R: Ord>(
        &mut self,
        id: SessionId,
        (task, next, size): (TaskId, &Next, &Size),
        room_by: impl Fn(&Session) -> R,
    ) -> Option<SessionId> {
        let class = self.classes.get_mut(&self.class_no(id)?)?;
        let members =
            class.members.iter().filter_map(|id| Some((*id, &self.members.get(id)?.session)));
        let candidates = members.filter(|(_, it)| it.takes_tasks()).take(CANDIDATES_MAX);
        let mut candidates: Vec<_> = candidates
            .map(|(id, session)| ((session.lack(size), session.taken().slots, id), session))
            .collect();
        candidates.sort_unstable_by_key(|(lack, _)| *lack);
        let reckoned = candidates.into_iter().take(RECKONED_MAX);
        let (_, (.., session)) = reckoned.map(|(lack, session)| (room_by(session), lack)).min()?;
        if next.pick() == Pick::First {
            class.passed = 0;
        }
        let ask = next.ask;
        class.reservation = Some(Reservation { session, task, ask, size: size.clone() });
        self.seat_anew(session);
        Some(session)
    }

    /// Every session that is reserved.
    pub(crate) fn reservations(&self) -> impl Iterator<Item = &Reservation> {
        self.classes.values().filter_map(|class| class.reservation.as_ref())
    }

    /// No session of the class of this one is reserved any more.
    pub(crate) fn unreserve(&mut self, id: SessionId) {
        if let Some(reservation) = self.class_of(id).and_then(|class| class.reservation.take()) {
            self.seat_anew(reservation.session);
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
        seat(id, member, &mut self.classes);
        Some(changed)
    }

    /// Changes something of a session that does not decide its place among the others.
    pub(crate) fn attend<R>(
        &mut self,
        id: SessionId,
        change: impl FnOnce(&mut Session) -> R,
    ) -> Option<R> {
        let member = self.members.get_mut(&id)?;
        let changed = change(&mut member.session);
        debug_assert!(member.seat == Seat::of(&member.session), "{id:?} stands elsewhere now");
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
        Some(&self.classes.get(&self.class_no(id)?)?.kind)
    }

    /// The number of that.
    pub(crate) fn class_no(&self, id: SessionId) -> Option<ClassNo> {
        self.members.get(&id)?.class
    }

    fn class_of(&mut self, id: SessionId) -> Option<&mut Class> {
        self.classes.get_mut(&self.class_no(id)?)
    }

    /// Every class.
    fn in_order(&self) -> impl Iterator<Item = &Class> {
        self.numbers.values().filter_map(|no| self.classes.get(no))
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
        self.members.ids()
    }

    /// The classes that have somebody free.
    pub(crate) fn free(&self) -> impl Iterator<Item = Free<'_>> {
        self.in_order().filter_map(Class::free)
    }

    /// The class of this kind, if it has somebody free.
    pub(crate) fn free_of(&self, kind: &Kind) -> Option<Free<'_>> {
        self.classes.get(self.numbers.get(kind)?)?.free()
    }

    /// All that the class of a kind serves, whether somebody has room for it or not.
    pub(crate) fn offer_of(&self, kind: &Kind) -> Option<Offer<'_>> {
        Some(self.classes.get(self.numbers.get(kind)?)?.offer(Asks::ALL))
    }

    /// The schemas that are read where the task would go if its own were: of those who are connected and take its type and
    /// all else it asks for. Empty: there is nobody like that.
    pub(crate) fn read_instead(&self, spec: &TaskSpec) -> BTreeSet<SchemaPrint> {
        let members = self.members.unordered().map(|(_, member)| member);
        let connected = members.filter(|member| member.seat.eligible);
        let sessions = connected.map(|member| &member.session);
        let others = sessions.filter(|it| it.serves_but_for_schema(spec));
        others.flat_map(|it| it.reads.of(&spec.task_type)).collect()
    }

    /// A session is offered tasks of other sizes than before: it is reserved, or is not any more, or its class knows more of them.
    fn seat_anew(&mut self, id: SessionId) {
        let Some(member) = self.members.get(&id) else { return };
        if let Some(class) = member.class.and_then(|no| self.classes.get_mut(&no)) {
            class.offer_to(id, (member.seat.load, member.seat.load), Some(&member.session));
        }
    }

    fn leave_class(&mut self, id: SessionId) {
        let Some(member) = self.members.get_mut(&id) else { return };
        let before = std::mem::take(&mut member.seat);
        let Some(class) = member.class.take().and_then(|no| self.classes.get_mut(&no)) else {
            return;
        };
        class.reseat(id, before, Seat::default(), None);
        class.reservation.take_if(|it| it.session == id);
        class.members.remove(&id);
        self.has_strangers |= class.members.is_empty();
    }

    /// Everything that is not derived from something else in it.
    pub(crate) fn fingerprint(&self, print: &mut Print<'_>) {
        print.put((self.opened, self.greeted, self.members.len()));
        for (id, member) in self.members.iter() {
            print.put(id);
            member.session.fingerprint(print);
        }
    }

    /// Whether classes, streams and workers are those of the sessions, no more and no fewer.
    #[cfg(debug_assertions)]
    pub(crate) fn agrees(&self) -> bool {
        let mut classes: BTreeMap<ClassNo, Class> = BTreeMap::new();
        for (id, Member { session, class, seat, .. }) in self.members.unordered() {
            let fresh = Seat::of(session);
            let Some(own) = class.and_then(|no| self.classes.get(&no)) else { return false };
            let class = classes.entry(own.no).or_insert_with(|| own.vacant());
            class.members.insert(*id);
            class.reseat(*id, Seat::default(), fresh, Some(session));
            let found = self.of_instance(&session.worker, &session.instance) == Some(*id)
                && session.stream.is_none_or(|stream| self.on_stream(stream) == Some(*id));
            let is_kind = *own.kind == self.kind_of(session);
            if *seat != fresh || !found || !is_kind || !session.agrees() {
                return false;
            }
        }
        let all = self.members.unordered();
        let connected = all.filter(|(_, member)| member.session.stream.is_some()).count();
        let kept = self.classes.iter().filter(|(_, class)| !class.members.is_empty());
        let is_called = |class: &Class| self.numbers.get(&class.kind) == Some(&class.no);
        classes.iter().eq(kept)
            && self.classes.values().all(is_called)
            && self.numbers.len() == self.classes.len()
            && self.streams.len() == connected
            && self.workers.values().map(BTreeMap::len).sum::<usize>() == self.members.len()
    }
}

/// Gives a session its place among the others of its class, if it stands elsewhere than before.
fn seat(id: SessionId, member: &mut Member, classes: &mut BTreeMap<ClassNo, Class>) {
    let seat = Seat::of(&member.session);
    let before = std::mem::replace(&mut member.seat, seat);
    if before == seat {
        return;
    }
    if let Some(class) = member.class.and_then(|no| classes.get_mut(&no)) {
        class.reseat(id, before, seat, Some(&member.session));
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
        let slots = session.whole.slots.saturating_sub(session.lost);
        let all = if eligible { slots } else { 0 };
        let free = if session.takes_tasks() { session.free() } else { 0 };
        let ahead = if eligible { session.ahead() } else { 0 };
        let slots = Slots { all: all.into(), free: free.min(all).into(), ahead: ahead.into() };
        Self { eligible, load, slots, changes: session.changes() }
    }
}

impl Class {
    fn new(no: ClassNo, kind: Kind) -> Self {
        let plain = Ask { size: Some(Size::default()), sessions: Order::default() };
        Self {
            no,
            kind,
            members: BTreeSet::new(),
            eligible: 0,
            slots: Slots::default(),
            asks: BTreeMap::from([(AskNo::PLAIN, plain)]),
            free: Asks::default(),
            needs: None,
            granted: 0,
            passed: 0,
            reservation: None,
        }
    }

    /// What it calls a size, from here on if it is new.
    fn number(&mut self, size: &Size) -> AskNo {
        let known = self.asks.iter().find(|(_, ask)| ask.size.as_ref() == Some(size));
        if let Some((no, _)) = known {
            return *no;
        }
        let free = AskNo::all().find(|no| !self.asks.contains_key(no));
        let size = free.map(|_| size.clone());
        let no = free.unwrap_or(AskNo::OTHER);
        self.asks.entry(no).or_insert_with(|| Ask { size, sessions: Order::default() });
        no
    }

    fn offer(&self, asks: Asks) -> Offer<'_> {
        let needs = self.needs.as_deref().unwrap_or_default();
        Offer { class: self.no, needs, asks }
    }

    /// It, if somebody has room for anything.
    fn free(&self) -> Option<Free<'_>> {
        (self.free != Asks::default()).then_some(Free { kind: &self.kind, class: self })
    }

    /// Whether a session has room for a lease of this size.
    fn has_room(&self, size: &Size, members: &ById<SessionId, Member>) -> bool {
        let known = self.asks.values().find(|ask| ask.size.as_ref() == Some(size));
        if let Some(ask) = known.or_else(|| self.asks.get(&AskNo::OTHER)) {
            return !ask.sessions.is_empty();
        }
        self.members.iter().filter_map(|id| members.get(id)).any(|it| it.has_room(size))
    }

    /// A session stands elsewhere than before, or is gone.
    fn reseat(&mut self, id: SessionId, before: Seat, after: Seat, session: Option<&Session>) {
        self.eligible -= usize::from(before.eligible);
        self.eligible += usize::from(after.eligible);
        self.slots = self.slots.without(before.slots).with(after.slots);
        let has_other_room = before.changes != after.changes && 1 < self.asks.len();
        if before.load != after.load || has_other_room || session.is_none() {
            self.offer_to(id, (before.load, after.load), session);
        }
    }

    /// A session is offered tasks of the sizes that it has room for.
    fn offer_to(
        &mut self,
        id: SessionId,
        (before, after): (Option<u64>, Option<u64>),
        session: Option<&Session>,
    ) {
        let reservation = self.reservation.as_ref().filter(|it| it.session == id);
        for (no, ask) in &mut self.asks {
            let fits = session.is_some_and(|session| match reservation {
                None => ask.fits(*no, session),
                Some(reservation) => reservation.lets(*no, ask, session),
            });
            let now = after.filter(|_| fits);
            match (before.filter(|_| before != now), now) {
                (Some(before), Some(now)) => ask.sessions.replace(&(before, id), (now, id)),
                (Some(before), None) => ask.sessions.remove(&(before, id)),
                (None, Some(now)) => ask.sessions.insert((now, id)),
                (None, None) => {}
            }
            let is_empty = ask.sessions.is_empty();
            self.free = if is_empty { self.free.without(*no) } else { self.free.with(*no) };
        }
    }

    /// The same without anybody in it.
    #[cfg(debug_assertions)]
    fn vacant(&self) -> Self {
        let Self { no, kind, needs, granted, passed, reservation, .. } = self.clone();
        let size = |(no, ask): (&AskNo, &Ask)| {
            (*no, Ask { size: ask.size.clone(), sessions: Order::default() })
        };
        let asks = self.asks.iter().map(size).collect();
        Self { asks, needs, granted, passed, reservation, ..Self::new(no, kind) }
    }
}

impl Reservation {
    /// Whether the session, which is reserved, has room for a lease of a size that does not stand in the way.
    fn lets(&self, no: AskNo, ask: &Ask, session: &Session) -> bool {
        let is_beside =
            |size: &Size| session.fits(size) && !session.is_in_the_way(size, &self.size);
        if no == self.ask {
            session.fits(&self.size)
        } else {
            ask.size.as_ref().is_some_and(is_beside)
        }
    }
}

impl Ask {
    /// Whether a session that may be offered tasks has room for a lease of this size.
    fn fits(&self, no: AskNo, session: &Session) -> bool {
        match &self.size {
            // One slot is taken ahead, too.
            _ if no == AskNo::PLAIN => true,
            Some(size) => session.fits(size),
            None => session.is_idle(),
        }
    }
}

impl Member {
    /// Whether it has room for a lease of this size.
    fn has_room(&self, size: &Size) -> bool {
        self.seat.load.is_some() && (size.is_plain() || self.session.fits(size))
    }
}
