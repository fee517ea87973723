//! The payload on its way from the worker to the program's stdin.
//!
//! Nothing here waits: a program that does not read its input must not keep the guard from watching.

use std::{
    fs::File,
    io::{self, ErrorKind, Read as _, Write as _},
    os::{
        fd::{AsFd as _, BorrowedFd},
        unix::net::UnixStream,
    },
};

/// How much of the payload is in the guard's hands at once: what a pipe takes.
const BUFFER_BYTES: usize = 64 << 10;

/// The payload on its way.
pub(super) struct Feed {
    /// The worker's socket.
    source: UnixStream,
    /// The program's stdin. `None`: it has all it gets.
    sink: Option<File>,
    /// The length's bytes, as they come in.
    header: Vec<u8>,
    /// How much of the payload has not been read. `None`: the length is not known yet.
    unread: Option<u64>,
    buffer: Box<[u8]>,
    /// The part of the buffer that has been read and not written.
    filled: std::ops::Range<usize>,
}

/// Whether the worker is still there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Source {
    Open,
    Closed,
}

impl Feed {
    /// A feed between two ends that do not block.
    pub(super) fn new(source: UnixStream, sink: File) -> Self {
        Self {
            source,
            sink: Some(sink),
            header: Vec::with_capacity(size_of::<u64>()),
            unread: None,
            buffer: vec![0; BUFFER_BYTES].into_boxed_slice(),
            filled: 0..0,
        }
    }

    pub(super) fn source(&self) -> BorrowedFd<'_> {
        self.source.as_fd()
    }

    /// Whether there is something to read and room for it.
    pub(super) fn wants_input(&self) -> bool {
        self.filled.is_empty() && self.unread != Some(0)
    }

    /// The program's stdin, if there is something to write to it.
    pub(super) fn wanted_output(&self) -> Option<BorrowedFd<'_>> {
        self.sink.as_ref().filter(|_| !self.filled.is_empty()).map(|it| it.as_fd())
    }

    /// Reads what is there.
    pub(super) fn read(&mut self) -> io::Result<Source> {
        if !self.wants_input() {
            return Ok(Source::Open);
        }
        let read = match self.unread {
            None => self.read_header(),
            Some(unread) => self.read_payload(unread),
        };
        match read {
            Ok(0) => Ok(Source::Closed),
            Ok(_) => Ok(Source::Open),
            Err(error) if is_temporary(&error) => Ok(Source::Open),
            Err(error) => Err(error),
        }
    }

    /// Writes what the program takes. One that has closed its stdin takes everything.
    pub(super) fn write(&mut self) {
        if let Some(sink) = &mut self.sink
            && let Some(bytes) = self.buffer.get(self.filled.clone())
            && !bytes.is_empty()
        {
            match sink.write(bytes) {
                Ok(written) => self.filled.start += written,
                Err(error) if is_temporary(&error) => {}
                Err(_closed) => self.sink = None,
            }
        }
        if self.sink.is_none() {
            self.filled = 0..0;
        }
        if self.filled.is_empty() && self.unread == Some(0) {
            self.sink = None;
        }
    }

    fn read_header(&mut self) -> io::Result<usize> {
        let mut bytes = [0; size_of::<u64>()];
        let missing = bytes.len() - self.header.len();
        let read = self.source.read(bytes.get_mut(..missing).unwrap_or_default())?;
        self.header.extend(bytes.iter().take(read));
        if let Ok(length) = self.header.as_slice().try_into() {
            self.unread = Some(u64::from_le_bytes(length));
        }
        Ok(read)
    }

    fn read_payload(&mut self, unread: u64) -> io::Result<usize> {
        let room = usize::try_from(unread).unwrap_or(usize::MAX).min(self.buffer.len());
        let read = self.source.read(self.buffer.get_mut(..room).unwrap_or_default())?;
        self.filled = 0..read;
        self.unread = Some(unread.saturating_sub(u64::try_from(read).unwrap_or(u64::MAX)));
        Ok(read)
    }
}

fn is_temporary(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted)
}

#[cfg(test)]
mod tests;
