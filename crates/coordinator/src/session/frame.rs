//! What the engine tells a worker, as frames of the contract.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use leasehold_policy::{Mutant, namespace};
use leasehold_proto::{
    PROTOCOL_VERSION, duration::to_wire, v1, v1::coordinator_event::Event as Said,
};
use leasehold_queue::{Assignment, Disposition, Name, RevocationReason, Token, Verdict, Welcome};

use crate::{egress::Event, status::Status, terms::SessionTerms, view};

/// Where a frame ends, unless a single event is larger: far below what a message may hold.
const FRAME_BYTES_MAX: usize = 1 << 20;

/// And where it ends with small events.
const FRAME_EVENTS_MAX: usize = 1_024;

/// One frame, and what the engine is told of once the worker has acted upon it.
#[derive(Debug)]
pub(super) struct Frame {
    pub events: Vec<v1::CoordinatorEvent>,
    pub leases: Leases,
    /// How large its events were, as they were counted.
    pub bytes: usize,
}

/// How a stream is told of a task that is like the one before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wording {
    /// As of any other.
    Full,
    /// Only how it differs.
    Brief,
}

/// The leases that a frame is about.
#[derive(Debug, Default)]
pub(super) struct Leases {
    /// Those it assigns.
    pub assigned: Vec<Token>,
    /// Those it revokes, and why.
    pub revoked: Vec<(Token, RevocationReason)>,
}

impl Leases {
    pub(super) const fn is_empty(&self) -> bool {
        self.assigned.is_empty() && self.revoked.is_empty()
    }
}

/// Takes as many events as a frame holds; at least one, if there is one. What a welcome says are the terms of the stream from
/// then on.
pub(super) fn take(
    pending: &mut VecDeque<Event>,
    terms: &mut SessionTerms,
    wording: Wording,
    coordinator: &Status,
) -> Frame {
    let mut events = Vec::with_capacity(pending.len().min(FRAME_EVENTS_MAX));
    let (mut leases, mut bytes) = (Leases::default(), 0);
    let mut before: Option<Box<Assignment>> = None;
    while events.len() < FRAME_EVENTS_MAX
        && bytes < FRAME_BYTES_MAX
        && let Some(event) = pending.pop_front()
    {
        bytes += event.bytes();
        let said = match event {
            Event::Assign(assignment, left) => {
                leases.assigned.push(assignment.token);
                let is_alike = wording == Wording::Brief
                    && before.is_some_and(|before| are_alike(&before, &assignment));
                let said = if is_alike {
                    Said::AlikeAssignment(say_alike_assignment(&assignment, left))
                } else {
                    Said::Assignment(Box::new(say_assignment(&assignment, left)))
                };
                before = Some(assignment);
                said
            }
            Event::Welcome(welcome) => {
                let (welcome, agreed) = *welcome;
                let said = say_welcome(&welcome, &agreed, coordinator);
                *terms = agreed;
                Said::Welcome(Box::new(said))
            }
            Event::HeartbeatAck { sequence } => Said::HeartbeatAck(v1::HeartbeatAck { sequence }),
            Event::Revoke { token, reason, grace } => {
                leases.revoked.push((token, reason));
                Said::Revocation(v1::Revocation {
                    fencing_token: token.as_i64(),
                    reason: view::revocation_reason(reason).into(),
                    grace: Some(to_wire(grace)),
                    unstarted_only: false,
                })
            }
            Event::Retract { token } => Said::Revocation(v1::Revocation {
                fencing_token: token.as_i64(),
                reason: v1::RevocationReason::Retracted.into(),
                grace: None,
                unstarted_only: true,
            }),
            Event::Extend { token, remaining } => Said::LeaseExtension(v1::LeaseExtension {
                fencing_token: token.as_i64(),
                remaining: remaining.map(to_wire),
            }),
            Event::ResultAck { token, disposition } => Said::ResultAck(v1::ResultAck {
                fencing_token: token.as_i64(),
                disposition: say_disposition(disposition).into(),
            }),
            Event::Drain { grace } => Said::DrainRequest(v1::DrainRequest {
                grace: grace.map(to_wire),
                reason: "asked by an operator".to_owned(),
            }),
        };
        events.push(v1::CoordinatorEvent { event: Some(said) });
    }
    Frame { events, leases, bytes }
}

fn say_welcome(welcome: &Welcome, terms: &SessionTerms, coordinator: &Status) -> v1::Welcome {
    let verdict = |(token, verdict): &(Token, Verdict)| v1::LeaseVerdict {
        fencing_token: token.as_i64(),
        verdict: match verdict {
            Verdict::Retained => v1::Verdict::Retained,
            Verdict::Lost => v1::Verdict::Lost,
        }
        .into(),
    };
    v1::Welcome {
        protocol_version: PROTOCOL_VERSION,
        session_id: i64::try_from(welcome.session.0).unwrap_or(i64::MAX),
        resumed: welcome.resumed,
        journal_id: coordinator.journal_id().to_owned(),
        epoch: coordinator.epoch().into(),
        settings: Some(v1::SessionSettings {
            heartbeat_interval: Some(to_wire(terms.heartbeat_interval)),
            session_ttl: Some(to_wire(terms.session_ttl)),
            reconnect_initial: Some(to_wire(terms.reconnect_initial())),
            reconnect_cap: Some(to_wire(terms.reconnect_cap())),
            result_bytes_max: i64::try_from(terms.result_bytes_max).unwrap_or(i64::MAX),
            checkpoint_bytes_max: i64::try_from(terms.checkpoint_bytes_max).unwrap_or(i64::MAX),
        }),
        verdicts: welcome.verdicts.iter().map(verdict).collect(),
    }
}

fn say_assignment(assignment: &Assignment, left: Duration) -> v1::Assignment {
    let spec = &assignment.spec;
    // What formats a name takes several times as long as what copies it.
    let owned = |name: &Name| str::to_owned(name);
    let trace = spec.trace.as_ref().map(|trace| v1::TraceContext {
        traceparent: owned(&trace.parent),
        tracestate: owned(&trace.state),
    });
    let (space, queue) = namespace::split(&spec.queue);
    let labels = spec.labels().iter().map(|(name, value)| (owned(name), owned(value)));
    v1::Assignment {
        fencing_token: assignment.token.as_i64(),
        task_id: assignment.task.to_string(),
        namespace: space.to_owned(),
        queue: queue.to_owned(),
        task_type: owned(&spec.task_type),
        payload: spec.payload.bytes().unwrap_or_default(),
        content_type: owned(&spec.content_type),
        attempt: i32::try_from(assignment.attempt).unwrap_or(i32::MAX),
        generation: i32::try_from(assignment.generation).unwrap_or(i32::MAX),
        start_timeout: Some(to_wire(spec.start_timeout)),
        attempt_timeout: Some(to_wire(spec.attempt_timeout)),
        total_remaining: Some(to_wire(left)),
        kill_grace: Some(to_wire(spec.kill_grace)),
        trace_context: trace,
        labels: labels.collect(),
        progress_timeout: spec.terms.progress_timeout.map(to_wire),
        checkpoint: assignment.checkpoint.clone(),
        // One is what it is if nothing is said.
        slots: i32::try_from(spec.shape.size.slots)
            .map_or(i32::MAX, |slots| if slots == 1 { 0 } else { slots }),
        resources: view::resources(&spec.shape.size),
    }
}

/// Whether one says of its task what the other does, but for what is in [`say_alike_assignment`]. The queue has each template
/// once. A worker makes a trace for a task that has none: two tasks are not to share it.
fn are_alike(one: &Assignment, other: &Assignment) -> bool {
    if Mutant::AllAlike.is_alive() {
        return true;
    }
    let (one, other) = (&one.spec, &other.spec);
    let is_one_trace = match (&one.trace, &other.trace) {
        (Some(one), Some(other)) => Arc::ptr_eq(one, other) || one == other,
        (Some(_) | None, None) | (None, Some(_)) => false,
    };
    Arc::ptr_eq(&one.template, &other.template) && is_one_trace && one.labels() == other.labels()
}

fn say_alike_assignment(assignment: &Assignment, left: Duration) -> v1::AlikeAssignment {
    v1::AlikeAssignment {
        fencing_token: assignment.token.as_i64(),
        task_id: assignment.task.to_string(),
        payload: assignment.spec.payload.bytes().unwrap_or_default(),
        attempt: i32::try_from(assignment.attempt).unwrap_or(i32::MAX),
        generation: i32::try_from(assignment.generation).unwrap_or(i32::MAX),
        total_remaining: Some(to_wire(left)),
        checkpoint: assignment.checkpoint.clone(),
    }
}

const fn say_disposition(disposition: Disposition) -> v1::ResultDisposition {
    match disposition {
        Disposition::Accepted => v1::ResultDisposition::Accepted,
        Disposition::Duplicate => v1::ResultDisposition::Duplicate,
        Disposition::Stale => v1::ResultDisposition::Stale,
        Disposition::Invalid => v1::ResultDisposition::Invalid,
    }
}

#[cfg(test)]
mod tests;
