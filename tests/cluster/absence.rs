//! The coordinator is away, killed or standing still: what runs goes on, under the leases that it has, and once.
//!
//! `LEASEHOLD_SECONDS` says for how long it stands still.

use std::{collections::BTreeMap, fs, time::Duration};

use leasehold_proto::v1::{TaskSpec, TaskState};
use rustix::process::Signal;
use tokio::time::{Instant, sleep_until};

use crate::{
    client::{Client, ends},
    condition::{SOON, until},
    coordinator::{Coordinator, Options},
    crash::setting,
    process::Process,
    program::{PATIENT, shell_task, shell_worker_with, tokens},
};

/// For how many seconds a plain test run lets it stand still: longer than a short session. By hand: 30.
const SECONDS: u64 = 4;

/// How many workers run a task each.
const WORKERS: usize = 4;

/// Tasks that run, each at a worker of its own.
struct Running {
    workers: Vec<Process>,
    /// By task: its token, its worker and the process of that.
    leases: BTreeMap<String, (i64, String, String)>,
}

impl Running {
    async fn start(coordinator: &Coordinator, flags: &[&str]) -> Self {
        let named = |n: usize| format!("worker-{n}");
        let workers: Vec<Process> = (0..WORKERS)
            .map(|n| shell_worker_with(coordinator, &named(n), PATIENT, flags))
            .collect();
        let mut client = coordinator.client();
        let mut ids = Vec::new();
        for _ in 0..WORKERS {
            ids.push(client.submit(task(coordinator)).await);
        }
        tokens(coordinator.dir(), WORKERS).await;
        let mut leases = BTreeMap::new();
        for id in ids {
            client.in_state(&id, TaskState::Running).await;
            let held = lease(&mut client, &id).await.expect("it runs under a lease");
            leases.insert(id, held);
        }
        Self { workers, leases }
    }

    /// Whether each task is under the lease that it was under, at a worker that is connected.
    async fn is_unharmed(&self, client: &mut Client) -> bool {
        for (id, held) in &self.leases {
            if lease(client, id).await.as_ref() != Some(held) {
                return false;
            }
            let worker = client.worker(&held.1).await;
            if worker.is_none_or(|it| it.fencing_tokens != [held.0]) {
                return false;
            }
        }
        true
    }

    /// Lets the programs end, and expects that each task was run once, under its one lease.
    async fn end(mut self, coordinator: &Coordinator) {
        fs::write(coordinator.dir().join("go"), "").expect("the programs are given leave");
        let mut client = coordinator.client();
        for (id, (token, ..)) in &self.leases {
            let task = client.ended(id).await;
            let told = (task.state(), task.lease_count, task.attempt_count);
            assert_eq!(told, (TaskState::Succeeded, 1, 1), "{:?}", ends(&task));
            assert_eq!(task.result, format!("done by {token}\n").into_bytes());
        }
        for worker in &mut self.workers {
            worker.signal(Signal::TERM);
            worker.exits_with(0, SOON).await;
        }
        assert_eq!(tokens(coordinator.dir(), WORKERS).await.len(), WORKERS, "nothing ran twice");
    }
}

fn task(coordinator: &Coordinator) -> TaskSpec {
    shell_task(coordinator.dir())
}

async fn lease(client: &mut Client, id: &str) -> Option<(i64, String, String)> {
    let lease = client.get(id).await.ok()?.lease?;
    lease.start_time?;
    Some((lease.fencing_token, lease.worker_id, lease.instance_id))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_coordinator_that_was_killed_finds_every_lease_where_it_was() {
    let mut coordinator = Coordinator::start().await;
    let running = Running::start(&coordinator, &[]).await;
    coordinator.kill();
    coordinator.restart().await;
    let mut client = coordinator.client();
    until("each worker holds what it held", SOON, async || running.is_unharmed(&mut client).await)
        .await;
    running.end(&coordinator).await;
}

/// Sessions of three times as long as it stands still: a worker counts from the sending of the last heartbeat that was
/// acknowledged, a quarter of a session ago at most, and stops what it has up to a quarter ahead. So nobody has a reason to.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_coordinator_that_stood_still_ends_no_lease_of_a_worker_that_lives() {
    let seconds = setting("LEASEHOLD_SECONDS", SECONDS);
    let ttl = format!("{}s", seconds * 3);
    let coordinator = Coordinator::start_with(Options::with_args(&["--session-ttl", &ttl])).await;
    stands_still(&coordinator, &[], Duration::from_secs(seconds)).await;
}

/// Shorter sessions, and workers that finish all the same: it is the coordinator that was away, so it gives nobody up.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn work_that_may_finish_outlives_a_session_and_its_result_counts() {
    let seconds = setting("LEASEHOLD_SECONDS", SECONDS);
    let coordinator = Coordinator::start_with(Options::short_sessions()).await;
    let finish = ["--on-session-lost", "finish"];
    stands_still(&coordinator, &finish, Duration::from_secs(seconds)).await;
}

async fn stands_still(coordinator: &Coordinator, flags: &[&str], span: Duration) {
    let running = Running::start(coordinator, flags).await;
    coordinator.process.freeze().await;
    sleep_until(Instant::now() + span).await;
    coordinator.process.signal(Signal::CONT);
    let mut client = coordinator.client();
    until("each worker holds what it held", SOON, async || running.is_unharmed(&mut client).await)
        .await;
    running.end(coordinator).await;
}
