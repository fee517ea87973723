//! What holds for a session, as the welcome said.

use std::time::Duration;

use leasehold_policy::{Backoff, Jitter, Mutant};
use leasehold_proto::v1;

use crate::{assignment::duration, limits::Limits};

/// How much of the session's time the worker gives away: clocks may differ in rate by one in this many.
const CLOCK_RATE_ERROR: u32 = 100;

/// The shortest heartbeat interval; the coordinator offers none below it.
const HEARTBEAT_INTERVAL_MIN: Duration = Duration::from_millis(10);

/// What holds for a session.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Terms {
    pub(super) heartbeat_interval: Duration,
    pub(super) session_ttl: Duration,
    pub(super) reconnect: Backoff,
    pub(super) limits: Limits,
}

impl Default for Terms {
    /// What holds before the first welcome.
    fn default() -> Self {
        Self {
            heartbeat_interval: Duration::from_secs(5),
            session_ttl: Duration::from_secs(20),
            reconnect: Backoff {
                initial: Duration::from_millis(250),
                factor: 2.0,
                cap: Duration::from_secs(10),
                jitter: Jitter::Full,
            },
            limits: Limits { result_bytes: 1 << 20, checkpoint_bytes: 0 },
        }
    }
}

impl Terms {
    /// Reads a welcome; what it leaves out stays at the default.
    pub(super) fn parse(settings: Option<v1::SessionSettings>) -> Self {
        let default = Self::default();
        let Some(settings) = settings else { return default };
        let or = |sent: Option<prost_types::Duration>, default| sent.map_or(default, duration);
        let reconnect = Backoff {
            initial: or(settings.reconnect_initial, default.reconnect.initial),
            cap: or(settings.reconnect_cap, default.reconnect.cap),
            ..default.reconnect
        };
        let result_bytes = usize::try_from(settings.result_bytes_max).unwrap_or(0);
        Self {
            heartbeat_interval: or(settings.heartbeat_interval, default.heartbeat_interval)
                .max(HEARTBEAT_INTERVAL_MIN),
            session_ttl: or(settings.session_ttl, default.session_ttl),
            reconnect,
            limits: Limits {
                result_bytes: match result_bytes {
                    0 => default.limits.result_bytes,
                    sent => sent,
                },
                checkpoint_bytes: usize::try_from(settings.checkpoint_bytes_max).unwrap_or(0),
            },
        }
    }

    /// How long after the sending of an acknowledged heartbeat the worker may believe in its leases.
    pub(super) fn validity(&self) -> Duration {
        if Mutant::FencesLate.is_alive() {
            return self.session_ttl * 3 / 2;
        }
        self.session_ttl / CLOCK_RATE_ERROR * (CLOCK_RATE_ERROR - 1)
    }

    /// How long before the end of validity a handler is asked to stop, at most.
    pub(super) fn stop_margin(&self) -> Duration {
        self.session_ttl / 4
    }

    /// How long a stream may be silent before it is given up for dead.
    pub(super) fn silence_max(&self) -> Duration {
        (self.session_ttl / 2).max(self.heartbeat_interval * 2)
    }
}
