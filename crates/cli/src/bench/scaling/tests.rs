//! The profile, and how its rows are judged.

use super::*;

#[test]
fn a_row_turns_where_it_changes_its_way() {
    for (numbers, expected) in [
        (&[][..], 0),
        (&[1, 1, 1], 0),
        (&[1, 2, 4, 4, 8], 0),
        (&[1, 8, 8, 7, 6, 1], 1),
        (&[1, 2, 1, 2], 2),
    ] {
        assert_eq!(turns(numbers.iter().copied()), expected, "{numbers:?}");
    }
}

#[test]
fn a_phase_brings_what_it_says() {
    let all = |phase: Phase| (0..10).map(|second| phase.due(second, 10, 100.0)).sum::<f64>();
    for (phase, expected) in [
        (Phase::Idle, 20.0),
        (Phase::Ramp, 330.0),
        (Phase::Spike, 590.0),
        (Phase::Limit, 500.0),
        (Phase::Release, 0.0),
        (Phase::Decay, 0.0),
    ] {
        assert!((all(phase) - expected).abs() < 1e-6, "{phase:?}: {}", all(phase));
    }
}
