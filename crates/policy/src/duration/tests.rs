//! What is a duration, what is none, and why.

use super::*;

#[test]
fn what_people_write() {
    use ParseDurationError::{Empty, Number, TooLong, Unit};
    let ms = |ms| Ok(Duration::from_millis(ms));
    for (text, expected) in [
        ("0s", ms(0)),
        ("500ms", ms(500)),
        ("1.5s", ms(1_500)),
        ("30s", ms(30_000)),
        ("5m", ms(300_000)),
        ("1h30m", ms(5_400_000)),
        ("1m0.5s", ms(60_500)),
        ("14d", ms(1_209_600_000)),
        ("250us", Ok(Duration::from_micros(250))),
        ("0.000000001s", Ok(Duration::from_nanos(1))),
        ("", Err(Empty)),
        ("5", Err(Unit)),
        ("1h30", Err(Unit)),
        ("5 s", Err(Unit)),
        ("5S", Err(Unit)),
        ("s", Err(Number)),
        ("-5s", Err(Number)),
        (" 5s", Err(Number)),
        (".5s", Err(Number)),
        ("1.2.3s", Err(Number)),
        ("\u{661}s", Err(Number)),
        ("300000d", Err(TooLong)),
        ("999999999999999999d", Err(TooLong)),
        ("9999999999999999999s", Err(TooLong)),
    ] {
        assert_eq!(parse_duration(text), expected, "{text:?}");
    }
}
