//! One pool: who keeps it, what was decided for it, and what is shown of it.

use std::{
    collections::{BTreeSet, VecDeque},
    time::{Duration, Instant},
};

use leasehold_policy::{Time, scale};
use leasehold_queue::Name;

use super::{
    measure::{Measured, Scope},
    reason,
};
use crate::{config::Scaling as Settings, load::Load, load::WorkerLoad};

/// How long what somebody says who keeps a pool holds.
const FOLLOWED_FOR: Duration = Duration::from_mins(1);

/// How many changes are remembered.
const CHANGES_MAX: usize = 32;

/// How many task types of a pool are remembered: as many as one worker may serve.
const TASK_TYPES_MAX: usize = 1_000;

/// Who keeps a pool's workers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Follower {
    /// What they serve.
    pub task_types: BTreeSet<Name>,
    /// The fewest and the most there may be.
    pub range: (u32, u32),
    /// How many run that are not being drained.
    pub workers: u32,
    /// Whose processor they measure.
    pub processor: scale::Processor,
}

/// A number of workers that was wanted from some time on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// When.
    pub time: Time,
    /// In place of how many.
    pub from: u32,
    /// How many.
    pub to: u32,
    /// Why, for people.
    pub reason: String,
}

/// A pool as it is.
#[derive(Clone, Debug)]
pub struct PoolView {
    /// Its name.
    pub name: Name,
    /// The task types its workers serve.
    pub task_types: BTreeSet<Name>,
    /// By what it is judged.
    pub settings: scale::Settings,
    /// Over how long waits are measured.
    pub window: Duration,
    /// What is measured.
    pub measured: Measured,
    /// How many workers it has or is about to have.
    pub workers: u32,
    /// How many it should have.
    pub desired: u32,
    /// What keeps its tasks from ending sooner.
    pub bound: Option<scale::Bound>,
    /// What the decision rests upon, for people.
    pub reason: String,
    /// How long it is until a worker can go, if nothing happens.
    pub cooldown_left: Duration,
    /// How long nothing is decided, as workers may be on their way back.
    pub warm_up_left: Option<Duration>,
    /// What was decided last, the newest last.
    pub changes: Vec<Change>,
}

#[derive(Debug)]
pub(super) struct Pool {
    /// What its workers serve, as configured or named by who asks.
    named: BTreeSet<Name>,
    /// The same as they said last: what those that are there serve, or the last that were.
    said: BTreeSet<Name>,
    follower: Option<(Follower, Instant)>,
    /// When anybody last spoke of it.
    pub(super) seen: Instant,
    pub(super) state: scale::State,
    pub(super) verdict: Option<scale::Verdict>,
    changes: VecDeque<Change>,
}

impl Pool {
    pub(super) fn new(named: BTreeSet<Name>, now: Instant) -> Self {
        Self {
            named,
            said: BTreeSet::new(),
            follower: None,
            seen: now,
            state: scale::State::default(),
            verdict: None,
            changes: VecDeque::new(),
        }
    }

    /// These of its workers are there.
    pub(super) fn meet(&mut self, workers: &[&WorkerLoad]) {
        self.said.clear();
        for task_type in workers.iter().flat_map(|worker| &worker.task_types) {
            remember(task_type, &mut self.said);
        }
    }

    /// Its workers serve these types too.
    pub(super) fn name_types<'a>(&mut self, types: impl IntoIterator<Item = &'a Name>) {
        types.into_iter().for_each(|task_type| remember(task_type, &mut self.named));
    }

    pub(super) fn follow(&mut self, follower: Follower, now: Instant) {
        self.follower = Some((follower, now));
    }

    fn follower(&self, now: Instant) -> Option<&Follower> {
        let (follower, said) = self.follower.as_ref()?;
        (now.saturating_duration_since(*said) < FOLLOWED_FOR).then_some(follower)
    }

    /// What its workers serve.
    pub(super) fn task_types(&self, now: Instant) -> BTreeSet<Name> {
        let followed = self.follower(now).map(|it| it.task_types.clone());
        followed.unwrap_or_else(|| self.named.union(&self.said).cloned().collect())
    }

    pub(super) fn settings(
        &self,
        name: &str,
        settings: &Settings,
        now: Instant,
    ) -> scale::Settings {
        match self.follower(now) {
            Some(follower) => settings.settings(follower.range, follower.processor),
            None => settings.settings(settings.range(name), scale::Processor::Own),
        }
    }

    pub(super) fn measure(&self, name: &Name, load: &Load, time: Time, now: Instant) -> Measured {
        let task_types = self.task_types(now);
        let scope =
            Scope { pool: Some(name), task_types: &task_types, is_any_type: false, queues: None };
        let mut measured = Measured::of(load, &scope, time);
        if let Some(follower) = self.follower(now) {
            // It knows of those that are being started, and of those that are gone for good.
            measured.workers = follower.workers;
        }
        measured
    }

    /// How many workers it should have, as far as that is decided.
    pub(super) fn desired(&self, signals: &scale::Signals) -> u64 {
        u64::from(self.verdict.map_or(signals.workers, |it| it.desired))
    }

    pub(super) fn remember(&mut self, change: Change) {
        if CHANGES_MAX <= self.changes.len() {
            self.changes.pop_front();
        }
        self.changes.push_back(change);
    }

    /// What is shown of it. `times`: how long nothing is decided, and over how long waits are measured.
    pub(super) fn view(
        &self,
        name: &Name,
        measured: Measured,
        settings: scale::Settings,
        (warm_up_left, window): (Option<Duration>, Duration),
        now: Instant,
    ) -> PoolView {
        let workers = measured.workers;
        let verdict = self.verdict.filter(|_| warm_up_left.is_none());
        let reason = match &verdict {
            Some(verdict) => reason::of(verdict, &measured.signals(), &settings),
            None => reason::WARMING_UP.to_owned(),
        };
        PoolView {
            name: Name::clone(name),
            task_types: self.task_types(now),
            settings,
            window,
            workers,
            desired: verdict.map_or(workers.clamp(settings.min, settings.max), |it| it.desired),
            bound: verdict.and_then(|it| it.bound),
            reason,
            cooldown_left: verdict.map_or(Duration::ZERO, |it| it.cooldown_left),
            warm_up_left,
            changes: self.changes.iter().cloned().collect(),
            measured,
        }
    }
}

fn remember(task_type: &Name, types: &mut BTreeSet<Name>) {
    if types.len() < TASK_TYPES_MAX && !types.contains(task_type) {
        types.insert(Name::clone(task_type));
    }
}
