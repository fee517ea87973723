//! How busy the processor is that this worker may use: that of its control group if that has a limit, else the machine's.
//!
//! It reads what the kernel shows in `/proc` and `/sys/fs/cgroup`, in both versions of control groups. Where that cannot be
//! read nothing is said. It knows nothing of tasks.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use crate::clock::Moment;

/// Where the kernel shows processes.
const PROC: &str = "/proc";

/// Where control groups are shown.
const CGROUP: &str = "/sys/fs/cgroup";

/// Over how long it is measured at the least: the kernel counts the machine's time in hundredths of a second.
const SPAN_MIN: Duration = Duration::from_secs(1);

/// As busy as it can be, in thousandths.
const PERMILLE: u128 = 1_000;

/// Looks at a processor now and then.
pub(crate) struct Meter {
    source: Source,
    last: Option<(Moment, Used)>,
    /// What was found last, in thousandths.
    busy: Option<i32>,
}

/// Whose processor it is.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Source {
    /// A control group may use so many nanoseconds of processors in each second.
    Group { usage: Usage, per_second: u64 },
    /// The machine's, from this file.
    Machine(PathBuf),
}

/// Where a control group says how much it has used.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Usage {
    /// A number of nanoseconds (version 1).
    Nanos(PathBuf),
    /// Among others, `usage_usec` (version 2).
    Stat(PathBuf),
}

/// What was used of what there was, both since some beginning and in the same unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Used {
    used: u64,
    /// None: it goes with the time.
    of: Option<u64>,
}

impl Meter {
    /// A meter of this process's processor.
    pub(crate) fn new() -> Self {
        Self { source: Source::find(Path::new(PROC), Path::new(CGROUP)), last: None, busy: None }
    }

    /// How busy it was since about a second ago or longer, in thousandths. None: that is not known (yet).
    pub(crate) fn read(&mut self, now: Moment) -> Option<i32> {
        if self.last.is_some_and(|(at, _)| now.since(at) < SPAN_MIN) {
            return self.busy;
        }
        let used = self.source.read();
        let since = self.last.zip(used);
        self.busy =
            since.and_then(|((at, before), used)| self.source.busy(before, used, now.since(at)));
        self.last = used.map(|used| (now, used));
        self.busy
    }
}

impl Source {
    /// Whose processor this process may use.
    fn find(proc: &Path, cgroup: &Path) -> Self {
        let groups = fs::read_to_string(proc.join("self/cgroup")).unwrap_or_default();
        let limited = version_2(&groups, cgroup).or_else(|| version_1(&groups, cgroup));
        limited.unwrap_or_else(|| Self::Machine(proc.join("stat")))
    }

    fn read(&self) -> Option<Used> {
        match self {
            Self::Group { usage: Usage::Nanos(path), .. } => {
                Some(Used { used: number(path)?, of: None })
            }
            Self::Group { usage: Usage::Stat(path), .. } => {
                let text = fs::read_to_string(path).ok()?;
                let used = text.lines().find_map(|line| line.strip_prefix("usage_usec "))?;
                Some(Used { used: used.trim().parse::<u64>().ok()?.checked_mul(1_000)?, of: None })
            }
            Self::Machine(path) => machine(&fs::read_to_string(path).ok()?),
        }
    }

    fn busy(&self, before: Used, now: Used, span: Duration) -> Option<i32> {
        let used = u128::from(now.used.checked_sub(before.used)?);
        let of = match (self, before.of, now.of) {
            (Self::Group { per_second, .. }, ..) => {
                u128::from(*per_second) * span.as_nanos() / 1_000_000_000
            }
            (Self::Machine(_), Some(before), Some(now)) => u128::from(now.checked_sub(before)?),
            (Self::Machine(_), ..) => return None,
        };
        i32::try_from((used * PERMILLE).checked_div(of)?.min(PERMILLE)).ok()
    }
}

/// The tightest limit of the groups that this process is in, in version 2: its own or that of any above it.
fn version_2(groups: &str, mount: &Path) -> Option<Source> {
    let own = groups.lines().find_map(|line| line.strip_prefix("0::/"))?;
    let limits = ancestors(mount, own).filter_map(|group| {
        let text = fs::read_to_string(group.join("cpu.max")).ok()?;
        let (quota, period) = text.trim().split_once(' ')?;
        let per_second = per_second(quota.parse().ok()?, period.parse().ok()?)?;
        Some(Source::Group { usage: Usage::Stat(group.join("cpu.stat")), per_second })
    });
    limits.min_by_key(Source::per_second)
}

/// The same in version 1, where the quota and the account may be shown in folders of their own.
fn version_1(groups: &str, mount: &Path) -> Option<Source> {
    let own = |controller: &str| {
        groups.lines().find_map(|line| {
            let mut parts = line.splitn(3, ':').skip(1);
            let is_it = parts.next()?.split(',').any(|it| it == controller);
            parts.next().filter(|_| is_it)?.strip_prefix('/')
        })
    };
    let (quotas, accounts) = (mount.join("cpu"), mount.join("cpuacct"));
    let account = own("cpuacct")?;
    let limits = ancestors(&quotas, own("cpu")?).filter_map(|group| {
        let quota = number(&group.join("cpu.cfs_quota_us"))?;
        let per_second = per_second(quota, number(&group.join("cpu.cfs_period_us"))?)?;
        // In a container both are shown as if its own group were the root.
        let below = group.strip_prefix(&quotas).ok()?;
        let shown = [accounts.join(below), accounts.join(account), accounts.clone()];
        let shown = shown.into_iter().map(|it| it.join("cpuacct.usage")).find(|it| it.is_file())?;
        Some(Source::Group { usage: Usage::Nanos(shown), per_second })
    });
    limits.min_by_key(Source::per_second)
}

impl Source {
    fn per_second(&self) -> u64 {
        match self {
            Self::Group { per_second, .. } => *per_second,
            Self::Machine(_) => u64::MAX,
        }
    }
}

/// A group and those above it, as folders; the last is the root.
fn ancestors(mount: &Path, own: &str) -> impl Iterator<Item = PathBuf> {
    let own = PathBuf::from(own);
    let levels: Vec<PathBuf> = own.ancestors().map(|it| mount.join(it)).collect();
    levels.into_iter()
}

/// How many nanoseconds of processors a second may have. A limit beyond what the machine has is none.
fn per_second(quota_us: u64, period_us: u64) -> Option<u64> {
    let per_second = quota_us.checked_mul(1_000_000_000)?.checked_div(period_us)?;
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let machine = u64::try_from(cores).ok()?.checked_mul(1_000_000_000)?;
    (0 < per_second && per_second <= machine).then_some(per_second)
}

fn number(path: &Path) -> Option<u64> {
    fs::read_to_string(path).ok()?.trim().parse().ok()
}

/// The time of all processors of a machine, from the first line of its `stat`.
fn machine(stat: &str) -> Option<Used> {
    let mut fields = stat.lines().next()?.split_whitespace();
    let _is_total = fields.next().filter(|it| *it == "cpu")?;
    // What runs in virtual machines is part of what comes before.
    let times: Vec<u64> = fields.take(8).filter_map(|it| it.parse().ok()).collect();
    let [user, nice, system, idle, iowait, irq, softirq, steal] = times.as_slice() else {
        return None;
    };
    let busy = user + nice + system + irq + softirq + steal;
    Some(Used { used: busy, of: Some(busy + idle + iowait) })
}

#[cfg(test)]
mod tests;
