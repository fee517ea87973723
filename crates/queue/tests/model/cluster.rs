//! The queue and its reference, side by side, with the journal between them: after each step they must agree.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use bytes::Bytes;
use leasehold_policy::{Backoff, Jitter, Time};
use leasehold_queue::{
    Command, Config, Dead, DeclineReason, Effect, Ending, Failure, FailureReason, HeldLease, Hello,
    Key, Lease, LeasePhase, Limits, Minter, Name, Outcome, Phase, Queue, Record, Refusal,
    ReplayRefusal, Reply, Retry, SessionId, StreamId, Submit, Task, TaskId, TaskSpec, Token,
    Unknown,
};
use proptest::test_runner::TestCaseError;

use crate::{
    reference::{Reference, effect_line, queue_lines},
    script::{Held, Setting, Step, Submission},
};

/// The two of them, and what the world remembers.
pub(crate) struct Cluster {
    config: Config,
    queue: Queue,
    reference: Reference,
    journal: Journal,
    committed: (Reference, usize),
    now: Time,
    epoch: u32,
    minter: Minter,
    streams: u64,
    submitted: Vec<Submit>,
    tokens: Vec<Token>,
    dead: Vec<Task>,
    /// What those who watch saw last of each open task.
    watched: BTreeMap<TaskId, String>,
}

/// The records, the oldest first, and up to which of them tasks may be unknown.
#[derive(Default)]
struct Journal {
    records: Vec<Record>,
    settled: usize,
}

const SECOND: Duration = Duration::from_secs(1);
const START: Time = Time::from_unix_ms(1_000_000);

impl Cluster {
    pub(crate) fn new(setting: &Setting) -> Self {
        let config = Config {
            session_ttl: 2 * SECOND,
            revoke_ack_margin: SECOND / 2,
            worker_losses_max: setting.worker_losses_max,
            leases_max: setting.leases_max,
            key_retention: if setting.keep_keys { 3 * SECOND } else { Duration::ZERO },
            create_queues: setting.create_queues,
            limits: Limits { open_tasks: 9, queues: 2, ..Config::default().limits },
            ..Config::default()
        };
        let mut cluster = Self {
            queue: Queue::new(config.clone(), 1),
            reference: Reference::new(config.clone(), 1),
            committed: (Reference::new(config.clone(), 1), 0),
            config,
            journal: Journal::default(),
            now: START,
            epoch: 1,
            minter: Minter::new(0, START),
            streams: 0,
            submitted: Vec::new(),
            tokens: Vec::new(),
            dead: Vec::new(),
            watched: BTreeMap::new(),
        };
        cluster.reference.set_time(START);
        cluster.declare("declared");
        cluster.queue.recovered(START);
        cluster.journal.records.extend(cluster.queue.take_output().records);
        cluster.committed = (cluster.reference.clone(), cluster.journal.records.len());
        cluster
    }

    /// A queue that exists though no task was ever submitted to it.
    fn declare(&mut self, queue: &str) {
        let record = Record::QueuePaused { queue: queue.into(), paused: false };
        self.queue.replay(&record, Unknown::Refuse).unwrap();
        self.journal.records.push(record);
        self.reference.declare(queue);
    }

    pub(crate) fn take(&mut self, step: &Step) -> Result<(), TestCaseError> {
        match step {
            Step::Submit(submission) => {
                let submit = self.submission(submission);
                self.submitted.push(submit.clone());
                self.submit(submit)?;
            }
            Step::Repeat(pick) => {
                if let Some(submit) = one_of(&self.submitted, *pick).cloned() {
                    let id = self.minter.mint(self.now, 0);
                    self.submit(Submit { id, ..submit })?;
                }
            }
            Step::Cancel(pick) => {
                let task = self.task(*pick);
                let expected = self.reference.cancel(task);
                self.apply(Command::Cancel { task }, &expected)?;
            }
            Step::ReplayDead(pick) => {
                if let Some(task) = one_of(&self.dead, *pick).cloned() {
                    let expected = self.reference.replay_dead(&task);
                    self.apply(Command::Replay(Box::new(Dead { task })), &expected)?;
                }
            }
            Step::Pause { queue, paused } => {
                let (name, paused) = (queue_name(*queue), *paused);
                let expected = self.reference.set_pause((&name, paused));
                self.apply(Command::Pause { queue: name, paused }, &expected)?;
            }
            Step::Grant { most } => {
                let expected = self.reference.grant(usize::from(*most));
                self.apply(Command::Grant { most: usize::from(*most) }, &expected)?;
            }
            Step::Wait { ms } => self.wait(Duration::from_millis(u64::from(*ms)))?,
            Step::WaitForNext { early } => {
                let next = self.queue.next_deadline().unwrap_or(self.now);
                let early = Duration::from_millis(u64::from(*early));
                self.wait((next - early).since(self.now))?;
            }
            Step::Claimed => {
                self.epoch += 1;
                self.reference.claimed(self.epoch);
                self.apply(Command::Claimed { epoch: self.epoch }, "done")?;
            }
            Step::Commit => self.committed = (self.reference.clone(), self.journal.records.len()),
            Step::Restart => {
                let before = durable(&self.queue, self.now);
                self.restart()?;
                same(&durable(&self.queue, self.now), &before)?;
                self.overdue()?;
            }
            Step::Crash => {
                let (reference, length) = self.committed.clone();
                self.reference = reference;
                self.journal.records.truncate(length);
                self.reference.set_time(self.now);
                self.restart()?;
                self.overdue()?;
            }
            Step::Trim { keep } => self.trim(*keep)?,
            worker => self.hear(worker)?,
        }
        self.agree()
    }

    fn hear(&mut self, step: &Step) -> Result<(), TestCaseError> {
        match step {
            Step::Hello { .. } => self.hello(step),
            Step::Delivered { session } => {
                let (stream, tokens) = (self.stream(*session), self.tokens.clone());
                self.reference.delivered(stream, &tokens);
                self.apply(Command::Delivered { stream, tokens }, "done")
            }
            Step::Heartbeat { session, held } => {
                let stream = self.stream(*session);
                let own = self.session(*session).map(|(id, _)| id);
                let held: Vec<Token> = self.held(own, held).iter().map(|h| h.token).collect();
                let expected = self.reference.heartbeat(stream, &held);
                self.apply(Command::Heartbeat { stream, held }, &expected)
            }
            Step::Capacity { session, slots } => {
                let (stream, slots) = (self.stream(*session), u32::from(*slots));
                self.reference.capacity(stream, slots);
                self.apply(Command::Capacity { stream, slots }, "done")
            }
            Step::Started { lease, stray } => {
                let (token, stream) = self.lease(*lease, *stray);
                self.reference.started(stream, token);
                self.apply(Command::Started { stream, token }, "done")
            }
            Step::Outcome { lease, stray, outcome } => {
                let (token, stream) = self.lease(*lease, *stray);
                let outcome = outcome_of(*outcome);
                self.reference.outcome(stream, token, &outcome);
                self.apply(Command::Outcome { stream, token, outcome }, "done")
            }
            Step::Drain { session } => {
                let stream = self.stream(*session);
                self.reference.drain(stream);
                self.apply(Command::Drain { stream }, "done")
            }
            Step::DrainWorker { worker } => {
                let (worker, grace) = (worker_name(*worker), Some(SECOND));
                let expected = self.reference.drain_worker(&worker, grace);
                self.apply(Command::DrainWorker { worker, grace }, &expected)
            }
            Step::Goodbye { session } => {
                let stream = self.stream(*session);
                self.reference.goodbye(stream);
                self.apply(Command::Goodbye { stream }, "done")
            }
            Step::Disconnect { session } => {
                let stream = self.stream(*session);
                self.reference.disconnect(stream);
                self.apply(Command::Disconnect { stream }, "done")
            }
            _ => {
                self.reference.stalled(SECOND / 4);
                self.apply(Command::Stalled { by: SECOND / 4 }, "done")
            }
        }
    }

    fn wait(&mut self, time: Duration) -> Result<(), TestCaseError> {
        self.now = self.now + time;
        self.reference.set_time(self.now);
        self.reference.advance();
        self.apply(Command::Advance, "done")?;
        match self.queue.next_deadline() {
            Some(due) if due <= self.now => Err(TestCaseError::fail("something due was left")),
            _ => Ok(()),
        }
    }

    fn submit(&mut self, submit: Submit) -> Result<(), TestCaseError> {
        let expected = self.reference.submit(&submit);
        self.apply(Command::Submit(Box::new(submit)), &expected)
    }

    fn hello(&mut self, step: &Step) -> Result<(), TestCaseError> {
        let Step::Hello { worker, instance, slots, types, held } = step else { return Ok(()) };
        self.streams += 1;
        let (worker, instance) = (worker_name(*worker), Name::from(format!("i{instance}")));
        let same = |s: &&crate::reference::Session| s.worker == *worker && s.instance == *instance;
        let own = self.reference.sessions.iter().find(same).map(|session| session.id);
        let hello = Hello {
            stream: StreamId(self.streams),
            worker,
            instance,
            task_types: (0..2).filter(|t| types >> t & 1 == 1).map(type_name).collect(),
            slots: u32::from(*slots),
            held: self.held(own, held),
            labels: Vec::new(),
            software: "model".into(),
        };
        let expected = self.reference.hello(&hello);
        self.apply(Command::Hello(Box::new(hello)), &expected)
    }

    /// Does it to the queue; the reference has done it and says what to expect.
    fn apply(&mut self, command: Command, expected: &str) -> Result<(), TestCaseError> {
        let reply = reply_line(&self.queue.apply(self.now, command));
        let output = self.queue.take_output();
        self.journal.records.extend(output.records);
        for effect in &output.effects {
            match effect {
                Effect::Assign { assignment, .. } => self.tokens.push(assignment.token),
                Effect::Changed(task) => {
                    self.watched.insert(task.id, visible(task));
                }
                Effect::Ended(ended) => {
                    self.watched.remove(&ended.task.id);
                    if ended.ending == Ending::Failed {
                        self.dead.push(ended.task.clone());
                    }
                }
                _ => {}
            }
        }
        let mut said: Vec<String> = output.effects.iter().filter_map(effect_line).collect();
        let mut wanted = self.reference.take_said();
        said.sort();
        wanted.sort();
        same(&[reply], &[expected.to_owned()])?;
        same(&said, &wanted)
    }

    fn agree(&self) -> Result<(), TestCaseError> {
        let open = self.queue.tasks_after(TaskId::from_u128(0));
        let open: Vec<String> = open.map(visible).collect();
        let watched: Vec<String> = self.watched.values().cloned().collect();
        same(&watched, &open)?;
        same(&queue_lines(&self.queue), &self.reference.lines())
    }

    /// The process ends; the next one reads the journal.
    fn restart(&mut self) -> Result<(), TestCaseError> {
        self.epoch += 1;
        let mut queue = Queue::new(self.config.clone(), self.epoch);
        for (at, record) in self.journal.records.iter().enumerate() {
            let settled = at < self.journal.settled;
            let unknown = if settled { Unknown::Skip } else { Unknown::Refuse };
            queue.replay(record, unknown).map_err(|e| TestCaseError::fail(e.to_string()))?;
        }
        queue.recovered(self.now);
        self.queue = queue;
        self.journal.records.extend(self.queue.take_output().records);
        self.reference.restart(self.epoch, &self.journal.ends());
        let open = self.queue.tasks_after(TaskId::from_u128(0));
        self.watched = open.map(|task| (task.id, visible(task))).collect();
        Ok(())
    }

    /// What was due while the process was down is due at once.
    fn overdue(&mut self) -> Result<(), TestCaseError> {
        self.reference.advance();
        self.apply(Command::Advance, "done")?;
        self.committed = (self.reference.clone(), self.journal.records.len());
        Ok(())
    }

    /// Writes what is alive in the oldest records again, and drops those.
    fn trim(&mut self, keep: u8) -> Result<(), TestCaseError> {
        let cut = self.journal.records.len() * usize::from(keep) / 256;
        let old = &self.journal.records[..cut];
        let tasks: BTreeSet<TaskId> = old.iter().filter_map(Record::task).collect();
        let keys = old.iter().filter_map(|record| match record {
            Record::KeyKept { queue, key, .. } => {
                Some((Name::clone(queue), Name::clone(&key.name)))
            }
            _ => None,
        });
        let (tasks, keys) = (tasks.into_iter().collect(), keys.collect());
        self.apply(Command::Move { tasks, keys }, "done")?;
        let mut records: Vec<Record> =
            self.journal.records.drain(..cut).filter(is_beside_the_journal).collect();
        records.append(&mut self.journal.records);
        self.journal = Journal { settled: records.len(), records };
        self.committed = (self.reference.clone(), self.journal.records.len());
        Ok(())
    }

    fn submission(&mut self, submission: &Submission) -> Submit {
        let hurried = submission.hurried;
        let or = |short: u64, long: u64| Duration::from_millis(if hurried { short } else { long });
        let digest = [submission.digest; 16];
        let spec = TaskSpec {
            queue: queue_name(submission.queue),
            task_type: type_name(submission.task_type),
            payload: Bytes::from_static(b"payload"),
            content_type: "".into(),
            priority: submission.priority,
            initial_delay: if submission.delayed { SECOND } else { Duration::ZERO },
            start_timeout: or(300, 900),
            attempt_timeout: or(500, 2_000),
            total_timeout: or(3_000, 20_000),
            kill_grace: or(200, 1_000),
            retry: Retry {
                max_attempts: u32::from(submission.max_attempts),
                backoff: Backoff {
                    initial: SECOND / 4,
                    factor: 2.0,
                    cap: SECOND,
                    jitter: Jitter::None,
                },
            },
            labels: Vec::new(),
            trace: None,
            key: submission.key.map(|key| Key { name: format!("k{key}").into(), digest }),
        };
        let id = self.minter.mint(self.now, 0);
        Submit { id, spec, validate_only: submission.validate_only }
    }

    /// One of the open tasks, or now and then one that is not.
    fn task(&self, pick: u8) -> TaskId {
        let open: Vec<TaskId> = self.reference.jobs.iter().map(|job| job.id).collect();
        one_of(&open, pick).copied().unwrap_or(TaskId::from_u128(7))
    }

    fn session(&self, pick: u8) -> Option<(SessionId, Option<StreamId>)> {
        one_of(&self.reference.sessions, pick).map(|session| (session.id, session.stream))
    }

    /// The stream of one of the sessions, or one that is gone.
    fn stream(&self, pick: u8) -> StreamId {
        let stream = self.session(pick).and_then(|(_, stream)| stream);
        stream.unwrap_or(StreamId(self.streams.saturating_sub(1)))
    }

    /// One of the newest leases, and mostly the stream of the session that holds it.
    fn lease(&self, pick: u8, stray: u8) -> (Token, StreamId) {
        let newest = self.tokens.iter().rev().take(6).copied().collect::<Vec<_>>();
        let token = one_of(&newest, pick).copied().unwrap_or(Token::from_i64(99));
        let holder = self.reference.sessions.iter().find(|session| {
            self.reference.leases_of(session.id).iter().any(|(_, own)| *own == token)
        });
        match holder.and_then(|session| session.stream) {
            Some(stream) if 40 < stray => (token, stream),
            _ => (token, self.stream(stray)),
        }
    }

    fn held(&self, own: Option<SessionId>, held: &Held) -> Vec<HeldLease> {
        match held {
            Held::Truth { running } => {
                let leases = own.map(|id| self.reference.leases_of(id)).unwrap_or_default();
                let tokens = leases.iter().map(|(_, token)| *token);
                tokens.enumerate().map(|(n, token)| lease(token, n, *running, 0)).collect()
            }
            Held::Some { mask, running, finished } => {
                let newest = self.tokens.iter().rev().take(8).copied().enumerate();
                let some = newest.filter(|(n, _)| mask >> n & 1 == 1);
                some.map(|(n, token)| lease(token, n, *running, *finished)).collect()
            }
        }
    }
}

impl Journal {
    /// The leases whose ends can be read in it.
    fn ends(&self) -> Vec<Token> {
        let ends = self.records.iter().filter_map(|record| match record {
            Record::LeaseEnded { token, .. } => Some(*token),
            Record::TaskEnded { token, .. } => *token,
            _ => None,
        });
        ends.collect()
    }
}

/// What a watcher can tell of a task.
fn visible(task: &Task) -> String {
    let Task { id, revision, attempts, cancel_requested, phase, .. } = task;
    let phase = match phase {
        Phase::Leased(Lease { token, started, revoking, .. }) => {
            format!("{token} {started:?} {revoking:?}")
        }
        waits => format!("{waits:?}"),
    };
    format!("{id} r{revision} {attempts} {cancel_requested} {phase}")
}

/// Everything that a journal rebuilds, to the last field.
fn durable(queue: &Queue, now: Time) -> Vec<String> {
    let tasks = queue.tasks_after(TaskId::from_u128(0)).map(|task| {
        let mut task = task.clone();
        match &mut task.phase {
            Phase::Leased(lease) => {
                (lease.session, lease.acknowledged, lease.progress) = (None, true, None);
            }
            // A wait that is over is a matter of the time, not of the journal.
            Phase::Scheduled { eligible, .. } if *eligible <= now => task.phase = Phase::Queued,
            Phase::Scheduled { .. } | Phase::Queued => {}
        }
        format!("{task:?}")
    });
    let keys = queue.kept_keys().filter(|kept| now < kept.until).map(|kept| format!("{kept:?}"));
    let pauses = queue.queues().map(|q| format!("{} {}", q.name, q.paused));
    tasks.chain(keys).chain(pauses).chain([format!("{} bytes", queue.open_bytes())]).collect()
}

/// Facts that the shell keeps in a table of their own.
fn is_beside_the_journal(record: &Record) -> bool {
    matches!(record, Record::EpochStarted { .. } | Record::QueuePaused { .. })
}

fn lease(token: Token, n: usize, running: u8, finished: u8) -> HeldLease {
    let bit = |bits: u8| bits >> (n % 8) & 1 == 1;
    let phase = match (bit(finished), bit(running)) {
        (true, _) => LeasePhase::Finished,
        (_, true) => LeasePhase::Running,
        _ => LeasePhase::Pending,
    };
    HeldLease { token, phase }
}

fn outcome_of(pick: u8) -> Outcome {
    let failure = Failure {
        reason: FailureReason::Error,
        message: "no luck".into(),
        details: "".into(),
        counted: false,
        token: None,
        worker: None,
        time: Time::default(),
    };
    let (retryable, retry_delay) = (true, Duration::ZERO);
    match pick {
        0..=2 => Outcome::Succeeded { result: Bytes::from_static(b"42") },
        3 | 4 => Outcome::Failed { failure, retryable, retry_delay },
        5 => Outcome::Failed { failure, retryable, retry_delay: SECOND * 2 },
        6 => Outcome::Failed { failure, retryable: false, retry_delay },
        7 => Outcome::Invalid { failure },
        8 => Outcome::Stopped,
        9 => Outcome::Declined(DeclineReason::NoCapacity),
        10 => Outcome::Declined(DeclineReason::Unsupported),
        _ => Outcome::Declined(DeclineReason::Draining),
    }
}

fn reply_line(reply: &Reply) -> String {
    match reply {
        Reply::Done => "done".into(),
        Reply::Submitted(Ok(accepted)) if accepted.deduplicated => {
            format!("accepted {} again", accepted.id)
        }
        Reply::Submitted(Ok(accepted)) => format!("accepted {}", accepted.id),
        Reply::Submitted(Err(Refusal::KeyConflict { task, .. })) => format!("conflict {task}"),
        Reply::Submitted(Err(Refusal::Full { what, used, .. }))
        | Reply::Replayed(Err(ReplayRefusal::Refused(Refusal::Full { what, used, .. }))) => {
            format!("full {what} {used}")
        }
        Reply::Submitted(Err(Refusal::UnknownQueue { .. })) => "unknown queue".into(),
        Reply::Cancelled(None) => "no such task".into(),
        Reply::Cancelled(Some(cancelled)) => match cancelled.1 {
            Some(_) => format!("cancelled {}", cancelled.0.id),
            None => format!("cancelling {}", cancelled.0.id),
        },
        Reply::Replayed(Ok(replayed)) => format!("generation {}", replayed.generation),
        Reply::Replayed(Err(ReplayRefusal::AlreadyOpen(_))) => "already open".into(),
        Reply::Replayed(Err(ReplayRefusal::Refused(_))) => "conflict".into(),
        Reply::Paused(exists) => format!("paused {exists}"),
        Reply::Welcome(welcome) => {
            let verdicts = welcome.verdicts.iter();
            let verdicts: Vec<String> = verdicts
                .map(|(token, verdict)| {
                    format!("{token} {}", format!("{verdict:?}").to_lowercase())
                })
                .collect();
            format!("welcome {:?} resumed {} {verdicts:?}", welcome.session, welcome.resumed)
        }
        Reply::Heard(heard) => format!("heard {heard}"),
        Reply::Draining(known) => format!("draining {known}"),
        Reply::Granted(count) => format!("granted {count}"),
    }
}

fn same(is: &[String], should_be: &[String]) -> Result<(), TestCaseError> {
    let surplus = is.iter().filter(|line| !should_be.contains(line));
    let missing = should_be.iter().filter(|line| !is.contains(line));
    let difference: Vec<String> = surplus
        .map(|line| format!("\n  is        {line}"))
        .chain(missing.map(|line| format!("\n  should be {line}")))
        .collect();
    if is == should_be {
        return Ok(());
    }
    Err(TestCaseError::fail(format!("the queue disagrees{}", difference.concat())))
}

fn one_of<T>(all: &[T], pick: u8) -> Option<&T> {
    if all.is_empty() { None } else { all.get(usize::from(pick) % all.len()) }
}

fn queue_name(n: u8) -> Name {
    ["left", "right", "declared"][usize::from(n)].into()
}

fn type_name(n: u8) -> Name {
    ["resize", "hash"][usize::from(n)].into()
}

fn worker_name(n: u8) -> Name {
    format!("w{n}").into()
}
