//! A worker as a guest of somebody else's runtime: for simulations, and no part of the library's promise.
//!
//! Session, stream and slots are the real ones. What is left out is what only a process has: the thread of its own that
//! keeps a blocking handler from costing the worker its leases, boot time, and signals.

use std::{future::Future, sync::Arc};

use tokio::time::Instant;
use tonic::transport::{Channel, Endpoint, Error as TransportError};

use crate::{Error, Worker, clock::Clock, run, stream::Dial};

/// Runs a worker on this runtime and on its time, as [`Worker::run_until`] would; connections are made by `dial`.
/// Dropping the future ends it as a kill would.
pub async fn run<F>(
    worker: Worker,
    dial: impl Fn(Endpoint) -> F + Send + Sync + 'static,
    shutdown: impl Future<Output = ()>,
) -> Result<(), Error>
where
    F: Future<Output = Result<Channel, TransportError>> + Send + 'static,
{
    let dial: Dial = Arc::new(move |endpoint| Box::pin(dial(endpoint)));
    let mut plan = worker.plan()?;
    // Simulated time begins anew with each runtime: it orders nothing.
    plan.identity.process_start = None;
    run::here(plan, dial, Clock::Runtime(Instant::now()), shutdown).await
}
