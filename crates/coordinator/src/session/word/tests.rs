//! What a worker may not say.

use std::time::Duration;

use leasehold_proto::v1::{self, worker_event::Event};
use leasehold_queue::{Command, StreamId, Token};

use super::{EXTENSION_RULE, read};
use crate::request::Liveness;

const YEAR: i64 = 365 * 24 * 3_600;

#[test]
fn more_time_is_more_than_nothing_and_at_most_a_year() {
    let cases = [
        (None, None),
        (Some((0, 0)), None),
        (Some((-1, 0)), None),
        (Some((0, -1)), None),
        (Some((i64::MIN, 0)), None),
        (Some((YEAR, 1)), None),
        (Some((i64::MAX, 0)), None),
        (Some((0, 1)), Some(Duration::from_nanos(1))),
        (Some((YEAR, 0)), Some(Duration::from_hours(365 * 24))),
    ];
    for (sent, expected) in cases {
        let remaining = sent.map(|(seconds, nanos)| prost_types::Duration { seconds, nanos });
        let ask = v1::ExtendLease { fencing_token: 9, remaining };
        let event = v1::WorkerEvent { event: Some(Event::ExtendLease(ask)) };
        match (read(StreamId(1), event, 0), expected) {
            (Ok(Some(Liveness::Event(Command::Extend { token, remaining, .. }))), expected) => {
                assert_eq!((token, Some(remaining)), (Token::from_i64(9), expected), "{sent:?}");
            }
            (Err(refusal), None) => {
                assert_eq!(
                    (refusal.name(), &*refusal.message),
                    ("PROTOCOL_VIOLATION", EXTENSION_RULE)
                );
            }
            (other, _) => panic!("{sent:?}: {other:?}"),
        }
    }
}
