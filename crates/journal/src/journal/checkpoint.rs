//! The copying of the write-ahead log into the database, in the open and with its result looked at.
//!
//! It does not wait: a reader in the middle of a query keeps some frames back until the next time. Only when readers
//! relieve each other so closely that the log is never free, and it has grown, are they waited for, and briefly.

use std::time::Duration;

use rusqlite::Connection;

use super::{
    Failure, Journal,
    append::{FREE_PAGES_PER_STEP, vacuum},
};
use crate::database::PAGE_BYTES;

/// What a checkpoint says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Frames {
    /// In the log.
    logged: u32,
    /// Of these, copied into the database.
    copied: u32,
}

/// Counts the frames and does nothing.
const COUNT: &str = "PRAGMA wal_checkpoint(NOOP)";
/// Copies what no reader needs in the log, and syncs the database.
const COPY: &str = "PRAGMA wal_checkpoint(PASSIVE)";
/// Waits for readers, copies everything, and cuts the log to nothing, if none was in the way. To restart it would not
/// do: that leaves it to the next writer, and a reader which sets out in between keeps the log as it is.
const EMPTY: &str = "PRAGMA wal_checkpoint(TRUNCATE)";
/// Counts the pages of the database that hold nothing.
const FREE_PAGES: &str = "PRAGMA freelist_count";

/// How many steps one call of shrinking takes: it gives back 16 MiB and lasts some tens of milliseconds.
const SHRINK_STEPS_MAX: u32 = 16;

/// By how much more (4 MiB) than when it is copied the log grows before its readers are waited for. After each time it was in
/// vain, to twice the size.
pub(super) const CUT_FRAMES: u32 = 256;

/// When the log is copied: at the first of both.
#[derive(Clone, Copy, Debug)]
pub(super) struct Due {
    pub(super) frames: u32,
    /// Of batches and rows.
    pub(super) bytes: u64,
}

/// How long readers are waited for.
#[derive(Clone, Copy, Debug)]
pub(super) struct CutWait {
    /// For each [`CUT_FRAMES`] that the log has.
    pub(super) step: Duration,
    /// However long it is.
    pub(super) most: Duration,
}

impl Default for CutWait {
    /// As long as it takes to write as much: our readers are done in a few milliseconds, if they are let run. Another
    /// program's transaction is not worth standing still for longer.
    fn default() -> Self {
        Self { step: Duration::from_millis(20), most: Duration::from_millis(250) }
    }
}

impl Journal {
    /// Copies the log if what is not copied takes as many frames as that, or as many bytes were appended.
    pub(super) fn try_checkpoint(&mut self, due: Due) -> Result<(), Failure> {
        let frames = run(&self.connection, COUNT)?;
        if frames.logged.saturating_sub(frames.copied) < due.frames
            && self.uncopied_bytes < due.bytes
        {
            return Ok(());
        }
        let Frames { logged, copied } = run(&self.connection, COPY)?;
        // What readers kept back counts with whole pages, so that the next copy has as much to do.
        let left = u64::from(logged.saturating_sub(copied)) * u64::from(PAGE_BYTES);
        self.uncopied_bytes = self.uncopied_bytes.min(left);
        self.free_pages = count_free_pages(&self.connection)?;
        let least = self.options.checkpoint_frames.saturating_add(CUT_FRAMES);
        if frames.logged < least {
            self.cut_at_frames = least;
        } else if self.cut_at_frames <= frames.logged {
            self.cut_at_frames = frames.logged.saturating_mul(2);
            self.cut_log(frames.logged)?;
        }
        Ok(())
    }

    fn cut_log(&mut self, frames: u32) -> Result<(), Failure> {
        let CutWait { step, most } = self.cut_wait;
        let wait = step.saturating_mul(frames / CUT_FRAMES).min(most);
        self.connection.busy_timeout(wait)?;
        let cut = run(&self.connection, EMPTY);
        self.connection.busy_timeout(self.options.busy)?;
        cut?;
        Ok(())
    }

    pub(super) fn try_shrink(&mut self) -> Result<bool, Failure> {
        self.free_pages = count_free_pages(&self.connection)?;
        for _ in 0..SHRINK_STEPS_MAX {
            if self.free_pages == 0 {
                break;
            }
            vacuum(&self.connection, FREE_PAGES_PER_STEP)?;
            self.free_pages = self.free_pages.saturating_sub(FREE_PAGES_PER_STEP);
            run(&self.connection, COPY)?;
        }
        run(&self.connection, EMPTY)?;
        Ok(0 < self.free_pages)
    }
}

fn run(connection: &Connection, pragma: &str) -> rusqlite::Result<Frames> {
    connection.prepare_cached(pragma)?.query_row((), |row| {
        // Before the first write there is no log yet, which reads as -1.
        let frames = |number: i64| u32::try_from(number).unwrap_or(0);
        Ok(Frames { logged: frames(row.get(1)?), copied: frames(row.get(2)?) })
    })
}

fn count_free_pages(connection: &Connection) -> rusqlite::Result<u32> {
    connection.prepare_cached(FREE_PAGES)?.query_row((), |row| row.get(0))
}
