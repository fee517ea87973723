//! A coordinator that says what a test wants, over a real stream.

use std::{collections::HashMap, net::SocketAddr, pin::Pin, time::Duration};

use leasehold_proto::v1::{
    self, ConnectRequest, ConnectResponse, CoordinatorEvent,
    coordinator_event::Event as Say,
    lease_outcome::Outcome,
    worker_event::Event as Heard,
    worker_service_server::{WorkerService, WorkerServiceServer},
};
use leasehold_worker::Bytes;
use tokio::{
    net::TcpListener,
    sync::mpsc,
    task::JoinSet,
    time::{Instant, timeout},
};
use tokio_stream::{
    Stream, StreamExt as _,
    wrappers::{ReceiverStream, TcpListenerStream},
};
use tonic::{Request, Response, Status, Streaming};

/// Longer than anything here takes, unless it never comes.
pub(crate) const SOON: Duration = Duration::from_secs(20);

/// How often a condition is looked at between two streams.
const POLL: Duration = Duration::from_millis(20);

/// How many frames may wait in either direction; no test comes near it.
const FRAMES_MAX: usize = 1_000;

/// The largest result the coordinator accepts.
pub(crate) const RESULT_BYTES_MAX: i64 = 100_000;

/// The largest checkpoint the coordinator keeps.
pub(crate) const CHECKPOINT_BYTES_MAX: i64 = 1_000;

/// A coordinator that says what a test wants.
pub(crate) struct Coordinator {
    pub(crate) address: SocketAddr,
    streams: mpsc::Receiver<Conversation>,
    _server: JoinSet<()>,
}

/// One stream of a worker. The coordinator's side of heartbeats is kept by [`Conversation::next`].
pub(crate) struct Conversation {
    heard: Streaming<ConnectRequest>,
    says: mpsc::Sender<Result<ConnectResponse, Status>>,
    /// What has been heard and not looked at.
    waiting: Vec<Heard>,
    said: i64,
}

struct Service {
    streams: mpsc::Sender<Conversation>,
}

#[tonic::async_trait]
impl WorkerService for Service {
    type ConnectStream = Pin<Box<dyn Stream<Item = Result<ConnectResponse, Status>> + Send>>;

    async fn connect(
        &self,
        request: Request<Streaming<ConnectRequest>>,
    ) -> Result<Response<Self::ConnectStream>, Status> {
        let (says, frames) = mpsc::channel(FRAMES_MAX);
        let heard = request.into_inner();
        let conversation = Conversation { heard, says, waiting: Vec::new(), said: 0 };
        self.streams
            .send(conversation)
            .await
            .map_err(|_| Status::unavailable("the test is over"))?;
        Ok(Response::new(Box::pin(ReceiverStream::new(frames))))
    }
}

impl Coordinator {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let (sender, streams) = mpsc::channel(FRAMES_MAX);
        let service = WorkerServiceServer::new(Service { streams: sender });
        let mut server = JoinSet::new();
        server.spawn(async move {
            tonic::transport::Server::builder()
                .add_service(service)
                .serve_with_incoming(TcpListenerStream::new(listener))
                .await
                .expect("the server runs");
        });
        Self { address, streams, _server: server }
    }

    /// The next stream, up to its hello.
    pub(crate) async fn hello(&mut self) -> (Conversation, v1::Hello) {
        let stream = timeout(SOON, self.streams.recv()).await.expect("a worker connects");
        let mut stream = stream.expect("the server runs");
        match stream.next().await {
            Some(Heard::Hello(hello)) => (stream, *hello),
            other => panic!("a hello comes first, not {other:?}"),
        }
    }

    /// The next stream, with a welcome that retains every lease.
    pub(crate) async fn welcome(&mut self, session_ttl: Duration) -> (Conversation, v1::Hello) {
        let (mut stream, hello) = self.hello().await;
        let verdict = |it: &v1::HeldLease| v1::LeaseVerdict {
            fencing_token: it.fencing_token,
            verdict: v1::Verdict::Retained.into(),
        };
        let welcome = v1::Welcome {
            protocol_version: 1,
            journal_id: "journal".to_owned(),
            epoch: 1,
            settings: Some(v1::SessionSettings {
                heartbeat_interval: Some(wire(session_ttl / 4)),
                session_ttl: Some(wire(session_ttl)),
                reconnect_initial: Some(wire(Duration::from_millis(10))),
                reconnect_cap: Some(wire(Duration::from_millis(100))),
                result_bytes_max: RESULT_BYTES_MAX,
                checkpoint_bytes_max: CHECKPOINT_BYTES_MAX,
            }),
            verdicts: hello.held_leases.iter().map(verdict).collect(),
            ..v1::Welcome::default()
        };
        stream.say(Say::Welcome(Box::new(welcome))).await;
        (stream, hello)
    }
}

impl Coordinator {
    /// Tells the worker that another process has its id, on this stream and on each that follows, until it is gone.
    pub(crate) async fn displace(
        &mut self,
        stream: &mut Conversation,
        mut is_gone: impl FnMut() -> bool,
    ) {
        let reason = v1::GoAwayReason::Replaced.into();
        let deadline = Instant::now() + SOON;
        while !is_gone() {
            assert!(Instant::now() < deadline, "the worker stays");
            let go_away = v1::GoAway { reason, ..v1::GoAway::default() };
            stream.say(Say::GoAway(go_away)).await;
            if let Ok(Some(next)) = timeout(POLL, self.streams.recv()).await {
                *stream = next;
            }
        }
    }
}

impl Conversation {
    pub(crate) async fn say(&mut self, event: Say) {
        self.said += 1;
        let frame = ConnectResponse {
            frame_sequence: self.said,
            ack_frame_sequence: 0,
            events: vec![CoordinatorEvent { event: Some(event) }],
        };
        // A worker that has gone hears nothing; what it has said can still be read.
        drop(self.says.send(Ok(frame)).await);
    }

    /// What the worker says next; `None` at the end. Heartbeats are acknowledged and left out.
    pub(crate) async fn next(&mut self) -> Option<Heard> {
        loop {
            if !self.waiting.is_empty() {
                let event = self.waiting.remove(0);
                let Heard::Heartbeat(beat) = event else { return Some(event) };
                let sequence = beat.sequence;
                self.say(Say::HeartbeatAck(v1::HeartbeatAck { sequence })).await;
                continue;
            }
            let frame = timeout(SOON, self.heard.next()).await.expect("the worker says something");
            let events = frame?.ok()?.events;
            self.waiting.extend(events.into_iter().filter_map(|it| it.event));
        }
    }

    /// Waits for a heartbeat and does not answer it. What was said before it is not looked at.
    pub(crate) async fn heartbeat(&mut self) {
        let is_beat = |it: &Heard| matches!(it, Heard::Heartbeat(_));
        while !self.waiting.iter().any(is_beat) {
            let frame = timeout(SOON, self.heard.next()).await.expect("the worker says something");
            let frame = frame.expect("the worker stays").expect("the stream holds");
            self.waiting.extend(frame.events.into_iter().filter_map(|it| it.event));
        }
    }

    /// The outcome of a lease, acknowledged.
    pub(crate) async fn outcome(&mut self, token: i64) -> Outcome {
        let outcome = self.unanswered_outcome(token).await;
        self.answer(token).await;
        outcome
    }

    /// The outcome of a lease.
    pub(crate) async fn unanswered_outcome(&mut self, token: i64) -> Outcome {
        loop {
            if let Heard::LeaseOutcome(it) = self.next().await.expect("the worker stays")
                && it.fencing_token == token
            {
                return it.outcome.expect("an outcome");
            }
        }
    }

    /// The last checkpoint that a lease saves until its end, and the end, acknowledged.
    pub(crate) async fn saved_until_outcome(&mut self, token: i64) -> (Option<Bytes>, Outcome) {
        let mut last = None;
        loop {
            let heard = self.next().await.expect("the worker stays");
            if let Heard::LeaseProgress(it) = heard {
                let is_own = it.fencing_token == token;
                let saved = it.progress.and_then(|progress| progress.checkpoint);
                last = saved.filter(|_| is_own).or(last);
            } else if let Heard::LeaseOutcome(it) = heard
                && it.fencing_token == token
            {
                self.answer(token).await;
                return (last, it.outcome.expect("an outcome"));
            }
        }
    }

    /// Breaks the stream.
    pub(crate) fn hang_up(&mut self) {
        drop(self.says.try_send(Err(Status::unavailable("hung up"))));
    }

    pub(crate) async fn answer(&mut self, fencing_token: i64) {
        let disposition = v1::ResultDisposition::Accepted.into();
        self.say(Say::ResultAck(v1::ResultAck { fencing_token, disposition })).await;
    }

    pub(crate) async fn assign(&mut self, assignment: v1::Assignment) {
        self.say(Say::Assignment(Box::new(assignment))).await;
    }
}

/// A task of this type under this lease, with limits that no test reaches.
pub(crate) fn assignment(token: i64, task_type: &str, payload: &[u8]) -> v1::Assignment {
    v1::Assignment {
        fencing_token: token,
        task_id: format!("task-{token}"),
        namespace: "default".to_owned(),
        queue: "q".to_owned(),
        task_type: task_type.to_owned(),
        payload: payload.to_vec().into(),
        content_type: "text/plain".to_owned(),
        attempt: 3,
        generation: 2,
        start_timeout: Some(wire(SOON)),
        attempt_timeout: Some(wire(SOON)),
        total_remaining: Some(wire(SOON * 2)),
        kill_grace: Some(wire(Duration::from_millis(200))),
        trace_context: Some(v1::TraceContext {
            traceparent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".to_owned(),
            tracestate: "vendor=1".to_owned(),
        }),
        labels: HashMap::from([("k".to_owned(), "v".to_owned())]),
        progress_timeout: None,
        checkpoint: None,
        slots: 0,
        resources: HashMap::new(),
    }
}

pub(crate) fn wire(duration: Duration) -> prost_types::Duration {
    duration.try_into().expect("a short duration")
}

/// The revocation of a cancelled task that gives the handler this long.
pub(crate) fn revocation(fencing_token: i64, grace: Duration) -> Say {
    revocation_for(fencing_token, v1::RevocationReason::Cancelled, grace)
}

/// A revocation that gives the handler this long.
pub(crate) fn revocation_for(
    fencing_token: i64,
    reason: v1::RevocationReason,
    grace: Duration,
) -> Say {
    Say::Revocation(v1::Revocation {
        fencing_token,
        reason: reason.into(),
        grace: Some(wire(grace)),
        ..v1::Revocation::default()
    })
}
