//! The judge's own books: what became durable, folded by rules of its own.
//!
//! It reads the records as they reach the disk and shares no code with the core's fold. Whatever contradicts the
//! promises is a violation: a token granted twice, an end by a lease that is not the current one, an end after the
//! end, a cost that was not charged.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use bytes::Bytes;
use leasehold_journal::Batch;
use leasehold_policy::{Time, namespace};
use leasehold_queue::{
    EndCause, EndKind, Ending, Failure, FailureReason, Guarantee, LeaseTerms, Name, Next, Record,
    RevocationReason, SchemaPrint, StopProof, Task, TaskId, TaskSpec, Token,
};

use crate::{
    circuits::Circuits,
    judge::Violation,
    line::Line,
    plan::{Setting, TEAM, queue_name, schemas_read, zone_label},
    rates::Rates,
};

/// A token is an epoch and a counter of so many bits.
const COUNTER_BITS: u32 = 31;

/// What a task is, says the ledger.
#[derive(Clone, Debug)]
pub struct Entry {
    /// How often it may be tried.
    pub max_attempts: u32,
    /// What it asks of its leases.
    pub terms: LeaseTerms,
    /// How long an attempt may take that asks for no more.
    pub attempt_timeout: Duration,
    /// Its queue.
    pub queue: Name,
    /// What it was asked for.
    pub spec: TaskSpec,
    /// Its idempotency key.
    pub key: Option<Name>,
    /// 1, and one more with each replay.
    pub generation: u32,
    /// Counted attempts of this generation.
    pub attempts: u32,
    /// Losses of workers of this generation.
    pub losses: u32,
    /// Whether somebody asked for it to be cancelled.
    pub cancel_requested: bool,
    /// The lease it is under.
    pub lease: Option<Held>,
    /// The last lease there was.
    pub last: Option<Token>,
    /// When it runs out of time.
    pub deadline: Time,
    /// What was saved last.
    pub checkpoint: Option<Bytes>,
    /// The last lease of this generation, if all that is known of it is that its worker's session was over.
    pub unheard: Option<Token>,
    /// How this generation ended.
    pub ended: Option<(Ending, Time)>,
}

impl Entry {
    /// Whether its work may be started only once in a generation.
    pub fn runs_once(&self) -> bool {
        self.terms.guarantee == Guarantee::AtMostOnce
    }
}

/// A lease that there was.
#[derive(Clone, Debug)]
pub struct Granted {
    /// Its task.
    pub task: TaskId,
    /// The generation the task was in.
    pub generation: u32,
    /// Its worker.
    pub worker: Name,
    /// Which start of it.
    pub instance: Name,
    /// What had been saved by then.
    pub checkpoint: Option<Bytes>,
}

/// A lease.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    /// Its token.
    pub token: Token,
    /// Its worker.
    pub worker: Name,
    /// Which start of it.
    pub instance: Name,
    /// When it was granted.
    pub granted: Time,
    /// When it started, if that was written.
    pub started: Option<Time>,
    /// Until when it may run, if it was given more time.
    pub extended: Option<Time>,
}

/// What a record did that others must look at.
#[derive(Clone, Debug)]
pub enum Fact {
    /// A lease ended without its worker's success.
    Ended {
        /// The task.
        task: TaskId,
        /// The lease.
        held: Held,
        /// Why.
        reason: FailureReason,
        /// Whether the task is cancelled by it.
        is_cancel: bool,
    },
    /// A task succeeded.
    Succeeded(Token),
}

/// Everything that became durable.
#[derive(Debug, Default)]
pub struct Ledger {
    tasks: BTreeMap<TaskId, Entry>,
    /// Every token there ever was, and whose.
    granted: BTreeMap<Token, Granted>,
    /// Tokens whose worker's word ended their lease.
    decided: BTreeSet<Token>,
    epoch: u32,
    /// The longest session TTL that was promised.
    session_ttl_max: Duration,
    /// The facts that a queue is paused.
    paused: BTreeSet<String>,
    worker_losses_max: u32,
    attempt_max: Duration,
    cull_after_runs: usize,
    /// How long the runs took at the most that succeeded in this epoch, from their grant: nobody remembers others, and of what
    /// really ran their workers alone know.
    runs: Vec<Duration>,
    /// The queues that want late results.
    late_results: BTreeSet<String>,
    line: Line,
    rates: Rates,
    circuits: Circuits,
    quota: Option<u64>,
}

/// The label of each worker that has one.
fn zones(setting: &Setting) -> BTreeMap<String, (String, String)> {
    let zones = setting.workers.iter().enumerate();
    zones.filter_map(|(n, crew)| Some((format!("w{n}"), zone_label(crew.zone)?))).collect()
}

/// What is read by each worker that says so.
fn reads(setting: &Setting) -> BTreeMap<String, BTreeSet<SchemaPrint>> {
    let reads = setting.workers.iter().map(|crew| crew.reads).enumerate();
    let said = reads.filter(|(_, reads)| *reads != 0);
    said.map(|(n, reads)| (format!("w{n}"), schemas_read(reads))).collect()
}

impl Ledger {
    /// Empty books of a cluster.
    pub fn new(setting: &Setting) -> Self {
        Self {
            worker_losses_max: setting.worker_losses,
            attempt_max: setting.attempt_max,
            cull_after_runs: setting.cull_after_runs as usize,
            late_results: setting.late_results.iter().map(|it| queue_name(*it)).collect(),
            line: Line::new(
                setting.aging_every,
                zones(setting),
                reads(setting),
                setting.limits.is_some() || setting.breaker.is_some(),
            ),
            rates: Rates::new(setting.limits),
            circuits: Circuits::new(setting.breaker),
            quota: setting.quota,
            ..Self::default()
        }
    }

    /// What it knows of a task.
    pub fn task(&self, id: TaskId) -> Option<&Entry> {
        self.tasks.get(&id)
    }

    /// Every task.
    pub fn tasks(&self) -> impl Iterator<Item = (TaskId, &Entry)> {
        self.tasks.iter().map(|(id, entry)| (*id, entry))
    }

    /// To whom a token was granted.
    pub fn granted(&self, token: Token) -> Option<&Granted> {
        self.granted.get(&token)
    }

    /// Whether the token is the current lease of its task.
    pub fn is_current(&self, token: Token) -> bool {
        let task = self.granted.get(&token).and_then(|lease| self.tasks.get(&lease.task));
        task.and_then(|task| task.lease.as_ref()).is_some_and(|lease| lease.token == token)
    }

    /// The work of a lease began.
    pub fn begin(&mut self, token: Token) -> Result<(), Violation> {
        self.rates.begin(token)
    }

    /// Whether a circuit was ever open, and whether one was closed after that.
    pub fn circuit_turns(&self) -> (bool, bool) {
        (self.circuits.has_opened, self.circuits.has_closed)
    }

    /// Whether the token was granted in the epoch that goes on.
    pub fn is_of_this_epoch(&self, token: Token) -> bool {
        token.as_i64() >> COUNTER_BITS == i64::from(self.epoch)
    }

    /// When the attempt of a current lease has had its time, if it has begun.
    pub fn attempt_end(&self, token: Token) -> Option<Time> {
        let task = self.tasks.get(&self.granted.get(&token)?.task)?;
        attempt_end(task, token)
    }

    /// Whether a result that comes late under this token counts: its task waits, it is the newest lease, nothing is known of
    /// its work, and the task's queue wants to know.
    pub fn is_awaited(&self, token: Token) -> bool {
        let task = self.granted.get(&token).and_then(|lease| self.tasks.get(&lease.task));
        let task = task.filter(|it| it.ended.is_none() && it.lease.is_none());
        task.is_some_and(|it| it.unheard == Some(token) && self.late_results.contains(&*it.queue))
    }

    /// Whether the token's lease was ended by its worker's word.
    pub fn is_decided(&self, token: Token) -> bool {
        self.decided.contains(&token)
    }

    /// Takes in a batch that became durable.
    pub fn take(&mut self, batch: &Batch, records: &[Record]) -> Result<Vec<Fact>, Violation> {
        let mut facts = Vec::new();
        for record in records {
            if let Record::LeaseGranted { task, .. } = record {
                let queue = self.tasks.get(task).map(|task| format!("paused/{}", task.queue));
                // A batch says only how a queue was at its end.
                let is_paused = queue.is_some_and(|it| {
                    self.paused.contains(&it) && batch.meta.iter().all(|(name, _)| *name != it)
                });
                ensure(!is_paused, "paused", || format!("{task} was leased in a paused queue"))?;
            }
            if let Record::LeaseGranted { task, token, time, .. } = record
                && let Some(entry) = self.tasks.get(task)
            {
                self.rates.grant(*token, *time, &entry.spec);
            }
            let paused = &self.paused;
            self.line.take(record, |queue| {
                let name = format!("paused/{queue}");
                paused.contains(&name) || batch.meta.iter().any(|(changed, _)| *changed == name)
            })?;
            let task = record.task().and_then(|task| self.tasks.get(&task));
            self.circuits.take(record, task)?;
            facts.extend(self.fold(record)?);
        }
        self.keep_pauses(batch);
        self.check_results(batch)?;
        self.check_payloads(batch, records)?;
        Ok(facts)
    }

    /// What is written again of a task is what it was submitted with.
    fn check_payloads(&self, batch: &Batch, records: &[Record]) -> Result<(), Violation> {
        let moved = records.iter().filter_map(|record| {
            let Record::TaskMoved(task) = record else { return None };
            Some((task.id, task.spec.payload.here()?))
        });
        let dead = batch.failed.iter().map(|row| {
            let id = TaskId::from_u128(u128::from_be_bytes(row.task_id));
            (id, &*row.payload)
        });
        for (id, payload) in moved.chain(dead) {
            let asked = self.tasks.get(&id).and_then(|entry| entry.spec.payload.here());
            ensure(asked == Some(payload), "payload", || format!("{id} keeps {payload:?}"))?;
        }
        Ok(())
    }

    fn keep_pauses(&mut self, batch: &Batch) {
        for (name, value) in &batch.meta {
            if !name.starts_with("paused/") {
                continue;
            }
            if value.is_empty() {
                self.paused.remove(name);
            } else {
                self.paused.insert(name.clone());
            }
        }
    }

    /// A result says of itself which task and lease it is of.
    fn check_results(&self, batch: &Batch) -> Result<(), Violation> {
        for row in &batch.finished {
            let id = TaskId::from_u128(u128::from_be_bytes(row.task_id));
            let Some(entry) = self.tasks.get(&id) else { continue };
            if row.class == leasehold_journal::Class::Succeeded {
                let expected = entry.last.map(|token| result_of(&id.to_string(), token.as_i64()));
                ensure(expected.as_ref() == Some(&row.result), "result", || {
                    format!("{id} keeps a result of another lease: {:?}", row.result)
                })?;
            }
        }
        Ok(())
    }

    fn fold(&mut self, record: &Record) -> Result<Option<Fact>, Violation> {
        match record {
            Record::EpochStarted { epoch, session_ttl, .. } => {
                let last = std::mem::replace(&mut self.epoch, *epoch);
                if last < *epoch {
                    self.runs.clear();
                }
                let longest = self.session_ttl_max;
                self.session_ttl_max = longest.max(*session_ttl);
                // Within an epoch only a longer promise is worth a record.
                let is_news = last < *epoch || (last == *epoch && longest < *session_ttl);
                ensure(is_news, "epoch", || format!("epoch {epoch} after {last}"))?;
            }
            Record::TaskAccepted(task) => {
                let known = self.tasks.insert(task.id, entry(task));
                ensure(known.is_none(), "accepted", || format!("{} twice", task.id))?;
                self.check_quota(&task.spec.queue)?;
            }
            Record::TaskMoved(task) => self.moved(task)?,
            Record::TaskReplayed(task) => self.replayed(task)?,
            Record::LeaseGranted { task, token, worker, instance, time } => {
                let held = Held {
                    token: *token,
                    worker: Name::clone(worker),
                    instance: Name::clone(instance),
                    granted: *time,
                    started: None,
                    extended: None,
                };
                self.grant(*task, held)?;
            }
            Record::LeaseStarted { task, token, time } => {
                self.under(*task, *token)?.started = Some(*time);
            }
            Record::LeaseRevoking { task, token, reason, time, .. } => {
                self.under(*task, *token)?;
                let end = self.attempt_end(*token);
                let is_timeout = *reason == RevocationReason::AttemptTimeout;
                let is_over = end.is_some_and(|end| end <= *time);
                ensure(!is_timeout || is_over, "cut short", || {
                    format!("{token} ran out of time at {time:?} and had until {end:?}")
                })?;
            }
            Record::LeaseExtended { task, token, until, time } => {
                self.extended(*task, *token, (*until, *time))?;
            }
            Record::CheckpointSaved { task, token, data, .. } => self.saved(*task, *token, data)?,
            Record::LeaseEnded { task, token, cause, next, failure, fact, .. } => {
                let Some(fact) = fact else {
                    let message = format!("{task} does not say how {token} ended");
                    return Err(Violation::new("fact", message));
                };
                // What the coordinator concludes is no word of the worker's.
                let is_concluded = matches!(fact.kind, EndKind::NotHeld | EndKind::WorkerLost);
                if fact.stop != StopProof::Unproved && !is_concluded {
                    self.decided.insert(*token);
                }
                let ended = self.lease_ended(*task, *token, (*cause, *next, failure.as_deref()))?;
                let is_unheard = fact.kind == EndKind::WorkerLost;
                self.open(*task)?.unheard = is_unheard.then_some(*token);
                return Ok(ended);
            }
            Record::CancelRequested { task, .. } => {
                let entry = self.open(*task)?;
                entry.cancel_requested = true;
                let is_leased = entry.lease.is_some();
                ensure(is_leased, "cancel", || format!("{task} was not leased"))?;
            }
            Record::TaskEnded { task, ending, token, failure, fact, time } => {
                let is_leased = self.open(*task)?.lease.is_some();
                ensure(fact.is_some() == is_leased, "fact", || {
                    format!("{task} ended, leased: {is_leased}, under a lease that ended: {fact:?}")
                })?;
                return self.task_ended(*task, (*ending, *time), *token, failure.as_deref());
            }
            Record::KeyKept { .. } | Record::QueuePaused { .. } => {}
        }
        Ok(None)
    }

    fn moved(&mut self, task: &Task) -> Result<(), Violation> {
        let entry = self.open(task.id)?;
        compare(entry, task).map_err(|it| Violation::new("moved", format!("{}: {it}", task.id)))
    }

    fn replayed(&mut self, task: &Task) -> Result<(), Violation> {
        let id = task.id;
        let before = self.tasks.get(&id);
        let is_dead = before.is_some_and(|it| matches!(it.ended, Some((Ending::Failed, _))));
        ensure(is_dead, "replay", || format!("{id} was not a dead letter"))?;
        let generation = before.map_or(0, |it| it.generation);
        ensure(task.generation() == generation + 1, "replay", || format!("{id} skips one"))?;
        let last = before.and_then(|it| it.last);
        self.tasks.insert(id, Entry { last, ..entry(task) });
        self.check_quota(&task.spec.queue)
    }

    /// Nothing is let in beyond the quota of its namespace, however often the coordinator was started in between.
    fn check_quota(&self, queue: &str) -> Result<(), Violation> {
        let Some(quota) = self.quota.filter(|_| namespace::of(queue) == TEAM) else {
            return Ok(());
        };
        let is_open = |it: &&Entry| it.ended.is_none() && namespace::of(&it.queue) == TEAM;
        let open = self.tasks.values().filter(is_open).count() as u64;
        ensure(open <= quota, "quota", || format!("{open} tasks of {TEAM} are open, of {quota}"))
    }

    fn grant(&mut self, id: TaskId, held: Held) -> Result<(), Violation> {
        let token = held.token;
        let generation = self.tasks.get(&id).map_or(0, |entry| entry.generation);
        let (worker, instance) = (Name::clone(&held.worker), Name::clone(&held.instance));
        let checkpoint = self.tasks.get(&id).and_then(|entry| entry.checkpoint.clone());
        let granted = Granted { task: id, generation, worker, instance, checkpoint };
        let before = self.granted.insert(token, granted);
        ensure(before.is_none(), "token", || format!("{token} was granted twice"))?;
        let entry = self.open(id)?;
        let is_newest = entry.last.is_none_or(|last| last < token);
        let is_free = entry.lease.is_none();
        (entry.last, entry.lease, entry.unheard) = (Some(token), Some(held), None);
        ensure(is_newest, "token", || format!("{token} of {id} is not the newest"))?;
        ensure(is_free, "lease", || format!("{id} was leased while it was leased"))
    }

    /// Only the lease that a task is under saves for it, and what its handler saved later.
    fn saved(&mut self, id: TaskId, token: Token, data: &Bytes) -> Result<(), Violation> {
        self.under(id, token)?;
        let before = self.open(id)?.checkpoint.replace(data.clone());
        let step = step_of(data, id, token);
        let last = before.and_then(|before| step_of(&before, id, token));
        ensure(last < step, "checkpoint", || {
            format!("{id} under {token} keeps {data:?} after {last:?}")
        })
    }

    /// Time is only given, to work that has begun, and no more than an attempt may have.
    fn extended(
        &mut self,
        id: TaskId,
        token: Token,
        (until, time): (Time, Time),
    ) -> Result<(), Violation> {
        let attempt_max = self.attempt_max;
        let started = self.under(id, token)?.started;
        let (had, most) = (self.attempt_end(token), started.map(|it| it + attempt_max));
        let is_more = had.is_some_and(|had| had < until) && time <= until;
        ensure(is_more && most.is_some_and(|most| until <= most), "extended", || {
            format!("{token} had until {had:?}, at most {most:?}, and got {until:?} at {time:?}")
        })?;
        self.under(id, token)?.extended = Some(until);
        Ok(())
    }

    fn lease_ended(
        &mut self,
        id: TaskId,
        token: Token,
        (cause, next, failure): (EndCause, Next, Option<&Failure>),
    ) -> Result<Option<Fact>, Violation> {
        let losses_max = self.worker_losses_max;
        self.under(id, token)?;
        let reason = failure.map_or(FailureReason::Error, |failure| failure.reason);
        let entry = self.open(id)?;
        let cancelled = entry.cancel_requested;
        let Some(held) = entry.lease.take() else { return Ok(None) };
        ensure(!cancelled, "cancel", || format!("{id} goes on though it was cancelled"))?;
        if let Some(expected) = expected_cause(reason, &held) {
            let is_retraction = cause == EndCause::Retracted && held.started.is_none();
            ensure(cause == expected || is_retraction, "cost", || {
                format!("{id}: {reason:?} cost {cause:?}, not {expected:?} ({next:?})")
            })?;
        }
        match cause {
            EndCause::Failed => entry.attempts += 1,
            EndCause::WorkerLost => entry.losses += 1,
            EndCause::NotRun | EndCause::Retracted => {}
        }
        let (attempts, losses) = (entry.attempts, entry.losses);
        let within = attempts < entry.max_attempts && losses < losses_max;
        ensure(within, "budget", || {
            format!("{id} goes on after {attempts} attempts and {losses} losses")
        })?;
        Ok(Some(Fact::Ended { task: id, held, reason, is_cancel: false }))
    }

    fn task_ended(
        &mut self,
        id: TaskId,
        end: (Ending, Time),
        token: Option<Token>,
        failure: Option<&Failure>,
    ) -> Result<Option<Fact>, Violation> {
        if let Some(token) = token {
            // A result may come late, where that is wanted.
            if end.0 != Ending::Succeeded || !self.is_awaited(token) {
                self.under(id, token)?;
            }
            self.decided.insert(token);
        }
        let reason = failure.map(|failure| failure.reason);
        if end.0 == Ending::Failed && reason == Some(FailureReason::TotalTimeout) {
            self.judge_end_of_time(id, end.1)?;
        }
        let entry = self.open(id)?;
        let held = entry.lease.take();
        let granted = held.as_ref().filter(|_| end.0 == Ending::Succeeded).map(|it| it.granted);
        (entry.ended, entry.checkpoint) = (Some(end), None);
        match (end.0, token, held) {
            (Ending::Succeeded, Some(token), _) => {
                self.runs.extend(granted.map(|since| end.1.since(since)));
                Ok(Some(Fact::Succeeded(token)))
            }
            (Ending::Succeeded, None, _) => {
                Err(Violation::new("success", format!("{id} succeeded without a lease")))
            }
            (Ending::Failed | Ending::Cancelled, _, Some(held)) => {
                let reason = failure.map_or(FailureReason::Error, |failure| failure.reason);
                let is_cancel = end.0 == Ending::Cancelled;
                Ok(Some(Fact::Ended { task: id, held, reason, is_cancel }))
            }
            (Ending::Failed | Ending::Cancelled, _, None) => Ok(None),
        }
    }

    /// A task that is ended ahead of its time waited, needed a whole run, and had less than any run took.
    fn judge_end_of_time(&mut self, id: TaskId, time: Time) -> Result<(), Violation> {
        let (enough, known) = (self.cull_after_runs, self.runs.len());
        let fastest = self.runs.iter().min().copied().filter(|_| 0 < enough && enough <= known);
        let late_results = self.late_results.clone();
        let entry = self.open(id)?;
        let left = entry.deadline.since(time);
        let is_awaited = entry.unheard.is_some() && late_results.contains(&*entry.queue);
        let needs_all = entry.lease.is_none() && entry.checkpoint.is_none() && !is_awaited;
        let is_short = fastest.is_some_and(|fastest| left < fastest);
        ensure(left.is_zero() || (needs_all && is_short), "culled", || {
            format!(
                "{id} was ended with {left:?} left; the fastest of {known} runs took {fastest:?}"
            )
        })
    }

    fn open(&mut self, id: TaskId) -> Result<&mut Entry, Violation> {
        match self.tasks.get_mut(&id) {
            Some(entry) if entry.ended.is_none() => Ok(entry),
            Some(_) => Err(Violation::new("ended", format!("{id} had ended"))),
            None => Err(Violation::new("unknown", format!("{id} was never accepted"))),
        }
    }

    fn under(&mut self, id: TaskId, token: Token) -> Result<&mut Held, Violation> {
        let entry = self.open(id)?;
        let lease = entry.lease.as_mut().filter(|lease| lease.token == token);
        lease.ok_or_else(|| Violation::new("fence", format!("{id} was not under {token}")))
    }
}

/// What the end of a lease must cost, as far as its reason alone says.
fn expected_cause(reason: FailureReason, held: &Held) -> Option<EndCause> {
    match reason {
        FailureReason::Error
        | FailureReason::Panic
        | FailureReason::AttemptTimeout
        | FailureReason::ProgressTimeout
        | FailureReason::ResultTooLarge => Some(EndCause::Failed),
        FailureReason::HandedBack | FailureReason::StartTimeout | FailureReason::Revoked => {
            Some(EndCause::NotRun)
        }
        // A lost worker whose attempt had run out of time costs the attempt.
        FailureReason::WorkerLost if held.started.is_some() => None,
        FailureReason::WorkerLost
        | FailureReason::TotalTimeout
        | FailureReason::WorkerLossLimit
        | FailureReason::OutcomeUnknown
        | FailureReason::QueueTimeout
        | FailureReason::Cancelled => None,
    }
}

/// What a handler returns: it names the task and the lease it was made under.
pub fn result_of(task_id: &str, token: i64) -> Bytes {
    Bytes::from(format!("{task_id}/{token}"))
}

/// What a handler saves: it names the task, the lease it was made under, and how far it was.
pub fn checkpoint_of(task_id: &str, token: i64, step: u32) -> Bytes {
    Bytes::from(format!("{task_id}/{token}/{step}"))
}

/// How far that was, if it was made under this lease.
pub fn step_of(data: &[u8], id: TaskId, token: Token) -> Option<u32> {
    let own = format!("{id}/{}/", token.as_i64());
    std::str::from_utf8(data).ok()?.strip_prefix(&own)?.parse().ok()
}

/// In what the core's task differs from the ledger's.
pub fn compare(entry: &Entry, task: &Task) -> Result<(), String> {
    let same = |what: &str, is_same: bool| {
        if is_same { Ok(()) } else { Err(format!("{what} differs: {entry:?} and {task:?}")) }
    };
    same("generation", entry.generation == task.generation())?;
    same("attempts", entry.attempts == task.attempts)?;
    same("losses", entry.losses == task.worker_losses())?;
    same("cancel", entry.cancel_requested == task.cancel_requested)?;
    same("last token", entry.last == task.last_token())?;
    let saved = task.checkpoint().map(|checkpoint| &checkpoint.data);
    same("checkpoint", entry.checkpoint.as_ref() == saved)?;
    let lease = task.lease().map(|lease| lease.token);
    same("lease", entry.lease.as_ref().map(|lease| lease.token) == lease)
}

fn attempt_end(entry: &Entry, token: Token) -> Option<Time> {
    let held = entry.lease.as_ref().filter(|held| held.token == token)?;
    Some(held.extended.unwrap_or(held.started? + entry.attempt_timeout))
}

fn entry(task: &Task) -> Entry {
    Entry {
        max_attempts: task.spec.retry.max_attempts,
        terms: task.spec.terms,
        attempt_timeout: task.spec.attempt_timeout,
        queue: Name::clone(&task.spec.queue),
        spec: task.spec.clone(),
        key: task.spec.key().map(|key| Name::clone(&key.name)),
        generation: task.generation(),
        attempts: 0,
        losses: 0,
        cancel_requested: false,
        lease: None,
        last: None,
        deadline: task.deadline,
        checkpoint: None,
        unheard: None,
        ended: None,
    }
}

fn ensure(
    holds: bool,
    judge: &'static str,
    message: impl FnOnce() -> String,
) -> Result<(), Violation> {
    if holds { Ok(()) } else { Err(Violation::new(judge, message())) }
}
