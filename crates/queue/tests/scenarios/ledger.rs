//! What is remembered of how leases ended.

use super::check;

#[test]
fn each_end_says_what_it_was_and_what_it_cost() {
    check(
        "
        submit a attempts=4
            accepted a
        hello w s1 slots=2
            welcome
        grant
            s1: run a as t1, attempt 1
        start s1 t1
        fail s1 t1
            s1: t1 is Accepted
        at 100
        grant
            s1: run a as t2, attempt 2
        decline s1 t2 full
            s1: t2 is Accepted
        ends a
            t1 g1 a1 on w: granted 0ms, started 0ms, ended 0ms Error Returned, charged Attempt, waits until 100ms: no luck
            t2 g1 a2 on w: granted 100ms, ended 100ms NoCapacity NotStarted, charged Nothing: the worker had no slot for it
        at 1200
        grant
            s1: run a as t3, attempt 2
        start s1 t3
        drain s1
        decline s1 t3 draining how=killed
            s1: t3 is Accepted
        ends a
            t1 g1 a1 on w: granted 0ms, started 0ms, ended 0ms Error Returned, charged Attempt, waits until 100ms: no luck
            t2 g1 a2 on w: granted 100ms, ended 100ms NoCapacity NotStarted, charged Nothing: the worker had no slot for it
            t3 g1 a2 on w: granted 1200ms, started 1200ms, ended 1200ms Drained Killed, charged Nothing: the worker drains
    ",
    );
}

#[test]
fn a_revocation_is_requested_delivered_and_answered() {
    check(
        "
        submit a attempts=2 attempt=100
            accepted a
        hello w s1
            welcome
        grant
            s1: run a as t1, attempt 1
        start s1 t1
        at 1400
            s1: stop t1, AttemptTimeout, within 0ns
        at 1410
        informed s1 t1
        at 1420
        informed s1 t1
        at 1500
        stopped s1 t1 how=killed
            s1: t1 is Accepted
        ends a
            t1 g1 a1 on w: granted 0ms, started 0ms, revoked 1400ms, delivered 1410ms, ended 1500ms AttemptTimeout Killed, charged Attempt, waits until 1600ms: the attempt ran out of its time and was stopped
    ",
    );
}

#[test]
fn a_revocation_for_another_reason_has_to_arrive_again() {
    check(
        "
        submit a attempt=100
            accepted a
        hello w s1
            welcome
        grant
            s1: run a as t1, attempt 1
        start s1 t1
        at 1400
            s1: stop t1, AttemptTimeout, within 0ns
        informed s1 t1
        beat s1 t1
        at 1450
        cancel a
            cancelling
            s1: stop t1, Cancelled, within 300ms
        at 1500
        stopped s1 t1
            a Cancelled; 0 attempts, 0 losses, Cancelled: cancelled while it was leased
            s1: t1 is Accepted
        ends a
            t1 g1 a1 on w: granted 0ms, started 0ms, revoked 1450ms, ended 1500ms Cancelled Aborted, charged Nothing: cancelled while it was leased
    ",
    );
}

#[test]
fn an_end_without_an_answer_proves_nothing_and_a_late_answer_is_told() {
    check(
        "
        submit a
            accepted a
        hello w s1
            welcome
        grant
            s1: run a as t1, attempt 1
        start s1 t1
        cancel a
            cancelling
            s1: stop t1, Cancelled, within 300ms
        at 1300
            a Cancelled; 0 attempts, 0 losses, Cancelled: cancelled while it was leased
        ends a
            t1 g1 a1 on w: granted 0ms, started 0ms, revoked 0ms, ended 1300ms Cancelled Unproved, charged Nothing: cancelled while it was leased
        at 1450
        stopped s1 t1 how=killed
            t1 of a stopped 150ms late, Killed
            s1: t1 is Stale
        workers
            w/i1 Active  of 1
    ",
    );
}

#[test]
fn a_worker_that_is_lost_or_does_not_hold_it_proves_different_things() {
    check(
        "
        submit a
            accepted a
        hello w s1
            welcome
        grant
            s1: run a as t1, attempt 1
        start s1 t1
        beat s1
        ends a
            t1 g1 a1 on w: granted 0ms, started 0ms, ended 0ms NotHeld NotHeld, charged WorkerLoss, waits until 100ms: the worker was lost
        at 100
        grant
            s1: run a as t2, attempt 1
        start s1 t2
        at 2200
            s1: closed, Expired
            a Failed; 0 attempts, 2 losses, WorkerLossLimit: its workers were lost too often
        ends a
            t1 g1 a1 on w: granted 0ms, started 0ms, ended 0ms NotHeld NotHeld, charged WorkerLoss, waits until 100ms: the worker was lost
            t2 g1 a1 on w: granted 100ms, started 100ms, ended 2200ms WorkerLost Unproved, charged WorkerLoss: its workers were lost too often
    ",
    );
}

#[test]
fn a_replay_keeps_how_the_generation_before_ended() {
    check(
        "
        submit a attempts=1
            accepted a
        hello w s1
            welcome
        grant
            s1: run a as t1, attempt 1
        fail s1 t1
            a Failed; 1 attempts, 0 losses, Error: no luck
            s1: t1 is Accepted
        replay a
            generation 2
        trim
        restart
        hello w s2
            welcome
        grant
            s2: run a as t2, attempt 1
        ok s2 t2
            a Succeeded; 1 attempts, 0 losses, Error: no luck
            s2: t2 is Accepted
        ends a
            t1 g1 a1 on w: granted 0ms, started 0ms, ended 0ms Error Returned, charged Attempt: no luck
            t2 g2 a1 on w: granted 0ms, started 0ms, ended 0ms Succeeded Returned, charged Attempt
    ",
    );
}

#[test]
fn a_failure_that_a_cancel_or_a_total_timeout_hides_is_still_told() {
    check(
        "
        submit a
            accepted a
        hello w s1
            welcome
        grant
            s1: run a as t1, attempt 1
        cancel a
            cancelling
            s1: stop t1, Cancelled, within 300ms
        fail s1 t1
            a Cancelled; 0 attempts, 0 losses, Cancelled: cancelled while it was leased
            s1: t1 is Accepted
        ends a
            t1 g1 a1 on w: granted 0ms, started 0ms, revoked 0ms, ended 0ms Error Returned, charged Nothing: no luck
    ",
    );
}

#[test]
fn what_ran_out_of_the_total_time_is_not_called_an_attempt_timeout() {
    check(
        r#"
        submit a total=1000
            accepted a
        hello w s1
            welcome
        grant
            s1: run a as t1, attempt 1
        start s1 t1
        at 1000
            s1: stop t1, TotalTimeout, within 300ms
        fail s1 t1 late how=killed
            a Failed; 0 attempts, 0 losses, TotalTimeout: the task ran out of its total time after "no luck"
            s1: t1 is Accepted
        ends a
            t1 g1 a1 on w: granted 0ms, started 0ms, revoked 1000ms, ended 1000ms TotalTimeout Killed, charged Nothing: no luck
    "#,
    );
}
