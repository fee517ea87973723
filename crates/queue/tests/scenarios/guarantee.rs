//! Tasks that may be started at most once in a generation.

use super::check;

#[test]
fn a_started_lease_that_is_lost_ends_the_task_and_one_that_may_have_been_started_does_too() {
    check(
        "
        submit a once
            accepted a
        submit b once
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
        gone s1
        at 2030
            a Failed; 0 attempts, 1 losses, OutcomeUnknown: it runs at most once, and its worker did not say how it ended
            b Failed; 0 attempts, 1 losses, OutcomeUnknown: it runs at most once, and its worker did not say how it ended
        show c
            queued, NoEligibleWorker; 0 attempts, 0 losses, WorkerLost: the worker was lost before it arrived
    ",
    );
}

#[test]
fn the_proof_that_it_was_never_started_gives_it_another_lease() {
    check(
        "
        submit a once
            accepted a
        hello w s1
            welcome
        grant
            s1: run a as t1, attempt 1
        decline s1 t1 draining
            s1: t1 is Accepted
        hello w s2
            welcome back
            s1: closed, Replaced
        hello v s3
            welcome
        grant
            s3: run a as t2, attempt 1
        at 400
            s3: stop t2, StartTimeout, within 300ms
        stopped s3 t2 how=not-started
            s3: t2 is Accepted
        grant
            s3: run a as t3, attempt 1
        hello v s4
            welcome back
            s3: closed, Replaced
        grant
            s4: run a as t4, attempt 1
        ok s4 t4
            a Succeeded; 1 attempts, 0 losses, HandedBack: the worker drains
            s4: t4 is Accepted
    ",
    );
}

#[test]
fn what_had_begun_is_not_handed_back() {
    check(
        "
        submit a once
            accepted a
        submit b once
            accepted b
        submit c once
            accepted c
        hello w s1 slots=3
            welcome
        grant
            s1: run a as t1, attempt 1
            s1: run b as t2, attempt 1
            s1: run c as t3, attempt 1
        decline s1 t1 draining how=killed
            a Failed; 0 attempts, 1 losses, OutcomeUnknown: it runs at most once, and its worker did not say how it ended
            s1: t1 is Accepted
        start s1 t2
        bye s1
            b Failed; 0 attempts, 1 losses, OutcomeUnknown: it runs at most once, and its worker did not say how it ended
        show c
            queued, NoEligibleWorker; 0 attempts, 0 losses, HandedBack: the worker left
    ",
    );
}

#[test]
fn what_arrived_and_is_not_held_any_more_may_have_been_started() {
    check(
        "
        submit a once
            accepted a
        hello w s1
            welcome
        grant
            s1: run a as t1, attempt 1
        delivered s1 t1
        beat s1
            a Failed; 0 attempts, 1 losses, OutcomeUnknown: it runs at most once, and its worker did not say how it ended
    ",
    );
}

#[test]
fn a_reported_failure_is_a_known_outcome_and_the_last_one() {
    check(
        "
        submit a once attempts=3
            accepted a
        submit b once attempts=3
            accepted b
        hello w s1 slots=2
            welcome
        grant
            s1: run a as t1, attempt 1
            s1: run b as t2, attempt 1
        start s1 t1
        start s1 t2
        fail s1 t1
            a Failed; 1 attempts, 0 losses, Error: no luck
            s1: t1 is Accepted
        at 1200
        beat s1 t2
        at 2300
            s1: stop t2, AttemptTimeout, within 0ns
        stopped s1 t2
            b Failed; 1 attempts, 0 losses, AttemptTimeout: the attempt ran out of its time and was stopped
            s1: t2 is Accepted
        replay b
            generation 2
        grant
            s1: run b as t3, attempt 1
    ",
    );
}

#[test]
fn a_restart_takes_no_proof_for_granted() {
    check(
        "
        submit a once
            accepted a
        submit b once
            accepted b
        hello w s1 slots=2
            welcome
        grant
            s1: run a as t1, attempt 1
            s1: run b as t2, attempt 1
        start s1 t1
        restart
        hello w s2 slots=2 t1:running
            welcome back, t1 Retained
            b Failed; 0 attempts, 1 losses, OutcomeUnknown: it runs at most once, and its worker did not say how it ended
        ok s2 t1
            a Succeeded; 1 attempts, 0 losses
            s2: t1 is Accepted
    ",
    );
}
