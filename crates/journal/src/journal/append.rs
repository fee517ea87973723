//! The one transaction of an append.
//!
//! It must leave the journal's own fields alone until the commit has returned: a batch that is rolled back may come again.

use rusqlite::{Connection, TransactionBehavior};

use super::{Extent, Failure, Journal};
use crate::{
    Batch, Counts, Epoch, Fault, Position,
    chain::Link,
    people::{self, stored},
};

/// Empty pages that stay in the file: the next batches use them up before the file has to grow (4 MiB).
const FREE_PAGES_KEPT: u32 = 256;

/// How many empty pages beyond those one transaction gives back to the disk. Each may move another page, so this bounds
/// its extra writing to 1 MiB; and it stays well within the page cache, beyond which even pages that go are written.
pub(super) const FREE_PAGES_PER_STEP: u32 = 64;

impl Journal {
    pub(super) fn try_append(&mut self, epoch: Epoch, batch: &Batch) -> Result<Position, Failure> {
        let head = self.extent.head.next(epoch, &batch.body);
        let write = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        refuse_if_superseded(&write, epoch)?;
        insert_batch(&write, epoch, head, batch)?;
        let taken = take_unfailed(&write, batch)?;
        people::insert_finished(&write, &batch.finished)?;
        people::insert_failed(&write, &batch.failed)?;
        keep_facts(&write, batch)?;
        let counts = self.sweeps.step(&write, batch, added(self.counts, batch, taken))?;
        let extent = trim(&write, self.extent, head, batch)?;
        if counts != self.counts {
            store_counts(&write, counts)?;
        }
        debug_assert!(extent.first <= head.position, "a trim keeps the batch that orders it");
        let free_pages = give_back_pages(&write, self.free_pages)?;
        write.commit()?;
        (self.extent, self.counts, self.free_pages) = (extent, counts, free_pages);
        self.uncopied_bytes += batch.bytes();
        Ok(head.position)
    }
}

impl Journal {
    /// Says whether any row went.
    pub(super) fn try_sweep(&mut self, epoch: Epoch, now_ms: u64) -> Result<bool, Failure> {
        if self.counts == Counts::default() {
            return Ok(false);
        }
        let write = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        refuse_if_superseded(&write, epoch)?;
        let counts = self.sweeps.step_idle(&write, now_ms, self.counts)?;
        if counts == self.counts {
            return Ok(false);
        }
        store_counts(&write, counts)?;
        write.commit()?;
        self.counts = counts;
        Ok(true)
    }
}

/// The fence between two coordinators: whoever has claimed after this one has the journal to himself. It holds until the end of
/// the transaction, which writes.
fn refuse_if_superseded(at: &Connection, epoch: Epoch) -> Result<(), Failure> {
    const LATEST: &str = "SELECT epoch FROM journal_state";
    let latest: u32 = at.prepare_cached(LATEST)?.query_row((), |row| row.get(0))?;
    if latest == epoch.0 { Ok(()) } else { Err(Failure::Superseded(epoch)) }
}

/// Writes the batch. It is one row and no query's: for one that may fail halfway, SQLite keeps a copy of each page it touches.
fn insert_batch(at: &Connection, epoch: Epoch, head: Link, batch: &Batch) -> rusqlite::Result<()> {
    const SQL: &str = "INSERT INTO journal (position, epoch, crc, body) VALUES (?1, ?2, ?3, ?4)";
    let row = (stored(head.position.0), epoch.0, head.crc, batch.body.as_ref());
    at.prepare_cached(SQL)?.execute(row).map(drop)
}

/// How many rows there are once `taken` dead letters are gone, those of the batch are written and none has expired.
fn added(before: Counts, batch: &Batch, taken: u64) -> Counts {
    let failed = before.failed + batch.failed.len() as u64;
    Counts {
        finished: before.finished + batch.finished.len() as u64,
        failed: failed.saturating_sub(taken),
    }
}

/// Deletes the rows of dead letters that are tasks again, and says how many there were: one that was about to expire when
/// its replay was decided may have been swept since.
fn take_unfailed(at: &Connection, batch: &Batch) -> rusqlite::Result<u64> {
    let mut taken = 0;
    for row_id in batch.unfailed.iter().copied() {
        taken += u64::from(people::delete_failed(at, row_id)?);
    }
    Ok(taken)
}

fn keep_facts(at: &Connection, batch: &Batch) -> rusqlite::Result<()> {
    const KEEP: &str = "
        INSERT INTO meta (name, value) VALUES (?1, ?2)
        ON CONFLICT (name) DO UPDATE SET value = excluded.value";
    const REMOVE: &str = "DELETE FROM meta WHERE name = ?1";
    for (name, value) in &batch.meta {
        if value.is_empty() {
            at.prepare_cached(REMOVE)?.execute([name])?;
        } else {
            at.prepare_cached(KEEP)?.execute((name, value.as_ref()))?;
        }
    }
    Ok(())
}

/// Deletes the prefix that the batch gives up, and says what the journal then holds.
fn trim(at: &Connection, before: Extent, head: Link, batch: &Batch) -> Result<Extent, Failure> {
    const CRC: &str = "SELECT crc FROM journal WHERE position = ?1";
    const STATE: &str = "
        UPDATE journal_state SET first_position = ?1, crc_before_first = ?2, settled_position = ?3";
    const DELETE: &str = "DELETE FROM journal WHERE position < ?1";
    let extent = Extent { head, ..before };
    let Some(first) = batch.drop_before else { return Ok(extent) };
    if head.position < first {
        return Err(Fault::TrimBeyondHead { drop_before: first, head: head.position }.into());
    }
    if first <= before.first {
        return Ok(extent);
    }
    // The first batch that stays is checked against the one before it, which goes.
    let crc: u32 = at.prepare_cached(CRC)?.query_row([stored(first.0 - 1)], |row| row.get(0))?;
    let settled = head.position;
    at.prepare_cached(STATE)?.execute((stored(first.0), crc, stored(settled.0)))?;
    at.prepare_cached(DELETE)?.execute([stored(first.0)])?;
    Ok(Extent { first, head, settled })
}

fn store_counts(at: &Connection, counts: Counts) -> rusqlite::Result<()> {
    const SQL: &str = "UPDATE journal_state SET finished_count = ?1, failed_count = ?2";
    let row = (stored(counts.finished), stored(counts.failed));
    at.prepare_cached(SQL)?.execute(row).map(drop)
}

/// Gives some of `free_pages` back to the disk if there are many, and says how many there are then.
fn give_back_pages(at: &Connection, free_pages: u32) -> rusqlite::Result<u32> {
    let surplus = free_pages.saturating_sub(FREE_PAGES_KEPT).min(FREE_PAGES_PER_STEP);
    if surplus == 0 {
        return Ok(free_pages);
    }
    vacuum(at, surplus)?;
    Ok(free_pages - surplus)
}

/// Moves pages from the end of the file into `count` empty ones, and cuts the file.
pub(super) fn vacuum(at: &Connection, count: u32) -> rusqlite::Result<()> {
    let mut vacuum = at.prepare(&format!("PRAGMA incremental_vacuum({count})"))?;
    let mut pages = vacuum.query(())?;
    // Each step gives back one page.
    while pages.next()?.is_some() {}
    Ok(())
}
