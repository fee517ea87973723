//! Processes. Their ends are seen by a thread of its own, through pidfds: the kernel wakes it when one is gone, and nobody's word
//! is taken for it.

use std::{
    io,
    os::fd::OwnedFd,
    path::Path,
    thread,
    time::{Duration, Instant},
};

use rustix::{
    buffer::spare_capacity,
    event::{Timespec, epoll},
    io::Errno,
    process::{Pid, PidfdFlags, pidfd_open},
};
use tokio::{
    net::{UnixListener, UnixStream},
    sync::oneshot,
};

/// How many deaths are taken in at once. They share a moment: later than the first of them by microseconds.
const DEATHS_AT_ONCE: usize = 64;

/// Where they come in: each with a connection of its own.
#[derive(Debug)]
pub(super) struct Door(UnixListener);

/// Those that run.
#[derive(Debug)]
pub(in super::super) struct Programs<'a> {
    door: &'a Door,
    members: Vec<Member>,
}

#[derive(Debug)]
struct Member {
    process: OwnedFd,
    /// The process ends with this.
    _connection: UnixStream,
}

/// Those whose deaths are seen.
#[derive(Debug)]
pub(super) struct Watched {
    members: Vec<Member>,
    moments: oneshot::Receiver<io::Result<Vec<Instant>>>,
}

impl Door {
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        UnixListener::bind(path).map(Self)
    }
}

impl<'a> Programs<'a> {
    pub(super) const fn behind(door: &'a Door) -> Self {
        Self { door, members: Vec::new() }
    }

    pub(super) const fn len(&self) -> usize {
        self.members.len()
    }

    pub(super) async fn admit(&mut self) -> io::Result<()> {
        let (connection, _address) = self.door.0.accept().await?;
        let pid = connection.peer_cred()?.pid().and_then(Pid::from_raw);
        let process = pidfd_open(pid.ok_or(Errno::SRCH)?, PidfdFlags::empty())?;
        self.members.push(Member { process, _connection: connection });
        Ok(())
    }

    /// Starts the thread that sees them die.
    pub(super) fn watch(self, patience: Duration) -> io::Result<Watched> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let once = epoll::EventFlags::IN | epoll::EventFlags::ONESHOT;
        for Member { process, .. } in &self.members {
            epoll::add(&epoll, process, epoll::EventData::new_u64(0), once)?;
        }
        let (all, (seen, moments)) = (self.members.len(), oneshot::channel());
        let watch = move || drop(seen.send(deaths(&epoll, all, patience)));
        thread::Builder::new().name("deaths".to_owned()).spawn(watch)?;
        Ok(Watched { members: self.members, moments })
    }
}

impl Watched {
    /// The moments of their deaths, once all have died.
    pub(super) async fn end(self) -> io::Result<Vec<Instant>> {
        let moments = self.moments.await.map_err(|_gone| io::Error::from(Errno::CHILD))?;
        // Handlers end with their connections: none is closed before all is over.
        drop(self.members);
        moments
    }
}

fn deaths(epoll: &OwnedFd, all: usize, patience: Duration) -> io::Result<Vec<Instant>> {
    let patience = Timespec::try_from(patience).map_err(|_| Errno::INVAL)?;
    let mut moments = Vec::with_capacity(all);
    let mut events = Vec::with_capacity(DEATHS_AT_ONCE);
    while moments.len() < all {
        events.clear();
        match epoll::wait(epoll, spare_capacity(&mut events), Some(&patience)) {
            Ok(0) => break,
            Ok(died) => moments.extend(std::iter::repeat_n(Instant::now(), died)),
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(moments)
}
