//! Whoever has lost a lease without knowing cannot overwrite what came after: the example of `docs/fencing.md`, with a
//! worker that is stopped before its write and goes on when its task has long been done by another.

use std::{fs, path::PathBuf};

use leasehold_proto::v1::{TaskSpec, TaskState};
use rustix::process::Signal;

use crate::{
    binary,
    client::spec,
    condition::{SOON, until},
    coordinator::{Coordinator, Options},
    postgres::Postgres,
    process::Process,
    program::at_once,
    script::bytes,
};

/// What the second holder writes.
const WRITTEN: &str = "a report by second";

#[tokio::test]
async fn a_row_of_postgresql_keeps_what_the_newer_lease_wrote() {
    let postgres = Postgres::start().await;
    let story = Story::tell("row", &postgres.environment()).await;
    let row = || postgres.value("SELECT body FROM report");
    assert_eq!(row(), WRITTEN);
    story.wake("refused: token").await;
    assert_eq!(row(), WRITTEN);
    postgres.stop().await;
}

#[tokio::test]
async fn a_file_keeps_what_the_newer_lease_wrote() {
    let story = Story::tell("file", &[]).await;
    let report = story.path("input.report");
    assert_eq!(fs::read_to_string(&report).expect("it is written"), WRITTEN);
    story.wake("refused: token").await;
    assert_eq!(fs::read_to_string(&report).expect("it is written"), WRITTEN);
}

#[tokio::test]
async fn what_cannot_compare_tokens_is_spared_by_the_guard() {
    let story = Story::tell("log", &[]).await;
    let log = story.path("input.log");
    story.wake("the lease is over (lease lost)").await;
    assert_eq!(fs::read_to_string(&log).expect("it is written"), format!("{WRITTEN}\n"));
}

/// A task whose first holder sleeps from before its write until after the second's.
struct Story {
    coordinator: Coordinator,
    first: Process,
    _second: Process,
}

impl Story {
    async fn tell(task_type: &str, environment: &[(&str, String)]) -> Self {
        let coordinator = Coordinator::start_with(Options::short_sessions()).await;
        let mut client = coordinator.client();
        let input = coordinator.dir().join("input");
        let first = worker(&coordinator, "first", 1, environment);
        let payload = bytes(input.display().to_string().as_bytes());
        let spec = TaskSpec { retry: Some(at_once()), payload, ..spec(task_type) };
        let id = client.submit(spec).await;
        until("the first has begun", SOON, async || first.log().contains("waiting for")).await;

        first.freeze().await;
        fs::write(&input, "a report\n").expect("it can be written");
        let second = worker(&coordinator, "second", 1, environment);
        let task = client.ended(&id).await;
        assert_eq!(task.state(), TaskState::Succeeded, "{task:#?}\n{}", second.tail());
        assert_eq!((task.lease_count, task.worker_loss_count), (2, 1));
        Self { coordinator, first, _second: second }
    }

    /// Lets the first holder go on, and waits for what it says.
    async fn wake(&self, says: &str) {
        assert!(!self.first.log().contains(says), "{}", self.first.tail());
        self.first.signal(Signal::CONT);
        until(&format!("the first says {says:?}"), SOON, async || self.first.log().contains(says))
            .await;
    }

    fn path(&self, name: &str) -> PathBuf {
        self.coordinator.dir().join(name)
    }
}

/// The example. It waits for a file in whatever it does, and a blocked thread cannot be stopped.
pub(crate) fn worker(
    coordinator: &Coordinator,
    id: &str,
    slots: u32,
    environment: &[(&str, String)],
) -> Process {
    let mut command = binary::fenced();
    command.env("LEASEHOLD_ADDRESS", coordinator.address.to_string());
    command.env("LEASEHOLD_WORKER_ID", id).env("LEASEHOLD_SLOTS", slots.to_string());
    command.envs(environment.iter().map(|(name, value)| (name, value)));
    Process::spawn(id, command, coordinator.dir().join(format!("{id}.log")))
}
