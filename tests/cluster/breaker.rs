//! Circuit breakers over real processes: what a dependency does that is down, and that nothing is lost by it.

use std::{fs, path::Path};

use leasehold_proto::v1::{
    BlockedReason, CircuitState, ListBreakersRequest, ResetBreakerRequest, RetryPolicy,
    SubmitTaskRequest, TaskSpec, TaskState,
};
use tonic::Code;

use crate::{
    client::{Client, spec},
    command_line::run,
    condition::{SOON, until},
    coordinator::{Coordinator, Options},
    operations::{get, sample},
    process::Process,
    program::{at_once, shell_task, shell_worker},
    refusal,
};

/// Fails while there is a file `down`, and says each time that it did.
const SHOPPER: &str = r#"
read dir
if [ -e "$dir/down" ]; then echo $LEASEHOLD_FENCING_TOKEN >> "$dir/failed"; exit 1; fi
echo bought
"#;

/// How many calls have to fail.
const CALLS_MIN: usize = 3;

/// As often each task may be tried: none ends for those.
const ATTEMPTS_MAX: i32 = 4;

/// The circuit of the shop is open for that long.
fn config(open_for: &str) -> String {
    format!(
        "reload: {{interval: 100ms}}\n\
         breakers: {{dependencies: {{shop: {{min_calls: {CALLS_MIN}, open_for: {open_for}, open_for_max: {open_for}, probes: 1}}}}}}\n"
    )
}

fn errand(dir: &Path) -> TaskSpec {
    let retry = RetryPolicy { max_attempts: Some(ATTEMPTS_MAX), ..at_once() };
    let dependencies = vec!["shop".to_owned()];
    TaskSpec { retry: Some(retry), dependencies, ..shell_task(dir) }
}

/// How often the shop turned somebody away.
fn failed(dir: &Path) -> usize {
    fs::read_to_string(dir.join("failed")).map_or(0, |text| text.lines().count())
}

/// A coordinator whose circuit of the shop is open for longer than the test, a worker, and tasks that wait for it.
async fn shut_shop() -> (Coordinator, Process, Client, Vec<String>) {
    let config = Some(config("1h"));
    let coordinator = Coordinator::start_with(Options { config, ..Options::default() }).await;
    fs::write(coordinator.dir().join("down"), "").expect("the file can be written");
    let worker = shell_worker(&coordinator, "worker", SHOPPER);
    let mut client = coordinator.client();
    let mut ids = Vec::new();
    for _ in 0..10 {
        ids.push(client.submit(errand(coordinator.dir())).await);
    }
    let last = ids[9].clone();
    until("the circuit opens", SOON, async || {
        client.task(&last).await.blocked_reason() == BlockedReason::CircuitOpen
    })
    .await;
    (coordinator, worker, client, ids)
}

/// Every task succeeds, and nothing but the calls that opened the circuit has cost an attempt.
async fn everything_succeeds(coordinator: &Coordinator, client: &mut Client, ids: &[String]) {
    let mut attempts = 0;
    for id in ids {
        let task = client.ended(id).await;
        assert_eq!(task.state(), TaskState::Succeeded, "{task:#?}");
        attempts += usize::try_from(task.attempt_count).expect("a few");
    }
    assert_eq!(failed(coordinator.dir()), CALLS_MIN, "nobody was turned away while it was open");
    assert_eq!(attempts, ids.len() + CALLS_MIN, "one each, and those that opened it");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tasks_wait_while_what_they_call_is_down_and_all_succeed_when_it_is_up() {
    let (coordinator, _worker, mut client, ids) = shut_shop().await;
    let task = client.task(&ids[9]).await;
    assert_eq!(task.attempt_count, 0);
    let by = task.blocked_by.expect("it says by what");
    let counts = (by.used_count, by.max_count, by.available_time.is_some());
    assert_eq!((by.limit.as_str(), counts), ("breakers.dependencies.shop", (3, 3, true)));
    let shown = run(coordinator.address, &["task", "get", &ids[9]], b"");
    let shown = String::from_utf8_lossy(&shown.stdout).into_owned();
    let sentence = "breakers.dependencies.shop is open: 3 of 3 attempts failed or were slow";
    assert!(shown.contains(sentence), "{shown}");

    let fast = TaskSpec { fail_fast: true, ..errand(coordinator.dir()) };
    let request = SubmitTaskRequest { spec: Some(fast.into()), ..SubmitTaskRequest::default() };
    let status = client.tasks.submit_task(request).await.expect_err("it is refused");
    let refused = refusal::expect(&status, Code::Unavailable, "CIRCUIT_OPEN");
    assert!(refused.retry.is_some(), "{status:?}");

    // What does not call it goes on.
    let other = client.submit(TaskSpec { retry: None, ..shell_task(Path::new("/")) }).await;
    assert_eq!(client.ended(&other).await.state(), TaskState::Succeeded);

    fs::remove_file(coordinator.dir().join("down")).expect("it was there");
    fs::write(coordinator.dir().join("coordinator.yaml"), config("500ms")).expect("it is written");
    everything_succeeds(&coordinator, &mut client, &ids).await;
    let breakers = client.admin.list_breakers(ListBreakersRequest {}).await;
    let breakers = breakers.expect("it is answered").into_inner().breakers;
    assert_eq!((breakers.len(), breakers[0].state()), (1, CircuitState::Closed));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_operator_sees_an_open_circuit_and_closes_it() {
    let (coordinator, _worker, mut client, ids) = shut_shop().await;
    let listed = run(coordinator.address, &["breaker", "list"], b"");
    let listed = String::from_utf8_lossy(&listed.stdout).into_owned();
    let line = listed.lines().nth(1).expect("a breaker").split_whitespace().collect::<Vec<_>>();
    assert_eq!(&line[..2], ["dependencies.shop", "open"], "{listed}");
    // Those that failed wait for their next attempt first.
    assert!(line.last().is_some_and(|it| 7 <= it.parse::<usize>().expect("a count")), "{listed}");
    let (state, turns) = (
        "leasehold_circuit_state{breaker=\"dependencies.shop\"}",
        "leasehold_circuit_transitions_total{breaker=\"dependencies.shop\",to=\"open\"}",
    );
    until("the metrics say so", SOON, async || {
        let metrics = get(coordinator.ops, "/metrics").await.body;
        (sample(&metrics, state), sample(&metrics, turns)) == (Some(2.0), Some(1.0))
    })
    .await;

    fs::remove_file(coordinator.dir().join("down")).expect("it was there");
    let unknown = ResetBreakerRequest { name: "dependencies.shops".to_owned() };
    let status = client.admin.reset_breaker(unknown).await.expect_err("there is none");
    refusal::expect(&status, Code::InvalidArgument, "INVALID_FIELD");
    let reset = run(coordinator.address, &["breaker", "reset", "dependencies.shop"], b"");
    let said = String::from_utf8_lossy(&reset.stdout).into_owned();
    assert!(said.contains("closed"), "{reset:?}");
    everything_succeeds(&coordinator, &mut client, &ids).await;
    let opened = coordinator.process.events();
    let is_told = |message: &str| opened.iter().any(|it| it["message"] == message);
    assert!(is_told("a circuit opened") && is_told("a circuit closed"));
}

#[tokio::test]
async fn a_dependency_without_a_breaker_is_refused_and_says_what_to_do() {
    let config = Some(config("1h"));
    let coordinator = Coordinator::start_with(Options { config, ..Options::default() }).await;
    let mut client = coordinator.client();
    let task = TaskSpec { dependencies: vec!["ship".to_owned()], ..spec("echo") };
    let request = SubmitTaskRequest { spec: Some(task.into()), ..SubmitTaskRequest::default() };
    let status = client.tasks.submit_task(request).await.expect_err("it is refused");
    refusal::expect(&status, Code::InvalidArgument, "INVALID_FIELD");
    assert!(status.message().starts_with("spec.dependencies[0]"), "{status:?}");
}
