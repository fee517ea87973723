//! How long tasks run, learned from those that succeeded: what a lease is reckoned to cost, how late a task may start, and
//! when that is too late for any.
//!
//! It is not durable and costs 300 bytes for each task type. It knows no task and no lease.

use std::{collections::BTreeMap, time::Duration};

use crate::Name;

/// How many task types are remembered. One more takes the place of the one that sorts first, which costs it no more than
/// what it had learned.
const TYPES_MAX: usize = 4_096;

/// Two buckets for each doubling, from one millisecond to seven weeks.
const BUCKETS: usize = 64;

/// From so many runs on the oldest count for less: all counts are halved.
const RUNS_MAX: u32 = 1_024;

/// How much a run moves the average: one part in so many.
const INERTIA: u64 = 8;

/// What a run is reckoned to take before anything is known. Less than most, as what is charged too little is put right at
/// once, and what is charged too much only with the charges that follow.
const UNKNOWN: Duration = Duration::from_millis(100);

/// What has been learned of every task type.
#[derive(Clone, Debug, Default)]
pub(crate) struct Paces(BTreeMap<Name, Pace>);

/// What has been learned of one.
#[derive(Clone, Debug)]
struct Pace {
    /// The moving average, in microseconds.
    mean_us: u64,
    runs: [u16; BUCKETS],
    total: u32,
    /// The longest run ever, which no quantile is beyond.
    longest: Duration,
    /// The shortest run ever, which no quantile falls short of.
    shortest: Duration,
    /// The first bucket with a run.
    lowest: usize,
    half: Quantile,
    most: Quantile,
}

/// The bucket up to which there are so many of a hundred runs. It is moved as they come, most often not at all: counting them
/// anew each time would cost more than all else that is learned from one.
#[derive(Clone, Copy, Debug)]
struct Quantile {
    percent: u32,
    bucket: usize,
    /// How many runs are in the buckets before it.
    below: u32,
}

impl Paces {
    /// A task of this type ran for so long and succeeded.
    pub(crate) fn learn(&mut self, task_type: &Name, ran: Duration) {
        if let Some(pace) = self.0.get_mut(task_type) {
            return pace.learn(ran);
        }
        if TYPES_MAX <= self.0.len() {
            self.0.pop_first();
        }
        let mut pace = Pace {
            mean_us: as_micros(ran),
            runs: [0; BUCKETS],
            total: 0,
            longest: Duration::ZERO,
            shortest: ran,
            lowest: bucket(ran),
            half: Quantile::of(50),
            most: Quantile::of(95),
        };
        pace.learn(ran);
        self.0.insert(Name::clone(task_type), pace);
    }

    /// What none of the runs that are remembered took less than, rounded down by at most a third, and how many they are.
    /// None: nothing is known.
    pub(crate) fn fastest(&self, task_type: &str) -> Option<(Duration, u32)> {
        self.0.get(task_type).map(|pace| (begin(pace.lowest), pace.total))
    }

    /// What a run of this type is reckoned to take: the moving average, a tenth of a second if nothing is known.
    pub(crate) fn mean(&self, task_type: &str) -> Duration {
        self.0.get(task_type).map_or(UNKNOWN, |pace| Duration::from_micros(pace.mean_us))
    }

    /// What half of the runs, and what 19 of 20 do not exceed, as if those of a bucket were spread evenly over it. None: nothing
    /// is known.
    pub(crate) fn usual(&self, task_type: &str) -> Option<(Duration, Duration)> {
        self.0.get(task_type).map(|pace| (pace.between(50), pace.between(95)))
    }

    /// What half of the runs do not exceed, rounded up by at most a half; zero if nothing is known.
    pub(crate) fn p50(&self, task_type: &str) -> Duration {
        self.0.get(task_type).map_or(Duration::ZERO, |pace| pace.up_to(pace.half))
    }

    /// What 19 of 20 runs do not exceed, rounded up by at most a half; zero if nothing is known.
    pub(crate) fn p95(&self, task_type: &str) -> Duration {
        self.0.get(task_type).map_or(Duration::ZERO, |pace| pace.up_to(pace.most))
    }
}

impl Pace {
    fn learn(&mut self, ran: Duration) {
        let run_us = as_micros(ran);
        (self.longest, self.shortest) = (self.longest.max(ran), self.shortest.min(ran));
        self.mean_us = self.mean_us - self.mean_us / INERTIA + run_us / INERTIA;
        let bucket = bucket(ran);
        if let Some(count) = self.runs.get_mut(bucket) {
            *count += 1;
            self.total += 1;
        }
        if self.total == RUNS_MAX {
            self.runs.iter_mut().for_each(|count| *count /= 2);
            self.total = self.runs.iter().map(|count| u32::from(*count)).sum();
            self.lowest = self.runs.iter().position(|count| 0 < *count).unwrap_or_default();
            (self.half, self.most) = (Quantile::of(50), Quantile::of(95));
        } else {
            self.lowest = self.lowest.min(bucket);
            self.half.learn(bucket);
            self.most.learn(bucket);
        }
        self.half.settle(&self.runs, self.total);
        self.most.settle(&self.runs, self.total);
    }

    /// The place in a bucket up to which there are so many of a hundred runs.
    fn between(&self, percent: u32) -> Duration {
        let wanted = (self.total * percent).div_ceil(100);
        let mut seen = 0;
        let found = self.runs.iter().enumerate().find_map(|(bucket, count)| {
            let count = u32::from(*count);
            seen += count;
            (wanted <= seen && 0 < count).then_some((bucket, wanted + count - seen, count))
        });
        let Some((bucket, within, count)) = found else { return Duration::ZERO };
        let (begin, end) = (begin(bucket), end(bucket));
        (begin + end.saturating_sub(begin) * within / count).clamp(self.shortest, self.longest)
    }

    /// The end of the bucket up to which there are so many of the runs.
    fn up_to(&self, quantile: Quantile) -> Duration {
        end(quantile.bucket).min(self.longest)
    }
}

impl Quantile {
    /// That of no runs.
    const fn of(percent: u32) -> Self {
        Self { percent, bucket: 0, below: 0 }
    }

    /// A run has come into a bucket.
    fn learn(&mut self, bucket: usize) {
        self.below += u32::from(bucket < self.bucket);
    }

    /// Moves it to where it belongs among so many runs.
    fn settle(&mut self, runs: &[u16; BUCKETS], total: u32) {
        let wanted = (total * self.percent).div_ceil(100);
        let count = |bucket: usize| runs.get(bucket).map_or(0, |count| u32::from(*count));
        while 0 < self.bucket && wanted <= self.below {
            self.bucket -= 1;
            self.below -= count(self.bucket);
        }
        while self.bucket + 1 < BUCKETS && self.below + count(self.bucket) < wanted {
            self.below += count(self.bucket);
            self.bucket += 1;
        }
    }
}

/// A time in microseconds.
pub(crate) fn as_micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

/// Bucket 2n begins at 2^n milliseconds, the one after it half way to the next doubling; the first takes what is shorter.
fn bucket(ran: Duration) -> usize {
    let ms = u64::try_from(ran.as_millis()).unwrap_or(u64::MAX);
    let Some(doublings) = ms.checked_ilog2() else { return 0 };
    let upper = doublings.checked_sub(1).map_or(0, |bit| ms >> bit & 1);
    let at = 2 * u64::from(doublings) + upper;
    usize::try_from(at).unwrap_or(BUCKETS).min(BUCKETS - 1)
}

/// Where a bucket begins.
fn begin(bucket: usize) -> Duration {
    let whole = doubled(bucket);
    let ms = if bucket.is_multiple_of(2) { whole } else { whole + whole / 2 };
    Duration::from_millis(if bucket == 0 { 0 } else { ms })
}

/// Where a bucket ends.
fn end(bucket: usize) -> Duration {
    let begin = doubled(bucket);
    let ms = if bucket.is_multiple_of(2) { begin + begin.div_ceil(2) } else { 2 * begin };
    Duration::from_millis(ms)
}

fn doubled(bucket: usize) -> u64 {
    1_u64.checked_shl(u32::try_from(bucket / 2).unwrap_or(u32::MAX)).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
