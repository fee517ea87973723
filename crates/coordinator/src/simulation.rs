//! A coordinator without threads, sockets, disks and clocks: for the simulator, and no part of the library's promise.
//!
//! Engine, sessions, codec, keeper and gate are the real ones. What the process adds to them (the loop that waits, the
//! tasks of the streams, the thread of the journal) is the caller's: it says what happened, turns the engine, and
//! carries out what comes out.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use bytes::Bytes;
use leasehold_journal::{
    AppendError, Batch, Damage, Epoch, FailedRow, Fault, Position, ReadError, RowId,
};
use leasehold_policy::{Bucket, Rate, Time};
use leasehold_proto::v1;
use leasehold_queue::{
    Accepted, Name, Queue, Record, Refusal, StreamId, TaskId, TaskSpec, Unknown, WorkerView,
};
use tokio::sync::{mpsc, oneshot};

use crate::{
    clock::Clock,
    codec::Records,
    config::Config,
    egress::Closing,
    engine::{Ended, Engine, Inbox, Parts, Payloads, Senders},
    ferry::Ferry,
    gaps::{self, Unfilled},
    handle::{LeaseName, Replay, Submission, Unavailable},
    keeper::Keeper,
    metrics::Metrics,
    recovery::{Recovered, RecoveryError, Unreadable, replay_facts},
    request::{Admission, Control},
    session::{Shared, simulated::Turned},
    snapshot::Snapshot,
    status::{Applied, Status},
    terms,
    writer::{Failure, JOBS_MAX, Job, Report, Space},
};
pub mod guest;

pub use crate::{
    clock::Dial,
    session::simulated::{Farewell, LastWords},
};

/// What a coordinator begins with: a claimed journal and its clocks.
pub struct Start<'a> {
    /// Its configuration.
    pub config: Config,
    /// The journal's id.
    pub journal_id: String,
    /// The epoch that was claimed.
    pub epoch: u32,
    /// Every batch that is left, oldest first.
    pub batches: Vec<(Position, &'a Bytes)>,
    /// The position of the last batch there ever was.
    pub head: Position,
    /// The head at the last trim.
    pub settled: Position,
    /// The facts beside the batches.
    pub facts: Vec<(String, Bytes)>,
    /// Below how many bytes the journal is left alone.
    pub tidy_bytes: u64,
    /// Which payloads stay in memory, however many: shorter ones.
    pub least_payload_bytes: usize,
    /// Which share of the room for payloads those may take that were read ahead: 2 is a half.
    pub payloads_ahead_share: u64,
    /// Its clocks.
    pub dial: Arc<Dial>,
}

/// Why a journal cannot be taken up.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A batch.
    #[error("batch {0:?} cannot be taken up: {1:?}")]
    Batch(Position, Unreadable),
    /// A fact.
    #[error("the facts cannot be taken up: {0:?}")]
    Facts(#[from] RecoveryError),
}

/// A coordinator, turned by hand.
pub struct Coordinator {
    engine: Engine,
    due: Option<Time>,
    now: Time,
    jobs: mpsc::Receiver<Job>,
    /// What was read for the batch that the journal has.
    found: gaps::Found,
    senders: Senders,
    shared: Shared,
    status: Arc<Status>,
    streams: BTreeMap<StreamId, Turned>,
    asked: BTreeMap<u64, Asked>,
    /// What was refused before it came to the engine, as the handle does.
    refused: Vec<(u64, Answer)>,
    /// The streams that have begun, as the service counts them.
    beginnings: Bucket,
}

/// What a client or an operator asks.
#[derive(Clone, Debug)]
pub enum Ask {
    /// Accept tasks.
    Submit(Vec<TaskSpec>),
    /// End a task.
    Cancel(TaskId),
    /// Make a dead letter a task again.
    Replay(TaskId, u32),
    /// Pause or resume a queue.
    Pause(Name, bool),
    /// Let a worker drain.
    Drain(Name),
    /// Take the lease of a task away.
    Revoke(TaskId),
    /// Give a worker up, and do not let it in again for so long.
    Evict(Name, Duration),
    /// Go on under another configuration.
    Configure(Box<Config>),
    /// End the process in order.
    Shutdown,
}

/// What is answered.
#[derive(Clone, Debug)]
pub enum Answer {
    /// To a submit. None: it was refused as a whole.
    Submitted(Option<Vec<Result<Accepted, Refusal>>>),
    /// To a cancel: the task as it then was, if it was open.
    Cancelled(Option<Box<Snapshot>>),
    /// To a replay: the new generation, if it was this call that replayed it.
    Replayed(Option<u32>),
    /// To a pause: whether the queue exists.
    Paused(bool),
    /// To a drain: whether the worker is known.
    Draining(bool),
    /// To a revocation: whether the task was leased.
    Revoked(bool),
    /// To an eviction: whether the worker is known.
    Evicted(bool),
    /// To a configuration: it holds.
    Configured,
    /// The process ends without an answer.
    Dropped,
}

enum Asked {
    Submit(oneshot::Receiver<Result<Vec<Result<Accepted, Refusal>>, Unavailable>>),
    Cancel(oneshot::Receiver<Option<Box<Snapshot>>>),
    Replay(oneshot::Receiver<Result<Replay, Unavailable>>),
    Pause(oneshot::Receiver<Option<leasehold_queue::QueueView>>),
    Drain(oneshot::Receiver<Vec<bool>>),
    Revoke(oneshot::Receiver<Option<Box<Snapshot>>>),
    Evict(oneshot::Receiver<Vec<WorkerView>>),
    Configure(oneshot::Receiver<()>),
}

/// What the journal is to do.
#[derive(Debug)]
pub enum Work {
    /// Append a batch, which belongs there.
    Append(Position, Box<Batch>),
    /// Nothing: a batch needs what earlier ones do not hold.
    Unfilled(Unfilled),
    /// Claim a new epoch at this wall clock time in seconds.
    Claim(u64),
    /// Read a dead letter.
    ReadDead(RowId),
}

/// What the journal says.
#[derive(Debug)]
pub enum Word {
    /// A batch is durable.
    Durable(Position),
    /// An epoch is claimed.
    Claimed(u32),
    /// A dead letter, or that there is none.
    Dead(RowId, Option<Box<FailedRow>>),
    /// Whether only what is open may still be written.
    Tight(bool),
    /// A write failed.
    Failed,
}

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// As it was asked to.
    Stopped,
    /// Because the journal failed.
    Failed,
}

impl Coordinator {
    /// Takes up a journal.
    pub fn start(start: Start<'_>) -> Result<Self, StartError> {
        let (queue, recovered) = rebuild(&start)?;
        let Start { config, journal_id, epoch, head, dial, .. } = start;
        let mut clock = Clock::on(dial, recovered.last);
        let (applied, metrics) = (Applied::from(config), Metrics::default());
        let config = Arc::clone(&applied.config);
        let status = Arc::new(Status::new(journal_id, epoch, clock.now(), applied));
        let (senders, inbox) = Inbox::new();
        let (job_sender, jobs) = mpsc::channel(JOBS_MAX);
        let shared = Shared::new(senders.liveness.clone(), Arc::clone(&status), metrics.clone());
        let now = clock.now();
        let written = recovered.written();
        let engine = Engine::new(Parts {
            queue,
            keeper: recovered.keeper,
            payloads: recovered.payloads,
            clock,
            written,
            head,
            config,
            metrics,
            status: Arc::clone(&status),
            inbox,
            jobs: job_sender,
            ferry: Ferry::Still,
        });
        let (streams, asked, refused) = (BTreeMap::new(), BTreeMap::new(), Vec::new());
        Ok(Self {
            engine,
            due: None,
            now,
            jobs,
            found: gaps::Found::default(),
            senders,
            shared,
            status,
            streams,
            asked,
            refused,
            beginnings: Bucket::default(),
        })
    }

    /// Lets the engine do a turn; how long it would then wait.
    pub fn turn(&mut self) -> Result<Option<Duration>, Exit> {
        match self.engine.step(self.due) {
            Ok((due, now)) => {
                (self.due, self.now) = (due, now);
                Ok(due.map(|due| due.since(now)))
            }
            Err(Ended::Stopped) => Err(Exit::Stopped),
            Err(Ended::Failed(_)) => Err(Exit::Failed),
        }
    }

    /// What time it was in the last turn.
    pub const fn now(&self) -> Time {
        self.now
    }

    /// The queue, to be looked at.
    pub const fn queue(&self) -> &Queue {
        self.engine.queue()
    }

    /// How many checkpoints wait for the disk to be ready for them.
    pub fn unwritten_checkpoints(&self) -> usize {
        self.engine.unwritten_checkpoints()
    }

    /// Whether everything that was decided is durable and has left.
    pub fn is_quiet(&self) -> bool {
        self.engine.is_quiet()
    }

    /// The next thing for the journal to do. A batch is complete: `read` shows those before it.
    pub fn work<'a>(&mut self, read: impl Fn(Position) -> Option<&'a Bytes>) -> Option<Work> {
        Some(match self.jobs.try_recv().ok()? {
            Job::Append(mut sealed) => {
                let filled = gaps::fill(&mut sealed, |home| {
                    let missing = ReadError::Damaged { position: home, damage: Damage::Missing };
                    Ok(read(home).cloned().ok_or(missing)?)
                });
                match filled {
                    Ok(found) => self.found = found,
                    Err(unfilled) => return Some(Work::Unfilled(unfilled)),
                }
                Work::Append(sealed.position, Box::new(sealed.batch))
            }
            Job::Claim { unix_s } => Work::Claim(unix_s),
            Job::ReadDead { row_id } => Work::ReadDead(row_id),
        })
    }

    /// The journal says something.
    pub fn report(&mut self, word: Word) {
        let report = match word {
            Word::Durable(position) => {
                let (took, found) = (Duration::ZERO, std::mem::take(&mut self.found));
                Report::Durable { position, records: 0, took, read: None, found }
            }
            Word::Claimed(epoch) => Report::Claimed(Epoch(epoch)),
            Word::Dead(row_id, row) => Report::Dead(row_id, Ok(row)),
            Word::Tight(is_tight) => {
                Report::Space(Space { free_bytes: 0, reserve_bytes: 0, journal_bytes: 0, is_tight })
            }
            Word::Failed => {
                let (doing, fault) = ("append a batch", Fault::Stopped);
                Report::Failed(Failure::Append(AppendError::Fatal { doing, fault }))
            }
        };
        // The bound counts every job and one more: reports are taken in before the next job is handed out.
        debug_assert!(0 < self.senders.reports.capacity(), "there is room for a report");
        drop(self.senders.reports.try_send(report));
    }
}

/// Streams.
impl Coordinator {
    /// The worker said something on a stream; at first, on a new one.
    pub fn hear(&mut self, stream: StreamId, frame: v1::ConnectRequest) -> Result<(), LastWords> {
        if let Some(turned) = self.streams.get_mut(&stream) {
            let heard = turned.hear(frame);
            if heard.is_err() {
                self.disconnect(stream);
            }
            return heard;
        }
        let turned = Turned::open(&self.shared, stream, frame)?;
        self.streams.insert(stream, turned);
        Ok(())
    }

    /// The worker has left a stream, or the connection broke.
    pub fn disconnect(&mut self, stream: StreamId) {
        if let Some(turned) = self.streams.remove(&stream) {
            turned.disconnected();
        }
    }

    /// Whether a stream may begin, at so much time since the start of the caller's choice; always the same rate.
    pub fn begin(&mut self, now: Duration, rate: Rate) -> bool {
        self.beginnings.take(rate, 1, now).is_ok()
    }

    /// Every open stream.
    pub fn streams(&self) -> Vec<StreamId> {
        self.streams.keys().copied().collect()
    }

    /// Whether there is something to send on a stream.
    pub fn has_frame(&mut self, stream: StreamId) -> bool {
        self.streams.get_mut(&stream).is_some_and(Turned::has_frame)
    }

    /// The next frame to send on a stream.
    pub fn frame(&mut self, stream: StreamId) -> Option<v1::ConnectResponse> {
        self.streams.get_mut(&stream)?.frame()
    }

    /// The last words of a stream that the engine has ended.
    pub fn closed(&mut self, stream: StreamId) -> Option<LastWords> {
        let last = self.streams.get_mut(&stream)?.closed()?;
        self.disconnect(stream);
        Some(last)
    }

    /// The worker has not read for too long: the last words.
    pub fn give_up(&mut self, stream: StreamId) -> Option<LastWords> {
        let last = self.streams.get_mut(&stream)?.part(Closing::SlowConsumer);
        self.disconnect(stream);
        Some(last)
    }
}

/// Clients and operators.
impl Coordinator {
    /// Somebody asks; the answer will carry the ticket.
    pub fn ask(&mut self, ticket: u64, ask: Ask) {
        if self.status.admission().is_err() {
            let answer = match ask {
                Ask::Submit(_) => Some(Answer::Submitted(None)),
                Ask::Replay(..) => Some(Answer::Replayed(None)),
                Ask::Cancel(_)
                | Ask::Pause(..)
                | Ask::Drain(_)
                | Ask::Revoke(_)
                | Ask::Evict(..)
                | Ask::Configure(_)
                | Ask::Shutdown => None,
            };
            if let Some(answer) = answer {
                return self.refused.push((ticket, answer));
            }
        }
        let sent = match ask {
            Ask::Submit(specs) => {
                let (answer, receiver) = oneshot::channel();
                let task = |spec| Submission { spec, validate_only: false };
                let tasks = specs.into_iter().map(task).collect();
                self.asked.insert(ticket, Asked::Submit(receiver));
                self.senders.admission.try_send(Admission::Submit { tasks, answer }).is_ok()
            }
            Ask::Cancel(task) => {
                let (answer, receiver) = oneshot::channel();
                self.asked.insert(ticket, Asked::Cancel(receiver));
                self.control(Control::Cancel { task, answer })
            }
            Ask::Replay(task, generation) => {
                let (answer, receiver) = oneshot::channel();
                self.asked.insert(ticket, Asked::Replay(receiver));
                let generation = Some(generation);
                self.control(Control::Replay { task, generation, answer })
            }
            Ask::Pause(queue, paused) => {
                let (answer, receiver) = oneshot::channel();
                self.asked.insert(ticket, Asked::Pause(receiver));
                self.control(Control::Pause { queue, paused, answer })
            }
            Ask::Drain(worker) => {
                let (answer, receiver) = oneshot::channel();
                self.asked.insert(ticket, Asked::Drain(receiver));
                let workers = vec![worker];
                self.control(Control::Drain { workers, grace: None, answer })
            }
            Ask::Revoke(task) => {
                let (answer, receiver) = oneshot::channel();
                self.asked.insert(ticket, Asked::Revoke(receiver));
                let (lease, reason) = (LeaseName::Of(task), "simulated".to_owned());
                self.control(Control::RevokeLease { lease, grace: None, reason, answer })
            }
            Ask::Evict(worker, ban) => {
                let (answer, receiver) = oneshot::channel();
                self.asked.insert(ticket, Asked::Evict(receiver));
                let reason = "simulated".to_owned();
                self.control(Control::Evict { worker, grace: None, ban, reason, answer })
            }
            Ask::Configure(config) => {
                let (answer, receiver) = oneshot::channel();
                self.asked.insert(ticket, Asked::Configure(receiver));
                let applied = Arc::new(Applied::from(*config));
                self.control(Control::Configure { applied, answer })
            }
            Ask::Shutdown => self.control(Control::Shutdown),
        };
        debug_assert!(sent, "there is room for what is asked");
    }

    /// Every answer that has left since the last call.
    pub fn answers(&mut self) -> Vec<(u64, Answer)> {
        let asked = self.asked.iter_mut();
        let answered = asked.filter_map(|(ticket, asked)| Some((*ticket, asked.answer()?)));
        let answers: Vec<(u64, Answer)> = self.refused.drain(..).chain(answered).collect();
        for (ticket, _) in &answers {
            self.asked.remove(ticket);
        }
        answers
    }

    fn control(&self, control: Control) -> bool {
        self.senders.control.try_send(control).is_ok()
    }
}

impl Asked {
    fn answer(&mut self) -> Option<Answer> {
        match self {
            Self::Submit(receiver) => {
                received(receiver, |submitted| Answer::Submitted(submitted.ok()))
            }
            Self::Cancel(receiver) => received(receiver, Answer::Cancelled),
            Self::Replay(receiver) => received(receiver, |replayed| match replayed {
                Ok(Replay::Done(snapshot)) => Answer::Replayed(Some(snapshot.task.generation())),
                Ok(Replay::Already(_) | Replay::NotDead | Replay::Refused(_)) | Err(_) => {
                    Answer::Replayed(None)
                }
            }),
            Self::Pause(receiver) => received(receiver, |view| Answer::Paused(view.is_some())),
            Self::Revoke(receiver) => received(receiver, |task| Answer::Revoked(task.is_some())),
            Self::Evict(receiver) => {
                received(receiver, |sessions| Answer::Evicted(!sessions.is_empty()))
            }
            Self::Configure(receiver) => received(receiver, |()| Answer::Configured),
            Self::Drain(receiver) => {
                received(receiver, |known| Answer::Draining(known.first() == Some(&true)))
            }
        }
    }
}

fn received<T>(
    receiver: &mut oneshot::Receiver<T>,
    answer: impl FnOnce(T) -> Answer,
) -> Option<Answer> {
    match receiver.try_recv() {
        Ok(said) => Some(answer(said)),
        Err(oneshot::error::TryRecvError::Empty) => None,
        Err(oneshot::error::TryRecvError::Closed) => Some(Answer::Dropped),
    }
}

/// The queue that a journal holds, as a start would find it, before it is recovered.
pub fn queue(start: &Start<'_>) -> Result<Queue, StartError> {
    rebuild(start).map(|(queue, _)| queue)
}

/// The records of a batch.
pub fn records(body: &[u8]) -> Result<Vec<Record>, Unreadable> {
    Ok(Records::new(body)?.collect::<Result<_, _>>()?)
}

fn rebuild(start: &Start<'_>) -> Result<(Queue, Recovered), StartError> {
    let mut queue = Queue::new(terms::queue(&start.config), start.epoch);
    replay_facts(&start.facts, &mut queue)?;
    let keeper = Keeper::tidying_above(start.tidy_bytes);
    let payloads = Payloads::new(start.least_payload_bytes, start.payloads_ahead_share);
    let payload_memory = start.config.limits.payload_memory;
    let mut recovered = Recovered { keeper, payloads, payload_memory, ..Recovered::default() };
    for (position, body) in &start.batches {
        let unknown = if *position <= start.settled { Unknown::Skip } else { Unknown::Refuse };
        let taken = recovered.take_up(&mut queue, *position, body, unknown);
        taken.map_err(|error| StartError::Batch(*position, error))?;
    }
    Ok((queue, recovered))
}
