//! A worker that is started again where another one died: what that held is leased again at once, if nothing of it runs.

use std::{fs, path::Path};

use leasehold_proto::v1::{TaskSpec, TaskState};
use rustix::process::{Pid, Signal, kill_process};

use crate::{
    client::{Client, ends, spec},
    condition::{SOON, until},
    coordinator::{Coordinator, Options},
    process::Process,
    program::at_once,
    worker,
};

/// It says so if the process that ran before it in the same directory still does, and ends when it is let go.
const LONG: (&str, &str) = (
    "long",
    "sh -c 'read dir; kill -0 $(cat $dir/pid) 2>/dev/null && echo overlap >> $dir/starts; echo $$ > $dir/pid; \
     echo start >> $dir/starts; until [ -e $dir/gate ]; do sleep 0.02; done'",
);

/// The same, and it leaves a process behind that its guard cannot reach: it says who it is once that is so.
const DAEMON: (&str, &str) = (
    "daemon",
    "sh -c 'read dir; echo start >> $dir/starts; \
     setsid sh -c \"echo \\$\\$ > $dir/pid; exec sleep 1000\" </dev/null >/dev/null 2>&1 & \
     until [ -e $dir/gate ]; do sleep 0.02; done'",
);

/// A session lasts so long that nothing in these tests can be due to its end.
async fn coordinator() -> Coordinator {
    Coordinator::start_with(Options::with_args(&["--session-ttl", "10m"])).await
}

fn start(coordinator: &Coordinator, log: &str) -> Process {
    let state_dir = coordinator.dir().join("state");
    let args = ["--state-dir", &state_dir.display().to_string()];
    let options =
        worker::Options { programs: &[LONG, DAEMON], args: &args, ..worker::Options::default() };
    let dir = coordinator.dir().join(log);
    fs::create_dir(&dir).expect("the log's directory can be made");
    worker::start(coordinator.address, &dir, &options)
}

async fn submit(client: &mut Client, task_type: &str, dir: &Path) -> String {
    let payload = format!("{}\n", dir.display()).into_bytes().into();
    client.submit(TaskSpec { payload, retry: Some(at_once()), ..spec(task_type) }).await
}

/// Waits until the program has been started so often.
async fn started(dir: &Path, times: usize) -> String {
    let starts = || fs::read_to_string(dir.join("starts")).unwrap_or_default();
    until("it runs", SOON, async || starts().lines().count() == times).await;
    starts()
}

#[tokio::test]
async fn what_a_killed_worker_ran_is_leased_to_the_next_one_at_once() {
    let coordinator = coordinator().await;
    let (mut client, dir) = (coordinator.client(), coordinator.dir());
    let id = submit(&mut client, "long", dir).await;
    let mut first = start(&coordinator, "first");
    started(dir, 1).await;
    first.kill();
    let _second = start(&coordinator, "second");
    assert_eq!(started(dir, 2).await, "start\nstart\n", "one after the other");
    fs::write(dir.join("gate"), "").expect("the gate can be opened");
    let task = client.ended(&id).await;
    let expected = ["WORKER_LOST PROCESS_GONE WORKER_LOSS", "SUCCEEDED RETURNED ATTEMPT"];
    assert_eq!(ends(&task), expected);
}

#[tokio::test]
async fn a_second_process_is_refused_and_the_first_goes_on() {
    let coordinator = coordinator().await;
    let (mut client, dir) = (coordinator.client(), coordinator.dir());
    let id = submit(&mut client, "long", dir).await;
    let _first = start(&coordinator, "first");
    started(dir, 1).await;
    let mut second = start(&coordinator, "second");
    second.exits_with(69, SOON).await;
    let log = second.log();
    assert!(log.contains("another process uses the state directory"), "{log}");
    fs::write(dir.join("gate"), "").expect("the gate can be opened");
    assert_eq!(client.ended(&id).await.lease_count, 1);
}

#[tokio::test]
async fn nothing_is_leased_again_while_something_of_a_killed_worker_runs() {
    let coordinator = coordinator().await;
    let (mut client, dir) = (coordinator.client(), coordinator.dir());
    let id = submit(&mut client, "daemon", dir).await;
    let mut first = start(&coordinator, "first");
    started(dir, 1).await;
    let daemon = || fs::read_to_string(dir.join("pid")).ok()?.trim().parse().ok();
    until("its daemon runs", SOON, async || daemon().is_some()).await;
    first.kill();
    let mut second = start(&coordinator, "second");
    let connected = |it: &serde_json::Value| it["message"] == "connected to the coordinator";
    until("it is connected", SOON, async || second.events().iter().any(connected)).await;
    let task = client.task(&id).await;
    assert_eq!((task.state(), task.lease_count), (TaskState::Running, 1));

    second.kill();
    let daemon = daemon().and_then(Pid::from_raw).expect("a process id");
    kill_process(daemon, Signal::KILL).expect("it runs");
    let _third = start(&coordinator, "third");
    started(dir, 2).await;
    assert_eq!(ends(&client.task(&id).await), ["WORKER_LOST PROCESS_GONE WORKER_LOSS"]);
    let daemon = fs::read_to_string(dir.join("pid")).ok();
    let daemon = daemon.and_then(|pid| Pid::from_raw(pid.trim().parse().ok()?));
    fs::write(dir.join("gate"), "").expect("the gate can be opened");
    client.ended(&id).await;
    // The second one's daemon. It may be gone already.
    let _ended = daemon.map(|pid| kill_process(pid, Signal::KILL));
}
