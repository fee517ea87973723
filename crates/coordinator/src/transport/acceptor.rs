//! Takes connections off a listener: not more than there is room for, and calmly when there is none.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use futures_util::{Stream, stream};
use rustix::process::{Resource, getrlimit, setrlimit};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    time::sleep,
};

use super::connection::{Connection, Patience};
use crate::metrics::Metrics;

#[cfg(test)]
mod tests;

/// Open files that are not connections: the journal, its readers, logs, standard streams.
const FILES_RESERVED: u64 = 64;

/// How long to wait after a failed accept; doubles up to the second. Without it a process that may open no more files
/// asks again and again, for the whole of a core.
const PAUSE_MIN: Duration = Duration::from_millis(50);
const PAUSE_MAX: Duration = Duration::from_millis(500);

/// How long a peer may take to say its first words. Nothing below looks at a connection that says nothing.
const FIRST_WORDS_WAIT: Duration = Duration::from_secs(5);

/// How long a visit may take: one short question and its answer.
const VISIT_MAX: Duration = Duration::from_secs(10);

/// A listener with a bound on the connections it has open.
#[derive(Debug)]
pub struct Acceptor {
    listener: TcpListener,
    room: Arc<Semaphore>,
    metrics: Metrics,
    pause: Duration,
    patience: Patience,
}

impl Acceptor {
    /// Listens. Port 0 takes any free one: see [`Self::address`].
    pub async fn bind(
        address: SocketAddr,
        connections_max: u32,
        metrics: Metrics,
    ) -> io::Result<Self> {
        let listener = TcpListener::bind(address).await?;
        let room = Arc::new(Semaphore::new(connections_max as usize));
        Ok(Self {
            listener,
            room,
            metrics,
            pause: PAUSE_MIN,
            patience: Patience::FirstWords(FIRST_WORDS_WAIT),
        })
    }

    /// The same for visitors: nobody stays for longer than ten seconds, so that no silent one keeps others out.
    #[must_use]
    pub fn for_visits(self) -> Self {
        Self { patience: Patience::Visit(VISIT_MAX), ..self }
    }

    /// Where it listens.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// The next connection there is room for.
    pub(crate) async fn next(&mut self) -> (Connection, SocketAddr) {
        loop {
            match self.listener.accept().await {
                Ok((socket, peer)) => {
                    self.pause = PAUSE_MIN;
                    if let Some(connection) = self.admit(socket) {
                        return (connection, peer);
                    }
                }
                Err(error) => self.calm_down(&error).await,
            }
        }
    }

    /// The connections, one after the other, without end.
    pub(crate) fn incoming(self) -> impl Stream<Item = io::Result<Connection>> {
        stream::unfold(self, async |mut acceptor| {
            let (connection, _) = acceptor.next().await;
            Some((Ok(connection), acceptor))
        })
    }

    fn admit(&self, socket: TcpStream) -> Option<Connection> {
        let Ok(permit) = Arc::clone(&self.room).try_acquire_owned() else {
            self.metrics.turned_away();
            return None;
        };
        // Small messages must not wait for the acknowledgement of the ones before.
        if let Err(error) = socket.set_nodelay(true) {
            tracing::debug!(%error, "cannot set nodelay");
        }
        Some(Connection::new(socket, permit, self.metrics.clone(), self.patience))
    }

    async fn calm_down(&mut self, error: &io::Error) {
        use io::ErrorKind::{ConnectionAborted, ConnectionReset, Interrupted};
        // These are about one peer, who is gone.
        if matches!(error.kind(), ConnectionAborted | ConnectionReset | Interrupted) {
            return;
        }
        self.metrics.turned_away();
        tracing::warn!(%error, pause_ms = self.pause.as_millis(), "cannot accept connections");
        sleep(self.pause).await;
        self.pause = (self.pause * 2).min(PAUSE_MAX);
    }
}

impl axum::serve::Listener for Acceptor {
    type Addr = SocketAddr;
    type Io = Connection;

    async fn accept(&mut self) -> (Connection, SocketAddr) {
        self.next().await
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.address()
    }
}

/// How many connections there can be: what is asked for, or what the process may open. Raises the soft limit of open
/// files to the hard one first.
pub fn connections_max(asked: u32) -> u32 {
    let mut limit = getrlimit(Resource::Nofile);
    let raised = rustix::process::Rlimit { current: limit.maximum, ..limit };
    if limit.current != limit.maximum && setrlimit(Resource::Nofile, raised).is_ok() {
        limit.current = limit.maximum;
    }
    let Some(files) = limit.current else { return asked };
    let room = u32::try_from(files.saturating_sub(FILES_RESERVED)).unwrap_or(u32::MAX).max(1);
    if room < asked {
        tracing::info!(
            asked,
            room,
            "fewer connections than configured: that is what the limit of open files allows"
        );
    }
    asked.min(room)
}
