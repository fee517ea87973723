//! Hellos, heartbeats, drains and the ends of sessions.

use super::check;

#[test]
fn a_dropped_stream_requeues_nothing_and_the_same_process_goes_on() {
    check(
        "
        submit a
            accepted a
        submit b
            accepted b
        hello w s1 slots=2
            welcome
        grant
            s1: run a as t1, attempt 1
            s1: run b as t2, attempt 1
        start s1 t1
        delivered s1 t2
        gone s1
        workers
            w/i1 Disconnected t1 t2 of 2
        hello w s2 slots=2 t1 t2:pending
            welcome back, t1 Retained, t2 Retained
        show a
            t1 since 0ms; 0 attempts, 0 losses
        ok s2 t1
            a Succeeded; 1 attempts, 0 losses
            s2: t1 is Accepted
    ",
    );
}

#[test]
fn a_hello_says_what_is_not_held() {
    check(
        "
        submit a
            accepted a
        submit b
            accepted b
        submit c
            accepted c
        hello w s1 slots=3
            welcome
        grant
            s1: run a as t1, attempt 1
            s1: run b as t2, attempt 1
            s1: run c as t3, attempt 1
        start s1 t1
        delivered s1 t2
        hello w s2 slots=3
            welcome back
            s1: closed, Replaced
        show a
            waits until 100ms, Backoff; 0 attempts, 1 losses, WorkerLost: the worker was lost
        show b
            queued, NoCapacity; 0 attempts, 0 losses, WorkerLost: the worker does not hold it
        show c
            queued, NoCapacity; 0 attempts, 0 losses, WorkerLost: the worker does not hold it
        grant
            s2: run b as t4, attempt 1
            s2: run c as t5, attempt 1
        ok s1 t3
        ok s2 t3
            s2: t3 is Stale
    ",
    );
}

#[test]
fn a_running_lease_says_that_it_started() {
    check(
        "
        submit a
            accepted a
        hello w s1
            welcome
        grant
            s1: run a as t1, attempt 1
        hello w s2 t1
            welcome back, t1 Retained
            s1: closed, Replaced
        show a
            t1 since 0ms; 0 attempts, 0 losses
    ",
    );
}

#[test]
fn another_instance_waits_for_the_old_one() {
    check(
        "
        submit a
            accepted a
        hello w/1 s1
            welcome
        grant
            s1: run a as t1, attempt 1
        start s1 t1
        hello w/2 s2 t1
            welcome, t1 Lost
            s1: closed, Replaced
        workers
            w/1 Disconnected t1 of 1
            w/2 Active t1 of 1
        at 2030
            s2: closed, Expired
        show a
            waits until 2130ms, Backoff; 0 attempts, 1 losses, WorkerLost: the worker was lost
        workers
        beat s2
            not heard
        workers
    ",
    );
}

#[test]
fn a_revocation_is_repeated_on_a_new_stream() {
    check(
        "
        submit a
            accepted a
        hello w s1
            welcome
        grant
            s1: run a as t1, attempt 1
        start s1 t1
        gone s1
        cancel a
            cancelling
        at 100
        hello w s2 t1
            welcome back, t1 Retained
            s2: stop t1, Cancelled, within 200ms
        stopped s2 t1
            a Cancelled; 0 attempts, 0 losses, Cancelled: cancelled while it was leased
            s2: t1 is Accepted
    ",
    );
}

#[test]
fn an_unknown_lease_is_to_be_stopped() {
    check(
        "
        submit a
            accepted a
        hello w s1
            welcome
        hello v s2
            welcome
        grant
            s1: run a as t1, attempt 1
        delivered s1 t1
        beat s2 t1 t9
            s2: stop unknown, UnknownLease, within 0ns
            s2: stop t1, UnknownLease, within 0ns
        ok s1 t1
            a Succeeded; 1 attempts, 0 losses
            s1: t1 is Accepted
        beat s1 t1
    ",
    );
}

#[test]
fn a_foreign_lease_that_still_runs_takes_a_slot() {
    check(
        "
        submit a
            accepted a
        hello v s1
            welcome
        hello w s2 t9
            welcome, unknown Lost
        grant
            s1: run a as t1, attempt 1
        submit b
            accepted b
        grant
        beat s2
        grant
            s2: run b as t2, attempt 1
    ",
    );
}

#[test]
fn a_hello_says_anew_what_is_served() {
    check(
        "
        submit a
            accepted a
        hello w s1
            welcome
        grant
            s1: run a as t1, attempt 1
        decline s1 t1 unsupported
            s1: t1 is Accepted
        grant
        hello w s2
            welcome back
            s1: closed, Replaced
        grant
            s2: run a as t2, attempt 1
    ",
    );
}

#[test]
fn heartbeats_keep_a_session() {
    check(
        "
        hello w s1
            welcome
        at 2029
        beat s1
        at 4058
        at 4059
            s1: closed, Expired
        beat s1
            not heard
        workers
    ",
    );
}

#[test]
fn a_stall_of_the_coordinator_is_not_held_against_workers() {
    check(
        "
        hello w s1
            welcome
        stalled by=500
        at 2529
        at 2530
            s1: closed, Expired
    ",
    );
}

#[test]
fn a_session_that_is_not_heard_ends_however_often_the_coordinator_stalls() {
    check(
        "
        hello w s1
            welcome
        stalled by=1500
        stalled by=1500
        stalled by=1500
        at 4049
        at 4050
            s1: closed, Expired
        hello w s2
            welcome
        stalled by=1500
        stalled by=1500
        beat s2
        at 6079
        at 6080
            s2: closed, Expired
    ",
    );
}

#[test]
fn a_stall_longer_than_every_session_ends_none() {
    check(
        "
        hello w s1
            welcome
        at 1000
        stalled for=60000 by=60000
        at 62029
        at 62030
            s1: closed, Expired
    ",
    );
}

#[test]
fn a_drain_takes_nothing_new_and_costs_nothing() {
    check(
        "
        submit a
            accepted a
        submit b
            accepted b
        submit c
            accepted c
        hello w s1 slots=2
            welcome
        hello v s2 slots=1
            welcome
        grant
            s1: run a as t1, attempt 1
            s2: run b as t2, attempt 1
            s1: run c as t3, attempt 1
        start s1 t1
        drain s1
        drain-worker v
            s2: drain
        drain-worker nobody
            no such thing
        workers
            v/i1 Draining t2 of 1
            w/i1 Draining t1 t3 of 2
        ok s1 t1
            a Succeeded; 1 attempts, 0 losses
            s1: t1 is Accepted
        grant
        show a
            gone
        gone s2
        hello v s3 slots=1 t2
            welcome back, t2 Retained
            s3: drain
        bye s1
        workers
            v/i1 Draining t2 of 1
    ",
    );
}

#[test]
fn fewer_slots_take_nothing_away() {
    check(
        "
        submit a
            accepted a
        submit b
            accepted b
        submit c
            accepted c
        hello w s1 slots=2
            welcome
        grant
            s1: run a as t1, attempt 1
            s1: run b as t2, attempt 1
        slots s1 1
        ok s1 t1
            a Succeeded; 1 attempts, 0 losses
            s1: t1 is Accepted
        grant
        slots s1 2
        grant
            s1: run c as t3, attempt 1
    ",
    );
}

#[test]
fn nobody_speaks_on_a_stream_that_is_gone() {
    check(
        "
        submit a
            accepted a
        hello w s1
            welcome
        grant
            s1: run a as t1, attempt 1
        gone s1
        beat s1
            not heard
        ok s1 t1
        start s1 t1
        progress s1 t1
        bye s1
        show a
            t1 not started; 0 attempts, 0 losses
    ",
    );
}

#[test]
fn a_process_that_was_followed_by_another_does_not_come_between() {
    check(
        "
        submit a
            accepted a
        hello w/1 s1
            welcome
        hello w/2 s2
            welcome
            s1: closed, Replaced
        grant
            s2: run a as t1, attempt 1
        hello w/1 s3
            not welcome, Outlived
        beat s2 t1
        workers
            w/1 Disconnected  of 1
            w/2 Active t1 of 1
        gone s2
        hello w/1 s4
            welcome back
        hello w/2 s5 t1
            welcome back, t1 Retained
            s4: closed, Replaced
        restart
        hello w/2 s6 t1
            welcome back, t1 Retained
        hello w/1 s7
            welcome
            s6: closed, Replaced
        hello w/2 s8 t1
            not welcome, Outlived
    ",
    );
}

#[test]
fn a_process_that_was_started_earlier_does_not_come_between() {
    check(
        "
        hello w/2 s1 start=boot+20
            welcome
        hello w/1 s2 start=boot+10
            not welcome, Outlived
        hello w/3 s3 start=boot+30
            welcome
            s1: closed, Replaced
        gone s3
        hello w/1 s4 start=boot+10
            welcome
        hello w/3 s5 start=boot+30
            welcome back
            s4: closed, Replaced
    ",
    );
}

#[test]
fn a_process_of_another_boot_keeps_nobody_away_before_it_answers() {
    check(
        "
        hello w/2 s1 start=new+20
            welcome
        delivered s1
        hello w/1 s2 start=old+90
            welcome
            s1: closed, Replaced
        hello w/2 s3 start=new+20
            welcome back
            s2: closed, Replaced
        hello w/1 s4 start=old+90
            welcome back
            s3: closed, Replaced
        delivered s4
        hello w/2 s5 start=new+20
            not welcome, Outlived
        gone s4
        hello w/2 s6 start=new+20
            welcome back
    ",
    );
}

#[test]
fn what_a_process_held_that_is_gone_for_sure_is_leased_again_at_once() {
    check(
        "
        submit a
            accepted a
        hello w/1 s1
            welcome
        grant
            s1: run a as t1, attempt 1
        start s1 t1
        hello w/2 s2
            welcome
            s1: closed, Replaced
        show a
            t1 since 0ms; 0 attempts, 0 losses
        hello w/3 s3 gone=1,never
            welcome
            s2: closed, Replaced
        ends a
            t1 g1 a1 on w: granted 0ms, started 0ms, ended 0ms WorkerLost ProcessGone, charged WorkerLoss, waits until 100ms: the worker was lost
        workers
            w/2 Disconnected  of 1
            w/3 Active  of 1
        at 100
        grant
            s3: run a as t2, attempt 1
    ",
    );
}

#[test]
fn a_process_that_is_gone_keeps_nobody_away() {
    check(
        "
        hello w/1 s1 start=boot+20
            welcome
        hello w/2 s2 start=boot+10
            not welcome, Outlived
        hello w/2 s3 start=boot+10 gone=1
            welcome
            s1: closed, Replaced
        workers
            w/2 Active  of 1
    ",
    );
}
