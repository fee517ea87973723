//! The tasks that could be leased: in lanes, of which some stand in line and the others wait at a gate that is shut.
//!
//! The tasks of a lane have need, priority, queue, fairness key and gates in common, so that whoever is first in it is all
//! that has to be looked at, whatever waits behind him: they are ordered by deadline, then age, and one that comes back
//! takes its old place. It knows no worker.

use std::collections::{BTreeMap, BTreeSet};

use leasehold_policy::{Mutant, Time};

use crate::{
    Name, SessionId, Task, TaskId, TaskSpec, Token,
    accounts::{Accounts, FlowNo},
    fairness::Virtual,
    gate::{Gate, Gates, Gateway},
    group::{Head, Standing},
    limits::{Bucketed, Take},
    line::Line,
    need::{NeedNo, Needs},
    pace::Paces,
    slab::Slab,
};

/// A task's place in the order of its lane, and its urgency.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    pub(crate) priority: u8,
    pub(crate) deadline: Time,
    pub(crate) task: TaskId,
}

impl Place {
    pub(crate) fn of(task: &Task) -> Self {
        let is_ignored = Mutant::PriorityIgnored.is_alive();
        let priority = if is_ignored { 0 } else { task.spec.priority };
        Self { priority, deadline: task.deadline, task: task.id }
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

/// The number of a lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct LaneNo(u32);

/// Which of the lanes of a flow it is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct LaneKey {
    pub(crate) need: NeedNo,
    pub(crate) priority: u8,
    pub(crate) gateway: Gateway,
}

/// Every task that could be leased.
#[derive(Clone, Debug, Default)]
pub(crate) struct Lanes {
    pub(crate) needs: Needs,
    pub(crate) accounts: Accounts,
    pub(crate) gates: Gates,
    all: Slab<Lane>,
    /// The lanes that could go on.
    line: Line,
    /// Those that could not, by the gate that was found shut.
    held: BTreeMap<Gate, Line>,
    /// When it is looked whether a gate at which lanes wait has opened by itself.
    rings: BTreeMap<Gate, Time>,
    ringing: BTreeSet<(Time, Gate)>,
    /// Since when tasks wait in each queue.
    ages: BTreeMap<Name, BTreeSet<(Time, TaskId)>>,
}

/// Tasks that are alike to everything but time.
#[derive(Clone, Debug)]
pub(crate) struct Lane {
    pub(crate) flow: FlowNo,
    pub(crate) key: LaneKey,
    /// With the time since when each waits. Never empty.
    pub(crate) tasks: BTreeMap<Place, Time>,
    /// The gate that it waits at. None: it stands in line.
    pub(crate) gate: Option<Gate>,
}

/// A task that could be leased: the first of a lane. The least is the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Next {
    priority: u8,
    standing: Standing,
    /// Until when it has to start, as far as it is known how long such tasks run. Within a lane that is the order of
    /// deadlines.
    start_by: Time,
    pub(crate) place: Place,
    need: NeedNo,
    lane: LaneNo,
    /// Whether it goes for whose turn it is, or for its age.
    pick: Pick,
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
}

/// What a lease is reckoned to cost, for its queue and for its flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Cost {
    pub(crate) queue: Virtual,
    pub(crate) flow: Virtual,
}

/// What of what stands in line is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Pick {
    /// Whose turn it is.
    First,
    /// Who has waited longest below the most urgent priority; if there is nobody, whose turn it is.
    Aged,
}

impl Lanes {
    /// Lets a task wait, since then.
    pub(crate) fn insert(&mut self, spec: &TaskSpec, place: Place, since: Time) {
        self.ages.entry(Name::clone(&spec.queue)).or_default().insert((since, place.task));
        let flow = self.accounts.open(&spec.queue, &spec.fairness_key);
        let need = self.needs.number(&spec.task_type, &spec.shape);
        let key = LaneKey { need, priority: place.priority, gateway: Gates::of(spec) };
        let Some(no) = self.accounts.lane(flow, &key) else {
            return self.open_lane(flow, key, (place, since));
        };
        let Some(lane) = self.all.get_mut(no.0) else { return };
        let before = lane.first();
        lane.tasks.insert(place, since);
        if before.is_none_or(|before| place < before) {
            self.rehead(no, before);
        }
    }

    /// Takes a task out.
    pub(crate) fn remove(&mut self, spec: &TaskSpec, place: Place) {
        let Some(no) = self.find(spec, place.priority) else { return };
        let Some(lane) = self.all.get_mut(no.0) else { return };
        let before = lane.first();
        let Some(since) = lane.tasks.remove(&place) else { return };
        if let Some(ages) = self.ages.get_mut(&spec.queue) {
            ages.remove(&(since, place.task));
            if ages.is_empty() {
                self.ages.remove(&spec.queue);
            }
        }
        if before == Some(place) {
            self.rehead(no, before);
        }
    }

    /// Keeps the tasks of a queue back.
    pub(crate) fn pause(&mut self, queue: &Name) {
        self.gates.pause(queue);
        for no in self.accounts.lanes_of(queue) {
            self.ask(no);
        }
    }

    /// Lets the tasks of a queue go on.
    pub(crate) fn resume(&mut self, queue: &Name) {
        self.gates.resume(queue);
        self.open(&Gate::Queue(Name::clone(queue)));
    }

    /// A gate has opened: lanes that wait there go on, unless another of their gates is shut.
    pub(crate) fn open(&mut self, gate: &Gate) {
        let needs = self.held.get(gate).map(Line::needs).unwrap_or_default();
        for need in needs {
            while let Some(no) = self.first_held(gate, need) {
                self.ask(no);
                if self.first_held(gate, need) == Some(no) {
                    break;
                }
            }
        }
        self.rearm(gate);
    }

    /// Whatever gate a lane waits at may have opened.
    pub(crate) fn open_all(&mut self) {
        for gate in self.held.keys().cloned().collect::<Vec<_>>() {
            self.open(&gate);
        }
    }

    /// A bucket may have more in it than before: whoever waits for some of it is asked again.
    pub(crate) fn open_bucket(&mut self, of: &Bucketed) {
        for gate in self.gates_of(of) {
            self.open(&gate);
        }
    }

    /// Gates that have opened by themselves by then let go on what waits there; at most so many.
    pub(crate) fn open_due(&mut self, now: Time, most: usize) {
        for _ in 0..most {
            let Some((at, gate)) = self.ringing.first().cloned() else { return };
            if now < at {
                return;
            }
            self.unring(&gate);
            self.open(&gate);
        }
    }

    /// When a gate at which tasks wait may next open by itself.
    pub(crate) fn next_opening(&self) -> Option<Time> {
        self.ringing.first().map(|(at, _)| *at)
    }

    /// Every lane: its queue and task type, how many tasks wait in it, the one that goes first, and since when that waits.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&Name, &Name, u64, Place, Time)> {
        self.all.iter().filter_map(|(_, lane)| {
            let queue = self.accounts.queue(self.accounts.flow(lane.flow)?.queue)?;
            let need = self.needs.get(lane.key.need)?;
            let (place, since) = lane.tasks.first_key_value()?;
            Some((&queue.name, &need.task_type, lane.tasks.len() as u64, *place, *since))
        })
    }

    /// Every lane, or of more than `most` every so many-th, with how many it stands for.
    pub(crate) fn sample(&self, most: usize) -> impl Iterator<Item = (LaneNo, &Lane, u64)> {
        let (stride, lanes) = self.all.sample(most);
        lanes.map(move |(no, lane)| (LaneNo(no), lane, stride as u64))
    }

    /// The lane that the tasks of a spec wait in, while one of them does.
    pub(crate) fn lane(&self, spec: &TaskSpec, priority: u8) -> Option<(LaneNo, &Lane)> {
        let no = self.find(spec, priority)?;
        Some((no, self.all.get(no.0)?))
    }

    /// Since when the longest waiting task of a queue waits.
    pub(crate) fn oldest(&self, queue: &str) -> Option<Time> {
        self.ages.get(queue)?.first().map(|(since, _)| *since)
    }

    /// The task of these needs that goes next.
    pub(crate) fn next(&mut self, needs: &[NeedNo], pick: Pick, paces: &Paces) -> Option<Next> {
        let first = needs.iter().filter_map(|need| self.first(*need, paces)).min()?;
        match pick {
            Pick::First => Some(first),
            Pick::Aged => Some(self.aged(needs, first.priority, paces).unwrap_or(first)),
        }
    }

    /// A task is leased: its queue and its flow are charged with what it is reckoned to cost, and it passes its gates.
    pub(crate) fn charge(&mut self, next: &Next, cost: Cost, token: Token) {
        let Next { priority, standing, place, need, lane, pick, .. } = next;
        let Some(head) = self.head(*lane, *place) else { return };
        let Some(group) = self.line.group(*need, *priority) else { return };
        let bases = group.bases(&head, &self.accounts);
        if let Some((queue, flow)) = self.accounts.both_mut(head.flow) {
            queue.account.charge(bases.0, cost.queue);
            flow.account.charge(bases.1, cost.flow);
        }
        if *pick == Pick::First {
            self.line.pass(*need, *priority, standing);
            self.accounts.pass(head.flow, standing.clocks());
        }
        let gateway = self.all.get(lane.0).map(|it| Gateway::clone(&it.key.gateway));
        self.pass(head.flow, &gateway.unwrap_or_default(), token);
    }

    fn pass(&mut self, flow: FlowNo, gateway: &[Gate], token: Token) {
        let Some(flow) = self.accounts.flow(flow) else { return };
        let Some(queue) = self.accounts.queue(flow.queue) else { return };
        let whose = (&queue.name, &flow.key);
        let buckets = self.gates.pass(whose, gateway, token);
        // It may take longer now until there is enough in them for those who wait.
        for gate in buckets.iter().flat_map(|of| self.gates_of(of)).collect::<Vec<_>>() {
            self.rearm(&gate);
        }
    }

    /// The session that served the flow of a task last, if it has a key.
    pub(crate) fn served_last(&self, next: &Next) -> Option<SessionId> {
        self.accounts.flow(self.all.get(next.lane.0)?.flow)?.session
    }

    /// A session serves the flow of a task.
    pub(crate) fn serve(&mut self, next: &Next, session: SessionId) {
        let Some(flow) = self.all.get(next.lane.0).map(|lane| lane.flow) else { return };
        if let Some((_, flow)) = self.accounts.both_mut(flow)
            && !flow.key.is_empty()
        {
            flow.session = Some(session);
        }
    }

    /// The first task of a need, of a lane that may go on.
    fn first(&mut self, need: NeedNo, paces: &Paces) -> Option<Next> {
        loop {
            let (standing, head) = self.line.first(need, &self.accounts)?;
            if self.ask(head.lane) {
                let next = self.look(need, standing, head, paces)?;
                return Some(Next { pick: Pick::First, ..next });
            }
        }
    }

    fn aged(&mut self, needs: &[NeedNo], above: u8, paces: &Paces) -> Option<Next> {
        loop {
            let oldest = needs.iter().filter_map(|need| {
                let (task, lane) = self.line.oldest_below(*need, above)?;
                Some((task, lane, *need))
            });
            let (_, lane, need) = oldest.min()?;
            if self.ask(lane) {
                let place = self.all.get(lane.0).and_then(Lane::first)?;
                let head = self.head(lane, place)?;
                let group = self.line.group(need, place.priority)?;
                let standing = group.standing(&head, &self.accounts);
                return self.look(need, standing, head, paces);
            }
        }
    }

    fn look(&self, need: NeedNo, standing: Standing, head: Head, paces: &Paces) -> Option<Next> {
        let Head { place, lane, .. } = head;
        let usual = paces.p95(&self.needs.get(need)?.task_type);
        let start_by = place.deadline - usual;
        let pick = Pick::Aged;
        Some(Next { priority: place.priority, standing, start_by, place, need, lane, pick })
    }

    fn first_held(&mut self, gate: &Gate, need: NeedNo) -> Option<LaneNo> {
        let (_, head) = self.held.get_mut(gate)?.first(need, &self.accounts)?;
        Some(head.lane)
    }

    fn open_lane(&mut self, flow: FlowNo, key: LaneKey, (place, since): (Place, Time)) {
        let tasks = BTreeMap::from([(place, since)]);
        self.needs.enter(key.need);
        let gate = self.answer(flow, &key);
        let no = LaneNo(self.all.insert(Lane { flow, key: key.clone(), tasks, gate }));
        self.accounts.enter(flow, key, no);
        self.take_stand(no, place);
    }

    fn close_lane(&mut self, no: LaneNo) {
        let Some(Lane { flow, key, .. }) = self.all.remove(no.0) else { return };
        self.needs.leave(key.need);
        self.accounts.leave(flow, &key);
    }

    /// Asks the gates of a lane and lets it stand accordingly. Says whether it stands in line.
    fn ask(&mut self, no: LaneNo) -> bool {
        let Some(lane) = self.all.get(no.0) else { return false };
        let gate = self.answer(lane.flow, &lane.key);
        let goes_on = gate.is_none();
        if gate != lane.gate
            && let Some(place) = lane.first()
        {
            self.give_up_stand(no, place);
            if let Some(lane) = self.all.get_mut(no.0) {
                lane.gate = gate;
            }
            self.take_stand(no, place);
        }
        goes_on
    }

    /// The gate that holds a lane of this kind back.
    fn answer(&self, flow: FlowNo, key: &LaneKey) -> Option<Gate> {
        let flow = self.accounts.flow(flow)?;
        let queue = self.accounts.queue(flow.queue)?;
        self.gates.shut((&queue.name, &flow.key), &key.gateway)
    }

    fn take_stand(&mut self, no: LaneNo, place: Place) {
        let Some(head) = self.head(no, place) else { return };
        let Some(Lane { key, gate, .. }) = self.all.get(no.0) else { return };
        let line = match gate {
            None => &mut self.line,
            Some(gate) => self.held.entry(gate.clone()).or_default(),
        };
        line.enter(key.need, head, &self.accounts);
        if let Some(gate) = gate.clone() {
            self.rearm(&gate);
        }
    }

    fn give_up_stand(&mut self, no: LaneNo, place: Place) {
        let Some(head) = self.head(no, place) else { return };
        let Some(Lane { key, gate, .. }) = self.all.get(no.0) else { return };
        let Some(gate) = gate else { return self.line.leave(key.need, head) };
        let Some(line) = self.held.get_mut(gate) else { return };
        line.leave(key.need, head);
        if line.is_empty() {
            let gate = gate.clone();
            self.held.remove(&gate);
            self.unring(&gate);
        }
    }

    /// A lane has another first task than before, or none.
    fn rehead(&mut self, no: LaneNo, before: Option<Place>) {
        let Some((before, head)) = before.and_then(|it| Some((it, self.head(no, it)?))) else {
            return;
        };
        let Some(lane) = self.all.get(no.0) else { return };
        let (need, after) = (lane.key.need, lane.first());
        match (after, &lane.gate) {
            (Some(after), None) => self.line.replace(need, head, after),
            (Some(after), Some(gate)) => {
                if let Some(line) = self.held.get_mut(gate) {
                    line.replace(need, head, after);
                }
            }
            (None, _) => {
                self.give_up_stand(no, before);
                self.close_lane(no);
            }
        }
    }

    fn gates_of(&self, of: &Bucketed) -> Vec<Gate> {
        let (least, most) = (Take::Tokens(of.clone(), 0), Take::Tokens(of.clone(), u32::MAX));
        let held = self.held.range(Gate::Limit(least)..=Gate::Limit(most));
        held.map(|(gate, _)| gate.clone()).collect()
    }

    /// Sets when it is looked at a gate again: when it opens by itself, if it is shut and somebody waits there.
    fn rearm(&mut self, gate: &Gate) {
        let is_waited_for = self.held.contains_key(gate) && self.gates.is_shut(gate);
        let at = self.gates.opens_at(gate).filter(|_| is_waited_for);
        if self.rings.get(gate).copied() == at {
            return;
        }
        self.unring(gate);
        if let Some(at) = at.filter(|_| !Mutant::GateNeverOpens.is_alive()) {
            self.rings.insert(gate.clone(), at);
            self.ringing.insert((at, gate.clone()));
        }
    }

    fn unring(&mut self, gate: &Gate) {
        if let Some(at) = self.rings.remove(gate) {
            self.ringing.remove(&(at, gate.clone()));
        }
    }

    fn head(&self, lane: LaneNo, place: Place) -> Option<Head> {
        let flow = self.all.get(lane.0)?.flow;
        let queue = self.accounts.flow(flow)?.queue;
        Some(Head { queue, flow, place, lane })
    }

    fn find(&self, spec: &TaskSpec, priority: u8) -> Option<LaneNo> {
        let flow = self.accounts.find(&spec.queue, &spec.fairness_key)?;
        let need = self.needs.find(&spec.task_type, &spec.shape)?;
        let key = LaneKey { need, priority, gateway: Gates::of(spec) };
        self.accounts.lane(flow, &key)
    }
}

impl Lane {
    fn first(&self) -> Option<Place> {
        self.tasks.first_key_value().map(|(place, _)| *place)
    }
}

#[cfg(debug_assertions)]
impl Lanes {
    /// How many tasks wait.
    pub(crate) fn len(&self) -> usize {
        self.ages.values().map(BTreeSet::len).sum()
    }

    /// Whether the task waits in its lane.
    pub(crate) fn contains(&self, task: &Task) -> bool {
        let place = Place::of(task);
        let lane = self.find(&task.spec, place.priority).and_then(|no| self.all.get(no.0));
        lane.is_some_and(|lane| lane.tasks.contains_key(&place))
    }

    /// Whether each lane stands where it says, no other does, none stands in line in a queue that is paused, and whoever waits
    /// at a gate is asked again when it opens.
    pub(crate) fn agree(&self) -> bool {
        let (mut lanes, mut tasks) = (0, 0);
        for (no, lane) in self.all.iter() {
            (lanes, tasks) = (lanes + 1, tasks + lane.tasks.len());
            let head = lane.first().and_then(|place| self.head(LaneNo(no), place));
            let line = match &lane.gate {
                None => Some(&self.line),
                Some(gate) => self.held.get(gate),
            };
            let group = line.and_then(|it| it.group(lane.key.need, lane.key.priority));
            let stands = group.zip(head).is_some_and(|(group, head)| group.contains(&head));
            let queue = head.and_then(|head| self.accounts.queue(head.queue));
            let pause = queue.map(|queue| Gate::Queue(Name::clone(&queue.name)));
            let paused = pause.is_some_and(|gate| self.gates.is_shut(&gate))
                && !Mutant::PausedGranted.is_alive();
            if !stands || (paused && lane.gate.is_none()) {
                return false;
            }
        }
        let standing = self.line.len() + self.held.values().map(Line::len).sum::<usize>();
        tasks == self.len()
            && lanes == standing
            && self.rings.len() == self.ringing.len()
            && self.rings.keys().all(|gate| self.held.contains_key(gate))
            && (Mutant::GateNeverOpens.is_alive() || self.held.keys().all(|it| self.is_watched(it)))
    }

    /// Whether whoever waits at a gate will be asked again: when it opens, by somebody's doing or by itself.
    fn is_watched(&self, gate: &Gate) -> bool {
        let opens_itself = self.gates.opens_at(gate).is_some();
        self.rings.contains_key(gate) || (self.gates.is_shut(gate) && !opens_itself)
    }
}
