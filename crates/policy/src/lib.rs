//! Pure decisions: time arithmetic and backoff.
//!
//! Everything here is a function of its arguments: no clock, disk, network, runtime or randomness.

mod backoff;
mod time;

pub use backoff::{Backoff, Jitter};
pub use time::Time;
