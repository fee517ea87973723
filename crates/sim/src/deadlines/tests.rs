//! What must come out whatever the seed.

use super::*;

const SECONDS: u64 = 60;

#[test]
fn every_task_is_told_of_once_and_the_same_seed_tells_the_same() {
    for (seed, load) in [(1, 80), (2, 95), (3, 110)] {
        for rule in Rule::ALL {
            let first = tally(seed, SECONDS, load, rule);
            let Tally { tasks, met, missed, refused, .. } = first;
            assert_eq!(tasks, met + missed + refused, "seed {seed} {rule:?}: {first:?}");
            assert_eq!(first, tally(seed, SECONDS, load, rule), "seed {seed} {rule:?}");
        }
    }
}

#[test]
fn deadlines_are_worth_something_above_the_slots() {
    let misses = |rule| (0..4).map(|seed| tally(seed, SECONDS, 110, rule).missed).sum::<usize>();
    let wasted = |rule| (0..4).map(|seed| tally(seed, SECONDS, 110, rule).wasted).sum::<Duration>();
    let [fifo, slack, _, strict] = Rule::ALL.map(misses);
    assert!(slack < fifo, "{slack} of least slack, {fifo} of first come, first served");
    assert!(strict < slack, "{strict} of strict admission, {slack} without");
    assert!(wasted(Rule::Culled) < wasted(Rule::Slack), "culling wastes less");
}
