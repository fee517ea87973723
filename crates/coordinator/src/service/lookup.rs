//! Finds a task wherever it is: open, finished or failed.

use leasehold_queue::TaskId;
use tonic::Status;

use crate::{
    handle::Handle,
    refusal::Refusal,
    snapshot::{Explained, Snapshot},
};

/// A task can move between two looks: it ends after the engine was asked, or is replayed after the archive was. It
/// does not do so again and again within a call.
const LOOKS: usize = 3;

/// The task, or the refusal that says it does not exist.
pub(super) async fn find(handle: &Handle, task: TaskId) -> Result<Snapshot, Status> {
    for _ in 0..LOOKS {
        if let Some(open) = handle.get(task).await? {
            return Ok(open);
        }
        if let Some(ended) = ended(handle, task).await? {
            return Ok(ended);
        }
    }
    Err(Refusal::no_task(task).into())
}

/// Why the task is where it is, or the refusal that says it does not exist.
pub(super) async fn explain(handle: &Handle, task: TaskId) -> Result<Explained, Status> {
    for _ in 0..LOOKS {
        if let Some(open) = handle.explain(task).await? {
            return Ok(open);
        }
        if let Some(ended) = ended(handle, task).await? {
            return Ok(ended.into());
        }
    }
    Err(Refusal::no_task(task).into())
}

/// The task, if it has ended.
pub(super) async fn ended(handle: &Handle, task: TaskId) -> Result<Option<Snapshot>, Status> {
    let archive = handle.archive();
    match archive.finished(task).await? {
        Some(finished) => Ok(Some(finished)),
        None => Ok(archive.failed(task).await?),
    }
}
