//! Why a worker cannot start, or stopped without having drained.

use std::{io, path::PathBuf};

/// Why a worker cannot start, or stopped without having drained.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A setting cannot be used.
    #[error("{name} is {value:?}: {problem}")]
    Setting {
        /// The setting's name.
        name: &'static str,
        /// Its value.
        value: String,
        /// What a usable one looks like.
        problem: &'static str,
    },
    /// There is nothing the worker could be leased.
    #[error("the worker serves no task type")]
    NoTaskType,
    /// Two handlers claim a task type.
    #[error("task type {0:?} is served twice")]
    ServedTwice(String),
    /// The worker runs programs or isolated functions, but its `main` does not begin with the guard.
    #[error(
        "this worker starts processes: main must begin with leasehold_worker::guard::run_if_guard()"
    )]
    GuardMissing,
    /// The state directory cannot be used.
    #[error("cannot use the state directory {directory:?}")]
    StateDir {
        /// Which.
        directory: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Another process has the state directory.
    #[error(
        "another process uses the state directory {directory:?}: give each worker one of its own"
    )]
    StateDirInUse {
        /// Which.
        directory: PathBuf,
    },
    /// The thread of the connection could not be started.
    #[error("cannot start the connection's thread")]
    Start(#[source] io::Error),
    /// The timer of the connection failed.
    #[error("the worker's timer failed")]
    Timer(#[source] io::Error),
    /// What the guards of programs go by could not be written.
    #[error("cannot renew the leases of programs")]
    Lifeline(#[source] io::Error),
    /// What serves the connection panicked: a bug in this crate.
    #[error("what serves the worker's connection panicked")]
    Panicked,
    /// Another process said hello under the same worker id.
    #[error("worker id {0:?} is in use by another process: give each worker an id of its own")]
    IdInUse(String),
    /// The coordinator does not accept this worker as it is.
    #[error("the coordinator refused the worker: {message}")]
    Refused {
        /// The coordinator's words.
        message: String,
    },
    /// The coordinator speaks another version of the protocol.
    #[error("the coordinator speaks version {0} of the worker protocol, this worker version 1")]
    Protocol(i32),
    /// The worker drained, but the coordinator could not be reached to take what it had finished.
    #[error(
        "gave up with {outcomes} outcomes undelivered and {running} tasks running: they will run again elsewhere"
    )]
    Undelivered {
        /// Finished tasks whose outcome was not acknowledged.
        outcomes: usize,
        /// Tasks that did not stop.
        running: usize,
    },
    /// The worker drained because too many of its slots hold work that cannot be stopped. Start its process again.
    #[error(
        "{lost} slots are lost to work that cannot be stopped: the worker has to be started again"
    )]
    SlotsLost {
        /// Tasks that did not stop.
        lost: usize,
    },
    /// A second signal asked the worker to stop at once.
    #[error("stopped by a second signal with {running} tasks running")]
    Interrupted {
        /// Tasks that were running.
        running: usize,
    },
}
