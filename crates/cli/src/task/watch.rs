//! Watching tasks: a line for each change.

use std::{collections::HashSet, time::SystemTime};

use leasehold_client::{Client, WatchFilter, has_ended, v1::Task};

use super::note;
use crate::{
    Done, args::Format, exit::Exit, failure::Failure, json::TaskJson, output::Output,
    payload::printable, words,
};

pub(super) async fn run(
    client: &Client,
    output: Output,
    task_ids: Vec<String>,
    queue: Option<String>,
) -> Done {
    let mut open: HashSet<String> = task_ids.iter().cloned().collect();
    let is_endless = open.is_empty();
    let filter = match queue {
        Some(queue) => WatchFilter::Queue(queue),
        None if is_endless => WatchFilter::All,
        None => WatchFilter::Tasks(task_ids),
    };
    let mut watch = client.watch(filter);
    while is_endless || !open.is_empty() {
        let task = watch.next().await?;
        print(&task, output)?;
        if has_ended(task.state()) {
            open.remove(&task.task_id);
        }
    }
    Ok(Exit::Ok)
}

fn print(task: &Task, output: Output) -> Result<(), Failure> {
    match output.format() {
        Format::Json => output.json_line(&TaskJson::from(task)),
        Format::Table => {
            let state = task.state().as_str_name();
            let state = state.trim_start_matches("TASK_STATE_").to_lowercase();
            let time = prost_types::Timestamp::from(SystemTime::now());
            let progress = words::progress(task).map(|it| format!("  {it}")).unwrap_or_default();
            let line = format!("{time}  {}  {state:10}{progress}  {}", task.task_id, note(task));
            output.line(printable(&line).trim_end())
        }
    }
}
