//! When a task may start and be over, and what it waits for.

use super::check;

/// A worker of four slots, and tasks of type t that are known to take 1 s.
const LEARNED: &str = "
        configure open=100
        hello w s1 slots=4 types=t,u
            welcome
        submit x
            accepted x
        grant
            s1: run x as t1, attempt 1
        start s1 t1
        at 1000
        ok s1 t1
            x Succeeded; 1 attempts, 0 losses
            s1: t1 is Accepted
";

fn check_learned(script: &str) {
    check(&format!("{LEARNED}{script}"));
}

#[test]
fn what_nothing_holds_back_starts_now() {
    check_learned(
        "
        estimate n
            0 before, 4 slots: starts 1000ms, over 2000ms or 2000ms, for Nothing
        estimate n delay=5000
            0 before, 4 slots: starts 6000ms, over 7000ms or 7000ms, for Delay(Delay)
        estimate n type=u
            0 before, 4 slots: starts 1000ms, for Nothing
        estimate n type=other
            0 before, 0 slots: never starts, for Worker
        estimate n zone=north
            0 before, 0 slots: never starts, for Worker
        pause q
        estimate n
            0 before, 4 slots: never starts, for Paused
        estimate n queue=other
            0 before, 4 slots: starts 1000ms, over 2000ms or 2000ms, for Nothing
    ",
    );
}

#[test]
fn slots_are_taken_in_turn_by_what_goes_before() {
    check_learned(
        "
        submit a
            accepted a
        submit b
            accepted b
        grant
            s1: run a as t2, attempt 1
            s1: run b as t3, attempt 1
        start s1 t2
        at 1300
        start s1 t3
        submit c
            accepted c
        submit d
            accepted d
        estimate c
            0 before, 4 slots: starts 1300ms, over 2300ms or 2300ms, for Nothing
        estimate d
            1 before, 4 slots: starts 1300ms, over 2300ms or 2300ms, for Nothing
        grant
            s1: run c as t4, attempt 1
            s1: run d as t5, attempt 1
        submit e
            accepted e
        submit f
            accepted f
        submit g
            accepted g
        estimate a
            0 before, 4 slots: starts 1000ms, over 2000ms or 2000ms, for Nothing
        estimate e
            0 before, 4 slots: starts 2000ms, over 3000ms or 3000ms, for Capacity
        estimate f
            1 before, 4 slots: starts 2300ms, over 3300ms or 3300ms, for Capacity
        estimate g
            2 before, 4 slots: starts 2300ms, over 3300ms or 3300ms, for Capacity
        estimate n
            3 before, 4 slots: starts 2300ms, over 3300ms or 3300ms, for Capacity
        estimate n priority=4
            0 before, 4 slots: starts 2000ms, over 3000ms or 3000ms, for Capacity
        estimate n priority=6
            3 before, 4 slots: starts 2300ms, over 3300ms or 3300ms, for Capacity
        estimate n total=59999
            0 before, 4 slots: starts 2000ms, over 3000ms or 3000ms, for Capacity
        estimate n type=u priority=6
            3 before, 4 slots: starts 2300ms, for Capacity
    ",
    );
}

#[test]
fn a_limit_below_the_slots_binds() {
    check_learned(
        r#"
        submit a keys=two
            accepted a
        submit b keys=two
            accepted b
        grant
            s1: run a as t2, attempt 1
            s1: run b as t3, attempt 1
        start s1 t2
        start s1 t3
        submit c keys=two
            accepted c
        submit d keys=two
            accepted d
        estimate c
            0 before, 4 slots: starts 2000ms, over 3000ms or 3000ms, for Limit(Permit(Key("two")))
        estimate d
            1 before, 4 slots: starts 2000ms, over 3000ms or 3000ms, for Limit(Permit(Key("two")))
        estimate n keys=two
            2 before, 4 slots: starts 3000ms, over 4000ms or 4000ms, for Limit(Permit(Key("two")))
        estimate n keys=other
            0 before, 4 slots: starts 1000ms, over 2000ms or 2000ms, for Nothing
        estimate n
            0 before, 4 slots: starts 1000ms, over 2000ms or 2000ms, for Nothing
        estimate n mail=2
            0 before, 4 slots: starts 2000ms, over 3000ms or 3000ms, for Limit(Tokens(Key("mail"), 2))
        submit e mail=2
            accepted e
        grant
        estimate n mail=2
            1 before, 4 slots: starts 4000ms, over 5000ms or 5000ms, for Limit(Tokens(Key("mail"), 2))
        submit f mail=1
            accepted f
        estimate f
            1 before, 4 slots: starts 3000ms, over 4000ms or 4000ms, for Limit(Tokens(Key("mail"), 1))
        estimate n mail=2
            2 before, 4 slots: starts 5000ms, over 6000ms or 6000ms, for Limit(Tokens(Key("mail"), 2))
    "#,
    );
}

#[test]
fn queues_and_keys_take_turns() {
    check_learned(
        "
        configure open=100 weight=b:3
        hello w s2 slots=1
            welcome
        submit x2
            accepted x2
        grant
            s2: run x2 as t2, attempt 1
        start s2 t2
        submit a1 queue=a by=one
            accepted a1
        submit a2 queue=a by=one
            accepted a2
        submit a3 queue=a by=one
            accepted a3
        submit a4 queue=a by=two
            accepted a4
        submit b1 queue=b
            accepted b1
        submit b2 queue=b
            accepted b2
        submit b3 queue=b
            accepted b3
        submit b4 queue=b
            accepted b4
        estimate a1
            0 before, 1 slots: starts 1100ms, for Capacity
        estimate a2
            6 before, 1 slots: starts 1700ms, for Capacity
        estimate a3
            7 before, 1 slots: starts 1800ms, for Capacity
        estimate n queue=a by=three
            0 before, 1 slots: starts 1100ms, for Capacity
        estimate n queue=b
            6 before, 1 slots: starts 1700ms, for Capacity
        estimate n queue=c
            0 before, 1 slots: starts 1100ms, for Capacity
    ",
    );
}

#[test]
fn what_other_slots_serve_too_counts_by_its_share() {
    check_learned(
        "
        hello v s2 slots=4 types=u,v
            welcome
        submit a type=u slots=4
            accepted a
        submit b type=u
            accepted b
        submit c type=u
            accepted c
        submit d type=u
            accepted d
        estimate n type=t
            0 before, 4 slots: starts 1000ms, over 2000ms or 2000ms, for Nothing
        estimate n type=t total=61001
            2 before, 4 slots: starts 1000ms, over 2000ms or 2000ms, for Nothing
        estimate n type=v
            2 before, 4 slots: starts 1000ms, for Nothing
        estimate n type=u
            4 before, 8 slots: starts 1000ms, for Nothing
    ",
    );
}

#[test]
fn a_task_of_many_slots_starts_no_sooner_than_one_worker_has_them_all() {
    check_learned(
        "
        hello v s2 slots=2 has=gpu:1 types=t,u
            welcome
        submit a uses=gpu:1
            accepted a
        submit b
            accepted b
        submit c
            accepted c
        submit d
            accepted d
        grant
            s2: run a as t2, attempt 1
            s1: run b as t3, attempt 1
            s1: run c as t4, attempt 1
            s1: run d as t5, attempt 1
        start s1 t3
        start s2 t2
        start s1 t5
        at 1300
        start s1 t4
        estimate n
            0 before, 6 slots: starts 1300ms, over 2300ms or 2300ms, for Nothing
        estimate n size=2
            0 before, 6 slots: starts 2000ms, over 3000ms or 3000ms, for Capacity
        estimate n size=3
            0 before, 4 slots: starts 2000ms, over 3000ms or 3000ms, for Capacity
        estimate n size=4
            0 before, 4 slots: starts 2300ms, over 3300ms or 3300ms, for Capacity
        estimate n uses=gpu:1
            0 before, 2 slots: starts 2000ms, over 3000ms or 3000ms, for Capacity
    ",
    );
}
