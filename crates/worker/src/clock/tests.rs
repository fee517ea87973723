//! The alarm rings when it should, and only then.

use std::time::Duration;

use super::{Alarm, Moment};

#[tokio::test]
async fn it_rings_at_its_moment_or_at_once_if_that_is_over() {
    let mut alarm = Alarm::new().expect("a timer");
    let begin = Moment::now();
    for (at, least) in [
        (begin + Duration::from_millis(30), Duration::from_millis(30)),
        (begin, Duration::ZERO),
        (Moment::default(), Duration::ZERO),
    ] {
        alarm.set(Some(at)).expect("it can be set");
        alarm.ring().await.expect("it rings");
        assert!(Moment::now().since(begin) >= least, "{at:?} came too early");
    }
}

#[tokio::test]
async fn it_can_be_stopped_and_set_again() {
    let mut alarm = Alarm::new().expect("a timer");
    let soon = Moment::now() + Duration::from_millis(20);
    alarm.set(Some(soon)).expect("it can be set");
    alarm.set(None).expect("it can be stopped");
    let waited = tokio::time::timeout(Duration::from_millis(60), alarm.ring()).await;
    assert!(waited.is_err(), "a stopped alarm does not ring");
    alarm.set(Some(soon)).expect("it can be set again");
    alarm.ring().await.expect("it rings");
}

#[tokio::test]
async fn a_later_moment_leaves_it_ringing_early_and_an_earlier_one_does_not() {
    let mut alarm = Alarm::new().expect("a timer");
    let begin = Moment::now();
    let far = begin + Duration::from_hours(1);
    for moments in [
        [Duration::from_millis(20), Duration::from_hours(1)],
        [Duration::from_hours(1), Duration::from_millis(20)],
    ] {
        alarm.set(None).expect("it can be stopped");
        for moment in moments {
            alarm.set(Some(begin + moment)).expect("it can be set");
        }
        alarm.ring().await.expect("it rings");
        assert!(Moment::now() < far, "{moments:?}");
    }
}

#[test]
fn sums_stay_in_range() {
    let far = Moment::default() + Duration::MAX;
    assert!(far > Moment::now());
    assert_eq!(Moment::default() - Duration::MAX, Moment::default());
    assert_eq!(Moment::default().since(far), Duration::ZERO);
}
