//! A worker in Rust whose handler is an async function.

use std::{str, sync::Arc};

use leasehold_telemetry::{LogFormat, Settings};
use leasehold_worker::{Bytes, Context, TaskError, Worker};
use tokio::runtime::Builder;

use crate::{
    execution::{Ending, Execution},
    ledger::Name,
    order::Order,
    place::Place,
};

/// The task type that is served.
const TASK_TYPE: &str = "witness";

/// Works until it is told to stop. Settings come from the environment, as for every worker.
pub(crate) fn until_signal() -> anyhow::Result<()> {
    let settings = Settings { log_format: LogFormat::Json, ..Settings::new("leasehold-witness") };
    let telemetry = leasehold_telemetry::init(&settings)?;
    let place = Arc::new(Place::from_env()?);
    let worker = Worker::from_env()?
        .task(TASK_TYPE, move |payload, context| run(payload, context, Arc::clone(&place)));
    let result = Builder::new_current_thread().enable_all().build()?.block_on(worker.run());
    telemetry.shutdown();
    Ok(result?)
}

async fn run(payload: Bytes, context: Context, place: Arc<Place>) -> Result<String, TaskError> {
    let order: Order = match str::from_utf8(&payload)?.parse() {
        Ok(order) => order,
        Err(error) => return Err(TaskError::permanent(format!("{error:#}"))),
    };
    let name = Name {
        task: context.task_id().to_owned(),
        token: context.fencing_token(),
        worker: context.worker_id().to_owned(),
    };
    let asked = async {
        context.cancelled().await;
    };
    match Execution::begin(place, name)?.work(order, asked).await? {
        Ending::Done(result) => Ok(result),
        Ending::Stopped => Err(TaskError::retry("stopped as asked")),
        Ending::Fenced => Err(TaskError::retry("the resource has seen a larger token")),
    }
}
