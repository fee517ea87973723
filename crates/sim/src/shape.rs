//! Named shapes of trouble: schedules that chance alone draws too seldom.

use std::time::Duration;

use crate::{
    fault::{Fault, Trouble, Way},
    moment::{MS, Micros, SECOND},
    plan::{Setting, Wanted, Wish, micros},
};

/// Every shape.
const SHAPES: &[Shape] = &[
    thundering_return,
    crash_in_recovery,
    flapping_worker,
    half_open,
    slow_disk_storm,
    crash_between_append_and_sync,
    frozen_worker,
    frozen_coordinator,
    rolling_leave,
    shrinking_ttl,
    late_stream,
    overtaken_hello,
    dead_hello,
    void_promise,
    late_answers,
    swizzle_clog,
    clock_step_in_drain,
    unheard_start,
    deaf_while_revoked,
    shortened_for_others,
    lengthened_and_forgotten,
];

/// What a shape does to a setting with such a TTL.
type Shape = fn(&mut fastrand::Rng, &Setting, Micros) -> Vec<Timed>;

/// Something, and how long after the beginning of the shape it happens.
type Timed = (Micros, Step);

/// Something that happens in a shape.
#[derive(Clone, Copy, Debug)]
enum Step {
    /// Something goes wrong.
    Trouble(Trouble),
    /// Long work for everybody is submitted.
    Work,
    /// The lease of the n-th of the accepted tasks is taken away.
    Revoke(usize),
    /// Sessions live for so long that begin from then on.
    Configure(Duration),
}

/// What a shape makes of a plan.
#[derive(Debug, Default)]
pub struct Drawn {
    /// What goes wrong, in the order of time.
    pub faults: Vec<Fault>,
    /// When long work is submitted.
    pub work: Vec<Micros>,
    /// What else clients and operators want.
    pub wishes: Vec<(Micros, Wish)>,
}

/// How long before a shape the work begins that it meets: it has reached everybody by then.
const EARLY: Micros = 500 * MS;

/// As many open tasks as no shape has.
const OPEN_TASKS: u64 = 10_000;

/// The faults of a shape, when long work is submitted for it, and what else is wished; or nothing: most seeds draw at
/// random.
pub fn draw(rng: &mut fastrand::Rng, setting: &Setting) -> Option<Drawn> {
    if rng.u8(..4) != 0 {
        return None;
    }
    let shape = SHAPES[rng.usize(..SHAPES.len())];
    let mut drawn = Drawn::default();
    for _ in 0..rng.u32(1..=3) {
        let begin = rng.u64(EARLY..setting.safety);
        if rng.bool() {
            drawn.work.push(begin - EARLY);
        }
        for (after, step) in shape(rng, setting, micros(setting.session_ttl)) {
            let at = (begin + after).min(setting.safety);
            match step {
                Step::Trouble(trouble) => drawn.faults.push(Fault { at, trouble }),
                Step::Work => drawn.work.push(at),
                Step::Revoke(n) => drawn.wishes.push((at, Wish::Revoke(n))),
                Step::Configure(session_ttl) => {
                    let wanted = Wanted { session_ttl, open_tasks: OPEN_TASKS };
                    drawn.wishes.push((at, Wish::Configure(wanted)));
                }
            }
        }
    }
    drawn.faults.sort_by_key(|fault| fault.at);
    Some(drawn)
}

/// The coordinator dies while all workers are busy; all of them are back in the same moment.
fn thundering_return(rng: &mut fastrand::Rng, _: &Setting, ttl: Micros) -> Vec<Timed> {
    vec![(0, Step::Trouble(Trouble::Crash(rng.u64(MS..=ttl * 9 / 10))))]
}

/// It dies again as soon as it is back, three times.
fn crash_in_recovery(rng: &mut fastrand::Rng, _: &Setting, ttl: Micros) -> Vec<Timed> {
    let mut at = 0;
    (0..4)
        .map(|_| {
            at += rng.u64(MS..=ttl / 4);
            (at, Step::Trouble(Trouble::Crash(rng.u64(MS..=20 * MS))))
        })
        .collect()
}

/// A worker comes and goes.
fn flapping_worker(rng: &mut fastrand::Rng, setting: &Setting, ttl: Micros) -> Vec<Timed> {
    let worker = rng.usize(..setting.workers.len());
    (0..8)
        .map(|n| {
            let trouble = if rng.bool() {
                Trouble::WorkerCrash(worker, rng.u64(MS..=ttl / 4))
            } else {
                let learns = Some(rng.u64(..=ttl / 8));
                Trouble::Cut {
                    worker,
                    worker_learns: learns,
                    coordinator_learns: learns,
                    is_lost: rng.bool(),
                }
            };
            (n * ttl / 3, Step::Trouble(trouble))
        })
        .collect()
}

/// A connection is dead and neither side is told; then it is healthy again on a new one.
fn half_open(rng: &mut fastrand::Rng, setting: &Setting, ttl: Micros) -> Vec<Timed> {
    let worker = rng.usize(..setting.workers.len());
    let cut = Trouble::Cut { worker, worker_learns: None, coordinator_learns: None, is_lost: true };
    vec![
        (0, Step::Trouble(cut)),
        (MS, Step::Trouble(Trouble::Partition(worker, ttl + rng.u64(..=ttl)))),
    ]
}

/// The disk takes seconds for each sync while everybody has something to say.
fn slow_disk_storm(rng: &mut fastrand::Rng, _: &Setting, ttl: Micros) -> Vec<Timed> {
    let crash = Trouble::Crash(rng.u64(MS..=SECOND));
    vec![
        (0, Step::Trouble(Trouble::SlowDisk(rng.u64(200 * MS..=5 * SECOND), 2 * ttl))),
        (rng.u64(..=2 * ttl), Step::Trouble(crash)),
    ]
}

/// A batch is on its way to the disk when the process dies.
fn crash_between_append_and_sync(rng: &mut fastrand::Rng, _: &Setting, ttl: Micros) -> Vec<Timed> {
    let slow = rng.u64(100 * MS..=SECOND);
    vec![
        (0, Step::Trouble(Trouble::SlowDisk(slow, ttl))),
        (rng.u64(..=ttl), Step::Trouble(Trouble::Crash(rng.u64(MS..=ttl / 2)))),
        (ttl * 2, Step::Trouble(Trouble::FailedAppend)),
    ]
}

/// A worker stands still beyond its leases and goes on.
fn frozen_worker(rng: &mut fastrand::Rng, setting: &Setting, ttl: Micros) -> Vec<Timed> {
    let worker = rng.usize(..setting.workers.len());
    vec![(0, Step::Trouble(Trouble::WorkerPause(worker, ttl + rng.u64(..=2 * ttl))))]
}

/// The coordinator stands still beyond everybody's leases and goes on.
fn frozen_coordinator(rng: &mut fastrand::Rng, _: &Setting, ttl: Micros) -> Vec<Timed> {
    vec![(0, Step::Trouble(Trouble::Pause(ttl / 2 + rng.u64(..=2 * ttl))))]
}

/// A deploy: every worker is asked to leave, one after the other.
fn rolling_leave(rng: &mut fastrand::Rng, setting: &Setting, ttl: Micros) -> Vec<Timed> {
    let gap = rng.u64(MS..=ttl / 2);
    (0..setting.workers.len())
        .zip(0..)
        .map(|(w, n)| (n * gap, Step::Trouble(Trouble::WorkerLeaves(w))))
        .collect()
}

/// The coordinator comes back with a shorter TTL while a worker that was promised the longer one is cut off.
fn shrinking_ttl(rng: &mut fastrand::Rng, setting: &Setting, ttl: Micros) -> Vec<Timed> {
    let worker = rng.usize(..setting.workers.len());
    let shorter = setting.session_ttl / 4;
    vec![
        (0, Step::Trouble(Trouble::Partition(worker, ttl * 3))),
        (rng.u64(..=ttl / 8), Step::Trouble(Trouble::Retune(rng.u64(MS..=50 * MS), shorter))),
    ]
}

/// What a worker said on a connection arrives long after it has opened another.
fn late_stream(rng: &mut fastrand::Rng, setting: &Setting, ttl: Micros) -> Vec<Timed> {
    let worker = rng.usize(..setting.workers.len());
    let cut =
        Trouble::Cut { worker, worker_learns: Some(0), coordinator_learns: None, is_lost: false };
    vec![
        (0, Step::Trouble(Trouble::Stall(worker, Way::In, rng.u64(ttl / 4..=ttl)))),
        (0, Step::Trouble(Trouble::Stall(worker, Way::Out, rng.u64(ttl / 4..=ttl)))),
        (rng.u64(..=ttl / 4), Step::Trouble(cut)),
    ]
}

/// A hello is held up on its way, and the worker has opened yet another connection by the time it arrives.
fn overtaken_hello(rng: &mut fastrand::Rng, setting: &Setting, ttl: Micros) -> Vec<Timed> {
    let worker = rng.usize(..setting.workers.len());
    let cut =
        Trouble::Cut { worker, worker_learns: Some(0), coordinator_learns: None, is_lost: false };
    vec![
        (0, Step::Trouble(Trouble::StallNext(worker, rng.u64(ttl / 4..=ttl)))),
        (MS, Step::Trouble(cut)),
        (ttl / 4 + rng.u64(..=ttl / 4), Step::Trouble(cut)),
    ]
}

/// A worker dies while its hello to a new coordinator is held up. The next process is long there when that arrives, and
/// nothing follows it, so that its connection looks alive.
fn dead_hello(rng: &mut fastrand::Rng, setting: &Setting, ttl: Micros) -> Vec<Timed> {
    let worker = rng.usize(..setting.workers.len());
    let cut =
        Trouble::Cut { worker, worker_learns: None, coordinator_learns: None, is_lost: false };
    let greeted = ttl / 4 + rng.u64(50 * MS..=ttl / 4);
    vec![
        (0, Step::Trouble(Trouble::StallNext(worker, rng.u64(ttl * 3 / 4..=ttl * 2)))),
        (MS, Step::Trouble(Trouble::Crash(rng.u64(MS..=20 * MS)))),
        (greeted, Step::Trouble(cut)),
        (greeted + MS, Step::Trouble(Trouble::WorkerCrash(worker, rng.u64(MS..=20 * MS)))),
        (greeted + ttl / 8, Step::Work),
    ]
}

/// The coordinator comes back with a shorter TTL, and a worker that has accepted it is given work and then cut off for
/// longer than that, and for less than the TTL before.
fn void_promise(rng: &mut fastrand::Rng, setting: &Setting, ttl: Micros) -> Vec<Timed> {
    let worker = rng.usize(..setting.workers.len());
    let down = rng.u64(MS..=50 * MS);
    let back = down + SECOND / 2;
    vec![
        (0, Step::Trouble(Trouble::Retune(down, setting.session_ttl / 8))),
        (back, Step::Work),
        (
            back + rng.u64(100 * MS..=ttl / 4 + 100 * MS),
            Step::Trouble(Trouble::Partition(worker, ttl)),
        ),
    ]
}

/// What a worker is told arrives late, and then it is cut off: how long it believes must not depend on when it heard.
fn late_answers(rng: &mut fastrand::Rng, setting: &Setting, ttl: Micros) -> Vec<Timed> {
    let worker = rng.usize(..setting.workers.len());
    let mut troubles = Vec::new();
    for round in 0..4 {
        let begin = round * 5 * ttl;
        let late = rng.u64(ttl / 5..=ttl * 2 / 5);
        troubles.extend([
            (begin, Step::Trouble(Trouble::Stall(worker, Way::Out, late))),
            (begin + late + MS, Step::Trouble(Trouble::Partition(worker, 2 * ttl))),
            (begin + 4 * ttl, Step::Work),
        ]);
    }
    troubles
}

/// Some connections are clogged one after the other, and unclogged in another order.
fn swizzle_clog(rng: &mut fastrand::Rng, setting: &Setting, ttl: Micros) -> Vec<Timed> {
    let mut troubles = Vec::new();
    for worker in 0..setting.workers.len() {
        if rng.u8(..3) == 0 {
            continue;
        }
        let begin = rng.u64(..=ttl / 2);
        for way in [Way::In, Way::Out] {
            let clog = Trouble::Stall(worker, way, ttl / 2 + rng.u64(..=ttl));
            troubles.push((begin, Step::Trouble(clog)));
        }
    }
    troubles
}

/// The coordinator's wall clock steps by up to an hour while workers leave.
fn clock_step_in_drain(rng: &mut fastrand::Rng, setting: &Setting, ttl: Micros) -> Vec<Timed> {
    let step = Trouble::WallStep(rng.i64(-3_600_000..=3_600_000));
    let mut troubles = rolling_leave(rng, setting, ttl);
    troubles.push((rng.u64(..=ttl), Step::Trouble(step)));
    troubles
}

/// Nothing that a worker says arrives from the moment it is given work, until long after its session is over.
fn unheard_start(rng: &mut fastrand::Rng, setting: &Setting, ttl: Micros) -> Vec<Timed> {
    let worker = rng.usize(..setting.workers.len());
    vec![
        (0, Step::Trouble(Trouble::Stall(worker, Way::In, ttl * 2))),
        (MS, Step::Work),
        (ttl * 2, Step::Trouble(Trouble::Stall(worker, Way::In, rng.u64(..=ttl)))),
    ]
}

/// An operator takes leases away while a worker hears nothing, and stops believing in its own only later. The others are
/// started anew, and have room for whatever is taken away.
fn deaf_while_revoked(rng: &mut fastrand::Rng, setting: &Setting, ttl: Micros) -> Vec<Timed> {
    let worker = rng.usize(..setting.workers.len());
    let mut steps =
        vec![(0, Step::Work), (EARLY, Step::Trouble(Trouble::Stall(worker, Way::Out, ttl)))];
    for _ in 0..30 {
        let after = EARLY + rng.u64(MS..=ttl / 8);
        steps.push((after, Step::Revoke(rng.usize(..1_000))));
    }
    for other in (0..setting.workers.len()).filter(|other| *other != worker) {
        let crash = Trouble::WorkerCrash(other, rng.u64(MS..=50 * MS));
        steps.push((EARLY + rng.u64(ttl / 8..=ttl / 2), Step::Trouble(crash)));
    }
    steps
}

/// The TTL becomes shorter while a worker goes on under the longer one that it was promised, and then it is cut off for longer than
/// the new one and for less than its own.
fn shortened_for_others(rng: &mut fastrand::Rng, setting: &Setting, ttl: Micros) -> Vec<Timed> {
    let worker = rng.usize(..setting.workers.len());
    let heard = ttl / 2 + rng.u64(..=ttl / 2);
    vec![
        (0, Step::Configure(setting.session_ttl / 8)),
        (ttl / 4, Step::Work),
        (heard + ttl / 4, Step::Trouble(Trouble::Partition(worker, ttl * 2))),
    ]
}

/// The TTL becomes longer, a worker that was promised it is given work and cut off, and the coordinator comes back with the
/// shorter one.
fn lengthened_and_forgotten(rng: &mut fastrand::Rng, setting: &Setting, ttl: Micros) -> Vec<Timed> {
    let worker = rng.usize(..setting.workers.len());
    let cut = Trouble::Cut {
        worker,
        worker_learns: Some(0),
        coordinator_learns: Some(0),
        is_lost: false,
    };
    let (back, down) = (SECOND + rng.u64(..=ttl / 4), rng.u64(MS..=50 * MS));
    let crash = Trouble::Retune(down, setting.session_ttl / 2);
    vec![
        (0, Step::Configure(setting.session_ttl * 4)),
        (SECOND / 2, Step::Trouble(cut)),
        (back, Step::Work),
        (back + SECOND, Step::Trouble(Trouble::Partition(worker, ttl * 6))),
        (back + SECOND + rng.u64(..=ttl / 4), Step::Trouble(crash)),
    ]
}
