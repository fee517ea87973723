//! Settings that cannot be used are named before anything is connected.

use crate::{Bytes, Context, Program, TaskError, Worker};

async fn nothing(_payload: Bytes, _context: Context) -> Result<(), TaskError> {
    Ok(())
}

fn worker() -> Worker {
    Worker::default().id("w").task("a", nothing)
}

#[track_caller]
fn check(worker: &Worker, error: &str) {
    assert_eq!(worker.check().expect_err("it cannot be used").to_string(), error);
}

#[test]
fn what_can_be_used_is_taken() {
    for address in
        ["http://127.0.0.1:7171", "127.0.0.1:7171", "coordinator:80", "http://[::1]:7171"]
    {
        worker().address(address).check().expect(address);
    }
    worker().slots(1).check().expect("the least");
    worker().slots(10_000).check().expect("the most");
    worker().id("A-z_0.9".repeat(18)).check().expect("126 characters");
    worker().task("mail/send.v2", nothing).check().expect("a type with a slash");
    Worker::default().check().expect_err("it serves nothing");
}

#[test]
fn what_cannot_be_used_is_named() {
    let with_port = "must be http://host:port, with the port";
    check(&Worker::default(), "the worker serves no task type");
    check(&worker().task("a", nothing), "task type \"a\" is served twice");
    check(&worker().program("a", Program::new("true")), "task type \"a\" is served twice");
    check(
        &worker().task("a b", nothing),
        "task type is \"a b\": must be 1 to 128 characters of [A-Za-z0-9._/-]",
    );
    check(&worker().id(""), "worker id is \"\": must be 1 to 128 characters of [A-Za-z0-9._-]");
    check(&worker().slots(0), "slots is \"0\": must be from 1 to 10000");
    check(&worker().slots(10_001), "slots is \"10001\": must be from 1 to 10000");
    check(&worker().address("localhost"), &format!("address is \"localhost\": {with_port}"));
    check(&worker().address("ftp://a:1"), "address is \"ftp://a:1\": must be http://host:port");
    check(
        &worker().address("https://a:1"),
        "address is \"https://a:1\": TLS is not supported yet: use http://host:port",
    );
    let many = (0..17).fold(worker(), |worker, n| worker.label(n.to_string(), ""));
    check(&worker().label("", "v"), "label is \"\": a label's name has 1 to 63 bytes");
    worker().label("n".repeat(63), "v".repeat(255)).check().expect("the longest");
    let long = "v".repeat(256);
    let problem = "a label's value has at most 255 bytes";
    check(&worker().label("n", &long), &format!("label is \"{long}\": {problem}"));
    worker().resource("n".repeat(63), 1 << 53).check().expect("the most");
    worker().resource("a.example/GPU_1-x", 1).check().expect("every character");
    let problem = "its name has 1 to 63 characters of A-Z a-z 0-9 . _ / -";
    let wrong = ["", "a\nb", "a=1", "a,b", "a b", "ä"].map(str::to_owned);
    for name in wrong.into_iter().chain(["n".repeat(64)]) {
        let error = format!("resource is {name:?}: {problem}");
        check(&worker().resource(name, 1), &error);
    }
    let problem = "its amount is a whole number from 1 to 2^53";
    check(&worker().resource("gpu", 0), &format!("resource is \"gpu=0\": {problem}"));
    let all = (0..33).fold(worker(), |worker, n| worker.resource(n.to_string(), 1));
    check(&all, "number of resources is \"33\": at most 32 are allowed");
    let problem = "must not be empty, and have no equals sign or zero byte";
    for name in ["", "A=B"] {
        let program = Program::new("true").env(name, "v");
        let error = format!("environment variable is {name:?}: {problem}");
        check(&worker().program("p", program), &error);
    }
    let print = "0a".repeat(32);
    worker().reads_schema("a", &print).check().expect("a type that it serves");
    check(
        &worker().reads_schema("b", &print),
        "task type of a payload schema is \"b\": the worker does not serve it",
    );
    check(
        &worker().reads_schema("a", "0A"),
        "payload schema is \"0A\": must be 64 lower-case hexadecimal digits, as leasehold schema fingerprint prints them",
    );
    let hundred = |count: usize| {
        (0..count).fold(worker(), |worker, n| worker.reads_schema("a", format!("{n:064x}")))
    };
    hundred(100).check().expect("the most");
    check(&hundred(101), "task type is \"a\": at most 100 payload schemas are allowed for one");
    check(&many, "number of labels is \"17\": at most 16 are allowed");
}

#[tokio::test]
async fn programs_need_a_guard() {
    let worker = Worker::default().program("p", Program::new("true"));
    let error = worker.run_until(std::future::pending()).await.expect_err("there is no guard");
    assert!(error.to_string().contains("run_if_guard"), "{error}");
}
