//! What a handler fails with, as it is sent.

use std::{fmt, time::Duration};

use leasehold_proto::v1;

use super::TaskError;
use crate::outcome::Failure;

#[derive(Debug)]
struct Outer(std::num::ParseIntError);

impl fmt::Display for Outer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("cannot count")
    }
}

impl std::error::Error for Outer {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.0)
    }
}

fn count(text: &str) -> Result<u8, TaskError> {
    Ok(text.parse().map_err(Outer)?)
}

#[test]
fn each_kind_of_error_says_what_should_happen() {
    let seconds = |seconds| Some(prost_types::Duration { seconds, nanos: 0 });
    let table = [
        (TaskError::retry("later"), "later", "", false, None),
        (TaskError::permanent("never"), "never", "", true, None),
        (TaskError::retry_after("soon", Duration::from_secs(7)), "soon", "", false, seconds(7)),
        (TaskError::permanent("never").with_details("why"), "never", "why", true, None),
        (
            count("x").expect_err("no number"),
            "cannot count",
            "caused by: invalid digit found in string",
            false,
            None,
        ),
    ];
    for (error, message, details, non_retryable, retry_delay) in table {
        let Failure(failure) = error.into_failure();
        assert_eq!(failure.reason(), v1::FailureReason::Error, "{message}");
        assert_eq!(
            (&*failure.message, &*failure.details, failure.non_retryable, failure.retry_delay),
            (message, details, non_retryable, retry_delay)
        );
    }
}

#[test]
fn long_texts_are_cut_between_characters() {
    let Failure(failure) = TaskError::retry("ß".repeat(5_000)).into_failure();
    assert_eq!(failure.message, "ß".repeat(2_000));
}
