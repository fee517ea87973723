//! Leases that have to end.

use super::check;

#[test]
fn a_cancel_ends_what_waits_at_once_and_asks_for_what_runs() {
    check(
        "
        submit a
            accepted a
        submit b delay=100
            accepted b
        submit c
            accepted c
        cancel a
            a Cancelled; 0 attempts, 0 losses
        cancel b
            b Cancelled; 0 attempts, 0 losses
        cancel a
            no such task
        hello w s1
            welcome
        grant
            s1: run c as t1, attempt 1
        start s1 t1
        cancel c
            cancelling
            s1: stop t1, Cancelled, within 300ms
        cancel c
            cancelling
        show c
            t1 since 0ms, to stop: Cancelled; 0 attempts, 0 losses
        stopped s1 t1
            c Cancelled; 0 attempts, 0 losses, Cancelled: cancelled while it was leased
            s1: t1 is Accepted
    ",
    );
}

#[test]
fn a_success_wins_over_a_cancel() {
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
        ok s1 t1
            a Succeeded; 1 attempts, 0 losses
            s1: t1 is Accepted
    ",
    );
}

#[test]
fn a_failure_after_a_cancel_is_cancelled() {
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
    ",
    );
}

#[test]
fn a_cancel_does_not_wait_for_ever_but_its_slot_does() {
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
        delivered s1 t1
        cancel a
            cancelling
            s1: stop t1, Cancelled, within 300ms
        at 799
        workers
            w/i1 Active t1 of 1
        at 800
        beat s1 t1
        workers
            w/i1 Quarantined t1 of 1
        at 1299
        show a
            t1 not started, to stop: Cancelled; 0 attempts, 0 losses
        at 1300
            a Cancelled; 0 attempts, 0 losses, Cancelled: cancelled while it was leased
        grant
        workers
            w/i1 Quarantined t1 of 1
        at 1800
        stopped s1 t1
            t1 of a stopped 500ms late, Aborted
            s1: t1 is Stale
        workers
            w/i1 Active  of 1
        grant
            s1: run b as t2, attempt 1
    ",
    );
}

/// On a new stream the worker says that it still runs what it has not answered for: the end of the lease changes nothing.
#[test]
fn a_worker_that_did_not_answer_does_not_answer_by_coming_back() {
    check(
        "
        submit a
            accepted a
        hello w s1
            welcome
        grant
            s1: run a as t1, attempt 1
        delivered s1 t1
        cancel a
            cancelling
            s1: stop t1, Cancelled, within 300ms
        at 800
        hello w s2 t1:running
            welcome back, t1 Retained
            s1: closed, Replaced
            s2: stop t1, Cancelled, within 0ns
        workers
            w/i1 Quarantined t1 of 1
        at 1300
            a Cancelled; 0 attempts, 0 losses, Cancelled: cancelled while it was leased
        hello w s3 t1:running
            welcome back, t1 Lost
            s2: closed, Replaced
        workers
            w/i1 Quarantined t1 of 1
        stopped s3 t1
            t1 of a stopped 0ns late, Aborted
            s3: t1 is Stale
        workers
            w/i1 Active  of 1
    ",
    );
}

/// However often it comes back: when it has owed its answer for a whole session, nobody believes in it any more.
#[test]
fn a_worker_that_never_answers_is_not_let_in_for_ever() {
    check(
        "
        submit a
            accepted a
        hello w s1
            welcome
        grant
            s1: run a as t1, attempt 1
        delivered s1 t1
        cancel a
            cancelling
            s1: stop t1, Cancelled, within 300ms
        at 800
        at 1300
            a Cancelled; 0 attempts, 0 losses, Cancelled: cancelled while it was leased
        hello w s2 t1:running
            welcome back, t1 Lost
            s1: closed, Replaced
        at 2819
        hello w s3 t1:running
            welcome back, t1 Lost
            s2: closed, Replaced
        at 2820
        hello w s4 t1:running
            not welcome, Banned { left: 2.029s }
        hello w s5
            welcome back
            s3: closed, Replaced
            t1 of a stopped 1.52s late, NotHeld
        workers
            w/i1 Active  of 1
    ",
    );
}

/// Nothing is expected of a worker that has no stream.
#[test]
fn work_that_outlives_its_lease_unheard_has_to_end_soon_after_its_worker_is_back() {
    check(
        "
        submit a
            accepted a
        hello w s1 prefetch=1
            welcome
        grant
            s1: run a as t1, attempt 1
        delivered s1 t1
        cancel a
            cancelling
            s1: stop t1, Cancelled, within 300ms
        at 500
        gone s1
        at 1300
            a Cancelled; 0 attempts, 0 losses, Cancelled: cancelled while it was leased
        hello w s2 prefetch=1 t1:running
            welcome back, t1 Lost
        workers
            w/i1 Active t1 of 1
        at 1799
        workers
            w/i1 Active t1 of 1
        at 1800
        workers
            w/i1 Quarantined t1 of 1
        hello w s3 prefetch=1
            welcome back
            s2: closed, Replaced
            t1 of a stopped 500ms late, NotHeld
        workers
            w/i1 Active  of 1
    ",
    );
}

#[test]
fn an_inventory_frees_the_slot_of_a_cancelled_lease() {
    check(
        "
        submit a
            accepted a
        hello w s1
            welcome
        grant
            s1: run a as t1, attempt 1
        delivered s1 t1
        cancel a
            cancelling
            s1: stop t1, Cancelled, within 300ms
        at 1300
            a Cancelled; 0 attempts, 0 losses, Cancelled: cancelled while it was leased
        beat s1
            t1 of a stopped 0ns late, NotHeld
        workers
            w/i1 Active  of 1
    ",
    );
}

#[test]
fn an_assignment_under_way_is_not_missed() {
    check(
        "
        submit a
            accepted a
        hello w s1
            welcome
        grant
            s1: run a as t1, attempt 1
        beat s1
        show a
            t1 not started; 0 attempts, 0 losses
        delivered s1 t1
        beat s1
        show a
            queued, NoCapacity; 0 attempts, 0 losses, WorkerLost: the worker does not hold it
    ",
    );
}

#[test]
fn a_worker_that_does_not_start_gives_it_back_for_nothing() {
    check(
        "
        submit a
            accepted a
        hello w s1
            welcome
        grant
            s1: run a as t1, attempt 1
        at 399
        at 400
            s1: stop t1, StartTimeout, within 300ms
        show a
            t1 not started, to stop: StartTimeout; 0 attempts, 0 losses
        stopped s1 t1
            s1: t1 is Accepted
        show a
            queued, NoCapacity; 0 attempts, 0 losses, StartTimeout: the worker did not start it in time
    ",
    );
}

#[test]
fn a_start_ends_the_wait_for_it() {
    check(
        "
        submit a attempt=5000
            accepted a
        hello w s1
            welcome
        grant
            s1: run a as t1, attempt 1
        start s1 t1
        at 400
        show a
            t1 since 0ms; 0 attempts, 0 losses
    ",
    );
}

#[test]
fn an_attempt_has_a_hard_limit_and_costs_an_attempt() {
    check(
        "
        submit a
            accepted a
        hello w s1
            welcome
        grant
            s1: run a as t1, attempt 1
        start s1 t1
        at 1200
        beat s1 t1
        at 2299
        at 2300
            s1: stop t1, AttemptTimeout, within 0ns
        stopped s1 t1
            s1: t1 is Accepted
        show a
            waits until 2400ms, Backoff; 1 attempts, 0 losses, AttemptTimeout: the attempt ran out of its time and was stopped
    ",
    );
}

#[test]
fn the_total_time_ends_what_waits_and_stops_what_runs() {
    check(
        r#"
        submit a total=1000
            accepted a
        submit b total=1500
            accepted b
        hello w s1
            welcome
        grant
            s1: run a as t1, attempt 1
        start s1 t1
        at 1000
            s1: stop t1, TotalTimeout, within 300ms
        at 1500
            b Failed; 0 attempts, 0 losses, TotalTimeout: the task ran out of its total time
        fail s1 t1
            a Failed; 0 attempts, 0 losses, TotalTimeout: the task ran out of its total time after "no luck"
            s1: t1 is Accepted
    "#,
    );
}

#[test]
fn a_total_timeout_keeps_what_went_wrong_before() {
    check(
        r#"
        submit a total=1000
            accepted a
        hello w s1
            welcome
        grant
            s1: run a as t1, attempt 1
        fail s1 t1 after=900
            s1: t1 is Accepted
        at 1000
            a Failed; 1 attempts, 0 losses, TotalTimeout: the task ran out of its total time after "no luck"
    "#,
    );
}

#[test]
fn a_worker_that_does_not_answer_is_fenced_and_nothing_runs_twice() {
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
        at 1000
        ok s1 t2
            b Succeeded; 1 attempts, 0 losses
            s1: t2 is Accepted
        beat s1 t1
        at 2300
            s1: stop t1, AttemptTimeout, within 0ns
        beat s1 t1
        at 2799
        at 2800
        submit c
            accepted c
        hello v s2
            welcome
        grant
            s2: run c as t3, attempt 1
        ok s2 t3
            c Succeeded; 1 attempts, 0 losses
            s2: t3 is Accepted
        grant
        beat s1 t1
        workers
            v/i1 Active  of 1
            w/i1 Quarantined t1 of 2
        at 4700
        beat s1 t1
        at 4820
        beat s1 t1
            not heard
        show a
            t1 since 0ms, to stop: AttemptTimeout; 0 attempts, 0 losses
        at 6729
            s2: closed, Expired
        at 6730
            s1: closed, Expired
        show a
            waits until 6830ms, Backoff; 1 attempts, 0 losses, WorkerLost: the attempt ran out of its time and its worker was lost
    ",
    );
}

#[test]
fn what_nobody_starts_in_time_fails() {
    check(
        "
        submit a queue-timeout=500 start=1000
            accepted a
        submit b queue-timeout=500 delay=100
            accepted b
        submit c queue-timeout=500
            accepted c
        hello w s1
            welcome
        grant
            s1: run a as t1, attempt 1
        at 499
        start s1 t1
        at 500
            c Failed; 0 attempts, 0 losses, QueueTimeout: it was not started within its queue timeout
        fail s1 t1
            s1: t1 is Accepted
        at 600
            b Failed; 0 attempts, 0 losses, QueueTimeout: it was not started within its queue timeout
        show a
            queued, NoCapacity; 1 attempts, 0 losses, Error: no luck
        replay b
            generation 2
        pause q
        at 1099
        at 1100
            b Failed; 0 attempts, 0 losses, QueueTimeout: it was not started within its queue timeout
    ",
    );
}

#[test]
fn a_lease_that_was_not_started_leaves_no_more_time_to_wait() {
    check(
        "
        submit a queue-timeout=300
            accepted a
        submit b queue-timeout=300
            accepted b
        hello w s1 slots=2
            welcome
        grant
            s1: run a as t1, attempt 1
            s1: run b as t2, attempt 1
        at 300
        decline s1 t1 full
            a Failed; 0 attempts, 0 losses, QueueTimeout: it was not started within its queue timeout
            s1: t1 is Accepted
        decline s1 t2 full how=killed
            s1: t2 is Accepted
        show b
            queued, NoCapacity; 0 attempts, 0 losses, HandedBack: the worker had no slot for it
    ",
    );
}

#[test]
fn a_stalled_disk_is_not_held_against_workers() {
    check(
        "
        submit a
            accepted a
        hello w s1
            welcome
        disk stalls
        grant
            s1: run a as t1, attempt 1
        at 2000
        beat s1
        at 4000
        show a
            t1 not started; 0 attempts, 0 losses
        disk syncs
        beat s1
        at 4399
        at 4400
            s1: stop t1, StartTimeout, within 300ms
        disk stalls
        cancel a
            cancelling
            s1: stop t1, Cancelled, within 300ms
        at 5700
            a Cancelled; 0 attempts, 0 losses, Cancelled: cancelled while it was leased
        at 5900
        beat s1 t1
        workers
            w/i1 Active t1 of 1
        disk syncs
        at 6699
        workers
            w/i1 Active t1 of 1
        at 6700
        workers
            w/i1 Quarantined t1 of 1
    ",
    );
}
