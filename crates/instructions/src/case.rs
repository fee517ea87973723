//! What is counted.

use anyhow::Context as _;

use crate::core;
#[cfg(feature = "coordinator")]
use crate::process;

/// One way through the product.
pub(crate) struct Case {
    /// Its name.
    pub(crate) name: &'static str,
    run: fn(u64) -> anyhow::Result<()>,
}

/// Those that go through the whole coordinator, and are there with its feature alone.
const OF_THE_COORDINATOR: &[&str] = &["coordinator", "restart"];

/// Whether the case of this name is left out.
pub(crate) fn is_left_out(name: &str) -> bool {
    cfg!(not(feature = "coordinator")) && OF_THE_COORDINATOR.contains(&name)
}

/// Every case that is not left out.
pub(crate) const CASES: &[Case] = &[
    #[cfg(feature = "coordinator")]
    Case { name: "coordinator", run: process::flow },
    Case { name: "queue", run: |tasks| core::flow(tasks, core::Backlog::None) },
    Case { name: "queue-blocked", run: |tasks| core::flow(tasks, core::Backlog::Blocked) },
    Case { name: "queue-deep", run: |tasks| core::flow(tasks, core::Backlog::Waiting) },
    Case { name: "queue-large", run: |tasks| core::flow(tasks, core::Backlog::Large) },
    Case { name: "queue-strangers", run: core::flow_of_strangers },
    #[cfg(feature = "coordinator")]
    Case { name: "restart", run: process::restart },
];

impl Case {
    /// Runs it with so many tasks.
    pub(crate) fn run(&self, tasks: u64) -> anyhow::Result<()> {
        (self.run)(tasks)
    }
}

/// The case of this name.
pub(crate) fn named(name: &str) -> anyhow::Result<&'static Case> {
    CASES.iter().find(|case| case.name == name).with_context(|| format!("no case {name:?}"))
}
