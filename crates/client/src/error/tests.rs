//! What an error says, for statuses of the coordinator and of the transport.

use std::{collections::HashMap, time::Duration};

use leasehold_proto::{ERROR_DOMAIN, v1};
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt as _};

use super::Error;
use crate::v1::Reason;

const ADDRESS: &str = "http://127.0.0.1:7171";

fn read(status: Status) -> Error {
    Error::from_status(status, ADDRESS, Duration::from_secs(3))
}

#[test]
fn a_refusal_keeps_everything_the_coordinator_said() {
    let facts = HashMap::from([("limitBytes".to_owned(), "9".to_owned())]);
    let mut details = ErrorDetails::with_error_info("INVALID_FIELD", ERROR_DOMAIN, facts);
    details.add_bad_request_violation("spec.priority", "must be 0 to 9");
    details.add_bad_request_violation("spec.queue", "must not be longer than 128");
    details.set_retry_info(Some(Duration::from_millis(250)));
    let text = "spec.priority: must be 0 to 9 (and 1 more)";
    let error = read(Status::with_error_details(Code::InvalidArgument, text, details));

    assert_eq!(error.code(), Code::InvalidArgument);
    assert_eq!(error.reason(), Some(Reason::InvalidField));
    assert_eq!(error.retry_after(), Some(Duration::from_millis(250)));
    assert_eq!(error.violations().len(), 2);
    assert_eq!(error.refusal().expect("a refusal").metadata["limitBytes"], "9");
    // The violation that the message names is not repeated.
    let line = format!("{text}; spec.queue: must not be longer than 128");
    assert_eq!(error.to_string(), line);
}

#[test]
fn a_refusal_of_one_task_reads_like_one_of_a_call() {
    let refusal = v1::Refusal {
        code: Code::ResourceExhausted.into(),
        reason: "STORAGE_FULL".to_owned(),
        message: "the disk is full".to_owned(),
        field_violations: Vec::new(),
        retry_delay: Some(prost_types::Duration { seconds: 1, nanos: 0 }),
        metadata: [("scope".to_owned(), "volume".to_owned())].into(),
    };
    let error = Error::Refused(Box::new(super::Refusal::from_wire(refusal)));
    assert_eq!(error.reason(), Some(Reason::StorageFull));
    assert_eq!(error.retry_after(), Some(Duration::from_secs(1)));
    assert_eq!(error.refusal().expect("a refusal").metadata["scope"], "volume");
    assert!(error.is_pushback() && !error.is_in_doubt());
}

#[test]
fn a_time_to_try_again_that_makes_no_sense_is_none() {
    for (seconds, nanos) in [(-1, 0), (i64::MIN, 0), (i64::MIN, i32::MIN), (1, -1)] {
        let retry_delay = Some(prost_types::Duration { seconds, nanos });
        let refusal = v1::Refusal { retry_delay, ..v1::Refusal::default() };
        assert_eq!(super::Refusal::from_wire(refusal).retry_after, None, "{seconds} s {nanos} ns");
    }
}

#[test]
fn what_the_transport_answers_is_put_in_our_words() {
    let large = "Error, decoded message length too large: found 5000000 bytes, the limit is: \
                 4259840 bytes";
    let lost = "cannot reach the coordinator at http://127.0.0.1:7171";
    let cases = [
        (
            Status::out_of_range(large),
            Code::OutOfRange,
            "a message of 5000000 bytes is over the limit of 4259840 bytes for one message",
        ),
        (
            Status::resource_exhausted(large),
            Code::OutOfRange,
            "a message of 5000000 bytes is over the limit of 4259840 bytes for one message",
        ),
        (Status::unavailable("connection refused"), Code::Unavailable, lost),
        (Status::from_error(Box::new(std::io::Error::other("reset"))), Code::Unavailable, lost),
        (
            Status::deadline_exceeded("late"),
            Code::DeadlineExceeded,
            "the coordinator at http://127.0.0.1:7171 did not answer within 3s",
        ),
        (
            Status::from_error(Box::new(tonic::TimeoutExpired(()))),
            Code::DeadlineExceeded,
            "the coordinator at http://127.0.0.1:7171 did not answer within 3s",
        ),
        (Status::internal("a bug"), Code::Internal, "a bug"),
        (Status::new(Code::Unimplemented, ""), Code::Unimplemented, CODE_12),
        (Status::resource_exhausted("too busy"), Code::ResourceExhausted, "too busy"),
    ];
    for (status, code, line) in cases {
        let shown = format!("{status:?}");
        let error = read(status);
        assert_eq!((error.code(), error.to_string().as_str()), (code, line), "{shown}");
    }
}

const CODE_12: &str = "operation is not implemented or not supported";

#[test]
fn details_of_another_domain_are_not_taken_for_ours() {
    let details = ErrorDetails::with_error_info("QUEUE_FULL", "example.com", HashMap::new());
    let error = read(Status::with_error_details(Code::ResourceExhausted, "proxy", details));
    assert_eq!((error.reason(), error.code()), (None, Code::ResourceExhausted));
    assert!(!error.is_pushback(), "a proxy that names no time is not asked again");
}

#[test]
fn a_reason_of_a_later_version_is_kept_as_its_code() {
    let details = ErrorDetails::with_error_info("OF_A_LATER_VERSION", ERROR_DOMAIN, HashMap::new());
    let error = read(Status::with_error_details(Code::ResourceExhausted, "slow down", details));
    assert_eq!((error.reason(), error.code()), (None, Code::ResourceExhausted));
    assert_eq!(error.to_string(), "slow down");
}

#[test]
fn a_cause_is_named_once_and_by_the_chain() {
    let error = read(Status::from_error(Box::new(std::io::Error::other("reset"))));
    let cause = std::error::Error::source(&error).expect("a transport fault has a cause");
    assert_eq!(cause.to_string(), "reset");
    assert!(!error.to_string().contains("reset"));
}
