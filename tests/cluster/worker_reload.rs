//! A worker's own file changes while it works: how much it takes follows, what cannot change is refused with its name, and nothing
//! that runs notices.

use std::{
    fs,
    path::{Path, PathBuf},
};

use leasehold_proto::v1::TaskState;
use rustix::process::Signal;

use crate::{
    binary,
    condition::{SOON, until},
    coordinator::Coordinator,
    process::Process,
    program::{PATIENT, shell_task, tokens},
};

/// The file of a worker with so many slots.
fn file(coordinator: &Coordinator, (slots, prefetch): (u32, u32), rest: &str) -> String {
    format!(
        "address: http://{}\nid: w\nslots: {slots}\nprefetch: {prefetch}\n\
         programs: {{script: {{command: [sh, {}]}}}}\n\
         telemetry: {{log_format: json, log_filter: info}}\n{rest}\n",
        coordinator.address,
        coordinator.dir().join("patient.sh").display(),
    )
}

/// Another file in its place, and whoever wrote it says so.
fn put(worker: &Process, path: &Path, text: &str) {
    let beside = path.with_extension("new");
    fs::write(&beside, text).expect("the file can be written");
    fs::rename(&beside, path).expect("it can be put in place");
    worker.signal(Signal::HUP);
}

fn start(coordinator: &Coordinator) -> (Process, PathBuf) {
    fs::write(coordinator.dir().join("patient.sh"), PATIENT).expect("the script can be written");
    let path = coordinator.dir().join("worker.yaml");
    fs::write(&path, file(coordinator, (1, 0), "")).expect("the file can be written");
    let mut command = binary::worker();
    command.arg("--config").arg(&path);
    (Process::spawn("worker", command, coordinator.dir().join("worker.log")), path)
}

#[tokio::test]
async fn a_workers_slots_follow_its_file_and_what_runs_goes_on() {
    let coordinator = Coordinator::start().await;
    let (worker, path) = start(&coordinator);
    let mut client = coordinator.client();
    let mut ids = Vec::new();
    for _ in 0..3 {
        ids.push(client.submit(shell_task(coordinator.dir())).await);
    }
    tokens(coordinator.dir(), 1).await;
    put(&worker, &path, &file(&coordinator, (3, 1), ""));
    // As many as there are slots by now.
    tokens(coordinator.dir(), 3).await;
    let known = client.worker("w").await.expect("it is connected");
    assert_eq!((known.slots, known.prefetch), (3, 1));

    put(&worker, &path, &file(&coordinator, (1, 0), ""));
    until("the coordinator knows that it takes fewer", SOON, async || {
        let known = client.clone().worker("w").await.expect("it is connected");
        (known.slots, known.prefetch) == (1, 0)
    })
    .await;
    for id in &ids {
        assert_eq!(client.task(id).await.state(), TaskState::Running, "nothing was taken away");
    }

    put(&worker, &path, &file(&coordinator, (2, 0), "labels: {zone: a}"));
    let said = |line: &'static str| {
        let worker = &worker;
        async move { until(line, SOON, async || worker.log().contains(line)).await }
    };
    said("labels cannot change while the worker works").await;
    put(&worker, &path, &file(&coordinator, (0, 0), ""));
    said("must be from 1 to 10000").await;
    put(&worker, &path, "slots: [\n");
    said("worker.yaml:").await;
    assert_eq!(client.worker("w").await.expect("it is connected").slots, 1);

    let debug = file(&coordinator, (2, 0), "").replace("log_filter: info", "log_filter: debug");
    put(&worker, &path, &debug);
    fs::write(coordinator.dir().join("go"), "").expect("the programs are given leave");
    for id in &ids {
        let ended = client.ended(id).await;
        assert_eq!((ended.state(), ended.lease_count), (TaskState::Succeeded, 1));
    }
    said("\"level\":\"DEBUG\"").await;
    assert_eq!(client.worker("w").await.expect("it is connected").slots, 2);
}
