//! What a pool asks of the coordinator, one thing at a time. It knows no process.

use std::{pin::Pin, time::Duration};

use leasehold_proto::{
    duration::to_wire,
    v1::{DrainWorkersRequest, FollowPoolRequest, admin_service_client::AdminServiceClient},
};
use tokio::time::timeout;
use tonic::{
    Status,
    transport::{Channel, Endpoint},
};

use super::{Asked, Plan};

/// How long an answer may take.
const ANSWER_MAX: Duration = Duration::from_secs(5);

/// How long a worker that is drained for the pool may take: as long as its tasks do. The longest that the contract knows.
const DRAIN_GRACE: Duration = Duration::from_hours(365 * 24);

/// How many workers there should be.
#[derive(Clone, Debug)]
pub(crate) struct Order {
    pub(crate) desired: u32,
    /// Why, for people.
    pub(crate) reason: String,
    /// Workers by what they hold, those with the least first.
    pub(crate) least_loaded: Vec<String>,
}

/// A connection that is made when it is needed, and what is being asked over it.
pub(crate) struct Coordinator {
    service: AdminServiceClient<Channel>,
    /// What is the same each time.
    request: FollowPoolRequest,
    asking: Option<Pin<Box<dyn Future<Output = Asked>>>>,
}

impl Coordinator {
    pub(crate) fn new(plan: &Plan) -> Result<Self, tonic::transport::Error> {
        let url = match plan.address.split_once("://") {
            Some(_) => plan.address.clone(),
            None => format!("http://{}", plan.address),
        };
        let endpoint = Endpoint::from_shared(url)?.connect_timeout(ANSWER_MAX).tcp_nodelay(true);
        let (min, max) = plan.range;
        let request = FollowPoolRequest {
            pool: plan.name.clone(),
            task_types: plan.task_types.clone(),
            min_workers: i32::try_from(min).unwrap_or(i32::MAX),
            max_workers: i32::try_from(max).unwrap_or(i32::MAX),
            worker_count: 0,
            shares_processor: true,
        };
        let service = AdminServiceClient::new(endpoint.connect_lazy());
        Ok(Self { service, request, asking: None })
    }

    /// Whether there is a question without an answer.
    pub(crate) const fn is_asked(&self) -> bool {
        self.asking.is_some()
    }

    /// Asks how many workers there should be, of which so many are kept.
    pub(crate) fn ask(&mut self, kept: u32) {
        let mut service = self.service.clone();
        let worker_count = i32::try_from(kept).unwrap_or(i32::MAX);
        let request = FollowPoolRequest { worker_count, ..self.request.clone() };
        self.asking = Some(Box::pin(async move {
            let answer = within(service.follow_pool(request)).await;
            Asked::Order(answer.map(|answer| {
                let scaling = answer.scaling.unwrap_or_default();
                let wanted = scaling.desired_workers;
                // Why it was decided, which may be some looks ago; else what is so now.
                let decided = scaling.decisions.into_iter().next_back();
                let decided = decided.filter(|it| it.to_workers == wanted).map(|it| it.reason);
                Order {
                    desired: u32::try_from(wanted).unwrap_or(0),
                    reason: decided.unwrap_or(scaling.reason),
                    least_loaded: answer.least_loaded_worker_ids,
                }
            }))
        }));
    }

    /// Asks for a worker to be drained, however long that takes.
    pub(crate) fn drain(&mut self, number: u32, worker: String) {
        let mut service = self.service.clone();
        let grace = Some(to_wire(DRAIN_GRACE));
        let request = DrainWorkersRequest { worker_ids: vec![worker], grace };
        self.asking = Some(Box::pin(async move {
            let answer = within(service.drain_workers(request)).await;
            Asked::Drain(number, answer.map(|answer| answer.unknown_worker_ids.is_empty()))
        }));
    }

    /// What is answered; never, if nothing was asked.
    pub(crate) async fn next_answer(&mut self) -> Asked {
        match &mut self.asking {
            Some(asking) => {
                let asked = asking.await;
                self.asking = None;
                asked
            }
            None => std::future::pending().await,
        }
    }
}

/// The answer, if it comes soon enough; else a line for people.
async fn within<T>(
    call: impl Future<Output = Result<tonic::Response<T>, Status>>,
) -> Result<T, String> {
    match timeout(ANSWER_MAX, call).await {
        Ok(Ok(answer)) => Ok(answer.into_inner()),
        Ok(Err(status)) => Err(status.message().to_owned()),
        Err(_) => Err(format!("no answer within {ANSWER_MAX:?}")),
    }
}
