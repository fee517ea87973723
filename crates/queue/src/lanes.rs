//! The tasks that could be leased: in lanes, of which some stand in line and the others wait at a gate that is shut.
//!
//! The tasks of a lane have need, priority, queue, fairness key and gates in common, so that whoever is first in it is all
//! that has to be looked at, whatever waits behind him: they are ordered by deadline, then age, and one that comes back
//! takes its old place. It knows no worker.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use leasehold_policy::{Mutant, Time, namespace};

use crate::{
    Name, SessionId, Task, TaskSpec, Template, Token,
    ask::{AskNo, Offer},
    fairness::Occasion,
    flows::{FlowNo, Flows},
    gate::{Comer, Gate, Gates, Gateway},
    limits::Take,
    line::{Head, Line},
    market::{ClassNo, Cost},
    need::{Need, NeedNo, Needs},
    order::Order,
    pace::Paces,
    slab::Slab,
    sorted::Sorted,
    templates::Known,
};

use crowd::Crowd;

mod alarm;
mod crowd;
mod stand;

/// A task's place in the order of its lane, and its urgency.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    pub(crate) priority: u8,
    pub(crate) deadline: Time,
    /// Its [serial](crate::TaskId::serial): half of what its id takes.
    pub(crate) task: i64,
    /// Whether the task has failed before. It orders nothing: no two places have one task.
    pub(crate) is_retry: bool,
}

impl Place {
    pub(crate) fn of(task: &Task) -> Self {
        let is_ignored = Mutant::PriorityIgnored.is_alive();
        let priority = if is_ignored { 0 } else { task.spec.priority };
        let is_retry = 0 < task.attempts;
        Self { priority, deadline: task.deadline, task: task.id.serial(), is_retry }
    }

    /// That of one that is submitted now and has to be over by then: behind all that are like it.
    pub(crate) fn of_new(spec: &TaskSpec, deadline: Time) -> Self {
        Self { priority: spec.priority, deadline, task: i64::MAX, is_retry: false }
    }

    /// The place among tasks that run for another time, so that in both lanes the same tasks have to start before it.
    pub(crate) fn due_as(self, usual: Duration, theirs: Duration) -> Self {
        if usual == theirs {
            return self;
        }
        Self { deadline: self.deadline - usual + theirs, ..self }
    }

    /// Among the tasks of one lane.
    pub(crate) const fn rank(self) -> Rank {
        (self.deadline, self.task)
    }

    /// Whether the task has run out of time.
    pub(crate) fn is_over(self, now: Time) -> bool {
        self.deadline <= now
    }

    /// Whether it goes before the other whoever they belong to. Within a priority that is for fairness to say.
    pub(crate) const fn outranks(self, other: Self) -> bool {
        self.priority < other.priority
    }
}

/// A task's place among those of its lane.
pub(crate) type Rank = (Time, i64);

/// The number of a lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct LaneNo(u32);

/// Which of the lanes of a flow it is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct LaneKey {
    pub(crate) need: NeedNo,
    pub(crate) priority: u8,
    is_retry: bool,
    pub(crate) gateway: Gateway,
}

/// Every task that could be leased.
#[derive(Clone, Debug, Default)]
pub(crate) struct Lanes {
    pub(crate) needs: Needs,
    pub(crate) flows: Flows,
    pub(crate) gates: Gates,
    all: Slab<Lane>,
    /// The lanes that could go on.
    line: Line,
    /// Those that could not, by the gate that was found shut, and those that it has let go. No crowd is empty.
    crowds: BTreeMap<Gate, Crowd>,
    /// Gates that may have to let others go for those that they had let go.
    stirred: BTreeSet<Gate>,
    /// How many seats have been given to lanes.
    seats: u64,
    /// How often a lane has changed where it stands.
    moves: u64,
    /// When it is looked whether a gate at which lanes wait has opened by itself.
    rings: BTreeMap<Gate, Time>,
    ringing: BTreeSet<(Time, Gate)>,
    /// When it is looked whether the first task of a lane has run out of time: one alarm for each lane.
    alarms: Order<(Rank, LaneNo)>,
    /// How many lanes there have been.
    founded: u64,
}

/// A lane that is known to somebody, who does not know whether it is still there.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LaneRef {
    no: LaneNo,
    /// Its number may have been given to another one since.
    founded: u64,
}

/// What there is to tell about classes of sessions.
#[derive(Clone, Debug, Default)]
pub(crate) struct News {
    /// New ones, with that of which they are heirs.
    pub(crate) founded: Vec<(ClassNo, Option<ClassNo>)>,
    /// Those that are gone, with the needs that they served.
    pub(crate) dissolved: Vec<(ClassNo, Vec<(NeedNo, AskNo)>)>,
    /// Who serves a need that he had not been told of, and what he calls its size.
    pub(crate) told: Vec<(ClassNo, NeedNo, AskNo)>,
}

/// Tasks that are alike to everything but time.
#[derive(Clone, Debug)]
pub(crate) struct Lane {
    pub(crate) flow: FlowNo,
    pub(crate) key: LaneKey,
    /// In their order, by when they have to be over. Never empty.
    pub(crate) tasks: Sorted<Rank>,
    /// Since when those wait, by serial, that do not since they could first be leased.
    since: Sorted<i64, Time>,
    founded: u64,
    /// Its alarm: set lazily, so it rings for its first task, or earlier.
    armed: Rank,
    /// The gate that it waits at. None: it stands in line.
    pub(crate) gate: Option<Gate>,
    /// Its place among those who wait at a gate, behind all who have waited longer for their turn.
    seat: u64,
    /// The gates that have let it go for the others that wait there, and count on its turn.
    calls: Vec<Gate>,
}

/// A task that could be leased to a class: the first of a lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Next {
    /// Until when it has to start, as far as it is known how long such tasks run. Within a lane that is the order of
    /// deadlines.
    start_by: Time,
    pub(crate) place: Place,
    lane: LaneNo,
    /// Whether it goes for whose turn it is, or for its age.
    pick: Pick,
    /// The class that it would be leased to, and what that calls its size.
    pub(crate) class: ClassNo,
    pub(crate) ask: AskNo,
}

impl Next {
    /// Whether it starts too late for most of its kind, as far as that is known.
    pub(crate) fn is_late(&self, now: Time) -> bool {
        self.start_by <= now
    }

    /// What it goes for.
    pub(crate) const fn pick(&self) -> Pick {
        self.pick
    }

    /// Which of those goes first that different classes would take: the least. Whose turn it is is for each class to say.
    pub(crate) const fn rank(&self) -> (u8, Time, Place, Pick) {
        (self.place.priority, self.start_by, self.place, self.pick)
    }
}

/// A lane as it is counted.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LaneView<'a> {
    pub(crate) queue: &'a Name,
    pub(crate) task_type: &'a Name,
    /// The task that goes first, and since when it waits if not since it could first be leased.
    pub(crate) first: Place,
    pub(crate) since: Option<Time>,
    /// How many slots a lease of each of them takes.
    pub(crate) slots: u64,
    tasks: &'a Sorted<Rank>,
}

impl LaneView<'_> {
    /// How many tasks wait in it.
    pub(crate) fn len(&self) -> u64 {
        self.tasks.len() as u64
    }

    /// The task that goes behind so many of them, by its serial.
    pub(crate) fn behind(&self, many: u64) -> Option<i64> {
        let nth = usize::try_from(many).ok()?;
        self.tasks.iter().nth(nth).map(|((_, task), ())| *task)
    }
}

/// What of what stands in line is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Pick {
    /// Whose turn it is.
    First,
    /// Who has waited longest below the most urgent priority; if there is nobody, whose turn it is.
    Aged,
    /// For whom a session is reserved.
    Reserved,
}

impl Lanes {
    /// Lets a task with this template wait, since then; and when it could first be leased.
    pub(crate) fn insert(
        &mut self,
        known: &mut Known,
        place: Place,
        (since, first_ready): (Time, Time),
    ) {
        let found = known.lane(place).filter(|lane| self.is_there(*lane));
        let found = found.or_else(|| self.reference(self.find(&known.template, place)?));
        let Some(found) = found else {
            let template = &known.template;
            let flow = self.flows.open(&template.queue, &template.fairness_key);
            let namespace = namespace::of(&template.queue);
            let need = self.needs.number(namespace, &template.task_type, &template.shape);
            let key = LaneKey::new(need, place, template);
            *known.lane_mut(place) = Some(self.open_lane(flow, key, place, (since, first_ready)));
            return self.flows.wait(flow, since);
        };
        *known.lane_mut(place) = Some(found);
        let no = found.no;
        let Some(lane) = self.all.get_mut(no.0) else { return };
        self.flows.wait(lane.flow, since);
        let before = lane.first();
        lane.enter(place, (since, first_ready));
        if before.is_none_or(|before| place < before) {
            self.rehead(no, before);
            self.arm(no);
        }
    }

    /// Takes a task with this template out, which could first be leased then.
    pub(crate) fn remove(&mut self, known: &Known, place: Place, first_ready: Time) {
        let lane = known.lane(place).filter(|lane| self.is_there(*lane));
        let no = lane.map(|lane| lane.no).or_else(|| self.find(&known.template, place));
        let Some(no) = no else { return };
        let Some(lane) = self.all.get_mut(no.0) else { return };
        let before = lane.first();
        let Some(()) = lane.tasks.remove(&place.rank()) else { return };
        let is_usual = lane.since.len() == 0;
        let since = if is_usual { None } else { lane.since.remove(&place.task) };
        let since = since.unwrap_or(first_ready);
        self.flows.go_on(lane.flow, since);
        if before == Some(place) {
            self.rehead(no, before);
        }
        self.settle();
    }

    fn is_there(&self, lane: LaneRef) -> bool {
        self.all.get(lane.no.0).is_some_and(|it| it.founded == lane.founded)
    }

    fn reference(&self, no: LaneNo) -> Option<LaneRef> {
        Some(LaneRef { no, founded: self.all.get(no.0)?.founded })
    }

    /// Keeps the tasks of a queue back, which has been paused since then, if that is known.
    pub(crate) fn pause(&mut self, queue: &Name, since: Option<Time>) {
        self.gates.pause(queue, since);
        for no in self.flows.lanes_of(queue) {
            self.ask(no);
        }
        self.settle();
    }

    /// Lets the tasks of a queue go on.
    pub(crate) fn resume(&mut self, queue: &Name) {
        self.gates.resume(queue);
        self.open(&Gate::Queue(Name::clone(queue)));
    }

    /// Every lane.
    pub(crate) fn iter(&self) -> impl Iterator<Item = LaneView<'_>> {
        self.all.iter().filter_map(|(_, lane)| self.view(lane))
    }

    /// Every lane of a queue.
    pub(crate) fn of_queue(&self, queue: &str) -> impl Iterator<Item = LaneView<'_>> {
        let lanes = self.flows.lanes_of(queue).into_iter();
        lanes.filter_map(|no| self.view(self.all.get(no.0)?))
    }

    fn view<'a>(&'a self, lane: &'a Lane) -> Option<LaneView<'a>> {
        let queue = &self.flows.queue(self.flows.flow(lane.flow)?.queue)?.name;
        let Need { task_type, shape, .. } = self.needs.get(lane.key.need)?;
        let first = lane.first()?;
        let since = lane.since.get(&first.task).copied();
        let slots = shape.size.slots.into();
        Some(LaneView { queue, task_type, first, since, slots, tasks: &lane.tasks })
    }

    /// Every lane, or of more than `most` every so many-th, with how many it stands for.
    pub(crate) fn sample(&self, most: usize) -> impl Iterator<Item = (LaneNo, &Lane, u64)> {
        let (stride, lanes) = self.all.sample(most);
        lanes.map(move |(no, lane)| (LaneNo(no), lane, stride as u64))
    }

    /// The lane that the tasks of a spec wait in, while one of them does.
    pub(crate) fn lane(&self, spec: &TaskSpec, place: Place) -> Option<(LaneNo, &Lane)> {
        let no = self.find(spec, place)?;
        Some((no, self.all.get(no.0)?))
    }

    /// What a lease of a task of a lane takes.
    pub(crate) fn takes(&self, lane: &Lane) -> Vec<Take> {
        let comer = lane.key.comer(lane.flow, &self.needs, &self.flows);
        comer.map(|comer| self.gates.takes(&comer)).unwrap_or_default()
    }

    /// Since when the longest waiting task of a queue waits.
    pub(crate) fn oldest(&self, queue: &str) -> Option<Time> {
        self.flows.queue(self.flows.number(queue)?)?.oldest()
    }

    /// The task that goes next to a class, of the sizes that it offers.
    pub(crate) fn next(&mut self, offer: &Offer<'_>, pick: Pick, paces: &Paces) -> Option<Next> {
        let first = self.first(offer, paces)?;
        match pick {
            Pick::First | Pick::Reserved => Some(first),
            Pick::Aged => Some(self.aged(offer, first.place.priority, paces).unwrap_or(first)),
        }
    }

    /// The task that goes next of those that are alike to one that waits at this place, if they stand in line.
    pub(crate) fn next_like(
        &mut self,
        (spec, place): (&TaskSpec, Place),
        offer: &Offer<'_>,
        paces: &Paces,
    ) -> Option<Next> {
        let lane = self.find(spec, place)?;
        self.ask(lane).then(|| self.look(offer, lane, Pick::Reserved, paces))?
    }

    /// A task is leased: its queue and its flow are charged with what it is reckoned to cost, and it passes its gates.
    pub(crate) fn charge(&mut self, next: &Next, cost: Cost, token: Token) {
        let Next { place, lane, pick, class, .. } = *next;
        let Some(head) = self.head(lane, place) else { return };
        let is_turn = pick == Pick::First;
        let occasion = if is_turn { Occasion::Turn } else { Occasion::Other };
        self.line.charge(class, &head, cost, occasion);
        self.pass(lane, token);
    }

    /// What a lease of this queue and key was charged is put right, as far as they are known to the class.
    pub(crate) fn correct(
        &mut self,
        class: ClassNo,
        (queue, key): (&str, &str),
        reckoned_and_actual: (Cost, Cost),
    ) {
        let Some(flow) = self.flows.find(queue, key) else { return };
        let Some(queue) = self.flows.flow(flow).map(|flow| flow.queue) else { return };
        self.line.correct(class, (queue, flow), reckoned_and_actual);
    }

    /// Classes of sessions have come, gone, or been told of needs.
    pub(crate) fn introduce(&mut self, news: News) {
        let News { founded, dissolved, told } = news;
        for (class, heir_of) in &founded {
            self.line.found(*class, *heir_of);
        }
        for (class, served) in dissolved {
            self.line.dissolve(class);
            self.needs.dissolve(class, &served);
        }
        for (class, _) in founded.iter().filter(|(_, heir_of)| heir_of.is_none()) {
            self.line.adopt(*class);
        }
        let Self { line, needs, all, flows, .. } = self;
        for (class, need, ask) in told {
            needs.serve(need, class, ask);
            line.serve((class, need, ask), |lane| {
                let flow = all.get(lane.0)?.flow;
                Some((flows.flow(flow)?.queue, flow))
            });
        }
    }

    fn pass(&mut self, no: LaneNo, token: Token) {
        let Self { needs, flows, gates, all, .. } = self;
        let lane = all.get(no.0);
        let Some(comer) = lane.and_then(|it| it.key.comer(it.flow, needs, flows)) else {
            return;
        };
        let buckets = gates.pass(&comer, token);
        for of in &buckets {
            // It may take longer now until there is enough in it for those who wait.
            for gate in self.gates_of(of) {
                self.rearm(&gate);
            }
        }
        self.renew(no);
        self.settle();
    }

    /// The session that served the flow of a task last, if it has a key.
    pub(crate) fn served_last(&self, next: &Next) -> Option<SessionId> {
        self.flows.flow(self.all.get(next.lane.0)?.flow)?.session
    }

    /// A session serves the flow of a task.
    pub(crate) fn serve(&mut self, next: &Next, session: SessionId) {
        let Some(flow) = self.all.get(next.lane.0).map(|lane| lane.flow) else { return };
        if let Some(flow) = self.flows.flow_mut(flow)
            && !flow.key.is_empty()
        {
            flow.session = Some(session);
        }
    }

    /// The first task of a lane that may go on.
    fn first(&mut self, offer: &Offer<'_>, paces: &Paces) -> Option<Next> {
        loop {
            let start_by = |need, place| self.start_by(need, place, paces);
            let lane = self.line.first(offer, start_by)?;
            if self.ask(lane) {
                return self.look(offer, lane, Pick::First, paces);
            }
            self.settle();
        }
    }

    fn aged(&mut self, offer: &Offer<'_>, above: u8, paces: &Paces) -> Option<Next> {
        loop {
            let oldest = offer.needs().filter_map(|need| self.line.oldest_below(need, above));
            let (_, lane) = oldest.min()?;
            if self.ask(lane) {
                return self.look(offer, lane, Pick::Aged, paces);
            }
            self.settle();
        }
    }

    fn look(&self, offer: &Offer<'_>, no: LaneNo, pick: Pick, paces: &Paces) -> Option<Next> {
        let lane = self.all.get(no.0)?;
        let (place, class, ask) = (lane.first()?, offer.class, offer.ask(lane.key.need)?);
        let start_by = self.start_by(lane.key.need, place, paces);
        Some(Next { start_by, place, lane: no, pick, class, ask })
    }

    fn start_by(&self, need: NeedNo, place: Place, paces: &Paces) -> Time {
        let usual = self.needs.get(need).map(|need| paces.p95(&need.task_type));
        place.deadline - usual.unwrap_or_default()
    }

    fn open_lane(
        &mut self,
        flow: FlowNo,
        key: LaneKey,
        place: Place,
        times: (Time, Time),
    ) -> LaneRef {
        self.needs.enter(key.need);
        let gate = self.answer(flow, &key);
        let (seat, calls) = (self.next_seat(), Vec::new());
        self.founded += 1;
        let (founded, armed) = (self.founded, place.rank());
        let (tasks, since) = (Sorted::default(), Sorted::default());
        let key_of = key.clone();
        let mut lane = Lane { flow, key: key_of, tasks, since, founded, armed, gate, seat, calls };
        lane.enter(place, times);
        let no = LaneNo(self.all.insert(lane));
        self.alarms.insert((armed, no));
        self.flows.enter(flow, key, no);
        self.take_stand(no, place);
        LaneRef { no, founded }
    }

    fn close_lane(&mut self, no: LaneNo) {
        self.excuse(no);
        let Some(Lane { flow, key, armed, .. }) = self.all.remove(no.0) else { return };
        self.alarms.remove(&(armed, no));
        self.needs.leave(key.need);
        let Some(queue) = self.flows.flow(flow).map(|flow| flow.queue) else { return };
        if let Some(extent) = self.flows.leave(flow, &key) {
            self.line.go(queue, flow, extent);
        }
        while let Some((queue, flow, extent)) = self.flows.forget_one() {
            self.line.forget(queue, flow, extent);
        }
    }

    /// The gate that holds a lane of this kind back.
    fn answer(&self, flow: FlowNo, key: &LaneKey) -> Option<Gate> {
        self.gates.shut(&key.comer(flow, &self.needs, &self.flows)?)
    }

    /// A lane has another first task than before, or none.
    fn rehead(&mut self, no: LaneNo, before: Option<Place>) {
        let Some((before, head)) = before.and_then(|it| Some((it, self.head(no, it)?))) else {
            return;
        };
        let Some(lane) = self.all.get(no.0) else { return };
        match (lane.first(), &lane.gate) {
            (Some(after), None) => self.line.replace(&head, after),
            (Some(_), Some(_)) => {}
            (None, _) => {
                self.give_up_stand(no, before);
                self.close_lane(no);
            }
        }
    }

    fn head(&self, lane: LaneNo, place: Place) -> Option<Head> {
        let Lane { flow, key, .. } = self.all.get(lane.0)?;
        let queue = self.flows.flow(*flow)?.queue;
        Some(Head { queue, flow: *flow, need: key.need, place, lane })
    }

    fn find(&self, spec: &Template, place: Place) -> Option<LaneNo> {
        let flow = self.flows.find(&spec.queue, &spec.fairness_key)?;
        let need = self.needs.find(namespace::of(&spec.queue), &spec.task_type, &spec.shape)?;
        self.flows.lane(flow, &LaneKey::new(need, place, spec))
    }
}

impl LaneKey {
    fn new(need: NeedNo, place: Place, spec: &Template) -> Self {
        let Place { priority, is_retry, .. } = place;
        Self { need, priority, is_retry, gateway: Gates::of(spec) }
    }

    /// What the gates have to know of a lane of this kind.
    fn comer<'a>(&'a self, flow: FlowNo, needs: &'a Needs, flows: &'a Flows) -> Option<Comer<'a>> {
        let flow = flows.flow(flow)?;
        let whose = (&flows.queue(flow.queue)?.name, &flow.key);
        let (task_type, is_retry) = (&needs.get(self.need)?.task_type, self.is_retry);
        Some(Comer { whose, task_type, is_retry, gateway: &self.gateway })
    }
}

impl Lane {
    fn enter(&mut self, place: Place, (since, first_ready): (Time, Time)) {
        self.tasks.insert(place.rank(), ());
        if since != first_ready {
            self.since.insert(place.task, since);
        }
    }

    fn first(&self) -> Option<Place> {
        let ((deadline, task), ()) = self.tasks.first()?;
        let LaneKey { priority, is_retry, .. } = self.key;
        Some(Place { priority, deadline: *deadline, task: *task, is_retry })
    }
}

#[cfg(debug_assertions)]
impl Lanes {
    /// How many tasks wait.
    pub(crate) fn len(&self) -> u64 {
        self.flows.waiting()
    }

    /// Whether the task waits in its lane.
    pub(crate) fn contains(&self, task: &Task) -> bool {
        let place = Place::of(task);
        let lane = self.find(&task.spec, place).and_then(|no| self.all.get(no.0));
        lane.is_some_and(|lane| lane.tasks.contains(&place.rank()))
    }

    /// Whether each lane stands where it says, no other does, none stands in line in a queue that is paused, and whoever waits
    /// at a gate is asked again when it opens.
    pub(crate) fn agree(&self) -> bool {
        let (mut lanes, mut tasks) = (0, 0);
        for (no, lane) in self.all.iter() {
            let is_armed = self.alarms.contains(&(lane.armed, LaneNo(no)));
            if !is_armed || lane.tasks.first().is_none_or(|(first, ())| *first < lane.armed) {
                return false;
            }
            (lanes, tasks) = (lanes + 1, tasks + lane.tasks.len());
            let head = lane.first().and_then(|place| self.head(LaneNo(no), place));
            let stands = head.is_some_and(|head| match &lane.gate {
                None => self.line.contains(&head),
                Some(gate) => {
                    let seat = (lane.seat, head.lane);
                    let crowd = self.crowds.get(gate).zip(self.peerage(head.lane));
                    crowd.is_some_and(|(crowd, peerage)| crowd.contains(&peerage, seat))
                }
            });
            let queue = head.and_then(|head| self.flows.queue(head.queue));
            let pause = queue.map(|queue| Gate::Queue(Name::clone(&queue.name)));
            let paused = pause.is_some_and(|gate| self.gates.is_shut(&gate))
                && !Mutant::PausedGranted.is_alive();
            if !stands || (paused && lane.gate.is_none()) {
                return false;
            }
        }
        let standing = self.line.len() + self.crowds.values().map(Crowd::asleep).sum::<usize>();
        self.line.agrees(&self.needs)
            && tasks as u64 == self.len()
            && lanes == standing
            && lanes == self.alarms.len()
            && self.rings.len() == self.ringing.len()
            && self.rings.keys().all(|gate| self.is_waited_for(gate))
            && self.crowds.iter().all(|(gate, crowd)| self.is_counted(gate, crowd))
            && (Mutant::GateNeverOpens.is_alive()
                || self.crowds.keys().all(|it| self.is_watched(it)))
    }

    /// Whether whoever waits at a gate will be asked again: when it opens, by somebody's doing or by itself, or because
    /// somebody like him has been let go.
    fn is_watched(&self, gate: &Gate) -> bool {
        let rings = self.rings.contains_key(gate);
        let opens_itself = self.gates.opens_at(gate).is_some();
        if self.gates.is_shut(gate) {
            rings || !opens_itself || !self.is_waited_for(gate)
        } else {
            rings || self.crowds.get(gate).is_none_or(Crowd::has_called)
        }
    }

    /// Whether a crowd counts those whom it has let go, and nobody else.
    fn is_counted(&self, gate: &Gate, crowd: &Crowd) -> bool {
        let mut called = BTreeMap::new();
        for (no, lane) in self.all.iter().filter(|(_, lane)| lane.calls.contains(gate)) {
            debug_assert!(lane.gate.as_ref() != Some(gate), "who waits has not been let go");
            if let Some(peerage) = self.peerage(LaneNo(no)) {
                *called.entry(peerage).or_insert(0) += 1;
            }
        }
        !crowd.is_empty() && crowd.called() == called
    }
}
