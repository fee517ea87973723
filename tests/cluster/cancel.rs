//! A cancel ends a task that waits at once, and a leased one when its worker has answered.

use std::time::Duration;

use leasehold_proto::v1::{
    CancelTaskRequest, ResultDisposition, RevocationReason, Task, TaskSpec, TaskState, Timeouts,
};
use rustix::process::Signal;

use crate::{
    client::{Client, duration, ends, spec},
    condition::{SOON, until},
    coordinator::Coordinator,
    operations::{get, sample},
    process::group_members,
    program::{PATIENT, shell_task, shell_worker, tokens},
    script::{Script, bytes, hello, stopped},
};

#[tokio::test]
async fn a_waiting_task_is_cancelled_at_once_and_for_good() {
    let mut coordinator = Coordinator::start().await;
    let mut client = coordinator.client();
    let delay = Some(duration(Duration::from_mins(1)));
    let scheduled = client.submit(TaskSpec { initial_delay: delay, ..spec("echo") }).await;
    let queued = client.submit(spec("echo")).await;
    for id in [&scheduled, &queued] {
        assert_eq!(cancel(&mut client, id).await.state(), TaskState::Cancelled);
    }
    coordinator.kill();
    coordinator.restart().await;
    let again = cancel(&mut client, &queued).await;
    assert_eq!(again.state(), TaskState::Cancelled, "a repeated cancel changes nothing");
    let last = client.submit(spec("echo")).await;
    let mut script = Script::join(coordinator.address, hello("worker", "echo", 4)).await;
    assert_eq!(script.assignment().await.task_id, last, "what is cancelled is never leased");
}

#[tokio::test]
async fn a_leased_task_is_cancelled_when_its_worker_has_stopped() {
    let coordinator = Coordinator::start().await;
    let mut client = coordinator.client();
    let mut script = Script::join(coordinator.address, hello("worker", "echo", 1)).await;
    let id = client.submit(spec("echo")).await;
    let token = script.assignment().await.fencing_token;
    script.started(token).await;
    assert_eq!(cancel(&mut client, &id).await.state(), TaskState::Cancelling);
    let revocation = script.revocation().await;
    assert_eq!(
        (revocation.fencing_token, revocation.reason()),
        (token, RevocationReason::Cancelled)
    );
    assert_eq!(script.finish(stopped(token)).await, ResultDisposition::Accepted);
    let task = client.ended(&id).await;
    assert_eq!((task.state(), task.cancel_requested), (TaskState::Cancelled, true));
    assert_eq!(ends(&task), ["CANCELLED RETURNED NOTHING"]);
    let end = &task.lease_ends[0];
    assert_eq!(end.revocation(), RevocationReason::Cancelled);
    assert!(end.revoke_delivered_time.is_some(), "the answer acknowledges the request: {end:?}");
}

#[tokio::test]
async fn a_cancel_that_is_not_answered_proves_nothing_and_the_late_answer_is_counted() {
    let coordinator = Coordinator::start().await;
    let mut client = coordinator.client();
    let mut script = Script::join(coordinator.address, hello("worker", "echo", 1)).await;
    let grace = Some(duration(Duration::from_millis(100)));
    let timeouts = Timeouts { kill_grace: grace, ..Timeouts::default() };
    let id = client.submit(TaskSpec { timeouts: Some(timeouts), ..spec("echo") }).await;
    let token = script.assignment().await.fencing_token;
    script.started(token).await;
    cancel(&mut client, &id).await;
    let task = client.ended(&id).await;
    assert_eq!(task.state(), TaskState::Cancelled);
    assert_eq!(ends(&task), ["CANCELLED UNPROVED NOTHING"]);
    assert_eq!(script.finish(stopped(token)).await, ResultDisposition::Stale);
    let late = "leasehold_leases_stopped_late_total";
    until("the late stop is counted", SOON, async || {
        sample(&get(coordinator.ops, "/metrics").await.body, late) == Some(1.0)
    })
    .await;
    assert_eq!(ends(&client.task(&id).await), ends(&task), "an ended task does not change");
}

#[tokio::test]
async fn a_result_that_wins_the_race_is_the_truth() {
    let coordinator = Coordinator::start().await;
    let mut client = coordinator.client();
    let mut script = Script::join(coordinator.address, hello("worker", "echo", 1)).await;
    let id = client.submit(spec("echo")).await;
    let token = script.assignment().await.fencing_token;
    cancel(&mut client, &id).await;
    assert_eq!(script.succeed(token, b"done").await, ResultDisposition::Accepted);
    let task = client.ended(&id).await;
    assert_eq!((task.state(), task.cancel_requested), (TaskState::Succeeded, true));
    assert_eq!(task.result, bytes(b"done"));
    let late = cancel(&mut client, &id).await;
    assert_eq!(late.state(), TaskState::Succeeded, "an ended task is shown as it ended");
}

#[tokio::test]
async fn a_cancelled_program_is_stopped_with_its_group() {
    let coordinator = Coordinator::start().await;
    let mut worker = shell_worker(&coordinator, "worker", PATIENT);
    let mut client = coordinator.client();
    let timeouts =
        Timeouts { kill_grace: Some(duration(Duration::from_millis(500))), ..Timeouts::default() };
    let id =
        client.submit(TaskSpec { timeouts: Some(timeouts), ..shell_task(coordinator.dir()) }).await;
    tokens(coordinator.dir(), 1).await;
    cancel(&mut client, &id).await;
    let task = client.ended(&id).await;
    assert_eq!(task.state(), TaskState::Cancelled);
    assert_eq!(ends(&task), ["CANCELLED KILLED NOTHING"]);
    let end = &task.lease_ends[0];
    assert!(end.revoke_delivered_time.is_some(), "a worker says that it knows: {end:?}");
    let next = client.submit(shell_task(coordinator.dir())).await;
    tokens(coordinator.dir(), 2).await;
    std::fs::write(coordinator.dir().join("go"), "").expect("the program is given leave");
    assert_eq!(client.ended(&next).await.state(), TaskState::Succeeded);
    worker.signal(Signal::TERM);
    worker.exits_with(0, SOON).await;
    let group = worker.pid().as_raw_nonzero().get();
    until("the worker's group is empty", SOON, async || group_members(group).is_empty()).await;
}

pub(crate) async fn cancel(client: &mut Client, id: &str) -> Task {
    let request = CancelTaskRequest { task_id: id.to_owned() };
    let answer = client.tasks.cancel_task(request).await.expect("the task is known");
    answer.into_inner().task.expect("an answer carries its task")
}
