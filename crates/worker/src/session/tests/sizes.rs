//! Leases that take more than a slot: all of it together or not at all, and nobody overtakes. The worker has two slots and
//! two of `gpu`.

use super::{Step::*, check_connected};

#[test]
fn what_does_not_fit_waits_and_is_not_overtaken() {
    let script = [
        (1, Assign(1)),
        (2, AssignSized(2, 2, 0)),
        (3, Assign(3)),
        (9, Done(1, 1)),
        (20, Done(2, 1)),
    ];
    let expected = [
        "1 start 1",
        "1 say started 1",
        "9 start 2",
        "9 say outcome 1 success of 1 bytes",
        "9 say started 2",
        "20 start 3",
        "20 say outcome 2 success of 1 bytes",
        "20 say started 3",
    ];
    check_connected(&script, &expected);
}

#[test]
fn a_resource_that_is_taken_holds_up_what_a_slot_is_free_for() {
    let script = [(1, AssignSized(1, 1, 1)), (2, AssignSized(2, 1, 2)), (9, Failed(1))];
    let expected = [
        "1 start 1",
        "1 say started 1",
        "9 start 2",
        "9 say outcome 1 FAILURE_REASON_ERROR: no luck",
        "9 say started 2",
    ];
    check_connected(&script, &expected);
}

#[test]
fn what_never_fits_is_declined_in_time_and_lets_the_others_go_on() {
    let script = [(1, AssignSized(1, 3, 0)), (2, Assign(2)), (10_001, Wait)];
    let expected =
        ["10001 start 2", "10001 say outcome 1 DECLINE_REASON_NO_CAPACITY", "10001 say started 2"];
    check_connected(&script, &expected);
}
