//! When a task may start and be over, reckoned from what waits, what runs, who serves it and which limits it is under.
//!
//! It promises nothing and changes nothing. Slots and each limit are looked at as if they alone held the task back, and the
//! latest of them counts. What an estimate costs is bounded, whatever waits and runs.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BinaryHeap},
    fmt,
    time::Duration,
};

use leasehold_policy::Time;

use crate::{
    Guarded, Lease, Permit, Phase, Queue, SessionId, Take, Task, TaskSpec, Token, Wait,
    ahead::Ahead,
    gate::Gate,
    lanes::Place,
    pace::as_micros,
    rehearsal::{Act, End, rehearse},
    reservation::room_by,
    roster::Serving,
    session::Work,
};

/// How many leases are looked at each for itself. The ends of more are taken to be spread evenly over a usual run, as they
/// are the more the more there are.
const LEASES_MAX: usize = 256;

/// How many sessions are looked at for one that has room for a task of many slots.
const SESSIONS_MAX: usize = 256;

/// How fine that spread is.
const SPREAD: u64 = 64;

/// How a task is likely to fare, as things are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Estimate {
    /// How many of the tasks that wait now go before it to the slots that serve it.
    pub ahead: u64,
    /// How many slots serve it, taken or not.
    pub slots: u64,
    /// When it may start. None: nobody serves it, or what holds it back has no end that is known.
    pub starts: Option<Time>,
    /// When a run that starts then is over. None: it does not start, or no run of its type has succeeded so far.
    pub over: Option<Over>,
    /// What it waits for longest.
    pub bound_by: Bound,
}

/// When a task is over that runs as long as those of its type do. That it starts later or sooner than reckoned is not in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Over {
    /// If it runs no longer than half of them.
    pub p50: Time,
    /// If it runs no longer than 19 of 20 of them.
    pub p95: Time,
}

/// What a task waits for longest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Bound {
    /// Nothing: it could start now, or has started.
    Nothing,
    /// The end of its delay or backoff.
    Delay(Wait),
    /// A slot.
    Capacity,
    /// A limit.
    Limit(Take),
    /// The circuit of what it calls, which is open.
    Circuit(Guarded),
    /// The end of the pause of its queue.
    Paused,
    /// A worker that serves it.
    Worker,
}

impl fmt::Display for Bound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nothing => f.write_str("its own run"),
            Self::Delay(Wait::Delay) => f.write_str("its initial delay"),
            Self::Delay(Wait::Backoff) => f.write_str("its backoff"),
            Self::Capacity => f.write_str("a free slot"),
            Self::Limit(take) => write!(f, "{take}"),
            Self::Circuit(guarded) => write!(f, "the circuit of breakers.{guarded}"),
            Self::Paused => f.write_str("its queue, which is paused"),
            Self::Worker => f.write_str("a worker that serves it"),
        }
    }
}

impl Estimate {
    /// When it is over in one case of two; if nothing is known of how long it runs, when it starts.
    pub fn likely_end(&self) -> Option<Time> {
        self.over.map(|over| over.p50).or(self.starts)
    }
}

impl Queue {
    /// How a task that has not ended is likely to fare.
    pub fn estimate(&self, task: &Task) -> Estimate {
        let (spec, place) = (&task.spec, Place::of(task));
        match &task.phase {
            Phase::Queued => self.reckon(spec, place, None),
            Phase::Scheduled { eligible, wait } => {
                self.reckon(spec, place, Some((*eligible, *wait)))
            }
            Phase::Leased(lease) => self.reckon_leased(task, lease),
        }
    }

    /// How a task is likely to fare that is submitted now and has to be over by then.
    pub fn estimate_spec(&self, spec: &TaskSpec, deadline: Time) -> Estimate {
        let place = Place::of_new(spec, deadline);
        let eligible = self.now + spec.initial_delay();
        let delay = (self.now < eligible).then_some((eligible, Wait::Delay));
        self.reckon(spec, place, delay)
    }

    fn reckon_leased(&self, task: &Task, lease: &Lease) -> Estimate {
        let parked = lease.session.filter(|id| self.parking.is_parked(*id, lease.token));
        let (starts, bound_by) = match parked {
            Some(id) => {
                let wait = self.row(id).get(&lease.token).copied();
                (wait.map(|us| self.now + Duration::from_micros(us)), Bound::Capacity)
            }
            None => (Some(lease.started.unwrap_or(self.now)), Bound::Nothing),
        };
        let over = starts.and_then(|at| self.over(&task.spec.task_type, at));
        let over =
            over.map(|over| Over { p50: over.p50.max(self.now), p95: over.p95.max(self.now) });
        let slots = self.roster.serving(&task.spec, &self.index.lanes.needs).slots();
        Estimate { ahead: 0, slots, starts, over, bound_by }
    }

    fn reckon(&self, spec: &TaskSpec, place: Place, wait: Option<(Time, Wait)>) -> Estimate {
        let serving = self.roster.serving(spec, &self.index.lanes.needs);
        let ahead = self.ahead(spec, place, &serving);
        let found = self.latest((spec, place), &serving, &ahead).map(|(at, bound_by)| match wait {
            Some((eligible, wait)) if at <= eligible => (eligible, Bound::Delay(wait)),
            _ if at <= self.now => (self.now, Bound::Nothing),
            _ => (at, bound_by),
        });
        let (starts, bound_by) = match found {
            Ok((at, bound_by)) => (Some(at), bound_by),
            Err(bound_by) => (None, bound_by),
        };
        let over = starts.and_then(|at| self.over(&spec.task_type, at));
        Estimate { ahead: ahead.tasks, slots: serving.slots(), starts, over, bound_by }
    }

    /// When the last of what a task waits for is there, and what that is; or what may never be.
    fn latest(
        &self,
        (spec, place): (&TaskSpec, Place),
        serving: &Serving<'_>,
        ahead: &Ahead,
    ) -> Result<(Time, Bound), Bound> {
        let gates = &self.index.lanes.gates;
        if self.book.is_paused(&spec.queue) {
            return Err(Bound::Paused);
        }
        let slots = self.slot_ends(serving);
        let acts: Vec<Act> =
            self.leased_ahead(spec, serving).chain(ahead.to_slots.iter().copied()).collect();
        let slot = rehearse(&slots, &acts).ok_or(Bound::Worker)?;
        let slot = self.now + slot;
        let room = self.room_at(spec, serving);
        let mut latest = (room.map_or(slot, |room| slot.max(room)), Bound::Capacity);
        for gate in gates.shut_for(spec, place) {
            if let Gate::Circuit(guarded) = &gate {
                let at = gates.opens_at(&gate).ok_or_else(|| Bound::Circuit(guarded.clone()))?;
                if latest.0 < at {
                    latest = (at, Bound::Circuit(guarded.clone()));
                }
            }
        }
        for (take, acts, tokens_before) in &ahead.to_limits {
            let wait = match take {
                Take::Tokens(of, tokens) => {
                    let before = u32::try_from(*tokens_before).unwrap_or(u32::MAX);
                    gates.wait_behind(of, before, *tokens)
                }
                Take::Permit(permit) => rehearse(&self.permit_ends(permit), acts)
                    .ok_or_else(|| Bound::Limit(take.clone()))?,
            };
            let at = self.now + wait;
            if latest.0 < at {
                latest = (at, Bound::Limit(take.clone()));
            }
        }
        Ok(latest)
    }

    /// When the first session has room for a task of many slots, or of something else than slots, if none has it now and as far
    /// as it is known when what they hold ends.
    fn room_at(&self, spec: &TaskSpec, serving: &Serving<'_>) -> Option<Time> {
        let (size, leases) = (&spec.shape.size, &self.index.leases);
        if size.is_plain() || LEASES_MAX < leases.len() || self.roster.has_room(spec) {
            return None;
        }
        let end = |work: Work| {
            let Work::Lease(task) = work else { return None };
            let task = self.book.task(task)?;
            let end = self.lease_end(task, task.lease()?);
            Some(self.now + Duration::from_micros(end.in_us))
        };
        let sessions = self.roster.sessions(spec, serving).take(SESSIONS_MAX);
        let rooms = sessions.map(|session| room_by(session, size, self.now, end));
        rooms.filter(|(unknown, _)| *unknown == 0).map(|(_, at)| at).min()
    }

    /// What was granted ahead of the slots that serve a task, as if it were like the task.
    fn leased_ahead(&self, spec: &TaskSpec, serving: &Serving<'_>) -> impl Iterator<Item = Act> {
        let (leases, run_us) = (serving.leased_ahead(), self.micros(&spec.task_type));
        let parts = leases.min(SPREAD);
        (0..parts).map(move |part| {
            let count = leases * (part + 1) / parts - leases * part / parts;
            Act { count, run_us, left_us: u64::MAX, least_us: 0 }
        })
    }

    fn over(&self, task_type: &str, starts: Time) -> Option<Over> {
        let (p50, p95) = self.paces.usual(task_type)?;
        Some(Over { p50: starts + p50, p95: starts + p95 })
    }

    /// What a run of a type takes on average, in microseconds.
    pub(crate) fn micros(&self, task_type: &str) -> u64 {
        as_micros(self.paces.mean(task_type)).max(1)
    }

    /// When each of the slots that serve a task is free next.
    fn slot_ends(&self, serving: &Serving<'_>) -> Vec<End> {
        let leases = &self.index.leases;
        let looked = if LEASES_MAX < leases.len() { 0 } else { leases.len() };
        let tasks = leases.unordered().take(looked).filter_map(|(_, id)| self.book.task(*id));
        let ends = tasks.filter_map(|task| {
            let lease = task.lease()?;
            let session = lease.session?;
            let class = self.roster.class_no(session)?;
            let has_slot = !self.parking.is_parked(session, lease.token);
            let slots = task.spec.shape.size.slots.into();
            (has_slot && serving.contains(class))
                .then(|| End { count: slots, ..self.lease_end(task, lease) })
        });
        self.all_ends(ends.collect(), serving.slots(), serving.free())
    }

    /// When each permit of a limit is free next.
    fn permit_ends(&self, permit: &Permit) -> Vec<End> {
        let gates = &self.index.lanes.gates;
        let limit = gates.use_of(&Take::Permit(permit.clone()));
        let mut rows = BTreeMap::new();
        let few = usize::try_from(limit.used).is_ok_and(|used| used <= LEASES_MAX);
        let holders = gates.holders(permit).take(if few { LEASES_MAX } else { 0 });
        let ends = holders.filter_map(|token| {
            let task = self.book.task(*self.index.leases.get(&token)?)?;
            let lease = task.lease()?;
            let mut end = self.lease_end(task, lease);
            if let Some(id) = lease.session.filter(|id| self.parking.is_parked(*id, token)) {
                let row: &BTreeMap<Token, u64> = rows.entry(id).or_insert_with(|| self.row(id));
                end.in_us = row.get(&token)?.saturating_add(self.micros(&task.spec.task_type));
            }
            Some(end)
        });
        let free = limit.max.saturating_sub(limit.used);
        self.all_ends(ends.collect(), limit.max.into(), free.into())
    }

    /// When a lease with a slot is likely to end.
    fn lease_end(&self, task: &Task, lease: &Lease) -> End {
        let (ran, task_type) =
            (self.now.since(lease.started.unwrap_or(lease.granted)), &task.spec.task_type);
        // What has run for longer than most is nearer to its end than to its beginning, and not over.
        let half = self.paces.p95(task_type).saturating_sub(ran) / 2;
        let left_us = self.micros(task_type).saturating_sub(as_micros(ran)).max(as_micros(half));
        End { in_us: left_us.min(as_micros(task.deadline.since(self.now))), count: 1 }
    }

    /// When each of the leases that wait at a session for a slot is likely to get one, in microseconds from now.
    fn row(&self, id: SessionId) -> BTreeMap<Token, u64> {
        let Some(session) = self.roster.get(id) else { return BTreeMap::new() };
        let task_of = |token: &Token| self.book.task(*self.index.leases.get(token)?);
        let (parked, running): (Vec<Token>, Vec<Token>) =
            session.held().map(|(token, _)| token).partition(|it| self.parking.is_parked(id, *it));
        let ends = running.iter().filter_map(|token| {
            let task = task_of(token)?;
            Some(Reverse(self.lease_end(task, task.lease()?).in_us))
        });
        let mut ends: BinaryHeap<Reverse<u64>> = ends.collect();
        let starts = parked.into_iter().filter_map(|token| {
            let Reverse(start) = ends.pop()?;
            let run = task_of(&token).map_or(0, |task| self.micros(&task.spec.task_type));
            ends.push(Reverse(start.saturating_add(run)));
            Some((token, start))
        });
        starts.collect()
    }

    /// When each of so many is free next, where so many are free and of some of the others it is known.
    fn all_ends(&self, mut busy: Vec<End>, all: u64, free: u64) -> Vec<End> {
        busy.sort_unstable();
        let taken = all.saturating_sub(free);
        // Those that are more than there may be by now give way to nobody.
        let known = |busy: &[End]| busy.iter().map(|end| end.count).fold(0, u64::saturating_add);
        let mut surplus = known(&busy).saturating_sub(taken);
        busy.retain_mut(|end| {
            let gone = surplus.min(end.count);
            (end.count, surplus) = (end.count - gone, surplus - gone);
            0 < end.count
        });
        let unknown = taken.saturating_sub(known(&busy));
        if 0 < unknown {
            let (parts, usual) = (unknown.min(SPREAD), self.usual_run());
            busy.extend((1..=parts).map(|part| {
                End {
                    in_us: u64::try_from(u128::from(usual) * u128::from(part) / u128::from(parts))
                        .unwrap_or(u64::MAX),
                    count: unknown * part / parts - unknown * (part - 1) / parts,
                }
            }));
        }
        if 0 < free {
            busy.push(End { in_us: 0, count: free.min(all) });
        }
        busy
    }

    /// What is leased takes on average, in microseconds.
    fn usual_run(&self) -> u64 {
        let kinds = self.book.templates.leased();
        let (count, work) =
            kinds.fold((0_u128, 0_u128), |(all, work), ((_, task_type), leased)| {
                let slots = u128::from(leased.slots);
                (all + slots, work + slots * u128::from(self.micros(task_type)))
            });
        u64::try_from(work / count.max(1)).unwrap_or(u64::MAX).max(1)
    }
}
