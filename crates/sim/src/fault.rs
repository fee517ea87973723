//! What can go wrong: one kind of fault per arm, drawn in swarms.
//!
//! A seed draws which kinds it has at all before it draws any fault, so that some runs see nothing but one kind.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{
    moment::{MS, Micros, SECOND},
    plan::{Setting, micros, pick},
};

/// Something that goes wrong at a time.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Fault {
    /// When.
    pub at: Micros,
    /// What.
    pub trouble: Trouble,
}

/// Something that goes wrong.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
pub enum Trouble {
    /// The coordinator dies and is started again that much later.
    Crash(Micros),
    /// It dies and comes back with another session TTL.
    Retune(Micros, Duration),
    /// It is asked to end in order, and is started again that much later.
    Terminate(Micros),
    /// Its process stands still.
    Pause(Micros),
    /// Its machine sleeps: the process stands still, and so does its monotonic clock.
    Sleep(Micros),
    /// Its process gets so little of its machine that it stands still half of the time, for so long at once, until then.
    Crawl(Micros, Micros),
    /// Its wall clock steps by so many milliseconds.
    WallStep(i64),
    /// Every append takes that long, for that long.
    SlowDisk(Micros, Micros),
    /// The disk is full for that long.
    FullDisk(Micros),
    /// The next append fails; it may have happened all the same.
    FailedAppend,
    /// A worker dies and is started again that much later.
    WorkerCrash(usize, Micros),
    /// A worker's process stands still.
    WorkerPause(usize, Micros),
    /// A worker's process stands still half of the time, for so long at once, until then.
    WorkerCrawl(usize, Micros, Micros),
    /// A worker is asked to leave, and is started again after that.
    WorkerLeaves(usize),
    /// A worker's connection breaks; each side learns that much later, or never. What is on its way may be lost.
    Cut {
        /// The worker.
        worker: usize,
        /// When the worker learns.
        worker_learns: Option<Micros>,
        /// When the coordinator learns.
        coordinator_learns: Option<Micros>,
        /// Whether what is on its way is lost.
        is_lost: bool,
    },
    /// Nothing arrives for that long on a worker's connections, in one direction; it is not lost.
    Stall(usize, Way, Micros),
    /// What the worker says on its next connection arrives that much later.
    StallNext(usize, Micros),
    /// Nothing gets through in either direction for that long, and no connection comes up.
    Partition(usize, Micros),
    /// The same for all workers.
    Blackout(Micros),
}

/// A direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub enum Way {
    /// From a worker to the coordinator.
    In,
    /// From the coordinator to a worker.
    Out,
}

/// The kinds a swarm chooses from.
const KINDS: u32 = 17;

/// Draws the faults of a run.
pub fn draw(rng: &mut fastrand::Rng, setting: &Setting) -> Vec<Fault> {
    let mask = rng.u32(..1 << KINDS) & rng.u32(..1 << KINDS) | 1 << rng.u32(..KINDS);
    let kinds: Vec<u32> = (0..KINDS).filter(|kind| mask & (1 << kind) != 0).collect();
    let count = *pick(rng, &[0, 2, 6, 12, 24]);
    let mut faults: Vec<Fault> = (0..count)
        .map(|_| {
            let kind = *pick(rng, &kinds);
            let at = rng.u64(..setting.safety);
            Fault { at, trouble: trouble(rng, setting, kind) }
        })
        .collect();
    faults.sort_by_key(|fault| fault.at);
    faults
}

fn trouble(rng: &mut fastrand::Rng, setting: &Setting, kind: u32) -> Trouble {
    let ttl = micros(setting.session_ttl);
    let worker = rng.usize(..setting.workers.len());
    let short = rng.u64(5 * MS..=500 * MS);
    let around_ttl = rng.u64(ttl / 10..=2 * ttl);
    match kind {
        0 => Trouble::Crash(if rng.bool() { short } else { around_ttl }),
        1 => {
            let ttl_ms = *pick(rng, &[1_000, 2_000, 5_000, 20_000]);
            Trouble::Retune(short, Duration::from_millis(ttl_ms))
        }
        2 => Trouble::Terminate(short),
        3 => Trouble::Pause(if rng.bool() { short } else { around_ttl }),
        4 => Trouble::WallStep(rng.i64(-3_600_000..=3_600_000)),
        5 => Trouble::SlowDisk(rng.u64(10 * MS..=10 * SECOND), around_ttl),
        6 => Trouble::FullDisk(around_ttl),
        7 => Trouble::FailedAppend,
        8 => Trouble::WorkerCrash(worker, if rng.bool() { short } else { around_ttl }),
        9 => Trouble::WorkerPause(worker, if rng.u8(..4) == 0 { short } else { around_ttl }),
        10 => Trouble::WorkerLeaves(worker),
        11 => Trouble::Cut {
            worker,
            worker_learns: rng.bool().then(|| rng.u64(..=ttl)),
            coordinator_learns: rng.bool().then(|| rng.u64(..=ttl)),
            is_lost: rng.bool(),
        },
        12 => Trouble::Stall(worker, if rng.bool() { Way::In } else { Way::Out }, around_ttl),
        13 => Trouble::Sleep(around_ttl),
        14 => Trouble::Crawl(rng.u64(MS..=100 * MS), around_ttl),
        15 => Trouble::WorkerCrawl(worker, rng.u64(MS..=ttl / 8), around_ttl),
        _ if rng.u8(..4) == 0 => Trouble::Blackout(around_ttl),
        _ => Trouble::Partition(worker, around_ttl),
    }
}
