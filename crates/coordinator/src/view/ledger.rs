//! Ends of leases as the contract says them.

use leasehold_proto::v1;
use leasehold_queue::{Charge, EndKind, LeaseEnd, StopProof};

use super::{count, revocation_reason, timestamp};

/// One end.
pub(super) fn end(end: &LeaseEnd) -> v1::LeaseEnd {
    let revocation = end.revoking.map(|revoking| revocation_reason(revoking.reason));
    v1::LeaseEnd {
        fencing_token: end.token.as_i64(),
        worker_id: end.worker.to_string(),
        instance_id: end.instance.to_string(),
        generation: count(end.generation),
        attempt: count(end.attempt),
        grant_time: Some(timestamp(end.granted)),
        start_time: end.started.map(timestamp),
        revocation: revocation.unwrap_or(v1::RevocationReason::Unspecified).into(),
        revoke_time: end.revoking.map(|revoking| timestamp(revoking.since)),
        revoke_delivered_time: end.revoking.and_then(|revoking| revoking.delivered).map(timestamp),
        end_time: Some(timestamp(end.ended)),
        kind: end_kind(end.kind).into(),
        stop: stop_proof(end.stop).into(),
        charge: charge(end.charge).into(),
        eligible_time: end.eligible.map(timestamp),
        message: end.message.to_string(),
    }
}

pub(crate) fn end_kind(kind: EndKind) -> v1::LeaseEndKind {
    match kind {
        EndKind::Succeeded => v1::LeaseEndKind::Succeeded,
        EndKind::Error => v1::LeaseEndKind::Error,
        EndKind::Panic => v1::LeaseEndKind::Panic,
        EndKind::ResultTooLarge => v1::LeaseEndKind::ResultTooLarge,
        EndKind::AttemptTimeout => v1::LeaseEndKind::AttemptTimeout,
        EndKind::ProgressTimeout => v1::LeaseEndKind::ProgressTimeout,
        EndKind::TotalTimeout => v1::LeaseEndKind::TotalTimeout,
        EndKind::StartTimeout => v1::LeaseEndKind::StartTimeout,
        EndKind::Cancelled => v1::LeaseEndKind::Cancelled,
        EndKind::NoCapacity => v1::LeaseEndKind::NoCapacity,
        EndKind::Unsupported => v1::LeaseEndKind::Unsupported,
        EndKind::Drained => v1::LeaseEndKind::Drained,
        EndKind::Fenced => v1::LeaseEndKind::Fenced,
        EndKind::WorkerLost => v1::LeaseEndKind::WorkerLost,
        EndKind::NotHeld => v1::LeaseEndKind::NotHeld,
        EndKind::Retracted => v1::LeaseEndKind::Retracted,
        EndKind::Revoked => v1::LeaseEndKind::Revoked,
    }
}

pub(crate) fn stop_proof(stop: StopProof) -> v1::StopProof {
    match stop {
        StopProof::Returned => v1::StopProof::Returned,
        StopProof::Aborted => v1::StopProof::Aborted,
        StopProof::Killed => v1::StopProof::Killed,
        StopProof::NotStarted => v1::StopProof::NotStarted,
        StopProof::NotHeld => v1::StopProof::NotHeld,
        StopProof::Unproved => v1::StopProof::Unproved,
        StopProof::ProcessGone => v1::StopProof::ProcessGone,
    }
}

pub(crate) fn charge(charge: Charge) -> v1::LeaseCharge {
    match charge {
        Charge::Attempt => v1::LeaseCharge::Attempt,
        Charge::WorkerLoss => v1::LeaseCharge::WorkerLoss,
        Charge::Nothing => v1::LeaseCharge::Nothing,
    }
}
