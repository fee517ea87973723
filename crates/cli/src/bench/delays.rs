//! Delays of many tasks, and what is said of them.

use std::{fmt, time::Duration};

use hdrhistogram::Histogram;
use serde::{Serialize, Serializer, ser::SerializeStruct as _};

use crate::failure::Failure;

/// The longest delay that is told apart from a longer one, in microseconds: one hour.
const MICROS_MAX: u64 = 3_600_000_000;

/// How many digits of a delay are kept.
const DIGITS: u8 = 3;

/// How long something took, many times over.
#[derive(Clone, Debug)]
pub(super) struct Delays(Histogram<u64>);

impl Delays {
    pub(super) fn new() -> Result<Self, Failure> {
        let histogram = Histogram::new_with_max(MICROS_MAX, DIGITS)
            .map_err(|error| Failure::Bench(format!("cannot measure: {error}")))?;
        Ok(Self(histogram))
    }

    /// Those of all of these.
    pub(super) fn of(delays: impl IntoIterator<Item = Duration>) -> Result<Self, Failure> {
        let mut all = Self::new()?;
        for delay in delays {
            all.record(delay);
        }
        Ok(all)
    }

    pub(super) fn record(&mut self, delay: Duration) {
        let Self(histogram) = self;
        histogram.saturating_record(u64::try_from(delay.as_micros()).unwrap_or(u64::MAX));
    }

    pub(super) fn count(&self) -> u64 {
        self.0.len()
    }

    /// What this share of them, from 0 to 1, does not exceed. Not in percent: 99.9 / 100 is more than 0.999 to a computer,
    /// and of a thousand delays would be the last one.
    pub(super) fn quantile(&self, share: f64) -> Duration {
        Duration::from_micros(self.0.value_at_quantile(share))
    }

    pub(super) fn max(&self) -> Duration {
        Duration::from_micros(self.0.max())
    }
}

impl fmt::Display for Delays {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ms = |delay: Duration| delay.as_secs_f64() * 1e3;
        let [p50, p99, p999] = [0.5, 0.99, 0.999].map(|share| ms(self.quantile(share)));
        let max = ms(self.max());
        write!(f, "p50 {p50:.2} ms, p99 {p99:.2} ms, p99.9 {p999:.2} ms, max {max:.2} ms")
    }
}

impl Serialize for Delays {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let micros = |share| self.0.value_at_quantile(share);
        let mut delays = serializer.serialize_struct("Delays", 6)?;
        delays.serialize_field("count", &self.count())?;
        delays.serialize_field("p50Micros", &micros(0.5))?;
        delays.serialize_field("p90Micros", &micros(0.9))?;
        delays.serialize_field("p99Micros", &micros(0.99))?;
        delays.serialize_field("p999Micros", &micros(0.999))?;
        delays.serialize_field("maxMicros", &self.0.max())?;
        delays.end()
    }
}
