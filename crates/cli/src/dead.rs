//! `leasehold dead`: tasks that failed for good.

use clap::Subcommand;
use leasehold_client::{Client, TaskFilter, v1::Task};

use crate::{
    Done,
    args::Format,
    exit::Exit,
    failure::{Failure, say},
    json::{ReplayJson, TasksJson},
    output::Output,
    table::{Column, Table},
    task, words,
};

/// What to do with dead letters.
#[derive(Debug, Subcommand)]
pub(crate) enum DeadCommand {
    /// List dead letters, oldest first
    List {
        /// Only this queue
        #[arg(long)]
        queue: Option<String>,
        /// Only this task type
        #[arg(long = "type", value_name = "TYPE")]
        task_type: Option<String>,
        /// At most this many
        #[arg(long, default_value_t = 100, value_name = "N")]
        limit: usize,
    },
    /// Show one dead letter, payload included
    Show {
        /// The task
        task_id: String,
    },
    /// Put dead letters back into their queues; repeating it changes nothing
    Replay {
        /// The tasks
        #[arg(required = true, value_name = "TASK_ID")]
        task_ids: Vec<String>,
        /// The generation that failed [default: the one stored]
        #[arg(long, value_name = "N")]
        generation: Option<i32>,
    },
}

pub(crate) async fn run(command: DeadCommand, client: &Client, output: Output) -> Done {
    match command {
        DeadCommand::List { queue, task_type, limit } => {
            let filter = TaskFilter::default()
                .queue(queue.unwrap_or_default())
                .task_type(task_type.unwrap_or_default());
            list(client, output, filter, limit).await
        }
        DeadCommand::Show { task_id } => {
            task::show(&client.dead_letter(&task_id).await?, output)?;
            Ok(Exit::Ok)
        }
        DeadCommand::Replay { task_ids, generation } => {
            replay(client, output, &task_ids, generation).await
        }
    }
}

async fn list(client: &Client, output: Output, filter: TaskFilter, limit: usize) -> Done {
    let tasks = client.list_dead_letters(filter).take(limit).await?;
    match output.format() {
        Format::Json => output.document(&TasksJson::from(tasks.as_slice()))?,
        Format::Table => output.table(&table(&tasks))?,
    }
    task::say_if_cut(tasks.len(), limit);
    Ok(Exit::Ok)
}

/// Replays each; one that cannot be replayed does not keep the others from it.
async fn replay(
    client: &Client,
    output: Output,
    task_ids: &[String],
    generation: Option<i32>,
) -> Done {
    let mut exit = Exit::Ok;
    for task_id in task_ids {
        match client.replay(task_id, generation).await {
            Ok(response) if output.format() == Format::Json => {
                output.json_line(&ReplayJson::from(&response))?;
            }
            Ok(response) if response.replayed => output.line(task_id)?,
            Ok(_repeated) => say(&format!("{task_id} had been replayed already")),
            Err(error) => {
                let failure = Failure::from(error);
                failure.report();
                exit = failure.exit();
            }
        }
    }
    Ok(exit)
}

fn table(tasks: &[Task]) -> Table {
    let now = std::time::SystemTime::now();
    let mut table = Table::new([
        Column::Left("TASK"),
        Column::Left("QUEUE"),
        Column::Left("TYPE"),
        Column::Right("ATTEMPTS"),
        Column::Right("FAILED"),
        Column::Left("REASON"),
        Column::Left("MESSAGE"),
    ]);
    for task in tasks {
        let spec = task.spec.clone().unwrap_or_default();
        let failure = task.last_failure.clone().unwrap_or_default();
        table.row([
            task.task_id.as_str().into(),
            spec.queue.into(),
            spec.task_type.into(),
            task.attempt_count.to_string().into(),
            words::age(task.finish_time.as_ref(), now).into(),
            words::failure_reason(failure.reason()).into(),
            failure.message.as_str().into(),
        ]);
    }
    table
}
