//! A worker's machine, and what its handlers do.

use std::time::Duration;

use leasehold_worker::{Bytes, Context, Error, TaskError, Worker, guest};
use tokio::{sync::watch, time::sleep};

use crate::{
    fault::Machine,
    judge::Violation,
    ledger::Ledger,
    plan::Work,
    wire::{ADDRESS, Line},
};

/// What handlers are called.
pub(crate) const TASK_TYPE: &str = "work";

/// How long a worker waits for its handlers when it is asked to end.
const DRAIN_GRACE: Duration = Duration::from_secs(5);

/// A worker's machine.
#[derive(Clone)]
pub(crate) struct Crewman {
    machine: Machine,
    line: Line,
    slots: u32,
    /// How often a process was asked to end: only one that runs is.
    stop: watch::Sender<u64>,
    ledger: Ledger,
}

impl Crewman {
    pub(crate) fn new(machine: Machine, line: Line, slots: u32, ledger: Ledger) -> Self {
        Self { machine, line, slots, stop: watch::Sender::default(), ledger }
    }

    /// Asks the process to end.
    pub(crate) fn stop(&self) {
        self.stop.send_modify(|times| *times += 1);
    }

    /// One process, from its start to its end.
    pub(crate) async fn run(self) -> turmoil::Result {
        let Self { machine, line, slots, stop, ledger } = self;
        let mut asked = stop.subscribe();
        ledger.note(&format!("{machine} starts"));
        ledger.pages().starts += 1;
        let written = ledger.clone();
        let worker = Worker::default()
            .address(ADDRESS)
            .id(machine.to_string())
            .slots(slots)
            .drain_grace(DRAIN_GRACE)
            .task(TASK_TYPE, move |payload, context| {
                work(payload, context, machine, written.clone())
            });
        match guest::run(worker, move |endpoint| line.clone().dial(endpoint), async {
            drop(asked.changed().await);
        })
        .await
        {
            Ok(()) => ledger.note(&format!("{machine} has stopped")),
            // What it could not deliver runs again elsewhere.
            Err(Error::Undelivered { .. }) => ledger.note(&format!("{machine} gave up")),
            Err(error) => {
                ledger.broken(Violation::Ended { machine, error: error.to_string() });
            }
        }
        Ok(())
    }
}

/// Does what the payload says, and returns the token of the lease it did it under.
async fn work(
    payload: Bytes,
    context: Context,
    machine: Machine,
    ledger: Ledger,
) -> Result<String, TaskError> {
    let token = context.fencing_token();
    let run = ledger.begins(context.task_id(), token, machine);
    let work = Work::of_payload(&payload)
        .ok_or_else(|| TaskError::permanent("the payload says nothing"))?;
    if work.hangs && context.attempt() == 1 {
        std::future::pending::<()>().await;
    }
    sleep(work.takes).await;
    if context.attempt() <= work.failures {
        return Err(TaskError::retry("not yet"));
    }
    run.returns();
    Ok(token.to_string())
}
