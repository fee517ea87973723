//! A sound run, and one forged run for each rule, which must be found out.

use super::*;
use crate::{chaos::ledger::lines, script::bytes};

/// A ran to its end; b's worker stood still past its lease, and b ran again elsewhere meanwhile.
const LEDGER: &str = "\
begin a 1 10 w 100
wrote a 1 10 w 101
wrote a 1 10 w 200
end a 1 10 w 201
begin b 2 10 w 300
wrote b 2 10 w 301
begin b 3 11 v 400
saw b 3 11 v 401 2
wrote b 3 11 v 402
refused b 2 10 w 500 3
end b 2 10 w 501
wrote b 3 11 v 600
end b 3 11 v 601
";

fn sound() -> Evidence {
    let answer = |task: &str, token, disposition| Answer {
        worker: "w".to_owned(),
        task: task.to_owned(),
        token,
        success: true,
        disposition,
    };
    let task = |id: &str, token: i64, lease_count| Task {
        task_id: id.to_owned(),
        state: TaskState::Succeeded.into(),
        result: bytes(format!("{id} {token}").as_bytes()),
        lease_count,
        ..Task::default()
    };
    let acknowledged = |key: &str, id: &str| (key.to_owned(), BTreeSet::from([id.to_owned()]));
    Evidence {
        attempted: ["ka", "kb"].map(str::to_owned).into(),
        history: History {
            acknowledged: BTreeMap::from([acknowledged("ka", "a"), acknowledged("kb", "b")]),
            answers: vec![
                answer("a", 1, ResultDisposition::Accepted),
                answer("b", 2, ResultDisposition::Stale),
                answer("b", 3, ResultDisposition::Duplicate),
            ],
            shown: vec![task("a", 1, 1), task("b", 3, 2)],
        },
        ledger: lines(LEDGER),
        pauses: vec![Pause { worker: "w".to_owned(), from: 350, to: 450 }],
    }
}

#[test]
fn a_sound_run_is_one_and_is_counted() {
    let evidence = sound();
    assert_eq!(evidence.violations(), [""; 0]);
    let summary = Summary {
        attempted: 2,
        acknowledged: 2,
        succeeded: 2,
        executions: 3,
        leases: 3,
        overlaps_paused: 1,
        fenced: 1,
        stale: 1,
        ..Summary::default()
    };
    assert_eq!(evidence.summary(), summary);
}

#[test]
fn forged_runs_are_found_out() {
    check("nobody knows what became of the submit kc", |it| {
        it.attempted.insert("kc".to_owned());
    });
    check("task b was acknowledged and is lost", |it| drop(it.history.shown.pop()));
    check("key ka names 2 tasks", |it| {
        it.history.acknowledged.get_mut("ka").unwrap().insert("b".to_owned());
    });
    check("a task is shown twice", |it| it.history.shown.push(it.history.shown[0].clone()));
    check("task a is TASK_STATE_QUEUED", |it| it.history.shown[0].set_state(TaskState::Queued));
    check("task a is TASK_STATE_FAILED", |it| it.history.shown[0].set_state(TaskState::Failed));
    check("task a was accepted 2 times", |it| {
        it.history.answers.push(it.history.answers[0].clone());
    });
    check("task b was accepted under the tokens {2, 3}", |it| {
        it.history.answers[1].disposition = ResultDisposition::Accepted;
    });
    check("token 1 was given out twice", |it| it.history.answers[1].token = 1);
    check("task b was executed 2 times under 1 leases", |it| it.history.shown[1].lease_count = 1);
    check("task a was executed 1 times under 0 leases", |it| it.history.shown[0].lease_count = 0);
    check("task a began more than once under 1", |it| it.ledger.insert(1, it.ledger[0].clone()));
    check("task b: Some(2) was accepted, Some(3) ran last", |it| {
        it.history.shown[1].result = bytes(b"b 2");
    });
    check("task a: Some(1) was accepted, None ran last", |it| {
        it.ledger.retain(|line| line.task != "a");
    });
    check("task b: Some(3) was accepted, Some(2) wrote last", |it| {
        it.ledger.retain(|line| line.token != 3 || line.verb != Verb::Wrote);
    });
    check("a write under 2 landed after 3", |it| it.ledger[9].verb = Verb::Wrote);
}

#[test]
fn overlaps_of_workers_that_were_awake_are_found_out() {
    let overlap = "task b ran under 2 on w from 300 to 501 and under 3 on v";
    check(overlap, |it| it.pauses.clear());
    // It is the earlier lease's worker that must have stood still, and not long before.
    check(overlap, |it| it.pauses[0].worker = "v".to_owned());
    check(overlap, |it| (it.pauses[0].from, it.pauses[0].to) = (401, 450));
    check(overlap, |it| (it.pauses[0].from, it.pauses[0].to) = (-9, 399 - WAKING_NS));
    // The killed write no end: that they lived is known from who met them.
    check("task b ran under 2 on w from 300 to 301", |it| {
        it.pauses.clear();
        it.ledger.retain(|line| line.token != 2 || line.at < 400);
    });
    let mut apart = sound();
    apart.pauses.clear();
    apart.ledger.retain(|line| (line.token != 2 || line.at < 400) && line.verb != Verb::Saw(2));
    assert_eq!(apart.violations(), [""; 0], "one after the other is no overlap");
}

/// Spoils a sound run and expects that to be said.
fn check(complaint: &str, spoil: impl FnOnce(&mut Evidence)) {
    let mut evidence = sound();
    spoil(&mut evidence);
    let violations = evidence.violations();
    assert!(violations.iter().any(|it| it.contains(complaint)), "{complaint}: {violations:#?}");
}
