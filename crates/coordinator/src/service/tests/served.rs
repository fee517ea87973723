//! A whole coordinator in this process, on free ports of loopback, and a worker that does what task types say.

use std::time::Duration;

use leasehold_proto::v1::{
    self, admin_service_client::AdminServiceClient, coordinator_event::Event as Said,
    dead_letter_service_client::DeadLetterServiceClient, lease_outcome::Outcome,
    task_service_client::TaskServiceClient, worker_event::Event,
    worker_service_client::WorkerServiceClient,
};
use tempfile::TempDir;
use tokio::{
    sync::mpsc,
    task::{AbortHandle, JoinSet},
    time::timeout,
};
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::{
    Code, Status, Streaming,
    transport::{Channel, Endpoint},
};
use tonic_types::StatusExt as _;

use crate::{
    config::Config,
    coordinator::{self, Running},
    metrics::Metrics,
    reload::{Reloader, Source},
    service::WorkerApi,
    transport::{Acceptor, Health, Services},
};

/// Longer than anything here takes, so that a test that hangs ends.
pub(super) const SOON: Duration = Duration::from_secs(20);

/// A coordinator that serves.
pub(super) struct Served {
    pub(super) channel: Channel,
    pub(super) metrics: Metrics,
    running: Running,
    stopping: CancellationToken,
    tasks: JoinSet<()>,
    _dir: TempDir,
}

impl Served {
    pub(super) async fn start(change: impl FnOnce(&mut Config)) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut config = Config { data: dir.path().join("data"), ..Config::default() };
        change(&mut config);
        config.check().unwrap();
        let metrics = Metrics::default();
        let any = "127.0.0.1:0".parse().unwrap();
        let acceptor = Acceptor::bind(any, 64, metrics.clone()).await.unwrap();
        let address = acceptor.address().unwrap();
        let running = coordinator::start(config.into(), metrics.clone(), address).await;
        let running = running.unwrap();
        let (health, stopping) = (Health::starting().await, CancellationToken::new());
        health.serving().await;
        let services = Services {
            handle: running.handle.clone(),
            scaling: running.scaling.clone(),
            worker: WorkerApi::new(running.shared.clone(), running.sessions.clone()),
            reloader: Reloader::new(running.handle.clone(), metrics.clone(), Source::default()),
            health,
            metrics: metrics.clone(),
            stopping: stopping.clone(),
        };
        let mut tasks = JoinSet::new();
        tasks.spawn(services.serve(acceptor.incoming()));
        let endpoint = Endpoint::from_shared(format!("http://{address}")).unwrap();
        let channel = endpoint.connect_lazy();
        Self { channel, metrics, running, stopping, tasks, _dir: dir }
    }

    pub(super) fn tasks(&self) -> TaskServiceClient<Channel> {
        TaskServiceClient::new(self.channel.clone())
    }

    pub(super) fn dead(&self) -> DeadLetterServiceClient<Channel> {
        DeadLetterServiceClient::new(self.channel.clone())
    }

    pub(super) fn admin(&self) -> AdminServiceClient<Channel> {
        AdminServiceClient::new(self.channel.clone())
    }

    /// Connects a worker with these task types, and hands back what ends it. It fails what is called `fail`, and returns
    /// the payload of the rest.
    pub(super) async fn work(&mut self, worker_id: &str, task_types: &[&str]) -> AbortHandle {
        let (frames, sent) = mpsc::channel(64);
        let hello = v1::Hello {
            protocol_version: leasehold_proto::PROTOCOL_VERSION,
            worker_id: worker_id.to_owned(),
            instance_id: "1".to_owned(),
            task_types: task_types.iter().map(ToString::to_string).collect(),
            capacity: Some(v1::Capacity { slots: 8, ..v1::Capacity::default() }),
            ..v1::Hello::default()
        };
        frames.send(frame(1, 0, vec![Event::Hello(hello.into())])).await.unwrap();
        let mut client = WorkerServiceClient::new(self.channel.clone());
        let stream = client.connect(ReceiverStream::new(sent)).await.unwrap().into_inner();
        self.tasks.spawn(serve(frames, stream))
    }

    /// Stops the engine and everything around it.
    pub(super) async fn stop(mut self) {
        self.running.stop(self.stopping).await.unwrap();
        drop(self.channel);
        self.tasks.abort_all();
        while self.tasks.join_next().await.is_some() {}
    }
}

/// What most tests ask.
impl Served {
    pub(super) async fn submit(&self, request: v1::SubmitTaskRequest) -> String {
        self.tasks().submit_task(request).await.unwrap().into_inner().task_id
    }

    pub(super) async fn get(&self, task_id: &str) -> v1::Task {
        let request = v1::GetTaskRequest { task_id: task_id.to_owned() };
        self.tasks().get_task(request).await.unwrap().into_inner().task.unwrap()
    }

    /// Waits for the end of a task, as long as it takes.
    pub(super) async fn end(&self, task_id: &str) -> v1::Task {
        let request = v1::AwaitTaskRequest { task_id: task_id.to_owned(), max_wait: None };
        let answer = timeout(SOON, self.tasks().await_task(request)).await.unwrap();
        answer.unwrap().into_inner().task.unwrap()
    }

    /// Every page of a list.
    pub(super) async fn list(&self, mut request: v1::ListTasksRequest) -> (Vec<v1::Task>, usize) {
        let (mut tasks, mut pages) = (Vec::new(), 0);
        loop {
            let page = self.tasks().list_tasks(request.clone()).await.unwrap().into_inner();
            tasks.extend(page.tasks);
            pages += 1;
            if page.next_page_token.is_empty() {
                return (tasks, pages);
            }
            request.page_token = page.next_page_token;
        }
    }
}

/// Works on what is assigned until the stream ends.
async fn serve(
    frames: mpsc::Sender<v1::ConnectRequest>,
    mut stream: Streaming<v1::ConnectResponse>,
) {
    let mut sequence = 1;
    while let Ok(Some(response)) = stream.message().await {
        let outcomes: Vec<_> = response.events.into_iter().filter_map(outcome).collect();
        sequence += 1;
        if frames.send(frame(sequence, response.frame_sequence, outcomes)).await.is_err() {
            return;
        }
    }
}

fn outcome(said: v1::CoordinatorEvent) -> Option<Event> {
    let Some(Said::Assignment(assignment)) = said.event else { return None };
    let outcome = if assignment.task_type == "fail" {
        Outcome::Failure(v1::AttemptFailure {
            reason: v1::FailureReason::Error.into(),
            message: "as asked".to_owned(),
            non_retryable: true,
            ..v1::AttemptFailure::default()
        })
    } else {
        Outcome::Success(v1::Success { result: assignment.payload })
    };
    Some(Event::LeaseOutcome(v1::LeaseOutcome {
        fencing_token: assignment.fencing_token,
        outcome: Some(outcome),
        run_time: None,
    }))
}

fn frame(frame_sequence: i64, ack_frame_sequence: i64, events: Vec<Event>) -> v1::ConnectRequest {
    let events = events.into_iter().map(|event| v1::WorkerEvent { event: Some(event) }).collect();
    v1::ConnectRequest { frame_sequence, ack_frame_sequence, events }
}

/// A submit of this type and payload.
pub(super) fn submit(task_type: &str, payload: &str) -> v1::SubmitTaskRequest {
    let spec = v1::TaskSpec {
        task_type: task_type.to_owned(),
        payload: payload.to_owned().into(),
        ..v1::TaskSpec::default()
    };
    v1::SubmitTaskRequest { spec: Some(spec.into()), ..v1::SubmitTaskRequest::default() }
}

/// Asserts that a call was refused with this code and reason.
pub(super) fn refused<T: std::fmt::Debug>(answer: Result<T, Status>, code: Code, reason: &str) {
    let status = answer.unwrap_err();
    let info = status.get_details_error_info().unwrap_or_else(|| panic!("no details: {status:?}"));
    assert_eq!((status.code(), info.reason.as_str()), (code, reason), "{}", status.message());
}
