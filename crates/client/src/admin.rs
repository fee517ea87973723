//! What operators say: look at the cluster, pause queues, drain workers.

use std::time::Duration;

use leasehold_proto::v1::{
    DrainWorkersRequest, DrainWorkersResponse, EvictWorkerRequest, GetClusterRequest,
    GetClusterResponse, ListQueuesRequest, ListWorkersRequest, PauseQueueRequest, Queue,
    ResumeQueueRequest, RevokeLeaseRequest, Task, Worker,
};

use crate::{Client, Error, outage::Repeat, spec::wire_duration};

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

    /// Every queue with its counts, by name.
    pub async fn queues(&self) -> Result<Vec<Queue>, Error> {
        let response = self
            .call("leasehold.v1.AdminService/ListQueues", Repeat::Safe)
            .unary(ListQueuesRequest {}, |request| {
                let mut service = self.admin_service();
                async move { service.list_queues(request).await }
            })
            .await?;
        Ok(response.queues)
    }

    /// Stops leasing tasks of a queue, durably. Running ones go on.
    pub async fn pause_queue(&self, queue: &str) -> Result<Queue, Error> {
        let request = PauseQueueRequest { queue: queue.to_owned() };
        let response = self
            .call("leasehold.v1.AdminService/PauseQueue", Repeat::Safe)
            .unary(request, |request| {
                let mut service = self.admin_service();
                async move { service.pause_queue(request).await }
            })
            .await?;
        response.queue.ok_or_else(|| self.malformed("a queue"))
    }

    /// Leases tasks of a queue again, durably.
    pub async fn resume_queue(&self, queue: &str) -> Result<Queue, Error> {
        let request = ResumeQueueRequest { queue: queue.to_owned() };
        let response = self
            .call("leasehold.v1.AdminService/ResumeQueue", Repeat::Safe)
            .unary(request, |request| {
                let mut service = self.admin_service();
                async move { service.resume_queue(request).await }
            })
            .await?;
        response.queue.ok_or_else(|| self.malformed("a queue"))
    }

    /// Every worker the coordinator knows, by id.
    pub async fn workers(&self) -> Result<Vec<Worker>, Error> {
        let response = self
            .call("leasehold.v1.AdminService/ListWorkers", Repeat::Safe)
            .unary(ListWorkersRequest {}, |request| {
                let mut service = self.admin_service();
                async move { service.list_workers(request).await }
            })
            .await?;
        Ok(response.workers)
    }

    /// Takes a lease away from its worker: the one that `lease` names, by its task or its token. The task as it then is.
    pub async fn revoke_lease(&self, lease: RevokeLeaseRequest) -> Result<Task, Error> {
        // Named by its task, a second call could take away the lease that came after.
        let is_named = lease.fencing_token != 0;
        let repeat = if is_named { Repeat::Safe } else { Repeat::OnlyIfRefused };
        let response = self
            .call("leasehold.v1.AdminService/RevokeLease", repeat)
            .unary(lease, |request| {
                let mut service = self.admin_service();
                async move { service.revoke_lease(request).await }
            })
            .await?;
        response.task.ok_or_else(|| self.malformed("a task"))
    }

    /// Gives a worker up. Its sessions as they then are.
    pub async fn evict_worker(&self, request: EvictWorkerRequest) -> Result<Vec<Worker>, Error> {
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
        let request = DrainWorkersRequest { worker_ids, grace: grace.map(wire_duration) };
        self.call("leasehold.v1.AdminService/DrainWorkers", Repeat::Safe)
            .unary(request, |request| {
                let mut service = self.admin_service();
                async move { service.drain_workers(request).await }
            })
            .await
    }
}
