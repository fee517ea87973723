//! The refusals that come out of the queue, and those that every service makes.

use std::{error::Error as _, fmt::Display, time::Duration};

use leasehold_policy::namespace;
use leasehold_proto::v1;
use leasehold_queue::{self as queue, TaskId};
use tonic::Status;

use super::{Quota, Reason, Refusal, Scope, internal};
use crate::{
    archive::ArchiveError,
    config::{Place, RateLimit, Violation},
    handle::Unavailable,
    reload::{Refused, ReloadError},
    scaling::Unknown,
    view::timestamp,
};

/// A full queue drains at the pace of its workers: a second is long against a lease and short against a shift.
const FULL_RETRY: Duration = Duration::from_secs(1);

/// A disk is seldom freed faster.
const STORAGE_RETRY: Duration = Duration::from_secs(5);

/// About as long as a process takes to start again.
const RESTART_RETRY: Duration = Duration::from_secs(1);

impl Refusal {
    /// No task has this id, or its row has expired.
    pub fn no_task(task: TaskId) -> Self {
        let message =
            format!("task {task} does not exist, or ended so long ago that its row is gone");
        Self::new(Reason::TaskNotFound, message).with("taskId", task)
    }

    /// No queue has this name.
    pub fn no_queue(queue: &str) -> Self {
        let (space, name) = namespace::split(queue);
        Self::new(Reason::QueueNotFound, format!("queue {queue:?} does not exist"))
            .with("namespace", space)
            .with("queue", name)
    }

    /// There is no such lease, or no more.
    pub fn no_lease(what: &str) -> Self {
        Self::new(Reason::LeaseNotFound, format!("{what}: nothing is leased under it"))
            .with("lease", what)
    }

    /// No worker has this name.
    pub fn no_worker(worker: &str) -> Self {
        let message =
            format!("worker {worker:?} is not known: it is not connected, nor within its session");
        Self::new(Reason::WorkerNotFound, message).with("workerId", worker)
    }

    /// A configuration is not taken.
    pub(crate) fn config(refused: &Refused) -> Self {
        let violations = refused
            .violations
            .iter()
            .map(|it| v1::FieldViolation { field: place(it), description: it.problem.clone() });
        let hash = refused.hash.map(|hash| hash.to_string()).unwrap_or_default();
        let refusal = Self::fields(Reason::ConfigInvalid, violations.collect()).with("hash", hash);
        Self { message: refused.message.clone(), ..refusal }
    }

    /// The worker was evicted, or does not stop what it was told to.
    pub fn banned(left: Duration) -> Self {
        let message = format!(
            "the worker was evicted, or does not stop what it was told to: it is let in again in {left:?}"
        );
        Self::new(Reason::WorkerBanned, message).retry_after(left)
    }

    /// The task is not a dead letter.
    pub fn not_failed(task: TaskId, state: v1::TaskState) -> Self {
        let full = state.as_str_name();
        let state = full.strip_prefix("TASK_STATE_").unwrap_or(full);
        Self::new(
            Reason::NotFailed,
            format!("task {task} is {state}: only a failed task is replayed"),
        )
        .with("taskId", task)
        .with("state", state)
    }

    /// A client has submitted as fast as it may.
    pub fn rate_limited(client: impl Display, rate: RateLimit, wait: Duration) -> Self {
        let max = u64::from(rate.burst);
        let message = format!(
            "client {client} has submitted as fast as it may: limits.submit_rate is {rate}, at most {max} at once"
        );
        let (limit, scope) = ("limits.submit_rate".into(), Scope::Client);
        let quota = Some(Box::new(Quota { limit, scope, used: max, max }));
        Self { quota, ..Self::new(Reason::RateLimited, message) }
            .with("client", client)
            .with("rate", rate)
            .retry_after(wait)
    }

    /// A namespace is submitted to as fast as it may be.
    pub fn namespace_rate_limited(namespace: &str, rate: RateLimit, wait: Duration) -> Self {
        let (limit, max) = (format!("namespaces.{namespace}.submit_rate"), u64::from(rate.burst));
        let message = format!(
            "namespace {namespace:?} is submitted to as fast as it may be: {limit} is {rate}, at most {max} at once"
        );
        let (limit, scope) = (limit.into(), Scope::Namespace);
        let quota = Some(Box::new(Quota { limit, scope, used: max, max }));
        Self { quota, ..Self::new(Reason::NamespaceQuota, message) }
            .with("namespace", namespace)
            .with("rate", rate)
            .retry_after(wait)
    }

    /// A task is unlikely to be over in time.
    fn infeasible(message: String, why: &queue::Infeasible) -> Self {
        let queue::Infeasible { now, deadline, feasible, estimate, usual } = why;
        let refusal = Self::new(Reason::DeadlineInfeasible, message)
            .with("remaining", span(deadline.since(*now)))
            .with("feasible", span(feasible.since(*now)))
            .with("feasibleTime", timestamp(*feasible))
            .with("tasksAhead", estimate.ahead)
            .with("slots", estimate.slots)
            .with("boundBy", &estimate.bound_by);
        match usual {
            Some(usual) => refusal.with("usualRunTime", span(*usual)),
            None => refusal,
        }
    }

    /// There are as many of something as there may be.
    pub fn overloaded(limit: &'static str, scope: Scope, max: u64) -> Self {
        let message = format!("{limit} are at their limit of {max}: try again later");
        let limit = limit.into();
        let quota = Some(Box::new(Quota { limit, scope, used: max, max }));
        Self { quota, ..Self::new(Reason::Overloaded, message) }.retry_after(FULL_RETRY)
    }
}

impl From<queue::Refusal> for Refusal {
    fn from(refusal: queue::Refusal) -> Self {
        let message = refusal.to_string();
        match refusal {
            queue::Refusal::KeyConflict { key, task, stored, sent } => {
                Self::new(Reason::IdempotencyKeyConflict, message)
                    .with("idempotencyKey", key)
                    .with("taskId", task)
                    .with("storedDigest", hex(&stored))
                    .with("sentDigest", hex(&sent))
            }
            queue::Refusal::Full { what, used, max } => {
                let (limit, scope) = (what.into(), Scope::Coordinator);
                let quota = Some(Box::new(Quota { limit, scope, used, max }));
                Self { quota, ..Self::new(Reason::QueueFull, message) }.retry_after(FULL_RETRY)
            }
            queue::Refusal::Quota { namespace, what, used, max } => {
                let limit = format!("namespaces.{namespace}.{what}").into();
                let quota = Some(Box::new(Quota { limit, scope: Scope::Namespace, used, max }));
                Self { quota, ..Self::new(Reason::NamespaceQuota, message) }
                    .with("namespace", namespace)
                    .retry_after(FULL_RETRY)
            }
            queue::Refusal::CircuitOpen { guarded, bad, calls, wait } => {
                Self::new(Reason::CircuitOpen, message)
                    .with("breaker", guarded)
                    .with("failures", bad)
                    .with("calls", calls)
                    .retry_after(wait)
            }
            queue::Refusal::Infeasible(why) => Self::infeasible(message, &why),
            queue::Refusal::UnknownQueue { queue } => {
                let (space, name) = namespace::split(&queue);
                Self::new(Reason::QueueNotFound, message)
                    .with("namespace", space)
                    .with("queue", name)
            }
        }
    }
}

impl From<Unavailable> for Refusal {
    fn from(why: Unavailable) -> Self {
        let message = why.to_string();
        match why {
            Unavailable::ShuttingDown => {
                Self::new(Reason::ShuttingDown, message).retry_after(RESTART_RETRY)
            }
            // The engine may have carried it out before it went. A time to try again would promise that it has not.
            Unavailable::Stopped => Self::new(Reason::ShuttingDown, message),
            Unavailable::StorageFull { free_bytes, reserve_bytes } => {
                Self::new(Reason::StorageFull, message)
                    .with("freeBytes", free_bytes)
                    .with("reserveBytes", reserve_bytes)
                    .with("scope", "volume")
                    .retry_after(STORAGE_RETRY)
            }
            // No caller can do anything about it: it says only that it is the coordinator's own.
            Unavailable::Unreadable => Self::new(Reason::Unspecified, message),
            Unavailable::Overloaded { limit, scope, max } => Self::overloaded(limit, scope, max),
        }
    }
}

impl From<Unknown> for Refusal {
    fn from(why: Unknown) -> Self {
        match why {
            Unknown::Pool(pool) => {
                let problem = format!(
                    "no worker belongs to pool {pool:?}, nobody keeps it, and scaling.pools does not name it"
                );
                Self::field("pool", problem)
            }
            Unknown::Unavailable(why) => why.into(),
            Unknown::WarmingUp(left) => {
                let message = "the coordinator has just started: workers may be on their way back";
                Self::new(Reason::Recovering, message).retry_after(left)
            }
        }
    }
}

impl From<Unknown> for Status {
    fn from(why: Unknown) -> Self {
        Refusal::from(why).into()
    }
}

impl From<Unavailable> for Status {
    fn from(why: Unavailable) -> Self {
        Refusal::from(why).into()
    }
}

impl From<ReloadError> for Status {
    fn from(error: ReloadError) -> Self {
        match error {
            ReloadError::Refused(refused) => Refusal::config(&refused).into(),
            ReloadError::Unavailable(why) => why.into(),
        }
    }
}

/// What a broken rule of a configuration is about: its key, and where that stands.
fn place(violation: &Violation) -> String {
    let Violation { key, place, .. } = violation;
    match place {
        Some(Place { line, column }) if key.is_empty() => format!("line {line}, column {column}"),
        Some(Place { line, column }) => format!("{key} (line {line}, column {column})"),
        None if key.is_empty() => "file".to_owned(),
        None => key.to_string(),
    }
}

impl From<ArchiveError> for Status {
    fn from(error: ArchiveError) -> Self {
        tracing::error!(%error, cause = error.source().map(tracing::field::display), "cannot read the archive");
        internal("the archive cannot be read: see the coordinator's log")
    }
}

/// A duration as protobuf's JSON has it.
fn span(duration: Duration) -> String {
    format!("{}.{:03}s", duration.as_secs(), duration.subsec_millis())
}

/// Bytes as lower-case hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    let nibbles = bytes.iter().flat_map(|byte| [byte >> 4, byte & 0xf]);
    nibbles.filter_map(|nibble| char::from_digit(u32::from(nibble), 16)).collect()
}
