//! The coordinator's machine: its disk, which outlives the process, and the process.

use std::{
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use leasehold_coordinator::{
    config::{Config, Session},
    coordinator::chain,
    simulation::guest::{self, Delay},
};
use leasehold_policy::Time;
use tokio::sync::watch;

use crate::{fault::Machine, judge::Violation, ledger::Ledger, plan::Plan, trace, wire};

/// What the wall clock shows when a simulation begins.
const WALL: Time = Time::from_unix_ms(1_800_000_000_000);

/// How long a disk takes that is as it should be.
const SYNC_MAX: Duration = Duration::from_millis(4);

/// The coordinator's machine.
#[derive(Clone)]
pub(crate) struct Site {
    config: Config,
    disk: Arc<Disk>,
    /// How often a process was asked to end: only one that runs is.
    stop: watch::Sender<u64>,
    ledger: Ledger,
}

/// How fast the disk is.
#[derive(Debug, Default)]
struct Disk {
    /// How long a write takes at most, in milliseconds; 0: as long as it should.
    slow_ms: AtomicU64,
}

impl Disk {
    fn delay(&self) -> Delay {
        let slow = Duration::from_millis(self.slow_ms.load(Ordering::Relaxed));
        let most = slow.max(SYNC_MAX);
        Delay { before: most.mul_f64(fastrand::f64()), after: most.mul_f64(fastrand::f64()) }
    }
}

impl Site {
    pub(crate) fn new(plan: &Plan, data: PathBuf, ledger: Ledger) -> Self {
        let mut config =
            Config { data, session: Session::lasting(plan.session_ttl), ..Config::default() };
        // A task must not fail because machines do.
        config.limits.worker_losses = 1_000;
        Self { config, disk: Arc::default(), stop: watch::Sender::default(), ledger }
    }

    /// Lets every write take up to this long; zero: as long as it should.
    pub(crate) fn slow_down(&self, most: Duration) {
        let ms = u64::try_from(most.as_millis()).unwrap_or(u64::MAX);
        self.disk.slow_ms.store(ms, Ordering::Relaxed);
    }

    /// Asks the process to end.
    pub(crate) fn stop(&self) {
        self.stop.send_modify(|times| *times += 1);
    }

    /// One process, from its start to its end.
    pub(crate) async fn run(self) -> turmoil::Result {
        self.ledger.note("coordinator starts");
        self.ledger.pages().starts += 1;
        let (disk, mut stop) = (Arc::clone(&self.disk), self.stop.subscribe());
        let incoming = wire::incoming().await?;
        let wall = WALL + trace::now();
        let ended =
            guest::run(self.config.clone(), wall, incoming, move || disk.delay(), async move {
                drop(stop.changed().await);
            })
            .await;
        match ended {
            Ok(()) => self.ledger.note("coordinator has stopped"),
            Err(error) => {
                let (machine, error) = (Machine::Coordinator, chain(&error));
                self.ledger.broken(Violation::Ended { machine, error });
            }
        }
        Ok(())
    }
}
