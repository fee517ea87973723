//! What must come out whatever the seed.

use super::*;

const SECONDS: u64 = 8;

#[test]
fn every_task_is_told_of_once_and_the_same_seed_tells_the_same() {
    for (seed, load) in [(1, 80), (2, 110)] {
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
    let rules = [Rule::Fifo, Rule::Slack, Rule::Culled];
    let [fifo, slack, culled] = rules.map(|rule| tally(3, 3 * SECONDS, 200, rule));
    assert!(slack.missed < fifo.missed, "{slack:?} of least slack, {fifo:?} of first come");
    assert!(0 < culled.culled && culled.wasted < slack.wasted, "{culled:?}, {slack:?} without");
}
