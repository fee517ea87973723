//! A program that runs, under its guard.

use std::{
    collections::BTreeMap,
    ffi::OsString,
    io,
    os::{fd::OwnedFd, unix::net::UnixStream},
    process::Stdio,
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    process::{Child, Command},
    time::{Instant, sleep_until},
};

use super::{
    Attempt, Kind,
    capture::{Capture, Heard, Keep, Rest},
    group::Group,
    leash::Knot,
};
use crate::{
    assignment::Token,
    guard::{self, Report, Window},
    progress::Board,
};

/// How long a guard may take to kill its group before the worker does it: twice as long as two busy cores take to kill a
/// thousand.
const GUARD_WAIT_MAX: Duration = Duration::from_secs(1);

/// How many bytes of stderr are kept: enough for 2,000 characters of any language.
const STDERR_BYTES_MAX: usize = 8_000;

/// The worker's own executable, also after it has been replaced on disk.
pub(crate) const EXECUTABLE: &str = "/proc/self/exe";

/// A program that runs, under its guard.
pub(super) struct Process {
    /// Before the guard: it must be gone before somebody waits for that.
    knot: Knot,
    guard: Child,
    /// The worker's end of the socket pair, to read and write. `None`: whoever follows the program has it.
    talk: Option<tokio::net::UnixStream>,
    stdout: Capture,
    stderr: Capture,
    /// Where it is told that the program writes, if somebody wants to know.
    pulse: Option<Pulse>,
}

/// Where a program's signs of life are left.
struct Pulse {
    token: Token,
    board: Arc<Board>,
}

/// What has come of a program's stdout so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Output {
    /// All of it is kept.
    Kept,
    /// It was more than a result may be, and the program has been killed for it.
    Overflowed,
}

/// How a program ended.
pub(super) struct Exit {
    /// The guard's report. `None`: the guard was killed.
    pub(super) report: Option<Report>,
    /// Whether the worker asked the program to stop, or killed it.
    pub(super) was_signaled: bool,
    /// Whether the program wrote more than a result may be.
    pub(super) is_overflowed: bool,
    /// Whether all of its output has been read.
    pub(super) is_whole: bool,
    pub(super) stdout: Bytes,
    pub(super) stderr: Bytes,
}

impl Process {
    pub(super) fn start(
        attempt: &Attempt,
        window: &Window,
        environment: BTreeMap<OsString, OsString>,
    ) -> io::Result<Self> {
        let program = &attempt.program;
        // All that needs a descriptor comes before the program: once that runs, nothing may fail.
        let (link, guards_link) = UnixStream::pair()?;
        window.send(&link)?;
        link.set_nonblocking(true)?;
        let talk = tokio::net::UnixStream::from_std(link.try_clone()?)?;
        let (stdout, guards_stdout) = io::pipe()?;
        let (stderr, guards_stderr) = io::pipe()?;
        let stdout = Capture::new(stdout, attempt.kept())?;
        let stderr = Capture::new(stderr, Keep::Last(STDERR_BYTES_MAX))?;
        let mut command = Command::new(EXECUTABLE);
        command
            .arg0("leasehold-guard")
            .args(guard::arguments(program.directory.as_deref(), attempt.kind.ward(), window))
            .arg(&program.path)
            .args(&program.arguments)
            .env_clear()
            .envs(environment)
            .stdin(Stdio::from(OwnedFd::from(guards_link)))
            .stdout(guards_stdout)
            .stderr(guards_stderr)
            .process_group(0);
        let guard = command.spawn()?;
        let group = guard.id().and_then(Group::of).ok_or(io::ErrorKind::NotFound)?;
        let pulse = match (&attempt.kind, attempt.assignment.progress_timeout) {
            (Kind::Program(board), Some(_)) => {
                Some(Pulse { token: attempt.assignment.token, board: Arc::clone(board) })
            }
            (Kind::Program(_) | Kind::Isolated(_), _) => None,
        };
        let knot = Arc::clone(&attempt.leash).tie(group, link);
        Ok(Self { knot, guard, talk: Some(talk), stdout, stderr, pulse })
    }

    /// Feeds the program and follows it, until nothing of its group is left.
    pub(super) async fn watch(mut self, payload: Bytes) -> Exit {
        let (report, output) = match self.talk.take() {
            Some(talk) => self.follow(talk, &payload).await,
            None => (None, Output::Kept),
        };
        let (group, was_signaled) = (self.knot.group(), self.knot.was_pulled());
        if report.is_none() {
            group.kill();
        }
        // The worker's end is closed with this: a guard that has not ended yet does so.
        drop(self.knot);
        let _status = self.guard.wait().await;
        if report.is_none() {
            group.gone().await;
        }
        let (stdout, rest) = self.stdout.finish();
        let (stderr, _of_no_matter) = self.stderr.finish();
        Exit {
            report,
            was_signaled,
            is_overflowed: output == Output::Overflowed || rest == Rest::Overflow,
            is_whole: rest == Rest::Whole,
            stdout,
            stderr,
        }
    }

    async fn follow(
        &mut self,
        mut talk: tokio::net::UnixStream,
        payload: &[u8],
    ) -> (Option<Report>, Output) {
        let (from_guard, to_guard) = talk.split();
        let mut report = std::pin::pin!(report(from_guard));
        let mut feed = std::pin::pin!(feed(to_guard, payload));
        let mut output = Output::Kept;
        // When the worker kills the group itself. `None`: the guard has not been told to.
        let mut kill_by = None;
        loop {
            tokio::select! {
                biased;
                report = &mut report => return (report, output),
                () = self.knot.killed(), if kill_by.is_none() => {
                    kill_by = Some(Instant::now() + GUARD_WAIT_MAX);
                }
                () = sleep_until(kill_by.unwrap_or_else(Instant::now)), if kill_by.is_some() => {
                    return (None, output);
                }
                heard = self.stdout.fill(), if output == Output::Kept => match heard {
                    Heard::Some => self.report_life(),
                    Heard::Overflow => {
                        output = Output::Overflowed;
                        self.knot.kill();
                    }
                },
                Heard::Some | Heard::Overflow = self.stderr.fill() => self.report_life(),
                () = &mut feed => {}
            }
        }
    }

    /// Whatever a program writes is a sign of life; the last line of its stderr is for people. Only a task that asked for it
    /// pays for that.
    fn report_life(&self) {
        if let Some(pulse) = &self.pulse {
            pulse.board.post(pulse.token, None, self.stderr.last_line());
        }
    }
}

/// Waits for the guard's report; `None` if it ends without one.
async fn report(mut guard: impl AsyncRead + Unpin) -> Option<Report> {
    let mut bytes = [0; Report::BYTES];
    guard.read_exact(&mut bytes).await.ok()?;
    Report::decode(bytes)
}

/// Hands the payload over, and then only keeps the socket open.
async fn feed(mut guard: impl AsyncWrite + Unpin, payload: &[u8]) {
    let header = guard::header(payload);
    // A guard that takes no more is on its way out, and says why in its report.
    let _closed = async {
        guard.write_all(&header).await?;
        guard.write_all(payload).await
    }
    .await;
    std::future::pending::<()>().await;
}
