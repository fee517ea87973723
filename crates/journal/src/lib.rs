//! The durable journal: claim, append, read, query.
//!
//! The engine's batches are rows of one table of a SQLite file; the rows people query live beside them and change in
//! the same transaction. It knows nothing of what a task means: a batch is bytes, a row is a plain struct. It must not
//! know the clock, the network or a runtime either: every call blocks, and time is an argument. What is in the files,
//! table by table, is in `docs/journal.md`.
//!
//! The order of a start: [`Journal::open`], [`Journal::claim`], [`Journal::read`], and then one [`Journal::append`]
//! after the other. Queries go through a [`Reader`] of their own, on any thread.

mod ballast;
mod batch;
mod chain;
mod database;
mod error;
mod journal;
mod lock;
mod people;
mod place;
mod reader;
mod room;
mod sweep;

#[cfg(test)]
mod sample;

pub use batch::{
    Batch, Class, Epoch, FailedRow, Filter, FinishedRow, Page, Position, Queues, Row, RowId,
};
pub use database::PAGE_BYTES;
pub use error::{AppendError, Damage, DatabaseError, Fault, OpenError, QueryError, ReadError};
pub use journal::{Journal, Options};
pub use people::Counts;
pub use reader::{Listing, PAGE_ROWS_MAX, Reader};
