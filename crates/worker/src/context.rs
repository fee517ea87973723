//! What a handler knows of the attempt it makes.

use std::{
    collections::BTreeMap,
    fmt,
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use leasehold_telemetry::{TraceContext, Unseen};
use tokio::sync::mpsc;
use tracing::Span;

use crate::{
    assignment::{Assignment, Token},
    clock::Clock,
    guard::{Lookout, Reached},
    limits::{CheckpointTooLarge, Limits},
    progress::Board,
    term::{Ask, NotExtended, UNLIMITED},
    tether::Tether,
};

/// What a handler knows of the attempt it makes, and how it talks back while it runs. Cheap to clone.
#[derive(Clone)]
pub struct Context {
    known: Arc<Known>,
}

/// What is known of one attempt.
pub(crate) struct Known {
    pub(crate) house: Arc<House>,
    pub(crate) assignment: Arc<Assignment>,
    /// The attempt's own span.
    pub(crate) trace: TraceContext,
    pub(crate) limits: Limits,
    /// Whether its lease holds.
    pub(crate) lookout: Lookout,
    pub(crate) tether: Tether,
    /// When the whole task runs out of time.
    pub(crate) task_deadline: Instant,
}

/// What all attempts of a worker share.
pub(crate) struct House {
    pub(crate) worker_id: String,
    pub(crate) clock: Clock,
    pub(crate) board: Arc<Board>,
    /// Where handlers ask for more time. `None`: nobody listens.
    pub(crate) asks: Option<mpsc::Sender<Ask>>,
}

/// Why a handler should stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum CancelReason {
    /// Somebody cancelled the task.
    Cancelled,
    /// This attempt ran out of time.
    AttemptTimeout,
    /// This attempt made no progress for too long.
    ProgressTimeout,
    /// The whole task ran out of time.
    TotalTimeout,
    /// The lease is no longer this worker's: whatever the handler does may be done a second time elsewhere.
    LeaseLost,
    /// The worker drains and its grace is over.
    Draining,
}

impl CancelReason {
    /// The reason in a few words.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Cancelled => "cancelled",
            Self::AttemptTimeout => "attempt timeout",
            Self::ProgressTimeout => "progress timeout",
            Self::TotalTimeout => "total timeout",
            Self::LeaseLost => "lease lost",
            Self::Draining => "draining",
        }
    }
}

impl CancelReason {
    /// The reason as a number that is not 0, for a process of the same executable.
    pub(crate) fn code(self) -> u8 {
        match self {
            Self::Cancelled => 1,
            Self::AttemptTimeout => 2,
            Self::ProgressTimeout => 3,
            Self::TotalTimeout => 4,
            Self::LeaseLost => 5,
            Self::Draining => 6,
        }
    }

    /// What [`code`](Self::code) came from.
    pub(crate) fn of_code(code: u8) -> Option<Self> {
        match code {
            1 => Some(Self::Cancelled),
            2 => Some(Self::AttemptTimeout),
            3 => Some(Self::ProgressTimeout),
            4 => Some(Self::TotalTimeout),
            5 => Some(Self::LeaseLost),
            6 => Some(Self::Draining),
            _ => None,
        }
    }
}

impl fmt::Display for CancelReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// An effect was refused: the lease is over, or may be.
///
/// With `?` it becomes a retryable [`TaskError`](crate::TaskError); what is said of the attempt is why the lease ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the lease is over ({reason}): nothing more may be done under it")]
pub struct LeaseOver {
    reason: CancelReason,
}

impl LeaseOver {
    /// Why it is over.
    pub fn reason(self) -> CancelReason {
        self.reason
    }
}

impl Unseen for Known {
    fn begin(&self) -> Span {
        let span = self.assignment.span(&self.house.worker_id);
        leasehold_telemetry::give_place(&span, &self.trace);
        span
    }
}

impl Context {
    pub(crate) fn new(known: Known) -> Self {
        Self { known: Arc::new(known) }
    }

    /// What the task is about, as its submitter put it.
    pub(crate) fn payload(&self) -> &Bytes {
        &self.known.assignment.payload
    }

    /// The attempt's span, which need not begin before somebody looks.
    pub(crate) fn unseen(&self) -> Arc<dyn Unseen> {
        Arc::<Known>::clone(&self.known)
    }

    /// What ties the handler to its worker.
    pub(crate) fn tether(&self) -> &Tether {
        &self.known.tether
    }

    /// The task's id.
    pub fn task_id(&self) -> &str {
        &self.known.assignment.task_id
    }

    /// The kind of work.
    pub fn task_type(&self) -> &str {
        &self.known.assignment.task_type
    }

    /// The queue the task waited in.
    pub fn queue(&self) -> &str {
        &self.known.assignment.queue
    }

    /// The namespace the task belongs to.
    pub fn namespace(&self) -> &str {
        &self.known.assignment.namespace
    }

    /// The attempt this is, counting from 1. For people: it starts again when a task is replayed.
    pub fn attempt(&self) -> u32 {
        self.known.assignment.attempt
    }

    /// How often the task has been replayed, counting from 1.
    pub fn generation(&self) -> u32 {
        self.known.assignment.generation
    }

    /// The lease's token: positive, and larger than every earlier one of the same task.
    ///
    /// Hand it to whatever the handler writes to. A store that refuses a token smaller than the largest it has seen
    /// of a task cannot be overwritten by a worker that has lost its lease without knowing.
    pub fn fencing_token(&self) -> i64 {
        let Token(token) = self.known.assignment.token;
        token
    }

    /// The worker that runs this attempt.
    pub fn worker_id(&self) -> &str {
        &self.known.house.worker_id
    }

    /// How the submitter says to read the payload. Empty if it did not.
    pub fn content_type(&self) -> &str {
        &self.known.assignment.content_type
    }

    /// The task's labels.
    pub fn labels(&self) -> &BTreeMap<String, String> {
        &self.known.assignment.labels
    }

    /// When the handler will be asked to stop: the earlier end of this attempt's and of the whole task's time. Only
    /// [`extend`](Self::extend) moves it.
    pub fn deadline(&self) -> Instant {
        self.known.tether.deadline()
    }

    /// How long it is to the deadline; zero behind it.
    pub fn remaining(&self) -> Duration {
        self.deadline().saturating_duration_since(Instant::now())
    }

    /// How long it is until the whole task runs out of time, whatever this attempt may take of it; zero behind that. What a
    /// handler submits is given no more than this by `TaskSpec::within` of the client library.
    pub fn task_remaining(&self) -> Duration {
        self.known.task_deadline.saturating_duration_since(Instant::now())
    }

    /// Asks that this attempt may run for `remaining` from now, waits for the coordinator, and says how long it may run.
    ///
    /// That can be less than was asked for: the whole task's time bounds it, and the coordinator's `limits.attempt_timeout`
    /// counted from the start of the attempt. It is never less than the attempt had before. More than a year counts as a
    /// year. Until the answer is there nothing changes; it survives a restart of the coordinator, and while there is none
    /// this waits, at the longest until the handler is asked to stop. It is no progress: a task with a
    /// [`progress_timeout`](Self::progress_timeout) still has to report some.
    ///
    /// A blocking function asks with `tokio::runtime::Handle::current().block_on(ctx.extend(remaining))`.
    pub async fn extend(&self, remaining: Duration) -> Result<Duration, NotExtended> {
        let Known { house, tether, assignment, .. } = &*self.known;
        let until = house.clock.now() + remaining.min(UNLIMITED);
        let asked = async {
            let asks = house.asks.as_ref().ok_or(NotExtended::Isolated)?;
            tether.ask(asks, assignment.token, until).await
        };
        tokio::select! {
            biased;
            reason = self.cancelled() => Err(NotExtended::Stopping(reason)),
            asked = asked => asked.map(|()| self.remaining()),
        }
    }

    /// How long a handler has from [`cancelled`](Self::cancelled) until it is aborted.
    pub fn kill_grace(&self) -> Duration {
        self.known.assignment.kill_grace
    }

    /// How long the handler may take from one [`progress`](Self::progress) to the next before it is stopped as hung. `None`:
    /// as long as it runs.
    pub fn progress_timeout(&self) -> Option<Duration> {
        self.known.assignment.progress_timeout
    }

    /// The trace this attempt's span belongs to, for calls the handler makes.
    pub fn trace(&self) -> &TraceContext {
        &self.known.trace
    }

    /// Waits until the handler should stop, and says why. A handler that does not listen is aborted at its next
    /// await point when its grace is over.
    ///
    /// What a handler leaves running behind its own end has no lease either, and is told so: [`CancelReason::LeaseLost`].
    pub async fn cancelled(&self) -> CancelReason {
        self.known.tether.stopped().await
    }

    /// Why the handler should stop; `None` while it should not. What [`cancelled`](Self::cancelled) would say.
    pub fn cancel_reason(&self) -> Option<CancelReason> {
        self.known.tether.reason()
    }

    /// Whether the handler should stop.
    pub fn is_cancelled(&self) -> bool {
        self.cancel_reason().is_some()
    }

    /// Refuses an effect that must not be had without the lease: call it right before what cannot be taken back.
    ///
    /// It looks at the clock, not only at what the worker has noticed, so that it refuses also in a process that has been
    /// stopped and goes on after its lease. It refuses from the moment the handler is asked to stop, which is ahead of
    /// the lease's end by the kill grace or a quarter of the session's time, whichever is shorter: what takes longer
    /// than that can still come too late. Only whoever compares the [`fencing_token`](Self::fencing_token) is safe.
    pub fn guard(&self) -> Result<(), LeaseOver> {
        let Known { house, lookout, .. } = &*self.known;
        let reached = || match lookout.reached(house.clock.now())? {
            Reached::Session => Some(CancelReason::LeaseLost),
            Reached::Own => Some(CancelReason::AttemptTimeout),
        };
        match self.cancel_reason().or_else(reached) {
            None => Ok(()),
            Some(reason) => Err(LeaseOver { reason }),
        }
    }

    /// Tells whoever watches how far the work is: a fraction from 0 to 1, if it is known, and a line of text. Call
    /// it as often as you like: the last one wins, a few a second are sent.
    pub fn progress(&self, fraction: impl Into<Option<f64>>, message: impl Into<String>) {
        self.known.house.board.post(self.known.assignment.token, fraction.into(), message.into());
    }

    /// What an earlier attempt of this generation saved last. `None`: none did, so begin at the beginning.
    pub fn checkpoint(&self) -> Option<&Bytes> {
        self.known.assignment.checkpoint.as_ref()
    }

    /// Saves where the next attempt can go on from, if this one does not end in a success: it gets this as its
    /// [`checkpoint`](Self::checkpoint), in place of what was saved before. A checkpoint is a sign of progress as well.
    ///
    /// It returns at once and promises no more than this: what was saved last before the handler ended counts with that end,
    /// however it ended and whatever becomes of connections and of the coordinator; what was saved by a handler whose process
    /// dies was sent within a fraction of a second, and counts if it arrived. So the next attempt may begin at an earlier
    /// checkpoint than the last one, and must be right from there too. Call it as often as you like: a few a second are sent.
    ///
    /// # Errors
    ///
    /// It is larger than the coordinator's `limits.checkpoint_bytes` (64 KiB by default), or that keeps none.
    pub fn save_checkpoint(&self, data: impl Into<Bytes>) -> Result<(), CheckpointTooLarge> {
        let data = data.into();
        self.known.limits.admit_checkpoint(data.len())?;
        self.known.house.board.post_checkpoint(self.known.assignment.token, data);
        Ok(())
    }
}

impl fmt::Debug for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Context")
            .field("task_id", &self.task_id())
            .field("fencing_token", &self.fencing_token())
            .field("attempt", &self.attempt())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
