//! Whether the coordinator still answers while many leases end: a submit and a heartbeat are due every few milliseconds by the
//! clock, and each is measured from when it was due.

use std::time::{Duration, Instant};

use leasehold_client::{Client, TaskSpec};
use tokio::{
    sync::watch,
    task::{JoinError, JoinSet},
    time,
};

use super::super::{
    delays::Delays,
    idle::{self, Session},
    load::Load,
};
use crate::failure::Failure;

/// How often each is due.
const EVERY: Duration = Duration::from_millis(10);

/// The heartbeats are those of a worker with this number, and idle.
const NUMBER: u32 = 0;

/// What was found.
#[derive(Clone, Debug)]
pub(super) struct Answers {
    pub(super) submits: Delays,
    pub(super) heartbeats: Delays,
}

/// Asks from a moment on until `over` says so.
pub(super) async fn ask(
    client: &Client,
    from: Instant,
    over: watch::Receiver<bool>,
) -> Result<Answers, Failure> {
    time::sleep_until(from.into()).await;
    let submits = submit(client, over.clone());
    let (submits, heartbeats) = tokio::try_join!(submits, beat(client, over))?;
    Ok(Answers { submits, heartbeats })
}

async fn beat(client: &Client, over: watch::Receiver<bool>) -> Result<Delays, Failure> {
    let session = Session::connect(client.address(), NUMBER).await?;
    let mut delays = Delays::new()?;
    let lost = || Failure::Bench("the idle worker lost its connection".to_owned());
    session.ask(EVERY, over, &mut delays).await.ok_or_else(lost)?;
    Ok(delays)
}

/// Submits tasks that nobody works at.
async fn submit(client: &Client, mut over: watch::Receiver<bool>) -> Result<Delays, Failure> {
    let queue = format!("{}-probe", Load::of_nobody().queue());
    let mut delays = Delays::new()?;
    let (mut beats, mut submits) = (time::interval(EVERY), JoinSet::new());
    loop {
        tokio::select! {
            due = beats.tick() => {
                let (client, spec) = (client.clone(), TaskSpec::new(&queue).queue(&queue));
                submits.spawn(async move { client.submit(spec).await.map(|_| due.elapsed()) });
            }
            Some(submitted) = submits.join_next() => record(submitted, &mut delays)?,
            () = idle::is_over(&mut over) => break,
        }
    }
    while let Some(submitted) = submits.join_next().await {
        record(submitted, &mut delays)?;
    }
    Ok(delays)
}

fn record(
    submitted: Result<Result<Duration, leasehold_client::Error>, JoinError>,
    delays: &mut Delays,
) -> Result<(), Failure> {
    let took = submitted.map_err(|why| Failure::Bench(format!("a submit failed: {why}")))??;
    delays.record(took);
    Ok(())
}
