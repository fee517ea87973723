//! What a decision rests upon, in the words of an operator.

use std::time::Duration;

use leasehold_policy::scale::{Bound, Settings, Signals, Verdict, Why};

/// As long as nothing is decided.
pub(super) const WARMING_UP: &str =
    "the coordinator has just started: its workers may still be on their way back";

/// One line for people.
pub(super) fn of(verdict: &Verdict, signals: &Signals, settings: &Settings) -> String {
    let Signals { workers, idle, backlog, .. } = signals;
    match verdict.why {
        Why::Calm => "no threshold is crossed".to_owned(),
        Why::Nobody => format!("{backlog} tasks wait and there is no worker"),
        Why::QueueWait => {
            let wait = rounded(signals.queue_wait.unwrap_or_default());
            let most = settings.queue_wait;
            format!("tasks wait {wait:?} on average, more than {most:?}, and {backlog} do now")
        }
        Why::StartLatency => {
            let latency = rounded(signals.start_latency.unwrap_or_default());
            let most = settings.start_latency;
            let patience = settings.start_patience;
            format!(
                "for {patience:?} not even 95 % of tasks started within {most:?} ({latency:?} now), and {backlog} wait"
            )
        }
        Why::Cpu => {
            let (busy, most) = (percent(signals.cpu.unwrap_or(0)), percent(settings.cpu_high));
            format!("the processors of {workers} workers are {busy} busy, more than {most}")
        }
        Why::Idle => format!("{idle} workers have nothing to do, more than {}", settings.spare),
        Why::Settling => {
            format!(
                "more are wanted; the last change has {:?} to show what it does",
                settings.settle
            )
        }
        Why::Cooling => {
            let left = rounded(verdict.cooldown_left);
            format!("{idle} workers have nothing to do; one goes in {left:?} if that lasts")
        }
        Why::Limited => {
            let held = signals.held.total();
            let what = verdict.bound.map_or("something else", holder);
            format!("all {held} tasks that wait are held by {what}: more workers would not help")
        }
        Why::Range => format!("from {} to {} workers are allowed", settings.min, settings.max),
    }
}

/// What holds tasks back.
const fn holder(bound: Bound) -> &'static str {
    match bound {
        Bound::Paused => "paused queues",
        Bound::RateLimit => "rate limits",
        Bound::Concurrency => "concurrency limits",
        Bound::Breaker => "open circuits",
        Bound::Quota => "quotas",
        Bound::Capacity | Bound::MaxWorkers => "workers that are busy",
    }
}

/// As exact as a person reads it: to a millisecond, and to a tenth of a second from one second on.
fn rounded(duration: Duration) -> Duration {
    let step = if duration < Duration::from_secs(1) { 1 } else { 100 };
    let ms = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    Duration::from_millis(ms / step * step)
}

fn percent(permille: u16) -> String {
    format!("{} %", permille / 10)
}

#[cfg(test)]
mod tests;
