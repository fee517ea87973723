//! Programs end when they must: with their worker, after their time, and without a say once their lease is lost.

use std::{fs, path::Path, time::Duration};

use leasehold_proto::v1::{
    FailureReason, Jitter, RetryPolicy, Task, TaskSpec, TaskState, Timeouts,
};
use rustix::process::Signal;

use crate::{
    client::{duration, ends, spec},
    condition::{SOON, eventually, until},
    coordinator::{Coordinator, Options},
    process::{Process, group_members, group_of, is_alive},
    script::bytes,
    worker,
};

/// Within this time nothing of a killed worker's programs may be left.
const GONE: Duration = Duration::from_secs(1);

/// Ignores SIGTERM, forks a child that does so too, leaves both process ids in the directory named on stdin, and
/// lingers. Every attempt but the first returns at once.
const STUBBORN: &str = r#"
read dir
if [ "$LEASEHOLD_ATTEMPT" -gt 1 ]; then echo done; exit 0; fi
trap '' TERM
sleep 600 &
echo $! > "$dir/child"
echo $$ > "$dir/parent.new" && mv "$dir/parent.new" "$dir/parent"
while :; do sleep 600; done
"#;

/// Says in the directory named on stdin that it runs, and waits there for leave to end.
pub(crate) const PATIENT: &str = r#"
read dir
echo $LEASEHOLD_FENCING_TOKEN >> "$dir/started"
while [ ! -e "$dir/go" ]; do sleep 0.05; done
echo "done by $LEASEHOLD_FENCING_TOKEN"
"#;

#[tokio::test]
async fn a_killed_worker_takes_its_programs_along() {
    let coordinator = Coordinator::start().await;
    let mut worker = shell_worker(&coordinator, "worker", STUBBORN);
    let mut client = coordinator.client();
    let id = client.submit(shell_task(coordinator.dir())).await;
    let pids = forked(coordinator.dir()).await;
    let group = group_of(pids[0]).expect("the program runs");
    assert!(group_members(group).len() >= pids.len(), "the program has a group of its own");
    assert_ne!(group, worker.pid().as_raw_nonzero().get(), "the worker is not in it");

    worker.kill();
    until("the program's whole group is gone", GONE, async || {
        group_members(group).is_empty() && !pids.iter().any(|pid| is_alive(*pid))
    })
    .await;
    assert_eq!(client.task(&id).await.state(), TaskState::Running, "the lease is kept for now");
}

#[tokio::test]
async fn a_program_that_ignores_sigterm_is_killed_with_its_child_and_tried_again() {
    let coordinator = Coordinator::start().await;
    // One slot: the second attempt needs the slot of the first.
    let worker = shell_worker(&coordinator, "worker", STUBBORN);
    let mut client = coordinator.client();
    let spec = TaskSpec {
        timeouts: Some(Timeouts {
            attempt: Some(duration(Duration::from_millis(700))),
            kill_grace: Some(duration(Duration::from_millis(300))),
            ..Timeouts::default()
        }),
        retry: Some(at_once()),
        ..shell_task(coordinator.dir())
    };
    let id = client.submit(spec).await;
    let pids = forked(coordinator.dir()).await;
    let group = group_of(pids[0]).expect("the program runs");

    let task = client.ended(&id).await;
    assert_eq!(task.state(), TaskState::Succeeded, "{task:#?}\n{}", worker.tail());
    assert_eq!(task.result, bytes(b"done\n"));
    assert_eq!(task.lease_count, 2);
    let failure = task.last_failure.as_ref().expect("the first attempt failed");
    assert_eq!(failure.reason(), FailureReason::AttemptTimeout);
    assert!(failure.counted, "a timeout uses up an attempt");
    assert_eq!(ends(&task), ["ATTEMPT_TIMEOUT KILLED ATTEMPT", "SUCCEEDED RETURNED ATTEMPT"]);
    let left: Vec<&i32> = pids.iter().filter(|pid| is_alive(**pid)).collect();
    assert!(left.is_empty() && group_members(group).is_empty(), "left of {pids:?}: {left:?}");
}

/// Writes its token into a ledger every hundredth of a second, and stops for nobody. Whoever finds a ledger writes one
/// line and returns.
const SCRIBE: &str = r#"
read dir
trap '' TERM
if [ -e "$dir/ledger" ]; then echo $LEASEHOLD_FENCING_TOKEN >> "$dir/ledger"; echo done; exit 0; fi
while :; do echo $LEASEHOLD_FENCING_TOKEN >> "$dir/ledger"; sleep 0.01; done
"#;

#[tokio::test]
async fn the_program_of_a_stopped_worker_is_gone_before_anybody_else_has_its_task() {
    let coordinator = Coordinator::start_with(Options::short_sessions()).await;
    let first = shell_worker(&coordinator, "first", SCRIBE);
    let mut client = coordinator.client();
    let spec = TaskSpec { retry: Some(at_once()), ..shell_task(coordinator.dir()) };
    let id = client.submit(spec).await;
    let ledger = coordinator.dir().join("ledger");
    let written = || fs::read_to_string(&ledger).unwrap_or_default();
    until("the program writes", SOON, async || written().lines().count() > 3).await;

    first.freeze().await;
    let second = shell_worker(&coordinator, "second", SCRIBE);
    let task = client.ended(&id).await;
    assert_eq!(task.state(), TaskState::Succeeded, "{task:#?}\n{}", second.tail());
    assert_eq!((task.lease_count, task.worker_loss_count), (2, 1));
    assert_eq!(ends(&task), ["WORKER_LOST UNPROVED WORKER_LOSS", "SUCCEEDED RETURNED ATTEMPT"]);
    first.signal(Signal::CONT);
    until("the first worker knows on waking", SOON, async || {
        first.events().iter().any(|it| it["message"] == "work ended")
    })
    .await;
    let text = written();
    let tokens: Vec<i64> = text.lines().filter_map(|it| it.parse().ok()).collect();
    assert!(tokens.is_sorted() && tokens.first() < tokens.last(), "the holders overlap:\n{text}");
}

#[tokio::test]
async fn a_result_that_comes_after_the_session_is_stale_and_changes_nothing() {
    let coordinator = Coordinator::start_with(Options::short_sessions()).await;
    let first = shell_worker(&coordinator, "first", PATIENT);
    let mut client = coordinator.client();
    let spec = TaskSpec { retry: Some(at_once()), ..shell_task(coordinator.dir()) };
    let id = client.submit(spec).await;
    let lost = tokens(coordinator.dir(), 1).await[0];

    first.signal(Signal::STOP);
    fs::write(coordinator.dir().join("go"), "").expect("the program is given leave");
    let second = shell_worker(&coordinator, "second", PATIENT);
    client.ended(&id).await;
    let before = client.task(&id).await;
    assert_eq!(before.state(), TaskState::Succeeded, "{before:#?}\n{}", second.tail());
    let kept = tokens(coordinator.dir(), 2).await[1];
    assert!(lost < kept, "a later lease has a larger token");
    assert_eq!(before.result, bytes(format!("done by {kept}\n").as_bytes()));
    assert_eq!(before.worker_loss_count, 1);

    first.signal(Signal::CONT);
    until("the late result is answered STALE", SOON, async || is_stale(&first, lost)).await;
    let after: Task = client.task(&id).await;
    assert_eq!(after, before);
}

/// Whether a worker was told that its outcome under this token is stale.
fn is_stale(worker: &Process, token: i64) -> bool {
    worker.events().iter().any(|line| {
        line.get("disposition").and_then(|it| it.as_str()) == Some("stale")
            && line.get("fencing_token").and_then(serde_json::Value::as_i64) == Some(token)
    })
}

/// A worker with one slot that runs this shell script for tasks of type "script".
pub(crate) fn shell_worker(coordinator: &Coordinator, id: &str, script: &str) -> Process {
    shell_worker_with(coordinator, id, script, &[])
}

/// The same with further flags.
pub(crate) fn shell_worker_with(
    coordinator: &Coordinator,
    id: &str,
    script: &str,
    args: &[&str],
) -> Process {
    let path = coordinator.dir().join(format!("{id}.sh"));
    fs::write(&path, script).expect("the script can be written");
    let command = format!("sh {}", path.display());
    let programs = [("script", command.as_str())];
    let options = worker::Options { id, slots: 1, programs: &programs, args, ..Default::default() };
    worker::start(coordinator.address, coordinator.dir(), &options)
}

/// A task whose script works in this directory.
pub(crate) fn shell_task(dir: &Path) -> TaskSpec {
    let line = format!("{}\n", dir.display());
    TaskSpec { payload: bytes(line.as_bytes()), ..spec("script") }
}

/// Retries that do not wait.
pub(crate) fn at_once() -> RetryPolicy {
    RetryPolicy {
        initial: Some(duration(Duration::from_millis(10))),
        factor: Some(1.0),
        jitter: Jitter::None.into(),
        ..RetryPolicy::default()
    }
}

/// The tokens under which the patient script was started, once there are this many.
pub(crate) async fn tokens(dir: &Path, count: usize) -> Vec<i64> {
    let path = dir.join("started");
    eventually(&format!("the script is started {count} times"), SOON, async || {
        let text = fs::read_to_string(&path).ok()?;
        let tokens: Vec<i64> = text.lines().filter_map(|it| it.parse().ok()).collect();
        (tokens.len() >= count).then_some(tokens)
    })
    .await
}

/// The process ids of the stubborn script and its child.
async fn forked(dir: &Path) -> Vec<i32> {
    let read = |name: &str| fs::read_to_string(dir.join(name)).ok()?.trim().parse().ok();
    eventually("the program has forked", SOON, async || Some(vec![read("parent")?, read("child")?]))
        .await
}
