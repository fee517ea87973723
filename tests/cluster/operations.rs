//! What an operator's tools see: metrics and health over HTTP, health and reflection over gRPC.

use std::net::SocketAddr;

use leasehold_proto::v1::{GetClusterRequest, PauseQueueRequest, ResumeQueueRequest, TaskState};
use rustix::process::Signal;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};
use tokio_stream::{StreamExt as _, once};
use tonic_health::pb::{
    HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient,
};
use tonic_reflection::pb::v1::{
    ServerReflectionRequest, server_reflection_client::ServerReflectionClient,
    server_reflection_request::MessageRequest, server_reflection_response::MessageResponse,
};

use crate::{
    client::{endpoint, spec},
    condition::{SOON, until},
    coordinator::Coordinator,
    script::{Script, hello},
};

#[tokio::test]
async fn metrics_count_what_happens() {
    let coordinator = Coordinator::start().await;
    let mut client = coordinator.client();
    let mut script = Script::join(coordinator.address, hello("worker", "echo", 2)).await;
    let (id, _waiting) = (client.submit(spec("echo")).await, client.submit(spec("other")).await);
    let token = script.assignment().await.fencing_token;
    script.started(token).await;
    script.succeed(token, b"").await;
    script.succeed(7, b"").await;
    client.ended(&id).await;
    let expected = [
        ("leasehold_tasks_submitted_total", 2.0),
        ("leasehold_task_attempts_started_total", 1.0),
        ("leasehold_tasks_finished_total{outcome=\"succeeded\"}", 1.0),
        ("leasehold_stale_results_total", 1.0),
        ("leasehold_tasks{state=\"queued\"}", 1.0),
        ("leasehold_workers{state=\"active\"}", 1.0),
    ];
    for (series, value) in expected {
        until(&format!("{series} is {value}"), SOON, async || {
            sample(&get(coordinator.ops, "/metrics").await.body, series) == Some(value)
        })
        .await;
    }
    let metrics = get(coordinator.ops, "/metrics").await.body;
    let strange: Vec<&str> = metrics
        .lines()
        .filter(|it| !it.starts_with('#') && !it.starts_with("leasehold_"))
        .collect();
    assert!(strange.is_empty(), "{strange:?}");
    let commits = sample(&metrics, "leasehold_store_commit_seconds_count");
    assert!(commits.is_some_and(|it| it > 0.0), "what is durable was committed");
    assert!(sample(&metrics, "leasehold_store_bytes").is_some_and(|it| it > 0.0));
}

/// The value of one series in an exposition.
pub(crate) fn sample(metrics: &str, series: &str) -> Option<f64> {
    metrics.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' ')?.parse().ok())
}

#[tokio::test]
async fn health_follows_the_coordinator() {
    let mut coordinator = Coordinator::start().await;
    for path in ["/healthz", "/readyz"] {
        assert_eq!(get(coordinator.ops, path).await.status, 200, "{path}");
    }
    assert_eq!(get(coordinator.ops, "/nothing").await.status, 404);
    let channel = endpoint(coordinator.address).connect_lazy();
    let mut health = HealthClient::new(channel);
    for service in ["", "leasehold.v1.TaskService", "leasehold.v1.WorkerService"] {
        let request = HealthCheckRequest { service: service.to_owned() };
        let answer = health.check(request).await.expect("health is served").into_inner();
        assert_eq!(answer.status(), ServingStatus::Serving, "{service}");
    }
    let request = HealthCheckRequest { service: String::new() };
    let mut watch = health.watch(request).await.expect("health can be watched").into_inner();
    let first = watch.message().await.expect("it is told").expect("at once");
    assert_eq!(first.status(), ServingStatus::Serving);
    coordinator.process.signal(Signal::TERM);
    let next = timeout(SOON, watch.message()).await.expect("the watcher hears of the end");
    // Either the news arrives or the stream ends with the process; it never says that all is well.
    if let Ok(Some(answer)) = next {
        assert_eq!(answer.status(), ServingStatus::NotServing);
    }
    coordinator.process.exits_with(0, SOON).await;
}

#[tokio::test]
async fn the_contract_can_be_asked_for() {
    let coordinator = Coordinator::start().await;
    let channel = endpoint(coordinator.address).connect_lazy();
    let request = ServerReflectionRequest {
        host: String::new(),
        message_request: Some(MessageRequest::ListServices(String::new())),
    };
    let answers = ServerReflectionClient::new(channel).server_reflection_info(once(request)).await;
    let answer = answers.expect("reflection is served").into_inner().next().await;
    let Some(Ok(answer)) = answer else { panic!("{answer:?}") };
    let Some(MessageResponse::ListServicesResponse(list)) = answer.message_response else {
        panic!("{answer:?}");
    };
    let names: Vec<&str> = list.service.iter().map(|it| it.name.as_str()).collect();
    for service in ["TaskService", "WorkerService", "DeadLetterService", "AdminService"] {
        assert!(names.contains(&format!("leasehold.v1.{service}").as_str()), "{names:?}");
    }
}

#[tokio::test]
async fn a_paused_queue_stays_paused_over_a_restart() {
    let mut coordinator = Coordinator::start().await;
    let mut client = coordinator.client();
    let id = client.submit(spec("echo")).await;
    let request = PauseQueueRequest { queue: "default".to_owned(), ..Default::default() };
    let paused = client.admin.pause_queue(request).await.expect("the queue exists");
    assert!(paused.into_inner().queue.is_some_and(|it| it.paused));
    let before = client.admin.get_cluster(GetClusterRequest {}).await.expect("it answers");
    coordinator.kill();
    coordinator.restart().await;
    let after = client.admin.get_cluster(GetClusterRequest {}).await.expect("it answers");
    let (before, after) = (before.into_inner(), after.into_inner());
    assert_eq!(after.journal_id, before.journal_id);
    assert_eq!(after.open_task_count, 1);
    assert!(after.epoch > before.epoch, "{} after {}", after.epoch, before.epoch);

    let mut script = Script::join(coordinator.address, hello("worker", "echo", 1)).await;
    until("the worker is known", SOON, async || client.worker("worker").await.is_some()).await;
    assert_eq!(client.task(&id).await.state(), TaskState::Queued);
    let request = ResumeQueueRequest { queue: "default".to_owned(), ..Default::default() };
    client.admin.resume_queue(request).await.expect("the queue exists");
    assert_eq!(script.assignment().await.task_id, id);
}

/// An HTTP answer.
pub(crate) struct Answer {
    status: u16,
    pub(crate) body: String,
}

/// Asks the operations port.
pub(crate) async fn get(address: SocketAddr, path: &str) -> Answer {
    let mut stream = TcpStream::connect(address).await.expect("the port is open");
    let request = format!("GET {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.expect("the request is sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.expect("the answer is text");
    let status = answer.split(' ').nth(1).and_then(|it| it.parse().ok());
    let status = status.unwrap_or_else(|| panic!("no HTTP answer: {answer:?}"));
    let body = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body).to_owned();
    Answer { status, body }
}
