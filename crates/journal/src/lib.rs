//! The durable journal: claim, append, read, query.
//!
//! The engine's batches are rows of one table of a SQLite file; the rows people query live beside them and change in
//! the same transaction. It knows nothing of what a task means: a batch is bytes, a row is a plain struct.

mod batch;

pub use batch::{Batch, Class, Epoch, FailedRow, Filter, FinishedRow, Page, Position, Row, RowId};
