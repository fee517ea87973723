//! The worker stream's door: each stream becomes a session with a task of its own.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use leasehold_proto::v1::{ConnectRequest, ConnectResponse, worker_service_server::WorkerService};
use leasehold_queue::StreamId;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::task::TaskTracker;
use tonic::{Request, Response, Status, Streaming};

use crate::{
    handle::Unavailable,
    refusal::Refusal,
    session::{FRAMES_MAX, Shared},
};

/// How many streams there may be at once: beyond it memory, not leases, would be the bound.
const STREAMS_MAX: usize = 100_000;

/// The worker's side of the contract.
#[derive(Clone, Debug)]
pub struct WorkerApi {
    shared: Shared,
    next_stream: Arc<AtomicU64>,
    sessions: TaskTracker,
}

impl WorkerApi {
    /// Streams run on `sessions`, which whoever ends the process waits for.
    pub(crate) fn new(shared: Shared, sessions: TaskTracker) -> Self {
        Self { shared, next_stream: Arc::new(AtomicU64::new(1)), sessions }
    }

    fn admit(&self) -> Result<(), Unavailable> {
        if self.sessions.is_closed() {
            return Err(Unavailable::ShuttingDown);
        }
        if STREAMS_MAX <= self.sessions.len() {
            return Err(Unavailable::Overloaded);
        }
        Ok(())
    }
}

#[tonic::async_trait]
impl WorkerService for WorkerApi {
    type ConnectStream = ReceiverStream<Result<ConnectResponse, Status>>;

    async fn connect(
        &self,
        request: Request<Streaming<ConnectRequest>>,
    ) -> Result<Response<Self::ConnectStream>, Status> {
        self.admit().map_err(Refusal::from)?;
        let stream = StreamId(self.next_stream.fetch_add(1, Ordering::Relaxed));
        let (frames, response) = mpsc::channel(FRAMES_MAX);
        // Nothing is awaited here: a worker may wait for the answer's headers before it sends its first frame.
        self.sessions.spawn(self.shared.clone().serve(stream, request.into_inner(), frames));
        Ok(Response::new(ReceiverStream::new(response)))
    }
}
