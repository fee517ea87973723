//! The ground truth of executions: a file that every execution adds one line to when it begins.
//!
//! A line is `task-id fencing-token pid`. It is written in one call to a file opened for appending,
//! so that lines of several processes stay whole, and it is there however the process ends.

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::path::Path;

/// The file, open for appending.
#[derive(Debug)]
pub(crate) struct Ledger(File);

impl Ledger {
    /// Opens the file, which need not exist.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        Ok(Self(OpenOptions::new().append(true).create(true).open(path)?))
    }

    /// Notes that this process begins to execute a task.
    pub(crate) fn note(&self, task_id: &str, fencing_token: i64) -> io::Result<()> {
        let line = format!("{task_id} {fencing_token} {}\n", std::process::id());
        (&self.0).write_all(line.as_bytes())
    }
}

/// How often each task was executed.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally(HashMap<String, usize>);

impl Tally {
    /// Counts the lines of a ledger. One that does not exist is empty.
    pub(crate) fn read(path: &Path) -> io::Result<Self> {
        match std::fs::read_to_string(path) {
            Ok(text) => Ok(Self::of(&text)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(error),
        }
    }

    fn of(text: &str) -> Self {
        let mut tally = Self::default();
        for task_id in text.lines().filter_map(|line| line.split(' ').next()) {
            *tally.0.entry(task_id.to_owned()).or_default() += 1;
        }
        tally
    }

    /// How often this task was executed.
    pub(crate) fn executions(&self, task_id: &str) -> usize {
        self.0.get(task_id).copied().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests;
