//! A coordinator as a guest of somebody else's runtime: every task of it runs there, on that runtime's time, and serves
//! the connections it is given.
//!
//! Sessions, services, transport, engine, writer and journal are the real ones, the files included. What is left out is
//! what only a process has: threads, signals, the listener, and the port for metrics.

use std::{future::Future, io, sync::Arc, time::Duration};

use futures_util::Stream;
use leasehold_policy::Time;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::mpsc,
    task::JoinSet,
    time::sleep,
};
use tokio_util::sync::CancellationToken;
use tonic::transport::server::{Connected, TcpConnectInfo};

use crate::{
    archive::Desk,
    assembly::{Crew, Opened, assemble, decides, writes},
    clock::Clocks,
    config::Config,
    coordinator::RunError,
    metrics::Metrics,
    reload::{Reloader, Source},
    status::Applied,
    transport::Health,
    writer::{JOBS_MAX, Job, Report, Writer},
};

/// How slow the disk is for one job of the writer. A guest that is dropped meanwhile has lost what was not yet written,
/// and has told nobody of what was.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Delay {
    /// Until it is written.
    pub before: Duration,
    /// From then on until the writer says so.
    pub after: Duration,
}

/// Runs a coordinator until `stop` resolves and everything is durable, or until it cannot go on. `wall` is what the wall
/// clock shows now. Dropping the future ends it as a kill would, but for the locks of the files, which are given back.
pub async fn run<C>(
    config: Config,
    wall: Time,
    incoming: impl Stream<Item = io::Result<C>> + Send + 'static,
    disk: impl FnMut() -> Delay + Send + 'static,
    stop: impl Future<Output = ()>,
) -> Result<(), RunError>
where
    C: AsyncRead + AsyncWrite + Connected<ConnectInfo = TcpConnectInfo> + Unpin + Send + 'static,
{
    let (applied, metrics) = (Applied::from(config), Metrics::default());
    let config = Arc::clone(&applied.config);
    let opened = Opened::open(&config, config.listen, Clocks::Runtime { wall })?;
    let (mut running, crew) = assemble(opened, applied, metrics.clone(), Desk::Caller)?;
    let mut tasks = JoinSet::new();
    employ(&mut tasks, crew, &config, disk)?;

    let (health, stopping) = (Health::starting().await, CancellationToken::new());
    let reloader = Reloader::new(running.handle.clone(), metrics.clone(), Source::default());
    let services = running.services(health.clone(), metrics, reloader, stopping.clone());
    tasks.spawn(services.serve(incoming));
    health.serving().await;
    tokio::select! {
        biased;
        failure = running.failed() => return Err(failure),
        () = stop => {}
    }
    health.stopping().await;
    running.stop(stopping).await
}

/// Lets the crew work, with a disk between engine and writer that takes its time.
fn employ(
    tasks: &mut JoinSet<()>,
    crew: Crew,
    config: &Config,
    disk: impl FnMut() -> Delay + Send + 'static,
) -> Result<(), RunError> {
    let Crew { engine, end, journal, epoch, jobs, reports, wrote } = crew;
    let (delayed_jobs, job_queue) = mpsc::channel(JOBS_MAX);
    let (report_sender, written) = mpsc::channel(JOBS_MAX);
    let writer = Writer::new(journal, epoch, &config.data, job_queue, report_sender)?;
    tasks.spawn(decides(engine, end));
    tasks.spawn(writes(writer, wrote));
    let slow = Slow { jobs, delayed_jobs, written, reports };
    tasks.spawn(slow.run(disk));
    Ok(())
}

/// What lies between engine and writer.
struct Slow {
    jobs: mpsc::Receiver<Job>,
    delayed_jobs: mpsc::Sender<Job>,
    written: mpsc::Receiver<Report>,
    reports: mpsc::Sender<Report>,
}

impl Slow {
    /// Ends with either of the two.
    async fn run(mut self, mut disk: impl FnMut() -> Delay) {
        loop {
            tokio::select! {
                biased;
                report = self.written.recv() => {
                    let Some(report) = report else { return };
                    if self.reports.send(report).await.is_err() {
                        return;
                    }
                }
                job = self.jobs.recv() => {
                    let Some(job) = job else { return };
                    let Delay { before, after } = disk();
                    sleep(before).await;
                    if self.delayed_jobs.send(job).await.is_err() {
                        return;
                    }
                    sleep(after).await;
                }
            }
        }
    }
}
