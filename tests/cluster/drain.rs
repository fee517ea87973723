//! A worker that goes finishes what it can and hands back the rest, at no cost to the task.

use std::{fs, time::Duration};

use leasehold_proto::v1::{DrainWorkersRequest, TaskState};
use rustix::process::Signal;

use crate::{
    client::{ends, spec},
    condition::{SOON, until},
    coordinator::Coordinator,
    process::group_of,
    program::{PATIENT, shell_task, shell_worker, shell_worker_with, tokens},
};

#[tokio::test]
async fn a_draining_worker_finishes_what_it_runs() {
    let coordinator = Coordinator::start().await;
    let mut worker = shell_worker(&coordinator, "worker", PATIENT);
    let mut client = coordinator.client();
    let running = client.submit(shell_task(coordinator.dir())).await;
    let waiting = client.submit(shell_task(coordinator.dir())).await;
    tokens(coordinator.dir(), 1).await;
    worker.signal(Signal::TERM);
    until("the worker drains", SOON, async || {
        use leasehold_proto::v1::WorkerState::Draining;
        client.worker("worker").await.is_some_and(|it| it.state() == Draining)
    })
    .await;
    fs::write(coordinator.dir().join("go"), "").expect("the program is given leave");
    worker.exits_with(0, SOON).await;
    let task = client.ended(&running).await;
    assert_eq!((task.state(), task.lease_count), (TaskState::Succeeded, 1));
    let task = client.task(&waiting).await;
    assert_eq!((task.state(), task.lease_count), (TaskState::Queued, 0));
}

#[tokio::test]
async fn what_outlasts_the_drain_is_handed_back_without_an_attempt() {
    let coordinator = Coordinator::start().await;
    let short = ["--drain-grace", "300ms"];
    let mut worker = shell_worker_with(&coordinator, "worker", PATIENT, &short);
    let mut client = coordinator.client();
    let id = client.submit(shell_task(coordinator.dir())).await;
    let token = tokens(coordinator.dir(), 1).await[0];
    worker.signal(Signal::TERM);
    worker.exits_with(0, SOON).await;
    let task = client.in_state(&id, TaskState::Queued).await;
    assert_eq!((task.attempt_count, task.worker_loss_count, task.lease_count), (0, 0, 1));
    assert_eq!(ends(&task), ["DRAINED KILLED NOTHING"]);

    let _successor = shell_worker(&coordinator, "successor", PATIENT);
    let again = tokens(coordinator.dir(), 2).await[1];
    assert!(again > token, "a later lease has a larger token");
    fs::write(coordinator.dir().join("go"), "").expect("the program is given leave");
    let task = client.ended(&id).await;
    assert_eq!((task.state(), task.lease_count), (TaskState::Succeeded, 2));
    assert_eq!((task.attempt_count, task.worker_loss_count), (task.attempt_count.min(1), 0));
}

#[tokio::test]
async fn an_operator_drains_a_worker() {
    let coordinator = Coordinator::start().await;
    let mut worker = shell_worker(&coordinator, "worker", PATIENT);
    let mut client = coordinator.client();
    let id = client.submit(shell_task(coordinator.dir())).await;
    tokens(coordinator.dir(), 1).await;
    let request = DrainWorkersRequest {
        worker_ids: vec!["worker".to_owned(), "stranger".to_owned()],
        grace: Some(crate::client::duration(Duration::from_millis(300))),
    };
    let answer = client.admin.drain_workers(request).await.expect("the worker is told");
    let answer = answer.into_inner();
    let told: Vec<&str> = answer.workers.iter().map(|it| it.worker_id.as_str()).collect();
    assert_eq!(told, ["worker"]);
    assert_eq!(answer.unknown_worker_ids, ["stranger"]);
    worker.exits_with(0, SOON).await;
    assert!(group_of(worker.pid().as_raw_nonzero().get()).is_none(), "the worker is gone");
    let task = client.in_state(&id, TaskState::Queued).await;
    assert_eq!(task.attempt_count, 0);
    let other = client.submit(spec("other")).await;
    assert_eq!(client.task(&other).await.state(), TaskState::Queued);
}
