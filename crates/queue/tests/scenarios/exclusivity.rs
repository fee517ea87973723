//! Tasks that do not wait for a worker that does not stop.

use super::check;

#[test]
fn a_lease_that_is_not_given_back_ends_with_its_grace_and_its_slot_stays_taken() {
    check(
        "
        submit a loose
            accepted a
        hello w s1
            welcome
        grant
            s1: run a as t1, attempt 1
        start s1 t1
        at 1200
        beat s1 t1
        at 2300
            s1: stop t1, AttemptTimeout, within 0ns
        at 2700
        beat s1 t1
        at 3299
        show a
            t1 since 0ms, to stop: AttemptTimeout; 0 attempts, 0 losses
        at 3300
        show a
            waits until 3400ms, Backoff; 1 attempts, 0 losses, AttemptTimeout: the attempt ran out of its time and does not stop
        at 3400
        grant
        hello v s2
            welcome
        grant
            s2: run a as t2, attempt 2
        start s2 t2
        beat s1 t1
        workers
            v/i1 Active t2 of 1
            w/i1 Quarantined t1 of 1
        at 3800
        ok s1 t1
            t1 of a stopped 500ms late, Returned
            s1: t1 is Stale
        ok s1 t1
            s1: t1 is Stale
        workers
            v/i1 Active t2 of 1
            w/i1 Active  of 1
        ok s2 t2
            a Succeeded; 2 attempts, 0 losses, AttemptTimeout: the attempt ran out of its time and does not stop
            s2: t2 is Accepted
    ",
    );
}

#[test]
fn a_start_that_is_not_answered_for_costs_nothing_and_goes_to_somebody_else() {
    check(
        "
        submit a loose
            accepted a
        hello w s1 slots=2
            welcome
        hello v s2 slots=2
            welcome
        grant
            s1: run a as t1, attempt 1
        at 400
            s1: stop t1, StartTimeout, within 300ms
        at 1699
        grant
        at 1700
        grant
            s2: run a as t2, attempt 1
        start s1 t1
        stopped s1 t1
            t1 of a stopped 0ns late, Aborted
            s1: t1 is Stale
    ",
    );
}

#[test]
fn the_total_time_of_a_task_does_not_wait_for_an_answer() {
    check(
        "
        submit a loose total=1000
            accepted a
        hello w s1
            welcome
        grant
            s1: run a as t1, attempt 1
        start s1 t1
        at 1000
            s1: stop t1, TotalTimeout, within 300ms
        beat s1 t1
        at 2299
        at 2300
            a Failed; 0 attempts, 0 losses, TotalTimeout: the task ran out of its total time
    ",
    );
}

#[test]
fn what_runs_at_most_once_is_not_given_to_a_second_worker_either() {
    check(
        "
        submit a loose once
            accepted a
        hello w s1
            welcome
        grant
            s1: run a as t1, attempt 1
        at 400
            s1: stop t1, StartTimeout, within 300ms
        at 1700
            a Failed; 0 attempts, 1 losses, OutcomeUnknown: it runs at most once, and its worker did not say how it ended
    ",
    );
}

#[test]
fn an_answer_in_time_is_taken() {
    check(
        "
        submit a loose
            accepted a
        hello w s1
            welcome
        grant
            s1: run a as t1, attempt 1
        at 400
            s1: stop t1, StartTimeout, within 300ms
        at 699
        ok s1 t1
            a Succeeded; 1 attempts, 0 losses
            s1: t1 is Accepted
    ",
    );
}

#[test]
fn what_an_attempt_came_to_may_still_be_said_by_a_worker_that_was_away_at_its_limit() {
    for away in ["gone s1", "restart"] {
        check(&format!(
            "
            submit a loose
                accepted a
            hello w s1
                welcome
            grant
                s1: run a as t1, attempt 1
            start s1 t1
            at 1000
            beat s1 t1
            {away}
            at 2300
            at 2599
            hello w s2 t1:finished
                welcome back, t1 Retained
                s2: stop t1, AttemptTimeout, within 1ms
            ok s2 t1
                a Succeeded; 1 attempts, 0 losses
                s2: t1 is Accepted
        "
        ));
    }
}
