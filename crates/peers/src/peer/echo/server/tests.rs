//! What a frame holds.

use std::sync::Arc;

use bytes::Bytes;
use leasehold_proto::v1::{
    Assignment, ConnectResponse, SubmitTaskRequest, TaskSpec, coordinator_event::Event as Said,
};

use super::{super::outcome, FIRST_TOKEN, FRAME_EVENTS_MAX, Lease, Likeness, Session};
use crate::peer::echo::frame;

/// How many leases a frame ends, and how many it makes.
fn counts(frame: Option<ConnectResponse>) -> Option<(usize, usize)> {
    let events = frame?.events;
    let acks = events.iter().filter(|it| matches!(it.event, Some(Said::ResultAck(_)))).count();
    Some((acks, events.len() - acks))
}

fn lease(number: u64) -> Lease {
    Lease { number, payload: Bytes::new(), likeness: Arc::new(Likeness::default()) }
}

fn outcomes(sequence: i64, tokens: std::ops::Range<i64>) -> super::ConnectRequest {
    frame(sequence, 0, tokens.map(outcome).collect())
}

#[test]
fn no_more_is_assigned_than_there_are_slots() {
    let mut session = Session { free: 1_000, ..Session::default() };
    assert_eq!(counts(session.frame()), None, "nothing is to be said");
    session.waiting.extend((0..3_000).map(lease));
    assert_eq!(counts(session.frame()), Some((0, 1_000)));
    assert_eq!(counts(session.frame()), None, "every slot is taken");
    session.hear(outcomes(2, 0..256));
    assert_eq!(counts(session.frame()), Some((256, 256)));
    // A few slots alone are kept until there are more.
    session.hear(outcomes(3, 0..120));
    assert_eq!(counts(session.frame()), Some((120, 0)));
    session.hear(outcomes(4, 0..80));
    assert_eq!(counts(session.frame()), Some((80, 200)));
    for sequence in 5..10 {
        session.hear(outcomes(sequence, 0..256));
    }
    assert_eq!(counts(session.frame()), Some((FRAME_EVENTS_MAX, 0)));
    assert_eq!(counts(session.frame()), Some((5 * 256 - FRAME_EVENTS_MAX, 768)));
    assert_eq!((session.sent, session.heard), (6, 9));
}

#[test]
fn a_frame_says_once_what_its_tasks_have_in_common() -> Result<(), tonic::Status> {
    let mut session = Session { free: 9, ..Session::default() };
    for (number, queue) in (0..).zip(["a", "a", "b"]) {
        let spec = TaskSpec { queue: queue.to_owned(), ..TaskSpec::default() };
        let request = SubmitTaskRequest { spec: Some(spec.into()), ..SubmitTaskRequest::default() };
        session.waiting.push_back(Lease::new(number, request, None)?);
        let request = SubmitTaskRequest {
            alike_payload: Some(Bytes::from_static(b"p")),
            ..SubmitTaskRequest::default()
        };
        assert!(Lease::new(9, request.clone(), None).is_err(), "the first is like none");
        session.waiting.push_back(Lease::new(9, request, session.waiting.back())?);
    }
    let events = session.frame().map(|it| it.events).unwrap_or_default();
    let queues = events.into_iter().map(|it| match it.event {
        Some(Said::Assignment(it)) => Some(it.queue),
        Some(Said::AlikeAssignment(it)) => Some(String::from_utf8_lossy(&it.payload).into_owned()),
        _ => None,
    });
    let queues: Vec<_> = queues.flatten().collect();
    assert_eq!(queues, ["a", "p", "", "p", "b", "p"].map(str::to_owned));
    Ok(())
}

#[test]
fn a_lease_is_as_long_as_one_of_a_coordinator() {
    let Assignment { task_id, fencing_token, trace_context, .. } = lease(7).assignment();
    assert_eq!(task_id.len(), 36);
    assert_eq!(u64::try_from(fencing_token), Ok(FIRST_TOKEN + 7));
    assert_eq!(trace_context.map(|it| it.traceparent.len()), Some(55));
}
