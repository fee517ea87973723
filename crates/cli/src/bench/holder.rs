//! Holders of the leases whose ends `bench expiry` waits for: a program, and async functions of a worker.
//!
//! A program says that it runs by connecting to a socket; who listens there learns its process id from the connection. The
//! functions of one worker share a connection, on which each says when it begins and when it has been dropped.

use std::{
    io::{self, Read as _, Write as _},
    os::unix::net::UnixStream,
    path::Path,
    sync::{
        Arc,
        atomic::AtomicBool,
        mpsc::{self, Receiver, SyncSender},
    },
    thread,
};

use bytes::Bytes;
use leasehold_worker::{Context, TaskError, Worker};
use rustix::time::{ClockId, clock_gettime};
use signal_hook::consts::SIGTERM;

use crate::failure::Failure;

/// How many bytes a word of a function has: what it says, and when.
pub(super) const WORD_BYTES: usize = 9;

/// How many words wait to be written: all that the functions of a full worker say in their lives, so that none waits.
const WORDS_WAITING_MAX: usize = 20_000;

/// How many words are written at once.
const WORDS_AT_ONCE: usize = 4_096;

/// What a payload says to whoever must be killed. Any other handler dies of SIGTERM.
pub(super) const DEAF: &str = "deaf";

/// What it says to a function whose end nobody sees.
pub(super) const UNSEEN: &str = "unseen";

/// The program: runs until a signal ends it, or the listener goes.
pub(crate) fn run(socket: &Path) -> io::Result<()> {
    let mut payload = String::new();
    io::stdin().read_to_string(&mut payload)?;
    if payload == DEAF {
        signal_hook::flag::register(SIGTERM, Arc::new(AtomicBool::new(false)))?;
    }
    let mut listener = UnixStream::connect(socket)?;
    // Nothing is ever sent: this ends with the listener, whatever signals come.
    listener.read_to_end(&mut Vec::new())?;
    Ok(())
}

/// A worker with the functions, whose ends are seen if there is a socket. Where the coordinator is, and how many may run, it finds
/// in the environment.
pub(super) async fn work(task_type: String, socket: Option<&Path>) -> Result<(), Failure> {
    let (words, said) = mpsc::sync_channel(WORDS_WAITING_MAX);
    if let Some(socket) = socket {
        let connected = UnixStream::connect(socket).and_then(|connection| {
            // It ends with the last of the functions; whoever listens waits for that before the worker is asked to go.
            let words = thread::Builder::new().name("words".to_owned());
            words.spawn(move || tell(connection, &said))
        });
        connected
            .map_err(|error| Failure::Bench(format!("the functions are not heard: {error}")))?;
    }
    let handler = move |payload, context| function(words.clone(), payload, context);
    let worked = async { Worker::from_env()?.task(task_type, handler).run().await };
    worked.await.map_err(|error| Failure::Bench(format!("the worker failed: {error}")))
}

async fn function(
    words: SyncSender<Word>,
    payload: Bytes,
    context: Context,
) -> Result<(), TaskError> {
    if payload == UNSEEN {
        context.cancelled().await;
        return Ok(());
    }
    let _life = Life::begin(words);
    if payload == DEAF {
        std::future::pending::<()>().await;
    }
    context.cancelled().await;
    Err(TaskError::retry("asked to stop"))
}

/// What a function says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Said {
    /// It runs.
    Begun,
    /// It has been dropped.
    Dropped,
}

/// When a function said something, in nanoseconds of the machine's monotonic clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Word {
    pub(super) said: Said,
    pub(super) nanos: u64,
}

impl Word {
    fn now(said: Said) -> Self {
        Self { said, nanos: monotonic_nanos() }
    }

    fn bytes(self) -> [u8; WORD_BYTES] {
        let mut bytes = [u8::from(self.said == Said::Dropped); WORD_BYTES];
        for (byte, digit) in bytes.iter_mut().skip(1).zip(self.nanos.to_be_bytes()) {
            *byte = digit;
        }
        bytes
    }

    pub(super) fn read([said, nanos @ ..]: [u8; WORD_BYTES]) -> Self {
        let said = if said == 0 { Said::Begun } else { Said::Dropped };
        Self { said, nanos: u64::from_be_bytes(nanos) }
    }
}

/// Nanoseconds of the clock that all processes of the machine share.
pub(super) fn monotonic_nanos() -> u64 {
    let now = clock_gettime(ClockId::Monotonic);
    let part = |it: i64| u64::try_from(it).unwrap_or(0);
    part(now.tv_sec) * 1_000_000_000 + part(now.tv_nsec)
}

/// The life of a function: it says when it begins and when it ends.
struct Life(SyncSender<Word>);

impl Life {
    fn begin(words: SyncSender<Word>) -> Self {
        // If nobody listens any more, the benchmark has ended, and the worker is about to.
        let _ended = words.send(Word::now(Said::Begun));
        Self(words)
    }
}

impl Drop for Life {
    fn drop(&mut self) {
        let _ended = self.0.send(Word::now(Said::Dropped));
    }
}

/// Hands on what functions say, until none is left that could, or nobody listens any more.
fn tell(mut connection: UnixStream, said: &Receiver<Word>) {
    while let Ok(first) = said.recv() {
        let words = [first].into_iter().chain(said.try_iter()).take(WORDS_AT_ONCE);
        if connection.write_all(&words.flat_map(Word::bytes).collect::<Vec<u8>>()).is_err() {
            return;
        }
    }
}
