//! What became of the tasks, in one line. Pure: it is told what was found.

use std::fmt;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

/// How many tasks that went wrong are named.
const NAMED_MAX: usize = 10;

/// What was found out about one acknowledged task.
#[derive(Clone, Debug)]
pub(crate) struct Finding {
    /// The file it is about.
    pub(crate) path: PathBuf,
    /// Its last state, in the contract's words.
    pub(crate) state: &'static str,
    /// Whether that is success.
    pub(crate) has_succeeded: bool,
    /// Whether its result is what an independent computation finds.
    pub(crate) agrees: bool,
    /// How often it was executed, by the ledger.
    pub(crate) executions: usize,
    /// When the coordinator recorded its end.
    pub(crate) finish: Option<SystemTime>,
}

/// When the coordinator was killed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Kill {
    /// SIGKILL is sent.
    pub(crate) sent: SystemTime,
    /// The process is gone: what finishes from here on is acknowledged by another one.
    pub(crate) done: SystemTime,
}

/// The demo's result.
#[derive(Debug)]
pub(crate) struct Verdict {
    tasks: usize,
    succeeded: usize,
    lost: usize,
    wrong: usize,
    executed_twice: usize,
    recovered: Option<Duration>,
    named: Vec<String>,
}

impl Verdict {
    /// Judges every task.
    pub(crate) fn of(findings: &[Finding], kill: Kill) -> Self {
        let count = |is: fn(&Finding) -> bool| findings.iter().filter(|it| is(it)).count();
        let after_kill = findings.iter().filter_map(|it| it.finish).filter(|it| *it > kill.done);
        Self {
            tasks: findings.len(),
            succeeded: count(|it| it.has_succeeded),
            lost: count(Finding::is_lost),
            wrong: count(Finding::is_wrong),
            executed_twice: count(|it| it.executions > 1),
            recovered: after_kill.min().and_then(|first| first.duration_since(kill.sent).ok()),
            named: findings.iter().filter_map(Finding::complaint).take(NAMED_MAX).collect(),
        }
    }

    /// Whether nothing was lost and nothing is wrong.
    pub(crate) fn is_good(&self) -> bool {
        self.lost == 0 && self.wrong == 0 && self.succeeded == self.tasks
    }

    /// Some of the tasks that went wrong.
    pub(crate) fn complaints(&self) -> &[String] {
        &self.named
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { tasks, succeeded, lost, wrong, executed_twice, recovered, named: _ } = self;
        write!(f, "tasks {tasks}  succeeded {succeeded}  lost {lost}  wrong {wrong}  ")?;
        write!(f, "executed twice {executed_twice}  recovered in ")?;
        match recovered {
            Some(time) => write!(f, "{:.2} s", time.as_secs_f64()),
            // With a handful of files, all may be done before the kill.
            None => f.write_str("- s"),
        }
    }
}

impl Finding {
    /// Acknowledged, and not succeeded at the end.
    fn is_lost(&self) -> bool {
        !self.has_succeeded
    }

    /// Succeeded with a result that differs from the recomputation, or without having been executed.
    fn is_wrong(&self) -> bool {
        self.has_succeeded && (!self.agrees || self.executions == 0)
    }

    fn complaint(&self) -> Option<String> {
        let Self { path, state, agrees, executions, .. } = self;
        if self.is_lost() {
            Some(format!("lost: {}: {state}", path.display()))
        } else if self.is_wrong() {
            Some(format!(
                "wrong: {}: result agrees: {agrees}, executions: {executions}",
                path.display()
            ))
        } else {
            None
        }
    }
}

#[cfg(test)]
mod tests;
