//! The `leasehold` command against a real coordinator: one exit code and one line for every refusal.

use std::{
    io::Write as _,
    net::SocketAddr,
    process::{Output, Stdio},
};

use serde_json::Value;

use crate::{
    binary,
    client::spec,
    coordinator::{Coordinator, Options},
    script::{Script, hello},
    worker,
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_task_goes_in_and_its_result_comes_out() {
    let coordinator = Coordinator::start().await;
    let options = worker::Options { programs: &[("count", "wc -c")], ..Default::default() };
    let _worker = worker::start(coordinator.address, coordinator.dir(), &options);
    let waited = run(
        coordinator.address,
        &["-o", "json", "task", "submit", "--type", "count", "--wait", "abc"],
        b"",
    );
    let task = json(&waited);
    assert_eq!(task.get("state").and_then(Value::as_str), Some("TASK_STATE_SUCCEEDED"), "{task}");

    let jsonl =
        b"{\"type\":\"count\",\"payload\":\"a\"}\n{\"type\":\"count\",\"payload\":\"bc\"}\n";
    let many = run(coordinator.address, &["task", "submit", "--jsonl", "-"], jsonl);
    assert_eq!(many.status.code(), Some(0), "{many:?}");
    let ids = String::from_utf8_lossy(&many.stdout).into_owned();
    let ids: Vec<&str> = ids.split_whitespace().filter(|it| it.len() == 36).collect();
    assert_eq!(ids.len(), 2, "{many:?}");
    let mut wait = vec!["task", "wait"];
    wait.extend(&ids);
    assert_eq!(run(coordinator.address, &wait, b"").status.code(), Some(0));
    let shown = run(coordinator.address, &["task", "get", ids[1]], b"");
    let shown = String::from_utf8_lossy(&shown.stdout).into_owned();
    let lines = [
        ids[1],
        "1 of 5, worker losses 0 of 5, leases 1 of 1000",
        "submitted",
        "waiting   leased to ",
        "starting  started",
        "running   ended: succeeded; returned; cost an attempt",
    ];
    for line in lines {
        assert!(shown.contains(line), "{line:?} is missing in\n{shown}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_accepted_is_waited_for_whatever_became_of_other_lines() {
    let coordinator = Coordinator::start().await;
    let options = worker::Options { programs: &[("count", "wc -c")], ..Default::default() };
    let _worker = worker::start(coordinator.address, coordinator.dir(), &options);
    let lines = b"{\"payload\":\"a\"}\n{\"queue\":\"a b\"}\n{\"payload\":\"bc\"}\n";
    let submit = ["task", "submit", "--type", "count", "--jsonl", "-", "--wait"];
    let waited = run(coordinator.address, &submit, lines);
    assert_eq!(waited.status.code(), Some(2), "the refused line decides: {waited:?}");
    let said = String::from_utf8_lossy(&waited.stderr).into_owned();
    let ended = ids(&waited);
    assert_eq!(ended.len(), 2, "{waited:?}");
    let mut traces = Vec::new();
    for id in &ended {
        assert!(said.lines().any(|line| line == id), "{id} was named when it was accepted: {said}");
        let shown = json(&run(coordinator.address, &["-o", "json", "task", "get", id], b""));
        let trace = shown.pointer("/spec/traceContext/traceparent").and_then(Value::as_str);
        traces.push(trace.expect("a trace").get(3..35).expect("an id").to_owned());
    }
    assert_ne!(traces[0], traces[1], "every line has a trace of its own");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_waits_end_though_one_of_them_is_for_nothing() {
    let coordinator = Coordinator::start().await;
    let options = worker::Options { programs: &[("count", "wc -c")], ..Default::default() };
    let _worker = worker::start(coordinator.address, coordinator.dir(), &options);
    let lines = "{\"type\":\"count\"}\n".repeat(40);
    let submitted = run(coordinator.address, &["task", "submit", "--jsonl", "-"], lines.as_bytes());
    let mut tasks = ids(&submitted);
    assert_eq!(tasks.len(), 40, "{submitted:?}");
    for (nobody, code) in [(None, 0), (Some("01890a5d-ac96-774b-bcce-b302099a8057"), 3)] {
        tasks.extend(nobody.map(str::to_owned));
        let wait: Vec<&str> =
            ["task", "wait"].into_iter().chain(tasks.iter().map(String::as_str)).collect();
        let waited = run(coordinator.address, &wait, b"");
        assert_eq!((waited.status.code(), ids(&waited).len()), (Some(code), 40), "{waited:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_refusal_is_one_line_and_a_code() {
    let config = "limits:\n  queues: 1\n".to_owned();
    let options = Options { config: Some(config), ..Options::default() };
    let coordinator = Coordinator::start_with(options).await;
    coordinator.client().submit(spec("echo")).await;
    let address = coordinator.address;
    let submit = |rest: &[&'static str]| [&["task", "submit", "--type", "echo"], rest].concat();
    let nobody = "01890a5d-ac96-774b-bcce-b302099a8057";
    check(address, &submit(&["--priority", "10", "x"]), b"", 2);
    check(address, &submit(&["--queue", "a b", "x"]), b"", 2);
    check(address, &submit(&["--queue", "another", "x"]), b"", 7);
    check(address, &["task", "get", nobody], b"", 3);
    check(address, &["task", "wait", nobody], b"", 3);
    check(address, &["dead", "replay", nobody], b"", 3);
    check(address, &["queue", "pause", "unheard-of"], b"", 3);
    // The transport answers this one, before any code of ours.
    check(address, &submit(&["-"]), &vec![b'x'; 6 << 20], 2);
    let keyed = submit(&["--key", "k", "a"]);
    assert_eq!(run(address, &keyed, b"").status.code(), Some(0));
    check(address, &submit(&["--key", "k", "b"]), b"", 6);
    check(SocketAddr::from(([127, 0, 0, 1], 1)), &["task", "get", nobody], b"", 4);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn waiting_for_a_task_that_fails_or_lasts_is_told_apart() {
    let coordinator = Coordinator::start().await;
    let programs = [("fail", "false")];
    let options = worker::Options { programs: &programs, ..Default::default() };
    let _worker = worker::start(coordinator.address, coordinator.dir(), &options);
    let failing = ["task", "submit", "--type", "fail", "--max-attempts", "1", "--wait", "x"];
    assert_eq!(run(coordinator.address, &failing, b"").status.code(), Some(1));
    let listed = run(coordinator.address, &["-o", "json", "dead", "list"], b"");
    assert!(String::from_utf8_lossy(&listed.stdout).contains("FAILURE_REASON_ERROR"), "{listed:?}");

    let mut script = Script::join(coordinator.address, hello("slow", "slow", 1)).await;
    let id = coordinator.client().submit(spec("slow")).await;
    script.assignment().await;
    let waiting = run(coordinator.address, &["task", "wait", "--timeout", "300ms", &id], b"");
    assert_eq!(waiting.status.code(), Some(5), "{waiting:?}");
}

/// Runs a command that is refused: this exit code, nothing on stdout, one line on stderr.
fn check(address: SocketAddr, args: &[&str], stdin: &[u8], code: i32) {
    let output = run(address, args, stdin);
    assert_eq!(output.status.code(), Some(code), "{args:?}: {output:?}");
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(errors.trim_end().lines().count(), 1, "{args:?}: {errors}");
    assert!(output.stdout.is_empty(), "{args:?}: {output:?}");
}

pub(crate) fn run(address: SocketAddr, args: &[&str], stdin: &[u8]) -> Output {
    let mut command = binary::cli();
    command.args(["--address", &format!("http://{address}")]).args(args);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("the client runs");
    let mut input = child.stdin.take().expect("stdin is a pipe");
    // A client that refuses early does not read it all.
    let _unread = input.write_all(stdin);
    drop(input);
    child.wait_with_output().expect("the client ends")
}

/// The ids on stdout.
fn ids(output: &Output) -> Vec<String> {
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.split_whitespace().filter(|it| it.len() == 36).map(str::to_owned).collect()
}

fn json(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"))
}
