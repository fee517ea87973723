//! What a plan draws from.

use std::{ops::Range, time::Duration};

/// A duration of whole milliseconds, any of them as likely as the others.
pub(crate) fn time(rng: &mut fastrand::Rng, ms: Range<u64>) -> Duration {
    Duration::from_millis(rng.u64(ms))
}

/// One of a few.
pub(crate) fn one<T: Copy>(rng: &mut fastrand::Rng, first: T, others: &[T]) -> T {
    let all = rng.usize(0..=others.len());
    all.checked_sub(1).and_then(|at| others.get(at)).copied().unwrap_or(first)
}

/// Whether something happens that does in so many of a hundred cases.
pub(crate) fn percent(rng: &mut fastrand::Rng, of_hundred: u32) -> bool {
    rng.u32(0..100) < of_hundred
}
