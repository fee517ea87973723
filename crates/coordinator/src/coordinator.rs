//! The coordinator as a process: start, serve, stop.
//!
//! Two kinds of thread: the two that decide and write, and the runtime's, on which everything else runs.

use std::{error::Error, io, net::SocketAddr, sync::Arc, time::Duration};

use leasehold_journal::{AppendError, Journal, OpenError, Options, QueryError};
use tokio::{
    sync::{mpsc, oneshot, watch},
    task::{JoinError, JoinSet},
    time::timeout,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    archive::Desk,
    assembly::{Crew, Opened, assemble},
    clock::Clocks,
    config::Config,
    engine,
    gaps::Unfilled,
    handle::Handle,
    hands,
    metrics::Metrics,
    ops::{self, Ops},
    recovery::RecoveryError,
    reload::{Reloader, Source},
    request::Control,
    scaling::Scaling,
    service::WorkerApi,
    session::Shared,
    signals::{Hangups, Signal, Signals},
    status::Applied,
    transport::{Acceptor, Health, Services, connections_max},
    writer::{self, Writer},
};

#[cfg(test)]
mod tests;

/// How long sessions may take to say goodbye, once the engine has ended them.
const FAREWELL: Duration = Duration::from_secs(2);

/// Why the coordinator did not start, or did not go on.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The journal was not opened.
    #[error("the journal cannot be opened")]
    Open(#[from] OpenError),
    /// The journal was opened and cannot be taken up.
    #[error("the journal cannot be taken up")]
    Recovery(#[from] RecoveryError),
    /// No epoch could be claimed.
    #[error("no epoch can be claimed")]
    Claim(#[from] AppendError),
    /// The tables of ended tasks cannot be read.
    #[error("the tables of ended tasks cannot be read")]
    Archive(#[from] QueryError),
    /// An address cannot be listened on.
    #[error("cannot listen on {address}")]
    Listen {
        /// Which.
        address: SocketAddr,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The system refused a thread, a signal handler or the like.
    #[error("the system refused what every process needs")]
    System(#[from] io::Error),
    /// The journal failed while it was written.
    #[error("the journal failed: start again")]
    Journal(#[from] writer::Failure),
    /// What was written earlier was needed again, and is not there.
    #[error("the journal is damaged")]
    Damaged(#[source] Unfilled),
    /// The engine, or a task of the start, panicked.
    #[error("the engine panicked: start again")]
    Panicked,
    /// Not everything became durable within the grace.
    #[error("not everything became durable within {0:?}: start again")]
    Undurable(Duration),
    /// A second signal: the end was not waited for.
    #[error("ended at once by a second signal")]
    Interrupted(Signal),
}

impl From<JoinError> for RunError {
    fn from(_: JoinError) -> Self {
        Self::Panicked
    }
}

impl RunError {
    /// The exit code, after sysexits.h.
    pub const fn exit_code(&self) -> u8 {
        match self {
            // EX_CANTCREAT: the data directory is somebody else's.
            Self::Open(OpenError::Held { .. }) => 73,
            // EX_TEMPFAIL: starting again may help.
            Self::Open(OpenError::Full)
            | Self::Claim(_)
            | Self::Journal(_)
            | Self::Undurable(_) => 75,
            // EX_DATAERR: it will not.
            Self::Open(
                OpenError::NewerFormat { .. }
                | OpenError::Foreign { .. }
                | OpenError::Orphaned { .. }
                | OpenError::Damaged { .. },
            )
            | Self::Recovery(_)
            | Self::Damaged(_) => 65,
            // EX_IOERR.
            Self::Open(OpenError::File { .. } | OpenError::Database(_)) | Self::Archive(_) => 74,
            // EX_UNAVAILABLE.
            Self::Listen { .. } => 69,
            // EX_OSERR.
            Self::System(_) => 71,
            // EX_SOFTWARE.
            Self::Panicked => 70,
            Self::Interrupted(signal) => signal.exit_code(),
        }
    }
}

/// Runs a coordinator from start to end. The file of its source is looked at again while it runs.
pub async fn run(config: Config, source: Source) -> Result<(), RunError> {
    let (mut signals, hangups) = (Signals::listen()?, Hangups::listen()?);
    let metrics = Metrics::default();
    let (grpc, ops) = bind(&config, &metrics).await?;
    let (grpc_address, ops_address) = (grpc.address()?, ops.address()?);
    let (progress, watched) = watch::channel(None);
    let mut servers = JoinSet::new();
    let ending = CancellationToken::new();
    let port = Ops { metrics: metrics.clone(), progress: watched };
    servers.spawn(ops_server(port, ops, ending.clone()));

    let applied = Applied { hash: source.file.as_ref().map(|it| it.hash), ..Applied::from(config) };
    let start = start(applied, metrics.clone(), grpc_address);
    let mut running = tokio::select! {
        running = start => running?,
        signal = signals.next() => return Err(RunError::Interrupted(signal)),
    };
    let health = Health::starting().await;
    let stopping = CancellationToken::new();
    let reloader = Reloader::new(running.handle.clone(), metrics.clone(), source);
    servers.spawn(reloader.clone().run(hangups, ending.clone()));
    let services = running.services(health.clone(), metrics, reloader, stopping.clone());
    servers.spawn(running.scaling.clone().keep(stopping.clone()));
    servers.spawn(services.serve(grpc.incoming()));
    progress.send_replace(Some(running.handle.clone()));
    health.serving().await;
    let cluster = running.handle.cluster();
    tracing::info!(
        address = %grpc_address,
        ops_address = %ops_address,
        journal_id = cluster.journal_id,
        epoch = cluster.epoch,
        "listening"
    );

    let asked = tokio::select! {
        failure = running.failed() => return Err(failure),
        signal = signals.next() => signal,
    };
    tracing::info!(signal = asked.name(), "stopping");
    health.stopping().await;
    let grace = running.handle.config().shutdown.grace;
    tokio::select! {
        stopped = timeout(grace, running.stop(stopping)) => stopped
            .map_err(|_| RunError::Undurable(grace))??,
        signal = signals.next() => return Err(RunError::Interrupted(signal)),
    }
    ending.cancel();
    // Calls that are still under way have been answered or will not be.
    drop(timeout(FAREWELL, async { while servers.join_next().await.is_some() {} }).await);
    tracing::info!("stopped");
    Ok(())
}

/// A coordinator that serves.
pub(crate) struct Running {
    pub(crate) handle: Handle,
    pub(crate) scaling: Scaling,
    pub(crate) control: mpsc::Sender<Control>,
    pub(crate) shared: Shared,
    pub(crate) sessions: TaskTracker,
    pub(crate) ended: oneshot::Receiver<engine::Ended>,
    pub(crate) written: oneshot::Receiver<()>,
    #[cfg(test)]
    pub(crate) config: Arc<Config>,
}

impl Running {
    /// What is served of it.
    pub(crate) fn services(
        &self,
        health: Health,
        metrics: Metrics,
        reloader: Reloader,
        stopping: CancellationToken,
    ) -> Services<WorkerApi> {
        let worker = WorkerApi::new(self.shared.clone(), self.sessions.clone());
        let (handle, scaling) = (self.handle.clone(), self.scaling.clone());
        Services { handle, scaling, worker, reloader, health, metrics, stopping }
    }

    /// Waits until it cannot go on.
    pub(crate) async fn failed(&mut self) -> RunError {
        failure((&mut self.ended).await)
    }

    /// Lets everything become durable and says goodbye to the workers.
    pub(crate) async fn stop(mut self, stopping: CancellationToken) -> Result<(), RunError> {
        self.sessions.close();
        // An engine that is gone has said why.
        drop(self.control.send(Control::Shutdown).await);
        stopping.cancel();
        let ended = (&mut self.ended).await;
        if !matches!(ended, Ok(engine::Ended::Stopped)) {
            return Err(failure(ended));
        }
        drop(timeout(FAREWELL, self.sessions.wait()).await);
        // The writer closes the journal and gives the directory back.
        self.written.await.map_err(|_| RunError::Panicked)
    }
}

fn failure(ended: Result<engine::Ended, oneshot::error::RecvError>) -> RunError {
    match ended {
        Ok(engine::Ended::Failed(writer::Failure::Unfilled(why))) if why.is_damage() => {
            RunError::Damaged(why)
        }
        Ok(engine::Ended::Failed(failure)) => RunError::Journal(failure),
        Ok(engine::Ended::Stopped) | Err(_) => RunError::Panicked,
    }
}

async fn bind(config: &Config, metrics: &Metrics) -> Result<(Acceptor, Acceptor), RunError> {
    let listen = async |address, most| {
        let bound = Acceptor::bind(address, most, metrics.clone()).await;
        bound.map_err(|source| RunError::Listen { address, source })
    };
    let grpc = listen(config.listen, connections_max(config.limits.connections)).await;
    let ops = listen(config.ops_listen, ops::CONNECTIONS_MAX).await;
    match (grpc, ops) {
        (Ok(grpc), Ok(ops)) => Ok((grpc, ops)),
        (Err(error), _) | (_, Err(error)) => Err(holder(config).unwrap_or(error)),
    }
}

/// Whoever has the address may be another coordinator on the same directory: then that is worth saying.
fn holder(config: &Config) -> Option<RunError> {
    if !config.data.exists() {
        return None;
    }
    let opened = Journal::open(&config.data, Options { ballast_bytes: 0, ..Options::default() });
    opened.err().filter(|error| matches!(error, OpenError::Held { .. })).map(RunError::Open)
}

async fn ops_server(port: Ops, acceptor: Acceptor, ending: CancellationToken) {
    if let Err(error) = port.serve(acceptor, ending).await {
        tracing::error!(error = chain(&error), "metrics and health are not served any more");
    }
}

/// Takes up the journal and starts the threads that own it.
pub(crate) async fn start(
    applied: Applied,
    metrics: Metrics,
    address: SocketAddr,
) -> Result<Running, RunError> {
    let config = Arc::clone(&applied.config);
    let opened = {
        let config = Arc::clone(&config);
        let open = move || Opened::open(&config, address, Clocks::Machine);
        tokio::task::spawn_blocking(open).await??
    };
    let (running, crew) = assemble(opened, applied, metrics, Desk::Threads)?;
    let Crew { engine, end, journal, epoch, jobs, reports, wrote } = crew;
    let writer = Writer::new(journal, epoch, &config.data, jobs, reports)?;
    hands::begin((engine, end), (writer, wrote))?;
    Ok(running)
}

/// An error and what is behind it, on one line.
pub fn chain(error: &(dyn Error + 'static)) -> String {
    let causes = std::iter::successors(Some(error), |error| Error::source(*error));
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}
