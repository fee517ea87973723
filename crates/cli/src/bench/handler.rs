//! The process whose death `bench expiry` waits for: `leasehold bench handler SOCKET`.
//!
//! It says that it runs by connecting to the socket; who listens there learns its process id from the connection. It
//! ends by a signal, or when the listener goes.

use std::{
    io::{self, Read as _},
    os::unix::net::UnixStream,
    path::Path,
    sync::{Arc, atomic::AtomicBool},
};

use signal_hook::consts::SIGTERM;

/// What a payload says to whoever must be killed. Any other handler dies of SIGTERM.
pub(super) const DEAF: &str = "deaf";

/// Runs until it is told to stop.
pub(crate) fn run(socket: &Path) -> io::Result<()> {
    let mut payload = String::new();
    io::stdin().read_to_string(&mut payload)?;
    if payload == DEAF {
        signal_hook::flag::register(SIGTERM, Arc::new(AtomicBool::new(false)))?;
    }
    let mut listener = UnixStream::connect(socket)?;
    // Nothing is ever sent: this ends with the listener, whatever signals come.
    listener.read_to_end(&mut Vec::new())?;
    Ok(())
}
