//! Work that saves where the next attempt can go on from.

use leasehold_proto::v1::Verdict::Retained;

use super::{
    Step::{self, *},
    check, check_connected,
};

const BEGUN: [(u64, Step); 1] = [(0, Assign(1))];

fn begun(steps: &[(u64, Step)]) -> Vec<(u64, Step)> {
    BEGUN.iter().chain(steps).cloned().collect()
}

#[test]
fn it_is_said_at_once_and_before_an_end_that_leads_to_another_attempt() {
    check_connected(
        &begun(&[(10, Save(1, "30")), (20, Save(1, "60")), (30, Failed(1))]),
        &[
            "0 start 1",
            "0 say started 1",
            "10 say progress 1 saved 30",
            "20 say progress 1 saved 60",
            "30 say progress 1 saved 60",
            "30 say outcome 1 FAILURE_REASON_ERROR: no luck",
        ],
    );
    check_connected(
        &begun(&[(20, Save(1, "60")), (30, Done(1, 2))]),
        &[
            "0 start 1",
            "0 say started 1",
            "20 say progress 1 saved 60",
            "30 say outcome 1 success of 2 bytes",
        ],
    );
}

#[test]
fn of_what_could_not_be_said_the_newest_is_beside_the_newest_progress() {
    check_connected(
        &begun(&[
            (10, Stuck),
            (10, Save(1, "30")),
            (20, Progress(1)),
            (30, Save(1, "60")),
            (40, Free),
            (50, Save(1, "90")),
        ]),
        &[
            "0 start 1",
            "0 say started 1",
            "40 say progress 1 0.5 saved 60",
            "50 say progress 1 saved 90",
        ],
    );
}

#[test]
fn a_new_stream_hears_it_again_and_a_lease_that_ended_meanwhile_says_it_before_its_outcome() {
    check(
        &[
            (0, Up),
            (0, Welcome("j", 7, &[])),
            (0, Beats),
            (0, Assign(1)),
            (0, Assign(2)),
            (10, Save(1, "60")),
            (10, Save(2, "70")),
            (20, Down),
            (30, Failed(2)),
            (40, Up),
            (50, Welcome("j", 7, &[(1, Retained), (2, Retained)])),
        ],
        &[
            "0 connect",
            "0 say hello journal= epoch=0 held=[]",
            "0 start 1",
            "0 say started 1",
            "0 start 2",
            "0 say started 2",
            "10 say progress 1 saved 60",
            "10 say progress 2 saved 70",
            "20 connect",
            "40 say hello journal=j epoch=7 held=[1 running, 2 finished]",
            "40 say progress 2 saved 70",
            "40 say outcome 2 FAILURE_REASON_ERROR: no luck",
            "50 say progress 1 saved 60",
        ],
    );
}

#[test]
fn what_was_not_started_or_is_over_has_nothing_to_say() {
    check_connected(
        &begun(&[(10, Done(1, 2)), (20, Save(1, "60")), (20, Save(7, "60"))]),
        &["0 start 1", "0 say started 1", "10 say outcome 1 success of 2 bytes"],
    );
}
