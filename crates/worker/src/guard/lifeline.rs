//! Until when work may go on, in memory that a worker shares with the guards of its programs.
//!
//! A guard stops its program when its time is over, also if the worker is stopped and can tell it nothing. So what guards
//! go by is written down beforehand, where each looks when its own timer rings: one write renews the leases of all
//! programs, however many there are. Moments are those of the boot clock, which all processes of a machine share.
//! Handlers look before they do what cannot be taken back: in the worker's own process at what it goes by itself, so that
//! nothing has to be written down for them. It knows no sessions and no programs.

use std::{
    fs::File,
    io::{self, ErrorKind, IoSlice, IoSliceMut},
    mem::MaybeUninit,
    os::{
        fd::{AsFd as _, BorrowedFd, OwnedFd},
        unix::{fs::FileExt as _, net::UnixStream},
    },
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use rustix::{
    cmsg_space,
    fs::{MemfdFlags, memfd_create},
    io::{FdFlags, fcntl_setfd},
    net::{
        RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
        SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
    },
};

use crate::{
    OnSessionLost,
    clock::{Moment, nanos},
};

/// How long a guard leaves it to its worker to stop what the session no longer covers: it may be renewed just in time.
const PATIENCE: Duration = Duration::from_millis(250);

/// What is written for one bound: a moment, a duration, a word, and a number that tells whether they belong together.
const RECORD_BYTES: usize = 32;

/// How often a record is read again that was being written. Writing one takes less than a microsecond.
const READS_MAX: u32 = 1_000;

/// The record of the session, which bounds all leases.
const SESSION: u32 = 0;

/// A moment, and a time before or after it that matters as well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Bound {
    at: Moment,
    span: Duration,
    /// Of a lease: why the work is to stop, and [`BY_WORKER`] if its worker has asked it to; 0 if it is not to. Of the session:
    /// whether work may go on when it is over.
    asked: u64,
}

/// What the session's record says if work may go on when it is over.
const IS_SURVIVED: u64 = 1;

/// What is added to the reason for which the worker itself has asked the work to stop.
const BY_WORKER: u64 = 1 << 8;

/// Who asks work to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asker {
    /// The worker.
    Worker,
    /// The work's guard, because the time of its lease is over.
    Guard,
}

/// The worker's side.
pub(crate) struct Lifeline {
    memory: Arc<File>,
    /// A descriptor that is to be open for as long as anything of the worker's work runs, if there is one.
    pledge: Option<Arc<File>>,
    /// What is said of work when the session is over.
    survived: u64,
    /// The records that are free again, and the first that was never used. As many as programs have run at once.
    free: Mutex<(Vec<u32>, u32)>,
    /// What the session's record says.
    session: Mutex<Bound>,
}

/// Until when the work of one lease may go on.
pub(crate) struct Strand {
    lifeline: Arc<Lifeline>,
    told: Mutex<Told>,
}

/// What is known of a lease, and where.
#[derive(Clone, Copy)]
struct Told {
    bound: Bound,
    /// The record that says so too, if another process looks there. It is free again with the strand.
    index: Option<u32>,
}

/// Where the lifeline of one lease is looked at.
#[derive(Clone)]
pub(crate) enum Lookout {
    /// In the worker.
    Here(Arc<Strand>),
    /// In a process that it has started.
    There(Arc<Window>),
}

/// The memory that says how long one lease holds, as another process sees it.
pub(crate) struct Window {
    memory: Arc<File>,
    /// Whoever has the lifeline keeps the worker's pledge open with it.
    pledge: Option<Arc<File>>,
    index: u32,
    /// In the worker itself it keeps the record from being used again.
    _strand: Option<Arc<Strand>>,
}

/// When a guard does what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Limits {
    /// It asks the program to stop.
    pub(super) ask_at: Moment,
    /// It kills it.
    pub(super) kill_at: Moment,
    /// Whether the worker has asked it.
    pub(super) is_asked: bool,
}

/// Which of its bounds a lease has reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reached {
    /// Its own: the attempt's or the task's time.
    Own,
    /// The session's, which bounds them all.
    Session,
}

/// Whether a bound came nearer: what a guard has set its timer for is too late then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Renewal {
    /// It is where it was, or farther away.
    Longer,
    /// It is nearer.
    Shorter,
}

impl Lifeline {
    /// A lifeline under which nothing may run yet. What runs under it keeps the pledge open.
    pub(crate) fn new(
        pledge: Option<Arc<File>>,
        on_session_lost: OnSessionLost,
    ) -> io::Result<Self> {
        let memory = File::from(memfd_create("leasehold-lifeline", MemfdFlags::CLOEXEC)?);
        let survived = match on_session_lost {
            OnSessionLost::Stop => 0,
            OnSessionLost::Finish => IS_SURVIVED,
        };
        let over = Bound { at: Moment::default(), span: Duration::ZERO, asked: survived };
        over.write(&memory, SESSION)?;
        let memory = Arc::new(memory);
        let (free, session) = (Mutex::new((Vec::new(), SESSION + 1)), Mutex::new(over));
        Ok(Self { memory, pledge, survived, free, session })
    }

    /// The leases hold until `valid_until`; work is asked to stop ahead of that by its grace, or by `stop_margin` if
    /// that is shorter.
    pub(crate) fn renew(&self, valid_until: Moment, stop_margin: Duration) -> io::Result<Renewal> {
        let bound = Bound { at: valid_until, span: stop_margin, asked: self.survived };
        bound.write(&self.memory, SESSION)?;
        let before = std::mem::replace(&mut *locked(&self.session), bound);
        let nearer =
            before.at != Moment::default() && (bound.at < before.at || before.span < bound.span);
        Ok(if nearer { Renewal::Shorter } else { Renewal::Longer })
    }

    /// What holds for one lease. `due`: when its work is to be asked to stop; `grace`: from there to the kill.
    pub(crate) fn strand(self: &Arc<Self>, due: Option<Moment>, grace: Duration) -> Arc<Strand> {
        let at = due.unwrap_or(Moment::of_nanos(u64::MAX));
        let bound = Bound { at, span: grace, asked: 0 };
        Arc::new(Strand {
            lifeline: Arc::clone(self),
            told: Mutex::new(Told { bound, index: None }),
        })
    }

    fn take_index(&self) -> u32 {
        let (freed, unused) = &mut *locked(&self.free);
        freed.pop().unwrap_or_else(|| {
            *unused += 1;
            *unused - 1
        })
    }
}

impl Strand {
    /// Gives it a record, for a process that looks there from now on.
    pub(crate) fn write_down(self: &Arc<Self>) -> io::Result<Window> {
        let told = &mut *locked(&self.told);
        let index = *told.index.get_or_insert_with(|| self.lifeline.take_index());
        told.bound.write(&self.lifeline.memory, index)?;
        let (memory, pledge) = (Arc::clone(&self.lifeline.memory), self.lifeline.pledge.clone());
        Ok(Window { memory, pledge, index, _strand: Some(Arc::clone(self)) })
    }

    /// The work may go on until `due`. That is later than before: a guard that looks at its old time finds the new one.
    pub(crate) fn postpone(&self, due: Moment) -> io::Result<()> {
        self.change(|bound| bound.at = due)
    }

    /// Notes who asks the work to stop, and why, for work that only hears that it is.
    pub(crate) fn ask(&self, asker: Asker, why: u8) -> io::Result<()> {
        let by = match asker {
            Asker::Worker => BY_WORKER,
            Asker::Guard => 0,
        };
        self.change(|bound| bound.asked = by | u64::from(why))
    }

    /// Whether the lease's own time is over.
    pub(crate) fn is_due(&self, now: Moment) -> bool {
        locked(&self.told).bound.at <= now
    }

    fn change(&self, change: impl FnOnce(&mut Bound)) -> io::Result<()> {
        let told = &mut *locked(&self.told);
        change(&mut told.bound);
        match told.index {
            Some(index) => told.bound.write(&self.lifeline.memory, index),
            None => Ok(()),
        }
    }
}

impl Drop for Strand {
    fn drop(&mut self) {
        if let Some(index) = locked(&self.told).index {
            let (freed, _) = &mut *locked(&self.lifeline.free);
            freed.push(index);
        }
    }
}

impl Window {
    /// Which record it shows.
    pub(super) fn index(&self) -> u32 {
        self.index
    }

    /// Hands it to the process that holds the other end of a socket pair, with one byte of no meaning.
    pub(crate) fn send(&self, link: &UnixStream) -> io::Result<()> {
        let pledge = self.pledge.as_ref().map(|pledge| pledge.as_fd());
        let files: Vec<BorrowedFd<'_>> =
            std::iter::once(self.memory.as_fd()).chain(pledge).collect();
        let mut space = [MaybeUninit::uninit(); cmsg_space!(ScmRights(2))];
        let mut rights = SendAncillaryBuffer::new(&mut space);
        rights.push(SendAncillaryMessage::ScmRights(&files));
        sendmsg(link, &[IoSlice::new(&[0])], &mut rights, SendFlags::empty())?;
        Ok(())
    }

    /// Takes what [`send`](Self::send) has sent. Whoever is started is told the index by other means.
    pub(crate) fn receive(link: &UnixStream, index: u32) -> io::Result<Self> {
        let mut space = [MaybeUninit::uninit(); cmsg_space!(ScmRights(2))];
        let mut rights = RecvAncillaryBuffer::new(&mut space);
        let mut byte = [0];
        recvmsg(link, &mut [IoSliceMut::new(&mut byte)], &mut rights, RecvFlags::CMSG_CLOEXEC)?;
        let mut files = rights.drain().flat_map(|message| {
            let files = match message {
                RecvAncillaryMessage::ScmRights(files) => Some(files),
                RecvAncillaryMessage::ScmCredentials(_) | _ => None,
            };
            files.into_iter().flatten()
        });
        let memory: OwnedFd = files.next().ok_or(ErrorKind::InvalidData)?;
        let pledge = files.next().map(|pledge| Arc::new(File::from(pledge)));
        Ok(Self { memory: Arc::new(File::from(memory)), pledge, index, _strand: None })
    }

    /// Lets what this process starts from here on inherit the pledge: it is kept until all of that is gone, and not only
    /// this process.
    pub(super) fn bequeath(&self) -> io::Result<()> {
        let Some(pledge) = &self.pledge else { return Ok(()) };
        Ok(fcntl_setfd(pledge, FdFlags::empty())?)
    }

    /// What holds at this moment.
    pub(super) fn limits(&self) -> io::Result<Limits> {
        let (session, lease) = self.bounds()?;
        Ok(Limits::of(session, lease))
    }

    fn bounds(&self) -> io::Result<(Bound, Bound)> {
        Ok((Bound::read(&self.memory, SESSION)?, Bound::read(&self.memory, self.index)?))
    }
}

impl Lookout {
    /// The bound at which work is asked to stop that is reached at `now`, if one is. If it cannot be read, the session's
    /// is: what nobody can vouch for must not go on.
    pub(crate) fn reached(&self, now: Moment) -> Option<Reached> {
        let Ok((session, lease)) = self.bounds() else { return Some(Reached::Session) };
        if session.at - session.span.min(lease.span) <= now {
            return Some(Reached::Session);
        }
        (lease.at <= now).then_some(Reached::Own)
    }

    /// Why the work is to stop, as its worker has it. `None`: it has not said so.
    pub(crate) fn asked(&self) -> Option<u8> {
        let (_, lease) = self.bounds().ok()?;
        u8::try_from(lease.asked & !BY_WORKER).ok().filter(|why| *why > 0)
    }

    fn bounds(&self) -> io::Result<(Bound, Bound)> {
        match self {
            Self::Here(strand) => {
                let session = *locked(&strand.lifeline.session);
                Ok((session, locked(&strand.told).bound))
            }
            Self::There(window) => window.bounds(),
        }
    }
}

impl Limits {
    fn of(session: Bound, lease: Bound) -> Self {
        let is_asked = BY_WORKER <= lease.asked;
        if session.asked == IS_SURVIVED {
            return Self { ask_at: lease.at, kill_at: lease.at + lease.span, is_asked };
        }
        let margin = session.span.min(lease.span);
        // The end of the session is not the guard's to put off: behind it somebody else may have the task.
        let session_ask = session.at - margin + PATIENCE.min(margin / 4);
        Self {
            ask_at: session_ask.min(lease.at),
            kill_at: session.at.min(lease.at + lease.span),
            is_asked,
        }
    }
}

impl Bound {
    fn write(self, memory: &File, index: u32) -> io::Result<()> {
        let numbers = [self.at.nanos(), nanos(self.span), self.asked];
        let mut record = [0; RECORD_BYTES];
        let whole = numbers.into_iter().chain([check(numbers)]);
        for (place, number) in record.chunks_exact_mut(8).zip(whole) {
            place.copy_from_slice(&number.to_le_bytes());
        }
        memory.write_all_at(&record, offset(index))
    }

    fn read(memory: &File, index: u32) -> io::Result<Self> {
        for _ in 0..READS_MAX {
            let mut record = [0; RECORD_BYTES];
            memory.read_exact_at(&mut record, offset(index))?;
            let number = |at: usize| {
                let bytes = record.get(at * 8..).and_then(|it| it.first_chunk());
                u64::from_le_bytes(*bytes.unwrap_or(&[0; 8]))
            };
            let [at, span, asked] = [number(0), number(1), number(2)];
            if number(3) == check([at, span, asked]) {
                return Ok(Self {
                    at: Moment::of_nanos(at),
                    span: Duration::from_nanos(span),
                    asked,
                });
            }
        }
        Err(ErrorKind::InvalidData.into())
    }
}

/// Differs as soon as one of the numbers is an older one. Of a record that was never written it is wrong.
fn check([at, span, asked]: [u64; 3]) -> u64 {
    !(at ^ span.rotate_left(21) ^ asked.rotate_left(42))
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing can panic while a lock is held, so what it protects is whole.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn offset(index: u32) -> u64 {
    u64::from(index) * u64::try_from(RECORD_BYTES).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
