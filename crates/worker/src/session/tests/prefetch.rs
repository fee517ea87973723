//! Leases that are granted ahead: how long they wait, and how they go back.

use super::{Step::*, check_ahead};

/// Two leases in the two slots.
const BUSY: [&str; 4] = ["1 start 1", "1 say started 1", "1 start 2", "1 say started 2"];

#[test]
fn what_waits_behind_work_is_not_late_and_starts_in_the_order_of_the_grants() {
    let script = [
        (1, AssignWithin(1, [500, 60_000, 3_600_000, 0])),
        (1, AssignWithin(2, [500, 60_000, 3_600_000, 0])),
        (2, AssignWithin(4, [500, 60_000, 3_600_000, 0])),
        (3, AssignWithin(3, [500, 60_000, 3_600_000, 0])),
        (9_000, Done(2, 1)),
        (9_001, Done(1, 1)),
    ];
    let expected = [
        "9000 start 4",
        "9000 say outcome 2 success of 1 bytes",
        "9000 say started 4",
        "9001 start 3",
        "9001 say outcome 1 success of 1 bytes",
        "9001 say started 3",
    ];
    check_ahead(2, &script, &[&BUSY[..], &expected].concat());
}

#[test]
fn more_than_was_asked_for_is_declined_in_time() {
    let script = [
        (1, Assign(1)),
        (1, Assign(2)),
        (2, AssignWithin(3, [500, 60_000, 3_600_000, 0])),
        (2, AssignWithin(4, [500, 60_000, 3_600_000, 0])),
        (9_000, Done(1, 1)),
    ];
    let expected = [
        "502 say outcome 4 DECLINE_REASON_NO_CAPACITY",
        "9000 start 3",
        "9000 say outcome 1 success of 1 bytes",
        "9000 say started 3",
    ];
    check_ahead(1, &script, &[&BUSY[..], &expected].concat());
}

#[test]
fn what_has_not_begun_is_given_back_and_what_has_goes_on() {
    let script = [
        (1, Assign(1)),
        (1, Assign(2)),
        (2, Assign(3)),
        (3, GiveBack(3)),
        (4, GiveBack(2)),
        (5, GiveBack(9)),
        (6, Done(2, 1)),
        (7, GiveBack(2)),
    ];
    let expected =
        ["3 say outcome 3 DECLINE_REASON_RETRACTED", "6 say outcome 2 success of 1 bytes"];
    check_ahead(1, &script, &[&BUSY[..], &expected].concat());
}

#[test]
fn a_hello_says_what_waits_and_it_waits_on() {
    let script = [
        (1, Assign(1)),
        (1, Assign(2)),
        (2, AssignWithin(3, [500, 60_000, 3_600_000, 0])),
        (10, Down),
        (10, Up),
        (11, Wait),
    ];
    let expected =
        ["10 connect", "10 say hello journal=j epoch=7 held=[1 running, 2 running, 3 pending]"];
    check_ahead(1, &script, &[&BUSY[..], &expected].concat());
}
