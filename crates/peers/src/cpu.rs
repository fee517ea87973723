//! The processor time of a server, with all the processes that it has started.

use std::{collections::BTreeMap, fs, time::Duration};

/// The unit of times in `/proc`: `USER_HZ`, which is 100 on every Linux.
const TICK: Duration = Duration::from_millis(10);

/// A server, and what it had used when it was first looked at.
#[derive(Debug)]
pub(crate) struct Cpu {
    root: u32,
    before: Duration,
}

/// A process as `/proc` shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Process {
    parent: u32,
    /// Its own time, and that of children it has waited for.
    time: Duration,
}

impl Cpu {
    pub(crate) fn start(root: u32) -> Self {
        Self { root, before: of(root, &processes()) }
    }

    /// What has been used since.
    pub(crate) fn used(&self) -> Duration {
        of(self.root, &processes()).saturating_sub(self.before)
    }
}

/// The time of a process and all below it.
fn of(root: u32, all: &BTreeMap<u32, Process>) -> Duration {
    let children = all.iter().filter(|(pid, it)| it.parent == root && **pid != root);
    let below: Duration = children.map(|(pid, _)| of(*pid, all)).sum();
    all.get(&root).map_or(below, |it| it.time + below)
}

fn processes() -> BTreeMap<u32, Process> {
    let Ok(entries) = fs::read_dir("/proc") else { return BTreeMap::new() };
    let process = |entry: fs::DirEntry| {
        let pid = entry.file_name().to_str()?.parse().ok()?;
        Some((pid, parse(&fs::read_to_string(entry.path().join("stat")).ok()?)?))
    };
    entries.flatten().filter_map(process).collect()
}

/// Reads the parent and times 14 to 17. The second field, a name in parentheses, may hold anything.
fn parse(stat: &str) -> Option<Process> {
    let (_, fields) = stat.rsplit_once(") ")?;
    let fields: Vec<&str> = fields.split_whitespace().collect();
    // What is left begins with field 3.
    let ticks = |field: usize| fields.get(field - 3)?.parse::<u32>().ok();
    let time = (14..=17).map(ticks).sum::<Option<u32>>()?;
    Some(Process { parent: ticks(4)?, time: TICK * time })
}

#[cfg(test)]
mod tests;
