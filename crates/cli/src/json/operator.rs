//! The cluster, its queues and its workers as JSON. The field names and their order are the contract's.

use leasehold_client::v1::{
    Breaker, DrainWorkersResponse, GetClusterResponse, Namespace, PayloadSchemas, Queue, Worker,
};
use serde::Serialize;

use super::{Amounts, Int64, Labels, Span, Text, Time, amounts, labels};

/// A `GetClusterResponse`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ClusterJson<'a> {
    journal_id: &'a str,
    epoch: Int64,
    version: &'a str,
    descriptor_fingerprint: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    start_time: Option<Time>,
    open_task_count: Int64,
    connected_worker_count: i32,
    journal_bytes: Int64,
    admission_refusal: &'a str,
    config_hash: &'a str,
    config_refusal: &'a str,
    features: &'a [String],
}

/// A `ListQueuesResponse`.
#[derive(Debug, Serialize)]
pub(crate) struct QueuesJson<'a> {
    queues: Vec<QueueJson<'a>>,
}

/// A `ListNamespacesResponse`.
#[derive(Debug, Serialize)]
pub(crate) struct NamespacesJson<'a> {
    namespaces: Vec<NamespaceJson<'a>>,
}

/// A `Namespace`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct NamespaceJson<'a> {
    name: &'a str,
    open_task_count: Int64,
    open_bytes: Int64,
    #[serde(skip_serializing_if = "Option::is_none")]
    open_task_max: Option<Int64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    open_bytes_max: Option<Int64>,
    submit_rate: &'a str,
}

/// A `Queue`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct QueueJson<'a> {
    name: &'a str,
    paused: bool,
    scheduled_count: Int64,
    queued_count: Int64,
    leased_count: Int64,
    #[serde(skip_serializing_if = "Option::is_none")]
    oldest_queued_age: Option<Span>,
    namespace: &'a str,
}

/// A `ListBreakersResponse`.
#[derive(Debug, Serialize)]
pub(crate) struct BreakersJson<'a> {
    breakers: Vec<BreakerJson<'a>>,
}

/// A `Breaker`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct BreakerJson<'a> {
    name: &'a str,
    state: &'static str,
    call_count: Int64,
    failure_count: Int64,
    slow_count: Int64,
    #[serde(skip_serializing_if = "Option::is_none")]
    since_time: Option<Time>,
    #[serde(skip_serializing_if = "Option::is_none")]
    half_open_time: Option<Time>,
    probe_count: i32,
    probe_max: i32,
    waiting_count: Int64,
}

impl<'a> From<&'a [Breaker]> for BreakersJson<'a> {
    fn from(breakers: &'a [Breaker]) -> Self {
        Self { breakers: breakers.iter().map(BreakerJson::from).collect() }
    }
}

impl<'a> From<&'a Breaker> for BreakerJson<'a> {
    fn from(breaker: &'a Breaker) -> Self {
        Self {
            name: &breaker.name,
            state: breaker.state().as_str_name(),
            call_count: Int64(breaker.call_count),
            failure_count: Int64(breaker.failure_count),
            slow_count: Int64(breaker.slow_count),
            since_time: breaker.since_time.map(Text),
            half_open_time: breaker.half_open_time.map(Text),
            probe_count: breaker.probe_count,
            probe_max: breaker.probe_max,
            waiting_count: Int64(breaker.waiting_count),
        }
    }
}

/// A `ListWorkersResponse`.
#[derive(Debug, Serialize)]
pub(crate) struct WorkersJson<'a> {
    workers: Vec<WorkerJson<'a>>,
}

/// A `DrainWorkersResponse`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct DrainJson<'a> {
    workers: Vec<WorkerJson<'a>>,
    unknown_worker_ids: &'a [String],
}

/// A `Worker`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct WorkerJson<'a> {
    worker_id: &'a str,
    instance_id: &'a str,
    session_id: Int64,
    state: &'static str,
    slots: i32,
    prefetch: i32,
    lost_slots: i32,
    fencing_tokens: Vec<Int64>,
    task_types: &'a [String],
    labels: Labels<'a>,
    software: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    session_start_time: Option<Time>,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_heard_age: Option<Span>,
    payload_schemas: Vec<PayloadSchemasJson<'a>>,
    resources: Amounts<'a>,
    used_slots: i32,
    used_resources: Amounts<'a>,
    namespaces: &'a [String],
}

/// A `PayloadSchemas`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct PayloadSchemasJson<'a> {
    task_type: &'a str,
    fingerprints: &'a [String],
}

impl<'a> From<&'a GetClusterResponse> for ClusterJson<'a> {
    fn from(cluster: &'a GetClusterResponse) -> Self {
        Self {
            journal_id: &cluster.journal_id,
            epoch: Int64(cluster.epoch),
            version: &cluster.version,
            descriptor_fingerprint: &cluster.descriptor_fingerprint,
            start_time: cluster.start_time.map(Text),
            open_task_count: Int64(cluster.open_task_count),
            connected_worker_count: cluster.connected_worker_count,
            journal_bytes: Int64(cluster.journal_bytes),
            admission_refusal: &cluster.admission_refusal,
            config_hash: &cluster.config_hash,
            config_refusal: &cluster.config_refusal,
            features: &cluster.features,
        }
    }
}

impl<'a> From<&'a [Queue]> for QueuesJson<'a> {
    fn from(queues: &'a [Queue]) -> Self {
        Self { queues: queues.iter().map(QueueJson::from).collect() }
    }
}

impl<'a> From<&'a Queue> for QueueJson<'a> {
    fn from(queue: &'a Queue) -> Self {
        Self {
            name: &queue.name,
            paused: queue.paused,
            scheduled_count: Int64(queue.scheduled_count),
            queued_count: Int64(queue.queued_count),
            leased_count: Int64(queue.leased_count),
            oldest_queued_age: queue.oldest_queued_age.map(Text),
            namespace: &queue.namespace,
        }
    }
}

impl<'a> From<&'a [Namespace]> for NamespacesJson<'a> {
    fn from(namespaces: &'a [Namespace]) -> Self {
        Self { namespaces: namespaces.iter().map(NamespaceJson::from).collect() }
    }
}

impl<'a> From<&'a Namespace> for NamespaceJson<'a> {
    fn from(namespace: &'a Namespace) -> Self {
        Self {
            name: &namespace.name,
            open_task_count: Int64(namespace.open_task_count),
            open_bytes: Int64(namespace.open_bytes),
            open_task_max: namespace.open_task_max.map(Int64),
            open_bytes_max: namespace.open_bytes_max.map(Int64),
            submit_rate: &namespace.submit_rate,
        }
    }
}

impl<'a> From<&'a [Worker]> for WorkersJson<'a> {
    fn from(workers: &'a [Worker]) -> Self {
        Self { workers: workers.iter().map(WorkerJson::from).collect() }
    }
}

impl<'a> From<&'a DrainWorkersResponse> for DrainJson<'a> {
    fn from(response: &'a DrainWorkersResponse) -> Self {
        Self {
            workers: response.workers.iter().map(WorkerJson::from).collect(),
            unknown_worker_ids: &response.unknown_worker_ids,
        }
    }
}

impl<'a> From<&'a Worker> for WorkerJson<'a> {
    fn from(worker: &'a Worker) -> Self {
        Self {
            worker_id: &worker.worker_id,
            instance_id: &worker.instance_id,
            session_id: Int64(worker.session_id),
            state: worker.state().as_str_name(),
            slots: worker.slots,
            prefetch: worker.prefetch,
            lost_slots: worker.lost_slots,
            fencing_tokens: worker.fencing_tokens.iter().copied().map(Int64).collect(),
            task_types: &worker.task_types,
            labels: labels(&worker.labels),
            software: &worker.software,
            session_start_time: worker.session_start_time.map(Text),
            last_heard_age: worker.last_heard_age.map(Text),
            payload_schemas: worker.payload_schemas.iter().map(PayloadSchemasJson::from).collect(),
            resources: amounts(&worker.resources),
            used_slots: worker.used_slots,
            used_resources: amounts(&worker.used_resources),
            namespaces: &worker.namespaces,
        }
    }
}

impl<'a> From<&'a PayloadSchemas> for PayloadSchemasJson<'a> {
    fn from(schemas: &'a PayloadSchemas) -> Self {
        Self { task_type: &schemas.task_type, fingerprints: &schemas.fingerprints }
    }
}
