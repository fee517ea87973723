//! Workers that do what the protocol asks of every worker, and write down every answer they get.
//!
//! They keep an outbox, come back after each break with the inventory of what they hold, and repeat outcomes until
//! these are answered. They live in the test's process, so that thousands of tasks a round cost no process each.

use std::{
    collections::BTreeMap,
    convert::Infallible,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use leasehold_proto::v1::{
    AttemptFailure, FailureReason, Hello, LeaseOutcome, LeasePhase, LeaseStarted, ResultAck,
    ResultDisposition, Verdict, Welcome, coordinator_event::Event as Told, lease_outcome::Outcome,
    worker_event::Event as Say,
};
use tokio::{
    task::JoinSet,
    time::{MissedTickBehavior, interval},
};

use crate::script::{Script, hello, holding, outcome, success};

/// How often a worker looks at what it runs: work takes a few of these, so that a crash finds some of it underway.
const TICK: Duration = Duration::from_millis(2);

/// How often a worker says that it lives: well within the shortest session of these tests.
const BEAT: Duration = Duration::from_millis(400);

/// How long a worker waits before it tries a broken stream again.
const RETRY: Duration = Duration::from_millis(20);

/// One attempt in this many fails, so that retries cross the crashes as well.
const FAILURE_ODDS: u32 = 50;

/// What a coordinator said of an outcome.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Answer {
    pub(crate) worker: String,
    pub(crate) task: String,
    pub(crate) token: i64,
    /// Whether the outcome was a success; a failure ends an attempt, not a task.
    pub(crate) success: bool,
    pub(crate) disposition: ResultDisposition,
}

/// Some workers at work until they are dropped.
pub(crate) struct Crew {
    hands: JoinSet<Infallible>,
    answers: Arc<Mutex<Vec<Answer>>>,
}

impl Crew {
    /// Hires `size` workers for one task type.
    pub(crate) fn hire(
        address: SocketAddr,
        size: u32,
        task_type: &str,
        slots: i32,
        seed: u64,
    ) -> Self {
        let answers = Arc::default();
        let mut hands = JoinSet::new();
        for index in 0..size {
            let hello = hello(&format!("hand-{index}"), task_type, slots);
            let rng = fastrand::Rng::with_seed(seed ^ u64::from(index));
            let hand = Hand { hello, leases: BTreeMap::new(), answers: Arc::clone(&answers), rng };
            hands.spawn(hand.work(address));
        }
        Self { hands, answers }
    }

    /// Every answer so far, and whether every worker still works.
    pub(crate) fn answers(&mut self) -> Vec<Answer> {
        if let Some(ended) = self.hands.try_join_next() {
            panic!("a worker of the crew ended: {ended:?}");
        }
        locked(&self.answers).clone()
    }
}

/// The answers, also after a panic elsewhere: that panic is the test's failure.
fn locked(answers: &Mutex<Vec<Answer>>) -> MutexGuard<'_, Vec<Answer>> {
    answers.lock().unwrap_or_else(PoisonError::into_inner)
}

/// One worker.
struct Hand {
    hello: Hello,
    leases: BTreeMap<i64, Work>,
    answers: Arc<Mutex<Vec<Answer>>>,
    rng: fastrand::Rng,
}

/// A lease in a worker's hands.
struct Work {
    task: String,
    /// How it ended; kept until it is answered.
    outcome: Option<LeaseOutcome>,
}

impl Hand {
    #[expect(clippy::infinite_loop, reason = "a hand works until its crew is dropped")]
    async fn work(mut self, address: SocketAddr) -> Infallible {
        let mut tries = interval(RETRY);
        tries.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tries.tick().await;
            let leases: Vec<_> =
                self.leases.iter().map(|(token, it)| (*token, it.phase())).collect();
            if let Ok((script, welcome)) =
                Script::greet(address, holding(self.hello.clone(), &leases)).await
            {
                self.settle(&welcome);
                self.shift(script).await;
            }
        }
    }

    /// Drops what is no longer this worker's to work on; what is finished waits for its answer.
    fn settle(&mut self, welcome: &Welcome) {
        for verdict in welcome.verdicts.iter().filter(|it| it.verdict() == Verdict::Lost) {
            let token = verdict.fencing_token;
            if self.leases.get(&token).is_some_and(|it| it.outcome.is_none()) {
                self.leases.remove(&token);
            }
        }
    }

    /// Works until the stream breaks.
    async fn shift(&mut self, mut script: Script) {
        let outbox = self.leases.values().filter_map(|it| it.outcome.clone());
        let outbox: Vec<Say> = outbox.map(Say::LeaseOutcome).collect();
        if !outbox.is_empty() {
            script.say(outbox).await;
        }
        let (mut ticks, mut beats) = (interval(TICK), interval(BEAT));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                told = script.next() => match told {
                    Ok(Some(told)) => self.hear(&mut script, told).await,
                    Ok(None) | Err(_) => return,
                },
                _ = ticks.tick() => self.toil(&mut script).await,
                _ = beats.tick() => {
                    // What it has acknowledged it holds.
                    while let Some(told) = script.ready() {
                        self.hear(&mut script, told).await;
                    }
                    let held: Vec<i64> = self.leases.keys().copied().collect();
                    script.beat(&held).await;
                }
            }
        }
    }

    async fn hear(&mut self, script: &mut Script, told: Told) {
        match told {
            Told::Assignment(it) => {
                let work = Work { task: it.task_id.clone(), outcome: None };
                let twice = self.leases.insert(it.fencing_token, work);
                assert!(twice.is_none(), "token {} was granted twice", it.fencing_token);
                let started = LeaseStarted { fencing_token: it.fencing_token };
                script.say([Say::LeaseStarted(started)]).await;
            }
            Told::ResultAck(ack) => self.note(&ack),
            // Nobody cancels here: what is revoked is no longer this worker's.
            Told::Revocation(it) => {
                let token = it.fencing_token;
                if self.leases.get(&token).is_some_and(|it| it.outcome.is_none()) {
                    self.leases.remove(&token);
                }
            }
            _ => {}
        }
    }

    /// Finishes some of what it runs.
    async fn toil(&mut self, script: &mut Script) {
        let mut done = Vec::new();
        for (token, work) in self.leases.iter_mut().filter(|(_, it)| it.outcome.is_none()) {
            if self.rng.bool() {
                let outcome = ending(*token, &work.task, &mut self.rng);
                work.outcome = Some(outcome.clone());
                done.push(Say::LeaseOutcome(outcome));
            }
        }
        if !done.is_empty() {
            script.say(done).await;
        }
    }

    /// Writes an answer down and forgets the lease. A repeated outcome may be answered twice.
    fn note(&mut self, ack: &ResultAck) {
        let Some(work) = self.leases.remove(&ack.fencing_token) else { return };
        let outcome = work.outcome.expect("an answer follows an outcome").outcome;
        locked(&self.answers).push(Answer {
            worker: self.hello.worker_id.clone(),
            task: work.task,
            token: ack.fencing_token,
            success: matches!(outcome, Some(Outcome::Success(_))),
            disposition: ack.disposition(),
        });
    }
}

impl Work {
    fn phase(&self) -> LeasePhase {
        if self.outcome.is_some() { LeasePhase::Finished } else { LeasePhase::Running }
    }
}

/// How an attempt ends: mostly well, with a result that names task and token.
fn ending(token: i64, task: &str, rng: &mut fastrand::Rng) -> LeaseOutcome {
    if rng.u32(..FAILURE_ODDS) > 0 {
        return success(token, result(task, token).as_bytes());
    }
    let failure = AttemptFailure {
        reason: FailureReason::Error.into(),
        message: "drawn by lot".to_owned(),
        ..AttemptFailure::default()
    };
    outcome(token, Outcome::Failure(failure))
}

/// What a worker of the crew returns for a task.
pub(crate) fn result(task: &str, token: i64) -> String {
    format!("{task} {token}")
}
