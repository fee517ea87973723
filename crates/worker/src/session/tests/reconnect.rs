//! What survives a stream: leases, outcomes, and nothing else.

use bytes::Bytes;
use leasehold_proto::v1::{
    self,
    ResultDisposition::{Accepted, Duplicate, Stale},
    Verdict::{Lost, Retained},
    lease_outcome::Outcome,
};
use prost::Message as _;

use super::{Stage, Step::*, check_connected};
use crate::session::outbox::Letter;

#[test]
fn a_hello_carries_the_inventory_and_every_unanswered_outcome() {
    check_connected(
        &[
            (1, Assign(1)),
            (1, Assign(2)),
            (1, Assign(3)),
            (1, Assign(4)),
            (1, Assign(5)),
            (10, Done(1, 5)),
            (11, Done(2, 6)),
            (12, Answer(2, Accepted)),
            (20, Down),
            (30, Failed(3)),
            (31, Done(4, 2)),
            (32, Up),
            (50, Welcome("j", 7, &[(1, Retained), (3, Retained), (4, Retained), (5, Retained)])),
            (60, Answer(1, Duplicate)),
            (61, Answer(3, Accepted)),
            (70, Done(5, 1)),
        ],
        &[
            "1 start 1",
            "1 say started 1",
            "1 start 2",
            "1 say started 2",
            "10 start 3",
            "10 say outcome 1 success of 5 bytes",
            "10 say started 3",
            "11 start 4",
            "11 say outcome 2 success of 6 bytes",
            "11 say started 4",
            "20 connect",
            "30 start 5",
            "32 say hello journal=j epoch=7 held=[5 running, 1 finished, 3 finished, 4 finished]",
            "32 say outcome 1 success of 5 bytes",
            "32 say outcome 3 FAILURE_REASON_ERROR: no luck",
            "32 say outcome 4 success of 2 bytes",
            "70 say outcome 5 success of 1 bytes",
        ],
    );
}

#[test]
fn a_lost_lease_is_stopped_but_what_has_finished_is_still_said() {
    check_connected(
        &[
            (1, Assign(1)),
            (1, Assign(2)),
            (1, Assign(3)),
            (1, Assign(4)),
            (10, Done(1, 5)),
            (20, Down),
            (40, Up),
            (50, Welcome("j", 8, &[(1, Lost), (2, Lost), (3, Retained), (4, Lost)])),
            (60, Answer(1, Stale)),
            (3_000, Aborted(2)),
        ],
        &[
            "1 start 1",
            "1 say started 1",
            "1 start 2",
            "1 say started 2",
            "10 start 3",
            "10 say outcome 1 success of 5 bytes",
            "10 say started 3",
            "20 connect",
            "40 say hello journal=j epoch=7 held=[2 running, 3 running, 4 pending, 1 finished]",
            "40 say outcome 1 success of 5 bytes",
            "50 cancel 2: lease lost",
            "2050 kill 2: lease lost",
            "3000 say outcome 2 STOP_METHOD_ABORTED, started true",
        ],
    );
}

#[test]
fn a_superseded_coordinator_is_left() {
    check_connected(
        &[
            (1, Assign(1)),
            (2, Done(1, 1)),
            (20, Down),
            (30, Up),
            (40, Welcome("j", 6, &[(1, Lost)])),
            (50, Up),
            (60, Welcome("j", 7, &[(1, Retained)])),
        ],
        &[
            "1 start 1",
            "1 say started 1",
            "2 say outcome 1 success of 1 bytes",
            "20 connect",
            "30 say hello journal=j epoch=7 held=[1 finished]",
            "30 say outcome 1 success of 1 bytes",
            "40 disconnect",
            "40 connect",
            "50 say hello journal=j epoch=7 held=[1 finished]",
            "50 say outcome 1 success of 1 bytes",
        ],
    );
}

#[test]
fn nothing_of_another_journal_is_kept() {
    check_connected(
        &[
            (1, Assign(1)),
            (1, Assign(2)),
            (1, Assign(3)),
            (2, Done(1, 1)),
            (20, Down),
            (30, Up),
            (40, Welcome("other", 1, &[(1, Lost), (2, Lost), (3, Lost)])),
            (50, Done(2, 1)),
            (51, Aborted(3)),
            (60, Down),
            (61, Up),
        ],
        &[
            "1 start 1",
            "1 say started 1",
            "1 start 2",
            "1 say started 2",
            "2 start 3",
            "2 say outcome 1 success of 1 bytes",
            "2 say started 3",
            "20 connect",
            "30 say hello journal=j epoch=7 held=[2 running, 3 running, 1 finished]",
            "30 say outcome 1 success of 1 bytes",
            "40 kill 2: lease lost",
            "40 kill 3: lease lost",
            "60 connect",
            "61 say hello journal=other epoch=1 held=[]",
        ],
    );
}

/// What the coordinator takes in one message beside the frame around it.
const MESSAGE_BYTES: usize = 4 << 20;

#[test]
fn whatever_waits_in_the_outbox_every_frame_can_be_taken() {
    let kib = |n: usize| n << 10;
    for sizes in [
        vec![kib(100), MESSAGE_BYTES],
        vec![MESSAGE_BYTES, MESSAGE_BYTES],
        vec![kib(100); 20],
        vec![1, kib(256), 1, MESSAGE_BYTES, 1],
    ] {
        let mut stage = Stage::new(0, crate::OnSessionLost::Stop);
        stage.happen(&Up);
        stage.settle();
        stage.happen(&Welcome("j", 7, &[]));
        stage.session.terms.limits.result_bytes = MESSAGE_BYTES;
        stage.happen(&Down);
        stage.settle();
        for (n, bytes) in (0_i64..).zip(&sizes) {
            let result = Bytes::from(vec![b'x'; *bytes]);
            let outcome = Some(Outcome::Success(v1::Success { result }));
            let outcome = v1::LeaseOutcome { fencing_token: n, outcome, run_time: None };
            stage.session.outbox.put(Letter::new(String::new(), None, outcome));
        }
        stage.tick();
        stage.happen(&Up);
        let mut said = 0;
        while let Some(frame) = stage.frame() {
            let (bytes, events) = (frame.encoded_len(), frame.events.len());
            assert!(bytes <= MESSAGE_BYTES + kib(1), "{sizes:?}: {events} events, {bytes} bytes");
            said += events;
        }
        assert_eq!(said, sizes.len() + 1, "a hello and every outcome");
    }
}
