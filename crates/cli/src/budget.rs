//! What is left of the time of the task in whose handler a command runs.

use std::{
    env,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use crate::failure::Failure;

/// When that task runs out of time, as the worker tells its programs: Unix time in seconds, with a fraction.
const TASK_DEADLINE: &str = "LEASEHOLD_TASK_DEADLINE";

/// How long that is from now; none outside of a handler. A worker and what it runs are on one machine and read one clock.
pub(crate) fn of_environment() -> Result<Option<Duration>, Failure> {
    let Some(text) = env::var_os(TASK_DEADLINE) else { return Ok(None) };
    let text = text.to_string_lossy();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    left(&text, now).map(Some).map_err(Failure::Usage)
}

fn left(text: &str, now: Duration) -> Result<Duration, String> {
    let seconds = text.parse().ok().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    let deadline = seconds.ok_or_else(|| {
        format!("{TASK_DEADLINE} is {text:?}, which is no Unix time in seconds: unset it, or give --no-inherit")
    })?;
    Ok(deadline.saturating_sub(now))
}

#[cfg(test)]
mod tests;
