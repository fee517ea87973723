//! What must be true of a cluster that was ill-treated, whatever was done to it.
//!
//! It knows evidence alone: what submitters were told, what workers were told, what executions wrote down, what the
//! coordinator shows in the end, and which workers stood still when. A stopped process cannot know that its lease has
//! ended, so an overlap with one is counted and must be harmless; any other must not be.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use leasehold_proto::v1::{ResultDisposition, Task, TaskState};

use super::ledger::{Execution, Line, Verb, executions};
use crate::{crew::Answer, judge::History};

/// How long a process that stood still may take to notice what became of its leases.
const WAKING_NS: i128 = 1_000_000_000;

/// A time in which a worker and the work in it stood still, in nanoseconds of boot time.
#[derive(Clone, Debug)]
pub(crate) struct Pause {
    pub(crate) worker: String,
    pub(crate) from: i128,
    pub(crate) to: i128,
}

/// Everything that is known of a run.
#[derive(Clone, Default)]
pub(crate) struct Evidence {
    /// The key of every submit that was tried.
    pub(crate) attempted: BTreeSet<String>,
    /// What was said and shown.
    pub(crate) history: History,
    /// What executions wrote down.
    pub(crate) ledger: Vec<Line>,
    /// Who stood still.
    pub(crate) pauses: Vec<Pause>,
}

/// Two executions of one task that lived at the same time.
struct Overlap<'a> {
    task: &'a str,
    /// Under the smaller token: whose lease had ended.
    early: &'a Execution,
    late: &'a Execution,
}

/// A run in numbers.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Summary {
    attempted: usize,
    acknowledged: usize,
    succeeded: usize,
    /// Acknowledged and gone.
    lost: usize,
    /// Accepted more than once, or with another result than it had.
    doubled: usize,
    executions: usize,
    leases: i64,
    /// With an earlier holder that stood still.
    overlaps_paused: usize,
    overlaps_unpaused: usize,
    /// Writes that the resource refused.
    fenced: usize,
    /// Outcomes that the coordinator refused.
    stale: usize,
}

impl Evidence {
    /// Everything that must not be, in words.
    pub(crate) fn violations(&self) -> Vec<String> {
        let executions = executions(&self.ledger);
        [
            self.unresolved(),
            self.history.submits(),
            self.history.ends(),
            self.history.acceptances(),
            self.history.tokens(),
            self.executed(&executions),
            self.last_granted(&executions),
            self.exclusive(&executions),
            self.guarded(),
        ]
        .concat()
    }

    /// The run in numbers.
    pub(crate) fn summary(&self) -> Summary {
        let executions = executions(&self.ledger);
        let shown = &self.history.shown;
        let stale = |it: &&Answer| it.disposition == ResultDisposition::Stale;
        let overlaps = overlaps(&executions);
        let paused = overlaps.iter().filter(|it| self.stood_still(it)).count();
        Summary {
            attempted: self.attempted.len(),
            acknowledged: self.history.acknowledged.len(),
            succeeded: shown.iter().filter(|it| it.state() == TaskState::Succeeded).count(),
            lost: self.history.lost().len(),
            doubled: self.history.acceptances().len(),
            executions: executions.values().map(Vec::len).sum(),
            leases: shown.iter().map(|it| i64::from(it.lease_count)).sum(),
            overlaps_paused: paused,
            overlaps_unpaused: overlaps.len() - paused,
            fenced: self.ledger.iter().filter(|it| it.verb == Verb::Refused).count(),
            stale: self.history.answers.iter().filter(stale).count(),
        }
    }

    /// Every submit that was tried has been acknowledged in the end: what was unknown is known.
    fn unresolved(&self) -> Vec<String> {
        let open = self.attempted.iter().filter(|it| !self.history.acknowledged.contains_key(*it));
        open.map(|it| format!("nobody knows what became of the submit {it}")).collect()
    }

    /// Nothing runs without a lease, and nothing twice under one.
    fn executed(&self, executions: &BTreeMap<&str, Vec<Execution>>) -> Vec<String> {
        let mut wrong = Vec::new();
        let leases: BTreeMap<&str, i32> =
            self.history.shown.iter().map(|it| (it.task_id.as_str(), it.lease_count)).collect();
        for (task, executions) in executions {
            let leases = leases.get(task).copied().unwrap_or_default();
            let count = executions.len();
            if i32::try_from(count).is_ok_and(|count| count > leases) {
                wrong.push(format!("task {task} was executed {count} times under {leases} leases"));
            }
            let twice = executions.iter().filter(|it| it.begins > 1);
            wrong.extend(
                twice.map(|it| format!("task {task} began more than once under {}", it.token)),
            );
        }
        wrong
    }

    /// What was accepted was said under the last lease anybody worked under, and wrote to the resource last.
    fn last_granted(&self, executions: &BTreeMap<&str, Vec<Execution>>) -> Vec<String> {
        let mut wrong = Vec::new();
        let effects = self.ledger.iter().filter(|it| it.verb == Verb::Wrote);
        let wrote: BTreeMap<&str, i64> = effects.map(|it| (it.task.as_str(), it.token)).collect();
        for task in &self.history.shown {
            if task.state() != TaskState::Succeeded {
                continue;
            }
            let id = task.task_id.as_str();
            let accepted = token_of(task);
            let last = executions.get(id).and_then(|it| it.iter().map(|it| it.token).max());
            if accepted != last {
                wrong.push(format!("task {id}: {accepted:?} was accepted, {last:?} ran last"));
            }
            let writer = wrote.get(id).copied();
            if accepted != writer {
                wrong.push(format!("task {id}: {accepted:?} was accepted, {writer:?} wrote last"));
            }
        }
        wrong
    }

    /// No two executions of a task live at the same time, unless the earlier one's worker stood still.
    fn exclusive(&self, executions: &BTreeMap<&str, Vec<Execution>>) -> Vec<String> {
        let awake = overlaps(executions).into_iter().filter(|it| !self.stood_still(it));
        awake.map(|it| it.to_string()).collect()
    }

    /// No write of an earlier lease lands after one of a later.
    fn guarded(&self) -> Vec<String> {
        let mut largest: BTreeMap<&str, i64> = BTreeMap::new();
        let mut wrong = Vec::new();
        for line in self.ledger.iter().filter(|it| it.verb == Verb::Wrote) {
            let seen = largest.entry(&line.task).or_insert(line.token);
            if line.token < *seen {
                let (task, token) = (&line.task, line.token);
                wrong.push(format!("task {task}: a write under {token} landed after {seen}"));
            }
            *seen = line.token.max(*seen);
        }
        wrong
    }

    /// Whether the worker of the earlier lease stood still when the later execution began, or had just woken up.
    fn stood_still(&self, overlap: &Overlap<'_>) -> bool {
        let moment = overlap.early.begin.max(overlap.late.begin);
        let pauses = self.pauses.iter().filter(|it| it.worker == overlap.early.worker);
        pauses.into_iter().any(|it| it.from <= moment && moment <= it.to + WAKING_NS)
    }
}

/// The token a task's result names.
fn token_of(task: &Task) -> Option<i64> {
    std::str::from_utf8(&task.result).ok()?.split_once(' ')?.1.parse().ok()
}

fn overlaps<'a>(executions: &'a BTreeMap<&'a str, Vec<Execution>>) -> Vec<Overlap<'a>> {
    let mut found = Vec::new();
    for (task, executions) in executions {
        for (index, one) in executions.iter().enumerate() {
            for other in executions.iter().skip(index + 1) {
                let met = one.begin <= other.last && other.begin <= one.last;
                let seen = one.saw.contains(&other.token) || other.saw.contains(&one.token);
                if met || seen {
                    let is_early = one.token < other.token;
                    let (early, late) = if is_early { (one, other) } else { (other, one) };
                    found.push(Overlap { task, early, late });
                }
            }
        }
    }
    found
}

impl fmt::Display for Overlap<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { task, early, late } = self;
        write!(
            f,
            "task {task} ran under {} on {} from {} to {} and under {} on {} from {} to {}",
            early.token,
            early.worker,
            early.begin,
            early.last,
            late.token,
            late.worker,
            late.begin,
            late.last
        )
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { attempted, acknowledged, succeeded, lost, doubled, .. } = self;
        write!(f, "attempted {attempted} acked {acknowledged} succeeded {succeeded} ")?;
        write!(f, "lost {lost} doubled {doubled} ")?;
        let Self { executions, leases, overlaps_paused, overlaps_unpaused, .. } = self;
        write!(f, "executions {executions} leases {leases} overlaps {overlaps_unpaused} ")?;
        let Self { fenced, stale, .. } = self;
        write!(f, "(paused {overlaps_paused}) fenced {fenced} stale {stale}")
    }
}

#[cfg(test)]
mod tests;
