//! Waiting for tasks: each is printed as it ends, and the exit code says whether all succeeded.

use std::{collections::HashSet, time::Duration};

use leasehold_client::{
    Client, Error,
    v1::{Task, TaskState},
};

use super::show;
use crate::{
    Done,
    args::Format,
    exit::Exit,
    failure::{Failure, say},
    json::TaskJson,
    output::Output,
    progress,
};

/// Waits for all of them.
pub(super) async fn run(
    client: &Client,
    output: Output,
    task_ids: Vec<String>,
    timeout: Option<Duration>,
) -> Done {
    if let [task_id] = task_ids.as_slice() {
        return one(client, output, task_id, timeout).await;
    }
    let total = task_ids.iter().collect::<HashSet<_>>().len();
    let bar = progress::bar(total as u64, "tasks ended");
    let mut waits = client.wait_all(task_ids, timeout);
    let mut summary = Summary::default();
    while let Some(outcome) = waits.next().await {
        bar.inc(1);
        match outcome {
            Ok(task) => {
                bar.suspend(|| print(&task, output))?;
                summary.count(&task);
            }
            Err(error) => bar.suspend(|| summary.fail(error)),
        }
    }
    bar.finish_and_clear();
    say(&format!("{} of {total} tasks succeeded", summary.succeeded));
    Ok(summary.exit())
}

/// Waits for one, and shows it in full.
async fn one(client: &Client, output: Output, task_id: &str, timeout: Option<Duration>) -> Done {
    let bar = progress::bar(1, "task runs");
    let waited = client.wait(task_id, timeout).await;
    bar.finish_and_clear();
    let task = waited?;
    show(&task, output)?;
    Ok(if task.state() == TaskState::Succeeded { Exit::Ok } else { Exit::NotSucceeded })
}

/// How the waits ended.
#[derive(Debug, Default)]
struct Summary {
    succeeded: usize,
    ended_badly: usize,
    /// How the process would end for the first wait that failed.
    failed: Option<Exit>,
}

impl Summary {
    fn count(&mut self, task: &Task) {
        if task.state() == TaskState::Succeeded {
            self.succeeded += 1;
        } else {
            self.ended_badly += 1;
        }
    }

    fn fail(&mut self, error: Error) {
        let failure = Failure::from(error);
        failure.report();
        self.failed.get_or_insert(failure.exit());
    }

    /// Not knowing how a task ended weighs more than knowing that it ended badly.
    fn exit(&self) -> Exit {
        match self.failed {
            Some(exit) => exit,
            None if self.ended_badly > 0 => Exit::NotSucceeded,
            None => Exit::Ok,
        }
    }
}

/// One line for a task of many.
fn print(task: &Task, output: Output) -> Result<(), Failure> {
    match output.format() {
        Format::Json => output.json_line(&TaskJson::from(task)),
        Format::Table => {
            let state = task.state().as_str_name();
            let state = state.trim_start_matches("TASK_STATE_").to_lowercase();
            output.line(&format!("{}  {state}", task.task_id))
        }
    }
}
