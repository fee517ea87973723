//! Handlers that have said that they run, and the moments they end at.
//!
//! Ends are seen by a thread of its own, through pidfds where handlers are processes: the kernel wakes it when one is
//! gone, and nobody's word is taken for it. A function has ended when it has dropped its connection.

use std::{
    future::Future,
    io,
    os::fd::{AsFd, OwnedFd},
    path::{Path, PathBuf},
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

use super::Kind;

/// How many deaths are taken in at once. They share a moment: later than the first of them by microseconds.
const DEATHS_AT_ONCE: usize = 64;

/// Where handlers come in.
#[derive(Debug)]
pub(super) struct Door {
    listener: UnixListener,
    path: PathBuf,
    kind: Kind,
}

/// Handlers that run.
#[derive(Debug, Default)]
pub(super) struct Crowd {
    members: Vec<Member>,
}

#[derive(Debug)]
struct Member {
    /// The process. `None`: a function, which lives as long as its connection.
    process: Option<OwnedFd>,
    /// A handler ends when this does.
    connection: UnixStream,
}

impl Door {
    /// Opens it in a directory.
    pub(super) fn open(directory: &Path, kind: Kind) -> io::Result<Self> {
        let path = directory.join("door");
        Ok(Self { listener: UnixListener::bind(&path)?, path, kind })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Lets one more handler in.
    pub(super) async fn admit(&self, crowd: &mut Crowd) -> io::Result<()> {
        let (connection, _address) = self.listener.accept().await?;
        let process = match self.kind {
            Kind::Program => {
                let pid = connection.peer_cred()?.pid().and_then(Pid::from_raw);
                Some(pidfd_open(pid.ok_or(Errno::SRCH)?, PidfdFlags::empty())?)
            }
            Kind::Async => None,
        };
        crowd.members.push(Member { process, connection });
        Ok(())
    }
}

impl Crowd {
    pub(super) fn len(&self) -> usize {
        self.members.len()
    }

    /// Watches until all have died, or nobody has for as long as `patience`. The watch begins at once; the moments are
    /// in their order.
    pub(super) fn deaths(
        self,
        patience: Duration,
    ) -> impl Future<Output = io::Result<Vec<Instant>>> {
        let watch = self.watch(patience);
        async move {
            let moments = watch?.await.map_err(|_gone| io::Error::from(Errno::CHILD))?;
            // Handlers end with their connections: none is closed before all is over.
            drop(self.members);
            moments
        }
    }

    /// Starts the thread.
    fn watch(&self, patience: Duration) -> io::Result<oneshot::Receiver<io::Result<Vec<Instant>>>> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let once = epoll::EventFlags::IN | epoll::EventFlags::ONESHOT;
        for Member { process, connection } in &self.members {
            let life = process.as_ref().map_or(connection.as_fd(), AsFd::as_fd);
            epoll::add(&epoll, life, epoll::EventData::new_u64(0), once)?;
        }
        let (all, (seen, watched)) = (self.members.len(), oneshot::channel());
        let watch = move || drop(seen.send(deaths(&epoll, all, patience)));
        thread::Builder::new().name("deaths".to_owned()).spawn(watch)?;
        Ok(watched)
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
