//! What really happened, as nobody inside is told: which handlers ran when, and what callers were told.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use crate::{fault::Machine, judge::Violation, trace};

/// Shared by everybody in a simulation.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ledger(Arc<Mutex<Pages>>);

/// What is written.
#[derive(Debug, Default)]
pub(crate) struct Pages {
    /// What each task went through.
    pub(crate) tasks: BTreeMap<String, Story>,
    /// The first promise that was broken.
    pub(crate) violation: Option<Violation>,
    /// Of everything that was noted.
    pub(crate) hash: Fnv,
    /// How many handlers began.
    pub(crate) runs: u64,
    /// How often a worker or the coordinator started.
    pub(crate) starts: u64,
}

/// What a task went through.
#[derive(Debug, Default)]
pub(crate) struct Story {
    /// Under which lease each handler began.
    pub(crate) begun: BTreeSet<i64>,
    /// Under which leases a handler returned a result.
    pub(crate) returned: BTreeSet<i64>,
    /// Which handlers run now.
    running: BTreeMap<i64, Machine>,
}

/// A hash that is the same everywhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Fnv(pub(crate) u64);

impl Default for Fnv {
    fn default() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }
}

impl Fnv {
    fn mix(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
    }
}

impl Ledger {
    /// Something happened.
    pub(crate) fn note(&self, what: &str) {
        let line = format!("{:10.3} {what}", trace::now().as_secs_f64());
        self.pages().hash.mix(line.as_bytes());
        tracing::info!(target: "net_sim", "{what}");
    }

    /// A promise was broken.
    pub(crate) fn broken(&self, violation: Violation) {
        self.note(&format!("BROKEN: {violation}"));
        self.pages().violation.get_or_insert(violation);
    }

    /// A handler begins. It runs until what is returned is dropped.
    pub(crate) fn begins(&self, task: &str, token: i64, on: Machine) -> Run {
        self.note(&format!("{on} begins {task} under {token}"));
        let mut pages = self.pages();
        pages.runs += 1;
        let story = pages.tasks.entry(task.to_owned()).or_default();
        let is_new = story.begun.insert(token);
        let other = story.running.insert(token, on);
        let others = story.running.iter().find(|(other, _)| **other != token);
        let overlap = others.map(|(other, elsewhere)| Violation::Overlap {
            task: task.to_owned(),
            tokens: (*other, token),
            machines: (*elsewhere, on),
        });
        drop(pages);
        if !is_new {
            self.broken(Violation::TokenTwice { task: task.to_owned(), token, was: other });
        }
        if let Some(overlap) = overlap {
            self.broken(overlap);
        }
        Run { ledger: self.clone(), task: task.to_owned(), token, on }
    }

    /// Everything that is written.
    pub(crate) fn pages(&self) -> MutexGuard<'_, Pages> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A handler that runs.
pub(crate) struct Run {
    ledger: Ledger,
    task: String,
    token: i64,
    on: Machine,
}

impl Run {
    /// It is about to return a result.
    pub(crate) fn returns(&self) {
        let mut pages = self.ledger.pages();
        if let Some(story) = pages.tasks.get_mut(&self.task) {
            story.returned.insert(self.token);
        }
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        let mut pages = self.ledger.pages();
        if let Some(story) = pages.tasks.get_mut(&self.task) {
            story.running.remove(&self.token);
        }
        drop(pages);
        self.ledger.note(&format!("{} is done with {} under {}", self.on, self.task, self.token));
    }
}
