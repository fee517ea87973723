//! What attempts save for the next one.

use super::check;

#[test]
fn the_next_attempt_gets_what_was_saved_last_and_a_replay_nothing() {
    check(
        "
        submit a attempts=2
            accepted a
        hello w s1
            welcome
        grant
            s1: run a as t1, attempt 1
        start s1 t1
        save s1 t1 at=30
        save s1 t1 at=60
        save s1 t1 at=60
        fail s1 t1
            s1: t1 is Accepted
        at 100
        grant
            s1: run a as t2, attempt 2, from 60
        fail s1 t2
            a Failed; 2 attempts, 0 losses, Error: no luck
            s1: t2 is Accepted
        replay a
            generation 2
        grant
            s1: run a as t3, attempt 1
    ",
    );
}

#[test]
fn only_the_current_lease_has_a_say_and_until_its_end_also_while_it_is_revoked() {
    check(
        "
        submit a loose
            accepted a
        hello w s1
            welcome
        hello v s2
            welcome
        grant
            s1: run a as t1, attempt 1
        start s1 t1
        save s1 t1 at=10
        save s2 t1 at=99
            not the task's lease
        revoke t1
            s1: stop t1, Operator, within 300ms
        save s1 t1 at=20
        at 1300
        save s1 t1 at=30
            not the task's lease
        grant
            s2: run a as t2, attempt 1, from 20
        save s1 t1 at=40
            not the task's lease
        save s2 t2 at=50
        bye s2
        hello u s3
            welcome
        grant
            s3: run a as t3, attempt 1, from 50
    ",
    );
}

#[test]
fn what_was_saved_outlives_worker_restart_and_trim() {
    check(
        "
        submit a
            accepted a
        hello w s1
            welcome
        grant
            s1: run a as t1, attempt 1
        start s1 t1
        save s1 t1 at=60
        trim
        restart
        at 2100
        at 2300
        hello v s2
            welcome
        grant
            s2: run a as t2, attempt 1, from 60
        save s2 t2 at=70
        restart
        hello v s3 t2
            welcome back, t2 Retained
        save s3 t2 at=80
        fail s3 t2
            s3: t2 is Accepted
        at 2500
        grant
            s3: run a as t3, attempt 2, from 80
    ",
    );
}

#[test]
fn what_is_saved_counts_as_what_open_tasks_take_until_the_task_ends() {
    check(
        "
        submit a bytes=50000
            accepted a
        hello w s1
            welcome
        grant
            s1: run a as t1, attempt 1
        start s1 t1
        save s1 t1 bytes=40000
        submit x bytes=10000
            refused: limits.open_bytes are at their limit: 90240 of 100000
        save s1 t1 bytes=49761
            no room
        save s1 t1 bytes=49760
        save s1 t1 bytes=0
        submit b bytes=40000
            accepted b
        restart
        submit c bytes=10000
            refused: limits.open_bytes are at their limit: 90480 of 100000
        hello w s2 t1
            welcome back, t1 Retained
        save s2 t1 bytes=5000
        ok s2 t1
            a Succeeded; 1 attempts, 0 losses
            s2: t1 is Accepted
        submit d bytes=59520
            accepted d
    ",
    );
}
