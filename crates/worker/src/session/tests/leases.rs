//! What becomes of leases while the stream is up.

use std::sync::Arc;

use leasehold_proto::v1::{
    ResultDisposition::{Accepted, Duplicate, Invalid, Stale},
    RevocationReason as Reason,
    Verdict::Retained,
};

use super::{Step::*, *};

#[test]
fn work_runs_in_the_slots_and_its_outcome_is_said_once() {
    check_connected(
        &[
            (1, Assign(1)),
            (2, Assign(2)),
            (3, Assign(3)),
            (10, Done(2, 5)),
            (20, Answer(2, Accepted)),
            (30, Failed(1)),
            (40, Done(3, 0)),
        ],
        &[
            "1 start 1",
            "1 say started 1",
            "2 start 2",
            "2 say started 2",
            "10 start 3",
            "10 say outcome 2 success of 5 bytes",
            "10 say started 3",
            "30 say outcome 1 FAILURE_REASON_ERROR: no luck",
            "40 say outcome 3 success of 0 bytes",
        ],
    );
}

/// A frame says what is known when it is made: that work began is part of its result, and not of any other end.
#[test]
fn a_start_that_was_not_said_before_the_result_needs_no_words() {
    check_connected(
        &[(1, Stuck), (2, Assign(1)), (3, Done(1, 2)), (4, Assign(2)), (5, Failed(2)), (6, Free)],
        &[
            "2 start 1",
            "4 start 2",
            "6 say outcome 1 success of 2 bytes",
            "6 say started 2",
            "6 say outcome 2 FAILURE_REASON_ERROR: no luck",
        ],
    );
}

/// Nobody is told of the beginning of what is over by then, and everybody of any other.
#[test]
fn a_start_is_said_in_time_or_by_the_result() {
    check_welcomed(
        Stage::new(0, OnSessionLost::Stop).saying_starts_within(5),
        &[
            (1, Assign(9)),
            (2, Done(9, 1)),
            (10, Assign(1)),
            (11, Assign(2)),
            (12, Done(2, 1)),
            (13, Answer(2, Accepted)),
            (20, Done(1, 1)),
            (21, Wait),
        ],
        &[
            "1 start 9",
            "1 say started 9",
            "2 say outcome 9 success of 1 bytes",
            "10 start 1",
            "11 start 2",
            "12 say outcome 2 success of 1 bytes",
            "15 say started 1",
            "20 say outcome 1 success of 1 bytes",
        ],
    );
}

/// Whatever takes its process down has been named before, unless others of its kind were over soon.
#[test]
fn a_start_is_held_back_where_the_last_of_its_kind_was_over_soon() {
    let said_at_once = |before: &[(u64, Step)]| {
        let stage = Stage::new(0, OnSessionLost::Stop).saying_starts_within(5);
        let mut script = vec![(0, Up), (0, Welcome("j", 7, &[]))];
        script.extend_from_slice(before);
        script.push((100, Assign(1)));
        play(stage, &script).contains(&"100 say started 1".to_owned())
    };
    for (what, before, expected) in [
        ("the first", &[][..], true),
        ("one was over soon", &[(1, Assign(9)), (6, Done(9, 1))], false),
        ("one was not", &[(1, Assign(9)), (7, Done(9, 1))], true),
        ("one failed", &[(1, Assign(9)), (2, Failed(9))], true),
        (
            "the last failed",
            &[(1, Assign(8)), (2, Done(8, 1)), (3, Assign(9)), (4, Failed(9))],
            true,
        ),
        (
            "the first failed",
            &[(1, Assign(8)), (2, Failed(8)), (3, Assign(9)), (4, Done(9, 1))],
            false,
        ),
    ] {
        assert_eq!(said_at_once(before), expected, "{what}");
    }
}

#[test]
fn whatever_else_is_said_of_work_is_said_behind_its_start() {
    let after = |step: Step| {
        let stage = Stage::new(0, OnSessionLost::Stop).saying_starts_within(5);
        let before = [(0, Up), (0, Welcome("j", 7, &[])), (1, Assign(9)), (2, Done(9, 1))];
        let mut script = before.to_vec();
        script.extend([(3, Assign(1)), (4, step)]);
        let mut said = play(stage, &script);
        said.retain(|line| line.starts_with("4 say"));
        said
    };
    for (step, then) in [
        (Failed(1), "4 say outcome 1 FAILURE_REASON_ERROR: no luck"),
        (Aborted(1), "4 say outcome 1 FAILURE_REASON_ERROR: the worker's runtime was shut down"),
        (Progress(1), "4 say progress 1 0.5"),
        (Ask(1, 500), "4 say extend 1 by 500 ms"),
        (Drain, "4 say drain 30s: asked"),
    ] {
        assert_eq!(after(step), ["4 say started 1", then]);
    }
    assert_eq!(after(Done(1, 1)), ["4 say outcome 1 success of 1 bytes"]);
}

#[test]
fn what_cannot_be_worked_on_is_declined() {
    check_connected(
        &[
            (1, AssignForeign(1)),
            (2, Assign(2)),
            (3, Assign(3)),
            (4, AssignWithin(4, [500, 60_000, 3_600_000, 0])),
            (504, Wait),
            (600, Done(2, 1)),
        ],
        &[
            "1 say outcome 1 DECLINE_REASON_UNSUPPORTED",
            "2 start 2",
            "2 say started 2",
            "3 start 3",
            "3 say started 3",
            "504 say outcome 4 DECLINE_REASON_NO_CAPACITY",
            "600 say outcome 2 success of 1 bytes",
        ],
    );
}

#[test]
fn a_lease_assigned_twice_is_worked_on_once() {
    check_connected(
        &[(1, Assign(1)), (2, Assign(1)), (3, Done(1, 1)), (4, Assign(1)), (5, Done(1, 1))],
        &["1 start 1", "1 say started 1", "3 say outcome 1 success of 1 bytes"],
    );
}

#[test]
fn every_answer_ends_the_matter() {
    for disposition in [Accepted, Duplicate, Stale, Invalid] {
        check_connected(
            &[
                (1, Assign(1)),
                (2, Done(1, 1)),
                (3, Answer(1, disposition)),
                (4, Answer(1, disposition)),
                (5, Down),
                (6, Up),
            ],
            &[
                "1 start 1",
                "1 say started 1",
                "2 say outcome 1 success of 1 bytes",
                "5 connect",
                "6 say hello journal=j epoch=7 held=[]",
            ],
        );
    }
}

#[test]
fn a_result_that_is_too_large_is_a_failure() {
    check_connected(
        &[(1, Assign(1)), (2, Assign(2)), (3, Done(1, 100)), (4, Done(2, 101))],
        &[
            "1 start 1",
            "1 say started 1",
            "2 start 2",
            "2 say started 2",
            "3 say outcome 1 success of 100 bytes",
            "4 say outcome 2 FAILURE_REASON_RESULT_TOO_LARGE: the result is larger than 100 bytes",
        ],
    );
}

#[test]
fn an_attempt_out_of_time_is_asked_then_killed() {
    check_connected(
        &[
            (1, AssignWithin(1, [1_000, 3_000, 60_000, 500])),
            (1, AssignWithin(2, [1_000, 60_000, 4_000, 500])),
            (3_600, Aborted(1)),
            (4_100, Failed(2)),
        ],
        &[
            "1 start 1",
            "1 say started 1",
            "1 start 2",
            "1 say started 2",
            "3001 cancel 1: attempt timeout",
            "3501 kill 1: attempt timeout",
            "3600 say outcome 1 FAILURE_REASON_ATTEMPT_TIMEOUT: attempt timeout: not done after 3s",
            "4001 cancel 2: total timeout",
            "4100 say outcome 2 FAILURE_REASON_ATTEMPT_TIMEOUT: total timeout: the whole task ran \
             out of time",
        ],
    );
}

#[test]
fn a_result_within_the_grace_counts() {
    check_connected(
        &[
            (1, AssignWithin(1, [1_000, 3_000, 60_000, 500])),
            (2, Assign(2)),
            (3, Revoke(2, Reason::Cancelled, 1_000)),
            (500, Done(2, 1)),
            (3_400, Done(1, 1)),
        ],
        &[
            "1 start 1",
            "1 say started 1",
            "2 start 2",
            "2 say started 2",
            "3 cancel 2: cancelled",
            "500 say outcome 2 success of 1 bytes",
            "3001 cancel 1: attempt timeout",
            "3400 say outcome 1 success of 1 bytes",
        ],
    );
}

#[test]
fn a_revocation_is_answered_with_how_the_work_stopped() {
    check_connected(
        &[
            (0, Assign(1)),
            (0, Assign(2)),
            (0, Assign(3)),
            (10, Revoke(3, Reason::Cancelled, 1_000)),
            (20, Revoke(1, Reason::Cancelled, 1_000)),
            (20, Revoke(2, Reason::AttemptTimeout, 0)),
            (30, Failed(1)),
            (40, Killed(2)),
            (50, Revoke(9, Reason::Cancelled, 0)),
            (51, Revoke(8, Reason::UnknownLease, 0)),
        ],
        &[
            "0 start 1",
            "0 say started 1",
            "0 start 2",
            "0 say started 2",
            "10 say outcome 3 STOP_METHOD_NOT_STARTED, started false",
            "20 cancel 1: cancelled",
            "20 cancel 2: attempt timeout",
            "20 kill 2: attempt timeout",
            "30 say outcome 1 STOP_METHOD_RETURNED, started true",
            "40 say outcome 2 STOP_METHOD_KILLED, started true",
            "50 say outcome 9 STOP_METHOD_NOT_STARTED, started false",
        ],
    );
}

#[test]
fn work_that_makes_no_progress_is_told_so_and_killed_after_its_grace() {
    check_connected(
        &[(0, Assign(1)), (20, Revoke(1, Reason::ProgressTimeout, 1_000)), (1_030, Killed(1))],
        &[
            "0 start 1",
            "0 say started 1",
            "20 cancel 1: progress timeout",
            "1020 kill 1: progress timeout",
            "1030 say outcome 1 STOP_METHOD_KILLED, started true",
        ],
    );
}

#[test]
fn work_that_does_not_stop_keeps_its_slot_and_is_not_said_to_have_stopped() {
    check_connected(
        &[
            (0, Assign(1)),
            (0, Assign(2)),
            (10, Revoke(1, Reason::Cancelled, 100)),
            (20, Assign(3)),
            (5_000, Wait),
            (9_000, Aborted(1)),
        ],
        &[
            "0 start 1",
            "0 say started 1",
            "0 start 2",
            "0 say started 2",
            "10 cancel 1: cancelled",
            "110 kill 1: cancelled",
            "5110 say slots lost 1",
            "9000 start 3",
            "9000 say slots lost 0",
            "9000 say outcome 1 STOP_METHOD_ABORTED, started true",
            "9000 say started 3",
        ],
    );
}

#[test]
fn a_second_revocation_can_only_hasten_the_end() {
    check_connected(
        &[
            (0, Assign(1)),
            (10, Revoke(1, Reason::Cancelled, 4_000)),
            (20, Revoke(1, Reason::Cancelled, 100)),
            (30, Revoke(1, Reason::Cancelled, 4_000)),
            (200, Aborted(1)),
        ],
        &[
            "0 start 1",
            "0 say started 1",
            "10 cancel 1: cancelled",
            "120 kill 1: cancelled",
            "200 say outcome 1 STOP_METHOD_ABORTED, started true",
        ],
    );
}

#[test]
fn progress_is_said_of_what_is_held() {
    check_connected(
        &[(0, Assign(1)), (1, Progress(1)), (2, Progress(7)), (3, Done(1, 0)), (4, Progress(1))],
        &[
            "0 start 1",
            "0 say started 1",
            "1 say progress 1 0.5",
            "3 say outcome 1 success of 0 bytes",
        ],
    );
}

#[test]
fn a_program_that_there_is_no_room_for_is_handed_back() {
    check_connected(
        &[
            (1, Assign(1)),
            (1, Assign(2)),
            (2, NoRoom(1)),
            (3, Revoke(2, Reason::Cancelled, 9)),
            (3, NoRoom(2)),
        ],
        &[
            "1 start 1",
            "1 say started 1",
            "1 start 2",
            "1 say started 2",
            "2 say outcome 1 DECLINE_REASON_NO_CAPACITY",
            "3 cancel 2: cancelled",
            "3 say outcome 2 STOP_METHOD_NOT_STARTED, started false",
        ],
    );
}

#[test]
fn progress_made_without_a_stream_is_said_after_the_next_welcome() {
    check_connected(
        &[
            (0, Assign(1)),
            (0, Assign(2)),
            (1, Down),
            (2, Progress(1)),
            (2, Progress(2)),
            (3, Done(2, 0)),
            (4, Up),
            (5, Progress(1)),
            (6, Welcome("j", 7, &[(1, Retained), (2, Retained)])),
        ],
        &[
            "0 start 1",
            "0 say started 1",
            "0 start 2",
            "0 say started 2",
            "1 connect",
            "4 say hello journal=j epoch=7 held=[1 running, 2 finished]",
            "4 say outcome 2 success of 0 bytes",
            "6 say progress 1 0.5",
        ],
    );
}

#[test]
fn a_stuck_network_gets_the_last_progress_and_every_outcome() {
    check_connected(
        &[
            (0, Assign(1)),
            (0, Assign(2)),
            (1, Stuck),
            (1, Progress(1)),
            (2, Progress(1)),
            (3, Progress(2)),
            (4, Done(2, 1)),
            (5, Free),
        ],
        &[
            "0 start 1",
            "0 say started 1",
            "0 start 2",
            "0 say started 2",
            "5 say outcome 2 success of 1 bytes",
            "5 say progress 1 0.5",
        ],
    );
}

#[test]
fn what_an_assignment_leaves_out_is_as_in_the_one_before_it_in_its_frame() {
    let mut stage = Stage::new(0, OnSessionLost::Stop);
    for step in [Up, Welcome("j", 7, &[])] {
        stage.happen(&step);
        stage.settle();
    }
    let Heard::Assignment(mut first) = event(Assign(1)) else { panic!("it is an assignment") };
    first.queue = "files".to_owned();
    first.labels = [("owner".to_owned(), "ann".to_owned())].into();
    first.trace_context = Some(v1::TraceContext {
        traceparent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".to_owned(),
        ..v1::TraceContext::default()
    });
    let own = |fencing_token: i64| v1::AlikeAssignment {
        fencing_token,
        task_id: "another".to_owned(),
        payload: "own".into(),
        attempt: 2,
        generation: 3,
        total_remaining: Some(ms(5_000)),
        checkpoint: Some("saved".into()),
    };
    let frame = |frame_sequence, events: Vec<Heard>| v1::ConnectResponse {
        frame_sequence,
        events: events.into_iter().map(|it| v1::CoordinatorEvent { event: Some(it) }).collect(),
        ..v1::ConnectResponse::default()
    };
    let heard = vec![Heard::Assignment(first), Heard::AlikeAssignment(own(2))];
    stage.session.handle_frame(at(1), frame(2, heard));
    let started: Vec<_> = std::iter::from_fn(|| stage.session.poll_command())
        .filter_map(|it| match it {
            Command::Start { assignment, .. } => Some(assignment),
            _ => None,
        })
        .collect();
    let [one, other] = &started[..] else { panic!("{} were started", started.len()) };
    assert!(Arc::ptr_eq(&one.likeness, &other.likeness), "it is kept once");
    assert_eq!(
        (&*other.queue, &*other.task_type, &*other.labels["owner"]),
        ("files", "work", "ann")
    );
    assert_eq!(other.attempt_timeout, Some(Duration::from_mins(1)));
    assert_eq!(
        (&*other.task_id, other.token, &other.payload[..]),
        ("another", Token(2), &b"own"[..])
    );
    assert_eq!((other.attempt, other.generation), (2, 3));
    assert_eq!(other.total_remaining, Some(Duration::from_secs(5)));
    assert_eq!(other.checkpoint.as_deref(), Some(&b"saved"[..]));

    // The first of its frame is like none, be it behind something else.
    let ack = || Heard::HeartbeatAck(v1::HeartbeatAck { sequence: 9 });
    for (number, heard) in [
        vec![Heard::AlikeAssignment(own(3))],
        vec![ack(), Heard::AlikeAssignment(own(3)), event(Assign(4))],
    ]
    .into_iter()
    .enumerate()
    {
        stage.session.handle_frame(at(2), frame(3 + i64::try_from(number).unwrap(), heard));
        assert!(stage.session.leases.get(Token(3)).is_none());
    }
    assert!(stage.session.leases.get(Token(4)).is_some(), "what comes behind it is taken");

    // Behind an assignment and something else it is like the assignment.
    let heard = vec![event(Assign(5)), ack(), Heard::AlikeAssignment(own(6))];
    stage.session.handle_frame(at(3), frame(5, heard));
    let of = |token| &stage.session.leases.get(Token(token)).unwrap().assignment.likeness;
    assert!(Arc::ptr_eq(of(5), of(6)) && !Arc::ptr_eq(of(5), of(4)));
}
