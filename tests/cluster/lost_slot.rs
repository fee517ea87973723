//! Work that cannot be stopped costs a slot, is shown, and in the end the worker that has too much of it.

use std::{os::unix::process::ExitStatusExt as _, time::Duration};

use leasehold_proto::v1::{TaskSpec, Timeouts};
use rustix::process::Signal;

use crate::{
    cancel::cancel,
    client::{duration, spec},
    condition::{SOON, eventually, until},
    coordinator::Coordinator,
    fencing::worker,
    script::bytes,
};

#[tokio::test]
async fn a_worker_with_too_many_lost_slots_ends_to_be_started_again() {
    let coordinator = Coordinator::start().await;
    let mut client = coordinator.client();
    // Three slots, of which one may be lost.
    let mut worker = worker(&coordinator, "worker", 3, &[]);
    let nowhere = coordinator.dir().join("nowhere");
    let spec = TaskSpec {
        payload: bytes(nowhere.display().to_string().as_bytes()),
        timeouts: Some(Timeouts {
            kill_grace: Some(duration(Duration::from_millis(100))),
            ..Timeouts::default()
        }),
        ..spec("log")
    };
    // Both run before the first is lost: a worker that has not answered is given nothing new.
    let first = client.submit(spec.clone()).await;
    let second = client.submit(spec).await;
    let begun = |log: &str| log.matches("waiting for").count() == 2;
    until("both handlers block their threads", SOON, async || begun(&worker.log())).await;
    cancel(&mut client, &first).await;
    let shown = eventually("the lost slot is shown", SOON, async || {
        client.worker("worker").await.filter(|it| it.lost_slots > 0)
    })
    .await;
    assert_eq!((shown.slots, shown.lost_slots), (3, 1));
    assert!(worker.ended().is_none(), "with one it goes on");
    cancel(&mut client, &second).await;
    // Its threads keep it from returning from `main`, so it ends itself.
    let status = worker.exit(SOON).await;
    assert_eq!(status.signal(), Some(Signal::TERM.as_raw()), "{status}\n{}", worker.tail());
}
