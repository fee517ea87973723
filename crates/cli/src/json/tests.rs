//! Golden documents: what scripts read must not change by accident.

use std::collections::HashMap;

use leasehold_client::{
    Receipt,
    v1::{
        Advice, AdviceKind, BlockedReason, BlockedTasks, Blocker, BlockingLimit, Breaker,
        Checkpoint, CircuitState, EndSummary, Exclusivity, ExplainQueueResponse, Explanation,
        Failure, FailureReason, Forecast, GetClusterResponse, Guarantee, Jitter, LabelGap, Lease,
        LeaseBound, LeaseBoundKind, LeaseCharge, LeaseEnd, LeaseEndKind, LeaseOutlook, LimitHolder,
        PayloadSchemas, Progress, Queue, RateCharge, ReservedWorker, RetryPolicy, RevocationReason,
        Shortage, SlotHolder, SlotUse, StopProof, Task, TaskBudget, TaskSpec, TaskState, Timeouts,
        TraceContext, UnfitGroup, UnfitWorkers, Worker, WorkerState,
    },
};
use prost_types::{Duration, Timestamp};
use serde::Serialize;

use super::{
    BreakersJson, ClusterJson, ExplanationJson, LineReceiptJson, QueueExplanationJson, QueuesJson,
    ReceiptJson, TaskJson, TasksJson, WorkersJson,
};

#[track_caller]
fn check(value: impl Serialize, golden: &str) {
    let json = serde_json::to_string_pretty(&value).expect("it can be written");
    assert_eq!(json.trim(), golden.trim());
}

fn at(seconds: i64, nanos: i32) -> Timestamp {
    Timestamp { seconds, nanos }
}

fn span(seconds: i64, nanos: i32) -> Duration {
    Duration { seconds, nanos }
}

fn full_spec() -> TaskSpec {
    TaskSpec {
        queue: "mail".into(),
        task_type: "send".into(),
        payload: (&b"\xffhi"[..]).into(),
        content_type: "text/plain".into(),
        priority: Some(0),
        initial_delay: Some(span(1, 500_000_000)),
        timeouts: Some(Timeouts {
            attempt: Some(span(300, 0)),
            deadline: Some(at(86_400, 0)),
            progress: Some(span(30, 0)),
            queue: Some(span(60, 0)),
            ..Timeouts::default()
        }),
        retry: Some(RetryPolicy {
            max_attempts: Some(5),
            initial: Some(span(0, 1_000)),
            factor: Some(2.0),
            cap: None,
            jitter: Jitter::Full.into(),
        }),
        labels: HashMap::from([("b".into(), "2".into()), ("a".into(), "1".into())]),
        trace_context: Some(TraceContext {
            traceparent: "00-t-s-01".into(),
            tracestate: String::new(),
        }),
        guarantee: Guarantee::AtMostOnce.into(),
        exclusivity: Exclusivity::BestEffort.into(),
        admission: leasehold_client::v1::Admission::Strict.into(),
        fairness_key: "customer 7".into(),
        worker_selector: HashMap::from([("zone".into(), "a".into())]),
        payload_schema: "0a".into(),
        slots: 2,
        resources: HashMap::from([("gpu".into(), 1)]),
        concurrency_keys: vec!["stripe".into(), "tenant/7".into()],
        rate_charges: vec![
            RateCharge { key: "mail".into(), tokens: Some(2) },
            RateCharge { key: "sms".into(), tokens: None },
        ],
        dependencies: vec!["stripe".into()],
        fail_fast: true,
    }
}

fn full_task() -> Task {
    Task {
        task_id: "0198".into(),
        namespace: "default".into(),
        spec: Some(full_spec()),
        state: TaskState::Running.into(),
        blocked_reason: BlockedReason::Unspecified.into(),
        revision: i64::MAX,
        generation: 1,
        attempt_count: 2,
        lease_count: 3,
        worker_loss_count: 1,
        lease: Some(Lease {
            fencing_token: 7_000_000_000_000_000_001,
            worker_id: "w1".into(),
            attempt: 3,
            grant_time: Some(at(1, 0)),
            start_time: Some(at(1, 5_000_000)),
            revocation: RevocationReason::Cancelled.into(),
            revoke_time: Some(at(2, 0)),
            revoke_delivered_time: Some(at(2, 1_000_000)),
            instance_id: "i1".into(),
            extended_time: Some(at(3, 0)),
        }),
        result: bytes::Bytes::new(),
        last_failure: Some(Failure {
            reason: FailureReason::Panic.into(),
            message: "boom".into(),
            details: "at line 1".into(),
            counted: true,
            fencing_token: 6,
            worker_id: "w2".into(),
            time: Some(at(0, 999_999_999)),
        }),
        progress: Some(Progress { fraction: Some(0.5), message: "half".into(), checkpoint: None }),
        cancel_requested: true,
        submit_time: Some(at(0, 0)),
        eligible_time: None,
        deadline_time: Some(at(86_400, 0)),
        finish_time: None,
        idempotency_key: "k".into(),
        lease_ends: vec![LeaseEnd {
            fencing_token: 6,
            worker_id: "w2".into(),
            instance_id: "i2".into(),
            generation: 1,
            attempt: 2,
            grant_time: Some(at(0, 0)),
            start_time: Some(at(0, 1_000_000)),
            revocation: RevocationReason::Unspecified.into(),
            revoke_time: None,
            revoke_delivered_time: None,
            end_time: Some(at(0, 999_999_999)),
            kind: LeaseEndKind::Panic.into(),
            stop: StopProof::Returned.into(),
            charge: LeaseCharge::Attempt.into(),
            eligible_time: Some(at(1, 0)),
            message: "boom".into(),
        }],
        lease_ends_forgotten: 1,
        worker_loss_max: 5,
        lease_max: 1_000,
        checkpoint: Some(Checkpoint {
            fencing_token: 6,
            size_bytes: 70_000,
            save_time: Some(at(0, 0)),
        }),
        blocked_detail: "payload schema 0a is read by no connected worker".into(),
        blocked_by: Some(BlockingLimit {
            limit: "rates".into(),
            key: "mail".into(),
            used_count: 20,
            max_count: 21,
            available_time: Some(at(5, 0)),
        }),
    }
}

#[test]
fn a_task_in_full() {
    check(TaskJson::from(&full_task()), include_str!("tests/task.json"));
}

#[test]
fn a_task_of_which_nothing_is_said() {
    check(TaskJson::from(&Task::default()), include_str!("tests/empty_task.json"));
    check(TasksJson::from(&[][..]), "{\n  \"tasks\": []\n}");
}

#[test]
fn receipts() {
    let receipt = Receipt { task_id: "0198".into(), deduplicated: false, expected_finish: None };
    let golden = "{\n  \"taskId\": \"0198\",\n  \"deduplicated\": false\n}";
    check(ReceiptJson::from(&receipt), golden);
    let golden = "{\n  \"line\": 3,\n  \"taskId\": \"0198\",\n  \"deduplicated\": false\n}";
    check(LineReceiptJson::new(3, &receipt), golden);
}

#[test]
fn what_operators_see() {
    let cluster = GetClusterResponse {
        journal_id: "j".into(),
        epoch: 1_700_000_000,
        version: "0.1.0".into(),
        descriptor_fingerprint: "ab".into(),
        start_time: Some(at(0, 0)),
        open_task_count: 4,
        connected_worker_count: 2,
        journal_bytes: 4_096,
        admission_refusal: "STORAGE_FULL".into(),
        config_hash: "cd".into(),
        config_refusal: "c.yaml:1:1: unknown field `lisen`".into(),
        features: vec!["namespaces".into()],
    };
    check(ClusterJson::from(&cluster), include_str!("tests/cluster.json"));
    let breaker = Breaker {
        name: "dependencies.stripe".into(),
        state: CircuitState::HalfOpen.into(),
        call_count: 20,
        failure_count: 12,
        slow_count: 3,
        since_time: Some(at(5, 0)),
        half_open_time: None,
        probe_count: 1,
        probe_max: 3,
        waiting_count: 4_000,
    };
    let open = Breaker {
        state: CircuitState::Open.into(),
        half_open_time: Some(at(6, 500_000_000)),
        probe_count: 0,
        ..breaker.clone()
    };
    check(BreakersJson::from(&[breaker, open][..]), include_str!("tests/breakers.json"));
    let queue = Queue {
        name: "mail".into(),
        paused: true,
        scheduled_count: 1,
        queued_count: 2,
        leased_count: 3,
        oldest_queued_age: Some(span(4, 0)),
        namespace: "team".into(),
    };
    check(QueuesJson::from(&[queue, Queue::default()][..]), include_str!("tests/queues.json"));
    let worker = Worker {
        worker_id: "w1".into(),
        instance_id: "i".into(),
        session_id: 9,
        state: WorkerState::Draining.into(),
        slots: 8,
        prefetch: 2,
        lost_slots: 1,
        fencing_tokens: vec![1, 2],
        task_types: vec!["send".into()],
        labels: HashMap::from([("zone".into(), "a".into())]),
        software: "leasehold-worker/0.1.0".into(),
        session_start_time: Some(at(0, 0)),
        last_heard_age: Some(span(0, 250_000_000)),
        payload_schemas: vec![PayloadSchemas {
            task_type: "send".into(),
            fingerprints: vec!["0a".into()],
        }],
        resources: HashMap::from([("memory_mb".into(), 4_096), ("gpu".into(), 2)]),
        used_slots: 3,
        used_resources: HashMap::from([("gpu".into(), 1)]),
        namespaces: vec!["team".into()],
    };
    check(WorkersJson::from(&[worker][..]), include_str!("tests/workers.json"));
}

fn full_blocker() -> Blocker {
    let group = UnfitGroup {
        worker_count: 4,
        worker_ids: vec!["w1".into()],
        state: WorkerState::Draining.into(),
        labels: vec![
            LabelGap { name: "gpu".into(), wanted: "yes".into(), found: Some("no".into()) },
            LabelGap { name: "zone".into(), wanted: "a".into(), found: None },
        ],
        payload_schemas: vec!["0a".into()],
        declined: true,
        shortages: vec![Shortage { resource: "gpu".into(), wanted: 2, largest: 1 }],
        namespaces: vec!["other".into()],
        sizes_unknown: true,
    };
    Blocker {
        reason: BlockedReason::ConcurrencyLimit.into(),
        message: "it is held".into(),
        until_time: Some(at(1, 0)),
        pause_time: Some(at(2, 0)),
        unfit_workers: Some(UnfitWorkers {
            groups: vec![group],
            omitted_worker_count: 5,
            other_worker_count: 6,
        }),
        limit: Some(BlockingLimit {
            limit: "concurrency".into(),
            key: "k".into(),
            used_count: 1,
            max_count: 1,
            available_time: None,
        }),
        holders: vec![LimitHolder {
            fencing_token: 7,
            task_id: "0199".into(),
            worker_id: "w1".into(),
            ended: true,
        }],
        omitted_holder_count: 8,
        slot_use: Some(SlotUse {
            worker_count: 1,
            hushed_worker_count: 1,
            slots: 4,
            used_slots: 3,
            taken_by: vec![SlotHolder {
                queue: "mail".into(),
                task_type: "send".into(),
                lease_count: 3,
                namespace: "team".into(),
            }],
            omitted_lease_count: 2,
            wanted_slots: 2,
            wanted_resources: HashMap::from([("gpu".into(), 1)]),
            reserved: vec![ReservedWorker { worker_id: "w1".into(), task_id: "0199".into() }],
        }),
        advice: vec![Advice {
            kind: AdviceKind::RaiseLimit.into(),
            text: "raise it".into(),
            command: "leasehold config reload".into(),
            configuration: "concurrency: {}".into(),
            time: Some(at(3, 0)),
        }],
    }
}

#[test]
fn explanations() {
    let lease = Lease { fencing_token: 7, worker_id: "w1".into(), ..Lease::default() };
    let bound = LeaseBound { kind: LeaseBoundKind::Attempt.into(), time: Some(at(4, 0)) };
    let explanation = Explanation {
        task_id: "0198".into(),
        queue: "mail".into(),
        task_type: "send".into(),
        state: TaskState::Queued.into(),
        summary: "it is held".into(),
        blockers: vec![full_blocker()],
        give_up_time: Some(at(5, 0)),
        give_up_reason: FailureReason::QueueTimeout.into(),
        forecast: Some(Forecast {
            tasks_ahead: 9,
            slots: 4,
            start_time: Some(at(6, 0)),
            likely_end_time: Some(at(7, 0)),
            late_end_time: Some(at(8, 0)),
            bound_by: BlockedReason::NoCapacity.into(),
        }),
        lease: Some(LeaseOutlook {
            lease: Some(lease),
            worker_state: WorkerState::Active.into(),
            waits_for_slot: true,
            bounds: vec![bound],
        }),
        end: Some(EndSummary {
            budget: TaskBudget::Attempts.into(),
            used_count: 5,
            max_count: 5,
            failure: Some(Failure { message: "no".into(), ..Failure::default() }),
            finish_time: Some(at(9, 0)),
        }),
        advice: vec![Advice::default()],
        namespace: "team".into(),
    };
    check(ExplanationJson::from(&explanation), include_str!("tests/explanation.json"));
    let explained = ExplainQueueResponse {
        queue: Some(Queue { name: "mail".into(), ..Queue::default() }),
        groups: vec![BlockedTasks {
            task_count: 3,
            first_task_id: "0198".into(),
            blocker: Some(Blocker::default()),
        }],
        omitted_task_count: 2,
    };
    check(QueueExplanationJson::from(&explained), include_str!("tests/queue_explanation.json"));
}
