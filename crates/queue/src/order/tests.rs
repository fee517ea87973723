//! Orders against a set that is in order by itself.

use proptest::prelude::*;

use super::*;

/// What is done, with what, and what is put in the place of that.
fn check(steps: Vec<(u8, u8, u8)>) {
    let (mut order, mut expected) = (Order::default(), BTreeSet::new());
    for (what, thing, other) in steps {
        match what {
            0 => {
                order.insert(thing);
                expected.insert(thing);
            }
            1 => {
                order.remove(&thing);
                expected.remove(&thing);
            }
            _ => {
                order.replace(&thing, other);
                expected.remove(&thing);
                expected.insert(other);
            }
        }
        assert!(order.iter().eq(&expected), "{order:?} is not {expected:?}");
        assert_eq!((order.first(), order.is_empty()), (expected.first(), expected.is_empty()));
        assert_eq!((order.is_single(), order.len()), (expected.len() == 1, expected.len()));
        assert_eq!(order.contains(&other), expected.contains(&other));
    }
}

proptest! {
    #[test]
    fn whatever_comes_goes_and_moves(
        steps in prop::collection::vec((0_u8..3, 0_u8..12, 0_u8..12), 0..400),
    ) {
        check(steps);
    }
}
