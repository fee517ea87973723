//! The owner of the journal: it appends batches, one at a time, and says what became of each. It blocks the thread that it
//! does so on.
//!
//! Every failed write but one ends the process: what was not synced once may seem to be synced the next time. The
//! exception is a full disk: the same batch is kept and tried again until there is room, first of all that of the
//! ballast. It knows nothing of tasks.

use std::{path::Path, task::Waker, time::Duration};

use leasehold_journal::{
    AppendError, Epoch, FailedRow, Journal, Position, QueryError, Reader, RowId,
};
use tokio::{
    sync::mpsc::{self, error::TrySendError},
    time::{Instant, sleep, timeout},
};

use crate::{
    engine::Sealed,
    gaps::{self, Found, Unfilled},
};

mod space;

use space::Gauge;
pub(crate) use space::{Space, ballast_bytes, log_frames};

/// How often a full disk is tried again.
const RETRY_INTERVAL: Duration = Duration::from_millis(100);

/// How often an idle journal looks at what is free, and at what has expired.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// How many transactions that delete expired rows, and how many steps that shrink the file, one look makes: some tenths
/// of a second, for which the next batch waits.
const TIDY_STEPS_MAX: u32 = 4;

/// How many dead letters may be on their way to be read: each holds up to a payload.
pub(crate) const REPLAYS_MAX: usize = 256;

/// How many jobs may be on their way: one batch, one claim, and every dead letter that is to be read.
pub(crate) const JOBS_MAX: usize = 2 + REPLAYS_MAX;

/// One thing for the writer to do.
#[derive(Debug)]
pub(crate) enum Job {
    /// Append a batch.
    Append(Box<Sealed>),
    /// Claim a new epoch for all later batches.
    Claim {
        /// Seconds since the Unix epoch.
        unix_s: u64,
    },
    /// Read a dead letter.
    ReadDead {
        /// Its row.
        row_id: RowId,
    },
}

/// What the writer says.
#[derive(Debug)]
pub(crate) enum Report {
    /// A batch is durable.
    Durable {
        /// Which.
        position: Position,
        /// How many records it had.
        records: usize,
        /// How long it took, once it was complete.
        took: Duration,
        /// How long it took to read what it did without, if it did.
        read: Option<Duration>,
        /// What it was to read for whatever leaves now.
        found: Found,
    },
    /// A new epoch is claimed.
    Claimed(Epoch),
    /// A dead letter, or that there is none, or that it cannot be read.
    Dead(RowId, Result<Option<Box<FailedRow>>, QueryError>),
    /// How much room there is.
    Space(Space),
    /// The journal failed; nothing more will be written.
    Failed(Failure),
}

/// Why the journal failed.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// A write failed.
    #[error("the journal could not be written")]
    Append(#[from] AppendError),
    /// A payload that a batch needs is not where it was written.
    #[error("a payload that was let go cannot be had back")]
    Unfilled(#[from] Unfilled),
    /// There is no reader of dead letters.
    #[error("dead letters cannot be read")]
    Query(#[from] QueryError),
    /// A batch landed elsewhere than foreseen: somebody else wrote.
    #[error("batch {expected} was appended at position {found}")]
    Misplaced {
        /// Where it belonged.
        expected: u64,
        /// Where it is.
        found: u64,
    },
    /// The journal's file was deleted or replaced under this process.
    #[error("the journal's file is gone or another: what is written would never be found again")]
    Displaced,
    /// The thread that wrote is gone.
    #[error("the journal's writer ended without a word")]
    Gone,
}

/// The writer.
#[derive(Debug)]
pub(crate) struct Writer {
    journal: Journal,
    reader: Reader,
    epoch: Epoch,
    gauge: Gauge,
    seen: Seen,
    /// When expired rows were last looked for other than by an append.
    tidied: Instant,
    /// When the journal's file was last looked for.
    located: Instant,
    jobs: mpsc::Receiver<Job>,
    reports: mpsc::Sender<Report>,
    /// Calls the engine to a report after which there is more to do. To the last one it comes by itself.
    caller: Waker,
}

/// What the writer did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Done {
    /// Whether there was a job.
    pub has_worked: bool,
    /// Whether there is something for the engine to learn.
    pub has_reported: bool,
}

/// The logical time of the latest batch, and when that was: the writer has no other clock.
#[derive(Clone, Copy, Debug)]
struct Seen {
    now_ms: u64,
    at: Instant,
}

impl Seen {
    fn now_ms(self) -> u64 {
        let since_ms = u64::try_from(self.at.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.now_ms.saturating_add(since_ms)
    }
}

/// The engine is gone: there is nobody to write for.
#[derive(Debug)]
struct Abandoned;

impl Writer {
    pub(crate) fn new(
        journal: Journal,
        epoch: Epoch,
        dir: &Path,
        jobs: mpsc::Receiver<Job>,
        reports: mpsc::Sender<Report>,
    ) -> Result<Self, Failure> {
        let reader = journal.reader()?;
        let gauge = Gauge::new(dir, &journal);
        let tidied = Instant::now();
        // Before the first batch, which comes at once, nothing has expired.
        let seen = Seen { now_ms: 0, at: tidied };
        let located = tidied;
        let caller = Waker::noop().clone();
        Ok(Self { journal, reader, epoch, gauge, seen, tidied, located, jobs, reports, caller })
    }

    /// Who calls an engine that does not wait for reports.
    pub(crate) fn call_by(&mut self, caller: Waker) {
        self.caller = caller;
    }

    /// Works until the engine is gone or the journal fails.
    pub(crate) async fn run(mut self) {
        if let Err(failure) = self.work().await {
            // An engine that is gone has no use for the news.
            drop(self.reports.send(Report::Failed(failure)).await);
        }
    }

    async fn work(&mut self) -> Result<(), Failure> {
        loop {
            if self.look_after().await?.is_err() {
                return Ok(());
            }
            let done = match timeout(LOOK_INTERVAL, self.jobs.recv()).await {
                Ok(Some(job)) => self.carry_out(job).await?,
                Ok(None) => Err(Abandoned),
                Err(_nothing_to_do) => Ok(()),
            };
            if done.is_err() {
                return Ok(());
            }
        }
    }

    /// Does what there is to do now, for a caller who comes again when there is more. None: there will be no more, because the
    /// engine is gone or the journal failed.
    pub(crate) async fn work_off(&mut self) -> Option<Done> {
        let done = self.try_to_work_off().await;
        self.told(done).await
    }

    /// Does what is better done when nobody waits for it: after a batch, and at least once a second. None as above.
    pub(crate) async fn tidy_up(&mut self) -> Option<Done> {
        let done = self.try_to_tidy_up().await;
        self.told(done).await
    }

    async fn told(&self, done: Result<Result<Done, Abandoned>, Failure>) -> Option<Done> {
        match done {
            Ok(done) => done.ok(),
            Err(failure) => {
                // An engine that is gone has no use for the news.
                drop(self.reports.send(Report::Failed(failure)).await);
                None
            }
        }
    }

    async fn try_to_work_off(&mut self) -> Result<Result<Done, Abandoned>, Failure> {
        let Ok(has_looked) = self.look_after().await? else { return Ok(Err(Abandoned)) };
        let mut has_worked = false;
        while let Ok(job) = self.jobs.try_recv() {
            if has_worked {
                self.caller.wake_by_ref();
            }
            if self.carry_out(job).await?.is_err() {
                return Ok(Err(Abandoned));
            }
            has_worked = true;
        }
        Ok(Ok(Done { has_worked, has_reported: has_looked || has_worked }))
    }

    async fn try_to_tidy_up(&mut self) -> Result<Result<Done, Abandoned>, Failure> {
        let Ok(has_looked) = self.look_after().await? else { return Ok(Err(Abandoned)) };
        // What an append would do first.
        repeat(|| self.journal.checkpoint().map(|()| false))?;
        Ok(Ok(Done { has_worked: false, has_reported: has_looked }))
    }

    /// Looks after the journal, as far as it is time to. Says whether it has reported something.
    async fn look_after(&mut self) -> Result<Result<bool, Abandoned>, Failure> {
        let looked = self.look().await;
        if looked.is_ok() {
            self.locate_if_due()?;
            self.tidy_if_due()?;
        }
        Ok(looked)
    }

    async fn carry_out(&mut self, job: Job) -> Result<Result<(), Abandoned>, Failure> {
        match job {
            Job::Append(sealed) => self.append(*sealed).await,
            Job::Claim { unix_s } => self.claim(unix_s).await,
            Job::ReadDead { row_id } => {
                let row = self.reader.failed(row_id);
                Ok(self.report(Report::Dead(row_id, row.map(|row| row.map(Box::new)))).await)
            }
        }
    }

    async fn append(&mut self, mut sealed: Sealed) -> Result<Result<(), Abandoned>, Failure> {
        let (is_incomplete, asked) = (!sealed.gaps.is_empty(), Instant::now());
        let found = gaps::fill(&mut sealed, |home| gaps::body(&self.reader, home))?;
        let read = is_incomplete.then(|| asked.elapsed());
        let began = Instant::now();
        let epoch = self.epoch;
        self.seen = Seen { now_ms: sealed.batch.now_ms, at: began };
        self.gauge.owe(sealed.open_bytes);
        let write = |journal: &mut Journal| journal.append(epoch, &sealed.batch);
        let Ok(position) = self.until_there_is_room(write).await? else {
            return Ok(Err(Abandoned));
        };
        if position != sealed.position {
            return Err(Failure::Misplaced { expected: sealed.position.0, found: position.0 });
        }
        let (records, took) = (sealed.records, began.elapsed());
        Ok(self.report(Report::Durable { position, records, took, read, found }).await)
    }

    async fn claim(&mut self, unix_s: u64) -> Result<Result<(), Abandoned>, Failure> {
        let claimed = self.until_there_is_room(|journal| journal.claim(unix_s)).await?;
        let Ok(epoch) = claimed else { return Ok(Err(Abandoned)) };
        self.epoch = epoch;
        Ok(self.report(Report::Claimed(epoch)).await)
    }

    /// Does it again as long as the disk is full.
    async fn until_there_is_room<T>(
        &mut self,
        mut write: impl FnMut(&mut Journal) -> Result<T, AppendError>,
    ) -> Result<Result<T, Abandoned>, Failure> {
        loop {
            match write(&mut self.journal) {
                Ok(done) => return Ok(Ok(done)),
                Err(AppendError::Full) => {}
                Err(error) => return Err(error.into()),
            }
            let has_dropped_ballast = self.gauge.full(&mut self.journal);
            // Of those that nobody has read yet the next one says more.
            let told = self.reports.try_send(Report::Space(self.gauge.space()));
            if matches!(told, Err(TrySendError::Closed(_))) {
                return Ok(Err(Abandoned));
            }
            self.caller.wake_by_ref();
            if has_dropped_ballast {
                continue;
            }
            // What is refused needs room before it can give any back, so that is made by itself.
            self.tidy()?;
            if self.pause().await.is_err() {
                return Ok(Err(Abandoned));
            }
        }
    }

    /// Writes to a file that has lost its name succeed, and are lost: nothing but a look at the name tells.
    fn locate_if_due(&mut self) -> Result<(), Failure> {
        if self.located.elapsed() < LOOK_INTERVAL {
            return Ok(());
        }
        self.located = Instant::now();
        if self.journal.is_in_place() { Ok(()) } else { Err(Failure::Displaced) }
    }

    /// Appends tidy up by themselves: this is for a journal without any, or with too little room.
    fn tidy_if_due(&mut self) -> Result<(), Failure> {
        let is_idle = self.gauge.is_tight() || LOOK_INTERVAL <= self.seen.at.elapsed();
        if is_idle && LOOK_INTERVAL <= self.tidied.elapsed() {
            self.tidy()?;
        }
        Ok(())
    }

    /// Deletes expired rows and, where room is short, gives what is empty back to the disk.
    fn tidy(&mut self) -> Result<(), Failure> {
        let (epoch, now_ms) = (self.epoch, self.seen.now_ms());
        let journal = &mut self.journal;
        repeat(|| journal.sweep(epoch, now_ms))?;
        if self.gauge.is_tight() {
            repeat(|| journal.shrink())?;
        }
        self.tidied = Instant::now();
        Ok(())
    }

    /// Waits a moment for room. No job arrives meanwhile: the engine hands over one batch at a time, and whatever else
    /// it asks for waits in the channel behind it.
    async fn pause(&mut self) -> Result<(), Abandoned> {
        tokio::select! {
            biased;
            () = self.reports.closed() => Err(Abandoned),
            () = sleep(RETRY_INTERVAL) => Ok(()),
        }
    }

    /// Looks at what is free, now and then, and tells the engine. Says whether it did.
    async fn look(&mut self) -> Result<bool, Abandoned> {
        let Some(space) = self.gauge.look(&mut self.journal) else { return Ok(false) };
        self.report(Report::Space(space)).await.map(|()| true)
    }

    async fn report(&mut self, report: Report) -> Result<(), Abandoned> {
        self.reports.send(report).await.map_err(|_| Abandoned)
    }
}

/// Does it until there is no more to do, or for this time enough is done. What is in the way of it now (a disk that has
/// not even room for this, another program's lock) may not be there the next time.
fn repeat(mut step: impl FnMut() -> Result<bool, AppendError>) -> Result<(), Failure> {
    for _ in 0..TIDY_STEPS_MAX {
        match step() {
            Ok(true) => {}
            Ok(false) | Err(AppendError::Full | AppendError::Busy { .. }) => return Ok(()),
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
