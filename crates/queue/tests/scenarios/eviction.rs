//! What operators take away.

use super::check;

#[test]
fn a_revoked_lease_goes_back_at_no_cost_once_its_worker_has_stopped() {
    check(
        "
        submit a
            accepted a
        hello w s1
            welcome
        grant
            s1: run a as t1, attempt 1
        start s1 t1
        revoke t1 grace=50
            s1: stop t1, Operator, within 50ms
        revoke t1
        revoke t1
        grant
        show a
            t1 since 0ms, to stop: Operator; 0 attempts, 0 losses
        stopped s1 t1
            s1: t1 is Accepted
        show a
            queued, NoCapacity; 0 attempts, 0 losses, Revoked: an operator took its lease away
        revoke t1
            no such thing
        grant
            s1: run a as t2, attempt 1
    ",
    );
}

#[test]
fn an_evicted_worker_is_told_to_stop_and_is_not_let_in_before_its_session_is_over() {
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
        evict w
            s1: stop t1, Operator, within 300ms
            s1: stop t2, Operator, within 300ms
        workers
            w/i1 Evicted t1 t2 of 2
        stopped s1 t1
            s1: t1 is Accepted
        show a
            queued, NoEligibleWorker; 0 attempts, 0 losses, Revoked: an operator took its lease away
        grant
        at 500
        beat s1 t2
            not heard
        hello w s2 slots=2 t2
            not welcome, Banned { left: 1.53s }
        at 2030
            s1: closed, Expired
        show b
            waits until 2130ms, Backoff; 0 attempts, 1 losses, WorkerLost: the worker was lost
        hello w s3
            welcome
    ",
    );
}

#[test]
fn a_ban_holds_for_every_process_of_the_worker_and_ends() {
    check(
        "
        evict w ban=3000
            no such thing
        hello w/1 s1
            not welcome, Banned { left: 3s }
        at 2999
        hello w/2 s2
            not welcome, Banned { left: 1ms }
        hello v s3
            welcome
        at 3000
        beat s3
        hello w/2 s4
            welcome
    ",
    );
}

#[test]
fn an_evicted_session_does_not_go_on_though_its_process_is_back_in_the_moment_it_ends() {
    check(
        "
        submit a
            accepted a
        hello w s1
            welcome
        grant
            s1: run a as t1, attempt 1
        start s1 t1
        evict w
            s1: stop t1, Operator, within 300ms
        later 2030
        hello w s2 t1
            welcome, t1 Lost
            s1: closed, Expired
        show a
            waits until 2130ms, Backoff; 0 attempts, 1 losses, WorkerLost: the worker was lost
    ",
    );
}
