//! The queue and its reference, side by side, with the journal between them: after each step they must agree.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    time::Duration,
};

use bytes::Bytes;
use leasehold_policy::Time;
use leasehold_queue::{
    Command, Config, Dead, Effect, Ending, HeldLease, Hello, LeasePhase, Limits, Minter, Name,
    Progress, Queue, Record, RevocationReason, SchemasRead, Size, Start, StreamId, Submit, Task,
    TaskId, Token, Unknown, Weights,
};
use proptest::test_runner::TestCaseError;

use self::{
    choice::{
        configured, instance_name, one_of, outcome_of, queue_name, reads, type_name, worker_name,
        zone_labels,
    },
    shown::{durable, reply_line, visible},
};
use crate::{
    reference::{Reference, effect_line, queue_lines},
    script::{Greeting, Setting, Step},
};

mod choice;
mod shown;

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
    prompt: bool,
    /// What was said to workers and is held back, the oldest first.
    unsent: VecDeque<(StreamId, Token)>,
    submitted: Vec<Submit>,
    tokens: Vec<Token>,
    revoked: Vec<(Token, RevocationReason)>,
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
            attempt_max: SECOND * 5,
            key_retention: if setting.keep_keys { 3 * SECOND } else { Duration::ZERO },
            declared_queues: [Name::from("declared")].into(),
            late_results: [Name::from("left"), Name::from("declared")].into(),
            create_queues: setting.create_queues,
            weights: weights(),
            valve: setting.valve,
            cull_runs: setting.cull_runs,
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
            prompt: setting.prompt,
            unsent: VecDeque::new(),
            submitted: Vec::new(),
            tokens: Vec::new(),
            revoked: Vec::new(),
            dead: Vec::new(),
            watched: BTreeMap::new(),
        };
        cluster.reference.set_time(START);
        cluster.queue.recovered(START, None);
        cluster.journal.records.extend(cluster.queue.take_output().records);
        cluster.committed = (cluster.reference.clone(), cluster.journal.records.len());
        cluster
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
            Step::Configure(wanted) => {
                self.config = configured(&self.config, wanted);
                self.reference.configure(self.config.clone());
                self.apply(Command::Configure(Box::new(self.config.clone())), "done")?;
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
            Step::Sent { most } => self.leave(usize::from(*most))?,
            worker => self.hear(worker)?,
        }
        if self.prompt {
            self.leave(self.unsent.len())?;
        }
        self.agree()
    }

    fn hear(&mut self, step: &Step) -> Result<(), TestCaseError> {
        match step {
            Step::Hello(greeting) => self.hello(greeting),
            Step::ComeBack { lease, slots, outcome } => {
                self.come_back(*lease, u32::from(*slots), *outcome)
            }
            Step::Delivered { session } => {
                let (stream, tokens) = (self.stream(*session), self.tokens.clone());
                self.reference.delivered(stream, &tokens);
                self.apply(Command::Delivered { stream, tokens }, "done")
            }
            Step::Informed { session } => {
                let (stream, revocations) = (self.stream(*session), self.revoked.clone());
                self.reference.informed(stream, &revocations);
                self.apply(Command::Informed { stream, revocations }, "done")
            }
            Step::Heartbeat { session, held } => {
                let stream = self.stream(*session);
                let own = self.session(*session).map(|(id, _)| id);
                let held: Vec<Token> = self.held(own, held).iter().map(|h| h.token).collect();
                let expected = self.reference.heartbeat(stream, &held);
                self.apply(Command::Heartbeat { stream, held }, &expected)
            }
            Step::Capacity { session, slots, prefetch } => {
                let (stream, slots) = (self.stream(*session), u32::from(*slots));
                let prefetch = u32::from(*prefetch);
                self.reference.capacity(stream, slots, prefetch);
                self.apply(
                    Command::Capacity { stream, slots, resources: Vec::new(), prefetch },
                    "done",
                )
            }
            Step::Started { lease, stray } => {
                let (token, stream) = self.lease(*lease, *stray);
                self.reference.started(stream, token);
                self.apply(Command::Started { stream, token }, "done")
            }
            Step::Progressed { lease, stray } => {
                let (token, stream) = self.lease(*lease, *stray);
                self.reference.progressed(stream, token);
                let progress = Some(Progress { fraction: None, message: "on".into() });
                self.apply(Command::Progressed { stream, token, progress }, "done")
            }
            Step::Save { lease, stray, data } => {
                let (token, stream) = self.lease(*lease, *stray);
                let expected = self.reference.save(stream, token, *data);
                let data = Bytes::from(vec![*data; 1 + usize::from(*data)]);
                self.apply(Command::Save { stream, token, data }, &expected)
            }
            Step::Extend { lease, stray, ms } => {
                let (token, stream) = self.lease(*lease, *stray);
                let remaining = Duration::from_millis((*ms).into());
                self.reference.extend(stream, token, remaining);
                self.apply(Command::Extend { stream, token, remaining }, "done")
            }
            Step::Outcome { lease, stray, outcome } => {
                let (token, stream) = self.lease(*lease, *stray);
                let outcome = outcome_of(*outcome);
                self.reference.outcome(stream, token, &outcome);
                self.apply(Command::Outcome { stream, token, outcome, ran: None }, "done")
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
            Step::RevokeLease { lease } => {
                let (token, grace) = (self.lease(*lease, u8::MAX).0, Some(SECOND / 4));
                let expected = self.reference.revoke_lease(token, SECOND / 4);
                self.apply(Command::RevokeLease { token, grace }, &expected)
            }
            Step::EvictWorker { worker, ban } => {
                let (worker, ban) = (worker_name(*worker), Duration::from_millis((*ban).into()));
                let expected = self.reference.evict(&worker, ban);
                self.apply(Command::EvictWorker { worker, grace: None, ban }, &expected)
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
            Step::Stalled { away } => {
                let (away, favour) = (Duration::from_millis((*away).into()), SECOND / 2);
                self.now = self.now + away;
                self.reference.set_time(self.now);
                self.reference.stalled(away, favour);
                self.apply(Command::Stalled { by: away + favour }, "done")
            }
            step => unreachable!("no worker does {step:?}"),
        }
    }

    /// The oldest of what is held back leaves.
    fn leave(&mut self, most: usize) -> Result<(), TestCaseError> {
        let leaving: Vec<_> = self.unsent.drain(..most.min(self.unsent.len())).collect();
        for sent in leaving.chunk_by(|(one, _), (other, _)| one == other) {
            let stream = sent[0].0;
            let tokens: Vec<Token> = sent.iter().map(|(_, token)| *token).collect();
            for token in &tokens {
                self.reference.sent(stream, *token);
            }
            self.apply(Command::Sent { stream, tokens }, "done")?;
        }
        Ok(())
    }

    fn wait(&mut self, time: Duration) -> Result<(), TestCaseError> {
        self.now = self.now + time;
        self.reference.set_time(self.now);
        self.reference.advance();
        self.apply(Command::Advance { until: self.now }, "done")?;
        match self.queue.next_deadline() {
            Some(due) if due <= self.now => Err(TestCaseError::fail("something due was left")),
            _ => Ok(()),
        }
    }

    fn submit(&mut self, submit: Submit) -> Result<(), TestCaseError> {
        let expected = self.reference.submit(&submit);
        self.apply(Command::Submit(Box::new(submit)), &expected)
    }

    fn hello(&mut self, greeting: &Greeting) -> Result<(), TestCaseError> {
        let Greeting {
            worker, instance, start, replaces, slots, prefetch, types, zone, held, ..
        } = greeting;
        let read = &greeting.reads;
        self.streams += 1;
        let (worker, instance) = (worker_name(*worker), instance_name(*instance));
        let same = |s: &&crate::reference::Session| s.worker == *worker && s.instance == *instance;
        let own = self.reference.sessions.iter().find(same).map(|session| session.id);
        self.greet(Hello {
            stream: StreamId(self.streams),
            worker,
            instance,
            start: start.map(|(boot, after)| Start {
                boot: boot.to_string().into(),
                after: Duration::from_secs(after.into()),
            }),
            replaces: (0..2).filter(|i| replaces >> i & 1 == 1).map(instance_name).collect(),
            task_types: (0..2).filter(|t| types >> t & 1 == 1).map(type_name).collect(),
            namespaces: Vec::new(),
            reads: reads(*read),
            slots: u32::from(*slots),
            resources: Vec::new(),
            knows_sizes: true,
            prefetch: u32::from(*prefetch),
            held: self.held(own, held),
            labels: zone_labels(*zone),
            software: "model".into(),
        })
    }

    fn greet(&mut self, hello: Hello) -> Result<(), TestCaseError> {
        let expected = self.reference.hello(&hello);
        self.apply(Command::Hello(Box::new(hello)), &expected)
    }

    /// A process whose lease was lost with its session says hello and how its work ended.
    fn come_back(&mut self, pick: u8, slots: u32, outcome: u8) -> Result<(), TestCaseError> {
        let lost = self.reference.lost();
        let Some((token, worker, instance)) = one_of(&lost, pick).cloned() else { return Ok(()) };
        self.streams += 1;
        let stream = StreamId(self.streams);
        self.greet(Hello {
            stream,
            worker: worker.into(),
            instance: instance.into(),
            start: None,
            replaces: Vec::new(),
            task_types: vec![type_name(0)],
            namespaces: Vec::new(),
            reads: SchemasRead::default(),
            slots,
            resources: Vec::new(),
            knows_sizes: true,
            prefetch: 0,
            held: vec![HeldLease { token, phase: LeasePhase::Finished, size: Size::default() }],
            labels: Vec::new(),
            software: "model".into(),
        })?;
        let outcome = outcome_of(outcome);
        self.reference.outcome(stream, token, &outcome);
        self.apply(Command::Outcome { stream, token, outcome, ran: None }, "done")
    }

    /// Does it to the queue; the reference has done it and says what to expect.
    fn apply(&mut self, command: Command, expected: &str) -> Result<(), TestCaseError> {
        let reply = reply_line(&self.queue.apply(self.now, command));
        let output = self.queue.take_output();
        self.journal.records.extend(output.records);
        for effect in &output.effects {
            match effect {
                Effect::Assign { stream, assignment } => {
                    self.tokens.push(assignment.token);
                    self.unsent.push_back((*stream, assignment.token));
                }
                Effect::Revoke { stream, token, reason, .. } => {
                    self.unsent.push_back((*stream, *token));
                    self.revoked.push((*token, *reason));
                }
                Effect::Changed(task) => {
                    self.watched.insert(task.id, visible(task));
                }
                Effect::Ended(ended) => {
                    self.watched.remove(&ended.task.id);
                    if ended.ending == Ending::Failed {
                        self.dead.push(Task::clone(&ended.task));
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
            queue
                .replay(record.clone(), unknown)
                .map_err(|e| TestCaseError::fail(e.to_string()))?;
        }
        queue.recovered(self.now, Some(self.now));
        self.queue = queue;
        self.unsent.clear();
        self.journal.records.extend(self.queue.take_output().records);
        self.reference.restart(self.config.clone(), self.epoch, &self.journal.ends());
        let open = self.queue.tasks_after(TaskId::from_u128(0));
        self.watched = open.map(|task| (task.id, visible(task))).collect();
        Ok(())
    }

    /// What was due while the process was down is due at once.
    fn overdue(&mut self) -> Result<(), TestCaseError> {
        self.reference.advance();
        self.apply(Command::Advance { until: self.now }, "done")?;
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
        let (tasks, keys): (Vec<TaskId>, _) = (tasks.into_iter().collect(), keys.collect());
        self.reference.write_again(&tasks);
        self.apply(Command::Move { tasks, keys }, "done")?;
        let mut records: Vec<Record> =
            self.journal.records.drain(..cut).filter(is_beside_the_journal).collect();
        records.append(&mut self.journal.records);
        self.journal = Journal { settled: records.len(), records };
        self.committed = (self.reference.clone(), self.journal.records.len());
        Ok(())
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

/// One queue gets three times as much as the others, and one key twice as much as the other in its queue.
fn weights() -> BTreeMap<Name, Weights> {
    let keys = |weight| [(Name::from("red"), weight)].into();
    let left = Weights { queue: 3, keys: keys(2) };
    [("left".into(), left), ("middle".into(), Weights { queue: 1, keys: keys(5) })].into()
}

/// Facts that the shell keeps in a table of their own.
fn is_beside_the_journal(record: &Record) -> bool {
    matches!(record, Record::EpochStarted { .. } | Record::QueuePaused { .. })
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
