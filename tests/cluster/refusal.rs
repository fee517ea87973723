//! What a refused call was told: the status and its google.rpc details.

use std::time::Duration;

use tonic::{Code, Status};
use tonic_types::StatusExt as _;

/// A refusal, taken apart.
#[derive(Debug, PartialEq)]
pub(crate) struct Refusal {
    pub(crate) code: Code,
    /// The reason of `ErrorInfo`, empty where the transport answered before our code did.
    pub(crate) reason: String,
    /// The fields of `BadRequest`, sorted.
    pub(crate) fields: Vec<String>,
    /// What `RetryInfo` says.
    pub(crate) retry: Option<Duration>,
}

impl Refusal {
    /// Takes a status apart and expects it to be presentable: one line, our domain, a description per field.
    pub(crate) fn of(status: &Status) -> Self {
        let details = status.get_error_details();
        if let Some(info) = details.error_info() {
            assert_eq!(info.domain, leasehold_proto::ERROR_DOMAIN, "{status:?}");
        }
        let message = status.message();
        assert!(!message.is_empty() && !message.contains('\n'), "one line for people: {message:?}");
        let violations = details.bad_request().map(|it| it.field_violations.clone());
        let violations = violations.unwrap_or_default();
        let mute = violations.iter().find(|it| it.description.is_empty());
        assert!(mute.is_none(), "a field is refused without a word: {mute:?}");
        let mut fields: Vec<String> = violations.into_iter().map(|it| it.field).collect();
        fields.sort();
        Self {
            code: status.code(),
            reason: details.error_info().map(|it| it.reason.clone()).unwrap_or_default(),
            fields,
            retry: details.retry_info().and_then(|it| it.retry_delay),
        }
    }
}

/// Expects a refusal with this code and reason.
#[track_caller]
pub(crate) fn expect(status: &Status, code: Code, reason: &str) -> Refusal {
    let refusal = Refusal::of(status);
    assert_eq!((refusal.code, refusal.reason.as_str()), (code, reason), "{status:?}");
    refusal
}
