//! What goes before a task: how many of the tasks that wait, and how much work they are.
//!
//! It looks at lanes, never at all of their tasks, and at so many of them at most. Where turns are taken between queues and
//! fairness keys it knows only that they are taken, not whose turn it is now: it can be wrong by what is owed to them, and
//! by one run of each.

use std::{cmp::Ordering, collections::BTreeMap};

use leasehold_policy::Time;

use crate::{
    Queue, Take, TaskSpec,
    flows::{FlowNo, QueueNo},
    gate::Gate,
    lanes::{Lane, Place},
    need::{Audience, NeedNo},
    roster::Serving,
};

/// How many lanes are looked at. Of more every so many-th stands for those between.
const LANES_MAX: usize = 512;

/// How many tasks are passed by, of all lanes together, to find out how many there are before one in the middle. Beyond that
/// the deadlines in a lane are taken to be spread evenly.
const STEPS_MAX: usize = 8_192;

/// How many classes of sessions are looked at, for all lanes together, to find out how many slots two needs share.
const CLASSES_MAX: usize = 4_096;

/// Tasks that go before another one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Line {
    /// How many.
    pub(crate) tasks: u64,
    /// How many tokens they take of the limit in question.
    pub(crate) tokens: u64,
    /// How long they run, taken together, in microseconds.
    work_us: u128,
}

/// What goes before a task to the slots that serve it, and to each limit that its lease takes of.
#[derive(Clone, Debug)]
pub(crate) struct Ahead {
    pub(crate) to_slots: Line,
    /// By when the last of those has run out of time, if it has not had its turn by then.
    pub(crate) gone_by: Time,
    pub(crate) to_limits: Vec<(Take, Line)>,
}

impl Line {
    /// So many tasks that run for so long each.
    pub(crate) fn of(tasks: u64, run_us: u64) -> Self {
        Self { tasks, tokens: 0, work_us: u128::from(tasks) * u128::from(run_us) }
    }

    /// Both.
    pub(crate) fn and(self, other: Self) -> Self {
        Self {
            tasks: self.tasks.saturating_add(other.tasks),
            tokens: self.tokens.saturating_add(other.tokens),
            work_us: self.work_us.saturating_add(other.work_us),
        }
    }

    /// How long one of them runs on average, in microseconds; at least one.
    pub(crate) fn mean_us(self) -> u64 {
        let mean = self.work_us.checked_div(self.tasks.into()).unwrap_or_default();
        u64::try_from(mean).unwrap_or(u64::MAX).max(1)
    }
}

/// A lane that has tasks which go before the one in question, or may.
struct Rival {
    queue: QueueNo,
    flow: FlowNo,
    turn: Turn,
    /// How many tasks: those that go before, or where turns are taken, all.
    tasks: u64,
    run_us: u64,
    /// When the last of them runs out of time.
    gone_by: Time,
    /// Of the slots that serve it, how many serve the task, too.
    shared: (u64, u64),
    /// How many of its tasks get past the limits that it is under and the task is not.
    room: u64,
    /// Which of the limits that the task is under it is under, too, and how many tokens it takes of it.
    limits: Vec<(usize, u64)>,
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
        let queue = self;
        let mut asker =
            Asker { queue, serving, place, flow, takes, shared, classes, steps: STEPS_MAX };
        let rivals = own.map(|(_, lane)| (lane, 1)).into_iter();
        let rivals = rivals.chain(others.into_iter().map(|(_, lane, stands_for)| (lane, stands_for)));
        let rivals: Vec<Rival> =
            rivals.filter_map(|(lane, stands_for)| asker.rival(lane, stands_for)).collect();
        let turns = Turns::new(self, spec, flow, &rivals);
        let mut to_limits: Vec<(Take, Line)> =
            asker.takes.into_iter().map(|take| (take, Line::default())).collect();
        let (mut to_slots, mut gone_by) = (Line::default(), self.now);
        for rival in &rivals {
            let tasks = turns.before(rival);
            let (shared, all) = rival.shared;
            let competing = part(tasks.min(rival.room), shared.into(), all.into());
            to_slots = to_slots.and(Line::of(competing, rival.run_us));
            if 0 < competing {
                gone_by = gone_by.max(rival.gone_by);
            }
            for (limit, tokens) in &rival.limits {
                if let Some((_, line)) = to_limits.get_mut(*limit) {
                    let tokens = tasks.saturating_mul(*tokens);
                    *line = line.and(Line { tokens, ..Line::of(tasks, rival.run_us) });
                }
            }
        }
        Ahead { to_slots, gone_by, to_limits }
    }
}

impl Asker<'_> {
    /// A lane, if it has to do with the task.
    fn rival(&mut self, lane: &Lane, stands_for: u64) -> Option<Rival> {
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
        let all = lane.tasks.len() as u64;
        let (tasks, last) = if turn == Turn::Own {
            (self.rank(lane), lane.tasks.range(..self.place).next_back())
        } else {
            (all, lane.tasks.last_key_value())
        };
        let gone_by = last.map_or(self.queue.now, |(place, _)| place.deadline);
        Some(Rival {
            queue: flow.queue,
            flow: lane.flow,
            turn,
            tasks: tasks.saturating_mul(stands_for),
            run_us: self.queue.micros(&need.task_type),
            gone_by,
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
    fn rank(&mut self, lane: &Lane) -> u64 {
        let (place, all) = (self.place, lane.tasks.len());
        let Some((first, _)) = lane.tasks.first_key_value() else { return 0 };
        let Some((last, _)) = lane.tasks.last_key_value() else { return 0 };
        if *last < place {
            return all as u64;
        }
        let most = self.steps / 2;
        let behind = lane.tasks.range(place..).take(most).count();
        self.steps -= behind;
        if behind < most {
            return (all - behind) as u64;
        }
        let most = self.steps;
        let before = lane.tasks.range(..place).take(most).count();
        self.steps -= before;
        if before < most {
            return before as u64;
        }
        let after_first = |it: &Place| it.deadline.since(first.deadline).as_millis();
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
    fn new(queue: &Queue, spec: &TaskSpec, flow: Option<FlowNo>, rivals: &[Rival]) -> Self {
        let known = &queue.index.lanes.flows;
        let own_queue = flow.and_then(|flow| known.flow(flow)).map(|flow| flow.queue);
        let own_queue = own_queue.or_else(|| known.number(&spec.queue));
        let (queue_weight, flow_weight) = queue.config.weights(&spec.queue, &spec.fairness_key);
        let (mut flows, mut queues) = (BTreeMap::new(), BTreeMap::new());
        let mut own = 0;
        for rival in rivals {
            let work = u128::from(rival.tasks) * u128::from(rival.run_us);
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
    fn before(&self, rival: &Rival) -> u64 {
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
