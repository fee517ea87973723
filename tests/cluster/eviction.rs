//! What operators take away: a lease from its worker, a worker from the cluster; and what becomes of a worker that does not give it.

use std::{fs, time::Duration};

use leasehold_proto::v1::{
    EvictWorkerRequest, FailureReason, LeaseOutcome, LeasePhase, ResultDisposition,
    RevocationReason, RevokeLeaseRequest, TaskSpec, TaskState, Timeouts, WorkerState,
};
use tonic::Code;

use crate::{
    cancel::cancel,
    client::{Client, duration, spec},
    condition::{SOON, until},
    coordinator::{Coordinator, Options},
    prefetch::PROGRAM,
    refusal,
    script::{Script, hello, holding, stopped},
    worker,
};

/// How often a script says that it lives: well within a short session.
const BEAT: Duration = Duration::from_millis(300);

#[tokio::test]
async fn a_revoked_program_is_stopped_and_its_task_is_leased_again_at_no_cost() {
    let coordinator = Coordinator::start().await;
    let mut client = coordinator.client();
    let options = worker::Options { programs: &[PROGRAM], ..worker::Options::default() };
    let _worker = worker::start(coordinator.address, coordinator.dir(), &options);
    let gate = coordinator.dir().join("gate");
    let payload = gate.display().to_string().into_bytes();
    let id = client.submit(TaskSpec { payload: payload.into(), ..spec("wait") }).await;
    until("it runs", SOON, async || client.task(&id).await.state() == TaskState::Running).await;
    let request = RevokeLeaseRequest { task_id: id.clone(), ..RevokeLeaseRequest::default() };
    let task = client.admin.revoke_lease(request).await.expect("it is leased").into_inner().task;
    let first = task.and_then(|it| it.lease).expect("it was leased").fencing_token;
    until("it runs again", SOON, async || {
        let task = client.task(&id).await;
        let token = task.lease.as_ref().map(|lease| lease.fencing_token);
        task.state() == TaskState::Running && token > Some(first)
    })
    .await;
    fs::write(&gate, "").expect("the gate can be opened");
    let task = client.ended(&id).await;
    assert_eq!((task.state(), task.attempt_count), (TaskState::Succeeded, 1));
    let failure = task.last_failure.expect("what happened is remembered");
    assert_eq!((failure.reason(), failure.counted), (FailureReason::Revoked, false));
    let token = RevokeLeaseRequest { fencing_token: first, ..RevokeLeaseRequest::default() };
    let gone = client.admin.revoke_lease(token).await.expect_err("it is over");
    refusal::expect(&gone, Code::NotFound, "LEASE_NOT_FOUND");
}

#[tokio::test]
async fn an_evicted_worker_is_heard_but_not_acknowledged_and_is_let_in_when_its_ban_is_over() {
    let coordinator = Coordinator::start_with(Options::short_sessions()).await;
    let mut client = coordinator.client();
    let mut script = Script::join(coordinator.address, hello("worker", "echo", 1)).await;
    let id = client.submit(spec("echo")).await;
    let token = script.assignment().await.fencing_token;
    script.started(token).await;
    let request = EvictWorkerRequest {
        worker_id: "worker".to_owned(),
        ban: Some(duration(Duration::from_secs(3))),
        ..EvictWorkerRequest::default()
    };
    let evicted = client.admin.evict_worker(request).await.expect("it is known").into_inner();
    assert_eq!(evicted.workers[0].state(), WorkerState::Evicted);
    let revocation = script.revocation().await;
    assert_eq!(
        (revocation.fencing_token, revocation.reason()),
        (token, RevocationReason::Operator)
    );
    let outcome: LeaseOutcome = stopped(token);
    script.finish(outcome).await;
    assert_eq!(client.task(&id).await.state(), TaskState::Queued);
    drop(script);
    let again = Script::greet(coordinator.address, hello("worker", "echo", 1)).await;
    let Err(refused) = again else { panic!("it was let in") };
    refusal::expect(&refused, Code::PermissionDenied, "WORKER_BANNED");
    // A real worker comes back when it is told to.
    let options = worker::Options { programs: &[("echo", "cat")], ..worker::Options::default() };
    let _worker = worker::start(coordinator.address, coordinator.dir(), &options);
    assert_eq!(client.ended(&id).await.state(), TaskState::Succeeded);
}

#[tokio::test]
async fn a_worker_that_nobody_knows_cannot_be_evicted() {
    let coordinator = Coordinator::start().await;
    let mut client = coordinator.client();
    let request = EvictWorkerRequest { worker_id: "none".to_owned(), ..Default::default() };
    let refused = client.admin.evict_worker(request).await.expect_err("it is not known");
    refusal::expect(&refused, Code::NotFound, "WORKER_NOT_FOUND");
}

/// Its handler cannot be stopped: it goes on saying that it lives, and holds its lease.
#[tokio::test]
async fn a_worker_that_never_answers_a_revocation_gets_nothing_new_and_then_is_not_acknowledged() {
    let coordinator = Coordinator::start_with(Options::short_sessions()).await;
    let mut client = coordinator.client();
    let mut stuck = Script::join(coordinator.address, hello("stuck", "echo", 2)).await;
    let id = client.submit(spec("echo")).await;
    let token = stuck.assignment().await.fencing_token;
    stuck.started(token).await;
    let request = RevokeLeaseRequest {
        task_id: id.clone(),
        grace: Some(duration(BEAT)),
        ..RevokeLeaseRequest::default()
    };
    client.admin.revoke_lease(request).await.expect("it is leased");
    assert_eq!(stuck.revocation().await.reason(), RevocationReason::Operator);
    let mut is_quarantined = false;
    // Its session ends although it is heard all the time.
    while !matches!(stuck.next_within(BEAT).await, Some(Ok(None) | Err(_))) {
        let worker = client.worker("stuck").await;
        is_quarantined |= worker.is_some_and(|it| it.state() == WorkerState::Quarantined);
        assert_eq!(client.task(&id).await.lease_count, 1, "nobody else has it meanwhile");
        stuck.beat(&[token]).await;
    }
    assert!(is_quarantined, "it was quarantined before");
    let mut other = Script::join(coordinator.address, hello("other", "echo", 1)).await;
    let again = other.assignment_in_time(BEAT).await;
    assert_eq!(again.task_id, id);
    assert_eq!(other.succeed(again.fencing_token, b"").await, ResultDisposition::Accepted);
}

/// Its task is cancelled and over; its work is not, as it says itself.
#[tokio::test]
async fn a_worker_that_does_not_stop_its_work_gets_nothing_new_on_another_stream_either() {
    let coordinator = Coordinator::start().await;
    let mut client = coordinator.client();
    let mut stuck = Script::join(coordinator.address, hello("stuck", "echo", 2)).await;
    let timeouts = Timeouts { kill_grace: Some(duration(BEAT)), ..Timeouts::default() };
    let id = client.submit(TaskSpec { timeouts: Some(timeouts), ..spec("echo") }).await;
    let token = stuck.assignment().await.fencing_token;
    stuck.started(token).await;
    cancel(&mut client, &id).await;
    until("it is over and quarantined", SOON, async || {
        client.task(&id).await.state() == TaskState::Cancelled
            && state_of(&mut client, "stuck").await == Some(WorkerState::Quarantined)
    })
    .await;
    drop(stuck);
    let held = holding(hello("stuck", "echo", 2), &[(token, LeasePhase::Running)]);
    let (mut stuck, welcome) = Script::greet(coordinator.address, held).await.expect("welcome");
    assert!(welcome.resumed, "it is the same process");
    assert_eq!(state_of(&mut client, "stuck").await, Some(WorkerState::Quarantined));
    let next = client.submit(spec("echo")).await;
    let mut other = Script::join(coordinator.address, hello("other", "echo", 1)).await;
    assert_eq!(other.assignment().await.task_id, next, "it waited for somebody else");
    assert_eq!(stuck.finish(stopped(token)).await, ResultDisposition::Stale);
    assert_eq!(state_of(&mut client, "stuck").await, Some(WorkerState::Active));
}

async fn state_of(client: &mut Client, worker: &str) -> Option<WorkerState> {
    client.worker(worker).await.map(|it| it.state())
}
