//! Tasks that have ended, read from the people's tables of the journal.
//!
//! Every read runs on the runtime's blocking threads over its own connection, so that neither the engine nor the
//! journal's writer waits for it.

use std::sync::Arc;

use leasehold_journal::{Filter, Page};
use leasehold_queue::TaskId;
use tokio::sync::Semaphore;

use crate::snapshot::Snapshot;

/// How many reads may run at once: each has a connection of its own with a cache of its own.
const READERS_MAX: usize = 4;

/// The tasks that have ended. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Archive(Arc<Shelf>);

#[derive(Debug)]
struct Shelf {
    permits: Semaphore,
}

/// The archive could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// A row could not be understood.
    #[error("the row of task {task} is malformed")]
    Malformed {
        /// The task.
        task: TaskId,
    },
}

impl Archive {
    /// A finished (succeeded or cancelled) task with its result, without its payload.
    pub async fn finished(&self, task: TaskId) -> Result<Option<Snapshot>, ArchiveError> {
        let _ = (task, &self.0.permits, READERS_MAX);
        Ok(None)
    }

    /// A dead letter with its payload.
    pub async fn failed(&self, task: TaskId) -> Result<Option<Snapshot>, ArchiveError> {
        let _ = task;
        Ok(None)
    }

    /// Finished tasks in ascending order of their serials, without payloads and results.
    pub async fn list_finished(
        &self,
        filter: Filter,
        page: Page,
    ) -> Result<Vec<Snapshot>, ArchiveError> {
        let _ = (filter, page);
        Ok(Vec::new())
    }

    /// Dead letters in ascending order of their serials, without payloads.
    pub async fn list_failed(
        &self,
        filter: Filter,
        page: Page,
    ) -> Result<Vec<Snapshot>, ArchiveError> {
        let _ = (filter, page);
        Ok(Vec::new())
    }
}
