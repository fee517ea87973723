//! A few hundred seeds, some of them twice, and every seed that ever broke a promise.

use leasehold_sim::{
    probe::Probes,
    run,
    search::{Bounds, search, twice},
    trace::Detail,
};

/// How many seeds each test run looks at: a few seconds in a build that is not optimised.
const SEEDS: u64 = 300;

#[test]
fn no_seed_breaks_a_promise() {
    let time = std::time::Duration::MAX;
    let found = search(Bounds { from: 0, seeds: SEEDS, time, jobs: 2 });
    assert_eq!(found.broken, None, "run it again with: sim run --seed N --trace");
    assert_eq!(found.seeds, SEEDS, "every seed was run");
    assert!(SEEDS < found.stats.recoveries, "faults happened: {:?}", found.stats);
    assert_ne!(found.probes, Probes::default(), "something was seen");
}

#[test]
fn the_same_seed_does_the_same() {
    assert_eq!(twice(10_000, 20), None, "a seed that differs from itself");
}

#[test]
fn what_was_broken_once_stays_whole() {
    let list = include_str!("../regressions.txt");
    let seeds = list.lines().filter(|line| !line.starts_with('#'));
    let mut broken = Vec::new();
    for line in seeds {
        let (seed, story) = line.split_once(' ').expect("a seed and its story");
        let seed: u64 = seed.parse().expect("a number");
        if let Some(violation) = run::seed(seed, Detail::Silent).violation {
            broken.push(format!("{seed} ({}): {violation}", story.trim()));
        }
    }
    assert!(broken.is_empty(), "{broken:#?}");
}
