//! Who keeps a cluster busy: it submits tasks under keys, again and again until each is acknowledged.

use std::{
    collections::{BTreeMap, BTreeSet},
    convert::Infallible,
    net::SocketAddr,
    time::Duration,
};

use leasehold_proto::v1::{
    Jitter, ListQueuesRequest, Queue, RetryPolicy, SubmitTaskRequest, TaskSpec,
    submit_outcome::Outcome,
};
use tokio::time::{MissedTickBehavior, interval, timeout};

use crate::{
    client::{Client, duration, spec},
    script::bytes,
};

/// The queue of all tasks.
pub(crate) const QUEUE: &str = "chaos";

/// How often tasks are submitted.
const TICK: Duration = Duration::from_millis(100);

/// How many tasks are submitted at once.
const BATCH: usize = 12;

/// How many tasks may wait to be leased or acknowledged before no more are made up: enough to keep workers busy.
const WAITING_MAX: usize = 40;

/// How long a call may take. Whether one that took longer was heard is not known.
const PATIENCE: Duration = Duration::from_secs(2);

/// One task in this many is a program's.
const PROGRAM_ODDS: u32 = 5;

/// One task in this many goes on when it is asked to stop.
const STUBBORN_ODDS: u32 = 4;

/// One task in this many takes longer than a session may be silent.
const LONG_ODDS: u32 = 6;

/// Who submits, and what came of it.
pub(crate) struct Load {
    address: SocketAddr,
    client: Client,
    rng: fastrand::Rng,
    /// What has not been acknowledged.
    open: Vec<SubmitTaskRequest>,
    /// How many tasks wait to be leased, as far as is known.
    waiting: usize,
    /// The key of every submit that was tried.
    pub(crate) attempted: BTreeSet<String>,
    /// Each key with every task id it was answered with.
    pub(crate) acknowledged: BTreeMap<String, BTreeSet<String>>,
}

impl Load {
    pub(crate) fn new(address: SocketAddr, seed: u64) -> Self {
        Self {
            address,
            client: Client::new(address),
            rng: fastrand::Rng::with_seed(seed),
            open: Vec::new(),
            waiting: 0,
            attempted: BTreeSet::new(),
            acknowledged: BTreeMap::new(),
        }
    }

    /// Submits for as long as it is polled. It may be dropped at any time: what was not heard is tried again.
    #[expect(clippy::infinite_loop, reason = "its future is dropped in the end")]
    pub(crate) async fn go_on(&mut self) -> Infallible {
        let mut ticks = interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            self.look().await;
            if self.waiting + self.open.len() < WAITING_MAX {
                self.order();
            }
            self.submit().await;
        }
    }

    /// Submits what is open. Whether all of it is acknowledged.
    pub(crate) async fn settle(&mut self) -> bool {
        self.submit().await;
        self.open.is_empty()
    }

    /// Makes up new tasks.
    fn order(&mut self) {
        for _ in 0..BATCH {
            let key = format!("{QUEUE}/{}", self.attempted.len());
            self.attempted.insert(key.clone());
            let spec = self.task();
            self.open.push(SubmitTaskRequest {
                spec: Some(spec.into()),
                idempotency_key: key,
                ..SubmitTaskRequest::default()
            });
        }
    }

    fn task(&mut self) -> TaskSpec {
        let rng = &mut self.rng;
        let manners = if rng.u32(..STUBBORN_ODDS) == 0 { "stubborn" } else { "polite" };
        let is_long = rng.u32(..LONG_ODDS) == 0;
        let millis = if is_long { rng.u32(2_000..5_000) } else { rng.u32(5..800) };
        let is_program = rng.u32(..PROGRAM_ODDS) == 0;
        // Retries come at once, so that the end of one lease and the beginning of the next are as close as can be.
        let retry = RetryPolicy {
            max_attempts: Some(1_000),
            initial: Some(duration(Duration::from_millis(1))),
            factor: Some(1.0),
            jitter: Jitter::None.into(),
            ..RetryPolicy::default()
        };
        TaskSpec {
            queue: QUEUE.to_owned(),
            payload: bytes(format!("{manners} {millis}").as_bytes()),
            retry: Some(retry),
            ..spec(if is_program { "witness-program" } else { "witness" })
        }
    }

    /// Submits everything that is open, and writes down every acknowledgement until the stream breaks.
    async fn submit(&mut self) {
        if self.open.is_empty() {
            return;
        }
        let Self { client, open, acknowledged, .. } = self;
        let note = |index: usize, outcome| {
            let request: &SubmitTaskRequest = &open[index];
            if let Outcome::Accepted(accepted) = outcome {
                let ids: &mut BTreeSet<String> =
                    acknowledged.entry(request.idempotency_key.clone()).or_default();
                ids.insert(accepted.task_id);
            }
        };
        let answered = timeout(PATIENCE, client.submit_all(open, note)).await;
        open.retain(|it| !acknowledged.contains_key(&it.idempotency_key));
        if !matches!(answered, Ok(Ok(()))) {
            self.client = Client::new(self.address);
        }
    }

    /// Looks how much waits. Without an answer it is taken to be as much as before.
    async fn look(&mut self) {
        let asked =
            timeout(PATIENCE, self.client.admin.list_queues(ListQueuesRequest::default())).await;
        let Ok(Ok(answer)) = asked else { return self.client = Client::new(self.address) };
        let waits = |it: &Queue| it.queued_count + it.scheduled_count;
        let queues = answer.into_inner().queues;
        let waiting = queues.iter().filter(|it| it.name == QUEUE).map(waits).sum::<i64>();
        self.waiting = usize::try_from(waiting).expect("a count is not negative");
    }
}
