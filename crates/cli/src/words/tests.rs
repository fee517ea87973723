//! The contract's values in words.

use std::time::{Duration, SystemTime};

use leasehold_client::v1::{BlockedReason, BlockingLimit, Progress, RateCharge, Task, TaskSpec};
use prost_types::Timestamp;

use super::{age, blocked, claims, progress, span};

#[test]
fn why_a_task_waits_is_a_sentence_with_its_names() {
    let spec = TaskSpec { queue: "mail".into(), task_type: "send".into(), ..TaskSpec::default() };
    let cases = [
        (BlockedReason::Unspecified, None),
        (BlockedReason::Delayed, Some("its delay is not over")),
        (BlockedReason::Backoff, Some("it failed and waits for its next attempt")),
        (BlockedReason::QueuePaused, Some("queue mail is paused; leasehold queue resume mail")),
        (BlockedReason::NoEligibleWorker, Some("no connected worker serves task type send")),
        (BlockedReason::NoCapacity, Some("all slots of the workers that serve send are taken")),
    ];
    for (reason, sentence) in cases {
        let task =
            Task { spec: Some(spec.clone()), blocked_reason: reason.into(), ..Task::default() };
        assert_eq!(blocked(&task).as_deref(), sentence);
    }
    let selector = [("zone", "eu"), ("gpu", "a100")];
    let worker_selector = selector.map(|(name, value)| (name.into(), value.into())).into();
    let task = Task {
        spec: Some(TaskSpec { worker_selector, ..spec }),
        blocked_reason: BlockedReason::NoEligibleWorker.into(),
        ..Task::default()
    };
    let sentence = "no connected worker serves task type send and is labelled gpu=a100 zone=eu";
    assert_eq!(blocked(&task).as_deref(), Some(sentence));
    let detail = "payload schema 3f2a is read by no connected worker";
    let task = Task {
        blocked_reason: BlockedReason::NoEligibleWorker.into(),
        blocked_detail: detail.into(),
        ..Task::default()
    };
    assert_eq!(blocked(&task).as_deref(), Some(detail));
}

#[test]
fn a_limit_that_is_waited_for_is_named_with_how_much_of_it_is_used() {
    let limit = BlockingLimit {
        limit: "concurrency.keys".to_owned(),
        key: "stripe".to_owned(),
        used_count: 7,
        max_count: 7,
        available_time: None,
    };
    let of_a_queue = BlockingLimit {
        limit: "queues.settings.mail.rate".to_owned(),
        key: String::new(),
        available_time: Some(Timestamp { seconds: 5, nanos: 0 }),
        ..limit.clone()
    };
    let cases = [
        (None, "a limit is reached"),
        (Some(limit), "concurrency.keys for \"stripe\" is at 7 of 7"),
        (
            Some(of_a_queue),
            "queues.settings.mail.rate is at 7 of 7, with enough left at 1970-01-01T00:00:05Z",
        ),
    ];
    for (blocked_by, sentence) in cases {
        let blocked_reason = BlockedReason::ConcurrencyLimit.into();
        let task = Task { blocked_reason, blocked_by, ..Task::default() };
        assert_eq!(blocked(&task).as_deref(), Some(sentence));
    }
}

#[test]
fn a_circuit_that_is_waited_for_says_why_and_until_when() {
    let half_open = BlockingLimit {
        limit: "breakers.dependencies.stripe".to_owned(),
        used_count: 3,
        max_count: 3,
        ..BlockingLimit::default()
    };
    let available_time = Some(Timestamp { seconds: 5, nanos: 0 });
    let open = BlockingLimit { used_count: 12, max_count: 20, available_time, ..half_open.clone() };
    let cases = [
        (None, "a circuit is open"),
        (Some(half_open), "breakers.dependencies.stripe is half-open: 3 of 3 probes run"),
        (
            Some(open),
            "breakers.dependencies.stripe is open: 12 of 20 attempts failed or were slow; it half-opens at 1970-01-01T00:00:05Z",
        ),
    ];
    for (blocked_by, sentence) in cases {
        let blocked_reason = BlockedReason::CircuitOpen.into();
        let task = Task { blocked_reason, blocked_by, ..Task::default() };
        assert_eq!(blocked(&task).as_deref(), Some(sentence));
    }
}

#[test]
fn what_a_lease_takes_is_said_where_it_takes_something() {
    let charge = |key: &str, tokens| RateCharge { key: key.to_owned(), tokens };
    let spec = TaskSpec {
        concurrency_keys: vec!["a".into(), "b".into()],
        rate_charges: vec![charge("mail", Some(2))],
        dependencies: vec!["stripe".into()],
        ..TaskSpec::default()
    };
    let said = "concurrency key a, concurrency key b, 2 of rate mail, dependency stripe";
    assert_eq!(claims(&spec).as_deref(), Some(said));
    assert_eq!(claims(&TaskSpec::default()), None);
}

#[test]
fn times_are_told_from_now() {
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(100);
    let at = |seconds| Timestamp { seconds, nanos: 0 };
    assert_eq!(age(Some(&at(40)), now), "1m ago");
    assert_eq!(age(Some(&at(105)), now), "in 5.0s");
    assert_eq!(age(None, now), "-");
    assert_eq!(span(Some(&prost_types::Duration { seconds: 2, nanos: 0 })), "2.0s");
    assert_eq!(span(None), "-");
}

#[test]
fn progress_says_what_there_is_to_say() {
    let cases = [
        (None, "", None),
        (Some(0.256), "", Some("26 %")),
        (None, "page 3", Some("page 3")),
        (Some(1.0), "done", Some("100 % done")),
    ];
    for (fraction, message, text) in cases {
        let said = Progress { fraction, message: message.to_owned(), checkpoint: None };
        let task = Task { progress: Some(said), ..Task::default() };
        assert_eq!(progress(&task).as_deref(), text);
    }
    assert_eq!(progress(&Task::default()), None);
}
