//! What is read from `/proc`.

use std::time::Duration;

use super::{of, parse};

#[test]
fn times_are_found_behind_any_name() {
    let cases = [
        ("7 (sh) S 1 7 7 0 -1 4194304 100 0 0 0 12 34 0 0 20 0 1", Some(460)),
        ("7 (a) b) S 1 7 7 0 -1 4194304 100 0 0 0 1 0 0 0 20 0 1", Some(10)),
        ("7 (sh) S 1 7", None),
        ("7 (sh) S 1 7 7 0 -1 4194304 100 0 0 0 x 34 0 0", None),
        ("", None),
    ];
    for (stat, ms) in cases {
        assert_eq!(parse(stat), ms.map(Duration::from_millis), "{stat}");
    }
}

#[test]
fn a_process_has_a_time_and_nobody_has_none() {
    assert!(of(std::process::id()).is_some());
    assert_eq!(of(u32::MAX), None);
}
