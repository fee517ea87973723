//! One task in full: what was asked, where it is, who has it, and why it is not further.

use std::time::SystemTime;

use leasehold_client::{
    has_ended,
    v1::{Failure as TaskFailure, Lease, Task, TaskSpec, TaskState, Timeouts},
};

use super::timeline::{Timeline, cancel};
use crate::{
    args::Format,
    failure::Failure,
    json::TaskJson,
    output::Output,
    payload::{printable_lines, shown},
    table::{Cell, Details, Tone},
    words,
};

/// Prints a task in full.
pub(crate) fn show(task: &Task, output: Output) -> Result<(), Failure> {
    match output.format() {
        Format::Json => output.document(&TaskJson::from(task)),
        Format::Table => {
            let now = SystemTime::now();
            output.details(&details(task, now))?;
            output.line("\ntimeline")?;
            output.table(&Timeline::of(task, now).table())?;
            for (title, text) in texts(task) {
                output.line(&format!("\n{title}\n{}", indented(&text)))?;
            }
            Ok(())
        }
    }
}

/// What fits on a line each.
pub(super) fn details(task: &Task, now: SystemTime) -> Details {
    let mut details = Details::default();
    let spec = task.spec.clone().unwrap_or_default();
    details.line("task", task.task_id.as_str());
    details.line("state", words::state(task.state()));
    let blocked = words::blocked(task);
    let more = blocked.as_ref().map(|_| format!("leasehold task explain {}", task.task_id));
    details.maybe("waits because", blocked);
    details.maybe("what to do", more);
    details.maybe("progress", words::progress(task));
    details.maybe("checkpoint", words::checkpoint(task, now));
    add_spec(&mut details, &spec, task);
    details.line("attempts", attempts(task, &spec));
    add_times(&mut details, task, now);
    if let Some(lease) = &task.lease {
        add_lease(&mut details, lease, now);
    }
    if let Some(failure) = &task.last_failure {
        add_failure(&mut details, failure, now);
    }
    details.line("time spent", Timeline::of(task, now).spent());
    details
}

fn add_spec(details: &mut Details, spec: &TaskSpec, task: &Task) {
    details.line("queue", &*words::queue(&task.namespace, &spec.queue));
    details.line("type", spec.task_type.as_str());
    details.maybe("priority", spec.priority.map(|priority| priority.to_string()));
    let key = Some(task.idempotency_key.as_str()).filter(|key| !key.is_empty());
    details.maybe("key", key);
    let fairness_key = Some(spec.fairness_key.as_str()).filter(|key| !key.is_empty());
    details.maybe("fairness key", fairness_key);
    details.maybe("labels", words::pairs(&spec.labels));
    details.maybe("runs on", words::pairs(&spec.worker_selector));
    details.maybe("takes", words::size(spec.slots, &spec.resources));
    details.maybe("timeouts", spec.timeouts.as_ref().and_then(timeouts));
    let schema = Some(spec.payload_schema.as_str()).filter(|schema| !schema.is_empty());
    details.maybe("payload schema", schema);
    details.maybe("limits", words::claims(spec));
    details.maybe("guarantee", words::guarantee(spec.guarantee()));
    details.maybe("exclusivity", words::exclusivity(spec.exclusivity()));
    details.maybe("admission", words::admission(spec.admission()));
    let trace = spec.trace_context.as_ref().map(|trace| trace.traceparent.as_str());
    details.maybe("trace", trace.filter(|trace| !trace.is_empty()));
}

fn add_times(details: &mut Details, task: &Task, now: SystemTime) {
    let times = [
        ("submitted", &task.submit_time),
        ("eligible", &task.eligible_time),
        ("deadline", &task.deadline_time),
        ("ended", &task.finish_time),
    ];
    for (name, time) in times {
        details.maybe(name, time.as_ref().map(|time| words::time(time, now)));
    }
    details.maybe("cancel", cancel(task, now));
}

fn add_lease(details: &mut Details, lease: &Lease, now: SystemTime) {
    details.line("lease worker", lease.worker_id.as_str());
    details.line("lease token", lease.fencing_token.to_string());
    details.line("lease attempt", lease.attempt.to_string());
    details.maybe("lease granted", lease.grant_time.as_ref().map(|time| words::time(time, now)));
    let started = lease.start_time.as_ref();
    let started = started.map_or_else(|| "not yet".to_owned(), |time| words::time(time, now));
    details.line("lease started", started);
    let extended = lease.extended_time.as_ref();
    details.maybe("lease extended to", extended.map(ToString::to_string));
    if let Some(reason) = words::revocation(lease.revocation()) {
        let when = lease.revoke_time.as_ref().map(|time| words::time(time, now));
        let line = format!("{reason}, {}", when.unwrap_or_default());
        details.line("lease revoked", Cell::toned(&line, Tone::Busy));
        let delivered = lease.revoke_delivered_time.as_ref();
        let delivered = delivered.map_or_else(|| "not yet".to_owned(), |at| words::time(at, now));
        details.line("revocation delivered", delivered);
    }
}

fn add_failure(details: &mut Details, failure: &TaskFailure, now: SystemTime) {
    let reason = words::failure_reason(failure.reason());
    let cost = if failure.counted { "" } else { " (used up no attempt)" };
    let line = format!("{reason}: {}{cost}", failure.message);
    details.line("last failure", Cell::toned(&line, Tone::Bad));
    let worker = Some(failure.worker_id.as_str()).filter(|worker| !worker.is_empty());
    details.maybe("failed on", worker);
    details.maybe("failed", failure.time.as_ref().map(|time| words::time(time, now)));
}

/// What may take several lines, with its title.
fn texts(task: &Task) -> Vec<(&'static str, String)> {
    let mut texts = Vec::new();
    let spec = task.spec.as_ref();
    // The coordinator does not keep the payload of a task that succeeded or was cancelled.
    if let Some(spec) = spec.filter(|it| !it.payload.is_empty() || !has_ended(task.state())) {
        texts.push(("payload", shown(&spec.payload)));
    }
    if task.state() == TaskState::Succeeded {
        texts.push(("result", shown(&task.result)));
    }
    let details = task.last_failure.as_ref().map(|failure| failure.details.as_str());
    if let Some(details) = details.filter(|details| !details.is_empty()) {
        texts.push(("failure details", printable_lines(details)));
    }
    texts
}

fn attempts(task: &Task, spec: &TaskSpec) -> String {
    let max = spec.retry.as_ref().and_then(|retry| retry.max_attempts).unwrap_or_default();
    let mut parts = vec![
        budget(task.attempt_count, max),
        format!("worker losses {}", budget(task.worker_loss_count, task.worker_loss_max)),
        format!("leases {}", budget(task.lease_count, task.lease_max)),
    ];
    if task.generation > 1 {
        parts.push(format!("generation {}", task.generation));
    }
    parts.join(", ")
}

/// How much of a budget is used up. A coordinator that does not say how large it is says 0.
fn budget(used: i32, max: i32) -> String {
    if max == 0 { used.to_string() } else { format!("{used} of {max}") }
}

fn timeouts(timeouts: &Timeouts) -> Option<String> {
    let named = [
        ("start", &timeouts.start),
        ("attempt", &timeouts.attempt),
        ("total", &timeouts.total),
        ("kill grace", &timeouts.kill_grace),
        ("progress", &timeouts.progress),
        ("queue", &timeouts.queue),
    ];
    let said: Vec<String> = named
        .iter()
        .filter(|(_, span)| span.is_some())
        .map(|(name, span)| format!("{name} {}", words::span(span.as_ref())))
        .collect();
    (!said.is_empty()).then(|| said.join(", "))
}

fn indented(text: &str) -> String {
    text.lines().map(|line| format!("  {line}")).collect::<Vec<_>>().join("\n")
}
