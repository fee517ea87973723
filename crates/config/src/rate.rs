//! Rates as people write them: `10/s`, `500/m`, `10/s burst 20`.
//!
//! What is not said is the burst: then a bucket holds what comes in one of the units, so `1000/h` may be used up at once.

use std::{fmt, str::FromStr, time::Duration};

use leasehold_policy::Rate;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

/// The most tokens in a unit, and in a bucket: beyond it a limit says nothing that the machine does not.
const TOKENS_MAX: u32 = 1_000_000;

/// How no limit is written.
const UNLIMITED: &str = "unlimited";

/// So many tokens in a unit of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RateLimit {
    /// How many come in each unit; 1 to a million.
    pub tokens: u32,
    /// The unit.
    pub per: Per,
    /// How many a full bucket holds; 1 to a million.
    pub burst: u32,
}

/// A unit of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Per {
    /// A second.
    Second,
    /// A minute.
    Minute,
    /// An hour.
    Hour,
    /// A day.
    Day,
}

impl Per {
    const ALL: [Self; 4] = [Self::Second, Self::Minute, Self::Hour, Self::Day];

    const fn letter(self) -> &'static str {
        match self {
            Self::Second => "s",
            Self::Minute => "m",
            Self::Hour => "h",
            Self::Day => "d",
        }
    }

    const fn lasts(self) -> Duration {
        match self {
            Self::Second => Duration::from_secs(1),
            Self::Minute => Duration::from_mins(1),
            Self::Hour => Duration::from_hours(1),
            Self::Day => Duration::from_hours(24),
        }
    }
}

impl From<RateLimit> for Rate {
    /// An interval that is no whole number of nanoseconds is rounded up: the limit is never exceeded by that.
    fn from(limit: RateLimit) -> Self {
        let nanos = limit.per.lasts().as_nanos().div_ceil(u128::from(limit.tokens.max(1)));
        let interval = Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX));
        Self { interval, burst: limit.burst }
    }
}

/// A text is no rate.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "is no rate: write how many in a second, minute, hour or day, such as 10/s or 500/m, with `burst N` behind it for \
     another burst; each 1 to {TOKENS_MAX}"
)]
pub struct ParseRateError;

impl FromStr for RateLimit {
    type Err = ParseRateError;

    fn from_str(text: &str) -> Result<Self, ParseRateError> {
        let (tokens, rest) = text.trim().split_once('/').ok_or(ParseRateError)?;
        let tokens = count(tokens)?;
        let (unit, burst) = match rest.split_once(' ') {
            None => (rest, tokens),
            Some((unit, rest)) => {
                let burst = rest.trim_start().strip_prefix("burst ").ok_or(ParseRateError)?;
                (unit, count(burst.trim_start())?)
            }
        };
        let per = Per::ALL.into_iter().find(|per| per.letter() == unit).ok_or(ParseRateError)?;
        Ok(Self { tokens, per, burst })
    }
}

fn count(text: &str) -> Result<u32, ParseRateError> {
    // What `parse` takes beyond digits is a plus sign.
    let number = text.parse().ok().filter(|_| !text.starts_with('+'));
    number.filter(|number| (1..=TOKENS_MAX).contains(number)).ok_or(ParseRateError)
}

impl fmt::Display for RateLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.tokens, self.per.letter())?;
        if self.burst == self.tokens { Ok(()) } else { write!(f, " burst {}", self.burst) }
    }
}

impl<'de> Deserialize<'de> for RateLimit {
    fn deserialize<D: Deserializer<'de>>(source: D) -> Result<Self, D::Error> {
        let text = String::deserialize(source)?;
        text.parse().map_err(|error| D::Error::custom(format_args!("{text:?} {error}")))
    }
}

impl Serialize for RateLimit {
    fn serialize<S: Serializer>(&self, sink: S) -> Result<S::Ok, S::Error> {
        sink.collect_str(self)
    }
}

/// The same for a limit that may be `unlimited`.
pub(super) mod optional {
    use super::{Deserialize as _, Deserializer, RateLimit, Serializer, UNLIMITED};
    use serde::de::Error as _;

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        source: D,
    ) -> Result<Option<RateLimit>, D::Error> {
        let text = String::deserialize(source)?;
        if text.trim() == UNLIMITED {
            return Ok(None);
        }
        let limit = text.parse().map(Some);
        limit.map_err(|error| D::Error::custom(format_args!("{text:?} {error}; or {UNLIMITED}")))
    }

    #[expect(clippy::ref_option, reason = "serde hands over a reference to the field")]
    pub(crate) fn serialize<S: Serializer>(
        value: &Option<RateLimit>,
        sink: S,
    ) -> Result<S::Ok, S::Error> {
        match value {
            Some(limit) => sink.collect_str(limit),
            None => sink.serialize_str(UNLIMITED),
        }
    }
}

/// The same where it may be left out, which is another thing than `unlimited`.
pub(super) mod lifted {
    use super::{Deserializer, RateLimit, Serializer, optional};

    #[expect(clippy::option_option, reason = "left out, unlimited and a limit are three things")]
    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        source: D,
    ) -> Result<Option<Option<RateLimit>>, D::Error> {
        optional::deserialize(source).map(Some)
    }

    #[expect(clippy::option_option, clippy::ref_option, reason = "serde hands over the field")]
    pub(crate) fn serialize<S: Serializer>(
        value: &Option<Option<RateLimit>>,
        sink: S,
    ) -> Result<S::Ok, S::Error> {
        optional::serialize(&value.flatten(), sink)
    }
}
