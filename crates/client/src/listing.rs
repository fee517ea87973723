//! Tasks page by page: what a list call answers, as one sequence.

use std::collections::VecDeque;

use leasehold_proto::v1::{ListDeadLettersRequest, ListTasksRequest, Task, TaskState};

use crate::{Client, Error, outage::Repeat};

/// How many tasks one page holds: enough that paging costs little, few enough for one message.
const PAGE_SIZE: i32 = 500;

/// Which tasks to list. Nothing said: all of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TaskFilter {
    queue: String,
    task_type: String,
    states: Vec<i32>,
}

/// The tasks that match, oldest first, without payloads and results. Pages are fetched as they are needed.
#[derive(Debug)]
pub struct Listing {
    client: Client,
    source: Source,
    page: VecDeque<Task>,
    next: Next,
}

/// Which call gives the pages.
#[derive(Debug)]
enum Source {
    Tasks(TaskFilter),
    DeadLetters(TaskFilter),
}

/// Where the next page is.
#[derive(Debug)]
enum Next {
    Page { token: String },
    End,
}

impl TaskFilter {
    /// Only this queue.
    #[must_use]
    pub fn queue(mut self, queue: impl Into<String>) -> Self {
        self.queue = queue.into();
        self
    }

    /// Only this task type.
    #[must_use]
    pub fn task_type(mut self, task_type: impl Into<String>) -> Self {
        self.task_type = task_type.into();
        self
    }

    /// Also this state; with none named, all states.
    #[must_use]
    pub fn state(mut self, state: TaskState) -> Self {
        self.states.push(state.into());
        self
    }
}

impl Client {
    /// Lists tasks, oldest first.
    pub fn list(&self, filter: TaskFilter) -> Listing {
        Listing::new(self.clone(), Source::Tasks(filter))
    }

    /// Lists tasks that failed for good, oldest first. States of the filter are not looked at.
    pub fn list_dead_letters(&self, filter: TaskFilter) -> Listing {
        Listing::new(self.clone(), Source::DeadLetters(filter))
    }
}

impl Listing {
    fn new(client: Client, source: Source) -> Self {
        let next = Next::Page { token: String::new() };
        Self { client, source, page: VecDeque::new(), next }
    }

    /// The next task; `None` after the last.
    pub async fn next(&mut self) -> Result<Option<Task>, Error> {
        loop {
            if let Some(task) = self.page.pop_front() {
                return Ok(Some(task));
            }
            let Next::Page { token } = &self.next else { return Ok(None) };
            let (tasks, next_token) = self.fetch(token.clone()).await?;
            self.page = tasks.into();
            self.next =
                if next_token.is_empty() { Next::End } else { Next::Page { token: next_token } };
        }
    }

    /// At most `limit` of the tasks that are left.
    pub async fn take(&mut self, limit: usize) -> Result<Vec<Task>, Error> {
        let mut tasks = Vec::new();
        while tasks.len() < limit {
            let Some(task) = self.next().await? else { break };
            tasks.push(task);
        }
        Ok(tasks)
    }

    async fn fetch(&self, page_token: String) -> Result<(Vec<Task>, String), Error> {
        self.client.check_namespace().await?;
        match &self.source {
            Source::Tasks(TaskFilter { queue, task_type, states }) => {
                let request = ListTasksRequest {
                    queue: queue.clone(),
                    states: states.clone(),
                    task_type: task_type.clone(),
                    page_size: PAGE_SIZE,
                    page_token,
                    namespace: self.client.namespace(),
                };
                let send = |request| {
                    let mut service = self.client.task_service();
                    async move { service.list_tasks(request).await }
                };
                let call = self.client.call("leasehold.v1.TaskService/ListTasks", Repeat::Safe);
                let response = call.unary(request, send).await?;
                Ok((response.tasks, response.next_page_token))
            }
            Source::DeadLetters(TaskFilter { queue, task_type, states: _ }) => {
                let request = ListDeadLettersRequest {
                    queue: queue.clone(),
                    task_type: task_type.clone(),
                    page_size: PAGE_SIZE,
                    page_token,
                    namespace: self.client.namespace(),
                };
                let send = |request| {
                    let mut service = self.client.dead_letter_service();
                    async move { service.list_dead_letters(request).await }
                };
                let method = "leasehold.v1.DeadLetterService/ListDeadLetters";
                let call = self.client.call(method, Repeat::Safe);
                let response = call.unary(request, send).await?;
                Ok((response.tasks, response.next_page_token))
            }
        }
    }
}
