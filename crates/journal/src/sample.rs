//! Batches and rows for tests.

use bytes::Bytes;

use crate::{Batch, Class, FailedRow, FinishedRow, RowId};

/// A batch of nothing but this body.
pub(crate) fn batch(body: impl Into<Bytes>) -> Batch {
    Batch { body: body.into(), ..Batch::default() }
}

/// A finished row in which no two fields are alike.
pub(crate) fn finished(row_id: RowId) -> FinishedRow {
    FinishedRow {
        row_id,
        task_id: u128::from(row_id.cast_unsigned()).to_be_bytes(),
        queue: format!("queue-{}", row_id % 3),
        task_type: format!("type-{}", row_id % 2),
        class: if row_id % 5 == 0 { Class::Cancelled } else { Class::Succeeded },
        attempts: 3,
        submit_ms: 1_000 + row_id.cast_unsigned(),
        finish_ms: 2_000 + row_id.cast_unsigned(),
        expire_ms: 3_000 + row_id.cast_unsigned(),
        trace_id: format!("{row_id:032x}"),
        result: Bytes::from(format!("result {row_id}")),
        state: Bytes::from(format!("state {row_id}")),
        leases: format!("[{row_id}]"),
    }
}

/// A dead letter in which no two fields are alike.
pub(crate) fn failed(row_id: RowId) -> FailedRow {
    FailedRow {
        row_id,
        task_id: u128::from(row_id.cast_unsigned()).to_be_bytes(),
        queue: format!("queue-{}", row_id % 3),
        task_type: format!("type-{}", row_id % 2),
        generation: 2,
        attempts: 5,
        reason: "ATTEMPT_TIMEOUT".to_owned(),
        error: "too slow: größer als ∞".to_owned(),
        error_stack: "at main\n\tat run".to_owned(),
        submit_ms: 1_000 + row_id.cast_unsigned(),
        finish_ms: 2_000 + row_id.cast_unsigned(),
        expire_ms: 3_000 + row_id.cast_unsigned(),
        trace_id: String::new(),
        payload: Bytes::from(format!("payload {row_id}")),
        state: Bytes::from(format!("state {row_id}")),
        leases: format!("[{row_id}, 2]"),
    }
}
