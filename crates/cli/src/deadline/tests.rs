//! Deadlines as people write them.

use std::time::{Duration, SystemTime};

use super::{Deadline, parse_deadline};

#[test]
fn a_time_or_a_duration() {
    let at = |seconds| Deadline::At(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds));
    let cases = [
        ("90m", Deadline::In(Duration::from_mins(90))),
        ("1970-01-01T00:01:00Z", at(60)),
        ("1970-01-01T02:01:00+02:00", at(60)),
    ];
    for (text, deadline) in cases {
        assert_eq!(parse_deadline(text), Ok(deadline), "{text}");
    }
    for text in ["", "tomorrow", "2030-01-31", "2030-13-01T00:00:00Z", "-5m"] {
        let refusal = parse_deadline(text).expect_err(text);
        assert!(refusal.contains("2030-01-31T12:00:00Z"), "{text}: {refusal}");
    }
}

#[test]
fn a_duration_counts_from_now() {
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(10);
    assert_eq!(Deadline::In(Duration::from_secs(5)).from(now), Some(now + Duration::from_secs(5)));
    assert_eq!(Deadline::At(now).from(SystemTime::now()), Some(now));
    assert_eq!(Deadline::In(Duration::MAX).from(now), None);
}
