//! Who goes before whom within a priority: what queues and keys have had, and how long tasks run.
//!
//! After each change it is written down anew who wants something. Times are whole milliseconds of a slot, times 2^40.

use std::time::Duration;

use leasehold_policy::Time;
use leasehold_queue::{SessionId, Shape, TaskId, TaskSpec};

use super::{Job, Kind, Reference, State};

const MS: u128 = 1 << 40;
const HOUR: u128 = 3_600_000 * MS;

/// A queue, or a key of a queue.
type Who = (String, Option<String>);

/// What is remembered of all of them.
#[derive(Clone, Debug, Default)]
pub(super) struct Fair {
    /// In the order in which they were first seen.
    had: Vec<Had>,
    crowds: Vec<Crowd>,
    /// How long tasks of each type took that succeeded, and their average in microseconds.
    runs: Vec<(String, Vec<Duration>, u64)>,
    /// How many leases sessions of each kind were given since the last that went by age.
    given: Vec<(Kind, u64)>,
    /// How many were given to kinds that are gone and have no heir.
    bequeathed: u64,
    furthest: u128,
    /// Labels that tasks asked for since leases were granted.
    wished: Vec<String>,
}

#[derive(Clone, Debug)]
struct Had {
    who: Who,
    total: u128,
    credit: u128,
    /// Of a queue: where its keys were served.
    furthest: u128,
    /// Of a key: who served it.
    session: Option<SessionId>,
}

/// Those who want the same at the same priority; or the keys of one queue among them.
#[derive(Clone, Debug)]
struct Crowd {
    task_type: String,
    shape: Shape,
    priority: u8,
    /// None: of queues.
    queue: Option<String>,
    reached: u128,
    /// With what is forgiven each of them.
    members: Vec<(Who, u128)>,
}

/// Why a task is next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Why {
    Turn,
    Age,
}

/// Everything that decides between two tasks that could be leased.
pub(super) type Turn = (u8, (u128, usize), (u128, usize), Time, (Time, TaskId));

impl Reference {
    /// Who wants something by now?
    pub(super) fn look_around(&mut self) {
        let ready: Vec<TaskSpec> = self
            .jobs
            .iter()
            .filter(|job| matches!(job.state, State::Ready))
            .map(|job| job.spec.clone())
            .collect();
        for spec in &ready {
            self.fair.meet(&queue_of(spec));
            self.fair.meet(&key_of(spec));
            let names = spec.shape.selector.iter().map(|(name, _)| name.to_string());
            self.fair.wished.extend(names);
        }
        let wanting: Vec<TaskSpec> =
            ready.into_iter().filter(|spec| !self.is_paused(&spec.queue)).collect();
        let fair = &mut self.fair;
        fair.crowds.retain(|crowd| wanting.iter().any(|spec| crowd.takes(spec)));
        for crowd in &mut fair.crowds {
            let own: Vec<_> = wanting.iter().filter(|spec| crowd.takes(spec)).collect();
            let is_of_keys = crowd.queue.is_some();
            let who = |spec: &TaskSpec| if is_of_keys { key_of(spec) } else { queue_of(spec) };
            crowd.members.retain(|(member, _)| own.iter().any(|spec| who(spec) == *member));
        }
        for spec in &wanting {
            for queue in [None, Some(spec.queue.to_string())] {
                fair.join(spec, queue);
            }
        }
    }

    /// Which labels do tasks ask for that could be leased, or could have been since this was asked last?
    pub(super) fn listen(&mut self) {
        self.asked.append(&mut self.fair.wished);
        self.look_around();
        let kinds = self.kinds();
        let fair = &mut self.fair;
        let (stay, gone) =
            fair.given.drain(..).partition::<Vec<_>, _>(|(kind, _)| kinds.contains(kind));
        let mut bequeathed = fair.bequeathed + gone.iter().map(|(_, given)| given).sum::<u64>();
        fair.given = stay;
        for kind in kinds {
            if !fair.given.iter().any(|(own, _)| *own == kind) {
                fair.given.push((kind, std::mem::take(&mut bequeathed)));
            }
        }
        fair.bequeathed = bequeathed;
    }

    /// What sessions can be offered, ascending.
    pub(super) fn kinds(&self) -> Vec<Kind> {
        let mut kinds: Vec<Kind> = self.sessions.iter().map(|it| self.kind(it)).collect();
        kinds.sort();
        kinds.dedup();
        kinds
    }

    pub(super) fn turn(&self, job: &Job) -> Turn {
        let stands = |queue: Option<String>, who: &Who| {
            let at = self.fair.had.iter().position(|had| had.who == *who).expect("a known one");
            let crowd = self.fair.crowds.iter().find(|it| it.is(&job.spec, queue.as_deref()));
            let crowd = crowd.expect("a crowd");
            let (_, forgiven) = crowd.members.iter().find(|(it, _)| it == who).expect("a member");
            ((self.fair.had[at].total - forgiven).max(crowd.reached), at)
        };
        let queue = stands(None, &queue_of(&job.spec));
        let key = stands(Some(job.spec.queue.to_string()), &key_of(&job.spec));
        let slow = self.fair.slow(&job.spec.task_type);
        (job.spec.priority, queue, key, job.deadline - slow, (job.deadline, job.id))
    }

    /// Whether the next lease of such a session goes by age.
    pub(super) fn is_for_the_old(&self, kind: &Kind) -> bool {
        let given = self.fair.given.iter().find(|(own, _)| own == kind).map_or(0, |(_, n)| *n);
        self.config.valve <= given + 1
    }

    /// What a task costs that is going to be leased. Says what it is thought to take.
    pub(super) fn charge(&mut self, at: usize, turn: Turn, kind: &Kind, why: Why) -> Duration {
        let spec = self.jobs[at].spec.clone();
        let average = self.fair.runs.iter().find(|(own, ..)| **own == *spec.task_type);
        let takes =
            average.map_or(Duration::from_millis(100), |(.., us)| Duration::from_micros(*us));
        let takes = takes.max(Duration::from_millis(1));
        let (_, (queue_stands, _), (key_stands, _), ..) = turn;
        let levels = [
            (None, queue_of(&spec), queue_stands),
            (Some(&*spec.queue), key_of(&spec), key_stands),
        ];
        for (level, who, stands) in levels {
            let cost = self.cost(&who, takes);
            let crowd = self.fair.crowds.iter_mut().find(|it| it.is(&spec, level));
            let crowd = crowd.expect("a crowd");
            let forgiven = crowd.members.iter().find(|(it, _)| *it == who).expect("a member").1;
            if why == Why::Turn {
                crowd.reached = stands;
                if level.is_none() {
                    self.fair.furthest = self.fair.furthest.max(stands);
                } else {
                    let queue = self.fair.had_mut(&queue_of(&spec));
                    queue.furthest = queue.furthest.max(stands);
                }
            }
            let had = self.fair.had_mut(&who);
            let free = had.credit.min(cost - cost / 16);
            had.credit -= free;
            had.total = stands + forgiven + cost - free;
        }
        let given = self.fair.given.iter_mut().find(|(own, _)| own == kind);
        let (_, given) = given.expect("a known kind");
        *given = (*given + 1) % self.config.valve;
        takes
    }

    /// What a lease took, in the end.
    pub(super) fn put_right(&mut self, id: TaskId, ran: Duration) {
        let job = self.job_mut(id);
        let spec = job.spec.clone();
        let thought = job.lease().expect("a lease").thought;
        let ran = ran.max(Duration::from_millis(1));
        for who in [queue_of(&spec), key_of(&spec)] {
            let (thought, ran) = (self.cost(&who, thought), self.cost(&who, ran));
            let Some(had) = self.fair.had.iter_mut().find(|had| had.who == who) else { continue };
            had.total += ran.saturating_sub(thought);
            had.credit += thought.saturating_sub(ran);
        }
    }

    fn cost(&self, (queue, key): &Who, time: Duration) -> u128 {
        let weights = self.config.weights.get(&**queue);
        let weight = match key {
            None => weights.map_or(1, |weights| weights.queue),
            Some(key) => weights.and_then(|it| it.keys.get(&**key)).copied().unwrap_or(1),
        };
        time.as_millis() * MS / u128::from(weight)
    }

    pub(super) fn served_by(&self, spec: &TaskSpec) -> Option<SessionId> {
        self.fair.had.iter().find(|had| had.who == key_of(spec))?.session
    }

    pub(super) fn note_server(&mut self, spec: &TaskSpec, session: SessionId) {
        if !spec.fairness_key.is_empty() {
            self.fair.had_mut(&key_of(spec)).session = Some(session);
        }
    }
}

impl Fair {
    fn meet(&mut self, who: &Who) {
        if self.had.iter().all(|had| had.who != *who) {
            let who = who.clone();
            self.had.push(Had { who, total: 0, credit: 0, furthest: 0, session: None });
        }
    }

    fn had_mut(&mut self, who: &Who) -> &mut Had {
        self.had.iter_mut().find(|had| had.who == *who).expect("a known one")
    }

    fn join(&mut self, spec: &TaskSpec, queue: Option<String>) {
        let who = if queue.is_some() { key_of(spec) } else { queue_of(spec) };
        let reached = match &queue {
            None => self.furthest,
            Some(_) => self.had_mut(&queue_of(spec)).furthest,
        };
        let total = self.had_mut(&who).total;
        if !self.crowds.iter().any(|crowd| crowd.is(spec, queue.as_deref())) {
            let (task_type, shape) = (spec.task_type.to_string(), spec.shape.clone());
            let (priority, members) = (spec.priority, Vec::new());
            self.crowds.push(Crowd { task_type, shape, priority, queue, reached, members });
            return self.join(spec, self.crowds.last().expect("a crowd").queue.clone());
        }
        let crowd = self.crowds.iter_mut().find(|crowd| crowd.is(spec, queue.as_deref()));
        let crowd = crowd.expect("a crowd");
        if crowd.members.iter().all(|(member, _)| *member != who) {
            crowd.members.push((who, total.saturating_sub(crowd.reached + HOUR)));
        }
    }

    /// A task took so long and succeeded.
    pub(super) fn learn(&mut self, task_type: &str, ran: Duration) {
        let us = u64::try_from(ran.as_micros()).unwrap();
        let Some((_, runs, average)) = self.runs.iter_mut().find(|(own, ..)| own == task_type)
        else {
            return self.runs.push((task_type.to_owned(), vec![ran], us));
        };
        *average = *average - *average / 8 + us / 8;
        runs.push(ran);
    }

    /// What 19 of 20 tasks do not take, rounded up to 2, 3, 4, 6, 8, 12, 16, … milliseconds.
    fn slow(&self, task_type: &str) -> Duration {
        let Some((_, runs, _)) = self.runs.iter().find(|(own, ..)| own == task_type) else {
            return Duration::ZERO;
        };
        let mut runs = runs.clone();
        runs.sort();
        let run = runs[(runs.len() * 95).div_ceil(100) - 1];
        let (mut low, mut high) = (2, 3);
        while Duration::from_millis(low) <= run {
            (low, high) = (high, 2 * low);
        }
        Duration::from_millis(low).min(*runs.last().expect("a run"))
    }

    /// What no task took less than, rounded down to 0, 2, 3, 4, 6, 8, 12, … milliseconds, if so many were seen.
    pub(super) fn fast(&self, task_type: &str, enough: usize) -> Option<Duration> {
        let (_, runs, _) = self.runs.iter().find(|(own, ..)| own == task_type)?;
        let run = *runs.iter().min().filter(|_| enough <= runs.len())?;
        let (mut low, mut high) = (2, 3);
        while Duration::from_millis(high) <= run {
            (low, high) = (high, 2 * low);
        }
        Some(Duration::from_millis(if run < Duration::from_millis(2) { 0 } else { low }))
    }
}

impl Crowd {
    fn takes(&self, spec: &TaskSpec) -> bool {
        self.is(spec, self.queue.as_ref().map(|_| &*spec.queue))
    }

    fn is(&self, spec: &TaskSpec, queue: Option<&str>) -> bool {
        self.task_type == *spec.task_type
            && self.shape == spec.shape
            && self.priority == spec.priority
            && self.queue.as_deref() == queue
    }
}

fn queue_of(spec: &TaskSpec) -> Who {
    (spec.queue.to_string(), None)
}

fn key_of(spec: &TaskSpec) -> Who {
    (spec.queue.to_string(), Some(spec.fairness_key.to_string()))
}
