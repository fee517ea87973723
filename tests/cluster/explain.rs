//! Whoever follows what an explanation advises sees the task run: for each thing that can hold one back, real processes, and
//! each piece of advice in turn.

use std::{fs, time::Duration};

use leasehold_proto::v1::{
    Advice, AdviceKind, BlockedReason, Blocker, ExplainQueueRequest, ExplainTaskRequest,
    Explanation, Jitter, LeaseBound, LeaseBoundKind, RateCharge, RetryPolicy, TaskBudget, TaskSpec,
    TaskState, WorkerState,
};
use serde_json::Value;

use crate::{
    binary,
    client::{Client, duration, spec},
    command_line::run,
    condition::{SOON, eventually, until},
    coordinator::{Coordinator, Options},
    process::Process,
    script::bytes,
    worker,
};

/// Long enough to be looked at on a busy machine, short enough to be waited for.
const WHILE: Duration = Duration::from_secs(5);

/// What a task needs a worker to read in these tests.
const SCHEMA: &str = "3f2a9c0d1e2f3a4b5c6d7e8f90a1b2c3d4e5f60718293a4b5c6d7e8f90a1b2c3";

/// A coordinator with one worker, which serves what ends at once and what does not end.
struct Scene {
    coordinator: Coordinator,
    client: Client,
    _worker: Process,
}

impl Scene {
    async fn set(config: &str, slots: u32, args: &[&str]) -> Self {
        let config = Some(config.to_owned());
        let options = Options { config, ..Options::default() };
        let coordinator = Coordinator::start_with(options).await;
        let programs = [("work", "cat"), ("hold", "sleep 600"), ("fail", "false")];
        let options = worker::Options { id: "first", slots, programs: &programs, args, env: &[] };
        let worker = worker::start(coordinator.address, coordinator.dir(), &options);
        let mut client = coordinator.client();
        until("the worker is there", SOON, async || client.worker("first").await.is_some()).await;
        Self { coordinator, client, _worker: worker }
    }

    /// Submits a task and waits until it runs.
    async fn hold(&mut self, spec: TaskSpec) -> String {
        let id = self.client.submit(spec).await;
        self.client.in_state(&id, TaskState::Running).await;
        id
    }

    async fn explain(&mut self, id: &str) -> Explanation {
        let request = ExplainTaskRequest { task_id: id.to_owned() };
        let answer = self.client.tasks.explain_task(request).await.expect("it is explained");
        answer.into_inner().explanation.expect("an explanation")
    }

    /// Does what an advice says, to the letter but for what it leaves to be filled in.
    fn follow(&self, advice: &Advice) -> Option<Process> {
        let dir = self.coordinator.dir();
        let is_for_worker = advice.kind() == AdviceKind::StartWorker;
        let name = if is_for_worker { "worker.yaml" } else { "coordinator.yaml" };
        let file = dir.join(name).to_str().expect("a path of UTF-8").to_owned();
        if !advice.configuration.is_empty() {
            let text = advice.configuration.replace("COMMAND", "cat");
            let text =
                text.replace("share: SHARE, per_second: RATE", "share: 0.5, per_second: 100");
            let text = text.replace("BURST", "10").replace("RATE", "100/s");
            fs::write(&file, text).expect("the configuration can be written");
        }
        let command = advice.command.replace("COMMAND", "cat").replace("FILE", &file);
        let command = command.replace("NAME", "second");
        let words = words_of(&command);
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        match words[..] {
            [""] => None,
            ["leasehold", ref args @ ..] => {
                let output = run(self.coordinator.address, args, b"");
                assert!(output.status.success(), "{advice:?}: {output:?}");
                None
            }
            ["leasehold-worker", ref args @ ..] => {
                let mut worker = binary::worker();
                let address = format!("http://{}", self.coordinator.address);
                worker.args(["--address", &address]).args(args);
                Some(Process::spawn("second", worker, dir.join("second.log")))
            }
            _ => panic!("an unknown command: {advice:?}"),
        }
    }
}

/// The words of a command as a shell has them: what is between quotes is one.
fn words_of(command: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    for (at, part) in command.split('\'').enumerate() {
        let quoted = at % 2 == 1;
        for (n, word) in part.split(|c| c == ' ' && !quoted).enumerate() {
            if 0 < n {
                words.push(String::new());
            }
            words.last_mut().expect("a word").push_str(word);
        }
    }
    words
}

fn work() -> TaskSpec {
    TaskSpec { payload: bytes(b"done"), ..spec("work") }
}

/// Sets the scene anew for each piece of advice that its task's first blocker gives, follows it, and sees the task run.
async fn check(
    reason: BlockedReason,
    kinds: &[AdviceKind],
    set: impl AsyncFn() -> (Scene, String),
    look: impl Fn(&Blocker),
) {
    for (at, kind) in kinds.iter().enumerate() {
        let (mut scene, id) = set().await;
        let explanation = eventually("it is held as it should be", SOON, async || {
            let explanation = scene.explain(&id).await;
            let first = explanation.blockers.first().map(Blocker::reason);
            (first == Some(reason)).then_some(explanation)
        })
        .await;
        assert_eq!(scene.client.task(&id).await.blocked_reason(), reason, "{explanation:#?}");
        let first = &explanation.blockers[0];
        look(first);
        let given: Vec<AdviceKind> = first.advice.iter().map(Advice::kind).collect();
        assert_eq!(given, kinds, "{first:#?}");
        let worker = scene.follow(&first.advice[at]);
        let ended = scene.client.ended(&id).await;
        assert_eq!(
            ended.state(),
            TaskState::Succeeded,
            "after {kind:?}: {ended:#?} {}",
            worker.map(|worker| worker.tail()).unwrap_or_default()
        );
    }
}

#[tokio::test]
async fn what_waits_for_a_circuit_runs_when_it_lets_a_probe_through_or_is_closed() {
    let breaker = "{min_calls: 1, open_for: 5s, open_for_max: 5s}";
    let config = format!("breakers: {{dependencies: {{the shop: {breaker}}}}}");
    let set = async || {
        let mut scene = Scene::set(&config, 1, &[]).await;
        let dependencies = vec!["the shop".to_owned()];
        let retry = Some(RetryPolicy { max_attempts: Some(1), ..RetryPolicy::default() });
        let call = TaskSpec { dependencies: dependencies.clone(), retry, ..spec("fail") };
        let failed = scene.client.submit(call).await;
        scene.client.ended(&failed).await;
        let id = scene.client.submit(TaskSpec { dependencies, ..work() }).await;
        (scene, id)
    };
    let kinds = [AdviceKind::Wait, AdviceKind::ResetBreaker];
    check(BlockedReason::CircuitOpen, &kinds, set, |blocker| {
        let limit = blocker.limit.as_ref().expect("what is open");
        assert_eq!(limit.limit, "breakers.dependencies.the shop");
        assert_eq!((limit.used_count, limit.max_count), (1, 1));
        assert_eq!(limit.available_time, blocker.advice[0].time);
    })
    .await;
}

#[tokio::test]
async fn what_failed_runs_again_when_its_retry_budget_has_a_token_or_is_raised() {
    let budget = "retry_budget: {share: 0.0, per_second: 0.1, burst: 1}";
    let breaker = format!("{{min_calls: 100, {budget}}}");
    let config = format!("breakers: {{dependencies: {{the shop: {breaker}}}}}");
    let set = async || {
        let program = r#"again=sh -c "test $LEASEHOLD_ATTEMPT -gt 1""#;
        let mut scene = Scene::set(&config, 1, &["--program", program]).await;
        let retry = RetryPolicy {
            initial: Some(duration(Duration::from_millis(1))),
            jitter: Jitter::None.into(),
            ..RetryPolicy::default()
        };
        let again = TaskSpec {
            dependencies: vec!["the shop".to_owned()],
            retry: Some(retry),
            ..spec("again")
        };
        let first = scene.client.submit(again.clone()).await;
        scene.client.ended(&first).await;
        let id = scene.client.submit(again).await;
        (scene, id)
    };
    let kinds = [AdviceKind::Wait, AdviceKind::RaiseLimit];
    check(BlockedReason::RetryBudget, &kinds, set, |blocker| {
        let limit = blocker.limit.as_ref().expect("what is used up");
        assert_eq!(limit.limit, "breakers.dependencies.the shop.retry_budget");
        assert_eq!((limit.used_count, limit.max_count), (1, 1));
        assert_eq!(limit.available_time, blocker.advice[0].time, "{blocker:?}");
    })
    .await;
}

#[tokio::test]
async fn what_is_delayed_runs_when_its_time_has_come() {
    let set = async || {
        let mut scene = Scene::set("", 1, &[]).await;
        let id = TaskSpec { initial_delay: Some(duration(WHILE)), ..work() };
        let id = scene.client.submit(id).await;
        (scene, id)
    };
    check(BlockedReason::Delayed, &[AdviceKind::Wait], set, |blocker| {
        assert_eq!(blocker.until_time, blocker.advice[0].time, "{blocker:?}");
    })
    .await;
}

#[tokio::test]
async fn what_failed_runs_again_after_its_backoff() {
    let set = async || {
        let program = r#"again=sh -c "test $LEASEHOLD_ATTEMPT -gt 1""#;
        let mut scene = Scene::set("", 1, &["--program", program]).await;
        let retry = RetryPolicy {
            initial: Some(duration(WHILE)),
            jitter: Jitter::None.into(),
            ..RetryPolicy::default()
        };
        let id = TaskSpec { retry: Some(retry), ..spec("again") };
        let id = scene.client.submit(id).await;
        (scene, id)
    };
    check(BlockedReason::Backoff, &[AdviceKind::Wait], set, |_| {}).await;
}

#[tokio::test]
async fn what_is_paused_runs_when_its_queue_is_resumed() {
    let set = async || {
        let mut scene = Scene::set("", 1, &[]).await;
        run(scene.coordinator.address, &["queue", "pause", "emails"], b"");
        let id = scene.client.submit(TaskSpec { queue: "emails".to_owned(), ..work() }).await;
        (scene, id)
    };
    check(BlockedReason::QueuePaused, &[AdviceKind::ResumeQueue], set, |blocker| {
        assert!(blocker.pause_time.is_some(), "{blocker:?}");
    })
    .await;
}

#[tokio::test]
async fn what_nobody_serves_runs_when_the_worker_is_started_that_is_asked_for() {
    let start = [AdviceKind::StartWorker];
    let of_type = async || {
        let mut scene = Scene::set("", 1, &[]).await;
        let id = scene.client.submit(spec("resize")).await;
        (scene, id)
    };
    check(BlockedReason::NoEligibleWorker, &start, of_type, |blocker| {
        let unfit = blocker.unfit_workers.as_ref().expect("it is said");
        assert_eq!((unfit.groups.len(), unfit.other_worker_count), (0, 1), "{unfit:?}");
    })
    .await;

    let labelled = async || {
        let mut scene = Scene::set("", 1, &[]).await;
        let worker_selector = [("gpu".to_owned(), "bob's: big".to_owned())].into();
        let id = scene.client.submit(TaskSpec { worker_selector, ..work() }).await;
        (scene, id)
    };
    check(BlockedReason::NoEligibleWorker, &start, labelled, |blocker| {
        let group = &blocker.unfit_workers.as_ref().expect("it is said").groups[0];
        assert_eq!(
            (group.worker_ids.as_slice(), group.worker_count),
            (&["first".to_owned()][..], 1)
        );
        let gap = &group.labels[0];
        assert_eq!(
            (gap.name.as_str(), gap.wanted.as_str(), &gap.found),
            ("gpu", "bob's: big", &None)
        );
    })
    .await;

    let of_schema = async || {
        let mut scene = Scene::set("", 1, &[]).await;
        let other = SCHEMA.replace('3', "4");
        let file = scene.coordinator.dir().join("other.yaml");
        let text = format!("programs: {{read: {{command: cat, schemas: [{other}]}}}}\n");
        fs::write(&file, text).expect("the configuration can be written");
        let args = ["--config", file.to_str().expect("a path of UTF-8")];
        let options = worker::Options { id: "other", args: &args, ..Default::default() };
        let (address, dir) = (scene.coordinator.address, scene.coordinator.dir());
        // It is gone when the scene is set, and known for as long as its session lasts.
        let _other = worker::start(address, dir, &options);
        until("it is there", SOON, async || scene.client.worker("other").await.is_some()).await;
        let payload_schema = SCHEMA.to_owned();
        let id = scene.client.submit(TaskSpec { payload_schema, ..spec("read") }).await;
        (scene, id)
    };
    check(BlockedReason::NoEligibleWorker, &start, of_schema, |blocker| {
        let group = &blocker.unfit_workers.as_ref().expect("it is said").groups[0];
        assert_eq!(group.payload_schemas, [SCHEMA.replace('3', "4")], "{group:?}");
    })
    .await;
}

#[tokio::test]
async fn what_finds_no_slot_runs_when_another_worker_is_started() {
    let set = async || {
        let mut scene = Scene::set("", 1, &[]).await;
        scene.hold(spec("hold")).await;
        let id = scene.client.submit(work()).await;
        (scene, id)
    };
    check(BlockedReason::NoCapacity, &[AdviceKind::StartWorker], set, |blocker| {
        let slots = blocker.slot_use.as_ref().expect("it is said");
        let taken = &slots.taken_by[0];
        assert_eq!((slots.worker_count, slots.slots, slots.used_slots), (1, 1, 1), "{slots:?}");
        assert_eq!((taken.task_type.as_str(), taken.lease_count), ("hold", 1), "{slots:?}");
    })
    .await;
}

#[tokio::test]
async fn what_waits_for_a_rate_runs_when_there_is_enough_or_when_it_is_raised() {
    let charges = || vec![RateCharge { key: "mail".to_owned(), tokens: None }];
    let set = async || {
        let mut scene = Scene::set("rates: {mail: 6/m burst 1}\n", 2, &[]).await;
        let first = scene.client.submit(TaskSpec { rate_charges: charges(), ..work() }).await;
        scene.client.ended(&first).await;
        let id = scene.client.submit(TaskSpec { rate_charges: charges(), ..work() }).await;
        (scene, id)
    };
    let kinds = [AdviceKind::Wait, AdviceKind::RaiseLimit];
    check(BlockedReason::RateLimited, &kinds, set, |blocker| {
        let limit = blocker.limit.as_ref().expect("it is said");
        assert_eq!((limit.limit.as_str(), limit.key.as_str()), ("rates", "mail"), "{limit:?}");
        assert_eq!(limit.available_time, blocker.advice[0].time, "{blocker:?}");
    })
    .await;
}

/// Puts a task under a limit.
type Dress = fn(TaskSpec) -> TaskSpec;

fn keyed(spec: TaskSpec) -> TaskSpec {
    TaskSpec { concurrency_keys: vec!["tenant/a".to_owned()], ..spec }
}

fn queued(spec: TaskSpec) -> TaskSpec {
    TaskSpec { queue: "narrow".to_owned(), ..spec }
}

fn shared(spec: TaskSpec) -> TaskSpec {
    TaskSpec { fairness_key: "x".to_owned(), ..queued(spec) }
}

#[tokio::test]
async fn what_waits_for_a_permit_runs_when_there_is_one_more_or_its_holder_ends() {
    let narrow = |what: &str| format!("queues: {{settings: {{narrow: {{{what}: 1}}}}}}\n");
    let cases: [(Dress, String, &str); 3] = [
        (keyed, String::new(), "concurrency"),
        (queued, narrow("concurrency"), "queues.settings.narrow.concurrency"),
        (shared, narrow("concurrency_per_key"), "queues.settings.narrow.concurrency_per_key"),
    ];
    for (dress, config, name) in cases {
        let set = async || {
            let mut scene = Scene::set(&config, 2, &[]).await;
            scene.hold(dress(spec("hold"))).await;
            let id = scene.client.submit(dress(work())).await;
            (scene, id)
        };
        let kinds = [AdviceKind::RaiseLimit, AdviceKind::EndHolder];
        check(BlockedReason::ConcurrencyLimit, &kinds, set, |blocker| {
            let limit = blocker.limit.as_ref().expect("it is said");
            assert_eq!((limit.limit.as_str(), limit.used_count), (name, 1), "{limit:?}");
            let holder = &blocker.holders[0];
            assert!(blocker.advice[1].command.contains(&holder.task_id), "{blocker:?}");
            assert_eq!((holder.worker_id.as_str(), holder.ended), ("first", false));
        })
        .await;
    }
}

#[tokio::test]
async fn a_lease_says_what_ends_it_and_a_dead_letter_which_budget_is_used_up() {
    let again = r#"again=sh -c "test $LEASEHOLD_GENERATION -gt 1""#;
    let mut scene = Scene::set("", 2, &["--program", again]).await;
    let id = scene.hold(spec("hold")).await;
    let running = scene.explain(&id).await;
    let lease = running.lease.as_ref().expect("it is leased");
    assert_eq!(lease.worker_state(), WorkerState::Active, "{running:?}");
    let kinds: Vec<_> = lease.bounds.iter().map(LeaseBound::kind).collect();
    assert_eq!(kinds, [LeaseBoundKind::Attempt, LeaseBoundKind::Total], "{running:?}");
    assert!(running.blockers.is_empty() && running.give_up_time.is_none(), "{running:?}");

    let retry = RetryPolicy { max_attempts: Some(1), ..RetryPolicy::default() };
    let id = scene.client.submit(TaskSpec { retry: Some(retry), ..spec("again") }).await;
    assert_eq!(scene.client.ended(&id).await.state(), TaskState::Failed);
    let dead = scene.explain(&id).await;
    let end = dead.end.as_ref().expect("it has ended");
    assert_eq!((end.budget(), end.used_count, end.max_count), (TaskBudget::Attempts, 1, 1));
    assert_eq!(dead.advice[0].kind(), AdviceKind::Replay, "{dead:?}");
    scene.follow(&dead.advice[0]);
    let ended = scene.client.ended(&id).await;
    assert_eq!((ended.state(), ended.generation), (TaskState::Succeeded, 2), "{ended:#?}");
}

#[tokio::test]
async fn an_operator_reads_what_holds_a_task_and_a_queue() {
    let mut scene = Scene::set("", 2, &[]).await;
    let keyed = |spec| TaskSpec { concurrency_keys: vec!["k".to_owned()], ..spec };
    let holder = scene.hold(keyed(spec("hold"))).await;
    let mut ids = Vec::new();
    for _ in 0..3 {
        ids.push(scene.client.submit(keyed(work())).await);
    }
    let address = scene.coordinator.address;
    let read = |args: &[&str]| {
        let output = run(address, args, b"");
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).expect("text")
    };
    let shown = read(&["task", "explain", &ids[1]]);
    for line in [
        "1. CONCURRENCY_LIMIT: concurrency for \"k\" is at 1 of 1\n",
        &format!("   held by {holder} on first, token "),
        "   -> raise concurrency.keys.k from 1 in the coordinator's configuration\n",
        "      concurrency: {keys: {'k': 2}}\n      $ leasehold config reload\n",
        &format!("      $ leasehold task cancel {holder}\n"),
    ] {
        assert!(shown.contains(line), "{line:?} is missing in\n{shown}");
    }
    let hint = format!("leasehold task explain {}", ids[1]);
    assert!(read(&["task", "get", &ids[1]]).contains(&hint), "task get says where to look");
    let shown = read(&["queue", "explain", "default"]);
    let line = "3 tasks: CONCURRENCY_LIMIT: concurrency for \"k\" is at 1 of 1\n";
    let first = format!("   the first is {}\n", ids[0]);
    assert!(shown.contains(line) && shown.contains(&first), "{shown}");

    let json: Value = serde_json::from_str(&read(&["-o", "json", "task", "explain", &ids[1]]))
        .expect("one document");
    assert_eq!(json["blockers"][0]["reason"], "BLOCKED_REASON_CONCURRENCY_LIMIT", "{json}");
    assert_eq!(json["blockers"][0]["holders"][0]["taskId"], holder, "{json}");
    assert_eq!(json["forecast"]["tasksAhead"], "1", "{json}");
    let unknown = ExplainQueueRequest { queue: "nowhere".to_owned(), ..Default::default() };
    let status = scene.client.admin.explain_queue(unknown).await.expect_err("there is none");
    assert_eq!(status.code(), tonic::Code::NotFound);
}
