//! The transport alone: what the contract makes a client, a coordinator and a worker say for a task, said by all three
//! over the same HTTP/2, with no queue between them and no disk below. It is the ceiling of what Leasehold can do.
//!
//! A task is submitted in a message of up to 1,000, with up to 16,384 unanswered, as the client does by default; it is
//! assigned to a worker of 10,000 slots, as `leasehold bench` has one, whose outcomes leave in frames of up to 256. All tasks are
//! alike, and said to be wherever the contract has a way to.

mod server;

use std::{iter, net::SocketAddr, ops::Range, path::Path, process::Command, time::Duration};

use anyhow::{Context as _, Result, bail, ensure};
use futures_util::FutureExt as _;
use leasehold_proto::{
    PROTOCOL_VERSION,
    duration::to_wire,
    v1::{
        Capacity, ConnectRequest, ConnectResponse, Hello, LeaseOutcome, StreamSubmitTasksRequest,
        StreamSubmitTasksResponse, SubmitTaskRequest, Success, WorkerEvent,
        coordinator_event::Event as Said, lease_outcome, submit_outcome,
        task_service_client::TaskServiceClient, worker_event::Event,
        worker_service_client::WorkerServiceClient,
    },
};
use tokio::{
    runtime::{Builder, Runtime},
    sync::mpsc,
};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{
    Streaming,
    transport::{Channel, Endpoint},
};

pub(crate) use self::server::serve;
use crate::{
    driver::{self, Patience, payload},
    server::{Place, Server},
};

/// The queue and the task type: as long as those of `leasehold bench`.
const NAME: &str = "leasehold-bench-00000";

/// How many submits may be unconfirmed at a time, and how many one message holds at most: the client's defaults.
const WINDOW: u64 = 16_384;
const BATCH_TASKS: usize = 1_000;

/// How many messages wait for a connection.
const MESSAGES_MAX: usize = 4;

/// How many tasks the worker has at a time, and how many outcomes it says in one frame at most.
const SLOTS: i32 = 10_000;
const FRAME_OUTCOMES: usize = 256;

/// The handler's time, which an outcome tells.
const RUN_TIME: Duration = Duration::from_micros(5);

/// The HTTP/2 windows of the client and of the worker.
const CLIENT_WINDOWS: Windows = Windows { stream: 1 << 20, connection: 16 << 20 };
const WORKER_WINDOWS: Windows = Windows { stream: 4 << 20, connection: 4 << 20 };

/// How much the server may send ahead.
#[derive(Clone, Copy, Debug)]
struct Windows {
    stream: u32,
    connection: u32,
}

pub(super) fn start(data_in: &Path) -> Result<Server> {
    let place = Place::new(data_in)?;
    let mut command = Command::new(std::env::current_exe()?);
    command.args(["serve-echo", &place.port()]);
    place.serve(command)
}

/// A runtime for one end. Its connection moves on a thread of its own while the end does something else.
fn runtime() -> Result<Runtime> {
    Ok(Builder::new_multi_thread().worker_threads(1).enable_all().build()?)
}

async fn dial(address: SocketAddr, windows: Windows) -> Result<Channel> {
    let endpoint = Endpoint::from_shared(format!("http://{address}"))?
        .tcp_nodelay(true)
        .initial_stream_window_size(windows.stream)
        .initial_connection_window_size(windows.connection);
    Ok(endpoint.connect().await?)
}

/// Submits tasks on one stream.
#[derive(Debug)]
pub(super) struct Submitter {
    runtime: Runtime,
    requests: mpsc::Sender<StreamSubmitTasksRequest>,
    answers: Streaming<StreamSubmitTasksResponse>,
}

impl Submitter {
    pub(super) fn connect(address: SocketAddr) -> Result<Self> {
        let runtime = runtime()?;
        let (requests, outbound) = mpsc::channel(MESSAGES_MAX);
        let answers = runtime.block_on(async {
            let mut client = TaskServiceClient::new(dial(address, CLIENT_WINDOWS).await?);
            let answers = client.stream_submit_tasks(ReceiverStream::new(outbound)).await?;
            Ok::<_, anyhow::Error>(answers.into_inner())
        })?;
        Ok(Self { runtime, requests, answers })
    }
}

impl driver::Submitter for Submitter {
    fn window(&self) -> u64 {
        WINDOW
    }

    fn send(&mut self, mut numbers: Range<u64>) -> Result<()> {
        loop {
            let Some(first) = numbers.next() else { return Ok(()) };
            let others = numbers.by_ref().take(BATCH_TASKS - 1).map(alike);
            let requests = iter::once(request(first)).chain(others).collect();
            self.requests.blocking_send(StreamSubmitTasksRequest { requests })?;
        }
    }

    fn confirmed(&mut self, patience: Patience) -> Result<u64> {
        let Self { runtime, answers, .. } = self;
        let answer = runtime.block_on(async {
            match patience {
                Patience::Wait => Some(answers.message().await),
                Patience::Look => answers.message().now_or_never(),
            }
        });
        let Some(answer) = answer else { return Ok(0) };
        let outcomes = answer?.context("the server ended the stream")?.outcomes;
        let confirmed = outcomes.len() as u64;
        let mut outcomes = outcomes.into_iter().map(|it| it.outcome);
        let all = outcomes.all(|it| matches!(it, Some(submit_outcome::Outcome::Accepted(_))));
        ensure!(all, "a submit was refused");
        Ok(confirmed)
    }
}

fn request(number: u64) -> SubmitTaskRequest {
    let mut request = SubmitTaskRequest::default();
    let spec = request.spec.get_or_insert_default();
    NAME.clone_into(&mut spec.queue);
    NAME.clone_into(&mut spec.task_type);
    spec.payload = payload(number).to_vec().into();
    request
}

/// One like the one before it.
fn alike(number: u64) -> SubmitTaskRequest {
    let payload = payload(number).to_vec();
    SubmitTaskRequest { alike_payload: Some(payload.into()), ..SubmitTaskRequest::default() }
}

/// Is assigned tasks on one stream, and says at once that each succeeded.
#[derive(Debug)]
pub(super) struct Worker {
    runtime: Runtime,
    requests: mpsc::Sender<ConnectRequest>,
    frames: Streaming<ConnectResponse>,
    /// The number of the last frame that was sent.
    sent: i64,
}

impl Worker {
    pub(super) fn connect(address: SocketAddr) -> Result<Self> {
        let runtime = runtime()?;
        let (requests, outbound) = mpsc::channel(MESSAGES_MAX);
        let hello = Hello {
            protocol_version: PROTOCOL_VERSION,
            worker_id: NAME.to_owned(),
            instance_id: NAME.to_owned(),
            task_types: vec![NAME.to_owned()],
            capacity: Some(Capacity { slots: SLOTS, ..Capacity::default() }),
            knows_alike: true,
            ..Hello::default()
        };
        requests.blocking_send(frame(1, 0, vec![Event::Hello(hello.into())]))?;
        let frames = runtime.block_on(async {
            let mut client = WorkerServiceClient::new(dial(address, WORKER_WINDOWS).await?);
            let frames = client.connect(ReceiverStream::new(outbound)).await?;
            Ok::<_, anyhow::Error>(frames.into_inner())
        })?;
        Ok(Self { runtime, requests, frames, sent: 1 })
    }
}

impl driver::Worker for Worker {
    fn work(&mut self, _left: u64, started: &mut dyn FnMut(&[u8])) -> Result<u64> {
        let frame = self.runtime.block_on(self.frames.message())?;
        let ConnectResponse { frame_sequence: heard, events, .. } =
            frame.context("the server ended the stream")?;
        let (mut completed, mut outcomes) = (0, Vec::new());
        for event in events {
            let (token, payload) = match event.event {
                Some(Said::Assignment(it)) => (it.fencing_token, it.payload),
                Some(Said::AlikeAssignment(it)) => (it.fencing_token, it.payload),
                Some(Said::ResultAck(_)) => {
                    completed += 1;
                    continue;
                }
                other => bail!("the server says {other:?}"),
            };
            started(&payload);
            outcomes.push(outcome(token));
        }
        let mut outcomes = outcomes.into_iter();
        loop {
            let said: Vec<_> = outcomes.by_ref().take(FRAME_OUTCOMES).collect();
            if said.is_empty() {
                return Ok(completed);
            }
            self.sent += 1;
            self.requests.blocking_send(self::frame(self.sent, heard, said))?;
        }
    }
}

fn frame(frame_sequence: i64, ack_frame_sequence: i64, events: Vec<Event>) -> ConnectRequest {
    let events = events.into_iter().map(|event| WorkerEvent { event: Some(event) }).collect();
    ConnectRequest { frame_sequence, ack_frame_sequence, events }
}

fn outcome(fencing_token: i64) -> Event {
    Event::LeaseOutcome(LeaseOutcome {
        fencing_token,
        outcome: Some(lease_outcome::Outcome::Success(Success::default())),
        run_time: Some(to_wire(RUN_TIME)),
    })
}

#[cfg(test)]
mod tests;
