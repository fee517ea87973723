//! The stream's own life: welcome, heartbeats, silence, go-away, refusal.

use leasehold_proto::v1::GoAwayReason::{Replaced, Shutdown, SlowConsumer};

use super::{Step::*, check, check_connected, play};

#[test]
fn heartbeats_carry_every_token_held_or_unanswered() {
    check(
        &[
            (0, Up),
            (0, Welcome("j", 7, &[])),
            (1, Assign(1)),
            (1, Assign(2)),
            (2, Done(1, 1)),
            (5_000, Beat(1)),
            (10_000, Beat(2)),
        ],
        &[
            "0 connect",
            "0 say hello journal= epoch=0 held=[]",
            "1 start 1",
            "1 say started 1",
            "1 start 2",
            "1 say started 2",
            "2 say outcome 1 success of 1 bytes",
            "5000 say heartbeat 1 [2, 1]",
            "10000 say heartbeat 2 [2, 1]",
        ],
    );
}

#[test]
fn nothing_is_acted_upon_before_the_welcome() {
    check(
        &[(0, Up), (1, Assign(1)), (2, Beat(1)), (3, DrainRequest(0)), (4, Welcome("j", 7, &[]))],
        &["0 connect", "0 say hello journal= epoch=0 held=[]"],
    );
}

#[test]
fn a_stream_without_a_welcome_is_given_up() {
    check(
        &[(0, Up), (9_999, Wait), (10_000, Wait)],
        &["0 connect", "0 say hello journal= epoch=0 held=[]", "10000 disconnect"],
    );
}

#[test]
fn a_silent_stream_is_given_up() {
    check(
        &[(0, Up), (0, Welcome("j", 7, &[])), (5_100, Beat(1)), (15_099, Wait), (15_101, Wait)],
        &[
            "0 connect",
            "0 say hello journal= epoch=0 held=[]",
            "5000 say heartbeat 1 []",
            "10000 say heartbeat 2 []",
            "15000 say heartbeat 3 []",
            "15100 disconnect",
            "15100 connect",
        ],
    );
}

#[test]
fn a_go_away_says_when_to_come_back() {
    for reason in [Shutdown, SlowConsumer] {
        check_connected(
            &[(1, Assign(1)), (10, GoAway(reason, 700)), (709, Wait), (710, Wait), (720, Up)],
            &[
                "1 start 1",
                "1 say started 1",
                "10 disconnect",
                "710 connect",
                "720 say hello journal=j epoch=7 held=[1 running]",
            ],
        );
    }
}

#[test]
fn a_worker_that_cannot_stay_says_why() {
    let script = [
        (10, GoAway(Replaced, 0)),
        (11, Up),
        (12, GoAway(Replaced, 0)),
        (11_250, Up),
        (11_259, GoAway(Replaced, 0)),
        (11_260, Up),
        (11_261, GoAway(Replaced, 0)),
    ];
    // What took its place may be dead: it is tried for a while, but not until its session, heard last at -5 s, is over.
    check_connected(
        &script,
        &[
            "10 disconnect",
            "10 connect",
            "11 say hello journal=j epoch=7 held=[]",
            "12 disconnect",
            "12 connect",
            "11250 say hello journal=j epoch=7 held=[]",
            "11259 disconnect",
            "11259 connect",
            "11260 say hello journal=j epoch=7 held=[]",
            "11261 exit: worker id \"w\" is in use by another process: give each worker an id of its own",
        ],
    );
    check(&[(5, Refused)], &["0 connect", "5 exit: the coordinator refused the worker: no"]);
    // Once there was a welcome there is something to lose by leaving.
    check_connected(&[(5, Refused), (6, Wait)], &["5 connect"]);
}

#[test]
fn the_waits_between_attempts_grow_up_to_a_cap() {
    let mut waits = Vec::new();
    let mut script = Vec::new();
    for round in 1..=40 {
        script.push((round * 20_000, Down));
        script.push((round * 20_000 + 10_000, Wait));
        waits.push(round * 20_000);
    }
    let connects: Vec<u64> = play(super::Stage::new(0, crate::OnSessionLost::Stop), &script)
        .iter()
        .filter_map(|line| line.strip_suffix(" connect")?.parse().ok())
        .collect();
    assert_eq!(connects.len(), 41, "one attempt a failure, and each within the cap");
    let waits: Vec<u64> = connects.iter().skip(1).map(|it| it % 20_000).collect();
    let limits = (0..40).map(|n| (250 << n.min(6)).min(10_000));
    for (wait, limit) in waits.iter().zip(limits) {
        assert!(*wait <= limit, "{wait} ms is more than {limit} ms in {waits:?}");
    }
    assert!(waits.iter().any(|it| *it > 5_000), "the ceiling grows: {waits:?}");
}
