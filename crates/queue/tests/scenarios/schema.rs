//! Whose payloads are read by whom.

use super::check;

#[test]
fn a_payload_waits_for_a_worker_that_reads_it() {
    check(
        "
        submit a schema=x
            accepted a
        show a
            queued, NoEligibleWorker; 0 attempts, 0 losses
        hello w s1 slots=2 reads=t:yz
            welcome
        grant
        show a
            queued, NoEligibleWorker but yz; 0 attempts, 0 losses
        hello v s2 reads=t:x
            welcome
        show a
            queued, NoCapacity; 0 attempts, 0 losses
        grant
            s2: run a as t1, attempt 1
    ",
    );
}

#[test]
fn who_names_no_schema_of_a_type_reads_every_one_and_every_one_reads_what_names_none() {
    check(
        "
        hello w s1 types=t,u slots=4 reads=t:x
            welcome
        submit a
            accepted a
        submit b type=u schema=y
            accepted b
        submit c schema=y
            accepted c
        grant
            s1: run a as t1, attempt 1
            s1: run b as t2, attempt 1
        show c
            queued, NoEligibleWorker but x; 0 attempts, 0 losses
        hello v s2 slots=1
            welcome
        grant
            s2: run c as t3, attempt 1
    ",
    );
}

#[test]
fn a_worker_that_comes_back_reads_what_it_says_then() {
    check(
        "
        hello w s1 reads=t:x
            welcome
        submit a schema=y
            accepted a
        grant
        gone s1
        show a
            queued, NoEligibleWorker; 0 attempts, 0 losses
        hello w s2 reads=t:xy
            welcome back
        grant
            s2: run a as t1, attempt 1
    ",
    );
}

#[test]
fn what_waits_for_a_reader_holds_up_nobody_behind_it() {
    check(
        "
        hello w s1 reads=t:x
            welcome
        submit a schema=y priority=0
            accepted a
        submit b schema=x priority=9
            accepted b
        grant
            s1: run b as t1, attempt 1
    ",
    );
}

#[test]
fn what_is_leased_ahead_goes_back_only_for_who_reads_it() {
    check(
        "
        hello w s1 slots=1 prefetch=1 reads=t:x
            welcome
        submit a schema=x
            accepted a
        submit b schema=x
            accepted b
        grant
            s1: run a as t1, attempt 1
            s1: run b as t2, attempt 1
        hello v s2 reads=t:y
            welcome
        grant
        hello u s3 reads=t:xy
            welcome
        grant
            s1: give back t2 unless started
    ",
    );
}
