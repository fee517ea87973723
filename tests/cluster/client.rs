//! What a submitter or an operator does, said in the contract's own words, without a client library.

use std::{net::SocketAddr, time::Duration};

use leasehold_proto::v1::{
    AwaitTaskRequest, GetTaskRequest, LeaseEnd, ListQueuesRequest, ListTasksRequest,
    ListWorkersRequest, Queue, StreamSubmitTasksRequest, SubmitTaskRequest, Task, TaskSpec,
    TaskState, Worker, admin_service_client::AdminServiceClient,
    dead_letter_service_client::DeadLetterServiceClient, submit_outcome::Outcome,
    task_service_client::TaskServiceClient,
};
use tokio_stream::iter;
use tonic::{
    Status,
    transport::{Channel, Endpoint},
};

use crate::condition::{SOON, eventually};

/// How many tasks one message of a submit stream carries.
const STREAM_BATCH: usize = 50;

/// How many tasks a page of a list holds.
const PAGE: i32 = 1_000;

/// How the leases of a task ended, each in three words: the kind, what is known of its work, what it cost.
pub(crate) fn ends(task: &Task) -> Vec<String> {
    let words = |end: &LeaseEnd| {
        let [kind, stop, charge] =
            [end.kind().as_str_name(), end.stop().as_str_name(), end.charge().as_str_name()];
        let kind = kind.trim_start_matches("LEASE_END_KIND_");
        let stop = stop.trim_start_matches("STOP_PROOF_");
        format!("{kind} {stop} {}", charge.trim_start_matches("LEASE_CHARGE_"))
    };
    task.lease_ends.iter().map(words).collect()
}

/// A connection to a coordinator that outlives the coordinator's restarts.
#[derive(Clone)]
pub(crate) struct Client {
    pub(crate) tasks: TaskServiceClient<Channel>,
    pub(crate) dead_letters: DeadLetterServiceClient<Channel>,
    pub(crate) admin: AdminServiceClient<Channel>,
}

impl Client {
    /// A client that connects when it is first used.
    pub(crate) fn new(address: SocketAddr) -> Self {
        let channel = endpoint(address).connect_lazy();
        Self {
            tasks: TaskServiceClient::new(channel.clone()),
            dead_letters: DeadLetterServiceClient::new(channel.clone()),
            admin: AdminServiceClient::new(channel),
        }
    }

    /// Submits one task and expects it to be accepted.
    pub(crate) async fn submit(&mut self, spec: TaskSpec) -> String {
        let request = SubmitTaskRequest { spec: Some(spec.into()), ..SubmitTaskRequest::default() };
        let answer = self.tasks.submit_task(request).await.expect("the task is accepted");
        answer.into_inner().task_id
    }

    /// Submits tasks on a stream and hands each outcome to `seen`, in order, until all are answered or the stream
    /// breaks.
    pub(crate) async fn submit_all(
        &mut self,
        requests: &[SubmitTaskRequest],
        mut seen: impl FnMut(usize, Outcome),
    ) -> Result<(), Status> {
        let batches: Vec<StreamSubmitTasksRequest> = requests
            .chunks(STREAM_BATCH)
            .map(|it| StreamSubmitTasksRequest { requests: it.to_vec() })
            .collect();
        let mut answers = self.tasks.stream_submit_tasks(iter(batches)).await?.into_inner();
        let mut index = 0;
        while let Some(answer) = answers.message().await? {
            for outcome in answer.outcomes {
                seen(index, outcome.outcome.expect("an outcome says what became of the task"));
                index += 1;
            }
        }
        assert_eq!(index, requests.len(), "one outcome per request");
        Ok(())
    }

    /// Shows a task that exists.
    pub(crate) async fn task(&mut self, id: &str) -> Task {
        self.get(id).await.expect("the task is known")
    }

    /// Shows a task.
    pub(crate) async fn get(&mut self, id: &str) -> Result<Task, Status> {
        let request = GetTaskRequest { task_id: id.to_owned() };
        let answer = self.tasks.get_task(request).await?;
        Ok(answer.into_inner().task.expect("an answer carries its task"))
    }

    /// Waits until a task has ended.
    pub(crate) async fn ended(&mut self, id: &str) -> Task {
        eventually(&format!("task {id} ends"), SOON * 2, async || {
            let request = AwaitTaskRequest {
                task_id: id.to_owned(),
                max_wait: Some(duration(Duration::from_secs(1))),
            };
            let task = self.tasks.await_task(request).await.ok()?.into_inner().task?;
            is_terminal(task.state()).then_some(task)
        })
        .await
    }

    /// Waits until a task is in this state.
    pub(crate) async fn in_state(&mut self, id: &str, state: TaskState) -> Task {
        eventually(&format!("task {id} is {}", state.as_str_name()), SOON, async || {
            let task = self.get(id).await.ok()?;
            (task.state() == state).then_some(task)
        })
        .await
    }

    /// Every task of a queue, oldest first.
    pub(crate) async fn list(&mut self, queue: &str) -> Vec<Task> {
        let mut request = ListTasksRequest {
            queue: queue.to_owned(),
            page_size: PAGE,
            ..ListTasksRequest::default()
        };
        let mut tasks = Vec::new();
        loop {
            let page = self.tasks.list_tasks(request.clone()).await.expect("tasks are listed");
            let page = page.into_inner();
            tasks.extend(page.tasks);
            if page.next_page_token.is_empty() {
                return tasks;
            }
            request.page_token = page.next_page_token;
        }
    }

    /// Whether the coordinator answers and says that nothing of a queue is left to do. A queue without open tasks
    /// may be forgotten.
    pub(crate) async fn is_drained(&mut self, name: &str) -> bool {
        let Ok(answer) = self.admin.list_queues(ListQueuesRequest::default()).await else {
            return false;
        };
        let open = |it: &Queue| it.scheduled_count + it.queued_count + it.leased_count;
        answer.into_inner().queues.iter().filter(|it| it.name == name).all(|it| open(it) == 0)
    }

    /// One worker's session, if there is one.
    pub(crate) async fn worker(&mut self, id: &str) -> Option<Worker> {
        let answer = self.admin.list_workers(ListWorkersRequest::default()).await.ok()?;
        answer.into_inner().workers.into_iter().find(|it| it.worker_id == id)
    }
}

/// Where to connect to.
pub(crate) fn endpoint(address: SocketAddr) -> Endpoint {
    Endpoint::from_shared(format!("http://{address}"))
        .expect("an address is a URI")
        .tcp_nodelay(true)
}

/// A task of this type, everything else left to the coordinator.
pub(crate) fn spec(task_type: &str) -> TaskSpec {
    TaskSpec { task_type: task_type.to_owned(), ..TaskSpec::default() }
}

/// A duration as the contract writes it.
pub(crate) fn duration(value: Duration) -> prost_types::Duration {
    value.try_into().expect("a test's duration fits")
}

/// Whether a task in this state has ended.
pub(crate) fn is_terminal(state: TaskState) -> bool {
    matches!(state, TaskState::Succeeded | TaskState::Failed | TaskState::Cancelled)
}
