//! A worker that was cut off for longer than its session brings its result: what that is worth is its queue's choice.

use std::{fs, time::Duration};

use leasehold_proto::v1::{
    LeasePhase, ResultDisposition, TaskSpec, TaskState, worker_event::Event as Say,
};
use rustix::process::Signal;

use crate::{
    client::{Client, ends, spec},
    condition::{SOON, until},
    coordinator::{Coordinator, Options},
    fencing::worker,
    operations::{get, sample},
    process::Process,
    program::at_once,
    script::{Script, bytes, hello, holding, success},
};

/// A queue that accepts late results. Any other does not.
const PATIENT: &str = "patient";

const CONFIG: &str = "queues: {settings: {patient: {late_results: accept-if-newest}}}\n";

/// The ends of a task whose worker was lost and that succeeded.
const LOST_AND_SUCCEEDED: [&str; 2] =
    ["WORKER_LOST UNPROVED WORKER_LOSS", "SUCCEEDED RETURNED ATTEMPT"];

#[tokio::test]
async fn the_result_of_a_worker_that_was_given_up_counts_where_its_queue_says_so() {
    let mut story = Story::tell(PATIENT).await;
    story.wake();
    let task = story.client.ended(&story.id).await;
    assert_eq!(task.state(), TaskState::Succeeded, "{task:#?}\n{}", story.first.tail());
    let task = story.client.task(&story.id).await;
    assert_eq!((task.lease_count, task.worker_loss_count, task.attempt_count), (1, 1, 1));
    assert_eq!(ends(&task), LOST_AND_SUCCEEDED);
    assert_eq!(task.lease_ends[0].fencing_token, task.lease_ends[1].fencing_token);
}

#[tokio::test]
async fn it_is_stale_where_nobody_asked_for_it_and_the_task_runs_again() {
    let mut story = Story::tell("usual").await;
    story.wake();
    let task = story.client.ended(&story.id).await;
    assert_eq!(task.state(), TaskState::Succeeded, "{task:#?}\n{}", story.first.tail());
    let task = story.client.task(&story.id).await;
    assert_eq!((task.lease_count, task.worker_loss_count, task.attempt_count), (2, 1, 1));
    assert!(task.lease_ends[0].fencing_token < task.lease_ends[1].fencing_token);
}

#[tokio::test]
async fn it_is_stale_once_the_task_was_leased_again() {
    let mut story = Story::tell(PATIENT).await;
    let address = story.coordinator.address;
    let mut second = Script::join(address, hello("second", "file", 1)).await;
    let token = second.assignment().await.fencing_token;
    second.started(token).await;
    story.wake();
    until("the result of the first is stale", SOON, async || {
        second.beat(&[token]).await;
        let metrics = get(story.coordinator.ops, "/metrics").await.body;
        sample(&metrics, "leasehold_stale_results_total") == Some(1.0)
    })
    .await;
    let task = story.client.task(&story.id).await;
    assert_eq!(task.lease.map(|lease| lease.fencing_token), Some(token), "it changed nothing");
    assert_eq!(second.succeed(token, b"second").await, ResultDisposition::Accepted);
    let task = story.client.task(&story.id).await;
    assert_eq!((task.result.clone(), task.lease_count), (bytes(b"second"), 2));
    assert_eq!(ends(&task), LOST_AND_SUCCEEDED);
}

/// A worker whose only slot is free when it is back does not get its task again before its result is heard.
#[tokio::test]
async fn an_outbox_that_comes_with_the_hello_is_heard_before_anything_is_leased() {
    let coordinator = patient_coordinator().await;
    let mut client = coordinator.client();
    let task = TaskSpec { queue: PATIENT.into(), retry: Some(at_once()), ..spec("script") };
    for round in 0..5 {
        let name = format!("worker-{round}");
        let id = client.submit(task.clone()).await;
        let mut script = Script::join(coordinator.address, hello(&name, "script", 1)).await;
        let token = script.assignment().await.fencing_token;
        script.started(token).await;
        client.in_state(&id, TaskState::Running).await;
        drop(script);
        until("its session is over", SOON, async || client.task(&id).await.worker_loss_count == 1)
            .await;
        let mut script = Script::open(coordinator.address).await.expect("a stream opens");
        let back = holding(hello(&name, "script", 1), &[(token, LeasePhase::Finished)]);
        script.say([Say::Hello(back.into()), Say::LeaseOutcome(success(token, b"done"))]).await;
        assert_eq!(script.ack_of(token).await, ResultDisposition::Accepted);
        assert_eq!(client.task(&id).await.lease_count, 1);
        script.leave().await;
    }
}

/// A worker that is stopped in the middle of its work, until its task is nobody's.
struct Story {
    coordinator: Coordinator,
    client: Client,
    first: Process,
    id: String,
}

impl Story {
    async fn tell(queue: &str) -> Self {
        let coordinator = patient_coordinator().await;
        let mut client = coordinator.client();
        let first = worker(&coordinator, "first", 1, &[]);
        let payload = bytes(coordinator.dir().join("input").display().to_string().as_bytes());
        let retry = Some(at_once());
        let id = client
            .submit(TaskSpec { queue: queue.to_owned(), retry, payload, ..spec("file") })
            .await;
        until("the first has begun", SOON, async || first.log().contains("waiting for")).await;
        first.freeze().await;
        let patience = SOON.max(Duration::from_secs(10));
        until("the first is given up", patience, async || {
            client.task(&id).await.worker_loss_count == 1
        })
        .await;
        Self { coordinator, client, first, id }
    }

    /// What the worker waits for is there, and it goes on.
    fn wake(&self) {
        let input = self.coordinator.dir().join("input");
        fs::write(&input, "a report\n").expect("it can be written");
        self.first.signal(Signal::CONT);
    }
}

async fn patient_coordinator() -> Coordinator {
    let config = Some(CONFIG.to_owned());
    Coordinator::start_with(Options { config, ..Options::short_sessions() }).await
}
