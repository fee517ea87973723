//! Circuit breakers and retry budgets.

use super::check;

#[test]
fn an_open_circuit_holds_tasks_back_and_costs_them_nothing() {
    check(
        "
        submit a deps=db
            accepted a
        submit b deps=db
            accepted b
        hello w s1 slots=3
            welcome
        grant
            s1: run a as t1, attempt 1
            s1: run b as t2, attempt 1
        fail s1 t1
            s1: t1 is Accepted
        fail s1 t2
            s1: t2 is Accepted
            dependencies.db Opened until 1000ms after 2 calls, 2 failed, 0 slow
        submit c deps=db
            accepted c
        submit d
            accepted d
        at 999
        grant
            s1: run d as t3, attempt 1
        ok s1 t3
            d Succeeded; 1 attempts, 0 losses
            s1: t3 is Accepted
        show a
            queued, CircuitOpen; 1 attempts, 0 losses, Error: no luck
        show c
            queued, CircuitOpen; 0 attempts, 0 losses
        why c
            dependencies.db at 2 of 2, enough at 1000ms
        at 1000
            dependencies.db HalfOpened after 2 calls, 2 failed, 0 slow
        grant
            s1: run a as t4, attempt 2
        why c
            dependencies.db at 1 of 1
        fail s1 t4
            s1: t4 is Accepted
            dependencies.db Opened until 3000ms after 2 calls, 2 failed, 0 slow
        at 1900
        beat s1
        at 2999
        grant
        at 3000
            dependencies.db HalfOpened after 2 calls, 2 failed, 0 slow
        grant
            s1: run a as t5, attempt 3
        ok s1 t5
            a Succeeded; 3 attempts, 0 losses, Error: no luck
            s1: t5 is Accepted
            dependencies.db Closed after 2 calls, 2 failed, 0 slow
        grant
            s1: run b as t6, attempt 2
            s1: run c as t7, attempt 1
    ",
    );
}

/// How the first of two leases ends, and what becomes of the circuit when the second one fails. One failure among two calls
/// opens it; a call that says nothing is none.
#[test]
fn only_an_end_that_says_something_of_what_was_called_counts() {
    const OPENED: &str = "dependencies.db Opened until";
    let cases = [
        ("ok s1 t1", true),
        ("fail s1 t1", true),
        ("fail s1 t1 late", true),
        // What its handler calls final is about the task.
        ("fail s1 t1 final", false),
        ("invalid s1 t1", false),
        ("decline s1 t1 full", false),
        ("decline s1 t1 drain", false),
        ("stopped s1 t1", false),
        ("cancel a; stopped s1 t1", false),
        // It was asked to stop: that it fails then is no wonder.
        ("cancel a; fail s1 t1", false),
        ("revoke t1; stopped s1 t1", false),
        ("at 1000; delivered s1 t1; stopped s1 t1", false),
        ("at 1500; beat s1 t1 t2; at 2300; stopped s1 t1", true),
    ];
    for (commands, is_counted) in cases {
        let mut stage = crate::stage::Stage::new();
        for command in
            ["submit a deps=db start=20000", "hello w s1 slots=2", "grant", "start s1 t1"]
        {
            stage.play(command);
        }
        stage.play("submit b deps=db start=20000");
        stage.play("grant");
        let mut said: Vec<String> =
            commands.split("; ").flat_map(|command| stage.play(command)).collect();
        said.extend(stage.play("fail s1 t2"));
        let is_open = said.iter().any(|line| line.starts_with(OPENED));
        assert_eq!(is_open, is_counted, "{commands}: {said:#?}");
    }
}

#[test]
fn a_probe_that_says_nothing_gives_its_place_back() {
    check(
        "
        submit a deps=db
            accepted a
        submit b deps=db grace=300
            accepted b
        hello w s1 slots=3
            welcome
        grant
            s1: run a as t1, attempt 1
            s1: run b as t2, attempt 1
        fail s1 t1
            s1: t1 is Accepted
        fail s1 t2
            s1: t2 is Accepted
            dependencies.db Opened until 1000ms after 2 calls, 2 failed, 0 slow
        at 1000
            dependencies.db HalfOpened after 2 calls, 2 failed, 0 slow
        grant
            s1: run a as t3, attempt 2
        decline s1 t3 late
            s1: t3 is Accepted
        grant
            s1: run a as t4, attempt 2
        start s1 t4
        cancel a
            cancelling
            s1: stop t4, Cancelled, within 300ms
        at 1500
        beat s1 t4
        at 2300
            a Cancelled; 1 attempts, 0 losses, Cancelled: cancelled while it was leased
        grant
        breakers
            dependencies.db HalfOpen { in_a_row: 0 } since 1000ms: 2 calls, 2 failed, 0 slow, 1 of 1 probes, 1 wait
        stopped s1 t4
            t4 of a stopped 0ns late, Aborted
            s1: t4 is Stale
        grant
            s1: run b as t5, attempt 2
        start s1 t5
        gone s1
        submit c deps=db
            accepted c
        at 3000
        hello v s2
            welcome
        grant
        at 3530
        show b
            waits until 3730ms, Backoff; 1 attempts, 1 losses, WorkerLost: the worker was lost
        grant
            s2: run c as t6, attempt 1
    ",
    );
}

#[test]
fn a_type_has_a_circuit_which_slow_calls_open_and_a_row_closes() {
    check(
        "
        submit a type=guarded
            accepted a
        submit b type=guarded
            accepted b
        hello w s1 slots=9 types=guarded,t
            welcome
        grant
            s1: run a as t1, attempt 1
            s1: run b as t2, attempt 1
        start s1 t1
        start s1 t2
        later 400
        ok s1 t1
            a Succeeded; 1 attempts, 0 losses
            s1: t1 is Accepted
        later 501
        ok s1 t2
            b Succeeded; 1 attempts, 0 losses
            s1: t2 is Accepted
            task_types.guarded Opened until 1501ms after 2 calls, 0 failed, 1 slow
        submit c type=guarded
            accepted c
        submit d type=guarded
            accepted d
        submit e type=guarded
            accepted e
        why c
            task_types.guarded at 1 of 2, enough at 1501ms
        at 1501
            task_types.guarded HalfOpened after 2 calls, 0 failed, 1 slow
        grant
            s1: run c as t3, attempt 1
            s1: run d as t4, attempt 1
        ok s1 t3
            c Succeeded; 1 attempts, 0 losses
            s1: t3 is Accepted
        grant
            s1: run e as t5, attempt 1
        submit f type=guarded
            accepted f
        grant
        breakers
            task_types.guarded HalfOpen { in_a_row: 1 } since 1501ms: 2 calls, 0 failed, 1 slow, 2 of 2 probes, 1 wait
        ok s1 t4
            d Succeeded; 1 attempts, 0 losses
            s1: t4 is Accepted
            task_types.guarded Closed after 2 calls, 0 failed, 1 slow
    ",
    );
}

/// What ended while its worker could not be heard took no longer for that; what was silent in between and does not say how
/// long it ran is slow.
#[test]
fn a_break_of_the_network_makes_no_call_slow() {
    check(
        "
        submit a type=guarded
            accepted a
        submit b type=guarded
            accepted b
        hello w s1 slots=9 types=guarded
            welcome
        grant
            s1: run a as t1, attempt 1
            s1: run b as t2, attempt 1
        start s1 t1
        start s1 t2
        later 900
        ok s1 t1 ran=400
            a Succeeded; 1 attempts, 0 losses
            s1: t1 is Accepted
        ok s1 t2 ran=499
            b Succeeded; 1 attempts, 0 losses
            s1: t2 is Accepted
        breakers
            task_types.guarded Closed since 0ms: 2 calls, 0 failed, 0 slow, 0 of 2 probes, 0 wait
        estimate n type=guarded
            0 before, 9 slots: starts 900ms, over 1348ms or 1399ms, for Nothing
        submit c type=guarded
            accepted c
        grant
            s1: run c as t3, attempt 1
        start s1 t3
        later 1500
        ok s1 t3
            c Succeeded; 1 attempts, 0 losses
            s1: t3 is Accepted
        submit d type=guarded
            accepted d
        grant
            s1: run d as t4, attempt 1
        start s1 t4
        later 1600
        ok s1 t4 ran=5000
            d Succeeded; 1 attempts, 0 losses
            s1: t4 is Accepted
        breakers
            task_types.guarded Closed since 0ms: 4 calls, 0 failed, 1 slow, 0 of 2 probes, 0 wait
    ",
    );
}

#[test]
fn who_does_not_want_to_wait_is_told_that_a_circuit_is_open() {
    check(
        "
        submit a deps=db
            accepted a
        submit b deps=db
            accepted b
        hello w s1 slots=3
            welcome
        grant
            s1: run a as t1, attempt 1
            s1: run b as t2, attempt 1
        submit c deps=db fast key=k
            accepted c
        fail s1 t1
            s1: t1 is Accepted
        fail s1 t2
            s1: t2 is Accepted
            dependencies.db Opened until 1000ms after 2 calls, 2 failed, 0 slow
        submit d deps=db fast
            refused: the circuit of dependencies.db is open: 2 of 2 calls failed or were slow
        submit e deps=db fast key=k
            accepted known as c
        submit f fast
            accepted f
        at 1000
            dependencies.db HalfOpened after 2 calls, 2 failed, 0 slow
        submit g deps=db fast
            accepted g
    ",
    );
}

#[test]
fn a_circuit_is_closed_by_hand_or_by_a_restart_and_follows_the_configuration() {
    check(
        "
        submit a deps=db
            accepted a
        submit b deps=db
            accepted b
        hello w s1 slots=2
            welcome
        grant
            s1: run a as t1, attempt 1
            s1: run b as t2, attempt 1
        reset dependencies.nobody
            no such thing
        fail s1 t1
            s1: t1 is Accepted
        fail s1 t2
            s1: t2 is Accepted
            dependencies.db Opened until 1000ms after 2 calls, 2 failed, 0 slow
        at 200
        grant
        reset dependencies.db
            dependencies.db Closed after 2 calls, 2 failed, 0 slow
        reset dependencies.db
        grant
            s1: run a as t3, attempt 2
            s1: run b as t4, attempt 2
        fail s1 t3
            s1: t3 is Accepted
        fail s1 t4
            s1: t4 is Accepted
            dependencies.db Opened until 1200ms after 2 calls, 2 failed, 0 slow
        at 500
        grant
        throttle open=2000
        show a
            queued, CircuitOpen; 2 attempts, 0 losses, Error: no luck
        throttle no-breakers
        show a
            queued, NoCapacity; 2 attempts, 0 losses, Error: no luck
        grant
            s1: run a as t5, attempt 3
            s1: run b as t6, attempt 3
        throttle
        ok s1 t5
            a Succeeded; 3 attempts, 0 losses, Error: no luck
            s1: t5 is Accepted
        breakers
        fail s1 t6
            b Failed; 3 attempts, 0 losses, Error: no luck
            s1: t6 is Accepted
        breakers
        restart
        submit c deps=db
            accepted c
        hello w s2
            welcome
        grant
            s2: run c as t7, attempt 1
    ",
    );
}

#[test]
fn retries_wait_for_their_budget_and_first_attempts_do_not() {
    check(
        "
        submit a deps=api
            accepted a
        submit b deps=api
            accepted b
        hello w s1 slots=9
            welcome
        grant
            s1: run a as t1, attempt 1
            s1: run b as t2, attempt 1
        fail s1 t1
            s1: t1 is Accepted
        fail s1 t2
            s1: t2 is Accepted
        at 100
        grant
            s1: run a as t3, attempt 2
        submit c deps=api
            accepted c
        show b
            queued, RetryBudget; 1 attempts, 0 losses, Error: no luck
        why b
            Tokens(Retries(Dependency(\"api\")), 1) at 1 of 1, enough at 10100ms
        grant
            s1: run c as t4, attempt 1
        start s1 t3
        ok s1 t4
            c Succeeded; 1 attempts, 0 losses
            s1: t4 is Accepted
        throttle no-breakers
        grant
            s1: run b as t5, attempt 2
    ",
    );
}

#[test]
fn a_success_brings_a_share_of_a_retry_and_what_never_started_comes_back() {
    check(
        "
        submit a deps=api
            accepted a
        submit b deps=api start=20000
            accepted b
        submit c deps=api start=20000
            accepted c
        submit d deps=api start=20000
            accepted d
        hello w s1 slots=9
            welcome
        grant
            s1: run a as t1, attempt 1
            s1: run b as t2, attempt 1
            s1: run c as t3, attempt 1
            s1: run d as t4, attempt 1
        fail s1 t1
            s1: t1 is Accepted
        fail s1 t2
            s1: t2 is Accepted
        at 100
        grant
            s1: run a as t5, attempt 2
        ok s1 t3
            c Succeeded; 1 attempts, 0 losses
            s1: t3 is Accepted
        why b
            Tokens(Retries(Dependency(\"api\")), 1) at 1 of 1, enough at 5100ms
        ok s1 t4
            d Succeeded; 1 attempts, 0 losses
            s1: t4 is Accepted
        grant
            s1: run b as t6, attempt 2
        decline s1 t6 late
            s1: t6 is Accepted
        grant
            s1: run b as t7, attempt 2
    ",
    );
}
