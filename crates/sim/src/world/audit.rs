//! The judge of what should have happened: timers that are overdue, and slots that stay free while tasks wait.
//!
//! It looks by true time, not by the coordinator's turns: one that sleeps through what is due is seen as well. What is due
//! follows from what a task was promised, by arithmetic of its own.

use std::{collections::BTreeMap, time::Duration};

use leasehold_policy::Time;
use leasehold_proto::v1::{self, DeclineReason, lease_outcome::Outcome};
use leasehold_queue::{
    Blocked, Blocker, Exclusivity, Gate, Name, Permit, Phase, Queue, RevocationReason,
    SessionState, Size, Take, Task, TaskId, Token, Wait, WorkerView,
};

use super::{Event, World, crew::Hand, watch::holds};
use crate::{
    judge::Violation,
    moment::{MS, Micros, SECOND},
};

/// How often it is looked.
const EVERY: Micros = 200 * MS;

/// How much later than it must something may happen.
const LATENESS: Duration = Duration::from_millis(100);

/// What the coordinator leaves a worker for the word that what it was to end in time has ended.
const WORD: Duration = Duration::from_secs(1);

/// For how many audits in a row a slot may stay free while a task waits: a grant takes a turn, and its disk may be stuck.
const IDLE_MAX: u32 = 3;

/// For how many audits in a row a task may wait for a slot at one worker while another has one: it is asked back, comes back
/// durably, and is leased anew.
const HOARDED_MAX: u32 = 10;

/// For how long at most a worker that said it has no capacity is left alone.
const HUSH_MAX: Micros = 65 * SECOND;

impl World {
    pub(super) fn audit_later(&mut self) {
        self.after(EVERY, Event::Audit);
    }

    pub(super) fn audit(&mut self) {
        self.audit_later();
        // What became due while there was no coordinator is done with its first turns.
        let is_fresh = self.now < self.site.booted_at + EVERY;
        let is_held_up = self.site.is_paused() || self.now < self.site.lenient_until;
        if is_fresh || is_held_up || self.site.is_stopping {
            (self.idle.0, self.hoarded) = (0, 0);
            return;
        }
        self.check(self.overdue());
        self.check(self.explained());
        self.check_idle();
        self.check_hoarded();
    }

    /// What time alone should have changed by now.
    fn overdue(&self) -> Result<(), Violation> {
        let Some(machine) = &self.site.machine else { return Ok(()) };
        let now = machine.now() + Duration::from_micros(self.now - self.site.turned_at);
        let mut tasks = machine.queue().tasks_after(TaskId::from_u128(0));
        let late = tasks.find(|task| due(task).is_some_and(|due| due + LATENESS < now));
        holds(late.is_none(), "overdue", || format!("at {now:?}: {late:?}"))
    }

    /// What holds each task is named, whether it is the first thing or not: a time, a pause, that nobody serves it; and who is
    /// said to hold a permit has a lease that asked for one.
    fn explained(&self) -> Result<(), Violation> {
        let Some(queue) = self.site.machine.as_ref().map(|machine| machine.queue()) else {
            return Ok(());
        };
        let workers: Vec<WorkerView> = queue.workers().collect();
        let works = |view: &&WorkerView| view.state == SessionState::Active;
        for task in queue.tasks_after(TaskId::from_u128(0)) {
            let spec = &task.spec;
            let blockers = queue.explain(task).blockers;
            let is_named = |one: Blocked| blockers.iter().any(|it| it.reason() == one);
            let takes = |view: &WorkerView| view.task_types.contains(&spec.task_type);
            let mut able = workers.iter().filter(works).filter(|view| takes(view));
            let is_served = able.any(|view| may_have(view, task));
            let is_paused = queue.queue(&spec.queue).is_some_and(|view| view.paused);
            let (delayed, backoff) = match task.phase {
                Phase::Scheduled { wait, .. } => (wait == Wait::Delay, wait == Wait::Backoff),
                Phase::Queued | Phase::Leased(_) => (false, false),
            };
            let waits = task.lease().is_none();
            let all = [
                (Blocked::Delayed, delayed),
                (Blocked::Backoff, backoff),
                (Blocked::QueuePaused, waits && is_paused),
                (Blocked::NoEligibleWorker, waits && !is_served),
            ];
            let is_so = all.into_iter().all(|(reason, holds)| is_named(reason) == holds);
            let first = blockers.first().map(Blocker::reason);
            let is_so = is_so && first == queue.blocked(task) && waits == first.is_some();
            let is_so = is_so && blockers.iter().all(|it| self.holders_hold(it));
            holds(is_so, "explained", || format!("{}: {blockers:?}", task.id))?;
        }
        Ok(())
    }

    /// Whether each lease that is said to hold a permit was granted to a task that asked for it. One of before a restart may
    /// have asked under limits that are others by now.
    fn holders_hold(&self, blocker: &Blocker) -> bool {
        let Blocker::Gate { obstacle, holders, more } = blocker else { return true };
        let Gate::Limit(Take::Permit(permit)) = &obstacle.gate else {
            return holders.is_empty();
        };
        let asked = holders.iter().all(|holder| {
            let lease = self.ledger.granted(holder.token);
            let task = lease.and_then(|lease| self.ledger.task(lease.task));
            // What is not durable yet the ledger does not know.
            task.is_none_or(|entry| match permit {
                Permit::Key(key) => entry.spec.claims.iter().any(|it| it.keys.contains(key)),
                Permit::Queue(queue) | Permit::Flow(queue, _) => *entry.queue == **queue,
            })
        });
        asked && holders.len() as u64 + more == u64::from(obstacle.limit.used)
    }

    /// Somebody has a free slot, and somebody waits: not for long.
    fn check_idle(&mut self) {
        let is_idle = self.waits();
        let leases = self.stats.leases;
        self.idle = match is_idle {
            Some(_) if self.idle.1 == leases => (self.idle.0 + 1, leases),
            _ => (0, leases),
        };
        if IDLE_MAX < self.idle.0
            && let Some((task, worker)) = is_idle
        {
            let message = format!("{task} waits though {worker} has a free slot");
            self.fail(Violation::new("idle", message));
        }
    }

    /// Somebody has a free slot, and somebody else has more than it has slots for: that is asked back.
    fn check_hoarded(&mut self) {
        let hoards = self.hoards();
        self.hoarded = if hoards.is_some() { self.hoarded + 1 } else { 0 };
        if HOARDED_MAX < self.hoarded
            && let Some((free, hoarder)) = hoards
        {
            let message = format!("{hoarder} holds more than it can start though {free} is free");
            self.fail(Violation::new("hoarded", message));
        }
    }

    /// A worker that would be given something, and one that is connected and well and has leases waiting for its slots that
    /// the first one may have. Those of a paused queue stay with it.
    fn hoards(&self) -> Option<(String, String)> {
        let queue = self.site.machine.as_ref()?.queue();
        let tasks = || queue.tasks_after(TaskId::from_u128(0));
        let kept = reserved(queue);
        let mut free = self.free();
        free.retain(|view| !kept.contains(&view.worker));
        let unstarted = tasks().filter_map(|task| {
            let lease = task.lease()?;
            let is_paused = queue.queue(&task.spec.queue).is_some_and(|view| view.paused);
            let may_start = lease.started.is_none() && lease.revoking.is_none();
            let is_wanted = free.iter().any(|view| may_have(view, task) && has_left(view, task));
            may_start.then_some((lease.token, is_paused || !is_wanted))
        });
        let unstarted: BTreeMap<Token, bool> = unstarted.collect();
        // What was asked back is waited for also if its queue has been paused since.
        let has = |view: &WorkerView, wanted: fn(bool) -> bool| {
            let mut held = view.tokens.iter().filter_map(|token| unstarted.get(token));
            held.any(|stays| wanted(*stays))
        };
        let holders = queue.workers().filter(|view| has(view, |_| true));
        let holders: Vec<WorkerView> = holders.collect();
        // What one that is not well was asked for is waited for, and nobody else is asked meanwhile; until it is known that
        // it does not answer, or that its lease has to end anyway.
        let is_answering = |view: &WorkerView| {
            let hand =
                super::crew::of_instance(&view.instance).map(|(worker, _)| &self.crew[worker]);
            let is_known =
                matches!(view.state, SessionState::Disconnected | SessionState::Quarantined);
            is_known || hand.is_some_and(|hand| self.is_well(hand))
        };
        let hoarder = holders.iter().find(|view| {
            let is_full = view.state == SessionState::Active && 0 < view.ahead;
            is_full && has(view, |stays| !stays)
        });
        let hoarder = hoarder.filter(|_| holders.iter().all(is_answering));
        let first = free.first()?.instance.to_string();
        hoarder.map(|view| (first, view.instance.to_string()))
    }

    /// Whether what a worker says and is told arrives.
    fn is_well(&self, hand: &Hand) -> bool {
        let wire = hand.wire.and_then(|id| self.wires.get(&id));
        let flows = wire.is_some_and(|it| {
            let stalled = it.inward.stalled_until.max(it.outward.stalled_until);
            it.is_open && !it.is_cut && stalled <= self.now
        });
        flows && !hand.is_paused()
    }

    /// A task that could be leased, and a worker that would be given it.
    fn waits(&self) -> Option<(TaskId, String)> {
        let free = self.free();
        let machine = self.site.machine.as_ref()?;
        let (queue, now) = (machine.queue(), machine.now());
        let mut tasks = queue.tasks_after(TaskId::from_u128(0)).filter(|task| {
            let is_paused = queue.queue(&task.spec.queue).is_some_and(|view| view.paused);
            let is_limited = queue.obstacle(task).is_some();
            task.phase == Phase::Queued && now < task.deadline && !is_paused && !is_limited
        });
        let kept = reserved(queue);
        tasks.find_map(|task| {
            let view = free.iter().find(|view| {
                may_have(view, task) && has_left(view, task) && !kept.contains(&view.worker)
            })?;
            Some((task.id, view.instance.to_string()))
        })
    }

    /// The workers that would be given something, while the disk is not too slow for anything to be.
    fn free(&self) -> Vec<WorkerView> {
        let machine = self.site.machine.as_ref().filter(|_| !self.drive.is_stuck(self.now));
        let views = machine.into_iter().flat_map(|machine| machine.queue().workers());
        let free = views.filter(|view| {
            let hand =
                super::crew::of_instance(&view.instance).map(|(worker, _)| &self.crew[worker]);
            let is_hushed = hand.is_none_or(|hand| self.now < hand.hushed_until);
            let has_room = view.used() < view.whole.slots;
            view.state == SessionState::Active && has_room && !is_hushed
        });
        free.collect()
    }

    /// A worker that says it has no capacity is left alone for a while.
    pub(super) fn note_declined(&mut self, worker: usize, outcome: &v1::LeaseOutcome) {
        if let Some(Outcome::Declined(declined)) = &outcome.outcome
            && declined.reason() == DeclineReason::NoCapacity
        {
            self.crew[worker].hushed_until = self.now + HUSH_MAX;
        }
    }
}

/// Whether a worker has the labels that a task asks for, and reads its payload.
fn may_have(view: &WorkerView, task: &Task) -> bool {
    let mut reads = view.reads.iter().filter(|(task_type, _)| **task_type == task.spec.task_type);
    let is_read =
        task.spec.shape.schema.is_none_or(|schema| reads.all(|(_, read)| read.contains(&schema)));
    let is_large = view.whole.holds(&task.spec.shape.size);
    is_read && is_large && task.spec.shape.selector.iter().all(|label| view.labels.contains(label))
}

/// Whether a worker has as much left as a lease of the task takes, and nothing waits there.
fn has_left(view: &WorkerView, task: &Task) -> bool {
    let Size { slots, resources } = &task.spec.shape.size;
    let left = |name: &str| view.whole.amount(name).saturating_sub(view.taken.amount(name));
    view.ahead == 0
        && view.taken.slots + slots <= view.whole.slots
        && resources.iter().all(|(name, amount)| *amount <= left(name))
}

/// The workers that take nothing that is in the way of a task that waits, until they have room for it.
fn reserved(queue: &Queue) -> Vec<Name> {
    let waits = |id: TaskId| queue.task(id).is_some_and(|task| task.phase == Phase::Queued);
    let kept = queue.reserved().filter(|(_, task)| waits(*task));
    kept.map(|(worker, _)| Name::clone(worker)).collect()
}

/// When time alone changes a task: a wait ends, an attempt or the task has had its time, a cancel its grace and the
/// worker's word its way.
fn due(task: &Task) -> Option<Time> {
    let lease = match &task.phase {
        Phase::Scheduled { eligible, .. } => return Some(waits_until(task).min(*eligible)),
        Phase::Queued => return Some(waits_until(task)),
        Phase::Leased(lease) => lease,
    };
    match lease.revoking {
        None => {
            let own = lease.started.map(|started| started + task.spec.attempt_timeout);
            let attempt = lease.extended.or(own).map(|end| end + task.spec.kill_grace + WORD);
            let silence = lease.started.zip(task.spec.terms.progress_timeout);
            // A lease that was granted ahead can have been heard of before its work began.
            let silence =
                silence.map(|(started, most)| lease.heard.unwrap_or(started).max(started) + most);
            [attempt, silence, Some(task.deadline)].into_iter().flatten().min()
        }
        Some(revoking) => {
            let is_shared = task.spec.terms.exclusivity == Exclusivity::BestEffort;
            let is_given_up = is_shared || revoking.reason == RevocationReason::Cancelled;
            let given_up = is_given_up.then_some(revoking.since + revoking.grace + WORD);
            let over = match revoking.reason {
                RevocationReason::StartTimeout
                | RevocationReason::AttemptTimeout
                | RevocationReason::ProgressTimeout
                | RevocationReason::Operator => Some(task.deadline),
                RevocationReason::Cancelled
                | RevocationReason::TotalTimeout
                | RevocationReason::UnknownLease => None,
            };
            given_up.into_iter().chain(over).min()
        }
    }
}

/// When a task that is under no lease has waited for too long: one that was never started may ask for that sooner.
fn waits_until(task: &Task) -> Time {
    let Some(timeout) = task.spec.terms.queue_timeout.filter(|_| !task.ran) else {
        return task.deadline;
    };
    let is_first = task.generation() == 1;
    let delay = if is_first { task.spec.initial_delay() } else { Duration::ZERO };
    task.deadline.min(task.deadline - task.spec.total_timeout.into() + delay + timeout)
}
