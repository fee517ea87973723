//! Reading back, with every batch checked against all before it.

use std::error::Error;

use bytes::Bytes;
use rusqlite::ErrorCode;

use super::Journal;
use crate::{
    Damage, DatabaseError, Epoch, Position, ReadError, Row,
    chain::Link,
    people::{loaded, stored},
};

impl Journal {
    /// Shows every batch from `from` (or the first that is kept) to the head, in order.
    ///
    /// Contiguity and checksums are verified on the way: the first batch that is not what was written ends it, and
    /// nothing after it is shown. The checks start with the batch at `from`, so only a read from
    /// [`first`](Self::first) covers the whole journal.
    pub fn read<E: Error + 'static>(
        &self,
        from: Position,
        mut visit: impl FnMut(Row) -> Result<(), E>,
    ) -> Result<(), ReadError<E>> {
        const SQL: &str = "
            SELECT position, epoch, crc, body FROM journal WHERE position >= ?1 ORDER BY position";
        let from = from.max(self.first());
        if self.head() < from {
            return Ok(());
        }
        let mut link = self.link_before(from)?;
        let mut select = self.connection.prepare_cached(SQL).map_err(DatabaseError)?;
        let mut rows = select.query([stored(from.0)]).map_err(DatabaseError)?;
        while link.position < self.head() {
            let position = Position(link.position.0 + 1);
            let entry = match rows.next() {
                Ok(Some(row)) => Entry::read(row).map_err(|error| blame(position, error))?,
                Ok(None) => return Err(ReadError::Damaged { position, damage: Damage::Missing }),
                Err(error) => return Err(blame(position, error)),
            };
            link = entry.check(link).map_err(|damage| ReadError::Damaged { position, damage })?;
            visit(entry.row).map_err(|source| ReadError::Refused { position, source })?;
        }
        Ok(())
    }

    /// The link that the batch at `from` continues.
    fn link_before<E: Error + 'static>(&self, from: Position) -> Result<Link, ReadError<E>> {
        const TRIMMED: &str = "SELECT crc_before_first FROM journal_state";
        const KEPT: &str = "SELECT crc FROM journal WHERE position = ?1";
        let position = Position(from.0.saturating_sub(1));
        let crc = if from == self.first() {
            self.connection.query_row(TRIMMED, (), |row| row.get(0))
        } else {
            self.connection.query_row(KEPT, [stored(position.0)], |row| row.get(0))
        };
        match crc {
            Ok(crc) => Ok(Link { position, crc }),
            Err(rusqlite::Error::QueryReturnedNoRows) => {
                Err(ReadError::Damaged { position, damage: Damage::Missing })
            }
            Err(error) => Err(blame(position, error)),
        }
    }
}

/// A row of the `journal` table as it is stored.
struct Entry {
    row: Row,
    crc: u32,
}

impl Entry {
    fn read(row: &rusqlite::Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            row: Row {
                position: Position(loaded(row.get(0)?)),
                epoch: Epoch(row.get(1)?),
                body: Bytes::from(row.get::<_, Vec<u8>>(3)?),
            },
            crc: row.get(2)?,
        })
    }

    /// The link of this batch, if it is the one that follows `before`, unchanged.
    fn check(&self, before: Link) -> Result<Link, Damage> {
        let link = before.next(self.row.epoch, &self.row.body);
        if self.row.position != link.position {
            return Err(Damage::Missing);
        }
        if self.crc != link.crc {
            return Err(Damage::Checksum { expected: link.crc, found: self.crc });
        }
        Ok(link)
    }
}

/// Tells what is wrong with the batch at `position` from what is wrong with the database as a whole.
fn blame<E: Error + 'static>(position: Position, error: rusqlite::Error) -> ReadError<E> {
    let of_the_database = error.sqlite_error().is_some_and(|failure| {
        !matches!(
            failure.code,
            ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase | ErrorCode::SystemIoFailure
        )
    });
    let error = DatabaseError(error);
    if of_the_database {
        return ReadError::Database(error);
    }
    // What is left is a page or a value that was never written so.
    ReadError::Damaged { position, damage: Damage::Unreadable(error) }
}
