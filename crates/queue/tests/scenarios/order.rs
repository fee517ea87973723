//! Who goes next, and to whom.

use super::check;

#[test]
fn priority_then_the_queues_turn_then_deadline_then_age() {
    check(
        "
        submit a priority=5
            accepted a
        submit b priority=5 total=1000
            accepted b
        submit c priority=0
            accepted c
        submit d priority=5 queue=other
            accepted d
        submit e priority=9 total=500
            accepted e
        hello w s1 slots=5
            welcome
        grant
            s1: run c as t1, attempt 1
            s1: run d as t2, attempt 1
            s1: run b as t3, attempt 1
            s1: run a as t4, attempt 1
            s1: run e as t5, attempt 1
    ",
    );
}

#[test]
fn a_task_that_comes_back_takes_its_old_place() {
    check(
        "
        submit a
            accepted a
        submit b
            accepted b
        hello w s1
            welcome
        grant
            s1: run a as t1, attempt 1
        bye s1
        hello v s2
            welcome
        grant
            s2: run a as t2, attempt 1
    ",
    );
}

#[test]
fn the_emptiest_worker_first() {
    check(
        "
        hello v s1 slots=1
            welcome
        hello w s2 slots=4
            welcome
        submit a
            accepted a
        submit b
            accepted b
        submit c
            accepted c
        submit d
            accepted d
        submit e
            accepted e
        grant
            s1: run a as t1, attempt 1
            s2: run b as t2, attempt 1
            s2: run c as t3, attempt 1
            s2: run d as t4, attempt 1
            s2: run e as t5, attempt 1
    ",
    );
}

#[test]
fn a_worker_gets_what_it_serves() {
    check(
        "
        hello v s1 slots=3 types=x
            welcome
        hello w s2 slots=3 types=x,y
            welcome
        submit a type=y
            accepted a
        submit b type=x
            accepted b
        submit c type=z
            accepted c
        grant
            s2: run a as t1, attempt 1
            s1: run b as t2, attempt 1
        show c
            queued, NoEligibleWorker; 0 attempts, 0 losses
    ",
    );
}

#[test]
fn a_worker_that_did_not_start_it_is_not_preferred_next() {
    check(
        "
        hello v s1
            welcome
        submit a
            accepted a
        grant
            s1: run a as t1, attempt 1
        at 400
            s1: stop t1, StartTimeout, within 300ms
        hello w s2
            welcome
        stopped s1 t1
            s1: t1 is Accepted
        grant
            s2: run a as t2, attempt 1
        show a
            t2 not started; 0 attempts, 0 losses, StartTimeout: the worker did not start it in time
    ",
    );
}

#[test]
fn a_worker_that_did_not_start_it_gets_it_if_there_is_no_other() {
    check(
        "
        hello v s1
            welcome
        submit a
            accepted a
        grant
            s1: run a as t1, attempt 1
        at 400
            s1: stop t1, StartTimeout, within 300ms
        stopped s1 t1
            s1: t1 is Accepted
        grant
            s1: run a as t2, attempt 1
    ",
    );
}

#[test]
fn a_worker_that_is_full_is_left_alone_for_twice_as_long_each_time() {
    check(
        "
        hello w s1
            welcome
        submit a
            accepted a
        grant
            s1: run a as t1, attempt 1
        decline s1 t1 full
            s1: t1 is Accepted
        at 999
        grant
        at 1000
        beat s1
        grant
            s1: run a as t2, attempt 1
        decline s1 t2 full
            s1: t2 is Accepted
        at 2999
        beat s1
        grant
        at 3000
        grant
            s1: run a as t3, attempt 1
        start s1 t3
        fail s1 t3
            s1: t3 is Accepted
        at 3100
        grant
            s1: run a as t4, attempt 2
        decline s1 t4 full
            a Failed; 1 attempts, 0 losses, WorkerLossLimit: it was leased too often without an end
            s1: t4 is Accepted
    ",
    );
}

#[test]
fn a_worker_that_declines_all_it_was_given_at_once_is_left_alone_once() {
    check(
        "
        hello w s1 slots=3
            welcome
        submit a
            accepted a
        submit b
            accepted b
        submit c
            accepted c
        grant
            s1: run a as t1, attempt 1
            s1: run b as t2, attempt 1
            s1: run c as t3, attempt 1
        decline s1 t1 full
            s1: t1 is Accepted
        decline s1 t2 full
            s1: t2 is Accepted
        decline s1 t3 full
            s1: t3 is Accepted
        at 999
        grant
        at 1000
        beat s1
        grant
            s1: run a as t4, attempt 1
            s1: run b as t5, attempt 1
            s1: run c as t6, attempt 1
        decline s1 t4 full
            s1: t4 is Accepted
        decline s1 t5 full
            s1: t5 is Accepted
        ok s1 t6
            c Succeeded; 1 attempts, 0 losses, HandedBack: the worker had no slot for it
            s1: t6 is Accepted
        at 2999
        beat s1
        grant
        at 3000
        grant
            s1: run a as t7, attempt 1
            s1: run b as t8, attempt 1
    ",
    );
}

#[test]
fn a_worker_that_does_not_serve_a_type_is_not_offered_it_again() {
    check(
        "
        hello w s1 types=x,y
            welcome
        submit a type=x
            accepted a
        submit b type=y
            accepted b
        grant
            s1: run a as t1, attempt 1
        decline s1 t1 unsupported
            s1: t1 is Accepted
        grant
            s1: run b as t2, attempt 1
        show a
            queued, NoEligibleWorker; 0 attempts, 0 losses, HandedBack: the worker does not serve its type
    ",
    );
}
