//! The three ends together.

use std::thread;

use anyhow::Result;
use tokio::{net::TcpListener, runtime::Runtime};

use super::{BATCH_TASKS, Submitter, Worker, server};
use crate::driver::{Patience, Submitter as _, Worker as _};

#[test]
fn each_task_is_confirmed_started_and_completed_once() -> Result<()> {
    let runtime = Runtime::new()?;
    let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0"))?;
    let address = listener.local_addr()?;
    let serving = runtime.spawn(server::listen(listener));
    let (mut submitter, mut worker) = (Submitter::connect(address)?, Worker::connect(address)?);
    // Some of the messages are full, and one is not.
    let tasks = submitter.window().min(10 * BATCH_TASKS as u64 + 1);
    let submits = thread::spawn(move || {
        submitter.send(0..tasks)?;
        let mut confirmed = 0;
        while confirmed < tasks {
            confirmed += submitter.confirmed(Patience::Wait)?;
        }
        // With nothing under way there is nothing to see.
        Ok::<_, anyhow::Error>(confirmed + submitter.confirmed(Patience::Look)?)
    });
    let (mut started, mut completed) = (Vec::new(), 0);
    while completed < tasks {
        completed += worker.work(tasks - completed, &mut |payload| {
            started.extend(payload.first_chunk().map(|digits| u64::from_be_bytes(*digits)));
        })?;
    }
    assert_eq!(submits.join().map_err(|_panic| anyhow::anyhow!("it panicked"))??, tasks);
    assert_eq!(completed, tasks);
    assert!(started.into_iter().eq(0..tasks));
    serving.abort();
    Ok(())
}
