//! Who goes next: the tasks that could be leased, in order.
//!
//! A lane holds the waiting tasks of one queue and one task type, ordered by priority, then deadline, then age; so a
//! task that comes back takes its old place. For each task type the first tasks of its lanes are ordered too, paused
//! queues left out. It knows no worker: [`first`](Lanes::first) is the seam behind which the order is decided.

use std::collections::{BTreeMap, BTreeSet};

use leasehold_policy::{Mutant, Time};

use crate::{Name, Task, TaskId};

/// A task's place in the order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    priority: u8,
    deadline: Time,
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
}

/// Every task that could be leased.
#[derive(Clone, Debug, Default)]
pub(crate) struct Lanes {
    queues: BTreeMap<Name, Waiting>,
    heads: BTreeMap<Name, BTreeSet<(Place, Name)>>,
}

/// What waits in one queue.
#[derive(Clone, Debug, Default)]
struct Waiting {
    paused: bool,
    /// Lanes by task type, each with the time since when a task waits. None is empty.
    lanes: BTreeMap<Name, BTreeMap<Place, Time>>,
    ages: BTreeSet<(Time, TaskId)>,
}

impl Lanes {
    /// Lets a task wait, since then.
    pub(crate) fn insert(&mut self, queue: &Name, task_type: &Name, place: Place, since: Time) {
        let first = self.head(queue, task_type).is_none_or(|head| place < head);
        if first {
            self.retract(queue, task_type);
        }
        let waiting = self.queues.entry(Name::clone(queue)).or_default();
        waiting.lanes.entry(Name::clone(task_type)).or_default().insert(place, since);
        waiting.ages.insert((since, place.task));
        if first {
            self.offer(queue, task_type);
        }
    }

    /// Takes a task out.
    pub(crate) fn remove(&mut self, queue: &Name, task_type: &Name, place: Place) {
        let first = self.head(queue, task_type) == Some(place);
        if first {
            self.retract(queue, task_type);
        }
        if let Some(waiting) = self.queues.get_mut(queue) {
            waiting.remove(task_type, place);
            if waiting.is_idle() {
                self.queues.remove(queue);
            }
        }
        if first {
            self.offer(queue, task_type);
        }
    }

    /// Leaves a queue out of the order.
    pub(crate) fn pause(&mut self, queue: &Name) {
        for task_type in self.task_types(queue) {
            self.retract(queue, &task_type);
        }
        self.queues.entry(Name::clone(queue)).or_default().paused = true;
    }

    /// Takes a queue into the order again.
    pub(crate) fn resume(&mut self, queue: &Name) {
        let Some(waiting) = self.queues.get_mut(queue) else { return };
        waiting.paused = false;
        if waiting.is_idle() {
            self.queues.remove(queue);
        }
        for task_type in self.task_types(queue) {
            self.offer(queue, &task_type);
        }
    }

    /// The task that goes first of those with one of these types.
    pub(crate) fn first(&self, task_types: &[Name]) -> Option<Place> {
        let firsts = task_types.iter().filter_map(|task_type| self.heads.get(task_type)?.first());
        firsts.map(|(place, _)| *place).min()
    }

    /// Every lane: its queue and task type, how many tasks wait in it, the one that goes first, and since when that waits.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&Name, &Name, u64, Place, Time)> {
        self.queues.iter().flat_map(|(queue, waiting)| {
            waiting.lanes.iter().filter_map(move |(task_type, lane)| {
                let (place, since) = lane.first_key_value()?;
                Some((queue, task_type, lane.len() as u64, *place, *since))
            })
        })
    }

    /// Since when the longest waiting task of a queue waits.
    pub(crate) fn oldest(&self, queue: &str) -> Option<Time> {
        self.queues.get(queue)?.ages.first().map(|(since, _)| *since)
    }

    fn task_types(&self, queue: &Name) -> Vec<Name> {
        let lanes = self.queues.get(queue).map(|waiting| waiting.lanes.keys().cloned().collect());
        lanes.unwrap_or_default()
    }

    fn retract(&mut self, queue: &Name, task_type: &Name) {
        let Some(place) = self.head(queue, task_type) else { return };
        let Some(heads) = self.heads.get_mut(task_type) else { return };
        heads.remove(&(place, Name::clone(queue)));
        if heads.is_empty() {
            self.heads.remove(task_type);
        }
    }

    fn offer(&mut self, queue: &Name, task_type: &Name) {
        let Some(place) = self.head(queue, task_type) else { return };
        let heads = self.heads.entry(Name::clone(task_type)).or_default();
        heads.insert((place, Name::clone(queue)));
    }

    fn head(&self, queue: &Name, task_type: &Name) -> Option<Place> {
        let waiting = self
            .queues
            .get(queue)
            .filter(|waiting| !waiting.paused || Mutant::PausedGranted.is_alive())?;
        waiting.lanes.get(task_type)?.first_key_value().map(|(place, _)| *place)
    }
}

impl Waiting {
    fn remove(&mut self, task_type: &Name, place: Place) {
        let Some(lane) = self.lanes.get_mut(task_type) else { return };
        if let Some(since) = lane.remove(&place) {
            self.ages.remove(&(since, place.task));
        }
        if lane.is_empty() {
            self.lanes.remove(task_type);
        }
    }

    fn is_idle(&self) -> bool {
        self.lanes.is_empty() && !self.paused
    }
}

#[cfg(debug_assertions)]
impl Lanes {
    /// How many tasks wait.
    pub(crate) fn len(&self) -> usize {
        self.queues.values().map(|waiting| waiting.ages.len()).sum()
    }

    /// Whether the task waits in its lane.
    pub(crate) fn contains(&self, task: &Task) -> bool {
        let lanes = self.queues.get(&task.spec.queue).map(|waiting| &waiting.lanes);
        let lane = lanes.and_then(|lanes| lanes.get(&task.spec.task_type));
        lane.is_some_and(|lane| lane.contains_key(&Place::of(task)))
    }

    /// Whether the heads are those of the lanes, no more and no fewer, and the ages those of the tasks.
    pub(crate) fn agree(&self) -> bool {
        let mut heads: BTreeMap<Name, BTreeSet<(Place, Name)>> = BTreeMap::new();
        for (queue, waiting) in &self.queues {
            if waiting.lanes.values().map(BTreeMap::len).sum::<usize>() != waiting.ages.len() {
                return false;
            }
            for task_type in waiting.lanes.keys() {
                if let Some(place) = self.head(queue, task_type) {
                    heads
                        .entry(Name::clone(task_type))
                        .or_default()
                        .insert((place, Name::clone(queue)));
                }
            }
        }
        heads == self.heads
    }
}
