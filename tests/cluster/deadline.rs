//! Deadlines are kept in mind from the submit on: who cannot make it is told, refused or ended, and what a handler submits has no
//! more time than the handler's own task.

use std::time::Duration;

use leasehold_proto::v1::{FailureReason, SubmitTaskRequest, Task, TaskSpec, TaskState, Timeouts};
use tonic::Code;
use tonic_types::StatusExt as _;

use crate::{
    binary,
    client::{Client, duration, spec},
    command_line::run,
    condition::{SOON, eventually},
    coordinator::Coordinator,
    operations::{get, sample},
    program::shell_worker,
    refusal,
    script::{Script, hello},
};

/// How many runs of a type have to be known before the fastest of them says that a task cannot make it.
const RUNS: usize = 20;

/// How long they take at least.
const RUN: Duration = Duration::from_millis(150);

/// Less than any of them took, whatever it is rounded to.
const TOO_SHORT: Duration = Duration::from_millis(60);

/// A worker with a slot for each of the runs that it has made.
async fn practised(coordinator: &Coordinator, client: &mut Client) -> Script {
    let slots = i32::try_from(RUNS).expect("a few");
    let mut script = Script::join(coordinator.address, hello("worker", "run", slots)).await;
    let mut tokens = Vec::new();
    for _ in 0..RUNS {
        client.submit(spec("run")).await;
    }
    for _ in 0..RUNS {
        let token = script.assignment().await.fencing_token;
        script.started(token).await;
        tokens.push(token);
    }
    let nothing = script.next_within(RUN).await;
    assert!(nothing.is_none(), "while they run nothing is said: {nothing:?}");
    for token in tokens {
        script.succeed(token, b"").await;
    }
    script
}

fn short(total: Duration) -> TaskSpec {
    let timeouts = Timeouts { total: Some(duration(total)), ..Timeouts::default() };
    TaskSpec { timeouts: Some(timeouts), ..spec("run") }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_unlikely_to_make_it_is_refused_or_told() {
    let coordinator = Coordinator::start().await;
    let mut client = coordinator.client();
    let _worker = practised(&coordinator, &mut client).await;
    let submit = |more: &[&str]| {
        let args = ["task", "submit", "--type", "run", "--total-timeout", "60ms"];
        run(coordinator.address, &[&args[..], more].concat(), b"")
    };
    for more in [&["--admission", "strict"][..], &["--admission", "strict", "--check"]] {
        let refused = submit(more);
        let said = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert_eq!(refused.status.code(), Some(6), "{refused:?}");
        assert!(said.contains("the task has 60ms and is likely to need"), "{said}");
    }
    let told = submit(&["--check"]);
    let said = String::from_utf8_lossy(&told.stderr).into_owned();
    assert_eq!(told.status.code(), Some(0), "{told:?}");
    assert!(said.contains("is likely to be over in"), "{said}");
    let line = b"{\"type\":\"run\",\"total_timeout\":\"60ms\",\"admission\":\"strict\"}\n";
    let lines = run(coordinator.address, &["task", "submit", "--jsonl", "-"], line);
    assert_eq!(lines.status.code(), Some(6), "{lines:?}");

    let strict = |total| SubmitTaskRequest {
        spec: Some(Box::new(TaskSpec { admission: 2, ..short(total) })),
        ..SubmitTaskRequest::default()
    };
    let status = client.tasks.submit_task(strict(TOO_SHORT)).await.expect_err("it is refused");
    refusal::expect(&status, Code::FailedPrecondition, "DEADLINE_INFEASIBLE");
    let facts = status.get_details_error_info().expect("it says why").metadata;
    let fact = |name: &str| facts.get(name).map(String::as_str);
    assert_eq!((fact("remaining"), fact("tasksAhead")), (Some("0.060s"), Some("0")));
    assert_eq!((fact("slots"), fact("boundBy")), (Some("20"), Some("its own run")));
    assert!(fact("feasible").is_some() && fact("usualRunTime").is_some(), "{facts:?}");
    let accepted = client.tasks.submit_task(strict(SOON)).await.expect("it has time enough");
    assert_eq!(accepted.into_inner().expected_finish_time, None);
    assert_eq!(client.list("default").await.len(), RUNS + 1, "nothing is left of those refused");
}

#[tokio::test]
async fn what_cannot_make_it_takes_no_slot() {
    let coordinator = Coordinator::start().await;
    let mut client = coordinator.client();
    let mut worker = practised(&coordinator, &mut client).await;
    let request = SubmitTaskRequest { spec: Some(short(TOO_SHORT).into()), ..Default::default() };
    let answer = client.tasks.submit_task(request).await.expect("it is accepted").into_inner();
    assert!(answer.expected_finish_time.is_some(), "whoever submits it is told: {answer:?}");
    let task = client.ended(&answer.task_id).await;
    let failure = task.last_failure.as_ref().expect("it failed");
    assert_eq!((task.state(), failure.reason()), (TaskState::Failed, FailureReason::TotalTimeout));
    assert!(failure.message.contains("none of the last 20 tasks of this type"), "{failure:?}");
    assert_eq!(task.lease_count, 0, "it took no slot");
    let next = client.submit(spec("run")).await;
    assert_eq!(worker.assignment().await.task_id, next, "what is behind it goes on");
    let counted = |metrics: &str| sample(metrics, "leasehold_tasks_culled_total") == Some(1.0);
    let metrics = eventually("it is counted", SOON, async || {
        Some(get(coordinator.ops, "/metrics").await.body).filter(|metrics| counted(metrics))
    })
    .await;
    let spared = sample(&metrics, "leasehold_culled_run_seconds_total");
    assert!(spared.is_some_and(|it| RUN.as_secs_f64() <= it), "{spared:?}");
}

/// Submits three tasks: one that says nothing of its time, one that wants more than there is, one that is not to inherit.
const PARENT: &str = r#"
read dir
submit() { "$CLI" --address "$COORDINATOR" task submit --type child "$@"; }
submit > "$dir/plain" && submit --total-timeout 1h > "$dir/long" &&
submit --total-timeout 1h --no-inherit > "$dir/apart" &&
echo '{"payload":"line"}' | submit --jsonl - > "$dir/line"
"#;

#[tokio::test]
async fn what_a_handler_submits_has_no_more_time_than_is_left_to_it() {
    let coordinator = Coordinator::start().await;
    let mut client = coordinator.client();
    let cli = binary::cli().get_program().to_string_lossy().into_owned();
    let known = format!("CLI='{cli}' COORDINATOR=http://{}\n", coordinator.address);
    let _worker = shell_worker(&coordinator, "parent", &format!("{known}{PARENT}"));
    let line = format!("{}\n", coordinator.dir().display());
    let timeouts = Timeouts { total: Some(duration(SOON * 4)), ..Timeouts::default() };
    let parent =
        TaskSpec { payload: line.into_bytes().into(), timeouts: Some(timeouts), ..spec("script") };
    let id = client.submit(parent).await;
    let parent = client.ended(&id).await;
    assert_eq!(parent.state(), TaskState::Succeeded, "{parent:#?}");
    let [plain, long, apart, line] = ["plain", "long", "apart", "line"].map(|name| {
        let id = std::fs::read_to_string(coordinator.dir().join(name)).expect("it was submitted");
        id.trim().to_owned()
    });
    let deadline = |task: &Task| task.deadline_time.expect("a task has a deadline").seconds;
    let trace = |task: &Task| {
        let spec = task.spec.as_ref().expect("a task has a spec");
        let trace = spec.trace_context.as_ref().expect("a task has a trace");
        trace.traceparent.get(3..35).expect("an id").to_owned()
    };
    for id in [plain, long, line] {
        let child = client.task(&id).await;
        // The clocks of three processes of one machine, each rounded to a millisecond.
        assert!(deadline(&child) <= deadline(&parent) + 1, "{child:#?}");
        assert_eq!(trace(&child), trace(&parent));
    }
    let apart = client.task(&apart).await;
    assert!(deadline(&parent) + 1_000 < deadline(&apart), "{apart:#?}");
    assert_ne!(trace(&apart), trace(&parent));
}
