//! Many seeds, one after the other on each core.

use std::{
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use crate::{
    judge::Violation,
    probe::Probes,
    run,
    trace::Detail,
    world::{Run, Stats},
};

/// How far to look.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// The first seed.
    pub from: u64,
    /// How many seeds.
    pub seeds: u64,
    /// For how long.
    pub time: Duration,
    /// On how many threads.
    pub threads: usize,
}

/// What a search found.
#[derive(Clone, Debug, Default)]
pub struct Found {
    /// How many seeds were run.
    pub seeds: u64,
    /// For how long.
    pub took: Duration,
    /// All of them together.
    pub stats: Stats,
    /// What happened in any of them.
    pub probes: Probes,
    /// The first seed that broke a promise, and how.
    pub broken: Option<(u64, Violation)>,
}

impl Found {
    fn add(&mut self, seed: u64, run: Run) {
        self.seeds += 1;
        self.probes = self.probes.and(run.probes);
        let (all, one) = (&mut self.stats, run.stats);
        all.simulated += one.simulated;
        all.events += one.events;
        all.crashes += one.crashes;
        all.recoveries += one.recoveries;
        all.tasks += one.tasks;
        all.leases += one.leases;
        all.comparisons += one.comparisons;
        if let Some(violation) = run.violation
            && self.broken.as_ref().is_none_or(|(first, _)| seed < *first)
        {
            self.broken = Some((seed, violation));
        }
    }
}

/// Runs seeds until one breaks a promise or the bounds are reached.
pub fn search(bounds: Bounds) -> Found {
    let began = Instant::now();
    let (next, stop) = (AtomicU64::new(bounds.from), AtomicBool::new(false));
    let found = Mutex::new(Found::default());
    thread::scope(|scope| {
        for _ in 0..bounds.threads.max(1) {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) && began.elapsed() < bounds.time {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if bounds.from.saturating_add(bounds.seeds) <= seed {
                        return;
                    }
                    let run = run::seed(seed, Detail::Silent);
                    if run.violation.is_some() {
                        stop.store(true, Ordering::Relaxed);
                    }
                    found.lock().unwrap_or_else(PoisonError::into_inner).add(seed, run);
                }
            });
        }
    });
    let mut found = found.into_inner().unwrap_or_else(PoisonError::into_inner);
    found.took = began.elapsed();
    found
}

/// Runs each seed twice; the first whose runs differ.
pub fn twice(from: u64, seeds: u64) -> Option<u64> {
    (from..from.saturating_add(seeds)).find(|seed| {
        let (first, second) = (run::seed(*seed, Detail::Silent), run::seed(*seed, Detail::Silent));
        first.hash != second.hash || first.stats.events != second.stats.events
    })
}
