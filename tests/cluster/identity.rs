//! Which process a worker's name stands for: the living one, whatever is still under way from another.

use std::fs;

use leasehold_proto::v1::{
    GoAwayReason, Hello, ProcessStart, TaskSpec, TaskState, coordinator_event::Event as Told,
    worker_event::Event as Say,
};
use serde_json::Value;

use crate::{
    client::spec,
    condition::{SOON, until},
    coordinator::Coordinator,
    prefetch::PROGRAM,
    process::Process,
    script::{Script, hello},
    worker,
};

/// What becomes of the hello.
enum Heard {
    /// It is not listened to, and the living process does not notice.
    Refused,
    /// It takes the living process's place, until that is back.
    Displaces,
}

/// Its hello was on the way while the process that took its place was started. Its connection looks alive throughout: only
/// the process is not.
async fn check(boot_id: &str, heard: Heard) {
    let coordinator = Coordinator::start().await;
    let mut client = coordinator.client();
    let options = worker::Options { programs: &[PROGRAM], ..worker::Options::default() };
    let mut living = worker::start(coordinator.address, coordinator.dir(), &options);
    let gate = coordinator.dir().join("gate");
    let payload = gate.display().to_string().into_bytes();
    let id = client.submit(TaskSpec { payload: payload.into(), ..spec("wait") }).await;
    until("it runs", SOON, async || client.task(&id).await.state() == TaskState::Running).await;

    // Early in the boot, whichever it is.
    let after_boot = Some(prost_types::Duration { seconds: 0, nanos: 1 });
    let start = ProcessStart { boot_id: boot_id.to_owned(), after_boot };
    let dead = Hello {
        instance_id: "dead".to_owned(),
        process_start: Some(start),
        ..hello("worker", "wait", 1)
    };
    let mut silent = Script::open(coordinator.address).await.expect("a stream");
    silent.say([Say::Hello(dead.into())]).await;
    let answer = silent.next().await.expect("an answer").expect("an answer");
    let connections = match heard {
        Heard::Refused => {
            let reason = match answer {
                Told::GoAway(it) => it.reason(),
                other => panic!("expected to be sent away, got {other:?}"),
            };
            assert_eq!(reason, GoAwayReason::Replaced);
            1
        }
        Heard::Displaces => {
            assert!(matches!(answer, Told::Welcome(_)), "nobody knows better");
            2
        }
    };
    let connected = |it: &&Value| it["message"] == "connected to the coordinator";
    let count = |living: &Process| living.events().iter().filter(connected).count();
    until("it is connected", SOON, async || count(&living) == connections).await;
    fs::write(&gate, "").expect("the gate can be opened");
    let task = client.ended(&id).await;
    assert_eq!((task.state(), task.lease_count), (TaskState::Succeeded, 1));
    assert_eq!(count(&living), connections, "it cost no more than that");
    assert!(living.ended().is_none(), "{}", living.tail());
}

#[tokio::test]
async fn the_late_hello_of_an_earlier_process_is_not_listened_to() {
    let boot_id = fs::read_to_string("/proc/sys/kernel/random/boot_id").expect("a boot id");
    check(boot_id.trim(), Heard::Refused).await;
}

#[tokio::test]
async fn a_hello_that_cannot_be_ordered_costs_the_living_process_one_reconnect() {
    check("another-boot", Heard::Displaces).await;
}
