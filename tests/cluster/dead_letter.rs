//! A task that fails for good is kept with all it was, and can be put back, once per generation.

use std::time::Duration;

use leasehold_proto::v1::{
    AttemptFailure, FailureReason, GetDeadLetterRequest, ListDeadLettersRequest,
    ReplayDeadLetterRequest, ReplayDeadLetterResponse, ResultDisposition, Task, TaskSpec,
    TaskState, lease_outcome::Outcome,
};
use tonic::{Code, Status};

use crate::{
    client::{Client, ends, spec},
    condition::until,
    coordinator::{Coordinator, Options},
    program::at_once,
    refusal,
    script::{Script, bytes, hello, outcome},
};

#[tokio::test]
async fn a_dead_letter_is_kept_and_replayed_once_per_generation() {
    let mut coordinator = Coordinator::start().await;
    let mut client = coordinator.client();
    let mut script = Script::join(coordinator.address, hello("worker", "echo", 1)).await;
    let id = client.submit(TaskSpec { payload: bytes(b"precious"), ..spec("echo") }).await;
    let token = script.assignment().await.fencing_token;
    let hopeless = AttemptFailure { non_retryable: true, ..failure() };
    let answer = script.finish(outcome(token, Outcome::Failure(hopeless))).await;
    assert_eq!(answer, ResultDisposition::Accepted);
    assert_eq!(client.ended(&id).await.state(), TaskState::Failed);

    coordinator.kill();
    coordinator.restart().await;
    let listed = dead_letters(&mut client).await;
    assert_eq!(listed.len(), 1);
    let request = GetDeadLetterRequest { task_id: id.clone() };
    let answer = client.dead_letters.get_dead_letter(request).await.expect("it is kept");
    let task = answer.into_inner().task.expect("an answer carries its task");
    assert_eq!(task.spec.map(|it| it.payload), Some(bytes(b"precious")));
    let cause = task.last_failure.expect("it failed");
    assert_eq!(cause.reason(), FailureReason::Error);
    assert_eq!((cause.message.as_str(), cause.details.as_str()), ("no luck", "at the third step"));

    assert!(replay(&mut client, &id, 1).await.expect("it failed").replayed);
    assert!(
        !replay(&mut client, &id, 1).await.expect("it did").replayed,
        "a repeat changes nothing"
    );
    assert!(dead_letters(&mut client).await.is_empty());
    coordinator.kill();
    coordinator.restart().await;
    let answer = replay(&mut client, &id, 1).await.expect("it did");
    assert!(!answer.replayed);
    assert_eq!(answer.task.map(|it| (it.generation, it.attempt_count)), Some((2, 0)));

    let mut script = Script::join(coordinator.address, hello("worker", "echo", 1)).await;
    let assignment = script.assignment().await;
    assert_eq!((assignment.task_id.as_str(), assignment.generation), (id.as_str(), 2));
    assert_eq!(assignment.payload, bytes(b"precious"));
    assert!(assignment.fencing_token > token, "tokens grow over generations");
    script.succeed(assignment.fencing_token, b"at last").await;
    let task = client.ended(&id).await;
    assert_eq!(ends(&task), ["ERROR RETURNED ATTEMPT", "SUCCEEDED RETURNED ATTEMPT"]);
    let generations: Vec<i32> = task.lease_ends.iter().map(|it| it.generation).collect();
    assert_eq!(generations, [1, 2], "a replay keeps how the generation before ended");
    assert_eq!((task.state(), task.result), (TaskState::Succeeded, bytes(b"at last")));
    assert!(!replay(&mut client, &id, 1).await.expect("it did").replayed);
}

#[tokio::test]
async fn only_what_has_failed_can_be_replayed() {
    let coordinator = Coordinator::start().await;
    let mut client = coordinator.client();
    let open = client.submit(spec("echo")).await;
    let status = replay(&mut client, &open, 0).await.expect_err("it has not failed");
    refusal::expect(&status, Code::FailedPrecondition, "NOT_FAILED");
    let nobody = "01890a5d-ac96-774b-bcce-b302099a8057";
    let status = replay(&mut client, nobody, 0).await.expect_err("nobody has this id");
    refusal::expect(&status, Code::NotFound, "TASK_NOT_FOUND");
}

#[tokio::test]
async fn attempts_run_out() {
    let coordinator = Coordinator::start().await;
    let mut client = coordinator.client();
    let mut script = Script::join(coordinator.address, hello("worker", "echo", 1)).await;
    let mut retry = at_once();
    retry.max_attempts = Some(3);
    let id = client.submit(TaskSpec { retry: Some(retry), ..spec("echo") }).await;
    for attempt in 1..=3 {
        let assignment = script.assignment().await;
        assert_eq!(assignment.attempt, attempt);
        script.finish(outcome(assignment.fencing_token, Outcome::Failure(failure()))).await;
    }
    let task = client.ended(&id).await;
    assert_eq!((task.state(), task.attempt_count), (TaskState::Failed, 3));
}

#[tokio::test]
async fn a_task_that_kills_its_workers_becomes_a_dead_letter() {
    let options = Options {
        config: Some("limits:\n  worker_losses: 2\n".to_owned()),
        ..Options::with_args(&["--session-ttl", "600ms"])
    };
    let coordinator = Coordinator::start_with(options).await;
    let mut client = coordinator.client();
    let id = client.submit(TaskSpec { retry: Some(at_once()), ..spec("echo") }).await;
    for victim in ["first", "second"] {
        let mut script = Script::join(coordinator.address, hello(victim, "echo", 1)).await;
        let assignment = script.assignment_in_time(Duration::from_millis(100)).await;
        assert_eq!(assignment.task_id, id);
        script.started(assignment.fencing_token).await;
        until("the start is known", Duration::from_secs(5), async || {
            client.task(&id).await.state() == TaskState::Running
        })
        .await;
    }
    let task = client.ended(&id).await;
    assert_eq!((task.state(), task.worker_loss_count), (TaskState::Failed, 2));
    assert_eq!(task.worker_loss_max, 2, "of so many");
    assert_eq!(ends(&task), ["WORKER_LOST UNPROVED WORKER_LOSS"; 2]);
    assert_eq!(task.attempt_count, 0, "a lost worker is no failure of the task");
    let failure = task.last_failure.expect("it failed");
    assert_eq!(failure.reason(), FailureReason::WorkerLossLimit);
}

fn failure() -> AttemptFailure {
    AttemptFailure {
        reason: FailureReason::Error.into(),
        message: "no luck".to_owned(),
        details: "at the third step".to_owned(),
        ..AttemptFailure::default()
    }
}

async fn dead_letters(client: &mut Client) -> Vec<Task> {
    let answer = client.dead_letters.list_dead_letters(ListDeadLettersRequest::default()).await;
    answer.expect("dead letters are listed").into_inner().tasks
}

async fn replay(
    client: &mut Client,
    id: &str,
    generation: i32,
) -> Result<ReplayDeadLetterResponse, Status> {
    let request = ReplayDeadLetterRequest { task_id: id.to_owned(), generation };
    Ok(client.dead_letters.replay_dead_letter(request).await?.into_inner())
}
