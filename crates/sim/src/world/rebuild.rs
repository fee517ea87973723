//! The judges that compare: the live queue with the one its journal rebuilds, both with the ledger, and the rows with all.

use std::time::Duration;

use leasehold_coordinator::simulation::queue;
use leasehold_journal::Class;
use leasehold_policy::Time;
use leasehold_queue::{Ending, Name, Payload, Phase, Queue, Task, TaskId};

use super::{World, watch::holds};
use crate::{judge::Violation, ledger::compare, probe::Probe};

/// How many turns pass between two comparisons of the live queue with a rebuilt one.
const COMPARE_EVERY: u64 = 97;

/// Rows that are kept for so long are there until the end of every run.
const KEPT: Duration = Duration::from_hours(24);

impl World {
    /// Now and then, when everything is durable: the live queue is the one that its journal rebuilds.
    pub(super) fn compare_sometimes(&mut self) {
        self.turns += 1;
        if self.turns.is_multiple_of(COMPARE_EVERY) {
            self.compare_now();
        }
    }

    fn compare_now(&mut self) {
        let Some(machine) = &self.site.machine else { return };
        if !machine.is_quiet() || !self.drive.is_idle() {
            return;
        }
        let rebuilt = match queue(&self.start(self.drive.disk.epoch())) {
            Ok(rebuilt) => rebuilt,
            Err(error) => return self.fail(Violation::new("rebuild", error.to_string())),
        };
        let compared = same(machine.queue(), &rebuilt, machine.now());
        self.stats.comparisons += 1;
        self.sometimes(Probe::Compared);
        self.check(compared.map_err(|what| Violation::new("rebuild", what)));
    }

    /// A queue that was read back holds exactly what the ledger holds.
    pub(super) fn compare_with_ledger(&mut self) {
        let Some(machine) = &self.site.machine else { return };
        let queue = machine.queue();
        let mut open = 0;
        let mut judged = Ok(());
        for (id, entry) in self.ledger.tasks().filter(|(_, entry)| entry.ended.is_none()) {
            open += 1;
            let task = queue.task(id).ok_or_else(|| "is missing".to_owned());
            let compared = task.and_then(|task| compare(entry, task));
            judged = judged.and(compared.map_err(|it| format!("{id} {it}")));
        }
        if queue.open_tasks() != open {
            judged = judged.and(Err(format!("{} tasks, not {open}", queue.open_tasks())));
        }
        self.check(judged.map_err(|what| Violation::new("recovered", what)));
    }

    /// At the very end: every acknowledged task has ended, once.
    pub(super) fn last_judgement(&mut self) {
        self.compare_now();
        self.check(self.balance());
        let lost = self
            .callers
            .acknowledged
            .iter()
            .find(|id| self.ledger.task(**id).is_none_or(|entry| entry.ended.is_none()));
        let lost = lost.copied();
        self.check(holds(lost.is_none(), "lost", || format!("{lost:?} was acknowledged")));
    }
}

/// Accounts.
impl World {
    /// Whoever asks after a task that has ended finds one row of it, in the right table; of an open one there is none.
    fn balance(&self) -> Result<(), Violation> {
        let disk = &self.drive.disk;
        // What is kept for a while only may be gone by now.
        let is_kept = KEPT <= self.plan.setting.finished_retention;
        for (id, entry) in self.ledger.tasks() {
            let rows = (disk.finished(id.serial()), disk.failed(id.serial()));
            let is_right = match (entry.ended.map(|(ending, _)| ending), rows) {
                (None, (None, None)) | (Some(Ending::Failed), (None, Some(_))) => true,
                (Some(Ending::Succeeded), (Some(row), None)) => row.class == Class::Succeeded,
                (Some(Ending::Cancelled), (Some(row), None)) => row.class == Class::Cancelled,
                (Some(Ending::Succeeded | Ending::Cancelled), (None, None)) => !is_kept,
                (_, _) => false,
            };
            holds(is_right, "accounts", || {
                format!("{id} is {:?}, its rows {rows:?}", entry.ended)
            })?;
        }
        Ok(())
    }
}

/// In what a rebuilt queue differs from the live one.
fn same(live: &Queue, rebuilt: &Queue, now: Time) -> Result<(), String> {
    let tasks = |queue: &Queue| -> Vec<Task> {
        queue.tasks_after(TaskId::from_u128(0)).map(|task| durable(task, now)).collect()
    };
    let (ours, theirs) = (tasks(live), tasks(rebuilt));
    if let Some((our, their)) = ours.iter().zip(&theirs).find(|(our, their)| our != their) {
        return Err(format!("live {our:?}, rebuilt {their:?}"));
    }
    if ours.len() != theirs.len() {
        return Err(format!("{} live tasks, {} rebuilt", ours.len(), theirs.len()));
    }
    let keys =
        |queue: &Queue| -> Vec<_> { queue.kept_keys().filter(|key| now < key.until).collect() };
    if keys(live) != keys(rebuilt) {
        return Err(format!("keys: live {:?}, rebuilt {:?}", keys(live), keys(rebuilt)));
    }
    let paused = |queue: &Queue| -> Vec<Name> {
        queue.queues().filter(|view| view.paused).map(|view| view.name).collect()
    };
    if paused(live) != paused(rebuilt) {
        return Err(format!("paused: live {:?}, rebuilt {:?}", paused(live), paused(rebuilt)));
    }
    if live.session_ttl_max() != rebuilt.session_ttl_max() {
        return Err("the longest promise to a worker".to_owned());
    }
    Ok(())
}

/// What of a task is durable. Its payload is wherever there was room for it; what it is others judge, who see it used.
fn durable(task: &Task, now: Time) -> Task {
    let mut task = task.clone();
    task.revision = 0;
    let len = task.spec.payload.len();
    task.spec.payload = Payload::Away(len);
    match &mut task.phase {
        Phase::Scheduled { eligible, .. } if *eligible <= now => task.phase = Phase::Queued,
        Phase::Leased(lease) => {
            (lease.session, lease.progress) = (None, None);
            (lease.heard, lease.silence_since) = (None, None);
            lease.reckoned = leasehold_queue::Reckoned::default();
            if let Some(revoking) = &mut lease.revoking {
                revoking.delivered = None;
            }
        }
        Phase::Scheduled { .. } | Phase::Queued => {}
    }
    task
}
