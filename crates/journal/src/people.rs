//! The rows people query: how they are written and read back.
//!
//! It must not know when: a transaction is its caller's.

use bytes::Bytes;
use rusqlite::{
    Connection,
    types::{FromSqlError, Type},
};

use crate::{Class, FailedRow, FinishedRow, RowId};

/// How many rows the people's tables hold, expired ones that are not swept yet included.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// In `finished_tasks`.
    pub finished: u64,
    /// In `failed_tasks`.
    pub failed: u64,
}

const INSERT_FINISHED: &str = "
    INSERT INTO finished_tasks (row_id, expire_ms, submit_ms, finish_ms, attempts, class,
        task_id, queue, task_type, trace_id, state, result, leases)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)";

const INSERT_FAILED: &str = "
    INSERT INTO failed_tasks (row_id, expire_ms, submit_ms, finish_ms, generation, attempts,
        reason, task_id, queue, task_type, trace_id, error, error_stack, state, payload, leases)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16)";

const DELETE_FAILED: &str = "DELETE FROM failed_tasks WHERE row_id = ?1";

/// Writes the rows of tasks that ended well or were cancelled.
pub(crate) fn insert_finished(at: &Connection, rows: &[FinishedRow]) -> rusqlite::Result<()> {
    let mut insert = at.prepare_cached(INSERT_FINISHED)?;
    for row in rows {
        insert.execute((
            row.row_id,
            stored(row.expire_ms),
            stored(row.submit_ms),
            stored(row.finish_ms),
            row.attempts,
            class_text(row.class),
            &row.task_id,
            &row.queue,
            &row.task_type,
            &row.trace_id,
            row.state.as_ref(),
            row.result.as_ref(),
            &row.leases,
        ))?;
    }
    Ok(())
}

/// Writes the rows of dead letters.
pub(crate) fn insert_failed(at: &Connection, rows: &[FailedRow]) -> rusqlite::Result<()> {
    let mut insert = at.prepare_cached(INSERT_FAILED)?;
    for row in rows {
        insert.execute((
            row.row_id,
            stored(row.expire_ms),
            stored(row.submit_ms),
            stored(row.finish_ms),
            row.generation,
            row.attempts,
            &row.reason,
            &row.task_id,
            &row.queue,
            &row.task_type,
            &row.trace_id,
            &row.error,
            &row.error_stack,
            row.state.as_ref(),
            row.payload.as_ref(),
            &row.leases,
        ))?;
    }
    Ok(())
}

/// Takes a dead letter away. `false`: there was none.
pub(crate) fn delete_failed(at: &Connection, row_id: RowId) -> rusqlite::Result<bool> {
    Ok(at.prepare_cached(DELETE_FAILED)?.execute([row_id])? == 1)
}

/// The columns of [`finished_row`], what stands behind the state left out.
pub(crate) const FINISHED_COLUMNS: &str = "row_id, expire_ms, submit_ms, finish_ms, attempts,
    class, task_id, queue, task_type, trace_id, state";

/// Reads [`FINISHED_COLUMNS`] and, where they were selected behind them, the others.
pub(crate) fn finished_row(row: &rusqlite::Row<'_>) -> rusqlite::Result<FinishedRow> {
    Ok(FinishedRow {
        row_id: row.get("row_id")?,
        task_id: row.get("task_id")?,
        queue: row.get("queue")?,
        task_type: row.get("task_type")?,
        class: class_of(row)?,
        attempts: row.get("attempts")?,
        submit_ms: time(row, "submit_ms")?,
        finish_ms: time(row, "finish_ms")?,
        expire_ms: time(row, "expire_ms")?,
        trace_id: row.get("trace_id")?,
        result: if_selected(row, "result", blob)?,
        leases: if_selected(row, "leases", text)?,
        state: blob(row, "state")?,
    })
}

/// The columns of [`failed_row`], what stands behind the state left out.
pub(crate) const FAILED_COLUMNS: &str = "row_id, expire_ms, submit_ms, finish_ms, generation,
    attempts, reason, task_id, queue, task_type, trace_id, error, error_stack, state";

/// Reads [`FAILED_COLUMNS`] and, where they were selected behind them, the others.
pub(crate) fn failed_row(row: &rusqlite::Row<'_>) -> rusqlite::Result<FailedRow> {
    Ok(FailedRow {
        row_id: row.get("row_id")?,
        task_id: row.get("task_id")?,
        queue: row.get("queue")?,
        task_type: row.get("task_type")?,
        generation: row.get("generation")?,
        attempts: row.get("attempts")?,
        reason: row.get("reason")?,
        error: row.get("error")?,
        error_stack: row.get("error_stack")?,
        submit_ms: time(row, "submit_ms")?,
        finish_ms: time(row, "finish_ms")?,
        expire_ms: time(row, "expire_ms")?,
        trace_id: row.get("trace_id")?,
        payload: if_selected(row, "payload", blob)?,
        leases: if_selected(row, "leases", text)?,
        state: blob(row, "state")?,
    })
}

/// The text that stands for a class in the file. Persisted: it never changes.
pub(crate) const fn class_text(class: Class) -> &'static str {
    match class {
        Class::Succeeded => "SUCCEEDED",
        Class::Cancelled => "CANCELLED",
    }
}

fn class_of(row: &rusqlite::Row<'_>) -> rusqlite::Result<Class> {
    let text: String = row.get("class")?;
    [Class::Succeeded, Class::Cancelled].into_iter().find(|class| class_text(*class) == text).ok_or(
        rusqlite::Error::FromSqlConversionFailure(
            0,
            Type::Text,
            Box::new(FromSqlError::InvalidType),
        ),
    )
}

fn blob(row: &rusqlite::Row<'_>, column: &str) -> rusqlite::Result<Bytes> {
    row.get::<_, Vec<u8>>(column).map(Bytes::from)
}

fn text(row: &rusqlite::Row<'_>, column: &str) -> rusqlite::Result<String> {
    row.get(column)
}

fn if_selected<T: Default>(
    row: &rusqlite::Row<'_>,
    column: &str,
    read: fn(&rusqlite::Row<'_>, &str) -> rusqlite::Result<T>,
) -> rusqlite::Result<T> {
    match read(row, column) {
        Err(rusqlite::Error::InvalidColumnName(_)) => Ok(T::default()),
        read => read,
    }
}

fn time(row: &rusqlite::Row<'_>, column: &str) -> rusqlite::Result<u64> {
    row.get(column).map(loaded)
}

/// A count or time as SQLite keeps it: what does not fit is as large as can be.
pub(crate) fn stored(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// The other way round; a negative one was never stored and reads as the smallest.
pub(crate) fn loaded(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}
