//! A coordinator of one's own: started from the binary next to this one, in a directory that goes with it.

use std::{
    env,
    ffi::OsString,
    fs, io,
    net::{Ipv4Addr, TcpListener},
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use leasehold_client::{Client, ClientOptions};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use tokio::{
    process::{Child, Command},
    time,
};

use super::Retention;
use crate::failure::{Failure, say};

/// How long a coordinator on an empty directory takes at most to serve.
const START_TIMEOUT: Duration = Duration::from_secs(10);

/// How long it may take to make everything durable and go.
const STOP_TIMEOUT: Duration = Duration::from_secs(10);

/// What `statfs` calls a file system that lives in memory.
const TMPFS_MAGIC: i64 = 0x0102_1994;

/// The configuration of a coordinator that keeps nothing of a task that succeeded.
const RETENTION_ZERO: &str = "retention:\n  finished: 0s\n";

/// A running coordinator. It is killed when this is dropped, and its directory removed.
#[derive(Debug)]
pub(super) struct Coordinator {
    child: Child,
    address: String,
    data: TempDir,
}

impl Coordinator {
    /// Starts one and waits until it serves.
    pub(super) async fn start(
        data_in: Option<&Path>,
        retention: Retention,
    ) -> Result<Self, Failure> {
        let data = make_data(data_in.unwrap_or(Path::new(".")))?;
        let port = free_port().map_err(|error| failed("find a free port", &error))?;
        let binary = binary()?;
        let mut command = Command::new(&binary);
        forget_settings(&mut command, env::vars_os().map(|(name, _)| name));
        if retention == Retention::Zero {
            let config = data.path().join("config.yaml");
            fs::write(&config, RETENTION_ZERO)
                .map_err(|error| failed("write the coordinator's configuration", &error))?;
            command.arg("--config").arg(config);
        }
        let child = command
            .arg("--data")
            .arg(data.path().join("data"))
            .args(["--listen", &format!("127.0.0.1:{port}")])
            .args(["--ops-listen", "127.0.0.1:0"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .env("LEASEHOLD_LOG", "warn")
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| failed(&format!("start {}", binary.display()), &error))?;
        let address = format!("http://127.0.0.1:{port}");
        let mut coordinator = Self { child, address, data };
        coordinator.serves().await?;
        Ok(coordinator)
    }

    pub(super) fn address(&self) -> &str {
        &self.address
    }

    pub(super) fn pid(&self) -> Option<u32> {
        self.child.id()
    }

    /// Asks it to go, and waits until it has gone.
    pub(super) async fn stop(mut self) -> Result<(), Failure> {
        let pid = self.pid().and_then(|pid| i32::try_from(pid).ok()).and_then(Pid::from_raw);
        if let Some(pid) = pid {
            kill_process(pid, Signal::TERM)
                .map_err(|error| failed("stop the coordinator", &error.into()))?;
        }
        let status = time::timeout(STOP_TIMEOUT, self.child.wait()).await;
        let status = status
            .map_err(|_elapsed| Failure::Bench("the coordinator does not stop".to_owned()))?
            .map_err(|error| failed("wait for the coordinator", &error))?;
        if !status.success() {
            return Err(Failure::Bench(format!("the coordinator ended badly: {status}")));
        }
        self.data.close().map_err(|error| failed("remove the coordinator's data", &error))
    }

    /// Waits until it answers, or has ended.
    async fn serves(&mut self) -> Result<(), Failure> {
        let options = ClientOptions::new(self.address.as_str()).call_timeout(START_TIMEOUT);
        let client = Client::connect(options)?;
        tokio::select! {
            answered = client.cluster() => {
                answered?;
                Ok(())
            }
            ended = self.child.wait() => {
                let status = ended.map_err(|error| failed("wait for the coordinator", &error))?;
                Err(Failure::Bench(format!("the coordinator did not start: {status}")))
            }
        }
    }
}

/// Takes what the coordinator reads from the environment out of a command's: figures are those of the defaults.
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

/// The coordinator's binary, which is installed next to this one.
fn binary() -> Result<PathBuf, Failure> {
    let own = env::current_exe().map_err(|error| failed("find this program", &error))?;
    let binary = own.with_file_name("leasehold-coordinator");
    if !binary.is_file() {
        return Err(Failure::Bench(format!("there is no {}", binary.display())));
    }
    Ok(binary)
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
