//! How many files this process may have open.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// What a program costs: both ends of its socket, its stdout and stderr, what watches its guard, and what is open only
/// while it starts.
const FILES_PER_PROGRAM: u64 = 6;

/// What the worker has open besides: its connection, timers, log, runtimes.
const FILES_OF_ITS_OWN: u64 = 64;

/// Raises what this process may have open to what its slots need, as far as it may; warns if that is not far enough.
///
/// No further than that: programs inherit the limit, and some close every number below it one by one.
pub(crate) fn provide(slots: u32) {
    let needed = needed(slots);
    let limit = getrlimit(Resource::Nofile);
    let Some(raised) = raised(&limit, needed) else { return };
    let allowed = match setrlimit(Resource::Nofile, raised) {
        Ok(()) => raised.current,
        Err(_refused) => limit.current,
    };
    if let Some(allowed) = allowed.filter(|allowed| *allowed < needed) {
        tracing::warn!(
            slots,
            needed,
            allowed,
            "too few open files for that many slots: raise the limit (ulimit -n), or lower the slots"
        );
    }
}

fn needed(slots: u32) -> u64 {
    u64::from(slots) * FILES_PER_PROGRAM + FILES_OF_ITS_OWN
}

/// The limit to ask for; `None` if what holds is enough. No limit at all is none.
fn raised(limit: &Rlimit, needed: u64) -> Option<Rlimit> {
    let current = limit.current.filter(|current| *current < needed)?;
    let most = limit.maximum.map_or(needed, |maximum| maximum.min(needed));
    Some(Rlimit { current: Some(most.max(current)), maximum: limit.maximum })
}

#[cfg(test)]
mod tests;
