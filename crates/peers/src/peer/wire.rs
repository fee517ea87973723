//! A connection that carries pipelined commands one way and replies the other.
//!
//! It knows bytes, and leaves it to a parser where a reply ends.

use std::{
    io::{ErrorKind, Read as _, Write as _},
    net::{SocketAddr, TcpStream},
};

use anyhow::{Result, bail};

use crate::driver::Patience;

/// How much is read at once.
const CHUNK_BYTES: usize = 256 << 10;

/// A connection.
#[derive(Debug)]
pub(super) struct Wire {
    stream: TcpStream,
    /// What has been received; the part before `taken` has been parsed.
    received: Vec<u8>,
    taken: usize,
    chunk: Box<[u8]>,
}

impl Wire {
    pub(super) fn connect(address: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        let chunk = vec![0; CHUNK_BYTES].into_boxed_slice();
        Ok(Self { stream, received: Vec::new(), taken: 0, chunk })
    }

    pub(super) fn send(&mut self, commands: &[u8]) -> Result<()> {
        Ok(self.stream.write_all(commands)?)
    }

    /// Takes the next reply, if a whole one has been received. `parse` says what it is and how long.
    pub(super) fn reply<T>(
        &mut self,
        parse: impl FnOnce(&[u8]) -> Result<Option<(T, usize)>>,
    ) -> Result<Option<T>> {
        let unread = self.received.get(self.taken..).unwrap_or_default();
        let Some((reply, length)) = parse(unread)? else {
            self.received.drain(..self.taken);
            self.taken = 0;
            return Ok(None);
        };
        self.taken += length;
        Ok(Some(reply))
    }

    /// Receives something, if there is something or it is waited for.
    pub(super) fn receive(&mut self, patience: Patience) -> Result<()> {
        if patience == Patience::Look {
            self.stream.set_nonblocking(true)?;
        }
        let read = self.stream.read(&mut self.chunk);
        if patience == Patience::Look {
            self.stream.set_nonblocking(false)?;
        }
        match read {
            Ok(0) => bail!("the server closed the connection"),
            Ok(read) => self.received.extend(self.chunk.iter().take(read)),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }
}
