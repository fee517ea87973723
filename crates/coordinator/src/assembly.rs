//! What a coordinator is made of, before anybody runs it: the journal is taken up, and engine, writer and their
//! channels are put together. It knows neither threads nor sockets; what runs the crew decides where.

use std::{net::SocketAddr, sync::Arc};

use leasehold_journal::{Epoch, Journal, Options};
use leasehold_queue::Queue;
use tokio::{
    sync::{mpsc, oneshot},
    time::Instant,
};
use tokio_util::task::TaskTracker;

use crate::{
    archive::{Archive, Desk},
    clock::{Clock, Clocks},
    config::Config,
    coordinator::{RunError, Running},
    engine::{self, Engine, Inbox, Parts},
    ferry::Ferry,
    handle::Handle,
    metrics::Metrics,
    recovery,
    scaling::Scaling,
    session::Shared,
    status::{Applied, Status},
    terms,
    writer::{self, JOBS_MAX, Job, Report, Writer},
};

/// A journal, and the queue it holds.
pub(crate) struct Opened {
    journal: Journal,
    epoch: Epoch,
    queue: Queue,
    recovered: recovery::Recovered,
    clock: Clock,
}

impl Opened {
    pub(crate) fn open(
        config: &Config,
        address: SocketAddr,
        clocks: Clocks,
    ) -> Result<Self, RunError> {
        let began = Instant::now();
        let options = Options {
            address: address.to_string(),
            ballast_bytes: writer::ballast_bytes(&config.data),
            checkpoint_frames: writer::log_frames(&config.data),
            ..Options::default()
        };
        let mut journal = Journal::open(&config.data, options)?;
        let epoch = journal.claim(clocks.wall().unix_ms() / 1_000)?;
        let mut queue = Queue::new(terms::queue(config), epoch.0);
        let recovered = recovery::replay(&journal, &mut queue, config.limits.payload_memory)?;
        let clock = Clock::new(clocks, recovered.last);
        tracing::info!(
            epoch = epoch.0,
            open_tasks = queue.open_tasks(),
            records = recovered.records,
            batches = (journal.head().0 + 1).saturating_sub(journal.first().0),
            seconds = began.elapsed().as_secs_f64(),
            "journal read"
        );
        Ok(Self { journal, epoch, queue, recovered, clock })
    }
}

/// Who does the work of a coordinator, before it begins.
pub(crate) struct Crew {
    pub(crate) engine: Engine,
    /// For [`decides`].
    pub(crate) end: oneshot::Sender<engine::Ended>,
    pub(crate) journal: Journal,
    pub(crate) epoch: Epoch,
    /// What the engine asks of the writer.
    pub(crate) jobs: mpsc::Receiver<Job>,
    /// What the writer says to the engine.
    pub(crate) reports: mpsc::Sender<Report>,
    /// For [`writes`].
    pub(crate) wrote: oneshot::Sender<()>,
}

/// Puts together what a journal holds and what is asked of it. It runs once its crew does.
pub(crate) fn assemble(
    opened: Opened,
    applied: Applied,
    metrics: Metrics,
    desk: Desk,
) -> Result<(Running, Crew), RunError> {
    let Opened { journal, epoch, queue, recovered, mut clock } = opened;
    let config = Arc::clone(&applied.config);
    metrics.set_epoch(epoch.0);
    let archive = Archive::open(&journal, desk)?;
    let (journal_id, started) = (journal.id().to_owned(), clock.now());
    let status = Arc::new(Status::new(journal_id, epoch.0, started, applied));
    let (senders, inbox) = Inbox::new();
    let (job_sender, jobs) = mpsc::channel(JOBS_MAX);
    let sessions = TaskTracker::new();
    let ferry = Ferry::launch(senders.liveness.clone(), &sessions);
    let shared = Shared::new(senders.liveness, Arc::clone(&status), metrics.clone());
    let handle =
        Handle::new(senders.admission, senders.control.clone(), Arc::clone(&status), archive);
    let scaling = Scaling::new(Arc::clone(&status), &config, metrics.clone());
    let written = recovered.written();
    let engine = Engine::new(Parts {
        queue,
        keeper: recovered.keeper,
        payloads: recovered.payloads,
        clock,
        written,
        head: journal.head(),
        config: Arc::clone(&config),
        metrics,
        status,
        inbox,
        jobs: job_sender,
        ferry,
    });
    let ((end, ended), (wrote, written)) = (oneshot::channel(), oneshot::channel());
    let running = Running {
        handle,
        scaling,
        control: senders.control,
        shared,
        sessions,
        ended,
        written,
        #[cfg(test)]
        config,
    };
    let reports = senders.reports;
    Ok((running, Crew { engine, end, journal, epoch, jobs, reports, wrote }))
}

/// Decides until the end. A panic drops `end`, and with it the process ends: the engine's state may be torn.
pub(crate) async fn decides(engine: Engine, end: oneshot::Sender<engine::Ended>) {
    // Nobody listens any more: the process ends already.
    drop(end.send(engine.run().await));
}

/// Writes until the end, then gives the directory back, then says so.
pub(crate) async fn writes(writer: Writer, wrote: oneshot::Sender<()>) {
    writer.run().await;
    // The same.
    let _unheard = wrote.send(());
}
