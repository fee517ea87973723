//! How long tasks waited, took to start and ran, by queue and task type, over the last while.
//!
//! The while is cut into slices; the oldest is thrown away when a new one begins, so that nothing has to be remembered of
//! a single task. It knows no clock: it is told when things happened.

use std::{sync::Arc, time::Duration};

use leasehold_policy::Time;
use leasehold_queue::Name;

/// Into how many slices the window is cut: as much of it, at most, is missing from what is said of it.
const SLICES: usize = 4;

/// How many pairs of a queue and a task type are told apart, some kilobytes each. What more there are is not measured: they
/// wait, are leased and are counted all the same.
const FLOWS_MAX: usize = 4_096;

/// Four for each doubling, from a millisecond to some twelve days.
const BUCKETS: usize = 120;

/// Durations, counted in buckets that are a quarter as wide as they are far up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Histogram {
    counts: [u32; BUCKETS],
    count: u64,
    sum: Duration,
}

/// What happened in one window.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Flow {
    /// From when a task could be leased to its first lease.
    pub waits: Histogram,
    /// From a lease to when its worker said that it started.
    pub starts: Histogram,
    /// From an attempt's start to its end.
    pub runs: Histogram,
}

/// All of it.
#[derive(Debug)]
pub(crate) struct Flows {
    slice: Duration,
    /// When the newest slice began.
    began: Time,
    /// By queue and task type.
    kinds: Vec<Kind>,
    /// The one that was looked for last: most tasks are like those before them.
    latest: usize,
}

/// One queue and task type.
#[derive(Debug)]
struct Kind {
    queue: Name,
    task_type: Name,
    slices: Box<[Flow; SLICES]>,
}

impl Default for Histogram {
    fn default() -> Self {
        Self { counts: [0; BUCKETS], count: 0, sum: Duration::ZERO }
    }
}

impl Histogram {
    /// One more.
    pub fn add(&mut self, took: Duration) {
        self.add_times(took, 1);
    }

    /// So many more that took the same.
    pub fn add_times(&mut self, took: Duration, times: u64) {
        let times = u32::try_from(times).unwrap_or(u32::MAX);
        if let Some(count) = self.counts.get_mut(bucket(took)) {
            *count = count.saturating_add(times);
        }
        self.count += u64::from(times);
        self.sum = self.sum.saturating_add(took.saturating_mul(times));
    }

    /// As many more as another one has.
    pub fn merge(&mut self, other: &Self) {
        for (own, more) in self.counts.iter_mut().zip(&other.counts) {
            *own = own.saturating_add(*more);
        }
        self.count += other.count;
        self.sum = self.sum.saturating_add(other.sum);
    }

    /// How many there are.
    pub const fn count(&self) -> u64 {
        self.count
    }

    /// The average. None: there are none.
    pub fn mean(&self) -> Option<Duration> {
        let count = u32::try_from(self.count).unwrap_or(u32::MAX);
        (0 < count).then(|| self.sum / count)
    }

    /// What `percent` of a hundred are at most, to within a quarter. None: there are none.
    pub fn percentile(&self, percent: u64) -> Option<Duration> {
        let total: u64 = self.counts.iter().copied().map(u64::from).sum();
        if total == 0 {
            return None;
        }
        let rank = (total * percent).div_ceil(100).max(1);
        let mut below = 0;
        for (at, count) in self.counts.iter().enumerate() {
            let within = u64::from(*count);
            if rank <= below + within {
                // As if they were spread evenly over their bucket.
                let (low, high) = (floor(at), floor(at + 1));
                return Some(Duration::from_millis(low + (high - low) * (rank - below) / within));
            }
            below += within;
        }
        None
    }
}

impl Flow {
    /// As much more as another one has.
    pub fn merge(&mut self, other: &Self) {
        self.waits.merge(&other.waits);
        self.starts.merge(&other.starts);
        self.runs.merge(&other.runs);
    }

    fn is_empty(&self) -> bool {
        self.waits.count + self.starts.count + self.runs.count == 0
    }
}

impl Flows {
    /// Nothing has happened. `window`: over how long it is looked at.
    pub(crate) fn new(window: Duration, now: Time) -> Self {
        let slices = u32::try_from(SLICES).unwrap_or(1);
        let slice = (window / slices).max(Duration::from_millis(1));
        Self { slice, began: now, kinds: Vec::new(), latest: 0 }
    }

    /// What happens now to tasks of this kind. None: too many kinds are known.
    pub(crate) fn of(&mut self, queue: &Name, task_type: &Name) -> Option<&mut Flow> {
        let is_same = |kind: &Kind| {
            Arc::ptr_eq(&kind.queue, queue) && Arc::ptr_eq(&kind.task_type, task_type)
        };
        if !self.kinds.get(self.latest).is_some_and(is_same) {
            let found = self.find(queue, task_type);
            if found.is_err() && FLOWS_MAX <= self.kinds.len() {
                return None;
            }
            self.latest = found.unwrap_or_else(|at| at);
            let (queue, task_type) = (Name::clone(queue), Name::clone(task_type));
            if let Some(kind) = self.kinds.get_mut(self.latest).filter(|_| found.is_ok()) {
                // The next one is likely to have these same names.
                (kind.queue, kind.task_type) = (queue, task_type);
            } else {
                let slices = Box::default();
                self.kinds.insert(self.latest, Kind { queue, task_type, slices });
            }
        }
        self.kinds.get_mut(self.latest)?.slices.first_mut()
    }

    /// What happened to tasks of this kind in the window, if anything did.
    pub(crate) fn sum(&self, queue: &str, task_type: &str) -> Option<Box<Flow>> {
        let kind = self.kinds.get(self.find(queue, task_type).ok()?)?;
        let mut sum: Box<Flow> = Box::default();
        for slice in kind.slices.iter() {
            sum.merge(slice);
        }
        Some(sum)
    }

    /// The kinds of which there is something to say.
    pub(crate) fn kinds(&self) -> impl Iterator<Item = (&Name, &Name)> {
        self.kinds.iter().map(|kind| (&kind.queue, &kind.task_type))
    }

    fn find(&self, queue: &str, task_type: &str) -> Result<usize, usize> {
        self.kinds
            .binary_search_by(|kind| (&*kind.queue, &*kind.task_type).cmp(&(queue, task_type)))
    }

    /// Forgets what was before the window.
    pub(crate) fn turn(&mut self, now: Time) {
        let mut slices = 0;
        while slices < SLICES && self.slice <= now.since(self.began) {
            self.began = self.began + self.slice;
            slices += 1;
        }
        if slices == SLICES {
            self.began = now;
        }
        for _ in 0..slices {
            self.turn_once();
        }
    }

    /// When there is something to forget. None: there is nothing.
    pub(crate) fn due(&self) -> Option<Time> {
        (!self.kinds.is_empty()).then(|| self.began + self.slice)
    }

    fn turn_once(&mut self) {
        self.kinds.retain_mut(|kind| {
            kind.slices.rotate_right(1);
            if let Some(newest) = kind.slices.first_mut() {
                *newest = Flow::default();
            }
            kind.slices.iter().any(|slice| !slice.is_empty())
        });
    }
}

/// The bucket of a duration: the first four are a millisecond wide.
fn bucket(took: Duration) -> usize {
    let ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
    let Some(doublings) = ms.checked_ilog2().and_then(|it| it.checked_sub(2)) else {
        return usize::try_from(ms).unwrap_or(0);
    };
    // The two bits behind the first one.
    let quarter = (ms >> doublings) & 3;
    let at = 4 * u64::from(doublings + 1) + quarter;
    usize::try_from(at).unwrap_or(BUCKETS).min(BUCKETS - 1)
}

/// Where a bucket begins, in milliseconds.
fn floor(at: usize) -> u64 {
    let at = u32::try_from(at).unwrap_or(u32::MAX);
    match (at / 4).checked_sub(1) {
        None => u64::from(at),
        Some(doublings) => u64::from(4 + at % 4) << doublings,
    }
}

#[cfg(test)]
mod tests;
