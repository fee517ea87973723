//! A watch as a stream of answers: what has ended before it began, then every change.

use std::collections::{BTreeSet, VecDeque};

use futures_util::{Stream, stream};
use leasehold_proto::v1;
use leasehold_queue::TaskId;
use prost::Message as _;
use tokio_util::sync::CancellationToken;
use tonic::Status;

use super::{lookup, page::ANSWER_BYTES_MAX};
use crate::{
    handle::{Handle, Unavailable},
    parse,
    refusal::{Reason, Refusal},
    view::{self, Detail},
    watch::{Watch, WatchFilter},
};

/// The most tasks one call may name.
const NAMED_MAX: usize = 10_000;

/// What a request asks to watch.
pub(super) fn filter(request: &v1::WatchTasksRequest) -> Result<WatchFilter, Refusal> {
    let named = request.task_ids.len();
    if named > NAMED_MAX {
        let problem =
            format!("names {named} tasks: at most {NAMED_MAX} are allowed; watch a queue");
        return Err(Refusal::field("task_ids", problem));
    }
    let tasks: BTreeSet<_> = request
        .task_ids
        .iter()
        .map(|id| parse::task_id("task_ids", id))
        .collect::<Result<_, _>>()?;
    let queues = parse::queues(&request.queue, &request.namespace)?;
    // Ids are of whatever namespace.
    let by_queue = tasks.is_empty() || !request.queue.is_empty();
    let queues = Some(queues).filter(|_| by_queue);
    Ok(WatchFilter { tasks, queues, include_current: request.include_current })
}

/// One watch.
pub(super) struct WatchStream {
    handle: Handle,
    watch: Watch,
    /// Tasks to look up in the archive before the first change is told.
    absent: VecDeque<TaskId>,
    ready: VecDeque<v1::Task>,
    stopping: CancellationToken,
}

impl WatchStream {
    /// `ended` are tasks to tell of first.
    pub(super) fn new(
        handle: Handle,
        watch: Watch,
        ended: Vec<TaskId>,
        stopping: CancellationToken,
    ) -> Self {
        Self { handle, watch, absent: ended.into(), ready: VecDeque::new(), stopping }
    }

    /// The answers, until the client has seen enough.
    pub(super) fn answers(self) -> impl Stream<Item = Result<v1::WatchTasksResponse, Status>> {
        stream::unfold(Some(self), async |open| {
            let mut open = open?;
            match open.next().await {
                Ok(tasks) => Some((Ok(v1::WatchTasksResponse { tasks }), Some(open))),
                Err(status) => Some((Err(status), None)),
            }
        })
    }

    async fn next(&mut self) -> Result<Vec<v1::Task>, Status> {
        while self.ready.is_empty() {
            if let Some(task) = self.absent.pop_front() {
                let ended = lookup::find(&self.handle, task).await?;
                self.ready.push_back(view::task(&ended, Detail::NoPayload, &self.handle.config()));
                continue;
            }
            let changed = tokio::select! {
                changed = self.watch.next() => changed,
                () = self.stopping.cancelled() => return Err(Unavailable::ShuttingDown.into()),
            };
            let changed = changed.ok_or(Unavailable::Stopped)?.map_err(|lagged| {
                Refusal::new(
                    Reason::Overloaded,
                    format!("{lagged}: list what matters, then watch again"),
                )
            })?;
            let config = self.handle.config();
            let shown = changed.iter().map(|task| view::task(task, Detail::NoPayload, &config));
            self.ready.extend(shown);
        }
        Ok(self.take())
    }

    /// As many tasks as fit into one answer, at least one.
    fn take(&mut self) -> Vec<v1::Task> {
        let (mut taken, mut bytes) = (Vec::new(), 0);
        while let Some(task) = self.ready.front() {
            bytes += task.encoded_len();
            if bytes > ANSWER_BYTES_MAX && !taken.is_empty() {
                break;
            }
            taken.extend(self.ready.pop_front());
        }
        taken
    }
}
