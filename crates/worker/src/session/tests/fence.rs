//! The worker stops before its session can have run out.
//!
//! The session lasts 20 s, of which the worker believes in 19.8 s, and the margin is a quarter: 5 s.

use leasehold_proto::v1::{
    ResultDisposition::Stale,
    RevocationReason as Reason,
    Verdict::{Lost, Retained},
};

use super::{Stage, Step::*, check, check_connected, check_welcomed};
use crate::OnSessionLost;

#[test]
fn work_is_asked_to_stop_ahead_of_the_end_and_killed_at_it() {
    check_connected(
        &[
            // A grace below the margin, and one above it.
            (1, AssignWithin(1, [1_000, 600_000, 600_000, 2_000])),
            (1, AssignWithin(2, [1_000, 600_000, 600_000, 60_000])),
            (10, Down),
            (20_000, Aborted(1)),
            (20_001, Aborted(2)),
            (20_002, Up),
            (20_003, Welcome("j", 7, &[(1, Lost), (2, Lost)])),
            (20_004, Answer(1, Stale)),
            (20_004, Answer(2, Stale)),
        ],
        &[
            "1 start 1",
            "1 say started 1",
            "1 start 2",
            "1 say started 2",
            "10 connect",
            "14800 cancel 2: lease lost",
            "17800 cancel 1: lease lost",
            "19800 kill 1: lease lost",
            "19800 kill 2: lease lost",
            "20002 say hello journal=j epoch=7 held=[1 finished, 2 finished]",
            "20002 say outcome 1 STOP_METHOD_ABORTED, started true",
            "20002 say outcome 2 STOP_METHOD_ABORTED, started true",
        ],
    );
}

#[test]
fn work_that_may_finish_does_and_what_has_not_begun_goes_back() {
    check_welcomed(
        Stage::new(1, OnSessionLost::Finish),
        &[
            (1, AssignWithin(1, [1_000, 600_000, 600_000, 2_000])),
            (1, AssignWithin(2, [1_000, 600_000, 600_000, 2_000])),
            (1, AssignWithin(3, [60_000, 600_000, 600_000, 2_000])),
            (10, Down),
            (25_000, Done(1, 0)),
            (30_000, Up),
            (30_001, Welcome("j", 7, &[(1, Retained), (2, Lost), (3, Lost)])),
            (30_002, Wait),
        ],
        &[
            "1 start 1",
            "1 say started 1",
            "1 start 2",
            "1 say started 2",
            "10 connect",
            "30000 say hello journal=j epoch=7 held=[2 running, 1 finished, 3 finished]",
            "30000 say outcome 1 success of 0 bytes",
            "30000 say outcome 3 DECLINE_REASON_NO_CAPACITY",
            "30001 cancel 2: lease lost",
        ],
    );
}

#[test]
fn time_counts_from_the_sending_of_the_last_acknowledged_heartbeat() {
    check(
        &[
            (0, Up),
            (0, Welcome("j", 7, &[])),
            (1, AssignWithin(1, [1_000, 600_000, 600_000, 2_000])),
            // Acknowledged late: it still counts from when it was sent.
            (9_000, Beat(1)),
            (9_500, Down),
            (24_800, Wait),
        ],
        &[
            "0 connect",
            "0 say hello journal= epoch=0 held=[]",
            "1 start 1",
            "1 say started 1",
            "5000 say heartbeat 1 [1]",
            "9500 connect",
            "22800 cancel 1: lease lost",
            "24800 kill 1: lease lost",
        ],
    );
}

#[test]
fn an_acknowledgement_of_nothing_extends_nothing() {
    check(
        &[
            (0, Up),
            (0, Welcome("j", 7, &[])),
            (1, AssignWithin(1, [1_000, 600_000, 600_000, 2_000])),
            (5_000, Wait),
            (6_000, Beat(9)),
            (6_000, Beat(0)),
            (6_500, Down),
            (17_800, Wait),
        ],
        &[
            "0 connect",
            "0 say hello journal= epoch=0 held=[]",
            "1 start 1",
            "1 say started 1",
            "5000 say heartbeat 1 [1]",
            "6500 connect",
            "17800 cancel 1: lease lost",
        ],
    );
}

#[test]
fn a_result_that_comes_after_the_end_is_kept_for_the_coordinator_to_judge() {
    check_connected(
        &[(1, Assign(1)), (10, Down), (90_000, Done(1, 3)), (90_001, Up)],
        &[
            "1 start 1",
            "1 say started 1",
            "10 connect",
            "17800 cancel 1: lease lost",
            "19800 kill 1: lease lost",
            "90001 say hello journal=j epoch=7 held=[1 finished]",
            "90001 say outcome 1 success of 3 bytes",
        ],
    );
}

#[test]
fn a_long_grace_ends_with_the_validity_also_if_nothing_else_is_due_then() {
    check(
        &[
            (0, Up),
            (0, Welcome("j", 7, &[])),
            (1, AssignWithin(1, [1_000, 600_000, 600_000, 2_000])),
            // Heard, but no acknowledgement: the leases hold until 19.8 s.
            (9_000, Beat(9)),
            (17_000, Revoke(1, Reason::Cancelled, 60_000)),
            (19_900, Wait),
        ],
        &[
            "0 connect",
            "0 say hello journal= epoch=0 held=[]",
            "1 start 1",
            "1 say started 1",
            "5000 say heartbeat 1 [1]",
            "10000 say heartbeat 2 [1]",
            "15000 say heartbeat 3 [1]",
            "17000 cancel 1: cancelled",
            "19800 kill 1: cancelled",
        ],
    );
}

#[test]
fn what_has_not_started_must_not_start() {
    check_connected(
        &[
            (1, Assign(1)),
            (1, Assign(2)),
            (1, AssignWithin(3, [60_000, 600_000, 600_000, 2_000])),
            (10, Down),
            (17_900, Done(1, 1)),
            (17_901, Done(2, 1)),
            (17_902, Up),
        ],
        &[
            "1 start 1",
            "1 say started 1",
            "1 start 2",
            "1 say started 2",
            "10 connect",
            "17800 cancel 1: lease lost",
            "17800 cancel 2: lease lost",
            "17902 say hello journal=j epoch=7 held=[1 finished, 2 finished, 3 finished]",
            "17902 say outcome 1 success of 1 bytes",
            "17902 say outcome 2 success of 1 bytes",
            // Not as a worker that drains: that one would be given nothing more.
            "17902 say outcome 3 DECLINE_REASON_NO_CAPACITY",
        ],
    );
}

#[test]
fn a_welcome_in_time_saves_what_still_runs() {
    check_connected(
        &[
            (1, Assign(1)),
            (10, Down),
            (17_000, Up),
            (17_100, Welcome("j", 7, &[(1, Retained)])),
            (30_000, Done(1, 1)),
        ],
        &[
            "1 start 1",
            "1 say started 1",
            "10 connect",
            "17000 say hello journal=j epoch=7 held=[1 running]",
            "30000 say outcome 1 success of 1 bytes",
        ],
    );
}
