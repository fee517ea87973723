//! The coordinator's end: it accepts what is submitted, assigns it while a slot is free, and acknowledges outcomes.

use std::{
    collections::VecDeque,
    net::{Ipv4Addr, SocketAddr},
    pin::Pin,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use anyhow::Result;
use bytes::Bytes;
use futures_util::{FutureExt as _, Stream, stream};
use leasehold_proto::{
    duration::to_wire,
    v1::{
        AlikeAssignment, Assignment, AwaitTaskRequest, AwaitTaskResponse, BatchSubmitTasksRequest,
        BatchSubmitTasksResponse, CancelTaskRequest, CancelTaskResponse, ConnectRequest,
        ConnectResponse, CoordinatorEvent, ExplainTaskRequest, ExplainTaskResponse, GetTaskRequest,
        GetTaskResponse, ListTasksRequest, ListTasksResponse, ResultAck, ResultDisposition,
        StreamSubmitTasksRequest, StreamSubmitTasksResponse, SubmitOutcome, SubmitTaskRequest,
        SubmitTaskResponse, TaskSpec, TraceContext, WatchTasksRequest, WatchTasksResponse,
        coordinator_event::Event as Said,
        submit_outcome::Outcome,
        task_service_server::{TaskService, TaskServiceServer},
        worker_event::Event,
        worker_service_server::{WorkerService, WorkerServiceServer},
    },
};
use tokio::{net::TcpListener, runtime::Runtime, sync::mpsc};
use tonic::{
    Request, Response, Status, Streaming,
    transport::{Server, server::TcpIncoming},
};

/// How much may be under way on one stream, and on one connection: as the coordinator has it.
const STREAM_WINDOW_BYTES: u32 = 1 << 20;
const CONNECTION_WINDOW_BYTES: u32 = 16 << 20;

/// What is answered together at most, unless a single message holds more.
const GATHERED_TASKS_MAX: usize = 1_000;

/// How many answers' tasks wait until the worker has a slot.
const GATHERED_MAX: usize = 64;

/// How many events a frame holds at most.
const FRAME_EVENTS_MAX: usize = 1_024;

/// How many tasks are assigned together at least while slots are what they wait for: about as many as a coordinator under load
/// grants in one turn of its engine. One by one, frames would become ever smaller.
const GRANTED_TOGETHER: usize = 200;

/// The first fencing token: on the wire it takes as many bytes as one of a coordinator.
const FIRST_TOKEN: u64 = 1 << 60;

/// As long as that of any task.
const TRACEPARENT: &str = "00-7692b29b673198f548a15c4db4559354-813f75a030a3a42a-03";

/// The timeouts of a task that names none.
const START_TIMEOUT: Duration = Duration::from_secs(10);
const ATTEMPT_TIMEOUT: Duration = Duration::from_mins(5);
const KILL_GRACE: Duration = Duration::from_secs(5);
/// Less a little, as it is counted from the submit.
const TOTAL_REMAINING: Duration = Duration::from_micros(86_399_990_001);

/// Serves on loopback for as long as the process lives.
pub(crate) fn serve(port: u16) -> Result<()> {
    Runtime::new()?.block_on(async {
        let listener = TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, port))).await?;
        listen(listener).await
    })
}

/// Serves whoever comes.
pub(super) async fn listen(listener: TcpListener) -> Result<()> {
    let echo = Echo::new();
    let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
    let server = Server::builder()
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .add_service(TaskServiceServer::new(echo.clone()))
        .add_service(WorkerServiceServer::new(echo));
    Ok(server.serve_with_incoming(incoming).await?)
}

/// What both services share: the way from submits to the worker.
#[derive(Clone, Debug)]
struct Echo {
    next: Arc<AtomicU64>,
    submitted: mpsc::Sender<Vec<Lease>>,
    /// Until the worker comes.
    leases: Arc<Mutex<Option<mpsc::Receiver<Vec<Lease>>>>>,
}

impl Echo {
    fn new() -> Self {
        let (submitted, leases) = mpsc::channel(GATHERED_MAX);
        Self { next: Arc::default(), submitted, leases: Arc::new(Mutex::new(Some(leases))) }
    }

    /// The answers to a stream of submits.
    fn answers(self, requests: Streaming<StreamSubmitTasksRequest>) -> Answers {
        Box::pin(stream::try_unfold((self, requests), async |(echo, mut requests)| {
            let Some(gathered) = gather(&mut requests).await? else { return Ok(None) };
            let answer = echo.accept(gathered).await?;
            Ok(Some((answer, (echo, requests))))
        }))
    }

    async fn accept(
        &self,
        requests: Vec<SubmitTaskRequest>,
    ) -> Result<StreamSubmitTasksResponse, Status> {
        let first = self.next.fetch_add(requests.len() as u64, Ordering::Relaxed);
        let (mut outcomes, mut leases) = (Vec::new(), Vec::<Lease>::new());
        for (number, request) in (first..).zip(requests) {
            let lease = Lease::new(number, request, leases.last())?;
            let answer =
                SubmitTaskResponse { task_id: lease.task_id(), ..SubmitTaskResponse::default() };
            outcomes.push(SubmitOutcome { outcome: Some(Outcome::Accepted(answer)) });
            leases.push(lease);
        }
        let sent = self.submitted.send(leases).await;
        sent.map_err(|_gone| Status::unavailable("the worker has gone"))?;
        Ok(StreamSubmitTasksResponse { outcomes })
    }
}

/// Waits for one message and takes those that are there too.
async fn gather(
    requests: &mut Streaming<StreamSubmitTasksRequest>,
) -> Result<Option<Vec<SubmitTaskRequest>>, Status> {
    let Some(first) = requests.message().await? else { return Ok(None) };
    let mut gathered = first.requests;
    while gathered.len() < GATHERED_TASKS_MAX {
        // An error or the end comes again with the next call.
        let Some(Ok(Some(more))) = requests.message().now_or_never() else { break };
        gathered.extend(more.requests);
    }
    Ok(Some(gathered))
}

/// A task that has been accepted.
#[derive(Clone, Debug)]
struct Lease {
    number: u64,
    payload: Bytes,
    likeness: Arc<Likeness>,
}

/// What is said once of tasks that are alike.
#[derive(Debug, Default, PartialEq, Eq)]
struct Likeness {
    queue: String,
    task_type: String,
}

impl Lease {
    fn new(number: u64, request: SubmitTaskRequest, before: Option<&Self>) -> Result<Self, Status> {
        let (payload, likeness) = match (request.spec, request.alike_payload, before) {
            (Some(spec), _, _) => {
                let TaskSpec { queue, task_type, payload, .. } = *spec;
                (payload, Arc::new(Likeness { queue, task_type }))
            }
            (None, Some(payload), Some(before)) => (payload, Arc::clone(&before.likeness)),
            (None, _, _) => return Err(Status::invalid_argument("a request without a task")),
        };
        Ok(Self { number, payload, likeness })
    }

    fn task_id(&self) -> String {
        format!("01a22e11-2cbe-7000-8000-{:012x}", self.number)
    }

    fn token(&self) -> i64 {
        i64::try_from(FIRST_TOKEN + self.number).unwrap_or(i64::MAX)
    }

    /// What its worker is told.
    fn assignment(self) -> Assignment {
        Assignment {
            fencing_token: self.token(),
            task_id: self.task_id(),
            namespace: "default".to_owned(),
            queue: self.likeness.queue.clone(),
            task_type: self.likeness.task_type.clone(),
            payload: self.payload,
            attempt: 1,
            generation: 1,
            start_timeout: Some(to_wire(START_TIMEOUT)),
            attempt_timeout: Some(to_wire(ATTEMPT_TIMEOUT)),
            total_remaining: Some(to_wire(TOTAL_REMAINING)),
            kill_grace: Some(to_wire(KILL_GRACE)),
            trace_context: Some(TraceContext {
                traceparent: TRACEPARENT.to_owned(),
                tracestate: String::new(),
            }),
            ..Assignment::default()
        }
    }

    /// The same after an assignment that is like it.
    fn alike(self) -> AlikeAssignment {
        AlikeAssignment {
            fencing_token: self.token(),
            task_id: self.task_id(),
            payload: self.payload,
            attempt: 1,
            generation: 1,
            total_remaining: Some(to_wire(TOTAL_REMAINING)),
            checkpoint: None,
        }
    }
}

/// What is said to the worker, and heard of it.
#[derive(Debug, Default)]
pub(super) struct Session {
    /// The numbers of the last frames.
    sent: i64,
    heard: i64,
    free: usize,
    waiting: VecDeque<Lease>,
    /// The leases whose outcomes are to be acknowledged.
    ended: VecDeque<i64>,
}

impl Session {
    fn hear(&mut self, frame: ConnectRequest) {
        self.heard = frame.frame_sequence;
        for event in frame.events {
            match event.event {
                Some(Event::Hello(hello)) => {
                    let slots = hello.capacity.unwrap_or_default().slots;
                    self.free = usize::try_from(slots).unwrap_or_default();
                }
                Some(Event::LeaseOutcome(outcome)) => {
                    self.free += 1;
                    self.ended.push_back(outcome.fencing_token);
                }
                // It says nothing else.
                Some(_) | None => {}
            }
        }
    }

    /// How many tasks may be assigned now.
    fn granted(&self) -> usize {
        let granted = self.waiting.len().min(self.free);
        if granted < self.waiting.len() && granted < GRANTED_TOGETHER { 0 } else { granted }
    }

    /// The next frame, if there is something to say: acknowledgements first.
    fn frame(&mut self) -> Option<ConnectResponse> {
        let acks = self.ended.len().min(FRAME_EVENTS_MAX);
        let assigned = self.granted().min(FRAME_EVENTS_MAX - acks);
        if acks + assigned == 0 {
            return None;
        }
        self.free -= assigned;
        self.sent += 1;
        let ack = |fencing_token| {
            let disposition = ResultDisposition::Accepted.into();
            Said::ResultAck(ResultAck { fencing_token, disposition })
        };
        let acks = self.ended.drain(..acks).map(ack);
        let mut before = None;
        let assign = |lease: Lease| {
            let likeness = Some(Arc::clone(&lease.likeness));
            if before == likeness {
                return Said::AlikeAssignment(lease.alike());
            }
            before = likeness;
            Said::Assignment(Box::new(lease.assignment()))
        };
        let assigned = self.waiting.drain(..assigned).map(assign);
        let events = acks.chain(assigned).map(|it| CoordinatorEvent { event: Some(it) }).collect();
        let (frame_sequence, ack_frame_sequence) = (self.sent, self.heard);
        Some(ConnectResponse { frame_sequence, ack_frame_sequence, events })
    }
}

/// The frames of a worker's stream.
fn frames(
    inbound: Streaming<ConnectRequest>,
    leases: mpsc::Receiver<Vec<Lease>>,
) -> Answers<ConnectResponse> {
    let start = (Session::default(), inbound, leases);
    Box::pin(stream::try_unfold(start, async |(mut session, mut inbound, mut leases)| {
        loop {
            if let Some(frame) = session.frame() {
                return Ok(Some((frame, (session, inbound, leases))));
            }
            tokio::select! {
                frame = inbound.message() => match frame? {
                    Some(frame) => session.hear(frame),
                    None => return Ok(None),
                },
                Some(more) = leases.recv(), if session.waiting.len() < GATHERED_TASKS_MAX => {
                    session.waiting.extend(more);
                }
            }
        }
    }))
}

type Answer<T> = Result<Response<T>, Status>;
type Answers<T = StreamSubmitTasksResponse> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

#[tonic::async_trait]
impl WorkerService for Echo {
    type ConnectStream = Answers<ConnectResponse>;

    async fn connect(
        &self,
        request: Request<Streaming<ConnectRequest>>,
    ) -> Answer<Answers<ConnectResponse>> {
        let leases = self.leases.lock().unwrap_or_else(PoisonError::into_inner).take();
        let leases = leases.ok_or_else(|| Status::resource_exhausted("there is a worker"))?;
        Ok(Response::new(frames(request.into_inner(), leases)))
    }
}

/// The rest of the contract: there are no tasks to ask about.
fn no_tasks() -> Status {
    Status::unimplemented("this is the transport alone")
}

#[tonic::async_trait]
impl TaskService for Echo {
    type StreamSubmitTasksStream = Answers;
    type WatchTasksStream = Answers<WatchTasksResponse>;

    async fn stream_submit_tasks(
        &self,
        request: Request<Streaming<StreamSubmitTasksRequest>>,
    ) -> Answer<Answers> {
        Ok(Response::new(self.clone().answers(request.into_inner())))
    }

    async fn submit_task(&self, _: Request<SubmitTaskRequest>) -> Answer<SubmitTaskResponse> {
        Err(no_tasks())
    }

    async fn batch_submit_tasks(
        &self,
        _: Request<BatchSubmitTasksRequest>,
    ) -> Answer<BatchSubmitTasksResponse> {
        Err(no_tasks())
    }

    async fn get_task(&self, _: Request<GetTaskRequest>) -> Answer<GetTaskResponse> {
        Err(no_tasks())
    }

    async fn explain_task(&self, _: Request<ExplainTaskRequest>) -> Answer<ExplainTaskResponse> {
        Err(no_tasks())
    }

    async fn list_tasks(&self, _: Request<ListTasksRequest>) -> Answer<ListTasksResponse> {
        Err(no_tasks())
    }

    async fn await_task(&self, _: Request<AwaitTaskRequest>) -> Answer<AwaitTaskResponse> {
        Err(no_tasks())
    }

    async fn watch_tasks(
        &self,
        _: Request<WatchTasksRequest>,
    ) -> Answer<Answers<WatchTasksResponse>> {
        Err(no_tasks())
    }

    async fn cancel_task(&self, _: Request<CancelTaskRequest>) -> Answer<CancelTaskResponse> {
        Err(no_tasks())
    }
}

#[cfg(test)]
mod tests;
