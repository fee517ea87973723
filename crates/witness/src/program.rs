//! One attempt as a program: the order on stdin, the lease in the environment, the result on stdout.

use std::{
    env,
    io::{self, Write as _},
    sync::Arc,
};

use anyhow::{Context as _, bail};
use tokio::{
    runtime::Builder,
    signal::unix::{SignalKind, signal},
};

use crate::{
    execution::{Ending, Execution},
    ledger::Name,
    order::Order,
    place::Place,
};

/// Makes the attempt that the environment and stdin describe.
pub(crate) fn attempt() -> anyhow::Result<()> {
    let order: Order = io::read_to_string(io::stdin())?.parse()?;
    let place = Arc::new(Place::from_env()?);
    let execution = Execution::begin(place, name()?)?;
    let ending = Builder::new_current_thread().enable_all().build()?.block_on(async {
        // Whether the order heeds it or not, SIGTERM alone ends nothing from here on.
        let mut terminate = signal(SignalKind::terminate())?;
        let asked = async {
            terminate.recv().await;
        };
        execution.work(order, asked).await
    })?;
    match ending {
        Ending::Done(result) => Ok(io::stdout().write_all(result.as_bytes())?),
        Ending::Stopped => bail!("stopped as asked"),
        Ending::Fenced => bail!("the resource has seen a larger token"),
    }
}

fn name() -> anyhow::Result<Name> {
    let variable = |name: &str| env::var(name).with_context(|| format!("{name} is not set"));
    Ok(Name {
        task: variable("LEASEHOLD_TASK_ID")?,
        token: variable("LEASEHOLD_FENCING_TOKEN")?.parse()?,
        worker: variable("LEASEHOLD_WORKER_ID")?,
    })
}
