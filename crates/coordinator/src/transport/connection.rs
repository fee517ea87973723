//! One connection: a socket, its place among the allowed ones, and the patience with a silent peer.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    sync::OwnedSemaphorePermit,
    time::{Sleep, sleep},
};
use tonic::transport::server::{Connected, TcpConnectInfo};

use crate::metrics::Metrics;

/// The length of the HTTP/2 preface: fewer bytes than any first HTTP/1 request, too.
const FIRST_WORDS_BYTES: usize = 24;

/// An open connection. It gives its place back when it is dropped.
#[derive(Debug)]
pub struct Connection {
    socket: TcpStream,
    /// Only at the beginning of most.
    silence: Option<Box<Silence>>,
    metrics: Metrics,
    _place: OwnedSemaphorePermit,
}

/// How long a peer is listened to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Patience {
    /// Until it has said its first words for as long as this; then for as long as it likes.
    FirstWords(Duration),
    /// For as long as this.
    Visit(Duration),
}

/// The time in which the peer is listened to ends, unless it says so much before.
#[derive(Debug)]
struct Silence {
    ends: Pin<Box<Sleep>>,
    heard_bytes: usize,
    /// None: whatever it says.
    enough_bytes: Option<usize>,
}

impl Connection {
    /// A connection whose peer is listened to with this patience.
    pub(super) fn new(
        socket: TcpStream,
        place: OwnedSemaphorePermit,
        metrics: Metrics,
        patience: Patience,
    ) -> Self {
        metrics.connected();
        let (lasts, enough_bytes) = match patience {
            Patience::FirstWords(lasts) => (lasts, Some(FIRST_WORDS_BYTES)),
            Patience::Visit(lasts) => (lasts, None),
        };
        let silence = Silence { ends: Box::pin(sleep(lasts)), heard_bytes: 0, enough_bytes };
        Self { socket, silence: Some(Box::new(silence)), metrics, _place: place }
    }

    /// Counts what was heard; an error once the peer took too long.
    fn listen(&mut self, cx: &mut Context<'_>, heard_bytes: usize) -> io::Result<()> {
        let Some(silence) = &mut self.silence else { return Ok(()) };
        silence.heard_bytes += heard_bytes;
        if silence.enough_bytes.is_some_and(|enough| silence.heard_bytes >= enough) {
            self.silence = None;
        } else if silence.ends.as_mut().poll(cx).is_ready() {
            return Err(io::Error::new(io::ErrorKind::TimedOut, "the peer took too long"));
        }
        Ok(())
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.metrics.disconnected();
    }
}

impl Connected for Connection {
    type ConnectInfo = TcpConnectInfo;

    fn connect_info(&self) -> TcpConnectInfo {
        self.socket.connect_info()
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let Poll::Ready(read) = Pin::new(&mut self.socket).poll_read(cx, buf) else {
            return match self.listen(cx, 0) {
                Ok(()) => Poll::Pending,
                Err(error) => Poll::Ready(Err(error)),
            };
        };
        read?;
        let heard = buf.filled().len() - before;
        Poll::Ready(self.listen(cx, heard))
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.socket).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.socket).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(cx)
    }
}
