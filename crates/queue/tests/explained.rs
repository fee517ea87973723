//! Explanations over random sequences: what holds each task, by the queue and by plain lists, and what happens once only a slot
//! is missing and one is free.
//!
//! There is one queue and one fairness key, so that priority and age alone decide who goes next. The lists are written from the
//! rules and share no code with the queue but its vocabulary. Rates are left to the tests of limits.

#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::wildcard_enum_match_arm,
    reason = "a broken test has to stop"
)]

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use bytes::Bytes;
use leasehold_policy::{Backoff, Jitter, Time};
use leasehold_queue::{
    Admission, Blocker, Caps, Claims, Command, Config, Effect, Extras, Gate, Hello, LeaseTerms,
    Minter, Name, Outcome, Permit, Queue, QueueLimits, Retry, SchemasRead, Shape, StreamId, Submit,
    Take, TaskId, TaskSpec, Template, Throttles, Token, Wait,
};
use proptest::{collection::vec, prelude::*};

const START: Time = Time::from_unix_ms(1_800_000_000_000);
const LONG: Duration = Duration::from_hours(24);
const BACKOFF: Duration = Duration::from_millis(300);

/// How many leases each key and the queue may have.
const CAPS: [(&str, usize); 3] = [("a", 1), ("b", 2), ("the queue", 6)];
const WORKERS: u64 = 4;
const TYPES: [&str; 2] = ["t", "u"];

/// One thing that happens.
#[derive(Clone, Debug)]
enum Step {
    /// A task wants to be run.
    Submit(Wish),
    Grant,
    Wait(u64),
    /// The n-th lease ends well.
    Succeed(usize),
    /// It fails and is tried again.
    Fail(usize),
    /// A worker comes.
    Hello(Offer),
    Drain(u64),
    Pause(bool),
}

/// What a task asks for; its keys are bits, and its delay milliseconds.
#[derive(Clone, Copy, Debug)]
struct Wish {
    priority: u8,
    keys: u8,
    kind: usize,
    wants_label: bool,
    delay: u64,
}

/// What a worker says of itself; its types are bits.
#[derive(Clone, Copy, Debug)]
struct Offer {
    worker: u64,
    types: u8,
    has_label: bool,
    slots: u32,
}

fn wish() -> impl Strategy<Value = Wish> {
    let delay = prop::sample::select(vec![0, 0, 0, 400]);
    let parts = (0u8..3, 0u8..4, 0..TYPES.len(), any::<bool>(), delay);
    parts.prop_map(|(priority, keys, kind, wants_label, delay)| Wish {
        priority,
        keys,
        kind,
        wants_label,
        delay,
    })
}

fn offer() -> impl Strategy<Value = Offer> {
    let parts = (0..WORKERS, 1u8..4, any::<bool>(), 1u32..4);
    parts.prop_map(|(worker, types, has_label, slots)| Offer { worker, types, has_label, slots })
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => wish().prop_map(Step::Submit),
        6 => Just(Step::Grant),
        2 => prop::sample::select(vec![1, 100, 400]).prop_map(Step::Wait),
        4 => (0usize..6).prop_map(Step::Succeed),
        1 => (0usize..6).prop_map(Step::Fail),
        4 => offer().prop_map(Step::Hello),
        1 => (0..WORKERS).prop_map(Step::Drain),
        2 => any::<bool>().prop_map(Step::Pause),
    ]
}

/// A task that has not ended, as the lists have it.
#[derive(Clone, Debug)]
struct Job {
    id: TaskId,
    priority: u8,
    task_type: &'static str,
    wants_label: bool,
    /// In the order in which they are asked.
    permits: Vec<&'static str>,
    waits: Option<(Time, Wait)>,
    attempts: u32,
}

#[derive(Clone, Debug)]
struct Crew {
    types: Vec<&'static str>,
    has_label: bool,
    slots: usize,
    drains: bool,
}

#[derive(Clone, Debug)]
struct Lease {
    token: Token,
    worker: u64,
    job: Job,
}

struct Both {
    queue: Queue,
    minter: Minter,
    now: Time,
    waiting: Vec<Job>,
    leased: Vec<Lease>,
    workers: BTreeMap<u64, Crew>,
    is_paused: bool,
}

impl Both {
    fn new() -> Self {
        let cap = |key: &str| u32::try_from(CAPS.iter().find(|it| it.0 == key).expect("one").1);
        let keys = ["a", "b"].map(|key| (Name::from(key), cap(key).expect("a few")));
        let leases = Some(cap("the queue").expect("a few"));
        let throttles = Throttles {
            caps: Caps { keys: keys.into(), ..Caps::default() },
            queues: [("q".into(), QueueLimits { leases, ..QueueLimits::default() })].into(),
            ..Throttles::default()
        };
        let config = Config {
            session_ttl: LONG,
            valve: u64::MAX,
            throttles: Arc::new(throttles),
            ..Config::default()
        };
        let mut queue = Queue::new(config, 1);
        queue.recovered(START, None);
        queue.take_output();
        Self {
            queue,
            minter: Minter::new(0, START),
            now: START,
            waiting: Vec::new(),
            leased: Vec::new(),
            workers: BTreeMap::new(),
            is_paused: false,
        }
    }

    fn apply(&mut self, command: Command) -> Vec<Effect> {
        self.queue.apply(self.now, command);
        self.queue.take_output().effects
    }

    fn used(&self, permit: &str) -> usize {
        self.leased.iter().filter(|lease| lease.job.permits.contains(&permit)).count()
    }

    fn taken(&self, worker: u64) -> usize {
        self.leased.iter().filter(|lease| lease.worker == worker).count()
    }

    fn serves(&self, worker: u64, job: &Job) -> bool {
        self.workers.get(&worker).is_some_and(|crew| {
            !crew.drains
                && crew.types.contains(&job.task_type)
                && (crew.has_label || !job.wants_label)
        })
    }

    /// What holds a task back, in the order in which it would.
    fn holds(&self, job: &Job) -> Vec<String> {
        let mut holds = Vec::new();
        holds.extend(job.waits.map(|(until, wait)| format!("{wait:?} {until}")));
        holds.extend(self.is_paused.then(|| "paused".to_owned()));
        let serving = || (0..WORKERS).filter(|worker| self.serves(*worker, job));
        if serving().next().is_none() {
            holds.push("nobody".to_owned());
        }
        for (permit, cap) in CAPS {
            if job.permits.contains(&permit) && cap <= self.used(permit) {
                let holders = self.leased.iter().filter(|it| it.job.permits.contains(&permit));
                let mut holders: Vec<Token> = holders.map(|lease| lease.token).collect();
                holders.sort_unstable();
                holds.push(format!("{permit} {holders:?}"));
            }
        }
        let has_room = serving().any(|worker| self.taken(worker) < self.workers[&worker].slots);
        if serving().next().is_some() && (holds.is_empty() || !has_room) {
            holds.push("crowded".to_owned());
        }
        holds
    }

    fn step(&mut self, step: &Step) {
        match *step {
            Step::Submit(wish) => self.submit(wish),
            Step::Grant => drop(self.grant()),
            Step::Wait(ms) => {
                self.now = self.now + Duration::from_millis(ms);
                self.apply(Command::Advance { until: self.now });
                let now = self.now;
                for job in &mut self.waiting {
                    job.waits = job.waits.filter(|(until, _)| now < *until);
                }
            }
            Step::Succeed(n) if n < self.leased.len() => {
                self.end(n, Outcome::Succeeded { result: Bytes::new() });
            }
            Step::Fail(n) if n < self.leased.len() => {
                let failure = leasehold_queue::Failure {
                    reason: leasehold_queue::FailureReason::Error,
                    message: "no".into(),
                    details: "".into(),
                    counted: false,
                    token: None,
                    worker: None,
                    time: self.now,
                };
                let failed = Outcome::Failed {
                    failure,
                    retryable: true,
                    retry_delay: Duration::ZERO,
                    stop: leasehold_queue::StopProof::Returned,
                };
                let mut job = self.end(n, failed);
                job.attempts += 1;
                job.waits = Some((self.now + BACKOFF, Wait::Backoff));
                self.waiting.extend((job.attempts < 3).then_some(job));
            }
            // One that drains is known by that until its process is another.
            Step::Hello(offer) if !self.workers.contains_key(&offer.worker) => self.hello(offer),
            Step::Succeed(_) | Step::Fail(_) | Step::Hello(_) => {}
            Step::Drain(worker) => {
                if let Some(crew) = self.workers.get_mut(&worker) {
                    crew.drains = true;
                    self.apply(Command::Drain { stream: StreamId(worker) });
                }
            }
            Step::Pause(paused) => {
                // A queue exists once it has had a task.
                if !self.waiting.is_empty() || !self.leased.is_empty() {
                    self.is_paused = paused;
                    self.apply(Command::Pause { queue: "q".into(), paused });
                }
            }
        }
    }

    fn submit(&mut self, wish: Wish) {
        let Wish { priority, keys, kind, wants_label, delay } = wish;
        let task_type = TYPES[kind];
        let id = self.minter.mint(self.now, 0);
        let named = ["a", "b"].into_iter().enumerate().filter(|(bit, _)| keys >> bit & 1 == 1);
        let named: Vec<_> = named.map(|(_, key)| key).collect();
        let claims =
            Claims { keys: named.iter().map(|key| (*key).into()).collect(), ..Claims::default() };
        let label = ("gpu".into(), "yes".into());
        let spec = TaskSpec {
            template: Arc::new(Template {
                admission: Admission::default(),
                queue: "q".into(),
                task_type: task_type.into(),
                content_type: "".into(),
                priority,
                start_timeout: LONG,
                attempt_timeout: LONG,
                kill_grace: LONG,
                retry: Retry {
                    max_attempts: 3,
                    backoff: Backoff {
                        initial: BACKOFF,
                        factor: 1.0,
                        cap: BACKOFF,
                        jitter: Jitter::None,
                    },
                },
                terms: LeaseTerms::default(),
                claims: (!claims.is_empty()).then(|| Arc::new(claims)),
                fairness_key: "".into(),
                shape: Shape {
                    selector: if wants_label { vec![label] } else { Vec::new() },
                    ..Shape::default()
                },
            }),
            payload: Bytes::new().into(),
            total_timeout: LONG.into(),
            trace: None,
            extras: Extras {
                initial_delay: Duration::from_millis(delay),
                labels: Vec::new(),
                key: None,
            }
            .kept(),
        };
        self.apply(Command::Submit(Box::new(Submit { id, spec, validate_only: false })));
        let waits = (0 < delay).then(|| (self.now + Duration::from_millis(delay), Wait::Delay));
        let permits = named.into_iter().chain(["the queue"]).collect();
        let job = Job { id, priority, task_type, wants_label, permits, waits, attempts: 0 };
        self.waiting.push(job);
    }

    /// The tasks that were leased.
    fn grant(&mut self) -> Vec<TaskId> {
        let effects = self.apply(Command::Grant { most: 1_000 });
        let mut granted = Vec::new();
        for effect in effects {
            let Effect::Assign { stream, assignment } = effect else { continue };
            let at = self.waiting.iter().position(|job| job.id == assignment.task);
            let job = self.waiting.remove(at.expect("it waited"));
            let (worker, token) = (stream.0, assignment.token);
            self.leased.push(Lease { token, worker, job });
            self.apply(Command::Delivered { stream, tokens: vec![token] });
            granted.push(assignment.task);
        }
        granted
    }

    fn end(&mut self, n: usize, outcome: Outcome) -> Job {
        let Lease { token, worker, job } = self.leased.remove(n);
        let stream = StreamId(worker);
        // It takes no time, so that nothing is learned that would change whose turn it is.
        self.apply(Command::Started { stream, token });
        self.apply(Command::Outcome { stream, token, outcome, ran: None });
        job
    }

    fn hello(&mut self, Offer { worker, types, has_label, slots }: Offer) {
        let types = TYPES.into_iter().enumerate().filter(|(bit, _)| types >> bit & 1 == 1);
        let types: Vec<&'static str> = types.map(|(_, kind)| kind).collect();
        let label = (Name::from("gpu"), Name::from("yes"));
        let hello = Hello {
            stream: StreamId(worker),
            worker: format!("w{worker}").as_str().into(),
            instance: "i".into(),
            start: None,
            replaces: Vec::new(),
            task_types: types.iter().map(|it| Name::from(*it)).collect(),
            namespaces: Vec::new(),
            reads: SchemasRead::default(),
            slots,
            resources: Vec::new(),
            knows_sizes: true,
            prefetch: 0,
            held: Vec::new(),
            labels: if has_label { vec![label] } else { Vec::new() },
            software: "".into(),
        };
        self.apply(Command::Hello(Box::new(hello)));
        let slots = usize::try_from(slots).expect("a few");
        self.workers.insert(worker, Crew { types, has_label, slots, drains: false });
    }

    /// Every task is held by what the lists say, in their order.
    fn compare(&self) -> Result<(), TestCaseError> {
        for job in &self.waiting {
            let task = self.queue.task(job.id).expect("it waits");
            let explanation = self.queue.explain(task);
            let first = explanation.blockers.first().map(Blocker::reason);
            prop_assert_eq!(first, self.queue.blocked(task));
            let said: Vec<String> = explanation.blockers.iter().map(said).collect();
            prop_assert_eq!(said, self.holds(job), "{:?}", job);
        }
        for lease in &self.leased {
            let explanation = self.queue.explain(self.queue.task(lease.job.id).expect("leased"));
            prop_assert!(explanation.blockers.is_empty() && explanation.outlook.is_some());
        }
        Ok(())
    }

    /// Where nothing but a slot is missing and one is free, that task is leased or one that goes before it.
    fn free_a_slot(&mut self) -> Result<(), TestCaseError> {
        self.grant();
        let crowded: Vec<Job> = self.waiting.clone();
        for job in crowded {
            if self.holds(&job) != ["crowded"] {
                continue;
            }
            let frees = |lease: &Lease| self.serves(lease.worker, &job);
            let at = self.leased.iter().position(frees);
            let at = at.expect("where all slots are taken, one of them is");
            self.end(at, Outcome::Succeeded { result: Bytes::new() });
            let place = |id: TaskId, both: &Self| {
                let known = both.leased.iter().find(|lease| lease.job.id == id);
                known.map(|lease| (lease.job.priority, lease.job.id)).expect("it is leased")
            };
            let granted = self.grant();
            prop_assert!(!granted.is_empty(), "a slot is free for {:?}", job);
            let first = place(granted[0], self);
            prop_assert!(first <= (job.priority, job.id), "{:?} before {:?}", first, job);
            return Ok(());
        }
        Ok(())
    }
}

/// A blocker as the lists write it.
fn said(blocker: &Blocker) -> String {
    match blocker {
        Blocker::Wait { wait, until } => format!("{wait:?} {until}"),
        Blocker::Pause { .. } => "paused".to_owned(),
        Blocker::NoWorker(_) => "nobody".to_owned(),
        Blocker::Gate { obstacle, holders, more } => {
            let of = match &obstacle.gate {
                Gate::Limit(Take::Permit(Permit::Key(key))) => key.to_string(),
                _ => "the queue".to_owned(),
            };
            assert_eq!(*more, 0, "there are fewer than are named");
            let holders: Vec<Token> = holders.iter().map(|holder| holder.token).collect();
            format!("{of} {holders:?}")
        }
        Blocker::Capacity(_) => "crowded".to_owned(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]
    #[test]
    fn the_queue_explains_what_the_lists_say(steps in vec(step(), 1..80)) {
        let mut both = Both::new();
        for step in &steps {
            both.step(step);
            both.compare()?;
        }
        both.free_a_slot()?;
    }
}
