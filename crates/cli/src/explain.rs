//! Why tasks are where they are, and what would change that: `task explain` and `queue explain`.

use std::time::SystemTime;

use leasehold_client::{
    Client,
    v1::{
        Advice, BlockedReason, BlockedTasks, Blocker, ExplainQueueResponse, Explanation, Forecast,
        LeaseOutlook, TaskState,
    },
};
use prost_types::Timestamp;

use crate::{
    Done,
    args::Format,
    exit::Exit,
    failure::Failure,
    json::{ExplanationJson, QueueExplanationJson},
    output::Output,
    payload::printable_lines,
    queue,
    table::Details,
    words,
};

/// Explains one task.
pub(crate) async fn task(task_id: &str, client: &Client, output: Output) -> Done {
    let explanation = client.explain(task_id).await?;
    match output.format() {
        Format::Json => output.document(&ExplanationJson::from(&explanation))?,
        Format::Table => show(&explanation, output)?,
    }
    Ok(Exit::Ok)
}

/// Explains one queue.
pub(crate) async fn queue(name: &str, client: &Client, output: Output) -> Done {
    let explained = client.explain_queue(name).await?;
    match output.format() {
        Format::Json => output.document(&QueueExplanationJson::from(&explained))?,
        Format::Table => show_queue(&explained, output)?,
    }
    Ok(Exit::Ok)
}

fn show(explanation: &Explanation, output: Output) -> Result<(), Failure> {
    let now = SystemTime::now();
    output.details(&details(explanation, now))?;
    let mut lines = Vec::new();
    for (at, blocker) in (1..).zip(&explanation.blockers) {
        lines.push(String::new());
        lines.push(format!("{at}. {}", headline(blocker, now)));
        lines.extend(facts(blocker).into_iter().map(|fact| format!("   {fact}")));
        lines.extend(advice(&blocker.advice));
    }
    if !explanation.advice.is_empty() {
        lines.push(String::new());
        lines.extend(advice(&explanation.advice));
    }
    print(&lines, output)
}

/// What fits on a line each.
fn details(explanation: &Explanation, now: SystemTime) -> Details {
    let mut details = Details::default();
    let Explanation { task_id, namespace, queue, task_type, .. } = explanation;
    let queue = words::queue(namespace, queue);
    details.line("task", format!("{task_id} ({task_type} in queue {queue})"));
    details.line("state", words::state(explanation.state()));
    if explanation.blockers.is_empty() {
        details.line("because", explanation.summary.as_str());
    }
    if let Some(lease) = &explanation.lease {
        add_lease(&mut details, lease, now);
    }
    if let Some(forecast) = &explanation.forecast {
        add_forecast(&mut details, forecast, explanation.state(), now);
    }
    let reason = words::failure_reason(explanation.give_up_reason());
    let give_up = explanation.give_up_time.as_ref();
    let give_up = give_up.map(|time| format!("{}, as {reason}", words::time(time, now)));
    details.maybe("given up", give_up);
    details
}

fn add_lease(details: &mut Details, outlook: &LeaseOutlook, now: SystemTime) {
    if let Some(lease) = &outlook.lease {
        details.line("token", lease.fencing_token.to_string());
        details.line("worker", words::worker_state(outlook.worker_state()));
    }
    let bounds = outlook.bounds.iter().map(|bound| {
        let kind = words::lease_bound(bound.kind());
        format!("{kind} {}", words::age(bound.time.as_ref(), now))
    });
    let bounds: Vec<String> = bounds.collect();
    details.maybe("ends by", (!bounds.is_empty()).then(|| bounds.join(", ")));
}

fn add_forecast(details: &mut Details, forecast: &Forecast, state: TaskState, now: SystemTime) {
    let Forecast { tasks_ahead, slots, start_time, likely_end_time, late_end_time, .. } = forecast;
    if matches!(state, TaskState::Scheduled | TaskState::Queued) {
        let before = words::tasks(*tasks_ahead);
        details.line("before it", format!("{before}, for {slots} slots"));
        details.line("starts", starts(start_time.as_ref(), forecast.bound_by(), now));
    }
    let ends = likely_end_time.as_ref().map(|likely| {
        let late = words::age(late_end_time.as_ref(), now);
        format!("about {}, 19 of 20 {late}", words::time(likely, now))
    });
    details.maybe("over", ends);
}

/// When it may start. A run that has taken longer than is usual may end at any moment.
fn starts(time: Option<&Timestamp>, bound_by: BlockedReason, now: SystemTime) -> String {
    let Some(time) = time else {
        return format!("not as things are: {}", words::blocked_reason(bound_by));
    };
    match SystemTime::try_from(*time) {
        Ok(start) if start <= now => "any moment".to_owned(),
        Ok(_) | Err(_) => format!("about {}", words::time(time, now)),
    }
}

fn show_queue(explained: &ExplainQueueResponse, output: Output) -> Result<(), Failure> {
    let now = SystemTime::now();
    output.table(&queue::table(explained.queue.as_slice()))?;
    let mut lines = Vec::new();
    for BlockedTasks { task_count, first_task_id, blocker } in &explained.groups {
        let blocker = blocker.clone().unwrap_or_default();
        lines.push(String::new());
        lines.push(format!("{}: {}", words::tasks(*task_count), headline(&blocker, now)));
        lines.push(format!("   the first is {first_task_id}"));
        lines.extend(facts(&blocker).into_iter().map(|fact| format!("   {fact}")));
        lines.extend(advice(&blocker.advice));
    }
    if 0 < explained.omitted_task_count {
        let more = words::tasks(explained.omitted_task_count);
        lines.push(format!("\n{more} wait for something else"));
    }
    print(&lines, output)
}

/// What holds, and how far off its end is.
fn headline(blocker: &Blocker, now: SystemTime) -> String {
    let Blocker { message, until_time, pause_time, limit, .. } = blocker;
    let available = limit.as_ref().and_then(|limit| limit.available_time.as_ref());
    let time = until_time.as_ref().or(pause_time.as_ref()).or(available);
    let age = time.map(|time| format!(" ({})", words::age(Some(time), now)));
    let reason = words::blocked_reason(blocker.reason());
    format!("{reason}: {message}{}", age.unwrap_or_default())
}

/// Who holds what it waits for.
fn facts(blocker: &Blocker) -> Vec<String> {
    let Blocker { holders, omitted_holder_count, slot_use, unfit_workers, .. } = blocker;
    let mut facts: Vec<String> = holders
        .iter()
        .map(|holder| {
            let task = if holder.task_id.is_empty() { "a task" } else { &holder.task_id };
            let ended = if holder.ended { ", which has ended and may still run" } else { "" };
            format!("held by {task} on {}, token {}{ended}", holder.worker_id, holder.fencing_token)
        })
        .collect();
    if 0 < *omitted_holder_count {
        facts.push(format!("held by {omitted_holder_count} more"));
    }
    if let Some(slot_use) = slot_use {
        facts.extend(slot_use.taken_by.iter().map(|it| {
            let slots = words::slots(it.lease_count);
            let queue = words::queue(&it.namespace, &it.queue);
            format!("{slots} by {} of queue {queue}", it.task_type)
        }));
        if 0 < slot_use.omitted_lease_count {
            facts.push(format!("{} by others", words::slots(slot_use.omitted_lease_count)));
        }
    }
    let others = unfit_workers.as_ref().filter(|it| !it.groups.is_empty());
    let others = others.map(|it| it.other_worker_count).filter(|count| 0 < *count);
    facts.extend(others.map(|count| format!("{count} workers do not take its type")));
    facts
}

/// What can be done, each with the command that does it.
fn advice(advice: &[Advice]) -> Vec<String> {
    let mut lines = Vec::new();
    for Advice { text, command, configuration, .. } in advice {
        lines.push(format!("   -> {text}"));
        lines.extend(configuration.lines().map(|line| format!("      {line}")));
        if !command.is_empty() {
            lines.push(format!("      $ {command}"));
        }
    }
    lines
}

fn print(lines: &[String], output: Output) -> Result<(), Failure> {
    lines.iter().try_for_each(|line| output.line(&printable_lines(line)))
}
