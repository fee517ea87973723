//! Waiting for something to become true, with a bound and never by the clock alone.

use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior, interval};

/// How often a condition is looked at: often enough to measure tenths of a second, seldom enough to leave two
/// cores to the processes under test.
const POLL: Duration = Duration::from_millis(10);

/// What a healthy cluster on a busy machine does well within.
pub(crate) const SOON: Duration = Duration::from_secs(20);

/// Looks again and again until `condition` yields something; fails the test after `within`.
pub(crate) async fn eventually<T>(
    what: &str,
    within: Duration,
    mut condition: impl AsyncFnMut() -> Option<T>,
) -> T {
    let deadline = Instant::now() + within;
    let mut ticks = interval(POLL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        if let Some(value) = condition().await {
            return value;
        }
        assert!(Instant::now() < deadline, "not within {within:?}: {what}");
    }
}

/// [`eventually`], for a plain yes or no.
pub(crate) async fn until(what: &str, within: Duration, mut condition: impl AsyncFnMut() -> bool) {
    eventually(what, within, async || condition().await.then_some(())).await;
}
