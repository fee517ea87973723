//! Limits and circuits over random sequences: who is leased, in which order, by the queue and by plain lists.
//!
//! There is one queue and one worker with room for everything, so that only priority, limits and the circuit of the one thing that
//! some tasks call decide. The lists are written
//! from the rules and share no code with the queue but its vocabulary.

#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::wildcard_enum_match_arm,
    reason = "a broken test has to stop"
)]

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use leasehold_policy::{Backoff, CircuitTerms, Jitter, Rate, Time};
use leasehold_queue::{
    Admission, BreakerTerms, Caps, Claims, Command, Config, Effect, Failure, FailureReason,
    Guarded, HeldLease, Hello, LeasePhase, LeaseTerms, Minter, Outcome, Queue, QueueLimits, Record,
    Retry, RetryBudget, SchemasRead, Shape, Size, StopProof, StreamId, Submit, TaskId, TaskSpec,
    Template, Throttles, Token, Unknown,
};
use proptest::{collection::vec, prelude::*};

const START: Time = Time::from_unix_ms(1_800_000_000_000);
const GRACE: Duration = Duration::from_millis(300);
const WORD: Duration = Duration::from_secs(1);

/// One configuration of the limits, and how it is told to the queue.
#[derive(Clone, Copy, Debug)]
struct Setting {
    a: u32,
    b: u32,
    /// Permits of the queue.
    queue: Option<u32>,
    /// One token in so many milliseconds, and so many at once.
    mail: Option<(u64, u32)>,
    queue_rate: Option<(u64, u32)>,
    /// The retry budget of what is called. None: it has no breaker.
    retries: Option<(u64, u32)>,
}

/// When the circuit opens and closes.
const CIRCUIT: CircuitTerms = CircuitTerms {
    window: Duration::from_secs(3),
    calls_min: 3,
    failure_share: 500,
    slow: None,
    open_for: Duration::from_millis(400),
    open_for_max: Duration::from_millis(1_200),
    probes: 2,
};

/// In how many parts its window is counted.
const PARTS: u64 = 30;

/// What a success brings the budget, in thousandths of a retry.
const SHARE: u32 = 400;

/// The first one is that of the start.
const SETTINGS: [Setting; 3] = [
    Setting {
        a: 2,
        b: 1,
        queue: Some(5),
        mail: Some((200, 3)),
        queue_rate: Some((70, 4)),
        retries: Some((900, 2)),
    },
    Setting { a: 1, b: 3, queue: None, mail: Some((100, 2)), queue_rate: None, retries: None },
    Setting {
        a: 3,
        b: 1,
        queue: Some(2),
        mail: None,
        queue_rate: Some((300, 6)),
        retries: Some((300, 1)),
    },
];

const BUCKETS: [&str; 3] = ["mail", "the queue", "retries"];

impl Setting {
    fn cap(&self, permit: &str) -> Option<usize> {
        let cap = match permit {
            "a" => Some(self.a),
            "b" => Some(self.b),
            _ => self.queue,
        };
        cap.map(|cap| usize::try_from(cap).expect("a few"))
    }

    /// How long a token takes, and how long all of them.
    fn rate(&self, of: &str) -> Option<(u64, u64)> {
        let (interval, burst) = match of {
            "mail" => self.mail,
            "retries" => self.retries,
            _ => self.queue_rate,
        }?;
        Some((interval, interval * u64::from(burst)))
    }
}

fn config(setting: Setting) -> Config {
    let rate = |(ms, burst)| Rate { interval: Duration::from_millis(ms), burst };
    let Setting { a, b, queue, mail, queue_rate, retries } = setting;
    let budget = |it| Some(RetryBudget { rate: rate(it), share: SHARE });
    let breaker = retries.map(|it| BreakerTerms { circuit: CIRCUIT, retries: budget(it) });
    let shop = Guarded::Dependency("shop".into());
    let queue = QueueLimits { leases: queue, leases_per_key: None, rate: queue_rate.map(rate) };
    let throttles = Throttles {
        caps: Caps { default: b, keys: [("a".into(), a)].into(), ..Caps::default() },
        rates: mail.map(|mail| ("mail".into(), rate(mail))).into_iter().collect(),
        queues: [("q".into(), queue)].into(),
        breakers: breaker.map(|breaker| (shop, breaker)).into_iter().collect(),
    };
    Config {
        session_ttl: Duration::from_hours(10),
        revoke_ack_margin: Duration::from_hours(10),
        valve: u64::MAX,
        throttles: Arc::new(throttles),
        ..Config::default()
    }
}

/// One thing that happens.
#[derive(Clone, Debug)]
enum Step {
    /// A task wants to be run: its priority, its keys as bits (and whether it calls the shop), its tokens.
    Submit(u8, u8, u32),
    Grant,
    Wait(u64),
    /// Of the n-th lease: it began.
    Start(usize),
    /// It ended well.
    Succeed(usize),
    /// It ended badly.
    Fail(usize),
    /// It was handed back before it began.
    HandBack(usize),
    /// Its task is cancelled.
    Cancel(usize),
    /// Of the n-th lease that was given up: its work is over.
    Answer(usize),
    /// Other limits hold.
    Configure(usize),
    Restart,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => (0u8..3, 0u8..8, 0u32..4).prop_map(|(priority, keys, mail)| Step::Submit(priority, keys, mail)),
        8 => Just(Step::Grant),
        4 => prop::sample::select(vec![1, 30, 70, 140, 200, 600, 1_300, 3_000]).prop_map(Step::Wait),
        2 => (0usize..6).prop_map(Step::Start),
        4 => (0usize..6).prop_map(Step::Succeed),
        4 => (0usize..6).prop_map(Step::Fail),
        2 => (0usize..6).prop_map(Step::HandBack),
        2 => (0usize..6).prop_map(Step::Cancel),
        1 => (0usize..3).prop_map(Step::Answer),
        1 => (0..SETTINGS.len()).prop_map(Step::Configure),
        1 => Just(Step::Restart),
    ]
}

/// A task that has not ended, as the lists have it.
#[derive(Clone, Debug)]
struct Job {
    id: TaskId,
    priority: u8,
    deadline: Time,
    permits: Vec<&'static str>,
    charges: Vec<(&'static str, u64)>,
    /// Whether it calls the shop.
    calls: bool,
    attempts: u32,
}

impl Job {
    fn charges(&self) -> Vec<(&'static str, u64)> {
        let retry = (self.calls && 0 < self.attempts).then_some(("retries", 1));
        self.charges.iter().copied().chain(retry).collect()
    }
}

#[derive(Clone, Debug)]
struct Lease {
    token: Token,
    job: Job,
    is_started: bool,
    /// When it is given up, if its task was cancelled.
    given_up: Option<Time>,
    /// In which round of the circuit it passed that, and whether as a probe.
    passed: Option<(u64, bool)>,
}

/// How a call of the shop ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Call {
    Well,
    Badly,
}

/// The circuit of the shop.
#[derive(Debug, Default)]
struct Circuit {
    /// When calls ended since it last closed, and how.
    calls: Vec<(u64, Call)>,
    /// How many probes of this round have ended, all of them well.
    probes: u32,
    open_until: Option<u64>,
    is_half_open: bool,
    failed_rounds: u32,
    /// Grows whenever it turns, and never shrinks.
    round: u64,
}

impl Circuit {
    fn advance(&mut self, now: u64) {
        if self.open_until.is_some_and(|until| until <= now) {
            (self.open_until, self.is_half_open, self.probes) = (None, true, 0);
            self.round += 1;
        }
    }

    fn open(&mut self, now: u64) {
        let ms = 1_200.min(400 << self.failed_rounds.min(8));
        (self.open_until, self.is_half_open) = (Some(now + ms), false);
        self.round += 1;
    }

    fn count(&mut self, round: u64, call: Call, now: u64) {
        if round != self.round {
            return;
        }
        if self.is_half_open {
            self.probes += 1;
            if call == Call::Badly {
                self.failed_rounds += 1;
                self.open(now);
            } else if self.probes == 2 {
                let round = self.round + 1;
                *self = Self { round, ..Self::default() };
            }
            return;
        }
        self.calls.push((now, call));
        let part = |at: u64| at / (3_000 / PARTS);
        let is_bad = |parts: u64| {
            let lately = self.calls.iter().filter(|(at, _)| part(now) < part(*at) + parts);
            let lately: Vec<Call> = lately.map(|(_, call)| *call).collect();
            let failed = lately.iter().filter(|call| **call == Call::Badly).count();
            3 <= lately.len() && lately.len() <= 2 * failed
        };
        if is_bad(PARTS) || is_bad(PARTS / 10) {
            self.open(now);
        }
    }
}

/// What was taken of a bucket, until when that takes to make up for, and how long.
#[derive(Clone, Debug)]
struct Receipt {
    token: Token,
    of: &'static str,
    until: u64,
    lasts: u64,
}

/// The lists.
#[derive(Debug)]
struct Lists {
    setting: Setting,
    ready: Vec<Job>,
    /// Those that failed, and when they may go on.
    waiting: Vec<(Time, Job)>,
    circuit: Circuit,
    leased: Vec<Lease>,
    zombies: Vec<Lease>,
    /// When each bucket is full.
    full_at: [u64; 3],
    receipts: Vec<Receipt>,
}

impl Lists {
    fn holders(&self, permit: &str) -> usize {
        let all = self.leased.iter().chain(&self.zombies);
        all.filter(|lease| lease.job.permits.contains(&permit)).count()
    }

    fn is_free(&self, job: &Job, now: u64) -> bool {
        let mut permits = job.permits.iter();
        let has_permits = permits
            .all(|permit| self.setting.cap(permit).is_none_or(|cap| self.holders(permit) < cap));
        has_permits
            && (!self.is_guarded(job) || self.circuit_lets())
            && job.charges().iter().all(|(of, tokens)| {
                let Some((interval, holds)) = self.setting.rate(of) else { return true };
                // What wants more than a bucket holds waits until it is full.
                let takes = tokens * interval;
                self.full_at[bucket(of)].max(now) + takes <= now + holds.max(takes)
            })
    }

    /// Whether its leases pass a circuit.
    fn is_guarded(&self, job: &Job) -> bool {
        job.calls && self.setting.retries.is_some()
    }

    fn circuit_lets(&self) -> bool {
        let all = self.leased.iter().chain(&self.zombies);
        let probes = all.filter(|lease| lease.passed.is_some_and(|(_, is_probe)| is_probe)).count();
        self.circuit.open_until.is_none() && (!self.circuit.is_half_open || probes < 2)
    }

    /// How a lease ended that passed the circuit.
    fn count(&mut self, passed: Option<(u64, bool)>, call: Call, now: u64) {
        let Some((round, _)) = passed else { return };
        self.circuit.count(round, call, now);
        if let Some((interval, _)) = self.setting.rate("retries").filter(|_| call == Call::Well) {
            let missing = self.full_at[bucket("retries")].saturating_sub(now);
            self.give_back("retries", missing.min(interval * u64::from(SHARE) / 1_000));
        }
    }

    /// Everything that can be leased is, the most urgent first.
    fn grant(&mut self, now: Time) -> Vec<Job> {
        let mut granted = Vec::new();
        loop {
            let free =
                (0..self.ready.len()).filter(|at| self.is_free(&self.ready[*at], now.unix_ms()));
            let rank = |at: &usize| {
                (self.ready[*at].priority, self.ready[*at].deadline, self.ready[*at].id)
            };
            let Some(at) = free.min_by_key(rank) else { return granted };
            let job = self.ready.remove(at);
            // What takes its token from the real queue is entered by whoever compares; a number of its own will do until then.
            let token = Token::new(1_000, u32::try_from(granted.len()).expect("a few"));
            self.take(token, &job, now.unix_ms());
            let (is_started, given_up) = (false, None);
            let round = (self.circuit.round, self.circuit.is_half_open);
            let passed = self.is_guarded(&job).then_some(round);
            self.leased.push(Lease { token, job: job.clone(), is_started, given_up, passed });
            granted.push(job);
        }
    }

    fn take(&mut self, token: Token, job: &Job, now: u64) {
        for (of, tokens) in job.charges() {
            let Some((interval, _)) = self.setting.rate(of) else { continue };
            let (at, lasts) = (bucket(of), tokens * interval);
            self.full_at[at] = self.full_at[at].max(now) + lasts;
            self.receipts.push(Receipt { token, of, until: self.full_at[at], lasts });
        }
    }

    /// What is left to be made up for comes back, and all that was taken of the same is made up for so much sooner.
    fn refund(&mut self, token: Token, now: u64) {
        while let Some(at) = self.receipts.iter().position(|it| it.token == token) {
            let Receipt { of, until, lasts, .. } = self.receipts.remove(at);
            self.give_back(of, until.saturating_sub(now).min(lasts));
        }
    }

    fn give_back(&mut self, of: &str, time: u64) {
        self.full_at[bucket(of)] -= time;
        for other in self.receipts.iter_mut().filter(|other| other.of == of) {
            other.until = other.until.saturating_sub(time);
        }
    }

    /// No bucket that is filled otherwise is emptier than it can be, and one that is gone is full if it is there again. Work that has outlived its
    /// task keeps the permits that it has, and no lease has others than those of its task.
    fn configure(&mut self, setting: Setting, now: u64) {
        let before = std::mem::replace(&mut self.setting, setting);
        if setting.retries.is_none() {
            let round = self.circuit.round + 1;
            self.circuit = Circuit { round, ..Circuit::default() };
            let all = self.leased.iter_mut().chain(&mut self.zombies);
            all.for_each(|lease| lease.passed = None);
        }
        for of in BUCKETS {
            if let Some((_, holds)) = setting.rate(of) {
                if setting.rate(of) == before.rate(of) {
                    continue;
                }
                self.give_back(of, self.full_at[bucket(of)].saturating_sub(now + holds));
            } else {
                self.full_at[bucket(of)] = 0;
                self.receipts.retain(|receipt| receipt.of != of);
            }
        }
    }

    fn forget(&mut self, token: Token) {
        self.receipts.retain(|receipt| receipt.token != token);
    }
}

fn bucket(of: &str) -> usize {
    BUCKETS.iter().position(|name| *name == of).expect("a bucket")
}

/// The queue beside the lists.
struct Both {
    queue: Queue,
    lists: Lists,
    now: Time,
    minter: Minter,
    records: Vec<Record>,
    epoch: u32,
    stream: u64,
}

impl Both {
    fn new() -> Self {
        let mut queue = Queue::new(config(SETTINGS[0]), 1);
        queue.recovered(START, None);
        let lists = Lists {
            setting: SETTINGS[0],
            ready: Vec::new(),
            waiting: Vec::new(),
            circuit: Circuit::default(),
            leased: Vec::new(),
            zombies: Vec::new(),
            full_at: [0; 3],
            receipts: Vec::new(),
        };
        let (minter, records) = (Minter::new(0, START), Vec::new());
        let mut both = Self { queue, lists, now: START, minter, records, epoch: 1, stream: 0 };
        both.records.extend(both.queue.take_output().records);
        both.hello();
        both
    }

    fn apply(&mut self, command: Command) -> Vec<Effect> {
        self.queue.apply(self.now, command);
        let output = self.queue.take_output();
        self.records.extend(output.records);
        output.effects
    }

    fn hello(&mut self) {
        self.stream += 1;
        let held = self.lists.leased.iter().map(|lease| {
            let phase = if lease.is_started { LeasePhase::Running } else { LeasePhase::Pending };
            HeldLease { token: lease.token, phase, size: Size::default() }
        });
        let hello = Hello {
            stream: StreamId(self.stream),
            worker: "w".into(),
            instance: "i".into(),
            start: None,
            replaces: Vec::new(),
            task_types: vec!["t".into()],
            namespaces: Vec::new(),
            reads: SchemasRead::default(),
            slots: 1_000,
            resources: Vec::new(),
            knows_sizes: true,
            prefetch: 0,
            held: held.collect(),
            labels: Vec::new(),
            software: "".into(),
        };
        self.apply(Command::Hello(Box::new(hello)));
    }

    fn step(&mut self, step: &Step) -> Result<(), TestCaseError> {
        match step {
            Step::Submit(priority, keys, mail) => self.submit(*priority, *keys, *mail),
            Step::Grant => return self.grant(),
            Step::Wait(ms) => self.wait(Duration::from_millis(*ms)),
            Step::Start(n) => {
                let Some(lease) = self.lists.leased.get_mut(*n) else { return Ok(()) };
                lease.is_started = true;
                let (stream, token) = (StreamId(self.stream), lease.token);
                self.lists.forget(token);
                self.apply(Command::Started { stream, token });
            }
            Step::Succeed(n) => {
                if *n < self.lists.leased.len() {
                    let lease = self.lists.leased.remove(*n);
                    self.lists.forget(lease.token);
                    self.lists.count(lease.passed, Call::Well, self.now.unix_ms());
                    self.say(lease.token, Outcome::Succeeded { result: Bytes::new() });
                }
            }
            Step::Fail(n) => {
                if *n < self.lists.leased.len() {
                    let lease = self.lists.leased.remove(*n);
                    self.lists.forget(lease.token);
                    if lease.given_up.is_none() {
                        self.lists.count(lease.passed, Call::Badly, self.now.unix_ms());
                        let job = Job { attempts: lease.job.attempts + 1, ..lease.job };
                        // A third failure is the last.
                        if job.attempts < 3 {
                            self.lists.waiting.push((self.now + WORD, job));
                        }
                    }
                    self.say(lease.token, failed());
                }
            }
            Step::HandBack(n) => {
                if *n < self.lists.leased.len() && !self.lists.leased[*n].is_started {
                    let lease = self.lists.leased.remove(*n);
                    self.lists.refund(lease.token, self.now.unix_ms());
                    if lease.given_up.is_none() {
                        self.lists.ready.push(lease.job);
                    }
                    self.say(lease.token, Outcome::Stopped(StopProof::NotStarted));
                }
            }
            Step::Cancel(n) => {
                let Some(lease) = self.lists.leased.get_mut(*n) else { return Ok(()) };
                lease.given_up.get_or_insert(self.now + GRACE + WORD);
                let task = lease.job.id;
                self.apply(Command::Cancel { task });
            }
            Step::Answer(n) => {
                if *n < self.lists.zombies.len() {
                    let lease = self.lists.zombies.remove(*n);
                    self.lists.forget(lease.token);
                    self.say(lease.token, Outcome::Stopped(StopProof::Aborted));
                }
            }
            Step::Configure(n) => {
                self.lists.configure(SETTINGS[*n], self.now.unix_ms());
                self.apply(Command::Configure(Box::new(config(SETTINGS[*n]))));
            }
            Step::Restart => self.restart(),
        }
        Ok(())
    }

    fn submit(&mut self, priority: u8, keys: u8, mail: u32) {
        let id = self.minter.mint(self.now, 0);
        let named = ["a", "b"].into_iter().enumerate().filter(|(bit, _)| keys >> bit & 1 == 1);
        let named: Vec<_> = named.map(|(_, key)| key).collect();
        let claims = Claims {
            keys: named.iter().map(|key| (*key).into()).collect(),
            charges: if mail == 0 { Vec::new() } else { vec![("mail".into(), mail)] },
            dependencies: if keys & 4 == 4 { vec!["shop".into()] } else { Vec::new() },
            fails_fast: false,
        };
        let claims = (!claims.is_empty()).then(|| Arc::new(claims));
        let spec = spec(priority).with(|template| template.claims = claims);
        let deadline = self.now + spec.total_timeout.into();
        self.apply(Command::Submit(Box::new(Submit { id, spec, validate_only: false })));
        let permits = named.into_iter().chain(["the queue"]).collect();
        let own = (mail > 0).then_some(("mail", u64::from(mail)));
        let charges = own.into_iter().chain([("the queue", 1)]).collect();
        let (calls, attempts) = (keys & 4 == 4, 0);
        let job = Job { id, priority, deadline, permits, charges, calls, attempts };
        self.lists.ready.push(job);
    }

    fn grant(&mut self) -> Result<(), TestCaseError> {
        let before = self.lists.leased.len();
        let expected: Vec<TaskId> = self.lists.grant(self.now).iter().map(|job| job.id).collect();
        let effects = self.apply(Command::Grant { most: 1_000 });
        let assigned: Vec<_> = effects
            .into_iter()
            .filter_map(|effect| match effect {
                Effect::Assign { assignment, .. } => Some((assignment.task, assignment.token)),
                _ => None,
            })
            .collect();
        let granted: Vec<TaskId> = assigned.iter().map(|(task, _)| *task).collect();
        prop_assert_eq!(granted, expected);
        for (lease, (_, token)) in self.lists.leased[before..].iter_mut().zip(&assigned) {
            for receipt in self.lists.receipts.iter_mut().filter(|it| it.token == lease.token) {
                receipt.token = *token;
            }
            lease.token = *token;
        }
        let (stream, tokens) =
            (StreamId(self.stream), assigned.into_iter().map(|(_, token)| token).collect());
        self.apply(Command::Delivered { stream, tokens });
        Ok(())
    }

    fn wait(&mut self, time: Duration) {
        self.now = self.now + time;
        self.apply(Command::Advance { until: self.now });
        let now = self.now;
        self.lists.circuit.advance(now.unix_ms());
        let due = self.lists.waiting.extract_if(.., |(at, _)| *at <= now);
        self.lists.ready.extend(due.map(|(_, job)| job));
        let is_over = |lease: &mut Lease| lease.given_up.is_some_and(|at| at <= now);
        let gone = self.lists.leased.extract_if(.., is_over);
        let setting = self.lists.setting;
        self.lists.zombies.extend(gone.map(|mut lease| {
            lease.job.permits.retain(|permit| setting.cap(permit).is_some());
            lease
        }));
    }

    fn say(&mut self, token: Token, outcome: Outcome) {
        self.apply(Command::Outcome { stream: StreamId(self.stream), token, outcome, ran: None });
    }

    fn restart(&mut self) {
        self.epoch += 1;
        let mut queue = Queue::new(config(self.lists.setting), self.epoch);
        for record in &self.records {
            queue.replay(record.clone(), Unknown::Refuse).expect("a sound journal");
        }
        queue.recovered(self.now, Some(self.now));
        self.queue = queue;
        self.records.extend(self.queue.take_output().records);
        self.lists.zombies.clear();
        self.lists.receipts.clear();
        let round = self.lists.circuit.round + 1;
        self.lists.circuit = Circuit { round, ..Circuit::default() };
        self.lists.leased.iter_mut().for_each(|lease| lease.passed = None);
        for (full_at, of) in self.lists.full_at.iter_mut().zip(BUCKETS) {
            let holds = self.lists.setting.rate(of).map(|(_, holds)| holds);
            *full_at = holds.map_or(0, |holds| self.now.unix_ms() + holds);
        }
        self.hello();
        // What had waited long enough is woken again.
        self.wait(Duration::ZERO);
    }
}

fn failed() -> Outcome {
    let failure = Failure {
        reason: FailureReason::Error,
        message: "no luck".into(),
        details: "".into(),
        counted: false,
        token: None,
        worker: None,
        time: Time::default(),
    };
    let (retryable, retry_delay, stop) = (true, Duration::ZERO, StopProof::Returned);
    Outcome::Failed { failure, retryable, retry_delay, stop }
}

fn spec(priority: u8) -> TaskSpec {
    let long = Duration::from_hours(24);
    TaskSpec::new(
        Arc::new(Template {
            queue: "q".into(),
            task_type: "t".into(),
            content_type: "".into(),
            priority,
            start_timeout: long,
            attempt_timeout: long,
            kill_grace: GRACE,
            retry: Retry {
                max_attempts: 3,
                backoff: Backoff { initial: WORD, factor: 1.0, cap: WORD, jitter: Jitter::None },
            },
            terms: LeaseTerms::default(),
            claims: None,
            fairness_key: "".into(),
            shape: Shape::default(),
            admission: Admission::default(),
        }),
        Bytes::new().into(),
        long,
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]
    #[test]
    fn the_queue_leases_what_the_lists_say(steps in vec(step(), 1..80)) {
        let mut both = Both::new();
        for step in &steps {
            both.step(step)?;
        }
    }
}
