//! `leasehold queue`: queues, their counts, and whether their tasks are leased.

use clap::Subcommand;
use leasehold_client::{Client, v1::Queue};

use crate::{
    Done,
    args::Format,
    exit::Exit,
    explain,
    json::{QueueJson, QueuesJson},
    output::Output,
    table::{Cell, Column, Table, Tone},
    words,
};

/// What to do with queues.
#[derive(Debug, Subcommand)]
pub(crate) enum QueueCommand {
    /// List every queue with its counts
    List,
    /// Say what the tasks of a queue wait for, and what would change that
    Explain {
        /// The queue
        queue: String,
    },
    /// Stop leasing tasks of a queue; running ones go on
    Pause {
        /// The queue
        queue: String,
    },
    /// Lease tasks of a queue again
    Resume {
        /// The queue
        queue: String,
    },
}

pub(crate) async fn run(command: QueueCommand, client: &Client, output: Output) -> Done {
    match command {
        QueueCommand::List => list(client, output).await,
        QueueCommand::Explain { queue } => explain::queue(&queue, client, output).await,
        QueueCommand::Pause { queue } => show(&client.pause_queue(&queue).await?, output),
        QueueCommand::Resume { queue } => show(&client.resume_queue(&queue).await?, output),
    }
}

async fn list(client: &Client, output: Output) -> Done {
    let queues = client.queues().await?;
    match output.format() {
        Format::Json => output.document(&QueuesJson::from(queues.as_slice()))?,
        Format::Table => output.table(&table(&queues))?,
    }
    Ok(Exit::Ok)
}

fn show(queue: &Queue, output: Output) -> Done {
    match output.format() {
        Format::Json => output.document(&QueueJson::from(queue))?,
        Format::Table => output.table(&table(std::slice::from_ref(queue)))?,
    }
    Ok(Exit::Ok)
}

pub(crate) fn table(queues: &[Queue]) -> Table {
    let mut table = Table::new([
        Column::Left("QUEUE"),
        Column::Left("LEASING"),
        Column::Right("SCHEDULED"),
        Column::Right("QUEUED"),
        Column::Right("LEASED"),
        Column::Right("OLDEST"),
    ]);
    for queue in queues {
        let leasing =
            if queue.paused { Cell::toned("paused", Tone::Busy) } else { Cell::from("on") };
        table.row([
            queue.name.as_str().into(),
            leasing,
            queue.scheduled_count.to_string().into(),
            queue.queued_count.to_string().into(),
            queue.leased_count.to_string().into(),
            words::span(queue.oldest_queued_age.as_ref()).into(),
        ]);
    }
    table
}
