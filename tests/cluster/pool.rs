//! A pool of workers follows what the coordinator says, and nothing it does costs a task its lease.

use std::{collections::BTreeSet, fs, net::SocketAddr};

use leasehold_proto::v1::{
    DrainWorkersRequest, FollowPoolRequest, GetScalingRequest, ListWorkersRequest,
    PauseQueueRequest, PoolScaling, ScalingBound, TaskSpec, TaskState, Worker, WorkerState,
};
use rustix::process::{Pid, Signal, kill_process};

use crate::{
    binary,
    client::{Client, ends, spec},
    condition::{SOON, eventually, until},
    coordinator::{Coordinator, Options},
    process::{Process, is_alive},
    program::at_once,
    script::{Script, hello},
};

/// Says in the directory named on stdin that it runs, and waits there for leave to end. It also ends when it is told to,
/// with a trace of that.
const PATIENT: &str = "sh -c 'read dir; trap \"echo told >> $dir/told; exit 1\" TERM; \
                       echo $$ >> $dir/started; until [ -e $dir/go ]; do sleep 0.02; done'";

/// How long everything takes that a pool waits for, short enough for a test.
const QUICK: &str = "session: {ttl: 2s}\nscaling:\n  queue_wait: 200ms\n  settle: 500ms\n  cooldown: 1s\n  window: 2s\n  \
                     interval: 100ms\n  idle_workers: 0\n";

/// A coordinator that decides quickly, and has finished waiting for workers of a time before it.
async fn coordinator() -> Coordinator {
    let options = Options { config: Some(QUICK.to_owned()), ..Options::default() };
    let coordinator = Coordinator::start_with(options).await;
    let mut client = coordinator.client();
    // A worker of another pool, so that there is something to look at.
    let _script = Script::join(coordinator.address, hello("other", "nothing", 1)).await;
    until("the coordinator decides", SOON, async || {
        scaling(&mut client, "default").await.is_some_and(|it| it.warm_up_remaining.is_none())
    })
    .await;
    coordinator
}

/// A pool of workers with one slot each, called `pool`.
fn start(address: SocketAddr, coordinator: &Coordinator, flags: &[&str]) -> Process {
    let mut command = binary::worker();
    command.args(["pool", "--address", &format!("http://{address}"), "--id", "pool"]);
    command.args(["--poll", "100ms", "--slots", "1", "--log-format", "json"]);
    command.args(["--program", &format!("patient={PATIENT}")]).args(flags);
    Process::spawn("pool", command, coordinator.dir().join("pool.log"))
}

async fn scaling(client: &mut Client, pool: &str) -> Option<PoolScaling> {
    let request = GetScalingRequest { pool: pool.to_owned() };
    client.admin.get_scaling(request).await.ok()?.into_inner().pools.into_iter().next()
}

/// The workers of the pool that take tasks.
async fn active(client: &mut Client) -> Vec<Worker> {
    let answer = client.admin.list_workers(ListWorkersRequest::default()).await;
    let workers = answer.expect("workers are listed").into_inner().workers;
    let is_ours = |it: &Worker| it.labels.get("pool").is_some_and(|it| it == "pool");
    workers.into_iter().filter(|it| is_ours(it) && it.state() == WorkerState::Active).collect()
}

async fn has(client: &mut Client, count: usize) {
    until(&format!("{count} workers take tasks"), SOON, async || {
        active(client).await.len() == count
    })
    .await;
}

/// Submits tasks whose program waits in this directory.
async fn submit(client: &mut Client, coordinator: &Coordinator, count: usize) -> Vec<String> {
    let payload = format!("{}\n", coordinator.dir().display()).into_bytes();
    let mut ids = Vec::new();
    for _ in 0..count {
        let spec =
            TaskSpec { payload: payload.clone().into(), retry: Some(at_once()), ..spec("patient") };
        ids.push(client.submit(spec).await);
    }
    ids
}

/// The process ids of the programs that were started.
fn started(coordinator: &Coordinator) -> Vec<i32> {
    let text = fs::read_to_string(coordinator.dir().join("started")).unwrap_or_default();
    text.lines().filter_map(|line| line.parse().ok()).collect()
}

fn let_go(coordinator: &Coordinator) {
    fs::write(coordinator.dir().join("go"), "").expect("the programs are given leave");
}

/// The processes of workers that the pool said it started.
fn members(pool: &Process) -> Vec<i32> {
    let pid = |line: &serde_json::Value| line.get("pid")?.as_i64()?.try_into().ok();
    pool.events().iter().filter_map(pid).collect()
}

#[tokio::test]
async fn a_pool_grows_with_what_waits_and_shrinks_without_ending_anything() {
    let coordinator = coordinator().await;
    let mut client = coordinator.client();
    let mut pool = start(coordinator.address, &coordinator, &["--min", "1", "--max", "4"]);
    has(&mut client, 1).await;
    let tasks = submit(&mut client, &coordinator, 6).await;
    has(&mut client, 4).await;
    let names: BTreeSet<String> =
        active(&mut client).await.into_iter().map(|it| it.worker_id).collect();
    assert_eq!(names, (1..=4).map(|number| format!("pool-{number}")).collect());
    let bound = eventually("it says what bounds it", SOON, async || {
        let scaling = scaling(&mut client, "pool").await?;
        let is_full = (scaling.desired_workers, scaling.worker_count) == (4, 4);
        (is_full && scaling.bound_by() == ScalingBound::MaxWorkers).then_some(scaling)
    })
    .await;
    let up: Vec<_> = bound.decisions.iter().map(|it| (it.from_workers, it.to_workers)).collect();
    assert_eq!(up, [(1, 2), (2, 4)], "{bound:?}");

    let_go(&coordinator);
    for id in &tasks {
        let task = client.ended(id).await;
        assert_eq!(ends(&task), ["SUCCEEDED RETURNED ATTEMPT"], "{task:?}");
    }
    has(&mut client, 1).await;
    let scaling = scaling(&mut client, "pool").await.expect("the pool is known");
    let down = scaling.decisions.iter().filter(|it| it.to_workers < it.from_workers);
    let down: Vec<_> = down.map(|it| (it.from_workers, it.to_workers)).collect();
    assert_eq!(down, [(4, 3), (3, 2), (2, 1)], "one at a time: {scaling:?}");
    assert!(!coordinator.dir().join("told").exists(), "a program was told to stop");
    pool.signal(Signal::TERM);
    pool.exits_with(0, SOON).await;
}

#[tokio::test]
async fn a_worker_that_is_too_many_works_on_for_as_long_as_its_task_does() {
    let coordinator = coordinator().await;
    let mut client = coordinator.client();
    // By itself no worker waits for what it runs.
    let flags = ["--min", "1", "--max", "2", "--drain-grace", "0s"];
    let mut pool = start(coordinator.address, &coordinator, &flags);
    has(&mut client, 1).await;
    let tasks = submit(&mut client, &coordinator, 2).await;
    until("both run", SOON, async || started(&coordinator).len() == 2).await;
    // Somebody else says that there may be one only; from there on one is wanted.
    let request = FollowPoolRequest {
        pool: "pool".to_owned(),
        task_types: vec!["patient".to_owned()],
        min_workers: 1,
        max_workers: 1,
        worker_count: 2,
        shares_processor: true,
    };
    client.admin.follow_pool(request).await.expect("it is heard");
    has(&mut client, 1).await;
    until("a busy one drains", SOON, async || pool.log().contains("one worker fewer")).await;
    for id in &tasks {
        assert_eq!(client.task(id).await.state(), TaskState::Running);
    }
    let_go(&coordinator);
    for id in &tasks {
        assert_eq!(ends(&client.ended(id).await), ["SUCCEEDED RETURNED ATTEMPT"]);
    }
    until("it is gone", SOON, async || pool.log().contains("worker drained and gone")).await;
    assert!(!coordinator.dir().join("told").exists(), "a program was told to stop");
    pool.signal(Signal::TERM);
    pool.exits_with(0, SOON).await;
}

#[tokio::test]
async fn a_worker_that_somebody_else_drained_is_started_again() {
    let coordinator = coordinator().await;
    let mut client = coordinator.client();
    let pool = start(coordinator.address, &coordinator, &["--min", "1", "--max", "1"]);
    has(&mut client, 1).await;
    let drain = DrainWorkersRequest { worker_ids: vec!["pool-1".to_owned()], grace: None };
    client.admin.drain_workers(drain).await.expect("the worker is told");
    until("it is started again", SOON, async || members(&pool).len() == 2).await;
    has(&mut client, 1).await;
}

#[tokio::test]
async fn a_backlog_that_no_worker_may_take_starts_none() {
    let coordinator = coordinator().await;
    let mut client = coordinator.client();
    let _pool = start(coordinator.address, &coordinator, &["--min", "1", "--max", "4"]);
    has(&mut client, 1).await;
    let request = PauseQueueRequest { queue: "default".to_owned(), ..Default::default() };
    client.admin.pause_queue(request).await.expect("the queue can be paused");
    submit(&mut client, &coordinator, 50).await;
    let scaling = eventually("it says what bounds it", SOON, async || {
        let scaling = scaling(&mut client, "pool").await?;
        let held = scaling.signals.is_some_and(|it| (it.backlog, it.paused_backlog) == (0, 50));
        (held && scaling.bound_by() == ScalingBound::Paused).then_some(scaling)
    })
    .await;
    assert_eq!((scaling.desired_workers, scaling.decisions.len()), (1, 0), "{scaling:?}");
    assert!(scaling.reason.contains("paused queues"), "{}", scaling.reason);
}

#[tokio::test]
async fn a_worker_that_dies_is_replaced_and_its_task_goes_on_at_once() {
    let coordinator = coordinator().await;
    let mut client = coordinator.client();
    let state = coordinator.dir().join("state").display().to_string();
    let flags = ["--min", "1", "--max", "1", "--state-dir", &state];
    let pool = start(coordinator.address, &coordinator, &flags);
    let task = submit(&mut client, &coordinator, 1).await.remove(0);
    until("it runs", SOON, async || started(&coordinator).len() == 1).await;
    let worker = members(&pool)[0];
    kill_process(Pid::from_raw(worker).expect("a process id"), Signal::KILL).expect("it runs");
    until("it runs again", SOON, async || started(&coordinator).len() == 2).await;
    let_go(&coordinator);
    let task = client.ended(&task).await;
    let expected = ["WORKER_LOST PROCESS_GONE WORKER_LOSS", "SUCCEEDED RETURNED ATTEMPT"];
    assert_eq!(ends(&task), expected, "the state directory is the worker's own");
    assert!(pool.log().contains("signal 9"), "{}", pool.tail());
}

#[tokio::test]
async fn nothing_of_a_killed_pool_is_left() {
    let coordinator = coordinator().await;
    let mut client = coordinator.client();
    let mut pool = start(coordinator.address, &coordinator, &["--min", "2", "--max", "2"]);
    has(&mut client, 2).await;
    submit(&mut client, &coordinator, 2).await;
    until("both run", SOON, async || started(&coordinator).len() == 2).await;
    let processes: Vec<i32> = [members(&pool), started(&coordinator)].concat();
    assert_eq!(processes.len(), 4);
    pool.kill();
    until("workers and programs are gone", SOON, async || {
        !processes.iter().any(|pid| is_alive(*pid))
    })
    .await;
}

#[tokio::test]
async fn a_pool_drains_with_its_first_signal_and_ends_with_its_second() {
    let coordinator = coordinator().await;
    let mut client = coordinator.client();
    let mut pool = start(coordinator.address, &coordinator, &["--min", "2", "--max", "2"]);
    has(&mut client, 2).await;
    let tasks = submit(&mut client, &coordinator, 2).await;
    until("both run", SOON, async || started(&coordinator).len() == 2).await;
    pool.signal(Signal::TERM);
    until("nobody takes anything new", SOON, async || active(&mut client).await.is_empty()).await;
    assert_eq!(client.task(&tasks[0]).await.state(), TaskState::Running);
    pool.signal(Signal::TERM);
    pool.exits_with(130, SOON).await;
    until("the programs are gone", SOON, async || {
        !started(&coordinator).iter().any(|pid| is_alive(*pid))
    })
    .await;
}

#[tokio::test]
async fn a_pool_stays_as_it_is_while_the_coordinator_is_away() {
    let mut coordinator = coordinator().await;
    let mut client = coordinator.client();
    let pool = start(coordinator.address, &coordinator, &["--min", "1", "--max", "3"]);
    has(&mut client, 1).await;
    submit(&mut client, &coordinator, 3).await;
    has(&mut client, 3).await;
    coordinator.kill();
    until("it notices", SOON, async || pool.log().contains("kept as it is")).await;
    coordinator.restart().await;
    until("it is answered again", SOON, async || pool.log().contains("answers again")).await;
    let workers = members(&pool);
    assert!(workers.len() == 3 && workers.iter().all(|pid| is_alive(*pid)), "{}", pool.tail());
    let_go(&coordinator);
    until("everything is done", SOON, async || client.is_drained("default").await).await;
    has(&mut client, 1).await;
}
