//! What a worker and a guard say to each other: a payload one way, a report the other.

use std::{io, os::unix::process::ExitStatusExt as _, process::ExitStatus};

/// What comes before the payload: its length in bytes.
pub(crate) fn header(payload: &[u8]) -> [u8; 8] {
    u64::try_from(payload.len()).unwrap_or(u64::MAX).to_le_bytes()
}

/// How a program ended. By then nothing of its process group is left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Report {
    /// It exited with this code.
    Exited(i32),
    /// This signal ended it.
    Signaled(i32),
    /// It could not be started: the system's error number.
    NotStarted(i32),
    /// Its directory could not be entered: the system's error number.
    NotEntered(i32),
    /// Its lease was over, and the guard ended it.
    Overdue,
}

impl Report {
    /// The length of an encoded report.
    pub(crate) const BYTES: usize = 5;

    pub(super) fn of(status: ExitStatus) -> Self {
        let signal = status.signal().map(Self::Signaled);
        status.code().map(Self::Exited).or(signal).unwrap_or(Self::Exited(-1))
    }

    pub(super) fn not_started(error: &io::Error) -> Self {
        Self::NotStarted(error.raw_os_error().unwrap_or(0))
    }

    pub(super) fn not_entered(error: &io::Error) -> Self {
        Self::NotEntered(error.raw_os_error().unwrap_or(0))
    }

    pub(super) fn encode(self) -> [u8; Self::BYTES] {
        let (kind, number) = match self {
            Self::Exited(code) => (1, code),
            Self::Signaled(signal) => (2, signal),
            Self::NotStarted(error) => (3, error),
            Self::NotEntered(error) => (4, error),
            Self::Overdue => (5, 0),
        };
        let [a, b, c, d] = number.to_le_bytes();
        [kind, a, b, c, d]
    }

    pub(crate) fn decode([kind, a, b, c, d]: [u8; Self::BYTES]) -> Option<Self> {
        let number = i32::from_le_bytes([a, b, c, d]);
        match kind {
            1 => Some(Self::Exited(number)),
            2 => Some(Self::Signaled(number)),
            3 => Some(Self::NotStarted(number)),
            4 => Some(Self::NotEntered(number)),
            5 => Some(Self::Overdue),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests;
