//! The worker stream, frame by frame: what a worker may say, and what it is told.

use std::time::Duration;

use leasehold_proto::v1::{
    DeclineReason, GoAwayReason, Hello, LeasePhase, PayloadSchemas, ProcessStart,
    ResultDisposition, RevocationReason, TaskSpec, TaskState, Verdict, WorkerDrain,
    coordinator_event::Event as Told, lease_outcome, worker_event::Event as Say,
};
use tonic::Code;

use crate::{
    client::{duration, ends, spec},
    coordinator::{Coordinator, Options},
    program::at_once,
    refusal,
    script::{Script, bytes, declined, hello, holding, outcome, success},
};

#[tokio::test]
async fn nothing_may_be_said_before_hello() {
    let coordinator = Coordinator::start().await;
    let cases = [
        Say::Goodbye(leasehold_proto::v1::Goodbye::default()),
        Say::LeaseOutcome(success(1, b"")),
        Say::WorkerDrain(WorkerDrain::default()),
    ];
    for case in cases {
        let mut script = Script::open(coordinator.address).await.expect("a stream opens");
        script.say([case]).await;
        let status = script.end().await;
        refusal::expect(&status, Code::FailedPrecondition, "PROTOCOL_VIOLATION");
    }
    let mut twice = Script::join(coordinator.address, hello("twice", "echo", 1)).await;
    twice.say([Say::Hello(hello("twice", "echo", 1).into())]).await;
    refusal::expect(&twice.end().await, Code::FailedPrecondition, "PROTOCOL_VIOLATION");
}

#[tokio::test]
async fn a_bad_hello_is_refused_with_everything_that_is_wrong() {
    let coordinator = Coordinator::start().await;
    let good = || hello("worker", "echo", 1);
    check(&coordinator, Hello { worker_id: String::new(), ..good() }, &["worker_id"]).await;
    check(&coordinator, Hello { worker_id: "a b".to_owned(), ..good() }, &["worker_id"]).await;
    check(&coordinator, Hello { worker_id: "x".repeat(129), ..good() }, &["worker_id"]).await;
    check(&coordinator, Hello { instance_id: String::new(), ..good() }, &["instance_id"]).await;
    check(&coordinator, Hello { task_types: Vec::new(), ..good() }, &["task_types"]).await;
    for (boot_id, seconds) in [("", 1), ("a boot", 1), ("boot", -1), ("boot", i64::MIN)] {
        let after_boot = Some(prost_types::Duration { seconds, nanos: 0 });
        let process_start = Some(ProcessStart { boot_id: boot_id.to_owned(), after_boot });
        check(&coordinator, Hello { process_start, ..good() }, &["process_start"]).await;
    }
    let print = |n: u32| format!("{n:064x}");
    let read = |task_type: &str, fingerprints: Vec<String>| PayloadSchemas {
        task_type: task_type.to_owned(),
        fingerprints,
    };
    let wrong = [
        vec![read("echo", Vec::new())],
        vec![read("echo", vec!["abc".to_owned()])],
        vec![read("echo", vec!["A".repeat(64)])],
        vec![read("echo", (0..101).map(print).collect())],
        vec![read("", vec![print(1)])],
        vec![read("echo", vec![print(1)]), read("echo", vec![print(2)])],
        (0..11).map(|n| read(&format!("t{n}"), (0..100).map(print).collect())).collect(),
    ];
    for payload_schemas in wrong {
        check(&coordinator, Hello { payload_schemas, ..good() }, &["payload_schemas"]).await;
    }
    let many = Hello { worker_id: "\u{1b}[31m".to_owned(), task_types: Vec::new(), ..good() };
    check(&coordinator, many, &["task_types", "worker_id"]).await;
    let slots = hello("worker", "echo", -1);
    check(&coordinator, slots, &["capacity"]).await;
}

/// Says hello and expects these fields to be refused.
async fn check(coordinator: &Coordinator, hello: Hello, fields: &[&str]) {
    let said = format!("{hello:?}");
    let Err(status) = Script::greet(coordinator.address, hello).await else {
        panic!("welcome was said to {said}");
    };
    let refusal = refusal::expect(&status, Code::InvalidArgument, "INVALID_FIELD");
    let named: Vec<&str> =
        refusal.fields.iter().map(|it| it.trim_start_matches("hello.")).collect();
    assert_eq!(named, fields, "{said}");
}

#[tokio::test]
async fn a_worker_of_another_time_is_refused() {
    let coordinator = Coordinator::start().await;
    let tomorrow = Hello { protocol_version: 1_000, ..hello("new", "echo", 1) };
    let status = Script::greet(coordinator.address, tomorrow).await.err();
    let status = status.expect("the version is unknown");
    refusal::expect(&status, Code::FailedPrecondition, "PROTOCOL_UNSUPPORTED");

    let (script, welcome) = Script::greet(coordinator.address, hello("seer", "echo", 1))
        .await
        .expect("the worker is welcome");
    script.leave().await;
    let seer = Hello {
        journal_id: welcome.journal_id,
        seen_epoch: welcome.epoch + 1,
        ..hello("seer", "echo", 1)
    };
    let status = Script::greet(coordinator.address, seer).await.err();
    refusal::expect(
        &status.expect("this coordinator is superseded"),
        Code::FailedPrecondition,
        "LOWER_EPOCH",
    );
}

#[tokio::test]
async fn a_foreign_token_is_stale_and_the_stream_stays_open() {
    let coordinator = Coordinator::start().await;
    let mut client = coordinator.client();
    let mut script = Script::join(coordinator.address, hello("worker", "echo", 2)).await;
    for token in [1, i64::MAX, 0, -1] {
        assert_eq!(script.succeed(token, b"").await, ResultDisposition::Stale, "{token}");
    }
    let id = client.submit(spec("echo")).await;
    let assignment = script.assignment().await;
    assert_eq!(assignment.task_id, id);
    let token = assignment.fencing_token;

    let mut thief = Script::join(coordinator.address, hello("thief", "other", 1)).await;
    assert_eq!(thief.succeed(token, b"stolen").await, ResultDisposition::Stale);
    assert_eq!(script.succeed(token, b"mine").await, ResultDisposition::Accepted);
    assert_eq!(script.succeed(token, b"mine").await, ResultDisposition::Duplicate);
    assert_eq!(client.ended(&id).await.result, bytes(b"mine"));
}

#[tokio::test]
async fn an_empty_outcome_or_too_large_a_result_fails_the_attempt() {
    let config = "limits:\n  result_bytes: 1024\n".to_owned();
    let options = Options { config: Some(config), ..Options::default() };
    let coordinator = Coordinator::start_with(options).await;
    let mut client = coordinator.client();
    let mut script = Script::join(coordinator.address, hello("worker", "echo", 1)).await;
    let id = client.submit(TaskSpec { retry: Some(at_once()), ..spec("echo") }).await;

    let token = script.assignment().await.fencing_token;
    assert_eq!(script.succeed(token, &[0; 1025]).await, ResultDisposition::Invalid);
    let empty = leasehold_proto::v1::LeaseOutcome {
        fencing_token: script.assignment().await.fencing_token,
        ..Default::default()
    };
    assert_eq!(script.finish(empty).await, ResultDisposition::Invalid);
    let token = script.assignment().await.fencing_token;
    assert_eq!(script.succeed(token, &[0; 1024]).await, ResultDisposition::Accepted);
    let task = client.ended(&id).await;
    assert_eq!((task.state(), task.lease_count), (TaskState::Succeeded, 3));
    let expected = [
        "RESULT_TOO_LARGE RETURNED ATTEMPT",
        "ERROR RETURNED ATTEMPT",
        "SUCCEEDED RETURNED ATTEMPT",
    ];
    assert_eq!(ends(&task), expected);
}

#[tokio::test]
async fn a_broken_stream_takes_no_lease_away() {
    let coordinator = Coordinator::start_with(Options::short_sessions()).await;
    let mut client = coordinator.client();
    let who = || hello("worker", "echo", 2);
    let mut script = Script::join(coordinator.address, who()).await;
    let ids = [client.submit(spec("echo")).await, client.submit(spec("echo")).await];
    let tokens = [script.assignment().await.fencing_token, script.assignment().await.fencing_token];
    script.started(tokens[0]).await;
    drop(script);

    // The second lease is not in the inventory: it is granted again. So is nothing else.
    let inventory = [(tokens[0], LeasePhase::Running), (7, LeasePhase::Finished)];
    let (mut script, welcome) =
        Script::greet(coordinator.address, holding(who(), &inventory)).await.expect("welcome back");
    assert!(welcome.resumed);
    let verdicts: Vec<_> =
        welcome.verdicts.iter().map(|it| (it.fencing_token, it.verdict())).collect();
    assert_eq!(verdicts, [(tokens[0], Verdict::Retained), (7, Verdict::Lost)]);
    let again = script.assignment().await;
    assert_eq!(again.task_id, ids[1]);
    assert!(again.fencing_token > tokens[1], "a new lease has a larger token");
    assert_eq!(script.succeed(tokens[1], b"").await, ResultDisposition::Stale);
    assert_eq!(script.succeed(tokens[0], b"").await, ResultDisposition::Accepted);
    assert_eq!(script.succeed(again.fencing_token, b"").await, ResultDisposition::Accepted);
    for id in &ids {
        let task = client.ended(id).await;
        assert_eq!((task.state(), task.worker_loss_count), (TaskState::Succeeded, 0));
    }
    let lost = client.task(&ids[1]).await;
    assert_eq!(ends(&lost), ["NOT_HELD NOT_HELD NOTHING", "SUCCEEDED RETURNED ATTEMPT"]);
}

#[tokio::test]
async fn a_silent_worker_loses_its_lease_and_its_late_result_is_stale() {
    let coordinator = Coordinator::start_with(Options::short_sessions()).await;
    let mut client = coordinator.client();
    let mut silent = Script::join(coordinator.address, hello("silent", "echo", 1)).await;
    let id = client.submit(TaskSpec { retry: Some(at_once()), ..spec("echo") }).await;
    let lost = silent.assignment().await.fencing_token;
    silent.started(lost).await;

    let mut other = Script::join(coordinator.address, hello("other", "echo", 1)).await;
    let assignment = other.assignment_in_time(Duration::from_millis(300)).await;
    assert_eq!(other.succeed(assignment.fencing_token, b"kept").await, ResultDisposition::Accepted);
    client.ended(&id).await;
    let before = client.task(&id).await;
    assert_eq!(before.worker_loss_count, 1);
    assert_eq!(ends(&before), ["WORKER_LOST UNPROVED WORKER_LOSS", "SUCCEEDED RETURNED ATTEMPT"]);

    let held = [(lost, LeasePhase::Finished)];
    let late = holding(hello("silent", "echo", 1), &held);
    let (mut late, welcome) =
        Script::greet(coordinator.address, late).await.expect("it may come back");
    assert_eq!(welcome.verdicts[0].verdict(), Verdict::Lost);
    assert_eq!(late.succeed(lost, b"late").await, ResultDisposition::Stale);
    assert_eq!(client.task(&id).await, before);
}

#[tokio::test]
async fn a_newer_instance_replaces_the_stream_of_the_older() {
    let coordinator = Coordinator::start().await;
    let mut older = Script::join(coordinator.address, hello("worker", "echo", 1)).await;
    let newer = Hello { instance_id: "worker-2".to_owned(), ..hello("worker", "echo", 1) };
    let mut newer = Script::join(coordinator.address, newer).await;
    let reason = older
        .expect("the older stream is ended", |told| match told {
            Told::GoAway(it) => Some(it.reason()),
            _ => None,
        })
        .await;
    assert_eq!(reason, GoAwayReason::Replaced);
    let mut client = coordinator.client();
    let id = client.submit(spec("echo")).await;
    let assignment = newer.assignment().await;
    assert_eq!(assignment.task_id, id);
    newer.succeed(assignment.fencing_token, b"").await;
}

#[tokio::test]
async fn what_is_declined_goes_elsewhere_and_costs_no_attempt() {
    let coordinator = Coordinator::start().await;
    let mut client = coordinator.client();
    let mut busy = Script::join(coordinator.address, hello("busy", "echo", 1)).await;
    let id = client.submit(spec("echo")).await;
    let token = busy.assignment().await.fencing_token;
    busy.say([Say::WorkerDrain(WorkerDrain::default())]).await;
    let mut free = Script::join(coordinator.address, hello("free", "echo", 1)).await;
    let answer = busy.finish(declined(token, DeclineReason::Draining)).await;
    assert_eq!(answer, ResultDisposition::Accepted);
    let assignment = free.assignment().await;
    assert_eq!((assignment.task_id.as_str(), assignment.attempt), (id.as_str(), 1));
    free.succeed(assignment.fencing_token, b"").await;
    let task = client.ended(&id).await;
    assert_eq!(task.lease_count, 2);
    assert_eq!(ends(&task), ["DRAINED NOT_STARTED NOTHING", "SUCCEEDED RETURNED ATTEMPT"]);
}

#[tokio::test]
async fn a_lease_that_is_not_started_in_time_is_granted_again() {
    let coordinator = Coordinator::start().await;
    let mut client = coordinator.client();
    let mut slow = Script::join(coordinator.address, hello("slow", "echo", 1)).await;
    let timeouts = leasehold_proto::v1::Timeouts {
        start: Some(duration(Duration::from_millis(200))),
        ..Default::default()
    };
    let id = client.submit(TaskSpec { timeouts: Some(timeouts), ..spec("echo") }).await;
    let token = slow.assignment().await.fencing_token;
    let revocation = slow.revocation().await;
    assert_eq!(revocation.fencing_token, token);
    slow.finish(declined(token, DeclineReason::NoCapacity)).await;
    let task = client.task(&id).await;
    assert_eq!(ends(&task), ["NO_CAPACITY NOT_STARTED NOTHING"]);
    assert_eq!(task.lease_ends[0].revocation(), RevocationReason::StartTimeout);
    let mut quick = Script::join(coordinator.address, hello("quick", "echo", 1)).await;
    let assignment = quick.assignment().await;
    assert_eq!((assignment.task_id.as_str(), assignment.attempt), (id.as_str(), 1));
    quick.started(assignment.fencing_token).await;
    assert_eq!(quick.succeed(assignment.fencing_token, b"").await, ResultDisposition::Accepted);
}

#[tokio::test]
async fn an_event_of_an_unknown_kind_is_skipped() {
    let coordinator = Coordinator::start().await;
    let mut script = Script::join(coordinator.address, hello("worker", "echo", 1)).await;
    script.say_nothing_known().await;
    script.beat(&[]).await;
    script
        .expect("the heartbeat is heard", |told| {
            matches!(told, Told::HeartbeatAck(_)).then_some(())
        })
        .await;
}

#[tokio::test]
async fn a_frame_over_the_limit_ends_the_stream_and_nothing_else() {
    let coordinator = Coordinator::start().await;
    let mut script = Script::join(coordinator.address, hello("worker", "echo", 1)).await;
    let huge = outcome(
        1,
        lease_outcome::Outcome::Success(leasehold_proto::v1::Success {
            result: bytes(&vec![0; 6 << 20]),
        }),
    );
    script.say([Say::LeaseOutcome(huge)]).await;
    let status = script.end().await;
    assert!(
        matches!(status.code(), Code::OutOfRange | Code::ResourceExhausted),
        "the transport names its limit: {status:?}",
    );
    let mut again = Script::join(coordinator.address, hello("worker", "echo", 1)).await;
    let id = coordinator.client().submit(spec("echo")).await;
    assert_eq!(again.assignment().await.task_id, id);
}
