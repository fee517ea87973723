//! Processes of one's own: a coordinator in a directory that goes with it, and a worker that runs programs. Both are
//! started from the binaries next to this one.

use std::{
    env,
    ffi::OsString,
    fs, io,
    net::{Ipv4Addr, TcpListener},
    path::Path,
    process::Stdio,
    time::{Duration, Instant},
};

use leasehold_client::{Client, ClientOptions, Retry};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use tokio::{
    process::{Child, Command},
    time,
};

use crate::failure::{Failure, say};

/// How long a coordinator takes at most to serve, with millions of open tasks to read.
const START_TIMEOUT: Duration = Duration::from_mins(2);

/// How often one that starts is asked for an answer.
const ANSWER_POLL: Duration = Duration::from_millis(2);

/// How long a process may take to bring everything to its end and go.
const STOP_TIMEOUT: Duration = Duration::from_secs(10);

/// What `statfs` calls a file system that lives in memory.
const TMPFS_MAGIC: i64 = 0x0102_1994;

/// How many slots a worker has at most.
pub(super) const SLOTS_MAX: u32 = 10_000;

/// A running process of ours. It is killed when this is dropped.
#[derive(Debug)]
struct Process {
    name: &'static str,
    child: Child,
}

/// A running coordinator. It is killed when this is dropped, and its directory removed.
#[derive(Debug)]
pub(super) struct Coordinator {
    process: Process,
    port: u16,
    address: String,
    config: &'static str,
    data: TempDir,
}

/// A running worker. It is killed when this is dropped, and its programs with it.
#[derive(Debug)]
pub(super) struct Worker(Process);

impl Coordinator {
    /// Starts one with this configuration, which may be empty, and waits until it serves.
    pub(super) async fn start(
        data_in: Option<&Path>,
        config: &'static str,
    ) -> Result<Self, Failure> {
        let data = make_data(data_in.unwrap_or(Path::new(".")))?;
        let port = free_port().map_err(|error| failed("find a free port", &error))?;
        let process = serve(data.path(), port, config)?;
        let address = format!("http://127.0.0.1:{port}");
        let mut coordinator = Self { process, port, address, config, data };
        coordinator.serves().await?;
        Ok(coordinator)
    }

    /// Kills it, starts it again and waits until it serves; when it was started.
    pub(super) async fn restart(&mut self) -> Result<Instant, Failure> {
        let killed = self.process.child.kill().await;
        killed.map_err(|error| failed("kill the coordinator", &error))?;
        let start = Instant::now();
        self.process = serve(self.data.path(), self.port, self.config)?;
        self.serves().await?;
        Ok(start)
    }

    pub(super) fn address(&self) -> &str {
        &self.address
    }

    pub(super) fn pid(&self) -> Option<u32> {
        self.process.pid()
    }

    /// Where its data is: other files there share its disk.
    pub(super) fn directory(&self) -> &Path {
        self.data.path()
    }

    /// Asks it to go, and waits until it has gone.
    pub(super) async fn stop(self) -> Result<(), Failure> {
        self.process.stop().await?;
        self.data.close().map_err(|error| failed("remove the coordinator's data", &error))
    }

    /// Waits until it answers, or has ended.
    async fn serves(&mut self) -> Result<(), Failure> {
        let options = ClientOptions::new(self.address.as_str()).retry(Retry::Never);
        let client = Client::connect(options)?;
        let answered = async {
            while client.cluster().await.is_err() {
                time::sleep(ANSWER_POLL).await;
            }
        };
        tokio::select! {
            answered = time::timeout(START_TIMEOUT, answered) => answered
                .map_err(|_late| Failure::Bench("the coordinator does not answer".to_owned())),
            ended = self.process.child.wait() => {
                let status = ended.map_err(|error| failed("wait for the coordinator", &error))?;
                Err(Failure::Bench(format!("the coordinator did not start: {status}")))
            }
        }
    }
}

impl Worker {
    /// Starts one that does the work of one task type with a program.
    pub(super) fn of_program(
        address: &str,
        task_type: &str,
        slots: u32,
        program: &[OsString],
    ) -> Result<Self, Failure> {
        let mut command = command("leasehold-worker")?;
        command
            .args(["--address", address, "--id", task_type, "--program", task_type])
            .args(["--slots", &slots.to_string()])
            .arg("--")
            .args(program);
        Process::start("worker", command).map(Self)
    }

    /// Starts a pool of them, whose log goes to this file.
    pub(super) fn pool(
        address: &str,
        flags: &[String],
        program: &str,
        log: &Path,
    ) -> Result<Self, Failure> {
        let mut command = command("leasehold-worker")?;
        command.args(["pool", "--address", address]).args(flags).args(["--program", program]);
        let log = fs::File::create(log).map_err(|error| failed("keep the pool's log", &error))?;
        command.stderr(log);
        Process::start("pool", command).map(Self)
    }

    /// Starts as many as so many slots take, which do it with async functions; those come in by a socket, if there is one.
    pub(super) fn crowd_of_functions(
        address: &str,
        task_type: &str,
        slots: u32,
        socket: Option<&Path>,
    ) -> Result<Vec<Self>, Failure> {
        let start = |number| {
            let name = format!("{task_type}-{number}");
            let slots = SLOTS_MAX.min(slots - number * SLOTS_MAX);
            Self::of_functions(address, (&name, task_type), slots, socket)
        };
        (0..slots.div_ceil(SLOTS_MAX)).map(start).collect()
    }

    fn of_functions(
        address: &str,
        (name, task_type): (&str, &str),
        slots: u32,
        socket: Option<&Path>,
    ) -> Result<Self, Failure> {
        let mut command = command("leasehold")?;
        command
            .args(["bench", "functions", task_type])
            .args(socket)
            .env("LEASEHOLD_ADDRESS", address)
            .env("LEASEHOLD_WORKER_ID", name)
            .env("LEASEHOLD_SLOTS", slots.to_string());
        Process::start("worker", command).map(Self)
    }

    /// Asks it to go, and waits until it has gone.
    pub(super) async fn stop(self) -> Result<(), Failure> {
        self.0.stop().await
    }
}

impl Process {
    fn start(name: &'static str, mut command: Command) -> Result<Self, Failure> {
        let child = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            // Tasks that end badly on purpose would fill the terminal.
            .env("LEASEHOLD_LOG", "error")
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| failed(&format!("start the {name}"), &error))?;
        Ok(Self { name, child })
    }

    fn pid(&self) -> Option<u32> {
        self.child.id()
    }

    async fn stop(mut self) -> Result<(), Failure> {
        let Self { name, .. } = self;
        let pid = self.pid().and_then(|pid| i32::try_from(pid).ok()).and_then(Pid::from_raw);
        if let Some(pid) = pid {
            kill_process(pid, Signal::TERM)
                .map_err(|error| failed(&format!("stop the {name}"), &error.into()))?;
        }
        let status = time::timeout(STOP_TIMEOUT, self.child.wait()).await;
        let status = status
            .map_err(|_elapsed| Failure::Bench(format!("the {name} does not stop")))?
            .map_err(|error| failed(&format!("wait for the {name}"), &error))?;
        if !status.success() {
            return Err(Failure::Bench(format!("the {name} ended badly: {status}")));
        }
        Ok(())
    }
}

/// Starts a coordinator in a directory.
fn serve(directory: &Path, port: u16, config: &str) -> Result<Process, Failure> {
    let mut command = command("leasehold-coordinator")?;
    if !config.is_empty() {
        let file = directory.join("config.yaml");
        fs::write(&file, config)
            .map_err(|error| failed("write the coordinator's configuration", &error))?;
        command.arg("--config").arg(file);
    }
    command
        .arg("--data")
        .arg(directory.join("data"))
        .args(["--listen", &format!("127.0.0.1:{port}")])
        .args(["--ops-listen", "127.0.0.1:0"]);
    Process::start("coordinator", command)
}

/// The start of a binary that is installed next to this one, with nobody's settings.
fn command(name: &str) -> Result<Command, Failure> {
    let own = env::current_exe().map_err(|error| failed("find this program", &error))?;
    let binary = own.with_file_name(name);
    if !binary.is_file() {
        return Err(Failure::Bench(format!("there is no {}", binary.display())));
    }
    let mut command = Command::new(binary);
    forget_settings(&mut command, env::vars_os().map(|(name, _)| name));
    Ok(command)
}

/// Takes what the processes read from the environment out of a command's: figures are those of the defaults.
fn forget_settings(command: &mut Command, names: impl Iterator<Item = OsString>) {
    for name in names.filter(|name| name.as_encoded_bytes().starts_with(b"LEASEHOLD_")) {
        command.env_remove(name);
    }
}

/// A new directory; says so where its disk is none.
fn make_data(parent: &Path) -> Result<TempDir, Failure> {
    let data = tempfile::Builder::new()
        .prefix("leasehold-bench-")
        .tempdir_in(parent)
        .map_err(|error| failed(&format!("make a directory in {}", parent.display()), &error))?;
    let is_in_memory = rustix::fs::statfs(data.path())
        .is_ok_and(|system| i128::from(system.f_type) == i128::from(TMPFS_MAGIC));
    if is_in_memory {
        say("note: the data is on a memory file system, where a sync costs nothing; see --data-in");
    }
    Ok(data)
}

/// A port that nobody listens on. Somebody else may take it before the coordinator does; it then says so.
fn free_port() -> io::Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}

fn failed(what: &str, error: &io::Error) -> Failure {
    Failure::Bench(format!("cannot {what}: {error}"))
}

#[cfg(test)]
mod tests;
