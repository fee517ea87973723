//! A program that does the work of a task type.

mod capture;
mod checkpoint;
mod environment;
mod group;
mod leash;
mod process;
mod scratch;

use std::{
    ffi::{OsStr, OsString},
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use bytes::{Bytes, BytesMut};
use leasehold_proto::v1;
use leasehold_telemetry::TraceContext;
use prost::Message as _;
use rustix::io::Errno;
use signal_hook::consts::{SIGABRT, SIGBUS, SIGFPE, SIGILL, SIGSEGV, SIGTRAP};

use self::{
    capture::Keep,
    checkpoint::Saves,
    process::{Exit, Process},
};
pub(crate) use self::{
    environment::CHECKPOINT_BYTES_MAX, leash::Leash, process::EXECUTABLE, scratch::Scratch,
};
use crate::{
    assignment::Assignment,
    context::House,
    guard::{Report, Strand, Ward},
    isolated::{FAILURE_BYTES_MAX, Frame, HEADER_BYTES, PROGRESS_BYTES_MAX, Reports},
    limits::Limits,
    outcome::{End, Failure, tail},
    progress::Board,
    session::too_large,
};

/// The exit code with which a program asks to be tried again later (`EX_TEMPFAIL` of `sysexits.h`).
const EXIT_RETRY: i32 = 75;

/// The signals by which the system ends a process that has gone wrong by itself.
const CRASHES: [i32; 6] = [SIGABRT, SIGBUS, SIGFPE, SIGILL, SIGSEGV, SIGTRAP];

/// A program that does the work of a task type: the payload is its stdin, its stdout the result.
///
/// It succeeds with exit code 0. Any other code is a failure that the task's retry policy may try again; 75 says that
/// this is what the program asks for. The end of its stderr is kept with a failure. `docs/worker.md` lists the
/// environment it finds.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use = "a program does nothing until a worker serves a task type with it"]
pub struct Program {
    path: OsString,
    arguments: Vec<OsString>,
    environment: Vec<(OsString, OsString)>,
    directory: Option<PathBuf>,
}

impl Program {
    /// A program, found as a shell would find it. No shell is involved, so nothing is expanded.
    pub fn new(path: impl AsRef<OsStr>) -> Self {
        Self {
            path: path.as_ref().to_owned(),
            arguments: Vec::new(),
            environment: Vec::new(),
            directory: None,
        }
    }

    /// Adds an argument.
    pub fn arg(mut self, argument: impl AsRef<OsStr>) -> Self {
        self.arguments.push(argument.as_ref().to_owned());
        self
    }

    /// Adds arguments.
    pub fn args<A: AsRef<OsStr>>(self, arguments: impl IntoIterator<Item = A>) -> Self {
        arguments.into_iter().fold(self, Self::arg)
    }

    /// Sets a variable of its environment, which otherwise is the worker's own and that of the attempt.
    pub fn env(mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Self {
        self.environment.push((name.as_ref().to_owned(), value.as_ref().to_owned()));
        self
    }

    /// Where it runs. Default: where the worker runs.
    pub fn current_dir(self, directory: impl AsRef<Path>) -> Self {
        Self { directory: Some(directory.as_ref().to_owned()), ..self }
    }
}

impl Program {
    /// The names of the variables that are set for it.
    pub(crate) fn variables(&self) -> impl Iterator<Item = &OsStr> {
        self.environment.iter().map(|(name, _)| name.as_os_str())
    }
}

/// What a program is.
pub(crate) enum Kind {
    /// Anything: its stdin is the payload, its stdout the result. That it writes is progress, left here if it matters.
    Program(Arc<Board>),
    /// The worker's own executable, to call a function; progress is left here.
    Isolated(Arc<Board>),
}

impl Kind {
    fn ward(&self) -> Ward {
        match self {
            Self::Program(_) => Ward::Program,
            Self::Isolated(_) => Ward::Isolated,
        }
    }
}

/// One attempt of a program.
pub(crate) struct Attempt {
    pub(crate) program: Arc<Program>,
    pub(crate) kind: Kind,
    pub(crate) assignment: Arc<Assignment>,
    pub(crate) house: Arc<House>,
    /// The attempt's own span.
    pub(crate) trace: TraceContext,
    pub(crate) limits: Limits,
    /// Where checkpoints are kept for it while it runs.
    pub(crate) scratch: Arc<Scratch>,
    /// What stops it.
    pub(crate) leash: Arc<Leash>,
    /// How long the lease holds, for its guard to read.
    pub(crate) strand: Arc<Strand>,
}

impl Attempt {
    /// Runs the program to its end; nothing of its process group is left then.
    pub(crate) async fn run(self) -> End {
        let saves = Saves::open(&self).await;
        let environment = match environment::of(&self, saves.as_ref().map(Saves::path)) {
            Ok(environment) => environment,
            Err(failure) => return End::Returned(Err(failure)),
        };
        let window = match self.strand.write_down() {
            Ok(window) => window,
            Err(error) => return self.put_off(&error),
        };
        let process = match Process::start(&self, &window, environment) {
            Ok(process) => process,
            Err(error) if error.raw_os_error().is_some_and(is_scarcity) => {
                return self.put_off(&error);
            }
            Err(error) => {
                let message =
                    format!("cannot start a guard for {}: {error}", self.program.path.display());
                return End::Returned(Err(Failure::error(&message)));
            }
        };
        let exit = checkpoint::followed(process.watch(self.input()), saves).await;
        if exit.is_overflowed {
            return End::Returned(Err(too_large(self.limits.result_bytes)));
        }
        match self.kind {
            Kind::Program(_) => self.judge(exit),
            Kind::Isolated(_) => self.judge_isolated(exit),
        }
    }

    /// What it reads.
    fn input(&self) -> Bytes {
        match self.kind {
            Kind::Program(_) => self.assignment.payload.clone(),
            Kind::Isolated(_) => self.assignment.to_wire(&self.trace).encode_to_vec().into(),
        }
    }

    /// What is kept of what it writes.
    fn kept(&self) -> Keep {
        match &self.kind {
            Kind::Program(_) => Keep::All(self.limits.result_bytes),
            Kind::Isolated(board) => {
                let Limits { result_bytes, checkpoint_bytes } = self.limits;
                let progress_bytes = checkpoint_bytes.saturating_add(PROGRESS_BYTES_MAX);
                let body = result_bytes.max(FAILURE_BYTES_MAX).max(progress_bytes);
                let max = body.saturating_add(HEADER_BYTES);
                let token = self.assignment.token;
                Keep::Outcome(max, Reports { board: Arc::clone(board), token })
            }
        }
    }

    /// The machine has no room for the program, which is not the task's fault.
    fn put_off(&self, error: &io::Error) -> End {
        let (path, error) = (self.program.path.display(), error.to_string());
        tracing::warn!(%path, error, "no room to start a program: its task is handed back");
        End::NotStarted
    }

    /// What the program's end means.
    fn judge(&self, exit: Exit) -> End {
        let message = match exit.report {
            Some(Report::Exited(0)) if exit.is_whole => return End::Returned(Ok(exit.stdout)),
            Some(Report::Exited(0)) => {
                "the end of the program's output is unknown: something it started has left its \
                 process group and goes on writing"
                    .to_owned()
            }
            Some(Report::Signaled(_)) | None if exit.was_signaled => return End::Killed,
            Some(Report::Overdue) => return End::Killed,
            Some(Report::Exited(EXIT_RETRY)) => {
                format!("the program asks to be tried again later (exit code {EXIT_RETRY})")
            }
            Some(Report::Exited(code)) => format!("exit code {code}"),
            Some(Report::Signaled(signal)) => format!("killed by {}", signal_name(signal)),
            Some(Report::NotStarted(error)) if is_scarcity(error) => {
                return self.put_off(&io::Error::from_raw_os_error(error));
            }
            Some(Report::NotStarted(error)) => {
                let error = io::Error::from_raw_os_error(error);
                format!("cannot run {}: {error}", self.program.path.display())
            }
            Some(Report::NotEntered(error)) => {
                let directory = self.program.directory.as_deref().unwrap_or(Path::new(""));
                let error = io::Error::from_raw_os_error(error);
                format!("cannot enter the directory {}: {error}", directory.display())
            }
            None => "the program's guard was killed, and the program with it".to_owned(),
        };
        let details = tail(&String::from_utf8_lossy(&exit.stderr));
        End::Returned(Err(Failure::new(v1::FailureReason::Error, &message, &details)))
    }
}

/// What an isolated function's end means. What it said it has said, however its process ended afterwards.
impl Attempt {
    fn judge_isolated(&self, exit: Exit) -> End {
        match Frame::take(&mut BytesMut::from(exit.stdout)) {
            Some(Frame::Success(result)) => return End::Returned(Ok(result)),
            Some(Frame::Failure(failure)) => return End::Returned(Err(Failure(Box::new(failure)))),
            Some(Frame::Progress(_)) | None => {}
        }
        let mut reason = v1::FailureReason::Error;
        let message = match exit.report {
            Some(Report::Signaled(_)) | None if exit.was_signaled => return End::Killed,
            Some(Report::Overdue) => return End::Killed,
            Some(Report::Exited(code)) => {
                format!("the handler's process exited with code {code} and left no result")
            }
            Some(Report::Signaled(signal)) => {
                if CRASHES.contains(&signal) {
                    reason = v1::FailureReason::Panic;
                }
                format!("the handler's process was ended by {}", signal_name(signal))
            }
            Some(Report::NotStarted(error) | Report::NotEntered(error)) if is_scarcity(error) => {
                return self.put_off(&io::Error::from_raw_os_error(error));
            }
            Some(Report::NotStarted(error) | Report::NotEntered(error)) => {
                let error = io::Error::from_raw_os_error(error);
                format!("cannot start the handler's process: {error}")
            }
            None => {
                "the guard of the handler's process was killed, and the process with it".to_owned()
            }
        };
        let details = tail(&String::from_utf8_lossy(&exit.stderr));
        End::Returned(Err(Failure::new(reason, &message, &details)))
    }
}

/// Whether an error number says that the machine, or what it allows the worker, is used up for the moment.
fn is_scarcity(error: i32) -> bool {
    [Errno::MFILE, Errno::NFILE, Errno::AGAIN, Errno::NOMEM]
        .map(Errno::raw_os_error)
        .contains(&error)
}

fn signal_name(signal: i32) -> String {
    let name = signal_hook::low_level::signal_name(signal);
    name.map_or_else(|| format!("signal {signal}"), |name| format!("{name} (signal {signal})"))
}
