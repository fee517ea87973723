//! Which clock a worker lives by: the machine's, or that of a runtime whose time a simulation has paused.

use std::{io, pin::Pin};

use tokio::time::{Instant, Sleep, sleep_until};

use super::{Alarm, Moment};

/// Where moments come from.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Clock {
    /// From the machine, since it booted.
    Boot,
    /// From the runtime, since then.
    Runtime(Instant),
}

/// A timer on a [`Clock`].
pub(crate) enum Bell {
    /// On the machine's.
    Boot(Alarm),
    /// On the runtime's, which began then.
    Runtime {
        /// When its moments begin.
        began: Instant,
        /// What is waited for, if it is set.
        rings: Option<Pin<Box<Sleep>>>,
    },
}

impl Clock {
    /// What it says.
    pub(crate) fn now(self) -> Moment {
        match self {
            Self::Boot => Moment::now(),
            Self::Runtime(began) => Moment(began.elapsed()),
        }
    }

    /// A timer on it that is not set. It needs a runtime with I/O for the machine's.
    pub(crate) fn bell(self) -> io::Result<Bell> {
        match self {
            Self::Boot => Ok(Bell::Boot(Alarm::new()?)),
            Self::Runtime(began) => Ok(Bell::Runtime { began, rings: None }),
        }
    }
}

impl Bell {
    /// Sets the timer; `None` stops it. The past rings at once.
    pub(crate) fn set(&mut self, at: Option<Moment>) -> io::Result<()> {
        match self {
            Self::Boot(alarm) => alarm.set(at)?,
            Self::Runtime { began, rings } => {
                *rings = at.map(|Moment(at)| Box::pin(sleep_until(*began + at)));
            }
        }
        Ok(())
    }

    /// Waits until the timer rings, and leaves it stopped.
    pub(crate) async fn ring(&mut self) -> io::Result<()> {
        match self {
            Self::Boot(alarm) => alarm.ring().await?,
            Self::Runtime { rings, .. } => {
                match rings {
                    Some(rings) => rings.await,
                    None => std::future::pending().await,
                }
                *rings = None;
            }
        }
        Ok(())
    }
}
