//! What is lost, wrong, executed twice and how fast the recovery was.

use std::time::{Duration, SystemTime};

use super::{Finding, Kill, Verdict};

fn at(milliseconds: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_millis(milliseconds)
}

const KILL: fn() -> Kill = || Kill { sent: at(10_000), done: at(10_020) };

fn good(finish: u64) -> Finding {
    Finding {
        path: "file".into(),
        state: "TASK_STATE_SUCCEEDED",
        has_succeeded: true,
        agrees: true,
        executions: 1,
        finish: Some(at(finish)),
    }
}

fn unfinished() -> Finding {
    let state = "TASK_STATE_FAILED";
    Finding { state, has_succeeded: false, agrees: false, finish: None, ..good(0) }
}

/// The line, and whether the demo has succeeded.
#[track_caller]
fn check(findings: &[Finding], expected: (&str, bool)) {
    let verdict = Verdict::of(findings, KILL());
    assert_eq!((verdict.to_string().as_str(), verdict.is_good()), expected);
    assert_eq!(verdict.complaints().is_empty(), verdict.is_good());
}

#[test]
fn all_well_is_good() {
    check(
        &[good(9_000), good(12_000), good(10_770), good(10_015)],
        ("tasks 4  succeeded 4  lost 0  wrong 0  executed twice 0  recovered in 0.77 s", true),
    );
}

#[test]
fn a_task_executed_twice_is_no_fault() {
    check(
        &[good(11_500), Finding { executions: 3, ..good(9_000) }],
        ("tasks 2  succeeded 2  lost 0  wrong 0  executed twice 1  recovered in 1.50 s", true),
    );
}

#[test]
fn an_acknowledged_task_that_did_not_succeed_is_lost_whatever_else_it_did() {
    check(
        &[good(11_000), unfinished(), Finding { agrees: true, ..unfinished() }],
        ("tasks 3  succeeded 1  lost 2  wrong 0  executed twice 0  recovered in 1.00 s", false),
    );
}

#[test]
fn another_result_is_wrong_and_so_is_one_that_nobody_computed() {
    check(
        &[Finding { agrees: false, ..good(11_000) }, Finding { executions: 0, ..good(12_000) }],
        ("tasks 2  succeeded 2  lost 0  wrong 2  executed twice 0  recovered in 1.00 s", false),
    );
}

#[test]
fn what_finished_before_the_kill_is_no_recovery() {
    check(
        &[good(10_000), good(10_020)],
        ("tasks 2  succeeded 2  lost 0  wrong 0  executed twice 0  recovered in - s", true),
    );
}

#[test]
fn a_few_of_many_faults_are_named() {
    let verdict = Verdict::of(&vec![unfinished(); 1_000], KILL());
    assert_eq!(verdict.complaints().len(), 10);
    assert_eq!(verdict.complaints()[0], "lost: file: TASK_STATE_FAILED");
}
