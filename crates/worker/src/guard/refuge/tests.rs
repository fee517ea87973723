//! The group of a process, as the kernel says it.

use super::*;

#[test]
fn the_innermost_group_counts() {
    for (status, expected) in [
        ("Name:\tx\nNSpid:\t7\nNSpgid:\t5\nNSsid:\t3\n", Some(5)),
        ("NSpgid:\t905\t5\n", Some(5)),
        // It was started from outside, which is where its group is.
        ("NSpgid:\t905\t0\n", None),
        ("NSpgid:\t0\n", None),
        ("Name:\tx\n", None),
    ] {
        let number = group(status).map(|it| it.as_raw_nonzero().get());
        assert_eq!(number, expected, "{status:?}");
    }
    assert!(own().is_some(), "a test has a group");
}
