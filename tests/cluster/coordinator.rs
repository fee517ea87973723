//! A coordinator process on a directory of its own.

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Command,
};

use rustix::process::Signal;
use serde_json::Value;
use tempfile::TempDir;

use crate::{
    binary,
    client::Client,
    condition::{SOON, eventually},
    process::Process,
};

/// How a coordinator is started; the same for every restart.
#[derive(Default)]
pub(crate) struct Options {
    /// The data directory. Unset: a temporary one.
    pub(crate) data: Option<PathBuf>,
    /// Where gRPC is served. Unset: on any free port.
    pub(crate) listen: Option<SocketAddr>,
    /// Flags beyond the data directory and the addresses.
    pub(crate) args: Vec<String>,
    /// The text of a configuration file.
    pub(crate) config: Option<String>,
    /// Environment variables.
    pub(crate) env: Vec<(String, String)>,
    /// A command that ends by running the one that follows it; it may prepare the data directory. Unset: none.
    pub(crate) under: Vec<String>,
}

impl Options {
    /// Sessions that end two seconds after the last heartbeat, for tests that wait for it.
    pub(crate) fn short_sessions() -> Self {
        Self::with_args(&["--session-ttl", "2s"])
    }

    /// These flags.
    pub(crate) fn with_args(args: &[&str]) -> Self {
        Self { args: args.iter().map(ToString::to_string).collect(), ..Self::default() }
    }
}

/// A running coordinator, reachable.
pub(crate) struct Coordinator {
    /// The process of today.
    pub(crate) process: Process,
    /// Where gRPC is served, the same after a restart.
    pub(crate) address: SocketAddr,
    /// Where metrics and health are served, the same after a restart.
    pub(crate) ops: SocketAddr,
    options: Options,
    /// Logs, the configuration file and the data unless `options` says where.
    dir: TempDir,
    starts: u32,
}

impl Coordinator {
    /// Starts one with the defaults.
    pub(crate) async fn start() -> Self {
        Self::start_with(Options::default()).await
    }

    /// Starts one and waits until it listens.
    pub(crate) async fn start_with(options: Options) -> Self {
        let dir = TempDir::with_prefix("leasehold-").expect("a temporary directory");
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let listen = options.listen.unwrap_or(any);
        let process = spawn(&options, &dir, listen, any, 1);
        let mut started = Self { process, address: any, ops: any, options, dir, starts: 1 };
        started.listens().await;
        started
    }

    /// Starts it again on the same data and addresses, and waits until it listens.
    pub(crate) async fn restart(&mut self) {
        self.respawn();
        self.listens().await;
    }

    /// Starts it again and does not wait.
    pub(crate) fn respawn(&mut self) {
        assert!(self.process.ended().is_some(), "the coordinator still runs");
        self.starts += 1;
        self.process = spawn(&self.options, &self.dir, self.address, self.ops, self.starts);
    }

    /// `kill -9`.
    pub(crate) fn kill(&mut self) {
        self.process.kill();
    }

    /// SIGTERM; expects exit code 0 within the default grace.
    pub(crate) async fn stop(&mut self) {
        self.process.signal(Signal::TERM);
        self.process.exits_with(0, SOON).await;
    }

    /// A client of its own connection.
    pub(crate) fn client(&self) -> Client {
        Client::new(self.address)
    }

    /// The directory of the journal.
    pub(crate) fn data(&self) -> PathBuf {
        data(&self.options, &self.dir)
    }

    /// A directory for whatever belongs to this coordinator's test.
    pub(crate) fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Waits for the line that says where it listens.
    pub(crate) async fn listens(&mut self) {
        let (address, ops) = eventually("the coordinator listens", SOON, async || {
            if let Some(status) = self.process.ended() {
                panic!("the coordinator ended with {status}:\n{}", self.process.tail());
            }
            self.process.events().iter().find_map(addresses)
        })
        .await;
        self.address = address;
        self.ops = ops;
    }
}

/// A coordinator's command line.
pub(crate) fn command(data: &Path, listen: SocketAddr, ops: SocketAddr) -> Command {
    let mut command = binary::coordinator();
    command.arg("--data").arg(data);
    command.args(["--listen", &listen.to_string(), "--ops-listen", &ops.to_string()]);
    // By the environment, so that a test's own flags win.
    command.envs([("LEASEHOLD_LOG_FORMAT", "json"), ("LEASEHOLD_LOG", "info")]);
    command
}

fn spawn(
    options: &Options,
    dir: &TempDir,
    listen: SocketAddr,
    ops: SocketAddr,
    start: u32,
) -> Process {
    let mut command = command(&data(options, dir), listen, ops);
    if let Some(config) = &options.config {
        let path = dir.path().join("coordinator.yaml");
        fs::write(&path, config).expect("the configuration can be written");
        command.arg("--config").arg(path);
    }
    command.args(&options.args);
    let mut command = under(&options.under, command);
    command.envs(options.env.iter().map(|(key, value)| (key, value)));
    Process::spawn("coordinator", command, dir.path().join(format!("coordinator-{start}.log")))
}

/// A command as the last arguments of another.
fn under(outer: &[String], inner: Command) -> Command {
    let Some((program, args)) = outer.split_first() else { return inner };
    let mut command = Command::new(program);
    command.args(args).arg(inner.get_program()).args(inner.get_args());
    command.envs(inner.get_envs().filter_map(|(key, value)| Some((key, value?))));
    command
}

fn data(options: &Options, dir: &TempDir) -> PathBuf {
    options.data.clone().unwrap_or_else(|| dir.path().join("data"))
}

/// The addresses of the line that says where the coordinator listens.
fn addresses(line: &Value) -> Option<(SocketAddr, SocketAddr)> {
    let address = |key: &str| line.get(key)?.as_str()?.parse().ok();
    (line.get("message")?.as_str()? == "listening").then_some(())?;
    Some((address("address")?, address("ops_address")?))
}
