//! An acknowledged submit survives, under its key it happens once, and bad input is refused whole.

use std::time::{Duration, SystemTime};

use leasehold_proto::v1::{
    AwaitTaskRequest, BatchSubmitTasksRequest, BlockedReason, CancelTaskRequest, GetTaskRequest,
    ResumeQueueRequest, RetryPolicy, SubmitTaskRequest, SubmitTaskResponse, TaskSpec, TaskState,
    Timeouts, TraceContext, submit_outcome::Outcome,
};
use tonic::{Code, Status};

use crate::{
    client::{Client, duration, spec},
    coordinator::{Coordinator, Options},
    refusal::{self, Refusal},
    script::{Script, bytes, hello},
};

#[tokio::test]
async fn the_same_key_is_the_same_task_also_after_a_crash() {
    let mut coordinator = Coordinator::start().await;
    let mut client = coordinator.client();
    let first = keyed(&mut client, "k", "echo", b"a").await.expect("accepted");
    assert!(!first.deduplicated);
    let again = SubmitTaskResponse { deduplicated: true, ..first.clone() };
    assert_eq!(keyed(&mut client, "k", "echo", b"a").await.expect("the same"), again);
    coordinator.kill();
    coordinator.restart().await;
    assert_eq!(keyed(&mut client, "k", "echo", b"a").await.expect("the same"), again);

    for (task_type, payload) in [("echo", b"b"), ("other", b"a")] {
        let status = keyed(&mut client, "k", task_type, payload).await.expect_err("a conflict");
        refusal::expect(&status, Code::AlreadyExists, "IDEMPOTENCY_KEY_CONFLICT");
    }
    let mut script = Script::join(coordinator.address, hello("worker", "echo", 4)).await;
    let token = script.assignment().await.fencing_token;
    script.succeed(token, b"").await;
    client.ended(&first.task_id).await;
    coordinator.kill();
    coordinator.restart().await;
    assert_eq!(keyed(&mut client, "k", "echo", b"a").await.expect("it outlives its task"), again);
}

async fn keyed(
    client: &mut Client,
    key: &str,
    task_type: &str,
    payload: &[u8],
) -> Result<SubmitTaskResponse, Status> {
    let request = SubmitTaskRequest {
        spec: Some(Box::new(TaskSpec { payload: bytes(payload), ..spec(task_type) })),
        idempotency_key: key.to_owned(),
        ..SubmitTaskRequest::default()
    };
    Ok(client.tasks.submit_task(request).await?.into_inner())
}

#[tokio::test]
async fn everything_wrong_with_a_task_is_said_at_once() {
    let coordinator = Coordinator::start().await;
    let client = coordinator.client();
    let seconds = |it| Some(prost_types::Duration { seconds: it, nanos: 0 });
    let good = || spec("echo");
    let cases: Vec<(TaskSpec, &[&str])> = vec![
        (spec(""), &["spec.task_type"]),
        (spec(&"x".repeat(129)), &["spec.task_type"]),
        (spec("a\u{7}b"), &["spec.task_type"]),
        (TaskSpec { queue: "a b".to_owned(), ..good() }, &["spec.queue"]),
        (TaskSpec { queue: "\u{1b}[31m".to_owned(), ..good() }, &["spec.queue"]),
        (TaskSpec { queue: "q".repeat(129), ..good() }, &["spec.queue"]),
        (TaskSpec { priority: Some(10), ..good() }, &["spec.priority"]),
        (TaskSpec { priority: Some(-1), ..good() }, &["spec.priority"]),
        (TaskSpec { content_type: "x".repeat(129), ..good() }, &["spec.content_type"]),
        (TaskSpec { initial_delay: seconds(-1), ..good() }, &["spec.initial_delay"]),
        (TaskSpec { initial_delay: seconds(i64::MAX), ..good() }, &["spec.initial_delay"]),
        (within(|it| it.attempt = seconds(0)), &["spec.timeouts.attempt"]),
        (within(|it| it.start = seconds(-5)), &["spec.timeouts.start"]),
        (within(|it| it.total = seconds(400 * 86_400)), &["spec.timeouts.total"]),
        (within(|it| it.deadline = Some(yesterday())), &["spec.timeouts.deadline"]),
        (retrying(|it| it.max_attempts = Some(0)), &["spec.retry.max_attempts"]),
        (retrying(|it| it.factor = Some(f64::NAN)), &["spec.retry.factor"]),
        (retrying(|it| it.cap = seconds(-1)), &["spec.retry.cap"]),
        (
            TaskSpec { queue: "/".to_owned(), priority: Some(99), ..spec("") },
            &["spec.priority", "spec.queue", "spec.task_type"],
        ),
    ];
    for (spec, fields) in cases {
        let said = format!("{spec:?}");
        let request = SubmitTaskRequest { spec: Some(spec.into()), ..Default::default() };
        let refusal = refused(&client, request).await;
        assert_eq!(
            (refusal.code, refusal.reason.as_str()),
            (Code::InvalidArgument, "INVALID_FIELD")
        );
        assert_eq!(refusal.fields, fields, "{said}");
    }
    let labels = (0..17).map(|it| (format!("l{it}"), String::new())).collect();
    let request = SubmitTaskRequest {
        spec: Some(Box::new(TaskSpec { labels, ..good() })),
        idempotency_key: "k".repeat(257),
        validate_only: true,
        ..SubmitTaskRequest::default()
    };
    assert_eq!(refused(&client, request).await.fields, ["idempotency_key", "spec.labels"]);
    assert_eq!(refused(&client, SubmitTaskRequest::default()).await.fields, ["spec.task_type"]);
    assert!(
        client.clone().list("default").await.is_empty(),
        "what is refused leaves nothing behind"
    );
}

async fn refused(client: &Client, request: SubmitTaskRequest) -> Refusal {
    let said = format!("{request:?}");
    match client.clone().tasks.submit_task(request).await {
        Ok(answer) => panic!("{answer:?} to {said}"),
        Err(status) => Refusal::of(&status),
    }
}

fn within(change: impl FnOnce(&mut Timeouts)) -> TaskSpec {
    let mut timeouts = Timeouts::default();
    change(&mut timeouts);
    TaskSpec { timeouts: Some(timeouts), ..spec("echo") }
}

fn retrying(change: impl FnOnce(&mut RetryPolicy)) -> TaskSpec {
    let mut retry = RetryPolicy::default();
    change(&mut retry);
    TaskSpec { retry: Some(retry), ..spec("echo") }
}

fn yesterday() -> prost_types::Timestamp {
    (SystemTime::now() - Duration::from_hours(24)).into()
}

#[tokio::test]
async fn payloads_messages_and_queues_have_bounds() {
    let config = "limits:\n  payload_bytes: 1024\n  queues: 2\n".to_owned();
    let options = Options { config: Some(config), ..Options::default() };
    let coordinator = Coordinator::start_with(options).await;
    let mut client = coordinator.client();
    let sized = |bytes: usize| SubmitTaskRequest {
        spec: Some(Box::new(TaskSpec { payload: vec![b'x'; bytes].into(), ..spec("echo") })),
        ..Default::default()
    };
    client.tasks.submit_task(sized(1024)).await.expect("the limit itself is allowed");
    let large = refused(&client, sized(1025)).await;
    assert_eq!((large.code, large.reason.as_str()), (Code::InvalidArgument, "PAYLOAD_TOO_LARGE"));
    let huge = refused(&client, sized(6 << 20)).await;
    assert!(matches!(huge.code, Code::OutOfRange | Code::ResourceExhausted), "{huge:?}");

    let queued = |queue: &str| SubmitTaskRequest {
        spec: Some(Box::new(TaskSpec { queue: queue.to_owned(), ..spec("echo") })),
        ..Default::default()
    };
    client.tasks.submit_task(queued("second")).await.expect("there is room for a second queue");
    let third = refused(&client, queued("third")).await;
    assert_eq!((third.code, third.reason.as_str()), (Code::ResourceExhausted, "QUEUE_FULL"));
    client.tasks.submit_task(queued("second")).await.expect("the others go on");
}

#[tokio::test]
async fn a_queue_is_not_created_where_the_configuration_forbids_it() {
    let config = "queues:\n  create: false\n".to_owned();
    let options = Options { config: Some(config), ..Options::default() };
    let coordinator = Coordinator::start_with(options).await;
    let spec = TaskSpec { queue: "unheard-of".to_owned(), ..spec("echo") };
    let request = SubmitTaskRequest { spec: Some(spec.into()), ..Default::default() };
    let refusal = refused(&coordinator.client(), request).await;
    assert_eq!((refusal.code, refusal.reason.as_str()), (Code::NotFound, "QUEUE_NOT_FOUND"));
}

#[tokio::test]
async fn one_bad_task_of_a_batch_harms_no_other() {
    let coordinator = Coordinator::start().await;
    let mut client = coordinator.client();
    let request =
        |spec: TaskSpec| SubmitTaskRequest { spec: Some(spec.into()), ..Default::default() };
    let requests = vec![request(spec("echo")), request(spec("")), request(spec("echo"))];
    let answer = client.tasks.batch_submit_tasks(BatchSubmitTasksRequest { requests }).await;
    let outcomes = answer.expect("the batch is answered").into_inner().outcomes;
    let outcomes: Vec<Outcome> = outcomes.into_iter().filter_map(|it| it.outcome).collect();
    let [Outcome::Accepted(first), Outcome::Refused(refused), Outcome::Accepted(third)] =
        outcomes.as_slice()
    else {
        panic!("{outcomes:#?}");
    };
    assert_ne!(first.task_id, third.task_id);
    assert_eq!(
        (refused.code, refused.reason.as_str()),
        (Code::InvalidArgument as i32, "INVALID_FIELD")
    );
    assert_eq!(refused.field_violations[0].field, "spec.task_type");
    for bad in [0, 1_001] {
        let requests = vec![request(spec("echo")); bad];
        let answer = client.tasks.batch_submit_tasks(BatchSubmitTasksRequest { requests }).await;
        let status = answer.expect_err("1 to 1,000 tasks");
        refusal::expect(&status, Code::InvalidArgument, "INVALID_FIELD");
    }
}

#[tokio::test]
async fn checking_accepts_nothing() {
    let coordinator = Coordinator::start().await;
    let mut client = coordinator.client();
    let request = SubmitTaskRequest {
        spec: Some(spec("echo").into()),
        validate_only: true,
        ..Default::default()
    };
    let answer = client.tasks.submit_task(request).await.expect("it is valid").into_inner();
    assert_eq!(answer.task_id, "");
    assert!(client.list("default").await.is_empty());
}

#[tokio::test]
async fn an_unknown_task_is_not_found_by_any_call() {
    let coordinator = Coordinator::start().await;
    let mut client = coordinator.client();
    let nobody = "01890a5d-ac96-774b-bcce-b302099a8057".to_owned();
    let get = client.tasks.get_task(GetTaskRequest { task_id: nobody.clone() }).await.err();
    let max_wait = Some(duration(Duration::from_secs(1)));
    let wait = AwaitTaskRequest { task_id: nobody.clone(), max_wait };
    let wait = client.tasks.await_task(wait).await.err();
    let cancel = client.tasks.cancel_task(CancelTaskRequest { task_id: nobody }).await.err();
    for status in [get, wait, cancel] {
        refusal::expect(&status.expect("nobody has this id"), Code::NotFound, "TASK_NOT_FOUND");
    }
    for malformed in ["", "x", "01890a5d", "01890a5d-ac96-774b-bcce-b302099a805\u{e9}"] {
        let request = GetTaskRequest { task_id: malformed.to_owned() };
        let status = client.tasks.get_task(request).await.expect_err("this is no id");
        refusal::expect(&status, Code::InvalidArgument, "INVALID_FIELD");
    }
    let request = ResumeQueueRequest { queue: "unheard-of".to_owned(), ..Default::default() };
    let status = client.admin.resume_queue(request).await.expect_err("there is no such queue");
    refusal::expect(&status, Code::NotFound, "QUEUE_NOT_FOUND");
}

#[tokio::test]
async fn a_malformed_trace_context_starts_a_new_trace() {
    let coordinator = Coordinator::start().await;
    let mut client = coordinator.client();
    for traceparent in ["nonsense", "00-00000000000000000000000000000000-b7ad6b7169203331-01"] {
        let context =
            TraceContext { traceparent: traceparent.to_owned(), tracestate: String::new() };
        let id = client.submit(TaskSpec { trace_context: Some(context), ..spec("echo") }).await;
        let stored = client.task(&id).await.spec.and_then(|it| it.trace_context);
        let stored = stored.expect("every task has a trace").traceparent;
        assert!(stored.starts_with("00-") && stored.len() == 55, "{stored}");
        assert!(!stored.contains(&"0".repeat(32)), "{stored}");
    }
}

#[tokio::test]
async fn a_task_waits_for_its_time_and_says_why() {
    let coordinator = Coordinator::start().await;
    let mut client = coordinator.client();
    let delay = Some(duration(Duration::from_hours(1)));
    let later = client.submit(TaskSpec { initial_delay: delay, ..spec("echo") }).await;
    let task = client.task(&later).await;
    assert_eq!(
        (task.state(), task.blocked_reason()),
        (TaskState::Scheduled, BlockedReason::Delayed)
    );
    let now = client.submit(spec("echo")).await;
    let task = client.task(&now).await;
    assert_eq!(
        (task.state(), task.blocked_reason()),
        (TaskState::Queued, BlockedReason::NoEligibleWorker)
    );
    let soon = Some(duration(Duration::from_millis(100)));
    let urgent =
        client.submit(TaskSpec { initial_delay: soon, priority: Some(0), ..spec("echo") }).await;
    client.in_state(&urgent, TaskState::Queued).await;
    // The more urgent task comes first although it was queued last.
    let mut script = Script::join(coordinator.address, hello("worker", "echo", 1)).await;
    for id in [urgent, now] {
        let assignment = script.assignment().await;
        assert_eq!(assignment.task_id, id);
        script.succeed(assignment.fencing_token, b"").await;
    }
}
