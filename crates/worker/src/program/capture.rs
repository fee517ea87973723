//! What a program writes, kept within bounds.

use std::{
    io::PipeReader,
    os::fd::{AsFd as _, BorrowedFd, OwnedFd},
};

use bytes::{Bytes, BytesMut};
use rustix::{io::Errno, pipe::fcntl_getpipe_size};
use tokio::{io::AsyncReadExt as _, net::unix::pipe};

use crate::isolated::Reports;

/// How much is read at once: what a pipe holds unless somebody enlarges it.
const CHUNK_BYTES: usize = 64 << 10;

/// What is kept of what a program writes.
#[derive(Debug)]
pub(super) enum Keep {
    /// All of it, up to this many bytes; more is an overflow.
    All(usize),
    /// The last this many bytes.
    Last(usize),
    /// Of the frames of an isolated function the outcome, up to this many bytes; progress is passed on.
    Outcome(usize, Reports),
}

/// One of the program's outputs.
pub(super) struct Capture {
    pipe: pipe::Receiver,
    keep: Keep,
    bytes: BytesMut,
}

/// What came of waiting for output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Heard {
    /// The program wrote.
    Some,
    /// It wrote more than is kept.
    Overflow,
}

/// More than is kept.
struct Overflow;

/// What became of the rest of an output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rest {
    /// All of it has been read.
    Whole,
    /// It is more than is kept.
    Overflow,
    /// It has no end: somebody goes on writing, or it cannot be read.
    Unread,
}

impl Capture {
    pub(super) fn new(pipe: PipeReader, keep: Keep) -> std::io::Result<Self> {
        let pipe = pipe::Receiver::from_owned_fd(OwnedFd::from(pipe))?;
        Ok(Self { pipe, keep, bytes: BytesMut::new() })
    }

    /// Reads what comes next. May be dropped and called again at any time.
    pub(super) async fn fill(&mut self) -> Heard {
        self.bytes.reserve(CHUNK_BYTES);
        match self.pipe.read_buf(&mut self.bytes).await {
            // Closed: nothing will come, and only the report says how the program ended.
            Ok(0) | Err(_) => std::future::pending().await,
            Ok(_) => {
                excess(&mut self.bytes, &self.keep).map_or(Heard::Some, |Overflow| Heard::Overflow)
            }
        }
    }

    /// The last line that is not empty, as far as it is kept.
    pub(super) fn last_line(&self) -> String {
        let text = String::from_utf8_lossy(&self.bytes);
        let mut lines = text.lines().rev().map(str::trim).filter(|line| !line.is_empty());
        lines.next().unwrap_or_default().to_owned()
    }

    /// Reads what is left in the pipe of a program that has ended, without waiting for those who escaped with it.
    pub(super) fn finish(mut self) -> (Bytes, Rest) {
        let rest = match self.pipe.into_nonblocking_fd() {
            Ok(pipe) => {
                // A program may have enlarged its pipe. What it wrote is in there, and nothing of it beyond.
                let held = fcntl_getpipe_size(&pipe).unwrap_or(CHUNK_BYTES);
                drained(pipe.as_fd(), held, &mut self.bytes, &self.keep)
            }
            Err(_unreadable) => Rest::Unread,
        };
        (self.bytes.into(), rest)
    }
}

/// Reads what is there, at most `held` bytes of it.
fn drained(pipe: BorrowedFd<'_>, held: usize, bytes: &mut BytesMut, keep: &Keep) -> Rest {
    let mut chunk = [0; 4096];
    let mut unread = held;
    loop {
        match rustix::io::read(pipe, &mut chunk) {
            Ok(0) | Err(Errno::AGAIN) => return Rest::Whole,
            Ok(_) if unread == 0 => return Rest::Unread,
            Ok(read) => {
                unread = unread.saturating_sub(read);
                bytes.extend(chunk.iter().take(read));
            }
            Err(Errno::INTR) => {}
            Err(_unreadable) => return Rest::Unread,
        }
        if excess(bytes, keep).is_some() {
            return Rest::Overflow;
        }
    }
}

/// Drops what need not be kept.
fn excess(bytes: &mut BytesMut, keep: &Keep) -> Option<Overflow> {
    match keep {
        Keep::All(max) => (bytes.len() > *max).then_some(Overflow),
        Keep::Last(max) => {
            drop(bytes.split_to(bytes.len().saturating_sub(*max)));
            None
        }
        Keep::Outcome(max, reports) => {
            reports.take_from(bytes);
            (bytes.len() > *max).then_some(Overflow)
        }
    }
}

#[cfg(test)]
mod tests;
