//! Why the demo could not be carried through.

use std::io;
use std::path::PathBuf;
use std::process::ExitStatus;
use std::time::Duration;

#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("no readable files below {0:?}")]
    NoFiles(PathBuf),
    #[error("cannot {action} {path:?}")]
    File {
        action: &'static str,
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("cannot make a temporary folder")]
    Scratch(#[source] io::Error),
    #[error("{0:?} is missing: build the workspace first (make build)")]
    Missing(PathBuf),
    #[error("cannot start {name}")]
    Start {
        name: String,
        #[source]
        source: io::Error,
    },
    #[error("{name} ended by itself: {status}\n{log}")]
    Ended { name: String, status: ExitStatus, log: String },
    #[error("the coordinator does not listen after {waited:?}\n{log}")]
    NotListening { waited: Duration, log: String },
    #[error("nothing has finished for {waited:?}: {done} of {total} tasks done\n{logs}")]
    Stalled { waited: Duration, done: usize, total: usize, logs: String },
    #[error("cannot {action}")]
    Call {
        action: &'static str,
        #[source]
        source: leasehold_client::Error,
    },
    #[error("the submit stream ended after {0} tasks")]
    StreamEnded(usize),
    #[error("a computation panicked")]
    Panicked,
}
