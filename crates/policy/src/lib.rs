//! Pure decisions: time arithmetic, durations as people write them, backoff, rates, circuits, how many workers there should be,
//! and whose a queue is.
//!
//! Everything here is a function of its arguments: no clock, disk, network, runtime or randomness. The one exception is
//! the deliberate bugs of the feature `mutants`, which no shipped build has.

mod backoff;
mod bucket;
mod circuit;
mod duration;
mod mutant;
pub mod namespace;
pub mod scale;
mod time;

pub use backoff::{Backoff, Jitter};
pub use bucket::{Bucket, Rate, Receipt};
pub use circuit::{
    Call, CallEnd, Circuit, CircuitState, CircuitTerms, PARTS, Pass, SlowTerms, Tally, Turn,
};
pub use duration::{ParseDurationError, parse_duration};
#[doc(hidden)]
pub use mutant::Mutant;
pub use time::Time;
