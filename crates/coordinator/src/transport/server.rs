//! Who serves connections: a task for each, until its peer leaves or this process does.
//!
//! Nothing of what its bytes mean is known here: HTTP/2 is hyper's, and the calls are the services'. It is in place of
//! tonic's own server because of what that holds for each connection, most of which are idle.

use std::{convert::Infallible, io, net::SocketAddr, pin::Pin, sync::Arc};

use futures_util::{Stream, StreamExt as _};
use http::{Request, Response};
use hyper::{body::Incoming, server::conn::http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tonic::{
    body::Body,
    service::Routes,
    transport::server::{Connected, TcpConnectInfo},
};
use tower::Service;

use super::rpc::Rpc;

/// The calls of one connection.
#[derive(Debug)]
struct Calls {
    service: Arc<Rpc<Routes>>,
    /// Who calls.
    peer: Option<SocketAddr>,
}

impl hyper::service::Service<Request<Incoming>> for Calls {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = <Rpc<Routes> as Service<Request<Body>>>::Future;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        let mut request = request.map(Body::new);
        let peer = TcpConnectInfo { local_addr: None, remote_addr: self.peer };
        request.extensions_mut().insert(peer);
        // It is always ready.
        Rpc::clone(&self.service).call(request)
    }
}

/// Serves whoever comes until `stopping` is cancelled, and then until every call has ended.
pub(super) async fn serve<C>(
    protocol: &http2::Builder<TokioExecutor>,
    service: Rpc<Routes>,
    incoming: impl Stream<Item = io::Result<C>>,
    stopping: CancellationToken,
) where
    C: AsyncRead + AsyncWrite + Connected<ConnectInfo = TcpConnectInfo> + Unpin + Send + 'static,
{
    let service = Arc::new(service);
    let connections = TaskTracker::new();
    {
        // The listener goes at once, so that whoever comes later looks elsewhere.
        let mut incoming = Box::pin(incoming);
        while let Some(Some(came)) = stopping.run_until_cancelled(incoming.next()).await {
            match came {
                Ok(socket) => {
                    let peer = socket.connect_info().remote_addr();
                    let calls = Calls { service: Arc::clone(&service), peer };
                    let connection = protocol.serve_connection(TokioIo::new(socket), calls);
                    connections.spawn(attend(connection, stopping.clone()));
                }
                Err(error) => tracing::debug!(%error, "a connection was not accepted"),
            }
        }
    }
    connections.close();
    connections.wait().await;
}

/// Serves a connection to its end. When the process ends, its peer is told to make no more calls on it.
#[expect(clippy::manual_async_fn, reason = "an async function would hold its arguments twice")]
fn attend<T>(
    mut connection: http2::Connection<TokioIo<T>, Calls, TokioExecutor>,
    stopping: CancellationToken,
) -> impl Future<Output = ()>
where
    T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    async move {
        let ended = tokio::select! {
            ended = &mut connection => Some(ended),
            () = stopping.cancelled() => None,
        };
        let ended = if let Some(ended) = ended {
            ended
        } else {
            Pin::new(&mut connection).graceful_shutdown();
            (&mut connection).await
        };
        if let Err(error) = ended {
            tracing::debug!(%error, "a connection failed");
        }
    }
}
