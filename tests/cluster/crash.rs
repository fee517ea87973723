//! `kill -9` for the coordinator at a random moment of a busy round, over and over on the same journal.
//!
//! `LEASEHOLD_ROUNDS` says how many rounds, `LEASEHOLD_SEED` repeats the moments of an earlier run.

use std::{
    collections::{BTreeMap, BTreeSet},
    env,
    fmt::Debug,
    str::FromStr,
    time::Duration,
};

use leasehold_proto::v1::{
    Jitter, ResultDisposition, RetryPolicy, SubmitTaskRequest, Task, TaskSpec,
    submit_outcome::Outcome,
};
use tokio::time::{Instant, timeout};

use crate::{
    client::{Client, duration, spec},
    condition::{SOON, until},
    coordinator::{Coordinator, Options},
    crew::{Answer, Crew},
    judge::History,
    process::Process,
    worker,
};

/// How many rounds a plain test run takes; by hand: 200.
const ROUNDS: u64 = 20;

/// How many tasks a round submits.
const TASKS: usize = 2_000;

/// One task in this many is a program of a `leasehold-worker` process; the rest is the crew's.
const PROGRAM_EVERY: usize = 100;

/// How many tasks of a round are looked at with their results.
const LOOKED_AT: usize = 100;

/// How long a round may take, crash and restart included.
const ROUND: Duration = Duration::from_mins(1);

/// The worker that runs programs.
const STAMPER: &str = "stamper";

/// A program that returns what the crew returns: task and token.
const STAMP: &str =
    r#"stamp=sh -c 'printf "%s %s" "$LEASEHOLD_TASK_ID" "$LEASEHOLD_FENCING_TOKEN"'"#;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killing_the_coordinator_loses_nothing_and_accepts_nothing_twice() {
    let rounds = setting("LEASEHOLD_ROUNDS", ROUNDS);
    let seed = setting("LEASEHOLD_SEED", fastrand::u64(..));
    println!("to repeat this run: LEASEHOLD_SEED={seed} LEASEHOLD_ROUNDS={rounds}");
    let mut cluster = Cluster::start(seed).await;
    // The first round is left alone, to learn how long the moments may be drawn from.
    cluster.round(0, None).await;
    let mut underway = 0;
    for round in 1..=rounds {
        let moment = cluster.typical.mul_f64(cluster.rng.f64());
        let open = cluster.round(round, Some(moment)).await;
        println!("round {round}: killed after {moment:?}, {open} tasks underway");
        underway += open;
    }
    let violations = cluster.history.violations();
    assert!(violations.is_empty(), "{violations:#?}");
    let tasks = cluster.history.shown.len();
    println!(
        "{rounds} kills, {underway} of {tasks} tasks underway at one, 0 lost, 0 accepted twice"
    );
    assert!(underway > 0, "no kill hit any work: the rounds prove nothing");
}

/// A coordinator, its workers, and all that was ever said.
struct Cluster {
    worker: Process,
    client: Client,
    crew: Crew,
    coordinator: Coordinator,
    rng: fastrand::Rng,
    /// How long a round takes that nothing disturbs, by the last one.
    typical: Duration,
    history: History,
}

impl Cluster {
    async fn start(seed: u64) -> Self {
        let coordinator = Coordinator::start_with(Options::short_sessions()).await;
        let address = coordinator.address;
        let options =
            worker::Options { id: STAMPER, args: &["--program", STAMP], ..Default::default() };
        let worker = worker::start(address, coordinator.dir(), &options);
        Self {
            client: coordinator.client(),
            crew: Crew::hire(address, 3, "crew", 32, seed),
            worker,
            rng: fastrand::Rng::with_seed(seed),
            typical: Duration::ZERO,
            history: History::default(),
            coordinator,
        }
    }

    /// Submits, kills if told when, restarts, and waits until everything has ended. How many tasks no worker knew
    /// to be done at the kill.
    async fn round(&mut self, round: u64, moment: Option<Duration>) -> usize {
        let queue = format!("round-{round}");
        let requests = requests(&queue);
        let mut acknowledged = BTreeMap::new();
        let mut underway = 0;
        let began = Instant::now();
        if let Some(moment) = moment {
            self.work_until(moment, &queue, &requests, &mut acknowledged).await;
            self.coordinator.kill();
            let answers = [self.crew.answers(), worker::answers(STAMPER, &self.worker)].concat();
            underway = requests.len() - (successes(&answers) - successes(&self.history.answers));
            self.coordinator.restart().await;
        }
        until(&format!("round {round} is submitted"), ROUND, async || {
            submit(&mut self.client, &requests, &mut acknowledged).await;
            acknowledged.len() == requests.len()
        })
        .await;
        self.drained(&queue).await;
        if moment.is_none() {
            self.typical = began.elapsed();
        }
        let shown = self.shown(&queue).await;
        self.judge(round, acknowledged, shown).await;
        underway
    }

    /// Submits everything and waits for its end, but no longer than until the moment. A round that is done before
    /// shows how long the next one may take; one that lasts until late in its time may take longer.
    async fn work_until(
        &mut self,
        moment: Duration,
        queue: &str,
        requests: &[SubmitTaskRequest],
        acknowledged: &mut BTreeMap<String, BTreeSet<String>>,
    ) {
        let began = Instant::now();
        let work = async {
            submit(&mut self.client, requests, acknowledged).await;
            self.drained(queue).await;
        };
        let is_done = timeout(moment, work).await.is_ok();
        let longer = self.typical.max(moment.mul_f64(1.25));
        self.typical = if is_done { began.elapsed() } else { longer };
    }

    /// Waits until nothing of a queue is left to do.
    async fn drained(&mut self, queue: &str) {
        let what = format!("{queue} is drained");
        until(&what, ROUND, async || self.client.is_drained(queue).await).await;
    }

    /// Every task of a queue, some of them with their results.
    async fn shown(&mut self, queue: &str) -> Vec<Task> {
        let mut shown = self.client.list(queue).await;
        for _ in 0..LOOKED_AT {
            if let Some(task) = self.rng.choice(&mut shown) {
                *task = self.client.task(&task.task_id).await;
            }
        }
        shown
    }

    /// Judges one round by the logs of all, once every worker has heard what became of its outcomes.
    async fn judge(
        &mut self,
        round: u64,
        acknowledged: BTreeMap<String, BTreeSet<String>>,
        shown: Vec<Task>,
    ) {
        let ids: BTreeSet<String> = shown.iter().map(|it| it.task_id.clone()).collect();
        let mut answers = Vec::new();
        until(&format!("the outcomes of round {round} are answered"), SOON, async || {
            answers = [self.crew.answers(), worker::answers(STAMPER, &self.worker)].concat();
            let settled = answers.iter().filter(|it| it.success && ids.contains(&it.task));
            settled.map(|it| &it.task).collect::<BTreeSet<_>>().len() == ids.len()
        })
        .await;
        self.history.answers.clone_from(&answers);
        answers.retain(|it| ids.contains(&it.task));
        let history = History { acknowledged, answers, shown };
        let violations = history.violations();
        assert!(violations.is_empty(), "round {round}: {violations:#?}");
        self.history.acknowledged.extend(history.acknowledged);
        self.history.shown.extend(history.shown);
    }
}

/// A round's tasks, each under its own key.
fn requests(queue: &str) -> Vec<SubmitTaskRequest> {
    // Retries come at once: what is tested is that they cross the crash, not how long they wait.
    let retry = RetryPolicy {
        max_attempts: Some(100),
        initial: Some(duration(Duration::from_millis(10))),
        factor: Some(1.0),
        jitter: Jitter::None.into(),
        ..RetryPolicy::default()
    };
    let request = |index: usize| SubmitTaskRequest {
        spec: Some(Box::new(TaskSpec {
            queue: queue.to_owned(),
            retry: Some(retry),
            ..spec(if index.is_multiple_of(PROGRAM_EVERY) { "stamp" } else { "crew" })
        })),
        idempotency_key: format!("{queue}/{index}"),
        ..SubmitTaskRequest::default()
    };
    (0..TASKS).map(request).collect()
}

/// Submits everything, what is acknowledged already as well, and writes down every acknowledgement until the stream
/// breaks.
async fn submit(
    client: &mut Client,
    requests: &[SubmitTaskRequest],
    acknowledged: &mut BTreeMap<String, BTreeSet<String>>,
) {
    let note = |index: usize, outcome| {
        let request: &SubmitTaskRequest = &requests[index];
        if let Outcome::Accepted(accepted) = outcome {
            let ids: &mut BTreeSet<String> =
                acknowledged.entry(request.idempotency_key.clone()).or_default();
            ids.insert(accepted.task_id);
        }
    };
    // The crash breaks the stream; what was not answered is submitted again.
    let _broken = client.submit_all(requests, note).await;
}

/// How many tasks some worker knows to be done.
fn successes(answers: &[Answer]) -> usize {
    let settled = answers.iter().filter(|it| it.success);
    settled.filter(|it| it.disposition != ResultDisposition::Stale).count()
}

/// A number from the environment.
pub(crate) fn setting<T: FromStr<Err: Debug>>(name: &str, default: T) -> T {
    env::var(name).map_or(default, |it| it.parse().expect("the setting is a number"))
}
