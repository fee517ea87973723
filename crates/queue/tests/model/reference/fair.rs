//! Who goes before whom within a priority: what queues and keys have had of each kind of session, and how long tasks run.
//!
//! After each change it is written down anew who wants something. Times are whole milliseconds of a slot, times 2^40.

use std::time::Duration;

use leasehold_policy::Time;
use leasehold_queue::{SessionId, TaskId, TaskSpec};

use super::{Job, Kind, Reference, State};

const MS: u128 = 1 << 40;

/// A queue, or a key of a queue.
type Who = (String, Option<String>);

/// What is remembered of all of them.
#[derive(Clone, Debug, Default)]
pub(super) struct Fair {
    /// In the order in which they were first seen, with who served the key last.
    known: Vec<(Who, Option<SessionId>)>,
    markets: Vec<Market>,
    founded: u64,
    /// What the kind that was last gone had, if nobody has inherited that.
    orphan: Option<Market>,
    /// How long tasks of each type took that succeeded, and their average in microseconds.
    runs: Vec<(String, Vec<Duration>, u64)>,
    /// How many leases sessions of each kind were given since the last that went by age.
    given: Vec<(Kind, u64)>,
    /// How many were given to kinds that are gone and have no heir.
    bequeathed: u64,
    /// Labels that tasks asked for since leases were granted.
    wished: Vec<String>,
}

/// What a kind of session shares out.
#[derive(Clone, Debug)]
struct Market {
    /// Which it is of all there have been.
    no: u64,
    kind: Kind,
    /// Where the last turn was: of the queues, and of the keys of each queue.
    reached: Vec<(Option<String>, u128)>,
    members: Vec<Member>,
}

#[derive(Clone, Debug)]
struct Member {
    who: Who,
    total: u128,
    credit: u128,
    /// Whether something of it has waited since it came.
    is_here: bool,
}

/// Why a task is next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Why {
    Turn,
    Age,
}

/// Everything that decides between two tasks that could be leased to sessions of one kind.
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
        let queues: Vec<Who> = ready.iter().map(queue_of).collect();
        let keys: Vec<Who> = ready.iter().map(key_of).collect();
        for market in &mut self.fair.markets {
            for member in &mut market.members {
                member.is_here &= queues.contains(&member.who) || keys.contains(&member.who);
            }
        }
        if let Some(orphan) = &mut self.fair.orphan {
            for member in &mut orphan.members {
                member.is_here &= queues.contains(&member.who) || keys.contains(&member.who);
            }
        }
        let wanting: Vec<&TaskSpec> =
            ready.iter().filter(|it| !self.is_paused(&it.queue)).collect();
        for spec in wanting {
            for market in &mut self.fair.markets {
                if Self::is_for(&market.kind, spec) {
                    market.join(&queue_of(spec));
                    market.join(&key_of(spec));
                }
            }
        }
    }

    /// Which labels do tasks ask for that could be leased, or could have been since this was asked last?
    pub(super) fn listen(&mut self) {
        self.asked.append(&mut self.fair.wished);
        let kinds = self.kinds();
        self.found_markets(&kinds);
        self.look_around();
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

    /// A kind that is new goes on from what its first session was before, or from a kind that is gone.
    fn found_markets(&mut self, kinds: &[Kind]) {
        let mut heirs: Vec<(Kind, Option<Kind>)> = Vec::new();
        let own: Vec<(Kind, Option<Kind>)> =
            self.sessions.iter().map(|it| (self.kind(it), it.settled.clone())).collect();
        for kind in kinds {
            let is_known = self.fair.markets.iter().any(|market| market.kind == *kind);
            if !is_known {
                let settled = own.iter().filter(|(own, _)| own == kind).find_map(|it| it.1.clone());
                heirs.push((kind.clone(), settled));
            }
        }
        let mut founded = Vec::new();
        for (kind, heir_of) in &heirs {
            if let Some(before) = heir_of {
                let own = self.fair.markets.iter().find(|market| market.kind == *before);
                let own = own.cloned().unwrap_or_else(|| Market::new(kind));
                self.fair.founded += 1;
                founded.push(Market { no: self.fair.founded, kind: kind.clone(), ..own });
            }
        }
        let (stay, gone) = std::mem::take(&mut self.fair.markets)
            .into_iter()
            .partition::<Vec<_>, _>(|market| kinds.contains(&market.kind));
        self.fair.markets = stay;
        self.fair.markets.append(&mut founded);
        if let Some(last) = gone.into_iter().max_by_key(|market| market.kind.clone()) {
            self.fair.orphan = Some(last);
        }
        for (kind, _) in heirs.into_iter().filter(|(_, heir_of)| heir_of.is_none()) {
            let own = self.fair.orphan.take().unwrap_or_else(|| Market::new(&kind));
            self.fair.founded += 1;
            self.fair.markets.push(Market { no: self.fair.founded, kind, ..own });
        }
        for (session, (kind, _)) in self.sessions.iter_mut().zip(own) {
            session.settled = Some(kind);
        }
    }

    /// What sessions can be offered, ascending.
    pub(super) fn kinds(&self) -> Vec<Kind> {
        let mut kinds: Vec<Kind> = self.sessions.iter().map(|it| self.kind(it)).collect();
        kinds.sort();
        kinds.dedup();
        kinds
    }

    /// Where a task stands for sessions of a kind.
    pub(super) fn turn(&self, kind: &Kind, job: &Job) -> Turn {
        let market = self.fair.markets.iter().find(|market| market.kind == *kind);
        let market = market.expect("a market of each kind");
        let stands = |who: &Who| {
            let at = self.fair.known.iter().position(|(own, _)| own == who).expect("a known one");
            (market.members.iter().find(|it| it.who == *who).expect("a member").total, at)
        };
        let (queue, key) = (stands(&queue_of(&job.spec)), stands(&key_of(&job.spec)));
        (job.spec.priority, queue, key, self.start_by(job), (job.deadline, job.id))
    }

    /// Until when a task has to start, as far as is known.
    pub(super) fn start_by(&self, job: &Job) -> Time {
        job.deadline - self.fair.slow(&job.spec.task_type)
    }

    /// Whether the next lease of such a session goes by age.
    pub(super) fn is_for_the_old(&self, kind: &Kind) -> bool {
        let given = self.fair.given.iter().find(|(own, _)| own == kind).map_or(0, |(_, n)| *n);
        self.config.valve <= given + 1
    }

    /// What a task costs that is going to be leased. Says what it is thought to take, and who was told.
    pub(super) fn charge(&mut self, at: usize, kind: &Kind, why: Why) -> (Duration, Option<u64>) {
        let spec = self.jobs[at].spec.clone();
        let average = self.fair.runs.iter().find(|(own, ..)| **own == *spec.task_type);
        let takes =
            average.map_or(Duration::from_millis(100), |(.., us)| Duration::from_micros(*us));
        let takes = takes.max(Duration::from_millis(1));
        for who in [queue_of(&spec), key_of(&spec)] {
            let cost = self.cost(&who, takes);
            let market = self.fair.markets.iter_mut().find(|market| market.kind == *kind);
            let market = market.expect("a market of each kind");
            let reached = *market.reached_mut(&who);
            let member = market.members.iter_mut().find(|it| it.who == who).expect("a member");
            let free = member.credit.min(cost - cost / 16);
            let stands = member.total.max(reached);
            member.credit -= free;
            member.total = stands + cost - free;
            if why == Why::Turn {
                *market.reached_mut(&who) = stands;
            }
        }
        let given = self.fair.given.iter_mut().find(|(own, _)| own == kind);
        let (_, given) = given.expect("a known kind");
        *given = (*given + 1) % self.config.valve;
        let market = self.fair.markets.iter().find(|market| market.kind == *kind);
        (takes, market.map(|market| market.no))
    }

    /// What a lease took, in the end: for the kind of session that it was granted to.
    pub(super) fn put_right(&mut self, id: TaskId, ran: Duration) {
        let job = self.job_mut(id);
        let spec = job.spec.clone();
        let (thought, told) = job.lease().expect("a lease").thought;
        let ran = ran.max(Duration::from_millis(1));
        for who in [queue_of(&spec), key_of(&spec)] {
            let (thought, ran) = (self.cost(&who, thought), self.cost(&who, ran));
            let market = self.fair.markets.iter_mut().find(|market| Some(market.no) == told);
            if let Some(market) = market {
                market.correct(&who, ran.saturating_sub(thought), thought.saturating_sub(ran));
            }
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
        self.fair.known.iter().find(|(who, _)| *who == key_of(spec))?.1
    }

    pub(super) fn note_server(&mut self, spec: &TaskSpec, session: SessionId) {
        if !spec.fairness_key.is_empty() {
            let known = self.fair.known.iter_mut().find(|(who, _)| *who == key_of(spec));
            known.expect("a known one").1 = Some(session);
        }
    }
}

impl Market {
    fn new(kind: &Kind) -> Self {
        Self { no: 0, kind: kind.clone(), reached: Vec::new(), members: Vec::new() }
    }

    /// Where the last turn was among those that somebody is one of.
    fn reached_mut(&mut self, (queue, key): &Who) -> &mut u128 {
        let among = key.as_ref().map(|_| queue.clone());
        if self.reached.iter().all(|(own, _)| *own != among) {
            self.reached.push((among.clone(), 0));
        }
        let reached = self.reached.iter_mut().find(|(own, _)| *own == among);
        &mut reached.expect("one of each").1
    }

    fn member_mut(&mut self, who: &Who) -> &mut Member {
        if self.members.iter().all(|member| member.who != *who) {
            let who = who.clone();
            self.members.push(Member { who, total: 0, credit: 0, is_here: false });
        }
        self.members.iter_mut().find(|member| member.who == *who).expect("a member")
    }

    /// Who comes is not before the last turn, and has no credit from before it.
    fn join(&mut self, who: &Who) {
        let reached = *self.reached_mut(who);
        let member = self.member_mut(who);
        if !member.is_here && member.total <= reached {
            (member.total, member.credit) = (reached, 0);
        }
        member.is_here = true;
    }

    fn correct(&mut self, who: &Who, more: u128, less: u128) {
        let reached = *self.reached_mut(who);
        let member = self.member_mut(who);
        if !member.is_here && member.total <= reached {
            (member.total, member.credit) = (reached + more, 0);
        } else {
            member.total += more;
            member.credit += less;
        }
    }
}

impl Fair {
    fn meet(&mut self, who: &Who) {
        if self.known.iter().all(|(own, _)| own != who) {
            self.known.push((who.clone(), None));
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

fn queue_of(spec: &TaskSpec) -> Who {
    (spec.queue.to_string(), None)
}

fn key_of(spec: &TaskSpec) -> Who {
    (spec.queue.to_string(), Some(spec.fairness_key.to_string()))
}
