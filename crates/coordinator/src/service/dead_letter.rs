//! `DeadLetterService`: what operators ask about tasks that failed for good.

use leasehold_journal::{Filter, Page};
use leasehold_proto::v1::{self, dead_letter_service_server::DeadLetterService};
use leasehold_queue::TaskId;
use tonic::{Request, Response, Status};

use super::{
    lookup,
    page::{Part, merge},
};
use crate::{
    handle::{Handle, Replay},
    parse,
    refusal::Refusal,
    snapshot::Snapshot,
    view,
};

/// The service.
#[derive(Clone, Debug)]
pub struct DeadLetterApi {
    handle: Handle,
}

type Answer<T> = Result<Response<T>, Status>;

impl DeadLetterApi {
    /// A service over this engine.
    pub fn new(handle: Handle) -> Self {
        Self { handle }
    }

    /// Why a task is no dead letter: it is something else, or nothing.
    async fn not_dead(&self, task: TaskId) -> Status {
        match lookup::find(&self.handle, task).await {
            Ok(snapshot) => Refusal::not_failed(task, view::state(&snapshot)).into(),
            Err(status) => status,
        }
    }

    /// The task that is no dead letter, if a later generation than the one asked for has ended: it was replayed.
    async fn replayed_since(
        &self,
        task: TaskId,
        generation: Option<u32>,
    ) -> Result<(Snapshot, bool), Status> {
        let snapshot = lookup::find(&self.handle, task).await?;
        if generation.is_some_and(|asked| asked < snapshot.task.generation()) {
            return Ok((snapshot, false));
        }
        Err(Refusal::not_failed(task, view::state(&snapshot)).into())
    }

    async fn replay(
        &self,
        task: TaskId,
        generation: Option<u32>,
    ) -> Result<(Snapshot, bool), Status> {
        match self.handle.replay(task, generation).await? {
            Replay::Done(snapshot) => Ok((*snapshot, true)),
            Replay::Already(Some(snapshot)) => Ok((*snapshot, false)),
            Replay::Already(None) => Ok((lookup::find(&self.handle, task).await?, false)),
            Replay::NotDead => self.replayed_since(task, generation).await,
            Replay::Refused(refusal) => Err(Refusal::from(refusal).into()),
        }
    }
}

#[tonic::async_trait]
impl DeadLetterService for DeadLetterApi {
    async fn list_dead_letters(
        &self,
        request: Request<v1::ListDeadLettersRequest>,
    ) -> Answer<v1::ListDeadLettersResponse> {
        let request = request.into_inner();
        let limit = parse::page_size(request.page_size)?;
        let after = parse::page_token(&request.page_token)?;
        let filter = Filter {
            queues: parse::queues(&request.queue, &request.namespace)?.rows(),
            task_type: parse::task_type_filter("task_type", &request.task_type)?
                .as_deref()
                .map(str::to_owned),
            class: None,
        };
        // A page has at most a thousand rows.
        let page = Page { after: after.serial(), limit: u32::try_from(limit).unwrap_or(u32::MAX) };
        let rows = self.handle.archive().list_failed(filter, page).await?;
        let (tasks, next) = merge(vec![Part::of_rows(rows, limit)], limit, &self.handle.config());
        let next_page_token = parse::next_page_token(next);
        Ok(Response::new(v1::ListDeadLettersResponse { tasks, next_page_token }))
    }

    async fn get_dead_letter(
        &self,
        request: Request<v1::GetDeadLetterRequest>,
    ) -> Answer<v1::GetDeadLetterResponse> {
        let id = parse::task_id("task_id", &request.get_ref().task_id)?;
        let Some(snapshot) = self.handle.archive().failed(id).await? else {
            return Err(self.not_dead(id).await);
        };
        let task = Some(view::task(&snapshot, self.handle.full(), &self.handle.config()));
        Ok(Response::new(v1::GetDeadLetterResponse { task }))
    }

    async fn replay_dead_letter(
        &self,
        request: Request<v1::ReplayDeadLetterRequest>,
    ) -> Answer<v1::ReplayDeadLetterResponse> {
        let request = request.into_inner();
        let id = parse::task_id("task_id", &request.task_id)?;
        let generation = parse::generation("generation", request.generation)?;
        let (snapshot, replayed) = self.replay(id, generation).await?;
        let task = Some(view::task(&snapshot, self.handle.full(), &self.handle.config()));
        Ok(Response::new(v1::ReplayDeadLetterResponse { task, replayed }))
    }
}
