//! `leasehold worker`: who is connected, and asking them to go.

use std::time::Duration;

use clap::Subcommand;
use leasehold_client::{Client, Eviction, v1::Worker};

use crate::{
    Done,
    args::Format,
    duration::parse_duration,
    exit::Exit,
    failure::say,
    json::{DrainJson, WorkersJson},
    output::Output,
    payload::printable,
    table::{Column, Table},
    words,
};

/// How much of a fingerprint is shown, as in the reason why a task waits.
const SHORT_DIGITS: usize = 12;

/// What to do with workers.
#[derive(Debug, Subcommand)]
pub(crate) enum WorkerCommand {
    /// List every worker the coordinator knows
    List,
    /// Ask workers to take nothing new, finish, and go
    Drain {
        /// The workers
        #[arg(required = true, value_name = "WORKER")]
        workers: Vec<String>,
        /// How long they may wait for what they run [default: their own setting]
        #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
        grace: Option<Duration>,
    },
    /// End a worker's sessions: its leases are revoked, it gets nothing new and is not believed any more
    Evict {
        /// The worker
        #[arg(value_name = "WORKER")]
        worker: String,
        /// For how long it is not let in again [default: until its sessions have ended]
        #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
        ban: Option<Duration>,
        /// How long its handlers may take to stop by themselves [default: each task's kill grace]
        #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
        grace: Option<Duration>,
        /// Why, for the coordinator's log
        #[arg(long, value_name = "TEXT", default_value = "")]
        reason: String,
    },
}

pub(crate) async fn run(command: WorkerCommand, client: &Client, output: Output) -> Done {
    match command {
        WorkerCommand::List => list(client, output).await,
        WorkerCommand::Drain { workers, grace } => drain(client, output, workers, grace).await,
        WorkerCommand::Evict { worker, ban, grace, reason } => {
            evict(client, output, &worker, Eviction { ban, grace, reason }).await
        }
    }
}

async fn list(client: &Client, output: Output) -> Done {
    let workers = client.workers().await?;
    match output.format() {
        Format::Json => output.document(&WorkersJson::from(workers.as_slice()))?,
        Format::Table => output.table(&table(&workers))?,
    }
    Ok(Exit::Ok)
}

async fn drain(
    client: &Client,
    output: Output,
    workers: Vec<String>,
    grace: Option<Duration>,
) -> Done {
    let response = client.drain_workers(workers, grace).await?;
    match output.format() {
        Format::Json => output.document(&DrainJson::from(&response))?,
        Format::Table if response.workers.is_empty() => {}
        Format::Table => output.table(&table(&response.workers))?,
    }
    for worker_id in &response.unknown_worker_ids {
        say(&format!("error: no worker {}; leasehold worker list", printable(worker_id)));
    }
    Ok(if response.unknown_worker_ids.is_empty() { Exit::Ok } else { Exit::NotFound })
}

async fn evict(client: &Client, output: Output, worker: &str, eviction: Eviction) -> Done {
    let workers = client.evict_worker(worker, eviction).await?;
    match output.format() {
        Format::Json => output.document(&WorkersJson::from(workers.as_slice()))?,
        Format::Table => output.table(&table(&workers))?,
    }
    Ok(Exit::Ok)
}

fn table(workers: &[Worker]) -> Table {
    let mut table = Table::new([
        Column::Left("WORKER"),
        Column::Left("STATE"),
        Column::Right("SLOTS"),
        Column::Right("LEASES"),
        Column::Right("HEARD"),
        Column::Left("SOFTWARE"),
        Column::Left("TASK TYPES"),
        Column::Left("NAMESPACES"),
    ]);
    for worker in workers {
        table.row([
            worker.worker_id.as_str().into(),
            words::worker_state(worker.state()),
            slots(worker).into(),
            worker.fencing_tokens.len().to_string().into(),
            words::span(worker.last_heard_age.as_ref()).into(),
            worker.software.as_str().into(),
            task_types(worker).into(),
            namespaces(worker).into(),
        ]);
    }
    table
}

/// The namespaces that it serves.
fn namespaces(worker: &Worker) -> String {
    if worker.namespaces.is_empty() { "all".to_owned() } else { worker.namespaces.join(", ") }
}

/// The task types, each with the payload schemas that it is read in if not in all.
fn task_types(worker: &Worker) -> String {
    let with_schemas = |name: &String| {
        let read = worker.payload_schemas.iter().find(|it| it.task_type == *name);
        let short = |it: &String| it.chars().take(SHORT_DIGITS).collect::<String>();
        let short = read.map(|it| it.fingerprints.iter().map(short).collect::<Vec<_>>());
        short.map_or_else(|| name.clone(), |it| format!("{name}[{}]", it.join(" ")))
    };
    worker.task_types.iter().map(with_schemas).collect::<Vec<_>>().join(",")
}

/// The slots, what is taken beyond them, which of them are lost, and what there is beside them.
fn slots(worker: &Worker) -> String {
    let ahead = match worker.prefetch {
        0 => String::new(),
        prefetch => format!("+{prefetch}"),
    };
    let lost = match worker.lost_slots {
        0 => String::new(),
        lost => format!(" ({lost} lost)"),
    };
    let others = words::amounts(&worker.resources);
    let others = others.map(|others| format!(" {others}")).unwrap_or_default();
    format!("{}{ahead}{lost}{others}", worker.slots)
}
