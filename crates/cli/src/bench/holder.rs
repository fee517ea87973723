//! Holders of the leases whose ends `bench expiry` waits for: a program, and async functions of a worker.
//!
//! Each says that it runs by connecting to a socket. Who listens there learns a program's process id from the
//! connection, and that a function has been dropped from its end.

use std::{
    io::{self, Read as _},
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    sync::{Arc, atomic::AtomicBool},
};

use bytes::Bytes;
use leasehold_worker::{Context, TaskError, Worker};
use signal_hook::consts::SIGTERM;

use crate::failure::Failure;

/// What a payload says to whoever must be killed. Any other handler dies of SIGTERM.
pub(super) const DEAF: &str = "deaf";

/// What it says to a function whose end nobody wants to see.
pub(super) const UNSEEN: &str = "unseen";

/// The program: runs until a signal ends it, or the listener goes.
pub(crate) fn run(socket: &Path) -> io::Result<()> {
    let mut payload = String::new();
    io::stdin().read_to_string(&mut payload)?;
    if payload == DEAF {
        signal_hook::flag::register(SIGTERM, Arc::new(AtomicBool::new(false)))?;
    }
    let mut listener = UnixStream::connect(socket)?;
    // Nothing is ever sent: this ends with the listener, whatever signals come.
    listener.read_to_end(&mut Vec::new())?;
    Ok(())
}

/// A worker with the functions. Where the coordinator is, and how many may run, it finds in the environment.
pub(super) async fn work(socket: PathBuf, task_type: String) -> Result<(), Failure> {
    let handler = move |payload, context| function(socket.clone(), payload, context);
    let worked = async { Worker::from_env()?.task(task_type, handler).run().await };
    worked.await.map_err(|error| Failure::Bench(format!("the worker failed: {error}")))
}

async fn function(socket: PathBuf, payload: Bytes, context: Context) -> Result<(), TaskError> {
    if payload == UNSEEN {
        context.cancelled().await;
        return Ok(());
    }
    let _life = tokio::net::UnixStream::connect(socket).await?;
    if payload == DEAF {
        std::future::pending::<()>().await;
    }
    context.cancelled().await;
    Err(TaskError::retry("asked to stop"))
}
