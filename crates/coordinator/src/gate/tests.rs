//! Nothing passes the gate before its position is durable, and everything in order.

use proptest::{collection::vec, prelude::*};

use super::*;

fn leave_all(gate: &mut Gate<u64>) -> Vec<u64> {
    std::iter::from_fn(|| gate.leave()).collect()
}

#[test]
fn what_needs_nothing_new_leaves_at_once() {
    let mut gate = Gate::new(Position(7));
    gate.hold(Position(7), 1);
    gate.hold(Position(8), 2);
    assert_eq!(leave_all(&mut gate), [1]);
    gate.open(Position(8));
    assert_eq!(leave_all(&mut gate), [2]);
    assert!(gate.is_empty());
}

#[test]
#[should_panic(expected = "stays durable")]
fn what_is_durable_stays_durable() {
    Gate::<u64>::new(Position(7)).open(Position(6));
}

proptest! {
    #[test]
    fn all_leaves_in_order_and_nothing_early(steps in vec((0..4_u64, any::<bool>()), 1..60)) {
        let mut gate = Gate::new(Position(0));
        let (mut next, mut durable, mut left) = (0, 0, Vec::new());
        for (step, is_hold) in steps {
            if is_hold {
                next += step;
                gate.hold(Position(next), next);
            } else {
                durable = next.min(durable + step);
                gate.open(Position(durable));
            }
            for position in leave_all(&mut gate) {
                prop_assert!(position <= durable, "{position} left at {durable}");
                left.push(position);
            }
        }
        gate.open(Position(next));
        left.extend(leave_all(&mut gate));
        prop_assert!(gate.is_empty());
        prop_assert!(left.is_sorted());
    }
}
