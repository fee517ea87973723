//! Every reason has its code and its details.

use std::time::Duration;

use leasehold_queue::{self as queue, TaskId};
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

use super::{Reason, Refusal, VIOLATIONS_MAX, code, internal};
use crate::handle::Unavailable;

const PROTO: &str = include_str!("../../../../proto/leasehold/v1/reason.proto");

/// Each reason of the contract with the code that its comment promises.
fn promised() -> Vec<(Reason, String)> {
    let mut promised = Vec::new();
    let mut comment = "";
    for line in PROTO.lines().map(str::trim) {
        if let Some(text) = line.strip_prefix("// ") {
            comment = text;
        } else if let Some(value) = line.strip_prefix("REASON_") {
            let reason = Reason::of_name(value.split(' ').next().unwrap()).unwrap();
            let code = comment.split(':').next().unwrap();
            promised.push((reason, code.to_owned()));
        }
    }
    promised
}

#[test]
fn codes_are_as_the_contract_says() {
    let promised = promised();
    assert!(promised.len() > 10, "the contract was read");
    for (reason, promise) in promised {
        // Unspecified is never sent.
        let promise = if reason == Reason::Unspecified { "INTERNAL".to_owned() } else { promise };
        let screaming = format!("{:?}", code(reason));
        let screaming = screaming.chars().fold(String::new(), |mut text, c| {
            if c.is_uppercase() && !text.is_empty() {
                text.push('_');
            }
            text.push(c.to_ascii_uppercase());
            text
        });
        assert_eq!(screaming, promise, "{reason:?}");
    }
}

#[test]
fn a_status_carries_every_violation() {
    let violation = |field: &str| super::v1::FieldViolation {
        field: field.to_owned(),
        description: "is wrong".to_owned(),
    };
    let refusal = Refusal::fields(Reason::InvalidField, vec![violation("a"), violation("b")]);
    let status = Status::from(refusal.clone());
    assert_eq!(status.code(), Code::InvalidArgument);
    assert_eq!(status.message(), "a: is wrong (and 1 more)");
    let info = status.get_details_error_info().unwrap();
    assert_eq!((info.reason.as_str(), info.domain.as_str()), ("INVALID_FIELD", "leasehold.dev"));
    let told = status.get_details_bad_request().unwrap().field_violations;
    let fields: Vec<_> = told.iter().map(|violation| violation.field.as_str()).collect();
    assert_eq!(fields, ["a", "b"]);
    assert_eq!(refusal.to_message().field_violations.len(), 2);
}

#[test]
fn a_status_fits_into_headers() {
    let violation = super::v1::FieldViolation {
        field: "spec.labels[\"0123456789012345678901234567890123456789\"...]".to_owned(),
        description: "x".repeat(200),
    };
    let refusal = Refusal::fields(Reason::InvalidField, vec![violation; 100]);
    assert!(refusal.message.ends_with("(and 99 more)"));
    assert_eq!(refusal.violations.len(), VIOLATIONS_MAX);
    let details = Status::from(refusal).details().len();
    assert!(details * 4 / 3 < 12 << 10, "{details} bytes before base64");
}

/// What the queue and the engine refuse, and what becomes of it.
#[test]
fn causes_become_refusals() {
    type Case = (Refusal, Code, &'static str, Option<Duration>, &'static [&'static str]);
    let task = TaskId::from_u128(7);
    let second = Some(Duration::from_secs(1));
    let key = queue::Refusal::KeyConflict { key: "k".into(), task, stored: [1; 16], sent: [2; 16] };
    let full = queue::Refusal::Full { what: "limits.open_tasks", used: 5, max: 5 };
    let storage = Unavailable::StorageFull { free_bytes: 1, reserve_bytes: 2 };
    let cases: [Case; 11] = [
        (
            key.into(),
            Code::AlreadyExists,
            "IDEMPOTENCY_KEY_CONFLICT",
            None,
            &["idempotencyKey", "taskId", "storedDigest", "sentDigest"],
        ),
        (full.into(), Code::ResourceExhausted, "QUEUE_FULL", second, &["used", "max"]),
        (
            queue::Refusal::UnknownQueue { queue: "q".into() }.into(),
            Code::NotFound,
            "QUEUE_NOT_FOUND",
            None,
            &["queue"],
        ),
        (
            storage.into(),
            Code::ResourceExhausted,
            "STORAGE_FULL",
            Some(Duration::from_secs(5)),
            &["freeBytes", "reserveBytes"],
        ),
        (Unavailable::ShuttingDown.into(), Code::Unavailable, "SHUTTING_DOWN", second, &[]),
        (Unavailable::Stopped.into(), Code::Unavailable, "SHUTTING_DOWN", None, &[]),
        (Unavailable::Overloaded.into(), Code::ResourceExhausted, "OVERLOADED", second, &[]),
        (Refusal::no_task(task), Code::NotFound, "TASK_NOT_FOUND", None, &["taskId"]),
        (Refusal::no_queue("q"), Code::NotFound, "QUEUE_NOT_FOUND", None, &["queue"]),
        (
            Refusal::not_failed(task, super::v1::TaskState::Running),
            Code::FailedPrecondition,
            "NOT_FAILED",
            None,
            &["taskId", "state"],
        ),
        (
            Refusal::overloaded("calls", 3),
            Code::ResourceExhausted,
            "OVERLOADED",
            second,
            &["limit"],
        ),
    ];
    for (refusal, code, reason, retry, facts) in cases {
        let status = refusal.to_status();
        let info = status.get_details_error_info().unwrap();
        assert_eq!((status.code(), info.reason.as_str()), (code, reason));
        let told = status.get_details_retry_info().and_then(|info| info.retry_delay);
        assert_eq!(told, retry, "{reason}");
        for fact in facts {
            assert!(info.metadata.contains_key(*fact), "{reason} tells {fact}");
        }
        assert_eq!(info.metadata.len(), facts.len(), "{reason}");
        let quota = status.get_details_quota_failure();
        assert_eq!(quota.is_some(), refusal.quota.is_some(), "{reason}");
        let part = refusal.to_message();
        assert_eq!((part.code, part.reason.as_str()), (i32::from(code), reason));
    }
}

#[test]
fn facts_are_named_as_error_info_asks() {
    let refusal = Refusal::no_task(TaskId::from_u128(1)).with("freeBytes", 1);
    for (fact, _) in refusal.facts {
        assert!(fact.len() <= 64 && fact.chars().all(char::is_alphanumeric), "{fact}");
        assert!(fact.starts_with(char::is_lowercase), "{fact}");
    }
}

#[test]
fn an_internal_error_tells_nothing_of_the_inside() {
    let status = internal("it broke");
    assert_eq!((status.code(), status.message()), (Code::Internal, "it broke"));
    assert!(status.get_details_error_info().is_none());
}
