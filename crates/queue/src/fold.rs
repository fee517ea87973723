//! How a record becomes state: the only door through which anything durable changes.

use crate::{Record, TaskId, Token};

/// What to do with a record about a task that is not known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unknown {
    /// Pass over it: the records that made the task may have been trimmed, after it ended or was moved.
    Skip,
    /// Refuse it: everything that came before is there to be read.
    Refuse,
}

/// A record does not follow from the ones before it.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Corrupt {
    /// The task of the record is not open.
    #[error("a record about task {task}, which is not open: {record:?}")]
    UnknownTask {
        /// The task.
        task: TaskId,
        /// The record.
        record: Box<Record>,
    },
    /// The lease of the record is not the task's.
    #[error("a record about lease {token} of task {task}, which is not under it")]
    UnknownLease {
        /// The task.
        task: TaskId,
        /// The lease.
        token: Token,
    },
    /// The task of the record is in a state that does not allow it.
    #[error("task {task} is not in a state for {record:?}")]
    WrongState {
        /// The task.
        task: TaskId,
        /// The record.
        record: Box<Record>,
    },
    /// A token is not larger than one granted before for the same task.
    #[error("lease {token} of task {task} is not newer than {last}")]
    OldToken {
        /// The task.
        task: TaskId,
        /// The token.
        token: Token,
        /// The newest one before it.
        last: Token,
    },
}
