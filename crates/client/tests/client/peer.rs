//! The other end of a connection: a task service on a real socket that follows a script and remembers what it was
//! sent. It keeps no tasks; what the coordinator makes of calls is tested with the coordinator.

use std::{
    collections::VecDeque,
    pin::Pin,
    sync::{Arc, Mutex},
    time::Duration,
};

use leasehold_client::v1::{
    AwaitTaskRequest, AwaitTaskResponse, BatchSubmitTasksRequest, BatchSubmitTasksResponse,
    CancelTaskRequest, CancelTaskResponse, ExplainTaskRequest, ExplainTaskResponse, GetTaskRequest,
    GetTaskResponse, ListTasksRequest, ListTasksResponse, Refusal, StreamSubmitTasksRequest,
    StreamSubmitTasksResponse, SubmitOutcome, SubmitTaskRequest, SubmitTaskResponse, Task,
    TaskState, WatchTasksRequest, WatchTasksResponse, submit_outcome::Outcome,
};
use leasehold_proto::{
    ERROR_DOMAIN, FEATURES_METADATA,
    v1::task_service_server::{TaskService, TaskServiceServer},
};
use tokio::{net::TcpListener, sync::mpsc, task::JoinHandle};
use tokio_stream::{
    Stream, StreamExt as _,
    wrappers::{ReceiverStream, TcpListenerStream},
};
use tonic::{
    Code, Request, Response, Status, Streaming,
    metadata::{MetadataMap, MetadataValue},
    transport::Server,
};
use tonic_types::{ErrorDetails, StatusExt as _};

/// How long a scripted refusal asks for patience: no test waits for long.
pub(crate) const RETRY_DELAY: Duration = Duration::from_millis(1);

/// How many answers of a stream wait for the connection.
const ANSWERS_BOUND: usize = 16;

/// What the peer does with the next call, or the next task of a stream. Without a script it answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Answers.
    Answer,
    /// Answers that the task has not ended.
    NotYet,
    /// Refuses, and says when to try again.
    Pushback,
    /// Refuses for good.
    Refuse,
    /// Refuses because it goes, and cannot say whether it has done it.
    Gone,
    /// Breaks off without an answer, as a lost connection does.
    Lose,
    /// Says nothing of a task of a batch, against the contract.
    Skip,
}

/// What the peer was sent with one call, or as one task of a stream.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Seen {
    /// The idempotency key, the task id, or the watched ids.
    pub(crate) name: String,
    pub(crate) traceparent: String,
    pub(crate) grpc_timeout: String,
    /// What the client calls itself.
    pub(crate) client: String,
}

/// The peer. Its server ends with it.
#[derive(Debug)]
pub(crate) struct Peer {
    pub(crate) address: String,
    script: Script,
    server: JoinHandle<()>,
}

#[derive(Clone, Debug)]
struct Script {
    steps: Arc<Mutex<VecDeque<Step>>>,
    seen: Arc<Mutex<Vec<Seen>>>,
    /// What came on streams.
    streamed: Arc<Mutex<Vec<SubmitTaskRequest>>>,
    /// What it says that it knows, as a coordinator of today does.
    features: Option<&'static str>,
}

impl Peer {
    /// One of the first version of the contract.
    pub(crate) async fn start(steps: impl IntoIterator<Item = Step>) -> Self {
        Self::start_with(steps, None).await
    }

    /// One that names features with each stream of submits.
    pub(crate) async fn start_with(
        steps: impl IntoIterator<Item = Step>,
        features: Option<&'static str>,
    ) -> Self {
        let steps = Arc::new(Mutex::new(steps.into_iter().collect()));
        let script = Script { steps, seen: Arc::default(), streamed: Arc::default(), features };
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
        let address = listener.local_addr().expect("it has an address").to_string();
        let service = TaskServiceServer::new(script.clone());
        let serving = Server::builder()
            .add_service(service)
            .serve_with_incoming(TcpListenerStream::new(listener));
        #[expect(clippy::disallowed_methods, reason = "the handle is kept, and ends with the peer")]
        let server = tokio::spawn(async move { serving.await.expect("it serves") });
        Self { address, script, server }
    }

    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.script.seen.lock().expect("no test panicked").clone()
    }

    pub(crate) fn streamed(&self) -> Vec<SubmitTaskRequest> {
        self.script.streamed.lock().expect("no test panicked").clone()
    }

    pub(crate) fn names(&self) -> Vec<String> {
        self.seen().into_iter().map(|seen| seen.name).collect()
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl Script {
    /// Remembers a call and says what to do with it.
    fn next(&self, name: &str, metadata: &MetadataMap) -> Step {
        let header = |name| {
            metadata.get(name).and_then(|it| it.to_str().ok()).unwrap_or_default().to_owned()
        };
        let seen = Seen {
            name: name.to_owned(),
            traceparent: header("traceparent"),
            grpc_timeout: header("grpc-timeout"),
            client: header("leasehold-client"),
        };
        self.seen.lock().expect("no test panicked").push(seen);
        self.steps.lock().expect("no test panicked").pop_front().unwrap_or(Step::Answer)
    }

    /// The state a call is answered with, or the status it ends with.
    fn answer(&self, name: &str, metadata: &MetadataMap) -> Result<TaskState, Status> {
        match self.next(name, metadata) {
            Step::Answer | Step::Skip => Ok(TaskState::Succeeded),
            Step::NotYet => Ok(TaskState::Running),
            Step::Pushback => Err(refusal("OVERLOADED", Code::ResourceExhausted)),
            Step::Refuse => Err(refusal("TASK_NOT_FOUND", Code::NotFound)),
            Step::Gone => Err(refusal("SHUTTING_DOWN", Code::Unavailable)),
            Step::Lose => Err(Status::unavailable("the connection is lost")),
        }
    }
}

fn refusal(reason: &str, code: Code) -> Status {
    let mut details = ErrorDetails::with_error_info(reason, ERROR_DOMAIN, []);
    if code == Code::ResourceExhausted {
        details.set_retry_info(Some(RETRY_DELAY));
    }
    Status::with_error_details(code, "no", details)
}

fn task(task_id: &str, state: TaskState) -> Task {
    Task { task_id: task_id.to_owned(), state: state.into(), ..Task::default() }
}

#[tonic::async_trait]
impl TaskService for Script {
    async fn submit_task(
        &self,
        request: Request<SubmitTaskRequest>,
    ) -> Result<Response<SubmitTaskResponse>, Status> {
        let key = &request.get_ref().idempotency_key;
        self.answer(key, request.metadata())?;
        Ok(Response::new(SubmitTaskResponse {
            task_id: key.clone(),
            deduplicated: false,
            expected_finish_time: None,
        }))
    }

    async fn get_task(
        &self,
        request: Request<GetTaskRequest>,
    ) -> Result<Response<GetTaskResponse>, Status> {
        let id = &request.get_ref().task_id;
        let state = self.answer(id, request.metadata())?;
        Ok(Response::new(GetTaskResponse { task: Some(task(id, state)) }))
    }

    async fn explain_task(
        &self,
        _request: Request<ExplainTaskRequest>,
    ) -> Result<Response<ExplainTaskResponse>, Status> {
        Ok(Response::new(ExplainTaskResponse { explanation: None }))
    }

    async fn await_task(
        &self,
        request: Request<AwaitTaskRequest>,
    ) -> Result<Response<AwaitTaskResponse>, Status> {
        let id = &request.get_ref().task_id;
        let state = self.answer(id, request.metadata())?;
        Ok(Response::new(AwaitTaskResponse { task: Some(task(id, state)) }))
    }

    /// Pages of one task each, named after the token; the third is the last.
    async fn list_tasks(
        &self,
        request: Request<ListTasksRequest>,
    ) -> Result<Response<ListTasksResponse>, Status> {
        let token = request.get_ref().page_token.clone();
        let state = self.answer(&token, request.metadata())?;
        let next_page_token = match token.as_str() {
            "" => "second",
            "second" => "third",
            _ => "",
        };
        let tasks = vec![task(&token, state)];
        Ok(Response::new(ListTasksResponse { tasks, next_page_token: next_page_token.to_owned() }))
    }

    type StreamSubmitTasksStream =
        Pin<Box<dyn Stream<Item = Result<StreamSubmitTasksResponse, Status>> + Send>>;

    async fn stream_submit_tasks(
        &self,
        request: Request<Streaming<StreamSubmitTasksRequest>>,
    ) -> Result<Response<Self::StreamSubmitTasksStream>, Status> {
        let (metadata, _, mut requests) = request.into_parts();
        let (answers, outgoing) = mpsc::channel(ANSWERS_BOUND);
        let script = self.clone();
        #[expect(clippy::disallowed_methods, reason = "it ends with the call's streams")]
        tokio::spawn(async move {
            while let Some(Ok(message)) = requests.next().await {
                for request in message.requests {
                    script.streamed.lock().expect("no test panicked").push(request.clone());
                    let step = script.next(&request.idempotency_key, &metadata);
                    let answer = stream_answer(step, request.idempotency_key);
                    let is_over = answer.is_err();
                    if answers.send(answer).await.is_err() || is_over {
                        return;
                    }
                }
            }
        });
        let mut response: Response<Self::StreamSubmitTasksStream> =
            Response::new(Box::pin(ReceiverStream::new(outgoing)));
        if let Some(features) = self.features {
            let features = MetadataValue::from_static(features);
            response.metadata_mut().insert(FEATURES_METADATA, features);
        }
        Ok(response)
    }

    type WatchTasksStream = Pin<Box<dyn Stream<Item = Result<WatchTasksResponse, Status>> + Send>>;

    /// One change of each task, then the call is lost.
    async fn watch_tasks(
        &self,
        request: Request<WatchTasksRequest>,
    ) -> Result<Response<Self::WatchTasksStream>, Status> {
        let name = request.get_ref().task_ids.join(",");
        let state = self.answer(&name, request.metadata())?;
        let tasks = request.get_ref().task_ids.iter().map(|id| task(id, state)).collect();
        let change = WatchTasksResponse { tasks };
        let lost = Status::unavailable("the connection is lost");
        Ok(Response::new(Box::pin(tokio_stream::iter([Ok(change), Err(lost)]))))
    }

    async fn batch_submit_tasks(
        &self,
        request: Request<BatchSubmitTasksRequest>,
    ) -> Result<Response<BatchSubmitTasksResponse>, Status> {
        let (metadata, _, message) = request.into_parts();
        let mut outcomes = Vec::new();
        for request in message.requests {
            let step = self.next(&request.idempotency_key, &metadata);
            if step == Step::Skip {
                continue;
            }
            outcomes.extend(stream_answer(step, request.idempotency_key)?.outcomes);
        }
        Ok(Response::new(BatchSubmitTasksResponse { outcomes }))
    }

    async fn cancel_task(
        &self,
        _request: Request<CancelTaskRequest>,
    ) -> Result<Response<CancelTaskResponse>, Status> {
        Ok(Response::new(CancelTaskResponse { task: None }))
    }
}

fn stream_answer(step: Step, key: String) -> Result<StreamSubmitTasksResponse, Status> {
    let refused = |code: Code, retry_delay: Option<Duration>| Refusal {
        code: code.into(),
        retry_delay: retry_delay.and_then(|delay| delay.try_into().ok()),
        ..Refusal::default()
    };
    let outcome = match step {
        Step::Answer | Step::NotYet | Step::Skip => Outcome::Accepted(SubmitTaskResponse {
            task_id: key,
            deduplicated: false,
            expected_finish_time: None,
        }),
        Step::Pushback => {
            Outcome::Refused(refused(Code::ResourceExhausted, Some(RETRY_DELAY)).into())
        }
        Step::Refuse => Outcome::Refused(refused(Code::InvalidArgument, None).into()),
        Step::Gone => return Err(refusal("SHUTTING_DOWN", Code::Unavailable)),
        Step::Lose => return Err(Status::unavailable("the connection is lost")),
    };
    let outcomes = vec![SubmitOutcome { outcome: Some(outcome) }];
    Ok(StreamSubmitTasksResponse { outcomes })
}
