//! A few hundred seeds, some of them twice, and every plan that ever broke a promise.

use std::path::Path;

use leasehold_sim::{
    probe::Probes,
    regression::regressions,
    search::{Bounds, search, twice},
};

/// How many seeds each test run looks at: a few seconds in a build that is not optimised.
const SEEDS: u64 = 300;

#[test]
fn no_seed_breaks_a_promise() {
    let time = std::time::Duration::MAX;
    let found = search(Bounds { from: 0, seeds: SEEDS, time, threads: 2 });
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
    let folder = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/regressions"));
    let regressions = regressions(folder).unwrap_or_else(|error| panic!("{error:?}"));
    assert!(!regressions.is_empty(), "there are some");
    let mut broken = Vec::new();
    for regression in regressions {
        if let Some(violation) = regression.replay() {
            broken.push(format!("{} ({}): {violation}", regression.name, regression.stored.story));
        }
    }
    assert!(broken.is_empty(), "{broken:#?}");
}
