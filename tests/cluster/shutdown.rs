//! A coordinator that is asked to go says so, loses nothing, and is gone within a bound.

use std::{error::Error, time::Duration};

use leasehold_proto::v1::{
    GoAwayReason, LeasePhase, ResultDisposition, SubmitTaskRequest,
    coordinator_event::Event as Told,
};
use rustix::process::Signal;
use tonic::{Code, transport};

use crate::{
    client::spec,
    condition::SOON,
    coordinator::{Coordinator, Options},
    script::{Script, bytes, hello, holding},
};

/// "At once", for a process on a busy machine.
const AT_ONCE: Duration = Duration::from_secs(1);

#[tokio::test]
async fn a_coordinator_that_goes_tells_its_workers_and_keeps_their_leases() {
    let mut coordinator = Coordinator::start().await;
    let mut client = coordinator.client();
    let mut script = Script::join(coordinator.address, hello("worker", "echo", 1)).await;
    let id = client.submit(spec("echo")).await;
    let token = script.assignment().await.fencing_token;
    script.started(token).await;
    coordinator.process.signal(Signal::TERM);
    let reason = script
        .expect("the worker is told", |told| match told {
            Told::GoAway(it) => Some(it.reason()),
            _ => None,
        })
        .await;
    assert_eq!(reason, GoAwayReason::Shutdown);
    coordinator.process.exits_with(0, SOON).await;

    coordinator.restart().await;
    let held = holding(hello("worker", "echo", 1), &[(token, LeasePhase::Finished)]);
    let mut script = Script::join(coordinator.address, held).await;
    assert_eq!(script.succeed(token, b"kept").await, ResultDisposition::Accepted);
    assert_eq!(client.ended(&id).await.result, bytes(b"kept"));
}

#[tokio::test]
async fn every_submit_around_a_shutdown_is_kept_or_refused() {
    let mut coordinator = Coordinator::start().await;
    let mut client = coordinator.client();
    coordinator.process.signal(Signal::TERM);
    let mut accepted = Vec::new();
    let refusal = loop {
        let request = SubmitTaskRequest { spec: Some(spec("echo").into()), ..Default::default() };
        match client.tasks.submit_task(request).await {
            Ok(answer) => accepted.push(answer.into_inner().task_id),
            Err(status) => break status,
        }
    };
    // The connection may go between a request and its answer; then the transport has a word of its own.
    let is_cut = Error::source(&refusal).is_some_and(<dyn Error>::is::<transport::Error>);
    assert!(refusal.code() == Code::Unavailable || is_cut, "{refusal:?}");
    coordinator.process.exits_with(0, SOON).await;
    coordinator.restart().await;
    for id in accepted {
        client.task(&id).await;
    }
}

#[tokio::test]
async fn a_second_signal_ends_it_at_once() {
    let config = "shutdown:\n  grace: 60s\n".to_owned();
    let options = Options { config: Some(config), ..Options::default() };
    let mut coordinator = Coordinator::start_with(options).await;
    // A worker that neither leaves nor closes its half of the stream.
    let mut script = Script::join(coordinator.address, hello("worker", "echo", 1)).await;
    coordinator.process.signal(Signal::TERM);
    script
        .expect("the shutdown has begun", |told| matches!(told, Told::GoAway(_)).then_some(()))
        .await;
    if coordinator.process.ended().is_none() {
        coordinator.process.signal(Signal::TERM);
    }
    coordinator.process.exit(AT_ONCE).await;
}
