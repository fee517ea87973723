//! What one look says of some of the load: of a pool, a queue, some task types, or all of it.

use std::{collections::BTreeSet, time::Duration};

use leasehold_policy::{Time, scale};
use leasehold_queue::{Blocked, Name, SessionState};

use super::DEFAULT_POOL;
use crate::{
    load::{Flow, Load, Row, WorkerLoad},
    queues::Queues,
};

/// How long a task is taken to run as long as none has ended in the window.
const RUN_UNKNOWN: Duration = Duration::from_secs(1);

/// Which part of the load.
pub(super) struct Scope<'a> {
    /// Workers of this pool; else all that serve one of the types.
    pub(super) pool: Option<&'a Name>,
    pub(super) task_types: &'a BTreeSet<Name>,
    /// Whether the types do not matter.
    pub(super) is_any_type: bool,
    pub(super) queues: Option<&'a Queues>,
}

/// What is measured.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Measured {
    /// Tasks that wait for nothing but a worker.
    pub backlog: u64,
    /// Tasks that wait for something that no worker brings.
    pub held: scale::Held,
    /// How many slots the leases of these would take.
    pub wanted: u64,
    /// Tasks under a lease.
    pub leased: u64,
    /// How many slots those take.
    pub taken: u64,
    /// How long the one has waited that goes first. None: none waits for a worker.
    pub oldest: Option<Duration>,
    /// How long it took lately, and how long what waits has waited so far.
    pub flow: Flow,
    /// Workers that take tasks, those included that may come back.
    pub workers: u32,
    /// Workers that finish what they have and go.
    pub draining: u32,
    /// Connected workers that take tasks and hold no lease.
    pub idle: u32,
    /// Connected workers that take tasks.
    pub active: u32,
    /// Their slots.
    pub slots: u64,
    /// How many of those are taken.
    pub used: u64,
    /// How busy their processors are on average, in thousandths.
    pub cpu: Option<u16>,
    /// The connected ones that take tasks, the least loaded first, with what they hold.
    pub by_load: Vec<(u32, Name)>,
}

/// Whether a worker of the scope serves a task type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Service {
    There,
    Missing,
}

impl Scope<'_> {
    fn has_type(&self, task_type: &Name) -> bool {
        self.is_any_type || self.task_types.contains(task_type)
    }

    fn has_row(&self, row: &Row) -> bool {
        let view = &row.view;
        self.has_type(&view.task_type)
            && self.queues.is_none_or(|queues| queues.contains(&view.queue))
    }

    fn has_worker(&self, worker: &WorkerLoad) -> bool {
        match self.pool {
            Some(pool) => worker.pool.as_deref().unwrap_or(DEFAULT_POOL) == &**pool,
            None => worker.task_types.iter().any(|task_type| self.has_type(task_type)),
        }
    }
}

impl Measured {
    pub(super) fn of(load: &Load, scope: &Scope<'_>, now: Time) -> Self {
        let mut measured = Self::default();
        let mut cpu = (0_u32, 0_u32);
        let mut served = BTreeSet::new();
        for worker in load.workers.iter().filter(|worker| scope.has_worker(worker)) {
            measured.add_worker(worker);
            if worker.state == SessionState::Active {
                served.extend(&worker.task_types);
            }
            if let Some(busy) = worker.cpu.filter(|_| worker.state == SessionState::Active) {
                cpu = (cpu.0 + u32::from(busy), cpu.1 + 1);
            }
        }
        for row in load.rows.iter().filter(|row| scope.has_row(row)) {
            let is_served = served.contains(&row.view.task_type);
            let service = if is_served { Service::There } else { Service::Missing };
            measured.add_row(row, service, now);
        }
        let (busy, said) = cpu;
        measured.cpu = busy.checked_div(said).and_then(|it| u16::try_from(it).ok());
        measured.by_load.sort();
        measured
    }

    fn add_row(&mut self, row: &Row, service: Service, now: Time) {
        let backlog = self.backlog;
        for (blocked, count) in &row.view.waiting {
            match blocked {
                Blocked::NoCapacity => self.backlog += count,
                Blocked::NoEligibleWorker if service == Service::Missing => self.backlog += count,
                Blocked::QueuePaused => self.held.paused += count,
                Blocked::RateLimited => self.held.rate_limit += count,
                Blocked::ConcurrencyLimit => self.held.concurrency += count,
                Blocked::CircuitOpen | Blocked::RetryBudget => self.held.breaker += count,
                // What wants other workers than these is not helped by more of them; the rest waits for its time.
                Blocked::NoEligibleWorker | Blocked::Delayed | Blocked::Backoff => {}
            }
        }
        self.leased += row.view.leased;
        self.taken += row.view.taken;
        let is_backlog = |blocked: Blocked| {
            let is_missing = service == Service::Missing;
            blocked == Blocked::NoCapacity || is_missing && blocked == Blocked::NoEligibleWorker
        };
        let wanted = row.view.wanted.iter().filter(|(blocked, _)| is_backlog(*blocked));
        self.wanted += wanted.map(|(_, slots)| slots).sum::<u64>();
        if backlog < self.backlog {
            let first = row.view.since.map(|since| now.since(since));
            self.oldest = self.oldest.max(first);
            // In a queue that keeps up, what waits will have waited as long as the first one has by now; in one that
            // does not, longer. Without them, all would look well as long as no slot is free for any to be leased.
            let waits = self.backlog - backlog;
            self.flow.waits.add_times(first.unwrap_or_default(), waits);
        }
        if let Some(flow) = &row.flow {
            self.flow.merge(flow);
        }
    }

    fn add_worker(&mut self, worker: &WorkerLoad) {
        match worker.state {
            SessionState::Active => {
                self.workers += 1;
                self.active += 1;
                self.idle += u32::from(worker.used == 0);
                self.slots += u64::from(worker.slots);
                self.used += u64::from(worker.used.min(worker.slots));
                self.by_load.push((worker.used, Name::clone(&worker.worker)));
            }
            SessionState::Disconnected => self.workers += 1,
            SessionState::Draining => self.draining += 1,
            SessionState::Quarantined | SessionState::Evicted => {}
        }
    }

    /// How long a task waits on average: of those that were leased in the window and those that wait for a worker now, the
    /// latter taken as if they had come with the one of their queue and type that goes first. None: there are none.
    pub fn queue_wait(&self) -> Option<Duration> {
        self.flow.waits.mean()
    }

    /// Within which time 95 % of them were leased, in the same sense.
    pub fn wait_p95(&self) -> Option<Duration> {
        self.flow.waits.percentile(95)
    }

    /// Within which time 95 % of what was leased started.
    pub fn start_latency(&self) -> Option<Duration> {
        self.flow.starts.percentile(95)
    }

    /// How many tasks a worker runs at once, on average. Zero: nobody is there to say.
    pub fn slots_each(&self) -> u64 {
        self.slots.checked_div(u64::from(self.active)).unwrap_or(0)
    }

    /// How many tasks a worker is planned to have at a time: a part of its slots, and at least one.
    #[expect(clippy::cast_precision_loss, reason = "a worker has at most ten thousand slots")]
    pub fn tasks_each(&self) -> f64 {
        (self.slots_each() as f64 * f64::from(scale::BUSY_OF_TEN) / 10.0).max(1.0)
    }

    /// How long the backlog takes the slots there are, at the pace of the window.
    #[expect(clippy::cast_precision_loss, reason = "beyond 2^52 tasks an estimate may round")]
    pub fn drain_seconds(&self) -> f64 {
        let run = self.flow.runs.mean().unwrap_or(RUN_UNKNOWN);
        self.wanted as f64 * run.as_secs_f64() / self.slots.max(1) as f64
    }

    /// How many of its slots are taken, from 0 to 1; where there are none, whether somebody wants one.
    #[expect(clippy::cast_precision_loss, reason = "no fleet has 2^52 slots")]
    pub fn slot_utilization(&self) -> f64 {
        if self.slots == 0 {
            return if 0 < self.backlog { 1.0 } else { 0.0 };
        }
        self.used as f64 / self.slots as f64
    }

    /// What is decided upon.
    pub(super) fn signals(&self) -> scale::Signals {
        scale::Signals {
            workers: self.workers,
            idle: self.idle,
            slots_each: self.slots_each(),
            leased: self.taken,
            backlog: self.wanted,
            held: self.held,
            queue_wait: self.queue_wait(),
            start_latency: self.start_latency(),
            cpu: self.cpu,
        }
    }
}
