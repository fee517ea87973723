//! What operators say: look at the cluster, pause queues, drain workers.

use std::time::Duration;

use leasehold_proto::{
    duration::to_wire,
    v1::{
        Breaker, DiffConfigRequest, DiffConfigResponse, DrainWorkersRequest, DrainWorkersResponse,
        EvictWorkerRequest, ExplainQueueRequest, ExplainQueueResponse, GetClusterRequest,
        GetClusterResponse, GetConfigRequest, GetConfigResponse, GetScalingRequest,
        ListBreakersRequest, ListNamespacesRequest, ListQueuesRequest, ListWorkersRequest,
        Namespace, PauseQueueRequest, PoolScaling, Queue, ReloadConfigRequest,
        ReloadConfigResponse, ResetBreakerRequest, ResumeQueueRequest, RevokeLeaseRequest, Task,
        Worker,
    },
};

use crate::{Client, Error, outage::Repeat};

/// How many workers are asked for at once: the most there may be on a page.
const WORKERS_PER_PAGE: i32 = 1_000;

/// Which lease is meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LeaseName {
    /// The one that the task with this id has at the moment.
    OfTask(String),
    /// The one with this fencing token, and no other.
    Token(i64),
}

/// How a worker is given up.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Eviction {
    /// For how long it is not let in again: at most a year. `None`: it may come back at once.
    pub ban: Option<Duration>,
    /// How long its handlers may take to stop by themselves: at most a year. `None`: each task's kill grace.
    pub grace: Option<Duration>,
    /// Why, for the coordinator's log: at most 200 characters.
    pub reason: String,
}

impl Client {
    /// Shows the coordinator itself.
    pub async fn cluster(&self) -> Result<GetClusterResponse, Error> {
        self.call("leasehold.v1.AdminService/GetCluster", Repeat::Safe)
            .unary(GetClusterRequest {}, |request| {
                let mut service = self.admin_service();
                async move { service.get_cluster(request).await }
            })
            .await
    }

    /// Every queue of the client's namespace with its counts, by name.
    pub async fn queues(&self) -> Result<Vec<Queue>, Error> {
        self.check_namespace().await?;
        let response = self
            .call("leasehold.v1.AdminService/ListQueues", Repeat::Safe)
            .unary(ListQueuesRequest { namespace: self.namespace() }, |request| {
                let mut service = self.admin_service();
                async move { service.list_queues(request).await }
            })
            .await?;
        Ok(response.queues)
    }

    /// Says what the tasks of a queue wait for: at most 20 things, what most wait for first.
    pub async fn explain_queue(&self, queue: &str) -> Result<ExplainQueueResponse, Error> {
        self.check_namespace().await?;
        let request = ExplainQueueRequest { queue: queue.to_owned(), namespace: self.namespace() };
        self.call("leasehold.v1.AdminService/ExplainQueue", Repeat::Safe)
            .unary(request, |request| {
                let mut service = self.admin_service();
                async move { service.explain_queue(request).await }
            })
            .await
    }

    /// Stops leasing tasks of a queue, durably. Running ones go on.
    pub async fn pause_queue(&self, queue: &str) -> Result<Queue, Error> {
        self.check_namespace().await?;
        let request = PauseQueueRequest { queue: queue.to_owned(), namespace: self.namespace() };
        let response = self
            .call("leasehold.v1.AdminService/PauseQueue", Repeat::Safe)
            .unary(request, |request| {
                let mut service = self.admin_service();
                async move { service.pause_queue(request).await }
            })
            .await?;
        self.own(response.queue)
    }

    /// Leases tasks of a queue again, durably.
    pub async fn resume_queue(&self, queue: &str) -> Result<Queue, Error> {
        self.check_namespace().await?;
        let request = ResumeQueueRequest { queue: queue.to_owned(), namespace: self.namespace() };
        let response = self
            .call("leasehold.v1.AdminService/ResumeQueue", Repeat::Safe)
            .unary(request, |request| {
                let mut service = self.admin_service();
                async move { service.resume_queue(request).await }
            })
            .await?;
        self.own(response.queue)
    }

    /// The queue that was named, in an answer: of the namespace that was named, if one was.
    fn own(&self, queue: Option<Queue>) -> Result<Queue, Error> {
        let queue = queue.ok_or_else(|| self.malformed("a queue"))?;
        let is_own = self.options().other_namespace().is_none_or(|it| it == queue.namespace);
        let other = || self.malformed("a queue of the namespace that was named");
        is_own.then_some(queue).ok_or_else(other)
    }

    /// Every namespace that has a queue or bounds of its own, by name.
    pub async fn namespaces(&self) -> Result<Vec<Namespace>, Error> {
        let response = self
            .call("leasehold.v1.AdminService/ListNamespaces", Repeat::Safe)
            .unary(ListNamespacesRequest {}, |request| {
                let mut service = self.admin_service();
                async move { service.list_namespaces(request).await }
            })
            .await?;
        Ok(response.namespaces)
    }

    /// Every circuit breaker, by name.
    pub async fn breakers(&self) -> Result<Vec<Breaker>, Error> {
        let response = self
            .call("leasehold.v1.AdminService/ListBreakers", Repeat::Safe)
            .unary(ListBreakersRequest {}, |request| {
                let mut service = self.admin_service();
                async move { service.list_breakers(request).await }
            })
            .await?;
        Ok(response.breakers)
    }

    /// Closes a circuit by hand; what it has counted is forgotten.
    pub async fn reset_breaker(&self, name: &str) -> Result<Breaker, Error> {
        let request = ResetBreakerRequest { name: name.to_owned() };
        let response = self
            .call("leasehold.v1.AdminService/ResetBreaker", Repeat::Safe)
            .unary(request, |request| {
                let mut service = self.admin_service();
                async move { service.reset_breaker(request).await }
            })
            .await?;
        response.breaker.ok_or_else(|| self.malformed("a breaker"))
    }

    /// Every worker the coordinator knows, by id. It takes as many calls as there are pages: a worker that comes or goes
    /// meanwhile is among them or not.
    pub async fn workers(&self) -> Result<Vec<Worker>, Error> {
        let mut workers = Vec::new();
        let mut page_token = String::new();
        loop {
            let request = ListWorkersRequest { page_size: WORKERS_PER_PAGE, page_token };
            let response = self
                .call("leasehold.v1.AdminService/ListWorkers", Repeat::Safe)
                .unary(request, |request| {
                    let mut service = self.admin_service();
                    async move { service.list_workers(request).await }
                })
                .await?;
            workers.extend(response.workers);
            page_token = response.next_page_token;
            if page_token.is_empty() {
                return Ok(workers);
            }
        }
    }

    /// How many workers pools should have, and why, by name: one pool, or all of them.
    pub async fn scaling(&self, pool: Option<&str>) -> Result<Vec<PoolScaling>, Error> {
        let request = GetScalingRequest { pool: pool.unwrap_or_default().to_owned() };
        let response = self
            .call("leasehold.v1.AdminService/GetScaling", Repeat::Safe)
            .unary(request, |request| {
                let mut service = self.admin_service();
                async move { service.get_scaling(request).await }
            })
            .await?;
        Ok(response.pools)
    }

    /// Takes a lease away from its worker. Its handler is given `grace` to stop by itself; without it, the task's kill
    /// grace. `reason` is for the coordinator's log. The task as it then is.
    pub async fn revoke_lease(
        &self,
        lease: LeaseName,
        grace: Option<Duration>,
        reason: &str,
    ) -> Result<Task, Error> {
        // Named by its task, a second call could take away the lease that came after.
        let (task_id, fencing_token, repeat) = match lease {
            LeaseName::OfTask(task_id) => (task_id, 0, Repeat::OnlyIfRefused),
            LeaseName::Token(token) => (String::new(), token, Repeat::Safe),
        };
        let (grace, reason) = (grace.map(to_wire), reason.to_owned());
        let request = RevokeLeaseRequest { task_id, fencing_token, grace, reason };
        let response = self
            .call("leasehold.v1.AdminService/RevokeLease", repeat)
            .unary(request, |request| {
                let mut service = self.admin_service();
                async move { service.revoke_lease(request).await }
            })
            .await?;
        response.task.ok_or_else(|| self.malformed("a task"))
    }

    /// Gives a worker up. Its sessions as they then are.
    pub async fn evict_worker(
        &self,
        worker_id: &str,
        eviction: Eviction,
    ) -> Result<Vec<Worker>, Error> {
        let Eviction { ban, grace, reason } = eviction;
        let (ban, grace) = (ban.map(to_wire), grace.map(to_wire));
        let request = EvictWorkerRequest { worker_id: worker_id.to_owned(), ban, grace, reason };
        let response = self
            .call("leasehold.v1.AdminService/EvictWorker", Repeat::Safe)
            .unary(request, |request| {
                let mut service = self.admin_service();
                async move { service.evict_worker(request).await }
            })
            .await?;
        Ok(response.workers)
    }

    /// Asks workers to take nothing new, finish and go. `grace` is how long they may wait for what they
    /// run; without it, their own setting holds.
    pub async fn drain_workers(
        &self,
        worker_ids: Vec<String>,
        grace: Option<Duration>,
    ) -> Result<DrainWorkersResponse, Error> {
        let request = DrainWorkersRequest { worker_ids, grace: grace.map(to_wire) };
        self.call("leasehold.v1.AdminService/DrainWorkers", Repeat::Safe)
            .unary(request, |request| {
                let mut service = self.admin_service();
                async move { service.drain_workers(request).await }
            })
            .await
    }

    /// The configuration that holds.
    pub async fn config(&self) -> Result<GetConfigResponse, Error> {
        self.call("leasehold.v1.AdminService/GetConfig", Repeat::Safe)
            .unary(GetConfigRequest {}, |request| {
                let mut service = self.admin_service();
                async move { service.get_config(request).await }
            })
            .await
    }

    /// What a text in place of the configuration file would change; without one, what the file as it stands would.
    pub async fn diff_config(&self, yaml: Option<String>) -> Result<DiffConfigResponse, Error> {
        self.call("leasehold.v1.AdminService/DiffConfig", Repeat::Safe)
            .unary(DiffConfigRequest { yaml }, |request| {
                let mut service = self.admin_service();
                async move { service.diff_config(request).await }
            })
            .await
    }

    /// Lets the configuration file as it stands hold.
    pub async fn reload_config(&self) -> Result<ReloadConfigResponse, Error> {
        self.call("leasehold.v1.AdminService/ReloadConfig", Repeat::Safe)
            .unary(ReloadConfigRequest {}, |request| {
                let mut service = self.admin_service();
                async move { service.reload_config(request).await }
            })
            .await
    }
}
