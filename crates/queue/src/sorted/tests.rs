//! Runs against a map that is in order by itself.

use proptest::prelude::*;

use super::*;

/// The things in both, and whether the runs keep what they promise.
fn check(sorted: &Sorted<u16, u32>, expected: &BTreeMap<u16, u32>) {
    let all: Vec<_> = expected.iter().map(|(key, thing)| (*key, *thing)).collect();
    assert!(sorted.iter().eq(&all));
    assert_eq!((sorted.first(), sorted.last()), (all.first(), all.last()));
    assert_eq!(sorted.len(), all.len());
    for key in [0, 100, 500, 999, u16::MAX] {
        assert!(sorted.from(key).eq(all.iter().filter(|(other, _)| key <= *other)), "from {key}");
        assert_eq!(sorted.contains(&key), expected.contains_key(&key), "{key}");
    }
    assert!(!sorted.first.is_empty() || sorted.rest.is_empty(), "the first run is the first");
    let is_sound = |run: &Run<u16, u32>| !run.is_empty() && run.len() <= RUN_MAX;
    assert!(sorted.rest.values().all(is_sound), "an empty run, or one that is too long");
}

fn run(steps: impl IntoIterator<Item = (u16, bool)>) -> Sorted<u16, u32> {
    let (mut sorted, mut expected) = (Sorted::default(), BTreeMap::new());
    for (nth, (key, comes)) in (0..).zip(steps) {
        if comes {
            sorted.insert(key, nth);
            expected.insert(key, nth);
        } else {
            assert_eq!(sorted.remove(&key), expected.remove(&key), "{key}");
        }
        assert_eq!(
            (sorted.len(), sorted.first().map(|it| it.0)),
            (expected.len(), expected.keys().next().copied())
        );
    }
    check(&sorted, &expected);
    sorted
}

proptest! {
    #[test]
    fn whatever_comes_and_goes(steps in prop::collection::vec((0_u16..1_000, any::<bool>()), 0..4_000)) {
        run(steps);
    }

    #[test]
    fn what_comes_in_order_lies_close(step in 1_u16..5, len in 0_u16..2_000) {
        let sorted = run((0..len).map(|nth| (nth * step, true)));
        assert_eq!(sorted.rest.len(), usize::from(len).div_ceil(RUN_MAX).saturating_sub(1));
    }

    #[test]
    fn what_is_left_of_many_takes_few_runs(every in 2_u16..400) {
        let gone = (0..10_000).filter(|nth| nth % every != 0).map(|nth| (nth, false));
        let sorted = run((0..10_000).map(|nth| (nth, true)).chain(gone));
        assert!(sorted.rest.len() <= 1 + sorted.len() / (RUN_MIN / 2), "{} of {}", sorted.rest.len(), sorted.len());
    }
}

#[test]
fn what_comes_from_behind_lies_close_whatever_was_there() {
    for up in 0..=2 * RUN_MAX + 1 {
        let up = u16::try_from(up).expect("it is small");
        let sorted = run((0..up).chain((up..2_000).rev()).map(|key| (key, true)));
        let most = 2 + 2_000 / (RUN_MAX / 2);
        assert!(sorted.rest.len() <= most, "{} runs after {up} that ascend", sorted.rest.len());
    }
}

#[test]
fn what_waits_in_line_comes_and_goes_in_order() {
    run((1_u16..=60_000).flat_map(|key| [(key, true), (key.saturating_sub(200), false)]));
    run((1_u16..=60_000).rev().flat_map(|key| [(key, true), (key.saturating_add(200), false)]));
}
