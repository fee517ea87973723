//! The worker stream's door: each stream becomes a session with a task of its own.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use leasehold_policy::{Bucket, Rate};
use leasehold_proto::v1::{ConnectRequest, worker_service_server::WorkerService};
use leasehold_queue::StreamId;
use tokio::time::Instant;
use tokio_util::task::TaskTracker;
use tonic::{Request, Response, Status, Streaming};

use crate::{
    handle::Unavailable,
    refusal::{Refusal, Scope},
    session::{FRAMES_MAX, Outbound, Shared, passage},
};

/// How many streams there may be at once: beyond it memory, not leases, would be the bound.
const STREAMS_MAX: usize = 100_000;

/// How many streams may begin: 2,000 a second, and as many at once. A hello with its inventory takes the engine longer than
/// anything else a worker says, and after a restart every worker says one.
const STREAMS_RATE: Rate = Rate { interval: Duration::from_micros(500), burst: 2_000 };

/// Over how long those that are turned away are spread, so that they are not all back in the same instant.
const RETURN_WITHIN: Duration = Duration::from_secs(1);

/// The worker's side of the contract.
#[derive(Clone, Debug)]
pub struct WorkerApi {
    shared: Shared,
    began: Instant,
    beginnings: Arc<Mutex<Bucket>>,
    next_stream: Arc<AtomicU64>,
    sessions: TaskTracker,
}

impl WorkerApi {
    /// Streams run on `sessions`, which whoever ends the process waits for.
    pub(crate) fn new(shared: Shared, sessions: TaskTracker) -> Self {
        let (began, beginnings) = (Instant::now(), Arc::default());
        Self { shared, began, beginnings, next_stream: Arc::new(AtomicU64::new(1)), sessions }
    }

    fn admit(&self) -> Result<(), Refusal> {
        if self.sessions.is_closed() {
            return Err(Unavailable::ShuttingDown.into());
        }
        if STREAMS_MAX <= self.sessions.len() {
            return Err(Unavailable::full("worker streams", STREAMS_MAX as u64).into());
        }
        let mut beginnings = self.beginnings.lock().unwrap_or_else(PoisonError::into_inner);
        begin(&mut beginnings, self.began.elapsed(), fastrand::f64())
    }
}

#[tonic::async_trait]
impl WorkerService for WorkerApi {
    type ConnectStream = Outbound;

    async fn connect(
        &self,
        request: Request<Streaming<ConnectRequest>>,
    ) -> Result<Response<Self::ConnectStream>, Status> {
        self.admit()?;
        let stream = StreamId(self.next_stream.fetch_add(1, Ordering::Relaxed));
        let (frames, response) = passage(FRAMES_MAX);
        // Nothing is awaited here: a worker may wait for the answer's headers before it sends its first frame.
        self.sessions.spawn(self.shared.clone().serve(stream, request.into_inner(), frames));
        Ok(Response::new(response))
    }
}

/// Lets a stream begin, or says when to come back; `random` is uniform below 1.
fn begin(beginnings: &mut Bucket, now: Duration, random: f64) -> Result<(), Refusal> {
    beginnings.take(STREAMS_RATE, 1, now).map(drop).map_err(|wait| {
        let max = u64::from(STREAMS_RATE.burst);
        Refusal::overloaded("beginnings of worker streams in a second", Scope::Coordinator, max)
            .retry_after(wait + RETURN_WITHIN.mul_f64(random))
    })
}

#[cfg(test)]
mod tests;
