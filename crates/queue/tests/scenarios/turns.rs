//! Whose turn it is: queues and fairness keys beside each other, what goes by age, and who may run what.

use super::check;

#[test]
fn queues_take_turns_whatever_waits_in_them() {
    check(
        "
        submit a queue=left
            accepted a
        submit b queue=left
            accepted b
        submit c queue=left
            accepted c
        submit d queue=right
            accepted d
        hello w s1 slots=4
            welcome
        grant
            s1: run a as t1, attempt 1
            s1: run d as t2, attempt 1
            s1: run b as t3, attempt 1
            s1: run c as t4, attempt 1
    ",
    );
}

#[test]
fn a_queue_of_three_times_the_weight_gets_three_turns() {
    check(
        "
        configure weight=right:3
        submit a queue=left
            accepted a
        submit b queue=left
            accepted b
        submit c queue=right
            accepted c
        submit d queue=right
            accepted d
        submit e queue=right
            accepted e
        hello w s1 slots=5
            welcome
        grant
            s1: run a as t1, attempt 1
            s1: run c as t2, attempt 1
            s1: run d as t3, attempt 1
            s1: run e as t4, attempt 1
            s1: run b as t5, attempt 1
    ",
    );
}

#[test]
fn a_queue_of_many_keys_gets_no_more_than_another() {
    check(
        "
        submit a queue=left by=x
            accepted a
        submit b queue=left by=y
            accepted b
        submit c queue=left by=z
            accepted c
        submit d queue=right
            accepted d
        submit e queue=right
            accepted e
        hello w s1 slots=5
            welcome
        grant
            s1: run a as t1, attempt 1
            s1: run d as t2, attempt 1
            s1: run b as t3, attempt 1
            s1: run e as t4, attempt 1
            s1: run c as t5, attempt 1
    ",
    );
}

#[test]
fn who_comes_later_saves_up_nothing() {
    check(
        "
        submit a by=x
            accepted a
        submit b by=x
            accepted b
        hello w s1 slots=1
            welcome
        grant
            s1: run a as t1, attempt 1
        start s1 t1
        at 900
        ok s1 t1
            a Succeeded; 1 attempts, 0 losses
            s1: t1 is Accepted
        grant
            s1: run b as t2, attempt 1
        start s1 t2
        beat s1 t2
        at 1800
        beat s1 t2
        ok s1 t2
            b Succeeded; 1 attempts, 0 losses
            s1: t2 is Accepted
        submit c by=x
            accepted c
        submit d by=y
            accepted d
        submit e by=y
            accepted e
        grant
            s1: run d as t3, attempt 1
        start s1 t3
        at 2700
        ok s1 t3
            d Succeeded; 1 attempts, 0 losses
            s1: t3 is Accepted
        grant
            s1: run c as t4, attempt 1
    ",
    );
}

#[test]
fn the_oldest_below_goes_now_and_then() {
    check(
        "
        configure aging=3
        submit a priority=9
            accepted a
        submit b priority=1
            accepted b
        submit c priority=1
            accepted c
        submit d priority=1
            accepted d
        submit e priority=5
            accepted e
        hello w s1 slots=5
            welcome
        grant
            s1: run b as t1, attempt 1
            s1: run c as t2, attempt 1
            s1: run a as t3, attempt 1
            s1: run d as t4, attempt 1
            s1: run e as t5, attempt 1
    ",
    );
}

#[test]
fn the_turn_of_the_oldest_comes_also_if_no_worker_stays_until_then() {
    check(
        "
        configure aging=3
        submit a priority=9
            accepted a
        submit b priority=1
            accepted b
        submit c priority=1
            accepted c
        submit d priority=1
            accepted d
        hello v s1
            welcome
        grant
            s1: run b as t1, attempt 1
        start s1 t1
        ok s1 t1
            b Succeeded; 1 attempts, 0 losses
            s1: t1 is Accepted
        bye s1
        hello w s2
            welcome
        grant
            s2: run c as t2, attempt 1
        start s2 t2
        ok s2 t2
            c Succeeded; 1 attempts, 0 losses
            s2: t2 is Accepted
        bye s2
        hello x s3
            welcome
        grant
            s3: run a as t3, attempt 1
    ",
    );
}

#[test]
fn what_was_leased_ahead_for_its_age_gives_way_to_nothing() {
    check(
        "
        configure aging=2
        hello w s1 slots=1 prefetch=1
            welcome
        submit a priority=1
            accepted a
        grant
            s1: run a as t1, attempt 1
        submit old priority=9
            accepted old
        submit b priority=1
            accepted b
        submit c priority=1
            accepted c
        grant
            s1: run old as t2, attempt 1
    ",
    );
}

#[test]
fn work_that_takes_long_has_to_begin_earlier() {
    // Ten seconds of the first type are known to be needed, so that its later deadline is the tighter one.
    check(
        "
        submit a type=long
            accepted a
        hello w s1 types=long,short
            welcome
        grant
            s1: run a as t1, attempt 1
        start s1 t1
        at 900
        beat s1 t1
        ok s1 t1
            a Succeeded; 1 attempts, 0 losses
            s1: t1 is Accepted
        submit b type=short total=5000
            accepted b
        submit c type=long total=5500
            accepted c
        grant
            s1: run c as t2, attempt 1
    ",
    );
}

#[test]
fn a_paused_queue_takes_no_turn_and_saves_none_up() {
    check(
        "
        submit a queue=left
            accepted a
        submit b queue=left
            accepted b
        submit c queue=right
            accepted c
        submit d queue=right
            accepted d
        pause left
        hello w s1 slots=2
            welcome
        grant
            s1: run c as t1, attempt 1
            s1: run d as t2, attempt 1
        submit e queue=right
            accepted e
        resume left
        slots s1 4
        grant
            s1: run a as t3, attempt 1
            s1: run b as t4, attempt 1
    ",
    );
}

#[test]
fn a_task_goes_to_a_worker_with_its_labels() {
    check(
        "
        hello v s1 zone=a slots=2
            welcome
        hello w s2 slots=2
            welcome
        submit a zone=b
            accepted a
        submit b zone=a
            accepted b
        submit c
            accepted c
        grant
            s1: run b as t1, attempt 1
            s2: run c as t2, attempt 1
        show a
            queued, NoEligibleWorker; 0 attempts, 0 losses
        hello x s3 zone=b
            welcome
        show a
            queued, NoCapacity; 0 attempts, 0 losses
        grant
            s3: run a as t3, attempt 1
    ",
    );
}

#[test]
fn an_idle_worker_without_the_labels_gets_nothing_back() {
    check(
        "
        hello v s1 zone=a prefetch=1
            welcome
        submit a zone=a
            accepted a
        submit b zone=a
            accepted b
        grant
            s1: run a as t1, attempt 1
            s1: run b as t2, attempt 1
        hello w s2
            welcome
        grant
        hello x s3 zone=a
            welcome
        grant
            s1: give back t2 unless started
    ",
    );
}

#[test]
fn the_worker_that_served_a_key_last_is_preferred_among_equals() {
    check(
        "
        hello v s1 slots=2
            welcome
        hello w s2 slots=2
            welcome
        submit a
            accepted a
        submit b by=x
            accepted b
        grant
            s1: run a as t1, attempt 1
            s2: run b as t2, attempt 1
        start s1 t1
        start s2 t2
        ok s1 t1
            a Succeeded; 1 attempts, 0 losses
            s1: t1 is Accepted
        ok s2 t2
            b Succeeded; 1 attempts, 0 losses
            s2: t2 is Accepted
        submit c by=x
            accepted c
        grant
            s2: run c as t3, attempt 1
    ",
    );
}
