//! When a call is repeated, after how long, and when it is given up.

use std::{collections::BTreeMap, time::Duration};

use leasehold_policy::{Backoff, Jitter};
use leasehold_proto::v1::Reason;
use tokio::time::Instant;
use tonic::{Code, Status};

use super::{Outage, Repeat};
use crate::{Error, Refusal, Retry, error::TransportFault};

const LIMIT: Duration = Duration::from_secs(10);

fn backoff() -> Retry {
    Retry::WithBackoff(Backoff {
        initial: Duration::from_millis(100),
        factor: 2.0,
        cap: Duration::from_secs(1),
        jitter: Jitter::Full,
    })
}

fn lost() -> Error {
    let source = TransportFault(Status::unavailable("gone"));
    Error::Unreachable { address: String::new(), source }
}

/// Who asked to fail fast is refused.
fn open(retry_after: Duration) -> Error {
    let Error::Refused(refusal) = refused(Code::Unavailable, Some(retry_after)) else {
        unreachable!("it is a refusal")
    };
    Error::Refused(Box::new(Refusal { reason: Some(Reason::CircuitOpen), ..*refusal }))
}

fn refused(code: Code, retry_after: Option<Duration>) -> Error {
    Error::Refused(Box::new(Refusal {
        code,
        reason: None,
        message: String::new(),
        violations: Vec::new(),
        retry_after,
        metadata: BTreeMap::new(),
    }))
}

#[test]
fn what_is_repeated() {
    let soon = Some(Duration::from_millis(5));
    let silent = Error::NoAnswer { address: String::new(), timeout: LIMIT };
    let cases = [
        ("lost, safe", lost(), Repeat::Safe, true),
        ("lost, not safe", lost(), Repeat::OnlyIfRefused, false),
        ("silent, safe", silent.clone(), Repeat::Safe, true),
        ("silent, not safe", silent, Repeat::OnlyIfRefused, false),
        ("told when", refused(Code::ResourceExhausted, soon), Repeat::OnlyIfRefused, true),
        ("shutting down", refused(Code::Unavailable, soon), Repeat::OnlyIfRefused, true),
        ("a circuit, safe", open(Duration::from_millis(5)), Repeat::Safe, false),
        ("gone, safe", refused(Code::Unavailable, None), Repeat::Safe, true),
        ("gone, not safe", refused(Code::Unavailable, None), Repeat::OnlyIfRefused, false),
        ("exhausted for good", refused(Code::ResourceExhausted, None), Repeat::Safe, false),
        ("wrong", refused(Code::InvalidArgument, None), Repeat::Safe, false),
        ("a bug there", refused(Code::Internal, None), Repeat::Safe, false),
    ];
    for (name, error, repeat, expected) in cases {
        let wait = Outage::new(backoff(), LIMIT).wait(&error, repeat, Instant::now(), 0);
        assert_eq!(wait.is_some(), expected, "{name}");
        let never = Outage::new(Retry::Never, LIMIT).wait(&error, repeat, Instant::now(), 0);
        assert_eq!(never, None, "{name}, without retries");
    }
}

#[test]
fn waits_grow_with_full_jitter_and_never_undercut_the_coordinator() {
    let now = Instant::now();
    let mut outage = Outage::new(backoff(), LIMIT);
    for ceiling_ms in [100, 200, 400, 800, 1_000, 1_000] {
        let wait = outage.wait(&lost(), Repeat::Safe, now, u64::MAX).expect("goes on");
        let ceiling = Duration::from_millis(ceiling_ms);
        assert!(wait <= ceiling && wait + Duration::from_micros(1) > ceiling, "{wait:?}");
    }
    assert_eq!(outage.wait(&lost(), Repeat::Safe, now, 0), Some(Duration::ZERO));

    outage.over();
    let told = refused(Code::ResourceExhausted, Some(Duration::from_secs(2)));
    let wait = outage.wait(&told, Repeat::Safe, now, u64::MAX / 2).expect("goes on");
    assert!(wait >= Duration::from_millis(2_049) && wait <= Duration::from_millis(2_050));
}

#[test]
fn an_outage_ends_with_its_limit_and_begins_anew_after_a_success() {
    let start = Instant::now();
    let mut outage = Outage::new(backoff(), LIMIT);
    assert!(outage.wait(&lost(), Repeat::Safe, start, 0).is_some());
    assert!(outage.wait(&lost(), Repeat::Safe, start + LIMIT / 2, 0).is_some());
    assert_eq!(outage.wait(&lost(), Repeat::Safe, start + LIMIT, 0), None);
    outage.over();
    assert!(outage.wait(&lost(), Repeat::Safe, start + LIMIT, 0).is_some());
}

#[test]
fn a_coordinator_that_was_there_is_given_more_time() {
    let start = Instant::now();
    let late = start + LIMIT;
    let new = || Outage::new(backoff(), LIMIT).later(2 * LIMIT);
    let mut never_reached = new();
    assert!(never_reached.wait(&lost(), Repeat::Safe, start, 0).is_some());
    assert_eq!(never_reached.wait(&lost(), Repeat::Safe, late, 0), None);
    let mut reached = new();
    assert!(reached.wait(&lost(), Repeat::Safe, start, 0).is_some());
    reached.reached();
    assert!(reached.wait(&lost(), Repeat::Safe, late, 0).is_some());
    assert_eq!(reached.wait(&lost(), Repeat::Safe, late + LIMIT, 0), None, "no success between");
}

#[test]
fn nobody_waits_for_longer_than_is_left() {
    let start = Instant::now();
    let told = refused(Code::ResourceExhausted, Some(LIMIT));
    let mut outage = Outage::new(backoff(), LIMIT).since(start);
    assert_eq!(outage.wait(&told, Repeat::Safe, start, 0), None);
    let mut outage = Outage::new(backoff(), LIMIT).since(start);
    assert_eq!(
        outage.wait(&lost(), Repeat::Safe, start + LIMIT, 0),
        None,
        "counted from the start"
    );
}
