//! Tasks that workers take ahead, and give back.

use std::fs;

use leasehold_proto::v1::{TaskSpec, TaskState};

use crate::{
    client::{Client, spec},
    condition::{SOON, until},
    coordinator::Coordinator,
    process::Process,
    worker::{self, Options},
};

/// A program that says which worker it runs at, and then ends when the file that it is given as its payload is there.
pub(crate) const PROGRAM: (&str, &str) = (
    "wait",
    "sh -c 'read gate; echo $LEASEHOLD_WORKER_ID; until [ -e $gate ]; do sleep 0.02; done'",
);

fn start(coordinator: &Coordinator, id: &str, prefetch: &str) -> Process {
    let args = ["--prefetch", prefetch];
    let options = Options { id, slots: 1, programs: &[PROGRAM], args: &args, ..Options::default() };
    worker::start(coordinator.address, coordinator.dir(), &options)
}

/// A task that ends when its gate is opened.
async fn submit(client: &mut Client, coordinator: &Coordinator, gate: &str) -> String {
    let payload = coordinator.dir().join(gate).display().to_string().into_bytes();
    client.submit(TaskSpec { payload: payload.into(), ..spec("wait") }).await
}

fn open(coordinator: &Coordinator, gate: &str) {
    fs::write(coordinator.dir().join(gate), "").expect("a gate can be opened");
}

async fn reaches(client: &mut Client, task: &str, state: TaskState) {
    until("the task is there", SOON, async || client.task(task).await.state() == state).await;
}

#[tokio::test]
async fn a_task_that_waits_at_a_busy_worker_goes_to_an_idle_one_at_no_cost() {
    let coordinator = Coordinator::start().await;
    let mut client = coordinator.client();
    let _busy = start(&coordinator, "busy", "2");
    let first = submit(&mut client, &coordinator, "first").await;
    reaches(&mut client, &first, TaskState::Running).await;
    let second = submit(&mut client, &coordinator, "second").await;
    // It is leased to the worker that has no slot for it.
    reaches(&mut client, &second, TaskState::Leased).await;
    let _idle = start(&coordinator, "idle", "0");
    reaches(&mut client, &second, TaskState::Running).await;
    open(&coordinator, "second");
    let ended = client.ended(&second).await;
    assert_eq!((ended.result.as_ref(), ended.lease_count), (b"idle\n".as_slice(), 1));
    open(&coordinator, "first");
    assert_eq!(client.ended(&first).await.result.as_ref(), b"busy\n");
}

#[tokio::test]
async fn a_more_urgent_task_overtakes_what_waits_and_each_runs_once() {
    let coordinator = Coordinator::start().await;
    let mut client = coordinator.client();
    let _only = start(&coordinator, "only", "1");
    let first = submit(&mut client, &coordinator, "first").await;
    reaches(&mut client, &first, TaskState::Running).await;
    let patient = submit(&mut client, &coordinator, "patient").await;
    reaches(&mut client, &patient, TaskState::Leased).await;
    let gate = coordinator.dir().join("urgent").display().to_string().into_bytes();
    let urgent = TaskSpec { payload: gate.into(), priority: Some(0), ..spec("wait") };
    let urgent = client.submit(urgent).await;
    reaches(&mut client, &urgent, TaskState::Leased).await;
    assert_eq!(client.task(&patient).await.state(), TaskState::Queued);
    open(&coordinator, "first");
    reaches(&mut client, &urgent, TaskState::Running).await;
    open(&coordinator, "urgent");
    open(&coordinator, "patient");
    for (task, leases) in [(urgent, 1), (patient, 1), (first, 1)] {
        let ended = client.ended(&task).await;
        assert_eq!((ended.state(), ended.lease_count), (TaskState::Succeeded, leases));
    }
}
