//! How much room the journal's volume has, and what that means: plenty, or only enough to finish what is open.
//!
//! New tasks are refused while less than the reserve is free, and as much again as open tasks have of payload: each may
//! become a dead letter, whose row is written before its record goes. The ballast is a file that only takes room: it is
//! dropped when the disk is full, so that completions can still be written, and made again before new tasks are.

use std::{path::Path, time::Duration};

use leasehold_journal::{Journal, Options, PAGE_BYTES};
use tokio::time::Instant;

#[cfg(test)]
mod tests;

/// The most that is kept in reserve.
const RESERVE_BYTES_MAX: u64 = 256 << 20;

/// The most that the ballast takes.
const BALLAST_BYTES_MAX: u64 = 16 << 20;

/// The part of the volume that is at most kept free for what open tasks may still write: on a small one, more would
/// leave too little to work with.
const OWED_SHARE: u64 = 4;

/// Looking costs two system calls: this often is often enough to stay within any reserve.
const LOOK_INTERVAL: Duration = Duration::from_millis(100);

/// How much room there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Space {
    /// Free on the volume.
    pub free_bytes: u64,
    /// What must be free for new tasks to be accepted, as things are.
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

/// After how many frames the write-ahead log is copied: a sixteenth of a small volume.
pub(crate) fn log_frames(dir: &Path) -> u32 {
    let share = volume_bytes(dir) / 16 / u64::from(PAGE_BYTES);
    u32::try_from(share).unwrap_or(u32::MAX).min(Options::default().checkpoint_frames)
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
    bounds: Bounds,
    ballast: Ballast,
    /// A write was refused since there was room the last time.
    is_full: bool,
    looked: Option<Instant>,
}

/// What has to be free.
#[derive(Clone, Copy, Debug)]
struct Bounds {
    /// Always.
    reserve_bytes: u64,
    /// For the ballast, while it is gone.
    ballast_bytes: u64,
    /// For the rows of open tasks.
    owed_bytes: u64,
    /// The most that is kept free for them: the rest has to come from what they give back as they end.
    owed_bytes_max: u64,
}

/// What became of the ballast.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ballast {
    Held,
    Dropped,
    /// It cannot be made, and not for want of room.
    Broken,
}

impl Gauge {
    pub(super) fn new(dir: &Path, journal: &Journal) -> Self {
        let volume_bytes = volume_bytes(dir);
        let reserve_bytes = reserve_bytes(volume_bytes);
        let bounds = Bounds {
            reserve_bytes,
            ballast_bytes: ballast_bytes(dir),
            owed_bytes: 0,
            owed_bytes_max: volume_bytes / OWED_SHARE,
        };
        let space = Space { free_bytes: 0, reserve_bytes, journal_bytes: 0, is_tight: false };
        let ballast = if journal.has_ballast() { Ballast::Held } else { Ballast::Dropped };
        Self { space, bounds, ballast, is_full: false, looked: None }
    }

    /// Open tasks have this many bytes in the journal.
    pub(super) const fn owe(&mut self, open_bytes: u64) {
        self.bounds.owed_bytes = open_bytes;
    }

    /// Whether new tasks are refused.
    pub(super) const fn is_tight(&self) -> bool {
        self.space.is_tight
    }

    pub(super) const fn space(&self) -> Space {
        self.space
    }

    /// The disk is full. Drops the ballast; false if it was gone already.
    pub(super) fn full(&mut self, journal: &mut Journal) -> bool {
        self.space.is_tight = true;
        let dropped = matches!(journal.release_ballast(), Ok(true));
        if self.ballast == Ballast::Held {
            self.ballast = Ballast::Dropped;
        }
        self.read(journal);
        self.space.reserve_bytes = self.bounds.required(&self.space, self.ballast);
        if !self.is_full {
            self.is_full = true;
            tracing::warn!(
                free_bytes = self.space.free_bytes,
                ballast_dropped = dropped,
                "disk full: new tasks are refused, leased ones still complete"
            );
        }
        dropped
    }

    /// What there is, if it is time to look again.
    pub(super) fn look(&mut self, journal: &mut Journal) -> Option<Space> {
        if self.looked.is_some_and(|looked| looked.elapsed() < LOOK_INTERVAL) {
            return None;
        }
        self.looked = Some(Instant::now());
        self.read(journal);
        let was_tight = self.space.is_tight;
        self.space.reserve_bytes = self.bounds.required(&self.space, self.ballast);
        self.space.is_tight =
            self.space.free_bytes < self.space.reserve_bytes || !self.restore_ballast(journal);
        self.is_full &= self.space.is_tight;
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

    /// Makes the ballast again if it is gone. `false`: there is no room for it. One that cannot be made for another reason
    /// is done without: the reserve is still kept.
    fn restore_ballast(&mut self, journal: &mut Journal) -> bool {
        if self.ballast == Ballast::Held {
            return true;
        }
        let restored = journal.restore_ballast();
        self.read(journal);
        let was = self.ballast;
        self.ballast = match &restored {
            Ok(true) => Ballast::Held,
            Ok(false) => Ballast::Dropped,
            Err(_) => Ballast::Broken,
        };
        if let Err(error) = &restored
            && was != Ballast::Broken
        {
            tracing::warn!(%error, "the ballast cannot be made: a full disk will have no room of its own");
        }
        self.ballast != Ballast::Dropped
    }
}

impl Bounds {
    /// What must be free for new tasks to be accepted. Once they are refused it is a quarter of the reserve more, so that
    /// admission does not flutter, and what the ballast takes, which is made again first.
    fn required(&self, space: &Space, ballast: Ballast) -> u64 {
        let owed = self.owed_bytes.min(self.owed_bytes_max);
        let margin = if space.is_tight { self.reserve_bytes / 4 } else { 0 };
        let least = self.reserve_bytes.saturating_add(owed).saturating_add(margin);
        match ballast {
            Ballast::Held | Ballast::Broken => least,
            Ballast::Dropped => {
                least.max(self.ballast_bytes / 4).saturating_add(self.ballast_bytes)
            }
        }
    }
}
