//! What is let in.

use super::check;

#[test]
fn the_same_key_names_the_same_task_until_it_is_forgotten() {
    check(
        r#"
        submit a key=k digest=1
            accepted a
        submit b key=k digest=1
            accepted known as a
        submit c key=k digest=2
            refused: idempotency key "k" names another task, 00000000-0001-0000-0000-000000000000
        submit d key=k digest=2 queue=other
            accepted d
        cancel a
            a Cancelled; 0 attempts, 0 losses
        submit e key=k digest=1
            accepted known as a
        at 4999
        submit f key=k digest=1
            accepted known as a
        at 5000
        submit g key=k digest=2
            accepted g
    "#,
    );
}

#[test]
fn a_key_is_not_kept_when_retention_is_zero() {
    check(
        "
        configure keys=0
        submit a key=k digest=1
            accepted a
        cancel a
            a Cancelled; 0 attempts, 0 losses
        submit b key=k digest=2
            accepted b
    ",
    );
}

#[test]
fn a_check_changes_nothing() {
    check(
        r#"
        submit a check key=k
            accepted nothing
        queues
        submit b key=k
            accepted b
        submit c check key=k
            accepted known as b
        submit d check key=k digest=9
            refused: idempotency key "k" names another task, 00000000-0001-0000-0000-000000000000
    "#,
    );
}

#[test]
fn bounds_refuse_what_comes_and_nothing_else() {
    check(
        "
        submit a bytes=90000
            accepted a
        submit b bytes=9521
            refused: limits.open_bytes are at their limit: 90240 of 100000
        submit c queue=p
            accepted c
        submit d queue=r
            accepted d
        submit e queue=s
            refused: limits.queues are at their limit: 3 of 3
        submit f
            accepted f
        submit g
            accepted g
        submit h
            refused: limits.open_tasks are at their limit: 5 of 5
        cancel a
            a Cancelled; 0 attempts, 0 losses
        submit i queue=s
            refused: limits.queues are at their limit: 3 of 3
        cancel c
            c Cancelled; 0 attempts, 0 losses
        submit j queue=s
            accepted j
    ",
    );
}

#[test]
fn keys_have_a_bound_of_their_own() {
    check(
        "
        submit a key=1
            accepted a
        submit b key=2
            accepted b
        submit c key=3
            accepted c
        submit d key=4
            accepted d
        cancel a
            a Cancelled; 0 attempts, 0 losses
        cancel b
            b Cancelled; 0 attempts, 0 losses
        cancel c
            c Cancelled; 0 attempts, 0 losses
        cancel d
            d Cancelled; 0 attempts, 0 losses
        submit e key=5
            accepted e
        submit f key=6
            refused: limits.key_bytes are at their limit: 970 of 1000
        submit g
            accepted g
        at 5000
        submit h key=6
            accepted h
    ",
    );
}

#[test]
fn unknown_queues_can_be_refused() {
    check(
        r#"
        configure no-new-queues declared=known
        queues
            known: 0 + 0 + 0
        submit a queue=unknown
            refused: queue "unknown" does not exist and the configuration does not allow creating it
        pause unknown
            no such thing
        submit b queue=known
            accepted b
        cancel b
            b Cancelled; 0 attempts, 0 losses
        pause known
        queues
            known paused: 0 + 0 + 0
        resume known
        submit c queue=known
            accepted c
        restart
        submit d queue=known
            accepted d
    "#,
    );
}

#[test]
fn declared_queues_are_not_limited() {
    check(
        "
        configure declared=known
        submit a queue=known
            accepted a
        submit b queue=p
            accepted b
        submit c queue=r
            accepted c
        submit d queue=s
            accepted d
        pause t
            no such thing
        submit e queue=t
            refused: limits.queues are at their limit: 3 of 3
    ",
    );
}

#[test]
fn a_queue_can_be_paused_ahead_of_its_first_task() {
    check(
        "
        pause q
        queues
            q paused: 0 + 0 + 0
        hello w s1
            welcome
        submit a
            accepted a
        grant
        show a
            queued, QueuePaused; 0 attempts, 0 losses
        resume q
        grant
            s1: run a as t1, attempt 1
    ",
    );
}

#[test]
fn an_empty_queue_is_known_until_its_place_is_needed() {
    check(
        "
        submit a queue=p
            accepted a
        submit b queue=r
            accepted b
        cancel b
            b Cancelled; 0 attempts, 0 losses
        cancel a
            a Cancelled; 0 attempts, 0 losses
        pause s
        resume s
        queues
            p: 0 + 0 + 0
            r: 0 + 0 + 0
            s: 0 + 0 + 0
        submit c queue=r
            accepted c
        submit d queue=t
            accepted d
        queues
            r: 0 + 1 + 0, oldest 0ms
            s: 0 + 0 + 0
            t: 0 + 1 + 0, oldest 0ms
        restart
        queues
            r: 0 + 1 + 0, oldest 0ms
            t: 0 + 1 + 0, oldest 0ms
    ",
    );
}

#[test]
fn a_delay_is_waited_for() {
    check(
        "
        hello w s1
            welcome
        submit a delay=500
            accepted a
        show a
            waits until 500ms, Delayed; 0 attempts, 0 losses
        at 499
        grant
        at 500
        grant
            s1: run a as t1, attempt 1
    ",
    );
}

#[test]
fn a_pause_stops_leases_and_survives() {
    check(
        "
        submit a
            accepted a
        submit b queue=r
            accepted b
        pause q
        hello w s1 slots=2
            welcome
        grant
            s1: run b as t1, attempt 1
        queues
            q paused: 0 + 1 + 0, oldest 0ms
            r: 0 + 0 + 1
        show a
            queued, QueuePaused; 0 attempts, 0 losses
        restart
        hello w s2 slots=2 t1
            welcome back, t1 Retained
        grant
        resume q
        grant
            s2: run a as t2, attempt 1
        resume nowhere
            no such thing
    ",
    );
}

#[test]
fn a_dead_letter_is_replayed_once() {
    check(
        "
        submit a attempts=1 key=k
            accepted a
        hello w s1
            welcome
        grant
            s1: run a as t1, attempt 1
        start s1 t1
        fail s1 t1
            a Failed; 1 attempts, 0 losses, Error: no luck
            s1: t1 is Accepted
        submit b key=k
            accepted known as a
        replay a
            generation 2
        replay a
            refused: task 00000000-0001-0000-0000-000000000000 has been replayed already
        show a
            queued, NoCapacity; 0 attempts, 0 losses, Error: no luck
        grant
            s1: run a as t2, attempt 1
        ok s1 t1
            s1: t1 is Duplicate
        ok s1 t2
            a Succeeded; 1 attempts, 0 losses, Error: no luck
            s1: t2 is Accepted
    ",
    );
}

#[test]
fn a_dead_letter_does_not_take_a_key_from_another_task() {
    check(
        r#"
        submit a attempts=1 key=k
            accepted a
        hello w s1
            welcome
        grant
            s1: run a as t1, attempt 1
        fail s1 t1
            a Failed; 1 attempts, 0 losses, Error: no luck
            s1: t1 is Accepted
        at 5000
            s1: closed, Expired
        submit b key=k
            accepted b
        replay a
            refused: idempotency key "k" names another task, 00000000-0002-0000-0000-000000000000
    "#,
    );
}
