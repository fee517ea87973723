//! Records gather in batches of bounded size, in order.

use std::{collections::BTreeMap, sync::Arc};

use leasehold_policy::{Backoff, Jitter};
use leasehold_queue::{
    Admission, Command, Config, Effect, Ending, Extras, Failure, FailureReason, Hello, KeptKey,
    Key, LeaseTerms, Name, Outcome, Payload, Phase, Queue, Reckoned, Reply, Retry, SchemasRead,
    SessionId, Shape, StreamId, Submit, Task, TaskId, TaskSpec, Template, Token, Unknown,
};
use proptest::{collection::vec, prelude::*};

use super::*;
use crate::{
    codec::Records,
    engine::row,
    gaps::{self, Found},
    keeper::Moves,
};

use std::time::Duration;

/// What a journal is to a keeper: rows, and how much of the past is settled.
#[derive(Debug, Default)]
struct Rows {
    bodies: BTreeMap<Position, Bytes>,
    settled: Position,
    /// The payloads of dead letters.
    dead: Vec<(TaskId, Bytes)>,
    /// What was read for what left with a batch.
    left: Vec<(TaskId, Bytes)>,
    /// What came along with it.
    ahead: Vec<(TaskId, Bytes)>,
}

impl Rows {
    fn append(&mut self, mut sealed: Sealed) {
        sealed.ahead_bytes = 1_000;
        let filled = gaps::fill(&mut sealed, |home| Ok(Bytes::clone(&self.bodies[&home])));
        let Found { wanted, ahead } = filled.unwrap();
        self.left.extend(wanted);
        let bytes = ahead.iter().map(|(_, payload)| payload.len()).sum::<usize>();
        assert!(bytes <= 1_000, "{bytes} were read ahead");
        self.ahead.extend(ahead);
        let Sealed { position, batch, .. } = sealed;
        for row in batch.failed {
            let task = TaskId::from_u128(u128::from_be_bytes(row.task_id));
            self.dead.push((task, row.payload));
        }
        self.bodies.insert(position, batch.body);
        if let Some(first) = batch.drop_before {
            assert!(first <= position, "a trim keeps the batch that orders it");
            self.bodies = self.bodies.split_off(&first);
            self.settled = position;
        }
    }

    fn bytes(&self) -> usize {
        self.bodies.values().map(Bytes::len).sum()
    }
}

/// A queue that writes, one turn at a time, as the engine does.
struct Writing {
    queue: Queue,
    keeper: Keeper,
    drafts: Drafts,
    rows: Rows,
    now: Time,
    leases: Vec<Token>,
    streams: u64,
    /// Whether payloads are let go as soon as they are durable, and how many assignments have left without.
    lets_go: bool,
    completed: usize,
    /// How long each payload is.
    lens: BTreeMap<TaskId, usize>,
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Submit { key: Option<u8>, bytes: u16 },
    Cancel(u8),
    Succeed(u8),
    Fail(u8),
    Reconnect,
    Wait(u16),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        5 => (prop::option::of(0..6_u8), 0..900_u16)
            .prop_map(|(key, bytes)| Step::Submit { key, bytes }),
        1 => any::<u8>().prop_map(Step::Cancel),
        3 => any::<u8>().prop_map(Step::Succeed),
        2 => any::<u8>().prop_map(Step::Fail),
        1 => Just(Step::Reconnect),
        2 => (0..5_000_u16).prop_map(Step::Wait),
    ]
}

fn config() -> Config {
    Config { key_retention: Duration::from_secs(4), ..Config::default() }
}

/// The id of the only task that is minted in a millisecond.
fn id(ms: u64) -> TaskId {
    TaskId::from_u128(u128::from(ms) << 80 | 0x7 << 76 | 0b10 << 62)
}

fn spec(key: Option<u8>, bytes: u16) -> TaskSpec {
    let second = Duration::from_secs(1);
    let backoff = Backoff { initial: second, factor: 2.0, cap: second, jitter: Jitter::Full };
    TaskSpec {
        template: Arc::new(Template {
            queue: Name::from("q"),
            task_type: Name::from("t"),
            content_type: Name::from(""),
            priority: 5,
            start_timeout: second * 3_600,
            attempt_timeout: second * 3_600,
            kill_grace: second,
            retry: Retry { max_attempts: 2, backoff },
            terms: LeaseTerms::default(),
            claims: None,
            fairness_key: "".into(),
            shape: Shape::default(),
            admission: Admission::default(),
        }),
        payload: vec![7; usize::from(bytes)].into(),
        total_timeout: (second * 86_400).into(),
        trace: None,
        extras: Extras {
            initial_delay: Duration::from_millis(u64::from(bytes)),
            labels: Vec::new(),
            key: key.map(|key| Key { name: key.to_string().into(), digest: [0; 16] }),
        }
        .kept(),
    }
}

impl Writing {
    fn new(tidy_bytes: u64) -> Self {
        let now = Time::from_unix_ms(1_764_000_000_000);
        let mut writing = Self {
            queue: Queue::new(config(), 1),
            keeper: Keeper::tidying_above(tidy_bytes),
            drafts: Drafts::new(Position(0), now),
            rows: Rows::default(),
            now,
            leases: Vec::new(),
            streams: 0,
            lets_go: false,
            completed: 0,
            lens: BTreeMap::new(),
        };
        writing.queue.recovered(now, None);
        writing.reconnect();
        writing.write();
        writing
    }

    fn apply(&mut self, command: Command) -> Reply {
        self.queue.apply(self.now, command)
    }

    fn stream(&self) -> StreamId {
        StreamId(self.streams)
    }

    fn turn(&mut self, number: u64, step: Step) {
        let any_task = |queue: &Queue, pick: u8| {
            let open: Vec<_> =
                queue.tasks_after(TaskId::from_u128(0)).map(|task| task.id).collect();
            open.get(usize::from(pick) % open.len().max(1)).copied()
        };
        match step {
            Step::Submit { key, bytes } => {
                let id = id(number + 1);
                let payload = payload(id, usize::from(bytes)).into();
                self.lens.insert(id, usize::from(bytes));
                let spec = TaskSpec { payload, ..spec(key, bytes) };
                let submit = Submit { id, spec, validate_only: false };
                self.apply(Command::Submit(Box::new(submit)));
            }
            Step::Cancel(pick) => {
                if let Some(task) = any_task(&self.queue, pick) {
                    self.apply(Command::Cancel { task });
                }
            }
            Step::Succeed(pick) => {
                self.finish(pick, Outcome::Succeeded { result: Bytes::from_static(b"r") });
            }
            Step::Fail(pick) => {
                let (failure, retry_delay) = (failure(self.now), Duration::ZERO);
                let proof = leasehold_queue::StopProof::Returned;
                let failed = Outcome::Failed { failure, retryable: true, retry_delay, stop: proof };
                self.finish(pick, failed);
            }
            Step::Reconnect => self.reconnect(),
            Step::Wait(ms) => self.now = self.now + Duration::from_millis(ms.into()),
        }
        self.apply(Command::Advance { until: self.now });
        // None is leased behind one whose payload was let go.
        for _ in 0..3 {
            self.apply(Command::Grant { most: 1 });
        }
        self.write();
    }

    fn finish(&mut self, pick: u8, outcome: Outcome) {
        if self.leases.is_empty() {
            return;
        }
        let token = self.leases.swap_remove(usize::from(pick) % self.leases.len());
        let stream = self.stream();
        self.apply(Command::Started { stream, token });
        self.apply(Command::Outcome { stream, token, outcome, ran: None });
    }

    /// A new stream of a worker that has lost everything it held.
    fn reconnect(&mut self) {
        self.streams += 1;
        self.leases.clear();
        let name = Name::from("w");
        self.apply(Command::Hello(Box::new(Hello {
            stream: self.stream(),
            worker: Name::clone(&name),
            instance: name,
            start: None,
            replaces: Vec::new(),
            task_types: vec![Name::from("t")],
            namespaces: Vec::new(),
            reads: SchemasRead::default(),
            slots: 4,
            resources: Vec::new(),
            knows_sizes: true,
            prefetch: 0,
            held: Vec::new(),
            labels: Vec::new(),
            software: Name::from(""),
        })));
    }

    /// The end of a turn, then a commit of all that gathered.
    fn write(&mut self) {
        let mut output = self.queue.take_output();
        let head = self.drafts.position();
        let moves =
            if output.records.is_empty() { Moves::default() } else { self.keeper.moves(head) };
        let open = moves.tasks.iter().filter_map(|serial| self.queue.task_with_serial(*serial));
        let tasks = open.map(|task| task.id).collect();
        self.apply(Command::Move { tasks, keys: moves.keys.clone() });
        output.records.extend(self.queue.take_output().records);
        let mut ends = output.effects.iter().filter_map(|effect| {
            if let Effect::Ended(ended) = effect { Some(ended) } else { None }
        });
        for record in &output.records {
            let home = record.task().and_then(|task| self.keeper.home(task));
            self.drafts.record(record, &mut self.keeper, self.now);
            if let Record::TaskEnded { ending, .. } = record {
                let ended = ends.next().unwrap();
                if *ending == Ending::Failed {
                    let row = row::failed(ended, Duration::from_secs(1));
                    self.drafts.failed(row, home, &ended.task, &self.keeper);
                }
            }
        }
        self.keeper.moved(moves, head);
        for effect in output.effects {
            if let Effect::Assign { assignment, .. } = effect {
                self.leases.push(assignment.token);
                if let Payload::Away(len) = assignment.spec.payload {
                    self.drafts.leaves(assignment.task, len, &self.keeper);
                    self.completed += 1;
                }
            }
        }
        while let Some(sealed) = self.drafts.next(&mut self.keeper, self.now) {
            self.rows.append(sealed);
            self.drafts.appended();
        }
        let open = self.queue.tasks_after(TaskId::from_u128(0)).map(|task| task.id);
        for task in open.filter(|_| self.lets_go).collect::<Vec<_>>() {
            self.queue.let_go(task);
        }
    }

    /// What a start makes of the rows that are left.
    fn rebuilt(&self) -> Queue {
        let mut queue = Queue::new(config(), 2);
        for (position, body) in &self.rows.bodies {
            let unknown =
                if *position <= self.rows.settled { Unknown::Skip } else { Unknown::Refuse };
            for record in Records::new(body).unwrap() {
                queue.replay(record.unwrap(), unknown).unwrap();
            }
        }
        queue.recovered(self.now, Some(self.now));
        queue.apply(self.now, Command::Advance { until: self.now });
        queue
    }
}

fn failure(time: Time) -> Failure {
    Failure {
        reason: FailureReason::Error,
        message: Name::from("no"),
        details: Name::from(""),
        counted: false,
        token: None,
        worker: None,
        time,
    }
}

/// No two tasks that are open at the same time have the same.
fn payload(id: TaskId, len: usize) -> Bytes {
    id.as_u128().to_be_bytes().into_iter().rev().cycle().take(len).collect()
}

/// Tasks without what a restart may forget, and with the lengths of their payloads, which are theirs wherever they are.
fn durable(queue: &Queue) -> (Vec<Task>, Vec<KeptKey>) {
    let strip = |task: &Task| {
        let mut task = task.clone();
        task.revision = 0;
        let len = task.spec.payload.len();
        if let Some(here) = task.spec.payload.here() {
            assert_eq!(here, &payload(task.id, len));
        }
        task.spec.payload = Payload::Away(len);
        if let Phase::Leased(lease) = &mut task.phase {
            (lease.session, lease.progress) = (None::<SessionId>, None);
            (lease.heard, lease.silence_since) = (None, None);
            lease.reckoned = Reckoned::default();
        }
        task
    };
    let tasks = queue.tasks_after(TaskId::from_u128(0)).map(strip).collect();
    (tasks, queue.kept_keys().collect())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]
    #[test]
    fn what_is_left_after_any_trim_rebuilds_the_same(steps in vec(step(), 1..80)) {
        let mut writing = Writing::new(0);
        for (number, step) in (0..).zip(steps) {
            writing.turn(number, step);
            prop_assert_eq!(durable(&writing.rebuilt()), durable(&writing.queue));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]
    #[test]
    fn payloads_that_were_let_go_come_back_wherever_they_are_needed(steps in vec(step(), 1..80)) {
        let mut writing = Writing::new(0);
        writing.lets_go = true;
        for (number, step) in (0..).zip(steps) {
            writing.turn(number, step);
            prop_assert_eq!(durable(&writing.rebuilt()), durable(&writing.queue));
        }
        prop_assert_eq!(writing.queue.payload_bytes(), 0);
        prop_assert_eq!(writing.rows.left.len(), writing.completed);
        prop_assert_eq!(writing.drafts.read_bytes(), 0);
        let Rows { left, ahead, dead, .. } = &writing.rows;
        for (task, read) in left.iter().chain(ahead).chain(dead) {
            let len = writing.lens.get(task).copied().unwrap();
            prop_assert_eq!(read, &payload(*task, len));
        }
    }
}

#[test]
fn a_payload_of_another_length_than_was_let_go_is_damage() {
    let mut writing = Writing::new(0);
    writing.turn(0, Step::Submit { key: None, bytes: 100 });
    for (expected, is_found) in [(99, false), (100, true), (101, false)] {
        writing.drafts.fact("f".to_owned(), Bytes::from_static(b"1"));
        writing.drafts.leaves(id(1), expected, &writing.keeper);
        let mut sealed = writing.drafts.next(&mut writing.keeper, writing.now).unwrap();
        let bodies = &writing.rows.bodies;
        let filled = gaps::fill(&mut sealed, |home| Ok(Bytes::clone(&bodies[&home])));
        match filled {
            Ok(found) => assert!(is_found && found.wanted == [(id(1), payload(id(1), 100))]),
            Err(why) => assert!(!is_found && why.is_damage(), "{why}"),
        }
        writing.rows.append(sealed);
    }
}

#[test]
fn a_journal_stays_about_twice_as_large_as_what_lives_in_it() {
    let mut writing = Writing::new(0);
    // Forty long-lived tasks, then ten thousand short ones on top of them.
    for number in 0..40 {
        writing.turn(number, Step::Submit { key: None, bytes: 900 });
    }
    let live = writing.rows.bytes();
    let mut most = 0;
    for number in 40..10_040 {
        writing.turn(number, Step::Submit { key: None, bytes: 100 });
        let id = id(number + 1);
        writing.apply(Command::Cancel { task: id });
        writing.write();
        most = most.max(writing.rows.bytes());
    }
    assert_eq!(writing.queue.open_tasks(), 40);
    assert!(most < 3 * live, "{most} bytes for {live} of live tasks");
    assert!(writing.rows.settled.0 > 10_000);
    assert_eq!(durable(&writing.rebuilt()), durable(&writing.queue));
}

#[test]
fn a_small_journal_is_left_alone() {
    let mut writing = Writing::new(1 << 20);
    writing.turn(0, Step::Submit { key: None, bytes: 800 });
    for number in 1..50 {
        writing.turn(number, Step::Submit { key: None, bytes: 100 });
        writing.turn(number, Step::Cancel(u8::MAX));
    }
    let first = writing.rows.bodies.keys().next().copied();
    assert_eq!(first, Some(Position(1)), "nothing was moved or dropped");
}

#[test]
fn a_full_draft_is_sealed_and_a_large_record_goes_alone() {
    let now = Time::from_unix_ms(1);
    let (mut drafts, mut keeper) = (Drafts::new(Position(4), now), Keeper::default());
    assert!(drafts.is_empty());
    assert_eq!((drafts.position(), drafts.last()), (Position(5), Position(4)));
    for (number, bytes) in [(1, 10), (2, 1 << 20), (3, 10)] {
        let mut spec = spec(None, 0);
        spec.payload = vec![0; bytes].into();
        let task = Task::new(id(number), spec, now);
        drafts.record(&Record::TaskAccepted(Box::new(task)), &mut keeper, now);
    }
    assert_eq!((drafts.position(), drafts.last()), (Position(7), Position(7)));
    let sealed: Vec<_> = std::iter::from_fn(|| drafts.next(&mut keeper, now)).collect();
    let seen: Vec<_> = sealed.iter().map(|sealed| (sealed.position.0, sealed.records)).collect();
    assert_eq!(seen, [(5, 1), (6, 1), (7, 1)]);
    assert!(drafts.is_empty());
    assert_eq!(drafts.last(), Position(7));
}
