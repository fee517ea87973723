//! What an outage of something that all tasks call costs, with a circuit breaker and without: the real queue over virtual time.
//!
//! Tasks come all the time, workers run them, and for a while each of them fails. Nothing else goes wrong: it is a measurement, not a
//! judge. The same seed gives the same tasks at the same times, whatever the breaker does.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use bytes::Bytes;
use leasehold_policy::{Backoff, CircuitTerms, Jitter, Rate, Time};
use leasehold_queue::{
    Assignment, BreakerTerms, Claims, Command, Config, Effect, Ending, Failure, FailureReason,
    Guarded, Hello, LeaseTerms, Minter, Name, Outcome, Queue, Retry, RetryBudget, SchemasRead,
    Shape, StopProof, StreamId, Submit, TaskSpec, Template, Throttles, Token,
};

/// When the first task comes.
const START: Time = Time::from_unix_ms(1_800_000_000_000);

/// How long tasks come, and within that from when to when what they call is down.
const COMES: Duration = Duration::from_mins(5);
const DOWN: Duration = Duration::from_mins(1);
const UP: Duration = Duration::from_mins(2);

/// On average a task comes so often.
const EVERY_MS: u64 = 50;

/// How many tasks run at a time: four times what is needed.
const SLOTS: u32 = 16;

/// How long a call takes that succeeds, and one that fails.
const SUCCEEDS: Duration = Duration::from_millis(200);
const FAILS: Duration = Duration::from_millis(100);

/// What is called.
const SHOP: &str = "shop";

/// The stream of the one worker.
const STREAM: StreamId = StreamId(1);

/// What became of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Outage {
    /// Tasks that came.
    pub tasks: u32,
    /// Attempts that failed.
    pub failed: u32,
    /// Tasks that were given up.
    pub dead: u32,
    /// The most tasks that were open at a time.
    pub open_most: u64,
    /// How long after what they call is up again the first task succeeds.
    pub first: Option<Duration>,
    /// How long after that there are no more open tasks than there ever were before it was down.
    pub flows: Option<Duration>,
}

/// Something that happens at a time of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Event {
    Comes,
    Returns(Token, bool),
}

/// A queue, what calls what, and when.
struct Scene {
    queue: Queue,
    now: Time,
    rng: fastrand::Rng,
    minter: Minter,
    events: BTreeMap<(Time, u64), Event>,
    planned: u64,
    open: u64,
    /// The most that were open before it was down.
    usual: u64,
    outage: Outage,
}

/// Plays it, with this breaker or with none.
pub fn play(seed: u64, breaker: Option<BreakerTerms>) -> Outage {
    let mut scene = Scene::new(seed, breaker);
    while scene.step() {}
    scene.outage
}

impl Scene {
    fn new(seed: u64, breaker: Option<BreakerTerms>) -> Self {
        let breakers = breaker.map(|terms| (Guarded::Dependency(SHOP.into()), terms));
        let throttles =
            Throttles { breakers: breakers.into_iter().collect(), ..Throttles::default() };
        let config = Config {
            session_ttl: COMES * 100,
            throttles: Arc::new(throttles),
            ..Config::default()
        };
        let mut queue = Queue::new(config, 1);
        queue.recovered(START, None);
        let mut scene = Self {
            queue,
            now: START,
            rng: fastrand::Rng::with_seed(seed),
            minter: Minter::new(0, START),
            events: BTreeMap::new(),
            planned: 0,
            open: 0,
            usual: 0,
            outage: Outage::default(),
        };
        scene.apply(Command::Hello(Box::new(hello())));
        scene.plan(Duration::ZERO, Event::Comes);
        scene
    }

    /// Goes on to what happens next. Nothing does when all tasks have come and ended.
    fn step(&mut self) -> bool {
        let next = self.events.first_key_value().map(|((at, _), _)| *at);
        let is_over = next.is_none() && self.open == 0;
        let due = self.queue.next_deadline().filter(|_| !is_over);
        let Some(at) = next.into_iter().chain(due).min() else { return false };
        self.now = self.now.max(at);
        if let Some(entry) = self.events.first_entry().filter(|entry| entry.key().0 <= self.now) {
            match entry.remove() {
                Event::Comes => self.submit(),
                Event::Returns(token, is_done) => self.returned(token, is_done),
            }
        }
        self.apply(Command::Advance { until: self.now });
        self.apply(Command::Grant { most: 1_000 });
        self.look();
        true
    }

    fn plan(&mut self, after: Duration, event: Event) {
        self.planned += 1;
        self.events.insert((self.now + after, self.planned), event);
    }

    fn submit(&mut self) {
        let id = self.minter.mint(self.now, self.rng.u64(..));
        let submit = Submit { id, spec: spec(), validate_only: false };
        self.apply(Command::Submit(Box::new(submit)));
        (self.outage.tasks, self.open) = (self.outage.tasks + 1, self.open + 1);
        let next = Duration::from_millis(self.rng.u64(0..=2 * EVERY_MS));
        if self.now.since(START) + next < COMES {
            self.plan(next, Event::Comes);
        }
    }

    fn returned(&mut self, token: Token, is_done: bool) {
        let outcome = if is_done {
            Outcome::Succeeded { result: Bytes::new() }
        } else {
            self.outage.failed += 1;
            failed()
        };
        self.apply(Command::Outcome { stream: STREAM, token, outcome, ran: None });
    }

    fn apply(&mut self, command: Command) {
        self.queue.apply(self.now, command);
        for effect in self.queue.take_output().effects {
            match effect {
                Effect::Assign { assignment, .. } => self.begin(&assignment),
                Effect::Ended(ended) => {
                    self.open -= 1;
                    self.outage.dead += u32::from(ended.ending == Ending::Failed);
                    let late = self.now.since(START + UP);
                    if START + UP <= self.now && ended.ending == Ending::Succeeded {
                        self.outage.first.get_or_insert(late);
                    }
                }
                _ => {}
            }
        }
    }

    /// Whether it is up is decided when it is called.
    fn begin(&mut self, assignment: &Assignment) {
        let token = assignment.token;
        let passed = self.now.since(START);
        let is_up = !(DOWN..UP).contains(&passed);
        self.plan(if is_up { SUCCEEDS } else { FAILS }, Event::Returns(token, is_up));
        self.queue.apply(self.now, Command::Started { stream: STREAM, token });
    }

    fn look(&mut self) {
        let passed = self.now.since(START);
        if passed < DOWN {
            self.usual = self.usual.max(self.open);
        }
        self.outage.open_most = self.outage.open_most.max(self.open);
        if UP <= passed && self.open <= self.usual {
            self.outage.flows.get_or_insert(passed.saturating_sub(UP));
        }
    }
}

fn hello() -> Hello {
    Hello {
        stream: STREAM,
        worker: "worker".into(),
        instance: "1".into(),
        start: None,
        replaces: Vec::new(),
        task_types: vec!["buy".into()],
        namespaces: Vec::new(),
        reads: SchemasRead::default(),
        slots: SLOTS,
        resources: Vec::new(),
        knows_sizes: true,
        prefetch: 0,
        held: Vec::new(),
        labels: Vec::new(),
        software: Name::default(),
    }
}

fn failed() -> Outcome {
    let failure = Failure {
        reason: FailureReason::Error,
        message: "the shop is down".into(),
        details: Name::default(),
        counted: false,
        token: None,
        worker: None,
        time: Time::default(),
    };
    let (retryable, retry_delay, stop) = (true, Duration::ZERO, StopProof::Returned);
    Outcome::Failed { failure, retryable, retry_delay, stop }
}

/// A task with the defaults of a coordinator.
fn spec() -> TaskSpec {
    let claims = Claims { dependencies: vec![SHOP.into()], ..Claims::default() };
    TaskSpec::new(
        Arc::new(Template {
            admission: leasehold_queue::Admission::default(),
            queue: "default".into(),
            task_type: "buy".into(),
            content_type: Name::default(),
            priority: 5,
            start_timeout: Duration::from_secs(10),
            attempt_timeout: Duration::from_mins(5),
            kill_grace: Duration::from_secs(5),
            retry: Retry {
                max_attempts: 5,
                backoff: Backoff {
                    initial: Duration::from_secs(1),
                    factor: 2.0,
                    cap: Duration::from_mins(5),
                    jitter: Jitter::Full,
                },
            },
            terms: LeaseTerms::default(),
            claims: Some(Arc::new(claims)),
            fairness_key: Name::default(),
            shape: Shape::default(),
        }),
        Bytes::new().into(),
        Duration::from_hours(24),
    )
}

/// The breakers that are compared, the first of which is none.
pub fn breakers() -> Vec<(&'static str, Option<BreakerTerms>)> {
    let circuit = CircuitTerms {
        window: Duration::from_mins(5),
        calls_min: 20,
        failure_share: 500,
        slow: None,
        open_for: Duration::from_secs(30),
        open_for_max: Duration::from_mins(10),
        probes: 3,
    };
    let quick = CircuitTerms { window: Duration::from_secs(5), calls_min: 10, ..circuit };
    let (open_for, open_for_max) = (Duration::from_secs(5), Duration::from_secs(10));
    let often = CircuitTerms { open_for, open_for_max, probes: 1, ..quick };
    let never = CircuitTerms { calls_min: u32::MAX, ..circuit };
    let rate = Rate { interval: Duration::from_secs(1), burst: 10 };
    let budget = Some(RetryBudget { rate, share: 200 });
    let terms = |circuit, retries| Some(BreakerTerms { circuit, retries });
    vec![
        ("none", None),
        ("defaults", terms(circuit, None)),
        ("window 5s", terms(quick, None)),
        ("window 5s, open 5s to 10s, 1 probe", terms(often, None)),
        ("retry budget, no circuit", terms(never, budget)),
        ("window 5s, open 5s to 10s, 1 probe, retry budget", terms(often, budget)),
    ]
}

#[cfg(test)]
mod tests;
