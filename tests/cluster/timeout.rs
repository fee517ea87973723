//! Two levels of time, each enforced twice: by the worker, and by the coordinator where the worker does not.

use std::time::{Duration, SystemTime};

use leasehold_proto::v1::{
    FailureReason, LeaseProgress, Progress, ResultDisposition, RevocationReason, TaskSpec,
    TaskState, Timeouts, worker_event::Event as Say,
};

use crate::{
    client::{duration, ends, spec},
    condition::{SOON, until},
    coordinator::Coordinator,
    program::at_once,
    script::{Script, bytes, hello, stopped},
};

/// A short limit.
const SHORT: Duration = Duration::from_millis(300);

#[tokio::test]
async fn a_task_that_nobody_runs_in_time_fails() {
    let coordinator = Coordinator::start().await;
    let mut client = coordinator.client();
    let total = || Timeouts { total: Some(duration(SHORT)), ..Timeouts::default() };
    let deadline =
        || Timeouts { deadline: Some((SystemTime::now() + SHORT).into()), ..Timeouts::default() };
    for timeouts in [total as fn() -> Timeouts, deadline] {
        let timeouts = timeouts();
        let id = client.submit(TaskSpec { timeouts: Some(timeouts), ..spec("echo") }).await;
        let task = client.ended(&id).await;
        assert_eq!((task.state(), task.lease_count), (TaskState::Failed, 0));
        let failure = task.last_failure.expect("it ran out of time");
        assert_eq!(failure.reason(), FailureReason::TotalTimeout);
    }
}

#[tokio::test]
async fn the_whole_time_of_a_task_ends_its_last_attempt() {
    let coordinator = Coordinator::start().await;
    let mut client = coordinator.client();
    let mut script = Script::join(coordinator.address, hello("worker", "echo", 1)).await;
    let timeouts = Timeouts {
        total: Some(duration(SHORT)),
        kill_grace: Some(duration(SHORT)),
        ..Timeouts::default()
    };
    let id = client.submit(TaskSpec { timeouts: Some(timeouts), ..spec("echo") }).await;
    let assignment = script.assignment().await;
    let left = assignment.total_remaining.expect("every task has a total time");
    assert!(left.seconds == 0 && 0 < left.nanos, "{left:?}");
    script.started(assignment.fencing_token).await;
    let revocation = script.revocation().await;
    assert_eq!(revocation.reason(), RevocationReason::TotalTimeout);
    let answer = script.finish(stopped(assignment.fencing_token)).await;
    assert_eq!(answer, ResultDisposition::Accepted);
    let task = client.ended(&id).await;
    assert_eq!(task.state(), TaskState::Failed);
    assert_eq!(ends(&task), ["TOTAL_TIMEOUT RETURNED NOTHING"]);
    assert_eq!(task.last_failure.map(|it| it.reason()), Some(FailureReason::TotalTimeout));
}

#[tokio::test]
async fn an_attempt_that_its_worker_does_not_end_is_ended_by_the_coordinator() {
    let coordinator = Coordinator::start().await;
    let mut client = coordinator.client();
    let mut script = Script::join(coordinator.address, hello("worker", "echo", 1)).await;
    let timeouts = Timeouts {
        attempt: Some(duration(SHORT)),
        kill_grace: Some(duration(SHORT)),
        ..Timeouts::default()
    };
    let spec = TaskSpec { timeouts: Some(timeouts), retry: Some(at_once()), ..spec("echo") };
    let id = client.submit(spec).await;
    let first = script.assignment().await.fencing_token;
    script.started(first).await;
    // The worker has not said that the work stopped: its slot is not given away.
    let revocation = script.revocation().await;
    assert_eq!(
        (revocation.fencing_token, revocation.reason()),
        (first, RevocationReason::AttemptTimeout)
    );
    assert_eq!(client.task(&id).await.lease_count, 1);
    assert_eq!(script.finish(stopped(first)).await, ResultDisposition::Accepted);
    let second = script.assignment().await.fencing_token;
    assert_eq!(script.succeed(second, b"in time").await, ResultDisposition::Accepted);
    let task = client.ended(&id).await;
    assert_eq!((task.state(), task.lease_count), (TaskState::Succeeded, 2));
    assert_eq!(ends(&task), ["ATTEMPT_TIMEOUT RETURNED ATTEMPT", "SUCCEEDED RETURNED ATTEMPT"]);
    let failure = task.last_failure.expect("the first attempt failed");
    assert_eq!(failure.reason(), FailureReason::AttemptTimeout);
    assert!(failure.counted, "a timeout uses up an attempt");
}

#[tokio::test]
async fn progress_is_shown_while_it_lasts() {
    let coordinator = Coordinator::start().await;
    let mut client = coordinator.client();
    let mut script = Script::join(coordinator.address, hello("worker", "echo", 1)).await;
    let id = client.submit(spec("echo")).await;
    let token = script.assignment().await.fencing_token;
    script.started(token).await;
    for (fraction, message) in [(0.25, "a quarter"), (0.5, "half")] {
        let progress =
            Progress { fraction: Some(fraction), message: message.to_owned(), checkpoint: None };
        let report = LeaseProgress { fencing_token: token, progress: Some(progress.clone()) };
        script.say([Say::LeaseProgress(report)]).await;
        until("the progress is shown", SOON, async || {
            client.task(&id).await.progress.as_ref() == Some(&progress)
        })
        .await;
    }
    script.succeed(token, b"whole").await;
    assert_eq!(client.ended(&id).await.result, bytes(b"whole"));
}
