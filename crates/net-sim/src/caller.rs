//! A caller: submits its orders, sits out whatever happens, and holds every answer against the ledger.

use std::{
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use leasehold_client::{
    Client, ClientOptions, Code, Error, Receipt, TaskFilter, TaskSpec,
    v1::{Task, WorkerState},
};
use tokio::{task::JoinSet, time::sleep};

use crate::{
    crew::TASK_TYPE,
    fault::Machine,
    judge::{self, Violation},
    ledger::Ledger,
    plan::Order,
    wire::{ADDRESS, Line},
};

/// How long a caller waits before it asks again what its client has given up.
const PAUSE: Duration = Duration::from_secs(1);

/// How long an attempt may take: longer than the longest work that ends by itself.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(35);

/// How long a handler has to stop.
const KILL_GRACE: Duration = Duration::from_secs(1);

/// More attempts than any order needs.
const ATTEMPTS_MAX: i32 = 100;

/// A caller.
pub(crate) struct Caller {
    pub(crate) machine: Machine,
    pub(crate) line: Line,
    pub(crate) orders: Vec<Order>,
    pub(crate) ledger: Ledger,
    /// How many callers are not done.
    pub(crate) busy: Arc<AtomicUsize>,
}

/// Looks at the whole when all callers are done.
pub(crate) struct Auditor {
    pub(crate) ledger: Ledger,
    /// How many callers are not done.
    pub(crate) busy: Arc<AtomicUsize>,
    /// How many tasks there must be.
    pub(crate) tasks: usize,
    /// How many workers there must be.
    pub(crate) workers: usize,
    /// Nothing goes wrong any more from then on.
    pub(crate) healed_at: Duration,
}

impl Caller {
    pub(crate) async fn run(self) -> turmoil::Result {
        let Self { machine, line, orders, ledger, busy } = self;
        let client = client(line)?;
        let mut errands = JoinSet::new();
        for order in orders {
            sleep(order.pause).await;
            let errand = Errand { machine, client: client.clone(), ledger: ledger.clone(), order };
            errands.spawn(errand.run());
        }
        // A panic has been noted where it happened.
        while errands.join_next().await.is_some() {}
        busy.fetch_sub(1, Ordering::Relaxed);
        Ok(())
    }
}

/// One order, from its submit to its end.
struct Errand {
    machine: Machine,
    client: Client,
    ledger: Ledger,
    order: Order,
}

impl Errand {
    async fn run(self) {
        let Some(task) = self.submit().await else { return };
        let cancel = async {
            if let Some(after) = self.order.cancelled_after {
                sleep(after).await;
                self.cancel(&task).await;
            }
        };
        let (ended, ()) = tokio::join!(self.wait(&task), cancel);
        let Some(ended) = ended else { return };
        self.judge(&ended);
        let Some(later) = self.patiently(&task, || self.client.get(&task)).await else { return };
        if later.state != ended.state || later.result != ended.result {
            let problem = format!("ended as {:?} and is now {:?}", ended.state(), later.state());
            self.ledger.broken(Violation::WrongEnd { task, problem });
        }
    }

    async fn submit(&self) -> Option<String> {
        let key = &self.order.key;
        let first = self.accepted().await?.task_id;
        self.ledger.note(&format!("{} was told that {key} is {first}", self.machine));
        if self.order.is_repeated {
            let again = self.accepted().await?.task_id;
            if again != first {
                let tasks = [first, again];
                self.ledger.broken(Violation::Doubled { key: key.clone(), tasks });
                return None;
            }
        }
        Some(first)
    }

    async fn accepted(&self) -> Option<Receipt> {
        let spec = TaskSpec::new(TASK_TYPE)
            .idempotency_key(self.order.key.clone())
            .payload(self.order.work.to_payload())
            .attempt_timeout(ATTEMPT_TIMEOUT)
            .kill_grace(KILL_GRACE)
            .max_attempts(ATTEMPTS_MAX)
            .retry_backoff(Duration::from_millis(200), Duration::from_secs(2));
        self.patiently(&self.order.key, || self.client.submit(spec.clone())).await
    }

    async fn cancel(&self, task: &str) {
        self.patiently(task, || self.client.cancel(task)).await;
        self.ledger.note(&format!("{} has cancelled {task}", self.machine));
    }

    async fn wait(&self, task: &str) -> Option<Task> {
        let ended = self.patiently(task, || self.client.wait(task, None)).await?;
        let state = ended.state().as_str_name();
        self.ledger.note(&format!("{} was told that {task} is {state}", self.machine));
        Some(ended)
    }

    fn judge(&self, ended: &Task) {
        let judged = judge::end(&self.order, ended, self.ledger.pages().tasks.get(&ended.task_id));
        if let Err(violation) = judged {
            self.ledger.broken(violation);
        }
    }

    /// Asks until there is an answer. `None`: the answer is that there is no such task.
    async fn patiently<T, F>(&self, what: &str, ask: impl Fn() -> F) -> Option<T>
    where
        F: Future<Output = Result<T, Error>>,
    {
        loop {
            match ask().await {
                Ok(answer) => return Some(answer),
                Err(Error::Refused(refusal)) if refusal.code == Code::NotFound => {
                    let (task, answer) = (what.to_owned(), refusal.to_string());
                    self.ledger.broken(Violation::Lost { task, answer });
                    return None;
                }
                Err(error) => tracing::debug!(%error, what, "asked again"),
            }
            sleep(PAUSE).await;
        }
    }
}

impl Auditor {
    pub(crate) async fn run(self) -> turmoil::Result {
        let client = client(Line::default())?;
        sleep(self.healed_at).await;
        while 0 < self.busy.load(Ordering::Relaxed) {
            sleep(PAUSE).await;
        }
        let listed = loop {
            match client.list(TaskFilter::default()).take(self.tasks + 1).await {
                Ok(listed) => break listed.len(),
                Err(_not_yet) => sleep(PAUSE).await,
            }
        };
        if listed != self.tasks {
            let accepted = self.tasks;
            self.ledger.broken(Violation::Count { accepted, listed });
        }
        while self.active(&client).await != self.workers {
            sleep(PAUSE).await;
        }
        self.ledger.note("everybody is back");
        Ok(())
    }

    /// How many workers have a stream.
    async fn active(&self, client: &Client) -> usize {
        let workers = client.workers().await.unwrap_or_default();
        workers.iter().filter(|it| it.state() == WorkerState::Active).count()
    }
}

fn client(line: Line) -> Result<Client, Error> {
    Client::connect_with(ClientOptions::new(ADDRESS), |endpoint| line.dial_lazily(&endpoint))
}
