//! Whether the judges would see it: each deliberate bug, alive alone, until a seed kills it.

use std::{
    sync::atomic::{AtomicUsize, Ordering},
    thread,
};

use leasehold_policy::Mutant;

use crate::{run, trace::Detail};

/// How many seeds a mutant may survive.
pub const SEEDS_MAX: u64 = 2_000;

/// Seeds of the first hunt; those of the others follow.
const FIRST: u64 = 1_000_000;

/// What became of one mutant.
#[derive(Clone, Debug)]
pub struct Hunted {
    /// Which.
    pub mutant: Mutant,
    /// How many seeds each hunt took, ascending; those it survived are missing.
    pub took: Vec<u64>,
    /// How many hunts it survived.
    pub survived: u64,
    /// Who killed it, each once.
    pub judges: Vec<&'static str>,
}

impl Hunted {
    /// The median of the seeds it took. None: it survived that many hunts.
    pub fn median(&self) -> Option<u64> {
        let hunts = self.took.len() as u64 + self.survived;
        self.took.get(usize::try_from(hunts / 2).unwrap_or(usize::MAX)).copied()
    }

    /// The most seeds it took. None: it survived a hunt.
    pub fn most(&self) -> Option<u64> {
        self.took.last().copied().filter(|_| self.survived == 0)
    }
}

/// Hunts mutants on so many threads, each so often and from other seeds each time. What became of each is told as soon as
/// it is known.
pub fn hunt(mutants: &[Mutant], hunts: u64, threads: usize, tell: impl Fn(Hunted) + Sync) {
    let next = AtomicUsize::new(0);
    thread::scope(|scope| {
        for _ in 0..threads.max(1) {
            scope.spawn(|| {
                while let Some(mutant) = mutants.get(next.fetch_add(1, Ordering::Relaxed)) {
                    tell(hunt_one(*mutant, hunts));
                }
            });
        }
    });
}

fn hunt_one(mutant: Mutant, hunts: u64) -> Hunted {
    mutant.live();
    let mut hunted = Hunted { mutant, took: Vec::new(), survived: 0, judges: Vec::new() };
    for hunt in 0..hunts {
        let from = FIRST + hunt * SEEDS_MAX;
        let killed = (0..SEEDS_MAX).find_map(|seed| {
            let violation = run::seed(from + seed, Detail::Silent).violation?;
            Some((seed + 1, violation.judge))
        });
        let Some((seeds, judge)) = killed else {
            hunted.survived += 1;
            continue;
        };
        hunted.took.push(seeds);
        if !hunted.judges.contains(&judge) {
            hunted.judges.push(judge);
        }
    }
    Mutant::none();
    hunted.took.sort_unstable();
    hunted
}
