//! Snapshots as the contract shows them.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use leasehold_policy::{Backoff, Jitter, Time};
use leasehold_proto::v1;
use leasehold_queue::{
    Admission, Blocked, Charge, Checkpoint, EndKind, Ending, Extras, Failure, FailureReason, Key,
    Lease, LeaseEnd, LeaseTerms, Ledger, Past, Phase, Progress, Reckoned, Retry, RevocationReason,
    Revoking, Shape, StopProof, Task, TaskId, TaskSpec, Template, Token, Trace, Wait,
};

use super::{Detail, state, task, timestamp};
use crate::{
    config::Config,
    snapshot::{EndedView, Snapshot},
    status::Budgets,
};

const FULL: Detail = Detail::Full(Budgets { worker_losses: 5, leases: 1_000 });

fn end() -> LeaseEnd {
    LeaseEnd {
        token: Token::from_i64(8),
        worker: "w0".into(),
        instance: "i0".into(),
        generation: 1,
        attempt: 1,
        granted: Time::from_unix_ms(1_300),
        started: Some(Time::from_unix_ms(1_400)),
        revoking: Some(Revoking {
            reason: RevocationReason::AttemptTimeout,
            since: Time::from_unix_ms(1_500),
            grace: Duration::ZERO,
            delivered: Some(Time::from_unix_ms(1_600)),
        }),
        ended: Time::from_unix_ms(1_999),
        kind: EndKind::AttemptTimeout,
        stop: StopProof::Killed,
        charge: Charge::Attempt,
        eligible: Some(Time::from_unix_ms(2_000)),
        message: "too slow".into(),
    }
}

fn lease() -> Lease {
    Lease {
        token: Token::new(3, 9),
        worker: "w1".into(),
        instance: "i1".into(),
        session: None,
        granted: Time::from_unix_ms(2_000),
        heard: None,
        silence_since: None,
        reckoned: Reckoned::default(),
        started: Some(Time::from_unix_ms(2_500)),
        extended: Some(Time::from_unix_ms(9_000)),
        revoking: None,
        progress: Some(Arc::new(Progress { fraction: Some(0.5), message: "half".into() })),
    }
}

fn checkpoint() -> Checkpoint {
    let (token, data) = (Token::from_i64(8), "sixty percent".into());
    Checkpoint { token, data, time: Time::from_unix_ms(1_700) }
}

pub(super) fn snapshot(phase: Phase) -> Snapshot {
    let spec = TaskSpec {
        template: Arc::new(Template {
            queue: "q".into(),
            task_type: "t".into(),
            content_type: "text/plain".into(),
            priority: 2,
            start_timeout: Duration::from_secs(10),
            attempt_timeout: Duration::from_millis(1_500),
            kill_grace: Duration::from_secs(5),
            retry: Retry {
                max_attempts: 4,
                backoff: Backoff {
                    initial: Duration::from_secs(1),
                    factor: 2.0,
                    cap: Duration::from_secs(9),
                    jitter: Jitter::None,
                },
            },
            terms: LeaseTerms::default(),
            claims: None,
            fairness_key: "".into(),
            shape: Shape::default(),
            admission: Admission::default(),
        }),
        payload: "input".into(),
        total_timeout: Duration::from_mins(1).into(),
        trace: Some(Arc::new(Trace { parent: "00-p".into(), state: "s".into() })),
        extras: Extras {
            initial_delay: Duration::ZERO,
            labels: vec![("team".into(), "blue".into())],
            key: Some(Key { name: "k".into(), digest: [0; 16] }),
        }
        .kept(),
    };
    let failure = Failure {
        reason: FailureReason::AttemptTimeout,
        message: "too slow".into(),
        details: "stack".into(),
        counted: true,
        token: Some(Token::from_i64(8)),
        worker: Some("w0".into()),
        time: Time::from_unix_ms(1_999),
    };
    let task = Task {
        id: TaskId::from_u128(0x0195_a1b2_c3d4_7000_8000_0000_0000_0001),
        spec,
        submitted: Time::from_unix_ms(1_234),
        deadline: Time::from_unix_ms(61_234),
        revision: 7,
        attempts: 1,
        leases: 3,
        ran: false,
        cancel_requested: false,
        past: Past {
            replays: 1,
            worker_losses: 1,
            last_token: Some(Token::new(3, 9)),
            last_failure: Some(Arc::new(failure)),
            ledger: Ledger::new([end()], 4),
            checkpoint: Some(Arc::new(checkpoint())),
        }
        .kept(),
        phase,
    };
    let read_instead = BTreeSet::new();
    Snapshot { task, blocked: None, obstacle: None, read_instead, ended: None, home: None }
}

pub(super) fn ended(ending: Ending) -> Snapshot {
    let ended = EndedView { ending, result: "output".into(), time: Time::from_unix_ms(3_000) };
    Snapshot { ended: Some(ended), ..snapshot(Phase::Leased(Box::new(lease()))) }
}

#[test]
fn a_running_task_shows_everything() {
    let shown = task(&snapshot(Phase::Leased(Box::new(lease()))), FULL, &Config::default());
    assert_eq!(shown.task_id, "0195a1b2-c3d4-7000-8000-000000000001");
    assert_eq!((shown.namespace.as_str(), shown.idempotency_key.as_str()), ("default", "k"));
    assert_eq!(shown.state(), v1::TaskState::Running);
    assert_eq!((shown.revision, shown.generation), (7, 2));
    assert_eq!((shown.attempt_count, shown.lease_count, shown.worker_loss_count), (1, 3, 1));
    assert_eq!(shown.submit_time, Some(prost_types::Timestamp { seconds: 1, nanos: 234_000_000 }));
    assert_eq!(shown.deadline_time.unwrap().seconds, 61);
    assert_eq!((shown.finish_time, shown.eligible_time), (None, None));
    let lease = shown.lease.clone().unwrap();
    assert_eq!((lease.fencing_token, lease.attempt), ((3 << 31) + 9, 2));
    assert_eq!((lease.worker_id.as_str(), lease.start_time.unwrap().nanos), ("w1", 500_000_000));
    let failure = shown.last_failure.clone().unwrap();
    assert_eq!(failure.reason(), v1::FailureReason::AttemptTimeout);
    assert_eq!((failure.message.as_str(), failure.details.as_str()), ("too slow", "stack"));
    assert_eq!((failure.fencing_token, failure.worker_id.as_str()), (8, "w0"));
    assert!(failure.counted);
    let progress = shown.progress.clone().unwrap();
    assert_eq!((progress.fraction, progress.message.as_str()), (Some(0.5), "half"));
    let saved = shown.checkpoint.unwrap();
    assert_eq!((saved.fencing_token, saved.size_bytes), (8, 13));
    assert_eq!(saved.save_time.unwrap().nanos, 700_000_000);
    let spec = shown.spec.unwrap();
    assert_eq!((&*spec.payload, spec.priority), (&b"input"[..], Some(2)));
    assert_eq!(spec.labels["team"], "blue");
    assert_eq!(spec.trace_context.unwrap().traceparent, "00-p");
    assert_eq!(spec.timeouts.unwrap().attempt.unwrap().nanos, 500_000_000);
    assert_eq!(spec.retry.unwrap().jitter(), v1::Jitter::None);
}

#[test]
fn states_follow_the_phase() {
    let scheduled = |wait| Phase::Scheduled { eligible: Time::from_unix_ms(9_000), wait };
    let unstarted = Lease { started: None, ..lease() };
    let mut cancelling = snapshot(Phase::Leased(Box::new(lease())));
    cancelling.task.cancel_requested = true;
    let cases = [
        (snapshot(scheduled(Wait::Delay)), v1::TaskState::Scheduled),
        (snapshot(scheduled(Wait::Backoff)), v1::TaskState::Scheduled),
        (snapshot(Phase::Queued), v1::TaskState::Queued),
        (snapshot(Phase::Leased(Box::new(unstarted))), v1::TaskState::Leased),
        (snapshot(Phase::Leased(Box::new(lease()))), v1::TaskState::Running),
        (cancelling, v1::TaskState::Cancelling),
        (ended(Ending::Succeeded), v1::TaskState::Succeeded),
        (ended(Ending::Failed), v1::TaskState::Failed),
        (ended(Ending::Cancelled), v1::TaskState::Cancelled),
    ];
    for (snapshot, expected) in cases {
        assert_eq!(state(&snapshot), expected);
        let shown = task(&snapshot, FULL, &Config::default());
        assert_eq!(shown.state(), expected);
        assert_eq!(shown.eligible_time.is_some(), expected == v1::TaskState::Scheduled);
        assert_eq!(shown.finish_time.is_some(), snapshot.ended.is_some());
    }
}

#[test]
fn a_task_that_ended_is_under_no_lease() {
    let shown = task(&ended(Ending::Succeeded), FULL, &Config::default());
    assert_eq!((shown.lease, shown.progress), (None, None));
    assert_eq!(shown.result, "output");
}

#[test]
fn how_leases_ended_is_shown_with_the_budgets_they_were_charged_to() {
    let shown = task(&ended(Ending::Failed), FULL, &Config::default());
    assert_eq!((shown.worker_loss_max, shown.lease_max), (5, 1_000));
    assert_eq!(shown.lease_ends_forgotten, 4);
    let expected = v1::LeaseEnd {
        fencing_token: 8,
        worker_id: "w0".into(),
        instance_id: "i0".into(),
        generation: 1,
        attempt: 1,
        grant_time: Some(timestamp(Time::from_unix_ms(1_300))),
        start_time: Some(timestamp(Time::from_unix_ms(1_400))),
        revocation: v1::RevocationReason::AttemptTimeout.into(),
        revoke_time: Some(timestamp(Time::from_unix_ms(1_500))),
        revoke_delivered_time: Some(timestamp(Time::from_unix_ms(1_600))),
        end_time: Some(timestamp(Time::from_unix_ms(1_999))),
        kind: v1::LeaseEndKind::AttemptTimeout.into(),
        stop: v1::StopProof::Killed.into(),
        charge: v1::LeaseCharge::Attempt.into(),
        eligible_time: Some(timestamp(Time::from_unix_ms(2_000))),
        message: "too slow".into(),
    };
    assert_eq!(shown.lease_ends, [expected]);
    assert_eq!(task(&ended(Ending::Failed), Detail::Row, &Config::default()).lease_ends, []);
}

#[test]
fn lists_leave_out_what_is_large() {
    let snapshot = ended(Ending::Succeeded);
    let cases =
        [(FULL, "input", "output"), (Detail::NoPayload, "", "output"), (Detail::Row, "", "")];
    for (detail, payload, result) in cases {
        let shown = task(&snapshot, detail, &Config::default());
        assert_eq!((shown.spec.unwrap().payload, shown.result), (payload.into(), result.into()));
    }
}

#[test]
fn why_it_waits_and_why_it_must_stop() {
    let mut waiting = snapshot(Phase::Queued);
    waiting.blocked = Some(Blocked::NoEligibleWorker);
    let shown = task(&waiting, Detail::Row, &Config::default());
    assert_eq!(shown.blocked_reason(), v1::BlockedReason::NoEligibleWorker);
    let revoking = Revoking {
        reason: RevocationReason::TotalTimeout,
        since: Time::from_unix_ms(1),
        grace: Duration::ZERO,
        delivered: Some(Time::from_unix_ms(2_000)),
    };
    let revoked = Lease { revoking: Some(revoking), ..lease() };
    let shown = task(&snapshot(Phase::Leased(Box::new(revoked))), Detail::Row, &Config::default());
    let lease = shown.lease.unwrap();
    assert_eq!(lease.revocation(), v1::RevocationReason::TotalTimeout);
    assert_eq!(lease.revoke_time.unwrap().nanos, 1_000_000);
    assert_eq!(lease.revoke_delivered_time.unwrap().seconds, 2);
    assert_eq!(lease.extended_time.unwrap().seconds, 9);
}

#[test]
fn times() {
    let time = timestamp(Time::from_unix_ms(1_800_000_000_999));
    assert_eq!((time.seconds, time.nanos), (1_800_000_000, 999_000_000));
    assert_eq!(timestamp(Time::NEVER).nanos, 615_000_000);
}
