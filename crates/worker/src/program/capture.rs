//! What a program writes, kept within bounds.

use std::{
    io::PipeReader,
    os::fd::{AsFd as _, OwnedFd},
};

use bytes::{Bytes, BytesMut};
use rustix::io::Errno;
use tokio::{io::AsyncReadExt as _, net::unix::pipe};

/// How much is read at once: what a pipe holds.
const CHUNK_BYTES: usize = 64 << 10;

/// What is kept of what a program writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Keep {
    /// All of it, up to this many bytes; more is an overflow.
    All(usize),
    /// The last this many bytes.
    Last(usize),
}

/// One of the program's outputs.
pub(super) struct Capture {
    pipe: pipe::Receiver,
    keep: Keep,
    bytes: BytesMut,
}

/// A program wrote more than is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Overflow;

impl Capture {
    pub(super) fn new(pipe: PipeReader, keep: Keep) -> std::io::Result<Self> {
        let pipe = pipe::Receiver::from_owned_fd(OwnedFd::from(pipe))?;
        Ok(Self { pipe, keep, bytes: BytesMut::new() })
    }

    /// Reads whatever comes, and resolves only when it is too much. May be dropped and called again at any time.
    pub(super) async fn fill(&mut self) -> Overflow {
        loop {
            self.bytes.reserve(CHUNK_BYTES);
            match self.pipe.read_buf(&mut self.bytes).await {
                // Closed: nothing will come, and only the report says how the program ended.
                Ok(0) | Err(_) => std::future::pending().await,
                Ok(_) => {}
            }
            if self.trim().is_some() {
                return Overflow;
            }
        }
    }

    /// Reads what is left in the pipe of a program that has ended, without waiting for those who escaped with it.
    pub(super) fn finish(mut self) -> (Bytes, Option<Overflow>) {
        let Ok(pipe) = self.pipe.into_nonblocking_fd() else { return (self.bytes.into(), None) };
        let mut chunk = [0; 4096];
        let mut unread = CHUNK_BYTES;
        let mut overflow = None;
        while unread > 0 && overflow.is_none() {
            let read = match rustix::io::read(pipe.as_fd(), &mut chunk) {
                Ok(0) => break,
                Ok(read) => read,
                Err(Errno::INTR) => continue,
                Err(_empty) => break,
            };
            unread = unread.saturating_sub(read);
            self.bytes.extend(chunk.iter().take(read));
            overflow = excess(&mut self.bytes, self.keep);
        }
        (self.bytes.into(), overflow)
    }

    fn trim(&mut self) -> Option<Overflow> {
        excess(&mut self.bytes, self.keep)
    }
}

/// Drops what need not be kept.
fn excess(bytes: &mut BytesMut, keep: Keep) -> Option<Overflow> {
    match keep {
        Keep::All(max) => (bytes.len() > max).then_some(Overflow),
        Keep::Last(max) => {
            drop(bytes.split_to(bytes.len().saturating_sub(max)));
            None
        }
    }
}
