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
    let nouns =
        ["", "task", "task submit", "dead", "queue", "schema check", "worker", "bench flow"];
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
        ("bench stall --spawn --before 7 --tasks 7", "no more --tasks"),
        ("bench stall --spawn --stall 5s --patience 5s", "--patience has to be longer"),
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

/// Files of schemas in a directory of their own, and a command line about them.
fn about_schemas(files: &[(&str, &[u8])], line: &str) -> Output {
    let dir = tempfile::tempdir().expect("a directory");
    for (name, text) in files {
        let path = dir.path().join(name);
        std::fs::create_dir_all(path.parent().expect("a directory")).expect("it is created");
        std::fs::write(path, text).expect("it is written");
    }
    leasehold(line).current_dir(dir.path()).output().expect("the binary runs")
}

const ORDER: &[u8] = b"syntax = \"proto3\";\nimport \"parts/line.proto\";\nmessage Order { int32 id = 1; Line line = 2; }\n";
const LINE: &[u8] = b"syntax = \"proto3\";\nmessage Line { string sku = 1; }\n";

#[test]
fn a_fingerprint_is_that_of_the_canonical_form() {
    let files: [(&str, &[u8]); 3] = [
        ("order.proto", ORDER),
        ("parts/line.proto", LINE),
        ("any.json", b"{\"title\": \"anything\"}"),
    ];
    let run = |line: &str| {
        let output = about_schemas(&files, line);
        assert_eq!(output.status.code(), Some(0), "{line}: {output:?}");
        text(&output.stdout)
    };
    // SHA-256 of the three lines, as sha256sum has it.
    let any = "3bd220f609fa884e15edc685bef4e835b22d7b99ac1deb858d32b84559591cbf";
    assert_eq!(run("schema fingerprint any.json"), format!("{any}\n"));
    let form =
        "leasehold-payload-schema 1\nlanguage json-schema\ndialect 2020-12\nschema \"#\" {}\n";
    assert_eq!(run("schema fingerprint any.json --canonical"), form);
    let golden = format!(
        "{{\n  \"fingerprint\": \"{any}\",\n  \"language\": \"json-schema\",\n  \"canonicalBytes\": 78\n}}\n"
    );
    assert_eq!(run("schema fingerprint any.json -o json"), golden);
    let order = run("schema fingerprint order.proto");
    assert_eq!(run("schema fingerprint order.proto --message Order"), order);
    assert_eq!(run("schema fingerprint ./order.proto -I . -I parts"), order);
    assert_ne!(run("schema fingerprint order.proto --message Line"), order);
    assert_ne!(run("schema fingerprint order.proto --version 2"), order);
}

#[test]
fn schemas_that_break_exit_6_with_a_line_each() {
    let files: [(&str, &[u8]); 4] = [
        ("old.json", b"{\"properties\": {\"n\": {\"type\": \"integer\"}, \"m\": {\"pattern\": \"a\"}}}"),
        ("new.json", b"{\"properties\": {\"n\": {\"type\": \"number\"}, \"m\": {\"pattern\": \"b\"}, \"k\": {}}}"),
        ("more.json", b"{\"properties\": {\"n\": {\"type\": \"integer\"}, \"m\": {\"pattern\": \"a\"}, \"k\": {}}}"),
        ("line.proto", LINE),
    ];
    let same = about_schemas(&files, "schema check old.json old.json");
    assert_eq!((same.status.code(), text(&same.stdout)), (Some(0), "the same schema\n".to_owned()));
    let more = about_schemas(&files, "schema check old.json more.json");
    assert_eq!(more.status.code(), Some(0), "{more:?}");
    assert!(more.stderr.is_empty(), "{more:?}");
    let table = "PLACE  NEW READS OLD  OLD READS NEW  CHANGE\n\
                 $.k    yes            yes            is new: readers of OLD ignore it\n";
    assert_eq!(text(&more.stdout), table);
    let broken = about_schemas(&files, "schema check old.json new.json -o json");
    assert_eq!(broken.status.code(), Some(6), "{broken:?}");
    let lines = "breaking: $.m: pattern changed (NEW may not read OLD, OLD may not read NEW)\n\
                 breaking: $.n: type \"integer\" became \"number\" (OLD does not read NEW)\n";
    assert_eq!(text(&broken.stderr), lines);
    let report: serde_json::Value = serde_json::from_slice(&broken.stdout).expect("it is JSON");
    assert_eq!(report["newReadsOld"], "UNDECIDED");
    assert_eq!(report["oldReadsNew"], "BREAKS");
    assert_eq!(report["changes"][2]["place"], "$.n");
    let languages = about_schemas(&files, "schema check old.json line.proto");
    assert_eq!(languages.status.code(), Some(6), "{languages:?}");
}

#[test]
fn two_sources_of_one_name_are_not_taken_for_each_other() {
    let order: &[u8] =
        b"syntax = \"proto3\"; import \"part.proto\"; message Order { Part part = 1; }";
    let files: [(&str, &[u8]); 4] = [
        ("old/order.proto", order),
        ("old/part.proto", b"syntax = \"proto3\"; message Part { int32 n = 1; }"),
        ("new/order.proto", order),
        ("new/part.proto", b"syntax = \"proto3\"; message Part { string n = 1; }"),
    ];
    let line = "schema check old/order.proto new/order.proto --message Order -I old -I new";
    let checked = about_schemas(&files, line);
    assert_eq!(checked.status.code(), Some(6), "{checked:?}");
}

#[test]
fn what_is_no_schema_is_one_line_with_its_file_and_line() {
    let deep = format!("syntax = \"proto3\";\n{}", "message A {".repeat(200));
    let deep_option =
        format!("syntax = \"proto3\";\noption (x) = {}1{};", "{a:".repeat(99), "}".repeat(99));
    let files: [(&str, &[u8]); 8] = [
        ("two.proto", b"syntax = \"proto3\"; message A {} message B {}"),
        ("bad.proto", b"syntax = \"proto3\";\nmessage A {\n  int32 a = ;\n}"),
        ("type.proto", b"syntax = \"proto3\";\nmessage A {\n  Gone a = 1;\n}"),
        ("import.proto", b"syntax = \"proto3\";\nimport \"gone.proto\";"),
        ("deep.proto", deep.as_bytes()),
        ("option.proto", deep_option.as_bytes()),
        ("bad.json", b"{\n  \"type\": \"int\"\n}"),
        ("bytes.json", b"{\n\"a\": \"\xff\"}"),
    ];
    let cases = [
        ("two.proto", "error: two.proto: say which message is meant; it has A, B\n"),
        ("bad.proto", "error: bad.proto:3:13: "),
        ("type.proto", "error: type.proto:3:3: "),
        ("import.proto", "error: import.proto:2:1: "),
        ("deep.proto", "error: deep.proto: line 2: is nested deeper than 100 levels\n"),
        ("option.proto", "error: option.proto:"),
        ("bad.json", "error: bad.json, line 2: \"int\" is no type; there are array,"),
        ("bytes.json", "error: bytes.json, line 2: is no UTF-8\n"),
        ("gone.proto", "error: cannot read gone.proto: "),
        ("gone.json", "error: cannot read gone.json: "),
        ("bad.binpb", "error: cannot read bad.binpb: "),
        ("two.proto --message C", "error: two.proto: has no message C; it has A, B\n"),
        ("two.proto -I elsewhere", "error: two.proto: is in none of the --include directories\n"),
    ];
    for (line, expected) in cases {
        let output = about_schemas(&files, &format!("schema fingerprint {line}"));
        let stderr = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{line}: {output:?}");
        assert!(stderr.starts_with(expected), "{line}: {stderr}");
        assert_eq!(stderr.lines().count(), 1, "{line}: {stderr}");
        assert!(output.stdout.is_empty(), "{line}: {output:?}");
    }
}
