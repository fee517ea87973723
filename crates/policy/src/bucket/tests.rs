//! A bucket against the sentence that defines it.

use std::time::Duration;

use proptest::prelude::*;

use super::{Bucket, Rate};

const MS: Duration = Duration::from_millis(1);

#[test]
fn a_burst_passes_and_then_one_in_each_interval() {
    let rate = Rate { interval: 10 * MS, burst: 3 };
    let mut bucket = Bucket::default();
    let start = 1_000 * MS;
    let cases = [
        (start, Ok(())),
        (start, Ok(())),
        (start, Ok(())),
        (start, Err(10 * MS)),
        (start + 4 * MS, Err(6 * MS)),
        (start + 10 * MS, Ok(())),
        (start + 10 * MS, Err(10 * MS)),
        (start + 1_000 * MS, Ok(())),
        (start + 1_000 * MS, Ok(())),
        (start + 1_000 * MS, Ok(())),
        (start + 1_000 * MS, Err(10 * MS)),
    ];
    for (at, answer) in cases {
        assert_eq!(bucket.take(rate, at), answer, "at {at:?}");
    }
}

#[test]
fn no_interval_is_no_limit() {
    let mut bucket = Bucket::default();
    let rate = Rate { interval: Duration::ZERO, burst: 0 };
    assert!((0..10_000).all(|_| bucket.take(rate, Duration::ZERO).is_ok()));
}

proptest! {
    #[test]
    fn no_stretch_of_time_sees_more_than_it_may(
        interval_us in 1u64..5_000,
        burst in 1u32..8,
        gaps_us in proptest::collection::vec(0u64..4_000, 1..200),
    ) {
        let rate = Rate { interval: Duration::from_micros(interval_us), burst };
        let (mut bucket, mut now, mut passed) = (Bucket::default(), Duration::ZERO, Vec::new());
        for gap in gaps_us {
            now += Duration::from_micros(gap);
            let before = bucket;
            match bucket.take(rate, now) {
                Ok(()) => passed.push(now),
                Err(wait) => {
                    prop_assert_eq!(bucket, before, "a refusal takes nothing");
                    let (mut sooner, mut later) = (bucket, bucket);
                    let early = wait.saturating_sub(Duration::from_nanos(1));
                    prop_assert!(sooner.take(rate, now + early).is_err(), "no later than needed");
                    prop_assert!(later.take(rate, now + wait).is_ok(), "it says when to come back");
                }
            }
        }
        for (first, begin) in passed.iter().enumerate() {
            for (last, end) in passed.iter().enumerate().skip(first) {
                let most = end.saturating_sub(*begin).as_micros() / u128::from(interval_us) + u128::from(burst);
                prop_assert!(((last - first + 1) as u128) <= most);
            }
        }
    }
}
