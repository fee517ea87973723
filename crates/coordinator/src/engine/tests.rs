//! When a turn is late.

use super::*;

#[test]
fn only_time_beyond_a_turn_that_was_due_is_lateness() {
    let at = |ms| Time::from_unix_ms(1_764_000_000_000 + ms);
    let turn = u64::try_from(STALL.as_millis()).unwrap();
    for (what, due, now, late) in [
        ("it was woken early", 500, 200, 0),
        ("in time", 500, 500, 0),
        ("stopped while it waited", 500, 9_500, 9_000),
        ("more to do after a usual turn", 0, turn, 0),
        ("more to do after a long turn", 0, turn + 700, 700),
        ("due in the middle of a usual turn", 20, turn, 0),
        ("due in the middle of a long turn", 20, turn + 700, 700),
        ("due late in a long turn", 600, turn + 700, turn + 100),
    ] {
        assert_eq!(lateness(at(0), at(due), at(now)), Duration::from_millis(late), "{what}");
    }
}
