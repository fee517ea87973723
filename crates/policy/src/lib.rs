//! Pure decisions: time arithmetic and backoff.
//!
//! Everything here is a function of its arguments: no clock, disk, network, runtime or randomness.

mod backoff;
mod duration;
mod mutant;
mod time;

pub use backoff::{Backoff, Jitter};
pub use duration::{ParseDurationError, parse_duration};
#[doc(hidden)]
pub use mutant::Mutant;
pub use time::Time;
