//! `ExternalScaler`: what KEDA asks, so that a deployment of workers follows the same decisions as a pool does.
//!
//! Everything is answered from the last picture of the load. Where that cannot be relied upon the answer is UNAVAILABLE and
//! never a number: KEDA keeps the replicas it has, and a zero would end them. It decides nothing.

use std::{pin::Pin, sync::Arc};

use futures_util::{Stream, stream};
use leasehold_proto::externalscaler::{
    GetMetricSpecResponse, GetMetricsRequest, GetMetricsResponse, IsActiveResponse, MetricSpec,
    MetricValue, ScaledObjectRef, external_scaler_server::ExternalScaler,
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status};

use crate::{
    handle::Unavailable,
    refusal::{Refusal, Scope},
    scaling::{Measured, Scaling, Unknown},
};

mod metadata;

use metadata::{Metric, Trigger};

/// How many streams there may be: KEDA has two for each trigger that wants them.
const STREAMS_MAX: u32 = 1_000;

/// The service.
#[derive(Clone, Debug)]
pub struct ScalerApi {
    scaling: Scaling,
    streams: Arc<Semaphore>,
    stopping: CancellationToken,
}

type Answer<T> = Result<Response<T>, Status>;
type Answers<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

impl ScalerApi {
    /// A service over the scaling of workers, until the process ends.
    pub fn new(scaling: Scaling, stopping: CancellationToken) -> Self {
        Self { scaling, streams: Arc::new(Semaphore::new(STREAMS_MAX as usize)), stopping }
    }

    fn trigger(object: &ScaledObjectRef) -> Result<Trigger, Refusal> {
        Trigger::parse(&object.scaler_metadata)
    }

    /// Answers at once and whenever `answer` changes, until it cannot be answered.
    fn stream<T>(
        &self,
        answer: impl Fn(&Scaling) -> Result<T, Unknown> + Send + 'static,
    ) -> Result<Answers<T>, Refusal>
    where
        T: Clone + PartialEq + Send + 'static,
    {
        let room = Arc::clone(&self.streams).try_acquire_owned().map_err(|_| {
            let max = u64::from(STREAMS_MAX);
            Refusal::overloaded("streams of external scalers", Scope::Coordinator, max)
        })?;
        // What cannot be answered at the start is said as the answer to the call.
        let first = answer(&self.scaling).map_err(refusal)?;
        let told = Told {
            scaling: self.scaling.clone(),
            looks: self.scaling.looks(),
            stopping: self.stopping.clone(),
            answer,
            last: first.clone(),
            _room: room,
        };
        let later = stream::unfold(Some(told), async |told| {
            let mut told = told?;
            match told.next().await {
                Ok(answer) => Some((Ok(answer), Some(told))),
                Err(refusal) => Some((Err(refusal.into()), None)),
            }
        });
        Ok(Box::pin(futures_util::StreamExt::chain(stream::iter([Ok(first)]), later)))
    }
}

/// A stream of answers.
struct Told<T, F> {
    scaling: Scaling,
    looks: watch::Receiver<u64>,
    stopping: CancellationToken,
    answer: F,
    last: T,
    _room: OwnedSemaphorePermit,
}

impl<T: Clone + PartialEq, F: Fn(&Scaling) -> Result<T, Unknown>> Told<T, F> {
    /// The next answer that is not the last one.
    async fn next(&mut self) -> Result<T, Refusal> {
        loop {
            tokio::select! {
                looked = self.looks.changed() => looked.map_err(|_| Unavailable::Stopped)?,
                () = self.stopping.cancelled() => return Err(Unavailable::ShuttingDown.into()),
            }
            let answer = (self.answer)(&self.scaling).map_err(refusal)?;
            if answer != self.last {
                self.last = answer.clone();
                return Ok(answer);
            }
        }
    }
}

#[tonic::async_trait]
impl ExternalScaler for ScalerApi {
    type StreamIsActiveStream = Answers<IsActiveResponse>;
    type StreamMetricSpecStream = Answers<GetMetricSpecResponse>;

    async fn is_active(&self, request: Request<ScaledObjectRef>) -> Answer<IsActiveResponse> {
        let trigger = Self::trigger(request.get_ref())?;
        Ok(Response::new(is_active(&self.scaling, &trigger).map_err(refusal)?))
    }

    async fn stream_is_active(
        &self,
        request: Request<ScaledObjectRef>,
    ) -> Answer<Self::StreamIsActiveStream> {
        let trigger = Self::trigger(request.get_ref())?;
        Ok(Response::new(self.stream(move |scaling| is_active(scaling, &trigger))?))
    }

    async fn get_metric_spec(
        &self,
        request: Request<ScaledObjectRef>,
    ) -> Answer<GetMetricSpecResponse> {
        let trigger = Self::trigger(request.get_ref())?;
        Ok(Response::new(spec(&self.scaling, &trigger).map_err(refusal)?))
    }

    async fn get_metrics(&self, request: Request<GetMetricsRequest>) -> Answer<GetMetricsResponse> {
        let GetMetricsRequest { scaled_object_ref, metric_name } = request.into_inner();
        let trigger = Self::trigger(&scaled_object_ref.unwrap_or_default())?;
        let name = trigger.name();
        if metric_name != name {
            let problem = format!("is {metric_name:?}; the metadata is that of {name:?}");
            return Err(Refusal::field("metricName", problem).into());
        }
        let value = value(&self.scaling, &trigger).map_err(refusal)?;
        let value =
            MetricValue { metric_name, metric_value: rounded_up(value), metric_value_float: value };
        Ok(Response::new(GetMetricsResponse { metric_values: vec![value] }))
    }

    async fn stream_metric_spec(
        &self,
        request: Request<ScaledObjectRef>,
    ) -> Answer<Self::StreamMetricSpecStream> {
        let trigger = Self::trigger(request.get_ref())?;
        Ok(Response::new(self.stream(move |scaling| spec(scaling, &trigger))?))
    }
}

/// As it is said to KEDA: a pool that is not known is a mistake in the metadata.
fn refusal(why: Unknown) -> Refusal {
    match why {
        Unknown::Pool(pool) => {
            let problem = format!(
                "no worker belongs to pool {pool:?}: name its taskTypes, or its task_types in scaling.pools of the coordinator"
            );
            Refusal::field("scalerMetadata.workerPool", problem)
        }
        Unknown::Unavailable(_) | Unknown::WarmingUp(_) => why.into(),
    }
}

fn is_active(scaling: &Scaling, trigger: &Trigger) -> Result<IsActiveResponse, Unknown> {
    let measured = scaling.measure(&trigger.question)?;
    let wants = match trigger.activation {
        Some(activation) => activation < value(scaling, trigger)?,
        None => 0 < measured.backlog,
    };
    // Whoever holds a lease must not be taken for idle, whatever the metric says.
    let result = 0 < measured.leased || wants;
    match scaling.warm_up_left() {
        // What is not seen yet may be on its way back.
        Some(left) if !result => Err(Unknown::WarmingUp(left)),
        _ => Ok(IsActiveResponse { result }),
    }
}

fn spec(scaling: &Scaling, trigger: &Trigger) -> Result<GetMetricSpecResponse, Unknown> {
    let target = match trigger.target {
        Some(target) => target,
        None => default_target(scaling, trigger)?,
    };
    let spec = MetricSpec {
        metric_name: trigger.name(),
        target_size: rounded_up(target),
        target_size_float: target,
    };
    Ok(GetMetricSpecResponse { metric_specs: vec![spec] })
}

/// How much of a metric is one replica's, unless the metadata says so.
fn default_target(scaling: &Scaling, trigger: &Trigger) -> Result<f64, Unknown> {
    Ok(match trigger.metric {
        Metric::DesiredWorkers | Metric::WaitP95 => 1.0,
        // Until workers are back after a restart, nobody knows how many slots one has.
        Metric::Work => match scaling.warm_up_left() {
            Some(left) => return Err(Unknown::WarmingUp(left)),
            None => scaling.measure(&trigger.question)?.tasks_each(),
        },
        Metric::Backlog => 5.0,
        Metric::OldestAge => 30.0,
        Metric::Drain => 60.0,
        Metric::SlotUtilization => 0.8,
    })
}

#[expect(clippy::cast_precision_loss, reason = "beyond 2^52 tasks a metric may round")]
fn value(scaling: &Scaling, trigger: &Trigger) -> Result<f64, Unknown> {
    if trigger.metric == Metric::DesiredWorkers {
        let pool = trigger.pool();
        // So that a pool that has no worker yet is known by the task types of the metadata.
        let _known: Measured = scaling.measure(&trigger.question)?;
        return scaling.desired(&pool).map(f64::from);
    }
    let measured = scaling.measure(&trigger.question)?;
    Ok(match trigger.metric {
        Metric::DesiredWorkers | Metric::Work => (measured.wanted + measured.taken) as f64,
        Metric::Backlog => measured.backlog as f64,
        Metric::OldestAge => measured.oldest.unwrap_or_default().as_secs_f64(),
        Metric::WaitP95 => measured.wait_p95().unwrap_or_default().as_secs_f64(),
        Metric::Drain => measured.drain_seconds(),
        Metric::SlotUtilization => match scaling.warm_up_left() {
            Some(left) => return Err(Unknown::WarmingUp(left)),
            None => measured.slot_utilization(),
        },
    })
}

/// For a KEDA that reads whole numbers only: nothing that there is becomes nothing.
#[expect(clippy::cast_possible_truncation, reason = "what does not fit is as much as fits")]
fn rounded_up(value: f64) -> i64 {
    value.ceil() as i64
}
