//! Tasks that have ended, read from the people's tables of the journal.
//!
//! Every read has a connection of its own, so that neither the engine nor the journal's writer waits for it.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use leasehold_journal::{
    FailedRow, Filter, FinishedRow, Journal, Listing, Page, Position, QueryError, Reader, RowId,
};
use leasehold_queue::TaskId;
use tokio::sync::Semaphore;

use crate::{
    codec::{self, Malformed},
    gaps::{self, Unfilled},
    snapshot::Snapshot,
};

/// How many reads may run at once: each has a connection of its own with a cache of its own.
const READERS_MAX: usize = 4;

/// The tasks that have ended. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Archive(Arc<Shelf>);

/// Where reads run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Desk {
    /// On the runtime's blocking threads: others go on meanwhile.
    Threads,
    /// On the caller's: for simulations, where nothing may depend on how long a thread takes.
    Caller,
}

#[derive(Debug)]
struct Shelf {
    desk: Desk,
    /// One for each reader.
    permits: Semaphore,
    /// Readers that nobody uses at the moment.
    readers: Mutex<Vec<Reader>>,
}

/// The archive could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// The database refused.
    #[error("the tables of ended tasks cannot be read")]
    Query(#[from] QueryError),
    /// A row could not be understood.
    #[error("the row {row_id} of an ended task is malformed")]
    Malformed {
        /// Which.
        row_id: RowId,
        /// How.
        #[source]
        source: Malformed,
    },
    /// The payload of an open task could not be read.
    #[error("the payload of an open task cannot be read back")]
    Payload(#[from] Unfilled),
    /// The process ends.
    #[error("the tables of ended tasks are closed")]
    Closed,
}

impl Archive {
    /// The archive of a journal.
    pub(crate) fn open(journal: &Journal, desk: Desk) -> Result<Self, QueryError> {
        let readers: Vec<_> =
            (0..READERS_MAX).map(|_| journal.reader()).collect::<Result<_, _>>()?;
        let permits = Semaphore::new(readers.len());
        Ok(Self(Arc::new(Shelf { desk, permits, readers: Mutex::new(readers) })))
    }

    /// A finished (succeeded or cancelled) task with its result, without its payload.
    pub async fn finished(&self, task: TaskId) -> Result<Option<Snapshot>, ArchiveError> {
        let row = self.read(move |reader| reader.finished(task.serial())).await?;
        let snapshot = row.map(show_finished).transpose()?;
        Ok(snapshot.filter(|snapshot| snapshot.task.id == task))
    }

    /// A dead letter with its payload.
    pub async fn failed(&self, task: TaskId) -> Result<Option<Snapshot>, ArchiveError> {
        let row = self.read(move |reader| reader.failed(task.serial())).await?;
        let snapshot = row.map(show_failed).transpose()?;
        Ok(snapshot.filter(|snapshot| snapshot.task.id == task))
    }

    /// The payload of an open task, which was let go and was then in this batch. None: it is not there any more.
    pub(crate) async fn payload(
        &self,
        home: Position,
        task: TaskId,
    ) -> Result<Option<Bytes>, ArchiveError> {
        self.read(move |reader| Ok(gaps::payload(reader, home, task))).await?.map_err(Into::into)
    }

    /// Finished tasks in ascending order of their serials, without payloads and results. Fewer than the page holds:
    /// there are no more.
    pub async fn list_finished(
        &self,
        filter: Filter,
        page: Page,
    ) -> Result<Vec<Snapshot>, ArchiveError> {
        let rows =
            self.read(move |reader| fill(page, |page| reader.list_finished(&filter, page))).await?;
        rows.into_iter().map(show_finished).collect()
    }

    /// Dead letters in ascending order of their serials, without payloads. Fewer than the page holds: there are no
    /// more.
    pub async fn list_failed(
        &self,
        filter: Filter,
        page: Page,
    ) -> Result<Vec<Snapshot>, ArchiveError> {
        let rows =
            self.read(move |reader| fill(page, |page| reader.list_failed(&filter, page))).await?;
        rows.into_iter().map(show_failed).collect()
    }

    async fn read<T: Send + 'static>(
        &self,
        query: impl FnOnce(&Reader) -> Result<T, QueryError> + Send + 'static,
    ) -> Result<T, ArchiveError> {
        let archive = Arc::clone(&self.0);
        let permit = self.0.permits.acquire().await.map_err(|_| ArchiveError::Closed)?;
        let reader = archive.lock().pop().ok_or(ArchiveError::Closed)?;
        // A caller that goes away leaves the query to finish, and the reader to be put back by it.
        permit.forget();
        let desk = archive.desk;
        let read = move || {
            let found = query(&reader);
            archive.lock().push(reader);
            archive.permits.add_permits(1);
            found
        };
        Ok(match desk {
            Desk::Threads => {
                let queried = tokio::task::spawn_blocking(read).await;
                queried.map_err(|_| ArchiveError::Closed)??
            }
            Desk::Caller => read()?,
        })
    }
}

impl Shelf {
    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Reader>> {
        self.readers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Reads on until the page is full or there is no more: a listing may stop early, to keep its transaction short.
fn fill<T>(
    page: Page,
    list: impl Fn(Page) -> Result<Listing<T>, QueryError>,
) -> Result<Vec<T>, QueryError> {
    let (mut found, mut after) = (Vec::new(), Some(page.after));
    while let Some(row_id) = after {
        let left = page.limit.saturating_sub(u32::try_from(found.len()).unwrap_or(u32::MAX));
        if left == 0 {
            break;
        }
        let listing = list(Page { after: row_id, limit: left })?;
        found.extend(listing.rows);
        after = listing.next;
    }
    Ok(found)
}

fn show_finished(row: FinishedRow) -> Result<Snapshot, ArchiveError> {
    let mut snapshot = decode(row.row_id, &row.state)?;
    if let Some(ended) = &mut snapshot.ended {
        ended.result = row.result;
    }
    Ok(snapshot)
}

fn show_failed(row: FailedRow) -> Result<Snapshot, ArchiveError> {
    let mut snapshot = decode(row.row_id, &row.state)?;
    snapshot.task.spec.payload = row.payload.into();
    Ok(snapshot)
}

fn decode(row_id: RowId, state: &[u8]) -> Result<Snapshot, ArchiveError> {
    codec::decode_state(state).map_err(|source| ArchiveError::Malformed { row_id, source })
}
