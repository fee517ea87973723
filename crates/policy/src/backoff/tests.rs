//! Backoff against its definition.

use std::time::Duration;

use proptest::prelude::*;

use super::{Backoff, Jitter};

const SECOND: Duration = Duration::from_secs(1);

fn backoff(jitter: Jitter) -> Backoff {
    Backoff { initial: SECOND, factor: 2.0, cap: 300 * SECOND, jitter }
}

#[test]
fn the_ceiling_doubles_up_to_the_cap() {
    let ceilings: Vec<u64> = (0..11).map(|n| backoff(Jitter::None).ceiling(n).as_secs()).collect();
    assert_eq!(ceilings, [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300]);
}

#[test]
fn the_ends_of_the_draw_are_zero_and_the_ceiling() {
    let full = backoff(Jitter::Full);
    assert_eq!(full.wait(3, 0), Duration::ZERO);
    assert!(Duration::from_millis(7_999) < full.wait(3, u64::MAX));
    assert_eq!(backoff(Jitter::None).wait(3, 0), 8 * SECOND);
}

#[test]
fn jitter_only_adds_to_what_somebody_was_told() {
    // What was told, the jitter, the draw, and the least and the most that is waited after the fourth failure.
    let cases = [
        (0, Jitter::Full, 0, (0, 0)),
        (60, Jitter::Full, 0, (60, 60)),
        (60, Jitter::Full, u64::MAX, (67, 68)),
        (60, Jitter::None, u64::MAX, (60, 60)),
        (5, Jitter::None, 0, (8, 8)),
    ];
    for (told, jitter, random, (least, most)) in cases {
        let wait = backoff(jitter).wait_at_least(told * SECOND, 3, random);
        assert!(least * SECOND <= wait && wait <= most * SECOND, "{told} s: {wait:?}");
    }
}

proptest! {
    #[test]
    fn a_wait_never_exceeds_its_ceiling(
        initial_ms in 0u64..10_000_000,
        factor in 1.0f64..100.0,
        cap_ms in 0u64..40_000_000_000,
        n in any::<u32>(),
        random in any::<u64>(),
    ) {
        let backoff = Backoff {
            initial: Duration::from_millis(initial_ms),
            factor,
            cap: Duration::from_millis(cap_ms),
            jitter: Jitter::Full,
        };
        prop_assert!(backoff.wait(n, random) <= backoff.ceiling(n));
        prop_assert!(backoff.ceiling(n) <= backoff.cap);
    }
}
