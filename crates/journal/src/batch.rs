//! What is written and read.

use bytes::Bytes;

/// Which process may write: grows with every claim. At most 32 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Epoch(pub u32);

/// A place in the journal: 1 for the first batch, one more for each; never used twice.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position(pub u64);

/// A positive integer that names a row of the people's tables and grows with the age of its task.
pub type RowId = i64;

/// Everything that becomes durable together.
#[derive(Clone, Debug, Default)]
pub struct Batch {
    /// The records, encoded by the caller. One row of the journal.
    pub body: Bytes,
    /// Tasks that ended well or were cancelled.
    pub finished: Vec<FinishedRow>,
    /// Tasks that became dead letters.
    pub failed: Vec<FailedRow>,
    /// Dead letters that are tasks again: their rows go, if they have not expired and gone already.
    pub unfailed: Vec<RowId>,
    /// Facts to keep beside the journal: name and value, an empty value removes the fact.
    pub meta: Vec<(String, Bytes)>,
    /// Delete every batch before this position, and remember the head as `settled`.
    pub drop_before: Option<Position>,
    /// The logical time in milliseconds since the Unix epoch, by which expired rows are deleted a few at a time.
    pub now_ms: u64,
}

impl Batch {
    /// About how many bytes it adds to the file.
    pub(crate) fn bytes(&self) -> u64 {
        let finished = self.finished.iter().map(FinishedRow::bytes).sum::<usize>();
        let failed = self.failed.iter().map(FailedRow::bytes).sum::<usize>();
        (self.body.len() + finished + failed) as u64
    }
}

/// What a row takes beside what is counted of it: names, numbers, its part of the indexes.
const ROW_OVERHEAD_BYTES: usize = 128;

/// How a finished task ended, as people read it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// `SUCCEEDED`.
    Succeeded,
    /// `CANCELLED`.
    Cancelled,
}

/// A row of `finished_tasks`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FinishedRow {
    /// Row id: the task's serial.
    pub row_id: RowId,
    /// The task's id, 16 bytes, big endian.
    pub task_id: [u8; 16],
    /// The queue.
    pub queue: String,
    /// The task type.
    pub task_type: String,
    /// How it ended.
    pub class: Class,
    /// Counted attempts.
    pub attempts: u32,
    /// When it was submitted, in milliseconds since the Unix epoch.
    pub submit_ms: u64,
    /// When it ended.
    pub finish_ms: u64,
    /// When the row may be deleted.
    pub expire_ms: u64,
    /// The trace id as 32 hex digits; empty if there is none.
    pub trace_id: String,
    /// What the handler returned.
    pub result: Bytes,
    /// The whole task, encoded by the caller, without payload and result.
    pub state: Bytes,
    /// How its leases ended, for people: a JSON array. Empty if it succeeded under its only one.
    pub leases: String,
}

impl FinishedRow {
    const fn bytes(&self) -> usize {
        self.result.len() + self.state.len() + self.leases.len() + ROW_OVERHEAD_BYTES
    }
}

/// A row of `failed_tasks`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FailedRow {
    /// Row id: the task's serial.
    pub row_id: RowId,
    /// The task's id, 16 bytes, big endian.
    pub task_id: [u8; 16],
    /// The queue.
    pub queue: String,
    /// The task type.
    pub task_type: String,
    /// The generation that failed.
    pub generation: u32,
    /// Counted attempts.
    pub attempts: u32,
    /// The kind of failure, as people read it, such as `ATTEMPT_TIMEOUT`.
    pub reason: String,
    /// One line for people.
    pub error: String,
    /// A stack, or the tail of stderr; at most 2,000 characters.
    pub error_stack: String,
    /// When it was submitted, in milliseconds since the Unix epoch.
    pub submit_ms: u64,
    /// When it failed.
    pub finish_ms: u64,
    /// When the row may be deleted.
    pub expire_ms: u64,
    /// The trace id as 32 hex digits; empty if there is none.
    pub trace_id: String,
    /// The handler's input.
    pub payload: Bytes,
    /// The whole task, encoded by the caller, without payload.
    pub state: Bytes,
    /// How its leases ended, for people: a JSON array.
    pub leases: String,
}

impl FailedRow {
    const fn bytes(&self) -> usize {
        let Self { payload, state, leases, error, error_stack, .. } = self;
        let texts = leases.len() + error.len() + error_stack.len();
        payload.len() + state.len() + texts + ROW_OVERHEAD_BYTES
    }
}

/// One batch as it was read back and checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// Where it stands.
    pub position: Position,
    /// Who wrote it.
    pub epoch: Epoch,
    /// The records.
    pub body: Bytes,
}

/// Which rows of the people's tables to list.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Only rows of these queues.
    pub queues: Queues,
    /// Only this task type.
    pub task_type: Option<String>,
    /// Only this class (of finished rows).
    pub class: Option<Class>,
}

/// Of which queues rows are listed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Queues {
    /// Of all.
    #[default]
    All,
    /// Of this one.
    One(String),
    /// Of those whose names begin so.
    Under(String),
    /// Of those in whose names this is not.
    Without(char),
}

/// A page: rows with a larger row id than `after`, at most `limit` of them, in ascending order.
#[derive(Clone, Copy, Debug)]
pub struct Page {
    /// Where the page before ended; 0 at the start.
    pub after: RowId,
    /// How many at most.
    pub limit: u32,
}
