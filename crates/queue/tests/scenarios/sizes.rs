//! How much of its worker a lease takes: slots and named resources, all of it together or nothing.

use super::check;

#[test]
fn a_lease_takes_all_its_slots_and_whatever_fits_beside_it_goes_ahead() {
    check(
        "
        submit a size=3
            accepted a
        submit b size=2
            accepted b
        submit c
            accepted c
        hello w s1 slots=4
            welcome
        grant
            s1: run a as t1, attempt 1
            s1: run c as t2, attempt 1
        workers
            w/i1 Active t1 t2 of 4, 4 taken
        explain b
            4 of 4 slots of 1, q/t 4, wants 2
            until 60000ms: TotalTimeout
        ok s1 t2
            c Succeeded; 1 attempts, 0 losses
            s1: t2 is Accepted
        grant
        ok s1 t1
            a Succeeded; 1 attempts, 0 losses
            s1: t1 is Accepted
        grant
            s1: run b as t3, attempt 1
    ",
    );
}

#[test]
fn a_lease_takes_all_its_resources_or_waits() {
    check(
        "
        submit a uses=gpu:1,memory:6
            accepted a
        submit b uses=gpu:1,memory:6
            accepted b
        submit c uses=memory:4
            accepted c
        hello w s1 slots=4 has=gpu:2,memory:10
            welcome
        grant
            s1: run a as t1, attempt 1
            s1: run c as t2, attempt 1
        workers
            w/i1 Active t1 t2 of 4 gpu 2 memory 10, 2 gpu 1 memory 10 taken
        ok s1 t2
            c Succeeded; 1 attempts, 0 losses
            s1: t2 is Accepted
        grant
        ok s1 t1
            a Succeeded; 1 attempts, 0 losses
            s1: t1 is Accepted
        grant
            s1: run b as t3, attempt 1
    ",
    );
}

#[test]
fn a_worker_that_is_too_small_never_serves_it() {
    check(
        "
        hello v s1 slots=2 has=gpu:1
            welcome
        hello w s2 slots=3
            welcome
        submit a size=4
            accepted a
        submit b uses=gpu:2
            accepted b
        submit c uses=gpu:1 size=2
            accepted c
        explain a
            nobody; 2 v w: Active slots 3 not 4; 0 others
            until 60000ms: TotalTimeout
        explain b
            nobody; 2 v w: Active gpu 1 not 2; 0 others
            until 60000ms: TotalTimeout
        grant
            s1: run c as t1, attempt 1
        show a
            queued, NoEligibleWorker; 0 attempts, 0 losses
        hello x s3 slots=4 has=gpu:4
            welcome
        grant
            s3: run a as t2, attempt 1
        show b
            queued, NoCapacity; 0 attempts, 0 losses
    ",
    );
}

#[test]
fn a_worker_that_knows_of_no_sizes_is_leased_only_what_takes_one_slot() {
    check(
        "
        hello v s1 slots=4 prefetch=2 sizes=unknown
            welcome
        submit a size=2
            accepted a
        submit b
            accepted b
        grant
            s1: run b as t1, attempt 1
        show a
            queued, NoEligibleWorker; 0 attempts, 0 losses
        explain a
            nobody; 1 v: Active sizes unknown; 0 others
            until 60000ms: TotalTimeout
        hello w s2 slots=2
            welcome
        grant
            s2: run a as t2, attempt 1
        gone s1
        hello v s3 t1 slots=4
            welcome back, t1 Retained
        submit c size=2
            accepted c
        grant
            s3: run c as t3, attempt 1
    ",
    );
}

#[test]
fn a_capacity_that_shrinks_takes_nothing_away() {
    check(
        "
        submit a size=3
            accepted a
        submit b
            accepted b
        submit c size=2
            accepted c
        hello w s1 slots=4
            welcome
        grant
            s1: run a as t1, attempt 1
            s1: run b as t2, attempt 1
        slots s1 2
        ok s1 t2
            b Succeeded; 1 attempts, 0 losses
            s1: t2 is Accepted
        submit d
            accepted d
        grant
        workers
            w/i1 Active t1 of 2, 3 taken
        ok s1 t1
            a Succeeded; 1 attempts, 0 losses
            s1: t1 is Accepted
        grant
            s1: run c as t3, attempt 1
        slots s1 1
        show c
            t3 not started; 0 attempts, 0 losses
        ok s1 t3
            c Succeeded; 1 attempts, 0 losses
            s1: t3 is Accepted
        submit e size=2
            accepted e
        show e
            queued, NoEligibleWorker; 0 attempts, 0 losses
    ",
    );
}

#[test]
fn what_outlives_its_lease_keeps_all_that_it_took() {
    check(
        "
        submit a size=3 grace=100
            accepted a
        submit b size=2
            accepted b
        hello w s1 slots=4
            welcome
        grant
            s1: run a as t1, attempt 1
        start s1 t1
        cancel a
            cancelling
            s1: stop t1, Cancelled, within 100ms
        at 1100
            a Cancelled; 0 attempts, 0 losses, Cancelled: cancelled while it was leased
        workers
            w/i1 Quarantined t1 of 4, 3 taken
        hello v s2 slots=3
            welcome
        grant
            s2: run b as t2, attempt 1
        stopped s1 t1
            t1 of a stopped 0ns late, Aborted
            s1: t1 is Stale
        workers
            v/i1 Active t2 of 3, 2 taken
            w/i1 Active  of 4
    ",
    );
}

#[test]
fn a_restart_knows_what_leases_take() {
    check(
        "
        submit a size=3 uses=gpu:1
            accepted a
        submit b size=2
            accepted b
        hello w s1 slots=4 has=gpu:1
            welcome
        grant
            s1: run a as t1, attempt 1
        start s1 t1
        restart
        workers
            w/i1 Disconnected t1 of 0, 3 gpu 1 taken
        hello w s2 t1 slots=4 has=gpu:1
            welcome back, t1 Retained
        grant
        ok s2 t1
            a Succeeded; 1 attempts, 0 losses
            s2: t1 is Accepted
        grant
            s2: run b as t2, attempt 1
    ",
    );
}

#[test]
fn what_its_worker_alone_knows_takes_what_the_worker_says() {
    check(
        "
        submit a size=3 grace=100
            accepted a
        hello w s1 slots=4
            welcome
        grant
            s1: run a as t1, attempt 1
        start s1 t1
        gone s1
        cancel a
            cancelling
        at 1100
            a Cancelled; 0 attempts, 0 losses, Cancelled: cancelled while it was leased
        restart
        hello w s2 t1 slots=4 each=3
            welcome, t1 Lost
        workers
            w/i1 Active t1 of 4, 3 taken
        submit b size=2
            accepted b
        grant
        stopped s2 t1
            s2: t1 is Stale
        grant
            s2: run b as t2, attempt 1
    ",
    );
}

#[test]
fn only_leases_of_one_slot_are_granted_ahead() {
    check(
        "
        submit a
            accepted a
        submit b size=2
            accepted b
        submit c
            accepted c
        submit d
            accepted d
        hello w s1 slots=2 prefetch=2
            welcome
        grant
            s1: run a as t1, attempt 1
            s1: run c as t2, attempt 1
            s1: run d as t3, attempt 1
        workers
            w/i1 Active t1 t2 t3 of 2
        ok s1 t1
            a Succeeded; 1 attempts, 0 losses
            s1: t1 is Accepted
        ok s1 t2
            c Succeeded; 1 attempts, 0 losses
            s1: t2 is Accepted
        grant
        ok s1 t3
            d Succeeded; 1 attempts, 0 losses
            s1: t3 is Accepted
        grant
            s1: run b as t4, attempt 1
    ",
    );
}

#[test]
fn who_was_passed_over_often_enough_has_a_worker_reserved() {
    check(
        "
        configure aging=2
        hello v s1 slots=2
            welcome
        hello w s2 slots=2
            welcome
        submit a
            accepted a
        submit b
            accepted b
        grant
            s1: run a as t1, attempt 1
            s2: run b as t2, attempt 1
        submit l size=2
            accepted l
        submit c
            accepted c
        grant
            s1: run c as t3, attempt 1
        explain l
            3 of 4 slots of 2, q/t 3, wants 2
            until 60000ms: TotalTimeout
        ok s1 t1
            a Succeeded; 1 attempts, 0 losses
            s1: t1 is Accepted
        submit d
            accepted d
        grant
            s1: run d as t4, attempt 1
        explain l
            3 of 4 slots of 2, q/t 3, wants 2, w for l
            until 60000ms: TotalTimeout
        submit e
            accepted e
        grant
        explain e
            3 of 4 slots of 2, q/t 3, w for l
            until 60000ms: TotalTimeout
        ok s2 t2
            b Succeeded; 1 attempts, 0 losses
            s2: t2 is Accepted
        grant
            s2: run l as t5, attempt 1
        explain e
            4 of 4 slots of 2, q/t 4
            until 60000ms: TotalTimeout
    ",
    );
}

#[test]
fn a_reservation_is_given_up_with_its_task_or_for_a_gate() {
    check(
        "
        configure aging=1
        hello w s1 slots=2
            welcome
        submit a
            accepted a
        grant
            s1: run a as t1, attempt 1
        submit l size=2 queue=r
            accepted l
        submit b
            accepted b
        grant
            s1: run b as t2, attempt 1
        ok s1 t2
            b Succeeded; 1 attempts, 0 losses
            s1: t2 is Accepted
        submit c
            accepted c
        grant
        explain c
            1 of 2 slots of 1, q/t 1, w for l
            until 60000ms: TotalTimeout
        pause r
        grant
            s1: run c as t3, attempt 1
        ok s1 t3
            c Succeeded; 1 attempts, 0 losses
            s1: t3 is Accepted
        resume r
        submit d
            accepted d
        grant
            s1: run d as t4, attempt 1
        ok s1 t4
            d Succeeded; 1 attempts, 0 losses
            s1: t4 is Accepted
        submit e
            accepted e
        grant
        cancel l
            l Cancelled; 0 attempts, 0 losses
        grant
            s1: run e as t5, attempt 1
    ",
    );
}

#[test]
fn what_waits_at_a_worker_is_asked_back_only_for_one_that_has_room_for_it() {
    check(
        "
        submit l size=2
            accepted l
        submit a
            accepted a
        submit b
            accepted b
        hello v s1 slots=3
            welcome
        grant
            s1: run l as t1, attempt 1
            s1: run a as t2, attempt 1
        start s1 t2
        gone s1
        hello v s2 t2:running t1:pending slots=2
            welcome back, t2 Retained, t1 Retained
        hello w s3 slots=2
            welcome
        grant
            s3: run b as t3, attempt 1
        grant
        ok s3 t3
            b Succeeded; 1 attempts, 0 losses
            s3: t3 is Accepted
        grant
            s2: give back t1 unless started
        decline s2 t1 retracted
            s2: t1 is Accepted
        explain l
            1 of 4 slots of 2, q/t 1, wants 2 which is left
            until 60000ms: TotalTimeout
        grant
            s3: run l as t4, attempt 1
    ",
    );
}
