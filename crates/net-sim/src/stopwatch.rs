//! Real time, for a program whose clocks are simulated: what replaces them does so for the whole of it.

use std::{fs, io, time::Duration};

/// Where the kernel says for how long it has been up, in seconds.
const UPTIME: &str = "/proc/uptime";

/// A stopwatch.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stopwatch(Duration);

impl Stopwatch {
    /// Begins.
    pub(crate) fn begin() -> io::Result<Self> {
        uptime().map(Self)
    }

    /// How long ago that was, to a hundredth of a second.
    pub(crate) fn elapsed(self) -> io::Result<Duration> {
        Ok(uptime()?.saturating_sub(self.0))
    }
}

fn uptime() -> io::Result<Duration> {
    let text = fs::read_to_string(UPTIME)?;
    let seconds = text.split(' ').next().and_then(|word| word.parse().ok());
    let unreadable = || io::Error::other(format!("{UPTIME} says {text:?}"));
    seconds.map(Duration::from_secs_f64).ok_or_else(unreadable)
}
