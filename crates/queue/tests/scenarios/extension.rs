//! Attempts that ask for more time.

use super::check;

#[test]
fn an_attempt_that_asks_runs_longer_and_is_stopped_when_that_is_over() {
    check(
        "
        submit a
            accepted a
        hello w s1
            welcome
        grant
            s1: run a as t1, attempt 1
        start s1 t1
        at 900
        beat s1 t1
        extend s1 t1 for=3000
            s1: t1 has 3s
        at 2300
        beat s1 t1
        at 4000
        beat s1 t1
        at 5199
        at 5200
            s1: stop t1, AttemptTimeout, within 0ns
    ",
    );
}

#[test]
fn more_time_is_bounded_and_what_an_attempt_has_is_not_taken_away() {
    check(
        "
        submit a
            accepted a
        submit b attempt=20000
            accepted b
        hello w s1 slots=2
            welcome
        grant
            s1: run a as t1, attempt 1
            s1: run b as t2, attempt 1
        start s1 t1
        start s1 t2
        extend s1 t1 for=500
            s1: t1 has 1s
        at 900
        extend s1 t1 for=60000
            s1: t1 has 9.1s
        extend s1 t1 for=60000
            s1: t1 has 9.1s
        extend s1 t1 for=100
            s1: t1 has 9.1s
        extend s1 t2 for=60000
            s1: t2 has 19.1s
    ",
    );
}

#[test]
fn the_whole_time_of_a_task_ends_an_attempt_that_has_more() {
    check(
        "
        submit a total=1500
            accepted a
        hello w s1
            welcome
        grant
            s1: run a as t1, attempt 1
        start s1 t1
        extend s1 t1 for=5000
            s1: t1 has 5s
        at 1499
        at 1500
            s1: stop t1, TotalTimeout, within 300ms
    ",
    );
}

#[test]
fn what_was_granted_outlives_the_process_and_a_trim() {
    check(
        "
        submit a
            accepted a
        hello w s1
            welcome
        grant
            s1: run a as t1, attempt 1
        start s1 t1
        at 900
        extend s1 t1 for=3000
            s1: t1 has 3s
        restart
        at 2500
        hello w s2 t1
            welcome back, t1 Retained
        trim
        restart
        at 3000
        hello w s3 t1
            welcome back, t1 Retained
        extend s3 t1 for=100
            s3: t1 has 900ms
        at 4000
        beat s3 t1
        at 5199
        at 5200
            s3: stop t1, AttemptTimeout, within 0ns
    ",
    );
}

#[test]
fn only_work_that_runs_and_may_go_on_gets_more() {
    check(
        "
        submit a
            accepted a
        hello w s1
            welcome
        hello v s2 slots=0
            welcome
        grant
            s1: run a as t1, attempt 1
        extend s1 t1 for=3000
            s1: t1 has no more time
        start s1 t1
        extend s2 t1 for=3000
            s2: t1 has no more time
        extend s1 t9 for=3000
            s1: unknown has no more time
        extend s7 t1 for=3000
        revoke t1
            s1: stop t1, Operator, within 300ms
        extend s1 t1 for=3000
            s1: t1 has no more time
    ",
    );
}

#[test]
fn what_has_had_all_the_time_there_is_gets_no_more() {
    check(
        "
        submit a
            accepted a
        hello w s1
            welcome
        grant
            s1: run a as t1, attempt 1
        start s1 t1
        later 9999
        extend s1 t1 for=3000
            s1: t1 has 1ms
        later 10000
        extend s1 t1 for=3000
            s1: t1 has no more time
    ",
    );
}

#[test]
fn the_next_attempt_begins_with_the_time_of_its_task() {
    check(
        "
        submit a
            accepted a
        hello w s1
            welcome
        grant
            s1: run a as t1, attempt 1
        start s1 t1
        extend s1 t1 for=9000
            s1: t1 has 9s
        fail s1 t1
            s1: t1 is Accepted
        at 100
        grant
            s1: run a as t2, attempt 2
        start s1 t2
        at 1900
        beat s1 t2
        at 2399
        at 2400
            s1: stop t2, AttemptTimeout, within 0ns
    ",
    );
}
