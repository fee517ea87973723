//! How far the limit is raised.

use super::*;

#[test]
fn it_is_raised_as_far_as_needed_and_allowed() {
    let slots = 50;
    assert_eq!(needed(slots), 364);
    for (current, maximum, expected) in [
        (Some(128), Some(1_024), Some(Some(364))),
        (Some(128), None, Some(Some(364))),
        (Some(128), Some(200), Some(Some(200))),
        (Some(128), Some(128), Some(Some(128))),
        (Some(1_024), Some(1_024), None),
        (None, None, None),
    ] {
        let limit = Rlimit { current, maximum };
        let raised = raised(&limit, needed(slots)).map(|it| it.current);
        assert_eq!(raised, expected, "{current:?} of {maximum:?}");
    }
}
