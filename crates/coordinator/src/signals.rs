//! The signals a coordinator listens to.

use std::io;

use tokio::signal::unix::{Signal as Listener, SignalKind, signal};

/// `SIGXFSZ` on Linux: a file has reached the limit of the process. Its default action would kill the process; a
/// write that fails is handled instead.
const FILE_SIZE_EXCEEDED: i32 = 25;

/// A request to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// `SIGTERM`.
    Terminate,
    /// `SIGINT`.
    Interrupt,
}

impl Signal {
    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Terminate => "SIGTERM",
            Self::Interrupt => "SIGINT",
        }
    }

    /// What a shell shows of a process that ended by it.
    pub const fn exit_code(self) -> u8 {
        match self {
            Self::Terminate => 143,
            Self::Interrupt => 130,
        }
    }
}

/// Listens to all of them.
#[derive(Debug)]
pub(crate) struct Signals {
    terminate: Listener,
    interrupt: Listener,
    /// Kept so that the signal stays without effect.
    _file_size_exceeded: Listener,
}

/// Listens to `SIGHUP`: somebody has changed the configuration file. Without a listener it would end the process.
#[derive(Debug)]
pub(crate) struct Hangups(Listener);

impl Hangups {
    pub(crate) fn listen() -> io::Result<Self> {
        signal(SignalKind::hangup()).map(Self)
    }

    /// The next one.
    pub(crate) async fn next(&mut self) {
        if self.0.recv().await.is_none() {
            std::future::pending::<()>().await;
        }
    }
}

impl Signals {
    pub(crate) fn listen() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            _file_size_exceeded: signal(SignalKind::from_raw(FILE_SIZE_EXCEEDED))?,
        })
    }

    /// The next request to end.
    pub(crate) async fn next(&mut self) -> Signal {
        tokio::select! {
            _ = self.terminate.recv() => Signal::Terminate,
            _ = self.interrupt.recv() => Signal::Interrupt,
        }
    }
}
