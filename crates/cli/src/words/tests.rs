//! The contract's values in words.

use std::time::{Duration, SystemTime};

use leasehold_client::v1::{BlockedReason, Progress, Task, TaskSpec};
use prost_types::Timestamp;

use super::{age, blocked, progress, span};

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
    let sentence = "no connected worker serves task type send and is labelled gpu=a100,zone=eu";
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
