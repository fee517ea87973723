//! Turns, one by one and many at once.

use super::{Act, End, rehearse};

const LONG: u64 = 1_000_000_000;

fn check(ends: &[(u64, u64)], acts: &[(u64, u64, u64, u64)], expected: Option<u64>) {
    let ends: Vec<End> =
        ends.iter().map(|(in_us, count)| End { in_us: *in_us, count: *count }).collect();
    let acts = acts.iter().map(|(count, run_us, left_us, least_us)| Act {
        count: *count,
        run_us: *run_us,
        left_us: *left_us,
        least_us: *least_us,
    });
    let acts: Vec<Act> = acts.collect();
    let found = rehearse(&ends, &acts).map(|it| it.as_micros());
    assert_eq!(found, expected.map(u128::from), "{ends:?}, {acts:?}");
}

#[test]
fn each_act_takes_what_is_free_first() {
    check(&[], &[], None);
    check(&[(5, 0)], &[], None);
    check(&[(5, 1)], &[], Some(5));
    check(&[(5, 1), (3, 1)], &[], Some(3));
    check(&[(5, 1), (3, 1)], &[(1, 10, LONG, 0)], Some(5));
    check(&[(5, 1), (3, 1)], &[(1, 10, LONG, 0), (1, 10, LONG, 0)], Some(13));
    check(&[(0, 1)], &[(1, 10, LONG, 0), (1, 20, LONG, 0), (1, 5, LONG, 0)], Some(35));
    check(&[(0, 2)], &[(1, 10, LONG, 0), (1, 20, LONG, 0), (1, 5, LONG, 0)], Some(15));
}

#[test]
fn who_has_too_little_time_left_takes_nothing() {
    // His time is over when he has his turn.
    check(&[(5, 1)], &[(1, 10, 5, 0)], Some(5));
    // It ends while he runs.
    check(&[(5, 1)], &[(1, 10, 6, 0)], Some(6));
    // It does not suffice.
    check(&[(5, 1)], &[(1, 10, 12, 8)], Some(5));
    check(&[(5, 1)], &[(1, 10, 13, 8)], Some(13));
    // Who is too late for one slot leaves it to the next.
    check(&[(0, 1)], &[(1, 10, LONG, 0), (1, 10, 8, 0), (1, 3, LONG, 0)], Some(13));
}

#[test]
fn many_at_once_take_as_long_as_one_by_one() {
    for (slots, tasks) in [(1, 100), (8, 1_000), (10, 10), (100, 1_000)] {
        let one_by_one = vec![(1, 1_000, LONG, 0); tasks];
        for together in [2_usize, 5, 10] {
            let ends = [(0, slots)];
            let acts = vec![(together as u64, 1_000, LONG, 0); tasks / together];
            let rounds = tasks as u64 / slots * 1_000;
            check(&ends, &one_by_one, Some(rounds));
            check(&ends, &acts, Some(rounds));
        }
    }
}
