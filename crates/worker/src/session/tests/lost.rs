//! Work that does not end when it is killed: its slot is lost, and with too many the worker is of no use any more.
//!
//! There are two slots, or four; one may be lost.

use leasehold_proto::v1::{ResultDisposition::Accepted, RevocationReason::Cancelled};

use super::{Stage, Step::*, check_connected, check_welcomed};
use crate::OnSessionLost;

#[test]
fn a_lost_slot_is_said_on_every_stream_and_taken_back_when_the_work_ends() {
    check_connected(
        &[
            (1, Assign(1)),
            (2, Assign(2)),
            (10, Revoke(1, Cancelled, 100)),
            (5_200, Down),
            (5_201, Up),
            (5_202, Welcome("j", 7, &[])),
            (5_300, Aborted(1)),
        ],
        &[
            "1 start 1",
            "1 say started 1",
            "2 start 2",
            "2 say started 2",
            "10 cancel 1: cancelled",
            "110 kill 1: cancelled",
            "5110 say slots lost 1",
            "5200 connect",
            "5201 say hello journal=j epoch=7 held=[1 running, 2 running]",
            "5201 say slots lost 1",
            "5300 say slots lost 0",
            "5300 say outcome 1 STOP_METHOD_ABORTED, started true",
        ],
    );
}

#[test]
fn with_too_many_lost_slots_the_worker_delivers_what_it_has_and_ends_without_a_goodbye() {
    check_connected(
        &[
            (1, Assign(1)),
            (2, Assign(2)),
            (10, Revoke(1, Cancelled, 0)),
            (5_500, Done(2, 1)),
            (5_501, Assign(3)),
            (6_000, Revoke(3, Cancelled, 0)),
            (12_000, Answer(2, Accepted)),
        ],
        &[
            "1 start 1",
            "1 say started 1",
            "2 start 2",
            "2 say started 2",
            "10 cancel 1: cancelled",
            "10 kill 1: cancelled",
            "5010 say slots lost 1",
            "5500 say outcome 2 success of 1 bytes",
            "5501 start 3",
            "5501 say started 3",
            "6000 cancel 3: cancelled",
            "6000 kill 3: cancelled",
            "11000 say slots lost 2",
            "11000 say drain 30s: lost slots",
            "12000 exit: 2 slots are lost to work that cannot be stopped: \
             the worker has to be started again",
        ],
    );
}

#[test]
fn with_one_large_lease_lost_the_small_ones_beside_it_are_finished_first() {
    check_welcomed(
        Stage::of_slots(4, 0, OnSessionLost::Stop),
        &[
            (1, AssignSized(1, 2, 0)),
            (2, Assign(2)),
            (10, Revoke(1, Cancelled, 0)),
            (5_500, Done(2, 1)),
            (5_600, Answer(2, Accepted)),
        ],
        &[
            "1 start 1",
            "1 say started 1",
            "2 start 2",
            "2 say started 2",
            "10 cancel 1: cancelled",
            "10 kill 1: cancelled",
            "5010 say slots lost 2",
            "5010 say drain 30s: lost slots",
            "5500 say outcome 2 success of 1 bytes",
            "5600 exit: 2 slots are lost to work that cannot be stopped: \
             the worker has to be started again",
        ],
    );
}
