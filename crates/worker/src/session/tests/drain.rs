//! Leaving: nothing new, what runs is finished or handed back, every outcome is delivered.

use leasehold_proto::v1::ResultDisposition::Accepted;

use super::{Step::*, check, check_connected};

#[test]
fn a_drain_finishes_what_runs_and_says_goodbye() {
    check_connected(
        &[
            (1, Assign(1)),
            (1, Assign(2)),
            (1, Assign(3)),
            (10, Drain),
            (20, Assign(4)),
            (30, Done(1, 1)),
            (40, Answer(1, Accepted)),
            (41, Answer(3, Accepted)),
            (42, Answer(4, Accepted)),
            (50, Done(2, 1)),
            (60, Answer(2, Accepted)),
            (70, Down),
        ],
        &[
            "1 start 1",
            "1 say started 1",
            "1 start 2",
            "1 say started 2",
            "10 say drain 30s: asked",
            "10 say outcome 3 DECLINE_REASON_DRAINING",
            "20 say outcome 4 DECLINE_REASON_DRAINING",
            "30 say outcome 1 success of 1 bytes",
            "50 say outcome 2 success of 1 bytes",
            "60 say goodbye",
            "60 close send",
            "70 exit",
        ],
    );
}

#[test]
fn an_operator_may_give_less_time_and_what_runs_beyond_it_is_handed_back() {
    check_connected(
        &[
            (1, AssignWithin(1, [1_000, 60_000, 60_000, 500])),
            (1, AssignWithin(2, [1_000, 60_000, 60_000, 500])),
            (10, DrainRequest(1_000)),
            (1_100, Done(1, 1)),
            (1_600, Aborted(2)),
            (1_700, Answer(1, Accepted)),
            (1_700, Answer(2, Accepted)),
            (9_000, Wait),
        ],
        &[
            "1 start 1",
            "1 say started 1",
            "1 start 2",
            "1 say started 2",
            "10 say drain 1s: told",
            "1010 cancel 1: draining",
            "1010 cancel 2: draining",
            "1100 say outcome 1 success of 1 bytes",
            "1510 kill 2: draining",
            "1600 say outcome 2 DECLINE_REASON_DRAINING",
            "1700 say goodbye",
            "1700 close send",
            // A coordinator that does not close the stream cannot keep the worker.
            "3700 exit",
        ],
    );
}

#[test]
fn an_idle_worker_leaves_at_once() {
    check_connected(
        &[(10, Drain), (11, Down)],
        &["10 say drain 30s: asked", "10 say goodbye", "10 close send", "11 exit"],
    );
    check(&[(5, Drain)], &["0 connect", "5 exit"]);
    check(
        &[(0, Up), (5, Drain), (6, Welcome("j", 7, &[])), (7, Down)],
        &[
            "0 connect",
            "0 say hello journal= epoch=0 held=[]",
            "5 say drain 30s: asked",
            "6 say goodbye",
            "6 close send",
            "7 exit",
        ],
    );
}

#[test]
fn a_drain_outlives_its_stream_to_deliver_what_is_finished() {
    check_connected(
        &[
            (1, Assign(1)),
            (10, Drain),
            (20, Down),
            (30, Done(1, 1)),
            (40, Up),
            (50, Welcome("j", 7, &[])),
            (60, Answer(1, Accepted)),
            (70, Down),
        ],
        &[
            "1 start 1",
            "1 say started 1",
            "10 say drain 30s: asked",
            "20 connect",
            "40 say hello journal=j epoch=7 held=[1 finished]",
            "40 say drain 29s: asked",
            "40 say outcome 1 success of 1 bytes",
            "60 say goodbye",
            "60 close send",
            "70 exit",
        ],
    );
}

#[test]
fn a_drain_ends_even_if_nobody_takes_what_is_finished() {
    check_connected(
        &[(1, Assign(1)), (10, DrainRequest(1_000)), (20, Down), (30, Done(1, 1)), (60_000, Wait)],
        &[
            "1 start 1",
            "1 say started 1",
            "10 say drain 1s: told",
            "20 connect",
            "11010 exit: gave up with 1 outcomes undelivered and 0 tasks running: they will run \
             again elsewhere",
        ],
    );
}

#[test]
fn a_drain_ends_even_if_work_does_not_stop() {
    check_connected(
        &[
            (1, AssignWithin(1, [1_000, 60_000, 60_000, 500])),
            (10, DrainRequest(100)),
            (11_000, Wait),
        ],
        &[
            "1 start 1",
            "1 say started 1",
            "10 say drain 0s: told",
            "110 cancel 1: draining",
            "610 kill 1: draining",
            "5610 say slots lost 1",
            "10610 exit: gave up with 0 outcomes undelivered and 1 tasks running: they will run \
             again elsewhere",
        ],
    );
}

#[test]
fn a_second_wish_to_drain_can_only_hasten_it() {
    check_connected(
        &[
            (1, Assign(1)),
            (10, DrainRequest(10_000)),
            (20, DrainRequest(500)),
            (30, DrainRequest(60_000)),
            (600, Interrupt),
        ],
        &[
            "1 start 1",
            "1 say started 1",
            "10 say drain 10s: told",
            "520 cancel 1: draining",
            "600 exit: stopped by a second signal with 1 tasks running",
        ],
    );
}
