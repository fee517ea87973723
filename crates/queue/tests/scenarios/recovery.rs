//! A process that reads its journal goes on where the last one stopped.

use super::check;

#[test]
fn leases_are_kept_for_their_workers() {
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
        start s1 t2
        restart
        workers
            w/i1 Disconnected t1 t2 of 0
        grant
        hello w s2 slots=2 t1 t2:finished
            welcome back, t1 Retained, t2 Retained
        ok s2 t2
            b Succeeded; 1 attempts, 0 losses
            s2: t2 is Accepted
        ok s2 t1
            a Succeeded; 1 attempts, 0 losses
            s2: t1 is Accepted
    ",
    );
}

#[test]
fn a_task_that_was_started_while_nobody_listened_runs_on() {
    check(
        "
        submit a
            accepted a
        hello w s1
            welcome
        grant
            s1: run a as t1, attempt 1
        restart
        at 1900
        hello w s2 t1
            welcome back, t1 Retained
        show a
            t1 since 1900ms; 0 attempts, 0 losses
    ",
    );
}

#[test]
fn leases_of_lost_workers_end_after_the_longest_promise() {
    check(
        "
        submit a
            accepted a
        hello w s1
            welcome
        grant
            s1: run a as t1, attempt 1
        restart ttl=1000
        at 2029
        show a
            t1 not started; 0 attempts, 0 losses
        at 2030
        show a
            waits until 2130ms, Backoff; 0 attempts, 1 losses, WorkerLost: the worker was lost
    ",
    );
}

#[test]
fn a_shorter_promise_does_not_cut_a_longer_one_short() {
    check(
        "
        submit a
            accepted a
        hello w s1
            welcome
        grant
            s1: run a as t1, attempt 1
        restart ttl=1000
        hello w s2 t1
            welcome back, t1 Retained
        at 2029
        at 2030
            s2: closed, Expired
    ",
    );
}

#[test]
fn tokens_grow_over_restarts_and_old_ones_are_stale() {
    check(
        "
        submit a
            accepted a
        hello w s1
            welcome
        grant
            s1: run a as t1, attempt 1
        restart
        hello w s2
            welcome back
        grant
            s2: run a as t2, attempt 1
        ok s2 t1
            s2: t1 is Stale
        ok s2 t2
            a Succeeded; 1 attempts, 0 losses, WorkerLost: the worker does not hold it
            s2: t2 is Accepted
    ",
    );
}

#[test]
fn what_is_moved_is_all_there_is() {
    check(
        "
        submit a key=k
            accepted a
        submit b
            accepted b
        submit c
            accepted c
        submit d delay=700
            accepted d
        hello w s1
            welcome
        grant
            s1: run a as t1, attempt 1
        fail s1 t1
            s1: t1 is Accepted
        pause q
        cancel b
            b Cancelled; 0 attempts, 0 losses
        trim
        restart
        show a
            waits until 100ms, Backoff; 1 attempts, 0 losses, Error: no luck
        show b
            gone
        show c
            queued, QueuePaused; 0 attempts, 0 losses
        show d
            waits until 700ms, Delayed; 0 attempts, 0 losses
        queues
            q paused: 2 + 1 + 0, oldest 0ms
        submit e key=k
            accepted known as a
        resume q
        hello w s2
            welcome
        at 700
        grant
            s2: run a as t2, attempt 2
    ",
    );
}

#[test]
fn a_kept_key_is_moved_too() {
    check(
        "
        submit a key=k
            accepted a
        cancel a
            a Cancelled; 0 attempts, 0 losses
        trim
        restart
        submit b key=k
            accepted known as a
        at 5000
        submit c key=k
            accepted c
    ",
    );
}

#[test]
fn a_lease_is_moved_with_its_revocation() {
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
        trim
        restart
        hello w s2 t1
            welcome back, t1 Retained
            s2: stop t1, Cancelled, within 300ms
        at 1300
            a Cancelled; 0 attempts, 0 losses, Cancelled: cancelled while it was leased
        workers
            w/i1 Quarantined t1 of 1
    ",
    );
}
