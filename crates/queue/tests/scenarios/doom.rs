//! Tasks that cannot be over in time: they are ended when it is their turn, and those behind them go on.

use super::check;

/// Two tasks of type t have run, for 3 s and for 4 s.
const LEARNED: &str = "
        configure open=100 cull=2
        hello w s1 slots=2
            welcome
        submit x attempt=9000
            accepted x
        submit y attempt=9000
            accepted y
        grant
            s1: run x as t1, attempt 1
            s1: run y as t2, attempt 1
        start s1 t1
        start s1 t2
        at 1900
        beat s1 t1 t2
        at 3000
        ok s1 t1
            x Succeeded; 1 attempts, 0 losses
            s1: t1 is Accepted
        beat s1 t2
        at 4000
        ok s1 t2
            y Succeeded; 1 attempts, 0 losses
            s1: t2 is Accepted
        beat s1
";

fn check_learned(script: &str) {
    check(&format!("{LEARNED}{script}"));
}

#[test]
fn what_no_run_would_have_kept_to_takes_no_slot() {
    check_learned(
        "
        submit a total=2047
            accepted a
        submit b total=2048
            accepted b
        submit c
            accepted c
        grant
            a Failed; 0 attempts, 0 losses, TotalTimeout: 2.047s are left, and none of the last 2 tasks of this type ran for less than 2.048s
            s1: run b as t3, attempt 1
            s1: run c as t4, attempt 1
    ",
    );
}

#[test]
fn nothing_is_taken_back_for_what_would_only_be_ended() {
    check_learned(
        "
        slots s1 2 prefetch=1
        submit a
            accepted a
        submit b
            accepted b
        submit c
            accepted c
        grant
            s1: run a as t3, attempt 1
            s1: run b as t4, attempt 1
            s1: run c as t5, attempt 1
        submit d total=2047 priority=3
            accepted d
        grant
        submit e total=2048 priority=2
            accepted e
        grant
            s1: give back t5 unless started
    ",
    );
}

#[test]
fn a_head_that_is_over_does_not_stop_those_behind() {
    check_learned(
        "
        submit a total=50
            accepted a
        submit b total=60
            accepted b
        submit c
            accepted c
        later 4100
        grant
            a Failed; 0 attempts, 0 losses, TotalTimeout: the task ran out of its total time
            b Failed; 0 attempts, 0 losses, TotalTimeout: the task ran out of its total time
            s1: run c as t3, attempt 1
        at 4100
    ",
    );
}

#[test]
fn what_may_need_less_than_a_run_is_tried() {
    check_learned(
        "
        submit a total=4000 attempts=2
            accepted a
        grant
            s1: run a as t3, attempt 1
        start s1 t3
        save s1 t3 at=half
        at 5500
        fail s1 t3
            s1: t3 is Accepted
        at 5600
        grant
            s1: run a as t4, attempt 2, from half
    ",
    );
}

#[test]
fn what_was_culled_is_a_dead_letter_like_another() {
    check_learned(
        "
        submit a total=2000 type=t
            accepted a
        grant
            a Failed; 0 attempts, 0 losses, TotalTimeout: 2s are left, and none of the last 2 tasks of this type ran for less than 2.048s
        show a
            gone
        replay a
            generation 2
    ",
    );
}

#[test]
fn too_few_runs_say_nothing_and_neither_do_those_of_another_type() {
    check_learned(
        "
        hello v s2 slots=9 types=u
            welcome
        submit a total=100 type=u
            accepted a
        grant
            s2: run a as t3, attempt 1
        configure open=100
        hello v s3 slots=9
            welcome back
        submit b total=100
            accepted b
        grant
            s3: run b as t4, attempt 1
    ",
    );
}
