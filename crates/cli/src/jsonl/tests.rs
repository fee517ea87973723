//! Tasks from JSON lines, and what is said of lines that are none.

use std::time::Duration;

use leasehold_client::{
    TaskSpec,
    v1::{Admission, Exclusivity, Guarantee},
};

use super::{Defaults, LINE_BYTES_MAX, Lines, NumberedSpec};
use crate::failure::Failure;

fn defaults(task_type: Option<&str>) -> Defaults {
    Defaults { task_type: task_type.map(str::to_owned), spec: TaskSpec::new("").queue("flagged") }
}

fn read(text: &[u8], task_type: Option<&str>) -> Result<Vec<NumberedSpec>, Failure> {
    let mut lines = Lines::new("tasks.jsonl", text, defaults(task_type));
    let mut specs = Vec::new();
    while let Some(spec) = lines.read()? {
        specs.push(spec);
    }
    Ok(specs)
}

#[test]
fn a_line_says_what_flags_say_and_flags_fill_in_the_rest() {
    let text = br#"{"type":"a","queue":"q","payload":"p","priority":1,"key":"k","delay":"1s","timeout":"2s","total_timeout":"3s","queue_timeout":"4s","progress_timeout":"5s","max_attempts":4,"at_most_once":true,"best_effort":true,"admission":"strict","concurrency_keys":["k1","k2"],"rates":{"mail":2},"content_type":"c","payload_schema":"0a","labels":{"x":"y"},"fairness_key":"f","selector":{"zone":"a"},"slots":2,"resources":{"gpu":1},"dependencies":["stripe","db"],"fail_fast":true}

  {"payload":{"n":[1,2]}}
{"type":"b","payload_base64":"/wA="}"#;
    let spec = || TaskSpec::new("").queue("flagged");
    let expected = [
        (
            1,
            spec()
                .task_type("a")
                .queue("q")
                .payload("p")
                .priority(1)
                .idempotency_key("k")
                .delay(Duration::from_secs(1))
                .attempt_timeout(Duration::from_secs(2))
                .total_timeout(Duration::from_secs(3))
                .queue_timeout(Duration::from_secs(4))
                .progress_timeout(Duration::from_secs(5))
                .max_attempts(4)
                .guarantee(Guarantee::AtMostOnce)
                .exclusivity(Exclusivity::BestEffort)
                .admission(Admission::Strict)
                .concurrency_key("k1")
                .concurrency_key("k2")
                .rate_charge("mail", 2)
                .content_type("c")
                .payload_schema("0a")
                .label("x", "y")
                .fairness_key("f")
                .worker_label("zone", "a")
                .slots(2)
                .resource("gpu", 1)
                .dependency("stripe")
                .dependency("db")
                .fail_fast(),
        ),
        (3, spec().task_type("flag").payload(r#"{"n":[1,2]}"#)),
        (4, spec().task_type("b").payload(&b"\xff\x00"[..])),
    ];
    assert_eq!(read(text, Some("flag")).expect("all lines are good"), expected);
}

#[test]
fn a_payload_arrives_as_it_was_written() {
    let cases = [
        ("\"a\\n\\u00fc\\\"\"", "a\n\u{fc}\""),
        ("{\"b\": 1, \"a\": 12345678901234567890123, \"a\": 1.10e+5}", ""),
        ("[ 1.0,\ttrue ]", ""),
        ("0.1000", ""),
        ("false", ""),
    ];
    for (written, text) in cases {
        let line = format!("{{\"type\":\"a\",\"payload\": {written} }}");
        let expected = if text.is_empty() { written } else { text }.to_owned();
        let spec = TaskSpec::new("a").queue("flagged").payload(expected);
        assert_eq!(read(line.as_bytes(), None).expect(written), [(1, spec)], "{written}");
    }
}

#[test]
fn an_error_names_its_line_and_what_is_wrong() {
    let cases = [
        ("{\"type\":\"a\"}\n{\"type\":}", "line 2: column 9: expected value"),
        ("\n\n{}", "line 3: has no \"type\", and --type names none"),
        (r#"{"type":"a","prio":1}"#, "line 1: column 18: unknown field `prio`"),
        (r#"{"type":"a","delay":"5"}"#, "line 1: delay \"5\" has no unit"),
        (r#"{"type":"a","deadline":"soon"}"#, "line 1: deadline \"soon\" is neither"),
        (r#"{"type":"a","timeout":"-1s"}"#, "line 1: timeout \"-1s\" is negative"),
        (r#"{"type":"a","payload":"","payload_base64":""}"#, "line 1: has both"),
        (r#"{"type":"a","payload_base64":"?"}"#, "line 1: payload_base64 is no base64"),
        (r#"{"type":"a","priority":"high"}"#, "line 1: column 29: invalid type: string"),
        ("[1]", "line 1: column"),
        ("{\"type\":\"\u{0}\"}", "line 1: column"),
        ("{\n", "line 1: column 1: EOF while parsing"),
    ];
    for (text, error) in cases {
        let line = read(text.as_bytes(), None).expect_err(text).line();
        assert!(line.starts_with(&format!("tasks.jsonl, {error}")), "{text}: {line}");
    }
    let line = read(b"{\"type\":\"\xff\"}", None).expect_err("this is no UTF-8").line();
    assert!(line.starts_with("tasks.jsonl, line 1: "), "{line}");
}

#[test]
fn a_line_without_end_is_not_read_without_end() {
    let endless = vec![b' '; usize::try_from(LINE_BYTES_MAX).expect("it fits") + 1];
    let line = read(&endless, None).expect_err("too long").line();
    assert!(line.contains("line 1: is longer than 8388608 bytes"), "{line}");
}

#[test]
fn no_lines_are_no_tasks() {
    for text in ["", "\n", "\r\n \n"] {
        assert_eq!(read(text.as_bytes(), None).expect("nothing is wrong"), []);
    }
}
