//! How much room the journal's volume has, and what that means: plenty, or only enough to finish what is open.
//!
//! New tasks are refused while less than the reserve is free. The ballast is a file that only takes room: it is
//! dropped when the disk is full, so that completions can still be written, and made again before new tasks are.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use leasehold_journal::Journal;

#[cfg(test)]
mod tests;

/// The most that is kept in reserve.
const RESERVE_BYTES_MAX: u64 = 256 << 20;

/// The most that the ballast takes.
const BALLAST_BYTES_MAX: u64 = 16 << 20;

/// Looking costs two system calls: this often is often enough to stay within any reserve.
const LOOK_INTERVAL: Duration = Duration::from_millis(100);

/// How much room there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Space {
    /// Free on the volume.
    pub free_bytes: u64,
    /// What must be free for new tasks to be accepted.
    pub reserve_bytes: u64,
    /// Taken by the journal.
    pub journal_bytes: u64,
    /// Whether new tasks are to be refused.
    pub is_tight: bool,
}

/// The size of the ballast on the volume of `dir`: an eighth of a tiny volume, so that there is room to work beside it.
pub(crate) fn ballast_bytes(dir: &Path) -> u64 {
    BALLAST_BYTES_MAX.min(volume_bytes(dir) / 8)
}

/// The size of the reserve: a tenth of a small volume.
fn reserve_bytes(volume_bytes: u64) -> u64 {
    RESERVE_BYTES_MAX.min(volume_bytes / 10)
}

/// The size of the volume that holds `dir`, or the nearest parent that exists. One that cannot be asked is taken for
/// a large one.
fn volume_bytes(dir: &Path) -> u64 {
    let stat = dir.ancestors().find_map(|at| {
        // The parent of a relative path of one component is empty.
        let at = if at.as_os_str().is_empty() { Path::new(".") } else { at };
        rustix::fs::statvfs(at).ok()
    });
    stat.map_or(u64::MAX, |stat| stat.f_blocks.saturating_mul(stat.f_frsize))
}

/// Watches the room.
#[derive(Debug)]
pub(super) struct Gauge {
    space: Space,
    has_ballast: bool,
    looked: Option<Instant>,
}

impl Gauge {
    pub(super) fn new(dir: &Path) -> Self {
        let reserve_bytes = reserve_bytes(volume_bytes(dir));
        let space = Space { free_bytes: 0, reserve_bytes, journal_bytes: 0, is_tight: false };
        Self { space, has_ballast: false, looked: None }
    }

    pub(super) const fn space(&self) -> Space {
        self.space
    }

    /// The disk is full. Drops the ballast; false if it was gone already.
    pub(super) fn full(&mut self, journal: &mut Journal) -> bool {
        self.space.is_tight = true;
        self.has_ballast = false;
        let dropped = journal.release_ballast();
        self.read(journal);
        tracing::warn!(
            free_bytes = self.space.free_bytes,
            ballast_dropped = matches!(dropped, Ok(true)),
            "disk full: new tasks are refused, leased ones still complete"
        );
        matches!(dropped, Ok(true))
    }

    /// What there is, if it is time to look again.
    pub(super) fn look(&mut self, journal: &mut Journal) -> Option<Space> {
        if self.looked.is_some_and(|looked| looked.elapsed() < LOOK_INTERVAL) {
            return None;
        }
        self.looked = Some(Instant::now());
        self.read(journal);
        let was_tight = self.space.is_tight;
        self.space.is_tight = self.space.judge() || !self.restore_ballast(journal);
        if was_tight != self.space.is_tight {
            let Space { free_bytes, reserve_bytes, .. } = self.space;
            if self.space.is_tight {
                tracing::warn!(
                    free_bytes,
                    reserve_bytes,
                    "disk nearly full: new tasks are refused"
                );
            } else {
                tracing::info!(free_bytes, reserve_bytes, "there is room: new tasks are accepted");
            }
        }
        Some(self.space)
    }

    fn read(&mut self, journal: &Journal) {
        // What cannot be measured is left as it was; a write will tell.
        if let Ok(free_bytes) = journal.free_bytes() {
            self.space.free_bytes = free_bytes;
        }
        if let Ok(journal_bytes) = journal.bytes() {
            self.space.journal_bytes = journal_bytes;
        }
    }

    /// Whether the ballast is there, made again if it was gone and there is room for it.
    fn restore_ballast(&mut self, journal: &mut Journal) -> bool {
        if self.has_ballast {
            return true;
        }
        self.has_ballast = matches!(journal.restore_ballast(), Ok(true));
        self.read(journal);
        self.has_ballast
    }
}

impl Space {
    /// Whether new tasks are to be refused. Once they are, a quarter more than the reserve has to be free again, so
    /// that admission does not flutter.
    const fn judge(&self) -> bool {
        let margin = if self.is_tight { self.reserve_bytes / 4 } else { 0 };
        self.free_bytes < self.reserve_bytes + margin
    }
}
