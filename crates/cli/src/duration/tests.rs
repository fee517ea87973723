//! Durations in and out.

use std::time::Duration;

use super::{brief, parse_duration};

#[test]
fn what_people_write() {
    let cases = [
        ("0s", Duration::ZERO),
        ("1.5s", Duration::from_millis(1_500)),
        ("200ms", Duration::from_millis(200)),
        ("250us", Duration::from_micros(250)),
        ("5m", Duration::from_mins(5)),
        ("24h", Duration::from_hours(24)),
        ("2d", Duration::from_hours(48)),
        ("1h30m", Duration::from_mins(90)),
        ("1m0.5s", Duration::from_millis(60_500)),
        (".5s", Duration::from_millis(500)),
        ("1.s", Duration::from_secs(1)),
        ("0.000000001s", Duration::from_nanos(1)),
        ("0.1s", Duration::from_millis(100)),
    ];
    for (text, duration) in cases {
        assert_eq!(parse_duration(text), Ok(duration), "{text}");
    }
}

#[test]
fn what_is_refused_and_why() {
    let cases = [
        ("", "is no duration"),
        ("5", "has no unit"),
        ("1h30", "has no unit"),
        ("-5s", "is negative"),
        ("s", "does not begin with a number"),
        (" 5s", "does not begin with a number"),
        ("5 s", "unknown unit"),
        ("5S", "unknown unit"),
        ("5 minutes", "unknown unit"),
        (".s", "is no number"),
        ("1.2.3s", "is no number"),
        ("1e3s", "unknown unit"),
        ("0.0000000001s", "too many digits"),
        ("99999999999999999999999d", "is too long"),
        ("999999999999999999999999999999999999999999s", "is too long"),
        ("\u{661}s", "does not begin with a number"),
    ];
    for (text, why) in cases {
        let refusal = parse_duration(text).expect_err(text);
        assert!(refusal.contains(why), "{text}: {refusal}");
        assert!(refusal.contains("1.5s"), "{text}: the way out is missing: {refusal}");
    }
}

#[test]
fn what_people_read() {
    let cases = [
        (Duration::ZERO, "0s"),
        (Duration::from_micros(7), "7us"),
        (Duration::from_millis(250), "250ms"),
        (Duration::from_millis(1_550), "1.5s"),
        (Duration::from_millis(59_999), "59s"),
        (Duration::from_secs(61), "1m01s"),
        (Duration::from_mins(61), "1h01m"),
        (Duration::from_hours(50), "2d02h"),
        (Duration::from_mins(5), "5m"),
        (Duration::from_hours(24), "1d"),
    ];
    for (duration, text) in cases {
        assert_eq!(brief(duration), text);
    }
}
