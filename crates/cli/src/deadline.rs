//! Deadlines as people write them: an RFC 3339 time, or a duration from now.

use std::time::SystemTime;

use jiff::Timestamp;

use crate::duration::parse_duration;

/// What somebody said a task's deadline is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Deadline {
    /// At this time.
    At(SystemTime),
    /// This long after the submit.
    In(std::time::Duration),
}

impl Deadline {
    /// The time it means to somebody who says it at `now`; `None` beyond the end of the calendar.
    pub(crate) fn from(self, now: SystemTime) -> Option<SystemTime> {
        match self {
            Self::At(time) => Some(time),
            Self::In(duration) => now.checked_add(duration),
        }
    }
}

/// Reads a deadline.
pub(crate) fn parse_deadline(text: &str) -> Result<Deadline, String> {
    if let Ok(duration) = parse_duration(text) {
        return Ok(Deadline::In(duration));
    }
    let time: Timestamp = text.parse().map_err(|_| {
        format!(
            "{text:?} is neither a time like 2030-01-31T12:00:00Z nor a duration from now like 90m"
        )
    })?;
    Ok(Deadline::At(time.into()))
}

#[cfg(test)]
mod tests;
