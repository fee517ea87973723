//! `leasehold task`: submit tasks, look at them, wait for them, cancel them.

mod show;
mod submit;
mod timeline;
mod wait;
mod watch;

use std::time::Duration;

use clap::{Subcommand, ValueEnum};
use leasehold_client::{
    Client, TaskFilter,
    v1::{Task, TaskState},
};

pub(crate) use show::show;
pub(crate) use submit::SubmitArgs;

use crate::{
    Done,
    args::Format,
    duration::parse_duration,
    exit::Exit,
    explain,
    failure::{Failure, say},
    json::TasksJson,
    output::Output,
    table::{Cell, Column, Table},
    words,
};

/// What to do with tasks.
#[derive(Debug, Subcommand)]
pub(crate) enum TaskCommand {
    /// Submit a task, or many from a JSONL file; prints ids
    Submit(Box<SubmitArgs>),
    /// Show one task: payload, result, lease, last failure, and why it waits
    Get {
        /// The task
        task_id: String,
    },
    /// Say why a task is where it is: all that holds it back or ends its lease, and what would change that
    Explain {
        /// The task
        task_id: String,
    },
    /// List tasks, oldest first
    List {
        /// Only this queue
        #[arg(long)]
        queue: Option<String>,
        /// Only this task type
        #[arg(long = "type", value_name = "TYPE")]
        task_type: Option<String>,
        /// Only this state; give it several times for several
        #[arg(long = "state", value_name = "STATE")]
        states: Vec<StateName>,
        /// At most this many
        #[arg(long, default_value_t = 100, value_name = "N")]
        limit: usize,
    },
    /// Print tasks as they change, until the named ones have ended
    Watch {
        /// The tasks; without any, every task
        #[arg(value_name = "TASK_ID")]
        task_ids: Vec<String>,
        /// Every task of this queue
        #[arg(long, conflicts_with = "task_ids")]
        queue: Option<String>,
    },
    /// Wait until tasks have ended; exit code 1 if one did not succeed
    Wait {
        /// The tasks
        #[arg(required = true, value_name = "TASK_ID")]
        task_ids: Vec<String>,
        /// Give up after this time, with exit code 5 [default: wait for as long as it takes]
        #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
        timeout: Option<Duration>,
    },
    /// Ask tasks to end; running ones are told to stop
    Cancel {
        /// The tasks
        #[arg(required = true, value_name = "TASK_ID")]
        task_ids: Vec<String>,
    },
}

/// The states as the command line writes them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum StateName {
    /// Waits for a time
    Scheduled,
    /// Could be leased
    Queued,
    /// Leased, not started
    Leased,
    /// Runs
    Running,
    /// Cancelled, still stopping
    Cancelling,
    /// Ended well
    Succeeded,
    /// Ended without success
    Failed,
    /// Ended because somebody asked
    Cancelled,
}

impl From<StateName> for TaskState {
    fn from(name: StateName) -> Self {
        match name {
            StateName::Scheduled => Self::Scheduled,
            StateName::Queued => Self::Queued,
            StateName::Leased => Self::Leased,
            StateName::Running => Self::Running,
            StateName::Cancelling => Self::Cancelling,
            StateName::Succeeded => Self::Succeeded,
            StateName::Failed => Self::Failed,
            StateName::Cancelled => Self::Cancelled,
        }
    }
}

pub(crate) async fn run(command: TaskCommand, client: &Client, output: Output) -> Done {
    match command {
        TaskCommand::Submit(args) => submit::run(*args, client, output).await,
        TaskCommand::Get { task_id } => {
            show(&client.get(&task_id).await?, output)?;
            Ok(Exit::Ok)
        }
        TaskCommand::Explain { task_id } => explain::task(&task_id, client, output).await,
        TaskCommand::List { queue, task_type, states, limit } => {
            let filter = TaskFilter::default()
                .queue(queue.unwrap_or_default())
                .task_type(task_type.unwrap_or_default());
            let filter = states.into_iter().fold(filter, |filter, name| filter.state(name.into()));
            list(client, output, filter, limit).await
        }
        TaskCommand::Watch { task_ids, queue } => watch::run(client, output, task_ids, queue).await,
        TaskCommand::Wait { task_ids, timeout } => {
            wait::run(client, output, task_ids, timeout).await
        }
        TaskCommand::Cancel { task_ids } => cancel(client, output, &task_ids).await,
    }
}

async fn list(client: &Client, output: Output, filter: TaskFilter, limit: usize) -> Done {
    let tasks = client.list(filter).take(limit).await?;
    print_all(&tasks, output)?;
    say_if_cut(tasks.len(), limit);
    Ok(Exit::Ok)
}

/// Cancels each; one that cannot be cancelled does not keep the others from it.
async fn cancel(client: &Client, output: Output, task_ids: &[String]) -> Done {
    let mut tasks = Vec::new();
    let mut exit = Exit::Ok;
    for task_id in task_ids {
        match client.cancel(task_id).await {
            Ok(task) => tasks.push(task),
            Err(error) => {
                let failure = Failure::from(error);
                failure.report();
                exit = failure.exit();
            }
        }
    }
    if !tasks.is_empty() {
        print_all(&tasks, output)?;
    }
    Ok(exit)
}

/// Says that there may be more where a list ends at its limit.
pub(crate) fn say_if_cut(shown: usize, limit: usize) {
    if shown == limit {
        say(&format!("only the first {limit} are shown; --limit shows more"));
    }
}

fn print_all(tasks: &[Task], output: Output) -> Result<(), Failure> {
    match output.format() {
        Format::Json => output.document(&TasksJson::from(tasks)),
        Format::Table => output.table(&table(tasks)),
    }
}

fn table(tasks: &[Task]) -> Table {
    let mut table = Table::new([
        Column::Left("TASK"),
        Column::Left("QUEUE"),
        Column::Left("TYPE"),
        Column::Left("STATE"),
        Column::Right("PRIORITY"),
        Column::Right("ATTEMPTS"),
        Column::Right("SUBMITTED"),
        Column::Left("NOTE"),
    ]);
    let now = std::time::SystemTime::now();
    for task in tasks {
        let spec = task.spec.clone().unwrap_or_default();
        table.row([
            task.task_id.as_str().into(),
            spec.queue.as_str().into(),
            spec.task_type.as_str().into(),
            words::state(task.state()),
            spec.priority.map_or_else(|| Cell::from("-"), |it| it.to_string().into()),
            task.attempt_count.to_string().into(),
            words::age(task.submit_time.as_ref(), now).into(),
            note(task).into(),
        ]);
    }
    table
}

/// The one thing most worth knowing about a task: who has it, why it waits, or why it failed.
fn note(task: &Task) -> String {
    if let Some(lease) = &task.lease {
        return format!("on {}", lease.worker_id);
    }
    if let Some(blocked) = words::blocked(task) {
        return blocked;
    }
    match (&task.last_failure, task.state()) {
        (Some(failure), TaskState::Failed) => {
            format!("{}: {}", words::failure_reason(failure.reason()), failure.message)
        }
        _ => String::new(),
    }
}
