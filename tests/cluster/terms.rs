//! What a task may ask of its leases, each rule against the fault it is made for.

use std::{fs, time::Duration};

use leasehold_proto::v1::{
    Exclusivity, FailureReason, Guarantee, ResultDisposition, RevocationReason, TaskSpec,
    TaskState, Timeouts,
};

use crate::{
    client::{duration, spec},
    condition::{SOON, until},
    coordinator::{Coordinator, Options},
    program::{PATIENT, at_once, shell_task, shell_worker, tokens},
    script::{Script, hello},
};

#[tokio::test]
async fn a_task_that_runs_at_most_once_is_not_started_again_when_its_worker_is_killed() {
    let coordinator = Coordinator::start_with(Options::short_sessions()).await;
    let mut first = shell_worker(&coordinator, "first", PATIENT);
    let mut client = coordinator.client();
    let once = TaskSpec {
        guarantee: Guarantee::AtMostOnce.into(),
        retry: Some(at_once()),
        ..shell_task(coordinator.dir())
    };
    let id = client.submit(once).await;
    let started = tokens(coordinator.dir(), 1).await;

    let _second = shell_worker(&coordinator, "second", PATIENT);
    first.kill();
    let task = client.ended(&id).await;
    assert_eq!(task.state(), TaskState::Failed, "{task:#?}");
    assert_eq!((task.lease_count, task.worker_loss_count), (1, 1));
    let failure = task.last_failure.expect("it says why it failed");
    assert_eq!(failure.reason(), FailureReason::OutcomeUnknown);
    assert_eq!((failure.fencing_token, failure.worker_id.as_str()), (started[0], "first"));
    assert_eq!(tokens(coordinator.dir(), 1).await, started, "nothing else was started");
}

/// The first worker is played: a real one kills its program in time, so only a worker that fails at that can show this.
#[tokio::test]
async fn a_task_that_does_not_insist_on_one_worker_goes_on_beside_one_that_does_not_stop() {
    let coordinator = Coordinator::start().await;
    let mut deaf = Script::join(coordinator.address, hello("deaf", "script", 1)).await;
    let mut client = coordinator.client();
    let loose = TaskSpec {
        exclusivity: Exclusivity::BestEffort.into(),
        timeouts: Some(Timeouts {
            attempt: Some(duration(Duration::from_millis(200))),
            kill_grace: Some(duration(Duration::from_millis(200))),
            ..Timeouts::default()
        }),
        retry: Some(at_once()),
        ..shell_task(coordinator.dir())
    };
    let id = client.submit(loose).await;
    let lost = deaf.assignment().await.fencing_token;
    deaf.started(lost).await;
    assert_eq!(deaf.revocation().await.reason(), RevocationReason::AttemptTimeout);

    fs::write(coordinator.dir().join("go"), "").expect("the program is given leave");
    let second = shell_worker(&coordinator, "second", PATIENT);
    client.ended(&id).await;
    let task = client.task(&id).await;
    assert_eq!(task.state(), TaskState::Succeeded, "{task:#?}\n{}", second.tail());
    assert_eq!((task.lease_count, task.worker_loss_count), (2, 0));
    let failure = task.last_failure.clone().expect("the first attempt failed");
    assert_eq!((failure.reason(), failure.counted), (FailureReason::AttemptTimeout, true));
    assert!(lost < tokens(coordinator.dir(), 1).await[0], "a later lease has a larger token");

    let held = client.worker("deaf").await.expect("it is connected").fencing_tokens;
    assert_eq!(held, [lost], "its only slot stays taken");
    assert_eq!(deaf.succeed(lost, b"late").await, ResultDisposition::Stale);
    assert_eq!(client.task(&id).await, task);
    let held = client.worker("deaf").await.expect("it is connected").fencing_tokens;
    assert!(held.is_empty(), "its answer has freed the slot");
}

/// Says for a while that it is busy and then falls silent; a second attempt returns at once.
const HANGING: &str = r#"
read dir
if [ "$LEASEHOLD_ATTEMPT" -gt 1 ]; then echo done; exit 0; fi
echo $LEASEHOLD_FENCING_TOKEN >> "$dir/started"
for step in 1 2 3 4 5 6 7; do echo "step $step" >&2; sleep 0.4; done
while :; do sleep 600; done
"#;

#[tokio::test]
async fn a_program_that_writes_is_left_alone_and_one_that_falls_silent_is_stopped_as_hung() {
    let coordinator = Coordinator::start().await;
    let worker = shell_worker(&coordinator, "worker", HANGING);
    let mut client = coordinator.client();
    let watched = TaskSpec {
        timeouts: Some(Timeouts {
            progress: Some(duration(Duration::from_secs(2))),
            kill_grace: Some(duration(Duration::from_millis(200))),
            ..Timeouts::default()
        }),
        retry: Some(at_once()),
        ..shell_task(coordinator.dir())
    };
    let id = client.submit(watched).await;
    until("its last line is its progress", SOON, async || {
        client.task(&id).await.progress.is_some_and(|it| it.message == "step 7")
    })
    .await;
    let task = client.ended(&id).await;
    assert_eq!(task.state(), TaskState::Succeeded, "{task:#?}\n{}", worker.tail());
    assert_eq!((task.lease_count, task.attempt_count), (2, 2));
    let failure = task.last_failure.expect("the first attempt failed");
    assert_eq!((failure.reason(), failure.counted), (FailureReason::ProgressTimeout, true));
}

#[tokio::test]
async fn a_task_that_nobody_starts_in_time_is_a_dead_letter() {
    let coordinator = Coordinator::start().await;
    let mut client = coordinator.client();
    let timeouts =
        Timeouts { queue: Some(duration(Duration::from_millis(300))), ..Timeouts::default() };
    let id = client.submit(TaskSpec { timeouts: Some(timeouts), ..spec("nobody") }).await;
    let task = client.ended(&id).await;
    assert_eq!((task.state(), task.lease_count), (TaskState::Failed, 0));
    let failure = task.last_failure.expect("it says why it failed");
    assert_eq!(failure.reason(), FailureReason::QueueTimeout);
}
