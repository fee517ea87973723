//! What is learned of run times, against the truth.

use super::*;

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn learned(runs: impl IntoIterator<Item = u64>) -> Paces {
    let mut paces = Paces::default();
    runs.into_iter().for_each(|run| paces.learn(&"type".into(), ms(run)));
    paces
}

#[test]
fn quantiles_are_no_less_than_the_truth_and_at_most_half_more() {
    let cases: [(Vec<u64>, u64, u64); 5] = [
        (vec![0], 0, 0),
        (vec![40; 10], 40, 40),
        ((1..=100).collect(), 50, 95),
        ((0..20).map(|n| if n < 19 { 10 } else { 9_000 }).collect(), 10, 10),
        ((0..20).map(|n| if n < 18 { 10 } else { 9_000 }).collect(), 10, 9_000),
    ];
    for (runs, p50, p95) in cases {
        let paces = learned(runs.clone());
        for (found, truth) in [(paces.p50("type"), p50), (paces.p95("type"), p95)] {
            let most = ms(truth + truth.div_ceil(2) + 2);
            assert!(ms(truth) <= found && found <= most, "{found:?} for {truth} of {runs:?}");
        }
    }
}

#[test]
fn nothing_is_known_of_what_never_ran() {
    let paces = learned([5]);
    assert_eq!(
        (paces.mean("other"), paces.p50("other"), paces.p95("other")),
        (UNKNOWN, Duration::ZERO, Duration::ZERO)
    );
    assert_eq!(paces.mean("type"), ms(5));
}

#[test]
fn what_tasks_take_now_counts_more_than_what_they_took() {
    let paces = learned(std::iter::repeat_n(1_000, 2_000).chain(std::iter::repeat_n(10, 2_000)));
    assert!(paces.p50("type") <= ms(16), "{:?}", paces.p50("type"));
    assert!(paces.mean("type") < ms(11), "{:?}", paces.mean("type"));
}

#[test]
fn the_longest_run_has_a_bucket_and_types_are_bounded() {
    let mut paces = learned([u64::MAX, u64::MAX]);
    assert!(ms(u64::from(u32::MAX)) < paces.p95("type"));
    (0..2 * TYPES_MAX).for_each(|n| paces.learn(&format!("type{n:05}").into(), ms(1)));
    assert_eq!(paces.0.len(), TYPES_MAX);
}

#[test]
fn quantiles_that_move_along_are_those_that_are_counted_anew() {
    let mut paces = Paces::default();
    let mut seed = 7_u64;
    for n in 0..20_000_u64 {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        // What tasks take changes every now and then, from a few milliseconds to half an hour.
        let doublings = (n / 700 * 5) % 20;
        paces.learn(&"type".into(), ms((seed >> 33) % (2 << doublings)));
        let pace = &paces.0["type"];
        let counted = |percent: u32| {
            let wanted = (pace.total * percent).div_ceil(100);
            (0..BUCKETS).find(|last| {
                wanted <= pace.runs[..=*last].iter().map(|count| u32::from(*count)).sum()
            })
        };
        let first = pace.runs.iter().position(|count| 0 < *count);
        let expected = (first, counted(50), counted(95));
        let found = (Some(pace.lowest), Some(pace.half.bucket), Some(pace.most.bucket));
        assert_eq!(found, expected, "run {n}");
    }
}
