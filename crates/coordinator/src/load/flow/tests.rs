//! Buckets as a table, percentiles against the sorted truth, and a window that moves.

use super::*;

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn at(ms: u64) -> Time {
    Time::from_unix_ms(1_000_000 + ms)
}

fn name(text: &str) -> Name {
    Name::from(text)
}

#[test]
fn every_bucket_begins_where_the_one_before_ends() {
    for at in 0..BUCKETS - 1 {
        let (low, high) = (floor(at), floor(at + 1));
        assert!(low < high, "{at}");
        assert_eq!((bucket(ms(low)), bucket(ms(high - 1))), (at, at), "{low} to {high}");
        assert!(at < 4 || high - low <= low / 4, "{low} to {high} is too wide");
    }
    assert_eq!(bucket(Duration::MAX), BUCKETS - 1);
}

#[test]
fn percentiles_are_near_the_truth() {
    let mut random = fastrand::Rng::with_seed(7);
    for most in [3_u64, 100, 5_000, 3_600_000] {
        let mut all: Vec<u64> = (0..1_000).map(|_| random.u64(0..most)).collect();
        let mut histogram = Histogram::default();
        for it in &all {
            histogram.add(ms(*it));
        }
        all.sort_unstable();
        for percent in [1, 50, 95, 100] {
            let rank = usize::try_from(percent).unwrap() * 10 - 1;
            let (truth, said) = (all[rank], histogram.percentile(percent).unwrap());
            let off = said.abs_diff(ms(truth));
            assert!(off <= ms(1 + truth / 4), "p{percent} of {most}: {said:?} for {truth} ms");
        }
        let sum: u64 = all.iter().sum();
        assert_eq!(histogram.mean(), Some(ms(sum) / 1_000));
    }
    assert_eq!(Histogram::default().percentile(95), None);
    assert_eq!(Histogram::default().mean(), None);
}

#[test]
fn what_happened_counts_for_the_window_and_not_much_longer() {
    let (queue, task_type) = (name("q"), name("t"));
    let mut flows = Flows::new(ms(4_000), at(0));
    for second in 0..4 {
        flows.turn(at(second * 1_000));
        flows.of(&queue, &task_type).unwrap().waits.add(ms(10));
    }
    let counted = |flows: &Flows| flows.sum("q", "t").map_or(0, |sum| sum.waits.count());
    assert_eq!(counted(&flows), 4);
    for (now, left) in [(3_999, 4), (4_000, 3), (5_500, 2), (6_000, 1), (7_000, 0)] {
        flows.turn(at(now));
        assert_eq!(counted(&flows), left, "at {now}");
    }
    assert!(flows.due().is_none());
    flows.of(&queue, &task_type).unwrap().waits.add(ms(10));
    flows.turn(at(1_000_000));
    assert!(flows.due().is_none(), "a long sleep forgets it all");
}

#[test]
fn kinds_are_bounded_and_places_come_back() {
    let mut flows = Flows::new(ms(1_000), at(0));
    for kind in 0..FLOWS_MAX {
        flows.of(&name("q"), &name(&kind.to_string())).unwrap().starts.add(ms(1));
    }
    assert!(flows.of(&name("q"), &name("one more")).is_none());
    assert!(flows.of(&name("q"), &name("7")).is_some());
    flows.turn(at(10_000));
    assert!(flows.of(&name("q"), &name("one more")).is_some());
}
