//! Attempts that make no progress.

use super::check;

#[test]
fn a_silent_attempt_is_stopped_and_uses_itself_up() {
    check(
        "
        submit a silence=500 attempt=9000
            accepted a
        hello w s1
            welcome
        grant
            s1: run a as t1, attempt 1
        at 100
        start s1 t1
        at 400
        progress s1 t1
        at 600
        at 899
        at 900
            s1: stop t1, ProgressTimeout, within 300ms
        stopped s1 t1
            s1: t1 is Accepted
        show a
            waits until 1000ms, Backoff; 1 attempts, 0 losses, ProgressTimeout: the attempt made no progress and was stopped
    ",
    );
}

#[test]
fn nothing_is_heard_of_a_worker_without_a_stream_and_that_is_not_held_against_it() {
    check(
        "
        submit a silence=500 attempt=9000
            accepted a
        hello w s1
            welcome
        grant
            s1: run a as t1, attempt 1
        start s1 t1
        gone s1
        at 1700
        hello w s2 t1
            welcome back, t1 Retained
        at 2199
        at 2200
            s2: stop t1, ProgressTimeout, within 300ms
    ",
    );
}

#[test]
fn a_restart_does_not_take_silence_for_a_hang() {
    check(
        "
        submit a silence=500 attempt=9000
            accepted a
        hello w s1
            welcome
        grant
            s1: run a as t1, attempt 1
        start s1 t1
        at 400
        restart
        at 600
        hello w s2 t1
            welcome back, t1 Retained
        at 1000
        progress s2 t1
        at 1499
        at 1500
            s2: stop t1, ProgressTimeout, within 300ms
    ",
    );
}

#[test]
fn an_attempt_that_hangs_with_its_worker_lost_costs_an_attempt() {
    check(
        "
        submit a silence=500 attempt=9000
            accepted a
        submit b silence=500 attempt=9000 loose
            accepted b
        hello w s1 slots=2
            welcome
        grant
            s1: run a as t1, attempt 1
            s1: run b as t2, attempt 1
        start s1 t1
        start s1 t2
        at 500
            s1: stop t1, ProgressTimeout, within 300ms
            s1: stop t2, ProgressTimeout, within 300ms
        at 1800
        show b
            waits until 1900ms, Backoff; 1 attempts, 0 losses, ProgressTimeout: the attempt makes no progress and does not stop
        gone s1
        at 2030
        show a
            waits until 2130ms, Backoff; 1 attempts, 0 losses, WorkerLost: the attempt made no progress and its worker was lost
    ",
    );
}

#[test]
fn silence_does_not_count_from_before_the_start() {
    check(
        "
        submit a silence=500 start=5000 attempt=9000
            accepted a
        hello w s1
            welcome
        grant
            s1: run a as t1, attempt 1
        hello w s2 t1:pending
            welcome back, t1 Retained
            s1: closed, Replaced
        at 900
        beat s2 t1
        start s2 t1
        at 1399
        at 1400
            s2: stop t1, ProgressTimeout, within 300ms
    ",
    );
}
