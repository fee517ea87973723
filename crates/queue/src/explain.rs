//! Why a task is where it is: everything that holds it back, in the order in which it would, or what its lease ends by.
//!
//! It asks what the grant asks, without an effect: lanes and gates, the roster, the leases that hold a permit. It costs as much
//! as there are sessions and 10,000 of their slots, and for a queue as there are lanes; never as much as there are tasks. Nothing
//! of it is kept.
//!
//! To add something that can hold a task back: a variant of [`Hold`] where [`Queue::holds`] asks for it. What the compiler then
//! asks for is the rest: its reason here, what is known of it in [`Blocker`], and its words where those are shown.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet, btree_map::Entry},
    iter,
};

use leasehold_policy::{Mutant, Time, namespace};

use crate::{
    Blocked, Bucketed, Estimate, FailureReason, Gate, Lease, Name, Obstacle, Phase, Queue,
    QueueView, SchemaPrint, SessionId, SessionState, Size, Take, Task, TaskId, TaskSpec, Token,
    Wait,
    backlog::Portion,
    lanes::Place,
    mark,
    session::{Session, Work},
};

/// How many holders of a permit are named.
const HOLDERS_MAX: usize = 10;

/// How many kinds of workers that do not fit are told apart, and how many workers of each are named.
const UNFIT_MAX: usize = 16;
const NAMED_MAX: usize = 3;

/// How many kinds of tasks that take the slots are told apart, and how many slots are looked into for that.
const KINDS_MAX: usize = 10;
const SLOTS_MAX: usize = 10_000;

/// How many workers are named that are reserved.
const RESERVED_MAX: usize = 10;

/// How many things that a queue waits for are told apart.
const GROUPS_MAX: usize = 20;

/// Something that holds a task back.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Hold {
    /// It waits for a time.
    Wait(Wait, Time),
    /// Its queue is paused.
    Pause,
    /// Nobody serves it.
    NoWorker,
    /// A circuit is open, or a limit is used up.
    Gate(Gate),
    /// Nobody who serves it has room.
    Capacity,
}

impl Hold {
    /// What it is called.
    pub(crate) const fn reason(&self) -> Blocked {
        match self {
            Self::Wait(Wait::Delay, _) => Blocked::Delayed,
            Self::Wait(Wait::Backoff, _) => Blocked::Backoff,
            Self::Pause => Blocked::QueuePaused,
            Self::NoWorker => Blocked::NoEligibleWorker,
            Self::Gate(gate) => gate.reason(),
            Self::Capacity => Blocked::NoCapacity,
        }
    }
}

impl Gate {
    /// What a task waits for that waits at it.
    const fn reason(&self) -> Blocked {
        match self {
            Self::Queue(_) => Blocked::QueuePaused,
            Self::Circuit(_) => Blocked::CircuitOpen,
            Self::Limit(Take::Permit(_)) => Blocked::ConcurrencyLimit,
            Self::Limit(Take::Tokens(Bucketed::Retries(_), _)) => Blocked::RetryBudget,
            Self::Limit(Take::Tokens(..)) => Blocked::RateLimited,
        }
    }
}

/// Something that holds a task back, and what is known of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Blocker {
    /// It waits for a time.
    Wait {
        /// What for.
        wait: Wait,
        /// Until when.
        until: Time,
    },
    /// Its queue is paused.
    Pause {
        /// The queue.
        queue: Name,
        /// Since when. None: since before the coordinator was started.
        since: Option<Time>,
    },
    /// Nobody serves it.
    NoWorker(Unfit),
    /// A circuit is open, or a limit is used up.
    Gate {
        /// Which, and how far.
        obstacle: Obstacle,
        /// Leases that hold a permit that it waits for, the oldest first. None of a rate: that is spent.
        holders: Vec<Holder>,
        /// How many more there are.
        more: u64,
    },
    /// Nobody who serves it has room, or others go first.
    Capacity(Capacity),
}

impl Blocker {
    /// What it is called.
    pub const fn reason(&self) -> Blocked {
        match self {
            Self::Wait { wait: Wait::Delay, .. } => Blocked::Delayed,
            Self::Wait { wait: Wait::Backoff, .. } => Blocked::Backoff,
            Self::Pause { .. } => Blocked::QueuePaused,
            Self::NoWorker(_) => Blocked::NoEligibleWorker,
            Self::Gate { obstacle, .. } => obstacle.gate.reason(),
            Self::Capacity(_) => Blocked::NoCapacity,
        }
    }
}

/// A lease that holds what a task waits for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    /// Its token.
    pub token: Token,
    /// Its task. None: the worker alone knows.
    pub task: Option<TaskId>,
    /// Its worker.
    pub worker: Option<Name>,
    /// Whether it is over, and only its work may go on: what it holds is free when its worker has answered.
    pub is_over: bool,
}

/// Why none of the workers there are serves a task.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Unfit {
    /// Those that take its type, by what is wrong with them.
    pub misfits: Vec<(Misfit, u64, Vec<Name>)>,
    /// How many workers of other such kinds there are.
    pub more: u64,
    /// How many workers do not take its type.
    pub others: u64,
}

/// What is wrong with some workers that take the type of a task: all of it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Misfit {
    /// How their sessions are. Other than active: they take nothing.
    pub state: SessionState,
    /// The namespaces that they serve where that of the task is none of them. Empty: it is.
    pub namespaces: BTreeSet<Name>,
    /// Labels that the task asks for and they do not have.
    pub labels: Vec<LabelGap>,
    /// What they have less of, in all, than a lease of the task takes.
    pub shortages: Vec<Shortage>,
    /// The payload schemas that they read where they do not read its own. Empty: they do.
    pub reads: BTreeSet<SchemaPrint>,
    /// Whether a lease of the task takes more than one slot, and they do not know of that.
    pub sizes_unknown: bool,
    /// Whether they said that they take its type, and declined such a task as unsupported.
    pub has_declined: bool,
}

/// A label that a task asks for and a worker does not have.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct LabelGap {
    /// Its name.
    pub name: Name,
    /// Its value, as the task wants it.
    pub wanted: Name,
    /// Its value, as the worker has it. None: it has no such label.
    pub found: Option<Name>,
}

/// What some workers have less of than a lease of a task takes, though nothing of it were taken.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Shortage {
    /// The name of the resource. None: slots.
    pub resource: Option<Name>,
    /// How much of it a lease takes.
    pub wanted: u64,
    /// How much of it the one of them has that has most.
    pub most: u64,
}

/// How the workers are that serve a task.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Capacity {
    /// How many there are.
    pub workers: u64,
    /// How many of them said that they have no room, or do not read what they were sent, and are left alone for a while.
    pub hushed: u64,
    /// Their slots, less those that hold work that cannot be stopped.
    pub slots: u64,
    /// How many of those are taken.
    pub used: u64,
    /// By tasks of which queues and types, those that take most first. What the worker alone knows is not among them.
    pub taken_by: Vec<(Name, Name, u64)>,
    /// How many are taken by tasks of others, or were not looked into: of very many slots only some are.
    pub more: u64,
    /// How much of one worker a lease of the task takes, all of it together.
    pub wanted: Size,
    /// Whether one of the workers has as much left: it is somebody else's turn.
    pub has_room: bool,
    /// Which of the workers take nothing that is in the way of a task that asks for much, this one or another, until they have
    /// room for it.
    pub reserved: Vec<(Name, TaskId)>,
}

/// What a lease ends by, if its worker does not end it before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum LeaseBound {
    /// Its work has to have started.
    Start,
    /// Its attempt's time is over.
    Attempt,
    /// It has given no sign of progress for too long.
    Progress,
    /// The whole task's time is over.
    Total,
    /// It was revoked, and is not waited for any longer.
    Revocation,
    /// The session of its worker, which is not connected, is over.
    Session,
}

/// How a lease goes on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outlook {
    /// How the session of its worker is.
    pub session: Option<SessionState>,
    /// Whether it waits at its worker for a slot.
    pub is_ahead: bool,
    /// What ends it, and when: what comes first is first. Empty: its worker's word, or the end of its session.
    pub bounds: Vec<(LeaseBound, Time)>,
}

/// Why an open task is where it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explanation {
    /// Everything that holds it back, in the order in which it would: were the first gone, the second would. Empty while it is
    /// leased, and only then.
    pub blockers: Vec<Blocker>,
    /// How its lease goes on, if it is under one.
    pub outlook: Option<Outlook>,
    /// How it is likely to fare.
    pub estimate: Estimate,
    /// When it is given up unless its work has started by then, and as what. None while it is leased.
    pub gives_up: Option<(Time, FailureReason)>,
}

/// Tasks of a queue that wait for the same.
#[derive(Clone, Debug, PartialEq)]
pub struct BlockedGroup {
    /// How many.
    pub count: u64,
    /// The one that goes first, by priority and deadline alone, or whose time comes first.
    pub first: TaskId,
    /// What was said of that one.
    pub spec: TaskSpec,
    /// What holds it back.
    pub blocker: Blocker,
}

/// What the tasks of a queue wait for.
#[derive(Clone, Debug, PartialEq)]
pub struct QueueExplanation {
    /// The queue.
    pub view: QueueView,
    /// What they wait for, what most wait for first.
    pub groups: Vec<BlockedGroup>,
    /// How many tasks wait for something else.
    pub more: u64,
}

impl Queue {
    /// Why a task is where it is. Its first blocker is what [`blocked`](Self::blocked) names.
    pub fn explain(&self, task: &Task) -> Explanation {
        let most = if Mutant::ExplainedBriefly.is_alive() { 1 } else { usize::MAX };
        let holds = self.holds(task).take(most);
        let blockers = holds.map(|hold| self.look_into(&task.spec, hold)).collect();
        let outlook = task.lease().map(|lease| self.outlook(task, lease));
        let gives_up = task.lease().is_none().then(|| match task.start_by() {
            Some(start) if start < task.deadline => (start, FailureReason::QueueTimeout),
            Some(_) | None => (task.deadline, FailureReason::TotalTimeout),
        });
        Explanation { blockers, outlook, estimate: self.estimate(task), gives_up }
    }

    /// What the tasks of a queue wait for, if it exists.
    pub fn explain_queue(&self, name: &Name) -> Option<QueueExplanation> {
        let view = self.queue(name)?;
        let portions = self.backlog(self.index.lanes.of_queue(name));
        let mut kinds: BTreeMap<&Hold, (u64, &Portion<'_>)> = BTreeMap::new();
        for portion in &portions {
            match kinds.entry(&portion.hold) {
                Entry::Vacant(vacant) => drop(vacant.insert((portion.count, portion))),
                Entry::Occupied(known) => {
                    let (count, first) = known.into_mut();
                    *count += portion.count;
                    if portion.lane.first < first.lane.first {
                        *first = portion;
                    }
                }
            }
        }
        let waits = [Wait::Delay, Wait::Backoff].into_iter().filter_map(|wait| {
            let waits = self.book.templates.queues.find(name)?.waits(wait);
            let ((until, first), ()) = *waits.first()?;
            Some((waits.len() as u64, Ok(first), Hold::Wait(wait, until)))
        });
        let held = kinds.into_iter();
        let held = held.map(|(hold, (count, portion))| (count, Err(portion), hold.clone()));
        let mut all: Vec<(u64, Result<TaskId, &Portion<'_>>, Hold)> = waits.chain(held).collect();
        all.sort_by(|one, other| (other.0, &other.2).cmp(&(one.0, &one.2)));
        let more = all.iter().skip(GROUPS_MAX).map(|(count, ..)| count).sum();
        let groups = all.into_iter().take(GROUPS_MAX).filter_map(|(count, first, hold)| {
            let task = match first {
                Ok(first) => self.book.task(first),
                Err(portion) => self.book.tasks.with_serial(portion.lane.behind(portion.behind)?),
            };
            let (first, spec) = task.map(|task| (task.id, task.spec.clone()))?;
            let blocker = self.look_into(&spec, hold);
            Some(BlockedGroup { count, first, spec, blocker })
        });
        Some(QueueExplanation { view, groups: groups.collect(), more })
    }

    /// Everything that holds a task back, in the order in which it would. Each is asked for when it is looked at. Nothing: it
    /// is leased.
    pub(crate) fn holds<'a>(&'a self, task: &'a Task) -> impl Iterator<Item = Hold> + 'a {
        let open = Some(task).filter(|task| task.lease().is_none());
        open.into_iter().flat_map(|task| self.holds_open(task))
    }

    fn holds_open<'a>(&'a self, task: &'a Task) -> impl Iterator<Item = Hold> + 'a {
        let spec = &task.spec;
        let waits = match task.phase {
            Phase::Scheduled { wait, eligible } => Some(Hold::Wait(wait, eligible)),
            Phase::Queued | Phase::Leased(_) => None,
        };
        let pause = move || self.book.is_paused(&spec.queue).then_some(Hold::Pause);
        let no_worker = move || (!self.roster.serves(spec)).then_some(Hold::NoWorker);
        let place = Place::of(task);
        let gates = move || self.index.lanes.gates.shut_for(spec, place).map(Hold::Gate);
        let capacity = move || self.is_crowded(task).then_some(Hold::Capacity);
        waits
            .into_iter()
            .chain(iter::once_with(pause).flatten())
            .chain(iter::once_with(no_worker).flatten())
            .chain(iter::once_with(gates).flatten())
            .chain(iter::once_with(capacity).flatten())
    }

    /// Whether room is what a task waits for: there is none with those who serve it, or it waits for nothing else and will be
    /// leased as soon as it is its turn.
    fn is_crowded(&self, task: &Task) -> bool {
        let spec = &task.spec;
        let is_held = || {
            let mut shut = self.index.lanes.gates.shut_for(spec, Place::of(task));
            self.book.is_paused(&spec.queue) || shut.next().is_some()
        };
        let is_alone = || task.phase == Phase::Queued && !is_held();
        self.roster.serves(spec) && (!self.roster.has_room(spec) || is_alone())
    }

    fn look_into(&self, spec: &TaskSpec, hold: Hold) -> Blocker {
        match hold {
            Hold::Wait(wait, until) => Blocker::Wait { wait, until },
            Hold::Pause => {
                let since = self.index.lanes.gates.paused_since(&spec.queue);
                Blocker::Pause { queue: Name::clone(&spec.queue), since }
            }
            Hold::NoWorker => Blocker::NoWorker(self.unfit(spec)),
            Hold::Gate(gate) => {
                let (holders, more) = self.holders(&gate);
                let obstacle = self.index.lanes.gates.obstacle(gate);
                Blocker::Gate { obstacle, holders, more }
            }
            Hold::Capacity => Blocker::Capacity(self.crew(spec)),
        }
    }

    fn unfit(&self, spec: &TaskSpec) -> Unfit {
        let mut others = 0;
        let mut kinds: BTreeMap<Misfit, (u64, Vec<Name>)> = BTreeMap::new();
        let mut most: BTreeMap<Misfit, Vec<u64>> = BTreeMap::new();
        for (_, session) in self.roster.iter() {
            if !session.task_types.contains(&spec.task_type) {
                others += 1;
                continue;
            }
            let mut misfit = Misfit::of(session, spec);
            let amounts: Vec<u64> =
                misfit.shortages.iter_mut().map(|it| std::mem::take(&mut it.most)).collect();
            let known = most.entry(misfit.clone()).or_insert_with(|| amounts.clone());
            known.iter_mut().zip(amounts).for_each(|(known, amount)| *known = amount.max(*known));
            let (count, names) = kinds.entry(misfit).or_default();
            *count += 1;
            if names.len() < NAMED_MAX {
                names.push(Name::clone(&session.worker));
            }
        }
        let more = kinds.values().skip(UNFIT_MAX).map(|(count, _)| count).sum();
        let misfits = kinds.into_iter().take(UNFIT_MAX);
        let misfits = misfits.map(|(mut misfit, (count, names))| {
            let amounts = most.remove(&misfit).unwrap_or_default();
            misfit.shortages.iter_mut().zip(amounts).for_each(|(it, amount)| it.most = amount);
            (misfit, count, names)
        });
        let misfits = misfits.collect();
        Unfit { misfits, more, others }
    }

    fn holders(&self, gate: &Gate) -> (Vec<Holder>, u64) {
        let Gate::Limit(Take::Permit(permit)) = gate else { return (Vec::new(), 0) };
        let mut tokens = self.index.lanes.gates.holders(permit);
        let first: Vec<Token> = tokens.by_ref().take(HOLDERS_MAX).collect();
        let more = tokens.count() as u64;
        (first.into_iter().map(|token| self.holder(token)).collect(), more)
    }

    fn holder(&self, token: Token) -> Holder {
        let task = self.index.leases.get(&token).and_then(|id| self.book.task(*id));
        if let Some((task, lease)) = task.and_then(|task| Some((task.id, task.lease()?))) {
            let worker = Some(Name::clone(&lease.worker));
            return Holder { token, task: Some(task), worker, is_over: false };
        }
        // Which session works on is known to that session alone.
        let at = self.roster.iter().find_map(|(_, it)| Some((it, it.work(token)?)));
        let (worker, work) = at.map(|(session, work)| (&session.worker, work)).unzip();
        let task = work.and_then(|work| match work {
            Work::Lease(task) => Some(task),
            Work::Zombie { task, .. } => task,
        });
        Holder { token, task, worker: worker.cloned(), is_over: true }
    }

    fn crew(&self, spec: &TaskSpec) -> Capacity {
        let (wanted, has_room) = (spec.shape.size.clone(), self.roster.has_room(spec));
        let (mut capacity, mut seen) = (Capacity { wanted, has_room, ..Capacity::default() }, 0);
        let mut reserved: BTreeMap<SessionId, TaskId> =
            self.roster.reservations().map(|it| (it.session, it.task)).collect();
        let mut kinds: BTreeMap<(&Name, &Name), u64> = BTreeMap::new();
        let serving =
            |(_, session): &(SessionId, &Session)| session.is_eligible() && session.serves(spec);
        for (id, session) in self.roster.iter().filter(serving) {
            let task = reserved.remove(&id).map(|task| (Name::clone(&session.worker), task));
            capacity.reserved.extend(task.filter(|_| capacity.reserved.len() < RESERVED_MAX));
            capacity.workers += 1;
            capacity.hushed += u64::from(!session.takes_tasks());
            let slots = session.whole.slots.saturating_sub(session.lost);
            capacity.slots += u64::from(slots);
            capacity.used += u64::from((session.taken().slots + session.ahead()).min(slots));
            let held = session.count() as usize;
            if SLOTS_MAX - seen < held {
                capacity.more += held as u64;
                continue;
            }
            seen += held;
            for work in session.works() {
                let Work::Lease(id) = work else { continue };
                let task = self.book.task(id);
                let slots = task.map_or(1, |task| task.spec.shape.size.slots.into());
                capacity.more += slots;
                if let Some(task) = task {
                    *kinds.entry((&task.spec.queue, &task.spec.task_type)).or_default() += slots;
                }
            }
        }
        let mut kinds: Vec<_> = kinds.into_iter().collect();
        kinds.sort_by_key(|(_, count)| Reverse(*count));
        kinds.truncate(KINDS_MAX);
        capacity.more -= kinds.iter().map(|(_, count)| count).sum::<u64>();
        let named = kinds.into_iter();
        let named = named.map(|((queue, kind), n)| (Name::clone(queue), Name::clone(kind), n));
        capacity.taken_by = named.collect();
        capacity
    }

    fn outlook(&self, task: &Task, lease: &Lease) -> Outlook {
        let id = lease.session;
        let session = id.and_then(|id| self.roster.get(id));
        let is_ahead = id.is_some_and(|id| self.parking.is_parked(id, lease.token));
        let mut bounds = Vec::new();
        let is_connected = session.is_some_and(|session| session.stream.is_some());
        if let Some(session) = session.filter(|_| !is_connected) {
            bounds.push((LeaseBound::Session, session.expires_at()));
        }
        if lease.revoking.is_some() {
            bounds.extend(mark::given_up(task).map(|at| (LeaseBound::Revocation, at)));
        } else {
            let unstarted = session.filter(|_| lease.started.is_none());
            let start = unstarted.and_then(|session| session.expected_by(lease.token));
            bounds.extend(start.map(|at| (LeaseBound::Start, at)));
            bounds.extend(mark::attempt_end(task).map(|at| (LeaseBound::Attempt, at)));
            // Its silence is not held against a worker that cannot be heard.
            let silence = mark::silence_limit(task).filter(|_| is_connected);
            bounds.extend(silence.map(|at| (LeaseBound::Progress, at)));
            bounds.push((LeaseBound::Total, task.deadline));
        }
        bounds.sort_by_key(|(bound, at)| (*at, *bound));
        Outlook { session: session.map(Session::state), is_ahead, bounds }
    }
}

impl Misfit {
    /// What is wrong with a worker that takes the task's type.
    fn of(session: &Session, spec: &TaskSpec) -> Self {
        let found = |wanted: &Name| {
            let label = session.labels.iter().find(|(name, _)| name == wanted);
            label.map(|(_, value)| Name::clone(value))
        };
        let gaps = spec.shape.selector.iter().map(|(name, wanted)| LabelGap {
            name: Name::clone(name),
            wanted: Name::clone(wanted),
            found: found(name),
        });
        let serves_it = session.is_for(namespace::of(&spec.queue));
        let reads_it = session.reads.reads(&spec.task_type, spec.shape.schema);
        let reads = session.reads.of(&spec.task_type).filter(|_| !reads_it).collect();
        Self {
            state: session.state(),
            namespaces: session.namespaces.iter().filter(|_| !serves_it).cloned().collect(),
            labels: gaps.filter(|gap| gap.found.as_ref() != Some(&gap.wanted)).collect(),
            shortages: Shortage::all(&session.whole, &spec.shape.size),
            reads,
            sizes_unknown: !session.knows_sizes && !spec.shape.size.is_plain(),
            has_declined: session.unsupported.contains(&spec.task_type),
        }
    }
}

impl Shortage {
    /// Everything that somebody has less of than is wanted.
    fn all(whole: &Size, wanted: &Size) -> Vec<Self> {
        let (most, slots) = (whole.slots.max(1).into(), wanted.slots.into());
        let slots = Self { resource: None, wanted: slots, most };
        let others = wanted.resources.iter().map(|(name, amount)| Self {
            resource: Some(Name::clone(name)),
            wanted: *amount,
            most: whole.amount(name),
        });
        iter::once(slots).chain(others).filter(|it| it.most < it.wanted).collect()
    }
}
