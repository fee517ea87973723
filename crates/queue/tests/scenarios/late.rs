//! Results of leases that were lost with their workers' sessions.

use super::check;

#[test]
fn a_late_result_changes_nothing_where_nobody_asked_for_it() {
    check(
        "
        submit a
            accepted a
        hello w s1
            welcome
        grant
            s1: run a as t1, attempt 1
        start s1 t1
        at 2030
            s1: closed, Expired
        hello w s2 t1:finished
            welcome, t1 Lost
        ok s2 t1
            s2: t1 is Stale
        show a
            waits until 2130ms, Backoff; 0 attempts, 1 losses, WorkerLost: the worker was lost
    ",
    );
}

#[test]
fn the_newest_result_of_a_lost_worker_counts_where_the_queue_says_so() {
    check(
        "
        configure late=q
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
        start s1 t2
        at 2030
            s1: closed, Expired
        hello w s2 slots=2 t1:finished t2
            welcome, t1 Lost, t2 Lost
        ok s2 t1
            a Succeeded; 1 attempts, 1 losses, WorkerLost: the worker was lost
            s2: t1 is Accepted
        ok s2 t1
            s2: t1 is Duplicate
        ends a
            t1 g1 a1 on w: granted 0ms, started 0ms, ended 2030ms WorkerLost Unproved, charged WorkerLoss, waits until 2130ms: the worker was lost
            t1 g1 a1 on w: granted 0ms, started 0ms, ended 2030ms Succeeded Returned, charged Attempt
        at 2500
        show b
            queued, NoCapacity; 0 attempts, 1 losses, WorkerLost: the worker was lost
        ok s2 t2
            b Succeeded; 1 attempts, 1 losses, WorkerLost: the worker was lost
            s2: t2 is Accepted
        workers
            w/i1 Active  of 2
    ",
    );
}

#[test]
fn a_restart_between_the_loss_and_the_result_changes_neither_answer() {
    check(
        "
        configure late=q
        submit a
            accepted a
        hello w s1
            welcome
        grant
            s1: run a as t1, attempt 1
        start s1 t1
        at 2030
            s1: closed, Expired
        trim
        restart
        hello w s2 t1:finished
            welcome, t1 Lost
        ok s2 t1
            a Succeeded; 1 attempts, 1 losses, WorkerLost: the worker was lost
            s2: t1 is Accepted
        restart
        hello w s3 t1:finished
            welcome, t1 Lost
        ok s3 t1
            s3: t1 is Duplicate
    ",
    );
}

#[test]
fn whoever_comes_after_a_newer_lease_is_stale_whatever_became_of_that() {
    check(
        "
        configure late=q
        submit a
            accepted a
        hello w s1
            welcome
        grant
            s1: run a as t1, attempt 1
        start s1 t1
        at 2030
            s1: closed, Expired
        hello w s2 t1:finished
            welcome, t1 Lost
        hello v s3
            welcome
        at 2130
        grant
            s2: run a as t2, attempt 1
        ok s2 t1
            s2: t1 is Stale
        decline s2 t2 full
            s2: t2 is Accepted
        ok s2 t1
            s2: t1 is Stale
        show a
            queued, NoCapacity; 0 attempts, 1 losses, WorkerLost: the worker was lost
    ",
    );
}

#[test]
fn only_a_result_and_only_of_the_process_that_held_the_lease_comes_late() {
    check(
        "
        configure late=q
        submit a
            accepted a
        hello w s1
            welcome
        grant
            s1: run a as t1, attempt 1
        start s1 t1
        at 2030
            s1: closed, Expired
        hello v s2 types=u t1:finished
            welcome, t1 Lost
        ok s2 t1
            s2: t1 is Stale
        hello w/i2 s3 types=u t1:finished
            welcome, t1 Lost
        ok s3 t1
            s3: t1 is Stale
        hello w/i1 s4 types=u t1:finished
            welcome, t1 Lost
            s3: closed, Replaced
        fail s4 t1
            s4: t1 is Stale
        invalid s4 t1
            s4: t1 is Stale
        stopped s4 t1
            s4: t1 is Stale
        ok s4 t1
            a Succeeded; 1 attempts, 1 losses, WorkerLost: the worker was lost
            s4: t1 is Accepted
    ",
    );
}

#[test]
fn what_ended_or_was_replayed_or_was_not_lost_hears_no_late_result() {
    check(
        "
        configure late=q
        submit a once
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
        start s1 t2
        delivered s1 t3
        beat s1 t1 t2
        at 2030
            s1: closed, Expired
            a Failed; 0 attempts, 1 losses, OutcomeUnknown: it runs at most once, and its worker did not say how it ended
        cancel b
            b Cancelled; 0 attempts, 1 losses, WorkerLost: the worker was lost
        replay a
            generation 2
        hello w s2 slots=3 t1:finished t2:finished t3:finished
            welcome, t1 Lost, t2 Lost, t3 Lost
        ok s2 t1
            s2: t1 is Stale
        ok s2 t2
            s2: t2 is Stale
        ok s2 t3
            s2: t3 is Stale
    ",
    );
}
