//! One trace id from the command line to the program, in spans, logs and environment, also over a crash.

use std::{net::SocketAddr, process::Output};

use serde_json::Value;

use crate::{
    binary,
    collector::{Collector, Span},
    condition::{SOON, eventually},
    coordinator::{Coordinator, Options},
    process::Process,
    worker,
};

/// A program that returns the trace context it was given.
const ECHO_TRACE: &str = r#"trace=sh -c 'printf %s "$TRACEPARENT"'"#;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_trace_runs_from_the_command_line_to_the_program() {
    let collector = Collector::start().await;
    let log = ["--log-filter", "leasehold_coordinator=debug"];
    let options = Options { env: collector.env(), ..Options::with_args(&log) };
    let mut coordinator = Coordinator::start_with(options).await;
    let submit = cli(&collector, coordinator.address, &["task", "submit", "--type", "trace", "x"]);
    let id = String::from_utf8_lossy(&submit.stdout).trim().to_owned();
    let stored = coordinator.client().task(&id).await.spec.and_then(|it| it.trace_context);
    let stored = stored.expect("every task has a trace").traceparent;
    let trace_id = stored.split('-').nth(1).expect("a traceparent").to_owned();
    let arrived = async |service: &str, is_it: &dyn Fn(&Span) -> bool| {
        let find =
            |spans: Vec<Span>| spans.into_iter().find(|it| it.service == service && is_it(it));
        let what = format!("the span of {service} arrives");
        eventually(&what, SOON, async || find(collector.trace(&trace_id))).await
    };
    let accepted = arrived("leasehold-coordinator", &|it| stored.contains(&it.id)).await;
    let called = arrived("leasehold-cli", &|it| it.id == accepted.parent_id).await;
    assert_ne!(called.parent_id, "", "the call is part of the command");
    let errors = String::from_utf8_lossy(&submit.stderr).into_owned();
    assert!(errors.contains(&trace_id), "the CLI's log names the trace:\n{errors}");
    let before = coordinator.process.events();
    coordinator.kill();
    coordinator.restart().await;

    let worker = tracing_worker(&collector, &coordinator);
    let result = coordinator.client().ended(&id).await.result;
    let inside = String::from_utf8_lossy(&result).into_owned();
    let mut parts = inside.split('-').skip(1);
    assert_eq!(parts.next(), Some(trace_id.as_str()), "the program is part of the trace");
    let span_id = parts.next().expect("a traceparent").to_owned();
    let ran = arrived("leasehold-worker", &|it| it.id == span_id).await;
    assert_eq!(ran.parent_id, accepted.id, "the attempt continues the submit");
    let logs = [("coordinator", [before, coordinator.process.events()].concat())];
    for (name, lines) in logs.into_iter().chain([("worker", worker.events())]) {
        log_names_the_trace(name, &lines, &id, &trace_id);
    }
    no_span_of_the_stream(&collector.spans());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_works_without_its_collector() {
    let collector = Collector::start().await;
    let options = Options { env: collector.env(), ..Options::default() };
    drop(collector);
    let mut coordinator = Coordinator::start_with(options).await;
    let id = coordinator.client().submit(crate::client::spec("trace")).await;
    let options = worker::Options { args: &["--program", ECHO_TRACE], ..Default::default() };
    let _worker = worker::start(coordinator.address, coordinator.dir(), &options);
    let result = coordinator.client().ended(&id).await.result;
    assert_eq!(result.len(), 55, "the program has a trace: {result:?}");
    coordinator.stop().await;
}

/// Every line about the task names its trace, and there are such lines.
fn log_names_the_trace(process: &str, lines: &[Value], task: &str, trace_id: &str) {
    let text = |line: &Value, key: &str| line.get(key)?.as_str().map(str::to_owned);
    let about = lines.iter().filter(|line| text(line, "task_id").as_deref() == Some(task));
    let mut count = 0;
    for line in about {
        assert_eq!(text(line, "trace_id").as_deref(), Some(trace_id), "{process}: {line}");
        count += 1;
    }
    assert!(count > 0, "the {process} logs nothing about the task");
}

/// A stream lives as long as its worker: a span of it would never end, and mean nothing.
fn no_span_of_the_stream(spans: &[Span]) {
    let wrong: Vec<&Span> = spans.iter().filter(|it| it.name.contains("Connect")).collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

fn tracing_worker(collector: &Collector, coordinator: &Coordinator) -> Process {
    let endpoint = format!("http://{}", collector.address);
    let args = ["--program", ECHO_TRACE, "--otlp-endpoint", endpoint.as_str()];
    let options = worker::Options { args: &args, ..Default::default() };
    worker::start(coordinator.address, coordinator.dir(), &options)
}

/// Runs the command line client and expects it to succeed.
fn cli(collector: &Collector, address: SocketAddr, args: &[&str]) -> Output {
    let mut command = binary::cli();
    command.args(["--address", &format!("http://{address}"), "--log", "debug,h2=off"]).args(args);
    let output = command.envs(collector.env()).output().expect("the client runs");
    assert!(output.status.success(), "{output:?}");
    output
}
