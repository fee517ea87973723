//! Whatever a peer sends as a duration.

use super::*;

#[test]
fn any_two_numbers_can_be_read() {
    let cases = [
        ((0, 0), Ok(Duration::ZERO)),
        ((1, 2), Ok(Duration::new(1, 2))),
        ((i64::MAX, 999_999_999), Ok(Duration::new(i64::MAX.unsigned_abs(), 999_999_999))),
        ((-1, 0), Err(DurationError::Negative)),
        ((0, -1), Err(DurationError::Negative)),
        ((i64::MIN, 0), Err(DurationError::Negative)),
        ((i64::MIN, -999_999_999), Err(DurationError::Negative)),
        ((1, -1), Err(DurationError::Malformed)),
        ((-1, 1), Err(DurationError::Malformed)),
        ((0, 1_000_000_000), Err(DurationError::Malformed)),
        ((i64::MIN, i32::MIN), Err(DurationError::Malformed)),
    ];
    for ((seconds, nanos), read) in cases {
        let sent = prost_types::Duration { seconds, nanos };
        assert_eq!(from_wire(&sent), read, "{sent:?}");
    }
}

#[test]
fn what_is_too_long_is_the_longest() {
    let longest = prost_types::Duration { seconds: i64::MAX, nanos: 0 };
    let short = prost_types::Duration { seconds: 1, nanos: 2 };
    assert_eq!(to_wire(Duration::MAX), longest);
    assert_eq!(to_wire(Duration::new(1, 2)), short);
}
