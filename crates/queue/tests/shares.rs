//! What is promised of the order over many tasks: shares, bounds of waiting, and that no slot idles beside work for it.
//!
//! Workers that never fail run tasks for as long as the tasks say, on a clock of their own.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a broken test has to stop")]

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BinaryHeap},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use leasehold_policy::{Backoff, Jitter, Rate, Time};
use leasehold_queue::{
    Admission, Audience, Blocked, Caps, Claims, Command, Config, Effect, Hello, LeaseTerms, Minter,
    Name, Outcome, Payload, Queue, QueueLimits, Retry, SchemasRead, Shape, StreamId, Submit,
    TaskId, TaskSpec, Template, Throttles, Token, Weights,
};

const START: Time = Time::from_unix_ms(1_800_000_000_000);

/// A lease that was granted, in the order of the grants.
#[derive(Clone, Debug)]
struct Grant {
    task: TaskId,
    spec: TaskSpec,
}

/// A coordinator's queue and workers that take it at its word.
struct World {
    queue: Queue,
    now: Time,
    minter: Minter,
    streams: u64,
    /// When each lease ends, the soonest first.
    running: BinaryHeap<Reverse<(Time, Token, StreamId)>>,
    grants: Vec<Grant>,
}

impl World {
    fn new(config: Config) -> Self {
        let mut queue = Queue::new(config, 1);
        queue.recovered(START, None);
        queue.play_to(Audience::Nobody);
        let (running, grants) = (BinaryHeap::new(), Vec::new());
        Self { queue, now: START, minter: Minter::new(0, START), streams: 0, running, grants }
    }

    fn worker(&mut self, slots: u32, types: &[&str], labels: &[(&str, &str)]) {
        self.streams += 1;
        let label = |(name, value): &(&str, &str)| (Name::from(*name), Name::from(*value));
        let hello = Hello {
            stream: StreamId(self.streams),
            worker: format!("w{}", self.streams).into(),
            instance: "i".into(),
            start: None,
            replaces: Vec::new(),
            task_types: types.iter().map(|name| Name::from(*name)).collect(),
            namespaces: Vec::new(),
            reads: SchemasRead::default(),
            slots,
            resources: Vec::new(),
            knows_sizes: true,
            prefetch: 0,
            held: Vec::new(),
            labels: labels.iter().map(label).collect(),
            software: "".into(),
        };
        self.queue.apply(self.now, Command::Hello(Box::new(hello)));
    }

    fn submit(&mut self, spec: TaskSpec) -> TaskId {
        let id = self.minter.mint(self.now, 0);
        let submit = Submit { id, spec, validate_only: false };
        self.queue.apply(self.now, Command::Submit(Box::new(submit)));
        drop(self.queue.take_output());
        id
    }

    /// Leases what can be leased, and lets it run.
    fn grant(&mut self, run: impl Fn(&TaskSpec) -> u64) {
        self.queue.apply(self.now, Command::Grant { most: 10_000 });
        for effect in self.queue.take_output().effects {
            let Effect::Assign { stream, assignment } = effect else { continue };
            let (token, tokens) = (assignment.token, vec![assignment.token]);
            self.queue.apply(self.now, Command::Delivered { stream, tokens });
            self.queue.apply(self.now, Command::Started { stream, token });
            let end = self.now + Duration::from_millis(run(&assignment.spec));
            self.running.push(Reverse((end, token, stream)));
            self.grants.push(Grant { task: assignment.task, spec: assignment.spec });
        }
    }

    /// The next lease ends.
    fn end_one(&mut self) {
        let Reverse((end, token, stream)) = self.running.pop().unwrap();
        self.now = self.now.max(end);
        let outcome = Outcome::Succeeded { result: Bytes::new() };
        self.queue.apply(self.now, Command::Outcome { stream, token, outcome, ran: None });
        drop(self.queue.take_output());
    }
}

fn spec(queue: &str, key: &str, task_type: &str) -> TaskSpec {
    let (initial, cap) = (Duration::from_secs(1), Duration::from_secs(1));
    TaskSpec::new(
        Arc::new(Template {
            queue: queue.into(),
            task_type: task_type.into(),
            content_type: "".into(),
            priority: 5,
            start_timeout: Duration::from_secs(10),
            attempt_timeout: Duration::from_hours(1),
            kill_grace: Duration::from_secs(1),
            retry: Retry {
                max_attempts: 1,
                backoff: Backoff { initial, factor: 1.0, cap, jitter: Jitter::None },
            },
            terms: LeaseTerms::default(),
            claims: None,
            fairness_key: key.into(),
            shape: Shape::default(),
            admission: Admission::default(),
        }),
        Bytes::new().into(),
        Duration::from_hours(240),
    )
}

/// Two that always have something to do: what each is, its weight, and how long its tasks run, in ms.
type Party = (&'static str, &'static str, &'static str, u32, u64);

/// The part of all slot-time that the first of two gets, in hundredths of a percent.
fn share(first: Party, second: Party, ends: usize) -> u64 {
    let mut config = Config::default();
    for (queue, key, _, weight, _) in [first, second] {
        let own: &mut Weights = config.weights.entry(queue.into()).or_default();
        if first.0 == second.0 {
            own.keys.insert(key.into(), weight);
        } else {
            own.queue = weight;
        }
    }
    let mut world = World::new(config);
    world.worker(5, &["slow", "fast"], &[]);
    world.worker(3, &["slow", "fast"], &[]);
    let run = |spec: &TaskSpec| {
        let own = [first, second].into_iter().find(|it| *it.2 == *spec.task_type);
        own.map_or(0, |(.., run)| run)
    };
    for (queue, key, task_type, ..) in [first, second] {
        for _ in 0..50 {
            world.submit(spec(queue, key, task_type));
        }
    }
    let mut used = BTreeMap::<Name, u64>::new();
    let mut seen = 0;
    for _ in 0..ends {
        world.grant(run);
        for Grant { spec, .. } in world.grants.drain(seen..).collect::<Vec<_>>() {
            *used.entry(Name::clone(&spec.task_type)).or_default() += run(&spec);
            world.submit(TaskSpec::clone(&spec));
        }
        seen = world.grants.len();
        world.end_one();
    }
    let all: u64 = used.values().sum();
    used[first.2] * 10_000 / all
}

#[test]
fn weights_are_shares_of_slot_time_within_one_percent() {
    let cases: [(Party, Party, u64); 6] = [
        (("a", "", "slow", 1, 10), ("b", "", "fast", 3, 10), 2_500),
        (("a", "", "slow", 1, 70), ("b", "", "fast", 3, 10), 2_500),
        (("a", "", "slow", 3, 70), ("b", "", "fast", 1, 10), 7_500),
        (("a", "", "slow", 1, 200), ("b", "", "fast", 1, 3), 5_000),
        (("q", "x", "slow", 1, 70), ("q", "y", "fast", 3, 10), 2_500),
        (("q", "", "slow", 2, 70), ("q", "y", "fast", 1, 10), 6_667),
    ];
    for (first, second, expected) in cases {
        let is = share(first, second, 6_000);
        assert!(is.abs_diff(expected) <= 100, "{first:?} beside {second:?} gets {is} of 10,000");
    }
}

/// Runs so many leases to their ends, and has a task of each kind follow those that were leased. Says how many were leased
/// of each of the last two kinds since.
fn keep_busy(world: &mut World, ends: usize, run: impl Fn(&TaskSpec) -> u64) -> [usize; 2] {
    let mut counts = [0; 2];
    for _ in 0..ends {
        let before = world.grants.len();
        world.grant(&run);
        for Grant { spec, .. } in world.grants.get(before..).unwrap().to_vec() {
            match spec.payload.here().unwrap() {
                b"one" => counts[0] += 1,
                b"other" => counts[1] += 1,
                _ => {}
            }
            world.submit(TaskSpec::clone(&spec));
        }
        world.end_one();
    }
    counts
}

/// Both at once where a third one is served much faster, elsewhere or beside them.
#[test]
fn what_is_fast_elsewhere_does_not_say_whose_turn_it_is_here() {
    let cases = [
        // The queue and the key of the fast one, of one and of the other; the weights of these.
        (("a", ""), ("b", ""), ("c", ""), (1, 1)),
        (("a", ""), ("b", ""), ("c", ""), (1, 3)),
        (("q", "a"), ("q", "b"), ("q", "c"), (1, 1)),
        (("q", "a"), ("q", "b"), ("q", "c"), (1, 3)),
    ];
    for (fast, one, other, weights) in cases {
        let mut config = Config::default();
        for ((queue, key), weight) in [(one, weights.0), (other, weights.1)] {
            let own: &mut Weights = config.weights.entry(queue.into()).or_default();
            own.keys.insert(key.into(), weight);
            if one.0 != other.0 {
                own.queue = weight;
            }
        }
        let mut world = World::new(config);
        world.worker(16, &["x"], &[]);
        world.worker(2, &["y", "z"], &[]);
        let run = |_: &TaskSpec| 10;
        let of = |(queue, key): (&str, &str), task_type: &str, payload: &'static [u8]| {
            let payload = Bytes::from_static(payload).into();
            TaskSpec { payload, ..spec(queue, key, task_type) }
        };
        for _ in 0..32 {
            world.submit(of(fast, "x", b""));
        }
        for _ in 0..8 {
            world.submit(of(one, "y", b"one"));
        }
        keep_busy(&mut world, 3_000, run);
        for _ in 0..8 {
            world.submit(of(other, "z", b"other"));
        }
        // One in nine of what ends is theirs.
        let [one_had, other_had] = keep_busy(&mut world, 9 * 400, run);
        let all = one_had + other_had;
        let due = all * weights.1 as usize / (weights.0 + weights.1) as usize;
        assert!(300 < all && other_had.abs_diff(due) <= all / 50, "{other_had} of {all}: {one:?}");
    }
}

/// What one limit holds back is behind what it does not hold back, again and again.
#[test]
fn those_behind_one_limit_take_turns_whoever_is_busy_beside_them() {
    for (one, other) in [(("b", ""), ("c", "")), (("q", "b"), ("q", "c"))] {
        let mut world = World::new(Config::default());
        world.worker(4, &["t"], &[]);
        for _ in 0..8 {
            world.submit(spec("a", "", "t"));
        }
        let claims = Claims { keys: vec!["one-at-a-time".into()], ..Claims::default() };
        for ((queue, key), payload) in [(one, &b"one"[..]), (other, b"other")] {
            let (payload, claims) =
                (Payload::from(Bytes::from_static(payload)), Some(Arc::new(claims.clone())));
            for _ in 0..4 {
                let own = spec(queue, key, "t");
                world.submit(
                    TaskSpec { payload: payload.clone(), ..own }
                        .with(|template| template.claims.clone_from(&claims)),
                );
            }
        }
        let [one_had, other_had] = keep_busy(&mut world, 2_000, |_| 10);
        assert!(
            400 < one_had + other_had && one_had.abs_diff(other_had) <= 10,
            "{one_had} and {other_had}"
        );
    }
}

/// A world in which so many fairness keys have so many tasks each that all hold one concurrency key.
fn behind_one_key(keys: usize, tasks: usize) -> World {
    let mut world = World::new(Config::default());
    world.worker(4, &["t"], &[]);
    // How long a task runs is known before anybody is charged for it.
    world.submit(spec("other", "", "t"));
    world.grant(|_| 10);
    world.end_one();
    world.grants.clear();
    let claims = Claims { keys: vec!["one-at-a-time".into()], ..Claims::default() };
    let claims = Some(Arc::new(claims));
    for key in (0..keys * tasks).map(|n| n % keys) {
        let own = spec("q", &format!("k{key}"), "t");
        world.submit(own.with(|template| template.claims.clone_from(&claims)));
    }
    world
}

#[test]
fn what_an_opening_costs_does_not_depend_on_how_many_wait() {
    const GRANTS: u64 = 200;
    // As many as are let go beside those that find room, there and back, and the one that goes.
    const MOST: u64 = 2 * 16 + 2;
    for keys in [100, 500] {
        let mut world = behind_one_key(keys, 4);
        world.grant(|_| 10);
        let before = world.queue.moves();
        for _ in 0..GRANTS {
            world.end_one();
            world.grant(|_| 10);
        }
        let moves = world.queue.moves() - before;
        assert!(moves <= GRANTS * MOST, "{moves} moves for {GRANTS} grants behind {keys} keys");
        assert_eq!(world.grants.len() as u64, GRANTS + 1);
    }
}

#[test]
fn of_many_behind_one_limit_all_have_their_turn() {
    let mut world = behind_one_key(100, 4);
    world.grant(|_| 10);
    for round in 1..=3 {
        while world.grants.len() < 100 * round {
            world.end_one();
            world.grant(|_| 10);
        }
        let mut had = BTreeMap::<&Name, usize>::new();
        for Grant { spec, .. } in &world.grants {
            *had.entry(&spec.fairness_key).or_default() += 1;
        }
        assert!(had.len() == 100 && had.values().all(|had| *had == round), "{had:?}");
    }
}

/// Workers that come for one task each, and are alike to no worker that is there.
#[test]
fn workers_that_never_stay_serve_queues_in_turn() {
    let mut world = World::new(Config::default());
    for queue in ["a", "b", "c"] {
        for _ in 0..20 {
            world.submit(spec(queue, "", "t"));
        }
    }
    let mut had = BTreeMap::<Name, usize>::new();
    for _ in 0..30 {
        world.worker(1, &["t"], &[]);
        world.grant(|_| 10);
        world.end_one();
        let stream = StreamId(world.streams);
        world.queue.apply(world.now, Command::Goodbye { stream });
        world.grant(|_| 10);
    }
    for Grant { spec, .. } in &world.grants {
        *had.entry(Name::clone(&spec.queue)).or_default() += 1;
    }
    assert!(had.len() == 3 && had.values().all(|count| count.abs_diff(10) <= 2), "{had:?}");
}

#[test]
fn so_many_tasks_below_the_top_wait_at_most_64_times_as_many_grants() {
    const BELOW: usize = 20;
    let mut world = World::new(Config::default());
    world.worker(4, &["t"], &[]);
    let urgent = || spec("a", "", "t").with(|template| template.priority = 0);
    for _ in 0..10 {
        world.submit(urgent());
    }
    let mut below = BTreeMap::new();
    for n in 0..BELOW {
        let (priority, key) = (1 + u8::try_from(n % 9).unwrap(), format!("k{}", n % 3));
        let id = world.submit(
            spec(["a", "b"][n % 2], &key, "t").with(|template| template.priority = priority),
        );
        below.insert(id, None);
    }
    while world.grants.len() <= 64 * BELOW {
        let before = world.grants.len();
        world.grant(|_| 10);
        for (at, grant) in world.grants.iter().enumerate().skip(before) {
            if let Some(granted) = below.get_mut(&grant.task) {
                *granted = Some(at);
            }
        }
        for _ in before..world.grants.len() {
            world.submit(urgent());
        }
        world.end_one();
    }
    let late = below.values().filter(|at| at.is_none_or(|at| 64 * BELOW < at)).count();
    assert!(late == 0, "{late} of {BELOW} still wait after {} grants", world.grants.len());
}

#[test]
fn a_flood_of_one_delays_the_next_task_of_another_by_a_few_grants() {
    for (queue, key) in [("other", ""), ("flooded", "other")] {
        let mut world = World::new(Config::default());
        world.worker(8, &["t"], &[]);
        for _ in 0..1_000_000 {
            world.submit(spec("flooded", "flood", "t"));
        }
        for _ in 0..500 {
            world.grant(|_| 10);
            world.end_one();
        }
        let own = world.submit(spec(queue, key, "t"));
        let before = world.grants.len();
        while world.grants.last().unwrap().task != own {
            world.grant(|_| 10);
            world.end_one();
            assert!(world.grants.len() <= before + 2, "others go first beside {queue}/{key}");
        }
    }
}

#[test]
fn no_slot_is_free_beside_a_task_for_it() {
    let types = ["slow", "fast"];
    for seed in 0..40 {
        let mut rng = Dice(seed);
        let mut world = World::new(Config { valve: 1 + rng.roll(5), ..Config::default() });
        for _ in 0..=rng.roll(4) {
            let zone = ["a", "b"][usize::try_from(rng.roll(2)).unwrap()];
            let served = 1 + usize::try_from(rng.roll(2)).unwrap();
            world.worker(
                u32::try_from(1 + rng.roll(3)).unwrap(),
                &types[..served],
                &[("zone", zone)],
            );
        }
        for _ in 0..150 {
            let pick = |names: &[&'static str], rng: &mut Dice| {
                names[usize::try_from(rng.roll(names.len() as u64)).unwrap()]
            };
            match rng.roll(6) {
                0..3 => {
                    let mut task = spec(
                        pick(&["p", "q"], &mut rng),
                        pick(&["", "x", "y"], &mut rng),
                        pick(&types, &mut rng),
                    );
                    task.priority = u8::try_from(rng.roll(3)).unwrap();
                    if rng.roll(3) == 0 {
                        let zone = pick(&["a", "b", "c"], &mut rng);
                        task.shape.selector = vec![("zone".into(), zone.into())];
                    }
                    world.submit(task);
                }
                3 => {
                    let (queue, paused) = (pick(&["p", "q"], &mut rng).into(), rng.roll(2) == 0);
                    world.queue.apply(world.now, Command::Pause { queue, paused });
                }
                _ if !world.running.is_empty() => world.end_one(),
                _ => {}
            }
            world.grant(|spec| if *spec.task_type == *"slow" { 70 } else { 10 });
            conserves(&world.queue, seed);
        }
    }
}

/// More than are let go at once wait for the same limits, of several kinds, some of which open by themselves.
#[test]
fn no_slot_is_free_beside_a_task_whose_limits_have_room() {
    for seed in 0..20 {
        let mut rng = Dice(seed);
        let mut world = World::new(limited(&mut rng));
        for served in [&["slow", "fast"][..], &["fast"]] {
            world.worker(u32::try_from(1 + rng.roll(3)).unwrap(), served, &[]);
        }
        for _ in 0..400 {
            match rng.roll(7) {
                0..4 => {
                    let mut task = spec("q", &format!("k{}", rng.roll(60)), "fast");
                    if rng.roll(3) == 0 {
                        task.task_type = "slow".into();
                    }
                    task.priority = u8::try_from(rng.roll(2)).unwrap();
                    let keys = ["a", "b"].into_iter().filter(|_| rng.roll(2) == 0);
                    let keys = keys.map(Name::from).collect();
                    let charges = (rng.roll(3) == 0).then(|| (Name::from("mail"), 1));
                    let charges = charges.into_iter().collect();
                    task.claims = Some(Arc::new(Claims { keys, charges, ..Claims::default() }));
                    world.submit(task);
                }
                4 => {
                    let (queue, paused) = ("q".into(), rng.roll(3) == 0);
                    world.queue.apply(world.now, Command::Pause { queue, paused });
                }
                5 => {
                    let nth = usize::try_from(rng.roll(40)).unwrap();
                    let nth = world.queue.tasks_after(TaskId::from_u128(0)).nth(nth);
                    let waiting = nth.filter(|it| it.lease().is_none()).map(|it| it.id);
                    if let Some(task) = waiting {
                        world.queue.apply(world.now, Command::Cancel { task });
                    }
                }
                _ if !world.running.is_empty() => world.end_one(),
                _ => {}
            }
            world.grant(|spec| if *spec.task_type == *"slow" { 70 } else { 10 });
            conserves(&world.queue, seed);
        }
    }
}

fn limited(rng: &mut Dice) -> Config {
    let rate = Rate { interval: Duration::from_millis(15), burst: 2 };
    let per_key = (rng.roll(2) == 0).then_some(1);
    let queue = QueueLimits { leases_per_key: per_key, ..QueueLimits::default() };
    let throttles = Throttles {
        caps: Caps { default: 1, keys: [("a".into(), 2)].into(), ..Caps::default() },
        rates: [("mail".into(), rate)].into(),
        queues: [("q".into(), queue)].into(),
        ..Throttles::default()
    };
    Config { valve: 2 + rng.roll(5), throttles: Arc::new(throttles), ..Config::default() }
}

fn conserves(queue: &Queue, seed: u64) {
    for task in queue.tasks_after(TaskId::from_u128(0)) {
        if !matches!(queue.blocked(task), Some(Blocked::NoCapacity)) {
            continue;
        }
        for worker in queue.workers() {
            let serves = worker.task_types.contains(&task.spec.task_type)
                && task.spec.shape.selector.iter().all(|label| worker.labels.contains(label));
            let is_full = worker.whole.slots as usize <= worker.tokens.len();
            assert!(!serves || is_full, "seed {seed}: {} idles beside {}", worker.worker, task.id);
        }
    }
}

/// Numbers that look random, from a seed.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }
}
