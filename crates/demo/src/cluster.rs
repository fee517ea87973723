//! The demo's processes: one coordinator, three workers, everything they write in one folder.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::Value;
use tokio::time::{MissedTickBehavior, interval};

use crate::error::Error;
use crate::process::Process;

/// How many workers there are.
pub(crate) const WORKERS: usize = 3;

/// How long a worker that says nothing keeps its leases: short, so that a killed worker's tasks go to
/// another one while one watches.
const SESSION_TTL: &str = "2s";

/// How often a worker says something: five times within that.
const HEARTBEAT_INTERVAL: &str = "400ms";

/// How long a coordinator may take to listen. It replays its journal first.
const LISTEN_MAX: Duration = Duration::from_secs(30);

/// How often the log is looked at meanwhile.
const LISTEN_POLL: Duration = Duration::from_millis(20);

/// A port of the system's choice.
const ANY: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

/// The running processes. All of them end when it is dropped.
#[derive(Debug)]
pub(crate) struct Cluster {
    coordinator: Process,
    workers: Vec<Process>,
    address: Addresses,
    folder: PathBuf,
    /// How many processes have been started, for the names of their logs.
    starts: usize,
}

/// Where a coordinator listens.
#[derive(Clone, Copy, Debug)]
struct Addresses {
    grpc: SocketAddr,
    operations: SocketAddr,
}

impl Cluster {
    /// Starts a coordinator and, once it listens, its workers.
    pub(crate) async fn start(folder: &Path) -> Result<Self, Error> {
        let any = Addresses { grpc: ANY, operations: ANY };
        let mut coordinator = spawn_coordinator(folder, any, 1)?;
        let address = listening(&mut coordinator).await?;
        let folder = folder.to_owned();
        let mut cluster = Self { coordinator, workers: Vec::new(), address, folder, starts: 1 };
        for index in 0..WORKERS {
            let worker = cluster.spawn_worker(index)?;
            cluster.workers.push(worker);
        }
        Ok(cluster)
    }

    /// Where the coordinator listens, before and after a restart.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address.grpc
    }

    /// Where executions are noted.
    pub(crate) fn ledger(&self) -> PathBuf {
        self.folder.join("ledger")
    }

    /// `kill -9` for the first worker, and a new one in its place.
    pub(crate) fn replace_worker(&mut self) -> Result<(), Error> {
        if let Some(worker) = self.workers.first_mut() {
            worker.kill();
        }
        let replacement = self.spawn_worker(0)?;
        if let Some(worker) = self.workers.first_mut() {
            *worker = replacement;
        }
        Ok(())
    }

    /// `kill -9` for the coordinator; when it returns, the process is gone.
    pub(crate) fn kill_coordinator(&mut self) {
        self.coordinator.kill();
    }

    /// Starts the coordinator again on the same data and addresses, and waits until it listens.
    pub(crate) async fn restart_coordinator(&mut self) -> Result<(), Error> {
        self.starts += 1;
        self.coordinator = spawn_coordinator(&self.folder, self.address, self.starts)?;
        listening(&mut self.coordinator).await?;
        Ok(())
    }

    /// An error if a process has ended by itself.
    pub(crate) fn check(&mut self) -> Result<(), Error> {
        self.coordinator.check()?;
        self.workers.iter_mut().try_for_each(Process::check)
    }

    /// The end of every log.
    pub(crate) fn log_tails(&self) -> String {
        let processes = std::iter::once(&self.coordinator).chain(&self.workers);
        processes.map(Process::log_tail).collect()
    }

    fn spawn_worker(&mut self, index: usize) -> Result<Process, Error> {
        self.starts += 1;
        let name = format!("worker-{}", index + 1);
        let mut command = Command::new(program("leasehold-demo")?);
        command.args(["worker", "--id", &name, "--address", &self.address.grpc.to_string()]);
        command.arg("--ledger").arg(self.ledger());
        Process::spawn(&name, command, self.folder.join(format!("{}-{name}.log", self.starts)))
    }
}

fn spawn_coordinator(folder: &Path, address: Addresses, start: usize) -> Result<Process, Error> {
    let mut command = Command::new(program("leasehold-coordinator")?);
    command.arg("--data").arg(folder.join("data"));
    command.args(["--listen", &address.grpc.to_string()]);
    command.args(["--ops-listen", &address.operations.to_string()]);
    command.args(["--session-ttl", SESSION_TTL, "--heartbeat-interval", HEARTBEAT_INTERVAL]);
    command.args(["--log-format", "json"]);
    Process::spawn("coordinator", command, folder.join(format!("{start}-coordinator.log")))
}

/// The program of this name beside our own.
fn program(name: &str) -> Result<PathBuf, Error> {
    let own =
        std::env::current_exe().map_err(|source| Error::Start { name: name.to_owned(), source })?;
    let path = own.with_file_name(name);
    if path.is_file() { Ok(path) } else { Err(Error::Missing(path)) }
}

/// Waits until a coordinator says where it listens.
async fn listening(coordinator: &mut Process) -> Result<Addresses, Error> {
    let begun = Instant::now();
    let mut ticks = interval(LISTEN_POLL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while begun.elapsed() < LISTEN_MAX {
        ticks.tick().await;
        coordinator.check()?;
        let log = std::fs::read_to_string(coordinator.log()).unwrap_or_default();
        if let Some(address) = log.lines().find_map(addresses) {
            return Ok(address);
        }
    }
    Err(Error::NotListening { waited: begun.elapsed(), log: coordinator.log_tail() })
}

/// The addresses in the log line that names them.
fn addresses(line: &str) -> Option<Addresses> {
    let line: Value = serde_json::from_str(line).ok()?;
    let address = |key: &str| line.get(key)?.as_str()?.parse().ok();
    (line.get("message")? == "listening").then_some(())?;
    Some(Addresses { grpc: address("address")?, operations: address("ops_address")? })
}

#[cfg(test)]
mod tests;
