//! The search itself, on machines whose states can be counted by hand.

use super::*;

/// Counts up to a number, by one or by two; some numbers must not be reached, some have no way out.
struct Counter {
    most: u32,
    forbidden: Option<u32>,
    trap: Option<u32>,
}

impl Machine for Counter {
    type State = u32;
    type Action = u32;

    fn start(&self) -> u32 {
        0
    }

    fn actions(&self, state: &u32) -> Vec<u32> {
        let steps = [1, 2].into_iter();
        steps.filter(|by| Some(*state) != self.trap && state + by <= self.most).collect()
    }

    fn step(&self, state: &u32, by: u32) -> Result<u32, Violation> {
        let next = state + by;
        if Some(next) == self.forbidden {
            return Err(Violation { invariant: "forbidden", what: next.to_string() });
        }
        Ok(next)
    }

    fn judged(&self, state: &u32) -> u32 {
        1 << (state % 2)
    }

    fn fingerprint(&self, state: &u32) -> u128 {
        (*state).into()
    }

    fn is_done(&self, state: &u32) -> bool {
        *state == self.most
    }

    fn describe(&self, state: &u32, by: u32) -> String {
        format!("{state} + {by}")
    }
}

#[track_caller]
fn check(counter: &Counter, states_max: usize, expected: Result<usize, (&str, &[&str])>) {
    let report = explore(counter, states_max);
    match (expected, report.verdict) {
        (Ok(states), Verdict::Holds | Verdict::Capped) => assert_eq!(report.states, states),
        (Err((invariant, lines)), Verdict::Broken { violation, trace }) => {
            assert_eq!(
                (violation.invariant, trace),
                (invariant, lines.iter().map(|it| (*it).to_owned()).collect())
            );
        }
        (expected, verdict) => panic!("{verdict:?} instead of {expected:?}"),
    }
}

#[test]
fn finds_every_state_once_and_the_shortest_way_to_what_is_wrong() {
    let fine = || Counter { most: 9, forbidden: None, trap: None };
    check(&fine(), 100, Ok(10));
    check(&fine(), 4, Ok(5));
    check(&Counter { forbidden: Some(3), ..fine() }, 100, Err(("forbidden", &["0 + 1", "1 + 2"])));
    check(&Counter { trap: Some(4), ..fine() }, 100, Err((NO_STUCK_STATES, &["0 + 2", "2 + 2"])));
    check(&Counter { trap: Some(9), ..fine() }, 100, Ok(10));
}

#[test]
fn counts_edges_and_depth() {
    let report = explore(&Counter { most: 4, forbidden: None, trap: None }, 100);
    assert_eq!((report.states, report.edges, report.depth), (5, 7, 2));
}
