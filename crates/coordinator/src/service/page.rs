//! Pages over several sources: open tasks, finished ones and dead letters, as one list by id.

use std::collections::BTreeMap;

use leasehold_queue::TaskId;
use prost::Message as _;

use crate::{
    config::Config,
    snapshot::Snapshot,
    view::{self, Detail},
};
use leasehold_proto::v1;

/// What one answer may hold: below what a client takes as one message, by a margin for what is around it.
pub(super) const ANSWER_BYTES_MAX: usize = 3 << 20;

/// What one source had to say about a range of ids.
#[derive(Debug)]
pub(super) struct Part {
    /// Its tasks, by id.
    pub(super) tasks: Vec<Snapshot>,
    /// Up to and including this id it has been asked. None: to the end.
    pub(super) until: Option<TaskId>,
}

impl Part {
    /// What a source says that was asked for `limit` tasks and has no more than it gave.
    pub(super) fn of_rows(tasks: Vec<Snapshot>, limit: usize) -> Self {
        let last = tasks.last().map(|last| last.task.id);
        Self { until: last.filter(|_| tasks.len() >= limit), tasks }
    }
}

/// The first `limit` tasks of all parts, and the id after which the next page begins.
///
/// A task that ended between two questions is in two parts; the later part wins.
pub(super) fn merge(
    parts: Vec<Part>,
    limit: usize,
    config: &Config,
) -> (Vec<v1::Task>, Option<TaskId>) {
    let until = parts.iter().filter_map(|part| part.until).min();
    let mut merged = BTreeMap::new();
    for snapshot in parts.into_iter().flat_map(|part| part.tasks) {
        merged.insert(snapshot.task.id, snapshot);
    }
    let known = |id: &TaskId| until.is_none_or(|until| *id <= until);
    let mut left = merged.into_iter().filter(|(id, _)| known(id)).peekable();
    let (mut page, mut bytes, mut last) = (Vec::new(), 0, None);
    while page.len() < limit
        && let Some((id, snapshot)) = left.peek()
    {
        let task = view::task(snapshot, Detail::Row, config);
        bytes += task.encoded_len();
        if bytes > ANSWER_BYTES_MAX && !page.is_empty() {
            break;
        }
        page.push(task);
        last = Some(*id);
        left.next();
    }
    let next = if left.peek().is_some() { last } else { until };
    (page, next)
}

#[cfg(test)]
mod tests;
