//! Every record comes back as it was written; no bytes make the decoder panic.

use std::{sync::Arc, time::Duration};

use leasehold_policy::{Backoff, Jitter};
use leasehold_queue::{
    EndCause, Failure, FailureReason, Key, Lease, Name, Next, Phase, Retry, RevocationReason,
    Revoking, TaskId, TaskSpec, Token, Trace, Wait,
};
use proptest::{collection::vec, option, prelude::*};

use super::*;

fn name() -> impl Strategy<Value = Name> {
    // Few different ones, so that names repeat; some too long to be numbered.
    prop_oneof!["[a-c]{0,2}", "\\PC{0,40}", "x{120,140}"].prop_map(Name::from)
}

fn time() -> impl Strategy<Value = Time> {
    prop_oneof![
        any::<u64>().prop_map(Time::from_unix_ms),
        (1_700_000_000_000..1_800_000_000_000_u64).prop_map(Time::from_unix_ms),
        Just(Time::NEVER),
    ]
}

fn duration() -> impl Strategy<Value = Duration> {
    (any::<u64>(), 0..1_000_000_000_u32).prop_map(|(secs, nanos)| Duration::new(secs, nanos))
}

fn token() -> impl Strategy<Value = Token> {
    any::<i64>().prop_map(Token::from_i64)
}

fn id() -> impl Strategy<Value = TaskId> {
    any::<u128>().prop_map(TaskId::from_u128)
}

fn key() -> impl Strategy<Value = Key> {
    (name(), any::<[u8; 16]>()).prop_map(|(name, digest)| Key { name, digest })
}

fn spec() -> impl Strategy<Value = TaskSpec> {
    let backoff =
        (duration(), any::<f64>().prop_filter("equality", |f| !f.is_nan()), duration())
            .prop_flat_map(|(initial, factor, cap)| {
                prop_oneof![Just(Jitter::Full), Just(Jitter::None)]
                    .prop_map(move |jitter| Backoff { initial, factor, cap, jitter })
            });
    let retry =
        (any::<u32>(), backoff).prop_map(|(max_attempts, backoff)| Retry { max_attempts, backoff });
    let trace = (name(), name()).prop_map(|(parent, state)| Trace { parent, state });
    let texts = (name(), name(), vec(any::<u8>(), 0..200), name(), any::<u8>());
    let times = (duration(), duration(), duration(), duration(), duration());
    let rest = (retry, vec((name(), name()), 0..4), option::of(trace), option::of(key()));
    (texts, times, rest).prop_map(|(texts, times, rest)| TaskSpec {
        queue: texts.0,
        task_type: texts.1,
        payload: texts.2.into(),
        content_type: texts.3,
        priority: texts.4,
        initial_delay: times.0,
        start_timeout: times.1,
        attempt_timeout: times.2,
        total_timeout: times.3,
        kill_grace: times.4,
        retry: rest.0,
        labels: rest.1,
        trace: rest.2,
        key: rest.3,
    })
}

fn failure() -> impl Strategy<Value = Arc<Failure>> {
    let reason = prop_oneof![
        Just(FailureReason::Error),
        Just(FailureReason::Panic),
        Just(FailureReason::AttemptTimeout),
        Just(FailureReason::TotalTimeout),
        Just(FailureReason::WorkerLost),
        Just(FailureReason::WorkerLossLimit),
        Just(FailureReason::ResultTooLarge),
        Just(FailureReason::StartTimeout),
        Just(FailureReason::Cancelled),
        Just(FailureReason::HandedBack),
    ];
    let rest = (any::<bool>(), option::of(token()), option::of(name()), time());
    (reason, name(), name(), rest).prop_map(|(reason, message, details, rest)| {
        Arc::new(Failure {
            reason,
            message,
            details,
            counted: rest.0,
            token: rest.1,
            worker: rest.2,
            time: rest.3,
        })
    })
}

fn revocation() -> impl Strategy<Value = RevocationReason> {
    prop_oneof![
        Just(RevocationReason::Cancelled),
        Just(RevocationReason::StartTimeout),
        Just(RevocationReason::AttemptTimeout),
        Just(RevocationReason::TotalTimeout),
        Just(RevocationReason::UnknownLease),
    ]
}

fn phase() -> impl Strategy<Value = Phase> {
    let revoking = (revocation(), time(), duration()).prop_map(|(reason, since, grace)| Revoking {
        reason,
        since,
        grace,
    });
    let lease = (token(), name(), name(), time(), option::of(time()), option::of(revoking));
    prop_oneof![
        (time(), prop_oneof![Just(Wait::Delay), Just(Wait::Backoff)])
            .prop_map(|(eligible, wait)| Phase::Scheduled { eligible, wait }),
        Just(Phase::Queued),
        lease.prop_map(|(token, worker, instance, granted, started, revoking)| {
            Phase::Leased(Lease {
                token,
                worker,
                instance,
                session: None,
                granted,
                acknowledged: true,
                started,
                revoking,
                progress: None,
            })
        }),
    ]
}

fn task() -> impl Strategy<Value = Task> {
    let counts = (any::<u32>(), any::<u64>(), any::<u32>(), any::<u32>(), any::<u32>());
    let rest = (any::<bool>(), option::of(failure()), option::of(token()), phase());
    (id(), spec(), (time(), time()), counts, rest).prop_map(|(id, spec, times, counts, rest)| {
        Task {
            id,
            spec: Arc::new(spec),
            submitted: times.0,
            deadline: times.1,
            generation: counts.0,
            revision: counts.1,
            attempts: counts.2,
            leases: counts.3,
            worker_losses: counts.4,
            cancel_requested: rest.0,
            last_failure: rest.1,
            last_token: rest.2,
            phase: rest.3,
        }
    })
}

fn ending() -> impl Strategy<Value = Ending> {
    prop_oneof![Just(Ending::Succeeded), Just(Ending::Failed), Just(Ending::Cancelled)]
}

fn record() -> impl Strategy<Value = Record> {
    let cause = prop_oneof![
        Just(EndCause::Failed),
        Just(EndCause::WorkerLost),
        Just(EndCause::NotRun),
        Just(EndCause::Retracted)
    ];
    let next = prop_oneof![Just(Next::Queued), time().prop_map(Next::Backoff)];
    prop_oneof![
        (any::<u32>(), time(), duration()).prop_map(|(epoch, time, session_ttl)| {
            Record::EpochStarted { epoch, time, session_ttl }
        }),
        task().prop_map(|task| Record::TaskAccepted(Box::new(task))),
        task().prop_map(|task| Record::TaskMoved(Box::new(task))),
        task().prop_map(|task| Record::TaskReplayed(Box::new(task))),
        (id(), token(), name(), name(), time()).prop_map(
            |(task, token, worker, instance, time)| {
                Record::LeaseGranted { task, token, worker, instance, time }
            }
        ),
        (id(), token(), time()).prop_map(|(task, token, time)| Record::LeaseStarted {
            task,
            token,
            time
        }),
        (id(), token(), revocation(), duration(), time()).prop_map(
            |(task, token, reason, grace, time)| {
                Record::LeaseRevoking { task, token, reason, grace, time }
            }
        ),
        (id(), token(), cause, next, option::of(failure()), time()).prop_map(
            |(task, token, cause, next, failure, time)| {
                Record::LeaseEnded { task, token, cause, next, failure, time }
            }
        ),
        (id(), time()).prop_map(|(task, time)| Record::CancelRequested { task, time }),
        (id(), ending(), option::of(token()), option::of(failure()), time()).prop_map(
            |(task, ending, token, failure, time)| {
                Record::TaskEnded { task, ending, token, failure, time }
            }
        ),
        (name(), key(), id(), time()).prop_map(|(queue, key, task, until)| Record::KeyKept {
            queue,
            key,
            task,
            until
        }),
        (name(), any::<bool>()).prop_map(|(queue, paused)| Record::QueuePaused { queue, paused }),
    ]
}

fn read(body: &[u8]) -> Result<Vec<Record>, Malformed> {
    Records::new(body)?.collect()
}

proptest! {
    #[test]
    fn records_come_back_as_they_went(
        records in vec(record(), 0..20), begun in time(), closed in time(),
    ) {
        let mut body = Body::new(begun);
        let sizes: Vec<usize> = records.iter().map(|record| body.push(record)).collect();
        prop_assert_eq!(body.len(), HEADER_BYTES + sizes.iter().sum::<usize>());
        let bytes = body.close(closed);
        prop_assert_eq!(Records::new(&bytes).unwrap().closed, closed);
        prop_assert_eq!(read(&bytes).unwrap(), records);
    }

    #[test]
    fn a_body_cut_anywhere_is_read_up_to_there_or_refused(
        records in vec(record(), 1..6), at in any::<prop::sample::Index>(),
    ) {
        let mut body = Body::new(Time::from_unix_ms(1_764_000_000_000));
        for record in &records {
            body.push(record);
        }
        let bytes = body.close(Time::from_unix_ms(1_764_000_000_001));
        // A cut between two records is for the journal's checksum to find.
        if let Ok(read) = read(&bytes[..at.index(bytes.len())]) {
            prop_assert_eq!(&read[..], &records[..read.len()]);
            prop_assert!(read.len() < records.len());
        }
    }

    #[test]
    fn damaged_bytes_are_answered(
        records in vec(record(), 1..4), at in any::<prop::sample::Index>(), byte in any::<u8>(),
    ) {
        let mut body = Body::new(Time::from_unix_ms(1_764_000_000_000));
        for record in &records {
            body.push(record);
        }
        let mut bytes = body.close(Time::from_unix_ms(0)).to_vec();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        drop(read(&bytes));
    }

    #[test]
    fn any_bytes_are_answered(mut bytes in vec(any::<u8>(), 0..300), headed in any::<bool>()) {
        if headed && !bytes.is_empty() {
            bytes[0] = FORMAT;
        }
        drop(read(&bytes));
        drop(decode_state(&bytes));
    }

    #[test]
    fn a_state_comes_back_without_payload_and_result(
        task in task(), ending in ending(), time in time(), result in vec(any::<u8>(), 0..9),
    ) {
        let ended = Ended { task, ending, result: result.into(), time };
        let snapshot = decode_state(&encode_state(&ended)).unwrap();
        let mut expected = Snapshot::from(ended);
        Arc::make_mut(&mut expected.task.spec).payload = Bytes::new();
        if let Some(view) = &mut expected.ended {
            view.result = Bytes::new();
        }
        prop_assert_eq!(snapshot, expected);
    }
}

#[test]
fn another_format_is_refused_by_its_number() {
    let mut bytes = Body::new(Time::from_unix_ms(7)).close(Time::from_unix_ms(7)).to_vec();
    bytes[0] = 9;
    assert_eq!(read(&bytes), Err(Malformed::UnknownFormat { found: 9, known: FORMAT }));
    assert_eq!(read(&[]), Err(Malformed::Truncated { what: "header" }));
    assert_eq!(
        read(&[&Body::new(Time::from_unix_ms(7)).close(Time::from_unix_ms(7))[..], &[99]].concat()),
        Err(Malformed::UnknownKind { what: "record", kind: 99 }),
    );
}

#[test]
fn a_repeated_name_costs_one_byte() {
    let record = |worker: &str| Record::LeaseGranted {
        task: TaskId::from_u128(1),
        token: Token::from_i64(1),
        worker: Name::from(worker),
        instance: Name::from("i"),
        time: Time::from_unix_ms(7),
    };
    let mut body = Body::new(Time::from_unix_ms(7));
    body.push(&record("a-rather-long-worker-name"));
    let again = body.push(&record("a-rather-long-worker-name"));
    // Kind, id, token, two numbers, time.
    assert_eq!(again, 1 + 16 + 8 + 1 + 1 + 1);
}
