//! Work that asks for more time.

use leasehold_proto::v1::Verdict::Retained;

use super::{
    Step::{self, *},
    check_connected,
};

/// An attempt that may run for a second, with a grace of 100 ms.
const BRIEF: Step = AssignWithin(1, [10_000, 1_000, 3_600_000, 100]);

#[test]
fn an_answer_moves_the_limit_and_counts_from_the_request() {
    check_connected(
        &[
            (0, BRIEF),
            (500, Ask(1, 2_000)),
            (900, Extended(1, Some(2_000))),
            (950, Extended(1, Some(60_000))),
            (2_550, Wait),
        ],
        &[
            "0 start 1",
            "0 say started 1",
            "500 say extend 1 by 2000 ms",
            "900 postpone 1 to 2500",
            "900 answer 1: Granted",
            "2500 cancel 1: attempt timeout",
        ],
    );
}

#[test]
fn nothing_moves_before_the_answer_or_after_a_refusal() {
    for late in [Some(5_000), None] {
        check_connected(
            &[(0, BRIEF), (900, Ask(1, 5_000)), (1_010, Extended(1, late)), (1_050, Wait)],
            &[
                "0 start 1",
                "0 say started 1",
                "900 say extend 1 by 5000 ms",
                "1000 cancel 1: attempt timeout",
            ],
        );
    }
    check_connected(
        &[
            (0, BRIEF),
            (900, Ask(1, 5_000)),
            (910, Extended(1, None)),
            (1_010, Ask(1, 5_000)),
            (1_050, Wait),
        ],
        &[
            "0 start 1",
            "0 say started 1",
            "900 say extend 1 by 5000 ms",
            "910 answer 1: Refused",
            "1000 cancel 1: attempt timeout",
        ],
    );
}

#[test]
fn an_answer_takes_no_time_away_and_the_whole_task_has_its_own() {
    check_connected(
        &[
            (0, AssignWithin(1, [10_000, 1_000, 1_500, 100])),
            (100, Ask(1, 0)),
            (200, Extended(1, Some(1))),
            (500, Ask(1, 5_000)),
            (600, Extended(1, Some(5_000))),
            (1_550, Wait),
        ],
        &[
            "0 start 1",
            "0 say started 1",
            "100 say extend 1 by 1 ms",
            "200 postpone 1 to 1000",
            "200 answer 1: Granted",
            "500 say extend 1 by 5000 ms",
            "600 postpone 1 to 1500",
            "600 answer 1: Granted",
            "1500 cancel 1: total timeout",
        ],
    );
}

#[test]
fn a_request_is_repeated_on_a_new_stream_for_what_is_left_of_it() {
    check_connected(
        &[
            (0, BRIEF),
            (500, Ask(1, 2_000)),
            (600, Down),
            (700, Up),
            (700, Welcome("j", 7, &[(1, Retained)])),
            (800, Extended(1, Some(1_800))),
            (2_550, Wait),
        ],
        &[
            "0 start 1",
            "0 say started 1",
            "500 say extend 1 by 2000 ms",
            "600 connect",
            "700 say hello journal=j epoch=7 held=[1 running]",
            "700 say extend 1 by 1800 ms",
            "800 postpone 1 to 2500",
            "800 answer 1: Granted",
            "2500 cancel 1: attempt timeout",
        ],
    );
}

#[test]
fn who_asks_anew_waits_for_the_answer_to_that() {
    check_connected(
        &[
            (0, BRIEF),
            (500, Ask(1, 2_000)),
            (550, Ask(1, 9_000)),
            (600, Extended(1, Some(2_000))),
            (700, Extended(1, Some(8_950))),
        ],
        &[
            "0 start 1",
            "0 say started 1",
            "500 say extend 1 by 2000 ms",
            "600 postpone 1 to 2500",
            "600 say extend 1 by 8950 ms",
            "700 postpone 1 to 9550",
            "700 answer 1: Granted",
        ],
    );
}
