//! How long it takes until a task has its turn, if those before it have theirs in order: each takes the slot that is free first,
//! unless its own time is over by then or too short.
//!
//! It knows no lane and no lease, only when slots are free and what comes; permits are slots to it. What it costs is bounded by
//! how many acts there are.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BinaryHeap},
    time::Duration,
};

/// How many acts a rehearsal has, about. What is more than that is taken together, as many as it takes.
pub(crate) const ACTS_MAX: usize = 1_024;

/// So many slots or permits are free at one time, counted from now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct End {
    pub(crate) in_us: u64,
    pub(crate) count: u64,
}

/// Tasks that have their turn together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Act {
    /// How many.
    pub(crate) count: u64,
    /// How long each of them runs, in microseconds.
    pub(crate) run_us: u64,
    /// What is left of their time, in microseconds.
    pub(crate) left_us: u64,
    /// With less than this left they are ended instead, in microseconds.
    pub(crate) least_us: u64,
}

/// When whoever comes after these acts has his turn, counted from now. None: there is nothing to be had.
pub(crate) fn rehearse(ends: &[End], acts: &[Act]) -> Option<Duration> {
    let all = ends.iter().map(|end| end.count).fold(0, u64::saturating_add);
    let most = acts.iter().map(|act| act.count).max().unwrap_or(1);
    // As many slots are one as tasks are one act: they all run at once.
    let groups = all / most.clamp(1, all.max(1));
    let mut free = first_free(ends, (all, groups), acts.len());
    for act in acts {
        let Reverse(at) = *free.peek()?;
        let left = act.left_us.saturating_sub(at);
        if left == 0 || left < act.least_us {
            continue;
        }
        let rounds = u128::from(act.count) * u128::from(groups);
        let runs = u128::from(act.run_us) * rounds / u128::from(all.max(1));
        let runs = u64::try_from(runs).unwrap_or(u64::MAX);
        free.pop();
        // What runs when its time is over is stopped.
        free.push(Reverse(at.saturating_add(runs.min(left))));
    }
    free.peek().map(|Reverse(at)| Duration::from_micros(*at))
}

/// When the first of so many groups of slots are free, of which each act takes one at the most.
fn first_free(ends: &[End], (all, groups): (u64, u64), acts: usize) -> BinaryHeap<Reverse<u64>> {
    let mut sorted: BTreeMap<u64, u64> = BTreeMap::new();
    for end in ends {
        *sorted.entry(end.in_us).or_default() += end.count;
    }
    let mut sorted = sorted.into_iter();
    let (mut at, mut slots) = (0, 0);
    let wanted = groups.min(acts as u64 + 1);
    let free = (0..wanted).map(|group| {
        // A group is as the slot in its middle.
        let middle = (u128::from(2 * group + 1) * u128::from(all) / u128::from(2 * groups)) + 1;
        while slots < middle
            && let Some((in_us, count)) = sorted.next()
        {
            (at, slots) = (in_us, slots + u128::from(count));
        }
        Reverse(at)
    });
    free.collect()
}

#[cfg(test)]
mod tests;
