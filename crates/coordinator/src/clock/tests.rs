//! The clock never goes back, whatever the wall clock does.

use super::*;

const BASE: u64 = 1_764_000_000_000;

/// Runs a clock for `seconds`, looking once a second at a wall clock that is `offset_ms` off from the start on.
fn run(seconds: u64, offset_ms: i64) -> Vec<u64> {
    let mut hand = Hand::new(Time::from_unix_ms(BASE));
    let step = |second: u64| {
        let elapsed = Duration::from_secs(second);
        assert!(hand.is_check_due(elapsed), "a check each second");
        let wall = BASE.saturating_add(second * 1_000).saturating_add_signed(offset_ms);
        hand.check(elapsed, Time::from_unix_ms(wall));
        hand.read(elapsed).unix_ms() - BASE
    };
    (1..=seconds).map(step).collect()
}

#[test]
fn a_small_difference_is_left_alone() {
    for offset in [0, 500, -500] {
        assert_eq!(run(3, offset), [1_000, 2_000, 3_000], "offset {offset}");
    }
}

#[test]
fn a_step_of_an_hour_is_worked_off_at_half_a_percent() {
    assert_eq!(run(3, 3_600_000), [1_005, 2_010, 3_015]);
    assert_eq!(run(3, -3_600_000), [995, 1_990, 2_985]);
    assert_eq!(run(2, i64::MAX), [1_005, 2_010], "a wall clock beyond all sense");
}

#[test]
fn the_correction_ends_within_the_tolerance() {
    let shown = run(400, 1_000);
    assert_eq!(shown.last(), Some(&(400_000 + 500)));
}

#[test]
fn it_never_goes_back() {
    let mut hand = Hand::new(Time::from_unix_ms(BASE));
    let before = hand.read(Duration::from_secs(1));
    hand.check(Duration::from_millis(1_001), Time::from_unix_ms(0));
    assert_eq!(hand.read(Duration::from_millis(1_001)), before, "5 ms were taken away");
    assert!(before < hand.read(Duration::from_millis(1_010)));
}

#[test]
fn it_begins_where_the_journal_ended() {
    let later = wall() + Duration::from_hours(1);
    assert!(later <= Clock::new(Clocks::Machine, later).now());
    assert!(wall() <= Clock::new(Clocks::Machine, Time::from_unix_ms(0)).now());
}
