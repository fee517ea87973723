//! The processes of a pool's workers, told apart by number. It knows nothing of why one is started.

use std::{
    collections::BTreeMap,
    env,
    ffi::OsString,
    io,
    os::{fd::OwnedFd, unix::process::ExitStatusExt as _},
    process::{ExitStatus, Stdio},
};

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use tokio::{process::Command, task::JoinSet};

use super::roster::Left;

/// This executable, also if another one has taken its place in the file system.
const EXECUTABLE: &str = "/proc/self/exe";

/// Every process of a worker that runs.
#[derive(Debug, Default)]
pub(crate) struct Members {
    /// By number; each names that process and no later one with the same id.
    running: BTreeMap<u32, OwnedFd>,
    ends: JoinSet<(u32, io::Result<ExitStatus>)>,
}

impl Members {
    /// Starts a worker with the pool's own flags. Its process id.
    pub(crate) fn start(&mut self, number: u32) -> io::Result<u32> {
        let mut child = Command::new(EXECUTABLE)
            .arg0("leasehold-worker")
            .args(arguments(env::args_os(), number, std::process::id()))
            .stdin(Stdio::null())
            // What is typed at a terminal is for the pool, which tells its workers.
            .process_group(0)
            .kill_on_drop(true)
            .spawn()?;
        let pid = child.id().ok_or(io::ErrorKind::NotFound)?;
        let raw = i32::try_from(pid).ok().and_then(Pid::from_raw).ok_or(io::ErrorKind::NotFound)?;
        let handle = pidfd_open(raw, PidfdFlags::empty())?;
        self.running.insert(number, handle);
        self.ends.spawn(async move { (number, child.wait().await) });
        Ok(pid)
    }

    /// The next worker that ends, and how; never, if none runs.
    pub(crate) async fn next_end(&mut self) -> (u32, Left) {
        match self.ends.join_next().await {
            Some(Ok((number, status))) => {
                self.running.remove(&number);
                let left = status.map(|it| Left::of(it.code(), it.signal()));
                (number, left.unwrap_or(Left::Broken))
            }
            // No wait panics, and none is aborted.
            Some(Err(_)) | None => std::future::pending().await,
        }
    }

    /// How many run.
    pub(crate) fn len(&self) -> usize {
        self.running.len()
    }

    /// Whether none runs.
    pub(crate) fn is_empty(&self) -> bool {
        self.running.is_empty()
    }

    /// Asks all of them to end.
    pub(crate) fn terminate(&self) {
        self.signal(Signal::TERM);
    }

    /// Kills all of them.
    pub(crate) fn kill(&self) {
        self.signal(Signal::KILL);
    }

    fn signal(&self, signal: Signal) {
        for process in self.running.values() {
            // One that has ended meanwhile needs no signal.
            let _ended = pidfd_send_signal(process, signal);
        }
    }
}

/// The command line of a worker of the pool with this one: what is meant for the worker comes behind the pool's own.
fn arguments(
    own: impl Iterator<Item = OsString>,
    number: u32,
    pool: u32,
) -> impl Iterator<Item = OsString> {
    // The first of them is `pool`: nothing may come before it.
    let mut own = own.skip(1);
    let role = own.next();
    let member = ["--member".into(), number.to_string().into(), pool.to_string().into()];
    role.into_iter().chain(member).chain(own)
}
