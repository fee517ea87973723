//! When a turn is late, and what a stuck or full disk does to workers and to what they save.

use bytes::Bytes;
use leasehold_policy::{Backoff, Jitter};
use leasehold_proto::v1::{self, worker_event::Event as Said};
use leasehold_queue::{
    Admission, LeaseTerms, Name, Phase, Retry, Shape, TaskId, TaskSpec, Template,
};

use super::{draft::READ_BYTES_MAX, *};
use crate::{
    clock::Dial,
    egress::BYTES_MAX,
    simulation::{Answer, Ask, Coordinator, Start, Word, Work},
};

#[test]
fn only_time_beyond_a_turn_that_was_due_is_lateness() {
    let at = |ms| Time::from_unix_ms(1_764_000_000_000 + ms);
    let turn = u64::try_from(STALL.as_millis()).unwrap();
    for (what, due, now, late) in [
        ("it was woken early", 500, 200, 0),
        ("in time", 500, 500, 0),
        ("stopped while it waited", 500, 9_500, 9_000),
        ("more to do after a usual turn", 0, turn, 0),
        ("more to do after a long turn", 0, turn + 700, 700),
        ("due in the middle of a usual turn", 20, turn, 0),
        ("due in the middle of a long turn", 20, turn + 700, 700),
        ("due late in a long turn", 600, turn + 700, turn + 100),
    ] {
        assert_eq!(lateness(at(0), at(due), at(now)), Duration::from_millis(late), "{what}");
    }
}

/// A coordinator whose disk answers when it is told to, with a worker of two slots.
struct Stage {
    coordinator: Coordinator,
    dial: Arc<Dial>,
    ms: u64,
    sent: i64,
    /// A batch that the disk has not taken yet.
    held: Option<Position>,
    batches: BTreeMap<Position, Bytes>,
}

const STREAM: StreamId = StreamId(1);

impl Stage {
    fn new() -> Self {
        let mut stage = Self::without_worker(Config::default());
        stage.hello(2);
        stage.write();
        stage
    }

    fn without_worker(config: Config) -> Self {
        let dial = Arc::new(Dial::default());
        let coordinator = Coordinator::start(Start {
            config,
            journal_id: "j".to_owned(),
            epoch: 1,
            batches: Vec::new(),
            head: Position(0),
            settled: Position(0),
            facts: Vec::new(),
            tidy_bytes: 0,
            least_payload_bytes: 0,
            payloads_ahead_share: 1,
            dial: Arc::clone(&dial),
        });
        let coordinator = coordinator.unwrap();
        let batches = BTreeMap::new();
        let mut stage = Self { coordinator, dial, ms: 0, sent: 0, held: None, batches };
        stage.turn();
        stage.write();
        stage
    }

    fn hello(&mut self, slots: i32) {
        self.say(Said::Hello(Box::new(v1::Hello {
            protocol_version: 1,
            worker_id: "w".to_owned(),
            instance_id: "1".to_owned(),
            task_types: vec!["t".to_owned()],
            capacity: Some(v1::Capacity { slots, ..v1::Capacity::default() }),
            ..v1::Hello::default()
        })));
    }

    fn say(&mut self, event: Said) {
        self.hear(event);
        self.turn();
    }

    /// What the next turn hears.
    fn hear(&mut self, event: Said) {
        self.sent += 1;
        let frame = v1::ConnectRequest {
            frame_sequence: self.sent,
            events: vec![v1::WorkerEvent { event: Some(event) }],
            ..v1::ConnectRequest::default()
        };
        self.coordinator.hear(STREAM, frame).unwrap();
    }

    /// Time passes, a second at a time, with a heartbeat each; the disk does nothing.
    fn pass(&mut self, seconds: u64) {
        for _ in 0..seconds {
            self.ms += 1_000;
            let sequence = i64::try_from(self.ms).unwrap();
            self.say(Said::Heartbeat(v1::Heartbeat { sequence, ..Default::default() }));
        }
    }

    fn turn(&mut self) {
        let wall = Time::from_unix_ms(1_764_000_000_000 + self.ms);
        self.dial.set(Duration::from_millis(self.ms), wall);
        self.coordinator.turn().unwrap();
        let Self { coordinator, batches, .. } = self;
        if let Some(Work::Append(position, batch)) = coordinator.work(|at| batches.get(&at)) {
            self.held = Some(position);
            self.batches.insert(position, batch.body);
        }
    }

    /// The disk takes everything.
    fn write(&mut self) {
        while let Some(position) = self.held.take() {
            self.coordinator.report(Word::Durable(position));
            self.turn();
        }
    }

    fn submit(&mut self, ticket: u64) {
        self.coordinator.ask(ticket, Ask::Submit(vec![spec()]));
        self.turn();
    }

    /// Every task that was accepted, as far as that was answered.
    fn accepted(&mut self) -> Vec<TaskId> {
        let answers = self.coordinator.answers().into_iter().flat_map(|(_, answer)| {
            let Answer::Submitted(Some(tasks)) = answer else { panic!("{answer:?}") };
            tasks
        });
        answers.map(|accepted| accepted.unwrap().id).collect()
    }

    fn lease(&self, task: TaskId) -> Option<(Token, bool)> {
        match &self.coordinator.queue().task(task)?.phase {
            Phase::Leased(lease) => Some((lease.token, lease.revoking.is_some())),
            Phase::Scheduled { .. } | Phase::Queued => None,
        }
    }
}

fn spec() -> TaskSpec {
    let second = Duration::from_secs(1);
    let backoff = Backoff { initial: second, factor: 2.0, cap: second, jitter: Jitter::Full };
    TaskSpec::new(
        Arc::new(Template {
            queue: Name::from("q"),
            task_type: Name::from("t"),
            content_type: Name::from(""),
            priority: 5,
            start_timeout: 10 * second,
            attempt_timeout: 600 * second,
            kill_grace: second,
            retry: Retry { max_attempts: 3, backoff },
            terms: LeaseTerms::default(),
            claims: None,
            fairness_key: "".into(),
            shape: Shape::default(),
            admission: Admission::default(),
        }),
        Bytes::new().into(),
        6_000 * second,
    )
}

#[test]
fn a_stuck_disk_is_not_held_against_workers() {
    let mut stage = Stage::new();
    stage.submit(1);
    stage.pass(2);
    stage.submit(2);
    let tasks: Vec<_> = stage.coordinator.queue().tasks_after(TaskId::from_u128(0)).collect();
    let [first, second] = tasks[..] else { panic!("{} tasks", tasks.len()) };
    let (first, second) = (first.id, second.id);
    let leased = stage.lease(first).expect("it was leased at once");
    assert_eq!(stage.lease(second), None, "what could not leave is not leased");
    stage.pass(60);
    assert_eq!(stage.accepted(), [], "nothing has left");
    assert_eq!(stage.lease(first), Some(leased), "the worker cannot start what it does not know");
    stage.write();
    assert_eq!(stage.accepted(), [first, second]);
    assert!(stage.lease(second).is_some(), "there is a slot for it");
    stage.pass(9);
    stage.write();
    assert_eq!(stage.lease(first), Some(leased), "it has ten seconds from when it was told");
    stage.pass(2);
    assert!(stage.lease(first).is_none_or(|(_, is_revoking)| is_revoking), "it had them");
}

/// The work of a lease saved this.
fn saved(token: Token, data: Vec<u8>) -> Said {
    let progress = Some(v1::Progress { checkpoint: Some(data.into()), ..Default::default() });
    Said::LeaseProgress(v1::LeaseProgress { fencing_token: token.as_i64(), progress })
}

fn failed(token: Token) -> Said {
    let outcome = Some(v1::lease_outcome::Outcome::Failure(v1::AttemptFailure::default()));
    let fencing_token = token.as_i64();
    Said::LeaseOutcome(v1::LeaseOutcome { fencing_token, outcome, run_time: None })
}

/// A stage with one task, its lease, and a look at the first byte of its checkpoint.
fn saving() -> (Stage, Token, impl Fn(&Stage) -> Option<u8>) {
    let mut stage = Stage::new();
    stage.submit(1);
    stage.write();
    let task = stage.accepted()[0];
    let (token, _) = stage.lease(task).expect("it was leased at once");
    let kept = move |stage: &Stage| {
        let task = stage.coordinator.queue().task(task).expect("it is open");
        Some(*task.checkpoint()?.data.first().expect("nobody saves nothing"))
    };
    (stage, token, kept)
}

#[test]
fn a_slow_disk_gets_a_few_checkpoints_and_the_newest_when_it_has_taken_them() {
    const SAVES: u8 = 200;
    let large = Config::default().limits.checkpoint_bytes;
    for ends in [false, true] {
        let (mut stage, token, kept) = saving();
        for n in 1..=SAVES {
            stage.say(saved(token, vec![n; usize::try_from(large).unwrap()]));
        }
        // As many as 4 MiB hold, more or less: one batch is with the disk, and tasks are moved behind them.
        let about = u8::try_from((4 << 20) / large).unwrap();
        let last = kept(&stage).expect("the first ones are kept");
        assert!((about / 2..=about * 2).contains(&last), "{last} were written");
        if ends {
            stage.say(failed(token));
            assert_eq!(kept(&stage), Some(SAVES), "it counts with the outcome, at once");
        }
        stage.write();
        assert_eq!(kept(&stage), Some(SAVES), "ended: {ends}");
    }
}

#[test]
fn a_disk_that_is_nearly_full_gets_no_checkpoints_until_there_is_room() {
    let (mut stage, token, kept) = saving();
    stage.say(saved(token, vec![1]));
    stage.coordinator.report(Word::Tight(true));
    stage.turn();
    stage.say(saved(token, vec![2]));
    stage.say(saved(token, vec![3]));
    assert_eq!(kept(&stage), Some(1));
    stage.coordinator.report(Word::Tight(false));
    stage.turn();
    assert_eq!(kept(&stage), Some(3), "the newest has waited");

    stage.coordinator.report(Word::Tight(true));
    stage.turn();
    stage.say(saved(token, vec![4]));
    stage.say(failed(token));
    stage.coordinator.report(Word::Tight(false));
    stage.turn();
    assert_eq!(kept(&stage), Some(3), "what waited is lost with its attempt");
}

#[test]
fn what_was_saved_on_a_stream_that_is_over_is_kept_however_it_ended() {
    let leave = |stage: &mut Stage, is_goodbye| {
        if is_goodbye {
            stage.hear(Said::Goodbye(v1::Goodbye::default()));
        } else {
            stage.coordinator.disconnect(STREAM);
        }
        stage.turn();
    };
    for is_goodbye in [false, true] {
        let (mut stage, token, kept) = saving();
        stage.hear(saved(token, vec![1]));
        leave(&mut stage, is_goodbye);
        assert_eq!(kept(&stage), Some(1), "in one turn; goodbye: {is_goodbye}");

        let (mut stage, token, kept) = saving();
        let large = usize::try_from(Config::default().limits.checkpoint_bytes).unwrap();
        for n in 1..=200 {
            stage.say(saved(token, vec![n; large]));
        }
        assert_ne!(kept(&stage), Some(200), "it waits for the disk");
        leave(&mut stage, is_goodbye);
        assert_eq!(kept(&stage), Some(200), "goodbye: {is_goodbye}");
    }
}

#[test]
fn what_waits_for_room_goes_with_its_lease_or_stream() {
    for is_held in [false, true] {
        let (mut stage, token, _kept) = saving();
        stage.coordinator.report(Word::Tight(true));
        stage.turn();
        stage.say(Said::LeaseStarted(v1::LeaseStarted { fencing_token: token.as_i64() }));
        stage.say(saved(token, vec![1]));
        let held_tokens = if is_held { vec![token.as_i64()] } else { Vec::new() };
        stage.say(Said::Heartbeat(v1::Heartbeat { sequence: 1, held_tokens, load: None }));
        assert_eq!(stage.coordinator.unwritten_checkpoints(), usize::from(is_held));
        stage.coordinator.disconnect(STREAM);
        stage.turn();
        assert_eq!(stage.coordinator.unwritten_checkpoints(), 0);
    }
}

#[test]
fn a_worker_that_does_not_read_is_offered_no_more_than_there_is_room_for() {
    const TASKS: usize = 40;
    let mut stage = Stage::without_worker(Config::default());
    stage.hello(i32::try_from(TASKS).unwrap());
    stage.write();
    let bulky = TaskSpec { payload: vec![b'x'; 1 << 20].into(), ..spec() };
    for ticket in 0..TASKS as u64 {
        stage.coordinator.ask(ticket, Ask::Submit(vec![bulky.clone()]));
        stage.turn();
        stage.write();
    }
    let leased = |stage: &Stage| stage.coordinator.queue().lease_count();
    let most = BYTES_MAX / (1 << 20);
    assert_eq!(leased(&stage), most, "it has not read anything");
    let read = |stage: &mut Stage, most: usize| {
        let frames = std::iter::from_fn(|| stage.coordinator.frame(STREAM));
        frames.take(most).map(|frame| frame.events.len()).sum::<usize>()
    };
    read(&mut stage, 2);
    stage.turn();
    assert_eq!(leased(&stage), most, "it has hardly begun to read");
    while leased(&stage) < TASKS {
        assert_ne!(read(&mut stage, TASKS), 0, "all that was leased was sent");
        stage.turn();
        stage.write();
    }
}

#[test]
fn a_full_disk_refuses_at_once_who_waits_to_be_taken_in() {
    let mut stage = Stage::new();
    stage.submit(1);
    let bulky = TaskSpec { payload: vec![b'x'; 1 << 20].into(), ..spec() };
    stage.coordinator.ask(2, Ask::Submit(vec![bulky; 17]));
    stage.turn();
    stage.submit(3);
    stage.turn();
    assert!(stage.coordinator.answers().is_empty(), "too much waits for the disk to take in more");
    stage.coordinator.report(Word::Tight(true));
    stage.turn();
    let refused = stage.coordinator.answers();
    assert!(matches!(refused[..], [(3, Answer::Submitted(None))]), "{refused:?}");
    stage.write();
    assert_eq!(stage.accepted().len(), 1 + 17, "what was taken in was not lost");
}

#[test]
fn those_that_came_first_and_last_keep_their_payloads() {
    let mut config = Config::default();
    config.limits.payload_memory = 4_000;
    let mut stage = Stage::without_worker(config);
    for ticket in 0..10 {
        let task = TaskSpec { payload: vec![b'x'; 1_000].into(), ..spec() };
        stage.coordinator.ask(ticket, Ask::Submit(vec![task]));
        stage.turn();
        stage.write();
    }
    let tasks = stage.coordinator.queue().tasks_after(TaskId::from_u128(0));
    let here: Vec<u64> = (0..)
        .zip(tasks)
        .filter(|(_, task)| task.spec.payload.here().is_some())
        .map(|(nth, _)| nth)
        .collect();
    assert_eq!(here, [0, 1, 2, 9]);
}

#[test]
fn nothing_is_leased_that_takes_more_to_read_than_may_be_read_at_once() {
    const TASKS: u64 = 40;
    // What is to be read for each is its batch and, of that, its payload.
    let alone = usize::try_from(READ_BYTES_MAX >> 21).unwrap();
    let mut config = Config::default();
    config.limits.payload_memory = 0;
    for (what, bytes, at_once, at_first) in [
        ("each is most of its batch", 1 << 20, 1, alone),
        ("all are in one batch", 1 << 10, TASKS, 40),
    ] {
        let mut stage = Stage::without_worker(config.clone());
        for ticket in 0..TASKS / at_once {
            let task = TaskSpec { payload: vec![b'x'; bytes].into(), ..spec() };
            let tasks = (0..at_once).map(|_| task.clone()).collect();
            stage.coordinator.ask(ticket, Ask::Submit(tasks));
            stage.turn();
            stage.write();
        }
        assert_eq!(stage.coordinator.queue().payload_bytes(), 0, "{what}: all were let go");
        let leased = |stage: &Stage| {
            let tasks = stage.coordinator.queue().tasks_after(TaskId::from_u128(0));
            tasks.filter(|task| task.lease().is_some()).count()
        };
        stage.hello(40);
        stage.turn();
        assert_eq!(leased(&stage), at_first, "{what}: while the disk does nothing");
        stage.write();
        while stage.coordinator.frame(STREAM).is_some() {
            stage.turn();
            stage.write();
        }
        assert_eq!(leased(&stage), 40, "{what}: in the end, to a worker that reads");
    }
}
