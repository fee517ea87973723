//! Every threshold as a table, what always holds as a property, and a load that comes and goes.

use proptest::prelude::*;

use super::*;

const SETTINGS: Settings = Settings {
    min: 1,
    max: 16,
    queue_wait: Duration::from_millis(800),
    start_latency: Duration::from_millis(400),
    start_backlog: 5_000,
    start_patience: Duration::from_mins(2),
    cpu_high: 750,
    cpu_low: 300,
    processor: Processor::Own,
    spare: 2,
    settle: Duration::from_secs(10),
    cooldown: Duration::from_mins(1),
};

/// Four workers with four slots each, half of them busy.
const USUAL: Signals = Signals {
    workers: 4,
    idle: 0,
    slots_each: 4,
    leased: 8,
    backlog: 0,
    held: Held { paused: 0, rate_limit: 0, concurrency: 0, breaker: 0, quota: 0 },
    queue_wait: None,
    start_latency: None,
    cpu: Some(500),
};

fn at(seconds: u64) -> Time {
    Time::from_unix_ms(1_000_000 + seconds * 1_000)
}

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// What is decided when the same is measured for so many seconds.
fn after(settings: &Settings, signals: Signals, seconds: u64) -> Verdict {
    let mut state = State::default();
    let mut verdict = None;
    for second in 0..=seconds {
        let (next, made) = decide(settings, state, &signals, at(second));
        (state, verdict) = (next, Some(made));
    }
    verdict.expect("at least one second")
}

fn check(signals: Signals, seconds: u64, expected: (u32, Why, Option<Bound>)) {
    let verdict = after(&SETTINGS, signals, seconds);
    let found = (verdict.desired, verdict.why, verdict.bound);
    assert_eq!(found, expected, "{signals:?} for {seconds} s");
}

#[test]
fn every_threshold_decides_on_its_far_side_alone() {
    let waits = |backlog, wait| Signals { backlog, queue_wait: Some(ms(wait)), ..USUAL };
    let calm = (4, Why::Calm, None);
    let capacity = Some(Bound::Capacity);
    check(USUAL, 0, calm);
    check(waits(1, 800), 0, calm);
    check(waits(1, 801), 0, (5, Why::QueueWait, capacity));
    check(waits(0, 10_000), 0, calm);
    // 20 tasks keep 6.25 workers busy at eight slots of ten, and a step doubles at most.
    check(waits(12, 801), 0, (7, Why::QueueWait, capacity));
    check(waits(10_000, 801), 0, (8, Why::QueueWait, capacity));

    let slow = |backlog, p95| Signals { backlog, start_latency: Some(ms(p95)), ..USUAL };
    check(slow(5_001, 401), 119, calm);
    check(slow(5_001, 401), 120, (8, Why::StartLatency, capacity));
    check(slow(5_000, 401), 600, calm);
    check(slow(5_001, 400), 600, calm);

    let busy = |cpu| Signals { cpu: Some(cpu), ..USUAL };
    check(busy(750), 0, calm);
    check(busy(751), 0, (5, Why::Cpu, capacity));
    check(Signals { leased: 0, ..busy(1_000) }, 0, calm);

    let idle = |idle, cpu| Signals { idle, cpu, ..USUAL };
    check(idle(3, Some(299)), 59, (4, Why::Cooling, None));
    check(idle(3, Some(299)), 60, (3, Why::Idle, None));
    check(idle(3, None), 60, (3, Why::Idle, None));
    check(idle(3, Some(300)), 600, calm);
    check(idle(2, Some(0)), 600, calm);
}

#[test]
fn the_first_worker_comes_at_once_and_the_last_one_stays() {
    let none = Signals { workers: 0, slots_each: 0, leased: 0, cpu: None, ..USUAL };
    let from_zero = Settings { min: 0, ..SETTINGS };
    assert_eq!(after(&from_zero, none, 600).desired, 0);
    let verdict = after(&from_zero, Signals { backlog: 1, ..none }, 0);
    assert_eq!((verdict.desired, verdict.why), (1, Why::Nobody));
    assert_eq!(after(&SETTINGS, none, 0).desired, 1);
    // Also if the last one has just been sent away.
    let gone = State { desired: Some(0), changed: Some(at(10)), ..State::default() };
    let (_, verdict) = decide(&from_zero, gone, &Signals { backlog: 1, ..none }, at(11));
    assert_eq!((verdict.desired, verdict.why), (1, Why::Nobody));

    let rests = Signals { workers: 1, idle: 1, leased: 0, cpu: Some(0), ..USUAL };
    let lonely = Settings { spare: 0, ..SETTINGS };
    assert_eq!(after(&lonely, rests, 600).desired, 1);
    assert_eq!(after(&Settings { min: 0, ..lonely }, rests, 60).desired, 0);
}

#[test]
fn a_bound_is_named() {
    let held = |held| Signals { held, leased: 0, queue_wait: Some(ms(60_000)), ..USUAL };
    for (bound, waits) in [
        (Bound::Paused, Held { paused: 2, rate_limit: 1, ..Held::default() }),
        (Bound::RateLimit, Held { rate_limit: 1, ..Held::default() }),
        (Bound::Concurrency, Held { concurrency: 2, quota: 1, ..Held::default() }),
        (Bound::Breaker, Held { breaker: 3, ..Held::default() }),
        (Bound::Quota, Held { quota: 1, ..Held::default() }),
        (Bound::Paused, Held { paused: 1, quota: 1, ..Held::default() }),
    ] {
        check(held(waits), 600, (4, Why::Limited, Some(bound)));
        // One task that a worker could take is enough.
        let some = Signals { backlog: 1, ..held(waits) };
        check(some, 0, (5, Why::QueueWait, Some(Bound::Capacity)));
        let full = Signals { workers: 16, ..some };
        check(full, 0, (16, Why::QueueWait, Some(Bound::MaxWorkers)));
    }
    let busy = Signals { cpu: Some(900), leased: 4, ..held(Held { paused: 1, ..Held::default() }) };
    check(busy, 0, (4, Why::Limited, Some(Bound::Paused)));
}

#[test]
fn a_shared_processor_decides_nothing() {
    let shared = Settings { processor: Processor::Shared, ..SETTINGS };
    let busy = Signals { cpu: Some(1_000), ..USUAL };
    assert_eq!(after(&shared, busy, 600).desired, 4);
    assert_eq!(after(&shared, Signals { idle: 3, ..busy }, 60).desired, 3);
}

#[test]
fn a_change_is_given_time_to_show_what_it_does() {
    let waits = Signals { backlog: 1_000, queue_wait: Some(ms(2_000)), ..USUAL };
    let mut state = State::default();
    let mut seen = Vec::new();
    for second in 0..=30 {
        // Whoever follows takes three seconds to start a worker.
        let workers = seen.iter().rev().nth(3).copied().unwrap_or(4);
        let (next, verdict) = decide(&SETTINGS, state, &Signals { workers, ..waits }, at(second));
        state = next;
        seen.push(verdict.desired);
    }
    // It is followed after four seconds, and six later it has had its time.
    let (before, after) = seen.split_at(10);
    assert!(before.iter().all(|it| *it == 8) && after.iter().all(|it| *it == 16), "{seen:?}");
}

#[test]
fn a_range_that_is_moved_holds_at_once() {
    let (state, _) = decide(&SETTINGS, State::default(), &USUAL, at(0));
    let narrow = Settings { max: 2, ..SETTINGS };
    let (_, verdict) = decide(&narrow, state, &USUAL, at(1));
    assert_eq!((verdict.desired, verdict.why), (2, Why::Range));
}

/// A load that is on for so many seconds and off for as many, followed at once; the numbers of workers after each change.
fn square_wave(half: u64, seconds: u64) -> Vec<u32> {
    let (mut state, mut workers) = (State::default(), 1);
    let mut changes = Vec::new();
    for second in 0..seconds {
        let is_on = (second / half).is_multiple_of(2);
        let signals = if is_on {
            let slots = u64::from(workers) * 4;
            let (leased, backlog) = (slots.min(40), 40_u64.saturating_sub(slots));
            let queue_wait = Some(Duration::from_millis(backlog * 200));
            Signals { workers, idle: 0, leased, backlog, queue_wait, cpu: Some(500), ..USUAL }
        } else {
            Signals { workers, idle: workers, leased: 0, cpu: Some(0), ..USUAL }
        };
        let (next, verdict) = decide(&SETTINGS, state, &signals, at(second));
        state = next;
        if verdict.desired != workers {
            changes.push(verdict.desired);
            workers = verdict.desired;
        }
    }
    changes
}

#[test]
fn a_load_that_comes_and_goes_does_not_make_the_pool_flap() {
    // Shorter than the cool-down: it grows to what the load needs and stays.
    assert_eq!(square_wave(5, 3_600), [2, 4, 8, 13]);
    assert_eq!(square_wave(55, 3_600), [2, 4, 8, 13]);
    // Longer: each minute of idleness costs one worker, and what turns out to be missing comes back in one step.
    let waves = square_wave(190, 2_000);
    assert_eq!(waves, [2, 4, 8, 13, 12, 11, 10, 9, 8, 7, 13, 12, 11, 10, 9, 8, 7, 13, 12, 11, 10]);
}

fn settings() -> impl Strategy<Value = Settings> {
    let shape = (0_u32..6, 0_u32..20, 0_u32..4, any::<bool>());
    (shape, 1_u64..30, 1_u64..90).prop_map(|((min, more, spare, own), settle, cooldown)| Settings {
        min,
        max: min + more,
        spare,
        processor: if own { Processor::Own } else { Processor::Shared },
        settle: Duration::from_secs(settle),
        cooldown: Duration::from_secs(cooldown),
        ..SETTINGS
    })
}

fn signals() -> impl Strategy<Value = Signals> {
    let workers = (0_u32..40, 0_u32..40, 0_u64..20, 0_u64..100);
    let waits = (prop_oneof![Just(0), 0_u64..20_000], prop_oneof![Just(0), 0_u64..100]);
    let times = (prop::option::of(0_u64..3_000), prop::option::of(0_u64..3_000));
    (workers, waits, times, prop::option::of(0_u16..=1_000)).prop_map(
        |((workers, idle, slots_each, leased), (backlog, paused), (wait, start), cpu)| Signals {
            workers,
            idle: idle.min(workers),
            slots_each,
            leased,
            backlog,
            held: Held { paused, ..Held::default() },
            queue_wait: wait.map(Duration::from_millis),
            start_latency: start.map(Duration::from_millis),
            cpu,
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_is_measured_some_things_hold(
        settings in settings(),
        story in prop::collection::vec((0_u64..40, signals(), 0_u64..30_000), 1..60),
    ) {
        let (mut state, mut second) = (State::default(), 0);
        let mut last_fall: Option<u64> = None;
        for (later, signals, more) in story {
            second += later;
            let before = state.desired();
            let (next, verdict) = decide(&settings, state, &signals, at(second));
            prop_assert!((settings.min..=settings.max).contains(&verdict.desired));
            prop_assert_eq!(next.desired(), Some(verdict.desired));

            let larger = Signals { backlog: signals.backlog + more, ..signals };
            let (_, with_more) = decide(&settings, state, &larger, at(second));
            prop_assert!(verdict.desired <= with_more.desired, "more waits, fewer are wanted");

            if let Some(before) = before {
                if signals.backlog == 0 && 0 < signals.held.total() {
                    prop_assert!(verdict.desired <= before, "up for what no worker can take");
                    prop_assert!(verdict.bound.is_some());
                }
                if verdict.desired < before {
                    prop_assert_eq!(verdict.desired, before - 1);
                    let cooldown = settings.cooldown.as_secs();
                    prop_assert!(last_fall.is_none_or(|at| cooldown <= second - at));
                    last_fall = Some(second);
                }
            }
            state = next;
        }
    }
}
