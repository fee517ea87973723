//! Waiting for tasks to end, over any number of calls and coordinator restarts.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use leasehold_proto::v1::{AwaitTaskRequest, Task, TaskState};
use tokio::{task::JoinSet, time};

use crate::{Client, Error, outage::Repeat, spec::wire_duration};

/// The longest the coordinator lets one call wait.
const CALL_WAIT_MAX: Duration = Duration::from_mins(1);

/// How long the first call waits: it finds out soon whether there is a coordinator and such a task.
const FIRST_CALL_WAIT: Duration = Duration::from_secs(1);

/// How many tasks are awaited at once: a quarter of the streams the coordinator allows a connection.
const WAITS_MAX: usize = 32;

/// Whether a task in this state has ended. A state this version does not know has not.
pub fn has_ended(state: TaskState) -> bool {
    match state {
        TaskState::Succeeded | TaskState::Failed | TaskState::Cancelled => true,
        TaskState::Unspecified
        | TaskState::Scheduled
        | TaskState::Queued
        | TaskState::Leased
        | TaskState::Running
        | TaskState::Cancelling => false,
    }
}

impl Client {
    /// Waits until a task has ended and shows it, result included. With a `timeout`, gives up after
    /// it with [`Error::NotEnded`]. A coordinator that was reached and goes away is sat out for
    /// [`ClientOptions::outage_max`](crate::ClientOptions::outage_max).
    pub async fn wait(&self, task_id: &str, timeout: Option<Duration>) -> Result<Task, Error> {
        let start = Instant::now();
        let mut outage = self.outage();
        let mut call_wait = FIRST_CALL_WAIT;
        loop {
            let left = timeout.map(|timeout| timeout.saturating_sub(start.elapsed()));
            let max_wait = left.map_or(call_wait, |left| left.min(call_wait));
            let error = match self.await_once(task_id, max_wait).await {
                Ok(task) if has_ended(task.state()) => return Ok(task),
                Ok(task) if timeout.is_some_and(|timeout| timeout <= start.elapsed()) => {
                    return Err(Error::NotEnded { task: Box::new(task), waited: whole_ms(start) });
                }
                Ok(_still_going) => {
                    outage.over();
                    call_wait = CALL_WAIT_MAX;
                    continue;
                }
                Err(error) => error,
            };
            let wait = outage.wait(&error, Repeat::Safe, Instant::now(), fastrand::u64(..));
            let Some(wait) = wait.filter(|wait| left.is_none_or(|left| *wait < left)) else {
                return Err(error);
            };
            tracing::debug!(error = %error, wait_ms = wait.as_millis(), "wait is taken up again");
            time::sleep(wait).await;
        }
    }

    /// Waits for many tasks; shows each as it ends.
    pub fn wait_all(&self, task_ids: Vec<String>, timeout: Option<Duration>) -> WaitAll {
        WaitAll {
            client: self.clone(),
            deadline: timeout.map(|timeout| Instant::now() + timeout),
            waiting: task_ids.into(),
            waits: JoinSet::new(),
        }
    }

    /// One call that waits. Its deadline leaves the coordinator the whole of `max_wait` and the answer
    /// a call's usual time.
    async fn await_once(&self, task_id: &str, max_wait: Duration) -> Result<Task, Error> {
        let timeout = max_wait + self.options().call_timeout;
        let request = AwaitTaskRequest {
            task_id: task_id.to_owned(),
            max_wait: Some(wire_duration(max_wait)),
        };
        let send = |request| {
            let mut service = self.task_service();
            async move { service.await_task(request).await }
        };
        let call = self.call("leasehold.v1.TaskService/AwaitTask", Repeat::Safe).timeout(timeout);
        let response = call.unrepeated(request, send).await?;
        response.task.ok_or_else(|| self.malformed("a task"))
    }
}

/// How long ago `start` was, as people like to read it.
fn whole_ms(start: Instant) -> Duration {
    Duration::from_millis(u64::try_from(start.elapsed().as_millis()).unwrap_or(u64::MAX))
}

/// The tasks of [`Client::wait_all`], as they end.
#[derive(Debug)]
pub struct WaitAll {
    client: Client,
    deadline: Option<Instant>,
    waiting: VecDeque<String>,
    waits: JoinSet<Result<Task, Error>>,
}

impl WaitAll {
    /// The next task that ended, or why it could not be waited for; `None` after the last.
    pub async fn next(&mut self) -> Option<Result<Task, Error>> {
        while self.waits.len() < WAITS_MAX {
            let Some(task_id) = self.waiting.pop_front() else { break };
            let client = self.client.clone();
            let left = self.deadline.map(|end| end.saturating_duration_since(Instant::now()));
            self.waits.spawn(async move { client.wait(&task_id, left).await });
        }
        match self.waits.join_next().await? {
            Ok(outcome) => Some(outcome),
            Err(failure) => std::panic::resume_unwind(failure.into_panic()),
        }
    }
}
