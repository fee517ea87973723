//! A whole coordinator but for its sockets: real threads, a real journal, workers that speak the contract in-process.

use std::{
    fs::File,
    io::{Read as _, Seek as _, SeekFrom, Write as _},
    path::Path,
    time::{Duration, Instant},
};

use bytes::Bytes;
use leasehold_policy::{Backoff, Jitter};
use leasehold_proto::v1::{
    self, coordinator_event::Event as Told, lease_outcome::Outcome, worker_event::Event as Said,
};
use leasehold_queue::{
    Accepted, Admission, Ending, Extras, FailureReason, Key, LeaseTerms, Name, Refusal, Retry,
    Shape, StreamId, TaskId, TaskSpec, Template, Token,
};
use tempfile::TempDir;
use tokio::sync::mpsc;
use tokio_stream::{StreamExt as _, wrappers::ReceiverStream};
use tonic::Status as GrpcStatus;

use super::*;
use crate::{
    handle::{LeaseName, ListFilter, OpenState, Replay, Submission, Unavailable},
    queues::Queues,
    session::{FRAMES_MAX, Outbound, passage},
    snapshot::Snapshot,
    watch::WatchFilter,
};

/// Nothing here takes this long: a test that waits longer has failed.
const PATIENCE: Duration = Duration::from_secs(20);

/// What the task of a stream may take beside what the transport hands it.
const STREAM_BYTES_MAX: usize = 576;

async fn patiently<T>(what: &str, future: impl Future<Output = T>) -> T {
    let waited = timeout(PATIENCE, future).await;
    waited.unwrap_or_else(|_| panic!("waited in vain for {what}"))
}

/// A coordinator that runs.
struct Node {
    running: Running,
    metrics: Metrics,
    next_stream: u64,
}

impl Node {
    async fn start(dir: &Path) -> Self {
        Self::start_with(dir, |_| {}).await
    }

    async fn start_with(dir: &Path, change: impl FnOnce(&mut Config)) -> Self {
        let mut config = Config { data: dir.to_owned(), ..Config::default() };
        change(&mut config);
        let address = SocketAddr::from(([127, 0, 0, 1], 1));
        let metrics = Metrics::default();
        let running = start(config.into(), metrics.clone(), address).await.unwrap();
        Self { running, metrics, next_stream: 0 }
    }

    fn handle(&self) -> &Handle {
        &self.running.handle
    }

    async fn stop(self) {
        patiently("the end", self.running.stop(CancellationToken::new())).await.unwrap();
    }

    /// The files as a kill would leave them, opened by another coordinator.
    ///
    /// Only what was acknowledged is durable for certain, and nothing else may be relied upon.
    async fn crash(self) -> (Self, TempDir) {
        let (from, to) = (&self.running.config.data, TempDir::new().unwrap());
        for entry in std::fs::read_dir(from).unwrap() {
            let entry = entry.unwrap();
            let name = entry.file_name();
            // Shared memory is rebuilt, the lock is another's, the ballast is made anew.
            if name == "leasehold.db" || name == "leasehold.db-wal" {
                std::fs::copy(entry.path(), to.path().join(name)).unwrap();
            }
        }
        self.stop().await;
        (Self::start(to.path()).await, to)
    }

    async fn submit(&self, spec: TaskSpec) -> TaskId {
        self.try_submit(spec).await.unwrap().id
    }

    async fn try_submit(&self, spec: TaskSpec) -> Result<Accepted, Refusal> {
        let tasks = vec![Submission { spec, validate_only: false }];
        patiently("an accept", self.handle().submit(tasks)).await.unwrap().remove(0)
    }

    fn dial(&mut self) -> Wire {
        self.next_stream += 1;
        let (frames, inbound) = mpsc::channel(64);
        let (outbound, told) = passage(FRAMES_MAX);
        let stream = StreamId(self.next_stream);
        let shared = self.running.shared.clone();
        self.running.sessions.spawn(shared.serve(stream, ReceiverStream::new(inbound), outbound));
        Wire { frames, told, events: Vec::new().into_iter(), sent: 0, heard: 0 }
    }

    /// A worker of this name, welcome.
    async fn worker(&mut self, name: &str, held: &[i64]) -> (Wire, v1::Welcome) {
        let mut wire = self.dial();
        wire.say(Said::Hello(hello(name, held).into())).await;
        let told = wire.told().await;
        let Told::Welcome(welcome) = told else { panic!("not a welcome: {told:?}") };
        (wire, *welcome)
    }
}

/// The worker's end of a stream.
struct Wire {
    frames: mpsc::Sender<Result<v1::ConnectRequest, GrpcStatus>>,
    told: Outbound,
    events: std::vec::IntoIter<v1::CoordinatorEvent>,
    sent: i64,
    heard: i64,
}

impl Wire {
    async fn say(&mut self, event: Said) {
        self.sent += 1;
        let events = vec![v1::WorkerEvent { event: Some(event) }];
        self.frame(v1::ConnectRequest {
            frame_sequence: self.sent,
            ack_frame_sequence: self.heard,
            events,
        })
        .await;
    }

    async fn frame(&self, frame: v1::ConnectRequest) {
        self.frames.send(Ok(frame)).await.unwrap();
    }

    async fn next(&mut self) -> Option<Result<Told, GrpcStatus>> {
        loop {
            if let Some(event) = self.events.next() {
                return Some(Ok(event.event.unwrap()));
            }
            match patiently("a frame", self.told.next()).await? {
                Ok(frame) => {
                    assert_eq!(frame.frame_sequence, self.heard + 1);
                    self.heard = frame.frame_sequence;
                    self.events = frame.events.into_iter();
                }
                Err(status) => return Some(Err(status)),
            }
        }
    }

    async fn told(&mut self) -> Told {
        self.next().await.expect("the stream goes on").expect("no refusal")
    }

    async fn assignment(&mut self) -> v1::Assignment {
        let told = self.told().await;
        let Told::Assignment(assignment) = told else { panic!("not an assignment: {told:?}") };
        *assignment
    }

    /// Ends a lease and says how that was taken.
    async fn finish(&mut self, fencing_token: i64, outcome: Outcome) -> v1::ResultDisposition {
        let run_time = None;
        let outcome = v1::LeaseOutcome { fencing_token, outcome: Some(outcome), run_time };
        self.say(Said::LeaseOutcome(outcome)).await;
        loop {
            // An assignment to the freed slot may come first.
            if let Told::ResultAck(ack) = self.told().await {
                assert_eq!(ack.fencing_token, fencing_token);
                return ack.disposition();
            }
        }
    }

    async fn refusal(&mut self) -> String {
        match self.next().await {
            Some(Err(status)) => {
                use tonic_types::StatusExt as _;
                let info = status.get_details_error_info().expect("details");
                format!("{:?} {}", status.code(), info.reason)
            }
            other => panic!("not refused: {other:?}"),
        }
    }
}

fn hello(name: &str, held: &[i64]) -> v1::Hello {
    let lease = |fencing_token: &i64| v1::HeldLease {
        fencing_token: *fencing_token,
        phase: v1::LeasePhase::Running.into(),
        ..v1::HeldLease::default()
    };
    v1::Hello {
        protocol_version: 1,
        worker_id: name.to_owned(),
        instance_id: "1".to_owned(),
        task_types: vec!["t".to_owned()],
        capacity: Some(v1::Capacity { slots: 1, ..v1::Capacity::default() }),
        held_leases: held.iter().map(lease).collect(),
        ..v1::Hello::default()
    }
}

fn success(result: &[u8]) -> Outcome {
    Outcome::Success(v1::Success { result: result.to_vec().into() })
}

fn failure() -> Outcome {
    Outcome::Failure(v1::AttemptFailure {
        reason: v1::FailureReason::Panic.into(),
        message: "boom".to_owned(),
        details: "at line 7".to_owned(),
        non_retryable: true,
        ..v1::AttemptFailure::default()
    })
}

fn spec(payload: &str) -> TaskSpec {
    let second = Duration::from_secs(1);
    let backoff = Backoff { initial: second, factor: 2.0, cap: second, jitter: Jitter::Full };
    TaskSpec::new(
        Arc::new(Template {
            queue: Name::from("q"),
            task_type: Name::from("t"),
            content_type: Name::from(""),
            priority: 5,
            start_timeout: 10 * second,
            attempt_timeout: 60 * second,
            kill_grace: 5 * second,
            retry: Retry { max_attempts: 3, backoff },
            terms: LeaseTerms::default(),
            claims: None,
            fairness_key: "".into(),
            shape: Shape::default(),
            admission: Admission::default(),
        }),
        Bytes::copy_from_slice(payload.as_bytes()).into(),
        600 * second,
    )
}

fn ending(snapshot: &Snapshot) -> Option<Ending> {
    snapshot.ended.as_ref().map(|ended| ended.ending)
}

#[tokio::test]
async fn a_task_is_accepted_leased_done_and_kept() {
    let dir = TempDir::new().unwrap();
    let mut node = Node::start(dir.path()).await;
    let id = node.submit(spec("work")).await;
    let mut waiter = node.handle().await_end(id).await.unwrap().unwrap();

    let (mut worker, welcome) = node.worker("w", &[]).await;
    assert_eq!(welcome.journal_id, node.handle().cluster().journal_id);
    let assignment = worker.assignment().await;
    assert_eq!((assignment.task_id, &assignment.payload[..]), (id.to_string(), &b"work"[..]));
    let token = assignment.fencing_token;
    worker.say(Said::LeaseStarted(v1::LeaseStarted { fencing_token: token })).await;
    let disposition = worker.finish(token, success(b"done")).await;
    assert_eq!(disposition, v1::ResultDisposition::Accepted);

    let ended = patiently("the end of the task", waiter.ended()).await.unwrap();
    assert_eq!(ending(&ended), Some(Ending::Succeeded));
    assert_eq!(ended.ended.unwrap().result, "done");
    assert_eq!(node.handle().get(id).await.unwrap(), None);
    assert!(node.handle().await_end(id).await.unwrap().is_none());
    let kept = node.handle().archive().finished(id).await.unwrap().unwrap();
    assert_eq!((kept.task.id, kept.task.attempts), (id, 1));
    assert_eq!(kept.ended.unwrap().result, "done");

    let again = worker.finish(token, success(b"done")).await;
    assert_eq!(again, v1::ResultDisposition::Duplicate);
    let foreign = worker.finish(token + 1, success(b"other")).await;
    assert_eq!(foreign, v1::ResultDisposition::Stale);
    let id = node.submit(spec("more")).await;
    assert_eq!(worker.assignment().await.task_id, id.to_string(), "the stream goes on");
    node.stop().await;
}

#[tokio::test]
async fn a_crash_loses_nothing_that_was_acknowledged() {
    let dir = TempDir::new().unwrap();
    let mut node = Node::start(dir.path()).await;
    let done = node.submit(spec("done")).await;
    let (mut worker, _) = node.worker("w", &[]).await;
    let first = worker.assignment().await.fencing_token;
    worker.finish(first, success(b"r")).await;
    let leased = node.submit(spec("leased")).await;
    let second = worker.assignment().await.fencing_token;
    let mut keyed = spec("keyed");
    keyed.extras =
        Extras { key: Some(Key { name: Name::from("k"), digest: [1; 16] }), ..Extras::default() }
            .kept();
    let waiting = node.submit(keyed.clone()).await;
    node.handle().pause(Name::from("q")).await.unwrap().unwrap();

    let epoch = node.handle().cluster().epoch;
    let (mut node, _dir) = node.crash().await;
    assert!(epoch < node.handle().cluster().epoch);
    let kept = node.handle().archive().finished(done).await.unwrap().unwrap();
    assert_eq!(kept.ended.unwrap().result, "r");
    let again = node.try_submit(keyed).await.unwrap();
    assert_eq!(again, Accepted { id: waiting, deduplicated: true, late: None });
    assert!(node.handle().queues().await.unwrap()[0].paused);

    let (mut worker, welcome) = node.worker("w", &[second, 77]).await;
    let verdicts: Vec<_> = welcome.verdicts.iter().map(v1::LeaseVerdict::verdict).collect();
    assert_eq!(verdicts, [v1::Verdict::Retained, v1::Verdict::Lost]);
    assert_eq!(worker.finish(first, success(b"r")).await, v1::ResultDisposition::Duplicate);
    assert_eq!(worker.finish(second, success(b"r")).await, v1::ResultDisposition::Accepted);
    assert!(node.handle().archive().finished(leased).await.unwrap().is_some());
    node.handle().resume(Name::from("q")).await.unwrap().unwrap();
    let third = worker.assignment().await;
    assert_eq!(third.task_id, waiting.to_string());
    assert!(second < third.fencing_token);
    node.stop().await;
}

#[tokio::test]
async fn a_checkpoint_is_handed_on_over_a_crash_and_one_that_is_too_large_is_not_kept() {
    let saved = |fencing_token, data: &[u8]| {
        let checkpoint = Some(Bytes::copy_from_slice(data));
        let progress = Some(v1::Progress { checkpoint, ..v1::Progress::default() });
        Said::LeaseProgress(v1::LeaseProgress { fencing_token, progress })
    };
    let dir = TempDir::new().unwrap();
    let mut node = Node::start_with(dir.path(), |config| config.limits.checkpoint_bytes = 4).await;
    let mut often = spec("work");
    often.retry.backoff.initial = Duration::from_millis(1);
    let id = node.submit(often).await;
    let (mut worker, welcome) = node.worker("w", &[]).await;
    assert_eq!(welcome.settings.unwrap().checkpoint_bytes_max, 4);
    let first = worker.assignment().await;
    assert_eq!(first.checkpoint, None);
    worker.say(saved(first.fencing_token, b"60")).await;
    worker.say(saved(first.fencing_token, b"large")).await;
    worker.say(saved(first.fencing_token + 1, b"99")).await;
    let failed = Outcome::Failure(v1::AttemptFailure::default());
    worker.finish(first.fencing_token, failed).await;
    let page = node.metrics.render().unwrap();
    for (fate, count) in [("kept", 1), ("too_large", 1), ("stale", 1), ("no_room", 0)] {
        let line = format!("leasehold_checkpoints_total{{fate=\"{fate}\"}} {count}");
        assert!(page.contains(&line), "{line} is not in\n{page}");
    }

    let (mut node, _dir) = node.crash().await;
    let kept = node.handle().get(id).await.unwrap().unwrap().task.checkpoint().unwrap().clone();
    assert_eq!((kept.token.as_i64(), &*kept.data), (first.fencing_token, &b"60"[..]));
    let (mut worker, _) = node.worker("w", &[]).await;
    let next = loop {
        if let Told::Assignment(it) = worker.told().await {
            break it;
        }
    };
    assert_eq!((next.task_id, next.attempt), (id.to_string(), 2));
    assert_eq!(next.checkpoint.as_deref(), Some(&b"60"[..]));
    node.stop().await;
}

#[tokio::test]
async fn a_worker_must_say_who_it_is() {
    let dir = TempDir::new().unwrap();
    let mut node = Node::start(dir.path()).await;
    let journal_id = node.handle().cluster().journal_id;
    let good = || hello("w", &[]);
    for (said, refusal) in [
        (
            Said::Capacity(v1::Capacity { slots: 1, ..v1::Capacity::default() }),
            "FailedPrecondition PROTOCOL_VIOLATION",
        ),
        (
            Said::Hello(Box::new(v1::Hello { protocol_version: 2, ..good() })),
            "FailedPrecondition PROTOCOL_UNSUPPORTED",
        ),
        (
            Said::Hello(Box::new(v1::Hello { worker_id: "a b".to_owned(), ..good() })),
            "InvalidArgument INVALID_FIELD",
        ),
        (
            Said::Hello(Box::new(v1::Hello { task_types: Vec::new(), ..good() })),
            "InvalidArgument INVALID_FIELD",
        ),
        (
            Said::Hello(Box::new(v1::Hello {
                capacity: Some(v1::Capacity { slots: -1, ..v1::Capacity::default() }),
                ..good()
            })),
            "InvalidArgument INVALID_FIELD",
        ),
        (
            Said::Hello(Box::new(v1::Hello {
                capacity: Some(v1::Capacity {
                    slots: 1,
                    resources: [("gpu".to_owned(), 0)].into(),
                    ..v1::Capacity::default()
                }),
                ..good()
            })),
            "InvalidArgument INVALID_FIELD",
        ),
        (
            Said::Hello(Box::new(v1::Hello { journal_id, seen_epoch: i64::MAX, ..good() })),
            "FailedPrecondition LOWER_EPOCH",
        ),
    ] {
        let mut wire = node.dial();
        wire.say(said).await;
        assert_eq!(wire.refusal().await, refusal);
        assert!(wire.next().await.is_none(), "the stream ends");
    }
    assert!(node.handle().workers().await.unwrap().is_empty());
    node.stop().await;
}

#[tokio::test]
async fn a_worker_hears_nothing_before_its_welcome() {
    let dir = TempDir::new().unwrap();
    let mut node = Node::start(dir.path()).await;
    let mut wire = node.dial();
    let beat = |sequence| Said::Heartbeat(v1::Heartbeat { sequence, ..Default::default() });
    let events = [Said::Hello(hello("w", &[]).into()), beat(1)];
    let events = events.map(|event| v1::WorkerEvent { event: Some(event) }).into();
    wire.frame(v1::ConnectRequest { frame_sequence: 1, ack_frame_sequence: 0, events }).await;
    wire.sent = 1;
    assert!(matches!(wire.told().await, Told::Welcome(_)));
    wire.say(beat(2)).await;
    assert_eq!(wire.told().await, Told::HeartbeatAck(v1::HeartbeatAck { sequence: 2 }));
    node.stop().await;
}

#[tokio::test]
async fn a_worker_that_breaks_a_rule_is_sent_away() {
    let dir = TempDir::new().unwrap();
    let mut node = Node::start(dir.path()).await;
    let frame = |frame_sequence, ack_frame_sequence, event| v1::ConnectRequest {
        frame_sequence,
        ack_frame_sequence,
        events: vec![v1::WorkerEvent { event }],
    };
    let second_hello = Some(Said::Hello(hello("w", &[]).into()));
    let slots = Some(Said::Capacity(v1::Capacity { slots: 10_001, ..v1::Capacity::default() }));
    for broken in [
        frame(1, 1, None),
        frame(3, 1, None),
        frame(2, 2, None),
        frame(2, -1, None),
        frame(2, 1, second_hello),
        frame(2, 1, slots),
    ] {
        let (mut worker, _) = node.worker("w", &[]).await;
        worker.frame(broken).await;
        assert_eq!(worker.refusal().await, "FailedPrecondition PROTOCOL_VIOLATION");
    }
    let (mut worker, _) = node.worker("w", &[]).await;
    // A kind of event nobody knows yet is passed over.
    worker.frame(frame(2, 1, None)).await;
    worker.sent += 1;
    worker.say(Said::Heartbeat(v1::Heartbeat { sequence: 9, ..Default::default() })).await;
    assert_eq!(worker.told().await, Told::HeartbeatAck(v1::HeartbeatAck { sequence: 9 }));
    node.stop().await;
}

#[tokio::test]
async fn a_lease_is_missed_only_once_its_assignment_was_acknowledged() {
    let dir = TempDir::new().unwrap();
    let mut node = Node::start(dir.path()).await;
    let id = node.submit(spec("")).await;
    let (mut worker, _) = node.worker("w", &[]).await;
    let token = worker.assignment().await.fencing_token;
    let assigned = worker.heard;

    // A heartbeat that was on its way when the assignment came says nothing about it.
    worker.heard = assigned - 1;
    let nothing = |sequence| Said::Heartbeat(v1::Heartbeat { sequence, ..Default::default() });
    worker.say(nothing(1)).await;
    worker.heard = assigned;
    assert_eq!(worker.told().await, Told::HeartbeatAck(v1::HeartbeatAck { sequence: 1 }));
    let task = node.handle().get(id).await.unwrap().unwrap().task;
    assert_eq!(task.last_token().map(Token::as_i64), Some(token));

    worker.say(nothing(2)).await;
    assert_eq!(worker.told().await, Told::HeartbeatAck(v1::HeartbeatAck { sequence: 2 }));
    let again = worker.assignment().await;
    assert_eq!((again.task_id, again.attempt), (id.to_string(), 1), "it cost no attempt");
    assert!(token < again.fencing_token);
    node.stop().await;
}

#[tokio::test]
async fn a_result_that_is_too_large_fails_the_attempt() {
    let dir = TempDir::new().unwrap();
    let mut node = Node::start_with(dir.path(), |config| config.limits.result_bytes = 4).await;
    let id = node.submit(spec("")).await;
    let (mut worker, welcome) = node.worker("w", &[]).await;
    assert_eq!(welcome.settings.unwrap().result_bytes_max, 4);
    let token = worker.assignment().await.fencing_token;
    assert_eq!(worker.finish(token, success(b"12345")).await, v1::ResultDisposition::Invalid);
    let task = node.handle().get(id).await.unwrap().unwrap().task;
    assert_eq!(task.last_failure().unwrap().reason, FailureReason::ResultTooLarge);
    assert_eq!(task.attempts, 1);
    node.stop().await;
}

/// The test's thread is the runtime's only one, so nothing is read while it waits for the session to be over.
#[tokio::test]
async fn what_had_arrived_before_a_session_was_over_is_heard() {
    let dir = TempDir::new().unwrap();
    let mut node = Node::start_with(dir.path(), |config| {
        config.session.ttl = Duration::from_millis(400);
        config.session.heartbeat_interval = Duration::from_millis(100);
    })
    .await;
    let (mut worker, _) = node.worker("w", &[]).await;
    let session = node.handle().workers().await.unwrap()[0].session;
    let over = Instant::now() + Duration::from_millis(600);
    let held_tokens = Vec::new();
    worker.say(Said::Heartbeat(v1::Heartbeat { sequence: 1, held_tokens, load: None })).await;
    while Instant::now() < over {
        std::hint::spin_loop();
    }
    assert_eq!(worker.told().await, Told::HeartbeatAck(v1::HeartbeatAck { sequence: 1 }));
    let workers = node.handle().workers().await.unwrap();
    assert_eq!(workers.iter().map(|it| it.session).collect::<Vec<_>>(), [session]);
    node.stop().await;
}

#[tokio::test]
async fn a_new_stream_takes_over_and_the_old_one_hears_of_it() {
    let dir = TempDir::new().unwrap();
    let mut node = Node::start(dir.path()).await;
    let (mut old, _) = node.worker("w", &[]).await;
    let (_new, welcome) = node.worker("w", &[]).await;
    assert!(welcome.resumed);
    let Told::GoAway(away) = old.told().await else { panic!("no farewell") };
    assert_eq!(away.reason(), v1::GoAwayReason::Replaced);
    assert!(old.next().await.is_none());
    assert_eq!(node.handle().workers().await.unwrap().len(), 1);
    node.stop().await;
}

#[tokio::test]
async fn payloads_that_there_is_no_room_for_are_in_the_journal() {
    let dir = TempDir::new().unwrap();
    let no_room = |config: &mut Config| config.limits.payload_memory = 0;
    let mut node = Node::start_with(dir.path(), no_room).await;
    let payloads: Vec<String> = ["a", "b", "c"].map(|letter| letter.repeat(100)).into();
    let mut ids = Vec::new();
    for payload in &payloads {
        ids.push(node.submit(spec(payload)).await);
    }
    for is_restarted in [false, true] {
        if is_restarted {
            node.stop().await;
            node = Node::start_with(dir.path(), no_room).await;
        }
        for (id, payload) in ids.iter().zip(&payloads) {
            let shown = node.handle().get(*id).await.unwrap().unwrap();
            assert!(shown.home.is_some(), "it was let go");
            assert_eq!(shown.task.spec.payload, payload.clone().into());
        }
    }
    let (mut worker, _) = node.worker("w", &[]).await;
    for (id, payload) in ids.iter().zip(&payloads) {
        // The answer to the outcome before it comes first.
        let assignment = loop {
            if let Told::Assignment(assignment) = worker.told().await {
                break assignment;
            }
        };
        let v1::Assignment { fencing_token, payload: given, .. } = *assignment;
        assert_eq!(given, payload.as_bytes());
        let mut end = node.handle().await_end(*id).await.unwrap().unwrap();
        let (outcome, run_time) = (Some(failure()), None);
        worker.say(Said::LeaseOutcome(v1::LeaseOutcome { fencing_token, outcome, run_time })).await;
        patiently("an end", end.ended()).await.unwrap();
    }
    for (id, payload) in ids.iter().zip(&payloads) {
        let dead = node.handle().archive().failed(*id).await.unwrap().unwrap();
        assert_eq!(dead.task.spec.payload, payload.clone().into());
    }
    node.stop().await;
}

/// Damages a payload wherever it is in a journal.
fn damage(dir: &Path, payload: &str) {
    let mut count = 0;
    for name in ["leasehold.db", "leasehold.db-wal"] {
        let mut file = File::options().read(true).write(true).open(dir.join(name)).unwrap();
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).unwrap();
        let windows = bytes.windows(payload.len()).enumerate();
        for (at, _) in windows.filter(|(_, window)| *window == payload.as_bytes()) {
            file.seek(SeekFrom::Start(at as u64)).unwrap();
            file.write_all(b"!").unwrap();
            count += 1;
        }
    }
    assert_ne!(count, 0, "it is in the journal as it is");
}

#[tokio::test]
async fn a_payload_that_is_damaged_on_the_disk_ends_the_process_for_good() {
    let dir = TempDir::new().unwrap();
    let mut node = Node::start_with(dir.path(), |config| config.limits.payload_memory = 0).await;
    let payload = "damaged".repeat(20);
    node.submit(spec(&payload)).await;
    damage(dir.path(), &payload);
    let mut wire = node.dial();
    wire.say(Said::Hello(hello("w", &[]).into())).await;
    let failure = patiently("a failure", node.running.failed()).await;
    assert!(matches!(failure, RunError::Damaged(_)), "{failure:?}");
    assert_eq!(failure.exit_code(), 65);
}

#[tokio::test]
async fn what_took_effect_is_answered_though_the_payload_cannot_be_read() {
    let dir = TempDir::new().unwrap();
    let mut node = Node::start_with(dir.path(), |config| config.limits.payload_memory = 0).await;
    let payload = "unreadable".repeat(20);
    let id = node.submit(spec(&payload)).await;
    let (mut worker, _) = node.worker("w", &[]).await;
    assert_eq!(worker.assignment().await.payload, payload.as_bytes());
    damage(dir.path(), &payload);
    let handle = node.handle();
    assert_eq!(handle.get(id).await, Err(Unavailable::Unreadable));
    let revoked = handle.revoke_lease(LeaseName::Of(id), None, "test".to_owned()).await;
    assert_eq!(revoked.unwrap().unwrap().task.id, id);
    let cancelled = handle.cancel(id).await.unwrap().unwrap();
    assert!(cancelled.task.cancel_requested);
    node.stop().await;
}

#[tokio::test]
async fn who_has_succeeded_is_shown_without_payload_wherever_that_was() {
    for payload_memory in [0, 1 << 20] {
        let dir = TempDir::new().unwrap();
        let small = |config: &mut Config| config.limits.payload_memory = payload_memory;
        let mut node = Node::start_with(dir.path(), small).await;
        let id = node.submit(spec(&"payload".repeat(20))).await;
        let (mut worker, _) = node.worker("w", &[]).await;
        let token = worker.assignment().await.fencing_token;
        let mut end = node.handle().await_end(id).await.unwrap().unwrap();
        worker.finish(token, success(b"")).await;
        let ended = patiently("an end", end.ended()).await.unwrap();
        assert_eq!(ended.task.spec.payload, Bytes::new().into(), "{payload_memory}");
        node.stop().await;
    }
}

#[tokio::test]
async fn a_dead_letter_is_replayed_once() {
    let dir = TempDir::new().unwrap();
    let mut node = Node::start(dir.path()).await;
    let id = node.submit(spec("p")).await;
    let (mut worker, _) = node.worker("w", &[]).await;
    let handle = node.handle().clone();
    for generation in 1..=3 {
        let assignment = worker.assignment().await;
        assert_eq!((assignment.generation, &assignment.payload[..]), (generation, &b"p"[..]));
        worker.finish(assignment.fencing_token, failure()).await;
        let generation = u32::try_from(generation).unwrap();
        let dead = handle.archive().failed(id).await.unwrap().unwrap();
        assert_eq!((dead.task.generation(), &dead.task.spec.payload), (generation, &"p".into()));
        assert_eq!(dead.task.last_failure().unwrap().reason, FailureReason::Panic);

        let past = handle.replay(id, Some(generation - 1)).await.unwrap();
        assert!(matches!(past, Replay::Already(None)), "{past:?}");
        let too_new = handle.replay(id, Some(generation + 1)).await.unwrap();
        assert!(matches!(too_new, Replay::NotDead), "{too_new:?}");
        let (first, second) =
            tokio::join!(handle.replay(id, Some(generation)), handle.replay(id, Some(generation)));
        let (first, second) = (first.unwrap(), second.unwrap());
        assert!(matches!(&first, Replay::Done(open) if open.task.generation() == generation + 1));
        assert!(matches!(&second, Replay::Already(Some(_))), "{second:?}");
        let late = handle.replay(id, Some(generation)).await.unwrap();
        assert!(matches!(late, Replay::Already(Some(_))), "{late:?}");
        assert!(handle.archive().failed(id).await.unwrap().is_none());
    }
    let last = worker.assignment().await.fencing_token;
    worker.finish(last, success(b"at last")).await;
    assert!(handle.archive().finished(id).await.unwrap().is_some());
    for id in [id, TaskId::from_u128(7)] {
        assert!(matches!(handle.replay(id, None).await.unwrap(), Replay::NotDead));
    }
    node.stop().await;
}

#[tokio::test]
async fn a_cancel_ends_what_waits_and_asks_what_runs() {
    let dir = TempDir::new().unwrap();
    let mut node = Node::start(dir.path()).await;
    let running = node.submit(spec("")).await;
    let (mut worker, _) = node.worker("w", &[]).await;
    let token = worker.assignment().await.fencing_token;
    let waiting = node.submit(spec("")).await;

    let cancelled = node.handle().cancel(waiting).await.unwrap().unwrap();
    assert_eq!(ending(&cancelled), Some(Ending::Cancelled));
    assert!(node.handle().archive().finished(waiting).await.unwrap().is_some());
    assert_eq!(node.handle().cancel(waiting).await.unwrap(), None);

    let asked = node.handle().cancel(running).await.unwrap().unwrap();
    assert_eq!((ending(&asked), asked.task.cancel_requested), (None, true));
    let Told::Revocation(revocation) = worker.told().await else { panic!("not revoked") };
    assert_eq!(revocation.reason(), v1::RevocationReason::Cancelled);
    assert_eq!(OpenState::of(&asked.task), OpenState::Cancelling);
    let stopped = Outcome::Stopped(v1::Stopped::default());
    assert_eq!(worker.finish(token, stopped).await, v1::ResultDisposition::Accepted);
    let ended = node.handle().archive().finished(running).await.unwrap().unwrap();
    assert_eq!(ending(&ended), Some(Ending::Cancelled));
    node.stop().await;
}

#[tokio::test]
async fn open_tasks_are_listed_in_pages() {
    let dir = TempDir::new().unwrap();
    let mut node = Node::start(dir.path()).await;
    let mut ids = Vec::new();
    for number in 0..5 {
        let mut spec = spec("");
        if number == 2 {
            spec.queue = Name::from("other");
        }
        ids.push(node.submit(spec).await);
    }
    assert!(ids.is_sorted(), "ids grow with time");
    let (mut worker, _) = node.worker("w", &[]).await;
    worker.assignment().await;
    let check = async |queue: Option<&str>, states: &[OpenState], expected: &[TaskId]| {
        let (mut found, mut after) = (Vec::new(), Some(TaskId::from_u128(0)));
        while let Some(id) = after {
            let filter = ListFilter {
                queues: queue.map(|queue| Queues::One(queue.into())),
                task_type: Some(Name::from("t")),
                states: states.to_vec(),
                after: id,
                limit: 2,
            };
            let page = node.handle().list(filter).await.unwrap();
            assert!(page.tasks.len() <= 2);
            found.extend(page.tasks.iter().map(|snapshot| snapshot.task.id));
            after = page.next;
        }
        assert_eq!(found, expected, "{queue:?} {states:?}");
    };
    check(None, &[], &ids).await;
    check(Some("other"), &[], &ids[2..3]).await;
    check(Some("none"), &[], &[]).await;
    check(None, &[OpenState::Leased], &ids[..1]).await;
    check(None, &[OpenState::Queued, OpenState::Running], &ids[1..]).await;
    node.stop().await;
}

#[tokio::test]
async fn a_watch_shows_each_task_to_its_end() {
    let dir = TempDir::new().unwrap();
    let mut node = Node::start(dir.path()).await;
    let open = node.submit(spec("long payload")).await;
    let unknown = TaskId::from_u128(7);
    let filter = WatchFilter { tasks: [open, unknown].into(), queues: None, include_current: true };
    let mut watch = node.handle().watch(filter).await.unwrap();
    assert_eq!(watch.absent, [unknown]);
    let first = patiently("the present", watch.next()).await.unwrap().unwrap();
    assert_eq!((first[0].task.id, first[0].task.spec.payload.len()), (open, 0));

    let (mut worker, _) = node.worker("w", &[]).await;
    let token = worker.assignment().await.fencing_token;
    node.submit(spec("not watched")).await;
    worker.finish(token, success(b"r")).await;
    loop {
        let seen = patiently("a change", watch.next()).await.unwrap().unwrap();
        let last = seen.last().unwrap();
        assert_eq!((seen.len(), last.task.id), (1, open));
        if ending(last) == Some(Ending::Succeeded) {
            break;
        }
    }
    node.stop().await;
    assert!(patiently("the end", watch.next()).await.is_none());
}

#[tokio::test]
async fn the_end_is_told_to_everybody_and_the_directory_given_back() {
    let dir = TempDir::new().unwrap();
    let mut node = Node::start(dir.path()).await;
    let (mut worker, _) = node.worker("w", &[]).await;
    let id = node.submit(spec("")).await;
    let token = worker.assignment().await.fencing_token;
    let mut waiter = node.handle().await_end(id).await.unwrap().unwrap();
    let handle = node.handle().clone();
    node.stop().await;

    let Told::GoAway(away) = worker.told().await else { panic!("no farewell") };
    assert_eq!(away.reason(), v1::GoAwayReason::Shutdown);
    assert!(worker.next().await.is_none());
    assert_eq!(waiter.ended().await, Err(Unavailable::Stopped));
    assert_eq!(handle.submit(Vec::new()).await, Err(Unavailable::ShuttingDown));
    assert_eq!(handle.get(id).await, Err(Unavailable::Stopped));

    let mut node = Node::start(dir.path()).await;
    let (mut worker, welcome) = node.worker("w", &[token]).await;
    assert_eq!(welcome.verdicts[0].verdict(), v1::Verdict::Retained);
    assert_eq!(worker.finish(token, success(b"r")).await, v1::ResultDisposition::Accepted);
    node.stop().await;
}

#[tokio::test]
async fn a_worker_that_does_not_read_is_sent_away_and_keeps_its_leases() {
    let dir = TempDir::new().unwrap();
    let mut node = Node::start_with(dir.path(), |config| {
        config.session.ttl = Duration::from_secs(2);
    })
    .await;
    let id = node.submit(spec("")).await;
    let (mut worker, _) = node.worker("w", &[]).await;
    let token = worker.assignment().await.fencing_token;
    // More answers than its transport takes, until one has waited for half a session.
    for sequence in 1.. {
        let beat =
            Said::Heartbeat(v1::Heartbeat { sequence, held_tokens: vec![token], load: None });
        let frame = v1::ConnectRequest {
            frame_sequence: worker.sent + sequence,
            ack_frame_sequence: worker.heard,
            events: vec![v1::WorkerEvent { event: Some(beat) }],
        };
        if worker.frames.send(Ok(frame)).await.is_err() {
            break;
        }
        tokio::task::yield_now().await;
    }
    let task = node.handle().get(id).await.unwrap().unwrap().task;
    assert_eq!((OpenState::of(&task), task.leases), (OpenState::Leased, 1));
    node.stop().await;
}

#[tokio::test]
async fn a_second_coordinator_on_the_directory_names_the_first() {
    let dir = TempDir::new().unwrap();
    let node = Node::start(dir.path()).await;
    let config = Config { data: dir.path().to_owned(), ..Config::default() };
    let address = SocketAddr::from(([127, 0, 0, 1], 2));
    let second = start(config.into(), Metrics::default(), address).await.err().unwrap();
    assert_eq!(second.exit_code(), 73);
    let text = chain(&second);
    assert!(text.contains("127.0.0.1:1"), "{text}");
    assert!(text.contains(&std::process::id().to_string()), "{text}");
    node.stop().await;
}

#[tokio::test]
async fn a_bound_on_waiters_and_watchers_holds() {
    let dir = TempDir::new().unwrap();
    let node = Node::start_with(dir.path(), |config| {
        (config.limits.waiters, config.limits.watchers) = (1, 1);
    })
    .await;
    let id = node.submit(spec("")).await;
    let waiter = node.handle().await_end(id).await.unwrap();
    let refused = node.handle().await_end(id).await.map(drop);
    assert_eq!(refused, Err(Unavailable::full("limits.waiters", 1)));
    drop(waiter);
    assert!(node.handle().await_end(id).await.unwrap().is_some());
    let watch = node.handle().watch(WatchFilter::default()).await.unwrap();
    let refused = node.handle().watch(WatchFilter::default()).await.map(drop);
    assert_eq!(refused, Err(Unavailable::full("limits.watchers", 1)));
    drop(watch);
    assert!(node.handle().watch(WatchFilter::default()).await.is_ok());
    node.stop().await;
}

#[tokio::test]
async fn a_stream_that_is_idle_holds_little() {
    let dir = TempDir::new().unwrap();
    let node = Node::start(dir.path()).await;
    let (frames, _told) = passage(FRAMES_MAX);
    let silent = tokio_stream::pending::<Result<v1::ConnectRequest, GrpcStatus>>();
    let served = node.running.shared.clone().serve(StreamId(1), silent, frames);
    let bytes = size_of_val(&served);
    assert!(bytes <= STREAM_BYTES_MAX, "{bytes} bytes for each of tens of thousands of workers");
    drop(served);
    node.stop().await;
}
