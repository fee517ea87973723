//! Concurrency keys, rates, and the limits of queues.

use super::check;

#[test]
fn a_key_alone_is_a_lock_and_others_go_past() {
    check(
        "
        submit a keys=k
            accepted a
        submit b keys=k
            accepted b
        submit c
            accepted c
        hello w s1 slots=3
            welcome
        grant
            s1: run a as t1, attempt 1
            s1: run c as t2, attempt 1
        show b
            queued, ConcurrencyLimit; 0 attempts, 0 losses
        why b
            Permit(Key(\"k\")) at 1 of 1
        ok s1 t1
            a Succeeded; 1 attempts, 0 losses
            s1: t1 is Accepted
        grant
            s1: run b as t3, attempt 1
    ",
    );
}

#[test]
fn all_limits_are_taken_together_or_none_is() {
    check(
        "
        submit a keys=k
            accepted a
        submit b keys=k,l mail=2 start=20000
            accepted b
        submit c keys=l
            accepted c
        hello w s1 slots=3
            welcome
        grant
            s1: run a as t1, attempt 1
            s1: run c as t2, attempt 1
        ok s1 t1
            a Succeeded; 1 attempts, 0 losses
            s1: t1 is Accepted
        grant
        why b
            Permit(Key(\"l\")) at 1 of 1
        submit d mail=2 start=20000
            accepted d
        grant
            s1: run d as t3, attempt 1
        ok s1 t2
            c Succeeded; 1 attempts, 0 losses
            s1: t2 is Accepted
        grant
        why b
            Tokens(Key(\"mail\"), 2) at 2 of 2, enough at 2000ms
        at 1999
        grant
        at 2000
        grant
            s1: run b as t4, attempt 1
    ",
    );
}

#[test]
fn a_permit_is_free_when_the_end_of_the_lease_is_proved() {
    check(
        "
        submit a keys=k grace=300
            accepted a
        submit b keys=k
            accepted b
        hello w s1 slots=2
            welcome
        grant
            s1: run a as t1, attempt 1
        start s1 t1
        cancel a
            cancelling
            s1: stop t1, Cancelled, within 300ms
        at 1300
            a Cancelled; 0 attempts, 0 losses, Cancelled: cancelled while it was leased
        hello v s2
            welcome
        grant
        why b
            Permit(Key(\"k\")) at 1 of 1
        stopped s1 t1 how=killed
            t1 of a stopped 0ns late, Killed
            s1: t1 is Stale
        grant
            s1: run b as t2, attempt 1
    ",
    );
}

#[test]
fn the_end_of_its_session_frees_the_permits_of_a_worker() {
    check(
        "
        submit a keys=k
            accepted a
        submit b keys=k
            accepted b
        hello w s1 slots=2
            welcome
        grant
            s1: run a as t1, attempt 1
        start s1 t1
        gone s1
        hello v s2
            welcome
        at 2029
        beat s2
        grant
        at 2030
        grant
            s2: run b as t2, attempt 1
        show a
            waits until 2130ms, Backoff; 0 attempts, 1 losses, WorkerLost: the worker was lost
    ",
    );
}

#[test]
fn a_restart_counts_the_leases_that_it_finds() {
    check(
        "
        submit a keys=k
            accepted a
        submit b keys=k
            accepted b
        hello w s1 slots=2
            welcome
        grant
            s1: run a as t1, attempt 1
        start s1 t1
        restart
        hello v s2
            welcome
        grant
        show b
            queued, ConcurrencyLimit; 0 attempts, 0 losses
        hello w s3 t1 slots=2
            welcome back, t1 Retained
        grant
        ok s3 t1
            a Succeeded; 1 attempts, 0 losses
            s3: t1 is Accepted
        grant
            s3: run b as t2, attempt 1
    ",
    );
}

#[test]
fn a_rate_lets_a_burst_pass_and_then_one_in_each_interval() {
    check(
        "
        submit a mail=1 start=20000
            accepted a
        submit b mail=1 start=20000
            accepted b
        submit c mail=1 start=20000
            accepted c
        submit d mail=1 start=20000
            accepted d
        hello w s1 slots=5
            welcome
        grant
            s1: run a as t1, attempt 1
            s1: run b as t2, attempt 1
        show c
            queued, RateLimited; 0 attempts, 0 losses
        why c
            Tokens(Key(\"mail\"), 1) at 2 of 2, enough at 1000ms
        at 999
        beat s1 t1 t2
        grant
        at 1000
        grant
            s1: run c as t3, attempt 1
        why d
            Tokens(Key(\"mail\"), 1) at 2 of 2, enough at 2000ms
    ",
    );
}

#[test]
fn what_a_lease_took_comes_back_if_it_was_never_started() {
    check(
        "
        submit a mail=2 start=20000
            accepted a
        submit b mail=1 priority=9 start=20000
            accepted b
        hello w s1 slots=1
            welcome
        grant
            s1: run a as t1, attempt 1
        at 100
        decline s1 t1 drain
            s1: t1 is Accepted
        why a
            no limit
        drain s1
        hello v s2 slots=2
            welcome
        grant
            s2: run a as t2, attempt 1
        start s2 t2
        why b
            Tokens(Key(\"mail\"), 1) at 2 of 2, enough at 1100ms
        stopped s2 t2 how=not-started
            s2: t2 is Accepted
        why b
            Tokens(Key(\"mail\"), 1) at 2 of 2, enough at 1100ms
    ",
    );
}

#[test]
fn a_restart_lets_no_second_burst_through() {
    check(
        "
        submit a mail=2 start=20000
            accepted a
        submit b mail=2 start=20000
            accepted b
        hello w s1 slots=2
            welcome
        at 5000
            s1: closed, Expired
        hello w s2 slots=2
            welcome
        grant
            s2: run a as t1, attempt 1
        restart
        hello w s3 t1 slots=2
            welcome back, t1 Retained
        grant
        why b
            Tokens(Key(\"mail\"), 2) at 2 of 2, enough at 7000ms
        at 6999
        beat s3 t1
        grant
        at 7000
        grant
            s3: run b as t2, attempt 1
    ",
    );
}

#[test]
fn a_queue_limits_its_own_tasks_alone() {
    check(
        "
        submit a queue=narrow start=20000
            accepted a
        submit b queue=narrow start=20000
            accepted b
        submit c queue=slow start=20000
            accepted c
        submit d queue=slow start=20000
            accepted d
        hello w s1 slots=5
            welcome
        grant
            s1: run a as t1, attempt 1
            s1: run c as t2, attempt 1
        why b
            Permit(Queue(\"narrow\")) at 1 of 1
        why d
            Tokens(Queue(\"slow\"), 1) at 1 of 1, enough at 500ms
        submit e start=20000
            accepted e
        grant
            s1: run e as t3, attempt 1
        ok s1 t1
            a Succeeded; 1 attempts, 0 losses
            s1: t1 is Accepted
        grant
            s1: run b as t4, attempt 1
        at 500
        grant
            s1: run d as t5, attempt 1
    ",
    );
}

#[test]
fn a_pause_and_a_limit_hold_back_what_both_are_for() {
    check(
        "
        submit a keys=k
            accepted a
        submit b keys=k queue=p
            accepted b
        submit c keys=k queue=p
            accepted c
        hello w s1 slots=5
            welcome
        grant
            s1: run a as t1, attempt 1
        pause p
        ok s1 t1
            a Succeeded; 1 attempts, 0 losses
            s1: t1 is Accepted
        grant
        show b
            queued, QueuePaused; 0 attempts, 0 losses
        submit d keys=k
            accepted d
        grant
            s1: run d as t2, attempt 1
        resume p
        grant
        show b
            queued, ConcurrencyLimit; 0 attempts, 0 losses
        ok s1 t2
            d Succeeded; 1 attempts, 0 losses
            s1: t2 is Accepted
        grant
            s1: run b as t3, attempt 1
    ",
    );
}

#[test]
fn a_queue_may_limit_each_of_its_fairness_keys() {
    check(
        "
        submit a queue=shared by=red
            accepted a
        submit b queue=shared by=red
            accepted b
        submit c queue=shared by=blue
            accepted c
        submit d queue=shared
            accepted d
        submit e queue=shared
            accepted e
        hello w s1 slots=5
            welcome
        grant
            s1: run a as t1, attempt 1
            s1: run c as t2, attempt 1
            s1: run d as t3, attempt 1
        why b
            Permit(Flow(\"shared\", \"red\")) at 1 of 1
        why e
            Permit(Flow(\"shared\", \"\")) at 1 of 1
        ok s1 t1
            a Succeeded; 1 attempts, 0 losses
            s1: t1 is Accepted
        grant
            s1: run b as t4, attempt 1
    ",
    );
}
