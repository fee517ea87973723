//! Records that do not follow from the ones before them are refused by name, or passed over where that is right.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use leasehold_policy::{Backoff, Jitter, Time};

use super::{Corrupt, Unknown};
use crate::{
    EndCause, EndFact, EndKind, Ending, Failure, FailureReason, LeaseTerms, Next, Record, Retry,
    RevocationReason, Shape, StopProof, Task, TaskId, TaskSpec, Template, Token, book::Book,
};

const ONE: TaskId = TaskId::from_u128(1);
const NOW: Time = Time::from_unix_ms(1_000);

pub(crate) fn task() -> Task {
    let spec = TaskSpec::new(
        Arc::new(Template {
            queue: "q".into(),
            task_type: "t".into(),
            content_type: "".into(),
            priority: 5,
            start_timeout: Duration::from_secs(1),
            attempt_timeout: Duration::from_secs(1),
            kill_grace: Duration::from_secs(1),
            retry: Retry {
                max_attempts: 3,
                backoff: Backoff {
                    initial: Duration::from_secs(1),
                    factor: 2.0,
                    cap: Duration::from_secs(9),
                    jitter: Jitter::None,
                },
            },
            terms: LeaseTerms::default(),
            claims: None,
            fairness_key: "".into(),
            shape: Shape::default(),
            admission: crate::Admission::default(),
        }),
        Bytes::new().into(),
        Duration::from_mins(1),
    );
    Task::new(ONE, spec, NOW)
}

fn granted(counter: u32) -> Record {
    let token = Token::new(1, counter);
    Record::LeaseGranted { task: ONE, token, worker: "w".into(), instance: "i".into(), time: NOW }
}

fn ended(counter: u32) -> Record {
    let (cause, next) = (EndCause::Failed, Next::Backoff(NOW + Duration::from_secs(1)));
    let token = Token::new(1, counter);
    Record::LeaseEnded { task: ONE, token, cause, next, failure: None, fact: None, time: NOW }
}

fn lost(counter: u32) -> Record {
    let (cause, next, token) = (EndCause::WorkerLost, Next::Queued, Token::new(1, counter));
    let (kind, stop) = (EndKind::WorkerLost, StopProof::Unproved);
    let fact = Some(EndFact { kind, stop, delivered: None, message: "".into() });
    Record::LeaseEnded { task: ONE, token, cause, next, failure: None, fact, time: NOW }
}

fn succeeded(counter: u32) -> Record {
    let (ending, token) = (Ending::Succeeded, Some(Token::new(1, counter)));
    Record::TaskEnded { task: ONE, ending, token, failure: None, fact: None, time: NOW }
}

fn revoking(counter: u32) -> Record {
    let (reason, grace) = (RevocationReason::Cancelled, Duration::ZERO);
    Record::LeaseRevoking { task: ONE, token: Token::new(1, counter), reason, grace, time: NOW }
}

fn over(token: Option<u32>) -> Record {
    let token = token.map(|counter| Token::new(1, counter));
    Record::TaskEnded {
        task: ONE,
        ending: Ending::Failed,
        token,
        failure: None,
        fact: None,
        time: NOW,
    }
}

/// Folds all records but the last, which must be judged as expected.
fn check(records: &[Record], unknown: Unknown, expected: &str) {
    let mut book = Book::default();
    let (last, before) = records.split_last().unwrap();
    for record in before {
        book.fold(record, Unknown::Refuse).unwrap();
    }
    let verdict = match book.fold(last, unknown) {
        Ok(_) => "fine",
        Err(Corrupt::UnknownTask { .. }) => "unknown task",
        Err(Corrupt::UnknownLease { .. }) => "unknown lease",
        Err(Corrupt::WrongState { .. }) => "wrong state",
        Err(Corrupt::OldToken { .. }) => "old token",
    };
    assert!(verdict == expected, "{records:#?}\nwas {verdict}, should have been {expected}");
}

#[test]
fn what_does_not_follow_is_refused_by_name() {
    let accepted = || Record::TaskAccepted(Box::new(task()));
    let started = Record::LeaseStarted { task: ONE, token: Token::new(1, 1), time: NOW };
    let cancel = || Record::CancelRequested { task: ONE, time: NOW };
    let cases = [
        (vec![accepted(), granted(1)], "fine"),
        (vec![granted(1)], "unknown task"),
        (vec![ended(1)], "unknown task"),
        (vec![over(None)], "unknown task"),
        (vec![cancel()], "unknown task"),
        (vec![accepted(), accepted()], "wrong state"),
        (vec![accepted(), Record::TaskReplayed(Box::new(task()))], "wrong state"),
        (vec![accepted(), Record::TaskMoved(Box::new(task()))], "fine"),
        (vec![Record::TaskMoved(Box::new(task()))], "fine"),
        (vec![accepted(), cancel()], "wrong state"),
        (vec![accepted(), granted(1), cancel()], "fine"),
        (vec![accepted(), granted(1), granted(2)], "wrong state"),
        (vec![accepted(), started.clone()], "unknown lease"),
        (vec![accepted(), granted(1), started], "fine"),
        (vec![accepted(), granted(1), revoking(2)], "unknown lease"),
        (vec![accepted(), granted(1), revoking(1)], "fine"),
        (vec![accepted(), granted(1), ended(2)], "unknown lease"),
        (vec![accepted(), granted(1), over(Some(2))], "unknown lease"),
        (vec![accepted(), over(Some(1))], "unknown lease"),
        (vec![accepted(), granted(1), over(Some(1))], "fine"),
        (vec![accepted(), over(None), granted(1)], "unknown task"),
        (vec![accepted(), granted(1), ended(1), granted(1)], "old token"),
        (vec![accepted(), granted(2), ended(2), granted(1)], "old token"),
        (vec![accepted(), granted(1), ended(1), granted(2)], "fine"),
        (vec![accepted(), over(None), accepted()], "fine"),
    ];
    for (records, expected) in cases {
        check(&records, Unknown::Refuse, expected);
    }
}

#[test]
fn only_the_newest_lease_of_a_lost_worker_succeeds_late() {
    let again = || Record::TaskMoved(Box::new(Task { ran: true, ..task() }));
    let cases = [
        (vec![granted(1), lost(1), succeeded(1)], "fine"),
        (vec![granted(1), lost(1), over(Some(1))], "unknown lease"),
        (vec![granted(1), ended(1), succeeded(1)], "unknown lease"),
        (vec![granted(1), lost(1), succeeded(2)], "unknown lease"),
        (vec![granted(1), lost(1), granted(2), succeeded(1)], "unknown lease"),
        (vec![granted(1), lost(1), granted(2), ended(2), succeeded(1)], "unknown lease"),
        (vec![granted(1), lost(1), granted(2), lost(2), succeeded(1)], "unknown lease"),
        (vec![granted(1), lost(1), granted(2), lost(2), succeeded(2)], "fine"),
        (vec![granted(1), lost(1), again(), succeeded(1)], "unknown lease"),
        (vec![succeeded(1)], "unknown lease"),
    ];
    for (records, expected) in cases {
        let records = [vec![Record::TaskAccepted(Box::new(task()))], records].concat();
        check(&records, Unknown::Refuse, expected);
    }
}

#[test]
fn below_the_settled_position_unknown_tasks_are_passed_over_and_nothing_else_is() {
    let accepted = || Record::TaskAccepted(Box::new(task()));
    for record in [granted(1), ended(1), revoking(1), over(None), over(Some(1))] {
        check(&[record], Unknown::Skip, "fine");
    }
    check(&[accepted(), ended(1)], Unknown::Skip, "unknown lease");
    check(&[accepted(), granted(2), ended(2), granted(1)], Unknown::Skip, "old token");
}

#[test]
fn the_longest_promise_is_kept() {
    let mut book = Book::default();
    for seconds in [3, 20, 2] {
        let session_ttl = Duration::from_secs(seconds);
        book.fold(&Record::EpochStarted { epoch: 1, time: NOW, session_ttl }, Unknown::Refuse)
            .unwrap();
    }
    assert_eq!(book.session_ttl_max, Duration::from_secs(20));
}

#[test]
fn each_record_about_a_task_is_a_revision() {
    let mut book = Book::default();
    for record in
        [Record::TaskAccepted(Box::new(task())), granted(1), revoking(1), ended(1), granted(2)]
    {
        book.fold(&record, Unknown::Refuse).unwrap();
    }
    assert_eq!(book.task(ONE).unwrap().revision, 5);
}

#[test]
fn what_attempts_leave_behind_is_counted_until_the_task_ends() {
    let failure = |words: usize| Failure {
        reason: FailureReason::Error,
        message: "m".repeat(words).into(),
        details: "d".repeat(words).into(),
        counted: true,
        token: None,
        worker: None,
        time: NOW,
    };
    let failed = |counter, words| {
        let Record::LeaseEnded { task, token, cause, next, fact, time, .. } = ended(counter) else {
            unreachable!("it is one")
        };
        let failure = Some(Arc::new(failure(words)));
        Record::LeaseEnded { task, token, cause, next, failure, fact, time }
    };
    let mut book = Book::default();
    let mut fold = |record: Record| {
        book.fold(&record, Unknown::Refuse).unwrap();
        book.open_bytes
    };
    let accepted = fold(Record::TaskAccepted(Box::new(task())));
    assert_eq!(fold(granted(1)), accepted, "a lease is part of the task");
    let one = fold(failed(1, 100));
    assert!(accepted + 300 < one, "a failure of 200 bytes, and 100 of them in the ledger: {one}");
    fold(granted(2));
    let two = fold(failed(2, 10));
    assert!(one - 180 < two && two < one + 300, "only the last failure is kept: {two}");
    for counter in 3..100 {
        fold(granted(counter));
        fold(failed(counter, 2_000));
    }
    let full = fold(granted(100));
    assert!(full < accepted + 4_000 + 20 * 512, "the ledger has a bound: {full}");
    assert_eq!(fold(over(Some(100))), 0);
}
