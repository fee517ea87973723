//! What a seed stands for: a setting, a workload, and a list of faults.
//!
//! Everything is drawn before anything runs, so that a fault can be taken out of the list and the rest tried again.

use std::{collections::BTreeSet, time::Duration};

use leasehold_policy::namespace;
use leasehold_queue::{Exclusivity, Guarantee, LeaseTerms, SchemaPrint, Size};
use serde::{Deserialize, Serialize};

use crate::{
    fault::{self, Fault},
    make::Kind,
    moment::{MS, Micros, SECOND},
    shape::{self, Drawn},
    stored,
};

/// Everything that is decided before a run.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The seed.
    pub seed: u64,
    /// The cluster.
    pub setting: Setting,
    /// What goes wrong, in the order of time.
    pub faults: Vec<Fault>,
    /// What clients want, in the order of time.
    pub wishes: Vec<(Micros, Wish)>,
}

/// The cluster.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Setting {
    /// The session TTL the coordinator begins with.
    pub session_ttl: Duration,
    /// Each worker.
    pub workers: Vec<Crew>,
    /// Workers that do not come back when the faults end, and what becomes of each; never all of them.
    pub ruins: Vec<(usize, Ruin)>,
    /// When the faults end.
    pub safety: Micros,
    /// The delay of anything sent, at least and at most.
    pub delay: (Micros, Micros),
    /// How long an append takes, at least and at most.
    pub append: (Micros, Micros),
    /// How many of a hundred calls of clients lose their request or their answer.
    pub lost_calls_percent: u64,
    /// How many of a hundred calls arrive twice.
    pub doubled_calls_percent: u64,
    /// How long an idempotency key outlives its task.
    pub key_retention: Duration,
    /// How long a finished task is kept.
    pub finished_retention: Duration,
    /// Below how many bytes the journal is not tidied.
    pub tidy_bytes: u64,
    /// How many losses of a worker a task may have.
    pub worker_losses: u32,
    /// The queues that want late results.
    #[serde(default)]
    pub late_results: Vec<usize>,
    /// How long an attempt may become that asks for more time.
    #[serde(default = "day")]
    pub attempt_max: Duration,
    /// How many streams of workers may begin: one in so much time, and so many at once. None: as many as want to.
    #[serde(default)]
    pub beginnings: Option<(Micros, u32)>,
    /// How leases are held back. None: not at all.
    #[serde(default)]
    pub limits: Option<Limits>,
    /// When the circuit of the one dependency opens. None: it has no breaker.
    #[serde(default)]
    pub breaker: Option<Breaker>,
    /// Every how many leases one goes by age.
    #[serde(default = "seldom")]
    pub aging_every: u64,
    /// How many runs have to be known before a task is ended that has less time than any of them took; 0: it never is.
    #[serde(default)]
    pub cull_after_runs: u32,
    /// What each queue gets beside the other.
    #[serde(default = "alike")]
    pub weights: [u32; QUEUES],
    /// How many open tasks the namespace of the second queue may have. None: as many as want to.
    #[serde(default)]
    pub quota: Option<u64>,
    /// How many bytes of payloads are kept in memory. None: all that there are.
    #[serde(default)]
    pub payload_memory: Option<u64>,
}

/// How leases are held back.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
pub struct Limits {
    /// How many leases the first concurrency key may have. The second one may have one.
    pub cap: u32,
    /// How many tokens of the rate key come in a second, and how many there are at most.
    pub rate: (u32, u32),
    /// How many leases the second queue may have.
    pub queue_cap: u32,
    /// How many of its tasks may be leased in a second, and how many at once.
    pub queue_rate: (u32, u32),
}

/// When a circuit opens and closes.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
pub struct Breaker {
    /// How far back calls count.
    pub window: Duration,
    /// How many there have to be; half of them have to fail.
    pub calls_min: u32,
    /// How long it is open the first time, and a quarter of the longest time.
    pub open_for: Duration,
    /// How many probes there are at a time, and have to succeed in a row.
    pub probes: u32,
    /// How many retries there may be in a second, and how many at once.
    pub retries: (u32, u32),
}

impl Breaker {
    /// How long it is open at the most.
    pub fn open_for_max(&self) -> Duration {
        self.open_for * 4
    }
}

/// The dependency.
pub const DEPENDENCY: &str = "shop";

/// The rate key.
pub const RATE: &str = "rate";

/// The one resource.
pub(crate) const GPU: &str = "gpu";

/// The concurrency keys.
pub const KEYS: [&str; 2] = ["one", "two"];

/// One worker.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
pub struct Crew {
    /// How many tasks it runs at once.
    pub slots: u32,
    /// How many leases it takes beyond that.
    pub prefetch: u32,
    /// By how much its clock runs faster than the coordinator's, in millionths.
    pub drift_ppm: i64,
    /// In which zone it says it is; 0: in none.
    #[serde(default, skip_serializing_if = "is_none")]
    pub zone: u8,
    /// The payload schemas that it says it reads, as bits; 0: it does not say.
    #[serde(default, skip_serializing_if = "is_none")]
    pub reads: u8,
    /// How much it has of the one resource.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub gpus: u8,
}

/// What becomes of a worker for good.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub enum Ruin {
    /// Its process dies.
    Dead,
    /// Its process stands still.
    Frozen,
    /// Nothing that it says arrives, and what it is told does.
    Mute,
    /// Nothing that it is told arrives, and what it says does.
    Deaf,
}

/// By how much the rates of two clocks may differ: what the leases promise to survive.
pub const DRIFT_PPM_MAX: i64 = 9_900;

/// One thing a client wants.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub enum Wish {
    /// Tasks accepted, in one call.
    Submit(Vec<Order>),
    /// The n-th of the accepted tasks cancelled.
    Cancel(usize),
    /// The n-th of the dead letters replayed.
    Replay(usize),
    /// A queue paused, or going on.
    Pause(usize, bool),
    /// A worker drained, as an operator asks.
    Drain(usize),
    /// The lease of the n-th of the accepted tasks taken away.
    Revoke(usize),
    /// A worker given up.
    Evict(usize),
    /// Another configuration, without a restart.
    Configure(Wanted),
}

/// What of the configuration is changed while the coordinator runs, and holds after a restart as well.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
pub struct Wanted {
    /// How long sessions live that begin from then on.
    pub session_ttl: Duration,
    /// How many tasks may be open.
    pub open_tasks: u64,
}

/// One task.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
pub struct Order {
    /// Which of all tasks of the run.
    pub ordinal: u32,
    /// What its handler does.
    pub kind: Kind,
    /// The idempotency key, as a number.
    pub key: Option<u32>,
    /// Which queue.
    pub queue: usize,
    /// Whose it is within its queue; 0: it does not say.
    #[serde(default, skip_serializing_if = "is_none")]
    pub fairness_key: u8,
    /// In which zone its worker must be; 0: in any.
    #[serde(default, skip_serializing_if = "is_none")]
    pub zone: u8,
    /// The schema of its payload; 0: it does not say.
    #[serde(default, skip_serializing_if = "is_none")]
    pub schema: u8,
    /// 0 to 9.
    pub priority: u8,
    /// How often it may be tried.
    pub max_attempts: u32,
    /// How long it waits at first.
    pub delay: Micros,
    /// Its limits.
    pub start_timeout: Micros,
    /// From start to signal.
    pub attempt_timeout: Micros,
    /// Of everything.
    pub total_timeout: Micros,
    /// From signal to kill.
    pub kill_grace: Micros,
    /// The first ceiling of its backoff.
    pub backoff: Micros,
    /// What it asks of its leases.
    #[serde(with = "stored::Terms", default, skip_serializing_if = "stored::asks_nothing")]
    pub terms: LeaseTerms,
    /// Whether its handler saves where the next attempt can go on from.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub saves: bool,
    /// How long its handler asks to run, if it asks for more time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asks: Option<Micros>,
    /// Whether a guard ends it in time, also if its worker stands still.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_guarded: bool,
    /// Bits: which of the concurrency keys it has.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub keys: u8,
    /// How many tokens of the rate key its leases take.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub tokens: u8,
    /// Whether it calls the dependency.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub calls: bool,
    /// How many slots more than one its leases take, and how much of the one resource.
    #[serde(default, skip_serializing_if = "is_nothing")]
    pub size: (u8, u8),
}

/// What the tasks of a run are like.
#[derive(Clone, Copy, Debug)]
struct Taste {
    /// How many of a hundred do not simply succeed.
    odd_percent: u64,
    /// The longest attempt timeout.
    attempt_max: Micros,
    /// How many of a hundred ask anything of their leases.
    terms_percent: u64,
    /// How many of a hundred ask for more time.
    asks_percent: u64,
    /// How many of a hundred are processes under a guard.
    guarded_percent: u64,
    /// How many of a hundred ask for a zone.
    zoned_percent: u64,
    /// How many of a hundred name the schema of their payload.
    schema_percent: u64,
    /// How many of a hundred count against limits of their own.
    limited_percent: u64,
    /// How many of a hundred call the dependency. What fails for good does not: that says nothing of it.
    calls_percent: u64,
    /// How many of a hundred ask for more than a slot.
    sized_percent: u64,
    /// How much at most: slots, and of the one resource.
    largest: (u32, u8),
}

/// The zone of the first worker, and of some others.
pub const FIRST_ZONE: u8 = 1;

/// The schema that the first worker reads, and so do some others.
pub const FIRST_SCHEMA: u8 = 1;

/// Limits that are met now and then, and such that are met all the time.
const WIDE: Limits = Limits { cap: 2, rate: (20, 4), queue_cap: 4, queue_rate: (50, 5) };
const NARROW: Limits = Limits { cap: 1, rate: (3, 2), queue_cap: 2, queue_rate: (7, 1) };

/// How many queues there are.
pub const QUEUES: usize = 2;

/// A total timeout that no run lives to see: a task that is stuck must be seen to be.
const FOR_EVER: Micros = 6 * 3_600 * SECOND;

/// How long an attempt of long work may take.
const LONG: Micros = 60 * SECOND;

/// Ordinals from here on are those of long work.
const LONG_ORDINAL: u32 = 1_000_000;

impl Plan {
    /// The plan of a seed.
    pub fn of(seed: u64) -> Self {
        let mut rng = fastrand::Rng::with_seed(seed);
        let mut setting = setting(&mut rng);
        // Drawn beside the others, which are as they were.
        let mut beside = fastrand::Rng::with_seed(!seed);
        setting.quota = *pick(&mut beside, &[None, Some(2), Some(6)]);
        setting.payload_memory = *pick(&mut beside, &[None, None, Some(0), Some(50), Some(100)]);
        let Drawn { faults, work, wishes: more } = match shape::draw(&mut rng, &setting) {
            Some(drawn) => drawn,
            None => Drawn { faults: fault::draw(&mut rng, &setting), ..Drawn::default() },
        };
        let mut wishes = wishes(&mut rng, &setting);
        wishes.extend(more);
        wishes.extend(work.into_iter().map(|at| (at, long_work(&mut rng, &setting))));
        wishes.sort_by_key(|(at, _)| *at);
        Self { seed, setting, faults, wishes }
    }
}

fn setting(rng: &mut fastrand::Rng) -> Setting {
    let session_ttl = Duration::from_millis(*pick(rng, &[1_000, 2_000, 2_000, 5_000, 20_000]));
    let ttl = micros(session_ttl);
    let drifts = rng.bool();
    let wild = rng.u8(..10) == 0;
    let prefetch = *pick(rng, &[0, 0, 1, 3]);
    let (has_schemas, has_gpus) = (rng.u8(..3) == 0, rng.u8(..3) == 0);
    let crew = |rng: &mut fastrand::Rng| Crew {
        slots: rng.u32(1..=4),
        prefetch: rng.u32(..=prefetch),
        drift_ppm: match (drifts, wild) {
            (false, _) => 0,
            (true, false) => rng.i64(-DRIFT_PPM_MAX..=DRIFT_PPM_MAX),
            (true, true) => rng.i64(-80_000..=80_000),
        },
        zone: rng.u8(..=2),
        reads: if has_schemas { rng.u8(..4) } else { 0 },
        gpus: if has_gpus { rng.u8(..=2) } else { 0 },
    };
    let count = *pick(rng, &[1, 2, 2, 3, 3, 4, 6]);
    let mut workers: Vec<Crew> = (0..count).map(|_| crew(rng)).collect();
    // The first worker always comes back, so that a task which asks for its zone can end.
    workers.iter_mut().take(1).for_each(|crew| {
        crew.zone = FIRST_ZONE;
        crew.reads = if has_schemas { crew.reads | FIRST_SCHEMA } else { 0 };
    });
    let slow_net = *pick(rng, &[1, 1, 5, 50, 200]);
    let slow_disk = *pick(rng, &[1, 1, 3, 20]);
    Setting {
        session_ttl,
        workers,
        ruins: ruins(rng, count),
        safety: rng.u64(5 * SECOND..=20 * SECOND) + ttl * rng.u64(2..=6),
        delay: (50, slow_net * MS),
        append: (100, slow_disk * MS),
        lost_calls_percent: *pick(rng, &[0, 0, 5, 30]),
        doubled_calls_percent: *pick(rng, &[0, 0, 10]),
        key_retention: Duration::from_millis(*pick(rng, &[0, 3_000, 3_600_000, 3_600_000])),
        finished_retention: Duration::from_secs(*pick(rng, &[0, 5, 86_400])),
        tidy_bytes: *pick(rng, &[512, 2_048, 8_192, 1 << 20]),
        worker_losses: *pick(rng, &[2, 5]),
        late_results: (0..QUEUES).filter(|_| rng.bool()).collect(),
        attempt_max: *pick(rng, &[day(), day(), Duration::from_secs(5)]),
        beginnings: *pick(rng, &[None, None, Some((100 * MS, 2)), Some((SECOND, 1))]),
        limits: *pick(rng, &[None, None, Some(WIDE), Some(NARROW)]),
        aging_every: *pick(rng, &[2, 5, 64]),
        cull_after_runs: *pick(rng, &[0, 1, 2, 5]),
        weights: *pick(rng, &[[1, 1], [1, 3]]),
        quota: None,
        payload_memory: None,
        breaker: (rng.u8(..3) == 0).then(|| Breaker {
            window: Duration::from_secs(*pick(rng, &[3, 30])),
            calls_min: rng.u32(1..=5),
            open_for: Duration::from_millis(*pick(rng, &[100, 400, 2_000])),
            probes: rng.u32(1..=3),
            retries: *pick(rng, &[(2, 1), (20, 5)]),
        }),
    }
}

fn ruins(rng: &mut fastrand::Rng, count: usize) -> Vec<(usize, Ruin)> {
    if count < 2 || rng.u8(..3) != 0 {
        return Vec::new();
    }
    let kinds = [Ruin::Dead, Ruin::Frozen, Ruin::Mute, Ruin::Deaf];
    let drawn = (1..count).map(|worker| (worker, rng.bool().then(|| *pick(rng, &kinds))));
    drawn.filter_map(|(worker, ruin)| Some((worker, ruin?))).collect()
}

fn wishes(rng: &mut fastrand::Rng, setting: &Setting) -> Vec<(Micros, Wish)> {
    let taste = Taste {
        odd_percent: *pick(rng, &[0, 20, 60]),
        attempt_max: *pick(rng, &[2, 15, 15]) * SECOND,
        terms_percent: *pick(rng, &[0, 0, 30, 100]),
        asks_percent: *pick(rng, &[0, 0, 50]),
        guarded_percent: *pick(rng, &[0, 50, 100]),
        zoned_percent: *pick(rng, &[0, 0, 30]),
        schema_percent: *pick(rng, &[0, 30, 60]),
        limited_percent: if setting.limits.is_some() { *pick(rng, &[30, 100]) } else { 0 },
        calls_percent: if setting.breaker.is_some() { *pick(rng, &[50, 100]) } else { 0 },
        sized_percent: *pick(rng, &[0, 0, 30, 70]),
        largest: setting.workers.first().map_or((1, 0), |first| (first.slots, first.gpus)),
    };
    let count = *pick(rng, &[5, 15, 30, 50]);
    let calls = rng.u32(2..=count);
    let mut ordinal = 0;
    let mut wishes = Vec::new();
    for _ in 0..calls {
        let at = rng.u64(..setting.safety);
        let orders = (0..rng.u32(1..=3)).map(|_| {
            ordinal += 1;
            order(rng, ordinal, taste)
        });
        wishes.push((at, Wish::Submit(orders.collect())));
    }
    for _ in 0..rng.u32(..=count / 4) {
        let (at, n) = (rng.u64(..setting.safety), rng.usize(..1_000));
        let wish = match rng.u8(..13) {
            0..5 => Wish::Cancel(n),
            5..7 => Wish::Replay(n),
            7 => Wish::Drain(n % setting.workers.len()),
            10..12 => Wish::Revoke(n),
            12 => Wish::Evict(n % setting.workers.len()),
            _ => Wish::Pause(n % QUEUES, rng.u8(..3) < 2),
        };
        wishes.push((at, wish));
    }
    if rng.u8(..3) == 0 {
        for _ in 0..rng.u32(1..=4) {
            let session_ttl = *pick(rng, &[1_000, 2_000, 5_000, 20_000]);
            let session_ttl = Duration::from_millis(session_ttl);
            let open_tasks = *pick(rng, &[2, 10, 1_000, 1_000]);
            let wanted = Wanted { session_ttl, open_tasks };
            wishes.push((rng.u64(..setting.safety), Wish::Configure(wanted)));
        }
    }
    wishes.sort_by_key(|(at, _)| *at);
    wishes
}

fn order(rng: &mut fastrand::Rng, ordinal: u32, taste: Taste) -> Order {
    let is_odd = rng.u64(..100) < taste.odd_percent;
    let kind = if is_odd { *pick(rng, &Kind::ALL) } else { Kind::Succeeds };
    let has_terms = rng.u64(..100) < taste.terms_percent;
    let asks = rng.u64(..100) < taste.asks_percent;
    let is_limited = rng.u64(..100) < taste.limited_percent;
    let calls = rng.u64(..100) < taste.calls_percent && kind != Kind::FailsForGood;
    Order {
        ordinal,
        kind,
        key: rng.bool().then(|| if rng.u8(..4) == 0 { rng.u32(1..=4) } else { 100 + ordinal }),
        queue: rng.usize(..QUEUES),
        fairness_key: rng.u8(..3),
        zone: if rng.u64(..100) < taste.zoned_percent { FIRST_ZONE } else { 0 },
        schema: if rng.u64(..100) < taste.schema_percent { FIRST_SCHEMA } else { 0 },
        priority: rng.u8(..10),
        max_attempts: rng.u32(1..=4),
        delay: if rng.u8(..5) == 0 { rng.u64(..5 * SECOND) } else { 0 },
        start_timeout: rng.u64(500 * MS..=10 * SECOND),
        attempt_timeout: rng.u64(300 * MS..=taste.attempt_max),
        total_timeout: if rng.u8(..12) == 0 { rng.u64(SECOND..=20 * SECOND) } else { FOR_EVER },
        kill_grace: rng.u64(..=2 * SECOND),
        backoff: rng.u64(10 * MS..=2 * SECOND),
        terms: if has_terms { terms(rng) } else { LeaseTerms::default() },
        saves: ordinal.is_multiple_of(3),
        asks: asks.then(|| rng.u64(SECOND..=10 * SECOND)),
        is_guarded: rng.u64(..100) < taste.guarded_percent,
        keys: if is_limited { rng.u8(..4) } else { 0 },
        tokens: if is_limited { rng.u8(..=2) } else { 0 },
        calls,
        size: if rng.u64(..100) < taste.sized_percent { size(rng, taste.largest) } else { (0, 0) },
    }
}

/// Something that the first worker, which always comes back, has room for.
fn size(rng: &mut fastrand::Rng, (slots, gpus): (u32, u8)) -> (u8, u8) {
    let more = u8::try_from(slots - 1).unwrap_or(u8::MAX);
    (rng.u8(..=more), rng.u8(..=gpus))
}

fn terms(rng: &mut fastrand::Rng) -> LeaseTerms {
    let sometimes = |rng: &mut fastrand::Rng, least: Micros, most: Micros| {
        (rng.u8(..4) == 0).then(|| Duration::from_micros(rng.u64(least..=most)))
    };
    LeaseTerms {
        guarantee: *pick(rng, &[Guarantee::AtLeastOnce, Guarantee::AtMostOnce]),
        exclusivity: *pick(rng, &[Exclusivity::Strict, Exclusivity::BestEffort]),
        queue_timeout: sometimes(rng, 100 * MS, 15 * SECOND),
        progress_timeout: sometimes(rng, 300 * MS, 3 * SECOND),
    }
}

/// Work that keeps every slot busy beyond whatever goes wrong.
fn long_work(rng: &mut fastrand::Rng, setting: &Setting) -> Wish {
    let slots = setting.workers.iter().map(|crew| crew.slots).sum();
    let nothing = Taste {
        odd_percent: 0,
        attempt_max: LONG,
        terms_percent: 0,
        asks_percent: 0,
        guarded_percent: 50,
        zoned_percent: 0,
        schema_percent: 0,
        limited_percent: 0,
        calls_percent: 0,
        sized_percent: 0,
        largest: (1, 0),
    };
    let guarantee = *pick(rng, &[Guarantee::AtLeastOnce, Guarantee::AtMostOnce]);
    let orders = (0..slots).map(|n| Order {
        terms: LeaseTerms { guarantee, ..LeaseTerms::default() },
        kind: Kind::Hangs,
        key: None,
        priority: 0,
        max_attempts: 1,
        delay: 0,
        attempt_timeout: LONG,
        total_timeout: FOR_EVER,
        ..order(rng, LONG_ORDINAL + n, nothing)
    });
    Wish::Submit(orders.collect())
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands over a reference to the field")]
const fn is_zero(number: &u8) -> bool {
    *number == 0
}

/// One of a few.
pub(crate) fn pick<'a, T>(rng: &mut fastrand::Rng, choices: &'a [T]) -> &'a T {
    &choices[rng.usize(..choices.len())]
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands over a reference to the field")]
const fn is_nothing(size: &(u8, u8)) -> bool {
    size.0 == 0 && size.1 == 0
}

/// What a lease of an order takes of its worker, or a worker has: the one resource is called gpu.
pub(crate) fn size_of(slots: u32, gpus: u8) -> Size {
    let gpu = (0 < gpus).then(|| (GPU.into(), gpus.into()));
    Size { slots, resources: gpu.into_iter().collect() }
}

/// What a worker says of its zone, and a task asks for.
pub(crate) fn zone_label(zone: u8) -> Option<(String, String)> {
    (zone != 0).then(|| ("zone".to_owned(), format!("z{zone}")))
}

/// The fingerprint of a schema; none, if there is none.
pub(crate) fn schema_print(schema: u8) -> Option<SchemaPrint> {
    (schema != 0).then_some(SchemaPrint([schema; 32]))
}

/// The schemas of these bits.
pub(crate) fn schemas_read(reads: u8) -> BTreeSet<SchemaPrint> {
    (1..=2).filter(|schema| reads & schema != 0).filter_map(schema_print).collect()
}

/// The namespace of the second queue.
pub const TEAM: &str = "team";

/// By what a queue is known.
pub(crate) fn queue_name(queue: usize) -> String {
    let space = if queue == 0 { namespace::DEFAULT } else { TEAM };
    namespace::join(space, &format!("q{queue}"))
}

/// As it is where nobody says otherwise.
const fn seldom() -> u64 {
    64
}

/// As it is where nobody says otherwise.
const fn alike() -> [u32; QUEUES] {
    [1; QUEUES]
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks like that")]
const fn is_none(number: &u8) -> bool {
    *number == 0
}

/// As long as no run lasts.
const fn day() -> Duration {
    Duration::from_hours(24)
}

/// A duration in the simulation's unit.
pub(crate) fn micros(duration: Duration) -> Micros {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}
