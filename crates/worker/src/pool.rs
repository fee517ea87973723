//! `leasehold-worker pool`: keeps as many workers on this machine as the coordinator says that there should be.
//!
//! Each worker is this executable started again, under the pool's id with a number behind it, so that a state directory and
//! a session find their next process. More are started at once; of too many one at a time is drained, the least loaded
//! first, and for as long as it takes: no task ends because there are fewer workers. While the coordinator does not answer,
//! things stay as they are. It knows nothing of tasks.

mod coordinator;
mod members;
mod plan;
mod roster;

use std::{io, time::Duration};

use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    time::{Instant, MissedTickBehavior, interval, sleep_until},
};
use tracing::{error, info, warn};

use self::{
    coordinator::{Coordinator, Order},
    members::Members,
    roster::{Left, Roster},
};
pub(crate) use plan::{Member, Plan};

/// How long workers may take to end that were told a second time to, before they are killed.
const LAST_WAIT: Duration = Duration::from_secs(5);

/// How a pool ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    /// All of its workers did, the first of those that did not do so in order with this code; 0: all did.
    Drained(u8),
    /// They were told a second time.
    Interrupted,
}

/// What is being asked of the coordinator.
#[derive(Debug)]
enum Asked {
    Order(Result<Order, String>),
    /// Whether it told the worker of this number to drain.
    Drain(u32, Result<bool, String>),
}

/// How far the end of the pool is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Leaving {
    Not,
    Draining,
    /// Told a second time; at that moment what is left is killed.
    AtOnce(Instant),
}

struct Pool {
    plan: Plan,
    roster: Roster,
    members: Members,
    coordinator: Coordinator,
    /// Whether the coordinator answered the last time. None: it has not been asked.
    is_heard: Option<bool>,
    leaving: Leaving,
    /// The first code that was not 0 of those with which workers ended when the pool did.
    code: u8,
}

/// Keeps the pool until a signal and the end of its workers. They are the children of this very thread, and are killed
/// with it.
pub(crate) async fn run(plan: Plan) -> io::Result<Ended> {
    let mut signals = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let coordinator = Coordinator::new(&plan).map_err(io::Error::other)?;
    let (min, max) = plan.range;
    info!(pool = plan.name, min, max, "keeping a pool of workers");
    let roster = Roster::new(plan.range, Instant::now());
    let (members, leaving) = (Members::default(), Leaving::Not);
    let mut pool = Pool { plan, roster, members, coordinator, is_heard: None, leaving, code: 0 };
    pool.keep(&mut signals).await;
    let told_twice = matches!(pool.leaving, Leaving::AtOnce(_));
    Ok(if told_twice { Ended::Interrupted } else { Ended::Drained(pool.code) })
}

impl Pool {
    async fn keep(&mut self, (terminate, interrupt): &mut (Signal, Signal)) {
        let mut ticks = interval(self.plan.poll);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while self.leaving == Leaving::Not || !self.members.is_empty() {
            self.start_due();
            let due = self.due();
            let may_ask = self.leaving == Leaving::Not && !self.coordinator.is_asked();
            tokio::select! {
                biased;
                _ = terminate.recv() => self.leave(),
                _ = interrupt.recv() => self.leave(),
                (number, left) = self.members.next_end() => self.ended(number, left),
                asked = self.coordinator.next_answer() => self.hear(asked),
                _ = ticks.tick(), if may_ask => self.coordinator.ask(self.roster.kept()),
                () = until(due) => self.kill_if_due(),
            }
        }
    }

    /// When something is due that nothing else brings about.
    fn due(&self) -> Option<Instant> {
        match self.leaving {
            Leaving::Not => self.roster.next_start(),
            Leaving::Draining => None,
            Leaving::AtOnce(at) => Some(at),
        }
    }

    /// Starts whatever worker has to be.
    fn start_due(&mut self) {
        if self.leaving != Leaving::Not {
            return;
        }
        while let Some(number) = self.roster.next_due(Instant::now()) {
            match self.members.start(number) {
                Ok(pid) => {
                    info!(worker = self.plan.member(number), pid, "worker started");
                    self.roster.started(number, Instant::now());
                }
                Err(error) => {
                    let worker = self.plan.member(number);
                    error!(worker, %error, "a worker cannot be started");
                    self.roster.ended(number, Left::Broken, Instant::now(), fastrand::u64(..));
                }
            }
        }
    }

    fn ended(&mut self, number: u32, left: Left) {
        let worker = self.plan.member(number);
        if self.leaving != Leaving::Not {
            info!(worker, how = %left, "worker ended");
            if self.code == 0 {
                self.code = left.code();
            }
            return;
        }
        let wait = self.roster.ended(number, left, Instant::now(), fastrand::u64(..));
        match (left, wait) {
            (Left::Drained, None) => info!(worker, "worker drained and gone"),
            (_, None) => warn!(worker, how = %left, "worker ended while it drained"),
            (Left::Drained, Some(_)) => {
                info!(worker, "worker drained, though not for the pool: it is started again");
            }
            (_, Some(wait)) => {
                warn!(worker, how = %left, ?wait, "worker ended: it is started again");
            }
        }
    }

    fn hear(&mut self, asked: Asked) {
        if self.leaving != Leaving::Not {
            return;
        }
        match asked {
            Asked::Order(Ok(order)) => {
                if self.is_heard.replace(true) == Some(false) {
                    info!(pool = self.plan.name, "the coordinator answers again");
                }
                self.obey(&order);
            }
            Asked::Order(Err(error)) => self.unheard(&error),
            Asked::Drain(number, Err(error)) => {
                self.roster.not_draining(number, Instant::now());
                self.unheard(&error);
            }
            Asked::Drain(number, Ok(true)) => {
                info!(worker = self.plan.member(number), "one worker fewer: it drains");
            }
            // It has not come to the coordinator yet; it is asked again when it has.
            Asked::Drain(number, Ok(false)) => self.roster.not_draining(number, Instant::now()),
        }
    }

    fn unheard(&mut self, error: &str) {
        if self.is_heard.replace(false) != Some(false) {
            let (pool, kept) = (&self.plan.name, self.roster.kept());
            warn!(pool, kept, error, "the coordinator does not say how many: kept as it is");
        }
    }

    fn obey(&mut self, order: &Order) {
        let before = self.roster.want(order.desired);
        if before != self.roster.wanted() {
            let (to, reason) = (self.roster.wanted(), order.reason.as_str());
            info!(pool = self.plan.name, from = before, to, reason, "workers wanted");
        }
        let by_load = order.least_loaded.iter().filter_map(|worker| self.plan.number(worker));
        if let Some(number) = self.roster.victim(by_load) {
            self.roster.draining(number);
            self.coordinator.drain(number, self.plan.member(number));
        }
    }

    /// The first time every worker drains, the second time it ends at once.
    fn leave(&mut self) {
        match self.leaving {
            Leaving::Not => {
                info!(pool = self.plan.name, workers = self.members.len(), "the pool drains");
                self.leaving = Leaving::Draining;
            }
            Leaving::Draining | Leaving::AtOnce(_) => {
                warn!(pool = self.plan.name, workers = self.members.len(), "the pool ends at once");
                self.leaving = Leaving::AtOnce(Instant::now() + LAST_WAIT);
            }
        }
        self.members.terminate();
    }

    fn kill_if_due(&mut self) {
        if matches!(self.leaving, Leaving::AtOnce(at) if at <= Instant::now()) {
            self.members.kill();
            self.leaving = Leaving::AtOnce(Instant::now() + LAST_WAIT);
        }
    }
}

async fn until(due: Option<Instant>) {
    match due {
        Some(due) => sleep_until(due).await,
        None => std::future::pending().await,
    }
}
