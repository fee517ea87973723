//! Deadlines as callers write them.

use std::time::Duration;

use http::{HeaderMap, HeaderValue};

use super::CallDeadline;
use crate::refusal::Reason;

fn check(header: Option<&str>, expected: Result<Option<Duration>, Reason>) {
    let mut headers = HeaderMap::new();
    if let Some(text) = header {
        headers.insert("grpc-timeout", HeaderValue::from_str(text).unwrap());
    }
    let read = CallDeadline::from_headers(&headers);
    let read = read.map(|read| read.map(|CallDeadline(left)| left)).map_err(|why| why.reason);
    assert_eq!(read, expected, "{header:?}");
}

#[test]
fn timeouts_of_calls() {
    check(None, Ok(None));
    check(Some("1H"), Ok(Some(Duration::from_hours(1))));
    check(Some("2M"), Ok(Some(Duration::from_mins(2))));
    check(Some("3S"), Ok(Some(Duration::from_secs(3))));
    check(Some("1500m"), Ok(Some(Duration::from_millis(1_500))));
    check(Some("7u"), Ok(Some(Duration::from_micros(7))));
    check(Some("99999999n"), Ok(Some(Duration::from_nanos(99_999_999))));
    for wrong in ["", "S", "10", "1s", "100000000S", "-1S", "+1S", "1.5S", "1 S", "S1", "1SS"] {
        check(Some(wrong), Err(Reason::InvalidField));
    }
}
