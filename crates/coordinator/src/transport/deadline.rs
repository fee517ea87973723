//! The deadline of a call, as the `grpc-timeout` header says it.

use std::time::Duration;

use http::HeaderMap;

use crate::refusal::Refusal;

const GRPC_TIMEOUT: &str = "grpc-timeout";

/// The most digits the specification allows.
const DIGITS_MAX: usize = 8;

/// How long the caller waits, counted from the arrival of the call. Services find it among the extensions of a
/// request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CallDeadline(pub Duration);

impl CallDeadline {
    /// What the headers say. A header that says nothing sensible is refused: a call that its caller believes to be
    /// bounded must not run without a bound.
    pub(super) fn from_headers(headers: &HeaderMap) -> Result<Option<Self>, Refusal> {
        let Some(value) = headers.get(GRPC_TIMEOUT) else { return Ok(None) };
        let parsed = value.to_str().ok().and_then(parse);
        match parsed {
            Some(timeout) => Ok(Some(Self(timeout))),
            None => Err(Refusal::field(
                GRPC_TIMEOUT,
                "is malformed: expected 1 to 8 digits and one of H, M, S, m, u, n, such as 1500m",
            )),
        }
    }
}

fn parse(text: &str) -> Option<Duration> {
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    if digits.is_empty() || digits.len() > DIGITS_MAX || !digits.bytes().all(|c| c.is_ascii_digit())
    {
        return None;
    }
    let count: u64 = digits.parse().ok()?;
    match unit {
        "H" => Some(Duration::from_secs(count * 3_600)),
        "M" => Some(Duration::from_secs(count * 60)),
        "S" => Some(Duration::from_secs(count)),
        "m" => Some(Duration::from_millis(count)),
        "u" => Some(Duration::from_micros(count)),
        "n" => Some(Duration::from_nanos(count)),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
