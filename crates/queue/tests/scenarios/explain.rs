//! Why a task waits, or how its lease goes on: all of it, in the order in which it would hold.

use super::check;

#[test]
fn a_task_that_waits_for_a_time_says_until_when_and_what_holds_it_then() {
    check(
        "
        submit a delay=500 keys=k
            accepted a
        submit b keys=k
            accepted b
        explain a
            delay until 500ms
            nobody; 0 others
            until 60000ms: TotalTimeout
        hello w s1
            welcome
        grant
            s1: run b as t1, attempt 1
        explain a
            delay until 500ms
            Permit(Key(\"k\")) at 1 of 1, b t1 on w
            1 of 1 slots of 1, q/t 1
            until 60000ms: TotalTimeout
        explain-queue q
            1 like a: delay until 500ms
        fail s1 t1
            s1: t1 is Accepted
        explain b
            backoff until 100ms
            until 60000ms: TotalTimeout
        explain-queue q
            1 like b: backoff until 100ms
            1 like a: delay until 500ms
    ",
    );
}

#[test]
fn a_pause_is_named_with_its_time_until_a_restart_forgets_that() {
    check(
        "
        submit a queue=r queue-timeout=900
            accepted a
        later 40
        pause r
        explain a
            r paused since 40ms
            nobody; 0 others
            until 900ms: QueueTimeout
        hello w s1
            welcome
        explain a
            r paused since 40ms
            until 900ms: QueueTimeout
        explain-queue r
            1 like a: r paused since 40ms
        restart
        explain a
            r paused since long ago
            nobody; 0 others
            until 900ms: QueueTimeout
        resume r
        explain a
            nobody; 0 others
            until 900ms: QueueTimeout
        explain-queue s
            no such queue
    ",
    );
}

#[test]
fn each_kind_of_worker_that_does_not_fit_says_all_that_is_wrong_with_it() {
    check(
        "
        submit a zone=b schema=x
            accepted a
        explain a
            nobody; 0 others
            until 60000ms: TotalTimeout
        hello u s1 types=other
            welcome
        hello v s2 zone=a reads=t:yz
            welcome
        hello w s3 zone=b reads=t:y
            welcome
        hello x s4 zone=b
            welcome
        explain a
            0 of 1 slots of 1
            until 60000ms: TotalTimeout
        drain s4
        explain a
            nobody; 1 w: Active reads y; 1 v: Active zone=a not b reads yz; 1 x: Draining; 1 others
            until 60000ms: TotalTimeout
        evict v
        gone s3
        explain a
            nobody; 1 x: Draining; 1 w: Disconnected reads y; 1 v: Evicted zone=a not b reads yz; 1 others
            until 60000ms: TotalTimeout
        explain-queue q
            1 like a: nobody; 1 x: Draining; 1 w: Disconnected reads y; 1 v: Evicted zone=a not b reads yz; 1 others
    ",
    );
}

#[test]
fn a_type_that_a_worker_declined_is_not_served_by_it() {
    check(
        "
        submit a
            accepted a
        hello w s1
            welcome
        grant
            s1: run a as t1, attempt 1
        decline s1 t1 unsupported
            s1: t1 is Accepted
        explain a
            nobody; 1 w: Active declined; 0 others
            until 60000ms: TotalTimeout
    ",
    );
}

#[test]
fn every_limit_that_is_used_up_names_who_holds_it() {
    check(
        "
        submit a keys=k,two queue=narrow
            accepted a
        submit b keys=two grace=300
            accepted b
        submit c keys=k,two queue=narrow mail=2
            accepted c
        submit d mail=2
            accepted d
        hello w s1 slots=9
            welcome
        grant
            s1: run a as t1, attempt 1
            s1: run b as t2, attempt 1
            s1: run d as t3, attempt 1
        start s1 t1
        start s1 t2
        start s1 t3
        explain c
            Permit(Key(\"k\")) at 1 of 1, a t1 on w
            Permit(Key(\"two\")) at 2 of 2, a t1 on w, b t2 on w
            Tokens(Key(\"mail\"), 2) at 2 of 2, enough at 2000ms
            Permit(Queue(\"narrow\")) at 1 of 1, a t1 on w
            until 60000ms: TotalTimeout
        cancel b
            cancelling
            s1: stop t2, Cancelled, within 300ms
        ok s1 t1
            a Succeeded; 1 attempts, 0 losses
            s1: t1 is Accepted
        at 1300
            b Cancelled; 0 attempts, 0 losses, Cancelled: cancelled while it was leased
        hello v s2
            welcome
        submit e keys=two
            accepted e
        grant
            s2: run e as t4, attempt 1
        explain c
            Permit(Key(\"two\")) at 2 of 2, b t2 on w over, e t4 on v
            Tokens(Key(\"mail\"), 2) at 1 of 2, enough at 2000ms
            1 of 1 slots of 1, q/t 1
            until 60000ms: TotalTimeout
        explain-queue narrow
            1 like c: Permit(Key(\"two\")) at 2 of 2, b t2 on w over, e t4 on v
    ",
    );
}

#[test]
fn slots_are_told_with_what_takes_them() {
    check(
        "
        submit a queue=r
            accepted a
        submit b type=u
            accepted b
        submit c type=u
            accepted c
        hello w s1 slots=2 types=t,u
            welcome
        grant
            s1: run a as t1, attempt 1
            s1: run b as t2, attempt 1
        explain c
            2 of 2 slots of 1, q/u 1, r/t 1
            until 60000ms: TotalTimeout
        decline s1 t2 full
            s1: t2 is Accepted
        explain c
            1 of 2 slots of 1, 1 hushed, r/t 1
            until 60000ms: TotalTimeout
        explain-queue q
            2 like b: 1 of 2 slots of 1, 1 hushed, r/t 1
    ",
    );
}

#[test]
fn only_as_many_wait_for_a_worker_as_their_limits_have_room_for() {
    check(
        "
        submit a keys=two
            accepted a
        submit b keys=two by=x
            accepted b
        submit c keys=two by=x
            accepted c
        submit d keys=two priority=9
            accepted d
        submit e mail=2
            accepted e
        loads
            q/t: NoEligibleWorker 5 since 0ms, 0 leased
        hello w s1 slots=1
            welcome
        loads
            q/t: NoCapacity 3 ConcurrencyLimit 2 since 0ms, 0 leased
        explain-queue q
            3 like a: 0 of 1 slots of 1
            2 like c: Permit(Key(\"two\")) at 0 of 2
        grant
            s1: run a as t1, attempt 1
        loads
            q/t: NoCapacity 2 ConcurrencyLimit 2 since 0ms, 1 leased
        explain-queue q
            2 like b: 1 of 1 slots of 1, q/t 1
            2 like c: Permit(Key(\"two\")) at 1 of 2, a t1 on w
    ",
    );
}

#[test]
fn a_lease_says_what_ends_it_next() {
    check(
        "
        submit a silence=700 loose
            accepted a
        hello w s1 prefetch=1
            welcome
        grant
            s1: run a as t1, attempt 1
        explain a
            Active, Start 400ms, Total 60000ms
        start s1 t1
        explain a
            Active, Progress 700ms, Attempt 1000ms, Total 60000ms
        submit b
            accepted b
        grant
            s1: run b as t2, attempt 1
        explain b
            Active, ahead, Total 60000ms
        gone s1
        explain a
            Disconnected, Attempt 1000ms, Session 2030ms, Total 60000ms
        hello w s2 t1 t2:pending
            welcome back, t1 Retained, t2 Retained
        revoke t1
            s2: stop t1, Operator, within 300ms
        explain a
            Active, Revocation 1300ms
    ",
    );
}
