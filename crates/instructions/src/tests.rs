//! What a count is held to.

use super::verdict;

#[test]
fn a_count_may_differ_by_a_twentieth() {
    for (found, expected, is_fine) in [
        (1_000, 1_000, true),
        (1_050, 1_000, true),
        (1_051, 1_000, false),
        (950, 1_000, true),
        (949, 1_000, false),
        (0, 0, true),
    ] {
        assert_eq!(verdict(found, expected).is_none(), is_fine, "{found} of {expected}");
    }
}
