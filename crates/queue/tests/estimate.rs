//! Estimates against what happens, in a world that is simple enough for them to be exact: one flow, one kind of worker and of
//! work, run times that never differ, and whoever comes later goes later.

#![expect(clippy::indexing_slicing, reason = "a broken test has to stop")]

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BinaryHeap},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use leasehold_policy::{Backoff, Jitter, Rate, Time};
use leasehold_queue::{
    Admission, Audience, Command, Config, Effect, Hello, LeaseTerms, Minter, Outcome, Over, Queue,
    QueueLimits, Retry, SchemasRead, Shape, StreamId, Submit, TaskId, TaskSpec, Template,
    Throttles, Token,
};
use proptest::{collection::vec, prelude::*};

const START: Time = Time::from_unix_ms(1_800_000_000_000);

/// A queue, and workers that take exactly as long as they are told.
struct World {
    queue: Queue,
    now: Time,
    minter: Minter,
    run: Duration,
    /// When each lease ends, the soonest first.
    running: BinaryHeap<Reverse<(Time, Token, StreamId, TaskId)>>,
    started: BTreeMap<TaskId, Time>,
    ended: BTreeMap<TaskId, Time>,
}

impl World {
    fn new(workers: &[u32], run: Duration, limits: QueueLimits) -> Self {
        let queues = [("limited".into(), limits)].into();
        let throttles = Arc::new(Throttles { queues, ..Throttles::default() });
        let mut queue = Queue::new(Config { throttles, ..Config::default() }, 1);
        queue.recovered(START, None);
        queue.play_to(Audience::Nobody);
        for (stream, slots) in (1..).zip(workers) {
            let hello = Hello {
                stream: StreamId(stream),
                worker: format!("w{stream}").into(),
                instance: "i".into(),
                start: None,
                replaces: Vec::new(),
                task_types: vec!["t".into()],
                namespaces: Vec::new(),
                reads: SchemasRead::default(),
                slots: *slots,
                resources: Vec::new(),
                knows_sizes: true,
                prefetch: 0,
                held: Vec::new(),
                labels: Vec::new(),
                software: "".into(),
            };
            queue.apply(START, Command::Hello(Box::new(hello)));
        }
        let (minter, running) = (Minter::new(0, START), BinaryHeap::new());
        let (started, ended) = (BTreeMap::new(), BTreeMap::new());
        Self { queue, now: START, minter, run, running, started, ended }
    }

    fn submit(&mut self, queue: &str) -> TaskId {
        let id = self.minter.mint(self.now, 0);
        let submit = Submit { id, spec: spec(queue), validate_only: false };
        self.queue.apply(self.now, Command::Submit(Box::new(submit)));
        self.grant();
        id
    }

    fn grant(&mut self) {
        self.queue.apply(self.now, Command::Grant { most: 1_000 });
        for effect in self.queue.take_output().effects {
            let Effect::Assign { stream, assignment } = effect else { continue };
            let (token, tokens) = (assignment.token, vec![assignment.token]);
            self.queue.apply(self.now, Command::Delivered { stream, tokens });
            self.queue.apply(self.now, Command::Started { stream, token });
            self.started.insert(assignment.task, self.now);
            self.running.push(Reverse((self.now + self.run, token, stream, assignment.task)));
        }
    }

    /// Whatever happens until then, and no later; with none, all that happens at all.
    fn go_on(&mut self, until: Option<Time>) {
        loop {
            let end = self.running.peek().map(|Reverse((end, ..))| *end);
            let next = end.into_iter().chain(self.queue.next_deadline()).min();
            let is_over = self.queue.open_tasks() == 0 && until.is_none();
            let Some(next) = next.filter(|_| !is_over) else { return };
            if until.is_some_and(|until| until < next) {
                return;
            }
            self.now = self.now.max(next);
            while let Some(Reverse((end, token, stream, task))) = self.running.peek().copied()
                && end <= self.now
            {
                self.running.pop();
                let outcome = Outcome::Succeeded { result: Bytes::new() };
                self.queue.apply(self.now, Command::Outcome { stream, token, outcome, ran: None });
                self.ended.insert(task, self.now);
            }
            self.hear_all();
            self.queue.apply(self.now, Command::Advance { until: self.now });
            self.grant();
        }
    }

    fn hear_all(&mut self) {
        let streams: Vec<StreamId> = self.queue.workers().filter_map(|it| it.stream).collect();
        for stream in streams {
            let held = self.running.iter().filter(|it| it.0.2 == stream).map(|it| it.0.1);
            let held = held.collect();
            self.queue.apply(self.now, Command::Heartbeat { stream, held });
        }
    }
}

/// No test lasts so long.
const LONG: Duration = Duration::from_hours(24);

fn spec(queue: &str) -> TaskSpec {
    let (initial, cap) = (Duration::from_secs(1), Duration::from_secs(1));
    TaskSpec::new(
        Arc::new(Template {
            queue: queue.into(),
            task_type: "t".into(),
            content_type: "".into(),
            priority: 5,
            start_timeout: LONG,
            attempt_timeout: LONG,
            kill_grace: Duration::from_secs(1),
            retry: Retry {
                max_attempts: 1,
                backoff: Backoff { initial, factor: 1.0, cap, jitter: Jitter::None },
            },
            terms: LeaseTerms::default(),
            claims: None,
            fairness_key: "".into(),
            shape: Shape::default(),
            admission: Admission::default(),
        }),
        Bytes::new().into(),
        10 * LONG,
    )
}

/// Lets tasks come, some milliseconds after one another, and compares what was said of each before it was there, and of all
/// that wait at each time, with what happened.
fn check(workers: &[u32], run_ms: u64, limits: QueueLimits, gaps: &[u64]) {
    let run = Duration::from_millis(run_ms);
    let mut world = World::new(workers, run, limits);
    world.submit("learned");
    world.go_on(None);
    let mut said = Vec::new();
    for gap in gaps {
        let at = world.now + Duration::from_millis(*gap);
        world.go_on(Some(at));
        world.now = at;
        world.queue.apply(at, Command::Advance { until: at });
        world.hear_all();
        world.grant();
        let before = world.queue.estimate_spec(&spec("limited"), at + 10 * LONG);
        let id = world.submit("limited");
        said.push((id, at, before));
        let waiting = world.queue.tasks_after(TaskId::from_u128(0));
        let waiting: Vec<_> =
            waiting.map(|task| (task.id, at, world.queue.estimate(task))).collect();
        said.extend(waiting);
    }
    world.go_on(None);
    for (id, at, estimate) in said {
        let (started, ended) = (world.started[&id], world.ended[&id]);
        let is = (estimate.starts, estimate.over);
        let should_be = (Some(started), Some(Over { p50: ended, p95: ended }));
        assert!(
            is == should_be,
            "{id} at {}: {estimate:?}, in fact {started} to {ended}; \
             workers {workers:?}, run {run_ms}, limits {limits:?}, gaps {gaps:?}",
            at.since(START).as_millis(),
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn an_estimate_is_exact_where_slots_alone_bind(
        workers in vec(1..4_u32, 1..4),
        run in 1..2_000_u64,
        gaps in vec(0..500_u64, 1..40),
    ) {
        check(&workers, run, QueueLimits::default(), &gaps);
    }

    #[test]
    fn an_estimate_is_exact_where_a_cap_binds(
        workers in vec(1..4_u32, 1..4),
        run in 1..2_000_u64,
        cap in 1..8_u32,
        gaps in vec(0..500_u64, 1..40),
    ) {
        check(&workers, run, QueueLimits { leases: Some(cap), ..QueueLimits::default() }, &gaps);
    }

    #[test]
    fn an_estimate_is_exact_where_a_rate_binds(
        run in 1..50_u64,
        interval in 50..500_u64,
        burst in 1..4_u32,
        gaps in vec(0..500_u64, 1..40),
    ) {
        let rate = Some(Rate { interval: Duration::from_millis(interval), burst });
        check(&[4], run, QueueLimits { rate, ..QueueLimits::default() }, &gaps);
    }
}
