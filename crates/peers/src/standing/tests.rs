//! Who stands where.

use std::time::Duration;

use super::{Figures, Standings};
use crate::args::Case;

#[test]
fn the_best_turn_counts_and_the_first_is_the_measure() {
    let flow = |secs| Figures::flow(1_000, Duration::from_secs(secs), Duration::from_millis(5));
    let mut standings = Standings::default();
    for (name, secs) in [("ours", 2), ("theirs", 8), ("ours", 1), ("theirs", 4)] {
        standings.add(name, flow(secs));
    }
    let table = standings.table(Case::Flow { tasks: 1_000 });
    let words: Vec<Vec<&str>> =
        table.lines().skip(1).map(|it| it.split_whitespace().collect()).collect();
    let expected =
        [["ours", "1000", "5.0", "500", "1.00x"], ["theirs", "250", "5.0", "125", "0.25x"]];
    assert_eq!(words, expected);
}

#[test]
fn of_delays_the_least_p99_is_the_best() {
    let latency =
        |us| Figures::Latency { p50: Duration::from_micros(7), p99: Duration::from_micros(us) };
    let mut standings = Standings::default();
    for (name, us) in [("ours", 90), ("ours", 50), ("theirs", 100)] {
        standings.add(name, latency(us));
    }
    let table = standings.table(Case::Latency { rate: 1, secs: 1 });
    let words: Vec<Vec<&str>> =
        table.lines().skip(1).map(|it| it.split_whitespace().collect()).collect();
    assert_eq!(
        words,
        [["ours", "7", "50.0", "90", "1.00x"], ["theirs", "7", "100.0", "100", "2.00x"]]
    );
}
