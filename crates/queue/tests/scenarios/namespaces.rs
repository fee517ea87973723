//! Queues of different namespaces have nothing to do with each other, and each namespace has a quota of its own.

use super::check;

#[test]
fn one_name_is_a_queue_in_each_namespace() {
    check(
        "
        configure open=9
        submit a queue=q key=k
            accepted a
        submit b queue=team/q key=k
            accepted b
        submit c queue=team/q key=k
            accepted known as b
        pause team/q
        hello w s1 slots=2
            welcome
        grant
            s1: run a as t1, attempt 1
        queues
            q: 0 + 0 + 1
            team/q paused: 0 + 1 + 0, oldest 0ms
        resume team/q
        grant
            s1: run b as t2, attempt 1
    ",
    );
}

#[test]
fn a_quota_refuses_what_is_new_and_holds_over_a_restart() {
    check(
        "
        configure open=9 quotas=team:2
        submit a queue=team/q
            accepted a
        submit b queue=team/p delay=5000
            accepted b
        submit c queue=team/q
            refused: namespace \"team\" is at its open_tasks: 2 of 2
        submit x queue=team/q check
            refused: namespace \"team\" is at its open_tasks: 2 of 2
        submit d queue=other/q
            accepted d
        restart
        submit e queue=team/q
            refused: namespace \"team\" is at its open_tasks: 2 of 2
        cancel a
            a Cancelled; 0 attempts, 0 losses
        submit f queue=team/q
            accepted f
        submit g queue=team/q
            refused: namespace \"team\" is at its open_tasks: 2 of 2
    ",
    );
}

#[test]
fn a_quota_that_is_lowered_takes_nothing_away() {
    check(
        "
        configure open=9
        submit a queue=team/q key=k
            accepted a
        submit b queue=team/q
            accepted b
        configure open=9 quotas=team:1
        submit c queue=team/q
            refused: namespace \"team\" is at its open_tasks: 2 of 1
        submit d queue=team/q key=k
            accepted known as a
        hello w s1
            welcome
        grant
            s1: run a as t1, attempt 1
        start s1 t1
        ok s1 t1
            a Succeeded; 1 attempts, 0 losses
            s1: t1 is Accepted
        submit f queue=team/q
            refused: namespace \"team\" is at its open_tasks: 1 of 1
        cancel b
            b Cancelled; 0 attempts, 0 losses
        submit g queue=team/q
            accepted g
    ",
    );
}

#[test]
fn the_default_namespace_has_a_quota_like_any_other() {
    check(
        "
        configure open=9 quotas=default:1
        submit a
            accepted a
        submit b queue=p
            refused: namespace \"default\" is at its open_tasks: 1 of 1
        submit c queue=team/p
            accepted c
    ",
    );
}

/// A task takes 240 bytes beside its payload.
#[test]
fn bytes_are_counted_with_their_checkpoints() {
    check(
        "
        configure open=9 quotas=team::2000
        submit a queue=team/q bytes=760
            accepted a
        submit b queue=team/q bytes=761
            refused: namespace \"team\" is at its open_bytes: 1000 of 2000
        submit c queue=team/q bytes=628
            accepted c
        hello w s1
            welcome
        grant
            s1: run a as t1, attempt 1
        start s1 t1
        save s1 t1 bytes=133
            no room in its namespace
        save s1 t1 bytes=132
        submit d queue=team/q bytes=0
            refused: namespace \"team\" is at its open_bytes: 2000 of 2000
        cancel c
            c Cancelled; 0 attempts, 0 losses
        submit e queue=team/q bytes=100
            accepted e
    ",
    );
}

/// It stays what it is, and can be replayed once there is room.
#[test]
fn a_dead_letter_is_replayed_within_its_quota() {
    check(
        "
        configure open=9 quotas=team:1
        submit a queue=team/q
            accepted a
        hello w s1
            welcome
        grant
            s1: run a as t1, attempt 1
        start s1 t1
        fail s1 t1 final
            a Failed; 1 attempts, 0 losses, Error: no luck
            s1: t1 is Accepted
        submit b queue=team/q
            accepted b
        replay a
            refused: namespace \"team\" is at its open_tasks: 1 of 1
        cancel b
            b Cancelled; 0 attempts, 0 losses
        replay a
            generation 2
    ",
    );
}

#[test]
fn a_worker_serves_the_namespaces_it_names() {
    check(
        "
        configure open=9
        submit a queue=team/q
            accepted a
        submit b queue=other/q
            accepted b
        submit c
            accepted c
        hello w s1 slots=9 serves=other,third
            welcome
        grant
            s1: run b as t1, attempt 1
        explain a
            nobody; 1 w: Active serves other,third; 0 others
            until 60000ms: TotalTimeout
        hello v s2 slots=9
            welcome
        grant
            s2: run a as t2, attempt 1
            s2: run c as t3, attempt 1
    ",
    );
}
