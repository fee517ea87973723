//! Which end of a call another try cannot change.

use std::collections::HashMap;

use tonic_types::ErrorDetails;

use super::*;

#[test]
fn only_what_stays_is_a_refusal() {
    for (code, domain, reason, is_refused) in [
        (Code::InvalidArgument, ERROR_DOMAIN, "INVALID_FIELD", true),
        (Code::FailedPrecondition, ERROR_DOMAIN, "PROTOCOL_UNSUPPORTED", true),
        (Code::FailedPrecondition, "example.com", "PROTOCOL_UNSUPPORTED", false),
        (Code::FailedPrecondition, ERROR_DOMAIN, "LOWER_EPOCH", false),
        (Code::Unavailable, ERROR_DOMAIN, "SHUTTING_DOWN", false),
    ] {
        let details = ErrorDetails::with_error_info(reason, domain, HashMap::new());
        let end = end_of(&Status::with_error_details(code, "no", details));
        assert_eq!(matches!(end, StreamEnd::Refused(_)), is_refused, "{domain} {reason}: {end:?}");
    }
}

#[test]
fn a_time_to_come_back_is_heard() {
    let wait = Duration::from_secs(7);
    let mut details = ErrorDetails::with_error_info("WORKER_BANNED", ERROR_DOMAIN, HashMap::new());
    details.set_retry_info(Some(wait));
    let end = end_of(&Status::with_error_details(Code::PermissionDenied, "no", details));
    assert_eq!(end, StreamEnd::Later("PermissionDenied: no".to_owned(), wait));
}
