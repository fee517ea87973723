//! What the disk under the measured coordinator takes for a sync: every figure of a durable system leans on it.

use std::{
    fs::File,
    io::{self, Write as _},
    path::Path,
    time::{Duration, Instant},
};

use super::delays::Delays;
use crate::failure::Failure;

/// How many syncs are timed: enough for a p99, not enough to be waited for.
const SYNCS: u32 = 256;

/// How much is appended before each: the smallest batch a journal writes.
const APPEND_BYTES: usize = 4 << 10;

/// Appends to a file in a directory and syncs it, again and again. The file goes with its directory.
pub(super) fn probe(directory: &Path) -> Result<Delays, Failure> {
    let wrong = |error| Failure::Bench(format!("cannot write to {}: {error}", directory.display()));
    Delays::of(syncs(directory).map_err(wrong)?)
}

/// How long each sync took.
fn syncs(directory: &Path) -> io::Result<Vec<Duration>> {
    let mut file = File::create(directory.join("probe"))?;
    let synced = |_| {
        file.write_all(&[0; APPEND_BYTES])?;
        let start = Instant::now();
        file.sync_data()?;
        Ok(start.elapsed())
    };
    (0..SYNCS).map(synced).collect()
}
