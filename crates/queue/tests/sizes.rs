//! What is promised of sizes, over many tasks: no worker is given more than it has, none with room idles beside a task that
//! fits unless it is reserved, and nothing is passed over for ever. A judge who counts everything anew compares.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a broken test has to stop"
)]

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet, BinaryHeap},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use leasehold_policy::{Backoff, Jitter, Time};
use leasehold_queue::{
    Admission, Audience, Blocker, Command, Config, Effect, Hello, LeaseTerms, Minter, Name,
    Outcome, Queue, QueueLimits, Retry, SchemasRead, Shape, Size, StreamId, Submit, TaskId,
    TaskSpec, Template, Throttles, Token,
};

const START: Time = Time::from_unix_ms(1_800_000_000_000);

/// How many grants may go before one that has no room: as configured.
const VALVE: u64 = 8;

/// How long a run takes at most, in ms.
const RUN_MAX: u64 = 9;

/// What the judge knows of a worker.
struct Crew {
    whole: Size,
    /// What runs there.
    runs: BTreeMap<Token, TaskSpec>,
    /// Whether it is left out of what is given.
    drains: bool,
}

impl Crew {
    /// How much is left of something.
    fn left(&self, name: Option<&str>) -> i128 {
        let of =
            |size: &Size| name.map_or(i128::from(size.slots), |name| i128::from(size.amount(name)));
        of(&self.whole) - self.runs.values().map(|spec| of(&spec.shape.size)).sum::<i128>()
    }

    fn has_room(&self, size: &Size) -> bool {
        let has = |(name, amount): &(Name, u64)| i128::from(*amount) <= self.left(Some(name));
        i128::from(size.slots) <= self.left(None) && size.resources.iter().all(has)
    }

    /// Whether a lease of one size beside what runs leaves room for another: or takes nothing of what that needs.
    fn is_free_for_both(&self, one: &Size, waits: &Size) -> bool {
        let names = waits.resources.iter().map(|(name, _)| Some(&**name)).chain([None]);
        let of = |size: &Size, name: Option<&str>| {
            name.map_or(i128::from(size.slots), |name| i128::from(size.amount(name)))
        };
        names.into_iter().all(|name| {
            let (own, other) = (of(one, name), of(waits, name));
            own == 0 || other == 0 || own + other <= self.left(name)
        })
    }

    fn could_ever(&self, size: &Size) -> bool {
        let has = |(name, amount): &(Name, u64)| *amount <= self.whole.amount(name);
        size.slots <= self.whole.slots && size.resources.iter().all(has)
    }
}

struct World {
    queue: Queue,
    now: Time,
    minter: Minter,
    crews: BTreeMap<StreamId, Crew>,
    /// When each lease ends, the soonest first.
    ends: BinaryHeap<Reverse<(Time, Token, StreamId)>>,
    waiting: BTreeMap<TaskId, TaskSpec>,
    /// Which worker was reserved for which tasks after the last grants.
    reserved: BTreeMap<StreamId, TaskId>,
    grants: u64,
    /// How long a run takes at most, in ms.
    run_max: u64,
    /// Whether what waits may wait for a limit.
    is_limited: bool,
    dice: Dice,
    seed: u64,
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

fn amounts(amounts: &[(&str, u64)]) -> Vec<(Name, u64)> {
    let some = amounts.iter().filter(|(_, amount)| 0 < *amount);
    some.map(|(name, amount)| (Name::from(*name), *amount)).collect()
}

fn spec(queue: &str, priority: u8, size: Size) -> TaskSpec {
    let (initial, cap) = (Duration::from_secs(1), Duration::from_secs(1));
    TaskSpec::new(
        Arc::new(Template {
            queue: queue.into(),
            task_type: "t".into(),
            content_type: "".into(),
            priority,
            start_timeout: Duration::from_hours(1),
            attempt_timeout: Duration::from_hours(1),
            kill_grace: Duration::from_secs(1),
            retry: Retry {
                max_attempts: 1,
                backoff: Backoff { initial, factor: 1.0, cap, jitter: Jitter::None },
            },
            terms: LeaseTerms::default(),
            claims: None,
            fairness_key: "".into(),
            shape: Shape { size, ..Shape::default() },
            admission: Admission::default(),
        }),
        Bytes::new().into(),
        Duration::from_hours(240),
    )
}

impl World {
    fn new(seed: u64) -> Self {
        Self::with(seed, Throttles::default())
    }

    fn with(seed: u64, throttles: Throttles) -> Self {
        let is_limited = throttles != Throttles::default();
        let throttles = Arc::new(throttles);
        let mut queue = Queue::new(Config { valve: VALVE, throttles, ..Config::default() }, 1);
        queue.recovered(START, None);
        queue.play_to(Audience::Nobody);
        Self {
            queue,
            now: START,
            minter: Minter::new(0, START),
            crews: BTreeMap::new(),
            ends: BinaryHeap::new(),
            waiting: BTreeMap::new(),
            reserved: BTreeMap::new(),
            grants: 0,
            run_max: RUN_MAX,
            is_limited,
            dice: Dice(seed),
            seed,
        }
    }

    fn worker(&mut self, whole: Size) {
        let stream = StreamId(self.crews.len() as u64 + 1);
        let hello = Hello {
            stream,
            worker: format!("w{}", stream.0).into(),
            instance: "i".into(),
            start: None,
            replaces: Vec::new(),
            task_types: vec!["t".into()],
            namespaces: Vec::new(),
            reads: SchemasRead::default(),
            slots: whole.slots,
            resources: whole.resources.clone(),
            knows_sizes: true,
            prefetch: 0,
            held: Vec::new(),
            labels: Vec::new(),
            software: "".into(),
        };
        self.queue.apply(self.now, Command::Hello(Box::new(hello)));
        self.crews.insert(stream, Crew { whole, runs: BTreeMap::new(), drains: false });
    }

    fn submit(&mut self, spec: TaskSpec) -> TaskId {
        let id = self.minter.mint(self.now, 0);
        let submit = Submit { id, spec: spec.clone(), validate_only: false };
        self.queue.apply(self.now, Command::Submit(Box::new(submit)));
        drop(self.queue.take_output());
        self.waiting.insert(id, spec);
        id
    }

    /// Leases what can be leased, and judges it.
    fn grant(&mut self) {
        let seed = self.seed;
        self.queue.apply(self.now, Command::Grant { most: 10_000 });
        for effect in self.queue.take_output().effects {
            let Effect::Assign { stream, assignment } = effect else { continue };
            let (token, size) = (assignment.token, assignment.spec.shape.size.clone());
            self.queue.apply(self.now, Command::Delivered { stream, tokens: vec![token] });
            self.queue.apply(self.now, Command::Started { stream, token });
            let crew = self.crews.get_mut(&stream).unwrap();
            assert!(crew.has_room(&size), "seed {seed}: {stream:?} has no room for {size:?}");
            if let Some(task) = self.reserved.get(&stream) {
                let waits = self.waiting.get(task).filter(|_| *task != assignment.task);
                let is_fair = waits.is_none_or(|spec| {
                    let other = &spec.shape.size;
                    *other == size || crew.is_free_for_both(&size, other)
                });
                assert!(is_fair, "seed {seed}: {stream:?}, reserved for {task}, is given {size:?}");
                if waits.is_none_or(|spec| spec.shape.size == size) {
                    self.reserved.remove(&stream);
                }
            }
            crew.runs.insert(token, assignment.spec);
            let run = Duration::from_millis(1 + self.dice.roll(self.run_max));
            self.ends.push(Reverse((self.now + run, token, stream)));
            self.waiting.remove(&assignment.task);
            self.grants += 1;
        }
        self.look();
    }

    /// Nobody idles beside what fits, but who is reserved.
    fn look(&mut self) {
        self.reserved.clear();
        for id in self.waiting.keys() {
            let task = self.queue.task(*id).unwrap();
            for blocker in self.queue.explain(task).blockers {
                let Blocker::Capacity(capacity) = blocker else { continue };
                let stream = |name: &Name| StreamId(name.trim_start_matches('w').parse().unwrap());
                let reserved = capacity.reserved.iter();
                self.reserved.extend(reserved.map(|(name, task)| (stream(name), *task)));
            }
        }
        let tasks: BTreeSet<&TaskId> = self.reserved.values().collect();
        assert!(tasks.iter().all(|id| self.waiting.contains_key(id)), "for nobody who waits");
        for (id, spec) in &self.waiting {
            let size = &spec.shape.size;
            for (stream, crew) in &self.crews {
                let waits = self.reserved.get(stream).and_then(|task| self.waiting.get(task));
                let is_kept = waits.is_some_and(|it| !crew.is_free_for_both(size, &it.shape.size));
                let idles = !self.is_limited && !crew.drains && !is_kept && crew.has_room(size);
                assert!(!idles, "seed {}: {stream:?} idles beside {id}: {size:?}", self.seed);
            }
        }
    }

    /// The next lease ends. Says how much it took.
    fn end_one(&mut self) -> Option<TaskSpec> {
        let Reverse((end, token, stream)) = self.ends.pop()?;
        self.now = self.now.max(end);
        let outcome = Outcome::Succeeded { result: Bytes::new() };
        self.queue.apply(self.now, Command::Outcome { stream, token, outcome, ran: None });
        drop(self.queue.take_output());
        self.crews.get_mut(&stream).unwrap().runs.remove(&token)
    }

    fn any_size(&mut self) -> Size {
        let slots = [1, 1, 1, 2, 3, 5][usize::try_from(self.dice.roll(6)).unwrap()];
        let gpu = [0, 0, 0, 1, 2][usize::try_from(self.dice.roll(5)).unwrap()];
        let memory = [0, 0, 4, 9][usize::try_from(self.dice.roll(4)).unwrap()];
        Size { slots, resources: amounts(&[("gpu", gpu), ("memory", memory)]) }
    }

    /// Somebody drains, or is there again.
    fn turn_one(&mut self) {
        let stream = StreamId(self.dice.roll(self.crews.len() as u64) + 1);
        let crew = self.crews.get_mut(&stream).unwrap();
        if !crew.drains {
            crew.drains = true;
            self.reserved.remove(&stream);
            self.queue.apply(self.now, Command::Drain { stream });
        }
    }

    /// Somebody has more or less of everything than before.
    fn resize_one(&mut self) {
        let stream = StreamId(self.dice.roll(self.crews.len() as u64) + 1);
        let whole = self.any_whole();
        let (slots, resources) = (whole.slots, whole.resources.clone());
        let capacity = Command::Capacity { stream, slots, resources, prefetch: 0 };
        self.queue.apply(self.now, capacity);
        self.crews.get_mut(&stream).unwrap().whole = whole;
        self.reserved.remove(&stream);
    }

    fn any_whole(&mut self) -> Size {
        let slots = u32::try_from(1 + self.dice.roll(6)).unwrap();
        let (gpu, memory) = (self.dice.roll(3), self.dice.roll(3) * 6);
        Size { slots, resources: amounts(&[("gpu", gpu), ("memory", memory)]) }
    }
}

#[test]
fn nobody_is_given_more_than_he_has_and_nobody_idles_beside_what_fits() {
    for seed in 0..25 {
        let mut world = World::new(seed);
        for _ in 0..=world.dice.roll(4) {
            let whole = world.any_whole();
            world.worker(whole);
        }
        for _ in 0..400 {
            match world.dice.roll(40) {
                0 if world.crews.values().filter(|crew| !crew.drains).count() > 1 => {
                    world.turn_one();
                }
                1 => world.resize_one(),
                2..20 => drop(world.end_one()),
                _ => {
                    let queue = ["a", "b"][usize::try_from(world.dice.roll(2)).unwrap()];
                    let priority = 5 + u8::try_from(world.dice.roll(2)).unwrap();
                    let size = world.any_size();
                    world.submit(spec(queue, priority, size));
                }
            }
            world.grant();
        }
        // What is left is what no worker is large enough for.
        while world.end_one().is_some() {
            world.grant();
        }
        for spec in world.waiting.values() {
            let mut takers = world.crews.values().filter(|crew| !crew.drains);
            assert!(
                !takers.any(|crew| crew.could_ever(&spec.shape.size)),
                "seed {seed}: left over"
            );
        }
    }
}

/// The bound: before a task that asks for much starts, each of those like it that are before it, and it, is passed over for
/// so many grants as are configured and for those that the other workers make while the reserved one gets empty.
#[test]
fn what_asks_for_much_is_passed_over_for_a_bounded_number_of_grants() {
    for seed in 0..8 {
        let mut world = World::new(seed);
        let (workers, slots) = (1 + world.dice.roll(3), 2 + world.dice.roll(4));
        let whole =
            Size { slots: u32::try_from(slots).unwrap(), resources: amounts(&[("gpu", 2)]) };
        for _ in 0..workers {
            world.worker(whole.clone());
        }
        let others = 3 * slots * workers;
        let each = VALVE + workers * slots * (RUN_MAX + 1);
        let mut bounds = BTreeMap::new();
        for _ in 0..1_000 {
            while (world.waiting.len() as u64) < others {
                let is_large = |spec: &&TaskSpec| 1 < spec.shape.size.slots;
                let before = world.waiting.values().filter(is_large).count() as u64;
                let is_large = world.dice.roll(20) == 0;
                let size = if is_large { whole.clone() } else { Size::default() };
                let id = world.submit(spec("a", 5, size));
                if is_large {
                    bounds.insert(id, world.grants + (before + 1) * each + others);
                }
            }
            world.grant();
            bounds.retain(|id, _| world.waiting.contains_key(id));
            let late = bounds.iter().find(|(_, bound)| **bound < world.grants);
            assert!(late.is_none(), "seed {seed}: {late:?} waits after {} grants", world.grants);
            world.end_one();
        }
        assert!(500 < world.grants, "seed {seed}: they work");
    }
}

/// What cannot be told apart any more waits for a worker that holds nothing, and goes on.
#[test]
fn more_sizes_than_are_told_apart_are_all_served() {
    let mut world = World::new(0);
    world.worker(Size { slots: 100, resources: Vec::new() });
    for slots in 1..=100 {
        world.submit(spec("a", 5, Size { slots, resources: Vec::new() }));
    }
    world.queue.apply(world.now, Command::Grant { most: 1_000 });
    for _ in 0..1_000 {
        for effect in world.queue.take_output().effects {
            let Effect::Assign { stream, assignment } = effect else { continue };
            let crew = world.crews.get_mut(&stream).unwrap();
            assert!(crew.has_room(&assignment.spec.shape.size), "it has room");
            crew.runs.insert(assignment.token, assignment.spec);
            world.ends.push(Reverse((world.now, assignment.token, stream)));
            world.waiting.remove(&assignment.task);
        }
        world.end_one();
        world.queue.apply(world.now, Command::Grant { most: 1_000 });
    }
    assert!(world.waiting.is_empty(), "{} are left", world.waiting.len());
}

/// Who takes twice the slots has as much as another with half as many leases.
#[test]
fn what_somebody_has_is_counted_in_slots() {
    let mut world = World::new(1);
    world.run_max = 1;
    world.worker(Size { slots: 12, resources: Vec::new() });
    let mut had = BTreeMap::<Name, u64>::new();
    for _ in 0..200 {
        for (queue, slots) in [("a", 2), ("b", 1)] {
            let waits = |spec: &TaskSpec| *spec.queue == *queue;
            while world.waiting.values().filter(|it| waits(it)).count() < 20 {
                world.submit(spec(queue, 5, Size { slots, resources: Vec::new() }));
            }
        }
        world.grant();
        while let Some(spec) = world.end_one() {
            *had.entry(Name::clone(&spec.queue)).or_default() += u64::from(spec.shape.size.slots);
        }
    }
    let (a, b) = (had["a"], had["b"]);
    assert!(a.abs_diff(b) * 50 < a + b, "{a} slots and {b} are no halves");
}

fn slots(slots: u32) -> Size {
    Size { slots, resources: Vec::new() }
}

/// Keeps so many tasks of one slot waiting, for so many ends, and says when a task was leased: after how many grants.
fn wait_for(world: &mut World, large: TaskId, small: &TaskSpec, ends: usize) -> u64 {
    let before = world.grants;
    for _ in 0..ends {
        while world.waiting.values().filter(|it| it.shape.size == small.shape.size).count() < 20 {
            world.submit(small.clone());
        }
        world.grant();
        if !world.waiting.contains_key(&large) {
            return world.grants - before;
        }
        world.end_one();
    }
    panic!("after {} grants it still waits", world.grants - before);
}

/// What comes free of a limit is taken by whoever fits: the room that was kept is not given up for that.
#[test]
fn a_limit_that_is_used_up_does_not_starve_what_asks_for_much() {
    for workers in 1..=3_u64 {
        let own = QueueLimits { leases: Some(4), ..QueueLimits::default() };
        let queues = [("a".into(), own)].into();
        let mut world = World::with(workers, Throttles { queues, ..Throttles::default() });
        for _ in 0..workers {
            world.worker(slots(4));
        }
        let small = spec("a", 5, slots(1));
        for _ in 0..8 {
            world.submit(small.clone());
        }
        world.grant();
        let large = world.submit(spec("a", 5, slots(4)));
        wait_for(&mut world, large, &small, 400);
    }
}

/// Work that takes nothing of what is wanting goes on where it waits.
#[test]
fn what_wants_a_resource_keeps_its_own_slot_free_and_no_other() {
    let mut world = World::new(3);
    world.worker(Size { slots: 16, resources: amounts(&[("gpu", 1)]) });
    let on_gpu = spec("a", 5, Size { slots: 1, resources: amounts(&[("gpu", 1)]) });
    world.run_max = 1;
    world.submit(on_gpu.clone());
    world.grant();
    // It runs for long.
    let Reverse((_, token, stream)) = world.ends.pop().unwrap();
    for _ in 0..5 {
        world.submit(on_gpu.clone());
    }
    for _ in 0..500 {
        while world.waiting.len() < 40 {
            world.submit(spec("a", 5, slots(1)));
        }
        world.grant();
        let crew = &world.crews[&stream];
        assert!(
            crew.left(None) <= 1,
            "but for its slot nothing is kept for who waits behind {token}"
        );
        world.end_one();
    }
}

/// Workers of several classes are not kept free for one task.
#[test]
fn for_one_task_one_worker_is_reserved() {
    let mut world = World::new(4);
    for memory in 1..=4 {
        world.worker(Size { slots: 4, resources: amounts(&[("memory", memory)]) });
    }
    let large = spec("a", 5, Size { slots: 4, resources: amounts(&[("memory", 1)]) });
    for _ in 0..40 {
        world.submit(spec("a", 5, slots(1)));
    }
    world.grant();
    let (large, mut most) = (world.submit(large), 0);
    for _ in 0..300 {
        while world.waiting.len() < 40 {
            world.submit(spec("a", 5, slots(1)));
        }
        world.grant();
        if !world.waiting.contains_key(&large) {
            break;
        }
        most = most.max(world.reserved.len());
        world.end_one();
    }
    assert!(!world.waiting.contains_key(&large), "it goes");
    assert_eq!(most, 1, "so many workers were reserved for it at once");
}

/// Turns by age reserve for the oldest; whose turn it is otherwise counts beside them.
#[test]
fn older_work_that_asks_for_much_does_not_starve_more_urgent_such_work() {
    let mut world = World::new(5);
    for _ in 0..2 {
        world.worker(slots(4));
    }
    for _ in 0..200 {
        world.submit(spec("old", 6, slots(4)));
    }
    let small = spec("a", 5, slots(1));
    for _ in 0..20 {
        world.submit(small.clone());
        world.grant();
    }
    let large = world.submit(spec("urgent", 0, slots(4)));
    let after = wait_for(&mut world, large, &small, 2_000);
    assert!(after < 20 * VALVE, "it waits for {after} grants");
}
