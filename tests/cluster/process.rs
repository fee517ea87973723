//! A process under test: its log in a file, its end with the test's, its group and children in `/proc`.

use std::{
    fs::{self, File},
    os::unix::process::ExitStatusExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    thread,
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::condition::{SOON, eventually, until};

/// How much of a log is shown when a test fails.
const TAIL_LINES: usize = 60;

/// A running process. Killed and reaped when dropped; a failing test shows the end of its log.
pub(crate) struct Process {
    name: String,
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts a command with both its outputs in the file `log`.
    pub(crate) fn spawn(name: &str, mut command: Command, log: PathBuf) -> Self {
        let file = File::create(&log).expect("the log can be created");
        let twin = file.try_clone().expect("the log can be shared");
        let child = command
            .stdin(Stdio::null())
            .stdout(twin)
            .stderr(file)
            .spawn()
            .unwrap_or_else(|error| panic!("{name} does not start: {error}"));
        Self { name: name.to_owned(), child, log }
    }

    /// The process id.
    pub(crate) fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    /// Sends a signal.
    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(self.pid(), signal).unwrap_or_else(|error| panic!("{}: {error}", self.name));
    }

    /// Sends SIGSTOP and waits until none of its threads runs, which on a busy machine takes a moment.
    pub(crate) async fn freeze(&self) {
        self.signal(Signal::STOP);
        let threads = format!("/proc/{}/task", self.pid().as_raw_nonzero());
        until(&format!("{} stands still", self.name), SOON, async || {
            let mut threads = fs::read_dir(&threads).into_iter().flatten().flatten();
            threads.all(|it| stat(&it.path()).is_some_and(|it| it.state == 'T'))
        })
        .await;
    }

    /// Kills the process as `kill -9` does and reaps it.
    pub(crate) fn kill(&mut self) {
        // It may have ended by itself; then there is nothing to kill.
        let _ended = self.child.kill();
        self.child.wait().expect("a child can be waited for");
    }

    /// How the process ended, if it has.
    pub(crate) fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("a child can be waited for")
    }

    /// Waits for the process to end by itself.
    pub(crate) async fn exit(&mut self, within: Duration) -> ExitStatus {
        let what = format!("{} exits", self.name);
        eventually(&what, within, async || self.ended()).await
    }

    /// Waits for the process to end by itself and expects this exit code.
    pub(crate) async fn exits_with(&mut self, code: i32, within: Duration) {
        let status = self.exit(within).await;
        let signal = status.signal();
        assert_eq!(
            status.code(),
            Some(code),
            "{} (signal {signal:?}):\n{}",
            self.name,
            self.tail()
        );
    }

    /// Everything the process has written.
    pub(crate) fn log(&self) -> String {
        // The directory may be gone by the time a failing test shows what is left.
        let bytes = fs::read(&self.log).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// The lines of the log that are JSON.
    pub(crate) fn events(&self) -> Vec<Value> {
        self.log().lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }

    /// The end of the log.
    pub(crate) fn tail(&self) -> String {
        let log = self.log();
        let skip = log.lines().count().saturating_sub(TAIL_LINES);
        log.lines().skip(skip).collect::<Vec<_>>().join("\n")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("--- {} ---\n{}\n", self.name, self.tail());
        }
        // A stopped process dies of SIGKILL as well.
        let _ended = self.child.kill();
        let _reaped = self.child.wait();
    }
}

/// Whether a process runs: it exists and is no zombie.
pub(crate) fn is_alive(pid: i32) -> bool {
    stat(&of(pid)).is_some_and(|it| it.state != 'Z' && it.state != 'X')
}

/// The processes that run in a group.
pub(crate) fn group_members(group: i32) -> Vec<i32> {
    let entries = fs::read_dir("/proc").expect("/proc is mounted");
    let pids = entries.filter_map(|it| it.ok()?.file_name().to_str()?.parse().ok());
    pids.filter(|pid| is_alive(*pid) && stat(&of(*pid)).is_some_and(|it| it.group == group))
        .collect()
}

/// The group of a process, if it exists.
pub(crate) fn group_of(pid: i32) -> Option<i32> {
    stat(&of(pid)).map(|it| it.group)
}

fn of(pid: i32) -> PathBuf {
    PathBuf::from(format!("/proc/{pid}"))
}

/// What `stat` of a process or thread says.
struct Stat {
    state: char,
    group: i32,
}

fn stat(of: &Path) -> Option<Stat> {
    let text = fs::read_to_string(of.join("stat")).ok()?;
    // The name stands in parentheses and may contain anything, parentheses too.
    let (_, after) = text.rsplit_once(')')?;
    let mut fields = after.split_whitespace();
    let state = fields.next()?.chars().next()?;
    let group = fields.nth(1)?.parse().ok()?;
    Some(Stat { state, group })
}
