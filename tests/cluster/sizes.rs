//! Tasks that take more of their worker than a slot.

use std::{collections::HashMap, fs};

use leasehold_proto::v1::{BlockedReason, ExplainTaskRequest, TaskSpec, TaskState};
use serde_json::Value;

use crate::{
    client::{Client, spec},
    command_line::run,
    condition::{SOON, until},
    coordinator::{Coordinator, Options as Start},
    prefetch::PROGRAM,
    process::Process,
    worker::{self, Options},
};

fn start(coordinator: &Coordinator, id: &str, slots: u32, args: &[&str]) -> Process {
    let programs =
        [PROGRAM, ("show", "sh -c 'echo $LEASEHOLD_TASK_SLOTS $LEASEHOLD_TASK_RESOURCES'")];
    let options = Options { id, slots, programs: &programs, args, ..Options::default() };
    worker::start(coordinator.address, coordinator.dir(), &options)
}

/// A task that ends when its gate is opened, and takes so much.
async fn submit(
    client: &mut Client,
    coordinator: &Coordinator,
    gate: &str,
    slots: i32,
    resources: &[(&str, i64)],
) -> String {
    let payload = coordinator.dir().join(gate).display().to_string().into_bytes();
    let resources: HashMap<String, i64> =
        resources.iter().map(|(name, amount)| ((*name).to_owned(), *amount)).collect();
    client.submit(TaskSpec { payload: payload.into(), slots, resources, ..spec("wait") }).await
}

fn open(coordinator: &Coordinator, gate: &str) {
    fs::write(coordinator.dir().join(gate), "").expect("a gate can be opened");
}

async fn reaches(client: &mut Client, task: &str, state: TaskState) {
    until("the task is there", SOON, async || client.task(task).await.state() == state).await;
}

#[tokio::test]
async fn a_lease_takes_all_its_room_and_what_fits_beside_it_goes_ahead() {
    let coordinator = Coordinator::start().await;
    let mut client = coordinator.client();
    let _worker = start(&coordinator, "w", 4, &["--resource", "gpu=1"]);
    let first = submit(&mut client, &coordinator, "first", 3, &[("gpu", 1)]).await;
    reaches(&mut client, &first, TaskState::Running).await;
    let second = submit(&mut client, &coordinator, "second", 1, &[("gpu", 1)]).await;
    let third = submit(&mut client, &coordinator, "third", 1, &[]).await;
    reaches(&mut client, &third, TaskState::Running).await;
    let blocked = client.task(&second).await.blocked_reason();
    assert_eq!(blocked, BlockedReason::NoCapacity);
    let view = client.worker("w").await.expect("it is there");
    assert_eq!((view.slots, view.used_slots), (4, 4));
    assert_eq!((view.resources["gpu"], view.used_resources["gpu"]), (1, 1));
    open(&coordinator, "first");
    client.ended(&first).await;
    reaches(&mut client, &second, TaskState::Running).await;
    open(&coordinator, "second");
    open(&coordinator, "third");
    client.ended(&second).await;
    client.ended(&third).await;
}

#[tokio::test]
async fn what_is_too_large_for_every_worker_is_told_so_until_one_comes() {
    let coordinator = Coordinator::start().await;
    let mut client = coordinator.client();
    let _small = start(&coordinator, "small", 2, &["--resource", "gpu=1"]);
    until("it is there", SOON, async || client.worker("small").await.is_some()).await;
    let wants = ["--slots", "3", "--resource", "gpu=2"];
    let args = [&["-o", "json", "task", "submit", "--type", "show"][..], &wants, &["x"]].concat();
    let submitted = run(coordinator.address, &args, b"");
    assert!(submitted.status.success(), "{submitted:?}");
    let submitted: Value = serde_json::from_slice(&submitted.stdout).expect("JSON");
    let id = submitted["taskId"].as_str().expect("an id").to_owned();
    let request = ExplainTaskRequest { task_id: id.clone() };
    let answer = client.tasks.explain_task(request).await.expect("it is explained").into_inner();
    let blocker = answer.explanation.expect("an explanation").blockers.remove(0);
    assert_eq!(blocker.reason(), BlockedReason::NoEligibleWorker);
    let group = &blocker.unfit_workers.expect("why").groups[0];
    let shortages = group.shortages.iter().map(|it| (&*it.resource, it.wanted, it.largest));
    assert_eq!(shortages.collect::<Vec<_>>(), [("", 3, 2), ("gpu", 2, 1)]);
    let _large = start(&coordinator, "large", 4, &["--resource", "gpu=2"]);
    let ended = client.ended(&id).await;
    assert_eq!(ended.result.as_ref(), b"3 gpu=2\n");
}

#[tokio::test]
async fn a_large_task_has_a_worker_reserved_beside_a_stream_of_small_ones() {
    let config = Some("queues: {aging_every: 2}".to_owned());
    let coordinator = Coordinator::start_with(Start { config, ..Start::default() }).await;
    let mut client = coordinator.client();
    let _worker = start(&coordinator, "w", 2, &[]);
    let held = submit(&mut client, &coordinator, "held", 1, &[]).await;
    reaches(&mut client, &held, TaskState::Running).await;
    let large = submit(&mut client, &coordinator, "large", 2, &[]).await;
    for n in 0..2 {
        let gate = format!("small-{n}");
        let small = submit(&mut client, &coordinator, &gate, 1, &[]).await;
        reaches(&mut client, &small, TaskState::Running).await;
        open(&coordinator, &gate);
        client.ended(&small).await;
    }
    let last = submit(&mut client, &coordinator, "last", 1, &[]).await;
    let request = ExplainTaskRequest { task_id: last.clone() };
    let answer = client.tasks.explain_task(request).await.expect("it is explained").into_inner();
    let blocker = answer.explanation.expect("an explanation").blockers.remove(0);
    let reserved = blocker.slot_use.expect("who has the slots").reserved;
    let reserved = reserved.iter().map(|it| (&*it.worker_id, &*it.task_id));
    assert_eq!(reserved.collect::<Vec<_>>(), [("w", &*large)]);
    open(&coordinator, "held");
    reaches(&mut client, &large, TaskState::Running).await;
    open(&coordinator, "large");
    open(&coordinator, "last");
    client.ended(&large).await;
    client.ended(&last).await;
}
