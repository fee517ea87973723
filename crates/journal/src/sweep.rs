//! Deletes expired rows a few at a time: with each append, and in between when there are none.
//!
//! Rows are ordered by the age of their task. Where all retention times are alike, what expires lies at the front, and
//! a window there finds it at once. Where they differ, a cursor walks through the whole table, a window per append, and
//! begins again: every expired row is met within one round. Both windows grow with the rows that the append adds, so the
//! sweep keeps up with any rate; and an index over the expiry, which would cost every insert, is not needed.

use rusqlite::{Connection, OptionalExtension as _};

use crate::{Batch, Counts, RowId, people::stored};

/// The rows looked at when nothing is appended: each may have a payload whose pages are read as they are freed.
const ROWS_IDLE: usize = 256;

/// The rows looked at by an append that adds none: an idle table of a million rows is walked in 31,250 appends.
const ROWS_MIN: usize = 32;

/// The rows looked at per row added. Two let the sweep gain on what is added even where every second row stays.
const ROWS_PER_INSERT: usize = 2;

/// The sweeps of both people's tables.
#[derive(Debug)]
pub(crate) struct Sweeps {
    finished: Sweep,
    failed: Sweep,
}

impl Sweeps {
    /// Both at the start of their first round.
    pub(crate) const fn new() -> Self {
        Self {
            finished: Sweep { statements: &FINISHED, cursor: 0 },
            failed: Sweep { statements: &FAILED, cursor: 0 },
        }
    }

    /// Takes both one step on, after the rows of `batch` were written, and says how many rows of the `counts` are left.
    ///
    /// If the transaction is rolled back the cursors stay ahead, which the next round mends.
    pub(crate) fn step(
        &mut self,
        at: &Connection,
        batch: &Batch,
        counts: Counts,
    ) -> rusqlite::Result<Counts> {
        let window = |added: usize| ROWS_MIN + ROWS_PER_INSERT * added;
        let windows = (window(batch.finished.len()), window(batch.failed.len()));
        self.step_windows(at, batch.now_ms, windows, counts)
    }

    /// The same without a batch.
    pub(crate) fn step_idle(
        &mut self,
        at: &Connection,
        now_ms: u64,
        counts: Counts,
    ) -> rusqlite::Result<Counts> {
        self.step_windows(at, now_ms, (ROWS_IDLE, ROWS_IDLE), counts)
    }

    fn step_windows(
        &mut self,
        at: &Connection,
        now_ms: u64,
        (finished_window, failed_window): (usize, usize),
        counts: Counts,
    ) -> rusqlite::Result<Counts> {
        let Counts { mut finished, mut failed } = counts;
        if 0 < finished {
            let deleted = self.finished.step(at, now_ms, finished_window)?;
            finished = finished.saturating_sub(deleted);
        }
        if 0 < failed {
            let deleted = self.failed.step(at, now_ms, failed_window)?;
            failed = failed.saturating_sub(deleted);
        }
        Ok(Counts { finished, failed })
    }
}

/// Where the walk through one table is.
#[derive(Debug)]
struct Sweep {
    statements: &'static Statements,
    /// The last row that was looked at. Not durable: a restart begins a new round.
    cursor: RowId,
}

impl Sweep {
    /// Deletes what has expired at the front and in the next window, and says how many rows went.
    fn step(&mut self, at: &Connection, now_ms: u64, window: usize) -> rusqlite::Result<u64> {
        let front = self.statements.expire(at, 0, window, now_ms)?;
        let here = self.statements.expire(at, self.cursor, window, now_ms)?;
        self.cursor = here.end.unwrap_or(0);
        Ok(front.deleted + here.deleted)
    }
}

/// What became of one window.
struct Swept {
    /// Its last row; none if the table ends within it.
    end: Option<RowId>,
    /// How many rows went.
    deleted: u64,
}

/// The statements of one table.
#[derive(Debug)]
struct Statements {
    /// The row at which a window ends: after ?1, ?2 rows on.
    window_end: &'static str,
    /// Deletes what expired by ?3 after row ?1 up to row ?2.
    delete: &'static str,
}

impl Statements {
    /// Deletes what expired among the `window` rows after row `after`.
    fn expire(
        &self,
        at: &Connection,
        after: RowId,
        window: usize,
        now_ms: u64,
    ) -> rusqlite::Result<Swept> {
        let last = stored(window as u64 - 1);
        let end = at
            .prepare_cached(self.window_end)?
            .query_row([after, last], |row| row.get(0))
            .optional()?;
        let range = (after, end.unwrap_or(RowId::MAX), stored(now_ms));
        let deleted = at.prepare_cached(self.delete)?.execute(range)? as u64;
        Ok(Swept { end, deleted })
    }
}

static FINISHED: Statements = Statements {
    window_end: "
        SELECT row_id FROM finished_tasks WHERE row_id > ?1 ORDER BY row_id LIMIT 1 OFFSET ?2",
    delete: "
        DELETE FROM finished_tasks WHERE row_id > ?1 AND row_id <= ?2 AND expire_ms <= ?3",
};

static FAILED: Statements = Statements {
    window_end: "
        SELECT row_id FROM failed_tasks WHERE row_id > ?1 ORDER BY row_id LIMIT 1 OFFSET ?2",
    delete: "
        DELETE FROM failed_tasks WHERE row_id > ?1 AND row_id <= ?2 AND expire_ms <= ?3",
};

#[cfg(test)]
mod tests;
