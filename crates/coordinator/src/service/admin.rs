//! `AdminService`: what operators ask about the cluster.

use std::{
    sync::{Arc, LazyLock},
    time::Duration,
};

use leasehold_proto::{
    FILE_DESCRIPTOR_SET, duration,
    v1::{self, admin_service_server::AdminService},
};
use leasehold_queue::{Name, QueueView, Token, WorkerView};
use prost::Message as _;
use sha2::{Digest as _, Sha256};
use tonic::{Request, Response, Status};

use super::{FEATURES, page::ANSWER_BYTES_MAX};
use crate::{
    clock::wall,
    config::{Change, DURATION_MAX, Hash, is_worker_id},
    handle::{Handle, LeaseName},
    parse,
    queues::Queues,
    refusal::{self, Reason, Refusal},
    reload::Reloader,
    scaling::Scaling,
    session::WORKER_ID_RULE,
    view,
};

/// The longest reason, in characters.
const REASON_CHARS_MAX: usize = 200;

/// The most workers one call may name.
const DRAINED_MAX: usize = 1_000;

/// How many of the workers that may go are named: one goes at a time.
const LEAST_LOADED_MAX: usize = 16;

/// The most changes of a configuration that one answer names: a file may change thousands of queues.
const CHANGES_MAX: usize = 1_000;

/// What tells two builds of the contract apart.
static DESCRIPTOR_FINGERPRINT: LazyLock<String> =
    LazyLock::new(|| refusal::hex(&Sha256::digest(FILE_DESCRIPTOR_SET)));

/// The service.
#[derive(Clone, Debug)]
pub struct AdminApi {
    handle: Handle,
    scaling: Scaling,
    reloader: Reloader,
}

type Answer<T> = Result<Response<T>, Status>;

impl AdminApi {
    /// A service over this engine, the scaling of its workers, and who looks at its configuration file.
    pub fn new(handle: Handle, scaling: Scaling, reloader: Reloader) -> Self {
        Self { handle, scaling, reloader }
    }
}

#[tonic::async_trait]
impl AdminService for AdminApi {
    async fn get_cluster(
        &self,
        _: Request<v1::GetClusterRequest>,
    ) -> Answer<v1::GetClusterResponse> {
        let (cluster, applied) = (self.handle.cluster(), self.handle.applied());
        let refused = self.reloader.refused();
        let refusal = cluster.refusal.map(|why| Refusal::from(why).name().to_owned());
        Ok(Response::new(v1::GetClusterResponse {
            journal_id: cluster.journal_id,
            epoch: i64::from(cluster.epoch),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            descriptor_fingerprint: DESCRIPTOR_FINGERPRINT.clone(),
            start_time: Some(view::timestamp(cluster.started)),
            open_task_count: i64::try_from(cluster.open_tasks).unwrap_or(i64::MAX),
            connected_worker_count: i32::try_from(cluster.connected_workers).unwrap_or(i32::MAX),
            journal_bytes: i64::try_from(cluster.journal_bytes).unwrap_or(i64::MAX),
            admission_refusal: refusal.unwrap_or_default(),
            config_hash: hash(applied.hash),
            config_refusal: refused.map(|it| it.message.clone()).unwrap_or_default(),
            features: FEATURES.map(str::to_owned).into(),
        }))
    }

    async fn list_queues(
        &self,
        request: Request<v1::ListQueuesRequest>,
    ) -> Answer<v1::ListQueuesResponse> {
        let of = Queues::Of(parse::namespace(&request.get_ref().namespace)?);
        let (queues, now) = (self.handle.queues().await?, wall());
        let queues = queues.iter().filter(|queue| of.contains(&queue.name));
        let queues = queues.map(|queue| view::queue(queue, now)).collect();
        Ok(Response::new(v1::ListQueuesResponse { queues }))
    }

    async fn list_namespaces(
        &self,
        _: Request<v1::ListNamespacesRequest>,
    ) -> Answer<v1::ListNamespacesResponse> {
        let (views, config) = (self.handle.namespaces().await?, self.handle.config());
        let namespaces = views.iter().map(|view| view::namespace(view, &config)).collect();
        Ok(Response::new(v1::ListNamespacesResponse { namespaces }))
    }

    async fn pause_queue(
        &self,
        request: Request<v1::PauseQueueRequest>,
    ) -> Answer<v1::PauseQueueResponse> {
        let request = request.get_ref();
        let name = parse::queue_name(&request.queue, &request.namespace)?;
        let queue = Some(one(&name, self.handle.pause(Arc::clone(&name)).await?)?);
        Ok(Response::new(v1::PauseQueueResponse { queue }))
    }

    async fn resume_queue(
        &self,
        request: Request<v1::ResumeQueueRequest>,
    ) -> Answer<v1::ResumeQueueResponse> {
        let request = request.get_ref();
        let name = parse::queue_name(&request.queue, &request.namespace)?;
        let queue = Some(one(&name, self.handle.resume(Arc::clone(&name)).await?)?);
        Ok(Response::new(v1::ResumeQueueResponse { queue }))
    }

    async fn explain_queue(
        &self,
        request: Request<v1::ExplainQueueRequest>,
    ) -> Answer<v1::ExplainQueueResponse> {
        let request = request.get_ref();
        let name = parse::queue_name(&request.queue, &request.namespace)?;
        let explained = self.handle.explain_queue(Arc::clone(&name)).await?;
        let explained = explained.ok_or_else(|| Refusal::no_queue(&name))?;
        Ok(Response::new(view::queue_explanation(&explained, wall(), &self.handle.config())))
    }

    async fn list_workers(
        &self,
        request: Request<v1::ListWorkersRequest>,
    ) -> Answer<v1::ListWorkersResponse> {
        let request = request.into_inner();
        let most = parse::wished_page_size(request.page_size)?.unwrap_or(usize::MAX);
        let after = parse::worker_page_token(&request.page_token)?;
        // One more says that there is another page.
        let views = self.handle.workers_after(after, most.saturating_add(1)).await?;
        Ok(Response::new(worker_page(&views, most)))
    }

    async fn get_scaling(
        &self,
        request: Request<v1::GetScalingRequest>,
    ) -> Answer<v1::GetScalingResponse> {
        let pool = Some(request.into_inner().pool).filter(|pool| !pool.is_empty());
        let pool = pool.map(|pool| parse::pool_name("pool", &pool)).transpose()?;
        let views = self.scaling.pools_as_they_are(pool.as_ref())?;
        let pools = views.iter().map(view::pool).collect();
        Ok(Response::new(v1::GetScalingResponse { pools }))
    }

    async fn follow_pool(
        &self,
        request: Request<v1::FollowPoolRequest>,
    ) -> Answer<v1::FollowPoolResponse> {
        let (pool, follower) = parse::follower(request.get_ref())?;
        let view = self.scaling.follow(&pool, follower)?;
        let by_load = view.measured.by_load.iter().take(LEAST_LOADED_MAX);
        Ok(Response::new(v1::FollowPoolResponse {
            scaling: Some(view::pool(&view)),
            least_loaded_worker_ids: by_load.map(|(_, worker)| worker.to_string()).collect(),
        }))
    }

    async fn revoke_lease(
        &self,
        request: Request<v1::RevokeLeaseRequest>,
    ) -> Answer<v1::RevokeLeaseResponse> {
        let request = request.into_inner();
        let grace = time("grace", request.grace)?;
        let (lease, what) = lease(&request)?;
        check_reason(&request.reason)?;
        let task = self.handle.revoke_lease(lease, grace, request.reason).await?;
        let task = task.ok_or_else(|| Refusal::no_lease(&what))?;
        Ok(Response::new(v1::RevokeLeaseResponse {
            task: Some(view::task(&task, self.handle.full(), &self.handle.config())),
        }))
    }

    async fn evict_worker(
        &self,
        request: Request<v1::EvictWorkerRequest>,
    ) -> Answer<v1::EvictWorkerResponse> {
        let request = request.into_inner();
        let grace = time("grace", request.grace)?;
        let ban = time("ban", request.ban)?.unwrap_or_default();
        if !is_worker_id(&request.worker_id) {
            return Err(Refusal::field("worker_id", WORKER_ID_RULE).into());
        }
        check_reason(&request.reason)?;
        let worker = Name::from(request.worker_id.as_str());
        let views = self.handle.evict(worker, grace, ban, request.reason).await?;
        if views.is_empty() && ban.is_zero() {
            return Err(Refusal::no_worker(&request.worker_id).into());
        }
        let now = wall();
        let workers = views.iter().map(|view| view::worker(view, now)).collect();
        Ok(Response::new(v1::EvictWorkerResponse { workers }))
    }

    async fn list_breakers(
        &self,
        _: Request<v1::ListBreakersRequest>,
    ) -> Answer<v1::ListBreakersResponse> {
        let breakers = self.handle.breakers().await?.iter().map(view::breaker).collect();
        Ok(Response::new(v1::ListBreakersResponse { breakers }))
    }

    async fn reset_breaker(
        &self,
        request: Request<v1::ResetBreakerRequest>,
    ) -> Answer<v1::ResetBreakerResponse> {
        let guarded = parse::breaker("name", &request.get_ref().name)?;
        let view = self.handle.reset_breaker(guarded).await?;
        let view = view.ok_or_else(|| parse::no_breaker("name", &request.get_ref().name))?;
        Ok(Response::new(v1::ResetBreakerResponse { breaker: Some(view::breaker(&view)) }))
    }

    async fn get_config(&self, _: Request<v1::GetConfigRequest>) -> Answer<v1::GetConfigResponse> {
        let (applied, refused) = (self.handle.applied(), self.reloader.refused());
        let yaml = applied.config.to_yaml().map_err(|error| {
            tracing::error!(%error, "the configuration cannot be printed");
            refusal::internal("the configuration cannot be printed: see the coordinator's log")
        })?;
        let (pending_changes, omitted_change_count) = changes(&applied.pending);
        Ok(Response::new(v1::GetConfigResponse {
            yaml,
            hash: hash(applied.hash),
            file: self.reloader.file().map(|it| it.display().to_string()).unwrap_or_default(),
            apply_time: Some(view::timestamp(applied.since)),
            pending_changes,
            omitted_change_count,
            refusal: refused.map(|refused| v1::ConfigRefusal {
                hash: hash(refused.hash),
                time: Some(view::timestamp(refused.time)),
                message: refused.message.clone(),
                violations: Refusal::config(&refused).violations,
            }),
        }))
    }

    async fn diff_config(
        &self,
        request: Request<v1::DiffConfigRequest>,
    ) -> Answer<v1::DiffConfigResponse> {
        let compared = self.reloader.compare(request.into_inner().yaml).await;
        let compared = compared.map_err(|refused| Refusal::config(&refused))?;
        let (changes, omitted_change_count) = changes(&compared.changes);
        Ok(Response::new(v1::DiffConfigResponse {
            from_hash: hash(compared.from),
            to_hash: compared.to.to_string(),
            changes,
            omitted_change_count,
        }))
    }

    async fn reload_config(
        &self,
        _: Request<v1::ReloadConfigRequest>,
    ) -> Answer<v1::ReloadConfigResponse> {
        let reloaded = self.reloader.at_once().await?;
        let (changes, omitted_change_count) = changes(&reloaded.changes);
        let hash = reloaded.hash.to_string();
        Ok(Response::new(v1::ReloadConfigResponse { hash, changes, omitted_change_count }))
    }

    async fn drain_workers(
        &self,
        request: Request<v1::DrainWorkersRequest>,
    ) -> Answer<v1::DrainWorkersResponse> {
        let request = request.into_inner();
        let ids = request.worker_ids;
        let grace = time("grace", request.grace)?;
        check_drained(ids.len())?;
        let names = worker_ids(&ids)?;
        let known = self.handle.drain(names, grace).await?;
        let (known, unknown): (Vec<_>, Vec<_>) =
            ids.into_iter().zip(known).partition(|(_, known)| *known);
        let told = |worker: &str| known.iter().any(|(id, _)| id == worker);
        let (workers, now) = (self.handle.workers().await?, wall());
        let workers = workers.iter().filter(|view| told(&view.worker));
        Ok(Response::new(v1::DrainWorkersResponse {
            workers: workers.map(|view| view::worker(view, now)).collect(),
            unknown_worker_ids: unknown.into_iter().map(|(id, _)| id).collect(),
        }))
    }
}

/// As many changes as an answer holds, and how many more there are.
fn changes(all: &[Change]) -> (Vec<v1::ConfigChange>, i32) {
    let told = all.iter().take(CHANGES_MAX).map(|change| v1::ConfigChange {
        key: change.key.clone(),
        from_value: change.from.clone(),
        to_value: change.to.clone(),
        needs_restart: change.needs_restart,
    });
    let more = all.len().saturating_sub(CHANGES_MAX);
    (told.collect(), i32::try_from(more).unwrap_or(i32::MAX))
}

fn hash(of: Option<Hash>) -> String {
    of.map(|hash| hash.to_string()).unwrap_or_default()
}

/// The first `most` workers, or as many as an answer holds.
fn worker_page(views: &[WorkerView], most: usize) -> v1::ListWorkersResponse {
    let (now, mut workers, mut bytes) = (wall(), Vec::new(), 0);
    for view in views.iter().take(most) {
        let worker = view::worker(view, now);
        bytes += worker.encoded_len();
        if ANSWER_BYTES_MAX < bytes && !workers.is_empty() {
            break;
        }
        workers.push(worker);
    }
    let is_last = workers.len() == views.len();
    let next_page_token = match workers.last() {
        Some(last) if !is_last => parse::next_worker_page_token(&last.worker_id, &last.instance_id),
        Some(_) | None => String::new(),
    };
    v1::ListWorkersResponse { workers, next_page_token }
}

/// The queue as it is, if it exists.
fn one(name: &str, view: Option<QueueView>) -> Result<v1::Queue, Refusal> {
    let view = view.ok_or_else(|| Refusal::no_queue(name))?;
    Ok(view::queue(&view, wall()))
}

/// Which lease is meant, and in which words.
fn lease(request: &v1::RevokeLeaseRequest) -> Result<(LeaseName, String), Refusal> {
    match (request.task_id.as_str(), request.fencing_token) {
        ("", token) if 0 < token => {
            Ok((LeaseName::Token(Token::from_i64(token)), format!("fencing token {token}")))
        }
        (id, 0) if !id.is_empty() => {
            let task = parse::task_id("task_id", id)?;
            Ok((LeaseName::Of(task), format!("task {task}")))
        }
        _ => Err(Refusal::field("task_id", "name either a task or a positive fencing token")),
    }
}

/// Why something is done is a line in the log.
fn check_reason(reason: &str) -> Result<(), Refusal> {
    let is_line =
        reason.chars().count() <= REASON_CHARS_MAX && !reason.chars().any(char::is_control);
    let rule = "must be at most 200 characters without control characters";
    if is_line { Ok(()) } else { Err(Refusal::field("reason", rule)) }
}

/// A time that an operator gives somebody, if one is named.
fn time(field: &str, asked: Option<prost_types::Duration>) -> Result<Option<Duration>, Refusal> {
    let asked = asked.map(|asked| duration::from_wire(&asked)).transpose();
    let asked = asked.map_err(|problem| Refusal::field(field, problem.to_string()))?;
    if asked.is_none_or(|asked| asked <= DURATION_MAX) {
        Ok(asked)
    } else {
        Err(Refusal::field(field, "must be at most a year"))
    }
}

fn check_drained(count: usize) -> Result<(), Refusal> {
    if (1..=DRAINED_MAX).contains(&count) {
        return Ok(());
    }
    Err(Refusal::field("worker_ids", format!("has {count} ids: 1 to {DRAINED_MAX} are allowed")))
}

/// The names of workers; those that can be none are refused, each by its place.
fn worker_ids(ids: &[String]) -> Result<Vec<Name>, Refusal> {
    let violation = |(place, id): (usize, &String)| {
        let (field, description) = (format!("worker_ids[{place}]"), WORKER_ID_RULE.to_owned());
        (!is_worker_id(id)).then_some(v1::FieldViolation { field, description })
    };
    let wrong: Vec<_> = ids.iter().enumerate().filter_map(violation).collect();
    if !wrong.is_empty() {
        return Err(Refusal::fields(Reason::InvalidField, wrong));
    }
    Ok(ids.iter().map(|id| id.as_str().into()).collect())
}
