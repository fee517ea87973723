//! Why a call did not do what it was asked: what failed, whose limit it was, and the way out.
//!
//! A refusal of the coordinator keeps everything it said. Where the transport answers before the
//! coordinator's code does, the error names the fact in our own words.

use std::{collections::BTreeMap, error::Error as StdError, fmt, time::Duration};

use leasehold_proto::{
    ERROR_DOMAIN,
    duration::from_wire,
    v1::{self, Reason, Task},
};
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

/// Why a call did not do what it was asked.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    /// The address cannot be one of a coordinator.
    #[error("{address:?} is no address of a coordinator: {problem}")]
    InvalidAddress {
        /// What was given.
        address: String,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// No connection, or one that broke before the answer came.
    #[error("cannot reach the coordinator at {address}")]
    Unreachable {
        /// Where it should be.
        address: String,
        /// What the transport says.
        #[source]
        source: TransportFault,
    },
    /// The call's time ran out.
    #[error("the coordinator at {address} did not answer within {timeout:?}")]
    NoAnswer {
        /// Where it is.
        address: String,
        /// How long the call was given.
        timeout: Duration,
    },
    /// What a client is to be called cannot be its name.
    #[error("{name:?} is no name of a client: 1 to 128 visible ASCII characters are")]
    InvalidName {
        /// What was given.
        name: String,
    },
    /// The coordinator said no.
    #[error("{0}")]
    Refused(Box<Refusal>),
    /// A message is larger than one side accepts.
    #[error("a message of {found} bytes is over the limit of {limit} bytes for one message")]
    MessageTooLarge {
        /// How large it is.
        found: String,
        /// How large it may be.
        limit: String,
    },
    /// A wait was over before the task was.
    #[error("task {} has not ended within {waited:?}", task.task_id)]
    NotEnded {
        /// The task as it was last seen.
        task: Box<Task>,
        /// How long the wait took.
        waited: Duration,
    },
    /// The coordinator is of a version before namespaces, and would take what is meant for one as meant for "default".
    #[error("the coordinator at {address} knows no namespaces, so none called {namespace:?}")]
    NoNamespaces {
        /// Where it is.
        address: String,
        /// What was named.
        namespace: String,
    },
    /// The coordinator's answer breaks the contract.
    #[error("the coordinator at {address} answered without {missing}: is it of another version?")]
    Malformed {
        /// Where it is.
        address: String,
        /// What the contract says must be there.
        missing: &'static str,
    },
}

/// What the coordinator said when it refused.
#[derive(Clone, Debug, PartialEq)]
pub struct Refusal {
    /// The gRPC status code.
    pub code: Code,
    /// Why, as a reason of the contract; `None` where it is none that this version knows.
    pub reason: Option<Reason>,
    /// One line for people.
    pub message: String,
    /// Everything that is wrong with the request's fields.
    pub violations: Vec<Violation>,
    /// When it makes sense to try again; `None`: not before something else changes.
    pub retry_after: Option<Duration>,
    /// The parts of the message, by name. Where a bound is reached: `limit`, `scope`, `used` and `max`.
    pub metadata: BTreeMap<String, String>,
}

/// One thing that is wrong with one field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// The path of the field, such as `spec.priority`.
    pub field: String,
    /// What is wrong, the limit, and the way out.
    pub description: String,
}

/// What the transport says of a connection that failed. Displays the innermost cause only.
#[derive(Clone, Debug)]
pub struct TransportFault(pub(crate) Status);

impl Error {
    /// Reads the status that a call to `address` ended with; `timeout` is what the call was given.
    pub(crate) fn from_status(status: Status, address: &str, timeout: Duration) -> Self {
        let address = address.to_owned();
        if let Some(refusal) = Refusal::from_details(&status) {
            return Self::Refused(Box::new(refusal));
        }
        if let Some((found, limit)) = parse_size_limit(status.message()) {
            return Self::MessageTooLarge { found, limit };
        }
        match status.code() {
            Code::DeadlineExceeded => Self::NoAnswer { address, timeout },
            Code::Cancelled if is_client_timeout(&status) => Self::NoAnswer { address, timeout },
            Code::Unavailable => Self::Unreachable { address, source: TransportFault(status) },
            // The transport keeps its own error as the source; a status off the wire has none.
            Code::Unknown | Code::Internal | Code::Cancelled if status.source().is_some() => {
                Self::Unreachable { address, source: TransportFault(status) }
            }
            Code::Ok
            | Code::Cancelled
            | Code::Unknown
            | Code::InvalidArgument
            | Code::NotFound
            | Code::AlreadyExists
            | Code::PermissionDenied
            | Code::ResourceExhausted
            | Code::FailedPrecondition
            | Code::Aborted
            | Code::OutOfRange
            | Code::Unimplemented
            | Code::Internal
            | Code::DataLoss
            | Code::Unauthenticated => Self::Refused(Box::new(Refusal::bare(&status))),
        }
    }

    /// The gRPC code that says it best.
    pub fn code(&self) -> Code {
        match self {
            Self::InvalidAddress { .. } | Self::InvalidName { .. } => Code::InvalidArgument,
            Self::Unreachable { .. } => Code::Unavailable,
            Self::NoAnswer { .. } | Self::NotEnded { .. } => Code::DeadlineExceeded,
            Self::Refused(refusal) => refusal.code,
            Self::MessageTooLarge { .. } => Code::OutOfRange,
            Self::NoNamespaces { .. } => Code::Unimplemented,
            Self::Malformed { .. } => Code::Internal,
        }
    }

    /// The coordinator's reason, if it was the coordinator who refused.
    pub fn reason(&self) -> Option<Reason> {
        self.refusal().and_then(|refusal| refusal.reason)
    }

    /// What is wrong with the request's fields.
    pub fn violations(&self) -> &[Violation] {
        self.refusal().map_or(&[], |refusal| &refusal.violations)
    }

    /// When it makes sense to try again, if the coordinator said so.
    pub fn retry_after(&self) -> Option<Duration> {
        self.refusal().and_then(|refusal| refusal.retry_after)
    }

    /// What the coordinator said, if it was the coordinator who refused.
    pub fn refusal(&self) -> Option<&Refusal> {
        if let Self::Refused(refusal) = self { Some(refusal) } else { None }
    }

    /// Whether the coordinator refused before it changed anything and would like to be asked again.
    /// Naming a time is how it says so; but who asked to fail fast wants to hear of it, not to wait.
    pub(crate) fn is_pushback(&self) -> bool {
        self.retry_after().is_some() && self.reason() != Some(Reason::CircuitOpen)
    }

    /// Whether the call may or may not have been carried out: nobody answered, or a coordinator that
    /// was going and could not tell.
    pub(crate) fn is_in_doubt(&self) -> bool {
        match self {
            Self::Unreachable { .. } | Self::NoAnswer { .. } => true,
            Self::Refused(refusal) => {
                refusal.code == Code::Unavailable && refusal.retry_after.is_none()
            }
            Self::InvalidAddress { .. }
            | Self::InvalidName { .. }
            | Self::MessageTooLarge { .. }
            | Self::NotEnded { .. }
            | Self::NoNamespaces { .. }
            | Self::Malformed { .. } => false,
        }
    }

    /// What to do about it, in one line; `None` where the message says it all.
    pub fn advice(&self) -> Option<&'static str> {
        match self {
            Self::InvalidAddress { .. } => Some("write it as http://host:port"),
            Self::Unreachable { .. } => {
                Some("check that leasehold-coordinator runs there and that the address is right")
            }
            Self::NoAnswer { .. } => Some("allow more time, or look at the coordinator's log"),
            Self::MessageTooLarge { .. } => {
                Some("keep large data in a store of its own and submit its name")
            }
            Self::NotEnded { .. } => Some("the task goes on; wait again with the same id"),
            Self::NoNamespaces { .. } => {
                Some("upgrade the coordinator before its clients, or name no namespace")
            }
            Self::InvalidName { .. } | Self::Malformed { .. } => None,
            Self::Refused(refusal) => refusal.advice(),
        }
    }
}

impl Refusal {
    /// What the coordinator would say of a field, where it is not asked.
    pub(crate) fn invalid_field(field: &str, description: &str) -> Self {
        Self {
            code: Code::InvalidArgument,
            reason: Some(Reason::InvalidField),
            message: format!("{field}: {description}"),
            violations: vec![Violation::new(field, description)],
            retry_after: None,
            metadata: BTreeMap::new(),
        }
    }

    /// Reads a status that carries our own `ErrorInfo`.
    fn from_details(status: &Status) -> Option<Self> {
        let details = status.get_error_details();
        let info = details.error_info().filter(|info| info.domain == ERROR_DOMAIN)?;
        let violations = details.bad_request().map_or(&[][..], |bad| &bad.field_violations);
        Some(Self {
            code: status.code(),
            reason: Reason::of_name(&info.reason),
            message: status.message().to_owned(),
            violations: violations
                .iter()
                .map(|v| Violation::new(&v.field, &v.description))
                .collect(),
            retry_after: details.retry_info().and_then(|retry| retry.retry_delay),
            metadata: info.metadata.clone().into_iter().collect(),
        })
    }

    /// Reads a status without details: one of the transport or of something between.
    fn bare(status: &Status) -> Self {
        let message = if status.message().is_empty() {
            status.code().description().to_lowercase()
        } else {
            status.message().to_owned()
        };
        Self {
            code: status.code(),
            reason: None,
            message,
            violations: Vec::new(),
            retry_after: status.get_details_retry_info().and_then(|retry| retry.retry_delay),
            metadata: BTreeMap::new(),
        }
    }

    /// Reads the refusal of one task of a batch.
    pub(crate) fn from_wire(refusal: v1::Refusal) -> Self {
        let violations = refusal.field_violations;
        Self {
            code: Code::from_i32(refusal.code),
            reason: Reason::of_name(&refusal.reason),
            message: refusal.message,
            violations: violations
                .iter()
                .map(|v| Violation::new(&v.field, &v.description))
                .collect(),
            retry_after: refusal.retry_delay.and_then(|delay| from_wire(&delay).ok()),
            metadata: refusal.metadata.into_iter().collect(),
        }
    }

    fn advice(&self) -> Option<&'static str> {
        let Some(reason) = self.reason else {
            return (self.code == Code::Unimplemented)
                .then_some("the coordinator does not know this call: is it an older version?");
        };
        match reason {
            Reason::QueueNotFound => Some("list the queues to see which exist"),
            Reason::IdempotencyKeyConflict => {
                Some("use another key, or submit the same type and payload again")
            }
            Reason::QueueFull => Some("wait until tasks have ended, or raise the limit it names"),
            Reason::StorageFull => {
                Some("free space on the coordinator's disk; running tasks still complete")
            }
            Reason::ShuttingDown | Reason::Recovering => {
                Some("try again when the coordinator is up")
            }
            Reason::Overloaded => Some("try again later, or with fewer calls at once"),
            Reason::NamespaceQuota => {
                Some("wait, or raise the limit of the namespace that the message names")
            }
            Reason::RateLimited => {
                Some("submit more slowly, or ask for a higher limits.submit_rate")
            }
            Reason::CircuitOpen => {
                Some("try again when it half-opens, or submit without failing fast and let it wait")
            }
            Reason::DeadlineInfeasible => {
                Some("give it more time, add workers, or submit it with best-effort admission")
            }
            Reason::ConfigInvalid => Some("what the coordinator runs with is kept"),
            // Their messages name the way out.
            Reason::Unspecified
            | Reason::InvalidField
            | Reason::PayloadTooLarge
            | Reason::TaskNotFound
            | Reason::NotFailed
            | Reason::ProtocolUnsupported
            | Reason::ProtocolViolation
            | Reason::LowerEpoch
            | Reason::LeaseNotFound
            | Reason::WorkerNotFound
            | Reason::WorkerBanned => None,
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        for violation in &self.violations {
            if !self.message.contains(&violation.description) {
                write!(f, "; {}: {}", violation.field, violation.description)?;
            }
        }
        Ok(())
    }
}

impl Violation {
    fn new(field: &str, description: &str) -> Self {
        Self { field: field.to_owned(), description: description.to_owned() }
    }
}

impl fmt::Display for TransportFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut innermost: Option<&dyn StdError> = self.0.source();
        while let Some(deeper) = innermost.and_then(StdError::source) {
            innermost = Some(deeper);
        }
        match innermost {
            Some(cause) => write!(f, "{cause}"),
            None => f.write_str(self.0.message()),
        }
    }
}

impl StdError for TransportFault {}

/// The sizes in the transport's own sentence about a message that is too large; it offers them no
/// other way.
fn parse_size_limit(message: &str) -> Option<(String, String)> {
    let (_, sizes) = message.split_once("message length too large: found ")?;
    let (found, rest) = sizes.split_once(" bytes, the limit is: ")?;
    let (limit, _) = rest.split_once(" bytes")?;
    Some((found.to_owned(), limit.to_owned()))
}

/// Whether the client's own timer ended the call; the transport reports that as a cancellation.
fn is_client_timeout(status: &Status) -> bool {
    let mut cause = status.source();
    while let Some(error) = cause {
        if error.is::<tonic::TimeoutExpired>() {
            return true;
        }
        cause = error.source();
    }
    false
}

#[cfg(test)]
mod tests;
