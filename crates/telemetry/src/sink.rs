//! Where log lines go: to a thread that writes them, so that nobody who logs waits for whoever reads.
//!
//! A reader that has stopped (a full pipe, a terminal on hold) would otherwise stop the process with its next line. Lines
//! that find no room are dropped and counted. It knows nothing of what a line says.

use std::io::{self, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use tracing_subscriber::fmt::MakeWriter;

#[cfg(test)]
mod tests;

/// How many lines may wait to be written: some megabytes, and several seconds of a busy process.
pub(crate) const LINES_MAX: usize = 8_192;

/// The way to the thread that writes. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Sink(Arc<Shared>);

/// The end of the thread that writes.
#[derive(Debug)]
pub(crate) struct Drained {
    sink: Sink,
    /// Disconnected once every line is written.
    done: Receiver<()>,
}

#[derive(Debug)]
struct Shared {
    /// None if there is no thread (any more): lines are written where they are said.
    lines: Mutex<Option<SyncSender<Vec<u8>>>>,
    dropped: AtomicU64,
}

impl Sink {
    /// A sink of at most `most` waiting lines, whose thread writes to `output` and tells `report` how many lines were
    /// dropped, once there is room again.
    pub(crate) fn start(
        most: usize,
        output: impl Write + Send + 'static,
        report: impl Fn(u64) + Send + 'static,
    ) -> (Self, Drained) {
        let (sender, lines) = sync_channel(most);
        let (end, done) = sync_channel(0);
        let shared = Shared { lines: Mutex::new(Some(sender)), dropped: AtomicU64::new(0) };
        let sink = Self(Arc::new(shared));
        let dropped = Arc::clone(&sink.0);
        let started = thread::Builder::new().name("log".to_owned()).spawn(move || {
            write_all(&lines, output, || {
                let lines = dropped.dropped.swap(0, Ordering::Relaxed);
                if 0 < lines {
                    report(lines);
                }
            });
            drop(end);
        });
        if started.is_err() {
            sink.close();
        }
        (sink.clone(), Drained { sink, done })
    }

    /// Takes a line, or drops it.
    fn take(&self, line: &[u8]) -> io::Result<()> {
        let lines = self.0.lines.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(sender) = &*lines else {
            drop(lines);
            return io::stderr().write_all(line);
        };
        if sender.try_send(line.to_vec()).is_err() {
            self.0.dropped.fetch_add(1, Ordering::Relaxed);
        }
        Ok(())
    }

    fn close(&self) {
        self.0.lines.lock().unwrap_or_else(PoisonError::into_inner).take();
    }
}

impl Drained {
    /// Ends the thread and waits until everything is written, for `limit` at most. Later lines are written where they are
    /// said.
    pub(crate) fn wait(&self, limit: Duration) {
        self.sink.close();
        // Nothing is ever sent: that the other end is gone is the news.
        while self.done.recv_timeout(limit).is_ok() {}
    }
}

/// Writes every line until there is nobody left who could say one. A line that cannot be written is nobody's to hear of.
fn write_all(lines: &Receiver<Vec<u8>>, mut output: impl Write, written: impl Fn()) {
    for line in lines {
        drop(output.write_all(&line));
        written();
    }
    drop(output.flush());
}

/// One line; it comes as a whole.
#[derive(Debug)]
pub(crate) struct Line<'a>(&'a Sink);

impl Write for Line<'_> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.0.take(line)?;
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Sink {
    type Writer = Line<'a>;

    fn make_writer(&'a self) -> Self::Writer {
        Line(self)
    }
}
