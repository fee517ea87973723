//! Why tasks are where they are as JSON. The field names and their order are the contract's.

use leasehold_client::v1::{
    Advice, BlockedTasks, Blocker, EndSummary, ExplainQueueResponse, Explanation, Forecast,
    LabelGap, LeaseBound, LeaseOutlook, LimitHolder, ReservedWorker, Shortage, SlotHolder, SlotUse,
    UnfitGroup, UnfitWorkers,
};
use serde::Serialize;

use super::{
    Amounts, Int64, Text, Time, amounts,
    operator::QueueJson,
    task::{BlockingLimitJson, FailureJson, LeaseJson},
};

/// An `Explanation`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ExplanationJson<'a> {
    task_id: &'a str,
    queue: &'a str,
    task_type: &'a str,
    state: &'static str,
    summary: &'a str,
    blockers: Vec<BlockerJson<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    give_up_time: Option<Time>,
    give_up_reason: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    forecast: Option<ForecastJson>,
    #[serde(skip_serializing_if = "Option::is_none")]
    lease: Option<OutlookJson<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    end: Option<EndSummaryJson<'a>>,
    advice: Vec<AdviceJson<'a>>,
    namespace: &'a str,
}

/// An `ExplainQueueResponse`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct QueueExplanationJson<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    queue: Option<QueueJson<'a>>,
    groups: Vec<BlockedTasksJson<'a>>,
    omitted_task_count: Int64,
}

/// A `BlockedTasks`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct BlockedTasksJson<'a> {
    task_count: Int64,
    first_task_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    blocker: Option<BlockerJson<'a>>,
}

/// A `Blocker`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct BlockerJson<'a> {
    reason: &'static str,
    message: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    until_time: Option<Time>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pause_time: Option<Time>,
    #[serde(skip_serializing_if = "Option::is_none")]
    unfit_workers: Option<UnfitWorkersJson<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    limit: Option<BlockingLimitJson<'a>>,
    holders: Vec<HolderJson<'a>>,
    omitted_holder_count: Int64,
    #[serde(skip_serializing_if = "Option::is_none")]
    slot_use: Option<SlotUseJson<'a>>,
    advice: Vec<AdviceJson<'a>>,
}

/// An `UnfitWorkers`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct UnfitWorkersJson<'a> {
    groups: Vec<UnfitGroupJson<'a>>,
    omitted_worker_count: Int64,
    other_worker_count: Int64,
}

/// An `UnfitGroup`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct UnfitGroupJson<'a> {
    worker_count: Int64,
    worker_ids: &'a [String],
    state: &'static str,
    labels: Vec<LabelGapJson<'a>>,
    payload_schemas: &'a [String],
    declined: bool,
    shortages: Vec<ShortageJson<'a>>,
    namespaces: &'a [String],
    sizes_unknown: bool,
}

/// A `Shortage`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct ShortageJson<'a> {
    resource: &'a str,
    wanted: Int64,
    largest: Int64,
}

/// A `LabelGap`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct LabelGapJson<'a> {
    name: &'a str,
    wanted: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    found: Option<&'a str>,
}

/// A `LimitHolder`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct HolderJson<'a> {
    fencing_token: Int64,
    task_id: &'a str,
    worker_id: &'a str,
    ended: bool,
}

/// A `SlotUse`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct SlotUseJson<'a> {
    worker_count: Int64,
    hushed_worker_count: Int64,
    slots: Int64,
    used_slots: Int64,
    taken_by: Vec<SlotHolderJson<'a>>,
    omitted_lease_count: Int64,
    wanted_slots: i32,
    wanted_resources: Amounts<'a>,
    reserved: Vec<ReservedWorkerJson<'a>>,
}

/// A `ReservedWorker`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct ReservedWorkerJson<'a> {
    worker_id: &'a str,
    task_id: &'a str,
}

/// A `SlotHolder`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct SlotHolderJson<'a> {
    queue: &'a str,
    task_type: &'a str,
    lease_count: Int64,
    namespace: &'a str,
}

/// A `Forecast`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct ForecastJson {
    tasks_ahead: Int64,
    slots: Int64,
    #[serde(skip_serializing_if = "Option::is_none")]
    start_time: Option<Time>,
    #[serde(skip_serializing_if = "Option::is_none")]
    likely_end_time: Option<Time>,
    #[serde(skip_serializing_if = "Option::is_none")]
    late_end_time: Option<Time>,
    bound_by: &'static str,
}

/// A `LeaseOutlook`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct OutlookJson<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    lease: Option<LeaseJson<'a>>,
    worker_state: &'static str,
    waits_for_slot: bool,
    bounds: Vec<BoundJson>,
}

/// A `LeaseBound`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct BoundJson {
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    time: Option<Time>,
}

/// An `EndSummary`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct EndSummaryJson<'a> {
    budget: &'static str,
    used_count: Int64,
    max_count: Int64,
    #[serde(skip_serializing_if = "Option::is_none")]
    failure: Option<FailureJson<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    finish_time: Option<Time>,
}

/// An `Advice`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct AdviceJson<'a> {
    kind: &'static str,
    text: &'a str,
    command: &'a str,
    configuration: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    time: Option<Time>,
}

impl<'a> From<&'a Explanation> for ExplanationJson<'a> {
    fn from(explanation: &'a Explanation) -> Self {
        Self {
            task_id: &explanation.task_id,
            queue: &explanation.queue,
            task_type: &explanation.task_type,
            state: explanation.state().as_str_name(),
            summary: &explanation.summary,
            blockers: explanation.blockers.iter().map(BlockerJson::from).collect(),
            give_up_time: explanation.give_up_time.map(Text),
            give_up_reason: explanation.give_up_reason().as_str_name(),
            forecast: explanation.forecast.as_ref().map(ForecastJson::from),
            lease: explanation.lease.as_ref().map(OutlookJson::from),
            end: explanation.end.as_ref().map(EndSummaryJson::from),
            advice: explanation.advice.iter().map(AdviceJson::from).collect(),
            namespace: &explanation.namespace,
        }
    }
}

impl<'a> From<&'a ExplainQueueResponse> for QueueExplanationJson<'a> {
    fn from(response: &'a ExplainQueueResponse) -> Self {
        Self {
            queue: response.queue.as_ref().map(QueueJson::from),
            groups: response.groups.iter().map(BlockedTasksJson::from).collect(),
            omitted_task_count: Int64(response.omitted_task_count),
        }
    }
}

impl<'a> From<&'a BlockedTasks> for BlockedTasksJson<'a> {
    fn from(tasks: &'a BlockedTasks) -> Self {
        Self {
            task_count: Int64(tasks.task_count),
            first_task_id: &tasks.first_task_id,
            blocker: tasks.blocker.as_ref().map(BlockerJson::from),
        }
    }
}

impl<'a> From<&'a Blocker> for BlockerJson<'a> {
    fn from(blocker: &'a Blocker) -> Self {
        Self {
            reason: blocker.reason().as_str_name(),
            message: &blocker.message,
            until_time: blocker.until_time.map(Text),
            pause_time: blocker.pause_time.map(Text),
            unfit_workers: blocker.unfit_workers.as_ref().map(UnfitWorkersJson::from),
            limit: blocker.limit.as_ref().map(BlockingLimitJson::from),
            holders: blocker.holders.iter().map(HolderJson::from).collect(),
            omitted_holder_count: Int64(blocker.omitted_holder_count),
            slot_use: blocker.slot_use.as_ref().map(SlotUseJson::from),
            advice: blocker.advice.iter().map(AdviceJson::from).collect(),
        }
    }
}

impl<'a> From<&'a UnfitWorkers> for UnfitWorkersJson<'a> {
    fn from(workers: &'a UnfitWorkers) -> Self {
        Self {
            groups: workers.groups.iter().map(UnfitGroupJson::from).collect(),
            omitted_worker_count: Int64(workers.omitted_worker_count),
            other_worker_count: Int64(workers.other_worker_count),
        }
    }
}

impl<'a> From<&'a UnfitGroup> for UnfitGroupJson<'a> {
    fn from(group: &'a UnfitGroup) -> Self {
        Self {
            worker_count: Int64(group.worker_count),
            worker_ids: &group.worker_ids,
            state: group.state().as_str_name(),
            labels: group.labels.iter().map(LabelGapJson::from).collect(),
            payload_schemas: &group.payload_schemas,
            declined: group.declined,
            shortages: group.shortages.iter().map(ShortageJson::from).collect(),
            namespaces: &group.namespaces,
            sizes_unknown: group.sizes_unknown,
        }
    }
}

impl<'a> From<&'a Shortage> for ShortageJson<'a> {
    fn from(shortage: &'a Shortage) -> Self {
        Self {
            resource: &shortage.resource,
            wanted: Int64(shortage.wanted),
            largest: Int64(shortage.largest),
        }
    }
}

impl<'a> From<&'a LabelGap> for LabelGapJson<'a> {
    fn from(gap: &'a LabelGap) -> Self {
        Self { name: &gap.name, wanted: &gap.wanted, found: gap.found.as_deref() }
    }
}

impl<'a> From<&'a LimitHolder> for HolderJson<'a> {
    fn from(holder: &'a LimitHolder) -> Self {
        Self {
            fencing_token: Int64(holder.fencing_token),
            task_id: &holder.task_id,
            worker_id: &holder.worker_id,
            ended: holder.ended,
        }
    }
}

impl<'a> From<&'a SlotUse> for SlotUseJson<'a> {
    fn from(slot_use: &'a SlotUse) -> Self {
        Self {
            worker_count: Int64(slot_use.worker_count),
            hushed_worker_count: Int64(slot_use.hushed_worker_count),
            slots: Int64(slot_use.slots),
            used_slots: Int64(slot_use.used_slots),
            taken_by: slot_use.taken_by.iter().map(SlotHolderJson::from).collect(),
            omitted_lease_count: Int64(slot_use.omitted_lease_count),
            wanted_slots: slot_use.wanted_slots,
            wanted_resources: amounts(&slot_use.wanted_resources),
            reserved: slot_use.reserved.iter().map(ReservedWorkerJson::from).collect(),
        }
    }
}

impl<'a> From<&'a ReservedWorker> for ReservedWorkerJson<'a> {
    fn from(reserved: &'a ReservedWorker) -> Self {
        Self { worker_id: &reserved.worker_id, task_id: &reserved.task_id }
    }
}

impl<'a> From<&'a SlotHolder> for SlotHolderJson<'a> {
    fn from(holder: &'a SlotHolder) -> Self {
        Self {
            queue: &holder.queue,
            task_type: &holder.task_type,
            lease_count: Int64(holder.lease_count),
            namespace: &holder.namespace,
        }
    }
}

impl From<&Forecast> for ForecastJson {
    fn from(forecast: &Forecast) -> Self {
        Self {
            tasks_ahead: Int64(forecast.tasks_ahead),
            slots: Int64(forecast.slots),
            start_time: forecast.start_time.map(Text),
            likely_end_time: forecast.likely_end_time.map(Text),
            late_end_time: forecast.late_end_time.map(Text),
            bound_by: forecast.bound_by().as_str_name(),
        }
    }
}

impl<'a> From<&'a LeaseOutlook> for OutlookJson<'a> {
    fn from(outlook: &'a LeaseOutlook) -> Self {
        Self {
            lease: outlook.lease.as_ref().map(LeaseJson::from),
            worker_state: outlook.worker_state().as_str_name(),
            waits_for_slot: outlook.waits_for_slot,
            bounds: outlook.bounds.iter().map(BoundJson::from).collect(),
        }
    }
}

impl From<&LeaseBound> for BoundJson {
    fn from(bound: &LeaseBound) -> Self {
        Self { kind: bound.kind().as_str_name(), time: bound.time.map(Text) }
    }
}

impl<'a> From<&'a EndSummary> for EndSummaryJson<'a> {
    fn from(summary: &'a EndSummary) -> Self {
        Self {
            budget: summary.budget().as_str_name(),
            used_count: Int64(summary.used_count),
            max_count: Int64(summary.max_count),
            failure: summary.failure.as_ref().map(FailureJson::from),
            finish_time: summary.finish_time.map(Text),
        }
    }
}

impl<'a> From<&'a Advice> for AdviceJson<'a> {
    fn from(advice: &'a Advice) -> Self {
        Self {
            kind: advice.kind().as_str_name(),
            text: &advice.text,
            command: &advice.command,
            configuration: &advice.configuration,
            time: advice.time.map(Text),
        }
    }
}
