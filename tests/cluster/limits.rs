//! Concurrency keys and rates hold over real processes, whoever dies meanwhile.

use std::{fs, path::Path};

use leasehold_proto::v1::{
    BlockedReason, BlockingLimit, RateCharge, SubmitTaskRequest, Task, TaskSpec, TaskState,
};
use tonic::Code;

use crate::{
    client::{Client, spec},
    condition::{SOON, until},
    coordinator::{Coordinator, Options},
    process::Process,
    program::{at_once, shell_task, shell_worker},
    refusal,
    script::{Script, hello},
};

/// Locks a file while it works. The lock dies with the process, so whoever finds it taken runs beside somebody who lives.
const ALONE: &str = r#"
read dir
echo $LEASEHOLD_FENCING_TOKEN >> "$dir/started"
flock -n "$dir/lock" sleep 0.05 || echo $LEASEHOLD_FENCING_TOKEN >> "$dir/overlaps"
"#;

const LIMITS: &str = "rates: {mail: 5/s burst 2}\nqueues: {settings: {narrow: {concurrency: 1}}}\n";

fn crew(coordinator: &Coordinator, script: &str) -> Vec<Process> {
    (0..4).map(|n| shell_worker(coordinator, &format!("worker-{n}"), script)).collect()
}

fn lines(path: &Path) -> usize {
    fs::read_to_string(path).map_or(0, |text| text.lines().count())
}

#[tokio::test]
async fn tasks_with_one_key_never_overlap_though_a_worker_and_the_coordinator_are_killed() {
    let mut coordinator = Coordinator::start_with(Options::short_sessions()).await;
    let mut workers = crew(&coordinator, ALONE);
    let mut client = coordinator.client();
    let mut ids = Vec::new();
    for _ in 0..40 {
        let task = TaskSpec {
            concurrency_keys: vec!["alone".to_owned()],
            retry: Some(at_once()),
            ..shell_task(coordinator.dir())
        };
        ids.push(client.submit(task).await);
    }
    let started = coordinator.dir().join("started");
    until("some have run", SOON, async || 5 <= lines(&started)).await;
    workers[0].kill();
    until("more have run", SOON, async || 10 <= lines(&started)).await;
    coordinator.kill();
    coordinator.restart().await;
    for id in ids {
        let task = client.ended(&id).await;
        assert_eq!(task.state(), TaskState::Succeeded, "{task:#?}");
    }
    let overlaps = fs::read_to_string(coordinator.dir().join("overlaps"));
    assert!(overlaps.is_err(), "these ran beside another one: {overlaps:?}");
}

#[tokio::test]
async fn no_more_leases_are_granted_in_any_time_than_the_rate_allows_also_over_a_restart() {
    let config = Some(LIMITS.to_owned());
    let mut coordinator = Coordinator::start_with(Options { config, ..Options::default() }).await;
    let _workers = crew(&coordinator, "exit 0\n");
    let mut client = coordinator.client();
    let mut ids = Vec::new();
    for _ in 0..14 {
        let rate_charges = vec![RateCharge { key: "mail".to_owned(), tokens: None }];
        let task = TaskSpec { rate_charges, ..shell_task(coordinator.dir()) };
        ids.push(client.submit(task).await);
    }
    client.ended(&ids[4]).await;
    coordinator.kill();
    coordinator.restart().await;
    let mut granted = Vec::new();
    for id in &ids {
        client.ended(id).await;
        granted.extend(grants(&client.task(id).await));
    }
    granted.sort_unstable();
    assert!(ids.len() <= granted.len(), "each was leased: {granted:?}");
    for (first, from) in granted.iter().enumerate() {
        for (last, to) in granted.iter().enumerate().skip(first) {
            let (count, ms) = (last - first + 1, to - from);
            let most = ms * 5 / 1_000 + 2;
            assert!(count as u64 <= most, "{count} leases within {ms} ms: {granted:?}");
        }
    }
}

/// When the leases of a task that has ended were granted, in milliseconds.
fn grants(task: &Task) -> Vec<u64> {
    let times = task.lease_ends.iter().map(|end| end.grant_time.expect("it was granted"));
    let ms = |time: prost_types::Timestamp| {
        let whole = u64::try_from(time.seconds).expect("after 1970") * 1_000;
        whole + u64::try_from(time.nanos).expect("a part of a second") / 1_000_000
    };
    times.map(ms).collect()
}

#[tokio::test]
async fn a_task_that_waits_for_a_limit_says_for_which_and_goes_on_when_it_is_free() {
    let config = Some(LIMITS.to_owned());
    let coordinator = Coordinator::start_with(Options { config, ..Options::default() }).await;
    let mut script = Script::join(coordinator.address, hello("worker", "echo", 9)).await;
    let mut client = coordinator.client();
    let keyed = || TaskSpec { concurrency_keys: vec!["k".to_owned()], ..spec("echo") };
    let narrow = || TaskSpec { queue: "narrow".to_owned(), ..spec("echo") };
    let charges = || vec![RateCharge { key: "mail".to_owned(), tokens: Some(2) }];
    let mail = || TaskSpec { rate_charges: charges(), ..spec("echo") };
    let cases = [
        (keyed(), keyed(), BlockedReason::ConcurrencyLimit, ("concurrency", "k", 1, 1)),
        (
            narrow(),
            narrow(),
            BlockedReason::ConcurrencyLimit,
            ("queues.settings.narrow.concurrency", "", 1, 1),
        ),
        (mail(), mail(), BlockedReason::RateLimited, ("rates", "mail", 2, 2)),
    ];
    for (first, second, reason, (limit, key, used, max)) in cases {
        client.submit(first).await;
        let held = script.assignment().await.fencing_token;
        let id = client.submit(second).await;
        let task = client.task(&id).await;
        assert_eq!(task.blocked_reason(), reason);
        let by = task.blocked_by.expect("it says by what");
        let is_rate = reason == BlockedReason::RateLimited;
        assert_eq!(by.available_time.is_some(), is_rate, "{by:?}");
        let expected = BlockingLimit {
            limit: limit.to_owned(),
            key: key.to_owned(),
            used_count: used,
            max_count: max,
            available_time: by.available_time,
        };
        assert_eq!(by, expected);
        script.succeed(held, b"").await;
        let next = script.assignment().await;
        assert_eq!(next.task_id, id);
        script.succeed(next.fencing_token, b"").await;
        assert_eq!(blocked(&mut client, &id).await, None);
    }
}

async fn blocked(client: &mut Client, id: &str) -> Option<BlockingLimit> {
    client.ended(id).await.blocked_by
}

#[tokio::test]
async fn a_rate_that_is_not_configured_is_refused_and_says_what_to_do() {
    let config = Some(LIMITS.to_owned());
    let coordinator = Coordinator::start_with(Options { config, ..Options::default() }).await;
    let mut client = coordinator.client();
    let cases =
        [("mial", 1, "spec.rate_charges[0].key"), ("mail", 3, "spec.rate_charges[0].tokens")];
    for (key, tokens, field) in cases {
        let rate_charges = vec![RateCharge { key: key.to_owned(), tokens: Some(tokens) }];
        let task = TaskSpec { rate_charges, ..spec("echo") };
        let request = SubmitTaskRequest { spec: Some(task.into()), ..SubmitTaskRequest::default() };
        let status = client.tasks.submit_task(request).await.expect_err("it is refused");
        refusal::expect(&status, Code::InvalidArgument, "INVALID_FIELD");
        assert!(status.message().starts_with(field), "{status:?}");
    }
}
