//! The guard itself: start the program, watch it and the worker, leave nothing behind.

use std::{
    env::set_current_dir,
    ffi::{OsStr, OsString},
    fs::File,
    io::{self, ErrorKind, Read as _, Write as _},
    os::{
        fd::{AsFd as _, OwnedFd},
        unix::{net::UnixStream, process::ExitStatusExt as _},
    },
    process::{Child, Command, ExitStatus},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use nix::sys::signal::{self, SigSet};
use rustix::{
    event::{PollFd, PollFlags, poll},
    io::{Errno, ioctl_fionbio},
    process::{
        Pid, PidfdFlags, Signal, WaitOptions, getpid, kill_current_process_group, kill_process,
        kill_process_group, pidfd_open, set_child_subreaper, setpgid, waitpgid,
    },
    thread::{sched_yield, set_name},
};
use signal_hook::consts::{SIGALRM, SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGURG, SIGUSR1, SIGUSR2};

use super::{
    Ward,
    feed::{Feed, Source},
    lifeline::Window,
    link::Report,
};
use crate::{
    clock::{Moment, Timer},
    isolated::MARKER,
};

/// The signals that are meant for the program when they reach the group before there is one.
const SIGNALS: [i32; 7] = [SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGALRM, SIGUSR1, SIGUSR2];

/// The guard's exit code when it could not do its work. The worker sees that there is no report, and kills the group.
pub(super) const EXIT_BROKEN: i32 = 70;

/// How the watch ended.
enum Watched {
    /// The program exited.
    Exited(Report),
    /// The worker wants it gone, or is gone itself.
    Unwanted,
    /// Its lease is over.
    Overdue,
}

/// What the guard goes by beside the program and the worker's socket.
struct Clockwork {
    lookout: Window,
    timer: Timer,
    /// Whether the guard has asked the group to stop.
    has_asked: bool,
    /// Readable when a bound has come nearer.
    nudges: UnixStream,
}

/// Guards the program that the arguments name, to its end. The result is the guard's exit code.
pub(super) fn run(arguments: impl Iterator<Item = OsString>) -> i32 {
    let Err(_nobody_to_tell) = guard(arguments) else { return 0 };
    // Whatever failed, nothing may go on unguarded. This ends the guard too, unless it has left the group already.
    let _nothing_left = kill_process_group(getpid(), Signal::KILL).is_ok();
    EXIT_BROKEN
}

fn guard(mut arguments: impl Iterator<Item = OsString>) -> io::Result<()> {
    // Started by way of /proc/self/exe it would be listed as `exe`. It is only for people.
    let _unnamed = set_name(c"leasehold-guard");
    let refuge = arguments.next().and_then(|it| Pid::from_raw(it.to_str()?.parse().ok()?));
    let directory = arguments.next().unwrap_or_default();
    let strand: Option<u32> = arguments.next().and_then(|it| it.to_str()?.parse().ok());
    let strand = strand.ok_or(ErrorKind::InvalidInput)?;
    let is_isolated = arguments.next().as_deref() == Some(OsStr::new(Ward::Isolated.as_str()));
    let worker = UnixStream::from(io::stdin().as_fd().try_clone_to_owned()?);
    let lookout = Window::receive(&worker, strand)?;
    lookout.bequeath()?;
    worker.set_nonblocking(true)?;
    let clockwork = Clockwork::new(lookout)?;
    for signal in SIGNALS {
        // Caught, not ignored or blocked: either would stay so in the program.
        signal_hook::flag::register(signal, Arc::new(AtomicBool::new(false)))?;
    }
    let asked_early = Arc::new(AtomicBool::new(false));
    signal_hook::flag::register(SIGTERM, Arc::clone(&asked_early))?;
    super::expect_children();
    // What the program leaves behind becomes the guard's child, so that it can wait until all of it is gone.
    set_child_subreaper(Some(getpid()))?;
    if !directory.is_empty()
        && let Err(error) = set_current_dir(&directory)
    {
        return tell(&worker, Report::not_entered(&error));
    }
    let heir = is_isolated.then_some((strand, &clockwork.lookout));
    let (child, feed) = match start(arguments, heir, worker.try_clone()?) {
        Ok(started) => started,
        Err(error) => return tell(&worker, Report::not_started(&error)),
    };
    hear_nudges_only()?;
    if asked_early.load(Ordering::Relaxed) {
        // It may have been sent when there was no program yet to hear it.
        kill_process(pid_of(&child)?, Signal::TERM)?;
    }
    let report = watch(child, feed, clockwork, refuge)?;
    tell(&worker, report)
}

/// Starts the program in the guard's own group, with a pipe for its stdin. One that is to look at its lease itself gets a
/// socket, over which it is handed the lifeline: a pipe is what other programs expect.
fn start(
    mut command: impl Iterator<Item = OsString>,
    heir: Option<(u32, &Window)>,
    worker: UnixStream,
) -> io::Result<(Child, Feed)> {
    let mut program = Command::new(command.next().unwrap_or_default());
    program.args(command);
    let feed = match heir {
        None => {
            let (stdin, feed) = io::pipe()?;
            program.stdin(stdin);
            OwnedFd::from(feed)
        }
        Some((strand, lookout)) => {
            let (stdin, feed) = UnixStream::pair()?;
            lookout.send(&feed)?;
            program.stdin(OwnedFd::from(stdin)).env(MARKER, strand.to_string());
            OwnedFd::from(feed)
        }
    };
    ioctl_fionbio(&feed, true)?;
    Ok((program.spawn()?, Feed::new(worker, File::from(feed))))
}

/// From here on what is sent to the group does not even wake the guard: of many that are stopped at once, each program
/// would share the processor with its guard before it ends.
fn hear_nudges_only() -> io::Result<()> {
    let mut deaf = SigSet::all();
    deaf.remove(signal::Signal::SIGURG);
    Ok(deaf.thread_block()?)
}

/// Watches until the program has ended, by itself or by force, and nothing of its group is left.
fn watch(
    mut child: Child,
    mut feed: Feed,
    mut clockwork: Clockwork,
    refuge: Option<Pid>,
) -> io::Result<Report> {
    let watched = watch_all(&mut child, &mut feed, &mut clockwork)?;
    kill_rest(refuge)?;
    if let Watched::Exited(report) = watched {
        if clockwork.is_asked()? {
            give_way();
        }
        reap_rest()?;
        return Ok(report);
    }
    // The program itself may have left the group; what it started there is out of reach. One that runs as another user
    // cannot be killed, and is waited for.
    let _unkillable = child.kill();
    let status = child.wait()?;
    give_way();
    reap_rest()?;
    Ok(if matches!(watched, Watched::Overdue) { Report::Overdue } else { Report::of(status) })
}

fn watch_all(child: &mut Child, feed: &mut Feed, clockwork: &mut Clockwork) -> io::Result<Watched> {
    let exit = pidfd_open(pid_of(child)?, PidfdFlags::empty())?;
    loop {
        if clockwork.is_over()? {
            return Ok(Watched::Overdue);
        }
        let wanted = if feed.wants_input() { PollFlags::IN } else { PollFlags::empty() };
        let mut polled = vec![
            PollFd::new(&exit, PollFlags::IN),
            // Also while the program does not take its input: the worker's end may close at any time.
            PollFd::from_borrowed_fd(feed.source(), wanted | PollFlags::RDHUP),
            PollFd::from_borrowed_fd(clockwork.timer.bell(), PollFlags::IN),
            PollFd::new(&clockwork.nudges, PollFlags::IN),
        ];
        polled.extend(feed.wanted_output().map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::OUT)));
        match poll(&mut polled, None) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        let is_over = polled.first().is_some_and(|it| !it.revents().is_empty());
        let said = polled.get(1).map_or(PollFlags::empty(), PollFd::revents);
        if is_over {
            return Ok(Watched::Exited(clockwork.report(child.wait()?)));
        }
        let is_gone = said.intersects(PollFlags::HUP | PollFlags::RDHUP | PollFlags::ERR);
        if is_gone || feed.read()? == Source::Closed {
            return Ok(Watched::Unwanted);
        }
        feed.write();
    }
}

impl Clockwork {
    fn new(lookout: Window) -> io::Result<Self> {
        let (nudges, bell) = UnixStream::pair()?;
        nudges.set_nonblocking(true)?;
        signal_hook::low_level::pipe::register(SIGURG, bell)?;
        Ok(Self { lookout, timer: Timer::new()?, has_asked: false, nudges })
    }

    /// Asks the group to stop if it is time, and says whether it is time to kill it. If not, the timer is set for what
    /// comes next; by then it may have been put off.
    fn is_over(&mut self) -> io::Result<bool> {
        while matches!(self.nudges.read(&mut [0; 64]), Ok(1..)) {}
        let limits = self.lookout.limits()?;
        let now = Moment::now();
        if limits.kill_at <= now {
            return Ok(true);
        }
        let mut is_asked = self.has_asked || limits.is_asked;
        if limits.ask_at <= now && !is_asked {
            (self.has_asked, is_asked) = (true, true);
            kill_current_process_group(Signal::TERM)?;
        }
        self.timer.set(if is_asked { limits.kill_at } else { limits.ask_at })?;
        Ok(false)
    }

    /// Whether the program has been asked to stop, by whomever.
    fn is_asked(&self) -> io::Result<bool> {
        Ok(self.has_asked || self.lookout.limits()?.is_asked)
    }

    /// How the program ended by itself, or by what the guard asked.
    fn report(&self, status: ExitStatus) -> Report {
        if self.has_asked && status.signal().is_some() {
            Report::Overdue
        } else {
            Report::of(status)
        }
    }
}

fn pid_of(child: &Child) -> io::Result<Pid> {
    let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    Ok(pid.ok_or(Errno::SRCH)?)
}

/// Lets go first whoever waits for the processor. Where many programs are stopped at once, that the last one ends is worth
/// more than the account of the first.
fn give_way() {
    sched_yield();
}

/// Kills everything in the group but the guard.
fn kill_rest(refuge: Option<Pid>) -> io::Result<()> {
    let group = getpid();
    if refuge.is_none() || setpgid(None, refuge).is_err() {
        // The worker is gone, and its group with it: there is nobody to report to.
        kill_current_process_group(Signal::KILL)?;
    }
    match kill_process_group(group, Signal::KILL) {
        // What runs as another user is not killed, and not left either: it is waited for.
        Ok(()) | Err(Errno::SRCH | Errno::PERM) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Waits until nothing of the group is left.
fn reap_rest() -> io::Result<()> {
    loop {
        match waitpgid(getpid(), WaitOptions::empty()) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(Errno::CHILD) => return Ok(()),
            Err(error) => return Err(error.into()),
        }
    }
}

fn tell(mut worker: &UnixStream, report: Report) -> io::Result<()> {
    // Five bytes always fit: nothing else is ever sent this way.
    worker.write_all(&report.encode())
}
