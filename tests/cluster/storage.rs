//! A disk that fills up costs submits for as long as it is full; a disk that fails costs a restart. Neither costs a task.

use std::{
    fs,
    io::Write as _,
    path::{Path, PathBuf},
    time::Duration,
};

use leasehold_proto::v1::{
    ResultDisposition, SubmitTaskRequest, TaskSpec, coordinator_event::Event as Told,
    submit_outcome::Outcome,
};
use rustix::process::{Pid, Resource, Rlimit, geteuid, getrlimit, prlimit};
use tempfile::TempDir;
use tokio::{task::JoinSet, time::timeout};
use tonic::Code;

use crate::{
    client::{Client, is_terminal, spec},
    condition::{SOON, until},
    coordinator::{Coordinator, Options},
    fault, refusal,
    script::{Script, hello},
};

/// The volume that is filled.
const VOLUME: &str = "mount -t tmpfs -o size=32m tmpfs \"$0\" && exec \"$@\"";

/// No file of what runs in it becomes larger than 24 MiB: the journal reaches that while the ballast fits.
const SMALL_FILES: &str = "ulimit -S -f 49152 && exec \"$0\" \"$@\"";

/// For how long a call is waited for that may be one of those that wait for room.
const BRIEFLY: Duration = Duration::from_secs(1);

/// How many bulky tasks are more than such a file holds.
const BEYOND: usize = 400;

/// How many tasks are leased before the disk fills up.
const LEASED: usize = 8;

/// A payload that fills 32 MiB with some hundred tasks.
const BULK: usize = 128 << 10;

/// A file that is removed to make room again.
const FILLER: usize = 8 << 20;

#[tokio::test]
async fn a_full_disk_refuses_submits_and_nothing_else() {
    let dir = TempDir::with_prefix("leasehold-").expect("a temporary directory");
    let coordinator = Coordinator::start_with(on_small_volume(dir.path())).await;
    let mut client = coordinator.client();
    let volume = volume_of(&coordinator, dir.path());
    write(&volume.join("filler"), FILLER).expect("there is room at first");

    let mut script = Script::join(coordinator.address, hello("early", "early", 8)).await;
    let mut leased = Vec::new();
    for _ in 0..LEASED {
        client.submit(spec("early")).await;
        leased.push(script.assignment().await.fencing_token);
    }
    let accepted = fill(&mut client).await;
    assert!(accepted > 10, "only {accepted} bulky tasks found room");
    let brim = write(&volume.join("brim"), 64 << 20).expect_err("the volume is full to the brim");
    assert_eq!(brim.kind(), std::io::ErrorKind::StorageFull);

    for token in leased {
        let answer = script.succeed(token, &[b'r'; 1024]).await;
        assert_eq!(answer, ResultDisposition::Accepted, "what is leased still completes");
    }
    let status = bulk(&mut client).await.expect_err("there is still no room");
    refusal::expect(&status, Code::ResourceExhausted, "STORAGE_FULL");

    for file in ["filler", "brim"] {
        fs::remove_file(volume.join(file)).expect("room is made");
    }
    until("submits are accepted again", SOON, async || bulk(&mut client).await.is_ok()).await;
    drain(&coordinator, &mut client).await;
}

/// Submits bulky tasks until the disk is full. How many were accepted.
async fn fill(client: &mut Client) -> usize {
    for accepted in 0..1_000 {
        if let Err(status) = bulk(client).await {
            let refusal = refusal::expect(&status, Code::ResourceExhausted, "STORAGE_FULL");
            assert!(refusal.retry.is_some(), "waiting helps: {refusal:?}");
            return accepted;
        }
    }
    panic!("a volume of 32 MiB holds 128 MiB");
}

/// Submits one bulky task of bytes that do not shrink.
async fn bulk(client: &mut Client) -> Result<String, tonic::Status> {
    let payload: Vec<u8> = std::iter::repeat_with(|| fastrand::u8(..)).take(BULK).collect();
    let spec = TaskSpec { payload: payload.into(), ..spec("bulk") };
    let request = SubmitTaskRequest { spec: Some(spec.into()), ..Default::default() };
    Ok(client.tasks.submit_task(request).await?.into_inner().task_id)
}

/// Works off everything that is left, under the process that met the full disk.
async fn drain(coordinator: &Coordinator, client: &mut Client) {
    let mut script = Script::join(coordinator.address, hello("late", "bulk", 8)).await;
    until("everything accepted is done", SOON, async || {
        while let Some(told) = script.next_within(Duration::from_millis(50)).await {
            if let Told::Assignment(it) = told.expect("the stream is sound").expect("and open") {
                let answer = script.succeed(it.fencing_token, b"").await;
                assert_eq!(answer, ResultDisposition::Accepted);
            }
        }
        client.is_drained("default").await
    })
    .await;
}

#[tokio::test]
async fn a_limit_of_file_sizes_is_a_full_disk_that_can_be_lifted() {
    let under = ["sh", "-c", SMALL_FILES].map(str::to_owned).to_vec();
    let coordinator = Coordinator::start_with(Options { under, ..Options::default() }).await;
    // Those that wait take all streams of their connection: who asks how it is has another one.
    let (mut client, waiting) = (coordinator.client(), coordinator.client());
    let mut calls = JoinSet::new();
    for _ in 0..BEYOND {
        let mut client = waiting.clone();
        calls.spawn(async move { bulk(&mut client).await });
    }
    // What met the limit waits for room, and what comes after it is refused.
    until("the limit is met", SOON, async || {
        let call = timeout(BRIEFLY, bulk(&mut client)).await;
        call.is_ok_and(|call| call.is_err_and(|it| it.code() == Code::ResourceExhausted))
    })
    .await;
    let status = bulk(&mut client).await.expect_err("there is still no room");
    refusal::expect(&status, Code::ResourceExhausted, "STORAGE_FULL");
    lift(coordinator.process.pid());
    let mut accepted = Vec::new();
    while let Some(call) = calls.join_next().await {
        accepted.extend(call.expect("a call does not panic").ok());
    }
    until("submits are accepted again", SOON, async || bulk(&mut client).await.is_ok()).await;
    let shown: Vec<String> =
        client.list("default").await.into_iter().map(|it| it.task_id).collect();
    assert!(!accepted.is_empty() && accepted.iter().all(|id| shown.contains(id)));
}

/// Takes the limit of file sizes from a process.
fn lift(pid: Pid) {
    let maximum = getrlimit(Resource::Fsize).maximum;
    let limit = Rlimit { current: maximum, maximum };
    prlimit(Some(pid), Resource::Fsize, limit).expect("the limit can be lifted");
}

/// A coordinator in a mount namespace of its own, in which the data directory is a small volume.
fn on_small_volume(data: &Path) -> Options {
    let own_user = if geteuid().is_root() { [].as_slice() } else { &["--map-root-user"] };
    let data_text = data.display().to_string();
    let under = ["unshare", "--mount"].iter().chain(own_user).chain(&["sh", "-c", VOLUME]);
    let under = under.map(ToString::to_string).chain([data_text]).collect();
    Options { data: Some(data.to_owned()), under, ..Options::default() }
}

/// The data directory as the coordinator sees it.
fn volume_of(coordinator: &Coordinator, data: &Path) -> PathBuf {
    let pid = coordinator.process.pid().as_raw_nonzero();
    let inside = data.strip_prefix("/").expect("a temporary directory is absolute");
    Path::new(&format!("/proc/{pid}/root")).join(inside)
}

fn write(path: &Path, bytes: usize) -> std::io::Result<()> {
    let chunk = vec![0x5a; 64 << 10];
    let mut file = fs::File::create(path)?;
    for _ in 0..bytes.div_ceil(chunk.len()) {
        file.write_all(&chunk)?;
    }
    Ok(())
}

#[tokio::test]
async fn a_failed_sync_stops_the_coordinator_and_costs_no_acknowledged_task() {
    let dir = TempDir::with_prefix("leasehold-").expect("a temporary directory");
    let library = fault::library("fault", dir.path());
    // The first sync of a commit; the second; one around a checkpoint.
    for (index, nth) in [1, 2, 40].into_iter().enumerate() {
        let data = dir.path().join(format!("data-{index}"));
        let fault = dir.path().join("fault");
        let text = |path: &Path| path.display().to_string();
        let env = [
            ("LD_PRELOAD", text(&library)),
            ("LEASEHOLD_FAULT_FILE", text(&fault)),
            ("LEASEHOLD_FAULT_PREFIX", text(&data)),
        ];
        let env = env.map(|(key, value)| (key.to_owned(), value)).to_vec();
        let options = Options { data: Some(data), env, ..Options::default() };
        check_fault(options, &fault, nth).await;
    }
}

/// What is in the journal's files is synced, and never their times as well: that would be another commit of the file system.
#[tokio::test]
async fn a_batch_is_synced_without_the_times_of_its_file() {
    let dir = TempDir::with_prefix("leasehold-").expect("a temporary directory");
    let library = fault::library("fault", dir.path());
    for (call, is_made) in [("fsync", false), ("fdatasync", true)] {
        let (data, fault) = (dir.path().join(call), dir.path().join(format!("fault-{call}")));
        let text = |path: &Path| path.display().to_string();
        let env = [
            ("LD_PRELOAD", text(&library)),
            ("LEASEHOLD_FAULT_FILE", text(&fault)),
            ("LEASEHOLD_FAULT_PREFIX", text(&data.join("leasehold.db"))),
            ("LEASEHOLD_FAULT_CALL", call.to_owned()),
        ];
        let env = env.map(|(key, value)| (key.to_owned(), value)).to_vec();
        let options = Options { data: Some(data), env, ..Options::default() };
        let coordinator = Coordinator::start_with(options).await;
        fs::write(&fault, "1").expect("the fault can be armed");
        let request = SubmitTaskRequest { spec: Some(spec("echo").into()), ..Default::default() };
        let submitted = coordinator.client().tasks.submit_task(request).await;
        assert_eq!(submitted.is_err(), is_made, "{call}: {submitted:?}");
        assert_eq!(!fault.exists(), is_made, "whether {call} was called");
    }
}

/// Fails the n-th sync under load; expects the coordinator to exit with 75 and to miss nothing after a restart.
async fn check_fault(options: Options, fault: &Path, nth: u32) {
    let mut coordinator = Coordinator::start_with(options).await;
    let mut client = coordinator.client();
    let request = SubmitTaskRequest { spec: Some(spec("echo").into()), ..Default::default() };
    let mut acknowledged = Vec::new();
    let mut keep = |_: usize, outcome| {
        if let Outcome::Accepted(it) = outcome {
            acknowledged.push(it.task_id);
        }
    };
    let before = vec![request.clone(); 100];
    client.submit_all(&before, &mut keep).await.expect("the disk is sound at first");
    fs::write(fault, nth.to_string()).expect("the fault can be armed");
    let after = vec![request; 100];
    while client.submit_all(&after, &mut keep).await.is_ok() {}
    coordinator.process.exits_with(75, SOON).await;
    assert!(!fault.exists(), "the sync that failed is what stopped the coordinator");

    coordinator.restart().await;
    assert!(acknowledged.len() >= 100);
    for id in acknowledged {
        let task = client.task(&id).await;
        assert!(!is_terminal(task.state()), "{task:?}");
    }
    coordinator.stop().await;
}
