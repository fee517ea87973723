//! Watching tasks change. The stream is taken up again after a coordinator restart.

use std::collections::VecDeque;

use leasehold_proto::v1::{Task, WatchTasksRequest, WatchTasksResponse};
use tokio::time::{self, Instant};
use tonic::Streaming;

use crate::{
    Client, Error, Refusal,
    call::signed,
    outage::{Outage, Repeat},
};

/// Which tasks to watch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WatchFilter {
    /// These, 1 to 10,000, beginning with their present state.
    Tasks(Vec<String>),
    /// Every task of this queue, from here on.
    Queue(String),
    /// Every task of the client's namespace, from here on.
    All,
}

/// Tasks as they change, without payloads. A slow reader skips states, never the last one.
///
/// After a break the stream is opened again. Named tasks are then shown as they are, so that nothing
/// final is missed; of a whole queue, what changed during the break is not shown.
#[derive(Debug)]
pub struct Watch {
    client: Client,
    /// What is watched; `None`: nothing, because no task was named.
    request: Option<WatchTasksRequest>,
    stream: Option<Streaming<WatchTasksResponse>>,
    changes: VecDeque<Task>,
    outage: Outage,
}

impl Client {
    /// Watches tasks change.
    pub fn watch(&self, filter: WatchFilter) -> Watch {
        let names_nothing = filter == WatchFilter::Tasks(Vec::new());
        let mut request = WatchTasksRequest { include_current: true, ..Default::default() };
        match filter {
            WatchFilter::Tasks(task_ids) => request.task_ids = task_ids,
            WatchFilter::Queue(queue) => request.queue = queue,
            WatchFilter::All => {}
        }
        request.namespace = self.namespace();
        // On the wire, no tasks and no queue mean everything in the namespace.
        let request = (!names_nothing).then_some(request);
        let (client, outage) = (self.clone(), self.outage());
        Watch { client, request, stream: None, changes: VecDeque::new(), outage }
    }
}

impl Watch {
    /// The next change. It ends only with an error, or by dropping the watch.
    pub async fn next(&mut self) -> Result<Task, Error> {
        loop {
            if let Some(task) = self.changes.pop_front() {
                return Ok(task);
            }
            let Err(error) = self.receive().await else {
                self.outage.over();
                continue;
            };
            self.stream = None;
            let random = fastrand::u64(..);
            let Some(wait) = self.outage.wait(&error, Repeat::Safe, Instant::now(), random) else {
                return Err(error);
            };
            tracing::debug!(error = %error, wait_ms = wait.as_millis(), "watch is taken up again");
            time::sleep(wait).await;
        }
    }

    /// Receives some changes, on a new stream if there is none.
    async fn receive(&mut self) -> Result<(), Error> {
        let stream = match (&mut self.stream, &self.request) {
            (Some(stream), _) => stream,
            (None, Some(request)) => self.stream.insert(open(&self.client, request.clone()).await?),
            (None, None) => {
                let refusal = Refusal::invalid_field("task_ids", "names no task to watch");
                return Err(Error::Refused(Box::new(refusal)));
            }
        };
        self.outage.reached();
        let received = stream.message().await.map_err(|status| failure(&self.client, status))?;
        let Some(response) = received else {
            // The coordinator closes watches in order when it shuts down: the same as a break.
            return Err(failure(&self.client, tonic::Status::unavailable("the watch was closed")));
        };
        self.changes.extend(response.tasks);
        Ok(())
    }
}

async fn open(
    client: &Client,
    request: WatchTasksRequest,
) -> Result<Streaming<WatchTasksResponse>, Error> {
    client.check_namespace().await?;
    let timeout = client.options().call_timeout;
    let opened = time::timeout(
        timeout,
        client.task_service().watch_tasks(signed(request, client.options())),
    )
    .await;
    match opened {
        Ok(Ok(response)) => Ok(response.into_inner()),
        Ok(Err(status)) => Err(failure(client, status)),
        Err(_elapsed) => Err(Error::NoAnswer { address: client.address().to_owned(), timeout }),
    }
}

fn failure(client: &Client, status: tonic::Status) -> Error {
    Error::from_status(status, client.address(), client.options().call_timeout)
}
