//! Time arithmetic at its edges.

use std::time::Duration;

use super::Time;

#[test]
fn adding_rounds_up_so_that_nothing_is_due_early() {
    let cases: [(u64, Duration, u64); 5] = [
        (5, Duration::ZERO, 5),
        (5, Duration::from_nanos(1), 6),
        (5, Duration::from_millis(2), 7),
        (5, Duration::new(1, 1_000_001), 1_007),
        (5, Duration::MAX, u64::MAX),
    ];
    for (start, wait, expected) in cases {
        assert_eq!((Time::from_unix_ms(start) + wait).unix_ms(), expected, "{start} + {wait:?}");
    }
}

#[test]
fn differences_stop_at_zero() {
    let (early, late) = (Time::from_unix_ms(10), Time::from_unix_ms(15));
    assert_eq!(late.since(early), Duration::from_millis(5));
    assert_eq!(early.since(late), Duration::ZERO);
    assert_eq!((early - Duration::from_millis(15)).unix_ms(), 0);
    assert!(late < Time::NEVER);
}
