//! The process of an isolated function: it takes one attempt from its worker, calls the function, says how it went.

use std::{
    collections::BTreeMap,
    convert::Infallible,
    fs::File,
    io::{self, ErrorKind, Read as _, Write as _},
    os::{fd::AsFd as _, unix::net::UnixStream},
    process::exit,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread,
    time::Instant,
};

use bytes::Bytes;
use leasehold_proto::v1;
use prost::Message as _;
use rustix::{
    process::{getpgrp, getppid},
    stdio::{dup2_stdin, dup2_stdout},
};
use signal_hook::consts::SIGTERM;
use tokio::{io::AsyncReadExt as _, runtime::Builder};

use super::Frame;
use crate::{
    Context, TaskError,
    assignment::Assignment,
    clock::{Clock, Moment},
    context::{CancelReason, House, Known},
    guard::{Lookout, Reached, Window},
    limits::Limits,
    outcome::Failure,
    panic_note,
    program::CHECKPOINT_BYTES_MAX,
    progress::{Board, Pace},
    task::{Blocking, Task},
    tether::{Signal, Tether},
};

/// Names the lease's record to a process that is to call a function. Its own children inherit it and are none.
pub(crate) const MARKER: &str = "LEASEHOLD_ISOLATED";

/// The exit code of a process that could not take its attempt, or not say how it went.
const EXIT_BROKEN: i32 = 70;

/// The attempt this process is for, until it is called.
static CALL: Mutex<Option<Call>> = Mutex::new(None);

/// The one attempt of this process.
pub(crate) struct Call {
    assignment: Assignment,
    lookout: Lookout,
    /// Where frames go. The process's stdout leads to its stderr: what the function prints is no result.
    frames: File,
    /// Readable when the process has been asked to stop.
    stops: UnixStream,
}

/// Takes the attempt, if this process was started for one. It must come before anything that reads stdin or writes to
/// stdout.
pub(crate) fn adopt() -> io::Result<()> {
    // Its parent is the guard, which leads their group. That is not so for what the function itself starts.
    let is_ward = getppid().is_some_and(|parent| parent == getpgrp());
    let Some(index) = std::env::var(MARKER).ok().filter(|_| is_ward) else { return Ok(()) };
    let index = index.parse().map_err(|_| ErrorKind::InvalidInput)?;
    let (stops, bell) = UnixStream::pair()?;
    signal_hook::low_level::pipe::register(SIGTERM, bell)?;
    let mut stdin = UnixStream::from(io::stdin().as_fd().try_clone_to_owned()?);
    let window = Window::receive(&stdin, index)?;
    let lookout = Lookout::There(Arc::new(window));
    let mut bytes = Vec::new();
    stdin.read_to_end(&mut bytes)?;
    let assignment =
        v1::Assignment::decode(Bytes::from(bytes)).map_err(|_| ErrorKind::InvalidData)?;
    let frames = File::from(io::stdout().as_fd().try_clone_to_owned()?);
    dup2_stdin(File::open("/dev/null")?)?;
    dup2_stdout(io::stderr())?;
    let assignment = Assignment::parse(assignment);
    *locked(&CALL) = Some(Call { assignment, lookout, frames, stops });
    Ok(())
}

/// The attempt this process is for. `None`: it is a worker.
pub(crate) fn call() -> Option<Call> {
    locked(&CALL).take()
}

impl Call {
    /// Calls the function and says how it went. It never returns: the process has nothing else to do.
    #[expect(clippy::print_stderr, reason = "the worker keeps it with the failure")]
    pub(crate) fn answer(self, tasks: &BTreeMap<String, Task>) -> ! {
        let Self { assignment, lookout, frames, stops } = self;
        let function = tasks.get(&assignment.task_type).and_then(|task| match task {
            Task::Isolated(_, function) => Some(Arc::clone(function)),
            Task::Function(_) | Task::Blocking(_) | Task::Program(_) => None,
        });
        let said = match function {
            Some(function) => talk(assignment, lookout, frames, stops, function),
            None => Err(io::Error::other("it does not serve the task type that its worker does")),
        };
        let Err(error) = said;
        eprintln!("the process of an isolated handler failed: {error}");
        exit(EXIT_BROKEN)
    }
}

#[expect(clippy::exit, reason = "the process is for this one call")]
fn talk(
    assignment: Assignment,
    lookout: Lookout,
    frames: File,
    stops: UnixStream,
    function: Arc<Blocking>,
) -> io::Result<Infallible> {
    let board = Arc::new(Board::default());
    let frames = Arc::new(Mutex::new(frames));
    let worker_id = std::env::var("LEASEHOLD_WORKER_ID").unwrap_or_default();
    let trace = assignment.trace.clone();
    let payload = assignment.payload.clone();
    let limit = assignment.limit();
    let [deadline, task_deadline] = assignment.deadlines(Instant::now());
    let context = Context::new(Known {
        house: Arc::new(House {
            worker_id,
            clock: Clock::Boot,
            board: Arc::clone(&board),
            asks: None,
        }),
        assignment: Arc::new(assignment),
        trace,
        limits: limits(),
        lookout: lookout.clone(),
        tether: Tether::new(deadline),
        task_deadline,
    });
    let reporter =
        Reporter { board: Arc::clone(&board), frames: Arc::clone(&frames), lookout, limit };
    stops.set_nonblocking(true)?;
    let told = context.clone();
    thread::Builder::new().name("reports".to_owned()).spawn(move || {
        // Without reports the attempt goes on, and it is killed where it would have been asked.
        let _silent = reporter.run(stops, told.tether());
    })?;
    // Not on this thread: the runtime that `main` may have begun forbids it to the function to begin another.
    let call = move || -> Result<Bytes, Failure> {
        let caught = panic_note::caught(|| function(&payload, &context));
        caught.and_then(|result| result.map_err(TaskError::into_failure))
    };
    let called = thread::Builder::new().name("handler".to_owned()).spawn(call)?.join();
    let outcome = called.unwrap_or_else(|_| Err(Failure::error("the handler's thread panicked")));
    // Held to the end of the process: nothing may follow the outcome.
    let mut frames = locked(&frames);
    report(&board, &mut frames)?;
    frames.write_all(&Frame::of_outcome(outcome).encode())?;
    exit(0)
}

/// Its worker says how large a checkpoint may be, and sees to the size of the result itself.
fn limits() -> Limits {
    let said = std::env::var(CHECKPOINT_BYTES_MAX).ok().and_then(|text| text.parse().ok());
    Limits { result_bytes: usize::MAX, checkpoint_bytes: said.unwrap_or(0) }
}

/// What goes on beside the function.
struct Reporter {
    board: Arc<Board>,
    frames: Arc<Mutex<File>>,
    lookout: Lookout,
    /// Why it is to stop when its own time is over.
    limit: CancelReason,
}

impl Reporter {
    fn run(self, stops: UnixStream, tether: &Tether) -> io::Result<()> {
        Builder::new_current_thread().enable_all().build()?.block_on(async {
            let mut stops = tokio::net::UnixStream::from_std(stops)?;
            let mut pace = Pace::new();
            loop {
                tokio::select! {
                    () = pace.next(&self.board) => report(&self.board, &mut locked(&self.frames))?,
                    read = stops.read_u8() => {
                        read?;
                        tether.signal(Signal::Cancel(self.reason()));
                    }
                }
            }
        })
    }

    /// Why the process is asked to stop: what the worker has written, or what its guard has read off the clock, which may
    /// be first.
    fn reason(&self) -> CancelReason {
        let written = self.lookout.asked().and_then(CancelReason::of_code);
        written.unwrap_or_else(|| match self.lookout.reached(Moment::now()) {
            Some(Reached::Session) => CancelReason::LeaseLost,
            Some(Reached::Own) => self.limit,
            None => CancelReason::Cancelled,
        })
    }
}

fn report(board: &Board, frames: &mut File) -> io::Result<()> {
    for progress in board.take().into_values() {
        frames.write_all(&Frame::Progress(progress).encode())?;
    }
    Ok(())
}

/// What a lock protects is whole even after a panic: nothing is written while it is held.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
