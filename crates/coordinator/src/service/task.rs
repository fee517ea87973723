//! `TaskService`: what clients ask.

use std::{pin::Pin, time::Duration};

use futures_util::Stream;
use leasehold_journal::{Class, Filter, Page};
use leasehold_proto::{
    FEATURES_METADATA, duration,
    v1::{self, task_service_server::TaskService},
};
use leasehold_queue::TaskId;
use leasehold_telemetry::TraceContext;
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status, Streaming};

use super::{
    FEATURES,
    intake::Intake,
    lookup,
    page::{Part, merge},
    stream::SubmitStream,
    trace_of,
    turnstile::{Client, Turnstile},
    watch::{self, WatchStream},
};
use crate::{
    handle::{Handle, ListFilter, Unavailable},
    metrics::Metrics,
    parse::{self, States, Templates},
    queues::Queues,
    refusal::Refusal,
    snapshot::Snapshot,
    transport::CallDeadline,
    view,
};

/// The most tasks in one request.
const BATCH_MAX: usize = 1_000;

/// The longest that one call waits: proxies on the way give up on silent calls after about as long.
const WAIT_MAX: Duration = Duration::from_mins(1);

/// The service.
#[derive(Clone, Debug)]
pub struct TaskApi {
    intake: Intake,
    stopping: CancellationToken,
}

type Answer<T> = Result<Response<T>, Status>;
type Answers<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

impl TaskApi {
    /// A service that ends its streams and waits when `stopping` is cancelled.
    pub fn new(handle: Handle, metrics: Metrics, stopping: CancellationToken) -> Self {
        let (turnstile, templates) = (Turnstile::new(), Templates::default());
        Self { intake: Intake { handle, metrics, turnstile, templates }, stopping }
    }

    fn handle(&self) -> &Handle {
        &self.intake.handle
    }

    /// The task once it has ended, or as it is when the wait is over.
    async fn wait(&self, task: TaskId, wait: Duration) -> Result<Snapshot, Status> {
        if wait.is_zero() {
            return lookup::find(self.handle(), task).await;
        }
        let Some(mut waiter) = self.handle().await_end(task).await? else {
            return lookup::find(self.handle(), task).await;
        };
        tokio::select! {
            ended = waiter.ended() => self.with_payload(ended?).await,
            () = tokio::time::sleep(wait) => lookup::find(self.handle(), task).await,
            () = self.stopping.cancelled() => Err(Unavailable::ShuttingDown.into()),
        }
    }

    /// A task that has just ended. If its payload was let go, it is a dead letter, and that is in its row: unless it has been
    /// replayed meanwhile, and that is the row of a later end, or has expired.
    async fn with_payload(&self, ended: Snapshot) -> Result<Snapshot, Status> {
        if ended.task.spec.payload.here().is_some() {
            return Ok(ended);
        }
        let row = self.handle().archive().failed(ended.task.id).await?;
        Ok(row.filter(|row| row.task.generation() == ended.task.generation()).unwrap_or(ended))
    }

    /// What each place where tasks can be says about one page. The engine is asked first: a task that ends in
    /// between is then seen twice instead of never.
    async fn parts(&self, query: &Query) -> Result<Vec<Part>, Status> {
        let mut parts = Vec::new();
        if query.states.wants_open() {
            let page = self.handle().list(query.open()).await?;
            parts.push(Part { tasks: page.tasks, until: page.next });
        }
        let archive = self.handle().archive();
        if query.states.wants_finished() {
            let class = query.states.class();
            let rows = archive.list_finished(query.rows(class), query.page()).await?;
            parts.push(Part::of_rows(rows, query.limit));
        }
        if query.states.wants_failed() {
            let rows = archive.list_failed(query.rows(None), query.page()).await?;
            parts.push(Part::of_rows(rows, query.limit));
        }
        Ok(parts)
    }
}

#[tonic::async_trait]
impl TaskService for TaskApi {
    async fn submit_task(
        &self,
        request: Request<v1::SubmitTaskRequest>,
    ) -> Answer<v1::SubmitTaskResponse> {
        let (trace, client) = (trace_of(request.metadata()), Client::of(&request));
        let outcomes =
            self.intake.submit(vec![vec![request.into_inner()]], &trace, &client).await?;
        let outcome = outcomes.into_iter().next().ok_or(Unavailable::Stopped)?;
        Ok(Response::new(outcome?))
    }

    async fn batch_submit_tasks(
        &self,
        request: Request<v1::BatchSubmitTasksRequest>,
    ) -> Answer<v1::BatchSubmitTasksResponse> {
        let (trace, client) = (trace_of(request.metadata()), Client::of(&request));
        let requests = request.into_inner().requests;
        check_batch(requests.len())?;
        let outcomes = self.intake.submit(vec![requests], &trace, &client).await?;
        let outcomes = self.intake.answer(outcomes);
        Ok(Response::new(v1::BatchSubmitTasksResponse { outcomes }))
    }

    type StreamSubmitTasksStream = Answers<v1::StreamSubmitTasksResponse>;

    async fn stream_submit_tasks(
        &self,
        request: Request<Streaming<v1::StreamSubmitTasksRequest>>,
    ) -> Answer<Self::StreamSubmitTasksStream> {
        let caller = TraceContext::from_metadata(request.metadata());
        let client = Client::of(&request);
        let stream = SubmitStream {
            intake: self.intake.clone(),
            requests: request.into_inner(),
            caller,
            client,
            stopping: self.stopping.clone(),
        };
        let mut response: Response<Self::StreamSubmitTasksStream> =
            Response::new(Box::pin(stream.answers()));
        // Said here and not only when asked: whoever reads the tasks says it.
        if let Ok(features) = FEATURES.join(",").parse() {
            response.metadata_mut().insert(FEATURES_METADATA, features);
        }
        Ok(response)
    }

    async fn get_task(&self, request: Request<v1::GetTaskRequest>) -> Answer<v1::GetTaskResponse> {
        let id = parse::task_id("task_id", &request.get_ref().task_id)?;
        let snapshot = lookup::find(self.handle(), id).await?;
        let task = Some(view::task(&snapshot, self.handle().full(), &self.handle().config()));
        Ok(Response::new(v1::GetTaskResponse { task }))
    }

    async fn explain_task(
        &self,
        request: Request<v1::ExplainTaskRequest>,
    ) -> Answer<v1::ExplainTaskResponse> {
        let id = parse::task_id("task_id", &request.get_ref().task_id)?;
        let explained = lookup::explain(self.handle(), id).await?;
        let explanation =
            Some(view::explanation(&explained, self.handle().budgets(), &self.handle().config()));
        Ok(Response::new(v1::ExplainTaskResponse { explanation }))
    }

    async fn list_tasks(
        &self,
        request: Request<v1::ListTasksRequest>,
    ) -> Answer<v1::ListTasksResponse> {
        let query = Query::read(request.get_ref())?;
        let (tasks, next) = merge(self.parts(&query).await?, query.limit, &self.handle().config());
        let next_page_token = parse::next_page_token(next);
        Ok(Response::new(v1::ListTasksResponse { tasks, next_page_token }))
    }

    async fn await_task(
        &self,
        request: Request<v1::AwaitTaskRequest>,
    ) -> Answer<v1::AwaitTaskResponse> {
        let deadline = request.extensions().get::<CallDeadline>().copied();
        let request = request.into_inner();
        let id = parse::task_id("task_id", &request.task_id)?;
        let wait = wait(request.max_wait, deadline)?;
        let snapshot = self.wait(id, wait).await?;
        let task = Some(view::task(&snapshot, self.handle().full(), &self.handle().config()));
        Ok(Response::new(v1::AwaitTaskResponse { task }))
    }

    type WatchTasksStream = Answers<v1::WatchTasksResponse>;

    async fn watch_tasks(
        &self,
        request: Request<v1::WatchTasksRequest>,
    ) -> Answer<Self::WatchTasksStream> {
        let request = request.into_inner();
        let mut watch = self.handle().watch(watch::filter(&request)?).await?;
        let absent = std::mem::take(&mut watch.absent);
        let ended = if request.include_current { absent } else { Vec::new() };
        let (handle, stopping) = (self.handle().clone(), self.stopping.clone());
        let stream = WatchStream::new(handle, watch, ended, stopping);
        Ok(Response::new(Box::pin(stream.answers())))
    }

    async fn cancel_task(
        &self,
        request: Request<v1::CancelTaskRequest>,
    ) -> Answer<v1::CancelTaskResponse> {
        let id = parse::task_id("task_id", &request.get_ref().task_id)?;
        let snapshot = match self.handle().cancel(id).await? {
            Some(snapshot) => snapshot,
            None => lookup::find(self.handle(), id).await?,
        };
        let task = Some(view::task(&snapshot, self.handle().full(), &self.handle().config()));
        Ok(Response::new(v1::CancelTaskResponse { task }))
    }
}

/// Whether so many tasks may come in one request.
pub(super) fn check_batch(count: usize) -> Result<(), Refusal> {
    if (1..=BATCH_MAX).contains(&count) {
        return Ok(());
    }
    Err(Refusal::field("requests", format!("has {count} tasks: 1 to {BATCH_MAX} are allowed")))
}

/// How long a call waits: a client that is answered before its deadline need not guess.
fn wait(
    asked: Option<prost_types::Duration>,
    deadline: Option<CallDeadline>,
) -> Result<Duration, Refusal> {
    let asked = asked.map(|asked| duration::from_wire(&asked)).transpose();
    let asked = asked.map_err(|problem| Refusal::field("max_wait", problem.to_string()))?;
    let most = deadline.map_or(WAIT_MAX, |CallDeadline(left)| left / 10 * 9);
    Ok(asked.unwrap_or(WAIT_MAX).min(most).min(WAIT_MAX))
}

/// What a list is asked for.
#[derive(Debug)]
struct Query {
    queues: Queues,
    task_type: Option<leasehold_queue::Name>,
    states: States,
    limit: usize,
    after: TaskId,
}

impl Query {
    fn read(request: &v1::ListTasksRequest) -> Result<Self, Refusal> {
        Ok(Self {
            queues: parse::queues(&request.queue, &request.namespace)?,
            task_type: parse::task_type_filter("task_type", &request.task_type)?,
            states: States::read("states", &request.states)?,
            limit: parse::page_size(request.page_size)?,
            after: parse::page_token(&request.page_token)?,
        })
    }

    fn open(&self) -> ListFilter {
        ListFilter {
            queues: Some(self.queues.clone()),
            task_type: self.task_type.clone(),
            states: self.states.open.clone(),
            after: self.after,
            limit: self.limit,
        }
    }

    fn rows(&self, class: Option<Class>) -> Filter {
        Filter {
            queues: self.queues.rows(),
            task_type: self.task_type.as_deref().map(str::to_owned),
            class,
        }
    }

    fn page(&self) -> Page {
        // A page has at most a thousand rows.
        let limit = u32::try_from(self.limit).unwrap_or(u32::MAX);
        Page { after: self.after.serial(), limit }
    }
}
