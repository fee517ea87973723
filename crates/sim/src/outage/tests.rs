//! What a breaker is for.

use super::{breakers, play};

#[test]
fn a_breaker_saves_attempts_and_tasks() {
    let all = breakers();
    let (without, with) = (play(7, all[0].1), play(7, all[3].1));
    assert!(500 < without.dead, "an outage costs tasks: {without:?}");
    assert!(with.dead * 100 < without.dead, "{with:?}");
    assert!(with.failed * 20 < without.failed, "{with:?} {without:?}");
    assert_eq!(with, play(7, all[3].1), "a seed is one story");
}
