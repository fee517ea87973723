//! The `leasehold` binary from outside, as far as it needs nobody else: usage, exit codes, streams.
#![expect(clippy::expect_used, reason = "a failed expectation is a failed test")]

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{Ipv4Addr, TcpListener},
    process::{Child, Command, Output, Stdio},
};

fn leasehold(line: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_leasehold"));
    command.args(line.split_whitespace());
    for variable in ["ADDRESS", "OUTPUT", "CALL_TIMEOUT", "LOG"] {
        command.env_remove(format!("LEASEHOLD_{variable}"));
    }
    command.stdin(Stdio::null());
    command
}

fn run(line: &str) -> Output {
    leasehold(line).output().expect("the binary runs")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("output is UTF-8")
}

/// An address nobody listens on: the port was free a moment ago.
fn dead_address() -> String {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port is free");
    format!("http://{}", listener.local_addr().expect("it has an address"))
}

#[test]
fn help_and_version_are_data() {
    let nouns = ["", "task", "task submit", "dead", "queue", "worker", "bench flow"];
    for noun in nouns {
        let output = run(&format!("{noun} --help"));
        assert_eq!(output.status.code(), Some(0), "{noun}");
        assert!(text(&output.stdout).contains("Usage: leasehold"), "{noun}");
        assert!(output.stderr.is_empty(), "{noun}");
    }
    let version = format!("leasehold {}\n", env!("CARGO_PKG_VERSION"));
    assert_eq!(text(&run("--version").stdout), version);
}

#[test]
fn usage_errors_exit_2_and_say_so_on_stderr() {
    let cases = [
        ("", "Usage: leasehold"),
        ("task submit", "--type <TYPE>"),
        ("task submit --type a --delay 5", "\"5\" has no unit"),
        ("task list --state lost", "possible values"),
        ("cluster --call-timeout soon", "does not begin with a number"),
        ("cluster --log a=b=c", "log filter"),
        ("task submit --type a --file /does/not/exist", "cannot read /does/not/exist"),
        ("task submit --jsonl /does/not/exist", "cannot read /does/not/exist"),
    ];
    for (line, message) in cases {
        let output = run(line);
        assert_eq!(output.status.code(), Some(2), "{line}: {output:?}");
        assert!(output.stdout.is_empty(), "{line}: {output:?}");
        assert!(text(&output.stderr).contains(message), "{line}: {}", text(&output.stderr));
    }
}

#[test]
fn a_coordinator_that_is_not_there_is_one_line_and_exit_4() {
    let address = dead_address();
    let lines = [
        "task submit --type a x",
        "task get 1",
        "task list",
        "task cancel 1",
        "dead list",
        "queue list",
        "worker list",
        "cluster",
    ];
    for line in lines {
        let output = run(&format!("{line} --address {address} --call-timeout 50ms"));
        let stderr = text(&output.stderr);
        assert_eq!(output.status.code(), Some(4), "{line}: {stderr}");
        assert_eq!(stderr.lines().count(), 1, "{line}: {stderr}");
        let start = format!("error: cannot reach the coordinator at {address}: ");
        assert!(stderr.starts_with(&start), "{line}: {stderr}");
        assert!(stderr.contains("check that leasehold-coordinator runs there"), "{line}: {stderr}");
    }
}

#[test]
fn a_coordinator_that_is_silent_is_exit_4_too() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port is free");
    let address = listener.local_addr().expect("it has an address");
    let output = run(&format!("cluster --address {address} --call-timeout 200ms"));
    let stderr = text(&output.stderr);
    assert_eq!(output.status.code(), Some(4), "{stderr}");
    assert!(stderr.contains("did not answer within 200ms"), "{stderr}");
}

#[test]
fn the_environment_says_where_and_flags_win() {
    let address = dead_address();
    let run = |line: &str| {
        let output = leasehold(line).env("LEASEHOLD_ADDRESS", &address).output();
        text(&output.expect("the binary runs").stderr)
    };
    assert!(run("cluster --call-timeout 50ms").contains(&address));
    let flagged = run("cluster --call-timeout 50ms --address http://127.0.0.1:1");
    assert!(flagged.contains("http://127.0.0.1:1:"), "{flagged}");
}

#[test]
fn a_wrong_line_is_named_before_anything_is_sent() {
    let mut child = leasehold("task submit --jsonl - --call-timeout 50ms")
        .args(["--address", &dead_address()])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary runs");
    let mut stdin = child.stdin.take().expect("it has a stdin");
    stdin.write_all(b"\n{\"type\":\"a\",\"delay\":\"5\"}\n").expect("it is read");
    drop(stdin);
    let output = child.wait_with_output().expect("it ends");
    let stderr = text(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{stderr}");
    assert!(stderr.contains("error: -, line 2: delay \"5\" has no unit"), "{stderr}");
    assert!(stderr.contains("0 tasks accepted, 0 refused"), "{stderr}");
}

#[test]
fn a_reader_that_has_seen_enough_ends_it_quietly() {
    let mut child = leasehold("completion bash")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary runs");
    drop(child.stdout.take());
    let mut stderr = String::new();
    let mut pipe = child.stderr.take().expect("it has a stderr");
    pipe.read_to_string(&mut stderr).expect("it can be read");
    assert_eq!((child.wait().expect("it ends").code(), stderr.as_str()), (Some(0), ""));
}

#[test]
fn completions_know_every_noun() {
    for shell in ["bash", "zsh", "fish"] {
        let script = text(&run(&format!("completion {shell}")).stdout);
        for noun in ["task", "dead", "queue", "worker", "cluster", "bench"] {
            assert!(script.contains(noun), "{shell}: {noun}");
        }
    }
}

#[test]
fn ctrl_c_is_exit_130_even_while_stdin_blocks() {
    // A coordinator that accepts the connection and says nothing keeps the command waiting.
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port is free");
    let address = listener.local_addr().expect("it has an address").to_string();
    let mut child = leasehold("task submit --jsonl - --type a --call-timeout 60s --address")
        .arg(address)
        .stdin(Stdio::piped())
        .spawn()
        .expect("the binary runs");
    // One task makes it connect; the end of the input never comes.
    let mut stdin = child.stdin.take().expect("it has a stdin");
    stdin.write_all(b"{}\n").expect("it is read");
    let (connection, _) = listener.accept().expect("it connects");
    let mut first = BufReader::new(&connection);
    assert!(!first.fill_buf().expect("it speaks").is_empty());
    interrupt(&child);
    assert_eq!(child.wait().expect("it ends").code(), Some(130));
}

#[test]
fn ctrl_c_ends_a_payload_that_never_comes() {
    let directory = tempfile::tempdir().expect("a directory can be made");
    let pipe = directory.path().join("pipe");
    rustix::fs::mknodat(
        rustix::fs::CWD,
        &pipe,
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR,
        0,
    )
    .expect("a pipe can be made");
    let pipe = pipe.display();
    let lines = [
        "task submit --type a -".to_owned(),
        format!("task submit --type a --file {pipe}"),
        format!("task submit --type a --jsonl {pipe}"),
    ];
    for line in lines {
        let mut child = leasehold(&line)
            .args(["--address", &dead_address(), "--log", "leasehold_cli=debug"])
            .stdin(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary runs");
        // Waiting for the child would end its input.
        let _stdin = child.stdin.take();
        // It says that it listens for Ctrl-C before it does anything else.
        let mut said = BufReader::new(child.stderr.take().expect("it has a stderr"));
        said.read_line(&mut String::new()).expect("it speaks");
        interrupt(&child);
        assert_eq!(child.wait().expect("it ends").code(), Some(130), "{line}");
    }
}

fn interrupt(child: &Child) {
    let pid = i32::try_from(child.id()).ok().and_then(rustix::process::Pid::from_raw);
    rustix::process::kill_process(pid.expect("a process id"), rustix::process::Signal::INT)
        .expect("it can be signalled");
}
