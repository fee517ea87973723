//! Durations as people write them: `200ms`, `1.5s`, `5m`, `1h30m`, `14d`.
//!
//! A unit is always needed: nobody should have to look up whether 5 is seconds.

use std::time::Duration;

use leasehold_policy::parse_duration;
use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};

use super::DURATION_MAX;

/// The units and their lengths, longest first.
const UNITS: [(&str, u128); 7] = [
    ("d", 86_400 * 1_000_000_000),
    ("h", 3_600 * 1_000_000_000),
    ("m", 60 * 1_000_000_000),
    ("s", 1_000_000_000),
    ("ms", 1_000_000),
    ("us", 1_000),
    ("ns", 1),
];

/// A text is no duration that can be configured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParseDurationError {
    /// It is no duration.
    #[error(transparent)]
    Malformed(leasehold_policy::ParseDurationError),
    /// Longer than a year.
    #[error("a duration is longer than one year (365d)")]
    TooLong,
}

/// Reads a duration: one or more numbers, each with its unit, written together.
pub fn parse(text: &str) -> Result<Duration, ParseDurationError> {
    match parse_duration(text.trim()) {
        Ok(duration) if duration <= DURATION_MAX => Ok(duration),
        Ok(_) | Err(leasehold_policy::ParseDurationError::TooLong) => {
            Err(ParseDurationError::TooLong)
        }
        Err(error) => Err(ParseDurationError::Malformed(error)),
    }
}

/// Writes a duration so that [`parse`] reads the same: whole numbers, the largest units first.
pub(super) fn print(value: Duration) -> String {
    let mut rest = value.as_nanos();
    let mut text = String::new();
    for (name, nanos) in UNITS {
        if rest >= nanos {
            text += &(rest / nanos).to_string();
            text += name;
            rest %= nanos;
        }
    }
    if text.is_empty() { "0s".to_owned() } else { text }
}

pub(super) fn deserialize<'de, D: Deserializer<'de>>(source: D) -> Result<Duration, D::Error> {
    let text = String::deserialize(source)?;
    parse(&text).map_err(|error| D::Error::custom(format_args!("{text:?}: {error}")))
}

pub(super) fn serialize<S: Serializer>(value: &Duration, sink: S) -> Result<S::Ok, S::Error> {
    sink.serialize_str(&print(*value))
}

/// The same for a duration that may be left out.
pub(super) mod optional {
    use super::{Deserializer, Duration, Serializer};

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        source: D,
    ) -> Result<Option<Duration>, D::Error> {
        super::deserialize(source).map(Some)
    }

    #[expect(clippy::ref_option, reason = "serde hands over a reference to the field")]
    pub(crate) fn serialize<S: Serializer>(
        value: &Option<Duration>,
        sink: S,
    ) -> Result<S::Ok, S::Error> {
        match value {
            Some(value) => super::serialize(value, sink),
            None => sink.serialize_none(),
        }
    }
}
