//! The engine: the one owner of the queue.
//!
//! It works in turns. A turn takes what has come in, in the order of its urgency; lets the queue decide; writes the
//! records into the next batch of the journal; and holds back every effect and answer until that batch is durable.
//! It never waits for the disk: while one batch is synced, the next gathers.

use std::{
    collections::BTreeMap,
    sync::Arc,
    task::{Context, Waker},
    time::Duration,
};

use leasehold_journal::{Position, RowId};
use leasehold_policy::Time;
use leasehold_queue::{Command, Effect, Minter, Queue, Reply, StreamId, Token};
use tokio::sync::mpsc;

use crate::{
    clock::Clock,
    config::Config,
    egress::Egress,
    ferry::Ferry,
    gate::Gate,
    handle::Unavailable,
    keeper::Keeper,
    load::Flows,
    metrics::Metrics,
    status::Status,
    watch::Watchers,
    writer,
    writer::{Job, Report, Space},
};

mod admission;
mod checkpoint;
mod control;
mod draft;
mod gauges;
mod inbox;
mod latest;
mod liveness;
mod payloads;
mod record;
mod release;
pub(crate) mod row;
mod simulated;
mod waiters;

use checkpoint::Checkpoints;
use control::Replaying;
use draft::Drafts;
pub(crate) use draft::Sealed;
use inbox::Intake;
pub(crate) use inbox::{Inbox, Senders};
use latest::Latest;
pub(crate) use payloads::Payloads;
use release::Release;
use waiters::Waiters;

/// How many leases one pass may grant: a few milliseconds at most. More is left to the next turn.
const GRANTS_PER_PASS: usize = 1_000;

/// How many tasks a turn may admit, so that liveness is never far away.
const ADMITTED_PER_TURN: usize = 1_000;

/// How many bytes may wait for the disk before nothing more is admitted.
const AHEAD_BYTES_MAX: usize = 16 << 20;

/// How many answers and turns' effects may wait for the disk before nothing more is admitted: reads write nothing, so they
/// are not counted in bytes.
const HELD_MAX: usize = 65_536;

/// A disk that takes longer for one batch is stuck. What is leased meanwhile could not leave, and would be late.
const STUCK: Duration = Duration::from_secs(1);

/// How long a turn may take; and one that begins this much after it was due was held up: the process was stopped, or
/// starved.
const STALL: Duration = Duration::from_millis(110);

/// Below this many tokens a new epoch is claimed; far more than are granted while that lasts.
const TOKENS_LOW: u32 = 1 << 24;

/// The engine.
#[derive(Debug)]
pub(crate) struct Engine {
    queue: Queue,
    clock: Clock,
    /// What time it is, for the whole turn.
    now: Time,
    minter: Minter,
    config: Arc<Config>,
    metrics: Metrics,
    status: Arc<Status>,
    inbox: Inbox,
    keeper: Keeper,
    payloads: Payloads,
    drafts: Drafts,
    gate: Gate<Release>,
    /// What this turn has to say, in order.
    said: Vec<Release>,
    jobs: mpsc::Sender<Job>,
    /// When the writer got the batch that it has, if it has one.
    writing_since: Option<Time>,
    /// Streams on which something was said that has not been handed over.
    told: Vec<StreamId>,
    is_claiming: bool,
    ferry: Ferry,
    /// Whether the ferry is on its way.
    is_listening: bool,
    /// Whatever could be read by then has been heard.
    heard_until: Time,
    streams: BTreeMap<StreamId, Stream>,
    latest: Latest,
    checkpoints: Checkpoints,
    /// Streams that were ended because their workers did not read; the queue is told with the next turn.
    lost: Vec<StreamId>,
    waiters: Waiters,
    watchers: Watchers,
    replays: BTreeMap<RowId, Replaying>,
    /// Whether there is more to do at once.
    is_eager: bool,
    /// When the next turn is due, and how much the last one had for the writer to do.
    next_due: Option<Time>,
    handed_over: usize,
    gauges: gauges::Gauges,
    flows: Flows,
    stopping: Option<Stopping>,
}

/// One stream of a worker.
#[derive(Debug)]
struct Stream {
    egress: Egress,
    /// Leases of which its worker was told since the queue was last told so.
    sent: Vec<Token>,
    is_welcome: bool,
    /// How busy its worker's processor is, in thousandths, if it says so.
    cpu: Option<u16>,
}

/// How far the end of the process is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stopping {
    /// Workers still hear what had happened up to this position.
    Telling(Position),
    /// They have been sent away.
    Finishing,
}

/// What the engine begins with.
#[derive(Debug)]
pub(crate) struct Parts {
    pub queue: Queue,
    pub keeper: Keeper,
    pub payloads: Payloads,
    pub clock: Clock,
    /// When the journal was last written, if it ever was.
    pub written: Option<Time>,
    pub head: Position,
    pub config: Arc<Config>,
    pub metrics: Metrics,
    pub status: Arc<Status>,
    pub inbox: Inbox,
    pub jobs: mpsc::Sender<Job>,
    pub ferry: Ferry,
}

/// How long the engine has nothing to do.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pause {
    /// How long, whatever comes in. None: until something does.
    pub left: Option<Duration>,
    /// Whether something has.
    pub has_more: bool,
    /// Whether there is something for the writer to do.
    pub has_jobs: bool,
}

/// How the engine ended.
#[derive(Debug)]
pub(crate) enum Ended {
    /// It was asked to, and everything is durable.
    Stopped,
    /// The journal failed: nothing has left since.
    Failed(writer::Failure),
}

impl Engine {
    /// An engine whose queue holds what the journal held. Its first batch says that an epoch began.
    pub(crate) fn new(parts: Parts) -> Self {
        let Parts { queue, keeper, payloads, mut clock, written, .. } = parts;
        let Parts { head, config, metrics, status, inbox, jobs, ferry, .. } = parts;
        let now = clock.now();
        let flows = Flows::new(config.scaling.window, now);
        let mut engine = Self {
            queue,
            clock,
            now,
            minter: Minter::new(0, now),
            config,
            metrics,
            status,
            inbox,
            keeper,
            payloads,
            drafts: Drafts::new(head, now),
            gate: Gate::new(head),
            said: Vec::new(),
            jobs,
            writing_since: None,
            told: Vec::new(),
            is_claiming: false,
            ferry,
            is_listening: false,
            heard_until: now,
            streams: BTreeMap::new(),
            latest: Latest::default(),
            checkpoints: Checkpoints::default(),
            lost: Vec::new(),
            waiters: Waiters::default(),
            watchers: Watchers::default(),
            replays: BTreeMap::new(),
            is_eager: false,
            next_due: None,
            handed_over: 0,
            gauges: gauges::Gauges::default(),
            flows,
            stopping: None,
        };
        engine.queue.recovered(now, written);
        engine.status.set_counts(engine.queue.open_tasks(), 0);
        engine.promise_session_ttl();
        engine.record();
        engine
    }

    /// Works until it is asked to stop or the journal fails.
    pub(crate) async fn run(mut self) -> Ended {
        loop {
            if let Some(ended) = self.turn() {
                return ended;
            }
            let due = self.due();
            let left = due.map(|due| due.since(self.clock.now()));
            self.inbox.wait(self.intake(), left).await;
            self.notice_stall(due);
        }
    }

    /// Does one turn, for a caller who does the next when there is more, or when `waker` says so, or when it is due. What the
    /// writer says does not wake anybody: whoever runs that knows.
    pub(crate) fn play(&mut self, waker: &Waker) -> Result<Pause, Ended> {
        self.notice_stall(self.next_due);
        if let Some(ended) = self.turn() {
            return Err(ended);
        }
        self.next_due = self.due();
        let left = self.next_due.map(|due| due.since(self.clock.now()));
        let intake = self.intake();
        let has_come = self.inbox.poll(intake, &mut Context::from_waker(waker)).is_ready();
        let has_more = has_come || left == Some(Duration::ZERO);
        Ok(Pause { left, has_more, has_jobs: 0 < std::mem::take(&mut self.handed_over) })
    }

    fn turn(&mut self) -> Option<Ended> {
        self.now = self.clock.now();
        while let Some(report) = self.inbox.report() {
            if let Err(failure) = self.learn(report) {
                return Some(Ended::Failed(failure));
            }
        }
        self.release();
        self.decide();
        self.record();
        self.release();
        self.hand_over_next();
        self.status.set_counts(self.queue.open_tasks(), self.streams.len() as u64);
        self.observe();
        self.stop_if_done()
    }

    /// Everything the queue is asked in one turn: what keeps or frees comes before what takes.
    fn decide(&mut self) {
        self.queue.play_to(self.watchers.audience());
        for said in self.inbox.liveness() {
            self.hear(said);
        }
        self.save_checkpoints();
        // Behind what was said on them: a worker that was heard before its stream was lost lives.
        for stream in std::mem::take(&mut self.lost) {
            self.save_before_leaving(stream);
            self.apply(Command::Disconnect { stream });
        }
        for control in self.inbox.control() {
            self.steer(control);
        }
        self.advance();
        self.is_eager = self.grant();
        if self.intake() == Intake::All {
            let mut admitted = 0;
            while admitted < ADMITTED_PER_TURN
                && let Some(asked) = self.inbox.admission()
            {
                admitted += self.admit(asked);
            }
            // A task that was just accepted and finds a free slot starts with the same sync.
            self.is_eager |= self.grant();
        }
        self.is_eager |= self.inbox.has_more(self.intake());
    }

    /// Fires timers that are due, once everything has been heard that could be heard by then.
    fn advance(&mut self) {
        let Some(due) = self.queue.next_deadline().filter(|due| *due <= self.now) else { return };
        if self.heard_until < due && !self.is_listening {
            self.is_listening = !self.ferry.set_out(self.now);
            if !self.is_listening {
                self.heard_until = self.now;
            }
        }
        if due <= self.heard_until {
            self.apply(Command::Advance { until: self.heard_until });
        }
    }

    /// Leases what can be leased; true if there may be more. A disk that is not stuck any more begins a turn.
    fn grant(&mut self) -> bool {
        if self.is_stopping() || self.is_stuck() {
            return false;
        }
        let mut left = GRANTS_PER_PASS;
        while 0 < left && self.has_room_to_read() {
            let reply = self.apply(Command::Grant { most: left });
            let Reply::Granted(granted) = reply else { return false };
            if 0 < granted.culled {
                self.say(Release::Culled(granted.culled, granted.spared));
            }
            left -= granted.turns();
            let Some(task) = granted.away else { break };
            self.ask_for(task);
        }
        left == 0
    }

    fn apply(&mut self, command: Command) -> Reply {
        // What comes all the time, and changes what is measured only together with something that is written or sent.
        let is_routine = matches!(
            command,
            Command::Heartbeat { .. } | Command::Sent { .. } | Command::Grant { .. }
        );
        if !is_routine {
            self.gauges.outdate();
        }
        self.queue.apply(self.now, command)
    }

    fn say(&mut self, release: Release) {
        self.said.push(release);
    }

    /// What the next turn takes in, given what is ahead of the disk.
    fn intake(&self) -> Intake {
        // Where nothing is accepted, nothing is added: those who ask must hear so.
        let is_full = AHEAD_BYTES_MAX <= self.drafts.bytes() && self.status.admission().is_ok();
        let is_ahead = is_full || HELD_MAX <= self.gate.len();
        if is_ahead { Intake::Urgent } else { Intake::All }
    }

    /// Whether nothing has become durable for a while.
    fn is_stuck(&self) -> bool {
        self.writing_since.is_some_and(|since| STUCK < self.now.since(since))
    }

    /// When the next turn has to begin by itself.
    fn due(&self) -> Option<Time> {
        if self.is_eager || !self.lost.is_empty() {
            return Some(self.now);
        }
        let observe = self.gauges.due(&self.flows);
        let deadline = self.queue.next_deadline().filter(|_| !self.is_listening);
        [deadline, observe].into_iter().flatten().min()
    }

    /// Workers must not lose their leases because this process was not there to hear them: sessions live on for as long
    /// as it was away and for the time it takes each worker to be heard once more, which the queue grants only so often.
    fn notice_stall(&mut self, due: Option<Time>) {
        let now = self.clock.now();
        let late = due.map_or(Duration::ZERO, |due| lateness(self.now, due, now));
        if late <= STALL {
            return;
        }
        let late_ms = u64::try_from(late.as_millis()).unwrap_or(u64::MAX);
        tracing::warn!(late_ms, "the engine was held up");
        self.metrics.stalled(late);
        self.now = now;
        self.apply(Command::Stalled { by: late + 2 * self.config.session.heartbeat_interval });
    }

    /// Learns what became of what was handed to the writer.
    fn learn(&mut self, report: Report) -> Result<(), writer::Failure> {
        match report {
            Report::Durable { position, records, took, read, found } => {
                self.writing_since = None;
                self.gate.open(position);
                self.drafts.appended();
                self.take_back(position, found);
                self.metrics.committed(took, records);
                if let Some(took) = read {
                    self.metrics.read_back(took);
                }
            }
            Report::Claimed(epoch) => {
                self.is_claiming = false;
                self.apply(Command::Claimed { epoch: epoch.0 });
                self.status.set_epoch(epoch.0);
                self.metrics.set_epoch(epoch.0);
            }
            Report::Dead(row_id, row) => self.dead_letter(row_id, row.map(|row| row.map(|it| *it))),
            Report::Space(space) => self.learn_space(space),
            Report::Failed(failure) => return Err(failure),
        }
        Ok(())
    }

    fn learn_space(&mut self, space: Space) {
        let Space { free_bytes, reserve_bytes, journal_bytes, is_tight } = space;
        self.metrics.set_store(journal_bytes, free_bytes);
        self.status.set_journal_bytes(journal_bytes);
        self.checkpoints.is_tight = is_tight;
        if !self.is_stopping() {
            let refusal = Unavailable::StorageFull { free_bytes, reserve_bytes };
            self.status.refuse(is_tight.then_some(refusal));
        }
    }

    /// Hands the next batch to the writer, if it has none.
    fn hand_over_next(&mut self) {
        if !self.is_claiming && self.queue.tokens_left() < TOKENS_LOW {
            self.is_claiming = true;
            self.hand_over(Job::Claim { unix_s: self.now.unix_ms() / 1_000 });
        }
        if self.writing_since.is_some() {
            return;
        }
        if let Some(mut sealed) = self.drafts.next(&mut self.keeper, self.now) {
            sealed.ahead_bytes = self.ahead_bytes();
            self.writing_since = Some(self.now);
            self.hand_over(Job::Append(Box::new(sealed)));
        }
    }

    /// There is always room, because what is on its way is counted. A writer that is gone has said why.
    fn hand_over(&mut self, job: Job) {
        self.handed_over += 1;
        drop(self.jobs.try_send(job));
    }

    const fn is_stopping(&self) -> bool {
        self.stopping.is_some()
    }

    fn begin_to_stop(&mut self) {
        if self.stopping.is_none() {
            tracing::info!("shutting down: no new tasks, no new leases");
            self.status.refuse(Some(Unavailable::ShuttingDown));
            self.stopping = Some(Stopping::Telling(self.drafts.last()));
        }
    }

    /// Sends the workers away once they know what had happened, and ends once all they had to say is durable.
    fn stop_if_done(&mut self) -> Option<Ended> {
        if let Stopping::Telling(position) = self.stopping?
            && self.gate.is_open(position)
        {
            while let Some((_, session)) = self.streams.pop_first() {
                session.egress.close(crate::egress::Closing::Shutdown);
            }
            self.stopping = Some(Stopping::Finishing);
        }
        let is_done = self.stopping == Some(Stopping::Finishing)
            && self.gate.is_empty()
            && self.drafts.is_empty()
            && self.writing_since.is_none();
        is_done.then_some(Ended::Stopped)
    }

    /// Keeps the longest session TTL ever promised to a worker where no trim can take it.
    fn promise_session_ttl(&mut self) {
        let longest = self.queue.session_ttl_max().max(self.config.session.ttl);
        let text = longest.as_millis().to_string();
        self.drafts.fact(crate::recovery::SESSION_TTL_MAX.to_owned(), text.into());
    }

    /// Ends streams at once, and hands back the effects that wait: an assignment that is not on its way yet must not go
    /// out on a stream that another has replaced.
    fn close_streams(&mut self, effects: Vec<Effect>) -> Vec<Effect> {
        let is_close = |effect: &Effect| matches!(effect, Effect::Close { .. });
        if !effects.iter().any(is_close) {
            return effects;
        }
        let (closes, others): (Vec<_>, Vec<_>) = effects.into_iter().partition(is_close);
        for close in closes {
            self.carry_out(close, self.now);
        }
        others
    }
}

/// How late the next turn is after one that began at `began`, if it was due then: at once after a turn of usual length, if
/// there was more to do.
fn lateness(began: Time, due: Time, now: Time) -> Duration {
    now.since(due.max(began + STALL))
}

#[cfg(test)]
mod tests;
