//! What is said while it runs: every event of the shipped code and of the simulation, in simulated time.

use std::{
    fmt,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use tracing_subscriber::{
    EnvFilter,
    fmt::{format::Writer, time::FormatTime},
};

/// What is said of whom: the network's own words and those of HTTP/2 would drown the rest.
const FILTER: &str = "debug,h2=info,hyper=info,hyper_util=info,tower=info,turmoil=info";

/// What the network's own clock shows, in milliseconds.
static NETWORK_MS: AtomicU64 = AtomicU64::new(0);

/// Simulated time.
struct Simulated;

impl FormatTime for Simulated {
    fn format_time(&self, w: &mut Writer<'_>) -> fmt::Result {
        write!(w, "{:10.3}", now().as_secs_f64())
    }
}

/// How long it has been since the simulation began: on the machine that asks, or where nobody does, on the network.
pub(crate) fn now() -> Duration {
    let network = || Duration::from_millis(NETWORK_MS.load(Ordering::Relaxed));
    turmoil::sim_elapsed().unwrap_or_else(network)
}

/// The network is that far.
pub(crate) fn network_is_at(elapsed: Duration) {
    let ms = u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX);
    NETWORK_MS.store(ms, Ordering::Relaxed);
}

/// Begins to say everything on standard output.
pub fn begin() {
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::new(FILTER))
        .with_ansi(false)
        .with_timer(Simulated)
        .finish();
    // A second one is not heard: there is one run to a process.
    let _unheard = tracing::subscriber::set_global_default(subscriber);
}
