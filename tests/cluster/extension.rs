//! An attempt that asks for more time gets it, and nothing that stops attempts stops it: the worker's timer, its guard's
//! bound, the coordinator's limit, before and after a restart.

use std::time::Duration;

use leasehold_proto::v1::{FailureReason, TaskSpec, TaskState, Timeouts};

use crate::{
    binary,
    client::{duration, spec},
    condition::{SOON, until},
    coordinator::Coordinator,
    process::Process,
    script::bytes,
};

/// Of 100 ms each: longer than an attempt, the grace of its kill and the coordinator's margin of a second together.
const STEPS: &[u8] = b"50";

fn task(task_type: &str) -> TaskSpec {
    TaskSpec {
        payload: bytes(STEPS),
        timeouts: Some(Timeouts {
            attempt: Some(duration(Duration::from_secs(2))),
            kill_grace: Some(duration(Duration::from_millis(200))),
            ..Timeouts::default()
        }),
        retry: Some(crate::program::at_once()),
        ..spec(task_type)
    }
}

fn worker(coordinator: &Coordinator) -> Process {
    let mut command = binary::extend();
    command.env("LEASEHOLD_ADDRESS", coordinator.address.to_string());
    command.env("LEASEHOLD_WORKER_ID", "worker").env("LEASEHOLD_SLOTS", "2");
    Process::spawn("worker", command, coordinator.dir().join("worker.log"))
}

#[tokio::test]
async fn an_attempt_that_asks_for_more_time_outlives_its_timeout_and_one_that_does_not_is_stopped()
{
    let coordinator = Coordinator::start().await;
    let worker = worker(&coordinator);
    let mut client = coordinator.client();
    let patient = client.submit(task("patient")).await;
    let hasty = client.submit(task("hasty")).await;

    let task = client.ended(&patient).await;
    assert_eq!(task.state(), TaskState::Succeeded, "{task:#?}\n{}", worker.tail());
    assert_eq!((task.lease_count, task.attempt_count), (1, 1));

    until("the other attempt is stopped", SOON, async || {
        client.task(&hasty).await.last_failure.is_some()
    })
    .await;
    let failure = client.task(&hasty).await.last_failure.expect("its attempt was stopped");
    assert_eq!((failure.reason(), failure.counted), (FailureReason::AttemptTimeout, true));
}
