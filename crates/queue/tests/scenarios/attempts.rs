//! How attempts end and what they cost.

use super::check;

#[test]
fn failures_wait_longer_each_time_until_the_last() {
    check(
        "
        submit a attempts=3
            accepted a
        hello w s1
            welcome
        grant
            s1: run a as t1, attempt 1
        start s1 t1
        fail s1 t1
            s1: t1 is Accepted
        show a
            waits until 100ms, Backoff; 1 attempts, 0 losses, Error: no luck
        at 100
        grant
            s1: run a as t2, attempt 2
        start s1 t2
        fail s1 t2
            s1: t2 is Accepted
        show a
            waits until 300ms, Backoff; 2 attempts, 0 losses, Error: no luck
        at 300
        grant
            s1: run a as t3, attempt 3
        invalid s1 t3
            a Failed; 3 attempts, 0 losses, ResultTooLarge: no luck
            s1: t3 is Invalid
        workers
            w/i1 Active  of 1
    ",
    );
}

#[test]
fn the_jitter_of_a_wait_is_drawn_from_its_lease() {
    check(
        "
        submit a jitter
            accepted a
        submit b jitter
            accepted b
        hello w s1 slots=2
            welcome
        grant
            s1: run a as t1, attempt 1
            s1: run b as t2, attempt 1
        fail s1 t1
            s1: t1 is Accepted
        fail s1 t2
            s1: t2 is Accepted
        show a
            waits until 15ms, Backoff; 1 attempts, 0 losses, Error: no luck
        show b
            waits until 29ms, Backoff; 1 attempts, 0 losses, Error: no luck
    ",
    );
}

#[test]
fn what_makes_no_sense_is_not_tried_again() {
    check(
        "
        submit a
            accepted a
        hello w s1
            welcome
        grant
            s1: run a as t1, attempt 1
        fail s1 t1 final
            a Failed; 1 attempts, 0 losses, Error: no luck
            s1: t1 is Accepted
    ",
    );
}

#[test]
fn a_worker_may_ask_for_a_longer_wait() {
    check(
        "
        submit a
            accepted a
        hello w s1
            welcome
        grant
            s1: run a as t1, attempt 1
        fail s1 t1 after=700
            s1: t1 is Accepted
        show a
            waits until 700ms, Backoff; 1 attempts, 0 losses, Error: no luck
    ",
    );
}

#[test]
fn a_wait_beyond_the_deadline_ends_at_once_with_what_went_wrong() {
    check(
        "
        submit a total=1000
            accepted a
        hello w s1
            welcome
        grant
            s1: run a as t1, attempt 1
        fail s1 t1 after=1000
            a Failed; 1 attempts, 0 losses, Error: no luck
            s1: t1 is Accepted
    ",
    );
}

#[test]
fn an_outcome_counts_once() {
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
        ok s2 t1
            s2: t1 is Stale
        ok s1 t1
            a Succeeded; 1 attempts, 0 losses
            s1: t1 is Accepted
        ok s1 t1
            s1: t1 is Duplicate
        ok s1 t9
            s1: unknown is Stale
        restart
        hello w s3 t1:finished
            welcome, t1 Lost
        ok s3 t1
            s3: t1 is Duplicate
    ",
    );
}

#[test]
fn a_late_outcome_changes_nothing() {
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
        at 2030
        show a
            waits until 2130ms, Backoff; 0 attempts, 1 losses, WorkerLost: the worker was lost
        hello w s2 t1
            welcome, t1 Lost
        at 2130
        workers
            w/i1 Active t1 of 1
        ok s2 t1
            s2: t1 is Stale
        grant
            s2: run a as t2, attempt 1
        ok s2 t1
            s2: t1 is Stale
        show a
            t2 not started; 0 attempts, 1 losses, WorkerLost: the worker was lost
        ok s2 t2
            a Succeeded; 1 attempts, 1 losses, WorkerLost: the worker was lost
            s2: t2 is Accepted
    ",
    );
}

#[test]
fn handing_back_costs_nothing_but_not_for_ever() {
    check(
        "
        submit a
            accepted a
        hello w s1
            welcome
        grant
            s1: run a as t1, attempt 1
        start s1 t1
        decline s1 t1 draining
            s1: t1 is Accepted
        workers
            w/i1 Draining  of 1
        hello v s2
            welcome
        grant
            s2: run a as t2, attempt 1
        bye s2
        hello u s3
            welcome
        grant
            s3: run a as t3, attempt 1
        stopped s3 t3 how=not-started
            s3: t3 is Accepted
        show a
            queued, NoCapacity; 0 attempts, 0 losses, HandedBack: the worker drains
        grant
            s3: run a as t4, attempt 1
        bye s3
            a Failed; 0 attempts, 0 losses, WorkerLossLimit: it was leased too often without an end
    ",
    );
}

#[test]
fn a_task_that_kills_its_workers_fails() {
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
        at 2030
        show a
            waits until 2130ms, Backoff; 0 attempts, 1 losses, WorkerLost: the worker was lost
        at 2130
        hello v s2
            welcome
        grant
            s2: run a as t2, attempt 1
        delivered s2 t2
        gone s2
        at 4160
            a Failed; 0 attempts, 2 losses, WorkerLossLimit: its workers were lost too often
    ",
    );
}

#[test]
fn a_task_that_never_arrived_costs_nothing_when_its_worker_is_lost() {
    check(
        "
        submit a
            accepted a
        hello w s1
            welcome
        grant
            s1: run a as t1, attempt 1
        at 400
            s1: stop t1, StartTimeout, within 300ms
        gone s1
        at 2030
        show a
            queued, NoEligibleWorker; 0 attempts, 0 losses, WorkerLost: the worker was lost before it arrived
    ",
    );
}

#[test]
fn a_second_worker_in_a_row_that_is_lost_before_it_says_anything_costs_a_loss() {
    check(
        "
        submit a
            accepted a
        hello w s1
            welcome
        grant
            s1: run a as t1, attempt 1
        gone s1
        at 2030
        show a
            queued, NoEligibleWorker; 0 attempts, 0 losses, WorkerLost: the worker was lost before it arrived
        hello v s2
            welcome
        grant
            s2: run a as t2, attempt 1
        gone s2
        at 4070
        show a
            waits until 4170ms, Backoff; 0 attempts, 1 losses, WorkerLost: the worker was lost
    ",
    );
}

#[test]
fn a_lease_that_was_handed_back_does_not_come_between_two_lost_workers() {
    check(
        "
        submit a
            accepted a
        hello w s1
            welcome
        grant
            s1: run a as t1, attempt 1
        gone s1
        at 2030
        hello v s2
            welcome
        grant
            s2: run a as t2, attempt 1
        decline s2 t2 draining
            s2: t2 is Accepted
        hello x s3
            welcome
        grant
            s3: run a as t3, attempt 1
        gone s3
        at 4070
            s2: closed, Expired
        show a
            waits until 4170ms, Backoff; 0 attempts, 1 losses, WorkerLost: the worker was lost
    ",
    );
}
