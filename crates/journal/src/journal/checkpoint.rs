//! The copying of the write-ahead log into the database, in the open and with its result looked at.
//!
//! It never waits: a reader in the middle of a query keeps some frames back until the next time.

use rusqlite::Connection;

use super::{Failure, Journal, append::vacuum};

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
/// Copies everything, and cuts the log to nothing, if no reader is in the way.
const EMPTY: &str = "PRAGMA wal_checkpoint(TRUNCATE)";
/// Counts the pages of the database that hold nothing.
const FREE_PAGES: &str = "PRAGMA freelist_count";

impl Journal {
    pub(super) fn try_checkpoint(&mut self) -> Result<(), Failure> {
        let frames = run(&self.connection, COUNT)?;
        if frames.logged.saturating_sub(frames.copied) < self.options.checkpoint_frames {
            return Ok(());
        }
        run(&self.connection, COPY)?;
        self.free_pages = count_free_pages(&self.connection)?;
        Ok(())
    }

    pub(super) fn try_shrink(&mut self) -> Result<(), Failure> {
        let surplus = count_free_pages(&self.connection)?;
        if 0 < surplus {
            vacuum(&self.connection, surplus)?;
        }
        self.free_pages = 0;
        run(&self.connection, EMPTY)?;
        Ok(())
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
