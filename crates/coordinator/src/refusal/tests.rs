//! Every reason has its code and its details.

use std::{collections::HashMap, time::Duration};

use leasehold_policy::Time;
use leasehold_queue::{self as queue, TaskId};
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

use super::{Reason, Refusal, Scope, VIOLATIONS_MAX, code, internal};
use crate::{config::RateLimit, handle::Unavailable};

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

/// A cause with its code, its reason, when to come back in ms, and what its metadata must say.
type Case = (Refusal, Code, &'static str, Option<u64>, &'static [(&'static str, &'static str)]);

/// A task that would be over a millisecond too late.
fn infeasible() -> queue::Refusal {
    let [now, deadline, feasible] = [1_000, 3_000, 3_001].map(Time::from_unix_ms);
    let bound_by = queue::Bound::Limit(queue::Take::Permit(queue::Permit::Key("k".into())));
    let (starts, over) = (Some(deadline), None);
    let estimate = queue::Estimate { ahead: 3, slots: 4, starts, over, bound_by };
    let usual = Some(Duration::from_millis(500));
    let why = queue::Infeasible { now, deadline, feasible, estimate, usual };
    queue::Refusal::Infeasible(Box::new(why))
}

/// What the queue, the engine and the services refuse.
fn causes() -> Vec<Case> {
    const ID: &str = "00000000-0000-0000-0000-000000000007";
    const ONE: &str = "01010101010101010101010101010101";
    const TWO: &str = "02020202020202020202020202020202";
    let task = TaskId::from_u128(7);
    let key = queue::Refusal::KeyConflict { key: "k".into(), task, stored: [1; 16], sent: [2; 16] };
    let full = queue::Refusal::Full { what: "limits.open_tasks", used: 4, max: 5 };
    let storage = Unavailable::StorageFull { free_bytes: 1, reserve_bytes: 2 };
    let waiters = Unavailable::full("limits.waiters", 9);
    let rate: RateLimit = "10/s burst 20".parse().unwrap();
    let field = || Refusal::field("spec.priority", "is 10");
    let (exhausted, unavailable) = (Code::ResourceExhausted, Code::Unavailable);
    vec![
        (field(), Code::InvalidArgument, "INVALID_FIELD", None, &[]),
        (
            key.into(),
            Code::AlreadyExists,
            "IDEMPOTENCY_KEY_CONFLICT",
            None,
            &[("idempotencyKey", "k"), ("taskId", ID), ("storedDigest", ONE), ("sentDigest", TWO)],
        ),
        (
            full.into(),
            exhausted,
            "QUEUE_FULL",
            Some(1_000),
            &[
                ("limit", "limits.open_tasks"),
                ("scope", "coordinator"),
                ("used", "4"),
                ("max", "5"),
            ],
        ),
        (
            waiters.into(),
            exhausted,
            "OVERLOADED",
            Some(1_000),
            &[("limit", "limits.waiters"), ("scope", "coordinator"), ("used", "9"), ("max", "9")],
        ),
        (
            Refusal::overloaded("calls that replay it", Scope::Task, 3),
            exhausted,
            "OVERLOADED",
            Some(1_000),
            &[("limit", "calls that replay it"), ("scope", "task"), ("used", "3"), ("max", "3")],
        ),
        (
            Refusal::rate_limited("ci", rate, Duration::from_micros(700)),
            exhausted,
            "RATE_LIMITED",
            Some(1),
            &[
                ("limit", "limits.submit_rate"),
                ("scope", "client"),
                ("used", "20"),
                ("max", "20"),
                ("client", "ci"),
                ("rate", "10/s burst 20"),
            ],
        ),
        (
            storage.into(),
            exhausted,
            "STORAGE_FULL",
            Some(5_000),
            &[("freeBytes", "1"), ("reserveBytes", "2"), ("scope", "volume")],
        ),
        (
            queue::Refusal::CircuitOpen {
                guarded: queue::Guarded::Dependency("db".into()),
                bad: 11,
                calls: 20,
                wait: Duration::from_millis(1_500),
            }
            .into(),
            unavailable,
            "CIRCUIT_OPEN",
            Some(1_500),
            &[("breaker", "dependencies.db"), ("failures", "11"), ("calls", "20")],
        ),
        (
            queue::Refusal::UnknownQueue { queue: "q".into() }.into(),
            Code::NotFound,
            "QUEUE_NOT_FOUND",
            None,
            &[("namespace", "default"), ("queue", "q")],
        ),
        (
            infeasible().into(),
            Code::FailedPrecondition,
            "DEADLINE_INFEASIBLE",
            None,
            &[
                ("remaining", "2.000s"),
                ("feasible", "2.001s"),
                ("feasibleTime", "1970-01-01T00:00:03.001Z"),
                ("tasksAhead", "3"),
                ("slots", "4"),
                ("boundBy", "a permit of concurrency key \"k\""),
                ("usualRunTime", "0.500s"),
            ],
        ),
        (
            Refusal::no_queue("team/q"),
            Code::NotFound,
            "QUEUE_NOT_FOUND",
            None,
            &[("namespace", "team"), ("queue", "q")],
        ),
        (
            queue::Refusal::Quota {
                namespace: "team".into(),
                what: "open_bytes",
                used: 9,
                max: 10,
            }
            .into(),
            Code::ResourceExhausted,
            "NAMESPACE_QUOTA",
            Some(1_000),
            &[
                ("namespace", "team"),
                ("limit", "namespaces.team.open_bytes"),
                ("scope", "namespace"),
                ("used", "9"),
                ("max", "10"),
            ],
        ),
        (
            Refusal::namespace_rate_limited(
                "team",
                "5/s".parse().unwrap(),
                Duration::from_millis(200),
            ),
            Code::ResourceExhausted,
            "NAMESPACE_QUOTA",
            Some(200),
            &[
                ("namespace", "team"),
                ("rate", "5/s"),
                ("limit", "namespaces.team.submit_rate"),
                ("scope", "namespace"),
                ("used", "5"),
                ("max", "5"),
            ],
        ),
        (Refusal::no_task(task), Code::NotFound, "TASK_NOT_FOUND", None, &[("taskId", ID)]),
        (Refusal::no_lease("t"), Code::NotFound, "LEASE_NOT_FOUND", None, &[("lease", "t")]),
        (Refusal::no_worker("w"), Code::NotFound, "WORKER_NOT_FOUND", None, &[("workerId", "w")]),
        (Unavailable::ShuttingDown.into(), unavailable, "SHUTTING_DOWN", Some(1_000), &[]),
        (Unavailable::Stopped.into(), unavailable, "SHUTTING_DOWN", None, &[]),
        (
            Refusal::banned(Duration::from_micros(2_500)),
            Code::PermissionDenied,
            "WORKER_BANNED",
            Some(3),
            &[],
        ),
        (
            Refusal::not_failed(task, super::v1::TaskState::Running),
            Code::FailedPrecondition,
            "NOT_FAILED",
            None,
            &[("taskId", ID), ("state", "RUNNING")],
        ),
    ]
}

#[test]
fn causes_become_refusals() {
    for (refusal, code, reason, retry_ms, facts) in causes() {
        let status = refusal.to_status();
        let info = status.get_details_error_info().unwrap();
        assert_eq!((status.code(), info.reason.as_str()), (code, reason));
        let facts: HashMap<String, String> =
            facts.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
        assert_eq!(info.metadata, facts, "{reason}");
        let delay = status.get_details_retry_info().and_then(|info| info.retry_delay);
        assert_eq!(delay, refusal.retry_after, "{reason}");
        let pushback = status.metadata().get("grpc-retry-pushback-ms");
        let pushback = pushback.map(|ms| ms.to_str().unwrap().parse::<u64>().unwrap());
        assert_eq!(pushback, retry_ms, "{reason}");
        let quota = status.get_details_quota_failure();
        let subject = quota.map(|quota| quota.violations[0].subject.clone());
        assert_eq!(subject.as_ref(), facts.get("limit"), "{reason}");

        let part = refusal.to_message();
        assert_eq!((part.code, part.reason.as_str()), (i32::from(code), reason));
        assert_eq!(part.metadata, facts, "{reason} in a batch");
        let delay = part.retry_delay.and_then(|delay| Duration::try_from(delay).ok());
        assert_eq!(delay, refusal.retry_after, "{reason} in a batch");
    }
}

/// Whoever is told that something is exhausted learns what, whose, and when to come back.
#[test]
fn what_is_exhausted_is_named_with_its_scope_and_a_time() {
    let exhausted = causes().into_iter().filter(|(_, code, ..)| *code == Code::ResourceExhausted);
    let mut reasons = Vec::new();
    for (refusal, _, reason, retry_ms, facts) in exhausted {
        assert!(retry_ms.is_some(), "{reason} says when to come back");
        assert!(facts.iter().any(|(name, _)| *name == "scope"), "{reason} says whose it is");
        assert!(refusal.quota.is_some() || reason == "STORAGE_FULL", "{reason} says what");
        reasons.push(reason);
    }
    reasons.sort_unstable();
    reasons.dedup();
    let promised = promised().into_iter().filter(|(_, code)| code == "RESOURCE_EXHAUSTED");
    let mut promised: Vec<_> = promised.map(|(reason, _)| reason.name()).collect();
    promised.sort_unstable();
    assert_eq!(reasons, promised, "a cause of each");
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
