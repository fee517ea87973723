//! Waiting for tasks to end, over any number of calls and coordinator restarts.

use std::{collections::HashSet, time::Duration};

use leasehold_proto::{
    duration::to_wire,
    v1::{AwaitTaskRequest, Task, TaskState},
};
use tokio::{
    sync::mpsc,
    task::JoinSet,
    time::{self, Instant},
};

use crate::{Client, Error, Watch, WatchFilter, options::TIMEOUT_MAX, outage::Repeat};

/// The longest the coordinator lets one call wait.
const CALL_WAIT_MAX: Duration = Duration::from_mins(1);

/// How long the first call waits: it finds out soon whether there is a coordinator and such a task.
const FIRST_CALL_WAIT: Duration = Duration::from_secs(1);

/// How many tasks are awaited at once: a quarter of the streams the coordinator allows a connection.
const WAITS_MAX: usize = 32;

/// How many tasks one watch looks at: as many as the coordinator lets a call name.
const WATCHED_MAX: usize = 10_000;

/// How many tasks that ended wait to be asked for: a watch must not be held up by those before.
const READY_BOUND: usize = WATCHED_MAX;

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
    /// [`ClientOptions::outage_max`](crate::ClientOptions::outage_max). A timeout of more than a year
    /// means a year.
    pub async fn wait(&self, task_id: &str, timeout: Option<Duration>) -> Result<Task, Error> {
        let timeout = timeout.map(|timeout| timeout.min(TIMEOUT_MAX));
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

    /// Waits for many tasks; shows each as it ends, once however often it is named.
    pub fn wait_all(&self, task_ids: Vec<String>, timeout: Option<Duration>) -> WaitAll {
        let deadline = timeout.map(|timeout| Instant::now() + timeout.min(TIMEOUT_MAX));
        let mut named = HashSet::new();
        let task_ids: Vec<String> =
            task_ids.into_iter().filter(|id| named.insert(id.clone())).collect();
        let (ready_in, ready) = mpsc::channel(READY_BOUND);
        let mut watches = JoinSet::new();
        for some in task_ids.chunks(WATCHED_MAX) {
            let (client, ready) = (self.clone(), ready_in.clone());
            watches.spawn(tell_ended(client, some.to_vec(), deadline, ready));
        }
        WaitAll { client: self.clone(), deadline, ready, waits: JoinSet::new(), _watches: watches }
    }

    /// One call that waits. Its deadline leaves the coordinator the whole of `max_wait` and the answer
    /// a call's usual time.
    async fn await_once(&self, task_id: &str, max_wait: Duration) -> Result<Task, Error> {
        let timeout = max_wait.saturating_add(self.options().call_timeout).min(TIMEOUT_MAX);
        let request =
            AwaitTaskRequest { task_id: task_id.to_owned(), max_wait: Some(to_wire(max_wait)) };
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

/// Names each task as it ends; in the end, and where a watch cannot go on, those that are left. Who asks for
/// them then learns what is the matter with each.
async fn tell_ended(
    client: Client,
    task_ids: Vec<String>,
    deadline: Option<Instant>,
    ready: mpsc::Sender<String>,
) {
    let mut left: HashSet<String> = task_ids.iter().cloned().collect();
    // So few are waited for all at once.
    if task_ids.len() > WAITS_MAX {
        let watched = watch_ended(client.watch(WatchFilter::Tasks(task_ids)), &mut left, &ready);
        match deadline {
            // What is left is named below.
            Some(deadline) => drop(time::timeout_at(deadline, watched).await),
            None => watched.await,
        }
    }
    for task_id in left {
        if ready.send(task_id).await.is_err() {
            return;
        }
    }
}

/// Moves tasks from `left` to `ready` as they end, until the watch fails.
async fn watch_ended(mut watch: Watch, left: &mut HashSet<String>, ready: &mpsc::Sender<String>) {
    while !left.is_empty() {
        let task = match watch.next().await {
            Ok(task) => task,
            Err(error) => {
                tracing::debug!(error = %error, "tasks are waited for one by one");
                return;
            }
        };
        if has_ended(task.state()) && left.remove(&task.task_id) {
            // A wait that was given up needs nothing more.
            drop(ready.send(task.task_id).await);
        }
    }
}

/// The tasks of [`Client::wait_all`], as they end.
#[derive(Debug)]
pub struct WaitAll {
    client: Client,
    deadline: Option<Instant>,
    /// Tasks to be asked for: they have ended, or nobody watches them.
    ready: mpsc::Receiver<String>,
    waits: JoinSet<Result<Task, Error>>,
    /// They end with this.
    _watches: JoinSet<()>,
}

impl WaitAll {
    /// The next task that ended, or why it could not be waited for; `None` after the last.
    pub async fn next(&mut self) -> Option<Result<Task, Error>> {
        loop {
            tokio::select! {
                Some(task_id) = self.ready.recv(), if self.waits.len() < WAITS_MAX => {
                    let client = self.client.clone();
                    let left =
                        self.deadline.map(|end| end.saturating_duration_since(Instant::now()));
                    self.waits.spawn(async move { client.wait(&task_id, left).await });
                }
                Some(outcome) = self.waits.join_next() => {
                    return match outcome {
                        Ok(outcome) => Some(outcome),
                        Err(failure) => std::panic::resume_unwind(failure.into_panic()),
                    };
                }
                else => return None,
            }
        }
    }
}
