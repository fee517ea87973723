//! What goes before a task: how many of the tasks that wait, and how much work they are.
//!
//! It looks at lanes, never at all of their tasks, and at so many of them at most. Where turns are taken between queues and
//! fairness keys it knows only that they are taken, not whose turn it is now: it can be wrong by what is owed to them, and
//! by one run of each.

use std::{cmp::Ordering, collections::BTreeMap, time::Duration};

use leasehold_policy::Time;

use crate::{
    Queue, Take, TaskSpec,
    flows::{FlowNo, QueueNo},
    gate::Gate,
    lanes::{Lane, Place, Rank},
    need::{Audience, NeedNo},
    pace::as_micros,
    rehearsal::{ACTS_MAX, Act},
    roster::Serving,
};

/// How many lanes are looked at. Of more every so many-th stands for those between.
const LANES_MAX: usize = 512;

/// How many tasks are passed by, of all lanes together, to find out how many there are before one in the middle. Beyond that
/// the deadlines in a lane are taken to be spread evenly.
const STEPS_MAX: usize = 8_192;

/// How many classes of sessions are looked at, for all lanes together, to find out how many slots two needs share.
const CLASSES_MAX: usize = 4_096;

/// A whole, in parts: how far the own flow is on its way to the task.
const WHOLE: u128 = 1 << 32;

/// What goes before a task to the slots that serve it, and to each limit that its lease takes of.
#[derive(Clone, Debug)]
pub(crate) struct Ahead {
    /// How many tasks go before it to the slots.
    pub(crate) tasks: u64,
    /// Those, in their order.
    pub(crate) to_slots: Vec<Act>,
    /// To each permit, in their order; to each bucket only how many tokens they take.
    pub(crate) to_limits: Vec<(Take, Vec<Act>, u64)>,
}

/// A lane that has tasks which go before the one in question, or may.
struct Rival<'a> {
    queue: QueueNo,
    flow: FlowNo,
    priority: u8,
    turn: Turn,
    /// How many tasks: those that go before, or where turns are taken, all.
    tasks: u64,
    run_us: u64,
    /// How many slots each of them takes: as much work as so many that take one.
    slots: u64,
    /// With less than this left they are ended instead, in microseconds.
    least_us: u64,
    /// The most of them that there are, one by one: when their time is over, and how much earlier they have to start.
    places: Places<'a>,
    /// Of the slots that serve it, how many serve the task, too.
    shared: (u64, u64),
    /// How many of its tasks get past the limits that it is under and the task is not.
    room: u64,
    /// Which of the limits that the task is under it is under, too, and how many tokens it takes of it.
    limits: Vec<(usize, u64)>,
}

/// The tasks of a lane that may go before.
#[derive(Clone, Copy)]
struct Places<'a> {
    lane: &'a Lane,
    count: u64,
    /// How many lanes it stands for.
    stands_for: u64,
    /// When the first and the last of them run out of time.
    first: Time,
    last: Time,
    /// How much earlier they have to start.
    usual: Duration,
}

impl Rival<'_> {
    /// How long each of its tasks runs, in slot-time.
    fn slot_us(&self) -> u64 {
        self.run_us.saturating_mul(self.slots)
    }
}

impl Places<'_> {
    /// When so many of them run out of time that stand for the first so many.
    fn deadlines(&self, wanted: u64, firsts: u64) -> impl Iterator<Item = Time> {
        let is_each = wanted == firsts;
        let most = usize::try_from(firsts).unwrap_or(usize::MAX);
        let each = self.lane.tasks.iter().take(if is_each { most } else { 0 });
        let apart = self.last.since(self.first).as_millis() * u128::from(firsts);
        let parts = u128::from(2 * wanted) * u128::from(self.count.max(1));
        let some = (0..if is_each { 0 } else { wanted }).map(move |nth| {
            let after = apart * u128::from(2 * nth + 1) / parts;
            self.first + Duration::from_millis(u64::try_from(after).unwrap_or(u64::MAX))
        });
        each.map(|((deadline, _), ())| *deadline).chain(some)
    }
}

/// Why a lane goes before a task.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Turn {
    /// It is more urgent.
    Urgent,
    /// It is of the same flow, and these of its tasks are due before.
    Own,
    /// It is of another flow: they take turns.
    Other,
}

/// What is to be asked of lanes.
struct Asker<'a> {
    queue: &'a Queue,
    serving: &'a Serving<'a>,
    place: Place,
    /// How much earlier it has to start than it has to be over.
    usual: Duration,
    flow: Option<FlowNo>,
    takes: Vec<Take>,
    /// By what such needs have in common; by the need, as long as classes have not been told of it.
    shared: BTreeMap<Result<Audience, NeedNo>, (u64, u64)>,
    /// How many classes are looked at for each of them.
    classes: usize,
    steps: usize,
}

impl Queue {
    /// What goes before a task that stands at this place, or would.
    pub(crate) fn ahead(&self, spec: &TaskSpec, place: Place, serving: &Serving<'_>) -> Ahead {
        let lanes = &self.index.lanes;
        let takes = lanes.gates.takes_of(spec, place);
        let flow = lanes.flows.find(&spec.queue, &spec.fairness_key);
        let own = lanes.lane(spec, place);
        let others = lanes.sample(LANES_MAX).filter(|(no, ..)| own.is_none_or(|own| own.0 != *no));
        let others: Vec<_> = others.collect();
        let (shared, classes) = (BTreeMap::new(), CLASSES_MAX / (others.len() + 1));
        let (queue, usual, steps) = (self, self.paces.p95(&spec.task_type), STEPS_MAX);
        let mut asker = Asker { queue, serving, place, usual, flow, takes, shared, classes, steps };
        let rivals = own.map(|(_, lane)| (lane, 1)).into_iter();
        let rivals =
            rivals.chain(others.into_iter().map(|(_, lane, stands_for)| (lane, stands_for)));
        let rivals: Vec<Rival<'_>> =
            rivals.filter_map(|(lane, stands_for)| asker.rival(lane, stands_for)).collect();
        let turns = Turns::new(self, spec, flow, &rivals);
        let before: Vec<u64> = rivals.iter().map(|rival| turns.before(rival)).collect();
        let to_slots = rivals.iter().zip(&before).map(|(rival, before)| {
            let (shared, all) = rival.shared;
            (rival, *before, part((*before).min(rival.room), shared.into(), all.into()))
        });
        let to_slots: Vec<_> = to_slots.collect();
        let to_limits = asker.takes.into_iter().enumerate().map(|(limit, take)| {
            let takes = |rival: &Rival<'_>| {
                rival.limits.iter().find(|(of, _)| *of == limit).map(|(_, tokens)| *tokens)
            };
            let own = rivals.iter().zip(&before);
            let own = own.filter_map(|(rival, before)| Some((rival, *before, takes(rival)?)));
            let tokens = own.clone().map(|(_, tasks, tokens)| tasks.saturating_mul(tokens));
            let tokens = tokens.fold(0, u64::saturating_add);
            let acts = match &take {
                Take::Permit(_) => self
                    .acts(own.map(|(rival, tasks, _)| (rival, tasks, tasks)), |rival| rival.run_us),
                Take::Tokens(..) => Vec::new(),
            };
            (take, acts, tokens)
        });
        let to_limits = to_limits.collect();
        let tasks = to_slots.iter().map(|(.., tasks)| *tasks).fold(0, u64::saturating_add);
        Ahead { tasks, to_slots: self.acts(to_slots.into_iter(), Rival::slot_us), to_limits }
    }

    /// What goes before of some lanes, and how much of that counts, in the order of their turns: first what is more urgent;
    /// then those of the own flow, and while these go on what takes turns with them.
    fn acts<'a>(
        &self,
        rivals: impl Iterator<Item = (&'a Rival<'a>, u64, u64)> + Clone,
        run_us: impl Fn(&Rival<'a>) -> u64,
    ) -> Vec<Act> {
        let all = rivals.clone().map(|(.., tasks)| tasks).fold(0, u64::saturating_add);
        let together = all.div_ceil(ACTS_MAX as u64).max(1);
        let (mut acts, mut own) = (Vec::new(), Vec::new());
        for (rival, before, tasks) in rivals.filter(|(.., tasks)| 0 < *tasks) {
            let Places { count, stands_for, usual, .. } = rival.places;
            let firsts = before.div_ceil(stands_for).clamp(1, count.max(1));
            let wanted = tasks.div_ceil(together).min(firsts);
            for (nth, deadline) in (0..).zip(rival.places.deadlines(wanted, firsts)) {
                let act = Act {
                    count: tasks * (nth + 1) / wanted - tasks * nth / wanted,
                    run_us: run_us(rival),
                    left_us: as_micros(deadline.since(self.now)),
                    least_us: rival.least_us,
                };
                let start_by = deadline - usual;
                match rival.turn {
                    Turn::Urgent => acts.push(((0, rival.priority.into(), start_by), act)),
                    Turn::Own => own.push((start_by, act)),
                    Turn::Other => {
                        acts.push((
                            (1, u128::from(nth) * WHOLE / u128::from(wanted), start_by),
                            act,
                        ));
                    }
                }
            }
        }
        own.sort_by_key(|(start_by, _)| *start_by);
        let work = |act: &Act| u128::from(act.count) * u128::from(act.run_us);
        let all = own.iter().map(|(_, act)| work(act)).sum::<u128>().max(1);
        let mut done = 0;
        acts.extend(own.into_iter().map(|(start_by, act)| {
            let at = done * WHOLE / all;
            done += work(&act);
            ((1, at, start_by), act)
        }));
        acts.sort_by_key(|(turn, _)| *turn);
        acts.into_iter().map(|(_, act)| act).collect()
    }
}

impl<'a> Asker<'a> {
    /// A lane, if it has to do with the task.
    fn rival(&mut self, lane: &'a Lane, stands_for: u64) -> Option<Rival<'a>> {
        let lanes = &self.queue.index.lanes;
        let flow = lanes.flows.flow(lane.flow)?;
        let turn = match lane.key.priority.cmp(&self.place.priority) {
            Ordering::Less => Turn::Urgent,
            Ordering::Equal if Some(lane.flow) == self.flow => Turn::Own,
            Ordering::Equal => Turn::Other,
            Ordering::Greater => return None,
        };
        let is_held = match lane.gate {
            Some(Gate::Queue(_)) => true,
            // They go on together.
            Some(Gate::Circuit(_)) => turn != Turn::Own,
            Some(Gate::Limit(_)) | None => false,
        };
        if is_held {
            return None;
        }
        let need = lanes.needs.get(lane.key.need)?;
        let shared = self.shared(lane.key.need);
        let (mut room, mut limits) = (u64::MAX, Vec::new());
        for take in lanes.takes(lane) {
            if let Some(limit) = self.takes.iter().position(|own| is_same(own, &take)) {
                limits.push((limit, tokens(&take)));
            } else {
                let left = lanes.gates.left(&Gate::Limit(take));
                let fit = left.and_then(|(left, each)| left.checked_div(each));
                room = room.min(fit.map_or(u64::MAX, u64::from));
            }
        }
        if shared.0 == 0 && limits.is_empty() {
            return None;
        }
        let usual = self.queue.paces.p95(&need.task_type);
        let count = if turn == Turn::Own {
            self.rank(lane, self.place.due_as(self.usual, usual))
        } else {
            lane.tasks.len() as u64
        };
        let first = lane.tasks.first()?.0.0;
        let last = lane.tasks.last()?.0.0;
        let last = if turn == Turn::Own { last.min(self.place.deadline) } else { last };
        let places = Places { lane, count, stands_for, first, last: last.max(first), usual };
        let fastest = self.queue.paces.fastest(&need.task_type);
        let fastest = fastest
            .filter(|(_, runs)| self.queue.config.cull_runs.is_some_and(|enough| enough <= *runs));
        Some(Rival {
            queue: flow.queue,
            flow: lane.flow,
            priority: lane.key.priority,
            turn,
            tasks: count.saturating_mul(stands_for),
            run_us: self.queue.micros(&need.task_type),
            slots: need.shape.size.slots.into(),
            least_us: fastest.map_or(0, |(fastest, _)| as_micros(fastest)),
            places,
            shared,
            room: room.saturating_mul(stands_for),
            limits,
        })
    }

    /// Of the slots that serve a need, how many serve the task, too.
    fn shared(&mut self, need: NeedNo) -> (u64, u64) {
        let (roster, needs) = (&self.queue.roster, &self.queue.index.lanes.needs);
        let alike = if roster.has_told(needs) { Ok(needs.audience(need)) } else { Err(need) };
        let looked = || roster.shared(self.serving, (need, needs), self.classes);
        *self.shared.entry(alike).or_insert_with(looked)
    }

    /// How many tasks of a lane go before: counted from whichever end is near enough, else reckoned.
    fn rank(&mut self, lane: &Lane, place: Place) -> u64 {
        let all = lane.tasks.len();
        let Some((first, ())) = lane.tasks.first() else { return 0 };
        let Some((last, ())) = lane.tasks.last() else { return 0 };
        let place = place.rank();
        if *last < place {
            return all as u64;
        }
        let most = self.steps / 2;
        let behind = lane.tasks.from(place).take(most).count();
        self.steps -= behind;
        if behind < most {
            return (all - behind) as u64;
        }
        let most = self.steps;
        let before = lane.tasks.iter().take_while(|(it, ())| *it < place).take(most).count();
        self.steps -= before;
        if before < most {
            return before as u64;
        }
        let after_first = |(deadline, _): &Rank| deadline.since(first.0).as_millis();
        let spread = part(all as u64, after_first(&place), after_first(last));
        spread.clamp(before as u64, (all - behind) as u64)
    }
}

/// How far each flow and each queue of one priority goes on while the task's own flow comes to it.
struct Turns {
    queue: Option<QueueNo>,
    /// Of the other flows of its queue: how much of their work is done by then, of how much.
    flows: BTreeMap<FlowNo, (u128, u128)>,
    /// Of the other queues.
    queues: BTreeMap<QueueNo, (u128, u128)>,
}

impl Turns {
    fn new(queue: &Queue, spec: &TaskSpec, flow: Option<FlowNo>, rivals: &[Rival<'_>]) -> Self {
        let known = &queue.index.lanes.flows;
        let own_queue = flow.and_then(|flow| known.flow(flow)).map(|flow| flow.queue);
        let own_queue = own_queue.or_else(|| known.number(&spec.queue));
        let (queue_weight, flow_weight) = queue.config.weights(&spec.queue, &spec.fairness_key);
        let (mut flows, mut queues) = (BTreeMap::new(), BTreeMap::new());
        let mut own = 0;
        for rival in rivals {
            let work = u128::from(rival.tasks) * u128::from(rival.slot_us());
            match rival.turn {
                Turn::Urgent => {}
                Turn::Own => own += work,
                Turn::Other if Some(rival.queue) == own_queue => {
                    flows.entry(rival.flow).or_insert((0, 0)).1 += work;
                }
                Turn::Other => queues.entry(rival.queue).or_insert((0, 0)).1 += work,
            }
        }
        let mut done = own;
        for (no, (by_then, all)) in &mut flows {
            let key = known.flow(*no).map(|flow| &*flow.key).unwrap_or_default();
            let weight = queue.config.weights(&spec.queue, key).1;
            *by_then = (own * u128::from(weight) / u128::from(flow_weight.max(1))).min(*all);
            done += *by_then;
        }
        for (no, (by_then, all)) in &mut queues {
            let name = known.queue(*no).map(|queue| &*queue.name).unwrap_or_default();
            let weight = queue.config.weights(name, "").0;
            *by_then = (done * u128::from(weight) / u128::from(queue_weight.max(1))).min(*all);
        }
        Self { queue: own_queue, flows, queues }
    }

    /// How many of its tasks go before.
    fn before(&self, rival: &Rival<'_>) -> u64 {
        let turns = match rival.turn {
            Turn::Urgent | Turn::Own => return rival.tasks,
            Turn::Other if Some(rival.queue) == self.queue => self.flows.get(&rival.flow),
            Turn::Other => self.queues.get(&rival.queue),
        };
        turns.map_or(0, |(by_then, all)| part(rival.tasks, *by_then, *all))
    }
}

/// Whether two leases take of the same limit.
fn is_same(one: &Take, other: &Take) -> bool {
    match (one, other) {
        (Take::Tokens(one, _), Take::Tokens(other, _)) => one == other,
        (Take::Permit(one), Take::Permit(other)) => one == other,
        (Take::Tokens(..), Take::Permit(_)) | (Take::Permit(_), Take::Tokens(..)) => false,
    }
}

fn tokens(take: &Take) -> u64 {
    match take {
        Take::Tokens(_, tokens) => (*tokens).into(),
        Take::Permit(_) => 0,
    }
}

/// So much of it, rounded up.
fn part(of: u64, share: u128, whole: u128) -> u64 {
    if whole == 0 {
        return 0;
    }
    u64::try_from((u128::from(of) * share).div_ceil(whole)).unwrap_or(u64::MAX)
}
