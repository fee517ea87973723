//! What a worker may not say, and how it is understood.

use std::time::Duration;

use leasehold_proto::v1::{self, worker_event::Event};
use leasehold_queue::{Command, Progress, StreamId, Token};

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

#[test]
fn a_checkpoint_alone_says_nothing_of_the_progress() {
    let said = |fraction, message: &str, checkpoint: Option<&'static str>| v1::Progress {
        fraction,
        message: message.to_owned(),
        checkpoint: checkpoint.map(Into::into),
    };
    let shown = |fraction, message: &str| Some(Progress { fraction, message: message.into() });
    let cases = [
        (None, None, None),
        (Some(said(None, "", None)), shown(None, ""), None),
        (Some(said(Some(2.0), "half", None)), shown(Some(1.0), "half"), None),
        (Some(said(None, "", Some("60"))), None, Some("60")),
        (Some(said(None, "", Some(""))), None, Some("")),
        (Some(said(None, "half", Some("60"))), shown(None, "half"), Some("60")),
        (Some(said(Some(f64::NAN), "", Some("60"))), shown(None, ""), Some("60")),
    ];
    for (progress, expected, saved) in cases {
        let expected = if progress.is_none() { shown(None, "") } else { expected };
        let report = v1::LeaseProgress { fencing_token: 9, progress: progress.clone() };
        let event = v1::WorkerEvent { event: Some(Event::LeaseProgress(report)) };
        let Ok(Some(Liveness::Progress { stream, token, progress: told, checkpoint })) =
            read(StreamId(1), event, 0)
        else {
            panic!("{progress:?} is not understood")
        };
        assert_eq!((stream, token), (StreamId(1), Token::from_i64(9)));
        assert_eq!(told, expected, "{progress:?}");
        assert_eq!(checkpoint.as_deref(), saved.map(str::as_bytes), "{progress:?}");
    }
}
