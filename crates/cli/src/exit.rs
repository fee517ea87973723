//! How the process ends: one code for each kind of answer, documented in docs/cli.md and stable.

use std::process::ExitCode;

use leasehold_client::{Code, Error, v1::Reason};

/// The process's exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// It did what it was asked.
    Ok = 0,
    /// A task that was waited for ended without success.
    NotSucceeded = 1,
    /// The command line or a value in it is wrong.
    Usage = 2,
    /// There is no such thing.
    NotFound = 3,
    /// The coordinator cannot be reached, or does not answer.
    Unreachable = 4,
    /// A wait was over before the task was.
    WaitTimedOut = 5,
    /// It contradicts what is there.
    Conflict = 6,
    /// A limit of the coordinator is reached.
    Limited = 7,
    /// The caller may not do this.
    Denied = 8,
    /// Something is wrong with the coordinator or with this program.
    Internal = 70,
    /// Somebody pressed Ctrl-C.
    Interrupted = 130,
}

impl Exit {
    /// How a command ends whose call ended so.
    pub(crate) fn of(error: &Error) -> Self {
        match error {
            Error::InvalidAddress { .. }
            | Error::InvalidName { .. }
            | Error::MessageTooLarge { .. } => Self::Usage,
            Error::Unreachable { .. } | Error::NoAnswer { .. } => Self::Unreachable,
            Error::NotEnded { .. } => Self::WaitTimedOut,
            Error::NoNamespaces { .. } | Error::Malformed { .. } => Self::Internal,
            Error::Refused(refusal) => Self::of_refusal(refusal.code, refusal.reason),
        }
    }

    /// How a command ends that the coordinator refused.
    pub(crate) fn of_refusal(code: Code, reason: Option<Reason>) -> Self {
        match reason {
            // The coordinator answers: what cannot be reached is somebody else.
            Some(Reason::CircuitOpen) => Self::Limited,
            Some(_) | None => Self::of_code(code),
        }
    }

    /// How a command ends whose call ended with this status.
    pub(crate) fn of_code(code: Code) -> Self {
        match code {
            Code::InvalidArgument | Code::OutOfRange => Self::Usage,
            Code::NotFound => Self::NotFound,
            Code::Unavailable | Code::DeadlineExceeded => Self::Unreachable,
            Code::AlreadyExists | Code::FailedPrecondition | Code::Aborted => Self::Conflict,
            Code::ResourceExhausted => Self::Limited,
            Code::PermissionDenied | Code::Unauthenticated => Self::Denied,
            Code::Ok
            | Code::Cancelled
            | Code::Unknown
            | Code::Unimplemented
            | Code::Internal
            | Code::DataLoss => Self::Internal,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

#[cfg(test)]
mod tests;
