//! Which process a worker's name stands for: the living one, whatever is still under way from another.

use std::fs;

use leasehold_proto::v1::{Hello, TaskSpec, TaskState};
use serde_json::Value;

use crate::{
    client::spec,
    condition::{SOON, until},
    coordinator::Coordinator,
    prefetch::PROGRAM,
    script::{Script, hello},
    worker,
};

/// Its hello was on the way while the process that took its place was started.
#[tokio::test]
async fn the_late_hello_of_a_dead_process_costs_the_living_one_nothing() {
    let coordinator = Coordinator::start().await;
    let mut client = coordinator.client();
    let options = worker::Options { programs: &[PROGRAM], ..worker::Options::default() };
    let mut living = worker::start(coordinator.address, coordinator.dir(), &options);
    let gate = coordinator.dir().join("gate");
    let payload = gate.display().to_string().into_bytes();
    let id = client.submit(TaskSpec { payload: payload.into(), ..spec("wait") }).await;
    until("it runs", SOON, async || client.task(&id).await.state() == TaskState::Running).await;
    let dead = Hello { instance_id: "dead".to_owned(), ..hello("worker", "wait", 1) };
    drop(Script::join(coordinator.address, dead).await);
    let connected = |it: &&Value| it["message"] == "connected to the coordinator";
    until("it is back", SOON, async || living.events().iter().filter(connected).count() == 2).await;
    fs::write(&gate, "").expect("the gate can be opened");
    let task = client.ended(&id).await;
    assert_eq!((task.state(), task.lease_count), (TaskState::Succeeded, 1));
    assert!(living.ended().is_none(), "{}", living.tail());
}
