//! Queries over the people's tables, and for single batches, on a connection of their own.
//!
//! It must never hold a transaction between calls, nor long within one: an open one keeps the write-ahead log from being
//! used again, and it grows without bound. So each statement looks at a bounded number of rows.

use std::{convert::Infallible, path::Path};

use bytes::Bytes;
use rusqlite::{Connection, OptionalExtension as _, named_params};

use crate::{
    Counts, Damage, DatabaseError, Epoch, FailedRow, Filter, FinishedRow, Page, Position,
    QueryError, Queues, ReadError, Row, RowId,
    chain::Link,
    database,
    people::{self, class_text},
};

/// The most rows of one page, whatever is asked for: what one answer may hold in memory.
pub const PAGE_ROWS_MAX: u32 = 1_000;

/// The most rows one statement looks at: about two milliseconds.
const STATEMENT_ROWS_MAX: u32 = 10_000;

/// The most statements one call makes: about 30 ms, after which an answer without rows still says where to go on.
const STATEMENTS_PER_PAGE_MAX: u32 = 16;

/// Rows, and where to go on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listing<T> {
    /// The rows, by ascending row id. Fewer than were asked for, or none, does not mean that there are no more.
    pub rows: Vec<T>,
    /// The [`Page::after`] of the next page; none at the end.
    pub next: Option<RowId>,
}

/// A connection that only reads. It sees what is durable, as of the moment of each call.
///
/// Rows that have expired are shown until they are swept: their `expire_ms` tells.
#[derive(Debug)]
pub struct Reader {
    connection: Connection,
}

impl Reader {
    /// A reader of the journal in `dir`.
    pub(crate) fn open(dir: &Path) -> Result<Self, QueryError> {
        Ok(Self { connection: database::connect_reader(dir)? })
    }

    /// How many rows there are, in constant time.
    pub fn counts(&self) -> Result<Counts, QueryError> {
        const SQL: &str = "SELECT finished_count, failed_count FROM journal_state";
        let counts = self.connection.prepare_cached(SQL)?.query_row((), |row| {
            Ok(Counts {
                finished: people::loaded(row.get(0)?),
                failed: people::loaded(row.get(1)?),
            })
        })?;
        Ok(counts)
    }

    /// One finished task, result included.
    pub fn finished(&self, row_id: RowId) -> Result<Option<FinishedRow>, QueryError> {
        const SQL: &str = "SELECT * FROM finished_tasks WHERE row_id = ?1";
        let mut one = self.connection.prepare_cached(SQL)?;
        Ok(one.query_row([row_id], people::finished_row).optional()?)
    }

    /// One dead letter, payload included.
    pub fn failed(&self, row_id: RowId) -> Result<Option<FailedRow>, QueryError> {
        const SQL: &str = "SELECT * FROM failed_tasks WHERE row_id = ?1";
        let mut one = self.connection.prepare_cached(SQL)?;
        Ok(one.query_row([row_id], people::failed_row).optional()?)
    }

    /// The batch at `position`, checked against the one before it. None: it is not there, or not any more.
    pub fn batch(&self, position: Position) -> Result<Option<Row>, ReadError<Infallible>> {
        const SQL: &str = "
            SELECT epoch, crc, body, coalesce(
                (SELECT crc FROM journal WHERE position = ?1 - 1),
                (SELECT crc_before_first FROM journal_state WHERE first_position = ?1))
            FROM journal WHERE position = ?1";
        let mut one = self.connection.prepare_cached(SQL).map_err(DatabaseError)?;
        let found = one.query_row([people::stored(position.0)], |row| {
            let (epoch, crc, body) = (Epoch(row.get(0)?), row.get(1)?, row.get::<_, Vec<u8>>(2)?);
            Ok((Row { position, epoch, body: Bytes::from(body) }, crc, row.get(3)?))
        });
        let found: Option<(Row, u32, Option<u32>)> = found.optional().map_err(DatabaseError)?;
        let Some((row, crc, before)) = found else { return Ok(None) };
        let damaged = |damage| ReadError::Damaged { position, damage };
        let before = before.ok_or_else(|| damaged(Damage::Missing))?;
        let link = Link { position: Position(position.0 - 1), crc: before };
        let expected = link.next(row.epoch, &row.body).crc;
        if expected != crc {
            return Err(damaged(Damage::Checksum { expected, found: crc }));
        }
        Ok(Some(row))
    }

    /// Finished tasks, oldest first, without their results.
    pub fn list_finished(
        &self,
        filter: &Filter,
        page: Page,
    ) -> Result<Listing<FinishedRow>, QueryError> {
        let sql = list_sql("finished_tasks", people::FINISHED_COLUMNS);
        let class = "(:class IS NULL OR class = :class)";
        let select = format!("{sql} AND {class} ORDER BY row_id LIMIT :limit");
        self.list(
            &Query { table: "finished_tasks", select, read: people::finished_row },
            filter,
            page,
        )
    }

    /// Dead letters, oldest first, without their payloads. The filter's class says nothing about them.
    pub fn list_failed(
        &self,
        filter: &Filter,
        page: Page,
    ) -> Result<Listing<FailedRow>, QueryError> {
        let sql = list_sql("failed_tasks", people::FAILED_COLUMNS);
        let class = ":class IS :class";
        let select = format!("{sql} AND {class} ORDER BY row_id LIMIT :limit");
        self.list(&Query { table: "failed_tasks", select, read: people::failed_row }, filter, page)
    }

    /// Looks at one stretch of rows after the other until the page is full.
    fn list<T: Rowed>(
        &self,
        query: &Query<T>,
        filter: &Filter,
        page: Page,
    ) -> Result<Listing<T>, QueryError> {
        let limit = page.limit.clamp(1, PAGE_ROWS_MAX) as usize;
        let mut listing = Listing { rows: Vec::new(), next: Some(page.after) };
        for _ in 0..STATEMENTS_PER_PAGE_MAX {
            let Some(after) = listing.next else { break };
            let end = self.stretch_end(query.table, after)?;
            let stretch = Stretch { after, end, limit: limit - listing.rows.len() };
            listing.rows.extend(self.read_stretch(query, filter, stretch)?);
            if listing.rows.len() == limit {
                listing.next = listing.rows.last().map(Rowed::row_id);
                break;
            }
            listing.next = end;
        }
        Ok(listing)
    }

    /// The last row one statement may look at; none if the table ends before.
    fn stretch_end(&self, table: &str, after: RowId) -> rusqlite::Result<Option<RowId>> {
        let sql = format!(
            "SELECT row_id FROM {table} WHERE row_id > ?1 ORDER BY row_id LIMIT 1 OFFSET ?2"
        );
        let mut end = self.connection.prepare_cached(&sql)?;
        end.query_row((after, STATEMENT_ROWS_MAX - 1), |row| row.get(0)).optional()
    }

    fn read_stretch<T>(
        &self,
        query: &Query<T>,
        filter: &Filter,
        stretch: Stretch,
    ) -> rusqlite::Result<Vec<T>> {
        let mut select = self.connection.prepare_cached(&query.select)?;
        let (one, under, without) = match &filter.queues {
            Queues::All => (None, None, None),
            Queues::One(queue) => (Some(queue), None, None),
            Queues::Under(beginning) => (None, Some(beginning), None),
            Queues::Without(letter) => (None, None, Some(letter.to_string())),
        };
        let rows = select.query_map(
            named_params! {
                ":after": stretch.after,
                ":end": stretch.end.unwrap_or(RowId::MAX),
                ":queue": one,
                ":under": under,
                ":without": without,
                ":task_type": filter.task_type,
                ":class": filter.class.map(class_text),
                ":limit": people::stored(stretch.limit as u64),
            },
            query.read,
        )?;
        rows.collect()
    }
}

/// How one table is listed.
struct Query<T> {
    table: &'static str,
    select: String,
    read: fn(&rusqlite::Row<'_>) -> rusqlite::Result<T>,
}

/// What one statement looks at.
#[derive(Clone, Copy)]
struct Stretch {
    after: RowId,
    end: Option<RowId>,
    limit: usize,
}

/// A row that knows its place.
trait Rowed {
    fn row_id(&self) -> RowId;
}

impl Rowed for FinishedRow {
    fn row_id(&self) -> RowId {
        self.row_id
    }
}

impl Rowed for FailedRow {
    fn row_id(&self) -> RowId {
        self.row_id
    }
}

fn list_sql(table: &str, columns: &str) -> String {
    format!(
        "SELECT {columns} FROM {table} WHERE row_id > :after AND row_id <= :end
            AND (:queue IS NULL OR queue = :queue)
            AND (:under IS NULL OR substr(queue, 1, length(:under)) = :under)
            AND (:without IS NULL OR instr(queue, :without) = 0)
            AND (:task_type IS NULL OR task_type = :task_type)"
    )
}

#[cfg(test)]
mod tests;
