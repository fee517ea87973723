//! Leases beyond the slots of a worker, and how they come back.

use super::check;

#[test]
fn leases_are_granted_ahead_only_where_nobody_has_a_slot() {
    check(
        "
        submit a
            accepted a
        submit b
            accepted b
        submit c
            accepted c
        submit d
            accepted d
        hello v s1 slots=1 prefetch=1
            welcome
        hello w s2 slots=1
            welcome
        grant
            s1: run a as t1, attempt 1
            s2: run b as t2, attempt 1
            s1: run c as t3, attempt 1
        show d
            queued, NoCapacity; 0 attempts, 0 losses
    ",
    );
}

#[test]
fn the_start_of_a_lease_that_waits_for_a_slot_is_not_waited_for() {
    check(
        "
        submit a attempt=5000
            accepted a
        submit b
            accepted b
        hello w s1 prefetch=1
            welcome
        grant
            s1: run a as t1, attempt 1
            s1: run b as t2, attempt 1
        start s1 t1
        at 1500
        beat s1 t1 t2
        at 1900
        show b
            t2 not started; 0 attempts, 0 losses
        ok s1 t1
            a Succeeded; 1 attempts, 0 losses
            s1: t1 is Accepted
        at 2299
        at 2300
            s1: stop t2, StartTimeout, within 300ms
        stopped s1 t2
            s1: t2 is Accepted
        show b
            queued, NoCapacity; 0 attempts, 0 losses, StartTimeout: the worker did not start it in time
    ",
    );
}

#[test]
fn an_idle_worker_gets_what_waits_elsewhere() {
    check(
        "
        submit a
            accepted a
        submit b priority=3
            accepted b
        submit c priority=2
            accepted c
        hello v s1 prefetch=2
            welcome
        grant
            s1: run c as t1, attempt 1
            s1: run b as t2, attempt 1
            s1: run a as t3, attempt 1
        start s1 t1
        hello w s2
            welcome
        grant
            s1: give back t2 unless started
        grant
        decline s1 t2 retracted
            s1: t2 is Accepted
        show b
            queued, NoCapacity; 0 attempts, 0 losses
        grant
            s2: run b as t4, attempt 1
        grant
        ok s1 t1
            c Succeeded; 1 attempts, 0 losses
            s1: t1 is Accepted
    ",
    );
}

#[test]
fn what_has_started_is_not_given_back_and_another_one_is_asked_for() {
    check(
        "
        submit a
            accepted a
        submit b
            accepted b
        submit c
            accepted c
        hello v s1 prefetch=2
            welcome
        grant
            s1: run a as t1, attempt 1
            s1: run b as t2, attempt 1
            s1: run c as t3, attempt 1
        start s1 t1
        hello w s2
            welcome
        grant
            s1: give back t2 unless started
        ok s1 t1
            a Succeeded; 1 attempts, 0 losses
            s1: t1 is Accepted
        start s1 t2
        grant
            s1: give back t3 unless started
    ",
    );
}

#[test]
fn a_more_urgent_task_takes_the_place_of_what_waits() {
    check(
        "
        submit a
            accepted a
        submit b priority=6
            accepted b
        submit c priority=7
            accepted c
        hello v s1 prefetch=2
            welcome
        grant
            s1: run a as t1, attempt 1
            s1: run b as t2, attempt 1
            s1: run c as t3, attempt 1
        start s1 t1
        submit d priority=1
            accepted d
        grant
            s1: give back t3 unless started
        grant
        decline s1 t3 retracted
            s1: t3 is Accepted
        grant
            s1: run d as t4, attempt 1
            s1: give back t2 unless started
        decline s1 t2 retracted
            s1: t2 is Accepted
        grant
            s1: run b as t5, attempt 1
    ",
    );
}

#[test]
fn being_taken_back_does_not_use_up_leases() {
    let opening = "
        submit a priority=1
            accepted a
        submit b priority=9
            accepted b
        hello v s1 prefetch=1
            welcome
        grant
            s1: run a as t1, attempt 1
            s1: run b as t2, attempt 1
        start s1 t1
        ";
    // Four leases are all that a task may have here.
    let rounds = (0..6).map(|round| {
        let (lease, urgent, again) = (2 * round + 2, 2 * round + 3, 2 * round + 4);
        format!(
            "
        submit u{round} priority=2
            accepted u{round}
        grant
            s1: give back t{lease} unless started
        decline s1 t{lease} retracted
            s1: t{lease} is Accepted
        grant
            s1: run u{round} as t{urgent}, attempt 1
        cancel u{round}
            cancelling
            s1: stop t{urgent}, Cancelled, within 300ms
        stopped s1 t{urgent}
            u{round} Cancelled; 0 attempts, 0 losses, Cancelled: cancelled while it was leased
            s1: t{urgent} is Accepted
        grant
            s1: run b as t{again}, attempt 1
        "
        )
    });
    let script: Vec<String> = [opening.to_owned()].into_iter().chain(rounds).collect();
    check(&script.concat());
}

#[test]
fn giving_back_unasked_costs_a_lease() {
    check(
        "
        submit a
            accepted a
        hello w s1
            welcome
        grant
            s1: run a as t1, attempt 1
        decline s1 t1 retracted
            s1: t1 is Accepted
        show a
            queued, NoCapacity; 0 attempts, 0 losses, HandedBack: the worker gave it back unasked
    ",
    );
}

#[test]
fn a_worker_that_declines_for_being_late_is_avoided_once() {
    check(
        "
        submit a
            accepted a
        hello v s1
            welcome
        hello w s2 slots=2
            welcome
        grant
            s1: run a as t1, attempt 1
        decline s1 t1 late
            s1: t1 is Accepted
        show a
            queued, NoCapacity; 0 attempts, 0 losses, StartTimeout: the worker did not start it in time
        grant
            s2: run a as t2, attempt 1
        decline s2 t2 late
            s2: t2 is Accepted
        grant
            s1: run a as t3, attempt 1
    ",
    );
}

#[test]
fn after_a_hello_what_is_pending_lines_up_behind_what_runs() {
    check(
        "
        submit a attempt=9000
            accepted a
        submit b
            accepted b
        submit c
            accepted c
        hello v s1 slots=2 prefetch=1
            welcome
        grant
            s1: run a as t1, attempt 1
            s1: run b as t2, attempt 1
            s1: run c as t3, attempt 1
        at 100
        hello v s2 slots=2 prefetch=1 t1:running t2:pending t3:pending
            welcome back, t1 Retained, t2 Retained, t3 Retained
            s1: closed, Replaced
        at 500
            s2: stop t2, StartTimeout, within 300ms
        show c
            t3 not started; 0 attempts, 0 losses
        hello w s3
            welcome
        grant
            s2: give back t3 unless started
        gone s2
        grant
        workers
            v/i1 Disconnected t1 t2 t3 of 2
            w/i1 Active  of 1
    ",
    );
}

#[test]
fn a_quarantined_worker_gives_back_what_it_has_not_started() {
    check(
        "
        submit a
            accepted a
        submit b
            accepted b
        hello v s1 prefetch=1
            welcome
        grant
            s1: run a as t1, attempt 1
            s1: run b as t2, attempt 1
        start s1 t1
        cancel a
            cancelling
            s1: stop t1, Cancelled, within 300ms
        at 800
            s1: give back t2 unless started
        workers
            v/i1 Quarantined t1 t2 of 1
        decline s1 t2 retracted
            s1: t2 is Accepted
        show b
            queued, NoEligibleWorker; 0 attempts, 0 losses
    ",
    );
}

#[test]
fn an_idle_worker_does_not_wait_for_what_was_revoked() {
    check(
        "
        submit a
            accepted a
        submit b
            accepted b
        submit c
            accepted c
        hello v s1 prefetch=2
            welcome
        grant
            s1: run a as t1, attempt 1
            s1: run b as t2, attempt 1
            s1: run c as t3, attempt 1
        start s1 t1
        hello w s2
            welcome
        grant
            s1: give back t2 unless started
        cancel b
            cancelling
            s1: stop t2, Cancelled, within 300ms
        grant
            s1: give back t3 unless started
        grant
    ",
    );
}

#[test]
fn a_task_that_displaces_another_does_not_wait_for_what_was_revoked() {
    check(
        "
        submit a
            accepted a
        submit b priority=6
            accepted b
        submit c priority=7
            accepted c
        hello v s1 prefetch=2
            welcome
        grant
            s1: run a as t1, attempt 1
            s1: run b as t2, attempt 1
            s1: run c as t3, attempt 1
        start s1 t1
        submit d priority=1
            accepted d
        grant
            s1: give back t3 unless started
        revoke t3
            s1: stop t3, Operator, within 300ms
        grant
            s1: give back t2 unless started
        grant
    ",
    );
}

#[test]
fn an_idle_worker_does_not_wait_for_one_that_does_not_answer() {
    check(
        "
        submit a
            accepted a
        submit b
            accepted b
        submit c
            accepted c
        submit d
            accepted d
        hello v s1 prefetch=1
            welcome
        hello x s2 prefetch=1
            welcome
        grant
            s1: run a as t1, attempt 1
            s2: run b as t2, attempt 1
            s1: run c as t3, attempt 1
            s2: run d as t4, attempt 1
        start s1 t1
        start s2 t2
        hello w s3
            welcome
        grant
            s1: give back t3 unless started
        cancel a
            cancelling
            s1: stop t1, Cancelled, within 300ms
        grant
        at 800
        grant
            s2: give back t4 unless started
        decline s1 t3 retracted
            s1: t3 is Accepted
        decline s2 t4 retracted
            s2: t4 is Accepted
        grant
            s3: run c as t5, attempt 1
            s2: run d as t6, attempt 1
    ",
    );
}

#[test]
fn a_paused_queue_keeps_what_waits_where_it_is() {
    check(
        "
        submit a
            accepted a
        submit b queue=other
            accepted b
        hello v s1 prefetch=1
            welcome
        grant
            s1: run a as t1, attempt 1
            s1: run b as t2, attempt 1
        start s1 t1
        pause other
        hello w s2
            welcome
        grant
        resume other
        grant
            s1: give back t2 unless started
    ",
    );
}

#[test]
fn more_slots_start_what_waits_and_none_take_nothing_ahead() {
    check(
        "
        submit a
            accepted a
        submit b
            accepted b
        hello v s1 prefetch=1
            welcome
        grant
            s1: run a as t1, attempt 1
            s1: run b as t2, attempt 1
        slots s1 2
        at 400
            s1: stop t1, StartTimeout, within 300ms
            s1: stop t2, StartTimeout, within 300ms
        submit c
            accepted c
        hello w s2 slots=0 prefetch=3
            welcome
        grant
    ",
    );
}

#[test]
fn work_of_a_lost_lease_takes_a_place_though_others_wait_for_slots() {
    check(
        "
        submit a grace=300
            accepted a
        submit b
            accepted b
        hello w s1 prefetch=1
            welcome
        grant
            s1: run a as t1, attempt 1
            s1: run b as t2, attempt 1
        start s1 t1
        cancel a
            cancelling
            s1: stop t1, Cancelled, within 300ms
        at 1300
            s1: give back t2 unless started
            a Cancelled; 0 attempts, 0 losses, Cancelled: cancelled while it was leased
        restart
        hello w s2 prefetch=1 t2:pending t1:running
            welcome back, t2 Retained, t1 Lost
        submit c
            accepted c
        grant
    ",
    );
}

#[test]
fn a_word_about_the_lease_of_another_worker_does_not_make_its_way_back_cost_anything() {
    check(
        "
        submit a
            accepted a
        submit b
            accepted b
        hello v s1 prefetch=1
            welcome
        grant
            s1: run a as t1, attempt 1
            s1: run b as t2, attempt 1
        start s1 t1
        hello w s2
            welcome
        grant
            s1: give back t2 unless started
        ok s2 t2
            s2: t2 is Stale
        decline s1 t2 retracted
            s1: t2 is Accepted
        ends b
            t2 g1 a1 on v: granted 0ms, ended 0ms Retracted NotStarted, charged Nothing: taken back before it started
    ",
    );
}
