//! What processes use while something is measured, from Linux's `/proc`.

use std::{fmt, fs, time::Duration};

use serde::Serialize;

/// The unit of times in `/proc`: `USER_HZ`, which is 100 on every Linux.
const TICK: Duration = Duration::from_millis(10);

/// A process whose use is looked at.
#[derive(Clone, Copy, Debug)]
pub(super) struct Process {
    /// What it is called in a report.
    pub(super) name: &'static str,
    pub(super) pid: u32,
}

/// Processes, and what each had used when it began.
#[derive(Debug)]
pub(super) struct Meter(Vec<(Process, Option<Used>)>);

/// What a process has used since it was started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Used {
    cpu: Duration,
    /// The most that was resident at once, in bytes.
    rss_max_bytes: u64,
}

/// What a process used while something was measured.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Usage {
    cpu_secs: f64,
    /// `None`: there were no tasks.
    #[serde(skip_serializing_if = "Option::is_none")]
    cpu_micros_per_task: Option<f64>,
    /// The most that was resident at once, before included.
    rss_max_bytes: u64,
}

impl Meter {
    pub(super) fn start(processes: impl IntoIterator<Item = Process>) -> Self {
        Self(processes.into_iter().map(|it| (it, Used::by(it.pid))).collect())
    }

    /// What each has used since. One that the system does not tell of is left out.
    pub(super) fn stop(&self, tasks: u64) -> Vec<(&'static str, Usage)> {
        let usage = |(process, before): &(Process, Option<Used>)| {
            let usage = Usage::between((*before)?, Used::by(process.pid)?, tasks);
            Some((process.name, usage))
        };
        self.0.iter().filter_map(usage).collect()
    }
}

/// What is resident of a process, in bytes; `None` where the system does not say.
pub(super) fn resident_bytes(pid: u32) -> Option<u64> {
    bytes("VmRSS:", &fs::read_to_string(format!("/proc/{pid}/status")).ok()?)
}

impl Used {
    /// `None` where the system does not say.
    fn by(pid: u32) -> Option<Self> {
        let read = |file| fs::read_to_string(format!("/proc/{pid}/{file}")).ok();
        Some(Self { cpu: cpu(&read("stat")?)?, rss_max_bytes: bytes("VmHWM:", &read("status")?)? })
    }
}

impl Usage {
    fn between(before: Used, after: Used, tasks: u64) -> Self {
        let cpu_secs = after.cpu.saturating_sub(before.cpu).as_secs_f64();
        #[expect(clippy::cast_precision_loss, reason = "far fewer tasks than 2^52")]
        let per_task = |tasks| cpu_secs * 1e6 / tasks as f64;
        let cpu_micros_per_task = (tasks > 0).then(|| per_task(tasks));
        Self { cpu_secs, cpu_micros_per_task, rss_max_bytes: after.rss_max_bytes }
    }
}

impl fmt::Display for Usage {
    #[expect(clippy::cast_precision_loss, reason = "mebibytes to one digit")]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.cpu_micros_per_task {
            Some(micros) => write!(f, "{micros:.1} us/task")?,
            None => write!(f, "{:.2} s of cpu", self.cpu_secs)?,
        }
        write!(f, ", {:.1} MiB at most", self.rss_max_bytes as f64 / f64::from(1 << 20))
    }
}

/// User and system time: fields 14 and 15. The second field, a name in parentheses, may hold anything.
fn cpu(stat: &str) -> Option<Duration> {
    let (_, fields) = stat.rsplit_once(") ")?;
    // What is left begins with field 3.
    let mut fields = fields.split(' ').skip(11);
    let user: u32 = fields.next()?.parse().ok()?;
    let system: u32 = fields.next()?.parse().ok()?;
    Some(TICK * user.checked_add(system)?)
}

/// A line of a process's status, in bytes.
fn bytes(name: &str, status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    let kib: u64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
    kib.checked_mul(1 << 10)
}

#[cfg(test)]
mod tests;
