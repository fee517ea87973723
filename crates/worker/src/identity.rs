//! Who a worker is.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
};

use leasehold_policy::namespace;
use leasehold_proto::{duration::to_wire, v1};

use crate::{assignment::Assignment, clock::Moment, size::Size};

/// Who a worker is and what it serves: what it says of itself in each hello.
#[derive(Clone, Debug)]
pub(crate) struct Identity {
    /// Its own name, stable over restarts.
    pub(crate) worker_id: String,
    /// Made anew at each start of the process.
    pub(crate) instance_id: String,
    /// When that was, by a clock that nobody sets. `None`: the machine does not say which boot it counts from.
    pub(crate) process_start: Option<v1::ProcessStart>,
    /// Earlier starts that are gone, with all that they had started.
    pub(crate) replaces: Vec<String>,
    /// For people.
    pub(crate) labels: BTreeMap<String, String>,
    /// What it serves.
    pub(crate) task_types: BTreeSet<String>,
    /// Of which namespaces it takes tasks. Empty: of every one.
    pub(crate) namespaces: BTreeSet<String>,
    /// Which payload schemas it reads of a type. Of one that is not there: every one.
    pub(crate) schemas: BTreeMap<String, BTreeSet<String>>,
    /// How much what runs may take at a time.
    pub(crate) whole: Size,
    /// How many leases it takes beyond its slots.
    pub(crate) prefetch: u32,
    /// The program and its version, for people.
    pub(crate) software: String,
}

impl Identity {
    /// Whether it takes the task. A coordinator that knows no namespaces overlooks what the hello says of them, and names none:
    /// all that it has is of "default".
    pub(crate) fn serves(&self, assignment: &Assignment) -> bool {
        let namespace = match assignment.namespace.as_str() {
            "" => namespace::DEFAULT,
            named => named,
        };
        let is_mine = self.namespaces.is_empty() || self.namespaces.contains(namespace);
        is_mine && self.task_types.contains(&assignment.task_type)
    }
}

/// The longest worker id.
const WORKER_ID_BYTES_MAX: usize = 128;

/// The machine's name, as far as a worker id may say it.
pub(crate) fn hostname() -> String {
    let name = rustix::system::uname();
    let name = name.nodename().to_string_lossy();
    let usable: String = name
        .chars()
        .map(|c| if is_id_char(c) { c } else { '-' })
        .take(WORKER_ID_BYTES_MAX)
        .collect();
    if usable.is_empty() { "worker".to_owned() } else { usable }
}

/// Whether a worker may be called this.
pub(crate) fn is_worker_id(id: &str) -> bool {
    !id.is_empty() && id.len() <= WORKER_ID_BYTES_MAX && id.chars().all(is_id_char)
}

fn is_id_char(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-')
}

/// This moment, for whoever has to order the starts of processes of one machine.
pub(crate) fn process_start() -> Option<v1::ProcessStart> {
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    Some(start(boot.trim(), Moment::now()))
}

/// A start at that moment after a boot.
pub(crate) fn start(boot: &str, at: Moment) -> v1::ProcessStart {
    let after_boot = Some(to_wire(at.since(Moment::default())));
    v1::ProcessStart { boot_id: boot.to_owned(), after_boot }
}

/// A name for this start of the process.
pub(crate) fn instance_id() -> String {
    format!("{:032x}", fastrand::u128(..))
}

#[cfg(test)]
mod tests;
