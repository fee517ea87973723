//! Dead letters, queues, workers, health and reflection.

use std::collections::BTreeSet;

use leasehold_proto::v1::{self, TaskState};
use tokio::time::timeout;
use tonic::Code;
use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};
use tonic_reflection::pb::v1::{
    ServerReflectionRequest, server_reflection_client::ServerReflectionClient,
    server_reflection_request::MessageRequest, server_reflection_response::MessageResponse,
};
use tonic_types::StatusExt as _;

use super::served::{SOON, Served, refused, submit};

const UNKNOWN: &str = "0195a1b2-c3d4-7000-8000-000000000001";

#[tokio::test]
async fn a_dead_letter_is_replayed_once_a_generation() {
    let mut served = Served::start(|_| ()).await;
    let id = served.submit(submit("fail", "input")).await;
    served.work("w1", &["fail"]).await;
    let failed = served.end(&id).await;
    assert_eq!(failed.state(), TaskState::Failed);
    assert_eq!(failed.last_failure.unwrap().message, "as asked");
    let listed = served.dead().list_dead_letters(v1::ListDeadLettersRequest::default()).await;
    assert_eq!(listed.unwrap().into_inner().tasks.len(), 1);
    let request = v1::GetDeadLetterRequest { task_id: id.clone() };
    let shown = served.dead().get_dead_letter(request).await.unwrap().into_inner().task.unwrap();
    assert_eq!((shown.generation, &*shown.spec.unwrap().payload), (1, &b"input"[..]));
    let replay = |generation| v1::ReplayDeadLetterRequest { task_id: id.clone(), generation };
    let first = served.dead().replay_dead_letter(replay(1)).await.unwrap().into_inner();
    assert_eq!((first.replayed, first.task.unwrap().generation), (true, 2));
    let again = served.dead().replay_dead_letter(replay(1)).await.unwrap().into_inner();
    assert_eq!((again.replayed, again.task.unwrap().generation), (false, 2));
    let failed = served.end(&id).await;
    assert_eq!((failed.state(), failed.generation), (TaskState::Failed, 2));
    let stored = served.dead().replay_dead_letter(replay(0)).await.unwrap().into_inner();
    assert_eq!((stored.replayed, stored.task.unwrap().generation), (true, 3));
    served.stop().await;
}

#[tokio::test]
async fn what_is_no_dead_letter_says_what_it_is() {
    let served = Served::start(|_| ()).await;
    let id = served.submit(submit("echo", "")).await;
    let get = |task_id: &str| v1::GetDeadLetterRequest { task_id: task_id.to_owned() };
    let replay =
        |task_id: &str| v1::ReplayDeadLetterRequest { task_id: task_id.to_owned(), generation: 0 };
    let mut dead = served.dead();
    refused(dead.get_dead_letter(get(&id)).await, Code::FailedPrecondition, "NOT_FAILED");
    refused(dead.get_dead_letter(get(UNKNOWN)).await, Code::NotFound, "TASK_NOT_FOUND");
    refused(dead.get_dead_letter(get("7")).await, Code::InvalidArgument, "INVALID_FIELD");
    refused(dead.replay_dead_letter(replay(UNKNOWN)).await, Code::NotFound, "TASK_NOT_FOUND");
    served.stop().await;
}

#[tokio::test]
async fn a_paused_queue_leases_nothing_until_it_is_resumed() {
    let mut served = Served::start(|_| ()).await;
    let pause =
        |queue: &str| v1::PauseQueueRequest { queue: queue.to_owned(), ..Default::default() };
    let resume = v1::ResumeQueueRequest { queue: "default".to_owned(), ..Default::default() };
    let unknown = served.admin().resume_queue(resume.clone()).await;
    refused(unknown, Code::NotFound, "QUEUE_NOT_FOUND");
    refused(served.admin().pause_queue(pause("")).await, Code::InvalidArgument, "INVALID_FIELD");
    let before = served.submit(submit("other", "")).await;
    let paused = served.admin().pause_queue(pause("default")).await.unwrap().into_inner();
    assert!(paused.queue.unwrap().paused);
    served.work("w1", &["echo"]).await;
    let id = served.submit(submit("echo", "")).await;
    assert_eq!(served.get(&id).await.blocked_reason(), v1::BlockedReason::QueuePaused);
    let queues =
        served.admin().list_queues(v1::ListQueuesRequest::default()).await.unwrap().into_inner();
    let [queue] = queues.queues.as_slice() else { panic!("{queues:?}") };
    assert_eq!((queue.name.as_str(), queue.paused, queue.queued_count), ("default", true, 2));
    assert!(queue.oldest_queued_age.is_some());
    let resumed = served.admin().resume_queue(resume).await.unwrap().into_inner();
    assert!(!resumed.queue.unwrap().paused);
    assert_eq!(served.end(&id).await.state(), TaskState::Succeeded);
    assert_eq!(served.get(&before).await.state(), TaskState::Queued);
    served.stop().await;
}

#[tokio::test]
async fn operators_see_the_cluster_and_drain_workers() {
    let mut served = Served::start(|_| ()).await;
    let cluster = served.admin().get_cluster(v1::GetClusterRequest {}).await.unwrap().into_inner();
    assert_eq!(cluster.descriptor_fingerprint.len(), 64);
    assert_eq!(cluster.version, env!("CARGO_PKG_VERSION"));
    assert!(cluster.epoch > 0 && !cluster.journal_id.is_empty());
    assert_eq!(cluster.admission_refusal, "");
    served.work("w1", &["echo"]).await;
    served.end(&served.submit(submit("echo", "")).await).await;
    let workers =
        served.admin().list_workers(v1::ListWorkersRequest::default()).await.unwrap().into_inner();
    let [worker] = workers.workers.as_slice() else { panic!("{workers:?}") };
    assert_eq!((worker.worker_id.as_str(), worker.slots), ("w1", 8));
    assert_eq!(worker.state(), v1::WorkerState::Active);
    let drain = |ids: &[&str]| v1::DrainWorkersRequest {
        worker_ids: ids.iter().map(ToString::to_string).collect(),
        grace: None,
    };
    let told = served.admin().drain_workers(drain(&["w1", "w2"])).await.unwrap().into_inner();
    assert_eq!(told.unknown_worker_ids, ["w2"]);
    assert_eq!(told.workers[0].state(), v1::WorkerState::Draining);
    let wrong = served.admin().drain_workers(drain(&["w1", "", "a b"])).await.unwrap_err();
    let fields = wrong.get_details_bad_request().unwrap().field_violations;
    let fields: Vec<_> = fields.iter().map(|violation| violation.field.as_str()).collect();
    assert_eq!(fields, ["worker_ids[1]", "worker_ids[2]"]);
    refused(served.admin().drain_workers(drain(&[])).await, Code::InvalidArgument, "INVALID_FIELD");
    served.stop().await;
}

#[tokio::test]
async fn workers_are_listed_page_by_page() {
    let mut served = Served::start(|_| ()).await;
    for worker in ["w3", "w1", "w10", "w2", "w4"] {
        served.work(worker, &["echo"]).await;
    }
    page_says(&served, "leasehold_workers{state=\"active\"} 5").await;
    let cases: [(i32, &[&[&str]]); 5] = [
        (0, &[&["w1", "w10", "w2", "w3", "w4"]]),
        (1, &[&["w1"], &["w10"], &["w2"], &["w3"], &["w4"]]),
        (2, &[&["w1", "w10"], &["w2", "w3"], &["w4"]]),
        (5, &[&["w1", "w10", "w2", "w3", "w4"]]),
        (1_000, &[&["w1", "w10", "w2", "w3", "w4"]]),
    ];
    for (page_size, pages) in cases {
        let mut page_token = String::new();
        for (at, page) in pages.iter().enumerate() {
            let request = v1::ListWorkersRequest { page_size, page_token };
            let listed = served.admin().list_workers(request).await.unwrap().into_inner();
            let ids: Vec<_> = listed.workers.iter().map(|it| it.worker_id.as_str()).collect();
            assert_eq!(ids, *page, "page {at} of {page_size}");
            page_token = listed.next_page_token;
            assert_eq!(page_token.is_empty(), at + 1 == pages.len(), "page {at} of {page_size}");
        }
    }
    // Whoever was last may be gone by now.
    let behind = v1::ListWorkersRequest { page_size: 2, page_token: "w19/gone".to_owned() };
    let listed = served.admin().list_workers(behind).await.unwrap().into_inner();
    let ids: Vec<_> = listed.workers.iter().map(|it| it.worker_id.as_str()).collect();
    assert_eq!(ids, ["w2", "w3"]);
    let wrong =
        [(-1, ""), (1_001, ""), (0, "w1"), (0, "/1"), (0, "w1/"), (0, "w1/a b"), (0, "w1/1/2")];
    for (page_size, page_token) in wrong {
        let request = v1::ListWorkersRequest { page_size, page_token: page_token.to_owned() };
        refused(served.admin().list_workers(request).await, Code::InvalidArgument, "INVALID_FIELD");
    }
    served.stop().await;
}

#[tokio::test]
async fn workers_that_come_and_go_are_counted_though_nothing_else_happens() {
    let mut served = Served::start(|_| ()).await;
    page_says(&served, "leasehold_workers{state=\"active\"} 0").await;
    let worker = served.work("w1", &["echo"]).await;
    page_says(&served, "leasehold_workers{state=\"active\"} 1").await;
    worker.abort();
    page_says(&served, "leasehold_workers{state=\"active\"} 0").await;
    page_says(&served, "leasehold_workers{state=\"disconnected\"} 1").await;
    served.stop().await;
}

/// Waits until the page of metrics says so.
async fn page_says(served: &Served, line: &str) {
    let says = async {
        while !served.metrics.render().unwrap().contains(line) {
            served.admin().list_workers(v1::ListWorkersRequest::default()).await.unwrap();
        }
    };
    timeout(SOON, says).await.expect(line);
}

#[tokio::test]
async fn no_time_that_operators_name_is_longer_than_a_year() {
    let served = Served::start(|_| ()).await;
    let year = 365 * 24 * 3_600;
    for (seconds, code) in [(year, Code::NotFound), (year + 1, Code::InvalidArgument)] {
        let grace = Some(prost_types::Duration { seconds, nanos: 0 });
        let request = v1::RevokeLeaseRequest { fencing_token: 7, grace, ..Default::default() };
        let answered = served.admin().revoke_lease(request).await.unwrap_err();
        assert_eq!(answered.code(), code, "a lease, within {seconds} s");
        let worker_id = "w1".to_owned();
        let request = v1::EvictWorkerRequest { worker_id, grace, ..Default::default() };
        let answered = served.admin().evict_worker(request).await.unwrap_err();
        assert_eq!(answered.code(), code, "a worker, within {seconds} s");
    }
    served.stop().await;
}

#[tokio::test]
async fn health_and_reflection_answer() {
    let served = Served::start(|_| ()).await;
    let mut health = HealthClient::new(served.channel.clone());
    for service in ["", "leasehold.v1.TaskService", "leasehold.v1.WorkerService"] {
        let request = HealthCheckRequest { service: service.to_owned() };
        assert_eq!(health.check(request).await.unwrap().into_inner().status, 1, "{service:?}");
    }
    let list = MessageRequest::ListServices(String::new());
    let request = ServerReflectionRequest { host: String::new(), message_request: Some(list) };
    let mut reflection = ServerReflectionClient::new(served.channel.clone());
    let answers = reflection.server_reflection_info(tokio_stream::once(request)).await.unwrap();
    let answer = answers.into_inner().message().await.unwrap().unwrap();
    let Some(MessageResponse::ListServicesResponse(services)) = answer.message_response else {
        panic!("{answer:?}")
    };
    let names: BTreeSet<_> = services.service.into_iter().map(|service| service.name).collect();
    assert!(names.contains("leasehold.v1.TaskService"), "{names:?}");
    assert!(names.contains("grpc.health.v1.Health"), "{names:?}");
    served.stop().await;
}
