//! Whether the judges would see it: each deliberate bug, alive alone, until a seed kills it.

use leasehold_policy::Mutant;

use crate::{run, trace::Detail};

/// How many seeds a mutant may survive.
pub const SEEDS_MAX: u64 = 2_000;

/// How often a mutant is hunted, from different seeds, so that there is a median.
pub const HUNTS: u64 = 5;

/// Seeds of the first hunt; the others follow.
const FIRST: u64 = 1_000_000;

/// What became of one mutant.
#[derive(Clone, Debug)]
pub struct Hunted {
    /// Which.
    pub mutant: Mutant,
    /// The median of the seeds it took. None: it survived a hunt.
    pub seeds: Option<u64>,
    /// Who killed it, each once.
    pub judges: Vec<&'static str>,
}

/// Hunts one mutant.
pub fn hunt(mutant: Mutant) -> Hunted {
    mutant.live();
    let (mut took, mut judges) = (Vec::new(), Vec::new());
    for hunt in 0..HUNTS {
        let from = FIRST + hunt * SEEDS_MAX;
        let killed = (0..SEEDS_MAX).find_map(|seed| {
            let violation = run::seed(from + seed, Detail::Silent).violation?;
            Some((seed + 1, violation.judge))
        });
        let Some((seeds, judge)) = killed else { break };
        took.push(seeds);
        if !judges.contains(&judge) {
            judges.push(judge);
        }
    }
    Mutant::none();
    took.sort_unstable();
    let all = took.len() as u64 == HUNTS;
    let seeds = took.get(took.len() / 2).copied().filter(|_| all);
    Hunted { mutant, seeds, judges }
}
