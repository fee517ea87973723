//! Connections over the simulated network, for both ends.

use std::{
    future::Future,
    io,
    net::Ipv4Addr,
    pin::Pin,
    task::{Context, Poll},
};

use futures_util::{Stream, stream};
use http::Uri;
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    sync::watch,
};
use tonic::transport::{
    Channel, Endpoint, Error,
    server::{Connected, TcpConnectInfo},
};
use turmoil::net::{TcpListener, TcpStream};

/// The coordinator's machine.
pub(crate) const COORDINATOR: &str = "coordinator";

/// Where it listens.
pub(crate) const PORT: u16 = 7171;

/// The same as an address.
pub(crate) const ADDRESS: &str = "http://coordinator:7171";

/// A connection that was accepted.
pub(crate) struct Accepted(TcpStream);

/// The connections that come in on this machine.
pub(crate) async fn incoming() -> io::Result<impl Stream<Item = io::Result<Accepted>>> {
    let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, PORT)).await?;
    Ok(stream::unfold(listener, async |listener| {
        let accepted = listener.accept().await;
        Some((accepted.map(|(stream, _)| Accepted(stream)), listener))
    }))
}

/// A machine's way to the coordinator. Clones are the same way.
#[derive(Clone, Debug, Default)]
pub(crate) struct Line {
    /// How often every connection on it was reset.
    resets: watch::Sender<u64>,
}

/// A connection that was made, until it is reset.
pub(crate) struct Dialed {
    stream: TcpStream,
    reset: Pin<Box<dyn Future<Output = ()> + Send>>,
    is_reset: bool,
}

impl Line {
    /// Resets every connection that there is, as something on the way may do.
    pub(crate) fn reset(&self) {
        self.resets.send_modify(|times| *times += 1);
    }

    /// Connects.
    pub(crate) async fn dial(self, endpoint: Endpoint) -> Result<Channel, Error> {
        endpoint
            .connect_with_connector(tower::service_fn(move |uri| self.clone().connect(uri)))
            .await
    }

    /// Connects with the first call.
    pub(crate) fn dial_lazily(self, endpoint: &Endpoint) -> Channel {
        let connect = tower::service_fn(move |uri| self.clone().connect(uri));
        endpoint.connect_with_connector_lazy(connect)
    }

    async fn connect(self, uri: Uri) -> io::Result<TokioIo<Dialed>> {
        let mut resets = self.resets.subscribe();
        let host = uri.host().unwrap_or(COORDINATOR).to_owned();
        let stream = TcpStream::connect((host, uri.port_u16().unwrap_or(PORT))).await?;
        let reset = Box::pin(async move {
            if resets.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        });
        Ok(TokioIo::new(Dialed { stream, reset, is_reset: false }))
    }
}

impl Dialed {
    /// Whether it still is; whoever asks is woken when it is not.
    fn check(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        self.is_reset = self.is_reset || self.reset.as_mut().poll(cx).is_ready();
        if self.is_reset { Err(io::ErrorKind::ConnectionReset.into()) } else { Ok(()) }
    }
}

impl AsyncRead for Dialed {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.check(cx)?;
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Dialed {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.is_reset {
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

impl Connected for Accepted {
    type ConnectInfo = TcpConnectInfo;

    fn connect_info(&self) -> TcpConnectInfo {
        TcpConnectInfo {
            local_addr: self.0.local_addr().ok(),
            remote_addr: self.0.peer_addr().ok(),
        }
    }
}

impl AsyncRead for Accepted {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buf)
    }
}

impl AsyncWrite for Accepted {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}
