//! What is explored: how much of everything there is, and how often what can go wrong does.
//!
//! A configuration is small on purpose. What a protocol of leases gets wrong it gets wrong with two workers, one or two
//! tasks and two or three faults in the right order; an exploration tries every order.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use leasehold_policy::{Backoff, Jitter};
use leasehold_queue::{
    Admission, Config as QueueConfig, Extras, Key, LeaseTerms, Retry, Shape, TaskSpec, Template,
};

/// How many workers there are: one to hold a lease, and one to be given it too early.
pub const WORKERS: usize = 2;

/// What a worker is promised. The other times follow from it; only their order matters.
pub const SESSION_TTL: Duration = Duration::from_millis(100);

/// What lies further ahead than this never comes.
pub(crate) const HORIZON: Duration = Duration::from_secs(10);

/// What never comes.
pub(crate) const NEVER: Duration = Duration::from_hours(24 * 365);

/// How long a handler may take to stop.
pub(crate) const KILL_GRACE: Duration = Duration::from_millis(20);

/// The number of the first start of a coordinator.
pub(crate) const FIRST: u32 = 1;

/// What every task is and every worker serves.
pub(crate) const TASK_TYPE: &str = "work";

/// Where every task is.
const QUEUE: &str = "queue";

/// How often each thing can happen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Budget {
    /// Streams that are cut; either side learns of it some time later.
    pub drops: u8,
    /// Worker processes that die and are started anew.
    pub worker_crashes: u8,
    /// Coordinators that die and are started anew, with any part of what was not yet durable.
    pub coordinator_crashes: u8,
    /// Coordinators that are replaced and do not know it.
    pub supersessions: u8,
    /// Steps of time while anything may be silent. Time in which everybody is heard is free.
    pub ticks: u8,
    /// Tasks somebody wants to be cancelled.
    pub cancels: u8,
    /// Submits that are repeated although they had arrived.
    pub resubmits: u8,
    /// Attempts that fail and may be tried again.
    pub failures: u8,
    /// Dead letters that somebody wants to be tasks again.
    pub replays: u8,
}

/// What has happened before the exploration begins. The later that is, the further it sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Begin {
    /// A coordinator has started with an empty journal.
    Cold,
    /// Every worker is connected.
    Connected,
    /// And the first worker runs the first task.
    Leased,
    /// And the coordinator was started anew, and everybody knows.
    Restarted,
    /// And, instead of that, another coordinator has taken over, unnoticed; the last worker is connected to that one.
    Superseded,
}

/// One configuration.
#[derive(Clone, Copy, Debug)]
pub struct Config {
    /// What it is called.
    pub name: &'static str,
    /// How many workers take part, up to [`WORKERS`].
    pub workers: usize,
    /// What has happened already.
    pub begin: Begin,
    /// How many tasks are submitted.
    pub tasks: u8,
    /// What can go wrong.
    pub budget: Budget,
    /// How far time goes at once at most. Half a session TTL lets a worker keep its leases by a heartbeat in between.
    pub step: Duration,
    /// The session TTL of coordinators after the first one.
    pub later_ttl: Duration,
    /// How many attempts a task has.
    pub attempts: u32,
    /// Whether its queue accepts late results.
    pub accepts_late: bool,
    /// Whether it takes too long for every test run.
    pub is_large: bool,
}

/// Nothing goes wrong.
const CALM: Budget = Budget {
    drops: 0,
    worker_crashes: 0,
    coordinator_crashes: 0,
    supersessions: 0,
    ticks: 0,
    cancels: 0,
    resubmits: 0,
    failures: 0,
    replays: 0,
};

const PLAIN: Config = Config {
    name: "calm",
    workers: WORKERS,
    begin: Begin::Cold,
    tasks: 1,
    budget: CALM,
    step: Duration::from_millis(50),
    later_ttl: SESSION_TTL,
    attempts: 2,
    accepts_late: false,
    is_large: false,
};

/// Every configuration that must hold.
pub const CONFIGS: &[Config] = &[
    PLAIN,
    Config { name: "two-tasks", tasks: 2, ..PLAIN },
    Config { name: "drops", budget: Budget { drops: 2, ..CALM }, ..PLAIN },
    Config {
        name: "crashes",
        begin: Begin::Connected,
        budget: Budget { coordinator_crashes: 1, worker_crashes: 1, ..CALM },
        ..PLAIN
    },
    Config {
        name: "drop-crash",
        begin: Begin::Connected,
        budget: Budget { drops: 1, coordinator_crashes: 1, ..CALM },
        ..PLAIN
    },
    Config {
        name: "silence",
        begin: Begin::Leased,
        step: SESSION_TTL,
        budget: Budget { ticks: 2, ..CALM },
        ..PLAIN
    },
    Config {
        name: "lone-silence",
        workers: 1,
        budget: Budget { drops: 1, ticks: 3, ..CALM },
        ..PLAIN
    },
    Config {
        name: "lone-late",
        workers: 1,
        begin: Begin::Leased,
        accepts_late: true,
        step: SESSION_TTL,
        budget: Budget { drops: 1, ticks: 2, coordinator_crashes: 1, ..CALM },
        ..PLAIN
    },
    Config {
        name: "cancel",
        begin: Begin::Leased,
        budget: Budget { cancels: 1, drops: 1, ticks: 1, ..CALM },
        ..PLAIN
    },
    Config {
        name: "replay",
        workers: 1,
        attempts: 1,
        budget: Budget { failures: 1, replays: 1, coordinator_crashes: 1, drops: 1, ..CALM },
        ..PLAIN
    },
    Config {
        name: "resubmit",
        workers: 1,
        budget: Budget { resubmits: 1, coordinator_crashes: 1, drops: 1, ..CALM },
        ..PLAIN
    },
    Config {
        name: "shorter-ttl",
        begin: Begin::Restarted,
        step: SESSION_TTL,
        later_ttl: Duration::from_millis(40),
        budget: Budget { coordinator_crashes: 1, ticks: 1, ..CALM },
        ..PLAIN
    },
    Config {
        name: "superseded",
        begin: Begin::Superseded,
        step: SESSION_TTL,
        budget: Budget { supersessions: 1, ticks: 2, ..CALM },
        ..PLAIN
    },
    Config {
        name: "silence-drop",
        begin: Begin::Leased,
        step: SESSION_TTL,
        budget: Budget { drops: 1, ticks: 2, ..CALM },
        is_large: true,
        ..PLAIN
    },
    Config {
        name: "late",
        begin: Begin::Leased,
        accepts_late: true,
        step: SESSION_TTL,
        budget: Budget { drops: 1, ticks: 2, ..CALM },
        is_large: true,
        ..PLAIN
    },
    Config {
        name: "renewed",
        begin: Begin::Leased,
        budget: Budget { ticks: 3, ..CALM },
        is_large: true,
        ..PLAIN
    },
    Config {
        name: "superseded-renewed",
        begin: Begin::Superseded,
        budget: Budget { supersessions: 1, ticks: 3, ..CALM },
        is_large: true,
        ..PLAIN
    },
    Config {
        name: "shorter-ttl-silence",
        begin: Begin::Restarted,
        step: SESSION_TTL,
        later_ttl: Duration::from_millis(40),
        budget: Budget { coordinator_crashes: 1, ticks: 2, ..CALM },
        is_large: true,
        ..PLAIN
    },
    Config {
        name: "two-tasks-crash",
        tasks: 2,
        budget: Budget { coordinator_crashes: 1, ..CALM },
        is_large: true,
        ..PLAIN
    },
    Config {
        name: "crashes-cold",
        budget: Budget { coordinator_crashes: 1, worker_crashes: 1, ..CALM },
        is_large: true,
        ..PLAIN
    },
    Config {
        name: "one-of-each",
        budget: Budget { drops: 1, coordinator_crashes: 1, worker_crashes: 1, ..CALM },
        is_large: true,
        ..PLAIN
    },
    Config {
        name: "drops-crash",
        budget: Budget { drops: 2, coordinator_crashes: 1, ..CALM },
        is_large: true,
        ..PLAIN
    },
    Config {
        name: "crashes-twice",
        budget: Budget { coordinator_crashes: 2, worker_crashes: 1, ..CALM },
        is_large: true,
        ..PLAIN
    },
];

/// The configuration of that name.
pub fn named(name: &str) -> Option<Config> {
    CONFIGS.iter().find(|config| config.name == name).copied()
}

impl Config {
    /// What the queue is told at the start of a coordinator.
    pub(crate) fn queue(&self, process: u32) -> QueueConfig {
        QueueConfig {
            session_ttl: if process == FIRST { SESSION_TTL } else { self.later_ttl },
            drift_per_mille: 10,
            revoke_ack_margin: Duration::from_millis(30),
            key_retention: NEVER,
            late_results: self.accepts_late.then(|| QUEUE.into()).into_iter().collect(),
            ..QueueConfig::default()
        }
    }

    /// What a client asks for.
    pub(crate) fn spec(&self, task: usize) -> TaskSpec {
        TaskSpec {
            template: Arc::new(Template {
                queue: QUEUE.into(),
                task_type: TASK_TYPE.into(),
                content_type: "".into(),
                priority: 5,
                start_timeout: NEVER,
                attempt_timeout: NEVER,
                kill_grace: KILL_GRACE,
                retry: self.retry(),
                terms: LeaseTerms::default(),
                claims: None,
                fairness_key: "".into(),
                shape: Shape::default(),
                admission: Admission::default(),
            }),
            payload: Bytes::new().into(),
            total_timeout: NEVER.into(),
            trace: None,
            extras: Extras {
                initial_delay: Duration::ZERO,
                labels: Vec::new(),
                key: Some(Key { name: format!("task {task}").into(), digest: [0; 16] }),
            }
            .kept(),
        }
    }

    fn retry(&self) -> Retry {
        let zero = Duration::ZERO;
        let backoff = Backoff { initial: zero, factor: 1.0, cap: zero, jitter: Jitter::None };
        Retry { max_attempts: self.attempts, backoff }
    }
}
