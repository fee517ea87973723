//! The worker's process group: where a guard goes when it kills the rest of its own.

use std::fs;

use rustix::process::{Pid, getpid, setpgid};

/// The group of this process, by its number in its own pid namespace. `None`: it is none of this namespace's.
///
/// `getpgid` of rustix takes such a group, which has the number 0, for impossible.
pub(crate) fn own() -> Option<Pid> {
    // Even where /proc is that of an outer namespace, the last number is that of the innermost.
    let status = fs::read_to_string("/proc/self/status").ok()?;
    group(&status)
}

/// Makes sure that this process is in a group that its guards can join. One that starts a pid namespace (`unshare
/// --pid --fork`) is not: its group is outside.
pub(super) fn provide() {
    if own().is_none() {
        // A process that leads a session leads a group too, and is not here: nothing else can keep it from its own.
        let _impossible = setpgid(None, Some(getpid()));
    }
}

fn group(status: &str) -> Option<Pid> {
    let line = status.lines().find_map(|line| line.strip_prefix("NSpgid:"))?;
    Pid::from_raw(line.split_whitespace().last()?.parse().ok()?)
}

#[cfg(test)]
mod tests;
