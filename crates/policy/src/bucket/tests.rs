//! A bucket against the sentence that defines it.

use std::time::Duration;

use proptest::prelude::*;

use super::{Bucket, Rate, Receipt};

const MS: Duration = Duration::from_millis(1);

#[test]
fn a_burst_passes_and_then_one_in_each_interval() {
    let rate = Rate { interval: 10 * MS, burst: 3 };
    let mut bucket = Bucket::default();
    let start = 1_000 * MS;
    let cases = [
        (start, 1, Ok(())),
        (start, 1, Ok(())),
        (start, 1, Ok(())),
        (start, 1, Err(10 * MS)),
        (start + 4 * MS, 1, Err(6 * MS)),
        (start + 10 * MS, 1, Ok(())),
        (start + 10 * MS, 1, Err(10 * MS)),
        (start + 1_000 * MS, 2, Ok(())),
        (start + 1_000 * MS, 2, Err(10 * MS)),
        (start + 1_000 * MS, 1, Ok(())),
        (start + 1_000 * MS, 3, Err(30 * MS)),
    ];
    for (at, tokens, answer) in cases {
        let left = bucket.tokens(rate, at);
        assert_eq!(bucket.wait(rate, tokens, at), answer.err().unwrap_or_default(), "at {at:?}");
        assert_eq!(bucket.take(rate, tokens, at).map(drop), answer, "at {at:?}");
        assert_eq!(bucket.tokens(rate, at), if answer.is_ok() { left - tokens } else { left });
    }
}

#[test]
fn no_interval_is_no_limit() {
    let mut bucket = Bucket::default();
    let rate = Rate { interval: Duration::ZERO, burst: 0 };
    assert!((0..10_000).all(|_| bucket.take(rate, 7, Duration::ZERO).is_ok()));
    assert!(Bucket::emptied(rate, MS).is_full(Duration::ZERO));
}

#[test]
fn more_than_it_holds_passes_when_it_is_full_and_is_paid_off() {
    let rate = Rate { interval: 10 * MS, burst: 3 };
    let mut bucket = Bucket::default();
    assert!(bucket.take(rate, 5, 100 * MS).is_ok());
    assert_eq!(bucket.take(rate, 1, 100 * MS), Err(30 * MS));
    assert_eq!(bucket.take(rate, 5, 100 * MS), Err(50 * MS));
    assert!(bucket.take(rate, 5, 150 * MS).is_ok());
}

/// What is given back at a time, and when there is a token after that. The bucket holds two.
#[test]
fn a_refund_gives_back_what_time_has_not_made_up_for() {
    let rate = Rate { interval: 10 * MS, burst: 2 };
    // When two were taken, which of them comes back and when, and when the next one can be had.
    let cases = [
        ([0, 0], 0, 0, 0),
        ([0, 0], 1, 0, 0),
        ([0, 0], 0, 4, 4),
        ([0, 0], 1, 10, 10),
        // The first one was made up for before it came back: it is as if it had been kept.
        ([0, 9], 0, 10, 10),
        ([0, 9], 1, 10, 10),
        ([0, 50], 0, 50, 50),
    ];
    for (taken, which, back, next) in cases {
        let mut bucket = Bucket::default();
        let receipts = taken.map(|at| bucket.take(rate, 1, at * MS).unwrap());
        bucket.refund(receipts[which], back * MS);
        let wait = bucket.wait(rate, 1, back * MS);
        assert_eq!(back * MS + wait, next * MS, "{taken:?} {which} {back}");
    }
    // Kept alone, the second one leaves one token at 50 ms, not two.
    let mut bucket = Bucket::default();
    let first = bucket.take(rate, 1, Duration::ZERO).unwrap();
    assert!(bucket.take(rate, 1, 50 * MS).is_ok());
    bucket.refund(first, 51 * MS);
    assert!(bucket.take(rate, 1, 51 * MS).is_ok());
    assert_eq!(bucket.take(rate, 1, 51 * MS), Err(9 * MS));
}

#[test]
fn a_change_of_rate_clips() {
    let slow = Rate { interval: 1_000 * MS, burst: 5 };
    let fast = Rate { interval: MS, burst: 10 };
    let mut bucket = Bucket::emptied(slow, 100 * MS);
    assert_eq!(bucket.wait(slow, 1, 100 * MS), 1_000 * MS);
    bucket.clip(fast, 100 * MS);
    assert_eq!(bucket, Bucket { refunded: 4_990 * MS, ..Bucket::emptied(fast, 100 * MS) });
    bucket.clip(slow, 100 * MS);
    assert_eq!(bucket.wait(fast, 1, 100 * MS), MS, "what is fuller stays so");
}

#[test]
fn a_credit_comes_in_as_far_as_there_is_room() {
    let rate = Rate { interval: 10 * MS, burst: 2 };
    // How many thousandths come in when the bucket has been empty for so long, and how long the next token takes then.
    let cases = [(0, 0, 10), (300, 0, 7), (1_000, 0, 0), (5_000, 0, 0), (300, 4, 3), (300, 9, 0)];
    for (thousandths, later, wait) in cases {
        let (mut bucket, now) = (Bucket::emptied(rate, 100 * MS), (100 + later) * MS);
        bucket.credit(rate, thousandths, now);
        assert_eq!(bucket.wait(rate, 1, now), wait * MS, "{thousandths} after {later}");
    }
    let mut bucket = Bucket::emptied(rate, 100 * MS);
    bucket.credit(rate, 5_000, 100 * MS);
    assert_eq!(bucket, Bucket { refunded: 20 * MS, full_at: 100 * MS }, "no more than it holds");
    let mut full = Bucket::default();
    full.credit(rate, 5_000, 100 * MS);
    assert_eq!(full, Bucket::default(), "a full one owes nobody anything");
}

/// One thing that happens to a bucket.
#[derive(Clone, Copy, Debug)]
enum Event {
    /// Somebody wants so many tokens.
    Take(u32),
    /// One of those that were taken comes back.
    Refund(prop::sample::Index),
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        3 => (1u32..6).prop_map(Event::Take),
        1 => any::<prop::sample::Index>().prop_map(Event::Refund),
    ]
}

/// What was taken.
struct Taken {
    at: Duration,
    tokens: u32,
    receipt: Receipt,
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]
    #[test]
    fn no_stretch_of_time_keeps_more_than_it_may(
        interval_us in 1u64..5_000,
        burst in 1u32..8,
        events in proptest::collection::vec((0u64..4_000, event()), 1..120),
    ) {
        let rate = Rate { interval: Duration::from_micros(interval_us), burst };
        let (mut bucket, mut now) = (Bucket::default(), Duration::ZERO);
        let (mut kept, mut largest): (Vec<Taken>, u32) = (Vec::new(), burst);
        for (gap, event) in events {
            now += Duration::from_micros(gap);
            match event {
                Event::Take(tokens) => {
                    let before = bucket;
                    match bucket.take(rate, tokens, now) {
                        Ok(receipt) => {
                            largest = largest.max(tokens);
                            kept.push(Taken { at: now, tokens, receipt });
                        }
                        Err(wait) => {
                            prop_assert_eq!(bucket, before, "a refusal takes nothing");
                            let (mut sooner, mut later) = (bucket, bucket);
                            let early = wait.saturating_sub(Duration::from_nanos(1));
                            prop_assert!(sooner.take(rate, tokens, now + early).is_err(), "no later than needed");
                            prop_assert!(later.take(rate, tokens, now + wait).is_ok(), "it says when to come back");
                        }
                    }
                }
                Event::Refund(which) if !kept.is_empty() => {
                    let back = kept.remove(which.index(kept.len()));
                    bucket.refund(back.receipt, now);
                }
                Event::Refund(_) => {}
            }
            // Whatever came back, it is no fuller than a bucket that only saw what was kept.
            let mut alone = Bucket::default();
            for taken in &kept {
                alone.full_at = alone.full_at.max(taken.at) + rate.time_of(taken.tokens);
            }
            prop_assert!(alone.full_at.max(now) <= bucket.full_at.max(now));
        }
        for (first, begin) in kept.iter().enumerate() {
            let mut tokens = 0;
            for end in kept.iter().skip(first) {
                tokens += u128::from(end.tokens);
                let within = end.at.saturating_sub(begin.at).as_micros() / u128::from(interval_us);
                prop_assert!(tokens <= within + u128::from(largest));
            }
        }
    }

    #[test]
    fn what_comes_back_at_once_was_never_taken(
        interval_us in 1u64..5_000,
        burst in 1u32..8,
        events in proptest::collection::vec((0u64..4_000, 1u32..6, any::<bool>()), 1..60),
    ) {
        let rate = Rate { interval: Duration::from_micros(interval_us), burst };
        let (mut bucket, mut alone, mut now) = (Bucket::default(), Bucket::default(), Duration::ZERO);
        for (gap, tokens, comes_back) in events {
            now += Duration::from_micros(gap);
            prop_assert_eq!(bucket.wait(rate, tokens, now), alone.wait(rate, tokens, now));
            match bucket.take(rate, tokens, now) {
                Ok(receipt) if comes_back => bucket.refund(receipt, now),
                Ok(_) => prop_assert!(alone.take(rate, tokens, now).is_ok()),
                Err(_) => {}
            }
        }
    }
}
