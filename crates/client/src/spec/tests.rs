//! What the builder writes into the contract's message.

use std::time::{Duration, Instant, SystemTime};

use leasehold_proto::{
    duration::from_wire,
    v1::{Admission, Exclusivity, Guarantee, RetryPolicy, Timeouts},
};
use prost_types::Timestamp;

use super::{LEAST, TaskSpec};

fn seconds(seconds: i64) -> prost_types::Duration {
    prost_types::Duration { seconds, nanos: 0 }
}

#[test]
fn everything_said_is_in_the_request() {
    let request = TaskSpec::new("resize")
        .queue("images")
        .payload("cat.png")
        .content_type("text/plain")
        .priority(0)
        .idempotency_key("cat")
        .delay(Duration::from_secs(1))
        .start_timeout(Duration::from_secs(2))
        .attempt_timeout(Duration::from_secs(3))
        .total_timeout(Duration::from_secs(4))
        .kill_grace(Duration::from_secs(5))
        .deadline(SystemTime::UNIX_EPOCH + Duration::from_secs(6))
        .queue_timeout(Duration::from_secs(10))
        .progress_timeout(Duration::from_secs(11))
        .max_attempts(7)
        .retry_backoff(Duration::from_secs(8), Duration::from_secs(9))
        .guarantee(Guarantee::AtMostOnce)
        .exclusivity(Exclusivity::BestEffort)
        .admission(Admission::Strict)
        .label("owner", "ann")
        .fairness_key("customer 7")
        .worker_label("zone", "a")
        .slots(12)
        .resource("gpu", 13)
        .payload_schema("0a")
        .message("");
    assert_eq!(request.idempotency_key, "cat");
    assert!(!request.validate_only);
    let spec = request.spec.expect("there is a spec");
    assert_eq!((spec.task_type.as_str(), spec.queue.as_str()), ("resize", "images"));
    assert_eq!(
        (spec.payload.as_ref(), spec.content_type.as_str()),
        (&b"cat.png"[..], "text/plain")
    );
    assert_eq!((spec.priority, spec.initial_delay), (Some(0), Some(seconds(1))));
    assert_eq!((&*spec.labels["owner"], spec.guarantee()), ("ann", Guarantee::AtMostOnce));
    assert_eq!(spec.exclusivity(), Exclusivity::BestEffort);
    assert_eq!(spec.admission(), Admission::Strict);
    assert_eq!((&*spec.fairness_key, &*spec.worker_selector["zone"]), ("customer 7", "a"));
    assert_eq!(spec.payload_schema, "0a");
    assert_eq!((spec.slots, spec.resources["gpu"]), (12, 13));
    let timeouts = Timeouts {
        start: Some(seconds(2)),
        attempt: Some(seconds(3)),
        total: Some(seconds(4)),
        kill_grace: Some(seconds(5)),
        deadline: Some(Timestamp { seconds: 6, nanos: 0 }),
        progress: Some(seconds(11)),
        queue: Some(seconds(10)),
    };
    assert_eq!(spec.timeouts, Some(timeouts));
    let retry = RetryPolicy {
        max_attempts: Some(7),
        initial: Some(seconds(8)),
        cap: Some(seconds(9)),
        ..RetryPolicy::default()
    };
    assert_eq!(spec.retry, Some(retry));
}

#[test]
fn what_is_left_out_stays_unset() {
    let request = TaskSpec::new("resize").message("");
    let spec = request.spec.expect("there is a spec");
    assert_eq!(
        (spec.priority, spec.initial_delay, spec.timeouts, spec.retry),
        (None, None, None, None)
    );
    assert_eq!(request.idempotency_key, "");
}

#[test]
fn a_task_has_no_more_time_than_what_submits_it() {
    let total = |spec: TaskSpec| {
        let request = spec.message("");
        let timeouts = request.spec.expect("there is a spec").timeouts.expect("times");
        from_wire(&timeouts.total.expect("a total")).expect("a duration")
    };
    let (short, long) = (Duration::from_secs(5), Duration::from_secs(500));
    let spec = || TaskSpec::new("t");
    let about = |left: Duration, found: Duration| found <= left && left < found + short;
    assert_eq!(total(spec().total_timeout(short).within(long)), short, "its own is less");
    assert!(about(long, total(spec().within(long))), "it has none of its own");
    assert!(about(long, total(spec().within(long).within(2 * long))), "the least counts");
    assert!(about(long, total(spec().within(long).total_timeout(2 * long))), "in any order");
    assert_eq!(total(spec().within(Duration::ZERO)), LEAST, "nothing is left");
}

#[test]
fn a_repeat_has_no_more_time_than_is_left_by_then() {
    let total = |spec: &TaskSpec| {
        let timeouts = spec.message("").spec.expect("there is a spec").timeouts;
        from_wire(&timeouts.expect("times").total.expect("a total")).expect("a duration")
    };
    let spec = TaskSpec::new("t").within(Duration::from_secs(500));
    let first = total(&spec);
    while first <= total(&spec) {
        std::hint::spin_loop();
    }
    let over = TaskSpec { within: Some(Instant::now()), ..spec };
    assert_eq!(total(&over), LEAST);
}

#[test]
fn changing_one_of_two_that_share_what_they_say_leaves_the_other() {
    let one = TaskSpec::new("t").label("a", "b").payload("1");
    let other = one.clone().label("c", "d").payload("2");
    let said = |spec: &TaskSpec| spec.message("").spec.expect("there is a spec");
    assert_eq!((said(&one).labels.len(), &said(&one).payload[..]), (1, &b"1"[..]));
    assert_eq!((said(&other).labels.len(), &said(&other).payload[..]), (2, &b"2"[..]));
}
