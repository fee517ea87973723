//! Every record comes back as it was written; no bytes make the decoder panic.

use std::{sync::Arc, time::Duration};

use leasehold_policy::{Backoff, Jitter};
use leasehold_queue::{
    Admission, Charge, Checkpoint, Claims, ENDS_MAX, EndCause, EndFact, EndKind, Exclusivity,
    Extras, Failure, FailureReason, Guarantee, Key, Lease, LeaseEnd, LeaseTerms, Ledger, Name,
    Next, Past, Payload, Phase, Reckoned, Retry, RevocationReason, Revoking, SchemaPrint, Shape,
    Size, StopProof, Task, TaskId, TaskSpec, Template, Token, Trace, Wait,
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
    let guarantee = prop_oneof![Just(Guarantee::AtLeastOnce), Just(Guarantee::AtMostOnce)];
    let exclusivity = prop_oneof![Just(Exclusivity::Strict), Just(Exclusivity::BestEffort)];
    let limit = || option::of(duration());
    let terms = (guarantee, exclusivity, limit(), limit()).prop_map(
        |(guarantee, exclusivity, queue_timeout, progress_timeout)| LeaseTerms {
            guarantee,
            exclusivity,
            queue_timeout,
            progress_timeout,
        },
    );
    let claims =
        (vec(name(), 0..4), vec((name(), any::<u32>()), 0..4), vec(name(), 0..4), any::<bool>());
    // One that asks for nothing is no claim.
    let claims = claims.prop_map(|(keys, charges, dependencies, fails_fast)| {
        let claims = Claims { keys, charges, dependencies, fails_fast };
        (!claims.is_empty()).then(|| Arc::new(claims))
    });
    let limits = (terms, claims);
    let rest = (retry, vec((name(), name()), 0..4), option::of(trace), option::of(key()), limits);
    let labels = vec((name(), name()), 0..3);
    let schema = option::of(any::<[u8; 32]>().prop_map(SchemaPrint));
    let size = (1..=10_000_u32, vec((name(), 1..=1_u64 << 53), 0..3));
    let size = size.prop_map(|(slots, resources)| Size { slots, resources });
    let shape = (labels, schema, size);
    let shape = shape.prop_map(|(selector, schema, size)| Shape { selector, schema, size });
    let shape = prop_oneof![Just(Shape::default()), shape];
    // Of the others it is not kept which it was.
    let admissions = [Admission::Unasked, Admission::Strict];
    let shape = (shape, prop::sample::select(admissions.to_vec()));
    (texts, times, rest, name(), shape).prop_map(
        |(texts, times, rest, flow, (shape, admission))| TaskSpec {
            template: Arc::new(Template {
                queue: texts.0,
                task_type: texts.1,
                content_type: texts.3,
                priority: texts.4,
                start_timeout: times.1,
                attempt_timeout: times.2,
                kill_grace: times.4,
                retry: rest.0,
                terms: rest.4.0,
                claims: rest.4.1,
                fairness_key: flow,
                shape,
                admission,
            }),
            payload: texts.2.into(),
            total_timeout: times.3.into(),
            trace: rest.2.map(Arc::new),
            extras: Extras { initial_delay: times.0, labels: rest.1, key: rest.3 }.kept(),
        },
    )
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
        Just(FailureReason::OutcomeUnknown),
        Just(FailureReason::QueueTimeout),
        Just(FailureReason::ProgressTimeout),
        Just(FailureReason::Revoked),
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
        Just(RevocationReason::ProgressTimeout),
        Just(RevocationReason::TotalTimeout),
        Just(RevocationReason::UnknownLease),
        Just(RevocationReason::Operator),
    ]
}

fn end_kind() -> impl Strategy<Value = EndKind> {
    prop::sample::select(vec![
        EndKind::Succeeded,
        EndKind::Error,
        EndKind::Panic,
        EndKind::ResultTooLarge,
        EndKind::AttemptTimeout,
        EndKind::ProgressTimeout,
        EndKind::TotalTimeout,
        EndKind::StartTimeout,
        EndKind::Cancelled,
        EndKind::NoCapacity,
        EndKind::Unsupported,
        EndKind::Drained,
        EndKind::Fenced,
        EndKind::WorkerLost,
        EndKind::NotHeld,
        EndKind::Retracted,
        EndKind::Revoked,
    ])
}

fn stop() -> impl Strategy<Value = StopProof> {
    prop::sample::select(vec![
        StopProof::Returned,
        StopProof::Aborted,
        StopProof::Killed,
        StopProof::NotStarted,
        StopProof::NotHeld,
        StopProof::Unproved,
        StopProof::ProcessGone,
    ])
}

fn fact() -> impl Strategy<Value = EndFact> {
    (end_kind(), stop(), option::of(time()), name())
        .prop_map(|(kind, stop, delivered, message)| EndFact { kind, stop, delivered, message })
}

fn lease_end() -> impl Strategy<Value = LeaseEnd> {
    let revoking = (revocation(), time(), duration(), option::of(time()))
        .prop_map(|(reason, since, grace, delivered)| Revoking { reason, since, grace, delivered });
    let charge = prop::sample::select(vec![Charge::Attempt, Charge::WorkerLoss, Charge::Nothing]);
    let who = (token(), name(), name(), any::<u32>(), any::<u32>());
    let when = (time(), option::of(time()), option::of(revoking), time(), option::of(time()));
    (who, when, (end_kind(), stop(), charge, name())).prop_map(|(who, when, how)| LeaseEnd {
        token: who.0,
        worker: who.1,
        instance: who.2,
        generation: who.3,
        attempt: who.4,
        granted: when.0,
        started: when.1,
        revoking: when.2,
        ended: when.3,
        eligible: when.4,
        kind: how.0,
        stop: how.1,
        charge: how.2,
        message: how.3,
    })
}

fn ledger() -> impl Strategy<Value = Ledger> {
    (vec(lease_end(), 0..=ENDS_MAX), any::<u32>()).prop_map(|(ends, forgotten)| {
        // Only for others is one forgotten.
        let forgotten = if ends.is_empty() { 0 } else { forgotten };
        Ledger::new(ends, forgotten)
    })
}

fn checkpoint() -> impl Strategy<Value = Arc<Checkpoint>> {
    (token(), vec(any::<u8>(), 0..40), time()).prop_map(|(token, data, time)| {
        Arc::new(Checkpoint { token, data: Bytes::from(data), time })
    })
}

fn phase() -> impl Strategy<Value = Phase> {
    let revoking = (revocation(), time(), duration()).prop_map(|(reason, since, grace)| Revoking {
        reason,
        since,
        grace,
        delivered: None,
    });
    let times = (time(), option::of(time()), option::of(time()));
    let lease = (token(), name(), name(), times, option::of(revoking));
    prop_oneof![
        (time(), prop_oneof![Just(Wait::Delay), Just(Wait::Backoff)])
            .prop_map(|(eligible, wait)| Phase::Scheduled { eligible, wait }),
        Just(Phase::Queued),
        lease.prop_map(|(token, worker, instance, (granted, started, extended), revoking)| {
            Phase::Leased(Box::new(Lease {
                token,
                worker,
                instance,
                session: None,
                granted,
                started,
                extended,
                revoking,
                progress: None,
                heard: None,
                silence_since: None,
                reckoned: Reckoned::default(),
            }))
        }),
    ]
}

fn task() -> impl Strategy<Value = Task> {
    let counts = (0..u32::MAX, any::<u32>(), any::<u32>(), any::<u32>(), any::<u32>());
    let rest = (any::<bool>(), option::of(failure()), option::of(token()), phase(), any::<bool>());
    let rest = (rest, option::of(ledger()), option::of(checkpoint()));
    (id(), spec(), (time(), time()), counts, rest).prop_map(
        |(id, spec, times, counts, (rest, ledger, checkpoint))| Task {
            id,
            spec,
            submitted: times.0,
            deadline: times.1,
            revision: counts.1,
            attempts: counts.2,
            leases: counts.3,
            ran: rest.4,
            cancel_requested: rest.0,
            past: Past {
                replays: counts.0,
                worker_losses: counts.4,
                last_token: rest.2.filter(|_| !matches!(rest.3, Phase::Leased(_))),
                last_failure: rest.1,
                ledger: ledger.unwrap_or_default(),
                checkpoint,
            }
            .kept(),
            phase: rest.3,
        },
    )
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
        (id(), token(), time(), time()).prop_map(|(task, token, until, time)| {
            Record::LeaseExtended { task, token, until, time }
        }),
        (id(), token(), vec(any::<u8>(), 0..40), time()).prop_map(|(task, token, data, time)| {
            Record::CheckpointSaved { task, token, data: data.into(), time }
        }),
        (id(), token(), cause, next, (option::of(failure()), option::of(fact())), time()).prop_map(
            |(task, token, cause, next, (failure, fact), time)| {
                Record::LeaseEnded { task, token, cause, next, failure, fact, time }
            }
        ),
        (id(), time()).prop_map(|(task, time)| Record::CancelRequested { task, time }),
        (id(), ending(), option::of(token()), option::of(failure()), option::of(fact()), time())
            .prop_map(|(task, ending, token, failure, fact, time)| {
                Record::TaskEnded { task, ending, token, failure, fact, time }
            }),
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
        let mut body = Body::new(begun, 0);
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
        let mut body = Body::new(Time::from_unix_ms(1_764_000_000_000), 0);
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
        let mut body = Body::new(Time::from_unix_ms(1_764_000_000_000), 0);
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
        let ended = Ended { task: Box::new(task), ending, result: result.into(), time };
        let snapshot = decode_state(&encode_state(&ended)).unwrap();
        let mut expected = Snapshot::from(ended);
        expected.task.leave_lease(Phase::Queued);
        expected.task.spec.payload = Payload::default();
        if let Some(view) = &mut expected.ended {
            view.result = Bytes::new();
        }
        prop_assert_eq!(snapshot, expected);
    }
}

#[test]
fn another_format_is_refused_by_its_number() {
    let mut bytes = Body::new(Time::from_unix_ms(7), 0).close(Time::from_unix_ms(7)).to_vec();
    bytes[0] = 9;
    assert_eq!(read(&bytes), Err(Malformed::UnknownFormat { found: 9, known: FORMAT }));
    assert_eq!(read(&[]), Err(Malformed::Truncated { what: "header" }));
    assert_eq!(
        read(
            &[&Body::new(Time::from_unix_ms(7), 0).close(Time::from_unix_ms(7))[..], &[99]]
                .concat()
        ),
        Err(Malformed::UnknownKind { what: "record", kind: 99 }),
    );
}

/// A task that was leased twice: the first attempt failed, the second is being cancelled. And the end of it. As they stand in
/// a journal of format 1.
const FORMAT_1_BODY: &str = "\
    010000019ab697e8000000019ab697e85008000000000000000000000000000000070000000080000001010250010104 \
    626f6f6d0001010000000080000001010001772828030000000000000000000000000000000700017100017405696e70 \
    7574000a746578742f706c61696e0500000a00ac020080a3050005000501004000000000000000ac0200010100016101 \
    310001016b090909090909090909090909090909090080f0b252010601020001010104626f6f6d000101000000008000 \
    00010101280100000000800000020300000000800000020100016964016e01017805000a000000000000000000000000 \
    0000000703010000000080000002010904626f6f6d000001000000008000000201018c018c01";

/// The state of its row.
const FORMAT_1_STATE: &str = "\
    010000019ab697e846030000000000000000000000000000000700017100017400000a746578742f706c61696e050000 \
    0a00ac020080a3050005000501004000000000000000ac0200010100016101310001016b090909090909090909090909 \
    090909098b01f4eeb252010601020001010104626f6f6d00010100000000800000010100017763010000000080000002 \
    0300000000800000020500016927011d0101130500";

/// The same in format 2.
const FORMAT_2_BODY: &str = "\
    020000019ab697e8000000019ab697e85008000000000000000000000000000000070000000080000001010250010104 \
    626f6f6d000101000000008000000101000177280028030000000000000000000000000000000700017100017405696e \
    707574000a746578742f706c61696e0500000a00ac020080a3050005000501004000000000000000ac02000101000161 \
    01310001016b09090909090909090909090909090909000080f0b252010601020001010104626f6f6d00010100000000 \
    800000010101280100000000800000020300000000800000020100016964016e010178050000000a0000000000000000 \
    000000000000000703010000000080000002010904626f6f6d000001000000008000000201018c01008c01";

const FORMAT_2_STATE: &str = "\
    020000019ab697e846030000000000000000000000000000000700017100017400000a746578742f706c61696e050000 \
    0a00ac020080a3050005000501004000000000000000ac0200010100016101310001016b090909090909090909090909 \
    09090909008b01f4eeb252010601020001010104626f6f6d000101000000008000000101000177630100000000800000 \
    020200";

fn unhex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.bytes().filter(u8::is_ascii_hexdigit).collect();
    let byte = |pair: &[u8]| u8::from_str_radix(str::from_utf8(pair).unwrap(), 16).unwrap();
    digits.chunks(2).map(byte).collect()
}

/// What those bytes say.
fn of_format_1() -> (Vec<Record>, Task) {
    let at = |ms: u64| Time::from_unix_ms(1_764_000_000_000 + ms);
    let (id, one, two) = (TaskId::from_u128(7), Token::new(1, 1), Token::new(1, 2));
    let failure = |reason, token, counted, time| {
        let (message, worker) = ("boom".into(), Some("w".into()));
        let details = Name::default();
        Arc::new(Failure { reason, message, details, counted, token: Some(token), worker, time })
    };
    let backoff = Backoff {
        initial: Duration::from_secs(1),
        factor: 2.0,
        cap: Duration::from_mins(5),
        jitter: Jitter::Full,
    };
    let spec = TaskSpec {
        template: Arc::new(Template {
            queue: "q".into(),
            task_type: "t".into(),
            content_type: "text/plain".into(),
            priority: 5,
            start_timeout: Duration::from_secs(10),
            attempt_timeout: Duration::from_mins(5),
            kill_grace: Duration::from_secs(5),
            retry: Retry { max_attempts: 5, backoff },
            terms: LeaseTerms::default(),
            claims: None,
            fairness_key: "".into(),
            shape: Shape::default(),
            admission: Admission::default(),
        }),
        payload: Bytes::from_static(b"input").into(),
        total_timeout: Duration::from_hours(24).into(),
        trace: None,
        extras: Extras {
            initial_delay: Duration::ZERO,
            labels: vec![("a".into(), "1".into())],
            key: Some(Key { name: "k".into(), digest: [9; 16] }),
        }
        .kept(),
    };
    let revoking = Revoking {
        reason: RevocationReason::Cancelled,
        since: at(60),
        grace: Duration::from_secs(5),
        delivered: None,
    };
    let lease = Lease {
        token: two,
        worker: "w".into(),
        instance: "i".into(),
        session: None,
        granted: at(50),
        started: Some(at(55)),
        extended: None,
        revoking: Some(revoking),
        progress: None,
        heard: None,
        silence_since: None,
        reckoned: Reckoned::default(),
    };
    let task = Task {
        id,
        deadline: at(0) + spec.total_timeout.into(),
        spec,
        submitted: at(0),
        revision: 6,
        attempts: 1,
        leases: 2,
        ran: false,
        cancel_requested: true,
        past: Past {
            last_failure: Some(failure(FailureReason::Error, one, true, at(20))),
            ..Past::default()
        }
        .kept(),
        phase: Phase::Leased(Box::new(lease)),
    };
    let records = vec![
        Record::LeaseEnded {
            task: id,
            token: one,
            cause: EndCause::Failed,
            next: Next::Backoff(at(40)),
            failure: Some(failure(FailureReason::Error, one, true, at(20))),
            fact: None,
            time: at(20),
        },
        Record::TaskMoved(Box::new(task.clone())),
        Record::TaskEnded {
            task: id,
            ending: Ending::Cancelled,
            token: Some(two),
            failure: Some(failure(FailureReason::Cancelled, two, false, at(70))),
            fact: None,
            time: at(70),
        },
    ];
    (records, task)
}

#[test]
fn earlier_formats_are_still_read() {
    let (records, mut task) = of_format_1();
    task.spec.payload = Payload::default();
    let check = |body, state, task: &Task| {
        assert_eq!(read(&unhex(body)).unwrap(), records);
        let snapshot = decode_state(&unhex(state)).unwrap();
        assert_eq!(snapshot.task, *task);
        assert_eq!(snapshot.ended.unwrap().ending, Ending::Cancelled);
    };
    check(FORMAT_1_BODY, FORMAT_1_STATE, &task);
    // The row has no lease since there is a ledger.
    task.leave_lease(Phase::Queued);
    check(FORMAT_2_BODY, FORMAT_2_STATE, &task);
}

#[test]
fn what_tasks_have_in_common_is_written_and_kept_once() {
    let (records, _) = of_format_1();
    let Some(Record::TaskMoved(task)) = records.get(1) else { unreachable!("it is moved") };
    let task = |change: fn(&mut TaskSpec)| {
        let mut task = task.clone();
        change(&mut task.spec);
        Record::TaskAccepted(task)
    };
    let trace = || Trace { parent: "00-0af7651916cd43dd-01".into(), state: "a=b".into() };
    let mut body = Body::new(Time::from_unix_ms(1_764_000_000_000), 0);
    let tasks = [
        task(|_| ()),
        task(|spec| spec.payload = Bytes::from_static(b"other").into()),
        task(|spec| spec.priority = 4),
        task(|spec| (spec.payload, spec.extras) = (Payload::default(), None)),
    ];
    let traced = tasks.clone().map(|record| {
        let Record::TaskAccepted(mut task) = record else { unreachable!("it is accepted") };
        task.spec.trace = Some(Arc::new(trace()));
        Record::TaskAccepted(task)
    });
    let sizes = [tasks, traced].map(|records| records.map(|record| body.push(&record)));
    // The queue, the types of task and content, times and retries.
    assert!(sizes[0][1] + 40 < sizes[0][0], "{sizes:?}");
    // Each is told apart from the one before, and by then all are known.
    let trace_bytes = 1 + trace().parent.len() + 1 + trace().state.len();
    assert_eq!(sizes[1][0], sizes[0][1] + trace_bytes);
    assert_eq!(sizes[1][1], sizes[0][1]);
    let bytes = body.close(Time::from_unix_ms(1_764_000_000_000));
    let templates: Vec<_> = read(&bytes)
        .unwrap()
        .into_iter()
        .map(|record| {
            let Record::TaskAccepted(task) = record else { unreachable!("it was written") };
            Arc::clone(&task.spec.template)
        })
        .collect();
    for at in [1, 3, 4, 5, 7] {
        assert!(Arc::ptr_eq(&templates[0], &templates[at]), "{at}");
    }
    assert!(!Arc::ptr_eq(&templates[0], &templates[2]));
}

#[test]
fn more_templates_than_are_numbered_come_back_as_they_went() {
    let (records, _) = of_format_1();
    let Some(Record::TaskMoved(task)) = records.get(1) else { unreachable!("it is moved") };
    let task = |at: usize| {
        let mut task = task.clone();
        task.spec.queue = format!("q{at}").into();
        Record::TaskMoved(task)
    };
    let many: Vec<_> = (0..100).map(task).collect();
    let twice = [many.clone(), many].concat();
    let mut body = Body::new(Time::from_unix_ms(1_764_000_000_000), 0);
    for record in &twice {
        body.push(record);
    }
    assert_eq!(read(&body.close(Time::from_unix_ms(1_764_000_000_000))).unwrap(), twice);
}

/// The lease is not written twice: what it costs to know how it ended is its kind, the proof, the charge, and what it
/// was an attempt of.
#[test]
fn the_row_of_a_task_that_succeeded_at_once_hardly_grows() {
    let (_, mut task) = of_format_1();
    let Phase::Leased(mut lease) = task.phase.clone() else { unreachable!("it is leased") };
    (lease.revoking, task.past) = (None, None);
    let time = Time::from_unix_ms(1_764_000_000_070);
    task.phase = Phase::Leased(lease.clone());
    let mut pen = Pen::new(time);
    pen.task(&task);
    // The format and time before the task, and its three ends of extras, are not the lease's.
    let with_lease = 1 + 8 + 1 + pen.len() - 3;
    let ledger = Ledger::new(
        [LeaseEnd {
            token: lease.token,
            worker: lease.worker,
            instance: lease.instance,
            generation: 1,
            attempt: 1,
            granted: lease.granted,
            started: lease.started,
            revoking: None,
            ended: time,
            kind: EndKind::Succeeded,
            stop: StopProof::Returned,
            charge: Charge::Attempt,
            eligible: None,
            message: Name::default(),
        }],
        0,
    );
    task.past = Past { ledger, ..Past::default() }.kept();
    task.spec.payload = Payload::default();
    let state = encode_state(&Ended {
        task: Box::new(task),
        ending: Ending::Succeeded,
        result: Bytes::new(),
        time,
    });
    let grown = state.len() - (with_lease - b"input".len());
    assert!(grown <= 14, "{} bytes, {grown} more than format 1", state.len());
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
    let mut body = Body::new(Time::from_unix_ms(7), 0);
    body.push(&record("a-rather-long-worker-name"));
    let again = body.push(&record("a-rather-long-worker-name"));
    // Kind, id, token, two numbers, time.
    assert_eq!(again, 1 + 16 + 8 + 1 + 1 + 1);
}
